/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A file that verifies gives exactly as many blocks as it says, and those, written again, verify
 * and have the same accumulator. */
#include "base/ensure.h"
#include "chain/block.h"
#include "chain/era1.h"
#include "fuzz/fuzz.h"
#include "support/chain_maker.h"

enum { ACCUMULATOR_BEFORE_INDEX = 32 };

static void check_blocks(struct era1_reader *reader, struct bytes file)
{
    struct era1_writer *writer;
    struct era1_block block;
    struct buffer again;
    uint8_t root[32];
    uint64_t first = era1_reader_first_number(reader);
    uint64_t count = 0;
    buffer_init(&again);
    int result = era1_writer_create(first, &writer);
    ensure(result == 0);
    while ((result = era1_reader_next(reader, &block, NULL)) == 0) {
        ensure(block.number == first + count);
        count++;
        result = era1_writer_add(writer, &block, &again, NULL);
        ensure(result == 0);
    }
    ensure(result == STOA_ENOTFOUND);
    ensure(count == era1_reader_block_count(reader));
    result = era1_writer_finish(writer, &again, root, NULL);
    ensure(result == 0);
    size_t index_size = 8 + 16 + 8 * (size_t)count;
    ensure(memcmp(root, file.data + file.size - index_size - ACCUMULATOR_BEFORE_INDEX, 32) == 0);
    era1_writer_destroy(writer);

    struct era1_reader *second;
    result = era1_reader_create(buffer_bytes(&again), &second, NULL);
    ensure(result == 0);
    result = era1_reader_verify(second, NULL);
    ensure(result == 0);
    era1_reader_destroy(second);
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct era1_reader *reader = NULL;
    struct error_detail detail = {.code = 0};
    int result = era1_reader_create(bytes_of(data, size), &reader, &detail);
    if (result == 0) {
        result = era1_reader_verify(reader, &detail);
    }
    if (result == 0) {
        check_blocks(reader, bytes_of(data, size));
    } else {
        ensure(result == STOA_EINVAL || result == STOA_ECORRUPT);
        ensure(detail.code == result);
        ensure(detail.text[0] != '\0');
    }
    era1_reader_destroy(reader);
    return 0;
}

/* A file of INDEX + 1 made blocks. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { SEEDS = 3, DIFFICULTY = 131072 };
    struct era1_writer *writer;
    uint8_t root[32];
    if (index >= SEEDS) {
        return false;
    }
    int result = era1_writer_create(1, &writer);
    ensure(result == 0);
    for (size_t i = 0; i <= index; i++) {
        struct chain_maker made;
        struct block block;
        chain_maker_init(&made, 15, 1 + i, NULL);
        result = block_decode(buffer_bytes(&made.block), &block, NULL);
        ensure(result == 0);
        struct era1_block era = {.number = 1 + i,
                                 .block = buffer_bytes(&made.block),
                                 .receipts = buffer_bytes(&made.receipts)};
        bytes_store_be64(era.total_difficulty + 24, (2 + i) * DIFFICULTY);
        memcpy(era.hash, block.hash, sizeof(era.hash));
        result = era1_writer_add(writer, &era, out, NULL);
        ensure(result == 0);
        chain_maker_deinit(&made);
    }
    result = era1_writer_finish(writer, out, root, NULL);
    ensure(result == 0);
    era1_writer_destroy(writer);
    return true;
}
