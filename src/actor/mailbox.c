/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A lane is a ring of slots with a turn each. A slot is free for position P where its turn is P,
 * and holds the message of position P where it is P + 1; the actor frees it for the next round with
 * P + capacity. Who pushes claims a position first, so pushers never wait for one another. */
#include "actor/mailbox.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/ensure.h"
#include "base/memory.h"

enum { CACHE_LINE = 64, CAPACITY_MIN = 4, CAPACITY_MAX = 1 << 30 };

struct slot {
    _Atomic(size_t) turn; /* released with the message in place or taken, acquired before */
    struct mailbox_message *message;
};

/* One ring. */
struct lane {
    struct slot *slots;
    size_t mask;
    size_t first;                             /* position of the next pop: the actor's */
    unsigned share;                           /* pops left in this round: the actor's */
    _Alignas(CACHE_LINE) _Atomic(size_t) end; /* position of the next push; orders nothing */
};

struct mailbox {
    struct lane lanes[MAILBOX_LANES];
    struct io *io;
};

static const unsigned shares[MAILBOX_LANES] = {
    [MAILBOX_LOW] = 1,
    [MAILBOX_NORMAL] = 2,
    [MAILBOX_HIGH] = 4,
    [MAILBOX_CRITICAL] = 8,
};

static bool lane_init(struct lane *lane, size_t size, unsigned share)
{
    lane->slots = memory_alloc(size * sizeof(*lane->slots));
    if (lane->slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        atomic_init(&lane->slots[i].turn, i);
        lane->slots[i].message = NULL;
    }
    lane->mask = size - 1;
    lane->first = 0;
    lane->share = share;
    atomic_init(&lane->end, 0);
    return true;
}

struct mailbox *mailbox_create(struct io *io, unsigned capacity)
{
    size_t size = CAPACITY_MIN;
    while (size < capacity) {
        ensure(size < CAPACITY_MAX);
        size *= 2;
    }
    struct mailbox *mailbox = memory_alloc_aligned(sizeof(*mailbox), CACHE_LINE);
    if (mailbox == NULL) {
        return NULL;
    }
    mailbox->io = io;
    for (int i = 0; i < MAILBOX_LANES; i++) {
        if (!lane_init(&mailbox->lanes[i], size, shares[i])) {
            while (i > 0) {
                memory_free(mailbox->lanes[--i].slots);
            }
            memory_free(mailbox);
            return NULL;
        }
    }
    return mailbox;
}

void mailbox_destroy(struct mailbox *mailbox)
{
    if (mailbox == NULL) {
        return;
    }
    for (int i = 0; i < MAILBOX_LANES; i++) {
        struct lane *lane = &mailbox->lanes[i];
        ensure(lane->first == atomic_load_explicit(&lane->end, memory_order_relaxed));
        memory_free(lane->slots);
    }
    memory_free(mailbox);
}

int mailbox_push(struct mailbox *mailbox, enum mailbox_lane to, struct mailbox_message *message)
{
    ensure(message != NULL);
    struct lane *lane = &mailbox->lanes[to];
    size_t position = atomic_load_explicit(&lane->end, memory_order_relaxed);
    struct slot *slot;
    for (;;) {
        slot = &lane->slots[position & lane->mask];
        size_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == position) {
            if (atomic_compare_exchange_weak_explicit(&lane->end, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                break;
            }
        } else if (position - turn <= lane->mask + 1) {
            return STOA_EBUSY; /* it holds the message of the round before */
        } else {
            position = atomic_load_explicit(&lane->end, memory_order_relaxed);
        }
    }
    slot->message = message;
    atomic_store_explicit(&slot->turn, position + 1, memory_order_release);
    io_wake(mailbox->io);
    return 0;
}

static struct mailbox_message *lane_pop(struct lane *lane)
{
    struct slot *slot = &lane->slots[lane->first & lane->mask];
    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != lane->first + 1) {
        return NULL; /* empty, or its pusher is not done yet: it will wake the actor */
    }
    struct mailbox_message *message = slot->message;
    slot->message = NULL;
    atomic_store_explicit(&slot->turn, lane->first + lane->mask + 1, memory_order_release);
    lane->first++;
    return message;
}

struct mailbox_message *mailbox_pop(struct mailbox *mailbox, enum mailbox_lane lowest)
{
    /* Twice: where every lane with messages has used up its share a new round begins. */
    for (int round = 0; round < 2; round++) {
        for (int i = MAILBOX_CRITICAL; i >= (int)lowest; i--) {
            struct lane *lane = &mailbox->lanes[i];
            struct mailbox_message *message = lane->share > 0 ? lane_pop(lane) : NULL;
            if (message != NULL) {
                lane->share--;
                return message;
            }
        }
        for (int i = 0; i < MAILBOX_LANES; i++) {
            mailbox->lanes[i].share = shares[i];
        }
    }
    return NULL;
}
