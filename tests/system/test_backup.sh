#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Backups and snapshots as an operator makes them: what is restored from them is what an import makes, to any height; damage
# is named; a backup that is killed leaves those before it, and the next one goes on.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq cmp
seed_random

blocks=400
make_chain $blocks made
stoa -d store init --genesis made/genesis.json >/dev/null
root_of() { stoa -d "$1" --json header "$2" | jq -r .stateRoot; }

# Nothing is there yet.
expect 3 stoa backup list nowhere
expect 3 stoa restore nowhere new
expect 2 stoa backup make there
expect 2 stoa backup prune there
expect 2 stoa -d store snapshot restore only-a-name

# What grew between backups is all that the next one copies.
find_program tests/support/makechain
"$program" --blocks 150 --out part >/dev/null
stoa -d store import part/chain.rlp --execution part/execution.jsonl >/dev/null 2>&1
expect 0 stoa -d store --json backup create kept
same "$(jq '.backup, .number' out | tr '\n' ' ')" "1 150 " "first backup"
whole=$(jq .bytes out)
expect 0 stoa -d store --json backup create kept
same "$(jq '.backup, .number' out | tr '\n' ' ')" "2 150 " "second backup"
[ "$(jq .ownBytes out)" -lt $((whole / 10)) ] || fail "a backup of nothing new copied $(jq .ownBytes out) of $whole bytes"
expect 0 stoa -d store snapshot create before-more
stoa -d store import made/chain.rlp --execution made/execution.jsonl >/dev/null 2>&1
expect 0 stoa -d store --json backup create kept
same "$(jq '.backup, .number' out | tr '\n' ' ')" "3 $blocks " "third backup"
same "$(jq -r .stateRoot out)" "$(root_of store latest)" "state roots"
expect 0 stoa --json backup list kept
same "$(jq -c 'map(.number)' out)" "[150,150,$blocks]" "heights of the list"
expect 0 stoa --json backup verify kept
same "$(jq -c '[.backups, .damages]' out)" "[3,0]" "verified"

# Restored, it is what an import makes.
expect 0 stoa --json restore kept again
same "$(jq .number out)" $blocks "height restored"
same "$(head_of again)" "$(head_of store)" "heads"
cmp again/chain.json store/chain.json
expect 0 stoa -d again verify --deep
stoa -d again export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
read_back again made/chain.rlp made/execution.jsonl
expect 1 stoa restore kept again
says "exists"
expect 0 stoa restore kept/00000001.backup early
stoa -d early export out.rlp >/dev/null
cmp out.rlp part/chain.rlp
expect 0 stoa -d early import made/chain.rlp --execution made/execution.jsonl
same "$(head_of early)" "$(head_of store)" "heads after going on"
expect 0 stoa --json restore kept middle --to 99
same "$(root_of middle latest)" "$(root_of store 99)" "state roots at 99"
same "$(stoa -d middle --json head | jq -r .hash)" "$(stoa -d store --json block 99 | jq -r .hash)" "blocks at 99"
expect 0 stoa -d middle verify --deep
expect 1 stoa restore kept beyond --to $((blocks + 1))
says "no block"
[ ! -e beyond ] || fail "a refused restore left something"

# The snapshot too, and it costs next to nothing.
expect 0 stoa -d store --json snapshot list
same "$(jq -c 'map([.name, .number])' out)" '[["before-more",150]]' "snapshots"
expect 1 stoa -d store snapshot create before-more
expect 1 stoa -d store snapshot create ../elsewhere
expect 0 stoa -d store snapshot restore before-more past
stoa -d past export out.rlp >/dev/null
cmp out.rlp part/chain.rlp
expect 0 stoa -d store snapshot drop before-more
expect 0 stoa -d store --json snapshot list
same "$(cat out)" "[]" "snapshots"
expect 1 stoa -d store snapshot drop before-more
[ -z "$(ls -A store/snapshots)" ] || fail "a dropped snapshot left $(ls -A store/snapshots)"

# A flipped bit in each file in turn is found by verify and by restore, which leaves nothing.
flips=${STOA_LONG:+20}
while read -r file; do
    size=$(stat -c %s "kept/$file")
    for ((i = 0; i < ${flips:-1}; i++)); do
        case $file in
        ledger/*) end=$(sed -n "s|^file $file \([0-9]*\) .*|\1|p" kept/00000003.backup) ;;
        *) end=$size ;;
        esac
        at=$(((RANDOM * 32768 + RANDOM) % end))
        flip_bit "kept/$file" "$at"
        expect 4 stoa backup verify kept
        [ "$file" = 00000001.backup ] || [ "$file" = 00000002.backup ] || {
            expect 4 stoa restore kept flipped
            [ ! -e flipped ] || fail "a damaged backup was restored: $file at $at"
        }
        flip_bit "kept/$file" "$at"
    done
done < <(cd kept && find . -type f ! -name LOCK -printf '%P\n')
expect 0 stoa backup verify kept

# Of three the newest stays, with all that it needs.
expect 0 stoa --json backup prune kept --keep 1
same "$(jq .removed out)" 2 "removed"
expect 0 stoa backup verify kept
rm -rf again
expect 0 stoa restore kept again
same "$(head_of again)" "$(head_of store)" "heads after pruning"

# Killed at any moment, the next one goes on, and what was there before stays.
for ((round = 0; round < ${STOA_KILL_ROUNDS:-4}; round++)); do
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoa" -d store backup create kept --full >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 300)))"
    kill -9 "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    expect 0 stoa backup verify kept
done
expect 0 stoa -d store backup create kept --keep 1
expect 0 stoa backup verify kept

# Another store's backups are not mixed with these.
stoa -d other init --genesis made/genesis.json >/dev/null
expect 1 stoa -d other backup create kept
says "another store"
