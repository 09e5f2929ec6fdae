/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/prune_record.h"

#include <string.h>

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void prune_floors_raise(struct prune_floors *floors, const struct prune_floors *by)
{
    floors->bodies = higher(floors->bodies, by->bodies);
    floors->receipts = higher(higher(floors->receipts, by->receipts), floors->bodies);
    floors->logs = higher(higher(floors->logs, by->logs), floors->receipts);
    floors->transactions = higher(higher(floors->transactions, by->transactions), floors->bodies);
}

bool prune_floors_are_same(const struct prune_floors *a, const struct prune_floors *b)
{
    return a->bodies == b->bodies && a->receipts == b->receipts && a->logs == b->logs &&
           a->transactions == b->transactions;
}

void prune_floors_encode(const struct prune_floors *floors, uint8_t out[PRUNE_FLOORS_SIZE])
{
    bytes_store_le64(out, floors->bodies);
    bytes_store_le64(out + 8, floors->receipts);
    bytes_store_le64(out + 16, floors->logs);
    bytes_store_le64(out + 24, floors->transactions);
}

void prune_floors_decode(const uint8_t *from, struct prune_floors *out_floors)
{
    *out_floors = (struct prune_floors){
        .bodies = bytes_load_le64(from),
        .receipts = bytes_load_le64(from + 8),
        .logs = bytes_load_le64(from + 16),
        .transactions = bytes_load_le64(from + 24),
    };
}

void prune_record_encode(const struct prune_floors *floors, uint8_t out[PRUNE_RECORD_SIZE])
{
    memset(out, 0, PRUNE_RECORD_SIZE);
    out[0] = PRUNE_RECORD_VERSION;
    prune_floors_encode(floors, out + 8);
}

int prune_record_decode(struct bytes payload, struct prune_floors *out_floors,
                        struct error_detail *detail)
{
    struct prune_floors floors;
    struct prune_floors raised = {.bodies = 0};
    if (payload.size != PRUNE_RECORD_SIZE || payload.data[0] != PRUNE_RECORD_VERSION) {
        return error_set(detail, STOA_ECORRUPT, "prune record: %zu bytes, version %u are unknown",
                         payload.size, payload.size != 0 ? payload.data[0] : 0);
    }
    prune_floors_decode(payload.data + 8, &floors);
    prune_floors_raise(&raised, &floors);
    if (!prune_floors_are_same(&raised, &floors)) {
        return error_set(detail, STOA_ECORRUPT, "prune record: its floors contradict each other");
    }
    *out_floors = floors;
    return 0;
}
