#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The alert rules: every metric they name is one of ours, and promtool, where it is installed, finds them right.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
folder=$top_srcdir/packaging/prometheus

sed -n 's/^ *expr: //p' "$folder/stoa.rules.yml" | grep -o 'stoa_[a-z_]*' | sort -u >named
sed -n 's/^STOA_[A-Z]*([A-Z_]*, "\(stoa_[a-z_]*\)".*/\1/p' "$top_srcdir/include/stoa/metrics.def" | sort -u >known
[ -s named ] || fail "no metrics found in the rules"
while read -r name; do
    grep -qx "${name%_bucket}" known || fail "$name is not in metrics.def"
done <named
limits=$(grep -c '^STOA_ALERT(' "$top_srcdir/include/stoa/alert.def")
rules=$(grep -c 'alert: Stoa' "$folder/stoa.rules.yml")
[ "$rules" -ge "$limits" ] || fail "$limits alerts, but $rules rules"

if command -v promtool >/dev/null; then
    promtool check rules "$folder/stoa.rules.yml"
    (cd "$folder" && promtool test rules stoa.rules.test.yml)
    stoa -d store init >/dev/null
    stoa -d store stats --prometheus >page
    promtool check metrics <page
else
    echo "promtool is not installed: the rules' own tests are not run"
fi
