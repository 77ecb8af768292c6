#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Every header can be included first, alone: headers.sh SOURCE BUILD COMPILER FLAGS...
set -eu
source=$1
build=$2
shift 2
cd "$source"
count=0
failed=0
for header in $("${TRAJ_PYTHON:-python3}" tests/lint/tree.py list . .h); do
    count=$((count + 1))
    printf '#include "%s"\ntypedef int not_empty;\n' "$header" |
        "$@" -std=c11 -D_XOPEN_SOURCE=700 -Wall -Wextra -Werror -fsyntax-only \
            -I. -Iinclude -I"$build/include" -x c - || failed=1
done
echo "$count headers compiled alone"
[ "$count" -gt 0 ] && exit $failed
