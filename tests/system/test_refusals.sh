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
expect 0 stoa -d store verify

# What real suites hold as bad blocks. Each is well-formed and right in all that can be checked without executing it, so what
# is refused here is a block whose parent is not stored.
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
    rm -rf real real.rlp
done

# After all that, the good block still goes in.
expect 0 stoa -d store import made/chain.rlp
same "$(head_of store)" "$(head_of whole)" "heads"
expect 0 stoa -d store verify
