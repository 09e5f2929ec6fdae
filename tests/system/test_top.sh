#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# stoa top: one look where nobody watches, a screen where there is a terminal, ended by q.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

make_chain 10 made
make_store made store
expect 0 stoa -d store top
grep -q '^stoa .* healthy   head 10 ' out || fail "the first line is $(head -n 1 out)"
grep -q '^MESSAGE' out || fail "no messages"
grep -q '^CACHE' out || fail "no cache"
expect 0 stoa -d store --json top
same "$(jq -r '.health, .head' out | tr '\n' ' ')" "healthy 10 " "health and head"
same "$(jq -r '[.cache[].name] | length > 0' out)" true "classes of the cache"

# A terminal of script's, on which q is typed when the screen is there.
if command -v script >/dev/null; then
    export TERM=xterm LINES=30 COLUMNS=100
    { while ! grep -aq 'head 10' screen 2>/dev/null; do sleep 0.1; done; printf q; sleep 0.2; } |
        timeout 60 script -qefc "$stoa -d store top" screen >/dev/null || fail "top did not end well"
    grep -aq healthy screen || fail "the screen does not tell the health"
else
    echo "script is not installed: no terminal to try"
fi
