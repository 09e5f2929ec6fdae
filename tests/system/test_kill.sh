#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kill -9 at random moments of an import: after each, the store opens, verifies, has every block that import said was durable,
# and the import goes on to the same head. STOA_KILL_ROUNDS says how often.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
rounds=${STOA_KILL_ROUNDS:-6}
seed_random

make_chain "${STOA_KILL_BLOCKS:-1500}" made
start=$(date +%s%N)
make_store made whole
# A run without kills says how long one takes, so that kills fall all over it.
span_us=$((($(date +%s%N) - start) / 1000))
goal=$(head_of whole)
rm -rf whole

# The last block that import told to be durable.
acknowledged() {
    sed -n 's/^stored \([0-9][0-9]*\) 0x.*$/\1/p' progress | tail -n 1
}

fresh() {
    rm -rf store
    stoa -d store init --genesis made/genesis.json >/dev/null
}

fresh
killed=0
# More rounds than asked for, while none came in time.
for ((round = 1; round <= rounds || (killed == 0 && round <= rounds + 20); round++)); do
    delay_us=$(((RANDOM * 32768 + RANDOM) % (span_us * 2 / 3 + 1)))
    : >progress
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoa" -d store import made/chain.rlp --execution made/execution.jsonl --progress \
        >progress 2>progress.err </dev/null &
    pid=$!
    sleep "$((delay_us / 1000000)).$(printf %06d $((delay_us % 1000000)))"
    if kill -9 "$pid" 2>/dev/null; then
        killed=$((killed + 1))
    else
        span_us=$delay_us # the machine is quicker now
    fi
    wait "$pid" 2>/dev/null || true
    told=$(acknowledged)
    now=$(head_of store) || fail "round $round: the store does not open after a kill at $delay_us us"
    height=$((${now% *}))
    [ "$height" -ge "${told:-0}" ] || fail "round $round: block ${told:-0} was told durable, the head is $height"
    expect 0 stoa -d store verify
    echo "round $round: killed after $delay_us us, told ${told:-0}, found $height"
    if [ "$now" = "$goal" ]; then
        fresh
    fi
done
expect 0 stoa -d store import made/chain.rlp --execution made/execution.jsonl
same "$(head_of store)" "$goal" "heads"
stoa -d store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
[ "$killed" -gt 0 ] || fail "no round was killed: make the chain longer (STOA_KILL_BLOCKS)"
