#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# JSON-RPC conversations that others recorded: the same questions, the same answers, from stores that import made. The manual
# has every method of the table, and no other.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

manual=$top_srcdir/man/stoa-rpc.7
table=$top_srcdir/src/rpc/method.def
methods() {
    sed -n 's/^RPC_METHOD("\([^"]*\)", \([a-zA-Z_]*\).*/\2 \1/p' "$table" | sed -n "s/^$1 //p" | sort
}
same "$(sed -n '/^\.Sh METHODS/,/^\.Sh METHODS NOT/s/^\.It Ic \([a-zA-Z0-9_]*\).*/\1/p' "$manual" | sort)" \
    "$(methods '[a-z][a-z0-9_]*')" "methods of the manual and of the table"
same "$(sed -n '/^\.Sh METHODS NOT/,/^\.Sh CODES/s/^\.It Ic \([a-zA-Z0-9_]*\).*/\1/p' "$manual" | sort)" \
    "$(methods NULL)" "methods that are not there"

requires_data chains
find_program tests/support/converse || fail "converse was not built in $top_builddir"
converse=$program
compared=0
for chain in "$data"/chains/*/rpc; do
    chain=${chain%/rpc}
    stoa -d real init --genesis "$chain/genesis.json" >/dev/null
    stoa -d real import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
    # The node of the recordings took its head as finalized.
    stoa -d real set-finalized "$(($(stoa -d real --json head | jq -r .number)))" >/dev/null
    "$converse" --store real "$chain/rpc"
    compared=$((compared + 1))
    rm -rf real
done
[ "$compared" -ge 5 ] || fail "only $compared chains with conversations"
