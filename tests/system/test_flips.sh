#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A flipped bit anywhere in a small store, in segments, tables and STORE: it is harmless, or it is told; what is answered is right
# in any case, nothing crashes, and a backup mends it. A sample of the places; STOA_LONG=1: every byte of STORE, and two thousand of
# the others.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq cmp
seed_random
make_chain 40 made
make_store made sound
expect 0 stoa -d sound backup create kept
used=$(sed -n 's/^ledger 1 \([0-9]*\) .*/\1/p' kept/00000001.backup)
find sound -name 'ledger' -prune -o -type f -size +0 -print | grep -Ev '/(LOCK|WARM|STORE)$' >tables
head=$(head_of sound)
harmless=0
told=0

# Between 0 and LESS.
below() { echo $(((RANDOM * 32768 + RANDOM) % $1)); }

# The program ended in a way that is documented: COMMAND…
ends() {
    local status=0
    stoa "$@" >out 2>err </dev/null || status=$?
    case $status in
    0) ;;
    1 | 3 | 4) [ -s err ] || fail "$place: $*: exit code $status without a word" ;;
    *) fail "$place: $*: exit code $status: $(head -c 500 err)" ;;
    esac
    return "$status"
}

# The byte at OFFSET of FILE.
try() {
    local number
    place="$1 at $2, bit $3"
    rm -rf store
    cp -a --sparse=always sound store
    flip_bit "store/${1#sound/}" "$2" "$3"
    # What is answered is right, or refused.
    for number in 1 17 40; do
        if ends -d store block "$number" --raw; then
            cmp -s out <(stoa -d sound block "$number" --raw) || fail "$place: block $number is another one"
        fi
    done
    if ends -d store --json head; then
        same "$(jq -r '"\(.number) \(.hash)"' out)" "$head" "$place: heads"
    fi
    if ends -d store export store.rlp; then
        cmp -s store.rlp made/chain.rlp || fail "$place: the export is another one"
    fi
    rm -f store.rlp
    if ends -d store verify --deep; then
        harmless=$((harmless + 1))
    else
        told=$((told + 1))
    fi
    ends -d store repair --from kept || fail "$place: a backup does not mend it: $(cat err)"
    ends -d store verify --deep || fail "$place: it is not whole after repair: $(cat out err)"
    same "$(head_of store)" "$head" "$place: heads after repair"
}

size=$(stat -c %s sound/STORE)
try sound/STORE 8 7 # its version: no newer format, but damage
if [ -n "${STOA_LONG:-}" ]; then
    for ((at = 0; at < size; at++)); do
        try sound/STORE "$at" $((RANDOM % 8))
    done
fi
rounds=${STOA_LONG:+2000}
for ((i = 0; i < ${rounds:-9}; i++)); do
    case $((i % 3)) in
    0) try sound/ledger/00000001.seg "$(below "$used")" $((RANDOM % 8)) ;;
    1)
        file=$(sed -n "$((1 + RANDOM % $(wc -l <tables)))p" tables)
        try "$file" "$(below "$(stat -c %s "$file")")" $((RANDOM % 8))
        ;;
    *) try sound/STORE "$(below "$size")" $((RANDOM % 8)) ;;
    esac
done
echo "$harmless harmless, $told told"
