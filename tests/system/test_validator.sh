#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# examples/validator.c killed with kill -9 and started again, several times: each block that it said was acknowledged is there
# with the same hash, the chain has no gap, and the store verifies.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
find_validator

for round in 1 2 3 4 5; do
    "$validator" store 0 1 >>told 2>>errors &
    pid=$!
    before=$(wc -l <told)
    # Killed after so many more blocks, at whatever it is doing then.
    for ((turn = 0; turn < 600 && $(wc -l <told) < before + 20 * round; turn++)); do
        sleep 0.1
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    [ "$(wc -l <told)" -gt "$before" ] || fail "round $round: nothing was stored: $(cat errors)"
done
"$validator" store 10 1 >>told 2>>errors || fail "it does not end well: $(tail -n 3 errors)"

expect 0 stoa -d store verify
count=0
while read -r word number hash; do
    [ "$word" = acknowledged ] || fail "strange line: $word $number"
    same "$(stoa -d store --json header "$number" | jq -r .hash)" "0x$hash" "block $number"
    count=$((count + 1))
done < <(shuf -n 40 told; tail -n 1 told)
last=$(tail -n 1 told | cut -d ' ' -f 2)
same "$(stoa -d store --json head | jq -r .number)" "$(printf '0x%x' "$last")" "the head"
same "$(cut -d ' ' -f 2 told | sort -nu | wc -l)" "$(wc -l <told)" "numbers told twice"
echo "checked $count of $(wc -l <told) acknowledged blocks"
