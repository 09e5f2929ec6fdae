/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench_engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>

#include "chain/block.h"
#include "chain/receipt.h"

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

int bench_sum_transaction(struct bytes block, struct bytes receipts, uint32_t index,
                          uint64_t *out_sum)
{
    struct bytes payload, header, transactions, list, envelope = {0}, receipt = {0};
    if (rlp_read_list(&block, &payload, NULL) != 0 || rlp_read_list(&payload, &header, NULL) != 0 ||
        rlp_read_list(&payload, &transactions, NULL) != 0 ||
        rlp_read_list(&receipts, &list, NULL) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i <= index; i++) {
        if (block_next_transaction(&transactions, &envelope, NULL) != 0 ||
            receipt_next(&list, &receipt, NULL) != 0) {
            return -1;
        }
    }
    *out_sum = bench_sum(envelope.data, envelope.size) ^ bench_sum(receipt.data, receipt.size);
    return 0;
}

uint64_t bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
