#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what the comparison with other systems needs, builds optimised, and measures trajd beside
# them, interleaved (see peers/compare.py, to which all arguments go):
#
#     sh tests/bench/run.sh                    256 units, 8 targets, 5-ms bins, ipc://; ten minutes
#     sh tests/bench/run.sh --rounds 2         a glance
#     sh tests/bench/run.sh --channels 96 --tcp
#     sh tests/bench/run.sh --check            exit status 1 where a promise does not hold
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
echo "The decode step alone:"
"$build/tests/bench/bench_course"
[ -n "$readme" ] || exec "$python" tests/bench/peers/compare.py "$@"

rounds=20 pairs=20 seconds=5 drawn=20
[ -z "$short" ] || rounds=1 pairs=1 seconds=1 drawn=3
failed=
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
