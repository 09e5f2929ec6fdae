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
for test in refusals exit_codes faults kill; do
    echo "-- test_$test.sh without io_uring"
    STOA_KILL_ROUNDS=2 "$top_srcdir/tests/system/test_$test.sh"
done
