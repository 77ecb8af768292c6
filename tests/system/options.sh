#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The command line of trajctl: every command explains itself, whatever it does not know it refuses
# with a sentence and exit 2, and its man page names every command and option.
set -eu
man=$TRAJ_SOURCE_DIR/clients/man/trajctl.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# expect STATUS WORDS ARGUMENTS...: exit status, and words in what was said on stderr.
expect() {
    status=$1
    words=$2
    shift 2
    got=0
    "$TRAJCTL" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    [ "$got" -eq "$status" ] || fail "trajctl $*: exit $got instead of $status: $(cat "$work/err")"
    grep -q -e "$words" "$work/err" || fail "trajctl $*: \"$words\" is not in: $(cat "$work/err")"
}

sed -n '/^\.SH KEYS$/,/^\.SH EXIT/p' "$man" | sed 's/\\-/-/g' >"$work/keys"
commands=$("$TRAJCTL" help | sed -n '/^first steps/q; s/^  \([a-z-]*\)  *[a-z].*/\1/p')
count=0
for command in $commands; do
    count=$((count + 1))
    "$TRAJCTL" "$command" --help >"$work/help" || fail "$command --help"
    grep -q "^usage: trajctl $command" "$work/help" || fail "$command --help has no usage line"
    awk 'length > 79 { exit 1 }' "$work/help" || fail "$command --help is wider than 79 columns"
    grep -q "^\.SS $command\$" "$man" || fail "$command is not in $man"
    # In roff a dash of an option is written \-.
    sed -n "/^\.SS $command\$/,/^\.S[SH] /p" "$man" | sed 's/\\-/-/g' >"$work/page"
    # shellcheck disable=SC2013 # option names are words
    for option in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' "$work/help"); do
        # Those that many commands have in common stand in a section of their own.
        case $option in
        help) continue ;;
        key | server-key) grep -q -e "--$option\b" "$work/keys" && continue ;;
        esac
        grep -q -e "--$option\b" "$work/page" || fail "$command --$option is not in $man"
    done
    ! tr -s ' \n' ' ' <"$work/help" | grep -q 'may be given several times; may be' ||
        fail "$command --help says a phrase twice"
    ! grep -q 18446744073709551615 "$work/help" || fail "$command --help shows a number for none"
    "$TRAJCTL" help "$command" | cmp -s - "$work/help" || fail "help $command"
    expect 2 'unknown' "$command" --no-such-option
done
[ "$count" -ge 20 ] || fail "only $count commands were found"

if [ -n "${TRAJD:-}" ]; then
    "$TRAJD" --help >"$work/help"
    sed 's/\\-/-/g' "$TRAJ_SOURCE_DIR/daemon/man/trajd.8" >"$work/page"
    # shellcheck disable=SC2013
    for option in $(sed -n 's/^  --\([a-z-]*\).*/\1/p' "$work/help"); do
        grep -q -e "--$option\b" "$work/page" || fail "trajd --$option is not in trajd.8"
    done
fi

expect 2 'no command is called "nothing"' nothing
expect 2 'usage'
expect 2 'either --session S.h5 or --recording' decode --model m --out o
expect 2 'either --session S.h5 or --recording' decode --model m --out o --session s --recording r
expect 2 'for recordings' decode --model m --out o --session s --from-frame 5
expect 2 'with one --model' decode --model m --model n --out o --session s
expect 2 'with one --model' decode --out o --session s
expect 2 'needs a value' decode --model
expect 2 'one word too many' decode --model m --session s --out o more
expect 2 '"blue" is not delay' simulate --out "$work/s.h5" --task blue
expect 2 'not a whole number' simulate --out "$work/s.h5" --units -3
expect 2 'not a whole number' simulate --out "$work/s.h5" --seed 1x
expect 2 'not between' simulate --out "$work/s.h5" --units 0
expect 2 'not a number' simulate --out "$work/s.h5" --rate fast
expect 2 'not a number' simulate --out "$work/s.h5" --rate nan
expect 2 'is not csv' convert --out "$work/s.h5"
expect 2 'no format is called "bogus": csv, nwb, npz, mat or recording' convert bogus
expect 2 'no format is called "bogus": nwb or csv' export bogus
expect 2 'one file' convert recording --out "$work/s.h5"
expect 2 'neither a file' convert csv x --out "$work/s.h5"
expect 1 'no.rec' convert recording "$work/no.rec" --out "$work/s.h5"
expect 2 '"kalman" is not auto' train --session s --out m --family kalman
expect 2 'family does not go with --from' train --session s --out o --from m --family stm
expect 1 'm: cannot be opened' train --session s --out o --from m
expect 2 'is not 0, 2 or 3' train --session s --out m --order 1
expect 2 'is not start, go or stop' trial begin
expect 2 'is not start, stop, verify' record
expect 2 'takes no file' record start x.rec
expect 2 'needs a recording' record verify
expect 2 'needs --out' record cut x.rec
expect 2 'no kind of record' record show x.rec --kind thing
expect 2 'from-frame 6 is after --to-frame 5' record show x.rec --from-frame 6 --to-frame 5
expect 2 'from-frame 6 is after --to-frame 5' record cut x.rec --out y --from-frame 6 --to-frame 5
expect 2 'from 5 is after --to 3' record cut x.rec --out y --from 5 --to 3
expect 2 'is not between 0' record cut x.rec --out y --to -1
expect 2 'either --session' replay
expect 2 'for sessions' replay x.rec --json
expect 2 'name on or off' pause
expect 2 '"blue" is not on or off' pause blue
expect 2 'set needs one number' prior set
expect 2 'not a number of at least 0' prior set 0.5 much
expect 2 'no sum' prior set 0 0
expect 2 'no JSON object' event '[1]'
expect 2 'not show, list, load' model forget
expect 2 'load needs a model file' model load

# What could not be printed has failed: standard output is closed, or its disk is full.
closed() {
    got=0
    "$@" 2>"$work/err" >&- || got=$?
    [ "$got" -eq 1 ] || fail "$*, standard output closed: exit $got"
    grep -q 'standard output cannot be written' "$work/err" || fail "$*: $(cat "$work/err")"
}
closed "$TRAJCTL" help
closed "$TRAJCTL" version
closed "$TRAJCTL" record --help
closed "$TRAJCTL" completion
if [ -n "${TRAJD:-}" ]; then
    closed "$TRAJD" --help
    closed "$TRAJD" --version
    closed "$TRAJD" --check-config
fi
if mknod "$work/full" c 1 7 2>/dev/null; then
    got=0
    "$TRAJCTL" help >"$work/full" 2>"$work/err" || got=$?
    [ "$got" -eq 1 ] || fail "a full disk: exit $got"
    grep -q 'No space left' "$work/err" || fail "a full disk: $(cat "$work/err")"
    rm "$work/full"
fi

# What is read is not written over, by whatever name, nor is one file written twice.
mkdir "$work/files"
cd "$work/files"
for name in a b c r.0001.rec r.0002.rec; do
    echo "$name" >"$name"
done
ln -s a link
expect 2 'out a would overwrite a, which is read' convert nwb a --out a
expect 2 'would overwrite a' convert npz a --out ./a
expect 2 'would overwrite a' convert mat a --out "$work/files/a"
expect 2 'would overwrite r.0001.rec' convert recording r.0001.rec --out r.0001.rec
expect 2 'would overwrite r.0001.rec' convert recording r.0001.rec --out r.0002.rec
expect 2 'out a would overwrite --frames a' convert csv --frames a --out a
expect 2 'would overwrite --targets a' convert csv --frames b --targets a --out a
expect 2 'would overwrite --session a' export nwb --session a --out a
expect 2 'would overwrite --intents a' export nwb --session b --intents a --out a
expect 2 'would overwrite --source a' export nwb --intents b --source a --out a
expect 2 'train a would overwrite --session a' split --session a --train a --test b
expect 2 'test a would overwrite --session a' split --session a --train b --test a
expect 2 'train n and --test ./n are the same file' split --session a --train n --test ./n
expect 2 'train b and --test b are the same file' split --session a --train b --test b
expect 2 'would overwrite --session b' train --session a --session b --out b
expect 2 'would overwrite --prior-session b' train --session a --prior-session b --out b
expect 2 'would overwrite --intention r.0001.rec' train --intention r.0001.rec --out r.0002.rec
expect 2 'would overwrite --from b' train --session a --from b --out b
expect 2 'report a would overwrite --session a' train --session a --out b --report a
expect 2 'out n and --report n are the same file' train --session a --out n --report n
expect 2 'would overwrite --test b' evaluate --session a --test b --report b
expect 2 'would overwrite --model a' decode --model a --session b --out a
expect 2 'would overwrite --session b' decode --model a --session b --out b
expect 2 'would overwrite --session link' decode --model b --session link --out a
expect 2 'would overwrite --recording r.0001.rec' \
    decode --model a --recording r.0001.rec --out r.0002.rec
expect 2 'would overwrite r.0001.rec' record cut r.0001.rec --out r.0001.rec
expect 2 'map a would overwrite --session a' rig-source open-ephys --session a --map a
expect 2 'map n and --bins n are the same file' rig-source open-ephys --session a --map n --bins n
expect 2 'would overwrite --model a' units-map lsl --connect x --model a --out a
expect 2 'would overwrite --config a' bench --config a --samples a
expect 2 'would overwrite --key a' intents --key a --server-key b --out a
for name in a b c r.0001.rec r.0002.rec; do
    [ "$(cat "$name")" = "$name" ] || fail "$name was written over"
done
cd "$work"
rm -r "$work/files"

# A model that was trained on five units, a session that has three of them, and one that has others.
mkdir "$work/files"
cd "$work/files"
simulate() {
    "$TRAJCTL" simulate --targets 2 --trials-per-target 4 --seed 1 "$@" >"$work/out"
}
simulate --units 5 --out five.h5
"$TRAJCTL" train --quiet --family stm --folds 2 --session five.h5 --out m.tjm
"$TRAJCTL" decode --quiet --model m.tjm --session five.h5 --out five.jsonl

# What could not be written is said before the training, and what is there stays as it was.
mkdir place
cp m.tjm place/m.tjm
for out in none/m.tjm place; do
    expect 1 "^trajctl train: $out: cannot be written" train --session five.h5 --out "$out"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "train --out $out: $(cat "$work/err")"
    expect 1 "^trajctl train: $out cannot be written" \
        train --session five.h5 --out place/m.tjm --report "$out"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "train --report $out: $(cat "$work/err")"
    expect 1 "^trajctl evaluate: $out cannot be written" \
        evaluate --session five.h5 --methods stm --report "$out"
done
cmp -s m.tjm place/m.tjm || fail 'a model that was there is not what it was'
[ "$(ls place)" = m.tjm ] || fail "something was left behind: $(ls place)"

# Intents that answer nothing in the session have no score.
: >empty.jsonl
sed 's/"t":/"t":9/' five.jsonl >other.jsonl
expect 1 'empty.jsonl: holds no intent' score --session five.h5 --intents empty.jsonl
expect 1 'none of its [0-9]* intents is of a bin of five.h5' \
    score --session five.h5 --intents other.jsonl --json
expect 1 'no bin lies in the part' score --session five.h5 --intents five.jsonl --from 1000

# What does not move has no score either, and the reason is not looked for in the intents.
cat >frames.csv <<'.'
t_end,u1,u2
0.02,1,0
0.04,0,2
.
"$TRAJCTL" convert csv --frames frames.csv --out still.h5 >"$work/out"
expect 1 'still.h5: /kinematics: none, so there is no movement to score' \
    score --session still.h5 --intents five.jsonl

# Where a folder cannot be made, the reason is said; of a copy nothing is counted.
expect 1 'm.tjm: is no folder, and cannot be made one: File exists' \
    export csv --session five.h5 --out m.tjm
expect 1 'none/csv: is no folder, and cannot be made one: No such file' \
    export csv --session five.h5 --out none/csv
"$TRAJCTL" export nwb --session five.h5 --out five.nwb >"$work/out" 2>"$work/err"
grep -q '^five.nwb: [1-9][0-9]* bins, [1-9][0-9]* kinematic samples, 8 trials, 0 intents$' "$work/out" ||
    fail "export nwb: $(cat "$work/out")"
"$TRAJCTL" export nwb --source five.nwb --intents five.jsonl --out copy.nwb >"$work/out" 2>"$work/err"
grep -q '^copy.nwb: all that five.nwb holds, [1-9][0-9]* intents$' "$work/out" ||
    fail "export nwb --source: $(cat "$work/out")"

# Units that are in the model or in the session alone are told of.
simulate --units 3 --out three.h5
simulate --units 6 --out six.h5
adapt() {
    session=$1
    shift
    "$TRAJCTL" train --quiet --folds 2 --from m.tjm --session "$session" "$@" 2>"$work/err"
}
"$TRAJCTL" decode --quiet --model m.tjm --session five.h5 --out - >"$work/out" 2>"$work/err"
[ ! -s "$work/err" ] || fail "decode of an ordinary session: $(cat "$work/err")"
adapt five.h5 --out n.tjm
[ ! -s "$work/err" ] || fail "train --from with an ordinary session: $(cat "$work/err")"
few="three.h5: 2 of the model's 5 units are not in the session"
many="six.h5: 1 of the session's 6 units are not in the model"
"$TRAJCTL" decode --quiet --model m.tjm --session three.h5 --out - >"$work/out" 2>"$work/err"
[ "$(cat "$work/err")" = "decode: $few" ] || fail "decode of three units: $(cat "$work/err")"
"$TRAJCTL" decode --quiet --model m.tjm --session six.h5 --out - >"$work/out" 2>"$work/err"
[ "$(cat "$work/err")" = "decode: $many" ] || fail "decode of six units: $(cat "$work/err")"
if mknod full c 1 7 2>/dev/null; then
    expect 1 'full cannot be written: No space left' \
        decode --quiet --model m.tjm --session five.h5 --out full
    expect 1 'full: cannot be written: not a regular file' split --session five.h5 --train full --test n.h5
    [ -z "${TRAJD:-}" ] || expect 1 'full cannot be written: No space left' bench --quiet \
        --trajd "$TRAJD" --channels 4 --targets 2 --bin-ms 20 --frames 5 --transport ipc --samples full
    [ -c full ] || fail "a device is no device any more"
fi
adapt three.h5 --out n.tjm
[ "$(cat "$work/err")" = "train: $few" ] || fail "train --from with three units: $(cat "$work/err")"
printf 't_end,dt,strange\n0.02,0.02,1\n0.04,0.02,0\n' >strange.csv
"$TRAJCTL" convert csv --frames strange.csv --out strange.h5 >"$work/out"
expect 1 'no unit in common' decode --quiet --model m.tjm --session strange.h5 --out n.jsonl
expect 1 'no unit in common' train --quiet --from m.tjm --session strange.h5 --out n.tjm
cd "$work"
rm -r "$work/files"

expect 1 'no.tjm' decode --model "$work/no.tjm" --session "$work/s.h5" --out "$work/o"
expect 1 'no.rec' record verify "$work/no.rec"
expect 1 'no.rec' record recover "$work/no.rec"
expect 1 'is no recording' record recover "$work"
: >"$work/empty"
expect 1 'is no recording' record recover "$work/empty"
rm "$work/empty"
expect 1 'is no recording' record recover "$man"
expect 1 'no.rec' replay "$work/no.rec"
expect 1 'no.rec' decode --model "$work/no.tjm" --recording "$work/no.rec" --out "$work/o"
expect 1 'no.tjm' model show "$work/no.tjm"
expect 1 'no trajd answers' status --control "ipc://$work/nobody"
[ ! -e "$work/o" ] || fail "a decode that failed left a file"
[ "$(ls "$work")" = "$(printf 'err\nhelp\nkeys\nout\npage')" ] || fail "files were left: $(ls "$work")"
[ "$failed" -eq 0 ] && echo "$count commands: help, refusals and man page agree"
exit "$failed"
