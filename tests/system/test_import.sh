#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every real chain imports, with and without execution outputs, and comes back byte for byte.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data chains

# Block N of STORE by height and by hash is the same as in its source file.
check_block() {
    local store=$1 number=$2 hash=$3
    stoa -d "$store" export one.rlp --from "$number" --to "$number" >/dev/null
    same "$(stoa -d "$store" block "$number" --raw)" "0x$(hex_of one.rlp)" "block $number"
    same "$(stoa -d "$store" block "$hash" --raw)" "0x$(hex_of one.rlp)" "block $hash"
    rm one.rlp
}

# Transactions of the line of execution.jsonl in FILE: found by hash, with the receipt and sender that the line has.
check_transactions() {
    local store=$1 file=$2 count index hash
    count=$(jq '.txs | length' "$file")
    for ((index = 0; index < count && index < 3; index++)); do
        hash=$(jq -r ".txs[$index].hash" "$file")
        same "$(stoa -d "$store" receipt "$hash" --raw)" "$(jq -r ".receipts[$index]" "$file")" "receipt of $hash"
        same "$(stoa -d "$store" --json tx "$hash" | jq -r '"\(.hash) \(.from) \(.blockHash)"')" \
            "$(jq -r "\"\(.txs[$index].hash) \(.txs[$index].from) \(.hash)\"" "$file")" "transaction $hash"
    done
}

check_chain() {
    local chain=$1 name=${1##*/} last number line
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
        for number in 1 $((last / 2)) "$last"; do
            sed -n "${number}p" "$chain/execution.jsonl" >line.json
            check_block store "$number" "$(jq -r .hash line.json)"
        done
        if [ $how = with ]; then
            # The last three blocks that have transactions.
            jq -c 'select(.txs | length > 0)' "$chain/execution.jsonl" | tail -n 3 >lines.json
            local with_transactions
            while read -r with_transactions; do
                printf '%s\n' "$with_transactions" >line.json
                check_transactions store line.json
            done <lines.json
        fi
        # Once more: nothing to do, the same head.
        local before
        before=$(head_of store)
        expect 0 stoa -d store import "$chain/chain.rlp" "${arguments[@]}"
        same "$(head_of store)" "$before" "head after a second import"
        rm -rf store out.rlp
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
