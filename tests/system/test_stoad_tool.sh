#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every command says the same of a closed store and through the daemon that has it open; the daemon is killed, started
# again and stopped under its clients.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
find_stoad
make_chain 300 made
make_store made store
hash=$(stoa -d store --json block 150 | jq -r .hash)
transaction=$(stoa -d store --json block 150 | jq -r '.transactions[0].hash')
address=$(stoa -d store --json tx "$transaction" | jq -r .from)

# What each command prints, one file each, without what changes from one opening to the next.
ask_everything() {
    local directory=$1 out=$2
    mkdir "$out"
    stoa -d "$directory" head >"$out/head"
    stoa -d "$directory" --json block 150 >"$out/block"
    stoa -d "$directory" --json block "$hash" >"$out/block-hash"
    stoa -d "$directory" block --raw 7 >"$out/raw"
    stoa -d "$directory" --json block 1..300 >"$out/range"
    stoa -d "$directory" --json header latest >"$out/header"
    stoa -d "$directory" --json header 10..290 >"$out/headers"
    stoa -d "$directory" --json tx "$transaction" >"$out/tx"
    stoa -d "$directory" --json receipt "$transaction" >"$out/receipt"
    stoa -d "$directory" --json receipts 150 >"$out/receipts"
    stoa -d "$directory" --json logs >"$out/logs"
    stoa -d "$directory" --json history "$address" >"$out/history"
    stoa -d "$directory" --json branches >"$out/branches"
    stoa -d "$directory" --json account "$address" --at 0 >"$out/account"
    stoa -d "$directory" --json proof "$address" 0x1 --at 0 >"$out/proof"
    stoa -d "$directory" --json state changes 20 >"$out/changes"
    stoa -d "$directory" --json analyze >"$out/analyze"
    stoa -d "$directory" --json verify >"$out/verify"
    stoa -d "$directory" export "$out/exported.rlp"
    expect 1 stoa -d "$directory" block 301
    cp err "$out/absent"
}
ask_everything store offline
start_stoad store
ask_everything store online
for file in offline/*; do
    name=${file#*/}
    [ "$name" = verify ] || cmp "$file" "online/$name" || fail "$name differs through the daemon"
done
same "$(jq -r '.damages' online/verify)" 0 "damages"
same "$(jq -r '.blocks' online/verify)" "$(jq -r '.blocks' offline/verify)" "verified blocks"

# Writes, and what only a daemon or its socket can be asked.
stoa -d store state put 0x6b6579 0x76616c7565 >/dev/null
same "$(stoa -d store state get 0x6b6579)" 0x76616c7565 "the value that was stored"
stoa -d store set-finalized 100 >/dev/null
stoa -d store stats >/dev/null
same "$(stoa -d store --json health | jq -r .state)" healthy "health"
stoa -d store stats --prometheus >metrics
grep -q '^stoa_head_height 300$' metrics || fail "metrics of the daemon"
stoa -d store reindex logs >/dev/null
same "$(stoa -s store/stoad.sock head)" "$(stoa -d store head)" "head by -s"
same "$(stat -c %a store/stoad.sock)" 660 "mode of the socket"
expect 3 stoa -s ./nowhere.sock head
says "nowhere.sock"
touch plain.sock
expect 3 stoa -s ./plain.sock head

# Killed: what was acknowledged is there, also through the next one, which takes the dead socket's place.
kill -KILL "$stoad_pid"
wait "$stoad_pid" || :
[ -S store/stoad.sock ] || fail "the socket of the dead daemon is gone already"
same "$(stoa -d store state get 0x6b6579)" 0x76616c7565 "the value after a kill, offline"
start_stoad store
same "$(stoa -d store state get 0x6b6579)" 0x76616c7565 "the value after a kill"
stop_stoad
[ ! -e store/stoad.sock ] || fail "the socket is left behind"


# A socket that somebody else listens at, and a file in its place, are left alone.
touch other.sock
expect 1 stoad -d store --socket=./other.sock
says "other.sock"
[ -f other.sock ] || fail "a file was removed for a socket"
start_stoad store --socket=./busy.sock
make_store made second
expect 1 stoad -d second --socket=./busy.sock
says "busy.sock"
stop_stoad

# By TCP: with the token alone.
head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >token
chmod 600 token
expect 1 stoad -d store --tcp=127.0.0.1:0 --check-config
says "token-file"
expect 1 stoad -d store --tcp=0.0.0.0:7 --token-file=token
says "loopback"
chmod 644 token
expect 1 stoad -d store --tcp=127.0.0.1:0 --token-file=token --check-config
chmod 600 token
port=$((20000 + $$ % 20000))
start_stoad store --tcp=127.0.0.1:$port --token-file=token --tcp-role=read
STOA_TOKEN_FILE=token stoa -s 127.0.0.1:$port head >tcp
same "$(cat tcp)" "$(stoa -d store head)" "head by TCP"
STOA_TOKEN_FILE=token expect 1 stoa -s 127.0.0.1:$port state put 0x01 0x02
says "role"
expect 1 stoa -s 127.0.0.1:$port head
says "token"
echo "another token, which is long enough to be one" >wrong
STOA_TOKEN_FILE=wrong expect 1 stoa -s 127.0.0.1:$port head
says "token"
stop_stoad
