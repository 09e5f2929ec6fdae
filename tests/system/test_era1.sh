#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Real era1 archives import with their receipts; what is exported again verifies, re-imports and is the same.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
requires_data era1

mainnet=0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3
sepolia=0x25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9

stoa -d genesis init --genesis "$data/mainnet/genesis.json" >/dev/null
same "$(head_of genesis)" "0x0 $mainnet" "mainnet's genesis"

import_piped() {
    dd if="$2" bs=1M status=none | stoa -d "$1" import -
}

count=0
for era in "$data"/era1/*.era1; do
    name=${era##*/}
    case $name in
    mainnet*) genesis=$mainnet ;;
    sepolia*) genesis=$sepolia ;;
    *) continue ;;
    esac
    # Block 0 is in the file, so the store needs no genesis beforehand.
    stoa -d store init >/dev/null
    expect 0 stoa -d store import "$era"
    same "$(stoa -d store --json block 0 | jq -r .hash)" "$genesis" "genesis of $name"
    same "$(head_of store | cut -d' ' -f1)" 0x1fff "height of $name"
    expect 0 stoa -d store verify
    read_back store "$era"

    expect 0 stoa -d store export out.era1 --format era1
    stoa -d again init >/dev/null
    expect 0 stoa -d again import out.era1

    # The same through a pipe, from standard input, and gzipped; of the copies nothing remains.
    mkdir spool
    export TMPDIR=$work/spool
    gzip -k out.era1
    mkfifo a-fifo
    for form in pipe redirect fifo gzip; do
        stoa -d "$form" init >/dev/null
        case $form in
        pipe) import_piped "$form" out.era1 >/dev/null ;;
        redirect) stoa -d "$form" import - <out.era1 >/dev/null ;;
        fifo)
            cat out.era1 >a-fifo &
            stoa -d "$form" import a-fifo >/dev/null
            wait
            ;;
        gzip) stoa -d "$form" import out.era1.gz >/dev/null ;;
        esac
        same "$(head_of "$form")" "$(head_of store)" "heads after era1 by $form"
        rm -rf "$form"
    done
    head -c 1000000 out.era1 >torn.era1
    stoa -d torn init >/dev/null
    expect 1 import_piped torn torn.era1
    says 'block index'
    same "$(head_of torn)" "null null" "head after a torn archive"
    same "$(ls spool)" "" "what the copies left"
    unset TMPDIR
    rm -rf torn spool out.era1.gz a-fifo
    same "$(head_of again)" "$(head_of store)" "heads after the round trip"
    stoa -d store export one.rlp >/dev/null
    stoa -d again export two.rlp >/dev/null
    cmp one.rlp two.rlp
    expect 0 stoa -d again export out-2.era1 --format era1
    cmp out.era1 out-2.era1
    expect 0 stoa -d again verify

    # A flipped bit in the archive is refused.
    cp "$era" bad.era1
    flip_bit bad.era1 $(($(stat -c %s bad.era1) / 2)) 3
    stoa -d bad init >/dev/null
    expect 1 stoa -d bad import bad.era1
    rm -rf store again bad ./*.era1 ./*.rlp
    echo "$name: 8192 blocks"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || skip "no era1 file that this test knows"
