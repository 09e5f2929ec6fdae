#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The clients in Python and in JavaScript store chains and read them back, and the tool sees the same.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad

# copy CLIENT CHAIN: a store of the chain's genesis, filled with its blocks by the client.
copy() {
    local chain=$2 name
    name=$(basename "${1##* }").$(basename "$chain")
    stoa -d "$name" init --genesis "$chain/genesis.json" >/dev/null
    start_stoad "$name"
    # shellcheck disable=SC2086 # a command and its argument
    $1 "$name/stoad.sock" "$chain/chain.rlp" || fail "$1 with $chain"
    stoa -d "$name" export "$name.rlp" >/dev/null
    stop_stoad
    cmp "$name.rlp" "$chain/chain.rlp" || fail "what was stored differs"
    expect 0 stoa -d "$name" verify
}

make_chain 200 made
clients=("python3 $top_srcdir/examples/stoa_client.py")
if command -v node >/dev/null; then
    clients+=("node $top_srcdir/examples/stoa_client.js")
else
    echo "node is not installed: the client in JavaScript is not tested"
fi
chains=("$work/made")
if [ -f "$data/chains/ethtest-2023-12/chain.rlp" ]; then
    chains+=("$data/chains/ethtest-2023-12")
else
    echo "no real chains in $data"
fi
for client in "${clients[@]}"; do
    for chain in "${chains[@]}"; do
        copy "$client" "$chain"
    done
done
