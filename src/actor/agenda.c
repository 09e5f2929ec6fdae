/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists through the entries for the lanes, chains by id in a table as large as the capacity, and a
 * binary heap of the times. All memory is taken at creation, so that nothing here can fail later.
 */
#include "actor/agenda.h"

#include "base/ensure.h"
#include "base/memory.h"

struct list {
    struct agenda_entry *first;
    struct agenda_entry *last;
};

struct agenda {
    struct list lanes[MAILBOX_LANES];
    unsigned shares[MAILBOX_LANES]; /* left in this round */
    struct list *chains;            /* by id */
    size_t chain_mask;
    struct agenda_entry **heap;
    size_t heap_count;
    size_t count;
    size_t capacity;
    uint64_t sequence;
};

static const unsigned round_shares[MAILBOX_LANES] = {
    [MAILBOX_LOW] = 1,
    [MAILBOX_NORMAL] = 2,
    [MAILBOX_HIGH] = 4,
    [MAILBOX_CRITICAL] = 8,
};

struct agenda *agenda_create(size_t capacity)
{
    ensure(capacity > 0);
    size_t chains = 1;
    while (chains < capacity) {
        chains *= 2;
    }
    struct agenda *agenda = memory_alloc_zeroed(1, sizeof(*agenda));
    if (agenda == NULL) {
        return NULL;
    }
    agenda->chains = memory_alloc_zeroed(chains, sizeof(*agenda->chains));
    agenda->heap = memory_alloc_zeroed(capacity, sizeof(struct agenda_entry *));
    if (agenda->chains == NULL || agenda->heap == NULL) {
        agenda_destroy(agenda);
        return NULL;
    }
    agenda->chain_mask = chains - 1;
    agenda->capacity = capacity;
    for (int i = 0; i < MAILBOX_LANES; i++) {
        agenda->shares[i] = round_shares[i];
    }
    return agenda;
}

void agenda_destroy(struct agenda *agenda)
{
    if (agenda != NULL) {
        ensure(agenda->count == 0);
        memory_free(agenda->chains);
        memory_free(agenda->heap);
        memory_free(agenda);
    }
}

/* Ids that count up and ids that were made at random both spread over the chains. */
static struct list *chain_of(const struct agenda *agenda, uint64_t id)
{
    return &agenda->chains[(id * 0x9e3779b97f4a7c15u >> 20) & agenda->chain_mask];
}

int agenda_add(struct agenda *agenda, struct agenda_entry *entry)
{
    if (agenda->count == agenda->capacity) {
        return STOA_EBUSY;
    }
    struct list *chain = chain_of(agenda, entry->id);
    entry->waiting = false;
    entry->time_ns = UINT64_MAX;
    entry->place = SIZE_MAX;
    entry->id_next = NULL;
    entry->id_previous = chain->last;
    if (chain->last == NULL) {
        chain->first = entry;
    } else {
        chain->last->id_next = entry;
    }
    chain->last = entry;
    agenda->count++;
    return 0;
}

void agenda_remove(struct agenda *agenda, struct agenda_entry *entry)
{
    ensure(agenda->count > 0);
    agenda_stop_waiting(agenda, entry);
    agenda_set_time(agenda, entry, UINT64_MAX);
    struct list *chain = chain_of(agenda, entry->id);
    if (entry->id_previous == NULL) {
        ensure(chain->first == entry);
        chain->first = entry->id_next;
    } else {
        entry->id_previous->id_next = entry->id_next;
    }
    if (entry->id_next == NULL) {
        ensure(chain->last == entry);
        chain->last = entry->id_previous;
    } else {
        entry->id_next->id_previous = entry->id_previous;
    }
    agenda->count--;
}

size_t agenda_count(const struct agenda *agenda)
{
    return agenda->count;
}

struct agenda_entry *agenda_find(const struct agenda *agenda, uint64_t id)
{
    struct agenda_entry *entry = chain_of(agenda, id)->first;
    while (entry != NULL && entry->id != id) {
        entry = entry->id_next;
    }
    return entry;
}

void agenda_each(struct agenda *agenda, void (*visit)(void *context, struct agenda_entry *entry),
                 void *context)
{
    for (size_t i = 0; i <= agenda->chain_mask; i++) {
        struct agenda_entry *entry = agenda->chains[i].first;
        while (entry != NULL) {
            struct agenda_entry *next = entry->id_next;
            visit(context, entry);
            entry = next;
        }
    }
}

void agenda_wait(struct agenda *agenda, struct agenda_entry *entry)
{
    ensure(!entry->waiting && entry->lane < MAILBOX_LANES);
    struct list *lane = &agenda->lanes[entry->lane];
    entry->waiting = true;
    entry->next = NULL;
    entry->previous = lane->last;
    if (lane->last == NULL) {
        lane->first = entry;
    } else {
        lane->last->next = entry;
    }
    lane->last = entry;
}

void agenda_stop_waiting(struct agenda *agenda, struct agenda_entry *entry)
{
    if (!entry->waiting) {
        return;
    }
    struct list *lane = &agenda->lanes[entry->lane];
    if (entry->previous == NULL) {
        lane->first = entry->next;
    } else {
        entry->previous->next = entry->next;
    }
    if (entry->next == NULL) {
        lane->last = entry->previous;
    } else {
        entry->next->previous = entry->previous;
    }
    entry->waiting = false;
}

struct agenda_entry *agenda_take(struct agenda *agenda, unsigned lanes)
{
    /* Twice: where every lane with entries has used up its share a new round begins. */
    for (int round = 0; round < 2; round++) {
        for (int i = MAILBOX_CRITICAL; i >= 0; i--) {
            bool is_open = (lanes >> i & 1) != 0 && agenda->shares[i] > 0;
            struct agenda_entry *entry = is_open ? agenda->lanes[i].first : NULL;
            if (entry != NULL) {
                agenda->shares[i]--;
                agenda_stop_waiting(agenda, entry);
                return entry;
            }
        }
        for (int i = 0; i < MAILBOX_LANES; i++) {
            agenda->shares[i] = round_shares[i];
        }
    }
    return NULL;
}

/* ---- times ---- */

static bool is_earlier(const struct agenda_entry *a, const struct agenda_entry *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->sequence < b->sequence;
}

static void put_at(struct agenda *agenda, size_t place, struct agenda_entry *entry)
{
    agenda->heap[place] = entry;
    entry->place = place;
}

static void sift_up(struct agenda *agenda, size_t place)
{
    struct agenda_entry *entry = agenda->heap[place];
    while (place > 0 && is_earlier(entry, agenda->heap[(place - 1) / 2])) {
        put_at(agenda, place, agenda->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_at(agenda, place, entry);
}

static void sift_down(struct agenda *agenda, size_t place)
{
    struct agenda_entry *entry = agenda->heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= agenda->heap_count) {
            break;
        }
        if (child + 1 < agenda->heap_count &&
            is_earlier(agenda->heap[child + 1], agenda->heap[child])) {
            child++;
        }
        if (!is_earlier(agenda->heap[child], entry)) {
            break;
        }
        put_at(agenda, place, agenda->heap[child]);
        place = child;
    }
    put_at(agenda, place, entry);
}

static void leave_heap(struct agenda *agenda, struct agenda_entry *entry)
{
    size_t place = entry->place;
    struct agenda_entry *last = agenda->heap[--agenda->heap_count];
    entry->place = SIZE_MAX;
    if (last != entry) {
        put_at(agenda, place, last);
        sift_up(agenda, place);
        sift_down(agenda, last->place);
    }
}

void agenda_set_time(struct agenda *agenda, struct agenda_entry *entry, uint64_t time_ns)
{
    if (entry->place != SIZE_MAX) {
        leave_heap(agenda, entry);
    }
    entry->time_ns = time_ns;
    if (time_ns != UINT64_MAX) {
        ensure(agenda->heap_count < agenda->capacity);
        entry->sequence = agenda->sequence++;
        put_at(agenda, agenda->heap_count, entry);
        sift_up(agenda, agenda->heap_count++);
    }
}

uint64_t agenda_next_time(const struct agenda *agenda)
{
    return agenda->heap_count == 0 ? UINT64_MAX : agenda->heap[0]->time_ns;
}

struct agenda_entry *agenda_due(struct agenda *agenda, uint64_t now_ns)
{
    if (agenda_next_time(agenda) > now_ns || agenda->heap_count == 0) {
        return NULL;
    }
    struct agenda_entry *entry = agenda->heap[0];
    agenda_set_time(agenda, entry, UINT64_MAX);
    return entry;
}
