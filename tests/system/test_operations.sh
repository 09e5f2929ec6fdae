#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What operators get beside the programs: the unit is as closed as it claims, the file of settings is one, the manual and the
# dashboard know the metrics of the tables, and the guide has something to say to every alert.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq
packaging=$top_srcdir/packaging

# Metrics: the tables, and what the manual and the dashboard say.
{
    sed -n 's/^STOA_[A-Z]*([A-Z_]*, "\(stoa_[a-z_]*\)".*/\1/p' "$top_srcdir/include/stoa/metrics.def"
    sed -n 's/^HTTP_METRIC([a-z_]*, "\(stoa_[a-z_]*\)".*/\1/p' "$top_srcdir/src/http/http_metrics.def"
} | sort >known
same "$(sed -n '/^\.Sh METRICS/,/^\.Sh FILES/s/^\.It Va \([a-z_]*\).*/\1/p' "$top_srcdir/man/stoa-metrics.7" | sort)" "$(cat known)" \
    "metrics of the manual and of the tables (scripts/make-metrics-manual prints the list)"
jq -r '.. | .expr? // empty' "$packaging/grafana/stoa.json" | grep -o 'stoa_[a-z_]*' | sort -u >shown
[ "$(wc -l <shown)" -ge 30 ] || fail "the dashboard shows too few metrics"
while read -r name; do
    grep -qx "${name%_bucket}" known || fail "$name of the dashboard is in no table"
done <shown
same "$(jq '[.panels[].id] | length == (unique | length)' "$packaging/grafana/stoa.json")" true "ids of panels are unique"

# The guide has a section for every alert of the rules, and no other.
same "$(sed -n 's/^### \(Stoa[A-Za-z]*\)$/\1/p' "$top_srcdir/docs/operations.md" | sort)" \
    "$(sed -n 's/.*alert: \(Stoa[A-Za-z]*\).*/\1/p' "$packaging/prometheus/stoa.rules.yml" | sort)" "alerts of the guide and of the rules"
# What it names is there.
for page in $(grep -oE '(stoa|stoad|stoa\.conf|stoa-[a-z]+|libstoa)\([1-8]\)' "$top_srcdir/docs/operations.md" | sort -u | tr '()' '. '); do
    [ -e "$top_srcdir/man/${page%.}" ] || fail "the guide names ${page%.}, which is no page of the manual"
done

# The package is built with what the build needs. A release has no debian/: the archive adds its own.
if [ -d "$top_srcdir/debian" ]; then
    sed -n 's/^build //p' "$top_srcdir/scripts/packages" | grep -vE '^(make|gcc|libc6-dev)$' >needed
    while read -r package; do
        grep -qE "(^ +|^Build-Depends: )${package}( |,|\$)" "$top_srcdir/debian/control" ||
            fail "debian/control does not build-depend on $package"
    done <needed
fi

# The file of settings that is installed.
find_program ./stoad || fail "stoad was not built in $top_builddir"
stoa -d store init >/dev/null
"$program" --directory store --config "$packaging/systemd/stoa.conf" --check-config

if command -v systemd-analyze >/dev/null; then
    exposure=$(systemd-analyze security --offline=true --no-pager "$packaging/systemd/stoad.service" 2>&1 |
        sed -n 's/.*exposure level for stoad.service: \([0-9.]*\).*/\1/p')
    [ -n "$exposure" ] || skip "systemd-analyze does not judge files here"
    echo "exposure $exposure"
    [ "${exposure/./}" -lt 15 ] || fail "the unit is too open: $exposure"
else
    echo "systemd-analyze is not installed: the unit is not judged"
fi
