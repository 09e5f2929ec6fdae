#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The benchmark runs all phases on every engine it has, each read brings what was stored (it fails otherwise), its
# result is whole, its other forms are made of it, and its manual has its options. No figure is asserted.
# shellcheck source=functions.sh
. "${top_srcdir:-.}/tests/system/functions.sh"
requires jq

bench=$top_builddir/bench/stoa-bench
if ! "$bench" --quick --dir . --json --output result.json --markdown page.md --pictures pictures >printed.json 2>err; then
    cat err >&2
    ! grep -q "no O_DIRECT" err || skip "no O_DIRECT in $work"
    fail "the benchmark failed"
fi
cmp printed.json result.json >&2 || fail "what is printed and what is written differ"
[ "$(find . -maxdepth 1 -name 'stoa-bench-*' | wc -l)" = 0 ] || fail "the stores were left behind"

# Every engine is in every phase that it takes part in, with a rate or a time.
phases="import commit maintenance hot mixed cold restart growth"
same "$(jq -r '.phases | keys_unsorted | join(" ")' result.json)" "$phases" "phases"
engines=$(jq -r '.engines | keys_unsorted | join(" ")' result.json)
for engine in $engines; do
    case $engine in
    stoa | rocksdb) expected=$phases ;;
    memory) expected=hot ;;
    raw) expected="import commit cold" ;;
    *) expected=${phases/maintenance /} ;;
    esac
    same "$(jq -r --arg engine "$engine" '[.phases | to_entries[] |
        select(any(.value.cases[]; (.[$engine].median | .rate // .seconds // 0) > 0)) | .key] | join(" ")' result.json)" \
        "$expected" "phases of $engine"
done
[[ " $engines " == " stoa "*"wiredtiger memory raw " ]] || fail "engines: $engines"
same "$(jq '[.phases[].cases[][] | select(.median == null or (.rounds | length) == 0)] | length' result.json)" 0 \
    "cases without rounds or median"
same "$(jq '[.phases.commit.cases.commit[].median | select(.p50 > .p95 or .p95 > .p99 or .p99 > .max)] | length' result.json)" 0 \
    "quantiles out of order"
[ "$(jq '[.goals[] | select(.value)] | length' result.json)" -ge 12 ] || fail "goals are not measured"

# The page has the goals, every phase and its picture; pictures are XML; rendering again gives the same.
for phase in $phases; do
    grep -q "^## $phase$" page.md || fail "the page has no $phase"
    grep -q "(pictures/$phase.svg)" page.md || fail "the page does not show $phase"
    grep -q '</svg>' "pictures/$phase.svg" || fail "$phase: the picture is not whole"
    if command -v python3 >/dev/null; then
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "pictures/$phase.svg" ||
            fail "$phase: the picture is not XML"
    fi
done
printf '## hot\nnote of hot\n## cold\nnote of cold\n' >notes
"$bench" --render --output again.json --markdown again.md --pictures again --notes notes result.json >table
diff -r pictures again >&2 || fail "the pictures differ when they are made again"
rounds='[.phases[].cases[][].rounds[]]'
[ "$(jq -cS "$rounds" again.json)" = "$(jq -cS "$rounds" result.json)" ] || fail "rendering changes the rounds"
same "$(sed -n '/^## mixed/,/^## /p' again.md | grep -c note)" 0 "notes behind the wrong phase"
same "$(sed -n '/^## hot/,/^## mixed/p' again.md | grep '^note')" "note of hot" "the note of hot"
grep -q '^goals' table || fail "the table has no goals"

# Parts of runs are put together.
jq '{benchmark, engines, phases: {hot: .phases.hot}}' result.json >hot.json
jq '{benchmark, engines, phases: {cold: .phases.cold}, seed}' result.json >cold.json
"$bench" --render --json hot.json cold.json >both.json
same "$(jq -c '.phases | keys_unsorted' both.json)" '["hot","cold"]' "two results put together"
ours='[.goals[] | select(.value and (.phase == "hot" or .phase == "cold")) | .goal]' # what there is depends on the peers
same "$(jq -c "$ours" both.json)" "$(jq -c "$ours" result.json)" "goals of two results"
[ "$(jq "$ours | length" both.json)" -gt 0 ] || fail "two results have no goals"
echo '{}' >nothing.json
! "$bench" --render nothing.json >out 2>err || fail "something else was taken for a result"
grep -q "not a result" err || fail "the refusal does not say why"

for arguments in "--engines nothing" "--phases nothing" "--minutes x" "--minutes 0" "--rounds 0" "surplus" "--render"; do
    status=0
    # shellcheck disable=SC2086 # several words
    "$bench" $arguments >out 2>err || status=$?
    [ "$status" = 2 ] || fail "$arguments: exit $status, not 2"
    grep -q usage err || fail "$arguments: no usage"
done

# The manual has the options, engines and phases of --help, and each measure of the result.
manual=$top_srcdir/man/stoa-bench.1
same "$(sed -n 's/^\.It Fl -\([a-z]*\).*/\1/p' "$manual" | sort)" \
    "$("$bench" --help | sed -n 's/^  --\([a-z]*\) .*/\1/p' | sort)" "options of the manual and of --help"
for word in $engines $phases; do
    grep -q "^\\.It Cm $word$" "$manual" || fail "the manual has no $word"
done
for word in $(jq -r '[.phases[].cases[][].median | keys[]] | unique | .[]' result.json); do
    grep -qE "^\\.It Va (.* )?$word( |$)" "$manual" || fail "the manual has no $word"
done
