/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "actor/dead_letters.h"

#include "base/ensure.h"
#include "base/memory.h"

static const size_t count_default = 10000;
static const uint64_t size_default = (uint64_t)64 << 20;
static const uint64_t age_default_ns = (uint64_t)3600 * 1000000000;

struct dead_letters {
    struct dead_letters_options options;
    struct dead_letter *first; /* the oldest */
    struct dead_letter *last;
    uint64_t next_id;
    struct dead_letters_counts counts;
};

struct dead_letters *dead_letters_create(const struct dead_letters_options *options)
{
    ensure(options->release != NULL);
    struct dead_letters *box = memory_alloc_zeroed(1, sizeof(*box));
    if (box == NULL) {
        return NULL;
    }
    box->options = *options;
    if (box->options.count_max == 0) {
        box->options.count_max = count_default;
    }
    if (box->options.size_max == 0) {
        box->options.size_max = size_default;
    }
    if (box->options.age_ns == 0) {
        box->options.age_ns = age_default_ns;
    }
    box->next_id = 1;
    return box;
}

static void unlink_letter(struct dead_letters *box, struct dead_letter *letter)
{
    ensure(box->counts.kept > 0 && box->counts.size >= letter->size);
    if (letter->previous == NULL) {
        ensure(box->first == letter);
        box->first = letter->next;
    } else {
        letter->previous->next = letter->next;
    }
    if (letter->next == NULL) {
        ensure(box->last == letter);
        box->last = letter->previous;
    } else {
        letter->next->previous = letter->previous;
    }
    box->counts.kept--;
    box->counts.size -= letter->size;
}

static void release(struct dead_letters *box, struct dead_letter *letter)
{
    unlink_letter(box, letter);
    box->options.release(box->options.context, letter);
}

void dead_letters_destroy(struct dead_letters *box)
{
    if (box != NULL) {
        while (box->first != NULL) {
            release(box, box->first);
        }
        memory_free(box);
    }
}

void dead_letters_add(struct dead_letters *box, struct dead_letter *letter, uint64_t now_ns)
{
    if (letter->id == 0) {
        letter->id = box->next_id++;
    }
    ensure(letter->id < box->next_id);
    letter->since_ns = now_ns;
    box->counts.added++;
    if (letter->size > box->options.size_max) { /* it would push out all others and not stay */
        box->counts.displaced++;
        box->options.release(box->options.context, letter);
        return;
    }
    letter->next = NULL;
    letter->previous = box->last;
    if (box->last == NULL) {
        box->first = letter;
    } else {
        box->last->next = letter;
    }
    box->last = letter;
    box->counts.kept++;
    box->counts.size += letter->size;
    while (box->counts.kept > box->options.count_max || box->counts.size > box->options.size_max) {
        box->counts.displaced++;
        release(box, box->first);
    }
    dead_letters_age(box, now_ns);
}

void dead_letters_age(struct dead_letters *box, uint64_t now_ns)
{
    while (box->first != NULL && now_ns - box->first->since_ns >= box->options.age_ns) {
        box->counts.aged++;
        release(box, box->first);
    }
}

struct dead_letter *dead_letters_first(const struct dead_letters *box)
{
    return box->first;
}

struct dead_letter *dead_letters_find(const struct dead_letters *box, uint64_t id)
{
    struct dead_letter *letter = box->first;
    while (letter != NULL && letter->id != id) {
        letter = letter->next;
    }
    return letter;
}

void dead_letters_take(struct dead_letters *box, struct dead_letter *letter)
{
    unlink_letter(box, letter);
    box->counts.taken++;
}

void dead_letters_drop(struct dead_letters *box, struct dead_letter *letter)
{
    box->counts.dropped++;
    release(box, letter);
}

void dead_letters_count(const struct dead_letters *box, struct dead_letters_counts *out_counts)
{
    *out_counts = box->counts;
}
