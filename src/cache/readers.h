/* SPDX-License-Identifier: GPL-3.0-or-later */
/* readers.h: lookups of any thread in memory that one writer changes, without locks: epochs.
 *
 * A reader enters, follows pointers, leaves; between the two nothing that it could have reached is
 * freed. Entering claims one of READERS_SLOTS places by one compare-and-swap, beginning at a place
 * of the thread's own, so that threads do not meet on a cache line; there is nothing to register
 * and nothing to undo when a thread ends. It is wait-free: after as many tries as there are places
 * it gives up, and the caller does without. Nothing blocks or allocates between enter and leave.
 *
 * The writer unlinks an object (sequentially consistent store), notes readers_epoch with it, later
 * advances the epoch, and frees it when readers_oldest is beyond that note: whoever entered since
 * cannot have seen it.
 *
 * A place also counts for its thread: READERS_COUNTS counters that only who holds it changes. */
#ifndef READERS_H
#define READERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { READERS_SLOTS = 128, READERS_COUNTS = 31 };

struct readers_slot {
    _Alignas(64) _Atomic(uint64_t) epoch; /* 0: nobody; else when its reader entered */
    _Atomic(uint64_t) counts[READERS_COUNTS];
};

struct readers {
    struct readers_slot slots[READERS_SLOTS];
    _Alignas(64) _Atomic(uint64_t) epoch; /* from 1 */
};

void readers_init(struct readers *readers);

/* Any thread. NULL: all places are taken. */
struct readers_slot *readers_enter(struct readers *readers);
void readers_leave(struct readers_slot *slot);

/* Between the two: one more of counter INDEX. */
static inline void readers_count(struct readers_slot *slot, unsigned index)
{
    uint64_t count = atomic_load_explicit(&slot->counts[index], memory_order_relaxed);
    atomic_store_explicit(&slot->counts[index], count + 1, memory_order_relaxed);
}

/* Any thread: the sum of a counter over all places. */
uint64_t readers_sum(const struct readers *readers, unsigned index);

/* The writer's. */
static inline uint64_t readers_epoch(const struct readers *readers)
{
    return atomic_load_explicit(&readers->epoch, memory_order_relaxed);
}

void readers_advance(struct readers *readers);

/* What was unlinked in an epoch before this one has no reader. */
uint64_t readers_oldest(const struct readers *readers);

#endif
