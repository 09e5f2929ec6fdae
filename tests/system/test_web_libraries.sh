#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What ethers, viem and web3 read of a real chain through the daemon is what the chain's own files say; and their polling sees
# the head move, and a branch take the place of another. They are taken from
# STOA_NODE_MODULES (a node_modules folder; ~/.cache/stoa-node/node_modules); npm install --prefix ~/.cache/stoa-node ethers@6
# viem@2 web3@4 puts them there.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq node
export STOA_NODE_MODULES=${STOA_NODE_MODULES:-$HOME/.cache/stoa-node/node_modules}
[ -d "$STOA_NODE_MODULES/ethers" ] || [ -d "$STOA_NODE_MODULES/viem" ] || [ -d "$STOA_NODE_MODULES/web3" ] ||
    skip "no ethers, viem or web3 in $STOA_NODE_MODULES"
requires_data chains/eapi-2025-10
chain=$data/chains/eapi-2025-10
find_stoad

stoa -d store init --genesis "$chain/genesis.json" >/dev/null
stoa -d store import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
# Accounts as the last block that changed them left them, and logs as the receipts that the tool shows have them.
logs=$(for height in $(seq 45); do stoa -d store --json receipts "$height"; done | jq -s '[.[][].logs[]] | length')
jq -s --argjson logs "$logs" --argjson chain "$(jq .config.chainId "$chain/genesis.json")" '{
    head: .[-1].number, chainId: $chain, stateRoot: .[-1].stateRoot, logs: $logs,
    blocks: [.[] | {number, hash, stateRoot, txs: [.txs[] | {hash, from, created}]}],
    accounts: [reduce .[].accounts as $some ({}; . + $some) | to_entries[] | select(.value != null) | {address: .key} + .value][:40]
}' "$chain/execution.jsonl" >expected.json

# serve STORE: $port.
serve() {
    start_stoad "$1" --http 127.0.0.1:0
    port=$(sed -n 's/.*event=http .*port=\([0-9]*\).*/\1/p' stoad.log)
    [ -n "$port" ] || fail "stoad did not say its port: $(cat stoad.log)"
}
serve store
for library in ethers viem web3; do
    if [ -d "$STOA_NODE_MODULES/$library" ]; then
        timeout 120 node "$top_srcdir/tests/support/web_libraries.mjs" "http://127.0.0.1:$port/" "$library" expected.json ||
            fail "$library reads something else"
    else
        echo "$library is not in $STOA_NODE_MODULES: not tried"
    fi
done
stop_stoad

# The head that moves and a change of branch, as their polling sees it.
fork=$data/reorg/fork-chain
[ -e "$fork" ] || exit 0
export STOA=$stoa
for library in ethers viem web3; do
    [ -d "$STOA_NODE_MODULES/$library" ] || continue
    stoa -d "forks-$library" init --chain-id 1 >/dev/null
    stoa -d "forks-$library" import "$fork/common.blocks" >/dev/null
    serve "forks-$library"
    timeout 300 node "$top_srcdir/tests/support/web_filters.mjs" "http://127.0.0.1:$port/" "$library" "forks-$library" "$fork" ||
        fail "$library sees something else"
    stop_stoad
done
