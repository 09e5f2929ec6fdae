/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a block adds to the indexes, beside what reading all of it slowly finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "chain/receipt.h"
#include "chain/transaction.h"
#include "stoa.h"
#include "store/posting.h"
#include "support/fixture.h"
#include "support/made_chain.h"
#include "support/made_random.h"

enum { BLOCKS = 300, WANTED_MAX = 4000 };

struct wanted {
    struct posting postings[WANTED_MAX];
    size_t count;
};

static void want(struct wanted *wanted, enum posting_kind kind, uint64_t prefix, uint32_t index,
                 unsigned roles)
{
    for (size_t i = 0; i < wanted->count; i++) {
        struct posting *posting = &wanted->postings[i];
        if (posting->kind == kind && posting->prefix == prefix && posting->index == index) {
            posting->roles |= (uint8_t)roles;
            return;
        }
    }
    assert_true(wanted->count < WANTED_MAX);
    wanted->postings[wanted->count++] = (struct posting){
        .prefix = prefix, .index = index, .kind = (uint8_t)kind, .roles = (uint8_t)roles};
}

static void want_logs(struct wanted *wanted, struct bytes envelope, uint32_t index)
{
    struct receipt receipt;
    struct receipt_log log;
    assert_int_equal(receipt_decode(envelope, &receipt, NULL), 0);
    while (receipt_next_log(&receipt.logs, &log, NULL) == 0) {
        struct bytes address = bytes_of(log.address, 20);
        want(wanted, POSTING_ADDRESS, posting_address_prefix(log.address), index,
             STOA_ROLE_EMITTER);
        want(wanted, POSTING_LOG, posting_log_prefix(POSTING_PLACE_EMITTER, address), 0, 0);
        for (unsigned i = 0; i < log.topic_count; i++) {
            struct bytes topic = bytes_of(log.topics[i], 32);
            want(wanted, POSTING_LOG, posting_log_prefix(POSTING_PLACE_TOPIC + i, topic), 0, 0);
        }
    }
}

static void want_withdrawals(struct wanted *wanted, const struct block *block)
{
    struct bytes cursor = block->withdrawals;
    for (size_t i = 0; i < block->withdrawal_count; i++) {
        struct bytes fields;
        struct rlp_item item;
        assert_int_equal(rlp_read_list(&cursor, &fields, NULL), 0);
        for (unsigned j = 0; j < 3; j++) {
            assert_int_equal(rlp_read(&fields, &item, NULL), 0);
        }
        assert_int_equal(item.payload.size, 20);
        want(wanted, POSTING_ADDRESS, posting_address_prefix(item.payload.data), POSTING_INDEX_MAX,
             STOA_ROLE_WITHDRAWAL);
    }
}

static int compare(const void *a, const void *b)
{
    const struct posting *left = a;
    const struct posting *right = b;
    if (left->kind != right->kind) {
        return left->kind - right->kind;
    }
    if (left->prefix != right->prefix) {
        return left->prefix < right->prefix ? -1 : 1;
    }
    return (left->index > right->index) - (left->index < right->index);
}

static void want_block(struct wanted *wanted, const struct made_block *made,
                       const struct block *block)
{
    for (uint32_t i = 0; i < made->transaction_count; i++) {
        const struct made_transaction *transaction = &made->transactions[i];
        struct transaction decoded;
        const uint8_t *to;
        uint64_t nonce;
        assert_int_equal(transaction_decode(transaction->envelope, &decoded, NULL), 0);
        assert_int_equal(transaction_read_ends(transaction->envelope, &to, &nonce), 0);
        assert_ptr_equal(to, decoded.to);
        assert_true(nonce == decoded.nonce);
        want(wanted, POSTING_ADDRESS, posting_address_prefix(transaction->sender), i,
             STOA_ROLE_SENDER);
        want(wanted, POSTING_ADDRESS,
             posting_address_prefix(decoded.to != NULL ? decoded.to : transaction->created), i,
             decoded.to != NULL ? STOA_ROLE_RECIPIENT : STOA_ROLE_CREATED);
        want_logs(wanted, transaction->receipt, i);
    }
    want_withdrawals(wanted, block);
    qsort(wanted->postings, wanted->count, sizeof(wanted->postings[0]), compare);
}

static void postings_of_made_blocks_are_all_there_and_in_order(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), BLOCKS);
    struct wanted *wanted = malloc(sizeof(*wanted));
    struct buffer out;
    buffer_init(&out);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        const struct made_block *made = made_chain_block(chain, i);
        struct block block;
        wanted->count = 0;
        assert_int_equal(block_decode(buffer_bytes(&made->block), &block, NULL), 0);
        want_block(wanted, made, &block);
        buffer_clear(&out);
        assert_int_equal(buffer_append(&out, "sixteen bytes...", 16), 0); /* it appends */
        assert_int_equal(posting_compute(&out, &block, buffer_bytes(&made->senders),
                                         buffer_bytes(&made->receipts)),
                         0);
        assert_int_equal(out.size, 16 + wanted->count * sizeof(struct posting));
        assert_memory_equal(out.data + 16, wanted->postings,
                            wanted->count * sizeof(struct posting));
    }
    buffer_deinit(&out);
    free(wanted);
    made_chain_destroy(chain);
}

/* The last log of RECEIPTS is not one any more. False: there is no log. */
static bool damage_last_log(struct buffer *receipts)
{
    struct bytes list;
    struct bytes all = buffer_bytes(receipts);
    struct bytes envelope;
    const uint8_t *last = NULL;
    assert_int_equal(rlp_read_list(&all, &list, NULL), 0);
    while (receipt_next(&list, &envelope, NULL) == 0) {
        struct receipt receipt;
        struct receipt_log log;
        assert_int_equal(receipt_decode(envelope, &receipt, NULL), 0);
        while (receipt_next_log(&receipt.logs, &log, NULL) == 0) {
            last = log.address;
        }
    }
    if (last != NULL) {
        receipts->data[last - receipts->data - 1]--; /* of the address's size */
    }
    return last != NULL;
}

static void receipts_with_one_damaged_log_count_as_none(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), BLOCKS);
    struct buffer receipts;
    struct buffer out;
    struct buffer none;
    unsigned damaged = 0;
    buffer_init(&receipts);
    buffer_init(&out);
    buffer_init(&none);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        const struct made_block *made = made_chain_block(chain, i);
        struct block block;
        buffer_clear(&receipts);
        buffer_clear(&out);
        buffer_clear(&none);
        assert_int_equal(block_decode(buffer_bytes(&made->block), &block, NULL), 0);
        assert_int_equal(buffer_append(&receipts, made->receipts.data, made->receipts.size), 0);
        if (!damage_last_log(&receipts)) {
            continue;
        }
        damaged++;
        struct bytes senders = buffer_bytes(&made->senders);
        assert_int_equal(posting_compute(&out, &block, senders, buffer_bytes(&receipts)), 0);
        assert_int_equal(posting_compute(&none, &block, senders, bytes_of(NULL, 0)), 0);
        assert_int_equal(out.size, none.size);
        assert_memory_equal(out.data, none.data, none.size);
    }
    assert_true(damaged > BLOCKS / 4);
    buffer_deinit(&receipts);
    buffer_deinit(&out);
    buffer_deinit(&none);
    made_chain_destroy(chain);
}

/* Prefixes of a slice: spread evenly, or crowded, or the same again and again. */
static uint64_t draw_prefix(struct made_random *random, unsigned shape)
{
    const uint64_t end = UINT64_C(1) << (64 - POSTING_PREFIX_SPARE);
    uint64_t drawn = made_random_below(random, end);
    switch (shape) {
    case 0:
        return drawn;
    case 1: /* one has a third */
        return drawn % 3 == 0 ? end / 7 : drawn;
    case 2: /* few, at the ends too */
        return drawn % 5 * ((end - 1) / 4);
    default: /* all near one end */
        return shape % 2 == 0 ? drawn % 97 : end - 1 - drawn % 97;
    }
}

static const struct posting *find_slowly(const struct posting_slice *slice, uint64_t prefix)
{
    for (size_t i = 0; i < slice->count; i++) {
        if (slice->postings[i].prefix == prefix) {
            return &slice->postings[i];
        }
    }
    return NULL;
}

static void assert_found_as_slowly(const struct posting *postings, size_t count, uint64_t prefix)
{
    for (unsigned kind = 0; kind < POSTING_KINDS; kind++) {
        struct posting_slice slice = posting_of_kind(postings, count, kind);
        for (size_t i = 0; i < slice.count; i++) {
            assert_int_equal(slice.postings[i].kind, kind);
        }
        assert_ptr_equal(posting_find(&slice, prefix), find_slowly(&slice, prefix));
    }
    assert_int_equal(posting_of_kind(postings, count, POSTING_ADDRESS).count +
                         posting_of_kind(postings, count, POSTING_LOG).count,
                     count);
}

static void the_first_of_a_prefix_is_found_however_they_are_spread(void **state)
{
    enum { ROUNDS = 400, COUNT_MAX = 300, SHAPES = 5, ABSENT = 20 };
    (void)state;
    static struct posting postings[COUNT_MAX];
    struct made_random random = made_random_of(fixture_seed(), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned shape = round % SHAPES;
        size_t count = round < SHAPES ? 0 : made_random_below(&random, COUNT_MAX);
        unsigned logs = (unsigned)made_random_below(&random, 3); /* none, half, all */
        for (size_t i = 0; i < count; i++) {
            postings[i] = (struct posting){
                .prefix = draw_prefix(&random, shape),
                .index = (uint32_t)i,
                .kind = (uint8_t)(logs == 1 ? made_random_below(&random, 2) : logs / 2),
            };
        }
        qsort(postings, count, sizeof(postings[0]), compare);
        for (size_t i = 0; i < count; i++) {
            assert_found_as_slowly(postings, count, postings[i].prefix);
        }
        for (unsigned i = 0; i < ABSENT; i++) {
            assert_found_as_slowly(postings, count, draw_prefix(&random, i % SHAPES));
        }
    }
}

static void what_is_missing_is_known_by_its_lists(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), BLOCKS);
    struct buffer out;
    unsigned seen = 0;
    buffer_init(&out);
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        const struct made_block *made = made_chain_block(chain, i);
        struct block block;
        assert_int_equal(block_decode(buffer_bytes(&made->block), &block, NULL), 0);
        for (unsigned parts = 0; parts < 4; parts++) { /* with receipts, with senders */
            struct bytes none = bytes_of(NULL, 0);
            buffer_clear(&out);
            assert_int_equal(posting_compute(&out, &block,
                                             parts & 2 ? buffer_bytes(&made->senders) : none,
                                             parts & 1 ? buffer_bytes(&made->receipts) : none),
                             0);
            const struct posting *all = (const void *)out.data;
            size_t count = out.size / sizeof(*all);
            size_t marked = 0;
            for (size_t j = 0; j < count; j++) {
                marked += posting_is_missing(&all[j]);
            }
            struct posting_slice logs = posting_of_kind(all, count, POSTING_LOG);
            size_t wanted =
                made->transaction_count == 0 ? 0U : (parts & 1 ? 0U : 1U) + (parts & 2 ? 0U : 1U);
            assert_int_equal(marked, wanted);
            assert_int_equal(posting_has_missing(&logs), wanted != 0);
            seen += wanted != 0;
        }
    }
    assert_true(seen > BLOCKS);
    buffer_deinit(&out);
    made_chain_destroy(chain);
}

static void ends_of_what_is_cut_off_are_not_read(void **state)
{
    (void)state;
    struct made_chain *chain = made_chain_create(fixture_seed(), BLOCKS);
    for (uint64_t i = 1; i <= BLOCKS; i += 7) {
        const struct made_block *made = made_chain_block(chain, i);
        for (size_t j = 0; j < made->transaction_count; j++) {
            struct bytes whole = made->transactions[j].envelope;
            for (size_t size = 0; size < whole.size; size += 1 + size / 8) {
                uint8_t *exact = malloc(size == 0 ? 1 : size); /* a byte too far is seen */
                const uint8_t *to;
                uint64_t nonce;
                memcpy(exact, whole.data, size);
                assert_int_equal(transaction_read_ends(bytes_of(exact, size), &to, &nonce),
                                 STOA_EINVAL);
                free(exact);
            }
        }
    }
    made_chain_destroy(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postings_of_made_blocks_are_all_there_and_in_order),
        cmocka_unit_test(receipts_with_one_damaged_log_count_as_none),
        cmocka_unit_test(the_first_of_a_prefix_is_found_however_they_are_spread),
        cmocka_unit_test(what_is_missing_is_known_by_its_lists),
        cmocka_unit_test(ends_of_what_is_cut_off_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
