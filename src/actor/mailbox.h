/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mailbox.h: a bounded queue of messages for one actor. Any thread pushes, only the actor's thread
 * pops. A full mailbox refuses at once; it never waits and never drops. A message is embedded in
 * its owner's struct as `struct mailbox_message`. */
#ifndef MAILBOX_H
#define MAILBOX_H

#include "io/io.h"

struct mailbox;

struct mailbox_message {
    int kind; /* the actor's */
};

/* CAPACITY messages at most, rounded up to a power of two, at least 4. IO is the actor's loop,
 * woken by a push, and outlives every push. NULL where memory is short. */
struct mailbox *mailbox_create(struct io *io, unsigned capacity);

/* It must be empty. NULL is allowed. */
void mailbox_destroy(struct mailbox *mailbox);

/* Hand MESSAGE over, then wake the actor. STOA_EBUSY: the box is full, the caller still owns the
 * message. */
int mailbox_push(struct mailbox *mailbox, struct mailbox_message *message);

/* The oldest message, or NULL. Messages of one thread come in the order pushed. */
struct mailbox_message *mailbox_pop(struct mailbox *mailbox);

#endif
