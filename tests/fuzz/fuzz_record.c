/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: what the first byte says, a payload of one of the store's frames, or its identity; sums
 * inside are made right unless that byte says not to. What decodes encodes to the same bytes, but
 * for those that say nothing; views lie inside, one behind the other; a record shortened twice is
 * as shortened once; what can be read of a record can be indexed. */
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/block.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_seal.h"
#include "store/batch_record.h"
#include "store/head_record.h"
#include "store/identity.h"
#include "store/posting.h"
#include "store/prune_record.h"
#include "store/record.h"
#include "store/state_change.h"
#include "store/state_key.h"
#include "support/chain_maker.h"

enum {
    KIND_BLOCK,
    KIND_STATE,
    KIND_BATCH,
    KIND_HEAD,
    KIND_MARKS,
    KIND_PRUNE,
    KIND_IDENTITY,
    KINDS,
};
enum { OFFSET_FRONT_SUM = 120, OFFSET_BLOCK_SIZE = 8 };
enum { GONE_ALL = RECORD_GONE_BODY | RECORD_GONE_RECEIPTS };

/* What every decoder promises of a failure. */
static void check_failure(int result, const struct error_detail *detail)
{
    ensure(result == STOA_ECORRUPT);
    ensure(detail->code == result);
    ensure(detail->text[0] != '\0');
}

/* PART lies in WHOLE right behind *END, which moves. */
static void check_part(struct bytes whole, struct bytes part, size_t *end)
{
    ensure(part.size <= whole.size - *end);
    ensure(part.size == 0 || part.data == whole.data + *end);
    *end += part.size;
}

static void append(struct buffer *out, const void *data, size_t size)
{
    int result = size != 0 ? buffer_append(out, data, size) : 0;
    ensure(result == 0);
}

/* ---- blocks ---- */

static void seal_record(uint8_t *payload, size_t size)
{
    if (size >= RECORD_HEADER_SIZE) {
        uint32_t block_size = bytes_load_le32(payload + OFFSET_BLOCK_SIZE);
        size_t rest = size - RECORD_HEADER_SIZE;
        uint64_t sum =
            XXH3_64bits(payload + RECORD_HEADER_SIZE, block_size < rest ? block_size : rest);
        sum = XXH3_64bits_withSeed(payload, OFFSET_FRONT_SUM, sum);
        bytes_store_le64(payload + OFFSET_FRONT_SUM, sum);
    }
}

/* What is put together of RECORD's parts. */
static void append_record(struct buffer *out, const struct record *record)
{
    uint8_t header[RECORD_HEADER_SIZE];
    const struct bytes parts[] = {
        record->block, record->receipts, record->senders, record->envelope,
        bytes_of(record->previous, record->previous != NULL ? RECORD_PREVIOUS_SIZE : 0)};
    record_encode_header(record, record_block_sum(record->block), header);
    append(out, header, sizeof(header));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        append(out, parts[i].data, parts[i].size);
    }
}

static void check_record_parts(struct bytes payload, const struct record *record)
{
    size_t end = RECORD_HEADER_SIZE;
    bool again = (record->flags & RECORD_AGAIN) != 0;
    check_part(payload, record->block, &end);
    check_part(payload, record->receipts, &end);
    check_part(payload, record->senders, &end);
    check_part(payload, record->envelope, &end);
    check_part(payload, bytes_of(record->previous, again ? RECORD_PREVIOUS_SIZE : 0), &end);
    ensure(again == (record->previous != NULL));
    ensure(end == payload.size);
    if ((record->flags & RECORD_SENDERS) != 0) {
        ensure(record->senders.size == (uint64_t)record->transaction_count * 20);
    } else {
        ensure(record->senders.size == 0);
    }
}

/* All but what says nothing is as it was. */
static void check_record_again(struct bytes payload, const struct record *record)
{
    struct buffer wanted;
    struct buffer again;
    buffer_init(&wanted);
    buffer_init(&again);
    append(&wanted, payload.data, payload.size);
    wanted.data[3] = 0;
    bytes_store_le32(wanted.data + 20, 0);
    seal_record(wanted.data, wanted.size);
    append_record(&again, record);
    ensure(bytes_equal(buffer_bytes(&again), buffer_bytes(&wanted)));
    buffer_deinit(&wanted);
    buffer_deinit(&again);
}

static void check_front(struct bytes payload, const struct record *record)
{
    struct record front;
    struct error_detail detail = {.code = 0};
    struct bytes part = bytes_of(payload.data, record_front_size(record->block.size));
    int result = record_decode_front(part, &front, &detail);
    ensure((result == 0) == record_check_front(payload));
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    ensure(front.hash == record->hash);
    ensure(front.total_difficulty == record->total_difficulty);
    ensure(front.gone == record->gone);
    ensure(bytes_equal(front.block, record->block));
    ensure(front.receipts.size + front.senders.size + front.envelope.size == 0);
    ensure((front.flags & ~record->flags) == 0);
    ensure((front.flags & (RECORD_RECEIPTS | RECORD_SENDERS | RECORD_ENVELOPE)) == 0);
}

/* Into OUT, which is empty. False: it has no block that could go. */
static bool shorten(struct bytes payload, unsigned gone, struct buffer *out)
{
    struct error_detail detail = {.code = 0};
    struct record record;
    int result = record_shorten(payload, gone, out, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        ensure((gone & RECORD_GONE_BODY) != 0);
        return false;
    }
    result = record_decode(buffer_bytes(out), &record, NULL);
    ensure(result == 0);
    ensure(record_check_front(buffer_bytes(out)));
    ensure(out->size <= payload.size);
    ensure((gone & RECORD_GONE_BODY & ~record.gone) == 0);
    ensure(gone == 0 || (record.flags & RECORD_RECEIPTS) == 0);
    return true;
}

/* Once is enough, and in two steps it is as in one. */
static void check_shorten(struct bytes payload, unsigned gone)
{
    struct buffer once;
    struct buffer step;
    struct buffer twice;
    buffer_init(&once);
    buffer_init(&step);
    buffer_init(&twice);
    if (shorten(payload, gone, &once)) {
        bool good = shorten(buffer_bytes(&once), gone, &twice);
        ensure(good);
        ensure(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
        buffer_clear(&twice);
        good = shorten(payload, gone & RECORD_GONE_RECEIPTS, &step) &&
               shorten(buffer_bytes(&step), gone, &twice);
        ensure(good);
        ensure(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    }
    buffer_deinit(&once);
    buffer_deinit(&step);
    buffer_deinit(&twice);
}

/* Of a record with a sound block: what is left is that without its lists. */
static void check_bare(struct bytes payload, const struct block *block)
{
    struct buffer out;
    struct record record;
    struct block bare;
    buffer_init(&out);
    bool good = shorten(payload, GONE_ALL, &out);
    ensure(good);
    int result = record_decode(buffer_bytes(&out), &record, NULL);
    ensure(result == 0);
    result = block_decode(record.block, &bare, NULL);
    ensure(result == 0);
    ensure(memcmp(bare.hash, block->hash, sizeof(bare.hash)) == 0);
    ensure(bare.transaction_count + bare.uncle_count + bare.withdrawal_count == 0);
    buffer_deinit(&out);
}

static void check_postings(const struct record *record, const struct block *block)
{
    struct buffer out;
    buffer_init(&out);
    struct bytes senders = record->senders;
    senders.size = senders.size == block->transaction_count * 20 ? senders.size : 0;
    int result = posting_compute(&out, block, senders, record->receipts);
    ensure(result == 0 || result == STOA_ECORRUPT);
    const struct posting *postings = (const void *)out.data;
    for (size_t i = 1; result == 0 && i < out.size / sizeof(*postings); i++) {
        const struct posting *a = &postings[i - 1];
        const struct posting *b = &postings[i];
        ensure(a->kind < b->kind ||
               (a->kind == b->kind &&
                (a->prefix < b->prefix || (a->prefix == b->prefix && a->index < b->index))));
    }
    buffer_deinit(&out);
}

static void check_block(uint8_t *data, size_t size, bool raw)
{
    struct record record;
    struct block block;
    struct error_detail detail = {.code = 0};
    struct bytes payload = bytes_of(data, size);
    if (!raw) {
        seal_record(data, size);
    }
    int result = record_decode(payload, &record, &detail);
    ensure(result == record_decode(payload, &record, NULL));
    if (result != 0) {
        check_failure(result, &detail);
        result = record_decode_front(payload, &record, &detail);
        ensure(result == 0 || result == STOA_ECORRUPT);
        return;
    }
    check_record_parts(payload, &record);
    check_record_again(payload, &record);
    check_front(payload, &record);
    ensure(raw || record_check_front(payload));
    check_shorten(payload, 0);
    check_shorten(payload, RECORD_GONE_RECEIPTS);
    check_shorten(payload, RECORD_GONE_BODY);
    check_shorten(payload, GONE_ALL);
    if (block_decode(record.block, &block, NULL) == 0) {
        check_bare(payload, &block);
        check_postings(&record, &block);
    }
}

/* ---- changes of the state ---- */

static void check_change(const struct record_change *change, struct buffer *again)
{
    uint8_t base[STATE_KEY_BASE_MAX];
    struct stoa_account account;
    struct error_detail detail = {.code = 0};
    size_t size = state_key_base(change->key, base);
    ensure(size > STATE_KEY_SPREAD_SIZE && size <= STATE_KEY_BASE_MAX);
    ensure(!change->removed || change->value.size == 0);
    int result = record_append_change(again, change);
    ensure(result == 0);
    if (change->key.data[0] == STATE_KEY_ACCOUNT) {
        result = state_change_read_account(change->value, &account, &detail);
        ensure(result == 0 || (result == STOA_ECORRUPT && detail.text[0] != '\0'));
    }
}

static void check_state_header(struct bytes payload, const uint8_t *hash)
{
    struct ledger_position previous;
    uint8_t header[RECORD_UPDATE_HEADER_SIZE];
    uint8_t wanted[RECORD_UPDATE_HEADER_SIZE];
    bool update = record_is_update(payload, &previous);
    size_t size = update ? RECORD_UPDATE_HEADER_SIZE : RECORD_STATE_HEADER_SIZE;
    ensure(update || previous.sequence == 0);
    memcpy(wanted, payload.data, size);
    memset(wanted + 1, 0, 7);
    wanted[1] = record_is_batch(payload) ? 1 : 0;
    if (update) {
        memset(wanted + 60, 0, 4);
        record_encode_update_header(hash, &previous, header);
    } else {
        record_encode_state_header(hash, header);
    }
    if (record_is_batch(payload)) {
        record_mark_batch(header);
    }
    ensure(memcmp(header, wanted, size) == 0);
}

static void check_state(struct bytes payload)
{
    const uint8_t *hash;
    struct bytes changes;
    struct record_change change;
    struct error_detail detail = {.code = 0};
    int result = record_decode_state(payload, &hash, &changes, &detail);
    ensure(result == record_decode_state(payload, &hash, &changes, NULL));
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    ensure(changes.data + changes.size == payload.data + payload.size);
    check_state_header(payload, hash);
    struct buffer again;
    struct bytes cursor = changes;
    buffer_init(&again);
    while ((result = record_next_change(&cursor, &change)) == 0) {
        check_change(&change, &again);
        ensure(cursor.data == changes.data + again.size);
        ensure(cursor.size == changes.size - again.size);
    }
    ensure(result == (cursor.size == 0 ? STOA_ENOTFOUND : STOA_ECORRUPT));
    ensure(bytes_equal(buffer_bytes(&again), bytes_of(changes.data, again.size)));
    buffer_deinit(&again);
}

/* ---- heads, marks, floors, batches ---- */

/* A mark that is not there may have any height. */
static void clear_absent(uint8_t *mark)
{
    static const uint8_t zero[32];
    if (memcmp(mark + 8, zero, sizeof(zero)) == 0) {
        memset(mark, 0, HEAD_RECORD_MARK_SIZE);
    }
}

static int check_head(struct bytes payload)
{
    struct head_record record;
    struct head_winner winner;
    struct error_detail detail = {.code = 0};
    uint8_t header[HEAD_RECORD_HEADER_SIZE];
    uint8_t wanted[HEAD_RECORD_HEADER_SIZE];
    uint8_t again[HEAD_RECORD_WINNER_SIZE];
    int result = head_record_decode(payload, &record, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        return result;
    }
    size_t end = HEAD_RECORD_HEADER_SIZE;
    check_part(payload, record.winners, &end);
    ensure(end == payload.size);
    ensure(record.winner_count == record.head.height - record.ancestor.height);
    memcpy(wanted, payload.data, sizeof(wanted));
    memset(wanted + 1, 0, 3);
    clear_absent(wanted + 160);
    clear_absent(wanted + 200);
    head_record_encode_header(&record, header);
    ensure(memcmp(header, wanted, sizeof(header)) == 0);
    for (uint32_t i = 0; i < record.winner_count; i++) {
        head_record_decode_winner(&record, i, &winner);
        head_record_encode_winner(&winner, again);
        ensure(memcmp(again, record.winners.data + (size_t)i * sizeof(again), sizeof(again)) == 0);
    }
    return 0;
}

static void check_marks(struct bytes payload)
{
    struct head_mark safe;
    struct head_mark finalized;
    struct error_detail detail = {.code = 0};
    uint8_t again[HEAD_RECORD_MARKS_SIZE];
    uint8_t wanted[HEAD_RECORD_MARKS_SIZE];
    int result = head_record_decode_marks(payload, &safe, &finalized, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    ensure(payload.size == sizeof(wanted));
    memcpy(wanted, payload.data, sizeof(wanted));
    memset(wanted + 1, 0, 7);
    clear_absent(wanted + 8);
    clear_absent(wanted + 48);
    head_record_encode_marks(&safe, &finalized, again);
    ensure(memcmp(again, wanted, sizeof(again)) == 0);
}

static void check_prune(struct bytes payload)
{
    struct prune_floors floors;
    struct error_detail detail = {.code = 0};
    uint8_t again[PRUNE_RECORD_SIZE];
    int result = prune_record_decode(payload, &floors, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    ensure(floors.bodies <= floors.receipts);
    ensure(floors.receipts <= floors.logs);
    ensure(floors.bodies <= floors.transactions);
    prune_record_encode(&floors, again);
    ensure(again[0] == payload.data[0]);
    ensure(memcmp(again + 8, payload.data + 8, PRUNE_FLOORS_SIZE) == 0);
}

static void check_batch(struct bytes payload)
{
    struct batch_record record;
    struct batch_record_block block;
    struct error_detail detail = {.code = 0};
    uint8_t header[BATCH_RECORD_HEADER_SIZE];
    uint8_t again[BATCH_RECORD_BLOCK_SIZE];
    int result = batch_record_decode(payload, &record, &detail);
    if (result != 0) {
        check_failure(result, &detail);
        return;
    }
    size_t end = BATCH_RECORD_HEADER_SIZE;
    check_part(payload, record.blocks, &end);
    check_part(payload, record.head, &end);
    ensure(end == payload.size);
    batch_record_encode_header(&record, header);
    ensure(memcmp(header, payload.data, 2) == 0);
    ensure(memcmp(header + 4, payload.data + 4, sizeof(header) - 4) == 0);
    for (uint32_t i = 0; i < record.block_count; i++) {
        batch_record_decode_block(&record, i, &block);
        batch_record_encode_block(&block, again);
        const uint8_t *from = record.blocks.data + (size_t)i * sizeof(again);
        ensure(memcmp(again, from, sizeof(again) - 8) == 0);
        ensure(block.has_state == (bytes_load_le64(from + sizeof(again) - 8) != 0));
    }
    ensure((record.head.size != 0) == ((record.flags & BATCH_RECORD_HEAD) != 0));
    (void)check_head(record.head); /* any result */
}

/* ---- the store's identity ---- */

static void check_identity(uint8_t *data, size_t size, bool raw)
{
    struct identity identity;
    struct error_detail detail = {.code = 0};
    uint8_t again[IDENTITY_SIZE];
    if (size < IDENTITY_SIZE) {
        return;
    }
    if (!raw) {
        bytes_store_le64(data + IDENTITY_SIZE - 8, XXH3_64bits(data, IDENTITY_SIZE - 8));
    }
    int result = identity_decode(data, &identity, &detail);
    if (result != 0) {
        ensure(result == STOA_ECORRUPT || result == STOA_EVERSION);
        ensure(detail.code == result && detail.text[0] != '\0');
        return;
    }
    identity_encode(&identity, again);
    bytes_store_le32(data + 12, 0);
    bytes_store_le64(data + IDENTITY_SIZE - 8, XXH3_64bits(data, IDENTITY_SIZE - 8));
    ensure(memcmp(again, data, sizeof(again)) == 0);
}

static void check(unsigned kind, uint8_t *data, size_t size, bool raw)
{
    struct bytes payload = bytes_of(data, size);
    switch (kind) {
    case KIND_BLOCK:
        check_block(data, size, raw);
        break;
    case KIND_STATE:
        check_state(payload);
        break;
    case KIND_BATCH:
        check_batch(payload);
        break;
    case KIND_HEAD:
        (void)check_head(payload); /* any result */
        break;
    case KIND_MARKS:
        check_marks(payload);
        break;
    case KIND_PRUNE:
        check_prune(payload);
        break;
    default:
        check_identity(data, size, raw);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t rest = size - 1;
    uint8_t *copy = fuzz_seal_copy(data + 1, rest);
    check((data[0] & FUZZ_SEAL_MASK) % KINDS, copy, rest, (data[0] & FUZZ_SEAL_RAW) != 0);
    memory_free(copy);
    return 0;
}

/* ---- seeds ---- */

static const uint8_t seed_hash[32] = {1, 2, 3};

/* A made block with what FLAGS say. */
static void append_block(struct buffer *out, unsigned field_count, unsigned flags)
{
    static const uint8_t senders[20 * CHAIN_MAKER_TRANSACTIONS] = {5};
    static const uint8_t previous[RECORD_PREVIOUS_SIZE] = {3};
    struct chain_maker made;
    chain_maker_init(&made, field_count, 7, NULL);
    struct record record = {
        .flags = flags,
        .transaction_count = CHAIN_MAKER_TRANSACTIONS,
        .hash = seed_hash,
        .total_difficulty = seed_hash,
        .block = buffer_bytes(&made.block),
    };
    if ((flags & RECORD_RECEIPTS) != 0) {
        record.receipts = buffer_bytes(&made.receipts);
    }
    if ((flags & RECORD_SENDERS) != 0) {
        record.senders = bytes_of(senders, sizeof(senders));
    }
    if ((flags & RECORD_ENVELOPE) != 0) {
        record.envelope = bytes_of("envelope", 8);
        record.envelope_hash = seed_hash;
    }
    if ((flags & RECORD_AGAIN) != 0) {
        record.previous = previous;
    }
    append_record(out, &record);
    chain_maker_deinit(&made);
}

static void append_change(struct buffer *out, unsigned domain, size_t key_size, struct bytes value,
                          bool removed)
{
    uint8_t key[STATE_KEY_MAX] = {(uint8_t)domain, 1, 2, 3};
    struct record_change change = {
        .key = bytes_of(key, key_size), .value = value, .removed = removed};
    int result = record_append_change(out, &change);
    ensure(result == 0);
}

/* The changes of a block, or an update. */
static void append_state(struct buffer *out, bool update)
{
    static const uint8_t account[] = {0xe3, 0x01, 0x02, 0xa0, [35] = 9};
    static const struct ledger_position previous = {
        .segment = 1, .offset = 4096, .size = 300, .sequence = 12};
    uint8_t header[RECORD_UPDATE_HEADER_SIZE];
    struct bytes nothing = bytes_of(NULL, 0);
    if (update) {
        record_encode_update_header(seed_hash, &previous, header);
        record_mark_batch(header);
    } else {
        record_encode_state_header(seed_hash, header);
    }
    append(out, header, update ? RECORD_UPDATE_HEADER_SIZE : RECORD_STATE_HEADER_SIZE);
    append_change(out, STATE_KEY_MARK, 1, nothing, false);
    append_change(out, STATE_KEY_WIPED, 21, nothing, false);
    append_change(out, STATE_KEY_ACCOUNT, 21, bytes_of(account, sizeof(account)), false);
    append_change(out, STATE_KEY_SLOT, 53, bytes_of("value", 5), false);
    append_change(out, STATE_KEY_SLOT, 53, nothing, true);
    append_change(out, STATE_KEY_CODE, 33, bytes_of("code", 4), false);
    append_change(out, STATE_KEY_RAW, STATE_KEY_MAX, bytes_of("value", 5), false);
}

/* A change of branch to WINNERS blocks. */
static void append_head(struct buffer *out, uint32_t winners)
{
    struct head_mark mark = {.present = true, .height = 5, .hash = {7}};
    struct head_record record = {.head = mark,
                                 .ancestor = mark,
                                 .old_head = mark,
                                 .safe = mark,
                                 .total_difficulty = {[31] = 1},
                                 .winner_count = winners};
    struct head_winner winner = {.hash = {8}, .position = {1, 4096, 100, 9}};
    uint8_t header[HEAD_RECORD_HEADER_SIZE];
    uint8_t encoded[HEAD_RECORD_WINNER_SIZE];
    record.head.height += winners;
    head_record_encode_header(&record, header);
    append(out, header, sizeof(header));
    head_record_encode_winner(&winner, encoded);
    for (uint32_t i = 0; i < winners; i++) {
        append(out, encoded, sizeof(encoded));
    }
}

static void append_marks(struct buffer *out)
{
    static const struct head_mark safe = {.present = true, .height = 5, .hash = {7}};
    static const struct head_mark none = {.present = false};
    uint8_t payload[HEAD_RECORD_MARKS_SIZE];
    head_record_encode_marks(&safe, &none, payload);
    append(out, payload, sizeof(payload));
}

static void append_prune(struct buffer *out)
{
    static const struct prune_floors floors = {
        .bodies = 10, .receipts = 20, .logs = 30, .transactions = 10};
    uint8_t payload[PRUNE_RECORD_SIZE];
    prune_record_encode(&floors, payload);
    append(out, payload, sizeof(payload));
}

/* Two blocks, and a change of branch where HEAD. */
static void append_batch(struct buffer *out, bool head)
{
    struct batch_record record = {
        .flags = head ? BATCH_RECORD_HEAD : BATCH_RECORD_UPDATE, .block_count = 2, .base = 40};
    struct batch_record_block block = {.hash = {1}, .height = 6, .has_state = true};
    uint8_t header[BATCH_RECORD_HEADER_SIZE];
    uint8_t encoded[BATCH_RECORD_BLOCK_SIZE];
    batch_record_encode_header(&record, header);
    append(out, header, sizeof(header));
    batch_record_encode_block(&block, encoded);
    append(out, encoded, sizeof(encoded));
    append(out, encoded, sizeof(encoded));
    if (head) {
        append_head(out, 2);
    }
}

static void append_identity(struct buffer *out)
{
    static const struct identity identity = {
        .store_id = 77, .chain_id = 1, .has_genesis = true, .genesis_hash = {9}};
    uint8_t image[IDENTITY_SIZE];
    identity_encode(&identity, image);
    append(out, image, sizeof(image));
}

static void append_seed(size_t kind, size_t form, struct buffer *out)
{
    static const unsigned fields[] = {15, 16, 17, 20, 21};
    static const unsigned flags[] = {0, RECORD_RECEIPTS,
                                     RECORD_RECEIPTS | RECORD_SENDERS | RECORD_ENVELOPE,
                                     RECORD_RECEIPTS | RECORD_AGAIN | RECORD_BATCH};
    switch (kind) {
    case KIND_BLOCK:
        append_block(out, fields[form % 5], flags[form % 4]);
        break;
    case KIND_STATE:
        append_state(out, form % 2 != 0);
        break;
    case KIND_BATCH:
        append_batch(out, form % 2 != 0);
        break;
    case KIND_HEAD:
        append_head(out, (uint32_t)form);
        break;
    case KIND_MARKS:
        append_marks(out);
        break;
    case KIND_PRUNE:
        append_prune(out);
        break;
    default:
        append_identity(out);
        break;
    }
}

/* Forms of each kind, sealed, then as it is. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    enum { FORMS = 8, RAW_FORM = 4 };
    size_t kind = index / FORMS;
    size_t form = index % FORMS;
    if (kind == KINDS) {
        return false;
    }
    uint8_t first = (uint8_t)(kind | (form >= RAW_FORM ? FUZZ_SEAL_RAW : 0));
    append(out, &first, 1);
    append_seed(kind, form, out);
    return true;
}
