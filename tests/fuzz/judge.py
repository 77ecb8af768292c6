#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose fault is it when a fuzzer ends: ours, or that of a library that reads damaged files?

    judge.py FUZZER ARTIFACT...          an artifact of libFuzzer, or a folder of them: each is replayed by itself
    judge.py --fuzz S --corpus CORPUS [--foreign] FUZZER FOUND
                                         runs the fuzzer for S seconds of the processor; inputs worth keeping go to FOUND,
                                         the artifacts to FOUND.ended

Without --foreign a run ends with the first failure, which is ours.  With --foreign the fuzzer reads by libraries of others,
which are not proof against all damage (clients/files/foreign.h): each time it ends, what it said is judged, and it is begun
anew.  Ours is what REQUIRE says, a runtime error in a file of the project, and a sanitizer's report of which a stack (where
it happened, or who allocated or freed the memory) leads out of the project's code into nothing but the sanitizer and libc.
What ends without a report that can be read is ours too, for nobody else would look at it.  Exit status: 0 nothing of ours,
1 ours, 2 a wrong call."""
import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
# Of files in which libraries of others may end; what these leak is not ours, and neither is how much they ask for.
FOREIGN_ASAN = "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=64"
LEAK_ASAN = "detect_leaks=1:allocator_may_return_null=1:max_allocation_size_mb=64"
ARTIFACT = re.compile(r"(?:^|-)(crash|leak|oom|timeout)-[0-9a-f]{40}$")
FRAME = re.compile(r"^\s+#(\d+) 0x[0-9a-f]+ +(?:in (.+?) )?(\(.*\)|[^\s()]+)?(?: \(BuildId: \w+\))?$")
RUNTIME_ERROR = re.compile(r"^(\S+?):\d+:\d+: runtime error: ")
# Sources of libc, as its debug information names them, and the libraries that belong to any program.
LIBC_SOURCE = re.compile(r"^(\.+/)*(csu|nptl|signal|stdlib|string|libio|malloc|sysdeps|posix|io|misc|time|debug|elf)/")
SYSTEM = re.compile(r"^(libc|libm|libpthread|ld-linux.*|libgcc_s|libstdc\+\+|linux-vdso|\[vdso\])(\.so|$|\.)")
FOREIGN_TIMEOUT, OWN_TIMEOUT = 4, 5  # seconds that one input may take


def of_project(source):
    """Whether a path of a source file, as a compiler wrote it down, is one of this tree or of a copy of it."""
    parts = os.path.normpath(source).lstrip("/").split("/")
    tails = ["/".join(parts[i:]) for i in range(len(parts) - 1)]
    return any(os.path.isfile(os.path.join(ROOT, tail)) for tail in tails)


def owner(where, fuzzer):
    """Whose a frame is: "ours", "theirs", or None of the sanitizer, libc and inlined headers, which only pass on."""
    if where and not where.startswith("("):
        source = re.sub(r"(:\d+){1,2}$", "", where)
        if of_project(source):
            return "ours"
        return None if LIBC_SOURCE.match(source) or source.endswith(".h") else "theirs"
    module = os.path.basename((where or "()")[1:-1].split("+0x")[0])
    if not module or module == os.path.basename(fuzzer) or SYSTEM.match(module) or "<" in module:
        return None
    return "theirs"


def stacks(text, fuzzer):
    """The stacks of a report, as lists of (owner, what was printed)."""
    found = []
    for line in text.splitlines():
        seen = FRAME.match(line)
        if not seen:
            continue
        if int(seen.group(1)) == 0 or not found:
            found.append([])
        found[-1].append((owner(seen.group(3), fuzzer), line.strip()))
    return found


def judge(text, fuzzer):
    """("ours" | "theirs", why) of what a fuzzer said before it ended in failure."""
    for line in text.splitlines():
        seen = RUNTIME_ERROR.match(line)
        if line.endswith(" does not hold") or (seen and of_project(seen.group(1))):
            return "ours", line.strip()
    blamed = [next((frame for frame in stack if frame[0]), None) for stack in stacks(text, fuzzer)]
    for frame in blamed:
        if frame and frame[0] == "ours":
            return frame
    # The first stack is where it happened; without an owner nobody can tell.
    if not blamed or blamed[0] is None:
        return "ours", "no report that could be read"
    return blamed[0]


def run(fuzzer, arguments, asan=None, seconds=None):
    """Exit status, and all that was said; ended after so many seconds of the processor."""
    def limit():
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    environment = {"UBSAN_OPTIONS": "print_stacktrace=1", **os.environ}
    if asan:
        environment["ASAN_OPTIONS"] = asan
    ran = subprocess.run([os.path.abspath(fuzzer), *arguments], env=environment, preexec_fn=limit, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ran.returncode, ran.stdout.decode(errors="replace")


def tell(name, verdict, why, text):
    print(f"{name}: {verdict}: {why}", flush=True)
    if verdict == "ours":
        print("\n".join("    " + line for line in text.splitlines()[-60:]), flush=True)
    return verdict == "ours"


def artifacts(paths):
    for path in paths:
        if os.path.isdir(path):
            yield from sorted(os.path.join(path, name) for name in os.listdir(path) if ARTIFACT.search(name))
        elif os.path.isfile(path):
            yield path
        else:
            sys.exit(f"judge.py: {path} is not there")


def processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def only_waits(fuzzer, text, path, timeout, asan):
    """Whether an end is by the clock alone: libFuzzer's limit of an input is one of time, and on a machine with other
    work an input may take long without the processor.  By itself it must come to its end within the limit, as the
    processor counts."""
    if not path or "libFuzzer: timeout" not in text:
        return False
    status, said = run(fuzzer, [f"-timeout={100 * timeout}", path], asan, seconds=timeout)
    return status == 0 and "Executed " in said


NOBODY = ("nobody's", "the input takes time, but not of the processor")


def replay(fuzzer, paths):
    """How many artifacts are ours."""
    bad = count = 0
    for path in artifacts(paths):
        kind = ARTIFACT.search(path)
        asan = LEAK_ASAN if kind and kind.group(1) == "leak" else FOREIGN_ASAN
        status, text = run(fuzzer, [f"-timeout={FOREIGN_TIMEOUT}", path], asan)
        count += 1
        if status == 0 and "Executed " in text:
            print(f"{path}: does not end it (any more)")
        else:
            waits = only_waits(fuzzer, text, path, FOREIGN_TIMEOUT, asan)
            bad += tell(path, *(NOBODY if waits else judge(text, fuzzer)), text)
    print(f"{count} artifacts replayed, {bad} ours")
    return bad


def known(text, found, corpus):
    """Whether an input of the corpus crashed it, which would end every run before it begins.  One that was found
    earlier is known for good as an artifact: it is taken away."""
    written = re.search(r"Test unit written to \S*/(crash|leak|oom|timeout)-([0-9a-f]{40})$", text, re.MULTILINE)
    if not written:
        return False
    if os.path.exists(os.path.join(found, written.group(2))):
        os.remove(os.path.join(found, written.group(2)))
    hashes = set()
    for name in os.listdir(corpus):
        with open(os.path.join(corpus, name), "rb") as file:
            hashes.add(hashlib.sha1(file.read()).hexdigest())
    return written.group(1) == "crash" and written.group(2) in hashes


def fuzz(options, fuzzer, found):
    """How many ends are ours."""
    # The fuzzer begins with all that lies in its folders, so that what ended it must lie elsewhere.
    os.makedirs(found, exist_ok=True)
    os.makedirs(found + ".ended", exist_ok=True)
    bad = ends = executed = 0
    timeout = FOREIGN_TIMEOUT if options.foreign else OWN_TIMEOUT
    asan = FOREIGN_ASAN if options.foreign else None
    # A machine with other work gives less than a second of the processor a second: the rest is made up for.
    while not bad and processor() < options.fuzz:
        left = max(1, round(options.fuzz - processor()))
        status, text = run(fuzzer, [f"-max_total_time={left}", f"-timeout={timeout}", "-print_final_stats=1",
                                    f"-artifact_prefix={found}.ended/", found, options.corpus], asan)
        units = re.search(r"stat::number_of_executed_units: *(\d+)", text)
        fresh = int(units.group(1)) if units else 0
        executed += fresh
        if status != 0:
            ends += 1
            verdict, why = judge(text, fuzzer) if options.foreign else ("ours", f"status {status}")
            written = re.search(r"Test unit written to (\S*/timeout-[0-9a-f]{40})$", text, re.MULTILINE)
            in_corpus = known(text, found, options.corpus)
            if only_waits(fuzzer, text, written and written.group(1), timeout, asan):
                verdict, why = NOBODY
            elif in_corpus:
                verdict, why = "ours", f"an input of the corpus ends it: {why}"
            bad += tell(f"end {ends}", verdict, why, text)
        elif fresh == 0:
            bad += tell("run", "ours", "no input was tried", text)
    print(f"{os.path.basename(fuzzer)}: {processor():.0f} s of the processor, {executed} inputs, ended {ends} times, "
          f"{bad} ours")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", type=float, metavar="S")
    parser.add_argument("--corpus")
    parser.add_argument("--foreign", action="store_true")
    parser.add_argument("fuzzer")
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    if options.fuzz is None:
        bad = replay(options.fuzzer, options.paths)
    elif options.corpus and len(options.paths) == 1:
        bad = fuzz(options, options.fuzzer, options.paths[0])
    else:
        parser.error("--fuzz needs --corpus and one folder for what is found")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
