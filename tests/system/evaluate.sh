#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# `trajctl evaluate` and `trajctl compare` on simulated sessions: the commands that README gives for
# recordings, in small.  An answer may come from this process, from another or from the cache, and an
# interrupted run goes on: the bytes of the result are the same.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

simulate() {
    "$TRAJCTL" simulate --targets 4 --units 14 --population 5 --bin 0.04 "$@" >/dev/null
}

# evaluate NAME ARGUMENTS...: the result as JSON in NAME.json.
evaluate() {
    name=$1
    shift
    began=$(date +%s)
    "$TRAJCTL" evaluate --quiet --json "$@" >"$name.json"
    echo "$name: $(($(date +%s) - began)) s"
}

simulate --out cut.h5 --cut --trials-per-target 6 --seed 1
simulate --out day.h5 --cut --trials-per-target 6 --seed 2
simulate --out whole.h5 --trials-per-target 6 --seed 3

curve="--session cut.h5 --methods default,kalman,lda --trials-per-target 1,3 --seeds 1,2"
# shellcheck disable=SC2086 # words
evaluate curve $curve --missing-lead 7 --cache cache --jobs 2 --report page.html
# shellcheck disable=SC2086
evaluate again $curve --missing-lead 7 --cache cache --jobs 1
cmp curve.json again.json
kept=$(find cache -type f | wc -l)
[ "$kept" -eq 12 ] || { echo "$kept answers are kept, not 12"; exit 1; }

# Answers that are lost, cut short or spoilt are worked out anew.
find cache -type f | sort >list
sed -n '1,4p' list | xargs rm
head -c 1000 "$(sed -n 5p list)" >short
mv short "$(sed -n 5p list)"
printf 'x' | dd of="$(sed -n 6p list)" bs=1 seek=2000 conv=notrunc 2>/dev/null
# shellcheck disable=SC2086
evaluate mended $curve --missing-lead 7 --cache cache --jobs 1
cmp curve.json mended.json

# Interrupted after its first answers, then run again.
# shellcheck disable=SC2086
"$TRAJCTL" evaluate --quiet $curve --missing-lead 7 --cache other --jobs 2 >/dev/null 2>&1 &
pid=$!
while kill -0 "$pid" 2>/dev/null && [ "$(find other -type f 2>/dev/null | wc -l)" -lt 2 ]; do
    sleep 0.1
done
kill "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
echo "$(find other -type f | wc -l) answers were there when it was interrupted"
# shellcheck disable=SC2086
evaluate resumed $curve --missing-lead 7 --cache other --jobs 2
cmp curve.json resumed.json

# shellcheck disable=SC2086
evaluate aligned $curve --from 0.32 --cache aligned
evaluate left --session cut.h5 --methods default,wiener --leave-one-target-out
evaluate units --session cut.h5 --methods default --folds 2 --silence 0.5 --lose 0.5
evaluate prior --session cut.h5 --methods default --folds 2 --wrong-prior
evaluate marks --session whole.h5 --methods rwm,wiener,cascade,bayes --folds 2
evaluate none --session whole.h5 --methods rwm,course --folds 2 --no-trials
evaluate days --session cut.h5 --test day.h5 --methods default,kalman
evaluate today --session day.h5 --yesterday cut.h5 --methods default --trials-per-target 1 \
    --seeds 1,2
"$TRAJCTL" evaluate --quiet --session cut.h5 --test day.h5 --methods default,kalman >days.txt

"$TRAJCTL" train --quiet --session cut.h5 --out a.tjm
"$TRAJCTL" train --quiet --session cut.h5 --family rwm --out b.tjm
"$TRAJCTL" decode --quiet --model a.tjm --session day.h5 --out a.jsonl
"$TRAJCTL" score --session day.h5 --intents a.jsonl --json >score.json
"$TRAJCTL" compare a.tjm b.tjm --session day.h5 --json >compare.json
"$TRAJCTL" compare b.tjm a.tjm --session day.h5 --json >reverse.json
"$TRAJCTL" compare a.tjm a.tjm --session day.h5 >same.txt
# Lengths in two units are not compared.
cp day.h5 cm.h5
"$TRAJ_PYTHON" -c 'import h5py; h5py.File("cm.h5", "a").attrs["length_unit"] = "cm"'
for words in "compare a.tjm b.tjm --session cm.h5" \
    "score --session day.h5 --intents a.jsonl --train cm.h5"; do
    # shellcheck disable=SC2086
    if "$TRAJCTL" $words >/dev/null 2>said; then
        echo "two units were taken for one: trajctl $words"
        exit 1
    fi
    grep -q 'length_unit is "[cm]m", that of .* is "[cm]m"' said
done
"$TRAJ_PYTHON" "$here/evaluate.py"
