#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Proves the policy tests: takes each policy of mutations.txt out of a copy of daemon/core and sees
# that the test named for it fails.
#
#     mutate.sh SOURCE_DIR [COMPILER]
#
# Exits 0 if every mutation was caught, 1 if one survived or no longer applies.
set -u
source=${1:?source directory}
cc=${2:-cc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM

flags="-std=c11 -O0 -D_XOPEN_SOURCE=700 -ffp-contract=off -w -I$source -I$source/include"
flags="$flags $(pkg-config --cflags cmocka)" || exit 1
libs="$(pkg-config --libs cmocka) -lm"

# Once: everything as it is.
for file in "$source"/daemon/core/*.c "$source"/proto/*.c "$source"/tests/policy/test_policy.c \
    "$source"/tests/common/spy_decoder.c "$source"/tests/common/tiny_model.c; do
    # shellcheck disable=SC2086
    $cc $flags -c "$file" -o "$work/$(basename "$file" .c).o" || exit 1
done
# shellcheck disable=SC2086
$cc "$work"/*.o $libs -o "$work/test" || exit 1
if ! "$work/test" >"$work/log" 2>&1; then
    cat "$work/log"
    echo "the policy tests fail without any mutation"
    exit 1
fi

# One mutation, in a folder of its own: $1 name, $2 file, $3 sed expression, $4 test.
mutate() {
    own="$work/$5"
    mkdir "$own"
    original="$source/daemon/core/$2"
    sed -e "$3" "$original" >"$own/$2" || { echo "BROKEN   $1: sed failed"; return 1; }
    if cmp -s "$original" "$own/$2"; then
        echo "STALE    $1: the expression changes nothing in $2"
        return 1
    fi
    objects=$(ls "$work"/*.o | grep -v "/$(basename "$2" .c)\.o\$")
    # shellcheck disable=SC2086
    if ! { $cc $flags -c "$own/$2" -o "$own/mutant.o" && \
        $cc $objects "$own/mutant.o" $libs -o "$own/test"; } >"$own/log" 2>&1; then
        echo "BROKEN   $1: does not compile"
        cat "$own/log"
        return 1
    fi
    if timeout 20 "$own/test" "$4" >"$own/log" 2>&1; then
        echo "SURVIVED $1: $4 passes without it"
        return 1
    fi
    # A pattern that matches no test runs none, and must not pass for a failure caught.
    if ! grep -q "Running [1-9]" "$own/log"; then
        echo "BROKEN   $1: no test is called $4"
        return 1
    fi
    rm -rf "$own"
    return 0
}

count=0
failed=0
while IFS='|' read -r name file expression test; do
    case $name in '' | '#'*) continue ;; esac
    name=${name% }
    file=$(echo "$file" | tr -d ' ')
    expression=${expression# }
    expression=${expression% }
    test=$(echo "$test" | tr -d ' ')
    count=$((count + 1))
    mutate "$name" "$file" "$expression" "$test" "$count" || failed=$((failed + 1))
done <"$source/tests/policy/mutations.txt"

echo "$count mutations, $((count - failed)) caught"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
