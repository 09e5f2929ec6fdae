#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The completions that stoa prints: each shell that is installed reads them, and bash completes commands, options and words.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"

for shell in bash zsh fish; do
    expect 0 stoa completion "$shell"
    cp out "stoa.$shell"
    if command -v "$shell" >/dev/null; then
        "$shell" -n "stoa.$shell" || fail "$shell finds faults in its completion"
    else
        echo "$shell is not installed: its completion is not read"
    fi
    # Every command and every option of each is in it.
    for command in $(stoa --help | sed -n '/^Commands:/,/^`/s/^  \([a-z][a-z-]*\) .*/\1/p'); do
        grep -q -- "$command" "stoa.$shell" || fail "$shell: no $command"
    done
    for option in $(stoa import --help | grep -oE -- '(^| )--[a-z][a-z0-9-]*' | tr -d ' ' | grep -vE 'help|usage|version'); do
        grep -qE -- "(--|-l )${option#--}" "stoa.$shell" || fail "$shell: no $option"
    done
done
expect 2 stoa completion csh

# complete WORD...: what bash offers for the last word.
complete_line() {
    COMP_WORDS=(stoa "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _stoa 2>/dev/null
    echo "${COMPREPLY[*]}"
}
# shellcheck source=/dev/null
. ./stoa.bash
same "$(complete_line imp)" import "a command"
same "$(complete_line -d somewhere imp)" import "a command after an option with a value"
same "$(complete_line import --exec)" --execution "an option"
same "$(complete_line block lat)" latest "a word"
same "$(complete_line head --deep)" "" "an option of another command"
touch chain.rlp
same "$(complete_line import chain)" chain.rlp "a file"
