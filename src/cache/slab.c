/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/slab.h"

#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"

enum {
    NONE = -1,
    LARGE = UINT32_MAX - 1,   /* the page number of a chunk alone */
    NO_FREE = UINT32_MAX - 2, /* end of a page's list of free chunks: none of them is SLAB_LIVE */
    PAGES_MIN = 64,           /* the page size is chosen so that a bound has at least as many */
    VICTIMS = 32,             /* pages looked at for one */
    TOUCH_STEP = 4096,
    HEAD_SIZE = 64, /* before a chunk alone: its links */
};

struct page {
    uint8_t *data;
    int class_index; /* NONE: empty, serves any */
    uint32_t live;
    uint32_t cut;  /* chunks that were handed out at least once */
    uint32_t free; /* first of those freed, by place; NO_FREE: none */
    uint32_t next; /* of the list it is in: pages of a class with room, or empty pages */
    uint32_t previous;
};

struct large {
    struct large *next;
    struct large *previous;
    size_t size; /* with this head */
};

static_assert(sizeof(struct large) <= HEAD_SIZE, "the head of a chunk alone has room");
static_assert(SLAB_PAGE_MIN % SLAB_UNIT == 0, "units fill a page");

struct slab {
    size_t limit;
    size_t held;
    size_t page_size;
    size_t sizes[SLAB_CLASSES_MAX]; /* falling */
    uint32_t with_room[SLAB_CLASSES_MAX];
    unsigned class_count;
    struct page *pages;
    uint32_t page_count; /* places in use or once used */
    uint32_t page_capacity;
    uint32_t empty;  /* pages that have memory and no chunk */
    uint32_t vacant; /* places without memory */
    uint32_t victim; /* where the next search begins */
    struct large large;
};

static size_t round_up(size_t value, size_t step)
{
    return (value + step - 1) / step * step;
}

static void make_classes(struct slab *slab)
{
    for (size_t divisor = 2; slab->class_count < SLAB_CLASSES_MAX; divisor *= 2) {
        for (size_t quarter = 0; quarter < 4; quarter++) {
            size_t size = slab->page_size * 4 / (divisor * (4 + quarter));
            size -= size % SLAB_UNIT;
            bool last = size <= SLAB_SIZE_MIN || slab->class_count == SLAB_CLASSES_MAX - 1;
            slab->with_room[slab->class_count] = SLAB_LIVE;
            slab->sizes[slab->class_count++] = last ? SLAB_SIZE_MIN : size;
            if (last) {
                return;
            }
        }
    }
}

/* The class with the smallest chunks that hold SIZE, or NONE. */
static int class_for(const struct slab *slab, size_t size)
{
    if (size > slab->sizes[0]) {
        return NONE;
    }
    unsigned low = 0; /* fits */
    unsigned high = slab->class_count;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (slab->sizes[middle] >= size) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (int)low;
}

static uint32_t chunks_of(const struct slab *slab, const struct page *page)
{
    return (uint32_t)(slab->page_size / slab->sizes[page->class_index]);
}

static struct slab_chunk *chunk_at(const struct slab *slab, const struct page *page, uint32_t place)
{
    return (struct slab_chunk *)(void *)(page->data + place * slab->sizes[page->class_index]);
}

/* ---- lists of pages ---- */

static void push_page(struct slab *slab, uint32_t *list, uint32_t index)
{
    struct page *page = &slab->pages[index];
    page->next = *list;
    page->previous = SLAB_LIVE;
    if (*list != SLAB_LIVE) {
        slab->pages[*list].previous = index;
    }
    *list = index;
}

static void remove_page(struct slab *slab, uint32_t *list, uint32_t index)
{
    struct page *page = &slab->pages[index];
    if (page->previous == SLAB_LIVE) {
        ensure(*list == index);
        *list = page->next;
    } else {
        slab->pages[page->previous].next = page->next;
    }
    if (page->next != SLAB_LIVE) {
        slab->pages[page->next].previous = page->previous;
    }
}

/* ---- life ---- */

struct slab *slab_create(size_t limit)
{
    struct slab *slab = memory_alloc_zeroed(1, sizeof(*slab));
    if (slab == NULL) {
        return NULL;
    }
    slab->page_size = SLAB_PAGE_MIN;
    while (slab->page_size < SLAB_PAGE_MAX && limit / (2 * slab->page_size) >= PAGES_MIN) {
        slab->page_size *= 2;
    }
    make_classes(slab);
    slab->empty = SLAB_LIVE;
    slab->vacant = SLAB_LIVE;
    slab->large.next = &slab->large;
    slab->large.previous = &slab->large;
    slab->held = sizeof(*slab);
    if (!slab_set_limit(slab, limit) || slab->held + slab->page_size > limit) {
        slab_destroy(slab);
        return NULL;
    }
    return slab;
}

static void give_back_page(struct slab *slab, struct page *page)
{
    memory_unpoison(page->data, slab->page_size);
    memory_free(page->data);
    page->data = NULL;
}

void slab_destroy(struct slab *slab)
{
    if (slab == NULL) {
        return;
    }
    for (uint32_t i = 0; i < slab->page_count; i++) {
        if (slab->pages[i].data != NULL) {
            give_back_page(slab, &slab->pages[i]);
        }
    }
    while (slab->large.next != &slab->large) {
        struct large *large = slab->large.next;
        slab->large.next = large->next;
        memory_free(large);
    }
    memory_free(slab->pages);
    memory_free(slab);
}

size_t slab_limit(const struct slab *slab)
{
    return slab->limit;
}

size_t slab_held(const struct slab *slab)
{
    return slab->held;
}

size_t slab_page_size(const struct slab *slab)
{
    return slab->page_size;
}

bool slab_charge(struct slab *slab, size_t size)
{
    if (size > slab->limit || slab->held > slab->limit - size) {
        return false;
    }
    slab->held += size;
    return true;
}

void slab_refund(struct slab *slab, size_t size)
{
    ensure(slab->held >= size);
    slab->held -= size;
}

/* Empty pages go while more is held than allowed. */
static void shrink(struct slab *slab)
{
    while (slab->held > slab->limit && slab->empty != SLAB_LIVE) {
        uint32_t index = slab->empty;
        remove_page(slab, &slab->empty, index);
        give_back_page(slab, &slab->pages[index]);
        push_page(slab, &slab->vacant, index);
        slab_refund(slab, slab->page_size);
    }
}

bool slab_set_limit(struct slab *slab, size_t limit)
{
    if (limit / slab->page_size >= LARGE) {
        return false;
    }
    uint32_t capacity = (uint32_t)(limit / slab->page_size);
    if (capacity > slab->page_capacity) {
        struct page *pages = memory_resize(slab->pages, capacity * sizeof(*pages));
        if (pages == NULL) {
            return false;
        }
        slab->held += (capacity - slab->page_capacity) * sizeof(*pages);
        slab->pages = pages;
        slab->page_capacity = capacity;
    }
    slab->limit = limit;
    shrink(slab);
    return true;
}

/* A page with memory for any class, or SLAB_LIVE. */
static uint32_t take_page(struct slab *slab)
{
    uint32_t index = slab->empty;
    if (index != SLAB_LIVE) {
        remove_page(slab, &slab->empty, index);
        return index;
    }
    bool place = slab->vacant != SLAB_LIVE || slab->page_count < slab->page_capacity;
    if (!place || !slab_charge(slab, slab->page_size)) {
        return SLAB_LIVE;
    }
    uint8_t *data = memory_alloc_aligned(slab->page_size, SLAB_LARGE_STEP);
    if (data == NULL) {
        slab_refund(slab, slab->page_size);
        return SLAB_LIVE;
    }
    if (slab->page_size == SLAB_PAGE_MAX) {
        memory_prefer_huge(data, slab->page_size);
    }
    index = slab->vacant;
    if (index != SLAB_LIVE) {
        remove_page(slab, &slab->vacant, index);
    } else {
        index = slab->page_count++;
    }
    slab->pages[index] = (struct page){.data = data, .class_index = NONE, .free = NO_FREE};
    return index;
}

bool slab_touch(struct slab *slab)
{
    uint32_t empty = slab->empty;
    slab->empty = SLAB_LIVE; /* a new one, not one of these */
    uint32_t index = take_page(slab);
    slab->empty = empty;
    if (index == SLAB_LIVE) {
        return false;
    }
    for (size_t i = 0; i < slab->page_size; i += TOUCH_STEP) {
        *(volatile uint8_t *)(slab->pages[index].data + i) = 0;
    }
    push_page(slab, &slab->empty, index);
    return true;
}

/* ---- chunks ---- */

static void *alloc_large(struct slab *slab, size_t size)
{
    if (size > slab->limit) {
        return NULL;
    }
    size_t whole = round_up(size + HEAD_SIZE, SLAB_LARGE_STEP);
    if (whole / SLAB_UNIT >= UINT32_MAX || !slab_charge(slab, whole)) {
        return NULL;
    }
    uint8_t *data = memory_alloc_aligned(whole, HEAD_SIZE);
    if (data == NULL) {
        slab_refund(slab, whole);
        return NULL;
    }
    struct large *large = (struct large *)(void *)data;
    *large = (struct large){.next = slab->large.next, .previous = &slab->large, .size = whole};
    large->next->previous = large;
    slab->large.next = large;
    struct slab_chunk *chunk = (struct slab_chunk *)(void *)(data + HEAD_SIZE);
    *chunk = (struct slab_chunk){
        .page = LARGE,
        .units = (uint32_t)(whole / SLAB_UNIT),
        .next = SLAB_LIVE,
    };
    return chunk;
}

void *slab_alloc(struct slab *slab, size_t size)
{
    int class_index = class_for(slab, size);
    if (class_index == NONE) {
        return alloc_large(slab, size);
    }
    uint32_t *list = &slab->with_room[class_index];
    if (*list == SLAB_LIVE) {
        uint32_t fresh = take_page(slab);
        if (fresh == SLAB_LIVE) {
            return NULL;
        }
        struct page *page = &slab->pages[fresh];
        *page = (struct page){.data = page->data, .class_index = class_index, .free = NO_FREE};
        push_page(slab, list, fresh);
    }
    uint32_t index = *list;
    struct page *page = &slab->pages[index];
    uint32_t place = page->free;
    struct slab_chunk *chunk;
    if (place != NO_FREE) {
        chunk = chunk_at(slab, page, place);
        page->free = chunk->next;
        if (page->free != NO_FREE) { /* the next one of this size */
            __builtin_prefetch(chunk_at(slab, page, page->free), 1);
        }
    } else {
        chunk = chunk_at(slab, page, page->cut++);
    }
    memory_unpoison(chunk, slab->sizes[class_index]);
    *chunk = (struct slab_chunk){
        .page = index,
        .units = (uint32_t)(slab->sizes[class_index] / SLAB_UNIT),
        .next = SLAB_LIVE,
    };
    page->live++;
    if (page->free == NO_FREE && page->cut == chunks_of(slab, page)) {
        remove_page(slab, list, index);
    }
    return chunk;
}

void slab_free(struct slab *slab, struct slab_chunk *chunk)
{
    ensure(chunk->next == SLAB_LIVE);
    if (chunk->page == LARGE) {
        struct large *large = (struct large *)(void *)((uint8_t *)chunk - HEAD_SIZE);
        large->next->previous = large->previous;
        large->previous->next = large->next;
        slab_refund(slab, large->size);
        memory_free(large);
        return;
    }
    uint32_t index = chunk->page;
    struct page *page = &slab->pages[index];
    ensure(index < slab->page_count && page->live > 0);
    size_t size = slab->sizes[page->class_index];
    uint32_t *list = &slab->with_room[page->class_index];
    if (page->free == NO_FREE && page->cut == chunks_of(slab, page)) {
        push_page(slab, list, index); /* it was full */
    }
    chunk->next = page->free;
    page->free = (uint32_t)((size_t)((uint8_t *)chunk - page->data) / size);
    memory_poison(chunk + 1, size - sizeof(*chunk));
    page->live--;
    if (page->live == 0) {
        remove_page(slab, list, index);
        memory_unpoison(page->data, slab->page_size);
        page->class_index = NONE;
        push_page(slab, &slab->empty, index);
        shrink(slab);
    }
}

size_t slab_size_for(const struct slab *slab, size_t size)
{
    int class_index = class_for(slab, size);
    return class_index == NONE ? round_up(size + HEAD_SIZE, SLAB_LARGE_STEP)
                               : slab->sizes[class_index];
}

size_t slab_size_of(const struct slab_chunk *chunk)
{
    return (size_t)chunk->units * SLAB_UNIT;
}

/* ---- walking ---- */

uint32_t slab_find_victim(struct slab *slab)
{
    uint32_t best = SLAB_LIVE;
    size_t best_live = SIZE_MAX;
    uint32_t looked_at = 0;
    for (uint32_t i = 0; i < slab->page_count && looked_at < VICTIMS; i++) {
        uint32_t index = slab->victim++ % slab->page_count;
        const struct page *page = &slab->pages[index];
        if (page->data == NULL || page->class_index == NONE) {
            continue;
        }
        looked_at++;
        size_t live = page->live * slab->sizes[page->class_index];
        if (live < best_live) {
            best = index;
            best_live = live;
        }
    }
    return best;
}

static struct slab_chunk *next_of_page(struct slab *slab, uint32_t index, uint32_t *place)
{
    const struct page *page = &slab->pages[index];
    if (page->data == NULL || page->class_index == NONE) {
        return NULL;
    }
    while (*place < page->cut) {
        struct slab_chunk *chunk = chunk_at(slab, page, (*place)++);
        if (chunk->next == SLAB_LIVE) {
            return chunk;
        }
    }
    return NULL;
}

/* The cursor: the page in the upper half, the place in the lower one; behind the pages the number
 * of the chunk alone. */
struct slab_chunk *slab_next(struct slab *slab, uint32_t page, uint64_t *cursor)
{
    uint32_t place = (uint32_t)*cursor;
    if (page != SLAB_LIVE) {
        struct slab_chunk *chunk = next_of_page(slab, page, &place);
        *cursor = place;
        return chunk;
    }
    uint32_t index = (uint32_t)(*cursor >> 32);
    for (; index < slab->page_count; index++, place = 0) {
        struct slab_chunk *chunk = next_of_page(slab, index, &place);
        if (chunk != NULL) {
            *cursor = (uint64_t)index << 32 | place;
            return chunk;
        }
    }
    struct large *large = slab->large.next;
    for (uint32_t i = 0; i < place && large != &slab->large; i++) {
        large = large->next;
    }
    *cursor = (uint64_t)index << 32 | (place + 1);
    return large == &slab->large ? NULL
                                 : (struct slab_chunk *)(void *)((uint8_t *)large + HEAD_SIZE);
}
