#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What make install puts down is enough to build and run a program with pkg-config.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires make pkg-config
compiler=${CC:-cc}

env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$top_builddir" install DESTDIR="$work/root" >install.log 2>&1 ||
    { cat install.log >&2; fail "make install"; }
pc=$(find root -name stoa.pc)
[ -n "$pc" ] || fail "stoa.pc was not installed"
export PKG_CONFIG_PATH="$work/${pc%/stoa.pc}"
export PKG_CONFIG_SYSROOT_DIR="$work/root"
same "$(pkg-config --modversion stoa)" "$("$stoa" --version | sed -n '1s/[^0-9]*//p')" "versions"

# Its own flags only: the system's packages have no copies under the root.
cat >program.c <<'CODE'
#include <stoa.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_detail detail;
    struct stoa_head head;
    struct stoa *stoa = NULL;
    if (stoa_open("absent", &options, &stoa, &detail) != STOA_ENOTFOUND ||
        stoa_create("made", &create, &detail) != 0 ||
        stoa_open("made", &options, &stoa, &detail) != 0) {
        fprintf(stderr, "%s\n", detail.text);
        return 1;
    }
    if (stoa_get_head(stoa, &head) != 0 || !head.empty || stoa_get_stats(stoa, &stats) != 0) {
        return 2;
    }
    printf("%s %s\n", stoa_version(), stats.io);
    return stoa_close(stoa, &detail) == 0 && strcmp(stoa_error_name(STOA_EIO), "STOA_EIO") == 0 ? 0 : 3;
}
CODE
flags=$(sed -n 's/^Requires.private:.*//; p' "$pc" >only.pc && PKG_CONFIG_PATH=$work pkg-config --cflags --libs only)
# shellcheck disable=SC2086 # lists of words
$compiler ${SANITIZER_CFLAGS:-} -o program program.c $flags
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name libstoa.so)") ./program
env PKG_CONFIG_SYSROOT_DIR= pkg-config --libs --static stoa >/dev/null

# The example that README.md shows builds with the same flags.
# shellcheck disable=SC2016 # a pattern
sed -n '/^```c$/,/^```$/p' "$top_srcdir/README.md" | sed '1d;$d' >example.c
[ -s example.c ] || fail "README.md has no example"
# shellcheck disable=SC2086 # lists of words
$compiler ${SANITIZER_CFLAGS:-} -Wall -Wextra -Werror -o example example.c $flags
