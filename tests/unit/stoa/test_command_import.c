/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test_command_import.c: import and export over a store in memory (support/stoa_fake.h). */
#include "stoa/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "chain/block.h"
#include "chain/era1.h"
#include "render/wide.h"
#include "stoa/error.h"
#include "support/chain_maker.h"
#include "support/fixture.h"
#include "support/stoa_fake.h"

enum { BLOCKS = 20, HASH_SIZE = 32 };

static const struct command import_command = {.groups = OPTIONS_IMPORT};
static const struct command other_command = {.groups = 0};

/* A chain of blocks 0 to BLOCKS - 1, and where each begins and ends in RLP. */
struct made {
    char directory[64];
    struct chain_maker blocks[BLOCKS];
    struct buffer rlp;
    size_t ends[BLOCKS];
};

static const char *in_directory(const struct made *made, const char *name, char out[160])
{
    (void)snprintf(out, 160, "%s/%s", made->directory, name);
    return out;
}

static void write_file(const struct made *made, const char *name, struct bytes bytes)
{
    char path[160];
    FILE *file = fopen(in_directory(made, name, path), "wb");
    assert_non_null(file);
    if (bytes.size > 0) {
        assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    }
    assert_int_equal(fclose(file), 0);
}

static void read_whole(const struct made *made, const char *name, struct buffer *out)
{
    char path[160];
    FILE *file = fopen(in_directory(made, name, path), "rb");
    assert_non_null(file);
    buffer_init(out);
    size_t count;
    do {
        assert_int_equal(buffer_reserve(out, 65536), 0);
        count = fread(out->data + out->size, 1, 65536, file);
        out->size += count;
    } while (count > 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct made *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    (void)snprintf(made->directory, sizeof(made->directory), "/tmp/stoa-test-XXXXXX");
    assert_non_null(mkdtemp(made->directory));
    buffer_init(&made->rlp);
    uint8_t parent[HASH_SIZE] = {0};
    for (size_t i = 0; i < BLOCKS; i++) {
        struct block block;
        chain_maker_init(&made->blocks[i], 16, i, parent);
        struct bytes encoding = buffer_bytes(&made->blocks[i].block);
        assert_int_equal(block_decode(encoding, &block, NULL), 0);
        memcpy(parent, block.hash, HASH_SIZE);
        assert_int_equal(buffer_append(&made->rlp, encoding.data, encoding.size), 0);
        made->ends[i] = made->rlp.size;
    }
    stoa_fake_reset();
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    struct stoa_detail detail;
    assert_int_equal(stoa_create("fake", &options, &detail), 0);
    *state = made;
    return 0;
}

static int tear_down(void **state)
{
    struct made *made = *state;
    char command[128];
    for (size_t i = 0; i < BLOCKS; i++) {
        chain_maker_deinit(&made->blocks[i]);
    }
    buffer_deinit(&made->rlp);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", made->directory);
    assert_int_equal(system(command), 0);
    free(made);
    return 0;
}

static int import_with(const struct made *made, const char *name, const char *execution)
{
    char path[160];
    char execution_path[160];
    char *arguments[] = {(char *)(uintptr_t)in_directory(made, name, path), NULL};
    struct options options = {.command = &import_command,
                              .directory = "fake",
                              .arguments = arguments,
                              .argument_count = 1,
                              .json = true};
    if (execution != NULL) {
        options.execution = in_directory(made, execution, execution_path);
    }
    return command_import_run(&options);
}

static int import(const struct made *made, const char *name)
{
    return import_with(made, name, NULL);
}

static int export(const struct made *made, const char *name, enum options_format format,
                  uint64_t from)
{
    char path[160];
    char *arguments[] = {(char *)(uintptr_t)in_directory(made, name, path), NULL};
    struct options options = {
        .command = &other_command,
        .directory = "fake",
        .arguments = arguments,
        .argument_count = 1,
        .json = true,
        .format = format,
        .has_from = true,
        .from = from,
    };
    return command_export_run(&options);
}

/* How many blocks are stored; each is the one that was made. */
static size_t stored(const struct made *made)
{
    struct stoa_options open_options = STOA_OPTIONS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    struct stoa_head head;
    assert_int_equal(stoa_open("fake", &open_options, &stoa, &detail), 0);
    assert_int_equal(stoa_get_head(stoa, &head), 0);
    size_t count = head.empty ? 0 : (size_t)head.height + 1;
    for (size_t i = 0; i < count; i++) {
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = i};
        struct stoa_block block;
        assert_int_equal(stoa_get_block(stoa, &key, &block, &detail), 0);
        assert_true(bytes_equal(command_bytes(block.block), buffer_bytes(&made->blocks[i].block)));
    }
    assert_int_equal(stoa_close(stoa, &detail), 0);
    return count;
}

static void a_file_is_stored_and_comes_back_byte_for_byte(void **state)
{
    const struct made *made = *state;
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
    assert_int_equal(export(made, "out.rlp", OPTIONS_FORMAT_RLP, 0), COMMAND_DONE);
    struct buffer out;
    read_whole(made, "out.rlp", &out);
    assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&made->rlp)));
    buffer_deinit(&out);
}

static void a_full_engine_is_waited_for(void **state)
{
    const struct made *made = *state;
    stoa_fake_limit(3);
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
    assert_int_equal(export(made, "out.rlp", OPTIONS_FORMAT_RLP, 0), COMMAND_DONE);
}

static void a_second_import_stores_nothing_and_a_longer_file_goes_on(void **state)
{
    const struct made *made = *state;
    write_file(made, "part.rlp", bytes_of(made->rlp.data, made->ends[11]));
    assert_int_equal(import(made, "part.rlp"), COMMAND_DONE);
    assert_int_equal(stored(made), 12);
    unsigned count = stoa_fake_store_count();
    assert_int_equal(import(made, "part.rlp"), COMMAND_DONE);
    assert_int_equal(stoa_fake_store_count(), count);
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
    assert_int_equal(stoa_fake_store_count(), BLOCKS);
}

static void a_gap_is_refused(void **state)
{
    const struct made *made = *state;
    write_file(made, "begin.rlp", bytes_of(made->rlp.data, made->ends[3]));
    write_file(made, "late.rlp",
               bytes_of(made->rlp.data + made->ends[5], made->ends[8] - made->ends[5]));
    assert_int_equal(import(made, "late.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 0);
    assert_int_equal(import(made, "begin.rlp"), COMMAND_DONE);
    assert_int_equal(import(made, "late.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 4);
}

/* Of the file, whose block 10 is bad from AT on, what stands before block 10 or 9 is stored. */
static void expect_cut(const struct made *made, struct bytes file)
{
    write_file(made, "bad.rlp", file);
    assert_int_equal(import(made, "bad.rlp"), COMMAND_FAILED);
    size_t count = stored(made);
    assert_in_range(count, 9, 10);
}

static void a_flipped_bit_anywhere_in_a_block_is_refused(void **state)
{
    const struct made *made = *state;
    uint64_t seed = fixture_seed();
    struct buffer bad;
    buffer_init(&bad);
    assert_int_equal(buffer_append(&bad, made->rlp.data, made->rlp.size), 0);
    size_t begin = made->ends[9];
    size_t size = made->ends[10] - begin;
    for (size_t round = 0; round < 300; round++) {
        size_t at = begin + (round < 64 ? round : fixture_random_below(&seed, size));
        uint8_t bit = (uint8_t)(1U << fixture_random_below(&seed, 8));
        /* Uncles, withdrawals and signatures are the engine's to check, which the fake leaves. */
        struct block block;
        bad.data[at] ^= bit;
        bool structural = at - begin < 600;
        if (structural || block_decode(bytes_of(bad.data + begin, size), &block, NULL) != 0) {
            expect_cut(made, buffer_bytes(&bad));
            stoa_fake_reset();
            struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
            struct stoa_detail detail;
            assert_int_equal(stoa_create("fake", &options, &detail), 0);
        }
        bad.data[at] ^= bit;
    }
    buffer_deinit(&bad);
}

static void a_truncated_file_stores_its_whole_blocks(void **state)
{
    const struct made *made = *state;
    write_file(made, "bad.rlp", bytes_of(made->rlp.data, made->ends[10] - 1));
    assert_int_equal(import(made, "bad.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 10);
    write_file(made, "bad.rlp", bytes_of(made->rlp.data, made->ends[12] + 100));
    assert_int_equal(import(made, "bad.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 13);
}

static void a_block_with_trailing_bytes_changes_nothing(void **state)
{
    const struct made *made = *state;
    struct buffer bad;
    buffer_init(&bad);
    assert_int_equal(buffer_append(&bad, made->rlp.data, made->ends[0]), 0);
    assert_int_equal(buffer_append(&bad, "x", 1), 0);
    write_file(made, "bad.rlp", buffer_bytes(&bad));
    assert_int_equal(import(made, "bad.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 0);
    buffer_deinit(&bad);
}

static void a_huge_length_prefix_is_refused(void **state)
{
    const struct made *made = *state;
    static const uint8_t huge[] = {0xfc, 1, 0, 0, 0, 0, 0xf9};
    write_file(made, "bad.rlp", bytes_of(huge, sizeof(huge)));
    assert_int_equal(import(made, "bad.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 0);
}

static void another_branch_is_refused(void **state)
{
    const struct made *made = *state;
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    struct buffer other;
    buffer_init(&other);
    struct block block;
    uint8_t parent[HASH_SIZE];
    assert_int_equal(buffer_append(&other, made->rlp.data, made->ends[6]), 0);
    assert_int_equal(block_decode(buffer_bytes(&made->blocks[6].block), &block, NULL), 0);
    memcpy(parent, block.hash, HASH_SIZE);
    for (uint64_t number = 7; number < BLOCKS + 3; number++) {
        struct chain_maker one;
        chain_maker_init(&one, 20, number, parent);
        assert_int_equal(block_decode(buffer_bytes(&one.block), &block, NULL), 0);
        memcpy(parent, block.hash, HASH_SIZE);
        assert_int_equal(buffer_append(&other, one.block.data, one.block.size), 0);
        chain_maker_deinit(&one);
    }
    write_file(made, "other.rlp", buffer_bytes(&other));
    assert_int_equal(import(made, "other.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), BLOCKS);
    buffer_deinit(&other);
}

static void the_first_failure_of_the_engine_ends_the_import(void **state)
{
    const struct made *made = *state;
    stoa_fake_fail_at(8, STOA_EREFUSED);
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_FAILED);
    assert_int_equal(stored(made), 8);
    stoa_fake_fail_at(8, STOA_ECORRUPT);
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DAMAGE);
    stoa_fake_fail_at(0, 0);
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
}

static void write_gzip(const struct made *made, const char *name, size_t members)
{
    char path[160];
    size_t done = 0;
    for (size_t i = 0; i < members; i++) {
        gzFile file = gzopen(in_directory(made, name, path), i == 0 ? "wb" : "ab");
        assert_non_null(file);
        size_t end = i + 1 == members ? made->rlp.size : made->rlp.size * (i + 1) / members;
        assert_int_equal(gzwrite(file, made->rlp.data + done, (unsigned)(end - done)), end - done);
        assert_int_equal(gzclose(file), Z_OK);
        done = end;
    }
}

static void gzip_is_unpacked_member_by_member(void **state)
{
    const struct made *made = *state;
    write_gzip(made, "chain.gz", 3);
    assert_int_equal(import(made, "chain.gz"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
}

static void torn_damaged_and_trailing_gzip_is_refused(void **state)
{
    const struct made *made = *state;
    struct buffer packed;
    write_gzip(made, "chain.gz", 1);
    read_whole(made, "chain.gz", &packed);
    write_file(made, "bad.gz", bytes_of(packed.data, packed.size - 1));
    assert_int_equal(import(made, "bad.gz"), COMMAND_FAILED);
    assert_int_equal(buffer_append(&packed, "junk", 4), 0);
    write_file(made, "bad.gz", buffer_bytes(&packed));
    assert_int_equal(import(made, "bad.gz"), COMMAND_FAILED);
    packed.data[packed.size - 8] ^= 1; /* of the checksum */
    write_file(made, "bad.gz", bytes_of(packed.data, packed.size - 4));
    assert_int_equal(import(made, "bad.gz"), COMMAND_FAILED);
    buffer_deinit(&packed);
}

/* execution.jsonl for all blocks from 1 on. */
static void write_execution(const struct made *made, const char *name, size_t bad_sender,
                            size_t missing)
{
    char path[160];
    FILE *file = fopen(in_directory(made, name, path), "wb");
    assert_non_null(file);
    for (size_t i = 1; i < BLOCKS; i++) {
        struct block block;
        struct bytes list = buffer_bytes(&made->blocks[i].receipts);
        char text[4096];
        if (i == missing) {
            continue;
        }
        assert_int_equal(block_decode(buffer_bytes(&made->blocks[i].block), &block, NULL), 0);
        bytes_to_hex(block.hash, HASH_SIZE, text);
        (void)fprintf(file, "{\"number\":%zu,\"hash\":\"0x%s\",\"txs\":[", i, text);
        bytes_to_hex(made->blocks[i].sender, i == bad_sender ? 19 : 20, text);
        for (size_t j = 0; j < block.transaction_count; j++) {
            (void)fprintf(file, "%s{\"from\":\"0x%s\"}", j > 0 ? "," : "", text);
        }
        (void)fprintf(file, "],\"receipts\":[");
        struct bytes cursor;
        assert_int_equal(rlp_read_list(&list, &cursor, NULL), 0);
        for (size_t j = 0; cursor.size > 0; j++) {
            struct rlp_item item;
            assert_int_equal(rlp_read(&cursor, &item, NULL), 0);
            struct bytes one = item.list ? item.encoding : item.payload;
            assert_true(2 * one.size < sizeof(text));
            bytes_to_hex(one.data, one.size, text);
            (void)fprintf(file, "%s\"0x%s\"", j > 0 ? "," : "", text);
        }
        (void)fprintf(file, "]}\n");
    }
    assert_int_equal(fclose(file), 0);
}

static void execution_gives_receipts_and_era1_keeps_them(void **state)
{
    const struct made *made = *state;
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    write_execution(made, "good.jsonl", 0, 0);
    assert_int_equal(import_with(made, "chain.rlp", "good.jsonl"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
    /* Block 0 was stored without its receipts, and has transactions. */
    assert_int_equal(export(made, "out.era1", OPTIONS_FORMAT_ERA1, 0), COMMAND_FAILED);
    char path[160];
    assert_int_equal(access(in_directory(made, "out.era1", path), F_OK), -1);
}

/* How many of the stored blocks have receipts. */
static size_t with_receipts(void)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail;
    struct stoa *stoa;
    struct stoa_block block;
    size_t count = 0;
    assert_int_equal(stoa_open("fake", &options, &stoa, &detail), 0);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = i};
        assert_int_equal(stoa_get_block(stoa, &key, &block, &detail), 0);
        count += block.receipts.size != 0;
    }
    assert_int_equal(stoa_close(stoa, &detail), 0);
    return count;
}

static void receipts_come_to_blocks_that_are_stored_without_them(void **state)
{
    const struct made *made = *state;
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_DONE);
    assert_int_equal(with_receipts(), 0);
    /* What the file has nothing of stays as it is. */
    write_execution(made, "missing.jsonl", 0, 5);
    assert_int_equal(import_with(made, "chain.rlp", "missing.jsonl"), COMMAND_DONE);
    assert_int_equal(with_receipts(), BLOCKS - 2);
    write_execution(made, "good.jsonl", 0, 0);
    assert_int_equal(import_with(made, "chain.rlp", "good.jsonl"), COMMAND_DONE);
    assert_int_equal(with_receipts(), BLOCKS - 1);
    assert_int_equal(stoa_fake_store_count(), BLOCKS);
}

static void a_missing_or_malformed_line_of_execution_is_refused(void **state)
{
    const struct made *made = *state;
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    write_execution(made, "missing.jsonl", 0, 5);
    assert_int_equal(import_with(made, "chain.rlp", "missing.jsonl"), COMMAND_FAILED);
    assert_int_equal(stored(made), 5);
    write_execution(made, "bad.jsonl", 9, 0);
    assert_int_equal(import_with(made, "chain.rlp", "bad.jsonl"), COMMAND_FAILED);
    assert_int_equal(stored(made), 9);
    write_execution(made, "good.jsonl", 0, 0);
    assert_int_equal(import_with(made, "chain.rlp", "good.jsonl"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
}

static void an_era1_file_is_checked_whole_before_its_first_block(void **state)
{
    const struct made *made = *state;
    struct era1_writer *writer;
    struct buffer file;
    uint8_t root[HASH_SIZE];
    struct wide total = wide_of(0);
    buffer_init(&file);
    assert_int_equal(era1_writer_create(0, &writer), 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        struct block block;
        assert_int_equal(block_decode(buffer_bytes(&made->blocks[i].block), &block, NULL), 0);
        struct era1_block entry = {
            .number = i,
            .block = buffer_bytes(&made->blocks[i].block),
            .receipts = buffer_bytes(&made->blocks[i].receipts),
        };
        struct wide difficulty = wide_load(block.header.difficulty);
        assert_true(wide_add(&total, &difficulty, &total));
        wide_store(&total, entry.total_difficulty);
        memcpy(entry.hash, block.hash, HASH_SIZE);
        assert_int_equal(era1_writer_add(writer, &entry, &file, NULL), 0);
    }
    assert_int_equal(era1_writer_finish(writer, &file, root, NULL), 0);
    era1_writer_destroy(writer);
    uint8_t *middle = &file.data[file.size / 2];
    *middle ^= 0x10;
    write_file(made, "bad.era1", buffer_bytes(&file));
    assert_int_equal(import(made, "bad.era1"), COMMAND_FAILED);
    assert_int_equal(stored(made), 0);
    *middle ^= 0x10;
    /* Its receipts come to a block that is stored without. */
    write_file(made, "first.rlp", bytes_of(made->rlp.data, made->ends[0]));
    assert_int_equal(import(made, "first.rlp"), COMMAND_DONE);
    write_file(made, "good.era1", buffer_bytes(&file));
    assert_int_equal(import(made, "good.era1"), COMMAND_DONE);
    assert_int_equal(stored(made), BLOCKS);
    assert_int_equal(with_receipts(), BLOCKS);
    assert_int_equal(export(made, "out.era1", OPTIONS_FORMAT_ERA1, 0), COMMAND_DONE);
    buffer_deinit(&file);
}

static void verify_tells_damage_with_its_own_status(void **state)
{
    (void)state;
    struct options options = {.command = &other_command, .directory = "fake", .json = true};
    assert_int_equal(command_upkeep_verify(&options), COMMAND_DAMAGE);
    options.json = false;
    assert_int_equal(command_upkeep_verify(&options), COMMAND_DAMAGE);
    assert_int_equal(command_upkeep_stats(&options), COMMAND_DONE);
}

static void without_a_store_commands_say_so(void **state)
{
    const struct made *made = *state;
    stoa_fake_reset();
    write_file(made, "chain.rlp", buffer_bytes(&made->rlp));
    assert_int_equal(import(made, "chain.rlp"), COMMAND_NO_STORE);
    struct options options = {.command = &other_command, .directory = "fake"};
    assert_int_equal(command_show_head(&options), COMMAND_NO_STORE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_stored_and_comes_back_byte_for_byte),
        TEST(a_full_engine_is_waited_for),
        TEST(a_second_import_stores_nothing_and_a_longer_file_goes_on),
        TEST(a_gap_is_refused),
        TEST(a_flipped_bit_anywhere_in_a_block_is_refused),
        TEST(a_truncated_file_stores_its_whole_blocks),
        TEST(a_block_with_trailing_bytes_changes_nothing),
        TEST(a_huge_length_prefix_is_refused),
        TEST(another_branch_is_refused),
        TEST(the_first_failure_of_the_engine_ends_the_import),
        TEST(gzip_is_unpacked_member_by_member),
        TEST(torn_damaged_and_trailing_gzip_is_refused),
        TEST(execution_gives_receipts_and_era1_keeps_them),
        TEST(receipts_come_to_blocks_that_are_stored_without_them),
        TEST(a_missing_or_malformed_line_of_execution_is_refused),
        TEST(an_era1_file_is_checked_whole_before_its_first_block),
        TEST(verify_tells_damage_with_its_own_status),
        TEST(without_a_store_commands_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
