#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every public function is in a page of section 3, every page lints, and every example in them compiles and runs.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
compiler=${CC:-cc}
pages=("$top_srcdir"/man/*.3)
[ "${#pages[@]}" -ge 8 ] || fail "only ${#pages[@]} pages"

# What the library lets out is what the headers declare.
declared=$(sed 's|/\*.*\*/||' "$top_srcdir"/include/stoa.h "$top_srcdir"/include/stoa/*.h |
    sed -n 's/^[a-z][a-z_ ]*[ *]\(stoa_[a-z_]*\)(.*/\1/p' | sort -u)
documented=$(sed -n 's/^\.Fo \(stoa_[a-z_]*\).*/\1/p' "${pages[@]}" | sort -u)
same "$documented" "$declared" "functions in the pages and in the headers"

# Page by page: the literal part of EXAMPLES; what has no main stands inside a function with an open store.
example_of() {
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh /{/^\.Bd -literal/,/^\.Ed/{/^\.[BE]d/!p}}' "$1" | sed 's/\\e/\\/g; s/^\\&//'
}

wrapped() {
    cat <<'CODE'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stoa.h>

static int example(struct stoa *stoa)
{
    (void)stoa;
CODE
    cat
    cat <<'CODE'
    return 0;
}

int main(void)
{
    static const char genesis[] = "{\"config\": {\"chainId\": 7}, \"difficulty\": \"0x1\","
                                  " \"gasLimit\": \"0x47e7c4\", \"alloc\": {}}";
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    create.genesis_json = genesis;
    create.genesis_json_size = sizeof(genesis) - 1;
    if (stoa_create("chain", &create, &detail) != 0 || stoa_open("chain", NULL, &stoa, &detail) != 0) {
        fprintf(stderr, "%s\n", detail.text);
        return 2;
    }
    int result = example(stoa);
    return stoa_close(stoa, &detail) != 0 ? 3 : result;
}
CODE
}

export LD_LIBRARY_PATH="$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
for page in "${pages[@]}"; do
    name=$(basename "$page" .3)
    mkdir "$name"
    example_of "$page" >"$name/text"
    [ -s "$name/text" ] || fail "$name(3) has no example"
    if grep -q '^int main(' "$name/text"; then
        cp "$name/text" "$name/example.c"
    else
        wrapped <"$name/text" >"$name/example.c"
    fi
    # shellcheck disable=SC2086 # lists of flags
    $compiler -std=c17 -Wall -Wextra -Werror ${SANITIZER_CFLAGS:-} -I"$top_srcdir/include" -o "$name/example" "$name/example.c" \
        -L"$top_builddir/.libs" -lstoa || fail "the example of $name(3) does not compile"
    (cd "$name" && ./example >output) || fail "the example of $name(3) fails"
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$page" || fail "mandoc finds faults in $name(3)"
    fi
done
