#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The commands that speak to a running trajd, and the monitor on a terminal:
#
#     live.sh GOLDEN-PROGRAM      (tests/replay/golden.c: it makes a tiny model and session)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/trajd.XXXXXX")
trajd_pid=

clean_up() {
    status=$?
    trap - EXIT
    [ -z "$trajd_pid" ] || kill "$trajd_pid" 2>/dev/null || true
    [ -z "$trajd_pid" ] || wait "$trajd_pid" 2>/dev/null || true
    [ "$status" -eq 0 ] || cat "$work/trajd.log"
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

"$1" "$work"
"$TRAJD" --model "$work/model.tjm" --frames "@ipc://$work/f" --intents "@ipc://$work/i" \
    --control "@ipc://$work/c" >"$work/trajd.log" 2>&1 &
trajd_pid=$!

control() {
    "$TRAJCTL" "$@" --control "ipc://$work/c"
}

# has FIELD VALUE: looks into what `status --json` says, FIELD as in events.accepted.go
has() {
    control status --json >"$work/status"
    "$TRAJ_PYTHON" - "$work/status" "$1" "$2" <<'END'
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[key]
if json.dumps(value) != sys.argv[3]:
    sys.exit(f"{sys.argv[2]} is {json.dumps(value)}, not {sys.argv[3]}")
END
}

refused() {
    if control "$@" >"$work/said" 2>&1; then
        echo "not refused: $*"
        exit 1
    fi
    grep -q . "$work/said"
}

has frames.decoded 0
control trial start
control trial go
control trial stop
control prior set 3 1
control event '{"type":"gaze","position":[60,0],"cov":[100,0,0,100]}'
"$TRAJCTL" replay --quiet --asap --session "$work/session.h5" --frames "ipc://$work/f" --no-trials \
    --no-labels
tries=0
until has frames.decoded 120 2>/dev/null || [ "$tries" -gt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
has frames.decoded 120
has frames.received 120
for event in trial_start go trial_stop target_prior gaze session; do
    has "events.accepted.$event" 1
done
refused prior set 1 1 1
refused event '{"type":"gaze","position":[60]}'
refused event '{"type":"nothing"}'

has paused false
control pause on
has paused true
control pause off
has paused false
resets=$(sed -n 's/.*"resets": \([0-9]*\).*/\1/p' "$work/status")
control reset
has frames.resets $((resets + 1))

digest=$(sed -n 's/.*"digest": "\([0-9a-f]*\)".*/\1/p' "$work/status" | head -n 1)
control model show | grep -q "$digest"
"$TRAJCTL" model show "$work/model.tjm" | grep -q right
refused model load "$work/trajd.log"
refused model load "$work/none.tjm"
refused model rollback
has model.digest "\"$digest\""
(cd "$work" && control model load model.tjm) | grep -q "$digest"
control model rollback | grep -q "$digest"

"$TRAJ_PYTHON" "$here/monitor.py" "$work"

control shutdown
wait "$trajd_pid"
trajd_pid=
refused status
echo "trajd did what it was asked, and ended"
