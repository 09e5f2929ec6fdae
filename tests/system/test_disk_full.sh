#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A full disk: import stops with a clear error, reads go on, nothing acknowledged is lost, and with room it goes on.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq mkfs.ext4 mount umount truncate
requires_root

make_chain "${STOA_FULL_BLOCKS:-3000}" made
mkdir disk
truncate -s 48M disk.img
mkfs.ext4 -q -m 0 disk.img
mount -o loop disk.img disk 2>err || skip "cannot mount a loop device here: $(cat err)"
cleanup_fn "umount -l $work/disk"

# Fill what the store will need, but for the little it is created in.
stoa -d disk/store init --genesis made/genesis.json >/dev/null || skip "48 MB do not hold an empty store"
free=$(df --output=avail -k disk | tail -n 1)
if [ "$free" -gt 2048 ]; then
    head -c $(((free - 1024) * 1024)) /dev/zero >disk/ballast
fi
status=0
stoa -d disk/store import made/chain.rlp --progress >out 2>err || status=$?
same "$status" 1 "exit code on a full disk"
says 'space|full'
reached=$(head_of disk/store)
expect 0 stoa -d disk/store verify

rm -f disk/ballast
truncate -s 400M disk.img
device=$(findmnt -n -o SOURCE disk)
losetup -c "$device"
resize2fs "$device" >/dev/null 2>&1
expect 0 stoa -d disk/store import made/chain.rlp
expect 0 stoa -d disk/store verify
stoa -d disk/store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
echo "the disk was full at ${reached% *}"
