#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bad input gets a message that names the fault, and changes nothing.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
seed_random

make_chain 30 made
stoa -d whole init --genesis made/genesis.json >/dev/null
stoa -d whole import made/chain.rlp >/dev/null 2>&1
stoa -d whole export first.rlp --to 20 >/dev/null
stoa -d whole export next.rlp --from 21 --to 21 >/dev/null
stoa -d whole export after.rlp --from 22 --to 22 >/dev/null
sed -n 21p made/execution.jsonl >next.jsonl

stoa -d store init --genesis made/genesis.json >/dev/null
stoa -d store import first.rlp >/dev/null 2>&1
before=$(head_of store)
same "${before% *}" 0x14 "height"

unchanged() {
    same "$(head_of store)" "$before" "head after a refusal"
    stoa -d store export now.rlp >/dev/null
    cmp first.rlp now.rlp
    rm now.rlp
}

# refused PATTERN FILE [OPTION...]: import says what is wrong and leaves the store alone.
refused() {
    local pattern=$1 file=$2
    shift 2
    expect 1 stoa -d store import "$file" "$@"
    says "$pattern"
    unchanged
}

size=$(stat -c %s next.rlp)
head -c $((size - 1)) next.rlp >bad.rlp
refused 'truncat|short|end|incomplete' bad.rlp
head -c 1 next.rlp >bad.rlp
refused 'truncat|short|end|incomplete' bad.rlp

printf '\xfb\xff\xff\xff\xff' >bad.rlp
refused 'long|large|big|length|size|end|truncat' bad.rlp
printf '\xff\xff\xff\xff\xff\xff\xff\xff\xff' >bad.rlp
refused 'long|large|big|length|size|end|truncat' bad.rlp
printf 'not a chain at all' >bad.rlp
refused 'rlp|list|block' bad.rlp
refused 'no such file|not found' absent.rlp

: >bad.rlp
refused 'bad.rlp: empty' bad.rlp

# Every invalid vector. Where each is wrong, tests/unit/chain/test_rlp.c looks.
vectors=$data/vectors/invalidRLPTest.json
if [ -e "$vectors" ]; then
    count=0
    while read -r bytes; do
        printf '%b' "$bytes" >bad.rlp
        expect 1 stoa -d store import bad.rlp
        says 'bad.rlp: (offset 0: |empty)'
        same "$(head_of store)" "$before" "head after a refusal"
        count=$((count + 1))
    done < <(jq -r '.[].out | sub("0x"; "") | gsub("(?<byte>..)"; "\\x\(.byte)")' "$vectors")
    [ "$count" -gt 20 ] || fail "only $count invalid vectors"
    unchanged
fi

# A gap in height is an unknown parent.
refused 'parent' after.rlp

# A block of another chain.
if [ -e "$data/chains/hive-half/chain.rlp" ]; then
    head -c 600 "$data/chains/hive-half/chain.rlp" >bad.rlp
    expect 1 stoa -d store import bad.rlp
    unchanged
fi

# One flipped bit: anywhere in the block, some fixed places and some random ones.
for offset in 0 1 3 10 40 100 $((size / 2)) $((size - 1)) $((RANDOM % size)) $((RANDOM % size)) $((RANDOM % size)); do
    cp next.rlp bad.rlp
    flip_bit bad.rlp "$offset" $((RANDOM % 8))
    # Nothing in the block itself says that a header whose own bytes changed is wrong: its hash, known from elsewhere, does.
    expect 1 stoa -d store import bad.rlp --execution next.jsonl
    unchanged
done

# The same everywhere where there is time for it: STOA_LONG=1.
if [ -n "${STOA_LONG:-}" ]; then
    for offset in $(seq 0 $((size - 1))); do
        cp next.rlp bad.rlp
        flip_bit bad.rlp "$offset" $((RANDOM % 8))
        expect 1 stoa -d store import bad.rlp --execution next.jsonl
        same "$(head_of store)" "$before" "head after a refusal"
    done
    unchanged
fi

# Every other way to spoil a block: the message names the field.
find_program tests/support/makebad || fail "makebad was not built in $top_builddir"
"$program" next.rlp spoilt
while read -r name pattern; do
    refused "$pattern" "spoilt/$name.rlp"
    rm "spoilt/$name.rlp"
done <<'TABLE'
block-2-items uncles: truncated
block-5-items withdrawals: 2 bytes
difficulty-33-bytes difficulty: integer of 33 bytes
gas-used-nine-bytes gasUsed: integer of 9 bytes
header-14-fields nonce: missing
header-24-fields withdrawalsRoot: 0 bytes instead of 32
height-gap number: its parent is not stored
height-twice block 20: hash: the store has a different block
missing-transaction transactionsRoot: header says 0x[0-9a-f]{64}, computed
number-4-gib number: truncated: string of 4294967295 bytes
number-leading-zero number: leading zero
number-prefixed-byte number: not canonical
number-zero-byte number: leading zero
repeated-transaction transactionsRoot: header says
swapped-transactions transactionsRoot: header says
transaction-4-gib transactions: item 1: truncated: string of 4294967295 bytes
transactions-4-gib transactions: truncated: list of 4294967295 bytes
whole-4-gib block: length prefix says 4294967300 bytes
wrong-parent parentHash: block 21 names
TABLE
rmdir spoilt # nothing was left out

# Receipts: too few, swapped, changed.
jq -c '.receipts = .receipts[1:]' next.jsonl >bad.jsonl
refused 'receipt' next.rlp --execution bad.jsonl
jq -c '.receipts |= (.[1:] + .[:1])' next.jsonl >bad.jsonl
refused 'receipt' next.rlp --execution bad.jsonl
jq -c '.hash |= sub("0x..."; "0xaaa")' next.jsonl >bad.jsonl
refused 'hash' next.rlp --execution bad.jsonl
printf '{"number": 21, "hash"' >bad.jsonl
refused 'json|line 1' next.rlp --execution bad.jsonl

# Trailing bytes after good blocks: reported; the store is still whole.
cp next.rlp bad.rlp
printf '\x01' >>bad.rlp
expect 1 stoa -d store import bad.rlp
says 'offset [0-9]+: '
expect 0 stoa -d store verify

# What real suites hold as bad blocks. Their maker meant to record one gas more than was used, and threw the changed header away: as
# they are, they are the right next blocks of their chains, and are refused only where their parent is not stored. So the gas is
# added here, and the receipts tell.
for bad in "$data"/chains/*/bad.rlp; do
    [ -f "$bad" ] || continue
    chain=${bad%/bad.rlp}
    stoa -d real init --genesis "$chain/genesis.json" >/dev/null
    was=$(head_of real)
    expect 1 stoa -d real import "$bad"
    says 'parent'
    same "$(head_of real)" "$was" "head after bad.rlp"
    stoa -d real import "$chain/chain.rlp" --execution "$chain/execution.jsonl" >/dev/null 2>&1
    stoa -d real export real.rlp >/dev/null
    cmp real.rlp "$chain/chain.rlp"
    # gasUsed 21,000 before timestamp 100. The hash of the changed block is told by a store that nobody gives receipts.
    gas=$(grep -obUaP '\x82\x52\x08\x64' "$bad" | cut -d: -f1)
    cp "$bad" more-gas.rlp
    flip_bit more-gas.rlp $((gas + 2)) 0
    stoa -d other init --genesis "$chain/genesis.json" >/dev/null
    stoa -d other import "$chain/chain.rlp" more-gas.rlp >/dev/null 2>&1
    hash=$(stoa -d other --json head | jq -r .hash)
    tail -n 1 "$chain/execution.jsonl" |
        jq -c --arg hash "$hash" '{number: 10, hash: $hash, receipts, txs: [{from: .txs[0].from}]}' >more-gas.jsonl
    was=$(head_of real)
    expect 1 stoa -d real import more-gas.rlp --execution more-gas.jsonl
    says 'gasUsed'
    same "$(head_of real)" "$was" "head after one gas too many"
    rm -rf real other real.rlp more-gas.*
done

# After all that, the good block still goes in.
expect 0 stoa -d store import made/chain.rlp
same "$(head_of store)" "$(head_of whole)" "heads"
expect 0 stoa -d store verify
