/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/runs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/error.h"
#include "tables/runs_private.h"

static void lock(const struct runs *runs)
{
    int result = pthread_mutex_lock(runs->lock);
    ensure(result == 0);
}

static void unlock(const struct runs *runs)
{
    int result = pthread_mutex_unlock(runs->lock);
    ensure(result == 0);
}

struct run *runs_run_create(const struct runs *runs, uint64_t number)
{
    struct run *run = memory_alloc_zeroed(1, sizeof(*run));
    if (run != NULL) {
        run->number = number;
        run->filter_size = runs->filter_size;
        int length =
            snprintf(run->table, sizeof(run->table), "run-%s-%010" PRIu64, runs->name, number);
        ensure(length > 0 && (size_t)length < sizeof(run->table));
    }
    return run;
}

void runs_run_destroy(struct run *run)
{
    if (run != NULL) {
        filter_deinit(&run->filter);
        memory_free(run);
    }
}

struct runs_version *runs_version_create(size_t count)
{
    struct runs_version *version =
        memory_alloc(sizeof(*version) + count * sizeof(version->list[0]));
    if (version != NULL) {
        version->references = 1;
        version->count = count;
    }
    return version;
}

void runs_retire(struct runs *runs, struct run *run)
{
    lock(runs);
    ensure(run->references == 0);
    run->next = runs->retired;
    runs->retired = run;
    unlock(runs);
}

void runs_change_begin(struct runs *runs)
{
    int result = pthread_mutex_lock(runs->changing);
    ensure(result == 0);
}

void runs_change_end(struct runs *runs)
{
    int result = pthread_mutex_unlock(runs->changing);
    ensure(result == 0);
}

uint64_t runs_take_number(struct runs *runs)
{
    runs = runs->base != NULL ? runs->base : runs;
    lock(runs);
    uint64_t number = runs->next_number++;
    unlock(runs);
    return number;
}

/* The lock is held. */
static void version_unref(struct runs *runs, struct runs_version *version)
{
    ensure(version->references != 0);
    if (--version->references != 0) {
        return;
    }
    for (size_t i = 0; i < version->count; i++) {
        struct run *run = version->list[i];
        ensure(run->references != 0);
        if (--run->references == 0) {
            run->next = runs->retired;
            runs->retired = run;
        }
    }
    memory_free(version);
}

void runs_version_install(struct runs *runs, struct runs_version *version)
{
    lock(runs);
    for (size_t i = 0; i < version->count; i++) {
        version->list[i]->references++;
    }
    struct runs_version *old = runs->current;
    runs->current = version;
    version_unref(runs, old);
    unlock(runs);
}

void runs_drop_retired(struct runs *runs, struct kv_session *session)
{
    lock(runs);
    struct run *run = runs->retired;
    runs->retired = NULL;
    unlock(runs);
    while (run != NULL) {
        struct run *next = run->next;
        int result = kv_table_drop(session, run->table, NULL);
        if (result == 0 || result == STOA_ENOTFOUND) {
            result = runs_list_remove_filter(runs, session, run->number, NULL);
        }
        if (result == 0) {
            runs_run_destroy(run);
        } else { /* again at the writer's next call, or at the next open */
            runs_retire(runs, run);
        }
        run = next;
    }
}

/* What the tables of the store are held against, at open. */
struct table_check {
    const struct runs *runs;
    const struct runs_version *version;
    size_t found;
    uint64_t number_max;
    struct buffer strays; /* names, each terminated */
    int result;
};

static void check_table(void *context, const char *table)
{
    struct table_check *check = context;
    size_t size = strlen(check->runs->name);
    if (strncmp(table, "run-", 4) != 0 || strncmp(table + 4, check->runs->name, size) != 0 ||
        table[4 + size] != '-') {
        return;
    }
    const char *digits = table + 4 + size + 1;
    if (strlen(digits) < 10 || digits[strspn(digits, "0123456789")] != '\0') {
        return;
    }
    uint64_t number = strtoull(digits, NULL, 10);
    check->number_max = number > check->number_max ? number : check->number_max;
    for (size_t i = 0; i < check->version->count; i++) {
        if (strcmp(check->version->list[i]->table, table) == 0) {
            check->found++;
            return;
        }
    }
    if (check->result == 0) {
        check->result = buffer_append(&check->strays, table, strlen(table) + 1);
    }
}

/* Every run of VERSION has its table; tables of no run go. */
static int check_tables(struct runs *runs, const struct runs_version *version,
                        struct kv_session *session, struct error_detail *detail)
{
    struct table_check check = {.runs = runs, .version = version};
    buffer_init(&check.strays);
    int result = kv_table_list(session, check_table, &check, detail);
    if (result == 0 && check.result != 0) {
        result = error_set(detail, check.result, "runs of %s: out of memory", runs->name);
    }
    if (result == 0 && check.found != version->count) {
        result = error_set(detail, STOA_ECORRUPT, "runs of %s: %zu tables of %zu are there",
                           runs->name, check.found, version->count);
    }
    for (size_t i = 0; result == 0 && i < check.strays.size;) {
        const char *name = (const char *)check.strays.data + i;
        result = kv_table_drop(session, name, detail);
        i += strlen(name) + 1;
    }
    buffer_deinit(&check.strays);
    runs->next_number = check.number_max + 1;
    for (size_t i = 0; i < version->count; i++) {
        uint64_t number = version->list[i]->number;
        runs->next_number = number >= runs->next_number ? number + 1 : runs->next_number;
    }
    return result;
}

static pthread_mutex_t *make_mutex(void)
{
    pthread_mutex_t *mutex = memory_alloc(sizeof(*mutex));
    if (mutex != NULL) {
        int result = pthread_mutex_init(mutex, NULL);
        ensure(result == 0); /* never fails on Linux without attributes */
    }
    return mutex;
}

static void free_mutex(pthread_mutex_t *mutex)
{
    if (mutex != NULL) {
        int result = pthread_mutex_destroy(mutex);
        ensure(result == 0);
        memory_free(mutex);
    }
}

struct runs *runs_create(const char *name, size_t filter_size)
{
    struct runs *runs = memory_alloc_zeroed(1, sizeof(*runs));
    pthread_mutex_t *mutex = make_mutex();
    pthread_mutex_t *changing = make_mutex();
    if (runs == NULL || mutex == NULL || changing == NULL) {
        memory_free(runs);
        free_mutex(mutex);
        free_mutex(changing);
        return NULL;
    }
    snprintf(runs->name, sizeof(runs->name), "%s", name);
    snprintf(runs->list_name, sizeof(runs->list_name), "%s", name);
    runs->lock = mutex;
    runs->changing = changing;
    runs->filter_size = filter_size;
    return runs;
}

/* Tables and filters of the runs of RUNS and of what is made in its place. */
static int read_runs(struct runs *runs, struct kv_session *session, struct error_detail *detail)
{
    const struct runs_version *anew = runs->anew == NULL ? NULL : runs->anew->current;
    size_t own = runs->current->count;
    struct runs_version *all = runs_version_create(own + (anew == NULL ? 0 : anew->count));
    if (all == NULL) {
        return error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", runs->name);
    }
    for (size_t i = 0; i < all->count; i++) {
        all->list[i] = i < own ? runs->current->list[i] : anew->list[i - own];
    }
    int result = check_tables(runs, all, session, detail);
    if (result == 0) {
        result = runs_list_read_filters(runs, session, all, detail);
    }
    memory_free(all);
    return result;
}

int runs_open(struct kv_session *session, const char *name, size_t filter_size,
              struct runs **out_runs, struct error_detail *detail)
{
    size_t size = strnlen(name, RUNS_NAME_SIZE_MAX + 1);
    if (size == 0 || size > RUNS_NAME_SIZE_MAX) {
        return error_set(detail, STOA_EINVAL, "name of runs: %zu bytes, wanted 1 to %d", size,
                         RUNS_NAME_SIZE_MAX);
    }
    struct runs *runs = runs_create(name, filter_size);
    if (runs == NULL) {
        return error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", name);
    }
    int result = kv_table_create(session, RUNS_LIST_TABLE, KV_POINT, detail);
    if (result == 0) {
        result = kv_table_create(session, RUNS_FILTER_TABLE, KV_ORDERED, detail);
    }
    if (result == 0) {
        result = runs_list_read(runs, session, &runs->current, detail);
    }
    if (result == 0) {
        result = runs_list_read_floor(runs, session, &runs->floor, detail);
    }
    if (result == 0) {
        result = runs_anew_read(runs, session, detail);
    }
    if (result == 0) {
        result = read_runs(runs, session, detail);
    }
    if (result != 0) {
        runs_close(runs);
        return result;
    }
    *out_runs = runs;
    return 0;
}

/* What was recorded will not be published: the list may be changed by others again. */
static void forget_recorded(struct runs *runs)
{
    if (runs->recorded != NULL) {
        memory_free(runs->recorded);
        runs->recorded = NULL;
        runs_change_end(runs);
    }
}

void runs_close(struct runs *runs)
{
    if (runs == NULL) {
        return;
    }
    runs_close(runs->anew);
    lock(runs);
    if (runs->current != NULL) {
        ensure(runs->current->references == 1); /* no reader is left */
        version_unref(runs, runs->current);
    }
    unlock(runs);
    while (runs->retired != NULL) { /* the tables stay: that is no drop */
        struct run *run = runs->retired;
        runs->retired = run->next;
        runs_run_destroy(run);
    }
    runs_run_destroy(runs->loaded);
    forget_recorded(runs);
    free_mutex(runs->lock);
    free_mutex(runs->changing);
    memory_free(runs);
}

/* Put what is in ORDER into the maker: of equal keys the last. */
static int put_sorted(struct runs_maker *maker, const struct runs_entry *entries,
                      const uint32_t *order, size_t count, struct error_detail *detail)
{
    enum { AHEAD = 8 };
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (i + 2 * AHEAD < count) { /* the entry, and later what it points to */
            __builtin_prefetch(&entries[order[i + 2 * AHEAD]]);
            __builtin_prefetch(entries[order[i + AHEAD]].key.data);
            __builtin_prefetch(entries[order[i + AHEAD]].value.data);
        }
        const struct runs_entry *entry = &entries[order[i]];
        if (i + 1 == count || !bytes_equal(entry->key, entries[order[i + 1]].key)) {
            result = runs_maker_put(maker, entry, detail);
        }
    }
    return result;
}

int runs_load(struct runs *runs, struct kv_session *session, struct runs_entry *entries,
              size_t count, struct error_detail *detail)
{
    if (runs->loaded != NULL) {
        return error_set(detail, STOA_EBUSY, "runs of %s: a loaded run waits", runs->name);
    }
    runs_drop_retired(runs, session);
    if (count == 0) {
        return 0;
    }
    uint32_t *order;
    int result = runs_sort(entries, count, &order);
    if (result != 0) {
        return error_set(detail, result, "sort %zu entries of %s: %s", count, runs->name,
                         stoa_strerror(result));
    }
    struct runs_maker maker;
    result = runs_maker_open(&maker, runs, session, count, detail);
    if (result == 0) {
        result = put_sorted(&maker, entries, order, count, detail);
        result = runs_maker_close(&maker, runs, session, result, &runs->loaded, detail);
    }
    memory_free(order);
    return result;
}

static int put_short(struct runs_maker *maker, const struct runs_short *entries, size_t count,
                     struct error_detail *detail)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        const struct runs_short *entry = &entries[i];
        bool last = i + 1 == count || entry->high != entry[1].high || entry->low != entry[1].low ||
                    entry->key_size != entry[1].key_size;
        if (last) { /* of equal keys */
            uint8_t key[16];
            bytes_store_be64(key, entry->high);
            bytes_store_be64(key + 8, entry->low);
            struct runs_entry whole = {
                .key = bytes_of(key, entry->key_size),
                .value = bytes_of(&entry->value, entry->value_size),
                .removed = entry->removed,
            };
            result = runs_maker_put(maker, &whole, detail);
        }
    }
    return result;
}

int runs_load_short(struct runs *runs, struct kv_session *session, struct runs_short *entries,
                    size_t count, struct error_detail *detail)
{
    if (runs->loaded != NULL) {
        return error_set(detail, STOA_EBUSY, "runs of %s: a loaded run waits", runs->name);
    }
    runs_drop_retired(runs, session);
    if (count == 0) {
        return 0;
    }
    runs_sort_short(entries, count, entries + count);
    struct runs_maker maker;
    int result = runs_maker_open(&maker, runs, session, count, detail);
    if (result == 0) {
        result = put_short(&maker, entries, count, detail);
        result = runs_maker_close(&maker, runs, session, result, &runs->loaded, detail);
    }
    return result;
}

int runs_record(struct runs *runs, struct kv_session *session, struct error_detail *detail)
{
    if (runs->loaded == NULL) {
        return 0;
    }
    forget_recorded(runs); /* of a transaction that was rolled back and is tried again */
    runs_change_begin(runs);
    const struct runs_version *current = runs->current; /* changing is held */
    struct runs_version *version = runs_version_create(current->count + 1);
    if (version == NULL) {
        runs_change_end(runs);
        return error_set(detail, STOA_ENOMEM, "runs of %s: out of memory", runs->name);
    }
    version->list[0] = runs->loaded;
    memcpy(version->list + 1, current->list, current->count * sizeof(version->list[0]));
    int result = runs_list_write(runs, session, version, detail);
    if (result != 0) {
        memory_free(version);
        runs_change_end(runs);
        return result;
    }
    runs->recorded = version;
    return 0;
}

void runs_publish(struct runs *runs)
{
    if (runs->recorded == NULL) {
        ensure(runs->loaded == NULL); /* else it was not recorded */
        return;
    }
    struct runs_version *version = runs->recorded;
    runs->recorded = NULL;
    runs->loaded = NULL;
    runs_version_install(runs, version);
    runs_change_end(runs);
}

void runs_discard(struct runs *runs, struct kv_session *session)
{
    struct run *run = runs->loaded;
    forget_recorded(runs);
    runs->loaded = NULL;
    if (run != NULL) {
        runs_retire(runs, run);
    }
    runs_drop_retired(runs, session);
}

struct runs_version *runs_acquire(struct runs *runs)
{
    lock(runs);
    struct runs_version *version = runs->current;
    version->references++;
    unlock(runs);
    return version;
}

void runs_release(struct runs *runs, struct runs_version *version)
{
    lock(runs);
    version_unref(runs, version);
    unlock(runs);
}

int runs_get(struct runs_version *version, struct kv_session *session, struct bytes key,
             struct bytes *out_value, struct error_detail *detail)
{
    uint64_t hash =
        version->count == 0 ? 0 : filter_hash(runs_filter_key(version->list[0]->filter_size, key));
    for (size_t i = 0; i < version->count; i++) {
        filter_prefetch(&version->list[i]->filter, hash);
    }
    for (size_t i = 0; i < version->count; i++) {
        const struct run *run = version->list[i];
        if (!filter_may_hold(&run->filter, hash) ||
            bytes_compare(key, bytes_of(run->min, run->min_size)) < 0 ||
            bytes_compare(key, bytes_of(run->max, run->max_size)) > 0) {
            continue;
        }
        struct run_page page;
        struct runs_entry entry;
        int result = run_reader_get_from(session, run->table, key, &page, &entry, detail);
        if (result == STOA_ENOTFOUND || (result == 0 && !bytes_equal(entry.key, key))) {
            continue;
        }
        if (result != 0) {
            return result;
        }
        *out_value = entry.value;
        return entry.removed || entry.absent ? STOA_ENOTFOUND : 0;
    }
    return STOA_ENOTFOUND;
}

void runs_version_key(uint8_t *key, size_t base_size, uint64_t version)
{
    bytes_store_be64(key + base_size, ~version);
}

/* The highest version in RUN, tombstones too, that is at most *BOUND, which becomes it; of
 * OUT_ENTRY the key is not to be used. STOA_ENOTFOUND. KEY: the base, and room for a version. */
static int version_in_run(const struct run *run, struct kv_session *session, struct bytes base,
                          uint8_t key[KV_KEY_SIZE_MAX], uint64_t *bound,
                          struct runs_entry *out_entry, struct error_detail *detail)
{
    runs_version_key(key, base.size, *bound);
    struct bytes from = bytes_of(key, base.size + RUNS_VERSION_SIZE);
    if (bytes_compare(bytes_of(run->max, run->max_size), from) < 0) {
        return STOA_ENOTFOUND;
    }
    struct run_page page;
    int result = run_reader_get_from(session, run->table, from, &page, out_entry, detail);
    if (result != 0) {
        return result;
    }
    if (out_entry->key.size != from.size || memcmp(out_entry->key.data, key, base.size) != 0) {
        return STOA_ENOTFOUND;
    }
    *bound = ~bytes_load_be64(out_entry->key.data + base.size);
    return 0;
}

int runs_get_version(struct runs_version *version, struct kv_session *session, struct bytes base,
                     uint64_t *bound, struct bytes *out_value, struct error_detail *detail)
{
    if (version->count == 0 || base.size + RUNS_VERSION_SIZE > KV_KEY_SIZE_MAX) {
        return STOA_ENOTFOUND; /* no such key can have been put */
    }
    size_t filter_size = version->list[0]->filter_size;
    ensure(filter_size != 0 && filter_size <= base.size); /* filters hold no versions */
    uint64_t hash = filter_hash(runs_filter_key(filter_size, base));
    for (size_t i = 0; i < version->count; i++) {
        filter_prefetch(&version->list[i]->filter, hash);
    }
    uint8_t key[KV_KEY_SIZE_MAX];
    memcpy(key, base.data, base.size);
    for (size_t i = 0; i < version->count;) {
        const struct run *run = version->list[i];
        struct runs_entry entry;
        int result = !filter_may_hold(&run->filter, hash)
                         ? STOA_ENOTFOUND
                         : version_in_run(run, session, base, key, bound, &entry, detail);
        if (result == STOA_ENOTFOUND) {
            i++;
            continue;
        }
        if (result != 0 || !entry.removed) {
            *out_value = entry.value;
            return result == 0 && entry.absent ? STOA_ENOTFOUND : result;
        }
        if (*bound == 0) {
            return STOA_ENOTFOUND;
        }
        --*bound; /* what was there is withdrawn: below it, in this run first */
    }
    return STOA_ENOTFOUND;
}

uint64_t runs_prefix_hash(const struct runs_version *version, struct bytes prefix)
{
    return version->count == 0
               ? 0
               : filter_hash(runs_filter_key(version->list[0]->filter_size, prefix));
}

bool runs_may_hold(const struct run *run, struct bytes prefix, uint64_t hash)
{
    bool filtered = run->filter_size != 0 && prefix.size >= run->filter_size;
    struct bytes min =
        bytes_of(run->min, run->min_size < prefix.size ? run->min_size : prefix.size);
    return (!filtered || filter_may_hold(&run->filter, hash)) && bytes_compare(min, prefix) <= 0 &&
           bytes_compare(prefix, bytes_of(run->max, run->max_size)) <= 0;
}

enum { CANDIDATES_MAX = 128 };

/* Those of VERSION's runs that may hold keys beginning with PREFIX, in their order: all of them, in
 * place, where that is not to be told or they are more than CANDIDATES_MAX. */
static struct run *const *candidates(const struct runs_version *version, struct bytes prefix,
                                     struct run *out[CANDIDATES_MAX], size_t *out_count)
{
    *out_count = version->count;
    if (version->count == 0 || version->count > CANDIDATES_MAX) {
        return version->list;
    }
    uint64_t hash = runs_prefix_hash(version, prefix);
    size_t count = 0;
    for (size_t i = 0; i < version->count; i++) {
        if (runs_may_hold(version->list[i], prefix, hash)) {
            out[count++] = version->list[i];
        }
    }
    *out_count = count;
    return out;
}

int runs_walk(struct runs_version *version, struct kv_session *session, struct bytes prefix,
              int (*entry)(void *context, const struct runs_entry *entry), void *context,
              struct error_detail *detail)
{
    struct runs_iterator *iterator;
    struct run *some[CANDIDATES_MAX];
    size_t count;
    struct run *const *list = candidates(version, prefix, some, &count);
    if (count == 0) {
        return 0;
    }
    int result = runs_iterator_create(list, count, session, prefix, &iterator, detail);
    if (result != 0) {
        return result;
    }
    int ended = 0;
    struct runs_entry found;
    while (ended == 0 && (result = runs_iterator_next(iterator, &found, detail)) == 0) {
        if (!found.removed) {
            ended = entry(context, &found);
        }
    }
    runs_iterator_destroy(iterator);
    return result == 0 || result == STOA_ENOTFOUND ? ended : result;
}

struct prefix_walk {
    int (*entry)(void *context, struct bytes key, struct bytes value);
    void *context;
};

static int pass_value(void *context, const struct runs_entry *entry)
{
    const struct prefix_walk *walk = context;
    return entry->absent ? 0 : walk->entry(walk->context, entry->key, entry->value);
}

int runs_prefix(struct runs_version *version, struct kv_session *session, struct bytes prefix,
                int (*entry)(void *context, struct bytes key, struct bytes value), void *context,
                struct error_detail *detail)
{
    struct prefix_walk walk = {entry, context};
    return runs_walk(version, session, prefix, pass_value, &walk, detail);
}

uint64_t runs_floor(const struct runs *runs)
{
    lock(runs);
    uint64_t floor = runs->floor;
    unlock(runs);
    return floor;
}

void runs_stats(const struct runs *runs, struct runs_stats *out_stats)
{
    lock(runs);
    struct runs_stats stats = {.run_count = runs->current->count, .merge_count = runs->merge_count};
    for (size_t i = 0; i < runs->current->count; i++) {
        const struct run *run = runs->current->list[i];
        stats.entry_count += run->entry_count;
        stats.filter_bytes += run->filter.block_count * FILTER_BLOCK_SIZE;
    }
    unlock(runs);
    *out_stats = stats;
}

int runs_each(struct runs *runs, int (*each)(void *context, const struct runs_run *run),
              void *context)
{
    struct runs_version *version = runs_acquire(runs);
    int result = 0;
    for (size_t i = 0; result == 0 && i < version->count; i++) {
        const struct run *run = version->list[i];
        struct runs_run found = {
            .table = run->table, .level = run->level, .entries = run->entry_count};
        result = each(context, &found);
    }
    runs_release(runs, version);
    return result;
}

const char *runs_name(const struct runs *runs)
{
    return runs->name;
}
