/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/chain_data.h"

#include <stdio.h>

#include "base/ensure.h"
#include "chain/rlp.h"
#include "support/fixture.h"

static const char *const chains[] = {
    "eapi-2023-07", "eapi-2023-10",    "eapi-2024-01", "eapi-2025-02",
    "eapi-2025-10", "ethtest-2023-12", "hive-half",    "hive-sync-2023-10",
};

static void append(struct buffer *out, struct bytes bytes)
{
    int error = buffer_append(out, bytes.data, bytes.size);
    ensure(error == 0);
}

static void append_hex(struct buffer *out, const char *text)
{
    size_t length = strlen(text);
    int error = buffer_reserve(out, length / 2 + 1);
    ensure(error == 0);
    ptrdiff_t size = bytes_from_hex(text, length, out->data + out->size, length / 2);
    ensure(size >= 0);
    out->size += (size_t)size;
}

void chain_data_hex(const json_t *object, const char *member, struct buffer *out)
{
    const char *text = json_string_value(json_object_get(object, member));
    ensure(text != NULL);
    buffer_clear(out);
    append_hex(out, text);
}

void chain_data_hex_fixed(const json_t *object, const char *member, uint8_t *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, member));
    ensure(text != NULL);
    ptrdiff_t got = bytes_from_hex(text, strlen(text), out, size);
    ensure(got >= 0 && (size_t)got == size);
}

bool chain_data_next_item(struct bytes *cursor, struct bytes *out_item)
{
    if (cursor->size == 0) {
        return false;
    }
    struct rlp_item item;
    int error = rlp_read(cursor, &item, NULL);
    ensure(error == 0);
    *out_item = item.encoding;
    return true;
}

static json_t *next_line(struct bytes *cursor)
{
    if (cursor->size == 0) {
        return NULL;
    }
    const uint8_t *end = memchr(cursor->data, '\n', cursor->size);
    size_t size = end == NULL ? cursor->size : (size_t)(end - cursor->data);
    json_t *line = json_loadb((const char *)cursor->data, size, JSON_REJECT_DUPLICATES, NULL);
    ensure(line != NULL);
    size_t used = size + (end != NULL);
    *cursor = bytes_of(cursor->data + used, cursor->size - used);
    return line;
}

/* Legacy receipts stand as lists, typed ones as strings. */
static void make_receipts(const json_t *line, struct buffer *out)
{
    struct buffer payload;
    struct buffer one;
    buffer_init(&payload);
    buffer_init(&one);
    const json_t *receipts = json_object_get(line, "receipts");
    ensure(json_is_array(receipts));
    for (size_t i = 0; i < json_array_size(receipts); i++) {
        buffer_clear(&one);
        append_hex(&one, json_string_value(json_array_get(receipts, i)));
        ensure(one.size > 0);
        if (one.data[0] >= 0xc0) {
            append(&payload, buffer_bytes(&one));
        } else {
            int error = rlp_append_string(&payload, buffer_bytes(&one));
            ensure(error == 0);
        }
    }
    buffer_clear(out);
    int error = rlp_append_list_prefix(out, payload.size);
    ensure(error == 0);
    append(out, buffer_bytes(&payload));
    buffer_deinit(&payload);
    buffer_deinit(&one);
}

static void visit_line(chain_data_visit *visit, void *context, const char *where,
                       struct bytes encoding, const json_t *line)
{
    struct buffer receipts;
    buffer_init(&receipts);
    make_receipts(line, &receipts);
    struct chain_data_block block = {
        .where = where, .encoding = encoding, .receipts = buffer_bytes(&receipts), .line = line};
    visit(&block, context);
    buffer_deinit(&receipts);
}

static size_t for_each_in_chain(const char *name, chain_data_visit *visit, void *context)
{
    char path[256];
    struct buffer blocks;
    struct buffer lines;
    snprintf(path, sizeof(path), "chains/%s/execution.jsonl", name);
    if (!fixture_load_data(path, &lines)) {
        return 0;
    }
    snprintf(path, sizeof(path), "chains/%s/chain.rlp", name);
    bool loaded = fixture_load_data(path, &blocks);
    ensure(loaded);
    struct bytes block_cursor = buffer_bytes(&blocks);
    struct bytes line_cursor = buffer_bytes(&lines);
    struct bytes encoding;
    size_t count = 0;
    while (chain_data_next_item(&block_cursor, &encoding)) {
        json_t *line = next_line(&line_cursor);
        ensure(line != NULL);
        visit_line(visit, context, path, encoding, line);
        json_decref(line);
        count++;
    }
    ensure(line_cursor.size == 0);
    buffer_deinit(&blocks);
    buffer_deinit(&lines);
    return count;
}

/* A file whose lines carry the block as "rlp"; lines without it are about something else, or about
 * a test with its GENESIS. */
static size_t for_each_in_lines(const char *path, bool genesis, chain_data_visit *visit,
                                void *context)
{
    struct buffer lines;
    if (!fixture_load_data(path, &lines)) {
        return 0;
    }
    struct buffer encoding;
    buffer_init(&encoding);
    struct bytes cursor = buffer_bytes(&lines);
    size_t count = 0;
    json_t *line;
    while ((line = next_line(&cursor)) != NULL) {
        if (json_object_get(line, "rlp") != NULL) {
            chain_data_hex(line, "rlp", &encoding);
            visit_line(visit, context, path, buffer_bytes(&encoding), line);
            count++;
        } else if (genesis && json_object_get(line, "genesisRLP") != NULL) {
            chain_data_hex(line, "genesisRLP", &encoding);
            visit(&(struct chain_data_block){.where = path,
                                             .encoding = buffer_bytes(&encoding),
                                             .line = line},
                  context);
            count++;
        }
        json_decref(line);
    }
    buffer_deinit(&encoding);
    buffer_deinit(&lines);
    return count;
}

size_t chain_data_for_each(chain_data_visit *visit, void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        count += for_each_in_chain(chains[i], visit, context);
    }
    count += for_each_in_lines("mainnet/blocks-with-receipts.jsonl", false, visit, context);
    count += for_each_in_lines("reorg/multi-chain.jsonl", false, visit, context);
    return count;
}

size_t chain_data_for_each_rival(chain_data_visit *visit, void *context)
{
    return for_each_in_lines("reorg/multi-chain.jsonl", true, visit, context);
}
