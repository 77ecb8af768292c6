#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# From nothing to decoded intent:
#
#     sh clients/quickstart.sh [SESSION.h5]
#
# installs what is missing (Debian; root or sudo), builds trajd and trajctl into build/release, makes a
# synthetic session unless one is given, trains on its first three quarters, starts trajd, replays the
# rest over ZeroMQ faster than real time, and scores the intents that came back against the
# recorded movement, beside a Kalman and a Wiener filter on the same bins.  It leaves nothing
# running and nothing behind but the build.
#
# TRAJ_BUILD names a finished build to use instead of making one.
set -eu

case ${1:-} in
-h | --help)
    sed -n '3,15s/^#//p' "$0" | sed 's/^ //'
    exit 0
    ;;
esac
if [ $# -gt 1 ]; then
    echo "usage: sh $0 [SESSION.h5]" >&2
    exit 2
fi
given=${1:-}
if [ -n "$given" ] && [ ! -r "$given" ]; then
    echo "quickstart: $given cannot be read" >&2
    exit 1
fi

top=$(cd "$(dirname "$0")/.." && pwd)
build=${TRAJ_BUILD:-$top/build/release}
work=
trajd_pid=
intents_pid=

step() {
    printf '\n== %s\n' "$*"
}

# Ends what was started here, by its process id, and removes the temporary directory.
clean_up() {
    status=$?
    trap - EXIT INT TERM HUP
    for pid in $intents_pid $trajd_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ "$status" -ne 0 ] && [ -n "$work" ] && [ -s "$work/trajd.log" ]; then
        echo "quickstart: the last lines of trajd's log:" >&2
        tail -n 5 "$work/trajd.log" >&2
    fi
    [ -z "$work" ] || rm -rf "$work"
    [ "$status" -eq 0 ] || echo "quickstart: failed" >&2
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Waits until file $1 holds the words $2; process $3 is to live meanwhile.
wait_for_line() {
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        if ! kill -0 "$3" 2>/dev/null || [ "$tries" -gt 100 ]; then
            echo "quickstart: \"$2\" did not appear; what was said instead:" >&2
            cat "$1" >&2
            exit 1
        fi
        sleep 0.1
    done
}

if [ -z "${TRAJ_BUILD:-}" ]; then
    step "packages"
    sh "$top/clients/install-packages.sh" build
    step "build (into $build)"
    mkdir -p "$build"
    if ! cmake -S "$top" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        >"$build/configure.log" 2>&1; then
        cat "$build/configure.log" >&2
        exit 1
    fi
    cmake --build "$build" --target trajd trajctl
fi
trajctl=$build/clients/trajctl/trajctl
trajd=$build/daemon/trajd
work=$(mktemp -d "${TMPDIR:-/tmp}/trajd.XXXXXX")

step "session"
if [ -n "$given" ]; then
    session=$given
    echo "$given"
else
    session=$work/session.h5
    "$trajctl" simulate --out "$session" --task delay --units 96
fi
"$trajctl" split --session "$session" --train "$work/train.h5" --test "$work/test.h5" >"$work/split"
cat "$work/split"
frames=$(sed -n 's/.*test\.h5: .* \([0-9][0-9]*\) bins$/\1/p' "$work/split")

step "training on the first part"
"$trajctl" train --session "$work/train.h5" --out "$work/model.tjm"

step "trajd, fed by replay over ZeroMQ"
# Sockets in the temporary directory: nothing else can be listening there.
"$trajd" --model "$work/model.tjm" --frames "@ipc://$work/frames" \
    --intents "@ipc://$work/intents" --control "@ipc://$work/control" >"$work/trajd.log" 2>&1 &
trajd_pid=$!
"$trajctl" intents --intents "ipc://$work/intents" --out "$work/intents.jsonl" \
    --count "$frames" --idle 20 2>"$work/intents.log" &
intents_pid=$!
wait_for_line "$work/intents.log" subscribed "$trajd_pid"
"$trajctl" replay --session "$work/test.h5" --frames "ipc://$work/frames" --asap
wait "$intents_pid" || {
    cat "$work/intents.log" >&2
    exit 1
}
intents_pid=
grep received "$work/intents.log"
"$trajctl" status --control "ipc://$work/control"
echo "(sent as fast as possible, so the latency is that of frames waiting in line)"

step "score of the intents received, beside baselines trained on the same part"
"$trajctl" score --session "$work/test.h5" --intents "$work/intents.jsonl" --train "$work/train.h5"

"$trajctl" shutdown --control "ipc://$work/control"
wait "$trajd_pid" || true
trajd_pid=
echo
echo "Done. The same by hand: $trajctl help"
