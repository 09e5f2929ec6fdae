#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# examples/validator.c on a disk that fills up under it: it stops producing because the store's health says so, goes on when
# there is room again, and has lost nothing that it said was acknowledged.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
find_validator
mount_disk 400M

# Wait until COMMAND is true.
wait_for() {
    local turn
    for ((turn = 0; turn < 600; turn++)); do
        "$@" && return 0
        kill -0 "$pid" 2>/dev/null || fail "the validator has ended: $(tail -n 3 errors)"
        sleep 0.1
    done
    fail "in vain: $*; $(tail -n 3 errors)"
}
has_told() { [ "$(wc -l <told)" -ge "$1" ]; }
has_stopped() { grep -q 'the store is read-only: .*no space' errors; }

touch told errors
"$validator" disk/store 0 5 >told 2>errors &
pid=$!
cleanup_fn "kill -9 $pid 2>/dev/null"
wait_for has_told 20

free=$(df --output=avail -k disk | tail -n 1)
head -c $(((free - 4096) * 1024)) /dev/zero >disk/ballast || true
wait_for has_stopped
before=$(wc -l <told)
has_looked() { [ "$(grep -c 'the store is read-only' errors)" -ge "$1" ]; }
wait_for has_looked $(($(grep -c 'the store is read-only' errors) + 1)) # it has had a slot, and let it pass
same "$(wc -l <told)" "$before" "blocks while the store is read-only"
kill -0 "$pid" || fail "it does not wait, it has ended"

rm disk/ballast
wait_for has_told $((before + 20))
kill -9 "$pid"
wait "$pid" 2>/dev/null || true

expect 0 stoa -d disk/store verify
while read -r _ number hash; do
    same "$(stoa -d disk/store --json header "$number" | jq -r .hash)" "0x$hash" "block $number"
done < <(sed -n "1p;${before}p;\$p" told)
echo "stopped at $before, went on to $(wc -l <told)"
