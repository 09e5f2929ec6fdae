#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A full disk: import stops with a clear error, reads go on, nothing acknowledged is lost, and with room it goes on.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq mkfs.ext4 mount
requires_root

mkdir disk
truncate -s 400M disk.img
mkfs.ext4 -q -m 0 disk.img
mount -o loop disk.img disk 2>err || skip "cannot mount a loop device here: $(cat err)"
cleanup_fn "umount -l $work/disk"

# More blocks than the first segment of the ledger holds, and room left for tables but not for another segment.
make_chain "${STOA_FULL_BLOCKS:-16000}" made
stoa -d disk/store init --genesis made/genesis.json >/dev/null
free=$(df --output=avail -k disk | tail -n 1)
[ "$free" -gt 40960 ] || fail "$free KiB are left on the disk, the test needs more"
head -c $(((free - 40960) * 1024)) /dev/zero >disk/ballast
status=0
stoa -d disk/store import made/chain.rlp --execution made/execution.jsonl --progress >out 2>err || status=$?
same "$status" 1 "exit code on a full disk"
says 'space|full'
told=$(sed -n 's/^stored \([0-9][0-9]*\) 0x.*$/\1/p' out | tail -n 1)
# Opening may need room for tables: then that is what it says.
status=0
stoa -d disk/store head >out 2>err || status=$?
[ "$status" = 0 ] || says 'space|full'

rm -f disk/ballast
reached=$(head_of disk/store)
[ "$((${reached% *}))" -ge "${told:-0}" ] || fail "block $told was told durable, the head is ${reached% *}"
[ "$((${reached% *}))" -gt 0 ] || fail "no block was stored"
expect 0 stoa -d disk/store verify
expect 0 stoa -d disk/store import made/chain.rlp --execution made/execution.jsonl
expect 0 stoa -d disk/store verify
stoa -d disk/store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
echo "the disk was full at $((${reached% *}))"
