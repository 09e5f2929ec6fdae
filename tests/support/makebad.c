/* SPDX-License-Identifier: GPL-3.0-or-later */
/* makebad: one valid block in, a file for each way to spoil it out. What each is spoilt in is its
 * name; what must be said of it: tests/system/test_refusals.sh. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "made_rlp.h"

enum { ITEMS_MAX = 1024, PARENT_HASH = 0, DIFFICULTY = 7, NUMBER = 8, GAS_USED = 10 };

/* The block, its header and its transactions as lists of encodings. */
struct items {
    struct bytes item[ITEMS_MAX];
    size_t count;
};

struct block_parts {
    struct items block;
    struct items header;
    struct items transactions;
};

static const char *directory;

static void die(const char *what)
{
    fprintf(stderr, "makebad: %s\n", what);
    exit(1);
}

static struct items items_of(struct bytes encoding)
{
    struct items items = {.count = 0};
    struct bytes payload;
    struct rlp_item item;
    if (rlp_read_list(&encoding, &payload, NULL) != 0) {
        die("not a block");
    }
    while (payload.size > 0) {
        if (items.count == ITEMS_MAX || rlp_read(&payload, &item, NULL) != 0) {
            die("not a block, or too large");
        }
        items.item[items.count++] = item.encoding;
    }
    return items;
}

/* ITEMS as one list in OUT. */
static void join(const struct items *items, struct buffer *out)
{
    struct buffer payload;
    buffer_init(&payload);
    buffer_init(out);
    for (size_t i = 0; i < items->count; i++) {
        made_rlp_raw(&payload, items->item[i].data, items->item[i].size);
    }
    made_rlp_list(out, &payload);
    buffer_deinit(&payload);
}

static void save(const char *name, struct bytes content)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s.rlp", directory, name) >= (int)sizeof(path)) {
        die("path too long");
    }
    FILE *file = fopen(path, "wb");
    size_t written = file == NULL ? 0 : fwrite(content.data, 1, content.size, file);
    if (file == NULL || fclose(file) != 0 || written != content.size) {
        die(strerror(errno));
    }
}

/* Save PARTS as a block. */
static void save_block(const char *name, const struct block_parts *parts)
{
    struct items block = parts->block;
    struct buffer header, transactions, whole;
    join(&parts->header, &header);
    join(&parts->transactions, &transactions);
    block.item[0] = buffer_bytes(&header);
    block.item[1] = buffer_bytes(&transactions);
    join(&block, &whole);
    save(name, buffer_bytes(&whole));
    buffer_deinit(&whole);
    buffer_deinit(&transactions);
    buffer_deinit(&header);
}

/* Save the block with ENCODING in place of the header's FIELD. */
static void save_field(const char *name, struct block_parts parts, size_t field,
                       struct bytes encoding)
{
    parts.header.item[field] = encoding;
    save_block(name, &parts);
}

/* Integers that are not written in the one way there is, or are too large. */
static void spoil_integers(const struct block_parts *parts)
{
    uint8_t zero_first[16] = {0x82, 0x00};
    static const uint8_t prefixed[] = {0x81, 0x15};
    static const uint8_t zero[] = {0x00};
    static const uint8_t nine[] = {0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint8_t wide[34] = {0xa1, 1};
    zero_first[2] = 0x15;
    save_field("number-leading-zero", *parts, NUMBER, bytes_of(zero_first, 3));
    save_field("number-prefixed-byte", *parts, NUMBER, bytes_of(prefixed, sizeof(prefixed)));
    save_field("number-zero-byte", *parts, NUMBER, bytes_of(zero, sizeof(zero)));
    save_field("gas-used-nine-bytes", *parts, GAS_USED, bytes_of(nine, sizeof(nine)));
    save_field("difficulty-33-bytes", *parts, DIFFICULTY, bytes_of(wide, sizeof(wide)));
}

/* Right in form, wrong in what they say. */
static void spoil_links(const struct block_parts *parts)
{
    uint8_t parent[33];
    struct bytes number = parts->header.item[NUMBER];
    uint8_t next[16];
    memcpy(parent, parts->header.item[PARENT_HASH].data, sizeof(parent));
    parent[7] ^= 1;
    save_field("wrong-parent", *parts, PARENT_HASH, bytes_of(parent, sizeof(parent)));
    memcpy(next, number.data, number.size);
    next[number.size - 1]++;
    save_field("height-gap", *parts, NUMBER, bytes_of(next, number.size));
    next[number.size - 1] = (uint8_t)(next[number.size - 1] - 2);
    save_field("height-twice", *parts, NUMBER, bytes_of(next, number.size));
}

static void spoil_transactions(const struct block_parts *parts)
{
    struct block_parts bad = *parts;
    bad.transactions.item[0] = parts->transactions.item[1];
    bad.transactions.item[1] = parts->transactions.item[0];
    save_block("swapped-transactions", &bad);
    bad = *parts;
    bad.transactions.count--;
    save_block("missing-transaction", &bad);
    bad = *parts;
    bad.transactions.item[bad.transactions.count++] = parts->transactions.item[0];
    save_block("repeated-transaction", &bad);
}

/* 4 GiB announced where a few bytes follow: of the whole, of a list in it, of a string in that. */
static void spoil_lengths(const struct block_parts *parts)
{
    static const uint8_t list[] = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xc0};
    static const uint8_t string[] = {0xbb, 0xff, 0xff, 0xff, 0xff, 0x00};
    struct block_parts bad = *parts;
    struct buffer whole;
    save("whole-4-gib", bytes_of(list, sizeof(list)));
    bad.block.item[1] = bytes_of(list, sizeof(list));
    join(&bad.block, &whole);
    save("transactions-4-gib", buffer_bytes(&whole));
    buffer_deinit(&whole);
    bad = *parts;
    bad.transactions.item[1] = bytes_of(string, sizeof(string));
    save_block("transaction-4-gib", &bad);
    save_field("number-4-gib", *parts, NUMBER, bytes_of(string, sizeof(string)));
}

/* Too many and too few items. */
static void spoil_counts(const struct block_parts *parts)
{
    static const uint8_t empty[] = {0x80};
    struct block_parts bad = *parts;
    bad.header.count = 14;
    save_block("header-14-fields", &bad);
    bad = *parts;
    while (bad.header.count < 24) {
        bad.header.item[bad.header.count++] = bytes_of(empty, sizeof(empty));
    }
    save_block("header-24-fields", &bad);
    bad = *parts;
    bad.block.count = 2;
    save_block("block-2-items", &bad);
    bad = *parts;
    while (bad.block.count < 5) {
        bad.block.item[bad.block.count++] = bytes_of(empty, sizeof(empty));
    }
    save_block("block-5-items", &bad);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: makebad BLOCK.rlp DIRECTORY\n"
              "Write BLOCK, of two transactions or more, spoilt in each way to DIRECTORY.\n",
              stderr);
        return 2;
    }
    directory = argv[2];
    static uint8_t input[1 << 20];
    FILE *file = fopen(argv[1], "rb");
    size_t size = file == NULL ? 0 : fread(input, 1, sizeof(input), file);
    if (file == NULL || ferror(file) != 0) {
        die(strerror(errno));
    }
    (void)fclose(file); /* only read */
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        die(strerror(errno));
    }
    static struct block_parts parts;
    parts.block = items_of(bytes_of(input, size));
    if (parts.block.count < 3) {
        die("not a block");
    }
    parts.header = items_of(parts.block.item[0]);
    parts.transactions = items_of(parts.block.item[1]);
    if (parts.header.count < 15 || parts.transactions.count < 2) {
        die("a block of two transactions or more is wanted");
    }
    spoil_integers(&parts);
    spoil_links(&parts);
    spoil_transactions(&parts);
    spoil_lengths(&parts);
    spoil_counts(&parts);
    return 0;
}
