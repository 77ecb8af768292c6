#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Builds optimised and runs trajd for hours at full rate with faults on; says at the end what held
# (see soak.py, to which all arguments go):
#
#     sh tests/soak/run.sh 2                   two hours
#     sh tests/soak/run.sh 0.05 --rate 1000    three minutes, a frame each millisecond
#
# Exit status 1 if a promise did not hold, or if more than 1 % of the turns (--late-max) had to be left
# out, because the machine did not keep up with the rate.
set -eu
cd "$(dirname "$0")/../.."
sh clients/install-packages.sh test
cmake --preset bench >/dev/null
cmake --build --preset bench --target trajd trajctl make_model
build=$PWD/build/bench
TRAJD=$build/daemon/trajd
TRAJCTL=$build/clients/trajctl/trajctl
MAKE_MODEL=$build/tests/system/make_model
TRAJ_SOURCE_DIR=$PWD
export TRAJD TRAJCTL MAKE_MODEL TRAJ_SOURCE_DIR
# The distribution's Python, for which the packages are.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" tests/soak/soak.py "$@"
