#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what the comparison with other systems needs, builds optimised, and measures trajd beside
# them, interleaved (see peers/compare.py, to which all arguments go):
#
#     sh tests/bench/run.sh                    256 units, 8 targets, 5-ms bins, ipc://; ten minutes
#     sh tests/bench/run.sh --rounds 2         a glance
#     sh tests/bench/run.sh --channels 96 --tcp
set -eu
cd "$(dirname "$0")/../.."
sh clients/install-packages.sh bench
cmake --preset bench >/dev/null
cmake --build --preset bench --target trajd trajctl bench_course bench_peers
build=$PWD/build/bench
TRAJD=$build/daemon/trajd
TRAJCTL=$build/clients/trajctl/trajctl
TRAJ_PEERS=$build/tests/bench/peers
export TRAJD TRAJCTL TRAJ_PEERS
# The distribution's Python, for which the packages are.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" tests/bench/machine.py
echo "The decode step alone:"
"$build/tests/bench/bench_course"
exec "$python" tests/bench/peers/compare.py "$@"
