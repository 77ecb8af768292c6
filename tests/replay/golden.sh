#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The intents of the tiny golden session are those that are committed, to the byte:
#
#     golden.sh GOLDEN-PROGRAM [update]
#
# "update" writes golden.jsonl anew; do it only for a change that is meant to alter what is decoded, and say
# so in the commit.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$work"
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$work/session.h5" \
    --out "$work/intents"
if [ "${2:-}" = update ]; then
    cp "$work/intents" "$here/golden.jsonl"
    echo "golden.jsonl is new"
    exit 0
fi
if ! cmp "$here/golden.jsonl" "$work/intents"; then
    diff "$here/golden.jsonl" "$work/intents" | head -n 4 | cut -c 1-600
    exit 1
fi
echo "$(wc -l <"$work/intents") intents have the committed bytes"
