/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/stoa_fake.h"

#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/block.h"
#include "chain/genesis.h"
#include "chain/receipt.h"
#include "chain/transaction.h"
#include "render/wide.h"
#include "stoa.h"

enum { BLOCKS_MAX = 16384, QUEUE_MAX = 1024, LIMIT = 300, HASH_SIZE = 32 };

struct fake_block {
    struct buffer rlp;
    struct buffer receipts;
    struct buffer senders;
    uint8_t hash[HASH_SIZE];
    uint8_t total_difficulty[32];
};

struct stoa {
    bool exists;
    bool open;
    unsigned limit;
    uint64_t fail_height;
    int fail_code;
    unsigned store_count;
    size_t count; /* blocks, from 0 */
    struct fake_block blocks[BLOCKS_MAX];
    size_t done_count;
    struct stoa_completion done[QUEUE_MAX];
};

static struct stoa *fake;

static struct stoa *get(void)
{
    if (fake == NULL) {
        fake = memory_alloc_zeroed(1, sizeof(*fake));
        ensure(fake != NULL);
    }
    return fake;
}

void stoa_fake_reset(void)
{
    struct stoa *stoa = get();
    ensure(!stoa->open);
    for (size_t i = 0; i < stoa->count; i++) {
        buffer_deinit(&stoa->blocks[i].rlp);
        buffer_deinit(&stoa->blocks[i].receipts);
        buffer_deinit(&stoa->blocks[i].senders);
    }
    memory_free(stoa);
    fake = NULL;
}

void stoa_fake_limit(unsigned count)
{
    get()->limit = count;
}

void stoa_fake_fail_at(uint64_t height, int code)
{
    get()->fail_height = height;
    get()->fail_code = code;
}

unsigned stoa_fake_store_count(void)
{
    return get()->store_count;
}

const char *stoa_version(void)
{
    return "0";
}

static int add(struct stoa *stoa, const struct block *block, struct stoa_bytes receipts,
               const uint8_t *senders)
{
    ensure(stoa->count < BLOCKS_MAX);
    struct fake_block *stored = &stoa->blocks[stoa->count++];
    ensure(buffer_append(&stored->rlp, block->encoding.data, block->encoding.size) == 0);
    ensure(buffer_append(&stored->receipts, receipts.data, receipts.size) == 0);
    if (senders != NULL) {
        ensure(buffer_append(&stored->senders, senders, 20 * block->transaction_count) == 0);
    }
    memcpy(stored->hash, block->hash, HASH_SIZE);
    struct wide total = wide_load(block->header.difficulty);
    if (stoa->count > 1) {
        struct wide before = wide_load(stored[-1].total_difficulty);
        ensure(wide_add(&before, &total, &total));
    }
    wide_store(&total, stored->total_difficulty);
    return 0;
}

int stoa_create(const char *directory, const struct stoa_create_options *options,
                struct stoa_detail *detail)
{
    (void)directory;
    struct stoa *stoa = get();
    if (stoa->exists) {
        (void)snprintf(detail->text, sizeof(detail->text), "exists already");
        return STOA_EEXISTS;
    }
    stoa->exists = true;
    if (options->genesis_json != NULL) {
        struct genesis genesis;
        struct block block;
        ensure(genesis_parse(bytes_of(options->genesis_json, options->genesis_json_size), &genesis,
                             NULL) == 0);
        ensure(block_decode(buffer_bytes(&genesis.block), &block, NULL) == 0);
        (void)add(stoa, &block, (struct stoa_bytes){NULL, 0}, NULL);
        genesis_deinit(&genesis);
    }
    return 0;
}

int stoa_open(const char *directory, const struct stoa_options *options, struct stoa **out_stoa,
              struct stoa_detail *detail)
{
    (void)directory;
    (void)options;
    struct stoa *stoa = get();
    ensure(!stoa->open);
    if (!stoa->exists) {
        (void)snprintf(detail->text, sizeof(detail->text), "no store");
        return STOA_ENOTFOUND;
    }
    stoa->open = true;
    *out_stoa = stoa;
    return 0;
}

int stoa_connect(const char *address, const struct stoa_connect_options *options,
                 struct stoa **out_stoa, struct stoa_detail *detail)
{
    (void)address;
    (void)options;
    (void)out_stoa;
    (void)snprintf(detail->text, sizeof(detail->text), "no daemon");
    return STOA_ENOTFOUND;
}

int stoa_close(struct stoa *stoa, struct stoa_detail *detail)
{
    (void)detail;
    ensure(stoa->open);
    ensure(stoa->done_count == 0);
    stoa->open = false;
    return 0;
}

static int refuse(struct stoa_detail *detail, int code, const char *text)
{
    detail->code = code;
    (void)snprintf(detail->text, sizeof(detail->text), "%s", text);
    return code;
}

int stoa_store_block(struct stoa *stoa, const struct stoa_store_block *request,
                     struct stoa_detail *detail)
{
    struct block block;
    struct error_detail why = {.code = 0};
    stoa->store_count++;
    int result = block_decode(bytes_of(request->block.data, request->block.size), &block, &why);
    if (result != 0) {
        return refuse(detail, result, why.text);
    }
    if (stoa->fail_code != 0 && block.header.number == stoa->fail_height) {
        return refuse(detail, stoa->fail_code, "asked to fail");
    }
    if (request->expected_hash != NULL &&
        memcmp(request->expected_hash, block.hash, HASH_SIZE) != 0) {
        return refuse(detail, STOA_EREFUSED, "hash: not what was expected");
    }
    if (block.header.number != stoa->count ||
        (stoa->count > 0 &&
         memcmp(stoa->blocks[stoa->count - 1].hash, block.header.parent_hash, HASH_SIZE) != 0)) {
        return refuse(detail, STOA_EREFUSED, "parentHash: not the head");
    }
    result = block_check_transactions_root(&block, &why);
    if (result == 0 && request->receipts.data != NULL) {
        result = receipt_check_list(&block.header, block.transactions, block.transaction_count,
                                    bytes_of(request->receipts.data, request->receipts.size), &why);
    }
    if (result != 0) {
        return refuse(detail, result, why.text);
    }
    return add(stoa, &block, request->receipts, request->senders);
}

static int get_block(struct stoa *stoa, const struct stoa_block_key *key, struct stoa_block *out)
{
    ensure(key->by == STOA_BY_HEIGHT);
    if (key->height >= stoa->count) {
        return STOA_ENOTFOUND;
    }
    const struct fake_block *stored = &stoa->blocks[key->height];
    *out = (struct stoa_block){
        .height = key->height,
        .canonical = 1,
        .block = {stored->rlp.data, stored->rlp.size},
        .receipts = {stored->receipts.data, stored->receipts.size},
        .senders = {stored->senders.data, stored->senders.size},
    };
    memcpy(out->hash, stored->hash, HASH_SIZE);
    memcpy(out->total_difficulty, stored->total_difficulty, 32);
    return 0;
}

int stoa_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                   struct stoa_block *out_block, struct stoa_detail *detail)
{
    (void)detail;
    return get_block(stoa, key, out_block);
}

int stoa_get_transaction(struct stoa *stoa, const uint8_t hash[32],
                         struct stoa_transaction *out_transaction, struct stoa_detail *detail)
{
    (void)stoa;
    (void)hash;
    (void)out_transaction;
    return refuse(detail, STOA_ENOTFOUND, "the fake has no index");
}

/* It keeps no state. */
static int no_state(struct stoa_detail *detail)
{
    *detail = (struct stoa_detail){.code = STOA_ENOTSUP, .text = "no state is kept"};
    return STOA_ENOTSUP;
}

int stoa_get_state_at(struct stoa *stoa, const struct stoa_state_at *at,
                      struct stoa_bytes *out_value, struct stoa_detail *detail)
{
    (void)stoa;
    (void)at;
    (void)out_value;
    return no_state(detail);
}

int stoa_get_account(struct stoa *stoa, const struct stoa_state_query *query,
                     struct stoa_account *out_account, struct stoa_detail *detail)
{
    (void)stoa;
    (void)query;
    (void)out_account;
    return no_state(detail);
}

int stoa_get_storage(struct stoa *stoa, const struct stoa_state_query *query, uint8_t out_value[32],
                     struct stoa_detail *detail)
{
    (void)stoa;
    (void)query;
    (void)out_value;
    return no_state(detail);
}

int stoa_get_code(struct stoa *stoa, const struct stoa_state_query *query,
                  struct stoa_bytes *out_code, struct stoa_detail *detail)
{
    (void)stoa;
    (void)query;
    (void)out_code;
    return no_state(detail);
}

int stoa_get_proof(struct stoa *stoa, const struct stoa_proof_query *query,
                   struct stoa_proof **out_proof, struct stoa_detail *detail)
{
    (void)stoa;
    (void)query;
    (void)out_proof;
    return no_state(detail);
}

static bool lacks_receipts(const struct fake_block *stored)
{
    struct block block;
    ensure(block_decode(buffer_bytes(&stored->rlp), &block, NULL) == 0);
    return stored->receipts.size == 0 && block.transaction_count != 0;
}

/* It finds no logs, only blocks that lack receipts. */
int stoa_query_logs(struct stoa *stoa, const struct stoa_log_filter *filter,
                    struct stoa_logs *out_logs, struct stoa_detail *detail)
{
    if (!filter->allow_missing) {
        return no_state(detail);
    }
    *out_logs = (struct stoa_logs){.logs = memory_alloc(1)};
    for (uint64_t height = filter->from; height <= filter->to && height < stoa->count; height++) {
        if (lacks_receipts(&stoa->blocks[height])) {
            out_logs->missing = STOA_MISSING_RECEIPTS;
            out_logs->missing_height = height;
            break;
        }
    }
    return 0;
}

int stoa_get_address_transactions(struct stoa *stoa, const struct stoa_history_query *query,
                                  struct stoa_history *out_history, struct stoa_detail *detail)
{
    (void)stoa;
    (void)query;
    (void)out_history;
    return no_state(detail);
}

int stoa_get_header(struct stoa *stoa, const struct stoa_block_key *key,
                    struct stoa_header *out_header, struct stoa_detail *detail)
{
    (void)stoa;
    (void)key;
    (void)out_header;
    return no_state(detail);
}

int stoa_get_header_range(struct stoa *stoa, const struct stoa_block_range *range,
                          struct stoa_headers *out_headers, struct stoa_detail *detail)
{
    (void)stoa;
    (void)range;
    (void)out_headers;
    return no_state(detail);
}

int stoa_get_block_range(struct stoa *stoa, const struct stoa_block_range *range,
                         struct stoa_block *out_blocks, size_t *out_count,
                         struct stoa_detail *detail)
{
    (void)stoa;
    (void)range;
    (void)out_blocks;
    (void)out_count;
    return no_state(detail);
}

const char *stoa_index_name(int index)
{
    return index < 0 || index >= STOA_INDEXES ? NULL : "index";
}

int stoa_rebuild_index(struct stoa *stoa, int index,
                       int (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                       struct stoa_detail *detail)
{
    (void)stoa;
    (void)index;
    (void)progress;
    (void)context;
    return no_state(detail);
}

int stoa_submit_job(struct stoa *stoa, const struct stoa_job_options *options,
                    const struct stoa_call *call)
{
    (void)stoa;
    (void)options;
    (void)call;
    return STOA_ENOTSUP;
}

int stoa_list_jobs(struct stoa *stoa, struct stoa_job_info *out, size_t capacity, size_t *out_count,
                   struct stoa_detail *detail)
{
    (void)stoa;
    (void)out;
    (void)capacity;
    (void)out_count;
    return no_state(detail);
}

int stoa_pause_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    (void)stoa;
    (void)job;
    return no_state(detail);
}

int stoa_resume_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    return stoa_pause_job(stoa, job, detail);
}

int stoa_cancel_job(struct stoa *stoa, int job, struct stoa_detail *detail)
{
    return stoa_pause_job(stoa, job, detail);
}

int stoa_backup(struct stoa *stoa, const char *directory, const struct stoa_backup_options *options,
                struct stoa_copy_info *out_info, struct stoa_detail *detail)
{
    (void)stoa;
    (void)directory;
    (void)options;
    (void)out_info;
    return no_state(detail);
}

int stoa_backup_list(const char *directory,
                     int (*each)(void *context, const struct stoa_copy_info *info), void *context,
                     struct stoa_detail *detail)
{
    (void)directory;
    (void)each;
    (void)context;
    return no_state(detail);
}

int stoa_backup_verify(const char *directory, uint64_t number, const struct stoa_pace *pace,
                       void (*damage)(void *context, const char *file, const char *what),
                       void *context, struct stoa_backup_check *out_check,
                       struct stoa_detail *detail)
{
    (void)directory;
    (void)number;
    (void)pace;
    (void)damage;
    (void)context;
    (void)out_check;
    return no_state(detail);
}

int stoa_backup_prune(const char *directory, unsigned keep, uint64_t *out_removed,
                      struct stoa_detail *detail)
{
    (void)directory;
    (void)keep;
    (void)out_removed;
    return no_state(detail);
}

int stoa_restore(const char *backup, const char *directory,
                 const struct stoa_restore_options *options, struct stoa_restore_report *out_report,
                 struct stoa_detail *detail)
{
    (void)backup;
    (void)directory;
    (void)options;
    (void)out_report;
    return no_state(detail);
}

int stoa_query_archive(struct stoa *stoa, uint64_t from, struct stoa_archive **out_archive,
                       struct stoa_detail *detail)
{
    (void)stoa;
    (void)from;
    (void)out_archive;
    return no_state(detail);
}

int stoa_query_storage(struct stoa *stoa, struct stoa_storage **out_storage,
                       struct stoa_detail *detail)
{
    (void)stoa;
    (void)out_storage;
    return no_state(detail);
}

int stoa_create_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail)
{
    (void)stoa;
    (void)name;
    return no_state(detail);
}

int stoa_list_snapshots(struct stoa *stoa,
                        int (*each)(void *context, const struct stoa_copy_info *info),
                        void *context, struct stoa_detail *detail)
{
    (void)stoa;
    (void)each;
    (void)context;
    return no_state(detail);
}

int stoa_drop_snapshot(struct stoa *stoa, const char *name, struct stoa_detail *detail)
{
    (void)stoa;
    (void)name;
    return no_state(detail);
}

int stoa_restore_snapshot(struct stoa *stoa, const char *name, const char *directory,
                          const struct stoa_restore_options *options,
                          struct stoa_restore_report *out_report, struct stoa_detail *detail)
{
    (void)stoa;
    (void)name;
    (void)directory;
    (void)options;
    (void)out_report;
    return no_state(detail);
}

int stoa_scrub(struct stoa *stoa, const struct stoa_pace *pace,
               void (*damage)(void *context, const struct stoa_damage *damage), void *context,
               struct stoa_scrub_report *out_report, struct stoa_detail *detail)
{
    (void)stoa;
    (void)pace;
    (void)damage;
    (void)context;
    (void)out_report;
    return no_state(detail);
}

int stoa_list_damages(struct stoa *stoa,
                      void (*damage)(void *context, const struct stoa_damage *damage),
                      void *context, struct stoa_scrub_report *out_report,
                      struct stoa_detail *detail)
{
    (void)stoa;
    (void)damage;
    (void)context;
    (void)out_report;
    return no_state(detail);
}

int stoa_repair(const char *directory, const char *const *sources, size_t count,
                void (*damage)(void *context, const struct stoa_repair_damage *damage),
                void *context, struct stoa_repair_report *out_report, struct stoa_detail *detail)
{
    (void)directory;
    (void)sources;
    (void)count;
    (void)damage;
    (void)context;
    (void)out_report;
    return no_state(detail);
}

void stoa_free(void *pointer)
{
    memory_free(pointer);
}

int stoa_get_head(struct stoa *stoa, struct stoa_head *out_head)
{
    *out_head = (struct stoa_head){.empty = stoa->count == 0};
    if (stoa->count > 0) {
        out_head->height = stoa->count - 1;
        memcpy(out_head->hash, stoa->blocks[stoa->count - 1].hash, HASH_SIZE);
    }
    return 0;
}

int stoa_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                        struct stoa_detail *detail)
{
    (void)stoa;
    (void)receipts;
    return no_state(detail);
}

/* The fake has one branch. */

int stoa_update_state(struct stoa *stoa, const struct stoa_state_update *update,
                      struct stoa_detail *detail)
{
    (void)stoa;
    (void)update;
    return no_state(detail);
}

int stoa_update_head(struct stoa *stoa, const uint8_t hash[32], struct stoa_detail *detail)
{
    (void)stoa;
    (void)hash;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_set_finalized(struct stoa *stoa, const struct stoa_block_key *key,
                       struct stoa_detail *detail)
{
    (void)stoa;
    (void)key;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_set_safe(struct stoa *stoa, const struct stoa_block_key *key, struct stoa_detail *detail)
{
    (void)stoa;
    (void)key;
    (void)detail;
    return STOA_ENOTSUP;
}

int stoa_get_branches(struct stoa *stoa, struct stoa_branch *out, size_t capacity,
                      size_t *out_count, struct stoa_detail *detail)
{
    (void)stoa;
    (void)out;
    (void)capacity;
    (void)out_count;
    (void)detail;
    return STOA_ENOTSUP;
}

void stoa_release(struct stoa_view *view)
{
    ensure(view == NULL);
}

static struct stoa_completion *begin(struct stoa *stoa, uint64_t tag)
{
    unsigned limit = stoa->limit != 0 ? stoa->limit : LIMIT;
    if (stoa->done_count >= limit) {
        return NULL;
    }
    struct stoa_completion *completion = &stoa->done[stoa->done_count++];
    *completion = (struct stoa_completion){.tag = tag};
    return completion;
}

int stoa_submit_store_block(struct stoa *stoa, const struct stoa_store_block *block,
                            const struct stoa_call *call)
{
    struct stoa_completion *completion = begin(stoa, call->tag);
    if (completion == NULL) {
        return STOA_EBUSY;
    }
    completion->result = stoa_store_block(stoa, block, &completion->detail);
    return 0;
}

static int store_receipts(struct stoa *stoa, const struct stoa_store_receipts *request,
                          struct stoa_detail *detail)
{
    struct error_detail why = {.code = 0};
    struct block block;
    size_t i = 0;
    while (i < stoa->count && memcmp(stoa->blocks[i].hash, request->block_hash, HASH_SIZE) != 0) {
        i++;
    }
    if (i == stoa->count) {
        return refuse(detail, STOA_ENOTFOUND, "the block is not stored");
    }
    struct fake_block *stored = &stoa->blocks[i];
    if (stored->receipts.size != 0) {
        return refuse(detail, STOA_EEXISTS, "it has receipts");
    }
    struct bytes receipts = bytes_of(request->receipts.data, request->receipts.size);
    ensure(block_decode(buffer_bytes(&stored->rlp), &block, NULL) == 0);
    int result = receipt_check_list(&block.header, block.transactions, block.transaction_count,
                                    receipts, &why);
    if (result != 0) {
        return refuse(detail, result, why.text);
    }
    ensure(buffer_append(&stored->receipts, receipts.data, receipts.size) == 0);
    return 0;
}

int stoa_submit_store_receipts(struct stoa *stoa, const struct stoa_store_receipts *receipts,
                               const struct stoa_call *call)
{
    struct stoa_completion *completion = begin(stoa, call->tag);
    if (completion == NULL) {
        return STOA_EBUSY;
    }
    completion->result = store_receipts(stoa, receipts, &completion->detail);
    return 0;
}

int stoa_submit_get_block(struct stoa *stoa, const struct stoa_block_key *key,
                          const struct stoa_call *call)
{
    struct stoa_completion *completion = begin(stoa, call->tag);
    if (completion == NULL) {
        return STOA_EBUSY;
    }
    completion->result = get_block(stoa, key, &completion->block);
    return 0;
}

/* The newest first: completions come in any order. */
int stoa_reap(struct stoa *stoa, struct stoa_completion *out, unsigned count, int timeout_ms)
{
    unsigned taken = 0;
    if (timeout_ms == 0 && stoa->done_count < 7) {
        return 0;
    }
    while (taken < count && stoa->done_count > 0) {
        out[taken++] = stoa->done[--stoa->done_count];
    }
    return (int)taken;
}

int stoa_verify_deep(struct stoa *stoa,
                     void (*damage)(void *context, const struct stoa_damage *damage), void *context,
                     struct stoa_verify_report *out_report, struct stoa_detail *detail)
{
    return stoa_verify(stoa, damage, context, out_report, detail);
}

int stoa_analyze(struct stoa *stoa, struct stoa_analysis *out_analysis, struct stoa_detail *detail)
{
    (void)stoa;
    (void)detail;
    *out_analysis = (struct stoa_analysis){.size = sizeof(*out_analysis), .accounts = 3};
    return 0;
}

int stoa_get_block_changes(struct stoa *stoa, const struct stoa_block_key *key,
                           struct stoa_block_changes **out_changes, struct stoa_detail *detail)
{
    (void)stoa;
    (void)key;
    (void)out_changes;
    (void)detail;
    return STOA_ENOTFOUND;
}

int stoa_verify(struct stoa *stoa, void (*damage)(void *context, const struct stoa_damage *damage),
                void *context, struct stoa_verify_report *out_report, struct stoa_detail *detail)
{
    (void)stoa;
    (void)detail;
    const struct stoa_damage one = {
        .file = "ledger/00000000.seg",
        .offset = 4096,
        .size = 512,
        .height = 7,
        .has_height = 1,
        .what = "frame checksum",
    };
    damage(context, &one);
    *out_report = (struct stoa_verify_report){.segments = 1, .blocks = 9, .damages = 1};
    return STOA_ECORRUPT;
}

int stoa_get_stats(struct stoa *stoa, struct stoa_stats *out_stats)
{
    out_stats->blocks = stoa->count;
    return 0;
}

int stoa_metrics_list(struct stoa *stoa,
                      void (*each)(void *context, const struct stoa_metric *metric), void *context)
{
    (void)stoa;
    (void)each;
    (void)context;
    return 0;
}

int stoa_metrics_text(struct stoa *stoa, char **out_text, size_t *out_size)
{
    (void)stoa;
    (void)out_size;
    *out_text = memory_copy_text("");
    return *out_text == NULL ? STOA_ENOMEM : 0;
}

int stoa_get_health(struct stoa *stoa, struct stoa_health *out_health)
{
    (void)stoa;
    *out_health = (struct stoa_health)STOA_HEALTH_INIT;
    return 0;
}

const char *stoa_health_name(enum stoa_health_state state)
{
    return state == STOA_HEALTHY ? "healthy" : "failed";
}

int stoa_get_cache_stats(struct stoa *stoa, struct stoa_cache_stats *out_stats)
{
    (void)stoa;
    *out_stats = (struct stoa_cache_stats)STOA_CACHE_STATS_INIT; /* it has none */
    return 0;
}

const char *stoa_cache_class_name(int cache_class)
{
    (void)cache_class;
    return "none";
}
