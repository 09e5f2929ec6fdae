#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every real chain imports, with and without execution outputs, and comes back byte for byte.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data chains

check_chain() {
    local chain=$1 name=${1##*/} last line hash
    last=$(wc -l <"$chain/execution.jsonl")
    line=$(tail -n 1 "$chain/execution.jsonl")
    for how in with without; do
        local arguments=()
        [ $how = without ] || arguments=(--execution "$chain/execution.jsonl")
        stoa -d store init --genesis "$chain/genesis.json" >/dev/null
        expect 0 stoa -d store import "$chain/chain.rlp" "${arguments[@]}"
        same "$(head_of store)" "$(printf '0x%x %s' "$last" "$(jq -r .hash <<<"$line")")" "head of $name"
        expect 0 stoa -d store export out.rlp
        cmp "$chain/chain.rlp" out.rlp
        expect 0 stoa -d store verify
        read_back store "$chain/chain.rlp" ${arguments[1]:+"${arguments[1]}"}
        # What the tool prints is what the library gives.
        stoa -d store export one.rlp --from "$last" --to "$last" >/dev/null
        same "$(stoa -d store block "$(jq -r .hash <<<"$line")" --raw)" "0x$(hex_of one.rlp)" "block $last"
        if [ $how = with ]; then
            jq -c 'select(.txs | length > 0)' "$chain/execution.jsonl" | tail -n 1 >line.json
            hash=$(jq -r '.txs[0].hash' line.json)
            same "$(stoa -d store receipt "$hash" --raw)" "$(jq -r '.receipts[0]' line.json)" "receipt of $hash"
            same "$(stoa -d store --json tx "$hash" | jq -r '"\(.hash) \(.from) \(.blockHash)"')" \
                "$(jq -r '"\(.txs[0].hash) \(.txs[0].from) \(.hash)"' line.json)" "transaction $hash"
        fi
        # Once more: nothing to do, the same head.
        local before
        before=$(head_of store)
        expect 0 stoa -d store import "$chain/chain.rlp" "${arguments[@]}"
        same "$(head_of store)" "$before" "head after a second import"
        rm -rf store ./*.rlp
    done
    echo "$name: $last blocks"
}

for chain in "$data"/chains/*/; do
    check_chain "${chain%/}"
done

# Compressed, and from standard input.
chain=$data/chains/eapi-2025-10
gzip -c "$chain/chain.rlp" >chain.rlp.gz
stoa -d zipped init --genesis "$chain/genesis.json" >/dev/null
expect 0 stoa -d zipped import chain.rlp.gz
stoa -d piped init --genesis "$chain/genesis.json" >/dev/null
stoa -d piped import - <"$chain/chain.rlp" >/dev/null
same "$(head_of zipped)" "$(head_of piped)" "heads"
stoa -d piped export out.rlp >/dev/null
cmp "$chain/chain.rlp" out.rlp

# Receipts come later to blocks that are stored without them; to those that have them nothing does.
chain=$data/chains/ethtest-2023-12
bare=$(jq -c 'select(.txs | length > 0)' "$chain/execution.jsonl" | wc -l)
stoa -d bare init --genesis "$chain/genesis.json" >/dev/null
stoa -d bare import "$chain/chain.rlp" >/dev/null
expect 1 stoa -d bare logs
# Wrong ones are refused by their block, and so is the line of another block.
last=$(tail -n 1 "$chain/execution.jsonl")
number=$(jq .number <<<"$last")
jq -c '.receipts |= .[:-1]' <<<"$last" >wrong.jsonl
expect 1 stoa -d bare import "$chain/chain.rlp" --execution wrong.jsonl
says "block $number"
jq -c --arg hash "0x$(printf '12%.0s' {1..32})" '.hash = $hash' <<<"$last" >wrong.jsonl
expect 1 stoa -d bare import "$chain/chain.rlp" --execution wrong.jsonl
says "hash: the execution file names another one"
# A file of some of the blocks brings what it has.
tail -n 3 "$chain/execution.jsonl" >some.jsonl
expect 0 stoa -d bare --json import "$chain/chain.rlp" --execution some.jsonl
same "$(jq -c '[.imported, .receiptsAdded]' "$work/out")" "[0,$(jq -c 'select(.txs | length > 0)' some.jsonl | wc -l)]" "receipts of three blocks"
expect 0 stoa -d bare --json import "$chain/chain.rlp" --execution "$chain/execution.jsonl"
same "$(jq -c '[.imported, .receiptsAdded]' "$work/out")" \
    "[0,$((bare - $(jq -c 'select(.txs | length > 0)' some.jsonl | wc -l)))]" "receipts of the others"
read_back bare "$chain/chain.rlp" "$chain/execution.jsonl"
expect 0 stoa -d bare verify
stoa -d whole init --genesis "$chain/genesis.json" >/dev/null
stoa -d whole import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null
same "$(stoa -d bare --json logs | sha256sum)" "$(stoa -d whole --json logs | sha256sum)" "logs"
expect 0 stoa -d bare --json import "$chain/chain.rlp" --execution "$chain/execution.jsonl"
same "$(jq -c '[.imported, .receiptsAdded]' "$work/out")" "[0,0]" "nothing is left to bring"
