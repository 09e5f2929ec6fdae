#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# examples/validator.c as a daemon's client, while the daemon is killed and started again, stopped for a while (SIGSTOP) and
# its connections are cut: each block that was acknowledged is there, none is stored twice, and the validator goes on.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
find_validator
stoa -d store init >/dev/null

# Between the two: a path that cuts every connection when it is sent SIGUSR1.
cat >cutter.py <<'END'
import os, selectors, signal, socket, sys

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
peers = {}

def drop(one):
    other = peers.pop(one, None)
    if other is not None:
        peers.pop(other, None)
        for end in (one, other):
            selector.unregister(end)
            end.close()

def cut(*_):
    for one in list(peers):
        drop(one)

signal.signal(signal.SIGUSR1, cut)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            near, _ = listener.accept()
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(sys.argv[2])
            except OSError:
                near.close()
                continue
            peers[near], peers[far] = far, near
            selector.register(near, selectors.EVENT_READ)
            selector.register(far, selectors.EVENT_READ)
        elif key.fileobj in peers:
            try:
                data = key.fileobj.recv(1 << 16)
                if data:
                    peers[key.fileobj].sendall(data)
                else:
                    drop(key.fileobj)
            except OSError:
                drop(key.fileobj)
END
python3 cutter.py "$work/cut.sock" "$work/store/stoad.sock" &
cutter=$!
cleanup_fn kill $cutter
wait_for "the cutter" test -S cut.sock

start_stoad store
start_validator "$work/cut.sock"

opened=0
breaker_opens() {
    wait_for "an open breaker; $(tail -n 3 errors)" has_said open $((opened + 1))
    opened=$(said open)
}
breaker_closes() { wait_for "a closed breaker; $(tail -n 3 errors)" has_said closed "$opened"; }
# It has had some hundred turns more: each of its sleeps is a switch that the kernel counts.
switches() { awk '/^voluntary_ctxt_switches/ {sum += $2} END {print sum}' /proc/"$validator_pid"/task/*/status; }
has_worked() { [ "$(switches)" -ge "$1" ]; }
asks_in_vain() { wait_for "more turns of the validator" has_worked $(($(switches) + 200)); }

makes 20
for _ in 1 2 3; do
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" 2>/dev/null || :
    start_stoad store
    makes 20
done
# Stopped: the breaker opens, and what was acknowledged by then is all that is until the daemon goes on.
opened=$(said open)
kill -STOP "$stoad_pid"
breaker_opens
stopped_at=$(count)
asks_in_vain
same "$(count)" "$stopped_at" "blocks acknowledged while the daemon is stopped"
kill -CONT "$stoad_pid"
breaker_closes
makes 20
for _ in 1 2 3 4 5; do
    kill -USR1 "$cutter"
    makes 10
done
# Stopped in order and started again.
stop_stoad
start_stoad store
makes 20
end_validator
stop_stoad

expect 0 stoa -d store verify
same_as_told store told
echo "checked $checked of $(count) acknowledged blocks"
