#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# logs, history and ranges of blocks on the command line: against each other, against receipts, and against what other
# nodes answered to eth_getLogs.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

make_chain 40 made
make_store made store

# Every log of the chain, from the receipts of its blocks.
for number in {0..40}; do
    stoa -d store --json receipts "$number"
done | jq -s '[.[][].logs[]]' >all.json
[ "$(jq length all.json)" -gt 100 ] || fail "the made chain has too few logs to mean something"

# logs JQ-FILTER ARGUMENTS...: stoa logs says what the filter makes of all logs.
logs() {
    local filter=$1
    shift
    expect 0 stoa -d store --json logs "$@"
    jq "$filter" all.json >wanted.json
    jq . out | cmp -s - wanted.json || fail "logs $* differ: $(jq length out) and $(jq length wanted.json) of them"
}
logs .
logs '.[:7]' --limit 7
says 'may be more'
address=$(jq -r '.[3].address' all.json)
other=$(jq -r --arg not "$address" '[.[] | select(.address != $not)][0].address // $not' all.json)
topic=$(jq -r '[.[] | .topics[0] // empty][5]' all.json)
second=$(jq -r '[.[] | .topics[1] // empty][2] // empty' all.json)
logs "[.[] | select(.address == \"$address\")]" --address "$address"
logs "[.[] | select(.address == (\"$address\", \"$other\"))]" --address "$other" --address "${address#0x}"
logs "[.[] | select(.topics[0] == \"$topic\")]" --topic "$topic"
logs "[.[] | select(.topics[0] == \"$topic\" and .address == \"$address\")]" --topic "$topic" --address "$address"
logs '[.[] | select(.topics | length > 0)]' --topic -
logs '[.[] | select(.topics | length > 3)]' --topic - --topic - --topic - --topic -
if [ -n "$second" ]; then
    logs "[.[] | select(.topics[1] == (\"$second\", \"$topic\"))]" --topic - --topic "$second,$topic"
fi
logs '[.[] | select(.blockNumber == ("0xa", "0xb", "0xc"))]' --from 10 --to 0xc
logs '[]' --address 0x00000000000000000000000000000000000000aa
hash=$(jq -r '.[20].blockHash' all.json)
logs "[.[] | select(.blockHash == \"$hash\")]" --block "$hash"
expect 0 stoa -d store logs --limit 2
grep -q "$(jq -r '.[0].transactionHash' all.json)" out || fail "logs as text name no transaction"
same "$(grep -c ^log out)" 2 "logs as text"

expect 1 stoa -d store logs --to 41
says 'above the head'
expect 1 stoa -d store logs --block "0x$(printf '1%.0s' {1..64})"
expect 2 stoa -d store logs --from 3 --to 2
expect 2 stoa -d store logs --from 3 --block "$hash"
expect 2 stoa -d store logs --address 0x12
expect 2 stoa -d store logs --topic "$topic,"
expect 2 stoa -d store logs --topic - --topic - --topic - --topic - --topic -
expect 2 stoa -d store logs --limit 0

# An address's transactions, from transactions and receipts.
sender=$(stoa -d store --json block 30 | jq -r '.transactions[0].from')
for number in {0..40}; do
    stoa -d store --json receipts "$number"
done | jq -s --arg who "$sender" '[.[][] | . as $r | [
        (select(.from == $who) | "sender"), (select(.to == $who) | "recipient"),
        (select(.contractAddress == $who) | "created"), (select(any(.logs[]; .address == $who)) | "emitter")
    ] | select(length > 0) | {hash: $r.transactionHash, roles: .}] | reverse' >wanted.json
expect 0 stoa -d store --json history --limit 10000 "$sender"
jq '[.[] | select(.transactionHash) | {hash: .transactionHash, roles: (.roles - ["withdrawal"])}]' out >found.json
cmp -s wanted.json found.json || fail "history of $sender: $(diff wanted.json found.json)"
expect 0 stoa -d store --json history "$sender"
[ "$(jq length out)" -le 50 ] || fail "more than 50 without a limit"
expect 0 stoa -d store --json history --before 20 --limit 3 "$sender"
jq -e 'length == 3 and all(.[]; .blockNumber | ltrimstr("0x") | length == 1 or . < "14")' out >/dev/null ||
    fail "history before 20: $(cat out)"
expect 0 stoa -d store --json history --before 0 "$sender"
same "$(cat out)" "[]" "history before the genesis"
expect 0 stoa -d store history --limit 1 "$sender"
grep -q "as  *sender" out || fail "history as text names no role"

# The other way round, and page by page with cursors, it is the same history.
expect 0 stoa -d store --json history --limit 10000 "$sender"
cp out whole.json
expect 0 stoa -d store --json history --limit 10000 --oldest-first "$sender"
# Withdrawals of a block come after its transactions, both ways.
same "$(jq -c 'sort_by(.blockNumber, .transactionHash)' out)" "$(jq -c 'sort_by(.blockNumber, .transactionHash)' \
    whole.json)" "oldest first"
same "$(jq -c 'map(.blockNumber)' out)" "$(jq -c 'reverse | map(.blockNumber)' whole.json)" "oldest first, its order"
# pages COMMAND...: the answer in pages of 3, as one array.
pages() {
    local cursor=() told
    : >paged
    while expect 0 stoa -d store --json "$@" --limit 3 "${cursor[@]}"; do
        cat out >>paged
        told=$(sed -n 's/.*\(--cursor=0x[0-9a-f]*\).*/\1/p' err)
        [ -n "$told" ] || break
        [ "$told" != "${cursor[*]}" ] || fail "$*: a cursor leads to itself"
        cursor=("$told")
    done
    jq -s -c add paged
}
same "$(pages history "$sender")" "$(jq -c . whole.json)" "history in pages"
expect 0 stoa -d store --json history --limit 10000 --oldest-first "$sender"
cp out whole.json
same "$(pages history --oldest-first "$sender")" "$(jq -c . whole.json)" "history in pages, oldest first"
expect 0 stoa -d store --json logs --address "$address"
cp out whole.json
same "$(pages logs --address "$address")" "$(jq -c . whole.json)" "logs in pages"
expect 2 stoa -d store history --cursor 0x12 "$sender"
expect 1 stoa -d store logs --cursor "0x$(printf '11%.0s' {1..48})"
expect 2 stoa -d store history 0x12
expect 3 stoa -d absent history "$sender"
expect 3 stoa -d absent logs

# Ranges are the single blocks, one after another.
for command in block header; do
    expect 0 stoa -d store --json $command 3..12
    for number in {3..12}; do
        stoa -d store --json $command "$number"
    done | jq -s -c . | cmp -s - <(jq -c . out) || fail "$command 3..12 differs from the single ones"
    expect 0 stoa -d store $command 39..latest --raw
    same "$(cat out)" "$(for number in 39 40; do stoa -d store $command $number --raw; done)" "$command 39..latest"
    expect 0 stoa -d store $command 0..40
    same "$(grep -c '^hash' out)" 41 "$command 0..40 as text"
    expect 1 stoa -d store $command 40..41
    says 'above the head'
    expect 2 stoa -d store $command 4..3
    expect 2 stoa -d store $command 4..x
    expect 3 stoa -d absent $command 1..2
done

# Indexes made anew answer as before, and verify finds nothing.
expect 0 stoa -d store --json logs
cp out before.json
for kind in transactions addresses logs state heights; do
    expect 0 stoa -d store --json reindex $kind
    same "$(cat out)" "[\"$kind\"]" "reindex $kind"
done
expect 0 stoa -d store reindex
expect 0 stoa -d store verify
expect 0 stoa -d store --json logs
cmp -s before.json out || fail "logs differ after reindex"
expect 2 stoa -d store reindex parchment
expect 3 stoa -d absent reindex

# Conversations that others recorded: the same question, the same answer.
arguments='.params[0] | (select(.fromBlock) | "--from", .fromBlock), (select(.toBlock) | "--to", .toBlock),
    (select(.blockHash) | "--block", .blockHash), ([.address // empty] | flatten[] | "--address", .),
    (.topics // [] | .[] | "--topic", (if . == null or . == [] then "-" else [.] | flatten | join(",") end))'
compared=0
for chain in "$data"/chains/eapi-*; do
    [ -d "$chain/rpc/eth_getLogs" ] || continue
    rm -rf real
    stoa -d real init --genesis "$chain/genesis.json" >/dev/null
    stoa -d real import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
    for file in "$chain"/rpc/eth_getLogs/*.io; do
        mapfile -t words < <(grep '^>>' "$file" | cut -c4- | jq -r "$arguments")
        expected=$(grep '^<<' "$file" | cut -c4- | jq -S '.result // empty')
        status=0
        stoa -d real --json logs "${words[@]}" >out 2>err || status=$?
        if [ -z "$expected" ]; then
            [ "$status" != 0 ] || fail "${file##*/}: an error was expected, got $(cat out)"
        else
            # Older nodes do not tell the time of the block.
            same "$(jq -S --argjson theirs "$expected" 'if any($theirs[]; has("blockTimestamp")) then .
                else del(.[].blockTimestamp) end' out)" "$expected" "${file##*/}"
        fi
        compared=$((compared + 1))
    done
done
echo "$compared recorded conversations compared"
