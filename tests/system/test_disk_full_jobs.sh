#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A disk that is short of room, and one that fills up, during each job: the job stops with a clear error, commits go on as long as
# there is the room that they need, reads go on in any case, and nothing is lost.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
mount_disk 700M

make_chain 1000 made
store=disk/store
make_store made "$store"
start_stoad "$store" --scrub-seconds=0
python3 - "$work/$store/stoad.sock" <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client
with Client(sys.argv[1]) as stoa:
    for number in range(72):
        stoa.put_state([(b"much", os.urandom(1000000))])
END
expect 0 stoa -d "$store" checkpoint # nothing is pending: it has room of its own kept
expect 0 stoa -d "$store" set-finalized 990
head=$(head_of "$store")

# Leave so many MiB of the disk.
leave() {
    local free
    rm -f disk/ballast disk/more
    free=$(df --output=avail -k disk | tail -n 1)
    [ "$free" -gt $(($1 * 1024)) ] || fail "only $free KiB are free"
    fallocate -l $(((free - $1 * 1024) * 1024)) disk/ballast
}
# Everything that is free.
fill_up() {
    head -c 1G /dev/zero >disk/more 2>/dev/null || :
}
commits=0
goes_on() {
    commits=$((commits + 1))
    expect 0 stoa -d "$store" state put commit "$commits"
    reads_go_on "$1"
}
reads_go_on() {
    same "$(head_of "$store")" "$head" "head after $1"
    expect 0 stoa -d "$store" block 950
    expect 0 stoa -d "$store" receipts 960
}

# Room for commits and not for the job: it is refused before it takes any.
leave 24
expect 1 stoa -d "$store" backup create disk/kept
says 'bytes are to be copied.*free'
goes_on "a backup"
expect 1 stoa -d "$store" snapshot create now
says 'bytes are wanted.*free'
same "$(stoa -d "$store" --json snapshot list)" "[]" "snapshots"
[ -z "$(find "$store/snapshots" -mindepth 1 2>/dev/null)" ] || fail "something of the snapshot is left"
goes_on "a snapshot"
expect 1 stoa -d "$store" prune --keep-bodies 64
says 'takes up to .* are free'
goes_on "a prune"
expect 0 stoa -d "$store" scrub
goes_on "a scrub"
expect 0 stoa -d "$store" checkpoint
goes_on "a checkpoint"
expect 0 stoa -d "$store" compact
goes_on "a compaction"
expect 0 stoa -d "$store" --json optimize
[ "$(jq .results.mergedIndexes out)" -gt 0 ] || fail "optimize merged nothing: $(cat out)"
goes_on "an optimize"

# The disk fills up while the job is at it.
leave 150
stoa -d "$store" backup create disk/kept --rate 8000000 >backup.out 2>&1 &
backup=$!
has_begun() { [ "$(du -sk disk/kept | cut -f 1)" -gt 4096 ] || ! kill -0 "$backup" 2>/dev/null; }
wait_for "the backup to begin" has_begun
kill -0 "$backup" || fail "it has ended already: $(cat backup.out)"
fill_up
wait "$backup" && fail "a backup on a full disk says that it is done"
grep -Eiq 'space' backup.out || fail "it is not told why: $(cat backup.out)"
reads_go_on "a backup that met a full disk"
expect 1 stoa -d "$store" state put full 1
says 'space'
expect 1 stoa -d "$store" snapshot create full
says 'space|free'
expect 0 stoa -d "$store" scrub
status=0
stoa -d "$store" checkpoint >out 2>err || status=$?
[ "$status" = 0 ] || says 'space'
status=0
stoa -d "$store" prune --keep-bodies 64 >out 2>err || status=$?
[ "$status" != 0 ] || fail "a prune without any room says that it is done"
says 'space|free'
[ "$(stoa -d "$store" --json jobs | jq -r '.[] | select(.job == "prune") | .lastResult')" = STOA_ENOSPACE ] ||
    fail "the list of jobs does not tell it: $(stoa -d "$store" jobs)"
reads_go_on "a full disk"
rm -f disk/more disk/ballast

# With room again it recovers alone, and each job ends.
writable() { stoa -d "$store" state put again 1; }
wait_for "writing to be possible again" writable
goes_on "room came back"
leave 200
expect 0 stoa -d "$store" backup create disk/kept
expect 0 stoa backup verify disk/kept
rm -rf disk/kept
expect 0 stoa -d "$store" snapshot create now
expect 0 stoa -d "$store" prune --keep-bodies 64
expect 0 stoa -d "$store" optimize
expect 0 stoa -d "$store" compact
expect 0 stoa -d "$store" scrub
expect 0 stoa -d "$store" state get commit
same "$(tr -d '\n' <out)" "0x$(printf %s "$commits" | od -An -tx1 | tr -d ' \n')" "the newest commit"
stop_stoad
expect 0 stoa -d "$store" verify --deep
