#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# How the last verification of each depth came out: kept by the store, closed or served, over kills and damage, until its tables are
# made anew.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
find_stoad
make_chain 30 made
make_store made store

# kept DEPTH MEMBERS: of the note of that depth, nothing where there is none.
kept() {
    stoa -d store --json analyze --storage | jq -c ".verifications[] | select(.depth == \"$1\") | $2"
}
counts='[.segments, .frames, .bytes, .blocks, .transactions, .receipts, .stateChanges, .stateRoots, .fullStateRoots, .damages]'

expect 0 stoa -d store --json analyze --storage
same "$(jq -c .verifications out)" "[]" "notes of a new store"
expect 0 stoa -d store analyze --storage
grep -qx "never verified" out || fail "a new store was verified: $(cat out)"

expect 0 stoa -d store --json verify
same "$(jq .noted out)" true "a note"
same "$(kept plain "$counts")" "$(jq -c "$counts" out)" "what was counted"
same "$(kept plain '[.result, .height, .began > 1500000000, .began <= .ended]')" '["STOA_OK",30,true,true]' "how it came out"
same "$(kept deep .)" "" "a deep one"
expect 0 stoa -d store --json verify --deep
same "$(kept deep "$counts")" "$(jq -c "$counts" out)" "what was counted deeply"
plain=$(kept plain .)
deep=$(kept deep .)

# A daemon that is killed has kept what it answered.
sleep 1 # the clock of notes
start_stoad store
same "$(kept deep .)" "$deep" "the note of before"
expect 0 stoa -d store verify --deep
deep=$(kept deep .)
stoa -d store stats --prometheus | grep -qx "stoa_verify_ended_timestamp_seconds $(jq .ended <<<"$deep")" ||
    fail "the metric does not tell when: $(stoa -d store stats --prometheus | grep verify)"
killed() {
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" || :
}
killed
start_stoad store
same "$(kept deep .)" "$deep" "the note after a kill"
same "$(kept plain .)" "$plain" "the plain one"

# Damage is kept as what it is, and advised to be repaired.
sleep 1
flip_bit store/ledger/00000001.seg "$(in_a_frame store/ledger/00000001.seg 8000)" 3
expect 4 stoa -d store --json verify
damages=$(jq .damages out)
[ "$damages" -ge 1 ] || fail "no damages: $(cat out)"
same "$(jq .noted out)" true "a note of damage"
stoa -d store stats --prometheus | grep -qx "stoa_verify_damages $damages" || fail "the metric does not tell damage"
stop_stoad
same "$(kept plain '[.result, .damages]')" "[\"STOA_ECORRUPT\",$damages]" "damage"
same "$(kept deep .)" "$deep" "the deep one"
expect 0 stoa -d store analyze --storage
grep -q "^ *plain .* UTC, damaged, $damages damages" out || fail "damage is not shown: $(cat out)"
grep -q "^ *deep .* UTC, sound, 0 damages, 31 blocks" out || fail "the deep one is not shown: $(cat out)"
grep -q "^ *repair " out || fail "it is not to be repaired: $(cat out)"

# It goes with the tables.
rm -r store/tables
same "$(kept plain .)$(kept deep .)" "" "notes of new tables"

# Of a store without blocks it is no less durable.
rm -r store
expect 0 stoa -d store init
start_stoad store
expect 0 stoa -d store verify
killed
same "$(kept plain '[.result, .height, .blocks]')" '["STOA_OK",0,0]' "the note of an empty store"
