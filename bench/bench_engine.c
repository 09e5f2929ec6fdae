/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>

#include "config.h"

const struct bench_engine_ops *const bench_engines[] = {
    &bench_engine_stoa,
#ifdef HAVE_ROCKSDB
    &bench_engine_rocksdb,    &bench_engine_rocksdb_blob,
#endif
#ifdef HAVE_LEVELDB
    &bench_engine_leveldb,
#endif
#ifdef HAVE_LMDB
    &bench_engine_lmdb,
#endif
    &bench_engine_wiredtiger, &bench_engine_memory,       &bench_engine_raw,
};

const unsigned bench_engine_count = sizeof(bench_engines) / sizeof(bench_engines[0]);

int bench_fault_set(struct bench_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof(fault->text), format, arguments); /* may be cut */
    va_end(arguments);
    return -1;
}

uint64_t bench_sum(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

int bench_read_check(const struct bench_read *read, uint64_t sum, struct bench_fault *fault)
{
    static const char *const kinds[BENCH_KINDS] = {
        [BENCH_STATE] = "value",
        [BENCH_TRANSACTION] = "transaction",
        [BENCH_RECEIPT] = "receipt",
        [BENCH_BLOCK] = "block",
    };
    if (sum == read->sum) {
        return 0;
    }
    char key[2 * sizeof(read->key) + 1];
    for (size_t i = 0; i < sizeof(read->key); i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", read->key[i]);
    }
    return bench_fault_set(fault, "a read came back wrong: %s %s, checksum %016llx, not %016llx",
                           kinds[read->kind], key, (unsigned long long)sum,
                           (unsigned long long)read->sum);
}

uint64_t bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
