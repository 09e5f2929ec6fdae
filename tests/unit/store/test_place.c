/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/identity.h"

static const struct ledger_position position = {.segment = 3,
                                                .offset = 0x01020304,
                                                .size = 0xfffefdfc,
                                                .sequence = UINT64_C(0x1122334455667788)};

static void assert_position(const struct ledger_position *is)
{
    assert_int_equal(is->segment, position.segment);
    assert_int_equal(is->offset, position.offset);
    assert_int_equal(is->size, position.size);
    assert_int_equal(is->sequence, position.sequence);
}

static void height_keys_sort_as_numbers(void **state)
{
    (void)state;
    static const uint64_t heights[] = {0, 1, 255, 256, 65535, 65536, PLACE_HEIGHT_MAX};
    uint8_t last[PLACE_HEIGHT_KEY_SIZE];
    for (size_t i = 0; i < sizeof(heights) / sizeof(heights[0]); i++) {
        uint8_t key[PLACE_HEIGHT_KEY_SIZE];
        place_encode_height_key(heights[i], key);
        assert_int_equal(place_decode_height_key(key), heights[i]);
        assert_true(i == 0 || memcmp(last, key, sizeof(key)) < 0);
        memcpy(last, key, sizeof(key));
    }
}

static void values_read_back_and_other_sizes_are_corrupt(void **state)
{
    (void)state;
    static const uint8_t body_map[] = {1, 2, 3, 4, 5};
    struct place_height height = {
        .hash = {9, 8, 7},
        .position = position,
        .front = 4711,
    };
    struct place_height out;
    uint8_t height_value[PLACE_HEIGHT_VALUE_MAX];
    for (unsigned mapped = 0; mapped < 2; mapped++) {
        height.body_map = bytes_of(body_map, mapped == 0 ? 0 : sizeof(body_map));
        size_t size = place_encode_height(&height, height_value);
        assert_int_equal(size, PLACE_HEIGHT_VALUE_SIZE + height.body_map.size);
        assert_int_equal(place_decode_height(bytes_of(height_value, size), &out), 0);
        assert_int_equal(out.front, 4711);
        assert_memory_equal(out.hash, height.hash, 32);
        assert_position(&out.position);
        assert_true(bytes_equal(out.body_map, height.body_map));
    }
    assert_int_equal(place_decode_height(bytes_of(height_value, PLACE_HEIGHT_VALUE_SIZE - 1), &out),
                     STOA_ECORRUPT);
    uint8_t block_value[PLACE_BLOCK_VALUE_SIZE];
    struct place_block block = {
        .height = 77,
        .position = position,
        .state_position = {.segment = 3, .offset = 64, .size = 99, .sequence = 41},
        .flags = PLACE_SIDE | PLACE_ENVELOPE,
        .front = 9999,
    };
    struct place_block out_block;
    place_encode_block(&block, block_value);
    assert_int_equal(place_decode_block(bytes_of(block_value, sizeof(block_value)), &out_block), 0);
    assert_int_equal(out_block.height, 77);
    assert_int_equal(out_block.front, 9999);
    assert_int_equal(out_block.flags, PLACE_SIDE | PLACE_ENVELOPE);
    assert_position(&out_block.position);
    assert_int_equal(out_block.state_position.offset, 64);
    assert_int_equal(out_block.state_position.sequence, 41);
    assert_int_equal(place_decode_block(bytes_of(block_value, 0), &out_block), STOA_ECORRUPT);
}

static void side_blocks_survive_coding(void **state)
{
    (void)state;
    struct branches_block block = {
        .hash = {1, 2},
        .parent_hash = {3, 4},
        .total_difficulty = {5, 6},
        .height = 0x0102030405,
        .position = position,
        .state_position = {.segment = 3, .offset = 64, .size = 99, .sequence = 41},
    };
    struct branches_block out;
    uint8_t key[PLACE_SIDE_KEY_SIZE];
    uint8_t value[PLACE_SIDE_VALUE_SIZE];
    place_encode_side_key(block.height, block.hash, key);
    place_encode_side(&block, value);
    memset(&out, 0, sizeof(out));
    assert_int_equal(
        place_decode_side(bytes_of(key, sizeof(key)), bytes_of(value, sizeof(value)), &out), 0);
    assert_memory_equal(out.hash, block.hash, 32);
    assert_memory_equal(out.parent_hash, block.parent_hash, 32);
    assert_memory_equal(out.total_difficulty, block.total_difficulty, 32);
    assert_int_equal(out.height, block.height);
    assert_position(&out.position);
    assert_int_equal(out.state_position.size, 99);
    assert_int_equal(
        place_decode_side(bytes_of(key, sizeof(key) - 1), bytes_of(value, sizeof(value)), &out),
        STOA_ECORRUPT);
}

/* Numbers at which keys become longer, and their neighbours. */
static const uint64_t steps[] = {
    0,
    1,
    127,
    128,
    16383,
    16384,
    2097151,
    2097152,
    268435455,
    268435456,
    34359738367,
    34359738368,
    PLACE_HEIGHT_MAX - 1,
    PLACE_HEIGHT_MAX,
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static uint32_t index_of(size_t step)
{
    return (uint32_t)(steps[step] < PLACE_TRANSACTION_INDEX_MAX ? steps[step]
                                                                : PLACE_TRANSACTION_INDEX_MAX);
}

static void expect_transaction_key(struct bytes key, uint64_t wanted_height, uint32_t wanted_index)
{
    uint64_t prefix;
    uint64_t height;
    uint32_t index;
    assert_int_equal(place_decode_transaction_key(key, &prefix, &height, &index), 0);
    assert_true(prefix == UINT64_MAX - 1 && height == wanted_height && index == wanted_index);
    for (size_t size = 0; size < key.size; size++) {
        struct bytes cut = bytes_of(key.data, size);
        assert_int_equal(place_decode_transaction_key(cut, &prefix, &height, &index),
                         STOA_ECORRUPT);
    }
    uint8_t more[PLACE_TRANSACTION_KEY_MAX + 1] = {0};
    memcpy(more, key.data, key.size);
    assert_int_equal(
        place_decode_transaction_key(bytes_of(more, key.size + 1), &prefix, &height, &index),
        STOA_ECORRUPT);
}

static void transaction_keys_hold_prefix_height_and_index_and_sort(void **state)
{
    (void)state;
    uint8_t last[PLACE_TRANSACTION_KEY_MAX];
    size_t last_size = 0;
    for (size_t i = 0; i < STEPS; i++) {
        for (size_t j = 0; j < STEPS && (j == 0 || index_of(j) != index_of(j - 1)); j++) {
            uint8_t key[PLACE_TRANSACTION_KEY_MAX];
            size_t size = place_encode_transaction_key(UINT64_MAX - 1, steps[i], index_of(j), key);
            expect_transaction_key(bytes_of(key, size), steps[i], index_of(j));
            assert_true(bytes_compare(bytes_of(last, last_size), bytes_of(key, size)) < 0);
            memcpy(last, key, size);
            last_size = size;
        }
    }
    assert_int_equal(last_size, PLACE_TRANSACTION_KEY_MAX);
}

static void posting_keys_hold_prefix_height_and_index(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * STEPS; i++) {
        struct posting posting = {
            .prefix = UINT64_C(0xfedcba987654),
            .kind = i % 2 == 0 ? POSTING_ADDRESS : POSTING_LOG,
            .index = i % 2 == 0 ? index_of(i / 2) : 0,
        };
        struct posting out;
        uint8_t key[PLACE_POSTING_KEY_MAX];
        uint8_t prefix[PLACE_POSTING_PREFIX_SIZE];
        uint64_t height;
        size_t size = place_encode_posting_key(&posting, steps[i / 2], key);
        place_encode_posting_prefix(posting.prefix, prefix);
        assert_memory_equal(key, prefix, sizeof(prefix));
        assert_int_equal(place_decode_posting_key(bytes_of(key, size), posting.kind, &height, &out),
                         0);
        assert_true(out.prefix == posting.prefix && out.index == posting.index &&
                    out.kind == posting.kind && height == steps[i / 2]);
        assert_int_equal(
            place_decode_posting_key(bytes_of(key, size - 1), posting.kind, &height, &out),
            STOA_ECORRUPT);
    }
}

static void the_applied_position_reads_back(void **state)
{
    (void)state;
    struct place_applied applied = {
        .store_id = 1234567,
        .position = position,
        .has_head = true,
        .head_height = 99,
        .head_hash = {1},
        .head_total_difficulty = {2},
    };
    uint8_t value[PLACE_APPLIED_SIZE];
    struct place_applied out;
    place_encode_applied(&applied, value);
    assert_int_equal(place_decode_applied(bytes_of(value, sizeof(value)), &out), 0);
    assert_true(out.store_id == 1234567 && out.has_head && out.head_height == 99);
    assert_position(&out.position);
    assert_memory_equal(out.head_hash, applied.head_hash, 32);
    assert_memory_equal(out.head_total_difficulty, applied.head_total_difficulty, 32);
    value[0]++;
    assert_int_equal(place_decode_applied(bytes_of(value, sizeof(value)), &out), STOA_ECORRUPT);
}

static void an_identity_reads_back_and_a_flipped_bit_is_found(void **state)
{
    (void)state;
    struct identity identity = {
        .store_id = 42, .chain_id = 7, .has_genesis = true, .genesis_hash = {3}};
    struct identity out;
    uint8_t image[IDENTITY_SIZE];
    identity_encode(&identity, image);
    assert_int_equal(identity_decode(image, &out, NULL), 0);
    assert_true(out.store_id == 42 && out.chain_id == 7 && out.has_genesis);
    assert_memory_equal(out.genesis_hash, identity.genesis_hash, 32);
    for (size_t bit = 0; bit < 8 * sizeof(image); bit++) {
        image[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(identity_decode(image, &out, NULL), STOA_ECORRUPT);
        image[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    image[8]++; /* the version: a newer format has other sums as well */
    image[sizeof(image) - 1]++;
    assert_int_equal(identity_decode(image, &out, NULL), STOA_EVERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(height_keys_sort_as_numbers),
        cmocka_unit_test(values_read_back_and_other_sizes_are_corrupt),
        cmocka_unit_test(side_blocks_survive_coding),
        cmocka_unit_test(transaction_keys_hold_prefix_height_and_index_and_sort),
        cmocka_unit_test(posting_keys_hold_prefix_height_and_index),
        cmocka_unit_test(the_applied_position_reads_back),
        cmocka_unit_test(an_identity_reads_back_and_a_flipped_bit_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
