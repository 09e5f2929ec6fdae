#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Backups of a store that a daemon has open: when somebody asks, by its schedule, paused, and gone on with after it was killed.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq cmp
find_stoad
seed_random
make_chain 300 made
make_store made store
start_stoad store

backup_job() {
    stoa -d store --json jobs | jq -r ".[] | select(.job == \"backup\") | .$1"
}

# It says the same as it does of a closed store, and the directory is taken from where it is asked for.
expect 0 stoa -d store --json backup create kept
same "$(jq -c '[.backup, .number, .removed]' out)" "[1,300,0]" "a backup"
same "$(jq -r '.hash, .stateRoot' out)" "$(stoa -d store --json block latest | jq -r '.hash, .stateRoot')" "hash and root"
expect 0 stoa -d store --json backup create kept --keep 1 --full
same "$(jq -c '[.backup, .number, .removed]' out)" "[2,300,1]" "a backup that keeps one"
same "$(stoa --json backup list kept | jq -c 'map(.backup)')" "[2]" "backups"
same "$(backup_job runs)" 2 "runs"
same "$(backup_job next)" 0 "when the next is due, where none is"
expect 0 stoa --json backup verify kept
stoa -d elsewhere init --genesis made/genesis.json >/dev/null
expect 0 stoa -d elsewhere backup create others
expect 1 stoa -d store backup create others
grep -q "another store" err || fail "it is not said why: $(cat err)"

# So slowly that it cannot end meanwhile, and paused: it holds still in the middle of a file, goes on, and is whole.
stoa -d store backup create slow --rate 200000 >slow.out 2>&1 &
slow=$!
wait_for "the backup to begin" test -d slow/ledger
expect 0 stoa -d store jobs pause backup
same "$(backup_job state)" paused "the state of a paused backup"
[ ! -e slow/00000001.backup ] || fail "it ended before it was paused"
expect 0 stoa -d store jobs resume backup
expect 0 stoa -d store jobs cancel backup
wait "$slow" && fail "a canceled backup says that it was made"
grep -q cancel slow.out || fail "it is not said that it was canceled: $(cat slow.out)"
[ ! -e slow/00000001.backup ] || fail "a canceled backup is there"
expect 0 stoa -d store backup create slow
expect 0 stoa backup verify slow
stop_stoad

# The number of the newest backup in DIRECTORY, 0 for none.
newest_in() {
    find "$1" -name '*.backup' 2>/dev/null | sed 's|.*/0*||; s|\.backup$||' | sort -n | tail -n 1 | grep . || echo 0
}

# By its schedule; killed at any moment it goes on with the next daemon, and what was there before stays.
for ((round = 0; round < ${STOA_KILL_ROUNDS:-4}; round++)); do
    start_stoad store "--backup-directory=$PWD/daily" --backup-seconds=1 --backup-keep=2
    sleep "0.$(printf %03d $((RANDOM % 1000)))"
    kill -KILL "$stoad_pid"
    wait "$stoad_pid" || :
    [ "$(newest_in daily)" = 0 ] || expect 0 stoa backup verify daily
done
start_stoad store "--backup-directory=$PWD/daily" --backup-seconds=1 --backup-keep=2
third() { [ "$(newest_in daily)" -ge 3 ]; } # by then later ones may have taken its place
wait_for "the third backup" third
[ "$(backup_job next)" -gt 0 ] || fail "it is not told when the next is due"
stop_stoad
expect 0 stoa backup verify daily
[ "$(stoa --json backup list daily | jq length)" -le 3 ] || fail "more backups stay than were to be kept"
expect 0 stoa restore daily again
same "$(head_of again)" "$(head_of store)" "heads"
expect 0 stoa -d again verify --deep
