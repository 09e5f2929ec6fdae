#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A store in use, of a newer format, read-only, or without its tables: clear errors, nothing lost.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq

make_chain 40 made
make_store made store
head=$(head_of store)

# A second process. The first holds the store while it waits for its input.
mkfifo pipe
# shellcheck disable=SC2086 # a command and its arguments
(exec 9<>pipe; exec ${STOA_TEST_WRAPPER:-} "$stoa" -d store import - <pipe >/dev/null 2>&1) &
holder=$!
cleanup_fn "kill $holder 2>/dev/null"
# It has opened the store once the kernel lists its lock. Asking stoa would take the lock away from it.
lock=":$(stat -c %i store/LOCK) "
for _ in $(seq 1 400); do
    grep -q "$lock" /proc/locks && break
    sleep 0.05
done
grep -q "$lock" /proc/locks || fail "the first process did not lock the store"
status=0
stoa -d store head >out 2>err || status=$?
same "$status" 1 "exit code of a second process"
says 'in use|lock'
kill "$holder" 2>/dev/null || true
wait "$holder" 2>/dev/null || true
same "$(head_of store)" "$head" "head after the first was killed"

# A newer format: every version number that is not ours, told apart from damage. What a newer STORE says has a sum of its own; one
# that differs by its version alone has a flipped bit there.
cp -a store newer
for offset in 8 9 10 11; do
    cp store/STORE newer/STORE
    flip_bit newer/STORE "$offset" 6
    expect 4 stoa -d newer head
    says 'STORE: checksum is wrong: version [0-9]+'
    flip_bit newer/STORE 64
    status=0
    stoa -d newer head >out 2>err || status=$?
    same "$status" 1 "exit code of a store of a newer format"
    says 'STORE: format version [0-9]+; this program reads and writes version 2'
    cp store/STORE newer/STORE
    same "$(head_of newer)" "$head" "head of the store that was refused"
done

# Tables deleted: everything comes back from the ledger.
cp -a store bare
rm -rf bare/tables
same "$(head_of bare)" "$head" "head without tables"
expect 0 stoa -d bare verify
expect 0 stoa -d bare export out.rlp
cmp out.rlp made/chain.rlp
transaction=$(jq -r 'select(.txs | length > 0) | .txs[0].hash' made/execution.jsonl | tail -n 1)
same "$(stoa -d bare tx "$transaction" --raw)" "$(stoa -d store tx "$transaction" --raw)" "a transaction"

# Tables damaged: made anew from the ledger, at the latest when a command meets the damage.
cp -a store torn
for file in torn/tables/*.wt; do
    size=$(stat -c %s "$file")
    head -c 64 /dev/zero | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
done
expect 0 stoa -d torn export out.rlp
cmp out.rlp made/chain.rlp
same "$(stoa -d torn tx "$transaction" --raw)" "$(stoa -d store tx "$transaction" --raw)" "a transaction"
# What those commands did not read is found here, where it lies in pages in use; no block is among it.
status=0
stoa -d torn verify >out 2>err || status=$?
[ "$status" = 0 ] || [ "$status" = 4 ] || fail "verify of torn tables: exit code $status"
same "$(grep '^damage:' out | grep -vc '^damage: tables/')" 0 "damages that are not of tables"
expect 0 stoa -d torn verify

# What WiredTiger opens first, spoilt in each way: made anew from the ledger, nothing lost.
for file in WiredTiger WiredTiger.turtle WiredTiger.wt; do
    for spoil in garbage empty missing; do
        rm -rf spoilt
        cp -a store spoilt
        case $spoil in
        garbage) head -c 300 /dev/urandom >"spoilt/tables/$file" ;;
        empty) : >"spoilt/tables/$file" ;;
        missing) rm "spoilt/tables/$file" ;;
        esac
        same "$(head_of spoilt)" "$head" "head with tables/$file $spoil"
        expect 0 stoa -d spoilt verify
        same "$(stoa -d spoilt tx "$transaction" --raw)" "$(stoa -d store tx "$transaction" --raw)" \
            "a transaction with tables/$file $spoil"
    done
done

# A directory that may not be written, as a user that is not root.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
    setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$stoa" 2>/dev/null; then
    cp -a store readonly
    chmod 755 "$work"
    chmod -R a+rX,go-w readonly
    before=$(find readonly -type f -exec cksum {} + | sort)
    expect 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$stoa" -d readonly head
    says 'permi|read-only'
    same "$(find readonly -type f -exec cksum {} + | sort)" "$before" "files of a read-only store"
    same "$(head_of readonly)" "$head" "head"
    expect 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$stoa" -d "$work/new" init --genesis made/genesis.json
    says 'permi|read-only'
else
    echo "skipped: the read-only directory needs root, setpriv and a build tree that others may read"
fi
