/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/mailbox.h"

#include <ck_ring.h>

#include "base/ensure.h"
#include "base/memory.h"

enum { CACHE_LINE = 64 };

struct mailbox {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
    struct io *io;
};

struct mailbox *mailbox_create(struct io *io, unsigned capacity)
{
    unsigned size = 4;
    while (size - 1 < capacity) { /* the ring keeps one slot free */
        ensure(size <= 1U << 30);
        size *= 2;
    }
    struct mailbox *mailbox = memory_alloc_aligned(sizeof(*mailbox), CACHE_LINE);
    if (mailbox == NULL) {
        return NULL;
    }
    mailbox->slots = memory_alloc_zeroed(size, sizeof(*mailbox->slots));
    if (mailbox->slots == NULL) {
        memory_free(mailbox);
        return NULL;
    }
    ck_ring_init(&mailbox->ring, size);
    mailbox->io = io;
    return mailbox;
}

void mailbox_destroy(struct mailbox *mailbox)
{
    if (mailbox != NULL) {
        ensure(ck_ring_size(&mailbox->ring) == 0);
        memory_free(mailbox->slots);
        memory_free(mailbox);
    }
}

int mailbox_push(struct mailbox *mailbox, struct mailbox_message *message)
{
    if (!ck_ring_enqueue_mpsc(&mailbox->ring, mailbox->slots, message)) {
        return STOA_EBUSY;
    }
    io_wake(mailbox->io);
    return 0;
}

struct mailbox_message *mailbox_pop(struct mailbox *mailbox)
{
    void *message;
    if (!ck_ring_dequeue_mpsc(&mailbox->ring, mailbox->slots, &message)) {
        return NULL;
    }
    return message;
}
