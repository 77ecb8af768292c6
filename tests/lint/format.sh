#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Every C file is as clang-format leaves it: format.sh SOURCE.  `format.sh SOURCE --fix` makes it so.
set -eu
cd "$1"
here=tests/lint
if ! command -v clang-format >/dev/null 2>&1; then
    echo "clang-format is not installed: the layout of the code was not checked"
    exit 77
fi
if [ "${2:-}" = --fix ]; then
    "${TRAJ_PYTHON:-python3}" $here/tree.py list . .c .h | xargs clang-format -i
else
    "${TRAJ_PYTHON:-python3}" $here/tree.py list . .c .h | xargs clang-format --dry-run -Werror
    echo "$("${TRAJ_PYTHON:-python3}" $here/tree.py list . .c .h | wc -l) files are as clang-format leaves them"
fi
