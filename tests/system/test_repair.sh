#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Damage as an operator meets it: scrub and verify name it, repair mends it from a backup, another copy or a snapshot, or says
# that it cannot.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq cmp
seed_random

make_chain 200 made
make_store made store
expect 0 stoa -d store backup create kept
expect 0 stoa restore kept twin
segment=store/ledger/00000001.seg
used=$(sed -n 's/^ledger 1 \([0-9]*\) .*/\1/p' kept/00000001.backup)
expect 0 stoa -d store --json scrub
same "$(jq .damages out)" 0 "damages of a sound store"
expect 0 stoa -d store --json repair
same "$(jq -c '[.damages, .mended, .left, .rebuiltTables]' out)" "[0,0,0,false]" "repair of a sound store"
expect 3 stoa -d nowhere repair

# Any byte of the blocks: found, mended, and the same again.
rounds=6
[ -z "${STOA_LONG:-}" ] || rounds=200
for ((i = 0; i < rounds; i++)); do
    at=$(((RANDOM * 32768 + RANDOM) % (used - 4096)))
    flip_bit "$segment" "$at" $((RANDOM % 8))
    if cmp -s -n "$used" "$segment" kept/ledger/00000001.seg; then
        fail "nothing was flipped at $at"
    fi
    source=kept
    [ $((i % 2)) = 0 ] || source=twin
    expect 0 stoa -d store --json repair --from "$source"
    same "$(jq -c '[.damages, .mended, .left, .rebuiltTables]' out)" "[1,1,0,true]" "repair of the byte at $at"
    cmp -n "$used" "$segment" kept/ledger/00000001.seg
done
stoa -d store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
expect 0 stoa -d store verify --deep

# Nothing has it: it is told, with its block, and the rest is served.
flip_bit "$segment" "$(in_a_frame "$segment" $((used / 2)))"
expect 4 stoa -d store --json repair
[ "$(jq '.damage | length' out)" = 1 ] || fail "not told: $(cat out)"
same "$(jq -c '.damage[0].source' out)" null "source of what nothing has"
expect 4 stoa -d store verify
expect 0 stoa -d store block 1

# From its own snapshot, which was made before the damage.
expect 0 stoa -d store repair --from kept
expect 0 stoa -d store snapshot create sound
flip_bit "$segment" "$(in_a_frame "$segment" $((used / 3)))"
expect 0 stoa -d store --json repair
same "$(jq -r '.damage[0].source' out | sed 's|.*/||')" sound "source"
expect 0 stoa -d store verify

# Identity and tables.
flip_bit store/STORE 20
expect 4 stoa -d store head
expect 0 stoa -d store repair --from kept
same "$(head_of store)" "$(head_of twin)" "heads"
for table in store/tables/*.wt; do
    size=$(stat -c %s "$table")
    [ "$size" -le 8192 ] || dd if=/dev/urandom of="$table" bs=4096 seek=1 count=$((size / 4096 - 1)) conv=notrunc status=none
done
expect 0 stoa -d store repair
expect 0 stoa -d store verify --deep
same "$(head_of store)" "$(head_of twin)" "heads"
