/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Items of a block found by its map and a few of its pieces, beside walking all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "chain/envelope.h"
#include "store/body_map.h"
#include "support/fixture.h"
#include "support/made_load.h"
#include "support/made_random.h"

enum { ITEMS_MAX = 600, SENDER = 20 };

/* A block as far as its map is concerned: bytes, a list of transactions among them. */
struct made {
    struct buffer block;
    struct buffer receipts;
    struct buffer senders;
    struct buffer body;
    struct block shape;
    struct body_map_source source;
    struct buffer map;
};

static void append_noise(struct buffer *out, struct made_random *random, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)made_random_below(random, 256);
        assert_int_equal(buffer_append(out, &byte, 1), 0);
    }
}

/* A typed item of SIZE bytes, or a list of as many. */
static void append_item(struct buffer *out, struct made_random *random, size_t size, bool list)
{
    uint8_t head[4] = {list ? 0xfa : 0xba, (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                       (uint8_t)size};
    if (size <= 55) {
        head[0] = (uint8_t)((list ? 0xc0 : 0x80) + size);
        assert_int_equal(buffer_append(out, head, 1), 0);
    } else if (size <= UINT8_MAX) {
        head[0] = list ? 0xf8 : 0xb8;
        head[1] = (uint8_t)size;
        assert_int_equal(buffer_append(out, head, 2), 0);
    } else if (size <= UINT16_MAX) {
        head[0] = list ? 0xf9 : 0xb9;
        head[1] = (uint8_t)(size >> 8);
        head[2] = (uint8_t)size;
        assert_int_equal(buffer_append(out, head, 3), 0);
    } else {
        assert_int_equal(buffer_append(out, head, 4), 0);
    }
    size_t at = out->size;
    append_noise(out, random, size);
    if (!list) {
        out->data[at] = 2; /* its type */
    }
}

/* A list of COUNT items of up to SIZE_MAX bytes, one in LARGE of up to sixty times that. */
static struct bytes append_list(struct buffer *out, struct made_random *random, size_t count,
                                size_t size_max, unsigned large)
{
    struct buffer items;
    buffer_init(&items);
    for (size_t i = 0; i < count; i++) {
        size_t most = made_random_below(random, large) == 0 ? 60 * size_max : size_max;
        append_item(&items, random, 2 + made_random_below(random, most),
                    made_random_below(random, 3) == 0);
    }
    uint8_t head[5] = {0xfb, (uint8_t)(items.size >> 24), (uint8_t)(items.size >> 16),
                       (uint8_t)(items.size >> 8), (uint8_t)items.size};
    if (items.size < 1 << 24) { /* in as few bytes as will do */
        unsigned bytes = items.size < 1 << 8 ? 1 : items.size < 1 << 16 ? 2 : 3;
        memmove(head + 1, head + 5 - bytes, bytes);
        head[0] = (uint8_t)(0xf7 + bytes);
        assert_int_equal(buffer_append(out, head, 1 + bytes), 0);
    } else {
        assert_int_equal(buffer_append(out, head, 5), 0);
    }
    size_t at = out->size;
    assert_int_equal(buffer_append(out, items.data, items.size), 0);
    buffer_deinit(&items);
    return bytes_of(out->data + at, out->size - at);
}

static void init_made(struct made *made)
{
    *made = (struct made){.shape = {.transaction_count = 0}};
    buffer_init(&made->block);
    buffer_init(&made->receipts);
    buffer_init(&made->senders);
    buffer_init(&made->body);
    buffer_init(&made->map);
}

static void clear_made(struct made *made)
{
    buffer_deinit(&made->block);
    buffer_deinit(&made->receipts);
    buffer_deinit(&made->senders);
    buffer_deinit(&made->body);
    buffer_deinit(&made->map);
}

static void finish_made(struct made *made)
{
    made->shape.encoding = buffer_bytes(&made->block);
    made->source = (struct body_map_source){
        .block = &made->shape,
        .receipts = buffer_bytes(&made->receipts),
        .senders = buffer_bytes(&made->senders),
    };
    const struct buffer *parts[] = {&made->block, &made->receipts, &made->senders};
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i]->size != 0) {
            assert_int_equal(buffer_append(&made->body, parts[i]->data, parts[i]->size), 0);
        }
    }
    assert_int_equal(body_map_make(&made->source, &made->map), 0);
}

static void make(struct made *made, struct made_random *random)
{
    size_t count = 1 + made_random_below(random, 300);
    size_t size_max = 64 + made_random_below(random, 700);
    unsigned large = made_random_below(random, 4) == 0 ? 20 : 100000;
    init_made(made);
    append_noise(&made->block, random, 500 + made_random_below(random, 200));
    struct bytes list = append_list(&made->block, random, count, size_max, large);
    size_t at = (size_t)(list.data - made->block.data);
    append_noise(&made->block, random, made_random_below(random, 20000)); /* withdrawals, say */
    made->shape.transactions = bytes_of(made->block.data + at, list.size);
    made->shape.transaction_count = count;
    for (unsigned i = 0; i < 32; i++) {
        made->shape.hash[i] = (uint8_t)made_random_below(random, 256);
    }
    if (made_random_below(random, 4) != 0) {
        (void)append_list(&made->receipts, random, count, size_max, large);
    }
    if (made_random_below(random, 4) != 0) {
        append_noise(&made->senders, random, SENDER * count);
    }
    finish_made(made);
}

static struct bytes walk(struct bytes list, size_t index)
{
    struct bytes item = bytes_of(NULL, 0);
    for (size_t i = 0; i <= index; i++) {
        assert_int_equal(envelope_next(&list, &item, NULL), 0);
    }
    return item;
}

static struct bytes wanted_of(const struct made *made, enum body_part part, size_t index)
{
    if (part == BODY_SENDER) {
        return bytes_of(made->senders.data + SENDER * index, SENDER);
    }
    if (part == BODY_TRANSACTION) {
        return walk(made->shape.transactions, index);
    }
    struct bytes cursor = buffer_bytes(&made->receipts);
    struct bytes list;
    assert_int_equal(rlp_read_list(&cursor, &list, NULL), 0);
    return walk(list, index);
}

/* Found as walking finds it, in no more pieces than it lies in; else it lies in too many. A span's
 * bytes stand in memory of their own, so that reading behind them would be seen. */
static bool expect_item(const struct made *made, enum body_part part, uint32_t index)
{
    struct body_map_span span;
    struct bytes wanted = wanted_of(made, part, index);
    struct bytes item;
    uint32_t piece = UINT32_C(1) << made->map.data[1];
    if (!body_map_find(buffer_bytes(&made->map), made->shape.hash, part, index, &span)) {
        /* With the last transaction come uncles and withdrawals. */
        assert_true(wanted.size > (BODY_MAP_SPAN_PIECES - 2) * piece ||
                    (part == BODY_TRANSACTION && index + 1 == made->shape.transaction_count));
        return false;
    }
    assert_true(span.begin % piece == 0);
    assert_true(span.size <= BODY_MAP_SPAN_PIECES * piece);
    assert_true((uint64_t)span.begin + span.size <= made->body.size);
    uint8_t *data = malloc(span.size);
    assert_non_null(data);
    memcpy(data, made->body.data + span.begin, span.size);
    assert_true(body_map_take(&span, made->shape.hash, data, &item));
    assert_int_equal(item.size, wanted.size);
    assert_memory_equal(item.data, wanted.data, wanted.size);
    data[index % span.size] ^= (uint8_t)(1U << index % 8); /* any bit: the sum is of all of it */
    assert_false(body_map_take(&span, made->shape.hash, data, &item));
    data[index % span.size] ^= (uint8_t)(1U << index % 8);
    uint8_t other[32] = {1};
    assert_false(body_map_take(&span, other, data, &item)); /* pieces of another block */
    free(data);
    return true;
}

static void items_are_found_in_their_pieces(void **state)
{
    enum { ROUNDS = 150 };
    (void)state;
    struct made_random random = made_random_of(fixture_seed(), 0);
    unsigned mapped = 0;
    unsigned found = 0;
    unsigned not_found = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct made made;
        make(&made, &random);
        if (made.body.size < BODY_MAP_BODY_MIN) {
            assert_int_equal(made.map.size, 0);
        } else if (made.body.size <= (size_t)BODY_MAP_PIECES_MAX << BODY_MAP_SHIFT_MAX) {
            struct bytes map = buffer_bytes(&made.map);
            assert_true(map.size != 0);
            assert_true(map.size <= BODY_MAP_SIZE_MAX);
            assert_int_equal(body_map_has(map, BODY_RECEIPT), made.receipts.size != 0);
            assert_int_equal(body_map_has(map, BODY_SENDER), made.senders.size != 0);
            mapped++;
            for (unsigned part = 0; part < BODY_PARTS; part++) {
                struct body_map_span span;
                uint32_t count = (uint32_t)made.shape.transaction_count;
                assert_false(body_map_find(map, made.shape.hash, part, count, &span));
                for (uint32_t i = 0; i < count; i++) {
                    if (part != BODY_TRANSACTION && !body_map_has(map, part)) {
                        assert_false(body_map_find(map, made.shape.hash, part, i, &span));
                    } else if (expect_item(&made, part, i)) {
                        found++;
                    } else {
                        not_found++;
                    }
                }
            }
        }
        clear_made(&made);
    }
    assert_true(mapped > ROUNDS / 3);
    assert_true(found > 50 * not_found);
    assert_true(not_found > 0);
}

/* Whatever else stands in the table, and for another block, nothing is found by it. */
static void damaged_maps_find_nothing(void **state)
{
    enum { ROUNDS = 60, FLIPS = 400 };
    (void)state;
    struct made_random random = made_random_of(fixture_seed(), 1);
    unsigned mapped = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct made made;
        struct body_map_span span;
        static const uint8_t other[32] = {1};
        make(&made, &random);
        mapped += made.map.size != 0;
        for (unsigned flip = 0; made.map.size != 0 && flip < FLIPS; flip++) {
            size_t cut = flip % 7 == 0 ? 1 + made_random_below(&random, made.map.size) : 0;
            size_t size = made.map.size - cut;
            uint8_t *map = malloc(size + 1);
            assert_non_null(map);
            memcpy(map, made.map.data, size);
            if (cut == 0) {
                map[made_random_below(&random, size)] ^=
                    (uint8_t)(1U << made_random_below(&random, 8));
            }
            enum body_part part = (enum body_part)made_random_below(&random, BODY_PARTS);
            uint32_t index = (uint32_t)made_random_below(&random, made.shape.transaction_count);
            assert_false(body_map_find(bytes_of(map, size), made.shape.hash, part, index, &span));
            free(map);
        }
        assert_false(body_map_find(buffer_bytes(&made.map), other, BODY_TRANSACTION, 0, &span));
        clear_made(&made);
    }
    assert_true(mapped > ROUNDS / 3);
}

/* As the benchmarks make them: what a validator sees. */
static void blocks_of_two_hundred_transactions_take_one_piece_an_item(void **state)
{
    (void)state;
    static const uint8_t parent[32];
    struct made_load *load = made_load_create(fixture_seed());
    struct made_load_block *block = calloc(1, sizeof(*block));
    struct buffer map;
    size_t bytes = 0;
    size_t items = 0;
    assert_non_null(block);
    buffer_init(&map);
    made_load_make(load, 0, parent, block);
    struct block decoded;
    assert_int_equal(block_decode(buffer_bytes(&block->block), &decoded, NULL), 0);
    struct body_map_source source = {
        .block = &decoded,
        .receipts = buffer_bytes(&block->receipts),
        .senders = bytes_of(block->senders, sizeof(block->senders)),
    };
    assert_int_equal(body_map_make(&source, &map), 0);
    for (unsigned part = 0; part < BODY_PARTS; part++) {
        for (uint32_t i = 0; i < block->transaction_count; i++) {
            struct body_map_span span;
            assert_true(body_map_find(buffer_bytes(&map), decoded.hash, part, i, &span));
            bytes += span.size;
            items++;
        }
    }
    assert_true(bytes / items < 3 * (size_t)(1 << BODY_MAP_SHIFT_MIN) / 2);
    assert_true(map.size < block->transaction_count); /* a byte each, at most */
    buffer_deinit(&map);
    made_load_block_deinit(block);
    made_load_destroy(load);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_found_in_their_pieces),
        cmocka_unit_test(damaged_maps_find_nothing),
        cmocka_unit_test(blocks_of_two_hundred_transactions_take_one_piece_an_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
