/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire_samples.h"

#include <stdio.h>
#include <string.h>

#include "wire/wire_message.h"

/* A block of no transactions: a list of a header, transactions and uncles. */
static const uint8_t block_bytes[] = {0xc5, 0xc2, 0x01, 0x02, 0xc0, 0xc0};
static const uint8_t with_one[] = {0xc6, 0xc2, 0x01, 0x02, 0xc1, 0x05, 0xc0};
static const uint8_t receipt_bytes[] = {0xc2, 0xc1, 0x07};
static const uint8_t hash_bytes[32] = {1, 2, 3, 4, 5};
static const uint8_t slot_bytes[64] = {[31] = 9, [32] = 0x80};

static struct stoa_bytes view(const void *data, size_t size)
{
    return (struct stoa_bytes){data, size};
}

static const struct stoa_store_block *sample_block(void)
{
    static const struct stoa_change changes[] = {
        {{(const uint8_t *)"key", 3}, {(const uint8_t *)"value", 5}},
        {{(const uint8_t *)"gone", 4}, {NULL, 0}},
        {{(const uint8_t *)"empty", 5}, {(const uint8_t *)"", 0}},
    };
    static const struct stoa_account_change accounts[] = {
        {.address = {0xaa}, .flags = STOA_ACCOUNT_WIPED, .nonce = 7, .balance = {[30] = 1}},
        {.address = {0xbb}, .flags = STOA_ACCOUNT_REMOVED},
    };
    static const struct stoa_slot_change slots[] = {
        {.address = {0xaa}, .slot = {[31] = 1}, .value = {0xff}},
        {.address = {0xaa}, .slot = {0x10}},
    };
    static const struct stoa_bytes codes[] = {{(const uint8_t *)"\x60\x00", 2}};
    static const uint8_t sender[20] = {0xcc};
    static struct stoa_store_block block;
    block = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    block.block = view(with_one, sizeof(with_one));
    block.receipts = view(receipt_bytes, sizeof(receipt_bytes));
    block.expected_hash = hash_bytes;
    block.senders = sender;
    block.changes = changes;
    block.change_count = 3;
    block.envelope = view("envelope", 8);
    block.envelope_hash = hash_bytes;
    block.skip = STOA_SKIP_SENDERS;
    block.flags = STOA_STORE_CANONICAL | STOA_STORE_STATE;
    block.accounts = accounts;
    block.account_count = 2;
    block.slots = slots;
    block.slot_count = 2;
    block.codes = codes;
    block.code_count = 1;
    return &block;
}

static const struct stoa_batch *sample_batch(void)
{
    static struct stoa_store_block plain;
    static struct stoa_item items[4];
    static struct stoa_batch batch;
    plain = (struct stoa_store_block)STOA_STORE_BLOCK_INIT;
    plain.block = view(block_bytes, sizeof(block_bytes));
    items[0] = (struct stoa_item){.kind = STOA_ITEM_PUT, .key = view("k", 1), .value = view("", 0)};
    items[1] = (struct stoa_item){.kind = STOA_ITEM_DELETE, .key = view("d", 1)};
    items[2] = (struct stoa_item){.kind = STOA_ITEM_BLOCK, .block = &plain};
    items[3] = (struct stoa_item){.kind = STOA_ITEM_HEAD, .hash = hash_bytes};
    batch = (struct stoa_batch)STOA_BATCH_INIT;
    batch.items = items;
    batch.item_count = 4;
    return &batch;
}

static const struct stoa_log_filter *sample_filter(void)
{
    static struct stoa_log_filter filter;
    filter = (struct stoa_log_filter)STOA_LOG_FILTER_INIT;
    filter.block_hash = hash_bytes;
    filter.from = 3;
    filter.addresses = slot_bytes;
    filter.address_count = 2;
    filter.topic_count = 2;
    filter.topics[1] = (struct stoa_topics){slot_bytes, 2};
    filter.limit = 100;
    filter.time_ms = 2000;
    filter.allow_missing = 1;
    filter.cursor = (struct stoa_cursor){.spot = 5, .anchor_height = 6, .anchor_hash = {7}};
    return &filter;
}

static const struct stoa_history_query *sample_history(void)
{
    static struct stoa_history_query query;
    query = (struct stoa_history_query)STOA_HISTORY_QUERY_INIT;
    query.address[19] = 1;
    query.roles = STOA_ROLE_SENDER;
    query.oldest_first = 1;
    query.from = 1;
    query.limit = 3;
    query.cursor.anchor_height = 1;
    return &query;
}

const void *wire_samples_argument(enum stoa_message message)
{
    static const struct stoa_block_key key = {.by = STOA_BY_HASH, .height = 5, .hash = {9}};
    static const struct stoa_block_range range = {.from = 1000, .count = 64};
    static const struct stoa_change changes[] = {{{(const uint8_t *)"k", 1}, {NULL, 0}}};
    static const struct stoa_state_update update = {
        .size = sizeof(update), .changes = changes, .change_count = 1};
    static const struct stoa_bytes bytes = {(const uint8_t *)"a key", 5};
    static const struct stoa_state_at at = {{(const uint8_t *)"a key", 5}, 77};
    static const struct stoa_state_query query = {
        .address = {1}, .slot = {2}, .height = STOA_AT_HEAD};
    static const struct stoa_proof_query proof = {
        .address = {3}, .height = 12, .slots = slot_bytes, .slot_count = 2};
    static const uint64_t height = 300;
    static const struct stoa_store_receipts receipts = {.size = sizeof(receipts),
                                                        .block_hash = hash_bytes,
                                                        .receipts = {receipt_bytes, 3},
                                                        .skip = STOA_SKIP_RECEIPTS};
    static const int number = 1;
    static const struct stoa_job_options job = {.size = sizeof(job),
                                                .flags = STOA_JOB_HURRY,
                                                .bytes_per_second = 1000,
                                                .from = 1,
                                                .to = 2,
                                                .name = "a name",
                                                .path = "/a/path",
                                                .keep_history = 128,
                                                .keep_tries = 64,
                                                .keep = 5,
                                                .full = 1,
                                                .archive_keep = 9,
                                                .unarchive = 1};
    switch (wire_message_argument(message)) {
    case WIRE_ARGUMENT_BLOCK:
        return sample_block();
    case WIRE_ARGUMENT_RECEIPTS:
        return &receipts;
    case WIRE_ARGUMENT_KEY:
        return &key;
    case WIRE_ARGUMENT_RANGE:
        return &range;
    case WIRE_ARGUMENT_UPDATE:
        return &update;
    case WIRE_ARGUMENT_BYTES:
        return &bytes;
    case WIRE_ARGUMENT_STATE_AT:
        return &at;
    case WIRE_ARGUMENT_STATE_QUERY:
        return &query;
    case WIRE_ARGUMENT_PROOF_QUERY:
        return &proof;
    case WIRE_ARGUMENT_HEIGHT:
        return &height;
    case WIRE_ARGUMENT_NUMBER:
        return &number;
    case WIRE_ARGUMENT_BATCH:
        return sample_batch();
    case WIRE_ARGUMENT_HASH:
        return hash_bytes;
    case WIRE_ARGUMENT_LOG_FILTER:
        return sample_filter();
    case WIRE_ARGUMENT_HISTORY_QUERY:
        return sample_history();
    case WIRE_ARGUMENT_JOB:
        return &job;
    case WIRE_ARGUMENT_NONE:
    case WIRE_ARGUMENT_UNKNOWN:
        break;
    }
    return NULL;
}

static struct stoa_block answer_block(uint64_t height)
{
    return (struct stoa_block){
        .hash = {7, 7},
        .height = height,
        .total_difficulty = {[30] = 2},
        .canonical = 1,
        .block = view(with_one, sizeof(with_one)),
        .receipts = view(receipt_bytes, sizeof(receipt_bytes)),
        .senders = view("twenty bytes of one.", 20),
    };
}

static struct stoa_header answer_header(void)
{
    return (struct stoa_header){
        .hash = {7, 7},
        .height = 9,
        .total_difficulty = {[31] = 1},
        .header = view(with_one + 1, 3),
    };
}

static struct stoa_proof *answer_proof(void)
{
    static const struct stoa_bytes nodes[] = {{(const uint8_t *)"node", 4}, {receipt_bytes, 3}};
    static const struct stoa_proof_slot slots[] = {
        {.key = {[31] = 4}, .value = {1}, .nodes = nodes, .node_count = 2},
        {.key = {0xff}, .nodes = nodes, .node_count = 0},
    };
    static struct stoa_proof proof = {
        .address = {0xaa},
        .nonce = 3,
        .balance = {[31] = 200},
        .code_hash = {5},
        .storage_root = {6},
        .nodes = nodes,
        .node_count = 2,
        .slots = slots,
        .slot_count = 2,
    };
    return &proof;
}

static struct stoa_health *answer_health(void)
{
    static struct stoa_health health = STOA_HEALTH_INIT;
    health.state = STOA_DEGRADED;
    health.reason_count = 1;
    health.version = 4;
    health.alerts = 3;
    health.reasons[0].code = STOA_EIO;
    (void)snprintf(health.reasons[0].text, sizeof(health.reasons[0].text), "a reason");
    return &health;
}

static void fill_verified(struct stoa_completion *out)
{
    static struct stoa_verify_report report = {
        .segments = 2, .damages = 1, .roots = 5, .noted = STOA_ENOSPACE};
    static struct stoa_damage damages[] = {{.file = "00000001.seg",
                                            .offset = 4096,
                                            .size = 10,
                                            .height = 3,
                                            .has_height = 1,
                                            .what = "its checksum is wrong"}};
    out->verified = &report;
    out->damages = damages;
    out->damage_count = 1;
}

static void fill_copies(struct stoa_completion *out)
{
    static struct stoa_copy_info copies[] = {{.name = "before",
                                              .path = "/store/snapshots/before",
                                              .created = 1700000000,
                                              .store_id = 9,
                                              .chain_id = 1,
                                              .height = 5,
                                              .hash = {1},
                                              .state_root = {2},
                                              .files = 3,
                                              .bytes = 1 << 20,
                                              .own_bytes = 4096},
                                             {.name = "bad", .path = "", .damaged = "it ends"}};
    out->copies = copies;
    out->copy_count = 2;
}

static void fill_archive(struct stoa_completion *out)
{
    static struct stoa_archive_segment segments[] = {{.number = 1,
                                                      .pruned = 1,
                                                      .from = 1,
                                                      .to = 900,
                                                      .blocks = 900,
                                                      .frames = 1900,
                                                      .bytes = 1 << 19,
                                                      .live_bytes = 1 << 20,
                                                      .dictionary_bytes = 4096},
                                                     {.number = 3, .damaged = 1, .bytes = 8192}};
    static struct stoa_archive archive = {.segments = 7,
                                          .bytes = 1 << 22,
                                          .live_bytes = 1 << 23,
                                          .damaged = 1,
                                          .next = 4,
                                          .list = segments,
                                          .count = 2};
    out->archive = &archive;
}

static void fill_storage(struct stoa_completion *out)
{
    static struct stoa_storage_table tables[] = {
        {.name = "blocks", .level = -1, .bytes = 1 << 20, .free_bytes = 1 << 18},
        {.name = "run-logs-0000000003", .index = "logs", .level = 1, .entries = 9, .bytes = 4096}};
    static struct stoa_storage_index indexes[] = {
        {.name = "logs", .runs = 2, .entries = 9, .bytes = 4096, .missing = 1}};
    static struct stoa_storage_segment segments[] = {{.number = 1,
                                                      .form = STOA_SEGMENT_PACKED,
                                                      .damaged = 1,
                                                      .from = 1,
                                                      .to = 900,
                                                      .blocks = 900,
                                                      .frames = 1900,
                                                      .bytes = 1 << 19,
                                                      .dead_bytes = 7},
                                                     {.number = 2, .form = STOA_SEGMENT_SPARE}};
    static struct stoa_storage_advice advice[] = {{.action = "repair", .reason = "it is damaged"}};
    static struct stoa_verification verifications[] = {
        {.result = STOA_ECORRUPT,
         .began = 1000000000,
         .ended = 1000000007,
         .height = 900,
         .report = {.segments = 2, .frames = 1900, .bytes = 1 << 19, .damages = 3, .noted = 1}},
        {.deep = 1, .ended = 5, .report = {.blocks = 901, .changes = 7, .full_roots = 2}}};
    static struct stoa_storage storage = {
        .ledger_bytes = 1 << 25,
        .spare_bytes = 1 << 24,
        .archive_bytes = 1 << 19,
        .dead_bytes = 7,
        .table_bytes = (1 << 20) + 4096,
        .table_free_bytes = 1 << 18,
        .fragmentation = 24,
        .snapshots = 1,
        .snapshot_bytes = 5,
        .segments = 2,
        .damaged = 1,
        .damages = 3,
        .missing = 1,
        .replay_bytes = 99,
        .tables = tables,
        .table_count = 2,
        .indexes = indexes,
        .index_count = 1,
        .list = segments,
        .segment_count = 2,
        .advice = advice,
        .advice_count = 1,
        .verifications = verifications,
        .verification_count = 2,
    };
    out->storage = &storage;
}

static void fill_queries(struct stoa_completion *out)
{
    static struct stoa_log logs[] = {
        {.address = {1},
         .topics = {{2}, {3}},
         .topic_count = 2,
         .data = {(const uint8_t *)"data", 4},
         .height = 5,
         .timestamp = 6,
         .block_hash = {7},
         .transaction_hash = {8},
         .transaction_index = 9,
         .log_index = 10},
        {.address = {2}, .data = {(const uint8_t *)"", 0}},
    };
    static struct stoa_history_entry entries[] = {
        {.height = 1, .index = 2, .roles = 3, .transaction_hash = {4}, .block_hash = {5}}};
    const struct stoa_cursor cursor = {.spot = 1, .anchor_height = 2, .anchor_hash = {3}};
    out->logs = (struct stoa_logs){
        .logs = logs, .count = 2, .more = 1, .cursor = cursor, .missing = 1, .missing_height = 4};
    out->history =
        (struct stoa_history){.entries = entries, .count = 1, .more = 1, .cursor = cursor};
}

void wire_samples_completion(enum stoa_message message, int result, struct stoa_completion *out)
{
    static struct stoa_block blocks[2];
    static struct stoa_header headers[2];
    static struct stoa_stats stats = STOA_STATS_INIT;
    static struct stoa_cache_stats cache_stats = STOA_CACHE_STATS_INIT;
    static struct stoa_analysis analysis = STOA_ANALYSIS_INIT;
    static struct stoa_job_info jobs[2] = {
        {.state = STOA_JOB_PAUSED, .active = 1, .done = 5, .last_result = STOA_EIO},
        {.job = 0,
         .last_error = "none",
         .text = "waits",
         .fact_count = 1,
         .facts = {{"freedBytes", 512}}}};
    static struct stoa_branch branches[] = {
        {.hash = {1}, .height = 2, .canonical = 1, .fork_height = 3, .fork_hash = {4}}};
    *out = (struct stoa_completion){.message = message, .tries = 1, .result = result};
    if (result != 0) {
        out->effect = STOA_EFFECT_UNKNOWN;
        out->detail = (struct stoa_detail){.code = result, .os_error = 5};
        (void)snprintf(out->detail.text, sizeof(out->detail.text), "what is wrong");
        return;
    }
    blocks[0] = answer_block(8);
    blocks[1] = answer_block(9);
    headers[0] = answer_header();
    headers[1] = answer_header();
    memcpy(out->hash, hash_bytes, 32);
    out->height = 11;
    out->block = answer_block(7);
    out->blocks = blocks;
    out->block_count = 2;
    out->header = answer_header();
    out->headers = (struct stoa_headers){headers, 2};
    out->transaction = (struct stoa_transaction){
        .block = answer_block(7),
        .hash = {3},
        .transaction = view(with_one + 5, 1),
        .receipt = view(receipt_bytes + 1, 2),
        .sender = slot_bytes,
    };
    out->transaction.block.block = view(with_one, sizeof(with_one));
    out->value = view("a value", 7);
    out->account = (struct stoa_account){.nonce = 1, .balance = {[31] = 2}, .code_hash = {3}};
    out->proof = answer_proof();
    fill_queries(out);
    out->head = (struct stoa_head){.height = 6, .hash = {1}, .chain_id = 7, .has_safe = 1};
    stats.blocks = 10;
    stats.rebuilt_tables = 1;
    (void)snprintf(stats.io, sizeof(stats.io), "threads");
    out->stats = &stats;
    cache_stats.limit = 1 << 20;
    cache_stats.classes[STOA_CACHE_STATE].hits[STOA_TIER_HOT] = 5;
    out->cache_stats = &cache_stats;
    out->health = answer_health();
    analysis.accounts = 12;
    out->analysis = &analysis;
    fill_verified(out);
    fill_copies(out);
    fill_archive(out);
    fill_storage(out);
    out->jobs = jobs;
    out->job_count = 2;
    out->branches = branches;
    out->branch_count = 1;
}
