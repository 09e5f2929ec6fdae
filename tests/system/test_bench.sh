#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The benchmark runs on every engine it has, each read brings what was stored (it fails otherwise), and its report is
# whole. No figure is asserted.
# shellcheck source=functions.sh
. "${top_srcdir:-.}/tests/system/functions.sh"

bench=$top_builddir/bench/stoa-bench
if ! "$bench" --quick --blocks 30 --rounds 1 --dir . --json --output report.json 2>err; then
    cat err >&2
    ! grep -q "no O_DIRECT" err || skip "no O_DIRECT in $work"
    fail "the benchmark failed"
fi
rm err
for engine in $(grep -o '"\(stoa\|rocksdb\|raw\)":' report.json | tr -d '":'); do
    phases="import commit cold-1 cold-32 cold-all-32"
    [ "$engine" = raw ] || phases="$phases hot-block hot-receipts hot-transaction hot-state hot-block-2 hot-state-2"
    [ "$engine" != stoa ] || phases="$phases import-verified"
    part=$(sed "s/.*\"$engine\":{\"settings\"//; s/{\"settings\".*//" report.json)
    for phase in $phases; do
        [[ $part == *"\"$phase\":{\"median\":{\"rate\":"[1-9]* ]] || fail "$engine: no $phase"
    done
done
[ "$(grep -o '"goal":' report.json | wc -l)" = 4 ] || fail "not all goals are reported"
[ "$(ls)" = report.json ] || fail "the stores were left behind"

for form in "" --markdown; do
    # shellcheck disable=SC2086 # one word or none
    "$bench" --quick --blocks 10 --rounds 1 --phases commit --engines raw $form >report
    grep -q "durable commit" report || fail "no commit row in ${form:-the table}"
done

for arguments in "--engines nothing" "--phases nothing" "--blocks x" "--rounds 0" "surplus"; do
    status=0
    # shellcheck disable=SC2086 # several words
    "$bench" $arguments >out 2>err || status=$?
    [ "$status" = 2 ] || fail "$arguments: exit $status, not 2"
    grep -q usage err || fail "$arguments: no usage"
done
