#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what the comparison with other systems needs, builds optimised, and measures trajd beside
# them, interleaved (see peers/compare.py, to which all arguments go):
#
#     sh tests/bench/run.sh                    256 units, 8 targets, 5-ms bins, ipc://; twenty minutes
#     sh tests/bench/run.sh --rounds 2         a glance
#     sh tests/bench/run.sh --channels 96 --tcp
#     sh tests/bench/run.sh --check            at a real-time priority; exit status 1 where a promise does not hold,
#                                              77 without the privilege
#
# Every figure of README's on speed, with the machine's description, at a real-time priority (which
# needs the privilege), and nothing else running for half an hour:
#
#     sh tests/bench/run.sh --readme
#     sh tests/bench/run.sh --readme --short   whether all of it works; these are no figures
set -eu
cd "$(dirname "$0")/../.."
readme= short=
if [ "${1:-}" = --readme ]; then
    readme=yes
    shift
    if [ "${1:-}" = --short ]; then
        short=yes
        shift
    fi
fi
sh clients/install-packages.sh bench
cmake --preset bench >/dev/null
cmake --build --preset bench --target trajd trajctl make_model bench_course bench_peers
build=$PWD/build/bench
TRAJD=$build/daemon/trajd
TRAJCTL=$build/clients/trajctl/trajctl
MAKE_MODEL=$build/tests/system/make_model
TRAJ_PEERS=$build/tests/bench/peers
TRAJ_SOURCE_DIR=$PWD
TRAJ_BUILD_DIR=$build
export TRAJD TRAJCTL MAKE_MODEL TRAJ_PEERS TRAJ_SOURCE_DIR TRAJ_BUILD_DIR
# The distribution's Python, for which the packages are.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" tests/bench/machine.py

# Models of both kinds that train makes: by rule as of trials that were cut out, and one of an unbroken recording,
# trained in a minute, which bench_course also widens to 1024 units and 32 targets.
session=$build/tests/bench/unbroken.h5 model=$build/tests/bench/unbroken.tjm
[ -n "$(find "$model" -newer "$TRAJCTL" 2>/dev/null)" ] || {
    echo "A model of an unbroken recording is trained:"
    "$TRAJCTL" simulate --units 96 --targets 8 --trials-per-target 20 --out "$session"
    "$TRAJCTL" train --family course --quiet --session "$session" --out "$model"
}
# As trajd runs where its figures are promised, if that is granted.
first=
if chrt -f 10 true 2>/dev/null; then
    first="chrt -f 10"
fi
# The decode step alone; with --check nothing but what is promised of it.
step()
{
    if [ -n "$first" ]; then
        echo "The decode step alone, at a real-time priority:"
    else
        echo "The decode step alone, at an ordinary priority, for another is not granted:"
    fi
    if [ "${1:-}" = --check ]; then
        $first "$build/tests/bench/bench_course" --check "$model"
    else
        $first "$build/tests/bench/bench_course" && $first "$build/tests/bench/bench_course" "$model" 2000
    fi
}
checked=
for word in "$@"; do
    [ "$word" != --check ] || checked=--check
done
held=0
step $checked || held=1
if [ -z "$readme" ]; then
    status=0
    "$python" tests/bench/peers/compare.py "$@" || status=$?
    [ "$status" -ne 0 ] || status=$held
    exit "$status"
fi

rounds=60 pairs=20 seconds=5 drawn=20
[ -z "$short" ] || rounds=1 pairs=1 seconds=1 drawn=3
failed=
[ "$held" -eq 0 ] || failed=" bench_course"
# part NAME COMMAND...: the others are printed where one cannot be.
part()
{
    echo "== $1"
    shift
    "$@" || failed="$failed $(basename "$2")"
}
part "Instructions by size" "$python" tests/bench/linear.py "$build/tests/bench/bench_course" valgrind
part "Beside other systems" "$python" tests/bench/peers/compare.py --fifo --rounds "$rounds" \
    --only "kalman,redis C 1" --markdown "$@"
part "What it costs to be watched" "$python" tests/bench/watched.py --fifo --pairs "$pairs" \
    --seconds "$seconds"
part "The dashboard's pictures" "$python" tests/bench/pictures.py --fifo --seconds "$drawn"
[ -z "$failed" ] || {
    echo "not measured:$failed" >&2
    exit 1
}
