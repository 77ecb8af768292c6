#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# clients/quickstart.sh with the build under test: it ends well, with scores, and leaves nothing
# behind.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
began=$(date +%s)
export TMPDIR="$work" TRAJ_BUILD="$TRAJ_BUILD_DIR"
set --
# Sanitizers make the training of the usual session too slow for a test; a small one stands in.
if grep -q '^TRAJ_SANITIZE:[A-Z]*=.' "$TRAJ_BUILD_DIR/CMakeCache.txt"; then
    set -- "$work/small.h5"
    "$TRAJCTL" simulate --out "$1" --seed 2 --targets 4 --units 24 --trials-per-target 8
fi
if ! sh "$TRAJ_SOURCE_DIR/clients/quickstart.sh" "$@" >"$work/said" 2>&1; then
    cat "$work/said"
    exit 1
fi
rm -f "$work/small.h5"
cat "$work/said"
for method in trajd kalman wiener; do
    grep -q "^$method  *[0-9]" "$work/said"
done
[ "$(ls "$work")" = said ]
# Its processes would name the temporary directory, in which their sockets were.
for arguments in /proc/[0-9]*/cmdline; do
    if { tr "\0" " " <"$arguments"; } 2>/dev/null | grep -q -e "ipc://$work"; then
        echo "a process is left: $(tr '\0' ' ' <"$arguments")"
        exit 1
    fi
done
echo "took $(($(date +%s) - began)) s"

# A session that cannot be read is refused before anything is done.
if sh "$TRAJ_SOURCE_DIR/clients/quickstart.sh" "$work/none.h5" >"$work/refused" 2>&1; then
    exit 1
fi
grep -q 'cannot be read' "$work/refused"
