# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of trajctl for bash.  trajctl itself says which words may come next.

_trajctl_files()
{
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    # Folders are offered too: a file may lie in one.
    COMPREPLY+=($(compgen -d -- "$2") $(compgen -f -X "!*$1" -- "$2"))
}

_trajctl()
{
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    local name value words sentence
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$(trajctl completion | cut -f 1) help" -- "$current"))
        return
    fi
    # Fields may be empty, and read takes tabs that follow each other for one.
    while IFS=$'\x1f' read -r name value words sentence; do
        if [ "$name" = "$before" ] && [ -n "$value" ]; then
            case $words,$value in
            ?*,*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            ,DIR) COMPREPLY=($(compgen -d -- "$current")) ;;
            ,*.*) _trajctl_files ".${value##*.}" "$current" ;;
            ,FILE | ,PROGRAM) _trajctl_files "" "$current" ;;
            esac
            return
        fi
        case $name in
        "$current"*) [ "${current:0:1}" = - ] && COMPREPLY+=("$name") ;;
        esac
    done < <(trajctl completion "$command" 2>/dev/null | tr '\t' '\037')
    [ "${current:0:1}" = - ] || _trajctl_files "" "$current"
}

complete -F _trajctl trajctl
