/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/trie_cache.h"

#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"

enum {
    BUCKETS_MIN = 1 << 12,
    OVERHEAD = 16, /* of an allocation */
    TRIM_STEP = 1 << 14,
    SHORTEN_FROM = 4, /* versions of a key */
    LINE = 64,
    LINES_AHEAD = 5, /* of a record */
};

struct version {
    struct version *older;
    uint64_t height;
    size_t size;
    uint8_t data[];
};

struct entry {
    struct entry *next; /* of the bucket */
    uint64_t hash;
    struct version *newest; /* there is one */
    struct entry *before;   /* of those that are not settled */
    struct entry *after;
    uint32_t count;   /* of versions */
    uint32_t shorten; /* from so many on it is looked whether some can go */
    bool unsettled;
    bool used; /* put since the hand passed */
    uint8_t key_size;
    uint8_t key[];
};

struct trie_cache {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t bytes;
    size_t budget;
    size_t hand; /* bucket where the next trim begins */
    uint64_t floor;
    struct entry *unsettled;
    size_t unsettled_count;
    size_t unsettled_bytes; /* of their versions */
    /* Gone while pinned. */
    bool pinned;
    struct version *gone_versions;
    struct entry *gone_entries;
};

struct trie_cache *trie_cache_create(size_t budget)
{
    struct trie_cache *cache = memory_alloc_zeroed(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    cache->budget = budget;
    cache->bucket_count = BUCKETS_MIN;
    cache->buckets = memory_alloc_zeroed(cache->bucket_count, sizeof(struct entry *));
    if (cache->buckets == NULL) {
        memory_free(cache);
        return NULL;
    }
    return cache;
}

static size_t version_bytes(const struct version *version)
{
    return sizeof(*version) + version->size + OVERHEAD;
}

/* ---- what is not settled ---- */

static void link_unsettled(struct trie_cache *cache, struct entry *entry)
{
    if (entry->unsettled) {
        return;
    }
    entry->unsettled = true;
    entry->before = NULL;
    entry->after = cache->unsettled;
    if (entry->after != NULL) {
        entry->after->before = entry;
    }
    cache->unsettled = entry;
    cache->unsettled_count++;
    for (const struct version *version = entry->newest; version != NULL; version = version->older) {
        cache->unsettled_bytes += version_bytes(version);
    }
}

static void unlink_unsettled(struct trie_cache *cache, struct entry *entry)
{
    if (!entry->unsettled) {
        return;
    }
    for (const struct version *version = entry->newest; version != NULL; version = version->older) {
        cache->unsettled_bytes -= version_bytes(version);
    }
    if (entry->before != NULL) {
        entry->before->after = entry->after;
    } else {
        ensure(cache->unsettled == entry);
        cache->unsettled = entry->after;
    }
    if (entry->after != NULL) {
        entry->after->before = entry->before;
    }
    entry->unsettled = false;
    cache->unsettled_count--;
}

/* ---- freeing ---- */

static void count_version(struct trie_cache *cache, struct entry *entry,
                          const struct version *version)
{
    entry->count++;
    cache->bytes += version_bytes(version);
    cache->unsettled_bytes += entry->unsettled ? version_bytes(version) : 0;
}

static void free_versions(struct trie_cache *cache, struct entry *entry, struct version *version)
{
    while (version != NULL) {
        struct version *older = version->older;
        entry->count--;
        cache->bytes -= version_bytes(version);
        cache->unsettled_bytes -= entry->unsettled ? version_bytes(version) : 0;
        if (cache->pinned) {
            version->older = cache->gone_versions;
            cache->gone_versions = version;
        } else {
            memory_free(version);
        }
        version = older;
    }
}

static void free_entry(struct trie_cache *cache, struct entry *entry)
{
    unlink_unsettled(cache, entry);
    free_versions(cache, entry, entry->newest);
    cache->bytes -= sizeof(*entry) + entry->key_size + OVERHEAD;
    cache->count--;
    if (cache->pinned) {
        entry->next = cache->gone_entries;
        cache->gone_entries = entry;
    } else {
        memory_free(entry);
    }
}

void trie_cache_pin(struct trie_cache *cache)
{
    ensure(!cache->pinned);
    cache->pinned = true;
}

void trie_cache_unpin(struct trie_cache *cache)
{
    ensure(cache->pinned);
    cache->pinned = false;
    while (cache->gone_versions != NULL) {
        struct version *version = cache->gone_versions;
        cache->gone_versions = version->older;
        memory_free(version);
    }
    while (cache->gone_entries != NULL) {
        struct entry *entry = cache->gone_entries;
        cache->gone_entries = entry->next;
        memory_free(entry);
    }
}

void trie_cache_clear(struct trie_cache *cache)
{
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct entry *entry = cache->buckets[i];
            cache->buckets[i] = entry->next;
            free_entry(cache, entry);
        }
    }
    cache->floor = 0;
    ensure(cache->count == 0 && cache->bytes == 0);
    ensure(cache->unsettled_count == 0 && cache->unsettled_bytes == 0);
}

void trie_cache_destroy(struct trie_cache *cache)
{
    if (cache != NULL) {
        trie_cache_clear(cache);
        if (cache->pinned) {
            trie_cache_unpin(cache);
        }
        memory_free((void *)cache->buckets);
        memory_free(cache);
    }
}

/* ---- finding ---- */

static struct entry *find(const struct trie_cache *cache, struct bytes key, uint64_t hash)
{
    struct entry *entry = cache->buckets[hash & (cache->bucket_count - 1)];
    while (entry != NULL &&
           (entry->hash != hash || !bytes_equal(bytes_of(entry->key, entry->key_size), key))) {
        entry = entry->next;
    }
    return entry;
}

uint64_t trie_cache_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

void trie_cache_fetch_ahead(const struct trie_cache *cache, uint64_t hash,
                            enum trie_cache_step step)
{
    struct entry *const *bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    if (step == TRIE_CACHE_BUCKET) {
        __builtin_prefetch((const void *)bucket);
        return;
    }
    const struct entry *entry = *bucket;
    if (step == TRIE_CACHE_ENTRY) {
        if (entry != NULL) {
            __builtin_prefetch(entry);
            __builtin_prefetch((const uint8_t *)entry + LINE);
        }
        return;
    }
    while (entry != NULL && entry->hash != hash) {
        entry = entry->next;
    }
    for (size_t i = 0; entry != NULL && i < LINES_AHEAD; i++) {
        __builtin_prefetch((const uint8_t *)entry->newest + LINE * i);
    }
}

bool trie_cache_find(const struct trie_cache *cache, struct bytes key, uint64_t bound,
                     struct bytes *out_record)
{
    const struct entry *entry = find(cache, key, trie_cache_hash(key));
    const struct version *version = entry == NULL ? NULL : entry->newest;
    while (version != NULL && version->height > bound) {
        version = version->older;
    }
    if (version == NULL) {
        return false;
    }
    *out_record = bytes_of(version->data, version->size);
    return true;
}

/* More buckets than entries. Without memory for them it is only slower. */
static void grow(struct trie_cache *cache)
{
    if (cache->count < cache->bucket_count) {
        return;
    }
    size_t count = 2 * cache->bucket_count;
    struct entry **buckets = memory_alloc_zeroed(count, sizeof(struct entry *));
    if (buckets == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->bucket_count; i++) {
        while (cache->buckets[i] != NULL) {
            struct entry *entry = cache->buckets[i];
            cache->buckets[i] = entry->next;
            entry->next = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    }
    memory_free((void *)cache->buckets);
    cache->buckets = buckets;
    cache->bucket_count = count;
}

static struct version *make_version(struct bytes record, uint64_t height)
{
    struct version *version = memory_alloc(sizeof(*version) + record.size);
    if (version != NULL) {
        version->older = NULL;
        version->height = height;
        version->size = record.size;
        if (record.size != 0) {
            memcpy(version->data, record.data, record.size);
        }
    }
    return version;
}

static struct entry *add_entry(struct trie_cache *cache, struct bytes key, uint64_t hash,
                               struct version *version)
{
    struct entry *entry = memory_alloc(sizeof(*entry) + key.size);
    ensure(key.size > 0 && key.size <= UINT8_MAX);
    if (entry == NULL) {
        return NULL;
    }
    grow(cache);
    struct entry **bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    *entry = (struct entry){
        .next = *bucket,
        .hash = hash,
        .newest = version,
        .shorten = SHORTEN_FROM,
        .key_size = (uint8_t)key.size,
    };
    memcpy(entry->key, key.data, key.size);
    *bucket = entry;
    cache->count++;
    cache->bytes += sizeof(*entry) + key.size + OVERHEAD;
    count_version(cache, entry, version);
    return entry;
}

/* Drop what the tables have, but for the newest version, and what nobody asks for. */
static void shorten(struct trie_cache *cache, struct entry *entry, uint64_t below)
{
    struct version *version = entry->newest;
    while (version->older != NULL && version->older->height >= below &&
           version->height > cache->floor) {
        version = version->older;
    }
    free_versions(cache, entry, version->older);
    version->older = NULL;
    entry->shorten = 2 * entry->count + SHORTEN_FROM;
}

int trie_cache_put(struct trie_cache *cache, struct bytes key, struct bytes record, uint64_t height,
                   uint64_t below)
{
    uint64_t hash = trie_cache_hash(key);
    struct entry *entry = find(cache, key, hash);
    struct version *version = make_version(record, height);
    if (version == NULL) {
        return STOA_ENOMEM;
    }
    if (entry == NULL) {
        entry = add_entry(cache, key, hash, version);
        if (entry == NULL) {
            memory_free(version);
            return STOA_ENOMEM;
        }
    } else {
        struct version *before = entry->newest;
        ensure(before->height <= height);
        version->older = before;
        if (before->height == height) {
            version->older = before->older;
            before->older = NULL;
            free_versions(cache, entry, before);
        }
        entry->newest = version;
        entry->used = true;
        count_version(cache, entry, version);
    }
    if (height >= below) {
        link_unsettled(cache, entry);
    }
    if (entry->count >= entry->shorten) {
        shorten(cache, entry, below);
    }
    return 0;
}

int trie_cache_keep(struct trie_cache *cache, struct bytes key, struct bytes record,
                    uint64_t height)
{
    uint64_t hash = trie_cache_hash(key);
    if (find(cache, key, hash) != NULL) {
        return 0;
    }
    struct version *version = make_version(record, height);
    if (version == NULL || add_entry(cache, key, hash, version) == NULL) {
        memory_free(version);
        return STOA_ENOMEM;
    }
    return 0;
}

void trie_cache_raise_floor(struct trie_cache *cache, uint64_t floor)
{
    cache->floor = floor > cache->floor ? floor : cache->floor;
}

static int gather_entry(const struct trie_cache *cache, const struct entry *entry, uint64_t below,
                        uint64_t last, struct buffer *out)
{
    const struct version *version = entry->newest;
    bool asked = true; /* for what is older */
    int result = 0;
    for (; result == 0 && asked && version != NULL && version->height >= below;
         version = version->older) {
        asked = version->height > cache->floor;
        if (version->height > last) {
            continue;
        }
        struct trie_cache_version gathered = {
            .key = bytes_of(entry->key, entry->key_size),
            .record = bytes_of(version->data, version->size),
            .height = version->height,
        };
        result = buffer_append(out, &gathered, sizeof(gathered));
    }
    return result;
}

int trie_cache_gather(const struct trie_cache *cache, uint64_t below, uint64_t last,
                      struct buffer *out)
{
    int result = 0;
    const struct entry *entry = cache->unsettled;
    for (; result == 0 && entry != NULL; entry = entry->after) {
        result = gather_entry(cache, entry, below, last, out);
    }
    return result;
}

void trie_cache_settle(struct trie_cache *cache, uint64_t below)
{
    struct entry *after;
    for (struct entry *entry = cache->unsettled; entry != NULL; entry = after) {
        after = entry->after;
        shorten(cache, entry, below);
        if (entry->newest->height < below) {
            unlink_unsettled(cache, entry);
        }
    }
}

void trie_cache_drop(struct trie_cache *cache, uint64_t height)
{
    for (size_t i = 0; i < cache->bucket_count; i++) {
        struct entry **link = &cache->buckets[i];
        while (*link != NULL) {
            struct entry *entry = *link;
            while (entry->newest != NULL && entry->newest->height >= height) {
                struct version *dropped = entry->newest;
                entry->newest = dropped->older;
                dropped->older = NULL;
                free_versions(cache, entry, dropped);
            }
            if (entry->newest != NULL) {
                link = &entry->next;
            } else {
                *link = entry->next;
                free_entry(cache, entry);
            }
        }
    }
}

void trie_cache_trim(struct trie_cache *cache, uint64_t below)
{
    /* A part of it a call: where nothing can go yet, that is not looked at all the time. */
    for (size_t i = 0; cache->bytes > cache->budget && i < TRIM_STEP; i++) {
        struct entry **link = &cache->buckets[cache->hand++ & (cache->bucket_count - 1)];
        while (*link != NULL) {
            struct entry *entry = *link;
            if (entry->used || entry->newest->height >= below) {
                entry->used = false;
                link = &entry->next;
            } else {
                *link = entry->next;
                free_entry(cache, entry);
            }
        }
    }
}

void trie_cache_stats(const struct trie_cache *cache, struct trie_cache_stats *out_stats)
{
    *out_stats = (struct trie_cache_stats){
        .records = cache->count,
        .bytes = cache->bytes,
        .unsettled = cache->unsettled_count,
        .unsettled_bytes = cache->unsettled_bytes,
    };
}
