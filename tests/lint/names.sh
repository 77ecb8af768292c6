#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# No name is defined in two rooms: names.sh BUILD.  A program that links both would not link, or would
# quietly take whichever stands first.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$1/proto" "$1/daemon" "$1/clients" -name 'libtraj_*.a' >"$work/libraries"
[ -s "$work/libraries" ]
xargs nm --defined-only -g <"$work/libraries" 2>/dev/null | awk 'NF == 3 { print $3 }' |
    sort >"$work/names"
# Sanitizers and coverage add names of their own to every object.
grep -v -e '^__' "$work/names" | uniq -d >"$work/doubled"
if [ -s "$work/doubled" ]; then
    while read -r name; do
        echo "$name is defined twice: $(xargs nm -A --defined-only -g <"$work/libraries" 2>/dev/null |
            awk -v name="$name" '$NF == name { sub(/:[^:]*$/, "", $1); print $1 }' | xargs)"
    done <"$work/doubled"
    exit 1
fi
echo "$(wc -l <"$work/names") names in $(wc -l <"$work/libraries") libraries"
