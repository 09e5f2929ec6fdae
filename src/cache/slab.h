/* SPDX-License-Identifier: GPL-3.0-or-later */
/* slab.h: memory under a hard bound, cut into chunks of size classes that are fixed at the start.
 * One thread.
 *
 * Memory is taken in pages of one size. A page serves one class at a time; when its last chunk is
 * freed it can serve any. Classes are a page divided by 2, 2.5, 3, 3.5, 4, 5 and so on, four to a
 * doubling, so that little of a page is left over and a chunk is at most a fifth larger than asked.
 * What is larger than half a page is allocated alone, in steps of SLAB_LARGE_STEP.
 *
 * The bound counts all of it exactly: pages, large chunks, what the owner charges for its own
 * books, and the slab's. It is never exceeded: an allocation that would is refused. Lowering it
 * below what is held gives back empty pages at once and the rest as chunks are freed; until then
 * nothing more is taken.
 *
 * Under AddressSanitizer freed chunks are poisoned, so that using one is found. */
#ifndef SLAB_H
#define SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slab;

/* First in whatever is kept in a chunk. The slab's own. */
struct slab_chunk {
    uint32_t page;
    uint32_t units; /* size in SLAB_UNITs */
    uint32_t next;  /* SLAB_LIVE while handed out */
};

#define SLAB_LIVE UINT32_MAX

enum {
    SLAB_UNIT = 16,
    SLAB_SIZE_MIN = 96,
    SLAB_PAGE_MIN = 64 << 10,
    SLAB_PAGE_MAX = 1 << 20,
    SLAB_LARGE_STEP = 4096,
    SLAB_CLASSES_MAX = 64,
};

/* A slab that holds at most LIMIT bytes. NULL: no memory, or LIMIT is below one page and the books.
 */
struct slab *slab_create(size_t limit);

/* Everything goes, chunks that are out as well. NULL is allowed. */
void slab_destroy(struct slab *slab);

/* A chunk of at least SIZE bytes, not cleared but for its head, aligned to SLAB_UNIT. NULL: the
 * bound, or no memory. */
void *slab_alloc(struct slab *slab, size_t size);
void slab_free(struct slab *slab, struct slab_chunk *chunk);

/* What a chunk for SIZE bytes takes of the bound; and what CHUNK takes. */
size_t slab_size_for(const struct slab *slab, size_t size);
size_t slab_size_of(const struct slab_chunk *chunk);

/* Count SIZE bytes of the owner's own memory against the bound. False: it has no room. */
bool slab_charge(struct slab *slab, size_t size);
void slab_refund(struct slab *slab, size_t size);

size_t slab_limit(const struct slab *slab);
size_t slab_held(const struct slab *slab); /* at most the limit, but after it was lowered */
size_t slab_page_size(const struct slab *slab);

/* Change the bound. False: no memory for the books, nothing changed. */
bool slab_set_limit(struct slab *slab, size_t limit);

/* Take one more page that is not needed yet and touch it. False: the bound is reached. */
bool slab_touch(struct slab *slab);

/* The page that is cheapest to empty, of a few looked at in turn; or where there is none,
 * SLAB_LIVE.
 */
uint32_t slab_find_victim(struct slab *slab);

/* Live chunks one by one: of PAGE, or of everything with PAGE = SLAB_LIVE. *CURSOR begins as 0.
 * NULL: no more. Between two calls nothing is allocated, and nothing freed but, of one page, the
 * chunk returned last. */
struct slab_chunk *slab_next(struct slab *slab, uint32_t page, uint64_t *cursor);

#endif
