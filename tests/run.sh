#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs what the tests need, builds, and runs all of them:
#
#     sh tests/run.sh                   every stage below
#     sh tests/run.sh CTEST-ARGUMENTS   the preset dev alone, with these (for example -L unit)
#
# Stages, each ending the run if it fails; jobs at once: TRAJ_JOBS (default: the processors)
#     build    dev (gcc, sanitizers), release (gcc -O3), plain (gcc -O0), clang (-O2), tsan;
#              a warning is an error
#     tsan     the tests labelled `threads` under ThreadSanitizer
#     release  the tests labelled `interposed`, which watch allocations, `counted`, which count
#              instructions, `accuracy`, which learn for long, `package`, which make the Debian
#              packages, and `promises`, whether the tests that pages name are there
#     dev      every other test, among them lint, tidy, replay, and the bytes of all builds compared
set -eu
cd "$(dirname "$0")/.."
jobs=${TRAJ_JOBS:-$(nproc)}

sh clients/install-packages.sh test

# build PRESET [TARGET | -DOPTION=VALUE]: says nothing but its name unless it fails.
build()
{
    echo "== build: $1"
    case ${2:-} in
    -D*) option=$2 target= ;;
    ?*) option= target="--target $2" ;;
    *) option= target= ;;
    esac
    {
        cmake --preset "$1" -DTRAJ_WERROR=ON -DTRAJ_TESTS=ON $option &&
            cmake --build --preset "$1" --parallel "$jobs" $target
    } >"build/$1.log" 2>&1 || {
        cat "build/$1.log"
        exit 1
    }
}

mkdir -p build
build dev
if [ $# -eq 0 ]; then
    # For /usr, because packages are made from it.
    build release -DCMAKE_INSTALL_PREFIX=/usr
    build plain trajctl
    build clang
    build tsan
    # Recordings are trained on by the optimised build: under sanitizers it takes ten times as long.
    export TRAJ_TRAINER="$PWD/build/release/clients/trajctl/trajctl"
    echo "== test: tsan"
    ctest --preset tsan --parallel "$jobs" </dev/null
    echo "== test: release, what sanitizers leave no room or time for"
    ctest --preset release --parallel "$jobs" -L 'interposed|counted|accuracy|package|promises' </dev/null
fi
echo "== test: dev"
exec ctest --preset dev --parallel "$jobs" "$@" </dev/null
