#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A closed loop with the real daemon: as fast as it goes and in real time it gives the same numbers and
# the same session; its user gets the cursor to targets; rivals run behind the same sockets; the recording
# of a run teaches, by what was intended, a model that steers.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
cat >"$work/s.json" <<'END'
{"name": "small", "population": {"units": 24, "depth": 0.8, "rate_hz": 25},
 "task": {"targets": 4, "radius_mm": 25, "hold_s": 0.2},
 "calibration": {"seconds": 60, "second_s": 30},
 "run": {"seconds": 24, "practice_s": 8, "watch_s": 6}}
END
rig() {
    "$TRAJCTL" rig --trajd "$TRAJD" --scenario "$work/s.json" --seeds 7 --json --quiet "$@"
}
mkdir "$work/fast" "$work/slow"
rig --family stm --asap --keep "$work/fast" >"$work/fast.json"
rig --model "$work/fast/seed7-model.tjm" --keep "$work/slow" >"$work/slow.json"
cmp "$work/fast.json" "$work/slow.json" || fail "real time and --asap differ"
cmp "$work/fast/seed7-trajd.h5" "$work/slow/seed7-trajd.h5" || fail "the sessions differ"
rig --asap --decoders kalman,refit,wiener >"$work/rivals.json"
"$TRAJ_PYTHON" - "$work/fast.json" "$work/rivals.json" <<'END'
import json, sys
for path in sys.argv[1:]:
    for decoder in json.load(open(path))["decoders"]:
        print(decoder["decoder"], {key: decoder[key]["value"] for key in ("trials", "success")})
        assert decoder["trials"]["value"] >= 2 and decoder["success"]["value"] > 0
END
echo "{\"record\": {\"directory\": \"$work/rec\"}}" >"$work/c.json"
rig --model "$work/fast/seed7-model.tjm" --asap --for-recording --config "$work/c.json" >/dev/null
"$TRAJCTL" train --intention "$work"/rec/*.0001.rec --family stm --out "$work/again.tjm" 2>"$work/said"
grep "samples turned to the target" "$work/said" || fail "nothing was relabelled: $(cat "$work/said")"
rig --model "$work/again.tjm" --asap >"$work/again.json"
"$TRAJ_PYTHON" - "$work/again.json" <<'END'
import json, sys
decoder = json.load(open(sys.argv[1]))["decoders"][0]
print("by intention", {key: decoder[key]["value"] for key in ("trials", "success")})
assert decoder["trials"]["value"] >= 2 and decoder["success"]["value"] > 0
END
# Several at a time give the same, a second calibration is learned from, and nothing is left behind by
# experiments that are killed or interrupted.
sed 's/"second_s": 30/"second_s": 30, "second_trajd": true/' "$work/s.json" >"$work/two.json"
mkdir "$work/two"
two() {
    "$TRAJCTL" rig --trajd "$TRAJD" --scenario "$work/two.json" --seeds 7,8 --json --quiet --asap --family stm "$@"
}
two --jobs 1 >"$work/one.json"
two --jobs 2 --keep "$work/two" >"$work/both.json"
cmp "$work/one.json" "$work/both.json" || fail "two at a time differ from one after the other"
for kept in calibration.h5 first-model.tjm trajd-second.h5 model.tjm trajd.h5; do
    [ -s "$work/two/seed8-$kept" ] || fail "seed8-$kept was not kept"
done
cmp -s "$work/two/seed7-first-model.tjm" "$work/two/seed7-model.tjm" && fail "nothing came of the second calibration"
cmp -s "$work/fast/seed7-model.tjm" "$work/two/seed7-first-model.tjm" || fail "the first calibration is another one"
two --model "$work/fast/seed7-model.tjm" 2>"$work/said" && fail "a model and a second calibration"
grep -q "second_trajd" "$work/said" || fail "said: $(cat "$work/said")"
"$TRAJ_PYTHON" - "$TRAJCTL" "$TRAJD" "$work" <<'END'
import os, signal, subprocess, sys, time
trajctl, trajd, work = sys.argv[1:]
def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
def until(what):
    give_up = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.02)
for sent in (signal.SIGKILL, signal.SIGINT):
    rig = subprocess.Popen([trajctl, "rig", "--trajd", trajd, "--scenario", f"{work}/s.json", "--seeds", "7,8", "--jobs",
                            "2", "--model", f"{work}/fast/seed7-model.tjm", "--quiet"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    until(lambda: len([d for c in children(rig.pid) for d in children(c)]) == 2)
    daemons = [d for c in children(rig.pid) for d in children(c)]
    # A child that dies hard, or all of it interrupted.
    os.kill(children(rig.pid)[0] if sent == signal.SIGKILL else rig.pid, sent)
    said = rig.communicate(timeout=60)[1]
    print(sent.name, said.strip())
    assert rig.returncode == 1 and ("Killed" if sent == signal.SIGKILL else "interrupted") in said, said
    until(lambda: not any(map(running, daemons)))
END
echo "$(wc -c <"$work/fast/seed7-trajd.h5") bytes of session, the same in real time"
