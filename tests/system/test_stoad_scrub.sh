#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Full segments read again beside a daemon's work: at a rate, paused, killed and gone on with, by its schedule; damage is named by
# file, offset and block, told by health and metrics until it is mended, and everything else is served.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
seed_random
make_chain 200 made
make_store made store

# Two full segments, and some.
fill() {
    python3 - "$work/store/stoad.sock" "$1" "$2" <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client
with Client(sys.argv[1]) as stoa:
    for number in range(int(sys.argv[2])):
        stoa.put_state([(b"much", os.urandom(int(sys.argv[3])))])
END
}
settings=(--scrub-seconds=0)
start_stoad store "${settings[@]}"
fill 72 1000000

scrub_job() {
    stoa -d store --json jobs | jq -r ".[] | select(.job == \"scrub\") | .$1"
}

# Sound: every full segment, all of it.
expect 0 stoa -d store --json scrub --rate 1000000000
same "$(jq -c '[.damage, .damages]' out)" "[[],0]" "damage of a sound store"
segments=$(jq .segments out)
frames=$(jq .frames out)
bytes=$(jq .bytes out)
[ "$segments" -ge 2 ] || fail "only $segments segments were read"
[ "$bytes" = "$(find store/ledger -name '*.seg' | sort | head -n "$segments" | xargs stat -c %s | awk '{n += $1} END {print n}')" ] ||
    fail "$bytes bytes are not those of the full segments"
same "$(scrub_job lastResult)" STOA_OK "the last result"
expect 0 stoa -d store --json scrub --dry-run
same "$(jq -c '[.dryRun, .results.segments, .results.bytes]' out)" "[true,$segments,$bytes]" "a dry run"

# Slowly: it is paused in the middle, survives a kill, and reads no more than what was left.
stoa -d store scrub --rate 2000000 >slow.out 2>&1 &
slow=$!
some_bytes() { [ "$(scrub_job "done")" -gt 1000000 ]; }
wait_for "the scrub to begin" some_bytes
expect 1 stoa -d store scrub
grep -q "under way" err || fail "a second one is refused with: $(cat err)"
expect 0 stoa -d store jobs pause scrub
same "$(scrub_job state)" paused "the state of a paused scrub"
expect 0 stoa -d store checkpoint
kill -KILL "$stoad_pid"
wait "$stoad_pid" || :
wait "$slow" && fail "it says that it is done"
start_stoad store "${settings[@]}"
same "$(scrub_job 'state, .interrupted' | tr '\n' ' ')" "paused true " "after a kill"
expect 0 stoa -d store jobs resume scrub
expect 0 stoa -d store jobs cancel scrub
is_over() { [ "$(scrub_job 'active, .interrupted' | tr '\n' ' ')" = "false false " ]; }
wait_for "the end of what was canceled" is_over
same "$(scrub_job lastResult)" STOA_ECANCELED "what was canceled"
expect 0 stoa -d store checkpoint # with it what is noted of jobs is durable

# Killed at any moment: the next daemon ends what was begun.
runs=$(scrub_job runs)
for ((round = 0; round < ${STOA_KILL_ROUNDS:-4}; round++)); do
    stoa -d store scrub --rate 40000000 >/dev/null 2>&1 &
    sleep "0.$(printf %03d $((RANDOM % 900 + 50)))"
    [ $((RANDOM % 2)) = 0 ] || expect 0 stoa -d store checkpoint
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" || :
    wait
    start_stoad store "${settings[@]}"
    wait_for "the end of what was interrupted" is_over
done
expect 0 stoa -d store verify --deep
expect 0 stoa -d store --json scrub --rate 1000000000
same "$(jq -c '[.segments, .frames, .bytes, .damages]' out)" "[$segments,$frames,$bytes,0]" "after kills"
[ "$(scrub_job runs)" -gt "$runs" ] || fail "no run has ended"

# Damage in two segments: named, told until it is mended, found by schedule as well, and nobody else is troubled.
first=$(in_a_frame store/ledger/00000001.seg 40000)
second=$(in_a_frame store/ledger/00000002.seg 300000)
flip_bit store/ledger/00000001.seg "$first" 3
flip_bit store/ledger/00000002.seg "$second" 5
expect 4 stoa -d store --json scrub --rate 1000000000
same "$(jq -c '[.damages, (.damage | map(.file))]' out)" '[2,["00000001.seg","00000002.seg"]]' "damage"
jq -e ".damage[0] | .offset <= $first and .offset + .size > $first and .number != null and (.what | length) > 0" out >/dev/null ||
    fail "the place is not named: $(cat out)"
same "$(scrub_job 'lastResult, .results.damages' | tr '\n' ' ')" "STOA_ECORRUPT 2 " "the job's end"
degraded() { stoa -d store --json health | jq -e '.state == "degraded" and (.reasons | map(.text) | join(" ") | test("2 damaged.*00000001.seg.*block"))' >/dev/null; }
wait_for "health to tell it" degraded
stoa -d store stats --prometheus | grep -qx "stoa_scrub_damages 2" || fail "the metric does not tell it"
expect 0 stoa -d store block latest
fill 3 1000
stop_stoad
start_stoad store --scrub-seconds=1 --scrub-rate=1G
wait_for "health to tell it after a restart" degraded
by_itself() { [ "$(scrub_job runs)" -gt "$runs" ]; }
runs=$(scrub_job runs)
wait_for "a scrub by its schedule" by_itself
# Between two runs, which come every second: what is told beside one is what that has found so far.
found_by_itself() { [ "$(scrub_job 'active, .lastResult, .results.damages' | tr '\n' ' ')" = "false STOA_ECORRUPT 2 " ]; }
wait_for "the same damage to be found by itself" found_by_itself
flip_bit store/ledger/00000001.seg "$first" 3
flip_bit store/ledger/00000002.seg "$second" 5
healthy() { stoa -d store --json health | jq -e '.reasons | map(.text) | join(" ") | test("damaged") | not' >/dev/null; }
wait_for "health to forget what is mended" healthy
stop_stoad

# The same of a closed store; interrupted it goes on where it was.
expect 0 stoa -d store --json scrub
[ "$(jq .segments out)" -ge "$segments" ] || fail "too few segments of a closed store"
flip_bit store/ledger/00000002.seg "$second" 1
expect 4 stoa -d store scrub
grep -q '00000002.seg' out || fail "it is not told where: $(cat out)"
