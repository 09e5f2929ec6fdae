#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# State roots are checked as blocks come in: the 8,192 of mainnet's first blocks, and one that is wrong is refused.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data mainnet
requires_data era1

changes=$data/mainnet/state-00000-08191.jsonl
blocks=$data/era1/mainnet-00000-5ec1ffb8.era1
head=$(tail -n 1 "$changes" | jq -r .hash)

# All of them, then with tables made anew from the ledger.
stoa -d store init --genesis "$data/mainnet/genesis.json" >/dev/null
expect 0 stoa -d store import "$blocks" --execution "$changes"
same "$(head_of store)" "0x1fff $head" "head of mainnet's first blocks"
rm -r store/tables
same "$(head_of store)" "0x1fff $head" "head with tables made anew"
expect 0 stoa -d store verify
rm -r store

# The balance of one account is not what it was: that block is refused, and those before it stay.
jq -c 'if .number == 100 then .accounts |= map_values(.balance = "0x1") else . end' <(sed -n 1,200p "$changes") >wrong.jsonl
sed -n '201,$p' "$changes" >>wrong.jsonl
stoa -d store init --genesis "$data/mainnet/genesis.json" >/dev/null
expect 1 stoa -d store import "$blocks" --execution wrong.jsonl
grep -q "stateRoot: the changes of block 100 make 0x.*, its header has $(sed -n 101p "$changes" | jq -r .stateRoot)" err
same "$(head_of store)" "0x63 $(sed -n 100p "$changes" | jq -r .hash)" "head below the wrong block"

# Unless the caller wants it so; later ones then do not agree either.
expect 1 stoa -d store import "$blocks" --execution wrong.jsonl --no-verify receipts
expect 0 stoa -d store import "$blocks" --execution wrong.jsonl --no-verify state-root
same "$(head_of store)" "0x1fff $head" "head past the wrong block"
rm -r store/tables
same "$(head_of store)" "0x1fff $head" "the same with tables made anew"
