/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of a transaction, of blocks that are large and not in memory: the same as with the block,
 * and the block is not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "chain/envelope.h"
#include "chain/rlp.h"
#include "engine_rig.h"
#include "store/place.h"
#include "support/made_load.h"
#include "tables/kv.h"

enum {
    BLOCKS = 24, /* more than a segment */
    ALL = STOA_PART_TRANSACTION | STOA_PART_RECEIPT | STOA_PART_SENDER,
    TABLES_SIZE = 32 << 20,
    CACHE_SIZE = 16 << 20,
};

/* A store of made blocks, opened anew for each look so that nothing of them is in memory. */
struct shelf {
    char base[128];
    char directory[160];
    enum stoa_io io;
    bool cached; /* it has a cache, which takes blocks that are read again */
    struct stoa *stoa;
    struct made_load_block blocks[BLOCKS];
};

static void open_shelf(struct shelf *shelf)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    cache.capacity = shelf->cached ? CACHE_SIZE : STOA_NO_CACHE;
    cache.cold = 1;
    options.cache = &cache;
    options.io = shelf->io;
    options.segment_size = 1 << 20;
    options.table_cache_size = TABLES_SIZE;
    if (stoa_open(shelf->directory, &options, &shelf->stoa, &detail) != 0) {
        fail_msg("open: %s", detail.text);
    }
}

static void open_again(struct shelf *shelf)
{
    assert_int_equal(stoa_close(shelf->stoa, NULL), 0);
    open_shelf(shelf);
}

static int set_up(void **state, enum stoa_io io)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    static const uint8_t none[32];
    const uint8_t *parent = none;
    assert_non_null(shelf);
    (void)snprintf(shelf->base, sizeof(shelf->base), "/tmp/stoa-parts-XXXXXX");
    assert_non_null(mkdtemp(shelf->base));
    (void)snprintf(shelf->directory, sizeof(shelf->directory), "%s/store", shelf->base);
    struct made_load *load = made_load_create(5);
    for (unsigned i = 0; i < BLOCKS; i++) {
        made_load_make(load, i, parent, &shelf->blocks[i]);
        parent = shelf->blocks[i].hash;
    }
    made_load_destroy(load);
    create.segment_size = 1 << 20;
    assert_int_equal(stoa_create(shelf->directory, &create, NULL), 0);
    shelf->io = io;
    open_shelf(shelf);
    *state = shelf;
    return 0;
}

static int set_up_ring(void **state)
{
    return set_up(state, STOA_IO_AUTO);
}

static int set_up_threads(void **state)
{
    return set_up(state, STOA_IO_THREADS);
}

static int tear_down(void **state)
{
    struct shelf *shelf = *state;
    assert_int_equal(stoa_close(shelf->stoa, NULL), 0);
    engine_rig_remove(shelf->base);
    for (unsigned i = 0; i < BLOCKS; i++) {
        made_load_block_deinit(&shelf->blocks[i]);
    }
    free(shelf);
    return 0;
}

static struct stoa_store_block put_of(const struct made_load_block *block)
{
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.senders = block->senders[0];
    put.skip = STOA_SKIP_ALL;
    return put;
}

static void store_all(struct shelf *shelf)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct stoa_store_block put = put_of(&shelf->blocks[i]);
        assert_int_equal(stoa_store_block(shelf->stoa, &put, NULL), 0);
    }
}

static struct bytes receipt_at(const struct made_load_block *block, size_t index)
{
    struct bytes cursor = bytes_of(block->receipts.data, block->receipts.size);
    struct bytes list;
    struct bytes receipt = bytes_of(NULL, 0);
    assert_int_equal(rlp_read_list(&cursor, &list, NULL), 0);
    for (size_t i = 0; i <= index; i++) {
        assert_int_equal(envelope_next(&list, &receipt, NULL), 0);
    }
    return receipt;
}

/* What is asked for is right, and nothing else came: the block was not read. */
static void expect_parts(struct stoa *stoa, const struct made_load_block *block, unsigned index,
                         unsigned parts, bool alone)
{
    struct stoa_transaction found;
    struct stoa_transaction whole;
    struct stoa_detail detail = {.code = 0};
    const uint8_t *hash = block->transaction_hashes[index];
    if (stoa_get_transaction_parts(stoa, hash, parts, &found, &detail) != 0) {
        fail_msg("block %u, transaction %u: %s", (unsigned)block->number, index, detail.text);
    }
    assert_memory_equal(found.hash, hash, 32);
    assert_int_equal(found.index, index);
    assert_int_equal(found.block.height, block->number);
    assert_memory_equal(found.block.hash, block->hash, 32);
    assert_int_equal(found.block.canonical, 1);
    assert_true((found.block.block.data == NULL) == alone);
    assert_true(!alone || (found.receipt.data != NULL) == ((parts & STOA_PART_RECEIPT) != 0));
    assert_true(!alone || (found.sender != NULL) == ((parts & STOA_PART_SENDER) != 0));
    if (found.receipt.data != NULL) {
        struct bytes receipt = receipt_at(block, index);
        assert_int_equal(found.receipt.size, receipt.size);
        assert_memory_equal(found.receipt.data, receipt.data, receipt.size);
    }
    if (found.sender != NULL) {
        assert_memory_equal(found.sender, block->senders[index], 20);
    }
    assert_int_equal(stoa_get_transaction(stoa, hash, &whole, NULL), 0);
    assert_int_equal(found.transaction.size, whole.transaction.size);
    assert_memory_equal(found.transaction.data, whole.transaction.data, whole.transaction.size);
    assert_true(whole.block.block.data != NULL);
    stoa_release(whole.block.view);
    stoa_release(found.block.view);
}

static void parts_are_those_of_the_block(void **state)
{
    struct shelf *shelf = *state;
    store_all(shelf);
    open_again(shelf);
    for (unsigned parts = 1; parts <= ALL; parts++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            const struct made_load_block *block = &shelf->blocks[i];
            for (unsigned j = parts; j < block->transaction_count; j += 1 + (7 * i + parts) % 11) {
                expect_parts(shelf->stoa, block, j, parts, true);
            }
        }
    }
}

static void submitted_calls_ask_for_parts_as_well(void **state)
{
    struct shelf *shelf = *state;
    struct stoa_completion done;
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_transaction found;
    const uint8_t *hash = shelf->blocks[3].transaction_hashes[17];
    store_all(shelf);
    open_again(shelf);
    call.parts = STOA_PART_RECEIPT;
    assert_int_equal(stoa_submit_get_transaction(shelf->stoa, hash, &call), 0);
    assert_int_equal(stoa_reap(shelf->stoa, &done, 1, -1), 1);
    assert_int_equal(done.result, 0);
    assert_null(done.transaction.block.block.data);
    struct bytes receipt = receipt_at(&shelf->blocks[3], 17);
    assert_int_equal(done.transaction.receipt.size, receipt.size);
    assert_memory_equal(done.transaction.receipt.data, receipt.data, receipt.size);
    stoa_release(done.transaction.block.view);
    call.parts = ALL + 1;
    assert_int_equal(stoa_submit_get_transaction(shelf->stoa, hash, &call), STOA_EINVAL);
    assert_int_equal(stoa_get_transaction_parts(shelf->stoa, hash, ALL + 1, &found, NULL),
                     STOA_EINVAL);
    assert_int_equal(stoa_get_transaction_parts(shelf->stoa, hash, 0, &found, NULL), STOA_EINVAL);
    uint8_t other[32];
    memcpy(other, hash, 32);
    other[31] ^= 1; /* found by its beginning, and not it */
    assert_int_equal(stoa_get_transaction_parts(shelf->stoa, other, ALL, &found, NULL),
                     STOA_ENOTFOUND);
}

/* Where BYTES stand in the file of a segment. */
static long find_in_segment(const struct shelf *shelf, unsigned segment, struct bytes bytes)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/ledger/%08u.seg", shelf->directory, segment);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return -1;
    }
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    uint8_t *data = malloc((size_t)size);
    assert_non_null(data);
    rewind(file);
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
    const uint8_t *at = memmem(data, (size_t)size, bytes.data, bytes.size);
    long offset = at == NULL ? -1 : (long)(at - data);
    free(data);
    return offset;
}

static void flip(const struct shelf *shelf, unsigned segment, long offset)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/ledger/%08u.seg", shelf->directory, segment);
    engine_rig_flip_file(path, offset);
}

/* The damaged part is never handed out; what else is in its block can be had still. */
static void a_flipped_bit_costs_the_parts_beside_it(void **state)
{
    enum { BLOCK = 2, AT = 100, FAR = 5 };
    struct shelf *shelf = *state;
    const struct made_load_block *block = &shelf->blocks[BLOCK];
    struct stoa_transaction found;
    struct stoa_detail detail = {.code = 0};
    store_all(shelf);
    open_again(shelf);
    struct bytes receipt = receipt_at(block, AT);
    unsigned segment = 0;
    long offset;
    while ((offset = find_in_segment(shelf, segment, receipt)) < 0) {
        assert_true(++segment < BLOCKS);
    }
    flip(shelf, segment, offset + (long)receipt.size - 3);
    const uint8_t *hash = block->transaction_hashes[AT];
    assert_int_equal(
        stoa_get_transaction_parts(shelf->stoa, hash, STOA_PART_RECEIPT, &found, &detail),
        STOA_ECORRUPT);
    assert_non_null(strstr(detail.text, ".seg"));
    assert_non_null(strstr(detail.text, "checksum"));
    assert_int_equal(stoa_get_transaction(shelf->stoa, hash, &found, NULL), STOA_ECORRUPT);
    assert_int_equal(
        stoa_get_transaction_parts(shelf->stoa, hash, STOA_PART_TRANSACTION, &found, NULL), 0);
    stoa_release(found.block.view);
    hash = block->transaction_hashes[FAR];
    assert_int_equal(stoa_get_transaction_parts(shelf->stoa, hash, ALL, &found, NULL), 0);
    struct bytes other = receipt_at(block, FAR);
    assert_int_equal(found.receipt.size, other.size);
    assert_memory_equal(found.receipt.data, other.data, other.size);
    stoa_release(found.block.view);
}

/* The map's own sum, right whatever stands in it. */
static void sum_map(uint8_t *map, size_t size, const uint8_t hash[32])
{
    enum { OFFSET = 20 };
    bytes_store_le32(map + OFFSET, 0);
    bytes_store_le32(map + OFFSET,
                     (uint32_t)XXH3_64bits_withSeed(map, size, bytes_load_le64(hash)));
}

/* A byte of the map of each block in the tables of the closed store; with SUMMED so that its own
 * sum does not show it. */
static void harm_maps(const struct shelf *shelf, size_t at, bool summed)
{
    char path[200];
    struct kv *kv;
    struct kv_session *session;
    (void)snprintf(path, sizeof(path), "%s/tables", shelf->directory);
    struct kv_options options = {.path = path, .cache_size = TABLES_SIZE};
    assert_int_equal(kv_wiredtiger_open(&options, &kv, NULL), 0);
    assert_int_equal(kv_session_open(kv, &session, NULL), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint8_t key[PLACE_HEIGHT_KEY_SIZE];
        uint8_t value[PLACE_HEIGHT_VALUE_MAX];
        struct bytes there;
        place_encode_height_key(i, key);
        assert_int_equal(kv_get(session, "heights", bytes_of(key, sizeof(key)), &there, NULL), 0);
        assert_true(there.size <= sizeof(value));
        assert_true(there.size > PLACE_HEIGHT_VALUE_SIZE + at);
        size_t size = there.size;
        memcpy(value, there.data, size);
        value[PLACE_HEIGHT_VALUE_SIZE + at] ^= 2;
        if (summed) {
            sum_map(value + PLACE_HEIGHT_VALUE_SIZE, size - PLACE_HEIGHT_VALUE_SIZE,
                    shelf->blocks[i].hash);
        }
        assert_int_equal(kv_begin(session, NULL), 0);
        assert_int_equal(
            kv_put(session, "heights", bytes_of(key, sizeof(key)), bytes_of(value, size), NULL), 0);
        assert_int_equal(kv_commit(session, NULL), 0);
    }
    assert_int_equal(kv_checkpoint(session, NULL), 0);
    kv_session_close(session);
    kv_close(kv);
}

/* How many came with their block; all are right. */
static unsigned read_some(struct shelf *shelf)
{
    unsigned whole = 0;
    for (unsigned i = 0; i < MADE_LOAD_TRANSACTIONS; i += 3) {
        const struct made_load_block *block = &shelf->blocks[i % BLOCKS];
        struct stoa_transaction found;
        assert_int_equal(stoa_get_transaction_parts(shelf->stoa, block->transaction_hashes[i], ALL,
                                                    &found, NULL),
                         0);
        struct bytes receipt = receipt_at(block, i);
        assert_int_equal(found.receipt.size, receipt.size);
        assert_memory_equal(found.receipt.data, receipt.data, receipt.size);
        assert_memory_equal(found.sender, block->senders[i], 20);
        whole += found.block.block.data != NULL;
        stoa_release(found.block.view);
    }
    return whole;
}

/* Wherever a bit of the map has flipped; and where it is wrong by its maker's fault, in what can be
 * told from the block: the sum of a piece, and where the transactions are in it. */
static void a_wrong_map_costs_speed_alone(void **state)
{
    static const size_t flips[] = {0, 1, 2, 5, 9, 13, 17, 21, 24, 29, 31, 50, 63};
    static const size_t faults[] = {24, 26, 32 + 4, 32 + 6, 40 + 1, 14};
    enum { FLIPS = sizeof(flips) / sizeof(flips[0]), FAULTS = sizeof(faults) / sizeof(faults[0]) };
    struct shelf *shelf = *state;
    store_all(shelf);
    for (size_t i = 0; i < FLIPS + FAULTS; i++) {
        bool fault = i >= FLIPS;
        size_t at = fault ? faults[i - FLIPS] : flips[i];
        assert_int_equal(stoa_close(shelf->stoa, NULL), 0);
        harm_maps(shelf, at, fault);
        open_shelf(shelf);
        unsigned whole = read_some(shelf);
        assert_true(fault ? whole > 0 : whole == (MADE_LOAD_TRANSACTIONS + 2) / 3);
        assert_int_equal(stoa_close(shelf->stoa, NULL), 0);
        harm_maps(shelf, at, fault); /* right again */
        open_shelf(shelf);
        assert_int_equal(read_some(shelf), 0);
    }
}

/* A block that is in the cache for another's sake is not read for its other transactions. */
static void a_block_in_the_cache_answers_for_its_transactions(void **state)
{
    enum { BLOCK = 3, FIRST = 7, OTHER = 120 };
    struct shelf *shelf = *state;
    const struct made_load_block *block = &shelf->blocks[BLOCK];
    struct stoa_transaction found;
    store_all(shelf);
    shelf->cached = true;
    open_again(shelf);
    expect_parts(shelf->stoa, block, FIRST, ALL, true); /* and with its block: it is kept now */
    struct bytes receipt = receipt_at(block, OTHER);
    unsigned segment = 0;
    long offset;
    while ((offset = find_in_segment(shelf, segment, receipt)) < 0) {
        assert_true(++segment < BLOCKS);
    }
    flip(shelf, segment, offset + 5); /* whoever reads it is told */
    const uint8_t *hash = block->transaction_hashes[OTHER];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stoa_get_transaction_parts(shelf->stoa, hash, ALL, &found, NULL), 0);
        assert_non_null(found.block.block.data);
        assert_int_equal(found.block.height, BLOCK);
        assert_int_equal(found.index, OTHER);
        assert_int_equal(found.receipt.size, receipt.size);
        assert_memory_equal(found.receipt.data, receipt.data, receipt.size);
        assert_memory_equal(found.sender, block->senders[OTHER], 20);
        stoa_release(found.block.view);
    }
    assert_int_equal(stoa_flush_cache(shelf->stoa, NULL), 0);
    assert_int_equal(stoa_get_transaction_parts(shelf->stoa, hash, STOA_PART_RECEIPT, &found, NULL),
                     STOA_ECORRUPT);
}

static void an_update_of_the_state_leaves_the_map(void **state)
{
    static const uint8_t key[] = "a key";
    struct shelf *shelf = *state;
    struct stoa_state_update update = STOA_STATE_UPDATE_INIT;
    struct stoa_change change = {
        .key = {key, sizeof(key)},
        .value = {key, 1},
    };
    update.changes = &change;
    update.change_count = 1;
    store_all(shelf);
    open_again(shelf); /* the tables have the block, and the batch will have the update alone */
    assert_int_equal(stoa_update_state(shelf->stoa, &update, NULL), 0);
    open_again(shelf);
    expect_parts(shelf->stoa, &shelf->blocks[BLOCKS - 1], 55, ALL, true);
}

static void receipts_that_come_later_have_their_place(void **state)
{
    struct shelf *shelf = *state;
    const struct made_load_block *block = &shelf->blocks[BLOCKS - 1];
    struct stoa_transaction found;
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct stoa_store_block put = put_of(&shelf->blocks[i]);
        put.receipts = (struct stoa_bytes){NULL, 0};
        assert_int_equal(stoa_store_block(shelf->stoa, &put, NULL), 0);
    }
    open_again(shelf);
    assert_int_equal(
        stoa_get_transaction_parts(shelf->stoa, block->transaction_hashes[9], ALL, &found, NULL),
        0);
    assert_null(found.receipt.data);
    assert_memory_equal(found.sender, block->senders[9], 20);
    stoa_release(found.block.view);
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        struct stoa_store_receipts given = STOA_STORE_RECEIPTS_INIT;
        given.block_hash = shelf->blocks[i].hash;
        given.receipts =
            (struct stoa_bytes){shelf->blocks[i].receipts.data, shelf->blocks[i].receipts.size};
        given.skip = STOA_SKIP_RECEIPTS;
        assert_int_equal(stoa_store_receipts(shelf->stoa, &given, NULL), 0);
    }
    open_again(shelf);
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        for (unsigned j = 0; j < MADE_LOAD_TRANSACTIONS; j += 13) {
            expect_parts(shelf->stoa, &shelf->blocks[i], j, ALL, true);
        }
    }
}

/* The branch that wins is read by its own maps. */
static void a_change_of_branch_leads_to_the_winner(void **state)
{
    enum { FORK = 7, SIDE = 6 };
    struct shelf *shelf = *state;
    struct made_load_block *side = calloc(SIDE, sizeof(*side));
    struct stoa_transaction found;
    assert_non_null(side);
    store_all(shelf);
    struct made_load *load = made_load_create(99);
    const uint8_t *parent = shelf->blocks[FORK].hash;
    for (unsigned i = 0; i < SIDE; i++) {
        made_load_make(load, FORK + 1 + i, parent, &side[i]);
        parent = side[i].hash;
        struct stoa_store_block put = put_of(&side[i]);
        put.flags = STOA_STORE_SIDE;
        assert_int_equal(stoa_store_block(shelf->stoa, &put, NULL), 0);
    }
    made_load_destroy(load);
    assert_int_equal(stoa_update_head(shelf->stoa, side[SIDE - 1].hash, NULL), 0);
    open_again(shelf);
    for (unsigned i = 0; i < SIDE; i++) {
        for (unsigned j = 0; j < MADE_LOAD_TRANSACTIONS; j += 17) {
            expect_parts(shelf->stoa, &side[i], j, ALL, true);
        }
    }
    for (unsigned i = FORK + 1; i < BLOCKS; i++) {
        assert_int_equal(stoa_get_transaction_parts(shelf->stoa,
                                                    shelf->blocks[i].transaction_hashes[3], ALL,
                                                    &found, NULL),
                         STOA_ENOTFOUND);
    }
    for (unsigned i = 0; i < SIDE; i++) {
        made_load_block_deinit(&side[i]);
    }
    free(side);
}

static uint64_t blocks_in_cache(struct stoa *stoa)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    assert_int_equal(stoa_get_cache_stats(stoa, &stats), 0);
    assert_true(stats.limit != 0);
    return stats.classes[STOA_CACHE_BLOCKS].inserts;
}

/* Packed, a frame is read whole: the answers are the same, and the cache is none the fuller for a
 * scan. */
static void packed_blocks_give_the_same_parts(void **state)
{
    struct shelf *shelf = *state;
    struct stoa_job_options options = STOA_JOB_OPTIONS_INIT;
    struct stoa_job_info info;
    struct stoa_detail detail = {.code = 0};
    struct stoa_block_key head = {.by = STOA_LATEST};
    struct stoa_transaction found;
    store_all(shelf);
    assert_int_equal(stoa_set_finalized(shelf->stoa, &head, NULL), 0);
    assert_int_equal(stoa_checkpoint(shelf->stoa, NULL), 0);
    options.job = STOA_JOB_ARCHIVE;
    options.flags = STOA_JOB_HURRY;
    if (stoa_run_job(shelf->stoa, &options, &info, &detail) != 0) {
        fail_msg("archive: %s", detail.text);
    }
    open_again(shelf);
    expect_parts(shelf->stoa, &shelf->blocks[1], 20, ALL, false);
    expect_parts(shelf->stoa, &shelf->blocks[BLOCKS - 1], 20, ALL, true); /* not sealed yet */
    shelf->cached = true;
    open_again(shelf);
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_int_equal(stoa_get_transaction_parts(shelf->stoa,
                                                    shelf->blocks[i].transaction_hashes[i], ALL,
                                                    &found, NULL),
                         0);
        stoa_release(found.block.view);
    }
    assert_int_equal(blocks_in_cache(shelf->stoa), 0);
}

/* Whatever the server has at hand: the blocks are in its cache. */
static void over_a_socket_nothing_else_is_sent(void **state)
{
    struct engine_rig *rig = *state;
    const struct made_block *made = made_chain_block(rig->chain, 30);
    struct stoa_transaction found;
    engine_rig_put(rig, 1, 40);
    assert_true(made->transaction_count > 0);
    for (unsigned parts = 0; parts <= ALL; parts++) {
        for (size_t i = 0; i < made->transaction_count; i++) {
            const struct made_transaction *wanted = &made->transactions[i];
            bool all = parts == 0;
            assert_int_equal(
                all ? stoa_get_transaction(rig->stoa, wanted->hash, &found, NULL)
                    : stoa_get_transaction_parts(rig->stoa, wanted->hash, parts, &found, NULL),
                0);
            assert_memory_equal(found.hash, wanted->hash, 32);
            assert_memory_equal(found.block.hash, made->hash, 32);
            assert_int_equal(found.block.height, 30);
            assert_int_equal(found.index, i);
            assert_int_equal(found.block.block.size, all ? made->block.size : 0);
            assert_true((found.transaction.data != NULL) ==
                        (all || (parts & STOA_PART_TRANSACTION) != 0));
            assert_true((found.receipt.data != NULL) == (all || (parts & STOA_PART_RECEIPT) != 0));
            assert_true((found.sender != NULL) == (all || (parts & STOA_PART_SENDER) != 0));
            if (found.transaction.data != NULL) {
                assert_int_equal(found.transaction.size, wanted->envelope.size);
                assert_memory_equal(found.transaction.data, wanted->envelope.data,
                                    wanted->envelope.size);
            }
            if (found.receipt.data != NULL) {
                assert_int_equal(found.receipt.size, wanted->receipt.size);
                assert_memory_equal(found.receipt.data, wanted->receipt.data, wanted->receipt.size);
            }
            if (found.sender != NULL) {
                assert_memory_equal(found.sender, wanted->sender, 20);
            }
            stoa_release(found.block.view);
        }
    }
}

#define BOTH(test)                                                \
    {#test " (io_uring)", test, set_up_ring, tear_down, NULL},    \
    {                                                             \
#test " (threads)", test, set_up_threads, tear_down, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(parts_are_those_of_the_block),
        BOTH(submitted_calls_ask_for_parts_as_well),
        BOTH(a_flipped_bit_costs_the_parts_beside_it),
        BOTH(a_wrong_map_costs_speed_alone),
        BOTH(a_block_in_the_cache_answers_for_its_transactions),
        BOTH(an_update_of_the_state_leaves_the_map),
        BOTH(receipts_that_come_later_have_their_place),
        BOTH(a_change_of_branch_leads_to_the_winner),
        BOTH(packed_blocks_give_the_same_parts),
        cmocka_unit_test_setup_teardown(over_a_socket_nothing_else_is_sent,
                                        engine_rig_set_up_remote, engine_rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
