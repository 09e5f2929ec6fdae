#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SIGTERM ends the daemon and the tool soon, whatever they are at: here each is at work that would take many times as long as
# it is given. The store is whole afterwards.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
make_chain 1500 made
stoa -d store init --genesis made/genesis.json >/dev/null
stoa -d store import made/chain.rlp --execution made/execution.jsonl >/dev/null 2>&1

# ends_soon WHAT PROCESS: SIGTERM ends it within $limit seconds.
limit=60
ends_soon() {
    local from=$SECONDS
    kill -TERM "$2"
    wait_for "the end of $1" ended "$2"
    [ $((SECONDS - from)) -le "$limit" ] || fail "$1 took $((SECONDS - from)) s to end"
}
ended() { ! kill -0 "$1" || grep -q '^State:.Z' "/proc/$1/status"; }
daemon_ends_soon() {
    local status=0
    ends_soon "$1" "$stoad_pid"
    wait "$stoad_pid" || status=$?
    same "$status" 0 "exit code of the daemon at $1: $(tail -n 3 stoad.log)"
    grep -q 'event=stopped$\|event=stopped ' stoad.log || fail "it did not close its store at $1"
}

# More verifications than can be made in an hour, one behind the other: what a client that is gone asked for is taken back,
# and so is all of it when the daemon stops.
cat >verify.py <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client, StoaError
with Client(sys.argv[1]) as stoa:
    count = int(sys.argv[2])
    for number in range(count):
        stoa.send(42, number + 1, [1])
    print("sent", flush=True)
    results = []
    for number in range(count):
        try:
            stoa.answer()
            results.append("made")
        except StoaError as error:
            results.append(str(error.code))
            if error.code == -19:
                break
    print(*sorted(set(results)), flush=True)
END
ask_to_verify() {
    : >asked # what an earlier one sent is not this one's
    python3 verify.py "$work/store/stoad.sock" "$1" >asked 2>&1 &
    asker=$!
    cleanup_fn "kill -KILL $asker 2>/dev/null"
    wait_for "the requests to be sent" grep -q sent asked
}
start_stoad store --requests-max=3072
began=$EPOCHREALTIME
stoa -d store verify >/dev/null
one_us=$((${EPOCHREALTIME/./} - ${began/./}))
count=$((3600 * 1000000 / one_us))
[ "$count" -le 2000 ] || count=2000
echo "a verification takes $one_us us; $count are asked for"
ask_to_verify 100
kill -KILL "$asker"
stoa -d store head >/dev/null
ask_to_verify "$count"
daemon_ends_soon "verifications"
wait "$asker" || fail "the client that waited for verifications: $(cat asked)"
echo "its client was told: $(tail -n 1 asked)"

# A backup as a job, at a rate by which it would take weeks; a job that rests is ended like one that works.
start_stoad store
stoa -d store backup create "$work/slow" --rate 1000 >slow.out 2>&1 &
client=$!
cleanup_fn "kill -KILL $client 2>/dev/null"
wait_for "the backup to begin" test -d slow/ledger
daemon_ends_soon "a backup"
wait "$client" && fail "a backup that was ended says that it was made"
expect 0 stoa -d store backup create "$work/slow"

# Indexes made anew, over and over.
start_stoad store
while stoa -d store -s store/stoad.sock reindex; do :; done >reindex.out 2>&1 &
client=$!
cleanup_fn "kill -KILL $client 2>/dev/null"
wait_for "an index to be made anew" test -s reindex.out
daemon_ends_soon "reindexing"
wait "$client" 2>/dev/null || :
expect 0 stoa -d store verify

# The tool. Rates make weeks of what would be seconds.
tool_ends_soon() {
    local what=$1 status=0 tool
    shift
    (exec "$stoa" "$@" >tool.out 2>&1) &
    tool=$!
    cleanup_fn "kill -KILL $tool 2>/dev/null"
    wait_for "$what to begin" catches "$tool"
    ends_soon "$what" "$tool"
    wait "$tool" || status=$?
    [ "$status" != 0 ] || fail "$what: it was ended, and says that it is done: $(cat tool.out)"
}
# It has begun to work: it is no shell any more, and has set up what it does at the signal (bit 14 of the caught ones).
catches() { [ "$(cat "/proc/$1/comm")" = "${stoa##*/}" ] && (((0x$(sed -n 's/^SigCgt:\s*//p' "/proc/$1/status") >> 14) & 1)); }
tool_ends_soon "a backup" -d store backup create offline --rate 1000
tool_ends_soon "a check of backups" backup verify slow --rate 1000
tool_ends_soon "restoring" restore slow restored --rate 1000
[ ! -e restored ] || fail "a restore that was ended left something"
expect 0 stoa -d store snapshot create now
tool_ends_soon "restoring a snapshot" -d store snapshot restore now restored --rate 1000
# Values for more than a segment: there is a full one to scrub.
start_stoad store
python3 - "$work/store/stoad.sock" <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client
with Client(sys.argv[1]) as stoa:
    for number in range(40):
        stoa.put_state([(b"much", os.urandom(1 << 20))])
END
stop_stoad
tool_ends_soon "a scrub" -d store scrub --rate 1000
expect 0 stoa -d store verify
expect 0 stoa restore slow restored
