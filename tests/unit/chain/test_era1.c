/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "chain/block.h"
#include "chain/era1.h"
#include "chain/receipt.h"
#include "chain/snappy_frame.h"
#include "support/chain_maker.h"
#include "support/fixture.h"

enum { MADE_BLOCKS = 5, DIFFICULTY = 131072 };

/* A file of made blocks FIRST and on, with the receipts of each. */
static void make_file(uint64_t first, unsigned count, struct buffer *out)
{
    struct era1_writer *writer;
    struct error_detail detail = {0};
    uint8_t parent[32] = {0};
    uint8_t root[32];
    buffer_init(out);
    assert_int_equal(era1_writer_create(first, &writer), 0);
    for (unsigned i = 0; i < count; i++) {
        struct chain_maker made;
        struct block block;
        struct era1_block era = {.number = first + i};
        chain_maker_init(&made, i % 2 == 0 ? 15 : 16, first + i, parent);
        assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
        era.block = buffer_bytes(&made.block);
        era.receipts = buffer_bytes(&made.receipts);
        bytes_store_be64(era.total_difficulty + 24, (first + i + 1) * DIFFICULTY);
        memcpy(era.hash, block.hash, 32);
        memcpy(parent, block.hash, 32);
        if (era1_writer_add(writer, &era, out, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        chain_maker_deinit(&made);
    }
    assert_int_equal(era1_writer_finish(writer, out, root, &detail), 0);
    era1_writer_destroy(writer);
}

static void made_files_verify_and_read_back(void **context)
{
    (void)context;
    for (uint64_t first = 1; first < 20000; first += 9999) {
        struct buffer file;
        struct era1_reader *reader;
        struct era1_block era;
        struct error_detail detail = {0};
        make_file(first, MADE_BLOCKS, &file);
        assert_int_equal(era1_reader_create(buffer_bytes(&file), &reader, &detail), 0);
        assert_int_equal(era1_reader_first_number(reader), first);
        assert_int_equal(era1_reader_block_count(reader), MADE_BLOCKS);
        assert_int_equal(era1_reader_verify(reader, &detail), 0);
        for (unsigned i = 0; i < MADE_BLOCKS; i++) {
            struct block block;
            assert_int_equal(era1_reader_next(reader, &era, &detail), 0);
            assert_int_equal(era.number, first + i);
            assert_int_equal(bytes_load_be64(era.total_difficulty + 24),
                             (first + i + 1) * DIFFICULTY);
            assert_int_equal(block_decode(era.block, &block, &detail), 0);
            assert_memory_equal(block.hash, era.hash, 32);
            assert_int_equal(block_check_transactions_root(&block, &detail), 0);
            assert_int_equal(block_check_uncles_hash(&block, &detail), 0);
            assert_int_equal(receipt_check_list(&block.header, block.transactions,
                                                block.transaction_count, era.receipts, &detail),
                             0);
        }
        assert_int_equal(era1_reader_next(reader, &era, &detail), STOA_ENOTFOUND);
        assert_int_equal(era1_reader_verify(reader, &detail), 0);
        era1_reader_destroy(reader);
        buffer_deinit(&file);
    }
}

static int read_all(struct bytes file, struct error_detail *detail)
{
    struct era1_reader *reader = NULL;
    int error = era1_reader_create(file, &reader, detail);
    if (error == 0) {
        error = era1_reader_verify(reader, detail);
    }
    era1_reader_destroy(reader);
    return error;
}

static void assert_same_blocks(struct bytes one, struct bytes other)
{
    struct era1_reader *readers[2];
    struct error_detail detail = {0};
    assert_int_equal(era1_reader_create(one, &readers[0], &detail), 0);
    assert_int_equal(era1_reader_create(other, &readers[1], &detail), 0);
    assert_int_equal(era1_reader_verify(readers[1], &detail), 0);
    assert_int_equal(era1_reader_block_count(readers[0]), era1_reader_block_count(readers[1]));
    assert_int_equal(era1_reader_first_number(readers[0]), era1_reader_first_number(readers[1]));
    for (uint64_t i = 0; i < era1_reader_block_count(readers[0]); i++) {
        struct era1_block a;
        struct era1_block b;
        assert_int_equal(era1_reader_next(readers[0], &a, &detail), 0);
        assert_int_equal(era1_reader_next(readers[1], &b, &detail), 0);
        assert_true(bytes_equal(a.block, b.block));
        assert_true(bytes_equal(a.receipts, b.receipts));
        assert_memory_equal(a.total_difficulty, b.total_difficulty, 32);
        assert_memory_equal(a.hash, b.hash, 32);
    }
    era1_reader_destroy(readers[0]);
    era1_reader_destroy(readers[1]);
}

/* Found, or harmless: snappy can say the same bytes in more than one way (a copy inside a run, from
 * another offset), and then every block still has to be the same. */
static void every_flipped_bit_is_found(void **context)
{
    (void)context;
    struct buffer file;
    struct buffer good;
    size_t harmless = 0;
    make_file(1, 2, &file);
    make_file(1, 2, &good);
    for (size_t bit = 0; bit < 8 * file.size; bit++) {
        struct error_detail detail = {0};
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int error = read_all(buffer_bytes(&file), &detail);
        if (error == 0) {
            assert_same_blocks(buffer_bytes(&good), buffer_bytes(&file));
            harmless++;
        } else if (error != STOA_ECORRUPT && error != STOA_EINVAL) {
            fail_msg("bit %zu: %d %s", bit, error, detail.text);
        }
        assert_int_equal(error, detail.code);
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    printf("%zu bits, %zu of them harmless\n", 8 * file.size, harmless);
    assert_int_equal(read_all(buffer_bytes(&file), NULL), 0);
    buffer_deinit(&file);
    buffer_deinit(&good);
}

static void truncated_and_foreign_files_are_refused(void **context)
{
    (void)context;
    struct buffer file;
    struct error_detail detail = {0};
    make_file(1, 2, &file);
    for (size_t size = 0; size < file.size; size++) {
        int error = read_all(bytes_of(file.data, size), &detail);
        assert_true(error == STOA_EINVAL || error == STOA_ECORRUPT);
    }
    assert_int_equal(buffer_append(&file, "\0", 1), 0);
    assert_int_equal(read_all(buffer_bytes(&file), &detail), STOA_ECORRUPT);
    assert_int_equal(read_all(bytes_of("\xf9\x02\x11 no era1 file", 16), &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "not an era1 file"));
    buffer_deinit(&file);
}

static void blocks_that_do_not_follow_are_not_written(void **context)
{
    (void)context;
    struct chain_maker made;
    struct block block;
    struct buffer out;
    uint8_t root[32];
    buffer_init(&out);
    chain_maker_init(&made, 16, 8, NULL);
    assert_int_equal(block_decode(buffer_bytes(&made.block), &block, NULL), 0);
    struct era1_block good = {
        .number = 8, .block = buffer_bytes(&made.block), .receipts = buffer_bytes(&made.receipts)};
    memcpy(good.hash, block.hash, 32);
    bytes_store_be64(good.total_difficulty + 24, 77);
    struct era1_writer *writer;
    struct error_detail detail = {0};
    assert_int_equal(era1_writer_create(8, &writer), 0);
    assert_int_equal(era1_writer_finish(writer, &out, root, &detail), STOA_EINVAL);

    struct era1_block bad = good;
    bad.number = 9;
    assert_int_equal(era1_writer_add(writer, &bad, &out, &detail), STOA_EINVAL);
    bad = good;
    bad.hash[5] ^= 1;
    assert_int_equal(era1_writer_add(writer, &bad, &out, &detail), STOA_EINVAL);
    bad = good;
    bad.receipts = bytes_of("\xc0\xc0", 2);
    assert_int_equal(era1_writer_add(writer, &bad, &out, &detail), STOA_EINVAL);
    bad = good;
    bad.block = bytes_of(good.block.data, good.block.size - 1);
    assert_int_equal(era1_writer_add(writer, &bad, &out, &detail), STOA_EINVAL);
    assert_int_equal(out.size, 0);
    assert_int_equal(era1_writer_add(writer, &good, &out, &detail), 0);
    size_t size = out.size;
    assert_int_equal(era1_writer_add(writer, &good, &out, &detail), STOA_EINVAL); /* again */
    assert_int_equal(out.size, size);
    assert_int_equal(era1_writer_finish(writer, &out, root, &detail), 0);
    assert_int_equal(read_all(buffer_bytes(&out), &detail), 0);
    era1_writer_destroy(writer);
    buffer_deinit(&out);
    chain_maker_deinit(&made);
}

static void lack_of_memory_is_reported(void **context)
{
    (void)context;
    struct buffer file;
    make_file(1, 2, &file);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        memory_fail_at(n);
        int error = read_all(buffer_bytes(&file), NULL);
        memory_fail_at(0);
        failed = error != 0;
        if (failed) {
            assert_int_equal(error, STOA_ENOMEM);
        }
        assert_true(n < 100);
    }
    buffer_deinit(&file);
}

/* CRC32C's published check value, masked: of "123456789" it is 0xe3069283. */
static void a_snappy_stream_has_the_published_checksum(void **context)
{
    (void)context;
    struct snappy_frame frame;
    struct buffer out;
    snappy_frame_init(&frame);
    buffer_init(&out);
    assert_int_equal(snappy_frame_compress(&frame, bytes_of("123456789", 9), &out), 0);
    assert_int_equal(out.size, 10 + 8 + 9);
    assert_memory_equal(out.data, "\xff\x06\x00\x00sNaPpY\x01\x0d\x00\x00", 14);
    uint32_t crc = 0xe3069283;
    assert_int_equal(bytes_load_le32(out.data + 14), (crc >> 15 | crc << 17) + 0xa282ead8);
    buffer_deinit(&out);
}

static void snappy_streams_of_all_sizes_come_back(void **context)
{
    (void)context;
    static const size_t sizes[] = {0, 1, 7, 8, 100, 65535, 65536, 65537, 131072, 300001};
    uint64_t state = fixture_seed();
    struct snappy_frame frame;
    snappy_frame_init(&frame);
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buffer in;
        struct buffer stream;
        struct buffer out;
        struct error_detail detail = {0};
        size_t size = sizes[i / 2];
        buffer_init(&in);
        buffer_init(&stream);
        buffer_init(&out);
        assert_int_equal(buffer_reserve(&in, size + 1), 0);
        memset(in.data, 0x11, size);
        if (i % 2 == 0) {
            fixture_random_fill(&state, in.data, size);
        }
        in.size = size;
        assert_int_equal(snappy_frame_compress(&frame, buffer_bytes(&in), &stream), 0);
        assert_int_equal(snappy_frame_decompress(&frame, buffer_bytes(&stream), &out, &detail), 0);
        assert_true(bytes_equal(buffer_bytes(&in), buffer_bytes(&out)));
        if (size > 0) {
            out.size = 0;
            stream.data[stream.size - 1] ^= 0x40;
            int error = snappy_frame_decompress(&frame, buffer_bytes(&stream), &out, &detail);
            if (error == 0) { /* the same run, said in another way: never random bytes */
                assert_int_equal(i % 2, 1);
                assert_true(bytes_equal(buffer_bytes(&in), buffer_bytes(&out)));
                out.size = 0;
            } else {
                assert_int_equal(error, STOA_ECORRUPT);
            }
            assert_int_equal(out.size, 0);
        }
        buffer_deinit(&in);
        buffer_deinit(&stream);
        buffer_deinit(&out);
    }
}

static void check_block(const struct era1_block *era, const uint8_t *parent)
{
    struct block block;
    struct error_detail detail = {0};
    if (block_decode(era->block, &block, &detail) != 0 ||
        block_check_transactions_root(&block, &detail) != 0 ||
        block_check_uncles_hash(&block, &detail) != 0 ||
        receipt_check_list(&block.header, block.transactions, block.transaction_count,
                           era->receipts, &detail) != 0) {
        fail_msg("block %llu: %s", (unsigned long long)era->number, detail.text);
    }
    assert_memory_equal(block.hash, era->hash, 32);
    assert_memory_equal(block.header.parent_hash, parent, 32);
}

static void assert_hex(const uint8_t bytes[32], const char *expected)
{
    char text[65];
    bytes_to_hex(bytes, 32, text);
    assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
}

/* Read FILE, check every block, write it again to OUT. */
static void rewrite(struct bytes file, const char *first_hash, struct buffer *out, uint8_t root[32])
{
    struct era1_reader *reader;
    struct era1_writer *writer;
    struct error_detail detail = {0};
    struct era1_block era;
    uint8_t parent[32] = {0};
    assert_int_equal(era1_reader_create(file, &reader, &detail), 0);
    if (era1_reader_verify(reader, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    assert_int_equal(era1_reader_block_count(reader), ERA1_BLOCKS_MAX);
    assert_int_equal(era1_writer_create(0, &writer), 0);
    for (uint64_t i = 0; i < ERA1_BLOCKS_MAX; i++) {
        assert_int_equal(era1_reader_next(reader, &era, &detail), 0);
        assert_int_equal(era.number, i);
        if (i == 0) {
            assert_hex(era.hash, first_hash);
        }
        check_block(&era, parent);
        memcpy(parent, era.hash, 32);
        assert_int_equal(era1_writer_add(writer, &era, out, &detail), 0);
    }
    assert_int_equal(era1_reader_next(reader, &era, &detail), STOA_ENOTFOUND);
    assert_int_equal(era1_writer_add(writer, &era, out, &detail), STOA_ETOOBIG);
    assert_int_equal(era1_writer_finish(writer, out, root, &detail), 0);
    era1_writer_destroy(writer);
    era1_reader_destroy(reader);
}

static void check_real_file(const char *name, const char *first_hash, const char *root_begins)
{
    struct buffer file;
    struct buffer again;
    uint8_t root[32];
    if (!fixture_load_data(name, &file)) {
        return;
    }
    buffer_init(&again);
    rewrite(buffer_bytes(&file), first_hash, &again, root);
    assert_hex(root, root_begins);
    assert_same_blocks(buffer_bytes(&file), buffer_bytes(&again));
    printf("%s: %zu bytes, written again %zu\n", name, file.size, again.size);
    buffer_deinit(&file);
    buffer_deinit(&again);
}

static void the_mainnet_file_verifies_and_is_written_again(void **context)
{
    (void)context;
    check_real_file("era1/mainnet-00000-5ec1ffb8.era1",
                    "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3", "5ec1ffb8");
}

static void the_sepolia_file_verifies_and_is_written_again(void **context)
{
    (void)context;
    check_real_file("era1/sepolia-00000-643a00f7.era1",
                    "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9", "643a00f7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_files_verify_and_read_back),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(truncated_and_foreign_files_are_refused),
        cmocka_unit_test(blocks_that_do_not_follow_are_not_written),
        cmocka_unit_test(lack_of_memory_is_reported),
        cmocka_unit_test(a_snappy_stream_has_the_published_checksum),
        cmocka_unit_test(snappy_streams_of_all_sizes_come_back),
        cmocka_unit_test(the_mainnet_file_verifies_and_is_written_again),
        cmocka_unit_test(the_sepolia_file_verifies_and_is_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
