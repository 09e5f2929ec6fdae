/* SPDX-License-Identifier: GPL-3.0-or-later */
/* readback STORE FILE [EXECUTION]: every block of FILE (RLP or era1) is in STORE by height and by
 * hash, every transaction by its hash, and with it its receipt (of the archive, or of EXECUTION's
 * line) and its sender: byte for byte what the source has. Prints how many of each there were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <stoa.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "chain/block.h"
#include "chain/era1.h"
#include "chain/receipt.h"
#include "chain/transaction.h"

struct readback {
    struct stoa *stoa;
    struct bytes blocks;    /* of RLP: those to come */
    struct bytes execution; /* lines to come; data NULL: none */
    struct era1_reader *era1;
    struct block block;    /* at hand */
    json_t *line;          /* of EXECUTION, for BLOCK; NULL: none */
    struct bytes receipts; /* of the archive, for BLOCK: payload of the list */
    struct buffer hex;
    unsigned long count;
    unsigned long transactions;
    unsigned long receipt_count;
};

static void die(const struct readback *readback, const char *what)
{
    fprintf(stderr, "readback: block %llu: %s\n", (unsigned long long)readback->block.header.number,
            what);
    exit(1);
}

static void check(const struct readback *readback, bool holds, const char *what)
{
    if (!holds) {
        die(readback, what);
    }
}

static bool is(struct stoa_bytes got, struct bytes wanted)
{
    return got.size == wanted.size && memcmp(got.data, wanted.data, wanted.size) == 0;
}

static struct bytes load(const char *path)
{
    struct buffer buffer;
    buffer_init(&buffer);
    FILE *file = fopen(path, "rb");
    size_t count = 1;
    while (file != NULL && count > 0 && buffer_reserve(&buffer, 1 << 20) == 0) {
        count = fread(buffer.data + buffer.size, 1, 1 << 20, file);
        buffer.size += count;
    }
    if (file == NULL || ferror(file) || buffer.size == 0) {
        fprintf(stderr, "readback: %s cannot be read, or is empty\n", path);
        exit(1);
    }
    (void)fclose(file); /* opened for reading */
    return buffer_bytes(&buffer);
}

/* The next line of EXECUTION belongs to the block at hand. */
static void take_line(struct readback *readback)
{
    struct bytes *rest = &readback->execution;
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    check(readback, end != NULL, "EXECUTION ends before FILE");
    size_t size = (size_t)(end - rest->data);
    json_decref(readback->line);
    readback->line = json_loadb((const char *)rest->data, size, 0, NULL);
    *rest = bytes_of(end + 1, rest->size - size - 1);
    json_int_t number = json_integer_value(json_object_get(readback->line, "number"));
    check(readback, (uint64_t)number == readback->block.header.number,
          "EXECUTION's line is not its");
}

/* False at the end. */
static bool take_next(struct readback *readback)
{
    struct bytes encoding;
    if (readback->era1 != NULL) {
        struct era1_block block;
        if (era1_reader_next(readback->era1, &block, NULL) != 0) {
            return false;
        }
        encoding = block.block;
        check(readback, rlp_read_list(&block.receipts, &readback->receipts, NULL) == 0, "receipts");
    } else {
        struct rlp_item item;
        if (readback->blocks.size == 0) {
            return false;
        }
        check(readback, rlp_read(&readback->blocks, &item, NULL) == 0, "no RLP follows");
        encoding = item.encoding;
    }
    check(readback, block_decode(encoding, &readback->block, NULL) == 0, "no block follows");
    if (readback->execution.data != NULL) {
        take_line(readback);
    }
    return true;
}

static void check_block(const struct readback *readback, int by)
{
    struct stoa_block_key key = {.by = by, .height = readback->block.header.number};
    struct stoa_block got;
    memcpy(key.hash, readback->block.hash, sizeof(key.hash));
    check(readback, stoa_get_block(readback->stoa, &key, &got, NULL) == 0, "not found");
    check(readback, is(got.block, readback->block.encoding), "its bytes differ");
    check(readback, memcmp(got.hash, readback->block.hash, 32) == 0, "its hash differs");
    check(readback, got.height == readback->block.header.number, "its height differs");
    check(readback, got.canonical == 1, "it is not canonical");
    stoa_release(got.view);
}

/* The bytes of a hex string replace READBACK's HEX. */
static struct bytes from_hex(struct readback *readback, const json_t *text)
{
    const char *digits = json_string_value(text);
    check(readback, digits != NULL, "EXECUTION lacks a text");
    size_t length = strlen(digits);
    buffer_clear(&readback->hex);
    check(readback, buffer_reserve(&readback->hex, length) == 0, "no memory");
    ptrdiff_t size = bytes_from_hex(digits, length, readback->hex.data, length);
    check(readback, size >= 0, "EXECUTION has bad hex");
    return bytes_of(readback->hex.data, (size_t)size);
}

static void check_execution(struct readback *readback, size_t index,
                            const struct stoa_transaction *got)
{
    const json_t *receipts = json_object_get(readback->line, "receipts");
    const json_t *transaction = json_array_get(json_object_get(readback->line, "txs"), index);
    struct bytes wanted = from_hex(readback, json_array_get(receipts, index));
    check(readback, is(got->receipt, wanted), "a receipt differs");
    wanted = from_hex(readback, json_object_get(transaction, "from"));
    check(readback, got->sender != NULL && wanted.size == 20, "a sender is missing");
    check(readback, memcmp(got->sender, wanted.data, 20) == 0, "a sender differs");
    wanted = from_hex(readback, json_object_get(transaction, "hash"));
    check(readback, wanted.size == 32 && memcmp(got->hash, wanted.data, 32) == 0, "a hash differs");
    readback->receipt_count++;
}

static void check_transaction(struct readback *readback, size_t index, struct bytes envelope)
{
    uint8_t hash[32];
    struct stoa_transaction got;
    transaction_hash(envelope, hash);
    int result = stoa_get_transaction(readback->stoa, hash, &got, NULL);
    check(readback, result == 0, "a transaction is not found");
    check(readback, is(got.transaction, envelope), "a transaction's bytes differ");
    check(readback, memcmp(got.hash, hash, sizeof(hash)) == 0, "a transaction's hash differs");
    check(readback, got.index == index, "a transaction's index differs");
    check(readback, memcmp(got.block.hash, readback->block.hash, 32) == 0,
          "a transaction is in another block");
    if (readback->era1 != NULL) {
        struct bytes receipt;
        check(readback, receipt_next(&readback->receipts, &receipt, NULL) == 0,
              "receipts: too few");
        check(readback, is(got.receipt, receipt), "a receipt differs");
        readback->receipt_count++;
    }
    if (readback->line != NULL) {
        check_execution(readback, index, &got);
    }
    stoa_release(got.block.view);
    readback->transactions++;
}

static void run(struct readback *readback)
{
    while (take_next(readback)) {
        struct bytes cursor = readback->block.transactions;
        check_block(readback, STOA_BY_HEIGHT);
        check_block(readback, STOA_BY_HASH);
        for (size_t i = 0; i < readback->block.transaction_count; i++) {
            struct bytes envelope;
            check(readback, block_next_transaction(&cursor, &envelope, NULL) == 0, "transactions");
            check_transaction(readback, i, envelope);
        }
        readback->count++;
    }
}

int main(int argc, char **argv)
{
    static const uint8_t e2store[] = {'e', '2'};
    struct readback readback = {.count = 0};
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    if (argc < 3) {
        fputs("usage: readback STORE FILE [EXECUTION]\n", stderr);
        return 2;
    }
    struct bytes file = load(argv[2]);
    struct bytes execution = argc > 3 ? load(argv[3]) : bytes_of(NULL, 0);
    readback.blocks = file;
    readback.execution = execution;
    buffer_init(&readback.hex);
    if (memcmp(file.data, e2store, sizeof(e2store)) == 0 &&
        era1_reader_create(file, &readback.era1, NULL) != 0) {
        die(&readback, "FILE is no good archive");
    }
    if (stoa_open(argv[1], &options, &readback.stoa, &detail) != 0) {
        die(&readback, detail.text);
    }
    run(&readback);
    int result = stoa_close(readback.stoa, &detail);
    check(&readback, result == 0, detail.text);
    printf("%lu blocks, %lu transactions, %lu receipts read back\n", readback.count,
           readback.transactions, readback.receipt_count);
    era1_reader_destroy(readback.era1);
    json_decref(readback.line);
    buffer_deinit(&readback.hex);
    memory_free((void *)(uintptr_t)file.data);
    memory_free((void *)(uintptr_t)execution.data);
    return 0;
}
