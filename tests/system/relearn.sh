#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What was replayed and recorded is a session again, and teaches the same model:
#
#     relearn.sh simulated [FAMILY]
#     relearn.sh NAME.h5 [FAMILY]       a recording in $TRAJ_SHARED_DATA
#
# A daemon with any model will do to record by: one whose model fits, and one that refuses every frame.
set -eu
family=${2:-auto}
work=$(mktemp -d "${TMPDIR:-/tmp}/trajd.XXXXXX")
trajd_pid=

clean_up() {
    status=$?
    trap - EXIT
    [ -z "$trajd_pid" ] || kill "$trajd_pid" 2>/dev/null || true
    [ -z "$trajd_pid" ] || wait "$trajd_pid" 2>/dev/null || true
    [ "$status" -eq 0 ] || cat "$work/trajd.log" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

if [ "$1" = simulated ]; then
    session=$work/session.h5
    "$TRAJCTL" simulate --out "$session" --seed 11 --targets 4 --units 16 --trials-per-target 8
else
    session=$TRAJ_SHARED_DATA/$1
    if [ ! -r "$session" ]; then
        echo "$session is not there: nothing to record"
        exit 77
    fi
fi

digest_of() {
    "$TRAJCTL" model show "$1" | sed -n 's/^digest *//p'
}

# record NAME MODEL REPLAY-OPTIONS...: replays the session to a daemon that records it.
record() {
    name=$1
    model=$2
    shift 2
    echo "{\"stale_ms\":0,\"record\":{\"directory\":\"$work/$name\",\"buffer_mb\":256}}" >"$work/config"
    "$TRAJD" --model "$model" --config "$work/config" --frames "@ipc://$work/f" --intents "@ipc://$work/i" \
        --control "@ipc://$work/c" >"$work/trajd.log" 2>&1 &
    trajd_pid=$!
    "$TRAJCTL" replay --quiet --asap --session "$session" --frames "ipc://$work/f" "$@"
    # The daemon ends after it has worked off what waits: the status request is answered behind it.
    last=
    now=$("$TRAJCTL" status --control "ipc://$work/c" | grep '^events')
    while [ "$last" != "$now" ]; do
        last=$now
        sleep 0.3
        now=$("$TRAJCTL" status --control "ipc://$work/c" | grep '^events')
    done
    "$TRAJCTL" shutdown --control "ipc://$work/c" >/dev/null
    wait "$trajd_pid"
    trajd_pid=
    "$TRAJCTL" convert recording "$work/$name"/*.0001.rec --out "$work/$name.h5"
}

"$TRAJCTL" train --quiet --session "$session" --out "$work/model.tjm" --family "$family"
expected=$(digest_of "$work/model.tjm")

record fits "$work/model.tjm"
"$TRAJCTL" record verify "$work"/fits/*.0001.rec
"$TRAJCTL" train --quiet --session "$work/fits.h5" --out "$work/again.tjm" --family "$family"
got=$(digest_of "$work/again.tjm")
if [ "$expected" != "$got" ]; then
    echo "the model of the session is $expected, that of its recording $got"
    exit 1
fi
echo "the recording of the session teaches the same model, $expected"

# A model of other units: every frame is refused, and recorded all the same.
"$MAKE_MODEL" "$work/other.tjm" 3 4 1
record refused "$work/other.tjm" --json
cmp "$work/fits.h5" "$work/refused.h5"
"$TRAJCTL" record show "$work"/refused/*.0001.rec --kind frame | head -n 1 | grep -q '"cause":"units"'
echo "so does that of a daemon that could not decode it"

# Without labels and without marks it is a session all the same, of which less is known.
record bare "$work/model.tjm" --no-labels
if "$TRAJCTL" train --quiet --session "$work/bare.h5" --out "$work/bare.tjm" 2>"$work/said"; then
    echo "a session without kinematics taught a model"
    exit 1
fi
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$session" --out "$work/a"
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$work/bare.h5" --out "$work/b"
cmp "$work/a" "$work/b"
echo "and without kinematics and labels it decodes as before"
