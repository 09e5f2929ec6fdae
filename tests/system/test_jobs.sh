#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Jobs of upkeep from the command line: run, dry run, listed, paused over runs of the program, killed.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
make_chain 400 made
make_store made store

job_field() {
    stoa -d store --json jobs | jq -r ".[] | select(.job == \"$1\") | .$2"
}

# Each that is in the table is listed, in both forms.
names=$(sed -n 's/^STOA_JOB([A-Z_]*, \([a-z]*\),.*/\1/p' "$top_srcdir/include/stoa/job.def")
same "$(stoa -d store --json jobs | jq -r '.[].job')" "$names" "listed jobs"
for name in $names; do
    stoa -d store jobs | grep -q "^$name " || fail "jobs does not show $name"
done

expect 0 stoa -d store checkpoint
stoa -d store --json checkpoint >end.json
same "$(jq -r '.lastResult, .active, .done, .total' end.json | tr '\n' ' ')" "STOA_OK false 1 1 " "a checkpoint"

# A dry run counts and leaves the files alone; a run says what it gave back, and the store is whole afterwards.
stoa -d store --json compact --dry-run >dry.json
same "$(jq -r '.dryRun, .results.compactedTables, .results.freedBytes' dry.json | tr '\n' ' ')" "true 0 0 " "a dry run"
same "$(job_field compact runs)" 0 "runs after a dry run"
stoa -d store --json compact >end.json
[ "$(jq .results.tables end.json)" -gt 3 ] || fail "compact looked at too few tables"
same "$(job_field compact runs)" 1 "runs after a run"
same "$(job_field compact lastResult)" STOA_OK "the last result"
expect 0 stoa -d store verify

# Runs are merged into one for each index, and all is found as before.
for value in 1 2; do
    expect 0 stoa -d store state put key "$value"
    expect 0 stoa -d store checkpoint
done
stoa -d store --json optimize --dry-run >dry.json
stoa -d store --json optimize >end.json
same "$(jq .results.mergedIndexes end.json)" "$(jq .results.mergedIndexes dry.json)" "merged indexes"
[ "$(jq '.results.mergedIndexes' end.json)" -gt 0 ] || fail "optimize merged nothing: $(cat end.json)"
same "$(stoa -d store --json analyze --storage | jq '[.indexes[].runs] | max')" 1 "runs of an index"
expect 0 stoa -d store verify

# A pause outlives the process.
stoa -d store jobs pause compact | grep -q paused || fail "pause does not say so"
same "$(job_field compact state)" paused "the state of a paused job"
expect 1 stoa -d store compact
grep -q 'paused' err || fail "a paused job does not say why it does not run"
expect 0 stoa -d store jobs resume compact
same "$(job_field compact state)" idle "the state of a resumed job"
expect 0 stoa -d store compact
expect 1 stoa -d store jobs cancel compact

# Wrong words.
expect 2 stoa -d store jobs pause
expect 2 stoa -d store jobs stop compact
expect 2 stoa -d store jobs pause nothing

# Killed at random moments: the store opens, and is whole.
seed_random
head=$(head_of store)
for ((round = 1; round <= ${STOA_KILL_ROUNDS:-4}; round++)); do
    job=compact
    if ((round % 2 == 0)); then
        job=optimize
        expect 0 stoa -d store state put key "round $round"
        expect 0 stoa -d store checkpoint
    fi
    "${stoa:?}" -d store "$job" >/dev/null 2>&1 &
    pid=$!
    sleep "0.0$((RANDOM % 90 + 10))"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    same "$(head_of store)" "$head" "head after a kill"
done
expect 0 stoa -d store compact
expect 0 stoa -d store optimize
expect 0 stoa -d store verify
