/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agenda.h: the messages that an actor has taken out of its mailbox and not answered yet: which of
 * them wait for their turn, by priority; which have a time at which something is to be done about
 * them; and each of them by its id. So a flood of low messages in work never stands before a
 * critical one, a deadline is met by what waits as by what is in work, and a message can be taken
 * back by its id.
 *
 * An entry is embedded in its owner's struct. One owner, no locks. Adding, waiting, taking and
 * finding take constant time, times logarithmic. */
#ifndef AGENDA_H
#define AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actor/mailbox.h"

struct agenda;

struct agenda_entry {
    uint64_t id;            /* set by the owner before agenda_add; need not be unique */
    enum mailbox_lane lane; /* likewise */

    /* The agenda's. */
    bool waiting;
    uint64_t time_ns;
    uint64_t sequence;
    size_t place; /* among the times; SIZE_MAX: it has none */
    struct agenda_entry *next;
    struct agenda_entry *previous;
    struct agenda_entry *id_next;
    struct agenda_entry *id_previous;
};

/* With room for CAPACITY entries (at least 1): more is not added. NULL where memory is short. */
struct agenda *agenda_create(size_t capacity);

/* It must be empty. NULL is allowed. */
void agenda_destroy(struct agenda *agenda);

/* ENTRY belongs to the agenda until agenda_remove: not waiting, without a time. STOA_EBUSY: there
 * are CAPACITY already. */
int agenda_add(struct agenda *agenda, struct agenda_entry *entry);
void agenda_remove(struct agenda *agenda, struct agenda_entry *entry);
size_t agenda_count(const struct agenda *agenda);

/* The first that was added with ID, or NULL. */
struct agenda_entry *agenda_find(const struct agenda *agenda, uint64_t id);

/* Visit each entry, in no order. VISIT may remove the one it is given. */
void agenda_each(struct agenda *agenda, void (*visit)(void *context, struct agenda_entry *entry),
                 void *context);

/* ENTRY waits, last of its lane. */
void agenda_wait(struct agenda *agenda, struct agenda_entry *entry);

/* It waits no longer, if it did. */
void agenda_stop_waiting(struct agenda *agenda, struct agenda_entry *entry);

/* The entry whose turn it is among those that wait in LANES (1 << a lane, or'ed), by the shares
 * that mailbox.h tells; it waits no longer. NULL: none. */
struct agenda_entry *agenda_take(struct agenda *agenda, unsigned lanes);

/* Something is due with ENTRY at TIME_NS, in place of the time it had; UINT64_MAX: nothing. */
void agenda_set_time(struct agenda *agenda, struct agenda_entry *entry, uint64_t time_ns);

/* The earliest time of all, or UINT64_MAX. */
uint64_t agenda_next_time(const struct agenda *agenda);

/* An entry whose time is NOW_NS or earlier, earliest first, or NULL. It has no time any more. */
struct agenda_entry *agenda_due(struct agenda *agenda, uint64_t now_ns);

#endif
