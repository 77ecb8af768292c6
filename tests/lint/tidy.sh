#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# clang-tidy, with the checks of .clang-tidy, on every C file that the build compiles:
# tidy.sh SOURCE BUILD [FILE...].  A file that passed is not looked at again until it, a header or
# the checks change.
set -eu
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
shift 2
if ! command -v clang-tidy >/dev/null 2>&1; then
    echo "clang-tidy is not installed: the code was not checked"
    exit 77
fi
cd "$source"
passed=$build/tidy
mkdir -p "$passed"
common=$({ cat .clang-tidy tests/.clang-tidy; "${TRAJ_PYTHON:-python3}" tests/lint/tree.py list . .h | xargs cat; } | cksum)

if [ $# -eq 0 ]; then
    set -- $("${TRAJ_PYTHON:-python3}" tests/lint/tree.py list . .c)
fi
work=$(mktemp)
trap 'rm -f "$work"' EXIT
count=0
for file in "$@"; do
    grep -q "/$file\"" "$build/compile_commands.json" || continue
    count=$((count + 1))
    stamp=$passed/$(echo "$file" | tr / _)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$common $(cksum <"$file")" ]; then
        printf '%s\n' "$file" >>"$work"
    fi
done
echo "$count files; $(wc -l <"$work") of them new or changed"
[ "$count" -gt 0 ]

export build passed common
xargs -r -n 1 -P "$(nproc)" sh -c '
    said=$(clang-tidy --quiet -p "$build" "$0" 2>&1)
    if [ $? -eq 0 ]; then
        echo "$common $(cksum <"$0")" >"$passed/$(echo "$0" | tr / _)"
    else
        printf "%s\n" "$said" | grep -v "warnings generated\|Suppressed\|Use -header-filter"
        exit 1
    fi' <"$work"
