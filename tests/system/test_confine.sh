#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Once it serves, no thread of the daemon may start programs any more; and it serves all the same.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires curl
find_program ./stoad || fail "stoad was not built in $top_builddir"
stoad=$program

# filters: what the kernel says of each thread: 2 where calls are filtered.
filters() {
    cat /proc/"$stoad_pid"/task/*/status | sed -n 's/^Seccomp:\t//p' | sort -u
}
stoa -d store init >/dev/null
before=$(sed -n 's/^Seccomp:\t//p' /proc/self/status)
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-} # see start_stoad
start_stoad store --confine yes --http 127.0.0.1:0
if grep -q not_confined stoad.log; then
    stop_stoad
    skip "this kernel has no filters of calls"
fi
same "$(filters)" 2 "filters of its threads"
port=$(sed -n 's/.*event=http .*port=\([0-9]*\).*/\1/p' stoad.log)
same "$(curl -s -m 20 "http://127.0.0.1:$port/healthz")" healthy "health"
stop_stoad
start_stoad store --confine no
same "$(filters)" "$before" "filters of one that is not confined"
stop_stoad
