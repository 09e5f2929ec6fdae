#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Exit codes: 0 done, 1 failed, 2 usage, 3 no store, 4 damage found.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

expect 0 stoa --help
grep -q import out
expect 0 stoa --version
expect 2 stoa
expect 2 stoa no-such-command
says 'no-such-command'
expect 2 stoa --no-such-option head
expect 2 stoa -d store block
expect 2 stoa -d store block 1 2
expect 2 stoa -d store tx 0x12
expect 2 stoa -d store block 0xzz
expect 2 stoa -d store import
expect 2 stoa -d store export out.rlp --format parchment

for command in head "block 1" "header latest" verify stats "export out.rlp" \
    "tx 0x$(printf '0%.0s' {1..64})" "import $0"; do
    # shellcheck disable=SC2086 # a command and its arguments
    expect 3 stoa -d absent $command
    says absent
done
[ ! -e absent ] || fail "a command made the directory"
mkdir empty
expect 3 stoa -d empty head

make_chain 20 made
make_store made store
expect 0 stoa -d store head
expect 1 stoa -d store init --genesis made/genesis.json
says 'exist'
expect 1 stoa -d store block 21
says 'not found|no block'
expect 1 stoa -d store block "0x$(printf '1%.0s' {1..64})"
expect 1 stoa -d store tx "0x$(printf '2%.0s' {1..64})"
expect 1 stoa -d store receipt "0x$(printf '2%.0s' {1..64})"
expect 1 stoa -d new init --genesis absent.json
[ ! -e new ] || fail "a failed init left something behind"
printf '{' >bad.json
expect 1 stoa -d new init --genesis bad.json
[ ! -e new ] || fail "a failed init left something behind"
echo kept >empty/file
expect 1 stoa -d empty init --genesis made/genesis.json
same "$(cat empty/file)" kept "a file that was there"

# Damage: a flipped byte inside a frame is named by verify and by a read, and costs no other block.
hash=$(stoa -d store --json block 10 | jq -r .hash)
encoding=$(stoa -d store block 10 --raw)
segment=$(find store/ledger -name '*.seg' | sort | head -n 1)
# Where block 10's own bytes lie: a stretch of them found in the file.
offset=$(LC_ALL=C grep -zobaP "$(printf '%s' "${encoding:202:64}" | sed 's/../\\x&/g')" "$segment" | head -n 1 | cut -d: -f1)
[ -n "$offset" ] || fail "block 10 is not in $segment as it was stored"
cp -a store damaged
flip_bit "damaged/${segment#store/}" "$offset" 5
expect 4 stoa -d damaged verify
grep -q "${segment##*/}" out err || fail "verify does not name ${segment##*/}: $(cat out err)"
expect 4 stoa -d damaged block 10
expect 4 stoa -d damaged block "$hash"
for number in 0 1 9 11 20; do
    same "$(stoa -d damaged block $number --raw)" "$(stoa -d store block $number --raw)" "block $number"
done
expect 4 stoa -d damaged verify

# With the tables lost as well, the others still come back.
rm -rf damaged/tables
for number in 1 9 11 20; do
    same "$(stoa -d damaged block $number --raw)" "$(stoa -d store block $number --raw)" "block $number"
done
