#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A full disk: import stops with a clear error, reads go on, nothing acknowledged is lost, and with room it goes on.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
mount_disk 400M

make_chain 1000 made
make_chain 400 half # the same chain, shorter
stoa -d disk/store init --genesis made/genesis.json >/dev/null
expect 0 stoa -d disk/store import half/chain.rlp --execution half/execution.jsonl
head=$(head_of disk/store)

# Below the reserve writing stops with a clear error; reads go on.
free=$(df --output=avail -k disk | tail -n 1)
[ "$free" -gt 6144 ] || fail "$free KiB are left on the disk, the test needs more"
head -c $(((free - 6144) * 1024)) /dev/zero >disk/ballast
expect 1 stoa -d disk/store import made/chain.rlp --execution made/execution.jsonl
says 'no space'
same "$(head_of disk/store)" "$head" "head on a full disk"
expect 0 stoa -d disk/store block 400
expect 0 stoa -d disk/store verify # it is sound, and there is no room to keep that
says 'no note of it is kept: no space'

# Without that last byte of room nothing is lost either: opening says what it lacks, or reads.
head -c 16M /dev/zero >disk/ballast2 2>/dev/null || true
status=0
stoa -d disk/store head >out 2>err || status=$?
[ "$status" = 0 ] || says 'space|full'

rm -f disk/ballast disk/ballast2
same "$(head_of disk/store)" "$head" "head with room again"
expect 0 stoa -d disk/store import made/chain.rlp --execution made/execution.jsonl
expect 0 stoa -d disk/store verify
stoa -d disk/store export out.rlp >/dev/null
cmp out.rlp made/chain.rlp
