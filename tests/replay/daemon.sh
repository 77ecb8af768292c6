#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What trajd publishes for a replayed session is what `trajctl decode` writes, byte for byte apart
# from the stamps, and nothing is missing:
#
#     daemon.sh simulated       a synthetic delay task
#     daemon.sh NAME.h5         a recording in $TRAJ_SHARED_DATA, trained on and replayed whole
#
# TRAJ_REPLAY_SPEED_FRAMES limits the run in real time (--speed 5); 0 = the whole session.  TRAJ_TRAINER
# is the trajctl that trains, for a faster one than the one under test.
set -eu
limit=${TRAJ_REPLAY_SPEED_FRAMES:-1000}
work=$(mktemp -d "${TMPDIR:-/tmp}/trajd.XXXXXX")
trajd_pid=
intents_pid=

clean_up() {
    status=$?
    trap - EXIT
    for pid in $intents_pid $trajd_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

if [ "$1" = simulated ]; then
    session=$work/session.h5
    "$TRAJCTL" simulate --out "$session" --seed 5 --targets 4 --units 24 --trials-per-target 6
else
    session=$TRAJ_SHARED_DATA/$1
    if [ ! -r "$session" ]; then
        echo "$session is not there: nothing to replay"
        exit 77
    fi
fi

strip() {
    sed 's/,"stamps":{[^}]*}}$/}/' "$1"
}

# Waits until file $1 holds the word $2; process $3 is to live meanwhile.
wait_for_word() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        if ! kill -0 "$3" 2>/dev/null || [ "$tries" -gt 300 ]; then
            cat "$1" "$work/trajd.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# run NAME EXPECTED FRAMES REPLAY-OPTIONS...: a fresh daemon is fed; what comes back is compared.
run() {
    name=$1
    expected=$2
    frames=$3
    shift 3
    rm -f "$work"/*.socket "$work/intents.log"
    "$TRAJD" --model "$work/model.tjm" --frames "@ipc://$work/frames.socket" \
        --intents "@ipc://$work/intents.socket" --control "@ipc://$work/control.socket" \
        >"$work/trajd.log" 2>&1 &
    trajd_pid=$!
    "$TRAJCTL" intents --intents "ipc://$work/intents.socket" --out "$work/received" \
        --count "$frames" --idle 60 2>"$work/intents.log" &
    intents_pid=$!
    wait_for_word "$work/intents.log" subscribed "$trajd_pid"
    "$TRAJCTL" replay --quiet --session "$session" --frames "ipc://$work/frames.socket" "$@"
    if ! wait "$intents_pid"; then
        echo "$name: intents were lost" >&2
        cat "$work/intents.log" "$work/trajd.log" >&2
        exit 1
    fi
    intents_pid=
    "$TRAJCTL" status --control "ipc://$work/control.socket" >"$work/status"
    "$TRAJCTL" shutdown --control "ipc://$work/control.socket" >/dev/null
    wait "$trajd_pid"
    trajd_pid=
    strip "$work/received" >"$work/$name"
    head -n "$frames" "$expected" >"$work/expected"
    if ! cmp "$work/expected" "$work/$name"; then
        diff "$work/expected" "$work/$name" | head -n 4 | cut -c 1-600 >&2
        cat "$work/status" >&2
        exit 1
    fi
    echo "$name: $frames intents, the bytes of decode"
}

"${TRAJ_TRAINER:-$TRAJCTL}" train --quiet --session "$session" --out "$work/model.tjm"
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$session" --out "$work/decoded"
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$session" --out - --no-trials \
    >"$work/decoded-no-trials"
strip "$work/decoded" >"$work/plain"
strip "$work/decoded-no-trials" >"$work/plain-no-trials"
frames=$(wc -l <"$work/plain")
if [ "$limit" -eq 0 ] || [ "$limit" -gt "$frames" ]; then
    limit=$frames
fi

run asap "$work/plain" "$frames" --asap
run asap-again "$work/plain" "$frames" --asap
run json "$work/plain" "$frames" --asap --json
run one-in-twenty-twice "$work/plain" "$frames" --asap --duplicate 0.05 --seed 3
grep -q ' 0 duplicate' "$work/status" && {
    echo "no frame was sent twice" >&2
    exit 1
}
run every-second-twice "$work/plain" "$frames" --asap --duplicate 0.5 --seed 4
run no-trials "$work/plain-no-trials" "$frames" --asap --no-trials
if cmp -s "$work/plain" "$work/plain-no-trials"; then
    echo "trial marks change nothing: the comparison above shows little" >&2
    exit 1
fi
run speed-5 "$work/plain" "$limit" --speed 5 --limit "$limit"
