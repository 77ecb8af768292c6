#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# `trajctl score` agrees with score.py, the reference of these measures, on the same intents:
#
#     score.sh simulated | NAME.h5
#
# NAME.h5 is a recording in $TRAJ_SHARED_DATA; score.py lies in eval/ beside that folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
judge=$TRAJ_SHARED_DATA/../eval/score.py
if [ ! -r "$judge" ]; then
    echo "score.py is not there: nothing to compare with"
    exit 77
fi
if ! "$TRAJ_PYTHON" -c 'import h5py, numpy' 2>/dev/null; then
    echo "score.py needs h5py and numpy (sh clients/install-packages.sh test)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$1" = simulated ]; then
    session=$work/session.h5
    "$TRAJCTL" simulate --out "$session" --seed 8 --targets 4 --units 16 --trials-per-target 5
else
    session=$TRAJ_SHARED_DATA/$1
    if [ ! -r "$session" ]; then
        echo "$session is not there: nothing to score"
        exit 77
    fi
fi
"$TRAJCTL" split --session "$session" --train "$work/train.h5" --test "$work/test.h5" --fraction 0.5
# Any decent model will do; two folds train it soonest.
"${TRAJ_TRAINER:-$TRAJCTL}" train --quiet --folds 2 --session "$work/train.h5" --out "$work/model.tjm"
"$TRAJCTL" decode --quiet --model "$work/model.tjm" --session "$work/test.h5" --out "$work/intents"
# Some bins have no intent, and some intents no bin.
sed -e '20,25d' -e '40s/"t":/"t":9999/' "$work/intents" >"$work/holes"

for intents in intents holes; do
    for from in '' 0.1; do
        # shellcheck disable=SC2086 # the option and its value are two words, or none
        "$TRAJCTL" score --session "$work/test.h5" --intents "$work/$intents" --json \
            ${from:+--from $from} >"$work/own"
        # shellcheck disable=SC2086
        "$TRAJ_PYTHON" "$judge" "$work/test.h5" "$work/$intents" --json ${from:+--from $from} \
            >"$work/reference"
        echo "$intents${from:+, from $from s}:"
        "$TRAJ_PYTHON" "$here/score.py" "$work/own" "$work/reference"
    done
done
