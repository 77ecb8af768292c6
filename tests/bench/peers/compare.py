# SPDX-License-Identifier: GPL-3.0-or-later
"""trajd beside what users run today: planned time of sending to receipt of the answer, the same frames on the
same schedule, blocks of one and the other in turn so that whatever else the machine does meets all alike.

    compare.py [--channels N] [--targets N] [--bin-ms X] [--frames N] [--rounds N] [--tcp] [--spin]
               [--fifo] [--only NAME,NAME] [--json FILE]

With --fifo everything runs at a SCHED_FIFO priority, so that what else the machine does is kept out (needs
the privilege).  --spin adds a trajd that does not sleep while it waits.

    echo       a bare C ZeroMQ echo: no decoding, the floor
    trajd      the whole posterior, JSON; with --fifo configured with the priority, and therefore awake when a
               frame is due
    trajd expect, trajd block   the same with the other "receive": expect without --fifo, block with it
    kalman     pyzmq and numpy: steady-state Kalman filter
    courses    pyzmq and numpy: trajd's own filter, vectorised, without its slow gains
    redis C 1  Redis streams over a unix socket, a Kalman node in C;  redis C 4: three more nodes before it
    redis py   the same with nodes in Python

Times are printed, never judged.  Environment: TRAJD, TRAJCTL, TRAJ_PEERS (folder of the compiled peers)."""
import argparse
import json
import os
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
        self.stage, self.samples, self.busy = stage, stage.path(key + ".us"), busy
        self.frames, self.intents = stage.endpoint(key + "-f"), stage.endpoint(key + "-i")
        self.process = stage.start(*[{"FRAMES": self.frames, "INTENTS": self.intents}.get(c, c) for c in command])

    def block(self, frames):
        if self.busy:
            self.process.send_signal(signal.SIGCONT)
        subprocess.run([os.environ["TRAJCTL"], "bench", "--quiet", "--json", *self.stage.sizes,
                        "--source", self.frames, "--intents", self.intents, "--frames", str(frames),
                        "--samples", self.samples], check=True, stdout=subprocess.DEVNULL)
        if self.busy:
            # One that never sleeps must not take a processor from the others.
            self.process.send_signal(signal.SIGSTOP)
        return read_samples(self.samples)


class OverRedis:
    """So many nodes behind one another; the last decodes."""

    def __init__(self, stage, key, node, hops):
        self.stage, self.key, self.samples = stage, key, stage.path(key + ".us")
        self.hops = hops
        for hop in range(hops):
            stage.start(*node, stage.path("redis"), f"{key}{hop}", f"{key}{hop + 1}",
                        stage.options.channels, *(["pass"] if hop + 1 < hops else []))

    def block(self, frames):
        subprocess.run([os.path.join(os.environ["TRAJ_PEERS"], "redis_load"), self.stage.path("redis"),
                        self.key + "0", f"{self.key}{self.hops}", str(self.stage.options.channels),
                        str(self.stage.options.bin_ms), str(frames), str(WARMUP), self.samples],
                       check=True)
        return read_samples(self.samples)


def read_samples(path):
    with open(path) as file:
        return [None if line == "lost\n" else float(line) for line in file]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[max(0, -(-int(q * 1e6) * len(ordered) // 10**6) - 1)]


def other_trajd(options):
    """The one that waits as trajd by itself would not."""
    return "trajd block" if options.fifo else "trajd expect"


def raise_peers(stage):
    """name -> peer, everything started."""
    built, sizes = os.environ["TRAJ_PEERS"], stage.options
    subprocess.run([os.environ["TRAJCTL"], "bench", *stage.sizes, "--write-model", stage.model],
                   check=True)
    stage.start("redis-server", "--port", 0, "--unixsocket", stage.path("redis"), "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--dir", stage.folder)
    stage.wait_for(stage.path("redis"))
    zmq_peer, node = os.path.join(HERE, "zmq_peer.py"), os.path.join(HERE, "redis_node.py")
    peers = {"echo": OverZmq(stage, "echo", [os.path.join(built, "echo"), "FRAMES", "INTENTS"])}
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
    return peers


def rounds_of(peers, options):
    """name -> one list of latencies, us (None = lost), a round."""
    names = list(peers)
    if options.only:
        always = ["echo", "trajd", other_trajd(options)]
        names = always + [n for n in options.only.split(",") if n in names and n not in always]
    blocks = {name: [] for name in names}
    for turn in range(options.rounds):
        # Another one begins each time.
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            blocks[name].append(peers[name].block(options.frames))
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return blocks


def summarise(blocks):
    """Pooled quantiles, and what is paired round by round: excess over the echo and ratio to trajd."""
    table = {}
    for name, rounds in blocks.items():
        came = [[us for us in block if us is not None] for block in rounds]
        pooled = [us for block in came for us in block]
        row = {"frames": sum(len(block) for block in rounds),
               "lost": sum(block.count(None) for block in rounds)}
        for q, key in ((0.5, "p50"), (0.99, "p99"), (0.999, "p999"), (1, "max")):
            row[key + "_us"] = quantile(pooled, q) if pooled else None
        row["rounds"] = {key: [quantile(block, q) if block else None for block in came]
                         for q, key in ((0.5, "p50"), (0.99, "p99"))}
        table[name] = row
    for row in table.values():
        for key in ("p50", "p99"):
            def paired(other, combine):
                both = zip(row["rounds"][key], table[other]["rounds"][key])
                values = [combine(a, b) for a, b in both if a is not None and b is not None]
                return statistics.median(values) if values else None
            row[f"excess_{key}_us"] = paired("echo", lambda a, b: a - b)
            row[f"ratio_{key}"] = paired("trajd", lambda a, b: a / b)
    return table


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


def show(table, stages, others, twin, options):
    print(f"{machine()}\n{options.channels} units, {options.targets} targets, bins of {options.bin_ms} ms, "
          f"{'tcp' if options.tcp else 'ipc'}, {options.rounds} rounds of {options.frames} frames in turn"
          f"{', all at SCHED_FIFO' if options.fifo else ''}")
    print(f"{'':12}{'p50 us':>9}{'p99':>9}{'99.9 %':>9}{'max':>10}{'lost':>6}"
          f"{'over echo':>11}{'p99':>9}{'to trajd':>10}{'p99':>7}")
    for name, row in table.items():
        print(f"{name:12}{row['p50_us']:9.1f}{row['p99_us']:9.1f}{row['p999_us']:9.1f}{row['max_us']:10.1f}"
              f"{row['lost']:6}{row['excess_p50_us']:11.1f}{row['excess_p99_us']:9.1f}"
              f"{row['ratio_p50']:10.2f}{row['ratio_p99']:7.2f}")
    print("(over echo, to trajd: medians over rounds of the difference to the echo's quantile in the same "
          "round, and of the ratio to trajd's)")
    say_stages("trajd", stages)
    say_stages(other_trajd(options), others)
    print(f"numpy twin's step, median: {twin:.1f} us, {twin / stages['decode']['p50']:.2f} times trajd's "
          "(which also integrates the slow gains)")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--bin-ms", type=float, default=5)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--only", help="these alone, beside echo and trajd")
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    why_not = missing()
    if why_not:
        print(why_not + ": sh clients/install-packages.sh bench")
        sys.exit(77)
    if options.fifo and options.spin:
        parser.error("what spins at a priority leaves nothing to the others: --fifo or --spin")
    if options.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))  # and all that it starts
    stage = Stage(options)
    try:
        blocks = rounds_of(raise_peers(stage), options)
        table, stages = summarise(blocks), ask_trajd(stage)
        others = ask_trajd(stage, other_trajd(options).replace(" ", "-"))
        twin = float(subprocess.check_output([PYTHON, os.path.join(HERE, "zmq_peer.py"), "time",
                                              stage.model, "1000"], text=True,
                                             env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}))
    finally:
        stage.close()
    show(table, stages, others, twin, options)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "options": vars(options), "peers": table, "stages_us": stages,
                       "other_stages_us": others, "twin_step_us": twin}, file, indent=1)


if __name__ == "__main__":
    main()
