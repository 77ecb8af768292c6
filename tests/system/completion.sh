#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The shells offer what trajctl takes: completion.sh bash|zsh.  Every option of every command's --help
# is offered, a value's only words are, and files by their ending.
set -eu
shell=$1
command -v "$shell" >/dev/null || {
    echo "$shell is not installed"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
ln -s "$TRAJCTL" "$work/trajctl"
mkdir "$work/here" "$work/here/folder"
: >"$work/here/a.h5"
: >"$work/here/m.tjm"
scripts=$TRAJ_SOURCE_DIR/clients/trajctl/completion

# What bash would offer after the words.
cat >"$work/bash" <<END
. "$scripts/trajctl.bash"
compopt() { :; }
COMP_WORDS=("\$@")
COMP_CWORD=\$((\$# - 1))
_trajctl
printf '%s\n' "\${COMPREPLY[@]}"
END
# zsh's own helpers are replaced by ones that print what they are given.
cat >"$work/zsh" <<END
_describe() { local -a given=("\${(@P)2}"); print -l -- "\${given[@]%%:*}"; }
_files() { [[ \$1 == -g ]] && print -l -- \${~2%%\(*\)}; true; }
words=("\$@")
CURRENT=\$#
source "$scripts/_trajctl"
END

offered()
{
    (cd "$work/here" && PATH="$work:$PATH" "$shell" "$work/$shell" trajctl "$@")
}
# expect WORD ARGUMENTS...: it is among what is offered after them.
expect()
{
    word=$1
    shift
    offered "$@" >"$work/offered"
    grep -q -x -e "$word" "$work/offered" || {
        echo "FAILED: trajctl $*: $word is not among: $(tr '\n' ' ' <"$work/offered")"
        failed=1
    }
}

count=0
for command in $("$TRAJCTL" completion | cut -f 1); do
    expect "$command" ""
    offered "$command" "--" >"$work/options"
    for option in $("$TRAJCTL" "$command" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p'); do
        count=$((count + 1))
        grep -q -x -e "$option" "$work/options" || {
            echo "FAILED: $command $option is not offered"
            failed=1
        }
    done
done
[ "$count" -gt 100 ] || failed=1
expect mixture train --family ""
expect delay simulate --task ""
expect a.h5 train --session ""
expect m.tjm decode --model ""
offered train --session "" | grep -q -x -e m.tjm && {
    echo "FAILED: a model is offered as a session"
    failed=1
}
[ "$failed" -eq 0 ] && echo "$shell: $count options are offered"
exit "$failed"
