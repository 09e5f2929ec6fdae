#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# examples/validator.c and its daemon on the two ends of a network that breaks: TCP over the loopback of a network namespace of
# their own, whose packets are lost for a while, and whose link is taken down. The breaker opens and closes, each block that was
# acknowledged is there, none is stored twice.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq ip unshare nsenter
requires_root
find_stoad
find_validator

unshare -n sleep infinity 2>unshare.err &
net=$!
cleanup_fn "kill -KILL $net 2>/dev/null"
is_apart() { [ "$(readlink /proc/$net/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
is_apart_or_gone() { ! kill -0 "$net" || is_apart; }
wait_for "a network namespace" is_apart_or_gone
kill -0 "$net" 2>/dev/null || skip "there are no network namespaces here: $(cat unshare.err)"
inside() { nsenter -t "$net" -n -- "$@"; }
inside ip link set lo up 2>link.err || skip "the namespace's link cannot be set up: $(cat link.err)"

head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >token
chmod 600 token
stoa -d store init >/dev/null
STOA_TEST_WRAPPER="nsenter -t $net -n -- ${STOA_TEST_WRAPPER:-}" \
    start_stoad store --tcp=127.0.0.1:7411 --token-file=token
STOA_TOKEN_FILE=token start_validator 127.0.0.1:7411 nsenter -t "$net" -n --

# partition WHAT BREAK MEND: no block while it is broken, and more of them once it is mended.
partition() {
    local what=$1 opened closed stopped_at
    makes 20
    opened=$(said open)
    closed=$(said closed)
    inside sh -c "$2"
    wait_for "an open breaker when $what; $(tail -n 3 errors)" has_said open $((opened + 1))
    stopped_at=$(count)
    # The daemon gives the connection up, too, as it does with clients that say nothing any more: nothing is asked through it.
    inside sh -c "$3"
    wait_for "a closed breaker after $what; $(tail -n 3 errors)" has_said closed $((closed + 1))
    [ "$(count)" -ge "$stopped_at" ] || fail "lines are gone"
    makes 20
}
breaks=0
for _ in 1 2; do
    partition "the link is down" "ip link set lo down" "ip link set lo up"
    breaks=$((breaks + 1))
done
if inside iptables -A INPUT -p tcp -j DROP 2>/dev/null; then # a firewall that swallows all: nobody is told of anything
    inside iptables -D INPUT -p tcp -j DROP
    partition "packets are lost" "iptables -A INPUT -p tcp -j DROP" "iptables -D INPUT -p tcp -j DROP"
    # One direction alone: the daemon hears, and its answers are lost. What it stored so is not made again.
    partition "answers are lost" "iptables -A INPUT -p tcp --sport 7411 -j DROP" "iptables -D INPUT -p tcp --sport 7411 -j DROP"
    breaks=$((breaks + 2))
elif inside tc qdisc add dev lo root netem loss 100% 2>/dev/null; then
    inside tc qdisc del dev lo root
    partition "packets are lost" "tc qdisc add dev lo root netem loss 100%" "tc qdisc del dev lo root"
    breaks=$((breaks + 1))
fi

end_validator
stop_stoad
expect 0 stoa -d store verify
same_as_told store told
# Each height has one block: what "may have been done" was looked for, and not made anew.
same "$(stoa -d store --json branches | jq length)" 1 "branches"
echo "$breaks partitions; checked $checked of $(count) acknowledged blocks"
