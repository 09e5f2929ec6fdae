#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A daemon that cannot stop in order ends all the same when stop-seconds are over: its store's loop stands still in the middle of
# writing. What was acknowledged is there. One that nobody reads goes on, and stops in order.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
find_program tests/support/hold || fail "hold was not built in $top_builddir"
hold=$program
make_chain 20 made
make_store made store

# ends_late WHAT LEAST: SIGTERM ends it with 1, not before LEAST seconds and long before what start_stoad would wait.
ends_late() {
    local status=0 from=$SECONDS
    kill -TERM "$stoad_pid"
    wait_for "the end of a daemon that $1" has_ended
    wait "$stoad_pid" || status=$?
    same "$status" 1 "exit code of a daemon that $1"
    [ $((SECONDS - from)) -ge "$2" ] || fail "it $1, and was given $((SECONDS - from)) s"
}
has_ended() { ! kill -0 "$stoad_pid" || grep -q '^State:.Z' "/proc/$stoad_pid/status"; }

# The loop of the store stands still, with a write under way.
start_stoad store --stop-seconds=2
expect 0 stoa -d store state put before 1
"$hold" "$stoad_pid" stoa-loop >held 2>hold.err &
holder=$!
cleanup_fn "kill -KILL $holder 2>/dev/null"
is_held() { grep -q held held || ! kill -0 "$holder"; }
wait_for "the loop to be held" is_held
if ! grep -q held held; then
    status=0
    wait "$holder" || status=$?
    [ "$status" = 77 ] && skip "a thread cannot be held here: $(cat hold.err)"
    fail "hold: $(cat hold.err)"
fi
cat >write.py <<'END'
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/examples")
from stoa_client import Client, StoaError
with Client(sys.argv[1]) as stoa:
    print("asks", flush=True)
    try:
        stoa.put_state([(b"during", b"1")])
        print("acknowledged")
    except (StoaError, OSError):
        print("not acknowledged")
END
python3 write.py store/stoad.sock >asked &
asker=$!
cleanup_fn "kill -KILL $asker 2>/dev/null"
wait_for "the write to be asked for" grep -q asks asked
ends_late "is held up" 2
grep -q 'event=stopped_late' stoad.log || fail "it does not say that it was late: $(cat stoad.log)"
wait "$holder" || fail "the holder of the loop: $(cat hold.err)"
wait "$asker" || fail "the client that was not answered"
same "$(tail -n 1 asked)" "not acknowledged" "what a client is told"
expect 0 stoa -d store verify
same "$(stoa -d store state get before | tr -d '\n')" 0x31 "what was acknowledged"

# Nobody reads its standard error, and the pipe is full.
mkfifo unread
exec 3<>unread
case ${SANITIZER_CFLAGS:-} in *address*) confine=no ;; *) confine=yes ;; esac
# shellcheck disable=SC2086 # a command and its arguments
${STOA_TEST_WRAPPER:-} "$stoad" -d store --confine=$confine </dev/null >/dev/null 2>unread 3<&- &
stoad_pid=$!
cleanup_fn "kill -KILL $stoad_pid 2>/dev/null"
until [[ ${line:=} = *event=ready* ]]; do
    read -r -t 60 line <&3 || fail "the daemon was not ready: $line"
done
python3 -c '
import os
pipe = os.open("unread", os.O_WRONLY | os.O_NONBLOCK)
for size in 65536, 1:
    try:
        while True:
            os.write(pipe, bytes(size))
    except BlockingIOError:
        pass'
kill -HUP "$stoad_pid" # more to say
expect 0 stoa -d store state put unheard 2
kill -TERM "$stoad_pid"
wait_for "the end of a daemon that nobody reads" has_ended
wait "$stoad_pid" || fail "a daemon that nobody reads ended with $?"
exec 3<&-
expect 0 stoa -d store verify
same "$(stoa -d store state get unheard | tr -d '\n')" 0x32 "what was acknowledged while nobody read"
