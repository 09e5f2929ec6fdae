/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ring of slots with a turn each. A slot is free for position P where its turn is P, and holds
 * the message of position P where it is P + 1; the actor frees it for the next round with
 * P + capacity. Who pushes claims a position first, so pushers never wait for one another. */
#include "actor/mailbox.h"

#include <stdatomic.h>

#include "base/ensure.h"
#include "base/memory.h"

enum { CACHE_LINE = 64, CAPACITY_MIN = 4, CAPACITY_MAX = 1 << 30 };

struct slot {
    _Atomic(size_t) turn; /* released with the message in place or taken, acquired before */
    struct mailbox_message *message;
};

struct mailbox {
    struct io *io;
    struct slot *slots;
    size_t mask;
    size_t first;                             /* position of the next pop: the actor's */
    _Alignas(CACHE_LINE) _Atomic(size_t) end; /* position of the next push; orders nothing */
};

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
    mailbox->slots = memory_alloc(size * sizeof(*mailbox->slots));
    if (mailbox->slots == NULL) {
        memory_free(mailbox);
        return NULL;
    }
    for (size_t i = 0; i < size; i++) {
        atomic_init(&mailbox->slots[i].turn, i);
        mailbox->slots[i].message = NULL;
    }
    mailbox->io = io;
    mailbox->mask = size - 1;
    mailbox->first = 0;
    atomic_init(&mailbox->end, 0);
    return mailbox;
}

void mailbox_destroy(struct mailbox *mailbox)
{
    if (mailbox != NULL) {
        ensure(mailbox->first == atomic_load_explicit(&mailbox->end, memory_order_relaxed));
        memory_free(mailbox->slots);
        memory_free(mailbox);
    }
}

int mailbox_push(struct mailbox *mailbox, struct mailbox_message *message)
{
    ensure(message != NULL);
    size_t position = atomic_load_explicit(&mailbox->end, memory_order_relaxed);
    struct slot *slot;
    for (;;) {
        slot = &mailbox->slots[position & mailbox->mask];
        size_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == position) {
            if (atomic_compare_exchange_weak_explicit(&mailbox->end, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                break;
            }
        } else if (position - turn <= mailbox->mask + 1) {
            return STOA_EBUSY; /* it holds the message of the round before */
        } else {
            position = atomic_load_explicit(&mailbox->end, memory_order_relaxed);
        }
    }
    slot->message = message;
    atomic_store_explicit(&slot->turn, position + 1, memory_order_release);
    io_wake(mailbox->io);
    return 0;
}

struct mailbox_message *mailbox_pop(struct mailbox *mailbox)
{
    struct slot *slot = &mailbox->slots[mailbox->first & mailbox->mask];
    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != mailbox->first + 1) {
        return NULL; /* empty, or its pusher is not done yet: it will wake the actor */
    }
    struct mailbox_message *message = slot->message;
    slot->message = NULL;
    atomic_store_explicit(&slot->turn, mailbox->first + mailbox->mask + 1, memory_order_release);
    mailbox->first++;
    return message;
}
