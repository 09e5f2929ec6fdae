#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Segments of finalized blocks are packed and unpacked, by the tool and in the daemon, also onto another file system: every
# block and receipt reads as before, copies are whole, a killed daemon leaves the one form or the other, damage is named.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
make_chain 200 made
make_store made store
cp -r store whole

# Three full segments, and some: the last but one of them can be packed.
python_fill() {
    python3 - "$work/store/stoad.sock" <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client
with Client(sys.argv[1]) as stoa:
    for number in range(130):
        stoa.put_state([(b"much", (b"%d " % number + os.urandom(200)) * 4000)])
END
}
start_stoad store
python_fill
expect 1 stoa -d store archive
says 'no block is finalized'
stop_stoad

expect 0 stoa -d store set-finalized 100
expect 0 stoa -d store --json archive
same "$(jq .results.segmentsPacked out)" 0 "segments with blocks above the finalized one that are packed"
expect 0 stoa -d store set-finalized 200
expect 2 stoa -d store archive --keep 0
expect 2 stoa -d store archive --to 0
expect 0 stoa -d store --json archive --keep 150
same "$(jq .results.segmentsPacked out)" 0 "segments within the newest blocks that are packed"
expect 0 stoa -d store --json archive --dry-run
same "$(jq -c '[.dryRun, .results.segmentsPacked]' out)" "[true,2]" "a dry run"
[ ! -e store/archive ] || fail "a dry run leaves store/archive"

# packed STORE NUMBER...: these are packed, and nothing else of them is there.
packed() {
    local store=$1 number
    shift
    for number in "$@"; do
        [ -s "$store/archive/0000000$number.arc" ] || fail "segment $number is not packed"
        [ ! -e "$store/ledger/0000000$number.seg" ] || fail "segment $number is there twice"
    done
}

# Offline.
cp store/ledger/00000001.seg first.seg
expect 0 stoa -d store --json archive
same "$(jq .results.segmentsPacked out)" 2 "packed segments"
jq -e '.results.madeBytes * 2 < .results.sourceBytes' out >/dev/null || fail "it is not half as large: $(cat out)"
packed store 1 2
made=$(jq .results.madeBytes out)
source=$(jq .results.sourceBytes out)
expect 0 stoa -d store --json archive list
same "$(jq -c '[.segments, .bytes, .liveBytes, .damaged, [.list[].segment]]' out)" "[2,$made,$source,0,[1,2]]" "what is packed"
jq -e '.list | all(.bytes * 2 < .liveBytes and .frames > 0 and .dictionaryBytes > 0 and .from <= .to and (.pruned | not))' out >/dev/null ||
    fail "what is packed: $(cat out)"
[ "$(jq '[.list[].blocks] | add' out)" -le 201 ] || fail "too many blocks are packed"
expect 0 stoa -d store --json archive list --from 100000
same "$(jq -c '[.segments, .list]' out)" "[2,[]]" "packed segments with blocks that are not there"
expect 0 stoa -d store archive list
grep -q '^ *00000001 .* frames, .* dictionary' out || fail "the list does not name segment 1: $(cat out)"
grep -q 'all .*2 segments' out || fail "the list has no totals: $(cat out)"
expect 0 stoa -d store --json analyze --storage
same "$(jq -c '[.archiveBytes, [.list[] | select(.form == "packed") | .segment], .damagedSegments]' out)" "[$made,[1,2],0]" "where the bytes are"
jq -e '(.tables | map(.bytes) | add) == .tableBytes and (.jobs[] | select(.job == "archive") | .lastResult == "STOA_OK") and
    (.indexes | length > 3 and all(.missingRuns == 0)) and (.advice[0].action == "backup")' out >/dev/null || fail "where the bytes are: $(cat out)"
expect 0 stoa -d store analyze --storage
grep -q '^ *00000001 .*packed, ' out || fail "segment 1 is not shown: $(cat out)"
grep -q '^ *backup .*none yet' out || fail "a backup is not recommended: $(cat out)"
expect 2 stoa -d store archive list --dry-run
expect 2 stoa -d store archive lost
read_back store made/chain.rlp made/execution.jsonl
expect 0 stoa -d store verify --deep
for number in 0 1 99 200; do
    same "$(stoa -d store --json receipts "$number")" "$(stoa -d whole --json receipts "$number")" "receipts of $number"
done
stoa -d whole --json logs >logs.json
stoa -d store --json logs | cmp -s - logs.json || fail "logs differ"
stoa -d store export --from 1 exported.rlp >/dev/null
cmp -s exported.rlp made/chain.rlp || fail "the chain that is exported differs"
rm -r store/tables/*
expect 0 stoa -d store verify --deep
expect 0 stoa -d store reindex

# Copies, also to a height inside a packed segment.
expect 0 stoa -d store backup create kept
[ -s kept/archive/00000001.arc ] || fail "the backup has no packed segment"
expect 0 stoa -d store snapshot create packed
expect 0 stoa restore kept again
same "$(head_of again)" "$(head_of store)" "head of a restored store"
packed again 1 2
read_back again made/chain.rlp made/execution.jsonl
expect 0 stoa restore kept inside --to 120
same "$(stoa -d inside --json head | jq -r .number)" 0x78 "head of a store restored to a height"
same "$(stoa -d inside block 120 --raw)" "$(stoa -d whole block 120 --raw)" "block 120"
expect 0 stoa -d inside verify --deep
expect 0 stoa -d store snapshot restore packed other
expect 0 stoa -d other verify
rm -r again inside other

# Damage is named by the packed file; every other block is served.
flip_bit store/archive/00000001.arc 5
expect 4 stoa -d store --json verify
jq -e '.damage | any(.file == "archive/00000001.arc" and .offset == 0)' out >/dev/null ||
    fail "the damaged header is not named: $(cat out)"
read_back store made/chain.rlp made/execution.jsonl
flip_bit store/archive/00000001.arc 5
flip_bit store/archive/00000001.arc 150000
expect 4 stoa -d store --json verify
jq -e '.damage | length > 0 and all(.file == "archive/00000001.arc" or (.file | startswith("tables")))' out >/dev/null ||
    fail "the damaged frames are not named: $(cat out)"
flip_bit store/archive/00000001.arc 150000
expect 0 stoa -d store verify

# Back again, byte for byte.
expect 0 stoa -d store --json unarchive --from 1 --to 200
same "$(jq .results.segmentsUnpacked out)" 2 "unpacked segments"
cmp first.seg store/ledger/00000001.seg || fail "an unpacked segment is not what it was"
[ -z "$(ls store/archive)" ] || fail "unpacking leaves $(ls store/archive)"
expect 0 stoa -d store verify

# On another file system, by a link; snapshots copy from there.
elsewhere=$(mktemp -d /dev/shm/stoa-archive.XXXXXX) || skip "no /dev/shm"
cleanup_fn "rm -rf $elsewhere"
rmdir store/archive
ln -s "$elsewhere" store/archive
start_stoad store
expect 0 stoa -d store --json archive
same "$(jq .results.segmentsPacked out)" 2 "segments packed in the daemon"
expect 0 stoa -d store --json archive list
same "$(jq -c '[.segments, [.list[].segment]]' out)" "[2,[1,2]]" "what is packed, told by the daemon"
expect 0 stoa -d store --json analyze --storage
same "$(jq -c '[.list[] | select(.form == "packed") | .segment]' out)" "[1,2]" "where the bytes are, told by the daemon"
stop_stoad
[ -s "$elsewhere/00000001.arc" ] || fail "it is not where the link leads"
packed store 1 2
start_stoad store
expect 0 stoa -d store snapshot create elsewhere
[ -s store/snapshots/elsewhere/archive/00000001.arc ] || fail "the snapshot has no packed segment"
expect 0 stoa -d store scrub
expect 0 stoa -d store --json jobs
jq -e '.[] | select(.job == "archive") | .lastResult == "STOA_OK"' out >/dev/null || fail "the job is not listed"
for number in 1 60 200; do
    same "$(stoa -d store block "$number" --raw)" "$(stoa -d whole block "$number" --raw)" "block $number by the daemon"
done

# Killed at any moment while it moves segments.
for ((round = 0; round < ${STOA_KILL_ROUNDS:-6}; round++)); do
    command=archive
    [ -e "$elsewhere/00000002.arc" ] && command=unarchive
    stoa -d store "$command" >/dev/null 2>&1 &
    tool=$!
    sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" || :
    wait "$tool" || :
    start_stoad store
    for number in 1 2; do
        forms=$(find store/ledger/ "$elsewhere" -name "0000000$number.*" | wc -l)
        same "$forms" 1 "forms of segment $number after a kill"
    done
    same "$(stoa -d store block 77 --raw)" "$(stoa -d whole block 77 --raw)" "block 77"
done
stop_stoad
expect 0 stoa -d store verify --deep
read_back store made/chain.rlp made/execution.jsonl
