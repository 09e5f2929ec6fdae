/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/readers.h"

#include <pthread.h>
#include <string.h>

#include "base/ensure.h"

static_assert(sizeof(struct readers_slot) == 256, "a place is whole cache lines");

void readers_init(struct readers *readers)
{
    memset(readers, 0, sizeof(*readers));
    atomic_init(&readers->epoch, 1);
}

/* A place of the thread's own: its address of control differs from every other thread's. */
static unsigned home_of_thread(void)
{
    uint64_t value = (uint64_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(value >> 57); /* 7 bits */
}

static_assert(READERS_SLOTS == 1 << 7, "home_of_thread gives 7 bits");

struct readers_slot *readers_enter(struct readers *readers)
{
    /* An old epoch is as good as a new one: it only keeps more from being freed. */
    uint64_t epoch = atomic_load_explicit(&readers->epoch, memory_order_acquire);
    unsigned home = home_of_thread();
    for (unsigned i = 0; i < READERS_SLOTS; i++) {
        struct readers_slot *slot = &readers->slots[(home + i) % READERS_SLOTS];
        uint64_t nobody = 0;
        /* Before all loads of pointers that follow: the writer's scan sees this, or they see what
         * it unlinked before the scan. */
        if (atomic_compare_exchange_strong_explicit(&slot->epoch, &nobody, epoch,
                                                    memory_order_seq_cst, memory_order_relaxed)) {
            return slot;
        }
    }
    return NULL;
}

void readers_leave(struct readers_slot *slot)
{
    atomic_store_explicit(&slot->epoch, 0, memory_order_release);
}

uint64_t readers_sum(const struct readers *readers, unsigned index)
{
    ensure(index < READERS_COUNTS);
    uint64_t sum = 0;
    for (unsigned i = 0; i < READERS_SLOTS; i++) {
        sum += atomic_load_explicit(&readers->slots[i].counts[index], memory_order_relaxed);
    }
    return sum;
}

void readers_advance(struct readers *readers)
{
    atomic_fetch_add_explicit(&readers->epoch, 1, memory_order_seq_cst);
}

uint64_t readers_oldest(const struct readers *readers)
{
    uint64_t oldest = atomic_load_explicit(&readers->epoch, memory_order_seq_cst);
    for (unsigned i = 0; i < READERS_SLOTS; i++) {
        uint64_t epoch = atomic_load_explicit(&readers->slots[i].epoch, memory_order_seq_cst);
        if (epoch != 0 && epoch < oldest) {
            oldest = epoch;
        }
    }
    return oldest;
}
