#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Where io_uring is forbidden the same tests pass on the fallback, which says that it was taken.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
find_program tests/support/no_io_uring || fail "no_io_uring was not built in $top_builddir"
export STOA_TEST_WRAPPER=$program
"$STOA_TEST_WRAPPER" true || skip "no seccomp filter can be set here"

make_chain 40 made
make_store made store
same "$(stoa -d store --json stats | jq -r .io)" threads "backend under the filter"
stoa -d store stats >out 2>err
grep -qi thread out err || fail "nothing says that the fallback was taken"

# serves_by LOOP FEATURE: a daemon says that its sockets are served so, and a client is.
find_program ./stoad || fail "stoad was not built in $top_builddir"
stoad=$program
serves_by() {
    start_stoad store
    grep -q "event=sockets loop=$1 .*$2" stoad.log || fail "sockets are not served by $1 with $2: $(cat stoad.log)"
    same "$(stoa -d store --json head | jq -r .number)" 0x28 "head, from the daemon"
    stop_stoad
}
serves_by epoll one-shot
grep -q 'event=warning .*epoll serves sockets' stoad.log || fail "the daemon does not say that it fell back"
wrapper=$STOA_TEST_WRAPPER
export STOA_TEST_WRAPPER="$wrapper --no-buffers"
start_stoad store
stop_stoad
if grep -q 'event=sockets loop=io_uring' stoad.log; then
    serves_by io_uring 'one-shot accept'
    echo "-- test_stoad.sh without buffers to provide"
    "$top_srcdir/tests/system/test_stoad.sh"
fi
export STOA_TEST_WRAPPER=$wrapper
for test in stoad stoad_hostile; do
    echo "-- test_$test.sh without io_uring"
    "$top_srcdir/tests/system/test_$test.sh"
done
for test in refusals exit_codes faults kill; do
    echo "-- test_$test.sh without io_uring"
    STOA_KILL_ROUNDS=2 "$top_srcdir/tests/system/test_$test.sh"
done
