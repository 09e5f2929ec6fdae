/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dead_letters.h: the box of messages that could not be carried out and whose time was up. It keeps
 * each for an hour, 10,000 at most and a bound of bytes: what comes on top pushes out the oldest.
 * Nothing leaves it without being counted, by reason.
 *
 * A letter is embedded in its owner's struct, which the box owns meanwhile: what it pushes out or
 * lets go of for its age it hands to the owner's `release`. One owner, no locks. */
#ifndef DEAD_LETTERS_H
#define DEAD_LETTERS_H

#include <stddef.h>
#include <stdint.h>

struct dead_letters;

struct dead_letter {
    uint64_t id;       /* the box's number of it, from 1 on */
    uint64_t since_ns; /* when it came in */
    size_t size;       /* bytes that it keeps: set by the owner */
    struct dead_letter *next;
    struct dead_letter *previous;
};

struct dead_letters_options {
    size_t count_max;  /* 0: 10,000 */
    uint64_t size_max; /* bytes; 0: 64 MiB */
    uint64_t age_ns;   /* 0: 1 h */
    void (*release)(void *context, struct dead_letter *letter);
    void *context;
};

/* Since the box was made. */
struct dead_letters_counts {
    uint64_t kept; /* now */
    uint64_t size; /* now, bytes */
    uint64_t added;
    uint64_t taken;
    uint64_t dropped;
    uint64_t aged;
    uint64_t displaced; /* pushed out by newer ones, or too big for the box */
};

/* NULL where memory is short. */
struct dead_letters *dead_letters_create(const struct dead_letters_options *options);

/* Releases what is inside. NULL is allowed. */
void dead_letters_destroy(struct dead_letters *box);

/* LETTER, with its size, at NOW_NS; its id is kept where it has one already (it was inside before).
 * It may be released at once: when it is larger than the box. */
void dead_letters_add(struct dead_letters *box, struct dead_letter *letter, uint64_t now_ns);

/* Let go of what is too old. */
void dead_letters_age(struct dead_letters *box, uint64_t now_ns);

/* The oldest; the others follow by `next`. NULL: the box is empty. */
struct dead_letter *dead_letters_first(const struct dead_letters *box);

/* NULL: it is not here. */
struct dead_letter *dead_letters_find(const struct dead_letters *box, uint64_t id);

/* Out of the box: the caller's again. */
void dead_letters_take(struct dead_letters *box, struct dead_letter *letter);

/* Release it. */
void dead_letters_drop(struct dead_letters *box, struct dead_letter *letter);

void dead_letters_count(const struct dead_letters *box, struct dead_letters_counts *out_counts);

#endif
