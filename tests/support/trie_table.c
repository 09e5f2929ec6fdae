/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/trie_table.h"

#include "base/ensure.h"
#include "base/memory.h"
#include "tables/filter.h"

enum { BUCKETS = 1 << 16 };

struct entry {
    struct entry *next;
    uint64_t hash;
    uint64_t round; /* of the last write */
    size_t key_size;
    size_t record_size;
    uint8_t data[];
};

struct trie_table {
    size_t count;
    uint64_t round;
    struct entry *buckets[BUCKETS];
};

static uint64_t make_key(struct bytes trie, struct bytes path, uint8_t out[512], size_t *out_size)
{
    ensure(trie.size + path.size + 1 <= 512);
    out[0] = (uint8_t)trie.size;
    if (trie.size > 0) {
        memcpy(out + 1, trie.data, trie.size);
    }
    if (path.size > 0) {
        memcpy(out + 1 + trie.size, path.data, path.size);
    }
    *out_size = 1 + trie.size + path.size;
    return filter_hash(bytes_of(out, *out_size));
}

static struct entry **find(struct trie_table *table, uint64_t hash, const uint8_t *key, size_t size)
{
    struct entry **link = &table->buckets[hash % BUCKETS];
    while (*link != NULL && ((*link)->hash != hash || (*link)->key_size != size ||
                             memcmp((*link)->data, key, size) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

struct trie_table *trie_table_create(void)
{
    struct trie_table *table = memory_alloc_zeroed(1, sizeof(*table));
    ensure(table != NULL);
    return table;
}

void trie_table_destroy(struct trie_table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (table->buckets[i] != NULL) {
            struct entry *entry = table->buckets[i];
            table->buckets[i] = entry->next;
            memory_free(entry);
        }
    }
    memory_free(table);
}

static int read_record(void *context, struct bytes trie, struct bytes path,
                       struct bytes *out_record, struct error_detail *detail)
{
    (void)detail;
    uint8_t key[512];
    size_t size;
    uint64_t hash = make_key(trie, path, key, &size);
    struct entry *entry = *find(context, hash, key, size);
    if (entry == NULL) {
        return STOA_ENOTFOUND;
    }
    *out_record = bytes_of(entry->data + entry->key_size, entry->record_size);
    return 0;
}

struct trie_reader trie_table_reader(struct trie_table *table)
{
    return (struct trie_reader){.read = read_record, .context = table};
}

static void apply_one(struct trie_table *table, const struct trie_write *write)
{
    uint8_t key[512];
    size_t size;
    uint64_t hash = make_key(write->trie, write->path, key, &size);
    struct entry **link = find(table, hash, key, size);
    struct entry *old = *link;
    if (old != NULL) {
        ensure(old->round != table->round);
        *link = old->next;
        memory_free(old);
        table->count--;
    } else {
        ensure(write->record.size > 0);
    }
    if (write->record.size == 0) {
        return;
    }
    struct entry *entry = memory_alloc(sizeof(*entry) + size + write->record.size);
    ensure(entry != NULL);
    *entry = (struct entry){.hash = hash,
                            .round = table->round,
                            .key_size = size,
                            .record_size = write->record.size,
                            .next = table->buckets[hash % BUCKETS]};
    memcpy(entry->data, key, size);
    memcpy(entry->data + size, write->record.data, write->record.size);
    table->buckets[hash % BUCKETS] = entry;
    table->count++;
}

void trie_table_apply(struct trie_table *table, const struct trie_writes *writes)
{
    table->round++;
    for (const struct trie_write *write = writes->first; write != NULL; write = write->next) {
        apply_one(table, write);
    }
}

size_t trie_table_count(const struct trie_table *table)
{
    return table->count;
}

bool trie_table_equal(const struct trie_table *a, const struct trie_table *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct entry *entry = a->buckets[i]; entry != NULL; entry = entry->next) {
            const struct entry *other = b->buckets[i];
            while (other != NULL && (other->key_size != entry->key_size ||
                                     memcmp(other->data, entry->data, entry->key_size) != 0)) {
                other = other->next;
            }
            if (other == NULL || other->record_size != entry->record_size ||
                memcmp(other->data + other->key_size, entry->data + entry->key_size,
                       entry->record_size) != 0) {
                return false;
            }
        }
    }
    return true;
}
