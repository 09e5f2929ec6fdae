/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hot.h: what the store keeps in the cache, and reading it from any thread, in place.
 *
 * | class   | key                          | value                                        |
 * |---------|------------------------------|----------------------------------------------|
 * | blocks  | block hash                   | the record (record.h), as it is in the frame |
 * | headers | block hash                   | the record, its block with the header alone  |
 * | blocks  | envelope hash                | block hash (HOT_ALIAS)                       |
 * | heights | height, 8 bytes, big-endian  | block hash                                   |
 * | heights | "head"                       | struct stoa_head                             |
 * | heights | "state"                      | nothing: the state is known at the head      |
 * | places  | height, 8 bytes, big-endian  | all transactions of its block (hot_places.h) |
 * | places  | transaction hash             | struct hot_place                             |
 * | places  | struct hot_entry_key         | struct stoa_history_entry, of that address   |
 * | state   | a number                     | all values a block made (hot_values.h)       |
 * | state   | state key (state_key.h)      | value, or nothing with HOT_ABSENT            |
 *
 * An account's slots are not all known when its storage is emptied. So a slot counts only beside
 * what the key of that emptying (STATE_KEY_WIPED) has, which is there as well then: nothing, or a
 * height that is not above the slot's.
 *
 * What is kept was checked when it was read or verified when it was stored. The view that a hit
 * gives is the object itself, told from other views by its address being odd; hot_release gives it
 * back from any thread. CACHE may be NULL everywhere: nothing is found. */
#ifndef HOT_H
#define HOT_H

#include "cache/cache.h"
#include "stoa.h"
#include "store/record.h"

enum {
    HOT_SIDE = CACHE_FLAG_OWN,        /* a block that is not on the canonical chain */
    HOT_ALIAS = CACHE_FLAG_OWN << 1,  /* another hash of a block */
    HOT_ABSENT = CACHE_FLAG_OWN << 2, /* a state key that has no value */
};

/* Where a transaction is in its block's record. */
struct hot_place {
    uint8_t block[32];
    uint32_t index;
    uint32_t transaction_offset;
    uint32_t transaction_size;
    uint32_t receipt_offset;
    uint32_t receipt_size; /* 0: none is stored */
};

struct hot_height_key {
    uint8_t bytes[8];
};

/* cache_find for any thread, cache_peek for the writer. */
typedef bool hot_find_fn(struct cache *cache, enum cache_class class, struct bytes key,
                         struct cache_hit *out_hit);

/* A transaction of the canonical chain by its place (posting_stream_spot), and an address that has
 * to do with it. */
struct hot_entry_key {
    uint8_t bytes[8 + 20];
};

struct bytes hot_head_key(void);
struct bytes hot_known_key(void);
struct bytes hot_height_key(uint64_t height, struct hot_height_key *out_key);
struct bytes hot_entry_key(uint64_t spot, const uint8_t address[20], struct hot_entry_key *out_key);

/* Any thread. False: it is not here, ask the loop. */
bool hot_get_block(struct cache *cache, const struct stoa_block_key *key,
                   struct stoa_block *out_block);
/* OUT_BLOCK may have no more than its header. */
bool hot_get_header(struct cache *cache, const struct stoa_block_key *key,
                    struct stoa_block *out_block);
bool hot_get_transaction(struct cache *cache, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction);
bool hot_get_head(struct cache *cache, struct stoa_head *out_head);
bool hot_get_entry(struct cache *cache, uint64_t spot, const uint8_t address[20],
                   struct stoa_history_entry *out_entry);

/* The record of the block with HASH, on any branch, and where it lies. */
bool hot_get_record(struct cache *cache, const uint8_t hash[32], struct bytes *out_record,
                    struct stoa_view **out_view);

/* The writer: the block that a request leads to, packed (CACHE_FLAG_PACKED) or not, pinned. */
bool hot_peek_block(struct cache *cache, const struct stoa_block_key *key,
                    struct cache_hit *out_hit);
bool hot_peek_transaction(struct cache *cache, const uint8_t hash[32], struct hot_place *out_place,
                          struct cache_hit *out_hit);

/* HIT is a block, not packed, whose pin becomes the view of what is shown. False: it is none, and
 * is released. */
bool hot_show_hit(const struct cache_hit *hit, struct stoa_block *out_block);
bool hot_show_transaction(const struct cache_hit *hit, const struct hot_place *place,
                          const uint8_t hash[32], struct stoa_transaction *out_transaction);

/* KEY has its domain. *OUT_RESULT: 0 or STOA_ENOTFOUND; a view only with 0. */
bool hot_get_state(struct cache *cache, struct bytes key, struct stoa_bytes *out_value,
                   struct stoa_view **out_view, int *out_result);
/* As of the head. *OUT_RESULT as there; a slot that has no value is zero. */
bool hot_get_account(struct cache *cache, const uint8_t address[20],
                     struct stoa_account *out_account, int *out_result);
bool hot_get_storage(struct cache *cache, const uint8_t address[20], const uint8_t slot[32],
                     uint8_t out_value[32]);
bool hot_get_code(struct cache *cache, const uint8_t hash[32], struct stoa_bytes *out_value,
                  struct stoa_view **out_view, int *out_result);

/* The same of a raw key, as the caller has it. */
bool hot_get_raw(struct cache *cache, struct bytes key, struct stoa_bytes *out_value,
                 struct stoa_view **out_view, int *out_result);

/* The raw key that a state key stands for; empty where it is of another domain. */
struct bytes hot_raw_key(struct bytes key);

/* Any thread. */
bool hot_is_view(const struct stoa_view *view);
void hot_release(struct stoa_view *view);
struct stoa_view *hot_view(struct cache_object *object);

/* What the class of headers keeps of RECORD: parts of an object; OUT is the first's memory. */
enum { HOT_HEADER_START_MAX = RECORD_HEADER_SIZE + 9 };
void hot_header_parts(const struct record *record, uint8_t out[HOT_HEADER_START_MAX],
                      struct bytes out_parts[2]);

/* RECORD as the public struct shows it. */
void hot_show_block(const struct record *record, uint64_t height, bool canonical,
                    struct stoa_view *view, struct stoa_block *out_block);

#endif
