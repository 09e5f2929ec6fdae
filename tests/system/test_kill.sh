#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 at random moments of an import, every other time while it stores blocks: after each, the store opens, verifies, has every
# block that import said was durable, and the import goes on to the same head. STOA_KILL_ROUNDS says how often.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
rounds=${STOA_KILL_ROUNDS:-6}
seed_random

make_chain "${STOA_KILL_BLOCKS:-1500}" made

# Import into the store $1; what it says of durable blocks goes into "progress".
begin_import() {
    : >progress
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoa" -d "$1" import made/chain.rlp --execution made/execution.jsonl --progress \
        >progress 2>progress.err </dev/null &
    pid=$!
}

# Until the import has stored its first blocks, or has ended.
await_stored() {
    until [ -s progress ] || ! kill -0 "$pid" 2>/dev/null; do
        sleep 0.002
    done
}

now_us() {
    echo "$(($(date +%s%N) / 1000))"
}

# A run without kills says how long one takes, and how long it stores, so that kills fall all over it.
stoa -d whole init --genesis made/genesis.json >/dev/null
start=$(now_us)
begin_import whole
await_stored
stored=$(now_us)
wait "$pid" || fail "the import without kills failed"
end=$(now_us)
goal=$(head_of whole)
rm -rf whole

# The last block that import told to be durable.
acknowledged() {
    sed -n 's/^stored \([0-9][0-9]*\) 0x.*$/\1/p' progress | tail -n 1
}

fresh() {
    rm -rf store
    stoa -d store init --genesis made/genesis.json >/dev/null
    span_us=$((end - start))
    storing_us=$((end - stored))
}

fresh
killed=0
killed_storing=0
# More rounds than asked for, while none came in time.
for ((round = 1; round <= rounds || (killed_storing == 0 && round <= rounds + 20); round++)); do
    begin_import store
    if ((round % 2 == 0)); then
        await_stored
        longest_us=$storing_us
    else
        longest_us=$span_us
    fi
    delay_us=$(((RANDOM * 32768 + RANDOM) % (longest_us * 2 / 3 + 1)))
    sleep "$((delay_us / 1000000)).$(printf %06d $((delay_us % 1000000)))"
    in_time=0
    if kill -9 "$pid" 2>/dev/null; then
        in_time=1
    elif ((round % 2 == 0)); then
        storing_us=$delay_us # there was less left to be stored
    else
        span_us=$delay_us
    fi
    wait "$pid" 2>/dev/null || true
    told=$(acknowledged)
    now=$(head_of store) || fail "round $round: the store does not open after a kill at $delay_us us"
    height=$((${now% *}))
    [ "$height" -ge "${told:-0}" ] || fail "round $round: block ${told:-0} was told durable, the head is $height"
    expect 0 stoa -d store verify
    killed=$((killed + in_time))
    [ "${told:-0}" -eq 0 ] || killed_storing=$((killed_storing + in_time))
    echo "round $round: killed after $delay_us us, told ${told:-0}, found $height"
    if [ "$now" = "$goal" ]; then
        fresh
    fi
done
expect 0 stoa -d store import made/chain.rlp --execution made/execution.jsonl
same "$(head_of store)" "$goal" "heads"
stoa -d store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
[ "$killed_storing" -gt 0 ] ||
    fail "none of $killed kills came after blocks were told durable: make the chain longer (STOA_KILL_BLOCKS)"
echo "$killed kills, $killed_storing after blocks were told durable"
