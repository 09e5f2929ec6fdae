#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual has every command and option that --help has, and no other.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
manual=$top_srcdir/man/stoa.1
[ -s "$manual" ] || fail "no $manual"

commands_of_help() {
    stoa --help | sed -n '/^Commands:/,/^`/s/^  \([a-z][a-z-]*\) .*/\1/p'
}

# The long options that the help of a command shows; without a command, those of the program.
options_of_help() {
    stoa "$@" --help | grep -oE -- '(^| )--[a-z][a-z0-9-]*' | tr -d ' ' | sort -u
}

# Top-level items of COMMANDS begin with .It Cm, one for each form of a command; nested ones with .It Fl.
commands_of_manual() {
    sed -n '/^\.Sh COMMANDS/,/^\.Sh ENVIRONMENT/s/^\.It Cm \([a-z-]*\).*/\1/p' "$manual"
}

# Long options in the items of a part of the manual, which is read from standard input.
options_in() {
    sed -n '/^\.It /p' | grep -oE -- 'Fl -[a-z][a-z0-9-]*' | sed 's/^Fl -/--/' | sort -u
}

options_of_manual() {
    sed -n "/^\\.Sh COMMANDS/,\$p" "$manual" | grep -E "^\\.It Cm $1( |\$)" | options_in
}

same "$(commands_of_manual | sort -u)" "$(commands_of_help | sort)" "commands of the manual and of --help"
[ "$(commands_of_help | wc -l)" -ge 10 ] || fail "--help shows too few commands for this test to mean something"

global=$(sed -n '/^\.Sh DESCRIPTION/,/^\.Sh COMMANDS/p' "$manual" | options_in)
same "$global" "$(options_of_help)" "options of the program"
for command in $(commands_of_help); do
    own=$(comm -13 <(echo "$global") <(options_of_help "$command"))
    same "$(options_of_manual "$command")" "$own" "options of $command"
done

# Each option of a command has an item that explains it.
explained=$(sed -n '/^\.Sh COMMANDS/,/^\.Sh ENVIRONMENT/p' "$manual" | grep '^\.It Fl' | options_in)
all=$(for command in $(commands_of_help); do
    comm -13 <(echo "$global") <(options_of_help "$command")
done | sort -u)
same "$explained" "$all" "explained options"

# The short forms as well.
for option in $(stoa --help | grep -oE -- '^  -[A-Za-z],' | tr -d ' ,'); do
    grep -q "^\\.It Fl ${option#-} , Fl -" "$manual" || fail "the manual has no $option"
done

if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$manual" || fail "mandoc finds faults"
fi
