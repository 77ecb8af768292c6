# SPDX-License-Identifier: GPL-3.0-or-later
"""judge.py finds guilty what is guilty, and nothing else.

    test_judge.py             by reports as sanitizers print them
    test_judge.py GUILTY      by a program (fuzz_guilty.c) that ends in each way on purpose, replayed and fuzzed"""
import hashlib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import judge  # noqa: E402 (found by the path above)

BUILT = "/src/build/fuzz/../../"  # as clang writes the paths of a build in the tree
OURS = f"0x5643 in read_all {BUILT}clients/files/mat.c:196:33"
RUNTIME = "0x5641 in __interceptor_memcpy (/src/fuzz_mat+0xa61b5) (BuildId: 08504c)"
DRIVER = "0x5642 in fuzzer::Fuzzer::ExecuteCallback(unsigned char const*, unsigned long) (/src/fuzz_mat+0x72) (BuildId: 08)"
LIBRARY = "0x7fa9 in H5HG_read (/lib/x86_64-linux-gnu/libhdf5_serial.so.103+0x167b8d) (BuildId: e923ff)"
STRIPPED = "0x7fa9  (/lib/x86_64-linux-gnu/libmatio.so.11+0x4ed44) (BuildId: 0522e1)"
WITH_SOURCE = "0x7fa9 in H5HG_read ./src/H5HG.c:612:9"
LIBC = "0x7fa9 in __memset_avx512 string/../sysdeps/x86_64/multiarch/memset-vec-unaligned-erms.S:235"
LIBC_STRIPPED = "0x7fa9 in abort (/lib/x86_64-linux-gnu/libc.so.6+0x3c04f) (BuildId: 93ac61)"
HEADER = "0x5643 in memcpy /usr/include/x86_64-linux-gnu/bits/string_fortified.h:29:10"


def stack(*frames):
    return "".join(f"    #{i} {frame}\n" for i, frame in enumerate(frames))


HEAP = "==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602\n"
REPORTS = (
    ("ours", "a promise", f"{BUILT}tests/fuzz/fuzz_mat.c:23: session != NULL does not hold\n"),
    ("ours", "undefined", "../../clients/files/mat.c:159:50: runtime error: applying zero offset to null pointer\n"),
    ("ours", "our own reach", HEAP + stack(RUNTIME, OURS, DRIVER)),
    ("ours", "through libc", HEAP + stack(RUNTIME, LIBC, HEADER, OURS, DRIVER)),
    ("ours", "abort", "==1== ERROR: libFuzzer: deadly signal\n" + stack(RUNTIME, LIBC_STRIPPED, OURS, DRIVER)),
    ("ours", "our memory", HEAP + stack(RUNTIME, LIBRARY, OURS, DRIVER) + "allocated by thread T0 here:\n"
     + stack(RUNTIME, OURS)),
    ("ours", "unreadable", "Killed\n"),
    ("ours", "no symbols", HEAP + stack(RUNTIME, DRIVER)),
    ("theirs", "library", HEAP + stack(LIBRARY, OURS, DRIVER)),
    ("theirs", "library, by libc", HEAP + stack(RUNTIME, LIBC, STRIPPED, OURS, DRIVER)),
    ("theirs", "library with its source", HEAP + stack(WITH_SOURCE, OURS, DRIVER)),
    ("theirs", "its memory", HEAP + stack(RUNTIME, LIBRARY, OURS) + "allocated by thread T0 here:\n"
     + stack(RUNTIME, STRIPPED)),
)
# By the letters of fuzz_guilty.c; None where it ends well.
LETTERS = {"R": "ours", "A": "ours", "H": "ours", "U": "ours", "W": "ours", "T": "ours", "S": "nobody's", "L": "theirs",
           "N": None}


def by_reports():
    for verdict, name, text in REPORTS:
        found, why = judge.judge(text, "/src/fuzz_mat")
        assert found == verdict, f"{name}: {found} ({why}), and it is {verdict}"


def judged(*arguments):
    ran = subprocess.run([sys.executable, os.path.join(HERE, "judge.py"), *arguments], capture_output=True, text=True)
    assert ran.stderr == "", ran.stderr
    return ran.returncode, ran.stdout


def by_guilty(guilty):
    with tempfile.TemporaryDirectory(prefix="trajd-judge-") as folder:
        for letter, verdict in LETTERS.items():
            path = os.path.join(folder, letter)
            with open(path, "w") as file:
                file.write(letter)
            status, said = judged(guilty, path)
            first = said.splitlines()[0]
            wanted = f"{path}: {verdict}: " if verdict else f"{path}: does not end it"
            assert first.startswith(wanted) and status == (verdict == "ours"), said
        by_fuzzing(guilty, folder)


def verdicts(said):
    return re.findall(r"^end \d+: (ours|theirs|nobody's): ", said, re.MULTILINE)


def by_fuzzing(guilty, folder):
    """What was found earlier, and ends in a library or only waits, does not keep a fuzzer from what is ours.  Mutation
    finds it, at one seed sooner and at another behind more that is not ours."""
    corpus, found = os.path.join(folder, "corpus"), os.path.join(folder, "found")
    os.mkdir(corpus)
    os.mkdir(found)
    os.link(os.path.join(folder, "N"), os.path.join(corpus, "N"))
    for letter, foreign, first, between in (("L", True, "theirs", {"theirs", "nobody's"}),
                                            ("S", False, "nobody's", {"nobody's"})):
        with open(os.path.join(found, hashlib.sha1(letter.encode()).hexdigest()), "w") as file:
            file.write(letter)
        status, said = judged("--fuzz", "20", *(["--foreign"] if foreign else []), "--corpus", corpus, guilty, found)
        ends = verdicts(said)
        assert status == 1 and ends[0] == first and ends[-1] == "ours" and set(ends[:-1]) <= between, said
        assert said.splitlines()[-1].endswith(", 1 ours"), said
    os.link(os.path.join(folder, "L"), os.path.join(corpus, "L"))
    status, said = judged("--fuzz", "20", "--foreign", "--corpus", corpus, guilty, found + "-anew")
    assert status == 1 and said.startswith("end 1: ours: an input of the corpus ends it: "), said


if __name__ == "__main__":
    by_reports()
    if len(sys.argv) > 1:
        by_guilty(sys.argv[1])
    print("judged as they are")
