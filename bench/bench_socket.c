/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench_socket.c: cached reads through a daemon's socket: one client on one thread.
 *
 *      stoa-bench-socket SOCKET [SECONDS]
 *
 * The store is made for it: a block with 10,000 raw keys of 32 bytes is stored first where they are
 * not there. Printed as JSON: reads a second with 64 in flight, of values, blocks and transactions,
 * and the quantiles of a call that is alone. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_single.h"
#include "stoa.h"

enum { KEYS = 10000, VALUE_SIZE = 32, IN_FLIGHT = 64, SAMPLES_MAX = 2000000 };

static void fail(const char *what, int result, const struct stoa_detail *detail)
{
    fprintf(stderr, "%s: %s: %s\n", what, stoa_error_name(result), detail->text);
    exit(1);
}

static struct stoa_bytes key_of(unsigned number, char text[16])
{
    int length = snprintf(text, 16, "bench/%u", number % KEYS);
    return (struct stoa_bytes){(const uint8_t *)text, (size_t)length};
}

static void store_keys(struct stoa *stoa)
{
    static char names[KEYS][16];
    static uint8_t values[KEYS][VALUE_SIZE];
    static struct stoa_change changes[KEYS];
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    struct stoa_detail detail = {.code = 0};
    for (unsigned i = 0; i < KEYS; i++) {
        memset(values[i], (int)(i % 251), VALUE_SIZE);
        changes[i].key = key_of(i, names[i]);
        changes[i].value = (struct stoa_bytes){values[i], VALUE_SIZE};
    }
    update.changes = changes;
    update.change_count = KEYS;
    int result = stoa_update_state(stoa, &update, &detail);
    if (result != 0) {
        fail("store keys", result, &detail);
    }
}

enum what { VALUES, BLOCKS, HEADERS };

static int submit(struct stoa *stoa, enum what what, unsigned number, uint64_t head,
                  const struct stoa_call *call)
{
    char text[16];
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = head - number % 32};
    return what == VALUES   ? stoa_submit_get_state(stoa, key_of(number, text), call)
           : what == BLOCKS ? stoa_submit_get_block(stoa, &key, call)
                            : stoa_submit_get_header(stoa, &key, call);
}

static void forget(struct stoa_completion *done)
{
    if (done->result != 0) {
        fail("read", done->result, &done->detail);
    }
    stoa_release(done->block.view);
    stoa_release(done->header.view);
    stoa_free((void *)(uintptr_t)done->value.data);
}

/* Reads a second, with IN_FLIGHT at any time. */
static double pipelined(struct stoa *stoa, enum what what, uint64_t head, double seconds)
{
    static struct stoa_completion done[IN_FLIGHT];
    uint64_t end = bench_single_ns() + (uint64_t)(seconds * 1e9);
    uint64_t begin = bench_single_ns();
    uint64_t count = 0;
    unsigned number = 0;
    unsigned free_slots = IN_FLIGHT;
    struct stoa_call more = STOA_CALL_INIT;
    struct stoa_call last = STOA_CALL_INIT;
    more.flags = STOA_CALL_MORE;
    while (bench_single_ns() < end) {
        for (; free_slots != 0; free_slots--) {
            int result = submit(stoa, what, number++, head, free_slots == 1 ? &last : &more);
            if (result != 0) {
                fprintf(stderr, "submit: %s\n", stoa_error_name(result));
                exit(1);
            }
        }
        int reaped = stoa_reap(stoa, done, IN_FLIGHT, -1);
        for (int i = 0; i < reaped; i++) {
            forget(&done[i]);
        }
        free_slots += (unsigned)reaped;
        count += (uint64_t)reaped;
    }
    double rate = (double)count * 1e9 / (double)(bench_single_ns() - begin);
    while (free_slots < IN_FLIGHT) {
        int reaped = stoa_reap(stoa, done, IN_FLIGHT, -1);
        for (int i = 0; i < reaped; i++) {
            forget(&done[i]);
        }
        free_slots += (unsigned)reaped;
    }
    return rate;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void single(struct stoa *stoa, double seconds, double out_us[3])
{
    static uint32_t samples[SAMPLES_MAX];
    size_t count = 0;
    uint64_t end = bench_single_ns() + (uint64_t)(seconds * 1e9);
    while (bench_single_ns() < end && count < SAMPLES_MAX) {
        char text[16];
        struct stoa_bytes value;
        struct stoa_detail detail = {.code = 0};
        uint64_t begin = bench_single_ns();
        int result = stoa_get_state(stoa, key_of((unsigned)count, text), &value, &detail);
        samples[count++] = (uint32_t)(bench_single_ns() - begin);
        if (result != 0) {
            fail("read", result, &detail);
        }
        stoa_free((void *)(uintptr_t)value.data);
    }
    qsort(samples, count, sizeof(samples[0]), by_size);
    out_us[0] = samples[count / 2] / 1e3;
    out_us[1] = samples[count - 1 - count / 100] / 1e3;
    out_us[2] = samples[count - 1 - count / 1000] / 1e3;
}

int main(int argc, char **argv)
{
    struct stoa *stoa;
    struct stoa_head head;
    struct stoa_detail detail = {.code = 0};
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    if (argc < 2 || seconds <= 0) {
        fprintf(stderr, "usage: stoa-bench-socket SOCKET [SECONDS]\n");
        return 2;
    }
    int result = stoa_connect(argv[1], NULL, &stoa, &detail);
    if (result != 0) {
        fail(argv[1], result, &detail);
    }
    result = stoa_get_head(stoa, &head);
    if (result != 0 || head.empty || head.height < 32) {
        fprintf(stderr, "the store needs 33 blocks at least\n");
        return 1;
    }
    store_keys(stoa);
    double us[3];
    (void)pipelined(stoa, VALUES, head.height, seconds / 4); /* into the cache */
    (void)pipelined(stoa, BLOCKS, head.height, seconds / 4);
    double values = pipelined(stoa, VALUES, head.height, seconds);
    double headers = pipelined(stoa, HEADERS, head.height, seconds);
    double blocks = pipelined(stoa, BLOCKS, head.height, seconds);
    single(stoa, seconds, us);
    printf("{\"in_flight\":%d,\"values_per_second\":%.0f,\"headers_per_second\":%.0f,"
           "\"blocks_per_second\":%.0f,\"single_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}}\n",
           IN_FLIGHT, values, headers, blocks, us[0], us[1], us[2]);
    result = stoa_close(stoa, &detail);
    return result == 0 ? 0 : 1;
}
