#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every command's --json is one JSON value, and blocks, transactions and receipts are what Ethereum's JSON-RPC answers.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

make_chain 30 made
make_store made store
transaction=$(jq -r 'select(.txs | length > 0) | .txs[0].hash' made/execution.jsonl | head -n 1)

# parsed COMMAND...: its standard output is exactly one JSON value.
parsed() {
    expect 0 stoa -d store --json "$@"
    same "$(jq -s length out)" 1 "JSON values of $*"
}
parsed head
same "$(jq -r .number out)" 0x1e "number of the head"
parsed block 7
same "$(jq -r '.number, (.hash | length), (.transactions | type)' out | tr '\n' ' ')" "0x7 66 array " "fields"
parsed block latest
parsed header 7
parsed tx "$transaction"
same "$(jq -r .hash out)" "$transaction" "hash"
parsed receipt "$transaction"
same "$(jq -r .transactionHash out)" "$transaction" "hash"
parsed receipts 7
same "$(jq -r type out)" array "receipts"
parsed verify
parsed stats
parsed export out.rlp
parsed import made/chain.rlp

# Conversations that others recorded: the same question, the same answer.
compared=0
# converse METHOD JQ-OF-ARGUMENTS COMMAND: ask stoa what each recorded request of METHOD asks.
converse() {
    local method=$1 filter=$2 file line arguments expected name
    shift 2
    for file in "$chain/rpc/$method"/*.io; do
        [ -f "$file" ] || continue
        name=$method/${file##*/}
        while read -r line; do
            case $line in
            '>>'*) arguments=$(jq -r "$filter" <<<"${line#>> }" 2>/dev/null) || arguments= ;;
            '<<'*)
                expected=$(jq -S '.result // empty' <<<"${line#<< }")
                if [ -n "$expected" ] && [ -n "$arguments" ]; then
                    # A height is decimal for stoa, a quantity for JSON-RPC.
                    [[ $arguments != 0x* || ${#arguments} -ge 66 ]] || arguments=$((arguments))
                    # Older and newer nodes differ in two members; where theirs has none, ours says more.
                    same "$(stoa -d real --json "$@" "$arguments" | jq -S --argjson theirs "$expected" '
                        reduce ("blockTimestamp", "totalDifficulty") as $name (.;
                            if any($theirs | .. | objects; has($name)) then . else del(.. | objects | .[$name]) end)
                        ')" "$expected" "$name"
                    compared=$((compared + 1))
                fi
                ;;
            esac
        done <"$file"
    done
}
for chain in "$data"/chains/eapi-2023-10 "$data"/chains/eapi-2025-10; do
    [ -d "$chain/rpc" ] || continue
    stoa -d real init --genesis "$chain/genesis.json" >/dev/null
    stoa -d real import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
    full='select(.params[1]) | .params[0] | select(test("^0x") or . == "latest")'
    converse eth_getBlockByNumber "$full" block
    converse eth_getBlockByHash "$full" block
    converse eth_getTransactionByHash '.params[0]' tx
    converse eth_getTransactionReceipt '.params[0]' receipt
    converse eth_getBlockReceipts '.params[0] | select(type == "string") | select(test("^0x") or . == "latest")' receipts
    rm -rf real
done
echo "$compared recorded answers compared"
