#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What of blocks is pruned is refused with the window named, by the command, JSON-RPC and exports; what is kept, and all
# headers, read as before.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

make_chain 200 made
make_store made store
cp -r store whole

expect 2 stoa -d store prune
says 'what to keep'
expect 2 stoa -d store prune --preset most
expect 1 stoa -d store prune --keep-bodies 100
says 'no block is finalized'
expect 0 stoa -d store set-finalized 190
expect 1 stoa -d store prune --keep-bodies 63
says 'fewer than 64'
expect 1 stoa -d store prune --keep-bodies 80 --keep-receipts 81
says 'receipts cannot be kept longer'
expect 1 stoa -d store prune --keep-receipts 80 --keep-logs 81
expect 1 stoa -d store prune --keep-bodies 80 --keep-transactions 81

from() {
    stoa -d store --json stats | jq -c '[.bodiesFrom, .receiptsFrom, .logsFrom, .transactionsFrom]'
}
expect 0 stoa -d store prune --preset archive
same "$(from)" '[0,0,0,0]' "what an archive node keeps"
expect 0 stoa -d store --json prune --dry-run --keep-bodies 150 --keep-receipts 120 --keep-logs 100 --keep-transactions 80
same "$(from)" '[0,0,0,0]' "what a dry run leaves"
expect 0 stoa -d store prune --keep-bodies 150 --keep-receipts 120 --keep-logs 100 --keep-transactions 80
same "$(from)" '[50,80,100,120]' "floors"
expect 0 stoa -d store stats
grep -Eq "found by hash +from block 120" out || fail "stats do not tell the floors: $(cat out)"

for number in 0 1 49 50 79 80 200; do
    same "$(stoa -d store header "$number" --raw)" "$(stoa -d whole header "$number" --raw)" "header $number"
done
for number in 50 99 200; do
    same "$(stoa -d store block "$number" --raw)" "$(stoa -d whole block "$number" --raw)" "block $number"
done
for number in 80 200; do
    same "$(stoa -d store --json receipts "$number")" "$(stoa -d whole --json receipts "$number")" "receipts of $number"
done
expect 1 stoa -d store block 49
says 'transactions of block 49 are not kept any more: those of 50 to 200 are'
expect 1 stoa -d store block "$(stoa -d whole --json header 7 | jq -r .hash)"
says 'not kept any more: those of 50 to 200 are'
expect 1 stoa -d store receipts 79
says 'kept any more'
expect 1 stoa -d store logs --from 99
says 'logs of block 99 are not kept any more: those of 100 to 200 are'
expect 0 stoa -d store --json logs --from 100
cp out logs.json
stoa -d whole --json logs --from 100 | cmp -s - logs.json || fail "logs that are kept differ"
expect 0 stoa -d store logs
expect 1 stoa -d store export --from 40 --to 60 out.rlp
says 'not kept any more'
expect 0 stoa -d store export --from 50 --to 60 out.rlp

# The first transaction of a block in which there is one, from NUMBER on.
transaction() {
    local number=$1
    while [ "$(stoa -d whole --json block "$number" | jq '.transactions | length')" = 0 ]; do
        number=$((number + 1))
    done
    stoa -d whole --json block "$number" | jq -r '.transactions[0] | if type == "object" then .hash else . end'
}
kept=$(transaction 130)
gone=$(transaction 60)
expect 0 stoa -d store tx "$kept"
expect 1 stoa -d store tx "$gone"
says 'blocks 120 to 200 can be found'

expect 0 stoa -d store verify --deep
rm -r store/tables/*
expect 0 stoa -d store verify --deep
same "$(from)" '[50,80,100,120]' "floors of tables made anew"

expect 0 stoa -d store prune --preset minimal
same "$(from)" '[50,80,100,120]' "floors, which only rise"
expect 0 stoa -d store prune --preset minimal --keep-bodies 70 --keep-receipts 70 --keep-logs 70 --keep-transactions 70
same "$(from)" '[130,130,130,130]' "floors of a preset with options"
expect 0 stoa -d store verify --deep
