/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hot_values.h: all values of the state that one block (or an update) made, as one object of the
 * cache, with a hint for each key (cache_hint) that leads from the key's hash to the object and the
 * change in it. One allocation and one place in the queue for a thousand values: a twentieth of
 * what an object for each costs the loop.
 *
 * An object's key is a number of its own, of this opening of the store. Its value:
 *
 *     4  count          4 * count  where each change is, from the first on
 *     4  zero               count  1: it was read
 *                                  changes, as in record.h, at a multiple of 8
 *
 * A hint says where the newest value of its key is: whoever changes a key writes a hint for it or
 * drops the one that is there, and removes the object that a read may have made of it. So a change
 * that a hint leads to, of an object that is not stale, is the newest where the key is the same.
 * What a read brings is an object alone (CACHE_STATE by the key), which is looked for after this.
 * Hints may be written before the object is there: then they lead to nothing. */
#ifndef HOT_VALUES_H
#define HOT_VALUES_H

#include "base/buffer.h"
#include "store/hot.h"

enum { HOT_VALUES_KEY_SIZE = 9, HOT_VALUES_MAX = 1 << 16 }; /* changes with hints */

struct hot_values_key {
    uint8_t bytes[HOT_VALUES_KEY_SIZE];
};

/* No key of the state begins as this does. */
struct bytes hot_values_key(uint64_t number, struct hot_values_key *out_key);

/* What comes before the CHANGES of an object, and cache_hash of each key to HASHES. Any thread.
 * STOA_ENOMEM. */
int hot_values_index(const struct cache *cache, struct bytes changes, struct buffer *out_index,
                     struct buffer *out_hashes);

/* Tell of up to COUNT of the changes from *NEXT on, which moves; objects of single keys go. False:
 * there are no more. The writer. */
bool hot_values_tell(struct cache *cache, uint64_t number, struct bytes hashes,
                     struct bytes *changes, size_t *next, size_t count);

/* Any thread: the newest value of the key that is DOMAIN and then KEY, whose hash is HASH. */
struct hot_value {
    struct cache_object *object; /* pinned */
    struct bytes value;
    uint64_t height; /* that made it */
    bool absent;
};
bool hot_values_find(struct cache *cache, uint8_t domain, struct bytes key, uint64_t hash,
                     struct hot_value *out_value);

/* EACH for the keys of an object (as cache_list and cache_walk have them) whose values there are
 * the newest still: of one that was READ those that were, else all. An object of another kind has
 * one key, its own. The writer. */
void hot_values_list(struct cache *cache, struct bytes key, struct bytes value, bool read,
                     void (*each)(void *context, struct bytes key), void *context);

#endif
