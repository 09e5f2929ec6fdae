#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The daemon from outside: settings, readiness, signals, exit codes; and the manual against the table of settings.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad

# ---- settings ----
expect 3 stoad -d nowhere
says "no store|not found|nowhere"
stoa -d store init >/dev/null
expect 0 stoad -d store --check-config
expect 0 stoad -d store --print-limits
grep -q '^cache-size = 256M$' out || fail "--print-limits does not show the cache's size"
expect 2 stoad -d store --cache-size=3X
says "cache-size"
expect 2 stoad -d store --nonsense
expect 2 stoad -d store word
printf 'cache-size = 8M\n; a comment\nlog-format = json\n' >store/stoa.conf
expect 0 stoad -d store --print-limits
grep -q '^cache-size = 8M$' out || fail "the file's setting does not hold"
expect 0 stoad -d store --cache-size=9M --print-limits
grep -q '^cache-size = 9M$' out || fail "the line does not win over the file"
for mistake in 'cache-size = 1' 'no-such-setting = 1' $'[section]\nio = auto' 'cache-size' 'keep-history = 63' \
    'log-level = loud' $'log-level = info\nlog-level = info' 'table-workers = 0' 'table-workers = 257'; do
    printf 'stop-seconds = 7\n%s\n' "$mistake" >wrong.conf
    expect 1 stoad -d store -c wrong.conf --check-config
    says "wrong.conf:[23]: |keep-history|cache-size"
done
expect 1 stoad -d store -c absent.conf --check-config
says "absent.conf"

# ---- life ----
# The supervisor's socket: what arrives is a line each in the file.
python3 - "$work/notify" "$work/told" <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
with open(sys.argv[2], "w", buffering=1) as told:
    while True:
        told.write(s.recv(4096).decode() + "\n")
END
listener=$!
cleanup_fn kill $listener
wait_for "the supervisor's socket" test -S notify
export NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=2000000
start_stoad store
grep -q '"event":"ready"' stoad.log || fail "the file's log-format does not hold"
jq -e . <stoad.log >/dev/null || fail "the log is not JSON"
wait_for "READY=1" grep -qx READY=1 told
wait_for "WATCHDOG=1" grep -qx WATCHDOG=1 told
expect 1 stoad -d store
says "use|lock"
printf 'cache-size = 16M\nlog-format = text\ntable-workers = 3\n' >store/stoa.conf
kill -HUP "$stoad_pid"
wait_for "the reload" grep -q 'event=reloaded' stoad.log
grep -q '"event":"needs_restart","setting":"table-workers"' stoad.log || fail "what needs a restart is not said"
grep -q 'cache-size' stoad.log || fail "what changed is not said"
echo 'cache-size = x' >store/stoa.conf
kill -HUP "$stoad_pid"
wait_for "the failed reload" grep -q 'event=failed what=reload' stoad.log
stop_stoad
grep -qx STOPPING=1 told || fail "the supervisor was not told that it stops"
grep -q 'event=stopped' stoad.log || fail "it did not say that it stopped"
rm store/stoa.conf
unset NOTIFY_SOCKET WATCHDOG_USEC

start_stoad store
kill -KILL "$stoad_pid"
wait "$stoad_pid" || :
start_stoad store
stop_stoad

# ---- the manual ----
settings_of_table() {
    sed -n 's/^STOAD_SETTING([A-Z_0-9]*, "\([a-z0-9-]*\)".*/\1/p' "$top_srcdir/src/stoad/settings.def" | sort
}
same "$(sed -n 's/^\.It Ic \([a-z0-9-]*\) .*/\1/p' "$top_srcdir/man/stoa.conf.5" | sort)" "$(settings_of_table)" \
    "settings of the manual and of the table"
[ "$(settings_of_table | wc -l)" -ge 15 ] || fail "the table was not read"
# Options of the line are those settings and what the manual names beside them.
own=$(sed -n 's/^\.It Fl .*Fl -\([a-z-]*\).*/\1/p' "$top_srcdir/man/stoad.8"
    sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' "$top_srcdir/man/stoad.8")
same "$(stoad --help | grep -oE -- '(^| )--[a-z][a-z0-9-]*' | sed 's/ *--//' | sort -u)" \
    "$( (echo "$own"; settings_of_table) | sort -u)" "options of the manual and of --help"
