/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stoa-bench-mailbox: what a message costs on its way to the store and back, without the store's
 * own work: the newest block of an empty store is asked for, which the loop answers at once.
 *
 *   stoa-bench-mailbox [DIRECTORY]   makes a store in a temporary directory there, removes it */
#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_single.h"
#include "stoa.h"

enum { MESSAGES = 1000000, WINDOW = 1024, BATCH = 256, ROUND_TRIPS = 100000 };

static const struct stoa_block_key newest = {.by = STOA_LATEST};

static int fail(const char *what, int result)
{
    fprintf(stderr, "stoa-bench-mailbox: %s: %s\n", what, stoa_strerror(result));
    return -1;
}

/* Submitted by WINDOW, reaped by BATCH. */
static int bench_batches(struct stoa *stoa)
{
    static struct stoa_completion done[BATCH];
    unsigned submitted = 0;
    unsigned reaped = 0;
    uint64_t begin = bench_single_ns();
    while (reaped < MESSAGES) {
        while (submitted < MESSAGES && submitted - reaped < WINDOW) {
            int result = stoa_submit_get_block(stoa, &newest, NULL);
            if (result != 0) {
                return fail("submit", result);
            }
            submitted++;
        }
        int count = stoa_reap(stoa, done, BATCH, -1);
        for (int i = 0; i < count; i++) {
            if (done[i].result != STOA_ENOTFOUND) {
                return fail("answer", done[i].result);
            }
        }
        reaped += (unsigned)count;
    }
    double seconds = (double)(bench_single_ns() - begin) / 1e9;
    printf("messages in batches: %.0f a second\n", MESSAGES / seconds);
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static int bench_round_trips(struct stoa *stoa)
{
    static uint32_t took[ROUND_TRIPS];
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        struct stoa_block block;
        uint64_t begin = bench_single_ns();
        int result = stoa_get_block(stoa, &newest, &block, NULL);
        took[i] = (uint32_t)(bench_single_ns() - begin);
        if (result != STOA_ENOTFOUND) {
            return fail("get", result);
        }
    }
    qsort(took, ROUND_TRIPS, sizeof(took[0]), compare);
    printf("round trip: p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n", took[ROUND_TRIPS / 2] / 1e3,
           took[ROUND_TRIPS / 100 * 99] / 1e3, took[ROUND_TRIPS / 1000 * 999] / 1e3);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int main(int argc, char **argv)
{
    char directory[4096];
    char store[4200];
    struct stoa *stoa = NULL;
    struct stoa_detail detail = {.text = ""};
    (void)snprintf(directory, sizeof(directory), "%s/stoa-bench-XXXXXX",
                   argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(directory) == NULL) {
        fprintf(stderr, "stoa-bench-mailbox: %s: %s\n", directory, strerror(errno));
        return 1;
    }
    (void)snprintf(store, sizeof(store), "%s/store", directory);
    int result = stoa_create(store, NULL, &detail);
    if (result == 0) {
        result = stoa_open(store, NULL, &stoa, &detail);
    }
    if (result != 0) {
        fprintf(stderr, "stoa-bench-mailbox: %s\n", detail.text);
    }
    bool failed = result != 0 || bench_batches(stoa) != 0 || bench_round_trips(stoa) != 0;
    failed = stoa_close(stoa, &detail) != 0 || failed;
    (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what is left is in /tmp */
    return failed ? 1 : 0;
}
