/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_report.h: what was measured, and its three forms: a table for people, Markdown, JSON. Pure
 * but for the writing. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum bench_row {
    BENCH_ROW_IMPORT,
    BENCH_ROW_IMPORT_VERIFIED,
    BENCH_ROW_COMMIT,
    BENCH_ROW_HOT_BLOCK,
    BENCH_ROW_HOT_BLOCK_2, /* on two threads */
    BENCH_ROW_HOT_RECEIPTS,
    BENCH_ROW_HOT_RECEIPTS_2,
    BENCH_ROW_HOT_TRANSACTION,
    BENCH_ROW_HOT_TRANSACTION_2,
    BENCH_ROW_HOT_STATE,
    BENCH_ROW_HOT_STATE_2,
    BENCH_ROW_COLD_1,
    BENCH_ROW_COLD_32,
    BENCH_ROW_COLD_ALL_32,
    BENCH_ROW_COUNT,
};

enum bench_peer { BENCH_STOA, BENCH_ROCKSDB, BENCH_RAW, BENCH_PEER_COUNT };

enum { BENCH_ROUNDS_MAX = 256 };

/* One round of one engine in one row. Times in seconds. */
struct bench_round {
    double rate; /* operations a second; of an import with the work left in the background */
    double acknowledged_rate; /* the same, up to the last acknowledgement only */
    double p50;
    double p95;
    double p99;
    double max;
    double cpu;     /* seconds an operation */
    double written; /* bytes by the process, a logical byte */
    double device;  /* bytes by the device, a logical byte */
};

struct bench_series {
    struct bench_round rounds[BENCH_ROUNDS_MAX];
    unsigned count; /* 0: not measured */
};

struct bench_totals {
    bool used;
    const char *describe;
    double import_seconds; /* of the whole import with the final flush */
    uint64_t import_blocks;
    double import_device; /* bytes by the device a logical byte, of the same */
    double open_seconds;  /* median of the cold opens */
    uint64_t memory;      /* most at the end of a slice */
    uint64_t disk;
    uint64_t logical;
};

struct bench_report {
    char command[512];
    char machine[512];
    char directory[256];
    char date[32];
    char cache_note[128];
    uint64_t blocks;
    uint64_t seed;
    uint64_t block_bytes;  /* logical, average */
    uint64_t chain_blocks; /* of the valid chain; 0: not imported */
    uint64_t chain_bytes;
    uint64_t chain_transactions;
    double seconds;
    struct bench_series series[BENCH_ROW_COUNT][BENCH_PEER_COUNT];
    struct bench_totals totals[BENCH_PEER_COUNT];
};

extern const char *const bench_peer_names[BENCH_PEER_COUNT];

/* Middle value of each member over the rounds, but the largest MAX. COUNT is at least 1. */
struct bench_round bench_report_median(const struct bench_series *series);

/* The sorted SAMPLES' value below which the share Q of them lies. */
uint64_t bench_report_quantile(const uint64_t *samples, size_t count, double q);

void bench_report_table(const struct bench_report *report, FILE *out);
void bench_report_markdown(const struct bench_report *report, FILE *out);
void bench_report_json(const struct bench_report *report, FILE *out);

#endif
