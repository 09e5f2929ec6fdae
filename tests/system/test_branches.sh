#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Competing branches by the program: the real fork chain, stored, chosen from and finalized.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data reorg/fork-chain
fork=$data/reorg/fork-chain

stoa init >/dev/null
stoa import "$fork/common.blocks" "$fork/fork-outdated.blocks" >/dev/null
stoa import --side "$fork/fork-upgraded.blocks" >/dev/null
outdated=$(stoa --json head | jq -r .hash)
same "$(stoa --json head | jq -c '[.number, .safe, .finalized]')" '["0xa",null,null]' "the head"
same "$(stoa --json branches | jq length)" 2 "number of branches"
upgraded=$(stoa --json branches | jq -r '.[1].hash')
same "$(stoa --json branches | jq -c '[.[] | [.canonical, .number, .fork.number]]')" \
    '[[true,"0xa","0xa"],[false,"0xa","0x6"]]' "branches"
stoa branches | grep -q '^  forks off *6$' || fail "branches as text"

for wanted in "$upgraded" "$outdated" "$upgraded"; do
    stoa set-head "$wanted" >/dev/null
    same "$(stoa --json head | jq -r .hash)" "$wanted" "the head after set-head"
    same "$(stoa --json block 10 | jq -r .hash)" "$wanted" "block 10 after set-head"
    stoa block "$outdated" >/dev/null
    stoa block "$upgraded" >/dev/null
    stoa verify >/dev/null
done

stoa set-finalized 6 | grep -q '^finalized *6$' || fail "set-finalized"
stoa set-safe latest >/dev/null
stoa set-head "$outdated" >/dev/null
same "$(stoa --json head | jq -c '[.safe.number, .finalized.number]')" '["0x6","0x6"]' "marks after a change of branch"
stoa set-finalized latest >/dev/null
expect 1 stoa set-head "$upgraded"
expect 1 stoa set-finalized 7
expect 2 stoa set-head nonsense
expect 1 stoa set-head 0x0000000000000000000000000000000000000000000000000000000000000001
same "$(stoa --json branches | jq length)" 1 "branches once one is finalized"
stoa verify >/dev/null
