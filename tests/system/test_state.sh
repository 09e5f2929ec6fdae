#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The state that an import brings is shown at the head and at any height, and not where it is not known.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data chains

chain=$data/chains/eapi-2024-01
stoa -d store init --genesis "$chain/genesis.json" >/dev/null
expect 0 stoa -d store import "$chain/chain.rlp" --execution "$chain/execution.jsonl"

# Each account and slot that a line of execution.jsonl names, as of that block.
check_line() {
    local number address
    number=$(jq .number line.json)
    for address in $(jq -r '.accounts | keys[]' line.json); do
        same "$(stoa -d store --json account "$address" --at "$number" | jq -c '[.nonce, .balance, .codeHash]')" \
            "$(jq -c --arg a "$address" '.accounts[$a] | [.nonce, .balance, .codeHash]' line.json)" "$address at $number"
    done
    while read -r address slot value; do
        same "$(stoa -d store storage "$address" "$slot" --at "$number" | sed 's/^0x0*//')" \
            "$(jq -rn --arg value "$value" '$value | sub("^0x0*"; "")')" "slot $slot of $address at $number"
    done < <(jq -r '.storage | to_entries[] | .key as $a | .value | to_entries[] | "\($a) \(.key) \(.value)"' line.json)
}

while read -r line; do
    printf '%s\n' "$line" >line.json
    check_line
done < <(jq -c 'select(.codes | length > 0)' "$chain/execution.jsonl" | head -n 3)

# Code, by the account that has it.
read -r address hash < <(jq -r 'select(.codes | length > 0) | .codes as $c | .accounts | to_entries[] |
    select(.value != null and $c[.value.codeHash] != null) | "\(.key) \(.value.codeHash)"' "$chain/execution.jsonl" | head -n 1)
same "$(stoa -d store code "$address")" \
    "$(jq -r --arg h "$hash" '.codes[$h] // empty' "$chain/execution.jsonl" | head -n 1)" "code of $address"

# What a block changed, as its line has it.
for number in 1 3 20; do
    jq -c "select(.number == $number)" "$chain/execution.jsonl" >line.json
    stoa -d store --json state changes "$number" >changes.json
    same "$(jq -c '[.accounts[] | select(.removed | not) | [.address, .nonce, .balance, .codeHash]] | sort' changes.json)" \
        "$(jq -c '[.accounts | to_entries[] | select(.value != null) | [.key, .value.nonce, .value.balance, .value.codeHash]] | sort' line.json)" \
        "accounts that block $number changed"
    same "$(jq -c '[.slots[].value | sub("^0x0*"; "")] | sort' changes.json)" \
        "$(jq -c '[.storage[][] | sub("^0x0*"; "")] | sort' line.json)" "slots that block $number changed"
    same "$(jq -c '[.codes[]] | sort' changes.json)" "$(jq -c '[.codes[]] | sort' line.json)" "codes that block $number brought"
    same "$(jq -r .hash changes.json)" "$(jq -r .hash line.json)" "the block whose changes they are"
done
expect 1 stoa -d store state changes 21
expect 2 stoa -d store state changes 3 --at 3

# What the state is made of: the genesis, and what the lines make of it.
jq -n -c --slurpfile genesis "$chain/genesis.json" --slurpfile lines "$chain/execution.jsonl" '
    ($genesis[0].alloc | with_entries(.key |= "0x" + (ascii_downcase | ltrimstr("0x")))) as $alloc |
    reduce $lines[] as $line (
        {accounts: $alloc, slots: ($alloc | with_entries(.value |= (.storage // {})))};
        .accounts += $line.accounts |
        reduce ($line.storage | to_entries[]) as $of (.; .slots[$of.key] = (.slots[$of.key] // {}) + $of.value)) |
    [([.accounts[] | select(. != null)] | length),
     ([.slots[] | .[] | sub("^0x0*"; "") | select(. != "")] | length)]' >wanted.json
same "$(stoa -d store --json analyze | jq -c '[.accounts, .slots]')" "$(cat wanted.json)" "accounts and slots"
same "$(stoa -d store --json analyze | jq '.trieLeaves - .accounts - .slots')" 0 "leaves without an account or slot"
expect 0 stoa -d store verify --deep
same "$(stoa -d store --json verify --deep | jq -c '[.stateRoots, .fullStateRoots, .damages]')" '[20,2,0]' "verify --deep"

absent=0x00000000000000000000000000000000000000ff
expect 1 stoa -d store account $absent
expect 1 stoa -d store account "$address" --at 21
expect 2 stoa -d store account 0x12
expect 2 stoa -d store storage "$address" x
expect 2 stoa -d store state put key
expect 2 stoa -d store state delete key value
expect 2 stoa -d store state put key 0x1
expect 2 stoa -d store state put key value --at 1
expect 1 stoa -d store state get key

# Raw keys belong to the block that was the head.
expect 0 stoa -d store state put key value
same "$(stoa -d store state get key)" 0x76616c7565 "a raw value"
expect 0 stoa -d store state put 0x6b6579 0x00ff
same "$(stoa -d store state get key)" 0x00ff "the same key in hexadecimal"
head=$(($(stoa -d store --json head | jq -r .number)))
hash=$(stoa -d store --json header $((head - 1)) | jq -r .hash)
top=$(stoa -d store --json header $head | jq -r .hash)
expect 1 stoa -d store state get key --at $((head - 1))
expect 0 stoa -d store set-head "$hash"
expect 1 stoa -d store state get key
expect 0 stoa -d store state put other 1
expect 0 stoa -d store set-head "$top"
same "$(stoa -d store state get key)" 0x00ff "a raw value that came back with its block"
same "$(stoa -d store state get other)" 0x31 "a raw value of the block below"
expect 0 stoa -d store state delete key
expect 1 stoa -d store state get key
expect 0 stoa -d store verify
same "$(stoa -d store storage $absent 1)" "0x$(printf '0%.0s' {1..64})" "a slot that is not there"

# Without its changes a block leaves the state unknown from there on, and known before.
stoa -d other init --genesis "$chain/genesis.json" >/dev/null
expect 0 stoa -d other import "$chain/chain.rlp"
address=$(jq -r '.alloc | keys[0]' "$chain/genesis.json")
expect 0 stoa -d other account "0x${address#0x}" --at 0
expect 1 stoa -d other account "0x${address#0x}"
grep -q 'stored without' err || fail "the error does not say why: $(cat err)"
