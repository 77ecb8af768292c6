#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The same model and session give the same bytes from every build: builds.sh BUILD BUILD...
# (gcc -O3, gcc -O0, clang -O2, and the one under test).  The first one simulates and trains; each
# then decodes.  Stamps, which depend on the clock, are left out of the comparison.
set -eu
for build in "$@"; do
    if [ ! -f "$build/CMakeCache.txt" ]; then
        echo "$build is not there (sh tests/run.sh makes it): the bytes were not compared"
        exit 77
    fi
    cmake --build "$build" --target trajctl >/dev/null
done
trajctl=clients/trajctl/trajctl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compare SESSION BUILD...: trains on the session, decodes it with every build, compares.
compare()
{
    session=$1
    shift
    "$1/$trajctl" train --quiet --session "$session" --out "$work/model.tjm"
    number=0
    for build in "$@"; do
        number=$((number + 1))
        "$build/$trajctl" decode --quiet --model "$work/model.tjm" --session "$session" --out "$work/intents"
        sed 's/,"stamps":{[^}]*}//' "$work/intents" >"$work/$number"
        [ -s "$work/$number" ]
        cmp "$work/1" "$work/$number"
    done
    echo "$session: $(wc -l <"$work/1") intents of $number builds have the same bytes"
}

"$1/$trajctl" simulate --out "$work/delay.h5" --seed 11 --targets 4 --units 24 --trials-per-target 6
compare "$work/delay.h5" "$@"
for session in "${TRAJ_SHARED_DATA:-}"/*.h5; do
    if [ -f "$session" ]; then
        compare "$session" "$@"
    fi
done
