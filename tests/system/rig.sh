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
echo "$(wc -c <"$work/fast/seed7-trajd.h5") bytes of session, the same in real time"
