/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/position.h"
#include "store/record.h"
#include "store/state_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t hash[32] = {1, 2, 3};
static const uint8_t difficulty[32] = {[31] = 9};
static const uint8_t envelope_hash[32] = {7};

static struct record example(void)
{
    static const uint8_t senders[40] = {5};
    return (struct record){
        .flags = RECORD_RECEIPTS | RECORD_SENDERS | RECORD_ENVELOPE,
        .transaction_count = 2,
        .hash = hash,
        .total_difficulty = difficulty,
        .envelope_hash = envelope_hash,
        .block = bytes_of("block", 5),
        .receipts = bytes_of("receipts", 8),
        .senders = bytes_of(senders, sizeof(senders)),
        .envelope = bytes_of("env", 3),
    };
}

static void encode(const struct record *record, struct buffer *out)
{
    uint8_t header[RECORD_HEADER_SIZE];
    record_encode_header(record, record_block_sum(record->block), header);
    buffer_init(out);
    assert_int_equal(buffer_append(out, header, sizeof(header)), 0);
    const struct bytes parts[] = {record->block, record->receipts, record->senders,
                                  record->envelope};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(buffer_append(out, parts[i].data, parts[i].size), 0);
    }
}

static void a_record_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct record record = example();
    struct record read;
    struct buffer image;
    encode(&record, &image);
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), 0);
    assert_int_equal(read.flags, record.flags);
    assert_int_equal(read.transaction_count, 2);
    assert_memory_equal(read.hash, hash, 32);
    assert_memory_equal(read.total_difficulty, difficulty, 32);
    assert_memory_equal(read.envelope_hash, envelope_hash, 32);
    assert_true(bytes_equal(read.block, record.block));
    assert_true(bytes_equal(read.receipts, record.receipts));
    assert_true(bytes_equal(read.senders, record.senders));
    assert_true(bytes_equal(read.envelope, record.envelope));
    buffer_deinit(&image);
}

static void a_record_again_names_the_frame_before(void **state)
{
    (void)state;
    const struct ledger_position before = {
        .segment = 3, .offset = 4096, .size = 700, .sequence = 1 << 20};
    struct record record = example();
    struct record read;
    struct buffer image;
    uint8_t previous[RECORD_PREVIOUS_SIZE];
    encode(&record, &image);
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), 0);
    assert_null(read.previous);
    buffer_deinit(&image);
    record.flags |= RECORD_AGAIN;
    encode(&record, &image);
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), STOA_ECORRUPT);
    position_encode(&before, previous);
    assert_int_equal(buffer_append(&image, previous, sizeof(previous)), 0);
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), 0);
    assert_true(bytes_equal(read.envelope, record.envelope));
    struct ledger_position named = position_decode(read.previous);
    assert_true(position_is_same(&named, &before));
    buffer_deinit(&image);
}

static void the_front_of_a_record_reads_back_and_each_bit_of_it_is_checked(void **state)
{
    (void)state;
    struct record record = example();
    struct record read;
    struct buffer image;
    encode(&record, &image);
    assert_true(record_check_front(buffer_bytes(&image)));
    struct bytes front = bytes_of(image.data, record_front_size(record.block.size));
    assert_int_equal(record_decode_front(front, &read, NULL), 0);
    assert_int_equal(read.flags, 0);
    assert_memory_equal(read.hash, hash, 32);
    assert_true(bytes_equal(read.block, record.block));
    assert_int_equal(read.receipts.size + read.senders.size + read.envelope.size, 0);
    for (size_t bit = 0; bit < 8 * front.size; bit++) {
        image.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(record_decode_front(front, &read, NULL), STOA_ECORRUPT);
        image.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < front.size; size++) {
        assert_int_equal(record_decode_front(bytes_of(image.data, size), &read, NULL),
                         STOA_ECORRUPT);
    }
    image.data[front.size] ^= 1; /* of the receipts */
    assert_int_equal(record_decode_front(front, &read, NULL), 0);
    buffer_deinit(&image);
}

static void a_record_of_another_length_is_corrupt(void **state)
{
    (void)state;
    struct record record = example();
    struct record read;
    struct buffer image;
    encode(&record, &image);
    for (size_t size = 0; size < image.size; size++) {
        assert_int_equal(record_decode(bytes_of(image.data, size), &read, NULL), STOA_ECORRUPT);
    }
    assert_int_equal(buffer_append(&image, "x", 1), 0);
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), STOA_ECORRUPT);
    buffer_deinit(&image);
}

static void sizes_that_overflow_are_corrupt(void **state)
{
    (void)state;
    struct record record = example();
    struct record read;
    struct buffer image;
    encode(&record, &image);
    for (size_t offset = 4; offset < 20; offset += 4) {
        struct buffer copy;
        encode(&record, &copy);
        bytes_store_le32(copy.data + offset, UINT32_MAX);
        assert_int_equal(record_decode(buffer_bytes(&copy), &read, NULL), STOA_ECORRUPT);
        buffer_deinit(&copy);
    }
    buffer_deinit(&image);
}

static void unknown_versions_and_flags_are_refused(void **state)
{
    (void)state;
    struct record record = example();
    struct record read;
    struct buffer image;
    encode(&record, &image);
    image.data[0] = RECORD_VERSION + 1;
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), STOA_ECORRUPT);
    image.data[0] = RECORD_VERSION;
    image.data[1] |= 1 << 7;
    assert_int_equal(record_decode(buffer_bytes(&image), &read, NULL), STOA_ECORRUPT);
    buffer_deinit(&image);
}

static void a_state_record_reads_back_and_a_short_one_is_corrupt(void **state)
{
    (void)state;
    uint8_t image[RECORD_STATE_HEADER_SIZE + 7];
    const uint8_t *of;
    struct bytes changes;
    record_encode_state_header(hash, image);
    memcpy(image + RECORD_STATE_HEADER_SIZE, "changes", 7);
    assert_int_equal(record_decode_state(bytes_of(image, sizeof(image)), &of, &changes, NULL), 0);
    assert_memory_equal(of, hash, 32);
    assert_true(bytes_equal(changes, bytes_of("changes", 7)));
    assert_int_equal(
        record_decode_state(bytes_of(image, RECORD_STATE_HEADER_SIZE - 1), &of, &changes, NULL),
        STOA_ECORRUPT);
    image[0]++;
    assert_int_equal(record_decode_state(bytes_of(image, sizeof(image)), &of, &changes, NULL),
                     STOA_ECORRUPT);
}

static void changes_walk_in_order(void **state)
{
    (void)state;
    struct buffer changes;
    buffer_init(&changes);
    struct record_change put = {.key = bytes_of("key", 3), .value = bytes_of("value", 5)};
    struct record_change removed = {.key = bytes_of("gone", 4), .removed = true};
    struct record_change empty = {.key = bytes_of("e", 1), .value = bytes_of("", 0)};
    assert_int_equal(record_append_change(&changes, &put), 0);
    assert_int_equal(record_append_change(&changes, &removed), 0);
    assert_int_equal(record_append_change(&changes, &empty), 0);
    struct bytes cursor = buffer_bytes(&changes);
    struct record_change read;
    assert_int_equal(record_next_change(&cursor, &read), 0);
    assert_true(bytes_equal(read.key, put.key) && bytes_equal(read.value, put.value));
    assert_false(read.removed);
    assert_int_equal(record_next_change(&cursor, &read), 0);
    assert_true(bytes_equal(read.key, removed.key) && read.removed);
    assert_int_equal(record_next_change(&cursor, &read), 0);
    assert_true(bytes_equal(read.key, empty.key));
    assert_false(read.removed);
    assert_int_equal(read.value.size, 0);
    assert_int_equal(record_next_change(&cursor, &read), STOA_ENOTFOUND);
    buffer_deinit(&changes);
}

static void cut_changes_are_corrupt(void **state)
{
    (void)state;
    struct buffer changes;
    buffer_init(&changes);
    struct record_change put = {.key = bytes_of("key", 3), .value = bytes_of("value", 5)};
    assert_int_equal(record_append_change(&changes, &put), 0);
    for (size_t size = 1; size < changes.size; size++) {
        struct bytes cursor = bytes_of(changes.data, size);
        struct record_change read;
        assert_int_equal(record_next_change(&cursor, &read), STOA_ECORRUPT);
    }
    buffer_deinit(&changes);
}

/* A key that no encoder makes, which whoever keeps values by their keys may not meet. */
static void changes_of_what_is_no_key_are_corrupt(void **state)
{
    (void)state;
    static const struct {
        unsigned domain;
        uint16_t size;
        bool sound;
    } keys[] = {
        {STATE_KEY_RAW, 0, false},     {STATE_KEY_RAW, STATE_KEY_MAX, true},
        {STATE_KEY_ACCOUNT, 1, false}, {STATE_KEY_RAW, STATE_KEY_MAX + 1, false},
        {STATE_KEY_ACCOUNT, 21, true}, {STATE_KEY_ACCOUNT, 22, false},
        {STATE_KEY_SLOT, 21, false},   {STATE_KEY_SLOT, 53, true},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        uint8_t image[RECORD_CHANGE_HEADER_SIZE + STATE_KEY_MAX + 1] = {0};
        struct bytes cursor = bytes_of(image, RECORD_CHANGE_HEADER_SIZE + (size_t)keys[i].size);
        struct record_change read;
        bytes_store_le16(image, keys[i].size);
        image[RECORD_CHANGE_HEADER_SIZE] = (uint8_t)keys[i].domain;
        assert_int_equal(record_next_change(&cursor, &read), keys[i].sound ? 0 : STOA_ECORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back_as_it_was_written),
        cmocka_unit_test(a_record_again_names_the_frame_before),
        cmocka_unit_test(the_front_of_a_record_reads_back_and_each_bit_of_it_is_checked),
        cmocka_unit_test(a_record_of_another_length_is_corrupt),
        cmocka_unit_test(sizes_that_overflow_are_corrupt),
        cmocka_unit_test(unknown_versions_and_flags_are_refused),
        cmocka_unit_test(a_state_record_reads_back_and_a_short_one_is_corrupt),
        cmocka_unit_test(changes_walk_in_order),
        cmocka_unit_test(cut_changes_are_corrupt),
        cmocka_unit_test(changes_of_what_is_no_key_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
