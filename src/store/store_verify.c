/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking everything: the ledger's bytes (by ledger_verify, which shows each good frame on the
 * way), each block against its header, and each index entry both ways: every block and transaction
 * is found where it lies, and the tables have no entry more. Runs on the loop, with the store
 * quiet. */
#include <stdio.h>

#include "base/ensure.h"
#include "chain/receipt.h"
#include "store/batch_record.h"
#include "store/position.h"
#include "store/store_verify_private.h"

static void ledger_damage(void *context, const struct ledger_damage *damage)
{
    struct verify *verify = context;
    char file[64];
    snprintf(file, sizeof(file), "%s%s", damage->packed ? "" : STORE_FOLDER_LEDGER "/",
             damage->file);
    verify->report.damages++;
    verify->damage(verify->damage_context, &(struct stoa_damage){
                                               .file = file,
                                               .offset = damage->offset,
                                               .size = damage->size,
                                               .height = damage->height,
                                               .has_height = damage->has_height,
                                               .what = damage->what,
                                           });
}

void verify_report(struct verify *verify, const struct ledger_frame *frame, const char *file,
                   const char *what)
{
    verify->report.damages++;
    verify->damage(verify->damage_context, &(struct stoa_damage){
                                               .file = file,
                                               .offset = frame->position.offset,
                                               .size = frame->position.size,
                                               .height = frame->height,
                                               .has_height = 1,
                                               .what = what,
                                           });
}

static void report_block(struct verify *verify, const struct ledger_frame *frame, const char *what)
{
    const bool packed = ledger_is_packed(verify->store->ledger, frame->position.segment);
    char file[64];
    snprintf(file, sizeof(file), "%s/%08u.%s", packed ? STORE_FOLDER_ARCHIVE : STORE_FOLDER_LEDGER,
             frame->position.segment, packed ? "arc" : "seg");
    verify_report(verify, frame, file, what);
}

/* The block against its header and its receipts. False: damage was reported. */
static bool check_contents(struct verify *verify, const struct ledger_frame *frame,
                           const struct record *record, struct block *out_block)
{
    struct error_detail detail = {.code = 0};
    int result = block_decode(record->block, out_block, &detail);
    if (result == 0 && memcmp(out_block->hash, record->hash, 32) != 0) {
        result = error_set(&detail, STOA_ECORRUPT, "hash: differs from the record's");
    }
    if (result == 0 && out_block->header.number != frame->height) {
        result = error_set(&detail, STOA_ECORRUPT, "number: differs from the frame's");
    }
    bool body = (record->gone & RECORD_GONE_BODY) == 0;
    const struct prune_floors *kept = &verify->store->kept;
    if (result == 0 &&
        ((!body && frame->height >= kept->bodies) ||
         ((record->gone & RECORD_GONE_RECEIPTS) != 0 && frame->height >= kept->receipts))) {
        result = error_set(&detail, STOA_ECORRUPT, "what is to be kept of it was pruned");
    }
    if (result == 0 && body) {
        result = block_check_transactions_root(out_block, &detail);
    }
    if (result == 0 && body) {
        result = block_check_uncles_hash(out_block, &detail);
    }
    if (result == 0 && body) {
        result = block_check_withdrawals_root(out_block, &detail);
    }
    if (result == 0 && (record->flags & RECORD_RECEIPTS) != 0) {
        result = receipt_check_list(&out_block->header, out_block->transactions,
                                    out_block->transaction_count, record->receipts, &detail);
    }
    if (result != 0) {
        report_block(verify, frame, detail.text);
    }
    return result == 0;
}

/* What a look into the tables came to, where RESULT says it: an entry that is not there, or not
 * readable, is for the caller to report. STOA_E… where verification cannot go on. */
static int looked(struct verify *verify, int result, bool *out_found)
{
    store_note_tables(verify->store, result);
    *out_found = result == 0;
    return result == STOA_ENOTFOUND || result == STOA_ECORRUPT ? 0 : result;
}

static int find_block(struct verify *verify, const uint8_t hash[32], struct index_place *out_place,
                      bool *out_found)
{
    struct store *store = verify->store;
    int result = index_find_hash(store->index, store->session, hash, out_place, verify->detail);
    return looked(verify, result, out_found);
}

static int find_height(struct verify *verify, uint64_t height, uint8_t out_hash[32],
                       struct index_place *out_place, bool *out_found)
{
    struct store *store = verify->store;
    int result = index_find_height(store->index, store->session, height, out_hash, out_place,
                                   verify->detail);
    return looked(verify, result, out_found);
}

/* POSITION: where the block is to be found: of FRAME, or of a later one. */
static int check_place(struct verify *verify, const struct ledger_frame *frame,
                       const struct ledger_position *position, const uint8_t key[32],
                       bool canonical)
{
    struct index_place place;
    bool found;
    int result = find_block(verify, key, &place, &found);
    verify->block_keys++;
    if (result != 0) {
        return result;
    }
    if (!found || !position_is_same(&place.position, position) || place.height != frame->height ||
        place.canonical != canonical) {
        verify_report(verify, frame, "tables/blocks", "entry of this block is missing or wrong");
    }
    return 0;
}

/* Whether the block is on the canonical chain, as the heights have it; then they have its place,
 * and its parent below it. */
static int check_height(struct verify *verify, const struct ledger_frame *frame,
                        const struct ledger_position *position, const struct block *block,
                        bool *out_canonical)
{
    struct index_place place = {.height = 0};
    uint8_t hash[32];
    bool found;
    int result = find_height(verify, frame->height, hash, &place, &found);
    if (result != 0) {
        return result;
    }
    *out_canonical = found && memcmp(hash, block->hash, 32) == 0;
    if (!*out_canonical) {
        return 0;
    }
    if (!position_is_same(&place.position, position)) {
        verify_report(verify, frame, "tables/heights", "entry of this height is wrong");
    }
    if (frame->height == 0) {
        return 0;
    }
    result = find_height(verify, frame->height - 1, hash, &place, &found);
    if (result != 0) {
        return result;
    }
    if (!found || memcmp(hash, block->header.parent_hash, 32) != 0) {
        verify_report(verify, frame, "tables/heights", "the block below is not the parent");
    }
    return 0;
}

static int check_transactions(struct verify *verify, const struct ledger_frame *frame,
                              const struct block *block)
{
    struct store *store = verify->store;
    struct bytes cursor = block->transactions;
    struct bytes envelope;
    if (frame->height < store->kept.transactions) {
        return 0; /* some may still be there; they count no more */
    }
    for (uint32_t i = 0; block_next_transaction(&cursor, &envelope, NULL) == 0; i++) {
        struct index_transaction candidates[INDEX_CANDIDATES_MAX];
        size_t count = 0;
        uint8_t hash[32];
        transaction_hash(envelope, hash);
        int result = index_find_transaction(store->index, store->session, hash, candidates, &count,
                                            NULL, verify->detail);
        store_note_tables(store, result);
        if (result != 0 && result != STOA_ECORRUPT) {
            return result;
        }
        bool found = false;
        for (size_t c = 0; result == 0 && c < count; c++) {
            found = found || (candidates[c].height == frame->height && candidates[c].index == i);
        }
        if (!found) {
            verify_report(verify, frame, "tables/transactions",
                          "entry of a transaction is missing");
        }
        verify->report.transactions++;
    }
    return 0;
}

/* Of addresses and logs, computed again. */
static int check_postings(struct verify *verify, const struct ledger_frame *frame,
                          const struct record *record)
{
    static const char *const files[POSTING_KINDS] = {"tables/addresses", "tables/logs"};
    struct store *store = verify->store;
    struct prepare *prepare = &verify->prepare;
    const uint64_t floors[POSTING_KINDS] = {
        [POSTING_ADDRESS] = prune_floors_addresses(&store->kept),
        [POSTING_LOG] = store->kept.logs,
    };
    if (frame->height < floors[POSTING_ADDRESS] && frame->height < floors[POSTING_LOG]) {
        return 0;
    }
    int result = prepare_record(prepare, record, verify->detail);
    if (result == 0) {
        result = prepare_index(prepare, bytes_of(NULL, 0));
    }
    struct pending_entries entries = prepare_entries(prepare, bytes_of(NULL, 0));
    for (size_t i = 0; result == 0 && i < entries.posting_count; i++) {
        const struct posting *posting = &entries.postings[i];
        if (frame->height < floors[posting->kind]) {
            continue;
        }
        result = index_check_posting(store->index, store->session, posting, frame->height,
                                     verify->detail);
        store_note_tables(store, result);
        verify->postings[posting->kind]++;
        if (result == STOA_ENOTFOUND || result == STOA_ECORRUPT) {
            verify_report(verify, frame, files[posting->kind],
                          "entry of this block is missing or wrong");
            result = 0;
        }
    }
    return result;
}

/* The root that the tries have as of the block against its header, where the state is known and the
 * root was compared when the block came. */
static int check_state_root(struct verify *verify, const struct ledger_frame *frame,
                            const struct record *record, const struct block *block,
                            const uint8_t **out_known)
{
    static const uint8_t gap = STATE_KEY_GAP;
    struct store *store = verify->store;
    struct tries_reader reader;
    struct bytes value;
    uint64_t bound = frame->height;
    int result = store->head.state_known
                     ? STOA_ENOTFOUND
                     : index_find_state(store->index, store->session, bytes_of(&gap, 1), &bound,
                                        &value, verify->detail);
    if (result != STOA_ENOTFOUND || (record->flags & RECORD_ANY_STATE) != 0 ||
        frame->height < store_floors(store).tries) {
        return result == STOA_ENOTFOUND ? 0 : result;
    }
    *out_known = block->header.state_root;
    store_tries_reader(store, frame->height, &reader);
    struct buffer scratch;
    buffer_init(&scratch);
    reader.session = store->session;
    reader.scratch = &scratch;
    struct trie_reader records = tries_reader_of(&reader);
    struct trie_task task;
    uint8_t root[32];
    trie_task_init(&task, &records);
    result = trie_update_root(bytes_of(NULL, 0), &task, root);
    if (result == STOA_ECORRUPT ||
        (result == 0 && memcmp(root, block->header.state_root, sizeof(root)) != 0)) {
        verify_report(verify, frame, "tables/trie", "the state root of this block is another");
        result = 0;
    } else if (result != 0 && verify->detail != NULL) {
        *verify->detail = task.detail;
    }
    trie_task_deinit(&task);
    buffer_deinit(&scratch);
    return result;
}

/* What the head is after a block that says it extends the chain. One that does not was behind a
 * block that could not be written: see store_replay.c. */
static void note_block(struct verify *verify, const struct record *record,
                       const struct block *block)
{
    bool extends = !verify->has_head || memcmp(block->header.parent_hash, verify->head, 32) == 0;
    if ((record->flags & RECORD_SIDE) == 0 && extends) {
        verify->has_head = true;
        memcpy(verify->head, record->hash, 32);
    }
}

/* A change of branch. The block it names may not have been written: then nobody was told of it. */
static int note_head_record(struct verify *verify, const struct ledger_frame *frame,
                            struct bytes payload)
{
    struct head_record record;
    struct index_place place;
    bool found;
    if (head_record_decode(payload, &record, NULL) != 0) {
        report_block(verify, frame, "head record");
        return 0;
    }
    int result = find_block(verify, record.head.hash, &place, &found);
    if (found) {
        verify->has_head = true;
        memcpy(verify->head, record.head.hash, 32);
    }
    return result;
}

/* An update names a block that is stored, whose place names it or one that came later. */
static int check_update(struct verify *verify, const struct ledger_frame *frame,
                        const uint8_t hash[32], const struct ledger_position *previous)
{
    struct index_place place;
    bool found;
    int result = find_block(verify, hash, &place, &found);
    if (result != 0) {
        return result;
    }
    if (!found || place.height != frame->height ||
        place.state_position.sequence < frame->position.sequence) {
        verify_report(verify, frame, "tables/blocks", "an update of this block's state is missing");
    }
    if (previous->sequence >= frame->position.sequence) {
        report_block(verify, frame, "update record");
    }
    return 0;
}

static void note_read(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

/* Whether the frame at LATER is the block of FRAME again, with its receipts. */
static int is_again(struct verify *verify, const struct ledger_frame *frame,
                    const struct ledger_position *later, bool *out_again)
{
    bool done = false;
    struct record record;
    struct ledger_read read = {.position = *later, .done = note_read, .context = &done};
    ledger_read(verify->store->ledger, &read);
    while (!done) {
        int ran = io_run(verify->store->io, 1000000000);
        if (ran < 0) {
            return error_set(verify->detail, ran, "verify");
        }
    }
    *out_again = false;
    if (read.result == 0 && read.kind == LEDGER_BLOCK &&
        record_decode(read.payload, &record, NULL) == 0 && record.previous != NULL) {
        struct ledger_position before = position_decode(record.previous);
        *out_again = position_is_same(&before, &frame->position);
    }
    ledger_read_release(&read);
    return 0; /* one that is damaged is reported where it stands */
}

/* The block of FRAME may have another frame by now, with its receipts: which one the indexes are to
 * name. */
static int find_newest(struct verify *verify, const struct ledger_frame *frame,
                       const uint8_t hash[32], struct ledger_position *out_position)
{
    struct index_place place;
    bool found;
    bool again = false;
    *out_position = frame->position;
    int result = find_block(verify, hash, &place, &found);
    if (result == 0 && found && place.position.sequence > frame->position.sequence) {
        result = is_again(verify, frame, &place.position, &again);
    }
    if (again) {
        *out_position = place.position;
    }
    return result;
}

/* A block again, with its receipts. All that is said of the block was checked with its first frame;
 * what its receipts add to the indexes comes here. */
static int check_again(struct verify *verify, const struct ledger_frame *frame,
                       const struct record *record, const struct block *block)
{
    struct index_place place = {.height = 0};
    bool found;
    int result = find_block(verify, record->hash, &place, &found);
    if (result != 0) {
        return result;
    }
    if (!found || !position_is_same(&place.position, &frame->position)) {
        verify_report(verify, frame, "tables/blocks", "receipts of this block are missing");
        return 0;
    }
    verify->report.receipts += block->transaction_count;
    return place.canonical ? check_postings(verify, frame, record) : 0;
}

/* A frame of a batch that was not written to its end counts nowhere. Whether it is in the tables:
 * all frames of a batch are, or none. */
static int note_batched(struct verify *verify, const struct ledger_frame *frame,
                        const struct ledger_position *position, const uint8_t hash[32],
                        bool *out_known)
{
    struct index_place place;
    bool found;
    int result = find_block(verify, hash, &place, &found);
    if (result != 0) {
        return result;
    }
    /* POSITION: of the block; NULL: an update. */
    *out_known =
        found && (position == NULL ? place.state_position.sequence >= frame->position.sequence
                                   : position_is_same(&place.position, position));
    verify->batch_frames++;
    verify->batch_known += *out_known;
    return 0;
}

/* What comes now is not of a batch, or its last frame: what was before it? */
static void end_batch(struct verify *verify, const struct ledger_frame *frame, uint64_t wanted)
{
    bool whole = wanted != 0 && verify->batch_frames >= wanted;
    if (whole ? verify->batch_known < wanted : verify->batch_known != 0) {
        verify_report(verify, frame, "tables/blocks", "a batch is not all there, or not all gone");
    }
    verify->batch_frames = 0;
    verify->batch_known = 0;
}

static int check_batch(struct verify *verify, const struct ledger_frame *frame)
{
    struct batch_record record;
    if (batch_record_decode(frame->payload, &record, NULL) != 0) {
        report_block(verify, frame, "batch record");
        return 0;
    }
    uint64_t wanted =
        (uint64_t)record.block_count + ((record.flags & BATCH_RECORD_UPDATE) != 0 ? 1 : 0);
    bool counts = wanted == 0 || (verify->batch_frames >= wanted && verify->batch_known != 0);
    end_batch(verify, frame, counts ? wanted : 0);
    return counts && record.head.size != 0 ? note_head_record(verify, frame, record.head) : 0;
}

/* Changes can be walked to their end. */
static int check_state(struct verify *verify, const struct ledger_frame *frame)
{
    struct ledger_position previous;
    const uint8_t *hash;
    struct bytes changes;
    struct record_change change;
    int result = record_decode_state(frame->payload, &hash, &changes, NULL);
    struct bytes all = changes;
    while (result == 0) {
        result = record_next_change(&changes, &change);
    }
    if (result != STOA_ENOTFOUND) {
        report_block(verify, frame, "state record");
        return 0;
    }
    bool update = record_is_update(frame->payload, &previous);
    bool known = true;
    int found = 0;
    if (!record_is_batch(frame->payload)) {
        end_batch(verify, frame, 0);
    } else if (update) {
        found = note_batched(verify, frame, NULL, hash, &known);
    }
    if (!update && verify->deep) {
        verify_deep_note(verify, hash, all);
    }
    return found == 0 && update && known ? check_update(verify, frame, hash, &previous) : found;
}

/* A block whose contents are sound. */
static int check_block(struct verify *verify, const struct ledger_frame *frame,
                       const struct record *record, const struct block *block)
{
    struct ledger_position newest;
    bool canonical = false;
    bool known = true;
    int result = find_newest(verify, frame, record->hash, &newest);
    if (result == 0 && (record->flags & RECORD_BATCH) != 0) {
        result = note_batched(verify, frame, &newest, record->hash, &known);
    } else {
        end_batch(verify, frame, 0);
    }
    if (result != 0 || !known) {
        return result;
    }
    bool replaced = !position_is_same(&newest, &frame->position);
    note_block(verify, record, block);
    verify->report.blocks++;
    if ((record->flags & RECORD_RECEIPTS) != 0) {
        verify->report.receipts += block->transaction_count;
    }
    result = check_height(verify, frame, &newest, block, &canonical);
    if (result == 0) {
        result = check_place(verify, frame, &newest, record->hash, canonical);
    }
    if (result == 0 && (record->flags & RECORD_ENVELOPE) != 0) {
        result = check_place(verify, frame, &newest, record->envelope_hash, canonical);
    }
    verify->canonical += canonical;
    verify->sides += !canonical;
    if (result != 0 || !canonical) {
        return result;
    }
    const uint8_t *state_root = NULL;
    result = check_transactions(verify, frame, block);
    if (result == 0) {
        result = check_state_root(verify, frame, record, block, &state_root);
    }
    if (result == 0 && verify->deep) {
        result = verify_deep_block(verify, frame->height, block->hash, state_root);
    }
    return result == 0 && !replaced ? check_postings(verify, frame, record) : result;
}

/* What is said to be pruned is known to be. */
static int check_floors(struct verify *verify, const struct ledger_frame *frame)
{
    struct prune_floors raised = verify->store->kept;
    struct prune_floors floors;
    if (prune_record_decode(frame->payload, &floors, NULL) != 0) {
        report_block(verify, frame, "prune record");
        return 0;
    }
    prune_floors_raise(&raised, &floors);
    if (!prune_floors_are_same(&raised, &verify->store->kept)) {
        verify_report(verify, frame, "tables/meta", "less is pruned than the ledger says");
    }
    return 0;
}

static int verify_frame(void *context, const struct ledger_frame *frame)
{
    struct verify *verify = context;
    struct record record;
    struct block block;
    if (store_is_stopping(verify->store)) {
        return error_set(verify->detail, STOA_ECANCELED, "stopped");
    }
    if (frame->kind == LEDGER_STATE) {
        return check_state(verify, frame);
    }
    if (frame->kind == LEDGER_PRUNE) {
        return check_floors(verify, frame);
    }
    if (frame->kind == LEDGER_BATCH) {
        return check_batch(verify, frame);
    }
    if (frame->kind == LEDGER_HEAD) {
        end_batch(verify, frame, 0);
        return note_head_record(verify, frame, frame->payload);
    }
    if (frame->kind != LEDGER_BLOCK) {
        end_batch(verify, frame, 0);
        return 0;
    }
    if (record_decode(frame->payload, &record, NULL) != 0 || !record_check_front(frame->payload)) {
        report_block(verify, frame, "block record");
        return 0;
    }
    if (!check_contents(verify, frame, &record, &block)) {
        return 0;
    }
    if ((record.flags & RECORD_AGAIN) != 0) {
        end_batch(verify, frame, 0);
        return check_again(verify, frame, &record, &block);
    }
    return check_block(verify, frame, &record, &block);
}

static void report_count(struct verify *verify, const char *file, uint64_t has, uint64_t wanted)
{
    if (has == wanted) {
        return;
    }
    char what[96];
    snprintf(what, sizeof(what), "%llu entries instead of %llu", (unsigned long long)has,
             (unsigned long long)wanted);
    verify->report.damages++;
    verify->damage(verify->damage_context, &(struct stoa_damage){.file = file, .what = what});
}

/* The other way round: with every entry that should be there found, equal counts mean that there is
 * no other. */
static int check_counts(struct verify *verify)
{
    struct store *store = verify->store;
    if (verify->has_head && memcmp(verify->head, store->head.hash, 32) != 0) {
        verify->report.damages++;
        verify->damage(
            verify->damage_context,
            &(struct stoa_damage){.file = "tables/meta", .what = "the head is not the ledger's"});
    }
    struct index_counts counts;
    int result = index_count(store->index, store->session, &store->kept, &counts, verify->detail);
    if (result == 0) {
        report_count(verify, "tables/heights", counts.heights, verify->canonical);
        report_count(verify, "tables/heights", counts.heights,
                     store->head.present ? store->head.height + 1 : 0);
        report_count(verify, "tables/sides", counts.sides, verify->sides);
        report_count(verify, "tables/blocks", counts.blocks, verify->block_keys);
        report_count(verify, "tables/transactions", counts.transactions,
                     verify->report.transactions);
        report_count(verify, "tables/addresses", counts.postings[POSTING_ADDRESS],
                     verify->postings[POSTING_ADDRESS]);
        report_count(verify, "tables/logs", counts.postings[POSTING_LOG],
                     verify->postings[POSTING_LOG]);
    }
    return result;
}

static int verify_all(struct verify *verify)
{
    struct store *store = verify->store;
    struct ledger_verify_report ledger = {0};
    int result =
        ledger_verify(store->ledger, ledger_damage, verify_frame, verify, &ledger, verify->detail);
    if (result != 0 && result != STOA_ECORRUPT) {
        return result;
    }
    result = verify->report.damages == 0 ? check_counts(verify) : 0;
    if (result == 0 && verify->deep) {
        result = verify_deep_values(verify);
    }
    verify->report.segments = ledger.segments;
    verify->report.frames = ledger.frames;
    verify->report.bytes = ledger.bytes;
    return result;
}

int store_verify(struct store *store, bool deep,
                 void (*damage)(void *context, const struct stoa_damage *damage), void *context,
                 struct stoa_verify_report *out_report, struct error_detail *detail)
{
    struct verify verify = {.store = store,
                            .deep = deep,
                            .damage = damage,
                            .damage_context = context,
                            .detail = detail};
    int result = store_apply_checkpoint(store, detail);
    if (result != 0) {
        return result;
    }
    result = store_tries_wait(store, detail);
    if (result != 0) {
        return result;
    }
    prepare_init(&verify.prepare);
    buffer_init(&verify.changes);
    tries_work_init(&verify.tries);
    struct index_asker asker = {store->options.is_stopping, store->options.stopping_context,
                                store->session};
    index_ask(store->index, asker.is_stopping != NULL ? &asker : NULL);
    result = verify_all(&verify);
    index_ask(store->index, NULL);
    tries_work_deinit(&verify.tries);
    buffer_deinit(&verify.changes);
    prepare_deinit(&verify.prepare);
    if (result != 0) {
        return result;
    }
    *out_report = verify.report;
    if (verify.report.damages != 0) {
        return error_set(detail, STOA_ECORRUPT, "%llu damages found",
                         (unsigned long long)verify.report.damages);
    }
    return 0;
}
