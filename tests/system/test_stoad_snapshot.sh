#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Snapshots of a store that a daemon has open and writes to: each is the store as it was at one height, whatever the store drops
# later; made, listed, restored and dropped through the socket; killed meanwhile it is whole or absent.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq cmp
find_stoad
seed_random
make_chain 1200 made
make_store made twin
stoa -d store init --genesis made/genesis.json >/dev/null
start_stoad store

height_of() {
    printf %d "$(stoa -d "$1" --json head | jq -r .number)"
}

# While blocks are imported at full speed: each snapshot names a height that was the head meanwhile.
stoa -d store import made/chain.rlp --execution made/execution.jsonl >import.out 2>&1 &
import=$!
begun() { [ "$(height_of store)" -gt 0 ]; }
wait_for "the import to begin" begun
before=$(height_of store)
for name in one two three; do
    expect 0 stoa -d store --json snapshot create "$name"
    same "$(jq -r .name out)" "$name" "the name"
    at=$(jq .number out)
    [ "$at" -ge "$before" ] || fail "$name is of block $at, and $before was the head"
    [ "$at" -le "$(height_of store)" ] || fail "$name is ahead of the store"
    before=$at
done
wait "$import" || fail "the import failed beside snapshots: $(cat import.out)"
same "$(head_of store)" "$(head_of twin)" "heads"
expect 0 stoa -d store --json snapshot list
same "$(jq -r 'map(.name) | sort | join(" ")' out)" "one three two" "snapshots"
cp out listed

# Refused with a word, and nothing changes.
expect 1 stoa -d store snapshot create one
says 'already'
expect 1 stoa -d store snapshot create ../one
says 'name'
expect 1 stoa -d store snapshot drop four
says 'no snapshot'
expect 1 stoa -d store snapshot restore four restored
says 'no snapshot'

# What blocks lose later stays in those before: and is what they cost.
expect 0 stoa -d store snapshot create whole
expect 0 stoa -d store set-finalized 1100
expect 0 stoa -d store prune --keep-bodies 100
expect 0 stoa -d store snapshot create pruned
for name in one three whole pruned; do
    expect 0 stoa -d store snapshot restore "$name" "restored-$name"
    expect 0 stoa -d "restored-$name" verify --deep
done
for name in one three; do
    at=$(jq ".[] | select(.name == \"$name\") | .number" listed)
    same "$(height_of "restored-$name")" "$at" "height of $name"
    [ "$at" = 0 ] || same "$(stoa -d "restored-$name" block "$at" --raw)" "$(stoa -d twin block "$at" --raw)" "block of $name"
done
same "$(head_of restored-whole)" "$(head_of twin)" "heads"
stoa -d restored-whole export whole.rlp >/dev/null
cmp whole.rlp made/chain.rlp
expect 0 stoa -d store backup create kept
expect 0 stoa -d store scrub

# Dropped, they are gone; the store stays.
expect 0 stoa -d store snapshot drop two
same "$(stoa -d store --json snapshot list | jq -r 'map(.name) | sort | join(" ")')" "one pruned three whole" "after a drop"
[ ! -e store/snapshots/two ] || fail "the dropped one is there"

# Killed while some are made and dropped: each is whole or absent, and nothing of the others is left.
for ((round = 0; round < ${STOA_KILL_ROUNDS:-4}; round++)); do
    (
        for ((i = 0; i < 50; i++)); do
            stoa -d store snapshot create "r$round-$i" && stoa -d store snapshot drop "r$round-$i"
        done
    ) >/dev/null 2>&1 &
    busy=$!
    sleep "0.$(printf %03d $((RANDOM % 900)))"
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" || :
    wait "$busy" || :
    start_stoad store
    expect 0 stoa -d store --json snapshot list
    same "$(jq -r '[.[] | select(.damage != null)] | length' out)" 0 "damaged snapshots"
    for name in $(jq -r '.[].name | select(startswith("r"))' out); do
        expect 0 stoa -d store snapshot restore "$name" again
        same "$(head_of again)" "$(head_of twin)" "head of $name"
        rm -rf again
        expect 0 stoa -d store snapshot drop "$name"
    done
done
expect 0 stoa -d store snapshot drop one
same "$(find store/snapshots -mindepth 1 -maxdepth 1 | sed 's|.*/||' | sort | tr '\n' ' ')" "pruned three whole " "what is left"
expect 0 stoa -d store verify --deep
stop_stoad

# The same of a closed store.
expect 0 stoa -d store --json snapshot create closed
same "$(jq -r '.name, .number' out | tr '\n' ' ')" "closed 1200 " "of a closed store"
expect 0 stoa -d store snapshot drop closed
same "$(stoa -d store --json snapshot list | jq length)" 3 "snapshots"
