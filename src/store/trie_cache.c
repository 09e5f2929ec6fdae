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
    bool used;              /* put since the hand passed */
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

static void free_versions(struct trie_cache *cache, struct version *version)
{
    while (version != NULL) {
        struct version *older = version->older;
        cache->bytes -= version_bytes(version);
        memory_free(version);
        version = older;
    }
}

static void free_entry(struct trie_cache *cache, struct entry *entry)
{
    free_versions(cache, entry->newest);
    cache->bytes -= sizeof(*entry) + entry->key_size + OVERHEAD;
    cache->count--;
    memory_free(entry);
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
    ensure(cache->count == 0 && cache->bytes == 0);
}

void trie_cache_destroy(struct trie_cache *cache)
{
    if (cache != NULL) {
        trie_cache_clear(cache);
        memory_free((void *)cache->buckets);
        memory_free(cache);
    }
}

static struct entry *find(const struct trie_cache *cache, struct bytes key, uint64_t hash)
{
    struct entry *entry = cache->buckets[hash & (cache->bucket_count - 1)];
    while (entry != NULL &&
           (entry->hash != hash || !bytes_equal(bytes_of(entry->key, entry->key_size), key))) {
        entry = entry->next;
    }
    return entry;
}

static uint64_t hash_of(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

bool trie_cache_find(const struct trie_cache *cache, struct bytes key, uint64_t bound,
                     struct bytes *out_record)
{
    const struct entry *entry = find(cache, key, hash_of(key));
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

static int add_entry(struct trie_cache *cache, struct bytes key, uint64_t hash,
                     struct version *version)
{
    struct entry *entry = memory_alloc(sizeof(*entry) + key.size);
    ensure(key.size > 0 && key.size <= UINT8_MAX);
    if (entry == NULL) {
        return STOA_ENOMEM;
    }
    grow(cache);
    struct entry **bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    *entry = (struct entry){
        .next = *bucket,
        .hash = hash,
        .newest = version,
        .key_size = (uint8_t)key.size,
    };
    memcpy(entry->key, key.data, key.size);
    *bucket = entry;
    cache->count++;
    cache->bytes += sizeof(*entry) + key.size + OVERHEAD;
    return 0;
}

static int add(struct trie_cache *cache, struct bytes key, uint64_t hash, struct bytes record,
               uint64_t height)
{
    struct version *version = make_version(record, height);
    if (version == NULL || add_entry(cache, key, hash, version) != 0) {
        memory_free(version);
        return STOA_ENOMEM;
    }
    cache->bytes += version_bytes(version);
    return 0;
}

int trie_cache_put(struct trie_cache *cache, struct bytes key, struct bytes record, uint64_t height,
                   uint64_t below)
{
    uint64_t hash = hash_of(key);
    struct entry *entry = find(cache, key, hash);
    if (entry == NULL) {
        return add(cache, key, hash, record, height);
    }
    struct version *version = make_version(record, height);
    if (version == NULL) {
        return STOA_ENOMEM;
    }
    struct version *before = entry->newest;
    ensure(before->height <= height);
    if (before->height == height) {
        version->older = before->older;
        before->older = NULL;
        free_versions(cache, before);
    } else {
        version->older = before;
    }
    cache->bytes += version_bytes(version);
    entry->newest = version;
    entry->used = true;
    while (version->older != NULL && version->older->height >= below) {
        version = version->older;
    }
    free_versions(cache, version->older);
    version->older = NULL;
    return 0;
}

int trie_cache_keep(struct trie_cache *cache, struct bytes key, struct bytes record,
                    uint64_t height)
{
    uint64_t hash = hash_of(key);
    return find(cache, key, hash) != NULL ? 0 : add(cache, key, hash, record, height);
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
                free_versions(cache, dropped);
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
    *out_stats = (struct trie_cache_stats){.records = cache->count, .bytes = cache->bytes};
}
