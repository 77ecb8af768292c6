#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs the Debian packages that trajd needs and that are missing:
#
#     sh clients/install-packages.sh build    to build and run
#     sh clients/install-packages.sh test     also to run every test
#     sh clients/install-packages.sh bench    instead to measure it beside other systems
#
# Debian 12 is the reference; later releases of Debian and Ubuntu use the same names but for the
# version in libclang-rt.
set -eu

build="build-essential cmake ninja-build pkg-config libzmq3-dev libgsl-dev libjansson-dev libhdf5-dev
    libhiredis-dev libwebsockets-dev libjs-dygraphs libzip-dev libmatio-dev"
test="git zsh libcmocka-dev clang clang-format clang-tidy libclang-rt-14-dev valgrind python3
    python3-numpy python3-h5py python3-jsonschema python3-scipy python3-zmq redis-server"
# Without these, tests say that they skip: pages in a browser, packages against Debian's policy.
# Not every release has them.
browser="chromium-headless-shell"
also="$browser lintian man-db"
bench="git libcmocka-dev python3 python3-numpy python3-zmq python3-redis redis-server valgrind"

case ${1:-} in
build) wanted=$build ;;
test) wanted="$build $test $also" ;;
bench) wanted="$build $bench $browser" ;;
*)
    echo "usage: sh $0 build|test|bench" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not a Debian system. Install what corresponds to: $wanted" >&2
    exit 1
fi

missing=
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "These packages are missing, and installing them needs root or sudo:$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "Installing$missing"
# An index may be older than the archive (then a package is not found), so it is brought up to date.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
for package in $also; do
    if ! apt-cache show "$package" >/dev/null 2>&1; then
        missing=$(printf ' %s ' "$missing" | sed "s/ $package / /")
    fi
done
[ -n "$(echo $missing)" ] || exit 0
# shellcheck disable=SC2086 (a list of names)
if ! $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qy -o Dpkg::Use-Pty=0 install --no-install-recommends $missing; then
    echo "apt-get could not install:$missing" >&2
    exit 1
fi
