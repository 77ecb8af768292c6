# SPDX-License-Identifier: GPL-3.0-or-later
"""trajd beside what users run today: planned time of sending to receipt of the answer, the same frames on the
same schedule, blocks of one and the other in turn so that whatever else the machine does meets all alike.

    compare.py [--channels N] [--targets N] [--bin-ms X] [--frames N] [--rounds N] [--tcp] [--spin]
               [--fifo] [--only NAME,NAME] [--seed N] [--check] [--markdown]
               [--json FILE]

With --fifo everything runs at a SCHED_FIFO priority, so that what else the machine does is kept out (needs
the privilege).  --spin adds a trajd that does not sleep while it waits.  The order within a round is drawn by
--seed, and so are the rounds of the bootstrap.

    echo       a bare C ZeroMQ echo that sleeps until a frame is there: no decoding, the floor
    echo expect    the same, awake by the time at which a frame is due, as trajd is with "receive": "expect"
    trajd      the whole posterior, JSON; with --fifo configured with the priority, and therefore awake when a
               frame is due
    trajd expect, trajd block   the same with the other "receive": expect without --fifo, block with it
    kalman     pyzmq and numpy: steady-state Kalman filter
    courses    pyzmq and numpy: trajd's own filter, vectorised, without its slow gains
    redis C 1  Redis streams over a unix socket, a Kalman node in C;  redis C 4: three more nodes before it
    redis py   the same with nodes in Python

A frame without an answer is later than any other.  Medians are paired round by round, so that what changes from
round to round meets all alike.  A round has too few late frames for that at 99 %: there all rounds together are
compared, and the intervals are those of rounds drawn anew.  How late the sender itself was (which counts, for the
frames were planned) is told beside it.  Times are printed, and judged with --check alone, which exits
with 1 unless each of these holds: trajd's median excess over the echo, and over the echo that waits like it, is
at most the decode step and 30 us; it is no slower than kalman, and faster than redis C 1, at p50 and p99.  Of what
was not measured, for nothing came, none holds.  The promises are those of a daemon with a priority, so --check takes
--fifo along; without the privilege it says so and exits with 77.
Environment: TRAJD, TRAJCTL, TRAJ_PEERS (folder of the compiled peers, in the one where bench_course is)."""
import argparse
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from machine import machine  # noqa: E402 (found by the path above)

PYTHON = sys.executable
WARMUP = 100
PATIENCE = 60.0
PRIORITY = 10
RESAMPLES = 1000  # of the rounds, for 95 % intervals
ALLOWED_US = 30.0  # beside the decode step, over the echo
STEP_FRAMES = 3000


def missing():
    """Why this cannot run here, or None."""
    for module, package in (("numpy", "python3-numpy"), ("zmq", "python3-zmq"), ("redis", "python3-redis")):
        try:
            __import__(module)
        except ImportError:
            return f"{package} is not installed"
    if not shutil.which("redis-server"):
        return "redis-server is not installed"
    for name in ("TRAJD", "TRAJCTL", "TRAJ_PEERS"):
        if not os.environ.get(name):
            return f"{name} is not set"
    if not os.path.exists(os.path.join(os.environ["TRAJ_PEERS"], "redis_node")):
        return "the peers were built without libhiredis-dev"
    return None


class Stage:
    """Everything that runs, and the folder it runs in."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="peers-")
        self.processes = []
        self.model = self.path("model.tjm")
        self.sizes = ["--channels", str(options.channels), "--targets", str(options.targets),
                      "--bin-ms", str(options.bin_ms)]
        self.port = 5700 + os.getpid() % 2000

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *command):
        # One thread for numpy, as for everybody: what BLAS gains by more it takes from the others.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([str(c) for c in command], env=environment,
                                   stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def endpoint(self, name):
        if not self.options.tcp:
            return "ipc://" + self.path(name)
        self.port += 1
        return f"tcp://127.0.0.1:{self.port}"

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def wait_for(self, path):
        give_up = time.monotonic() + PATIENCE
        while not os.path.exists(path):
            if time.monotonic() > give_up:
                sys.exit(f"{path} does not appear")
            time.sleep(0.02)


class OverZmq:
    """trajd, or whatever speaks its sockets."""

    def __init__(self, stage, key, command, busy=False):
        self.stage, self.key, self.samples, self.busy = stage, key, stage.path(key + ".us"), busy
        self.late = []  # 99 % of the sender's lateness, us, a round
        self.frames, self.intents = stage.endpoint(key + "-f"), stage.endpoint(key + "-i")
        self.process = stage.start(*[{"FRAMES": self.frames, "INTENTS": self.intents}.get(c, c) for c in command])

    def block(self, frames):
        if self.busy:
            self.process.send_signal(signal.SIGCONT)
        done = subprocess.run([os.environ["TRAJCTL"], "bench", "--quiet", "--json", *self.stage.sizes,
                               "--source", self.frames, "--intents", self.intents, "--frames", str(frames),
                               "--samples", self.samples], stdout=subprocess.PIPE, text=True)
        if self.busy:
            # One that never sleeps must not take a processor from the others.
            self.process.send_signal(signal.SIGSTOP)
        if done.returncode != 0:
            return nothing_from(self.key, frames)
        self.late.append(json.loads(done.stdout)["cells"][0]["sent_late_p99_us"])
        return read_samples(self.samples)


class OverRedis:
    """So many nodes behind one another; the last decodes."""

    def __init__(self, stage, key, node, hops):
        self.stage, self.key, self.samples = stage, key, stage.path(key + ".us")
        self.hops, self.late = hops, []  # redis_load does not tell how late it sent
        for hop in range(hops):
            stage.start(*node, stage.path("redis"), f"{key}{hop}", f"{key}{hop + 1}",
                        stage.options.channels, *(["pass"] if hop + 1 < hops else []))

    def block(self, frames):
        done = subprocess.run([os.path.join(os.environ["TRAJ_PEERS"], "redis_load"), self.stage.path("redis"),
                               self.key + "0", f"{self.key}{self.hops}", str(self.stage.options.channels),
                               str(self.stage.options.bin_ms), str(frames), str(WARMUP), self.samples])
        return read_samples(self.samples) if done.returncode == 0 else nothing_from(self.key, frames)


def nothing_from(key, frames):
    print(f"{key} answered nothing in this round", file=sys.stderr)
    return [None] * frames


def read_samples(path):
    with open(path) as file:
        return [None if line == "lost\n" else float(line) for line in file]


def quantile(values, q):
    """None, an answer that never came, is later than any other."""
    ordered = sorted(math.inf if us is None else us for us in values)
    return ordered[max(0, -(-int(q * 1e6) * len(ordered) // 10**6) - 1)]


def other_trajd(options):
    """The one that waits as trajd by itself would not."""
    return "trajd block" if options.fifo else "trajd expect"


def alike(name, options):
    """The echo that waits as this one does."""
    expects = name == "echo expect" or name == ("trajd" if options.fifo else "trajd expect")
    return "echo expect" if expects else "echo"


def raise_peers(stage):
    """name -> peer, everything started."""
    built, sizes = os.environ["TRAJ_PEERS"], stage.options
    subprocess.run([os.environ["TRAJCTL"], "bench", *stage.sizes, "--write-model", stage.model],
                   check=True)
    stage.start("redis-server", "--port", 0, "--unixsocket", stage.path("redis"), "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--dir", stage.folder)
    stage.wait_for(stage.path("redis"))
    zmq_peer, node = os.path.join(HERE, "zmq_peer.py"), os.path.join(HERE, "redis_node.py")
    peers = {"echo" + way: OverZmq(stage, "echo" + way.strip(), [os.path.join(built, "echo"), "FRAMES", "INTENTS",
                                                                way.strip() or "block"]) for way in ("", " expect")}
    for name in ["trajd", other_trajd(sizes)] + (["trajd spin"] if sizes.spin else []):
        key = name.replace(" ", "-")
        with open(stage.path(key + ".json"), "w") as file:
            json.dump({"stale_ms": 0, "status_ms": 0, "log_level": "warning",
                       "receive": name[6:] or "auto", "priority": PRIORITY if sizes.fifo else 0}, file)
        peers[name] = OverZmq(stage, key, [
            os.environ["TRAJD"], "--model", stage.model, "--config", stage.path(key + ".json"),
            "--frames", "FRAMES", "--intents", "INTENTS", "--control",
            "ipc://" + stage.path(key + "-control")], busy="spin" in name)
    peers["kalman"] = OverZmq(stage, "kalman", [PYTHON, zmq_peer, "kalman", "FRAMES", "INTENTS",
                                                sizes.channels])
    peers["courses"] = OverZmq(stage, "courses", [PYTHON, zmq_peer, "courses", "FRAMES", "INTENTS",
                                                  stage.model])
    for name, key, program in (("redis C", "c", [os.path.join(built, "redis_node")]),
                               ("redis py", "p", [PYTHON, node])):
        for hops in (1, 4):
            peers[f"{name} {hops}"] = OverRedis(stage, f"{key}{hops}-", program, hops)
    wait_for_readers(stage, sum(peer.hops for peer in peers.values() if isinstance(peer, OverRedis)))
    return peers


def wait_for_readers(stage, count):
    """A node reads what comes from when it waits for it: whoever begins before loses entries that no node ever saw."""
    import redis
    server = redis.Redis(unix_socket_path=stage.path("redis"))
    give_up = time.monotonic() + PATIENCE
    while sum("b" in client["flags"] for client in server.client_list()) < count:
        if time.monotonic() > give_up:
            sys.exit("not all nodes of the Redis pipelines wait for entries")
        time.sleep(0.02)
    server.close()


def rounds_of(peers, options):
    """name -> one list of latencies, us (None = lost), a round."""
    names = list(peers)
    if options.only:
        always = ["echo", "echo expect", "trajd", other_trajd(options)]
        wanted = [name.strip() for name in options.only.split(",")]
        unknown = [name for name in wanted if name not in names]
        if unknown:
            sys.exit(f"compare.py: --only: there is no {', '.join(unknown)}; there are {', '.join(names)}")
        names = always + [name for name in names if name in wanted and name not in always]
    blocks = {name: [] for name in names}
    order, chance = list(names), random.Random(options.seed)
    for turn in range(options.rounds):
        # Behind whom one comes changes too: what another leaves in the caches must not be one's own fate.
        chance.shuffle(order)
        for name in order:
            blocks[name].append(peers[name].block(options.frames))
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return blocks


def finite(value):
    """A number, or None where nothing came."""
    return value if value is not None and math.isfinite(value) else None


def middle(values):
    """95 % of what rounds drawn anew gave."""
    ordered = sorted(values)
    return [finite(ordered[round(q * (len(ordered) - 1))]) for q in (0.025, 0.975)] if ordered else [None, None]


def interval(values, seed):
    """95 % of the medians of rounds drawn anew."""
    chance = random.Random(seed)
    return middle([statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)])


def drawn_quantiles(blocks, q, seed):
    """name -> the quantile over all rounds together, and over each of RESAMPLES draws of rounds, the same for all."""
    import numpy
    rounds = {name: [numpy.array([math.inf if us is None else us for us in block]) for block in each]
              for name, each in blocks.items()}
    count = min(len(each) for each in rounds.values())
    chance = random.Random(seed)
    draws = [range(count)] + [chance.choices(range(count), k=count) for _ in range(RESAMPLES)]

    def of(each, draw):
        pooled = numpy.concatenate([each[i] for i in draw])
        at = max(0, -(-int(q * 1e6) * len(pooled) // 10**6) - 1)
        return float(numpy.partition(pooled, at)[at])

    return {name: [of(each, draw) for draw in draws] for name, each in rounds.items()}


def paired(table, name, key, combine, other, seed):
    """Median over the rounds of what one round says, and its interval."""
    # Where the other one lost so much itself there is nothing to hold it against.
    values = [combine(a, b) for a, b in zip(table[name]["rounds"][key], table[other]["rounds"][key])
              if math.isfinite(b)]
    return (finite(statistics.median(values)), interval(values, seed)) if values else (None, [None, None])


def together(drawn, name, combine, other):
    """What all rounds together say, and its interval."""
    first, *draws = [combine(a, b) if math.isfinite(b) else math.nan for a, b in zip(drawn[name], drawn[other])]
    return finite(first), middle([value for value in draws if not math.isnan(value)])


def summarise(blocks, options):
    """Pooled quantiles; excess over the echoes and ratio to trajd: medians paired round by round, 99 % of all rounds."""
    table = {}
    for name, rounds in blocks.items():
        pooled = [us for block in rounds for us in block]
        row = {"frames": len(pooled), "lost": pooled.count(None)}
        for q, key in ((0.5, "p50"), (0.99, "p99"), (0.999, "p999"), (1, "max")):
            row[key + "_us"] = finite(quantile(pooled, q))
        row["rounds"] = {key: [quantile(block, q) for block in rounds] for q, key in ((0.5, "p50"), (0.99, "p99"))}
        table[name] = row
    drawn = drawn_quantiles(blocks, 0.99, options.seed)
    for name, row in table.items():
        for what, unit, other, combine in (("excess", "_us", "echo", lambda a, b: a - b),
                                           ("alike", "_us", alike(name, options), lambda a, b: a - b),
                                           ("ratio", "", "trajd", lambda a, b: a / b)):
            key = f"{what}_p50{unit}"
            row[key], row[key + "_interval"] = paired(table, name, "p50", combine, other, options.seed)
            key = f"{what}_p99{unit}"
            row[key], row[key + "_interval"] = together(drawn, name, combine, other)
    for row in table.values():
        row["rounds"] = {key: [finite(us) for us in values] for key, values in row["rounds"].items()}
    return table


def decode_step(options):
    """Median, us, of the step alone (bench_course), of a model of the same size."""
    program = os.path.join(os.environ["TRAJ_PEERS"], os.pardir, "bench_course")
    said = subprocess.check_output([program, str(options.channels), str(options.targets), str(options.bin_ms),
                                    str(STEP_FRAMES)], text=True)
    return float(re.search(r"step: median ([\d.]+) us", said).group(1))


def promises(table, step):
    """(what, found, limit, whether it holds); None where it was not measured or nothing came."""
    limit = step + ALLOWED_US
    yield from ((f"trajd's median excess over {words}", table["trajd"][key], f"<= {limit:.1f} us",
                 table["trajd"][key] is not None and table["trajd"][key] <= limit)
                for words, key in (("the echo", "excess_p50_us"), ("the echo that waits like it", "alike_p50_us")))
    for name, sign, holds in (("kalman", ">=", lambda ratio: ratio >= 1), ("redis C 1", ">", lambda ratio: ratio > 1)):
        for key in ("p50", "p99"):
            row = table.get(name)
            if row is None:
                continue
            # What answered nothing, or lost so much, was not measured: it says nothing of how fast it is.
            ratio = row["ratio_" + key] if row[key + "_us"] is not None else None
            yield f"{name} to trajd, {key}", ratio, f"{sign} 1", ratio is not None and holds(ratio)


def ask_trajd(stage, key="trajd"):
    """trajd's own stages, us: the decode step that the excess is to be held against."""
    import zmq
    control = zmq.Context.instance().socket(zmq.REQ)
    control.linger = 0
    control.connect("ipc://" + stage.path(key + "-control"))
    control.send(b'{"cmd":"status"}')
    if not control.poll(1e3 * PATIENCE):
        sys.exit("trajd does not answer")
    stages = json.loads(control.recv())["stages_ms"]
    return {name: {q: 1e3 * stage[q] for q in ("p50", "p99")} for name, stage in stages.items()}


def say_stages(name, stages):
    print(f"{name}'s own stages, median (99 %), us: " + ", ".join(
        f"{stage} {value['p50']:.1f} ({value['p99']:.1f})" for stage, value in stages.items()))


def cell(value, width, digits=1):
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def between(row, key, digits=1):
    low, high = row[key + "_interval"]
    return f" {cell(row[key], 8, digits)}{f' ({cell(low, 0, digits)} to {cell(high, 0, digits)})':20}"


def show(table, stages, others, twin, step, options):
    print(f"{machine()}\n{options.channels} units, {options.targets} targets, bins of {options.bin_ms} ms, "
          f"{'tcp' if options.tcp else 'ipc'}, {options.rounds} rounds of {options.frames} frames in turn"
          f"{', all at SCHED_FIFO' if options.fifo else ''}; seed {options.seed}")
    print(f"{'':12}{'p50 us':>9}{'p99':>9}{'99.9 %':>9}{'max':>10}{'lost':>6}{'sender late, 99 %':>19}")
    for name, row in table.items():
        print(f"{name:12}{cell(row['p50_us'], 9)}{cell(row['p99_us'], 9)}{cell(row['p999_us'], 9)}"
              f"{cell(row['max_us'], 10)}{row['lost']:6}{cell(row.get('late_us'), 19)}"
              f"{'  NOTHING CAME' if row['lost'] == row['frames'] else ''}")
    print("The difference to the echo's quantile, us, to that of the echo that waits alike, and the ratio to trajd's: p50\n"
          "paired, median over the rounds; p99 of all rounds together (95 % intervals by bootstrap over the rounds)")
    heads = ("excess p50", "excess p99", "alike p50", "alike p99", "to trajd p50", "to trajd p99")
    print(f"{'':12}" + "".join(f" {head:>12}{'':16}" for head in heads))
    for name, row in table.items():
        print(f"{name:12}" + "".join(between(row, f"{key}_{q}_us") for key in ("excess", "alike") for q in ("p50", "p99"))
              + "".join(between(row, f"ratio_{q}", 2) for q in ("p50", "p99")))
    print(f"decode step alone, {options.channels} units, {options.targets} targets: {step:.1f} us; with {ALLOWED_US:g} us more "
          f"{step + ALLOWED_US:.1f} us are allowed over the echo")
    for what, found, limit, holds in promises(table, step):
        verdict = "NOT MEASURED  " if found is None else "holds         " if holds else "DOES NOT HOLD "
        print(f"{verdict}{what}: {cell(found, 0, 2)}, promised {limit}")
    say_stages("trajd", stages)
    say_stages(other_trajd(options), others)
    # Both whole steps alone: the daemon's own stage "decode" lacks what was done ahead.
    print(f"numpy twin's step, median: {twin:.1f} us, {twin / step:.2f} times trajd's (which also integrates the slow gains)")


def markdown(table):
    """The rows of README's table."""
    print("\n| | median | 99 % | sender late, 99 % | median, less the echo's | 99 %, less the echo's | median, less that of the echo that waits alike | "
          "median, over trajd's | 99 %, over trajd's |\n|---|---|---|---|---|---|---|---|---|")
    for name, row in table.items():
        numbers = [cell(row.get(key), 0, 0) for key in ("p50_us", "p99_us", "late_us")]
        for key, digits in (("excess_p50_us", 0), ("excess_p99_us", 0), ("alike_p50_us", 0), ("ratio_p50", 2), ("ratio_p99", 2)):
            numbers.append(between(row, key, digits).strip())
        print(f"| {name} | {' | '.join(numbers)} |")
    print()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--bin-ms", type=float, default=5)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--only", help="these alone, beside echo and trajd")
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--check", action="store_true", help="exit with 1 where a promise does not hold")
    parser.add_argument("--markdown", action="store_true", help="print README's table too")
    parser.add_argument("--json")
    options = parser.parse_args()
    why_not = missing()
    if why_not:
        print(why_not + ": sh clients/install-packages.sh bench")
        sys.exit(77)
    options.fifo = options.fifo or options.check
    if options.fifo and options.spin:
        parser.error("what spins at a priority leaves nothing to the others: --fifo or --spin")
    if options.check and options.only and not {"kalman", "redis C 1"} <= set(options.only.split(",")):
        parser.error('--check needs kalman and "redis C 1" among --only')
    if options.fifo:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))  # and all that it starts
        except PermissionError:
            print(f"compare.py: {'--check' if options.check else '--fifo'} needs the privilege of a real-time priority "
                  "(root, CAP_SYS_NICE or ulimit -r)", file=sys.stderr)
            sys.exit(77 if options.check else 1)
    stage = Stage(options)
    try:
        step = decode_step(options)
        peers = raise_peers(stage)
        blocks = rounds_of(peers, options)
        table, stages = summarise(blocks, options), ask_trajd(stage)
        for name, row in table.items():
            row["late_us"] = statistics.median(peers[name].late) if peers[name].late else None
        others = ask_trajd(stage, other_trajd(options).replace(" ", "-"))
        twin = float(subprocess.check_output([PYTHON, os.path.join(HERE, "zmq_peer.py"), "time",
                                              stage.model, "1000"], text=True,
                                             env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}))
    finally:
        stage.close()
    show(table, stages, others, twin, step, options)
    if options.markdown:
        markdown(table)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "options": vars(options), "peers": table, "stages_us": stages,
                       "other_stages_us": others, "twin_step_us": twin, "decode_step_us": step}, file, indent=1)
    sys.exit(1 if options.check and not all(holds for *_, holds in promises(table, step)) else 0)


if __name__ == "__main__":
    main()
