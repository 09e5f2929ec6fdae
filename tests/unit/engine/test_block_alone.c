/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks read without what is stored with them: less is read, and what is read is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine_rig.h"

enum { ENVELOPE = 20000, BLOCK = 3 };

static uint8_t envelope[ENVELOPE];
static const uint8_t envelope_hash[32] = {0xee};

static void open_without_cache(struct engine_rig *rig)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_cache_options cache = STOA_CACHE_OPTIONS_INIT;
    cache.capacity = STOA_NO_CACHE;
    options.cache = &cache;
    assert_int_equal(stoa_open(rig->directory, &options, &rig->stoa, NULL), 0);
}

/* Blocks up to BLOCK, the last with an envelope, in the tables. */
static void store_blocks(struct engine_rig *rig)
{
    for (size_t i = 0; i < ENVELOPE; i++) {
        envelope[i] = (uint8_t)(i * 7 + i / 251);
    }
    engine_rig_put(rig, 1, BLOCK - 1);
    struct stoa_store_block put = engine_rig_put_of(rig, BLOCK);
    put.envelope = (struct stoa_bytes){envelope, ENVELOPE};
    put.envelope_hash = envelope_hash;
    assert_int_equal(stoa_store_block(rig->stoa, &put, NULL), 0);
    engine_rig_close(rig);
    open_without_cache(rig);
}

static struct stoa_block_key key_of(const struct engine_rig *rig, int by, bool alone)
{
    struct stoa_block_key key = {.by = by, .height = BLOCK, .alone = alone};
    memcpy(key.hash, made_chain_block(rig->chain, BLOCK)->hash, 32);
    return key;
}

static void expect_block(const struct engine_rig *rig, const struct stoa_block_key *key)
{
    const struct made_block *made = made_chain_block(rig->chain, BLOCK);
    struct stoa_block block;
    struct stoa_detail detail = {0};
    int result = stoa_get_block(rig->stoa, key, &block, &detail);
    if (result != 0) {
        fail_msg("get: %d %s", result, detail.text);
    }
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    assert_memory_equal(block.hash, made->hash, 32);
    assert_int_equal(block.height, BLOCK);
    assert_true(block.canonical);
    if (key->alone) {
        assert_null(block.envelope.data);
        assert_null(block.receipts.data);
    } else {
        assert_int_equal(block.envelope.size, ENVELOPE);
        assert_memory_equal(block.envelope.data, envelope, ENVELOPE);
        assert_int_equal(block.receipts.size, made->receipts.size);
    }
    stoa_release(block.view);
}

/* Where NEEDLE is in the first segment. */
static long offset_of(const struct engine_rig *rig, const uint8_t *needle, size_t size)
{
    char path[ENGINE_RIG_PATH_SIZE];
    engine_rig_path(rig, "ledger/00000001.seg", path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    enum { LOOKED_AT = 4 << 20 };
    uint8_t *data = malloc(LOOKED_AT);
    assert_non_null(data);
    size_t got = fread(data, 1, LOOKED_AT, file);
    (void)fclose(file); /* was only read */
    long offset = -1;
    for (size_t i = 0; offset < 0 && i + size <= got; i++) {
        offset = memcmp(data + i, needle, size) == 0 ? (long)i : -1;
    }
    free(data);
    assert_true(offset >= 0);
    return offset;
}

static void a_block_is_read_with_and_without_what_is_stored_with_it(void **state)
{
    struct engine_rig *rig = *state;
    store_blocks(rig);
    for (int by = STOA_BY_HEIGHT; by <= STOA_BY_HASH; by++) {
        struct stoa_block_key alone = key_of(rig, by, true);
        struct stoa_block_key whole = key_of(rig, by, false);
        expect_block(rig, &alone);
        expect_block(rig, &whole);
    }
}

static void damage_of_the_block_is_found_and_of_the_rest_only_with_it(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_block block;
    struct stoa_detail detail = {0};
    store_blocks(rig);
    struct stoa_block_key alone = key_of(rig, STOA_BY_HASH, true);
    struct stoa_block_key whole = key_of(rig, STOA_BY_HASH, false);
    const struct made_block *made = made_chain_block(rig->chain, BLOCK);
    engine_rig_flip(rig, "ledger/00000001.seg", offset_of(rig, envelope, ENVELOPE) + 10000);
    expect_block(rig, &alone);
    assert_int_equal(stoa_get_block(rig->stoa, &whole, &block, NULL), STOA_ECORRUPT);
    long at = offset_of(rig, made->block.data, made->block.size);
    const long places[] = {at, at + (long)made->block.size - 1, at - 1, at - 128};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        engine_rig_flip(rig, "ledger/00000001.seg", places[i]);
        assert_int_equal(stoa_get_block(rig->stoa, &alone, &block, &detail), STOA_ECORRUPT);
        assert_non_null(strstr(detail.text, "00000001.seg"));
        assert_non_null(strstr(detail.text, "height 3"));
        engine_rig_flip(rig, "ledger/00000001.seg", places[i]);
    }
    expect_block(rig, &alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_RIG_BOTH(a_block_is_read_with_and_without_what_is_stored_with_it),
        ENGINE_RIG_BOTH(damage_of_the_block_is_found_and_of_the_rest_only_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
