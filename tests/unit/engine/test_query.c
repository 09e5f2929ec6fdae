/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs, addresses' transactions and ranges of blocks, compared with brute force over what was
 * stored: the real chains, and a made one. Exact, in content and order. STOA_LONG=1: a made chain
 * of 50,000 blocks, and both era1 files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chain/block.h"
#include "chain/era1.h"
#include "chain/keccak.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "stoa.h"
#include "support/chain_data.h"
#include "support/fixture.h"
#include "support/made_chain.h"

enum {
    FILTERS_A_CHAIN = 1260, /* of eight: ten thousand in all */
    PATH_SIZE = 256,
    MADE_BLOCKS = 400,
    MADE_BLOCKS_LONG = 50000,
    FILTERS_LONG = 10000,
    HEIGHT_LONG = 10000, /* of chains where not every filter may ask for all there is */
};

struct touch {
    uint8_t address[20];
    uint64_t height;
    uint32_t index; /* UINT32_MAX: withdrawals */
    unsigned roles;
};

struct place {
    uint8_t hash[32];
    uint8_t block_hash[32];
    uint64_t timestamp;
    uint64_t height;
    uint32_t index;
};

/* A store, and what it must answer. */
struct model {
    char base[PATH_SIZE];
    struct stoa *stoa;
    struct buffer logs;         /* struct stoa_log; data by offset + 1 into bytes */
    struct buffer bytes;        /* of their data */
    struct buffer touches;      /* struct touch, sorted by address and place before use */
    struct buffer transactions; /* struct place */
    struct buffer hashes;       /* of blocks, from the genesis on */
    uint64_t height;
    uint64_t seed;
};

static void append(struct buffer *buffer, const void *data, size_t size)
{
    assert_int_equal(buffer_append(buffer, data, size), 0);
}

static void open_made(struct model *model, const struct stoa_cache_options *cache)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    char directory[PATH_SIZE];
    snprintf(directory, sizeof(directory), "%.240s/store", model->base);
    options.io = STOA_IO_THREADS;
    options.segment_size = 8 << 20;
    options.cache = cache;
    if (stoa_open(directory, &options, &model->stoa, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
}

/* So that every answer comes from the ledger. */
static void reopen_without_cache(struct model *model)
{
    struct stoa_cache_options none = STOA_CACHE_OPTIONS_INIT;
    none.capacity = STOA_NO_CACHE;
    assert_int_equal(stoa_close(model->stoa, NULL), 0);
    open_made(model, &none);
}

static void open_store(struct model *model, const char *genesis, size_t genesis_size)
{
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    const char *temporary = getenv("TMPDIR");
    char directory[PATH_SIZE];
    snprintf(model->base, sizeof(model->base), "%s/stoa-query-XXXXXX",
             temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(model->base));
    snprintf(directory, sizeof(directory), "%.240s/store", model->base);
    create.genesis_json = genesis;
    create.genesis_json_size = genesis_size;
    if (stoa_create(directory, &create, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    open_made(model, NULL);
    struct stoa_head head;
    assert_int_equal(stoa_get_head(model->stoa, &head), 0);
    if (head.empty == 0) {
        append(&model->hashes, head.hash, 32);
    }
}

static void close_store(struct model *model)
{
    char command[PATH_SIZE + 16];
    assert_int_equal(stoa_close(model->stoa, NULL), 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", model->base);
    assert_int_equal(system(command), 0);
    buffer_deinit(&model->logs);
    buffer_deinit(&model->bytes);
    buffer_deinit(&model->touches);
    buffer_deinit(&model->transactions);
    buffer_deinit(&model->hashes);
    *model = (struct model){.seed = model->seed};
}

/* ---- what must be answered ---- */

static void touch(struct model *model, const uint8_t address[20], uint32_t index, unsigned role)
{
    struct touch touch = {.height = model->height, .index = index, .roles = role};
    memcpy(touch.address, address, 20);
    append(&model->touches, &touch, sizeof(touch));
}

static void note_logs(struct model *model, struct bytes logs, const struct place *place,
                      uint32_t *log_index)
{
    struct receipt_log log;
    while (receipt_next_log(&logs, &log, NULL) == 0) {
        struct stoa_log out = {
            .topic_count = log.topic_count,
            .data = {NULL, log.data.size},
            .height = place->height,
            .timestamp = place->timestamp,
            .transaction_index = place->index,
            .log_index = (*log_index)++,
        };
        memcpy(out.address, log.address, 20);
        for (unsigned i = 0; i < log.topic_count; i++) {
            memcpy(out.topics[i], log.topics[i], 32);
        }
        memcpy(out.block_hash, place->block_hash, 32);
        memcpy(out.transaction_hash, place->hash, 32);
        out.data.data = (const uint8_t *)(uintptr_t)(model->bytes.size + 1);
        append(&model->bytes, log.data.data, log.data.size);
        append(&model->logs, &out, sizeof(out));
        touch(model, log.address, place->index, STOA_ROLE_EMITTER);
    }
}

static void note_withdrawals(struct model *model, const struct block *block)
{
    struct bytes cursor = block->withdrawals;
    struct bytes fields;
    while (block->has_withdrawals && cursor.size != 0) {
        uint64_t number;
        const uint8_t *address;
        assert_int_equal(rlp_read_list(&cursor, &fields, NULL), 0);
        assert_int_equal(rlp_read_uint64(&fields, &number, NULL), 0);
        assert_int_equal(rlp_read_uint64(&fields, &number, NULL), 0);
        assert_int_equal(rlp_read_fixed(&fields, 20, &address, NULL), 0);
        touch(model, address, UINT32_MAX, STOA_ROLE_WITHDRAWAL);
    }
}

/* FROM gives sender and, where there is one, created contract of transaction INDEX. */
typedef void sender_function(const void *source, uint32_t index, uint8_t sender[20], bool *creates,
                             uint8_t created[20]);

/* Not waiting for the device: there are many small blocks. */
static void put_block(struct model *model, const struct stoa_store_block *put)
{
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_completion done;
    call.durability = STOA_BUFFERED;
    assert_int_equal(stoa_submit_store_block(model->stoa, put, &call), 0);
    assert_int_equal(stoa_reap(model->stoa, &done, 1, -1), 1);
    if (done.result != 0) {
        fail_msg("%s", done.detail.text);
    }
}

static void feed(struct model *model, struct bytes encoding, struct bytes receipts,
                 sender_function *from, const void *source)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct block block;
    put.block = (struct stoa_bytes){encoding.data, encoding.size};
    put.receipts = (struct stoa_bytes){receipts.data, receipts.size};
    put_block(model, &put);
    assert_int_equal(block_decode(encoding, &block, NULL), 0);
    model->height = block.header.number;
    append(&model->hashes, block.hash, 32);
    struct bytes list;
    struct bytes transactions = block.transactions;
    assert_int_equal(rlp_read_list(&receipts, &list, NULL), 0);
    uint32_t log_index = 0;
    for (uint32_t i = 0; i < block.transaction_count; i++) {
        struct bytes envelope;
        struct bytes receipt_envelope;
        struct transaction transaction;
        struct receipt receipt;
        struct place place = {
            .height = model->height, .index = i, .timestamp = block.header.timestamp};
        uint8_t sender[20];
        uint8_t created[20];
        bool creates = false;
        assert_int_equal(block_next_transaction(&transactions, &envelope, NULL), 0);
        assert_int_equal(transaction_decode(envelope, &transaction, NULL), 0);
        assert_int_equal(receipt_next(&list, &receipt_envelope, NULL), 0);
        assert_int_equal(receipt_decode(receipt_envelope, &receipt, NULL), 0);
        transaction_hash(envelope, place.hash);
        memcpy(place.block_hash, block.hash, 32);
        append(&model->transactions, &place, sizeof(place));
        from(source, i, sender, &creates, created);
        touch(model, sender, i, STOA_ROLE_SENDER);
        if (transaction.to != NULL) {
            touch(model, transaction.to, i, STOA_ROLE_RECIPIENT);
        } else if (creates) {
            touch(model, created, i, STOA_ROLE_CREATED);
        } else {
            uint8_t address[20]; /* it failed, or the source does not say */
            transaction_created_address(sender, transaction.nonce, address);
            touch(model, address, i, STOA_ROLE_CREATED);
        }
        note_logs(model, receipt.logs, &place, &log_index);
    }
    note_withdrawals(model, &block);
}

/* ---- logs ---- */

static bool any_of(const uint8_t *value, const uint8_t *values, size_t count, size_t size)
{
    bool found = count == 0;
    for (size_t i = 0; i < count; i++) {
        found = found || memcmp(value, values + i * size, size) == 0;
    }
    return found;
}

static bool log_matches(const struct stoa_log_filter *filter, const struct stoa_log *log)
{
    bool matches = log->topic_count >= filter->topic_count &&
                   any_of(log->address, filter->addresses, filter->address_count, 20);
    if (filter->block_hash != NULL) {
        matches = matches && memcmp(log->block_hash, filter->block_hash, 32) == 0;
    } else {
        matches = matches && log->height >= filter->from && log->height <= filter->to;
    }
    for (unsigned i = 0; matches && i < filter->topic_count; i++) {
        matches = any_of(log->topics[i], filter->topics[i].topics, filter->topics[i].count, 32);
    }
    return matches;
}

static void expect_log(const struct model *model, const struct stoa_log *got,
                       const struct stoa_log *wanted)
{
    size_t offset = (size_t)(uintptr_t)wanted->data.data - 1;
    assert_int_equal(got->height, wanted->height);
    assert_int_equal(got->log_index, wanted->log_index);
    assert_int_equal(got->transaction_index, wanted->transaction_index);
    assert_int_equal(got->timestamp, wanted->timestamp);
    assert_int_equal(got->topic_count, wanted->topic_count);
    assert_memory_equal(got->address, wanted->address, 20);
    assert_memory_equal(got->topics, wanted->topics, 32 * (size_t)wanted->topic_count);
    assert_memory_equal(got->block_hash, wanted->block_hash, 32);
    assert_memory_equal(got->transaction_hash, wanted->transaction_hash, 32);
    assert_int_equal(got->data.size, wanted->data.size);
    assert_memory_equal(got->data.data, model->bytes.data + offset, wanted->data.size);
}

/* The first log at HEIGHT or above. */
static size_t logs_from(const struct model *model, uint64_t height)
{
    const struct stoa_log *logs = (const void *)model->logs.data;
    size_t low = 0;
    size_t high = model->logs.size / sizeof(*logs);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (logs[middle].height < height) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The logs of the blocks that FILTER names, from *OUT_FIRST on: the index past the last. */
static size_t logs_in_range(const struct model *model, const struct stoa_log_filter *filter,
                            size_t *out_first)
{
    uint64_t from = filter->from;
    uint64_t to = filter->to;
    if (filter->block_hash != NULL) { /* one of the model's */
        from = (uint64_t)(filter->block_hash - model->hashes.data) / 32;
        to = from;
    }
    *out_first = logs_from(model, from);
    return to >= model->height ? model->logs.size / sizeof(struct stoa_log)
                               : logs_from(model, to + 1);
}

/* All that FILTER asks for, page by page. Returns how many logs that were. */
static size_t expect_logs(const struct model *model, struct stoa_log_filter filter)
{
    const struct stoa_log *wanted = (const void *)model->logs.data;
    size_t next;
    size_t count = logs_in_range(model, &filter, &next);
    size_t total = 0;
    for (;;) {
        struct stoa_logs logs;
        struct stoa_detail detail = {.code = 0};
        int result = stoa_query_logs(model->stoa, &filter, &logs, &detail);
        if (result != 0) {
            fail_msg("%s", detail.text);
        }
        assert_int_equal(logs.missing, 0);
        assert_true(filter.limit == 0 || logs.count <= filter.limit);
        for (size_t i = 0; i < logs.count; i++) {
            while (next < count && !log_matches(&filter, &wanted[next])) {
                next++;
            }
            assert_true(next < count);
            expect_log(model, &logs.logs[i], &wanted[next++]);
        }
        total += logs.count;
        bool more = logs.more != 0;
        filter.cursor = logs.cursor;
        stoa_free(logs.logs);
        if (!more) {
            break;
        }
    }
    while (next < count && !log_matches(&filter, &wanted[next])) {
        next++;
    }
    assert_int_equal(next, count);
    return total;
}

/* The range and limit of a filter. On a long chain short ranges are as frequent as long ones: else
 * nearly all the time went into a few answers of everything. */
static void draw_range(struct model *model, struct stoa_log_filter *filter)
{
    uint64_t *seed = &model->seed;
    bool is_long = model->height > HEIGHT_LONG;
    uint64_t span = model->height + 2;
    if (is_long) {
        uint64_t shorter = UINT64_C(2) << fixture_random_below(seed, 17);
        span = shorter < span ? shorter : span;
    }
    if (fixture_random_below(seed, 8) == 0) {
        filter->block_hash =
            model->hashes.data + 32 * fixture_random_below(seed, model->hashes.size / 32);
    } else if (fixture_random_below(seed, is_long ? 60 : 3) != 0) {
        filter->from = fixture_random_below(seed, model->height + 1);
        filter->to = filter->from + fixture_random_below(seed, span);
    }
    if (fixture_random_below(seed, 3) == 0) {
        filter->limit = 1 + (unsigned)fixture_random_below(seed, 40) * 10;
        filter->limit += is_long ? (unsigned)span / 8 : 0;
    }
}

static void random_filters(struct model *model, unsigned filters)
{
    const struct stoa_log *logs = (const void *)model->logs.data;
    size_t count = model->logs.size / sizeof(*logs);
    size_t found = 0;
    for (unsigned f = 0; f < filters; f++) {
        struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
        uint8_t addresses[3][20];
        uint8_t topics[4][3][32];
        uint64_t *seed = &model->seed;
        const struct stoa_log *like = count == 0 ? NULL : &logs[fixture_random_below(seed, count)];
        draw_range(model, &filter);
        size_t address_count = fixture_random_below(seed, 4);
        for (size_t i = 0; i < address_count; i++) {
            const struct stoa_log *other =
                count == 0 ? NULL : &logs[fixture_random_below(seed, count)];
            fixture_random_fill(seed, addresses[i], 20);
            if (like != NULL && fixture_random_below(seed, 5) != 0) {
                memcpy(addresses[i], i == 0 ? like->address : other->address, 20);
            }
        }
        filter.addresses = addresses[0];
        filter.address_count = address_count;
        filter.topic_count = (unsigned)fixture_random_below(seed, 5);
        for (unsigned i = 0; i < filter.topic_count; i++) {
            filter.topics[i].topics = topics[i][0];
            filter.topics[i].count = fixture_random_below(seed, 4);
            for (size_t j = 0; j < filter.topics[i].count; j++) {
                const struct stoa_log *other =
                    count == 0 ? NULL : &logs[fixture_random_below(seed, count)];
                fixture_random_fill(seed, topics[i][j], 32);
                if (like != NULL && j == 0 && i < like->topic_count) {
                    memcpy(topics[i][j], like->topics[i], 32);
                } else if (other != NULL && i < other->topic_count) {
                    memcpy(topics[i][j], other->topics[i], 32);
                }
            }
        }
        found += expect_logs(model, filter);
    }
    print_message("%u filters, %zu logs of %zu found\n", filters, found, count);
    assert_true(count == 0 || found != 0);
}

/* ---- addresses ---- */

static int compare_touches(const void *a, const void *b)
{
    const struct touch *left = a;
    const struct touch *right = b;
    int order = memcmp(left->address, right->address, 20);
    if (order == 0) {
        order = left->height < right->height ? -1 : left->height > right->height;
    }
    if (order == 0) {
        order = left->index < right->index ? -1 : left->index > right->index;
    }
    return order;
}

static void sort_touches(struct model *model)
{
    struct touch *touches = (void *)model->touches.data;
    size_t count = model->touches.size / sizeof(*touches);
    if (count == 0) {
        return;
    }
    qsort(touches, count, sizeof(*touches), compare_touches);
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        if (compare_touches(&touches[kept], &touches[i]) == 0) {
            touches[kept].roles |= touches[i].roles;
        } else {
            touches[++kept] = touches[i];
        }
    }
    model->touches.size = (kept + 1) * sizeof(*touches);
}

static const struct place *find_place(const struct model *model, uint64_t height, uint32_t index)
{
    const struct place *places = (const void *)model->transactions.data;
    size_t low = 0;
    size_t high = model->transactions.size / sizeof(*places);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct place *place = &places[middle];
        if (place->height < height || (place->height == height && place->index < index)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert_true(low < model->transactions.size / sizeof(*places));
    assert_int_equal(places[low].height, height);
    assert_int_equal(places[low].index, index);
    return &places[low];
}

static void expect_entry(const struct stoa_history_entry *entry, const struct touch *touch,
                         const struct model *model)
{
    assert_int_equal(entry->height, touch->height);
    assert_int_equal(entry->roles, touch->roles);
    assert_memory_equal(entry->block_hash, model->hashes.data + 32 * touch->height, 32);
    if (touch->index == UINT32_MAX) {
        assert_int_equal(entry->roles, STOA_ROLE_WITHDRAWAL);
        assert_int_equal(entry->index, 0);
        return;
    }
    const struct place *place = find_place(model, touch->height, touch->index);
    assert_int_equal(entry->index, touch->index);
    assert_memory_equal(entry->transaction_hash, place->hash, 32);
    assert_int_equal(entry->timestamp, place->timestamp);
}

/* The touches of one address, in one direction, page by page. */
static void expect_history(const struct model *model, const struct touch *touches, size_t count,
                           const struct stoa_history_query *given)
{
    struct stoa_history_query query = *given;
    unsigned mask = query.roles == 0 ? STOA_ROLE_ALL : query.roles;
    size_t next = 0;
    bool more = true;
    while (more) {
        struct stoa_history history;
        struct stoa_detail detail = {.code = 0};
        if (stoa_get_address_transactions(model->stoa, &query, &history, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        assert_int_equal(history.missing, 0);
        assert_true(history.count <= (query.limit == 0 ? 50 : query.limit));
        for (size_t i = 0; i < history.count; next++) {
            assert_true(next < count);
            const struct touch *touch = &touches[query.oldest_first ? next : count - 1 - next];
            if ((touch->roles & mask) != 0 && touch->height >= query.from &&
                touch->height <= query.to) {
                expect_entry(&history.entries[i++], touch, model);
            }
        }
        more = history.more != 0;
        query.cursor = history.cursor;
        stoa_free(history.entries);
    }
    for (; next < count; next++) {
        const struct touch *touch = &touches[query.oldest_first ? next : count - 1 - next];
        assert_false((touch->roles & mask) != 0 && touch->height >= query.from &&
                     touch->height <= query.to);
    }
}

static void all_addresses(struct model *model)
{
    const struct touch *touches = (const void *)model->touches.data;
    size_t count = model->touches.size / sizeof(*touches);
    size_t addresses = 0;
    for (size_t i = 0; i < count; addresses++) {
        size_t end = i;
        while (end < count && memcmp(touches[end].address, touches[i].address, 20) == 0) {
            end++;
        }
        struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
        memcpy(query.address, touches[i].address, 20);
        query.limit = 10000;
        expect_history(model, touches + i, end - i, &query);
        query.oldest_first = 1;
        uint64_t most = 2 * (end - i) + 2 < 10000 ? 2 * (end - i) + 2 : 10000;
        query.limit = 1 + (unsigned)fixture_random_below(&model->seed, most);
        expect_history(model, touches + i, end - i, &query);
        query.oldest_first = (int)fixture_random_below(&model->seed, 2);
        query.roles = 1 + (unsigned)fixture_random_below(&model->seed, STOA_ROLE_ALL);
        query.from = fixture_random_below(&model->seed, model->height + 1);
        query.to = query.from + fixture_random_below(&model->seed, model->height + 1);
        query.limit = 70;
        expect_history(model, touches + i, end - i, &query);
        i = end;
    }
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    fixture_random_fill(&model->seed, query.address, 20);
    expect_history(model, NULL, 0, &query);
    print_message("%zu addresses with %zu entries\n", addresses, count);
}

/* ---- transactions and ranges ---- */

static void all_transactions(const struct model *model)
{
    const struct place *places = (const void *)model->transactions.data;
    for (size_t i = 0; i < model->transactions.size / sizeof(*places); i++) {
        struct stoa_transaction transaction;
        assert_int_equal(stoa_get_transaction(model->stoa, places[i].hash, &transaction, NULL), 0);
        assert_int_equal(transaction.block.height, places[i].height);
        assert_int_equal(transaction.index, places[i].index);
        assert_memory_equal(transaction.block.hash, places[i].block_hash, 32);
        stoa_release(transaction.block.view);
    }
}

/* The headers of RANGE, of which COUNT are there, as range, one by one and by hash. */
static void compare_headers(const struct model *model, const struct stoa_block_range *range,
                            const struct stoa_block *blocks, size_t count)
{
    struct stoa_headers headers;
    assert_int_equal(stoa_get_header_range(model->stoa, range, &headers, NULL), 0);
    assert_int_equal(headers.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct stoa_header *header = &headers.headers[i];
        uint8_t hash[32];
        keccak_256(header->header.data, header->header.size, hash);
        assert_memory_equal(hash, model->hashes.data + 32 * (range->from + i), 32);
        assert_memory_equal(header->hash, hash, 32);
        assert_int_equal(header->height, range->from + i);
        assert_memory_equal(header->total_difficulty, blocks[i].total_difficulty, 32);
        assert_null(header->view);
    }
    struct stoa_block_key keys[] = {
        {.by = STOA_BY_HEIGHT, .height = range->from},
        {.by = STOA_BY_HASH},
    };
    memcpy(keys[1].hash, headers.headers[0].hash, 32);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct stoa_header header;
        assert_int_equal(stoa_get_header(model->stoa, &keys[i], &header, NULL), 0);
        assert_int_equal(header.header.size, headers.headers[0].header.size);
        assert_memory_equal(header.header.data, headers.headers[0].header.data, header.header.size);
        assert_memory_equal(header.hash, headers.headers[0].hash, 32);
        assert_int_equal(header.canonical, 1);
        stoa_release(header.view);
        assert_int_equal(stoa_block_exists(model->stoa, &keys[i], NULL), 0);
    }
    keys[0].height = model->height + 1;
    keys[1].hash[0] ^= 1;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct stoa_header header;
        assert_int_equal(stoa_get_header(model->stoa, &keys[i], &header, NULL), STOA_ENOTFOUND);
        assert_int_equal(stoa_block_exists(model->stoa, &keys[i], NULL), STOA_ENOTFOUND);
    }
    stoa_free(headers.headers);
}

static void some_ranges(struct model *model)
{
    static struct stoa_block blocks[STOA_RANGE_MAX];
    for (unsigned i = 0; i < 20; i++) {
        struct stoa_block_range range = {
            .from = fixture_random_below(&model->seed, model->height + 1),
            .count = 1 + fixture_random_below(&model->seed, STOA_RANGE_MAX),
        };
        size_t count;
        assert_int_equal(stoa_get_block_range(model->stoa, &range, blocks, &count, NULL), 0);
        uint64_t wanted = model->height - range.from + 1;
        wanted = wanted < range.count ? wanted : range.count;
        assert_int_equal(count, wanted);
        compare_headers(model, &range, blocks, count);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(blocks[j].height, range.from + j);
            assert_memory_equal(blocks[j].hash, model->hashes.data + 32 * (range.from + j), 32);
            stoa_release(blocks[j].view);
        }
    }
    struct stoa_block_range above = {.from = model->height + 1, .count = 1};
    size_t count;
    assert_int_equal(stoa_get_block_range(model->stoa, &above, blocks, &count, NULL),
                     STOA_ENOTFOUND);
    struct stoa_headers headers;
    assert_int_equal(stoa_get_header_range(model->stoa, &above, &headers, NULL), STOA_ENOTFOUND);
    struct stoa_block_range none = {.from = 0, .count = 0};
    assert_int_equal(stoa_get_block_range(model->stoa, &none, blocks, &count, NULL), STOA_EINVAL);
}

/* Everything, while blocks are pending, and again out of the tables and the ledger. */
static void compare(struct model *model, unsigned filters)
{
    sort_touches(model);
    assert_int_equal(stoa_sync(model->stoa, NULL), 0); /* what is buffered is not seen before */
    random_filters(model, filters / 4);
    assert_int_equal(stoa_checkpoint(model->stoa, NULL), 0);
    reopen_without_cache(model);
    random_filters(model, filters - filters / 4);
    all_addresses(model);
    all_transactions(model);
    some_ranges(model);
}

/* ---- the chains ---- */

static void sender_of_line(const void *source, uint32_t index, uint8_t sender[20], bool *creates,
                           uint8_t created[20])
{
    const json_t *transaction = json_array_get(json_object_get(source, "txs"), index);
    chain_data_hex_fixed(transaction, "from", sender, 20);
    *creates = json_is_string(json_object_get(transaction, "created"));
    if (*creates) {
        chain_data_hex_fixed(transaction, "created", created, 20);
    }
}

struct real {
    struct model model;
    char where[PATH_SIZE];
    size_t chains;
};

static void end_chain(struct real *real)
{
    if (real->model.stoa != NULL) {
        print_message("%s\n", real->where);
        compare(&real->model, FILTERS_A_CHAIN);
        close_store(&real->model);
        real->chains++;
    }
}

static void visit(const struct chain_data_block *block, void *context)
{
    struct real *real = context;
    if (strstr(block->where, "chains/") == NULL || strstr(block->where, "multi-chain") != NULL) {
        return;
    }
    if (strcmp(real->where, block->where) != 0) {
        end_chain(real);
        snprintf(real->where, sizeof(real->where), "%s", block->where);
        char name[PATH_SIZE];
        snprintf(name, sizeof(name), "%s", strstr(block->where, "chains/"));
        *strrchr(name, '/') = '\0';
        strncat(name, "/genesis.json", sizeof(name) - strlen(name) - 1);
        struct buffer genesis;
        buffer_init(&genesis);
        assert_true(fixture_load_data(name, &genesis));
        open_store(&real->model, (const char *)genesis.data, genesis.size);
        buffer_deinit(&genesis);
    }
    feed(&real->model, block->encoding, block->receipts, sender_of_line, block->line);
}

static void every_query_of_the_real_chains_equals_brute_force(void **state)
{
    struct real real = {.model.seed = fixture_seed()};
    (void)state;
    if (chain_data_for_each(visit, &real) == 0) {
        return;
    }
    end_chain(&real);
    assert_int_equal(real.chains, 8);
}

static void sender_of_made(const void *source, uint32_t index, uint8_t sender[20], bool *creates,
                           uint8_t created[20])
{
    const struct made_block *block = source;
    const struct made_transaction *transaction = &block->transactions[index];
    memcpy(sender, transaction->sender, 20);
    memcpy(created, transaction->created, 20);
    *creates = transaction->creates;
}

static void every_query_of_a_made_chain_equals_brute_force(void **state)
{
    struct model model = {.seed = fixture_seed()};
    bool is_long = getenv("STOA_LONG") != NULL;
    uint64_t blocks = is_long ? MADE_BLOCKS_LONG : MADE_BLOCKS;
    struct made_chain *chain = made_chain_create(model.seed, blocks);
    struct bytes genesis = made_chain_genesis_json(chain);
    (void)state;
    open_store(&model, (const char *)genesis.data, genesis.size);
    for (uint64_t i = 1; i <= blocks; i++) {
        const struct made_block *block = made_chain_block(chain, i);
        feed(&model, buffer_bytes(&block->block), buffer_bytes(&block->receipts), sender_of_made,
             block);
        if (i == blocks / 2) {
            assert_int_equal(stoa_checkpoint(model.stoa, NULL), 0);
        }
    }
    compare(&model, is_long ? FILTERS_LONG : 1500);
    close_store(&model);
    made_chain_destroy(chain);
}

struct recovered {
    struct transaction_recovery *recovery;
    struct bytes transactions;
};

static void sender_of_signature(const void *source, uint32_t index, uint8_t sender[20],
                                bool *creates, uint8_t created[20])
{
    const struct recovered *recovered = source;
    struct bytes cursor = recovered->transactions;
    struct bytes envelope = bytes_of(NULL, 0);
    struct transaction transaction;
    (void)created;
    *creates = false;
    for (uint32_t i = 0; i <= index; i++) {
        assert_int_equal(block_next_transaction(&cursor, &envelope, NULL), 0);
    }
    assert_int_equal(transaction_decode(envelope, &transaction, NULL), 0);
    assert_int_equal(transaction_sender(recovered->recovery, &transaction, sender, NULL), 0);
}

static void every_query_of_an_archive_equals_brute_force(const char *name, uint64_t seed)
{
    struct model model = {.seed = seed};
    struct buffer file;
    struct era1_reader *reader;
    struct era1_block archived;
    struct recovered recovered = {.recovery = transaction_recovery_create()};
    buffer_init(&file);
    assert_non_null(recovered.recovery);
    if (fixture_load_data(name, &file)) {
        open_store(&model, NULL, 0);
        assert_int_equal(era1_reader_create(buffer_bytes(&file), &reader, NULL), 0);
        while (era1_reader_next(reader, &archived, NULL) == 0) {
            struct block block;
            assert_int_equal(block_decode(archived.block, &block, NULL), 0);
            recovered.transactions = block.transactions;
            feed(&model, archived.block, archived.receipts, sender_of_signature, &recovered);
        }
        era1_reader_destroy(reader);
        print_message("%s: %zu transactions\n", name,
                      model.transactions.size / sizeof(struct place));
        compare(&model, FILTERS_A_CHAIN);
        close_store(&model);
    }
    transaction_recovery_destroy(recovered.recovery);
    buffer_deinit(&file);
}

static void every_query_of_the_archives_equals_brute_force(void **state)
{
    (void)state;
    if (getenv("STOA_LONG") == NULL) {
        print_message("skipped: STOA_LONG is not set\n");
        return;
    }
    uint64_t seed = fixture_seed();
    every_query_of_an_archive_equals_brute_force("era1/mainnet-00000-5ec1ffb8.era1", seed);
    every_query_of_an_archive_equals_brute_force("era1/sepolia-00000-643a00f7.era1", seed);
}

static void blocks_without_receipts_are_told_of(void **state)
{
    struct model model = {.seed = 7};
    struct made_chain *chain = made_chain_create(model.seed, 20);
    struct bytes genesis = made_chain_genesis_json(chain);
    uint64_t without = 0;
    (void)state;
    open_store(&model, (const char *)genesis.data, genesis.size);
    for (uint64_t i = 1; i <= 20; i++) {
        const struct made_block *block = made_chain_block(chain, i);
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        put.block = (struct stoa_bytes){block->block.data, block->block.size};
        put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        if (without == 0 && i > 5 && block->transaction_count != 0) {
            put.receipts.data = NULL;
            without = i;
        }
        assert_int_equal(stoa_store_block(model.stoa, &put, NULL), 0);
    }
    assert_true(without != 0);
    for (unsigned round = 0; round < 2; round++) {
        struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
        struct stoa_logs logs;
        struct stoa_detail detail;
        assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, &detail), STOA_ENOTFOUND);
        assert_non_null(strstr(detail.text, "receipts"));
        filter.allow_missing = 1;
        assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, &detail), 0);
        assert_int_equal(logs.missing, STOA_MISSING_RECEIPTS);
        assert_int_equal(logs.missing_height, without);
        stoa_free(logs.logs);
        filter.allow_missing = 0;
        filter.to = without - 1;
        assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, &detail), 0);
        assert_int_equal(logs.missing, 0);
        stoa_free(logs.logs);
        filter.block_hash = made_chain_block(chain, without)->hash;
        assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, &detail), STOA_ENOTFOUND);
        assert_int_equal(stoa_checkpoint(model.stoa, NULL), 0);
    }
    close_store(&model);
    made_chain_destroy(chain);
}

static void bad_queries_are_refused(void **state)
{
    struct model model = {.seed = 8};
    struct made_chain *chain = made_chain_create(model.seed, 1);
    struct bytes genesis = made_chain_genesis_json(chain);
    (void)state;
    open_store(&model, (const char *)genesis.data, genesis.size);
    struct stoa_log_filter filter = STOA_LOG_FILTER_INIT;
    struct stoa_logs logs;
    filter.from = 2;
    filter.to = 1;
    assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, NULL), STOA_EINVAL);
    filter.to = 5;
    assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, NULL), 0); /* above the head */
    assert_int_equal(logs.count, 0);
    stoa_free(logs.logs);
    filter.topic_count = 5;
    assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, NULL), STOA_EINVAL);
    filter.topic_count = 0;
    filter.address_count = 1;
    assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, NULL), STOA_EINVAL);
    filter.address_count = 0;
    filter.block_hash = made_chain_block(chain, 1)->hash;
    assert_int_equal(stoa_query_logs(model.stoa, &filter, &logs, NULL), STOA_ENOTFOUND);
    struct stoa_history_query query = STOA_HISTORY_QUERY_INIT;
    struct stoa_history history;
    query.roles = 1 << 20;
    assert_int_equal(stoa_get_address_transactions(model.stoa, &query, &history, NULL),
                     STOA_EINVAL);
    close_store(&model);
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(blocks_without_receipts_are_told_of),
        cmocka_unit_test(every_query_of_a_made_chain_equals_brute_force),
        cmocka_unit_test(every_query_of_the_real_chains_equals_brute_force),
        cmocka_unit_test(every_query_of_the_archives_equals_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
