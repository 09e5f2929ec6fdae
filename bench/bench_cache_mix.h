/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_cache_mix.h: what a validator reads: state, transactions with receipts, blocks, headers,
 * the head. */
#ifndef BENCH_CACHE_MIX_H
#define BENCH_CACHE_MIX_H

/* Make a chain in DIRECTORY/chain, read it by a mix without a cache and with one, and tell what the
 * tables and the ledger were asked. 0; -1: it failed and said so. */
int bench_cache_mix(const char *directory);

#endif
