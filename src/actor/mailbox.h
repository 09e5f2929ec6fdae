/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mailbox.h: a bounded queue of messages for one actor, with a lane for each priority. Any thread
 * pushes, only the actor's thread pops. A full lane refuses at once; it never waits and never
 * drops. A message is embedded in its owner's struct as `struct mailbox_message`.
 *
 * While all lanes have messages, of every fifteen taken eight are critical, four high, two normal
 * and one low. A lane that is empty leaves its share to the others. */
#ifndef MAILBOX_H
#define MAILBOX_H

#include "io/io.h"

struct mailbox;

struct mailbox_message {
    int kind; /* the actor's */
};

enum mailbox_lane { MAILBOX_LOW, MAILBOX_NORMAL, MAILBOX_HIGH, MAILBOX_CRITICAL, MAILBOX_LANES };

/* CAPACITY messages a lane at most, rounded up to a power of two, at least 4. IO is the actor's
 * loop, woken by a push, and outlives every push. NULL where memory is short. */
struct mailbox *mailbox_create(struct io *io, unsigned capacity);

/* It must be empty. NULL is allowed. */
void mailbox_destroy(struct mailbox *mailbox);

/* Hand MESSAGE over, then wake the actor. STOA_EBUSY: the lane is full, the caller still owns the
 * message. */
int mailbox_push(struct mailbox *mailbox, enum mailbox_lane lane, struct mailbox_message *message);

/* The oldest message of the lane whose turn it is among LOWEST and those above it, or NULL.
 * Messages that one thread pushed into one lane come in that order. */
struct mailbox_message *mailbox_pop(struct mailbox *mailbox, enum mailbox_lane lowest);

#endif
