#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon's HTTP: recorded JSON-RPC conversations over a real connection, what watches it, and what it refuses.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires curl jq
find_stoad

# start STORE SETTING...: a daemon serves it, at $port.
start() {
    local store=$1
    shift
    start_stoad "$store" --http 127.0.0.1:0 "$@"
    port=$(sed -n 's/.*event=http .*port=\([0-9]*\).*/\1/p' "$work/stoad.log")
    [ -n "$port" ] || fail "stoad did not say its port: $(cat "$work/stoad.log")"
}

# get STATUS ARGUMENT...: curl says STATUS; the body is then in $work/body, the headers in $work/headers.
get() {
    local wanted=$1 path=$2
    shift 2
    same "$(curl -s -m 20 -o "$work/body" -D "$work/headers" -w '%{http_code}' "$@" "http://127.0.0.1:$port$path")" "$wanted" \
        "status of $path $*"
}
json=(-H 'Content-Type: application/json')

make_chain 30 made
make_store made store
start store --http-connections 8 --rpc-body-size 4096 --rpc-batch 3 --http-origins https://explorer.example

get 200 /healthz
same "$(head -n 1 body)" healthy "health"
get 200 /readyz
get 200 /metrics
grep -q '^stoa_head_height 30$' body || fail "no head in /metrics"
grep -q '^stoa_http_requests_total 3$' body || fail "no requests in /metrics"
if command -v promtool >/dev/null; then
    promtool check metrics <body >promtool.log 2>&1 || fail "promtool: $(cat promtool.log)"
fi
get 404 /nothing
get 405 /
grep -qi '^Allow: POST' headers || fail "405 does not say what is allowed"
get 405 /metrics "${json[@]}" -d '{}'
get 415 / -d '{}'
get 403 /healthz -H 'Host: evil.example'
get 200 /healthz -H 'Host: localhost:1'

get 200 / "${json[@]}" -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
same "$(jq -r .result body)" 0x1e "head"
get 200 / "${json[@]}" -d '[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_call"}]'
same "$(jq -r '.[1].error.code' body)" -32601 "code of what is not answered"
get 200 / "${json[@]}" -d '[1,1,1,1]'
same "$(jq -r .error.message body)" "batch too large" "batch"
get 200 / "${json[@]}" -d '{"jsonrpc":"2.0","method":"eth_chainId"}'
[ ! -s body ] || fail "a notification was answered"

# A body that is too large: said in its length, or found out as it comes.
head -c 5000 /dev/zero | tr '\0' ' ' >large
get 413 / "${json[@]}" --data-binary @large
same "$(jq -r .error.code body)" -32600 "code of a body that is too large"
get 413 / "${json[@]}" -H 'Transfer-Encoding: chunked' --data-binary @large

# A page may ask where it was allowed to.
get 204 / -X OPTIONS -H 'Origin: https://explorer.example' -H 'Access-Control-Request-Method: POST'
grep -qi '^Access-Control-Allow-Origin: https://explorer.example' headers || fail "the page was not let in"
get 405 / -X OPTIONS -H 'Origin: https://evil.example'
get 200 / "${json[@]}" -H 'Origin: https://evil.example' -d '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
! grep -qi '^Access-Control' headers || fail "a page of elsewhere was let in"

# Many at once: each gets its answer, though they come over fewer connections than there are askers.
askers=()
for i in $(seq 24); do
    curl -s -m 30 --retry 20 --retry-connrefused --retry-delay 1 "${json[@]}" -o "answer.$i" \
        -d '{"jsonrpc":"2.0","id":'"$i"',"method":"eth_getBlockByNumber","params":["latest",true]}' "http://127.0.0.1:$port/" &
    askers+=($!)
done
for asker in "${askers[@]}"; do
    wait "$asker" || fail "an asker was not served"
done
for i in $(seq 24); do
    same "$(jq -r '"\(.id) \(.result.number)"' "answer.$i")" "$i 0x1e" "answer $i"
done
stop_stoad
expect 1 "$stoad" --directory store --http 127.0.0.1 --check-config
expect 1 "$stoad" --directory store --http nowhere:1 --check-config

# What others recorded.
requires_data chains
find_program tests/support/converse || fail "converse was not built in $top_builddir"
converse=$program
for chain in "$data"/chains/*/rpc; do
    chain=${chain%/rpc}
    rm -rf real
    stoa -d real init --genesis "$chain/genesis.json" >/dev/null
    stoa -d real import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
    stoa -d real set-finalized "$(($(stoa -d real --json head | jq -r .number)))" >/dev/null
    start real
    "$converse" --port "$port" "$chain/rpc"
    stop_stoad
done
