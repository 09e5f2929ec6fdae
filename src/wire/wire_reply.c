/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire_reply.h"

#include <string.h>

#include "base/ensure.h"
#include "wire/wire_reply_private.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct wire_field account_fields[] = {
    WIRE_FIELD(struct stoa_account, nonce, WIRE_U64),
    WIRE_FIELD(struct stoa_account, balance, WIRE_U256),
    WIRE_FIELD(struct stoa_account, code_hash, WIRE_FIXED),
};

static const struct wire_field head_fields[] = {
    WIRE_FIELD(struct stoa_head, empty, WIRE_INT),
    WIRE_FIELD(struct stoa_head, height, WIRE_U64),
    WIRE_FIELD(struct stoa_head, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_head, total_difficulty, WIRE_U256),
    WIRE_FIELD(struct stoa_head, genesis_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_head, chain_id, WIRE_U64),
    WIRE_FIELD(struct stoa_head, has_safe, WIRE_INT),
    WIRE_FIELD(struct stoa_head, safe_height, WIRE_U64),
    WIRE_FIELD(struct stoa_head, safe_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_head, has_finalized, WIRE_INT),
    WIRE_FIELD(struct stoa_head, finalized_height, WIRE_U64),
    WIRE_FIELD(struct stoa_head, finalized_hash, WIRE_FIXED),
};

static const struct wire_field stats_fields[] = {
    WIRE_FIELD(struct stoa_stats, blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, ledger_segments, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, ledger_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, ledger_sequence, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, applied_sequence, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, pending_blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, table_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, frame_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, written_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, groups, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, appends, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, recovered_blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, cut_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, rebuilt_tables, WIRE_INT),
    WIRE_FIELD(struct stoa_stats, stopped, WIRE_INT),
    WIRE_FIELD(struct stoa_stats, io, WIRE_TEXT),
    WIRE_FIELD(struct stoa_stats, io_features, WIRE_TEXT),
    WIRE_FIELD(struct stoa_stats, state_heights, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, history_from, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, trie_history_from, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, bodies_from, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, receipts_from, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, logs_from, WIRE_U64),
    WIRE_FIELD(struct stoa_stats, transactions_from, WIRE_U64),
};

static const struct wire_field cache_stats_fields[] = {
    WIRE_FIELD(struct stoa_cache_stats, limit, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_stats, held, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_stats, leaving, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_stats, warmed, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_stats, warming, WIRE_INT),
};

static const struct wire_field cache_class_fields[] = {
    WIRE_FIELD(struct stoa_cache_class_stats, hits[0], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, hits[1], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, hits[2], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, misses, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, stale, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, bytes[0], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, bytes[1], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, bytes[2], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, objects[0], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, objects[1], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, objects[2], WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, budget, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, inserts, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, replaced, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, returned, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, evictions, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, expirations, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, dropped, WIRE_U64),
    WIRE_FIELD(struct stoa_cache_class_stats, refused, WIRE_U64),
};

static const struct wire_field health_fields[] = {
    WIRE_FIELD(struct stoa_health, state, WIRE_INT),
    WIRE_FIELD(struct stoa_health, version, WIRE_U64),
    WIRE_FIELD(struct stoa_health, violations, WIRE_U64),
    WIRE_FIELD(struct stoa_health, alerts, WIRE_U32),
    WIRE_FIELD(struct stoa_health, breakers_open, WIRE_U32),
    WIRE_FIELD(struct stoa_health, restarts, WIRE_U64),
};

static const struct wire_field reason_fields[] = {
    WIRE_FIELD(struct stoa_reason, code, WIRE_INT),
    WIRE_FIELD(struct stoa_reason, text, WIRE_TEXT),
};

static const struct wire_field analysis_fields[] = {
    WIRE_FIELD(struct stoa_analysis, height, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, accounts, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, contracts, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, slots, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, codes, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, code_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, raw_keys, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, raw_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, value_versions, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, value_version_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_branches, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_extensions, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_leaves, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_records, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_record_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_versions, WIRE_U64),
    WIRE_FIELD(struct stoa_analysis, trie_version_bytes, WIRE_U64),
};

static const struct wire_field copy_fields[] = {
    WIRE_FIELD(struct stoa_copy_info, created, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, store_id, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, chain_id, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, height, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_copy_info, state_root, WIRE_FIXED),
    WIRE_FIELD(struct stoa_copy_info, files, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_copy_info, own_bytes, WIRE_U64),
};

static const struct wire_field archive_fields[] = {
    WIRE_FIELD(struct stoa_archive, segments, WIRE_U64),
    WIRE_FIELD(struct stoa_archive, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_archive, live_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_archive, damaged, WIRE_U64),
    WIRE_FIELD(struct stoa_archive, next, WIRE_U64),
};

static const struct wire_field archive_segment_fields[] = {
    WIRE_FIELD(struct stoa_archive_segment, number, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, damaged, WIRE_INT),
    WIRE_FIELD(struct stoa_archive_segment, pruned, WIRE_INT),
    WIRE_FIELD(struct stoa_archive_segment, from, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, to, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, frames, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, live_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_archive_segment, dictionary_bytes, WIRE_U64),
};

static const struct wire_field storage_fields[] = {
    WIRE_FIELD(struct stoa_storage, ledger_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, spare_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, archive_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, dead_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, table_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, table_free_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, fragmentation, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, snapshots, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, snapshot_bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, segments, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, damaged, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, damages, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, missing, WIRE_U64),
    WIRE_FIELD(struct stoa_storage, replay_bytes, WIRE_U64),
};

static const struct wire_field storage_table_fields[] = {
    WIRE_FIELD(struct stoa_storage_table, name, WIRE_TEXT),
    WIRE_FIELD(struct stoa_storage_table, index, WIRE_TEXT),
    WIRE_FIELD(struct stoa_storage_table, level, WIRE_INT),
    WIRE_FIELD(struct stoa_storage_table, entries, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_table, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_table, free_bytes, WIRE_U64),
};

static const struct wire_field storage_index_fields[] = {
    WIRE_FIELD(struct stoa_storage_index, name, WIRE_TEXT),
    WIRE_FIELD(struct stoa_storage_index, runs, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_index, entries, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_index, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_index, missing, WIRE_U64),
};

static const struct wire_field storage_segment_fields[] = {
    WIRE_FIELD(struct stoa_storage_segment, number, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, form, WIRE_INT),
    WIRE_FIELD(struct stoa_storage_segment, damaged, WIRE_INT),
    WIRE_FIELD(struct stoa_storage_segment, from, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, to, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, frames, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_storage_segment, dead_bytes, WIRE_U64),
};

static const struct wire_field storage_advice_fields[] = {
    WIRE_FIELD(struct stoa_storage_advice, action, WIRE_TEXT),
    WIRE_FIELD(struct stoa_storage_advice, reason, WIRE_TEXT),
};

static const struct wire_field verification_fields[] = {
    WIRE_FIELD(struct stoa_verification, deep, WIRE_INT),
    WIRE_FIELD(struct stoa_verification, result, WIRE_INT),
    WIRE_FIELD(struct stoa_verification, began, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, ended, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, height, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.segments, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.frames, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.transactions, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.receipts, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.damages, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.changes, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.roots, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.full_roots, WIRE_U64),
    WIRE_FIELD(struct stoa_verification, report.noted, WIRE_INT),
};

static const struct wire_field verified_fields[] = {
    WIRE_FIELD(struct stoa_verify_report, segments, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, frames, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, blocks, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, transactions, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, receipts, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, damages, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, changes, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, roots, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, full_roots, WIRE_U64),
    WIRE_FIELD(struct stoa_verify_report, noted, WIRE_INT),
};

static const struct wire_field damage_fields[] = {
    WIRE_FIELD(struct stoa_damage, offset, WIRE_U64),
    WIRE_FIELD(struct stoa_damage, size, WIRE_U64),
    WIRE_FIELD(struct stoa_damage, height, WIRE_U64),
    WIRE_FIELD(struct stoa_damage, has_height, WIRE_INT),
};

static const struct wire_field branch_fields[] = {
    WIRE_FIELD(struct stoa_branch, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_branch, height, WIRE_U64),
    WIRE_FIELD(struct stoa_branch, total_difficulty, WIRE_U256),
    WIRE_FIELD(struct stoa_branch, canonical, WIRE_INT),
    WIRE_FIELD(struct stoa_branch, fork_height, WIRE_U64),
    WIRE_FIELD(struct stoa_branch, fork_hash, WIRE_FIXED),
};

static const struct wire_field log_fields[] = {
    WIRE_FIELD(struct stoa_log, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_log, height, WIRE_U64),
    WIRE_FIELD(struct stoa_log, timestamp, WIRE_U64),
    WIRE_FIELD(struct stoa_log, block_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_log, transaction_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_log, transaction_index, WIRE_U32),
    WIRE_FIELD(struct stoa_log, log_index, WIRE_U32),
};

static const struct wire_field entry_fields[] = {
    WIRE_FIELD(struct stoa_history_entry, height, WIRE_U64),
    WIRE_FIELD(struct stoa_history_entry, index, WIRE_U32),
    WIRE_FIELD(struct stoa_history_entry, roles, WIRE_U32),
    WIRE_FIELD(struct stoa_history_entry, transaction_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_history_entry, block_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_history_entry, timestamp, WIRE_U64),
};

static const struct wire_field cursor_fields[] = {
    WIRE_FIELD(struct stoa_cursor, spot, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_height, WIRE_U64),
    WIRE_FIELD(struct stoa_cursor, anchor_hash, WIRE_FIXED),
};

static const struct wire_field proof_fields[] = {
    WIRE_FIELD(struct stoa_proof, address, WIRE_FIXED),
    WIRE_FIELD(struct stoa_proof, nonce, WIRE_U64),
    WIRE_FIELD(struct stoa_proof, balance, WIRE_U256),
    WIRE_FIELD(struct stoa_proof, code_hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_proof, storage_root, WIRE_FIXED),
};

static const struct wire_field block_fields[] = {
    WIRE_FIELD(struct stoa_block, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_block, height, WIRE_U64),
    WIRE_FIELD(struct stoa_block, total_difficulty, WIRE_U256),
    WIRE_FIELD(struct stoa_block, canonical, WIRE_INT),
};

static const struct wire_field header_fields[] = {
    WIRE_FIELD(struct stoa_header, hash, WIRE_FIXED),
    WIRE_FIELD(struct stoa_header, height, WIRE_U64),
    WIRE_FIELD(struct stoa_header, total_difficulty, WIRE_U256),
    WIRE_FIELD(struct stoa_header, canonical, WIRE_INT),
};

static const struct wire_field job_fields[] = {
    WIRE_FIELD(struct stoa_job_info, job, WIRE_INT),
    WIRE_FIELD(struct stoa_job_info, state, WIRE_INT),
    WIRE_FIELD(struct stoa_job_info, active, WIRE_INT),
    WIRE_FIELD(struct stoa_job_info, flags, WIRE_U32),
    WIRE_FIELD(struct stoa_job_info, interrupted, WIRE_INT),
    WIRE_FIELD(struct stoa_job_info, done, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, total, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, bytes, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, operations, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, elapsed_ms, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, remaining_ms, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, started, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, ended, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, next, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, runs, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, failures, WIRE_U64),
    WIRE_FIELD(struct stoa_job_info, last_result, WIRE_INT),
    WIRE_FIELD(struct stoa_job_info, last_error, WIRE_TEXT),
    WIRE_FIELD(struct stoa_job_info, text, WIRE_TEXT),
};

static const struct wire_field fact_fields[] = {
    WIRE_FIELD(struct stoa_job_fact, name, WIRE_TEXT),
    WIRE_FIELD(struct stoa_job_fact, value, WIRE_U64),
};

struct wire_reply_table wire_reply_fields(enum wire_reply_struct which)
{
    static const struct wire_reply_table tables[] = {
        [WIRE_STRUCT_ACCOUNT] = {account_fields, COUNT(account_fields)},
        [WIRE_STRUCT_HEAD] = {head_fields, COUNT(head_fields)},
        [WIRE_STRUCT_STATS] = {stats_fields, COUNT(stats_fields)},
        [WIRE_STRUCT_CACHE_STATS] = {cache_stats_fields, COUNT(cache_stats_fields)},
        [WIRE_STRUCT_CACHE_CLASS] = {cache_class_fields, COUNT(cache_class_fields)},
        [WIRE_STRUCT_HEALTH] = {health_fields, COUNT(health_fields)},
        [WIRE_STRUCT_REASON] = {reason_fields, COUNT(reason_fields)},
        [WIRE_STRUCT_ANALYSIS] = {analysis_fields, COUNT(analysis_fields)},
        [WIRE_STRUCT_COPY] = {copy_fields, COUNT(copy_fields)},
        [WIRE_STRUCT_ARCHIVE] = {archive_fields, COUNT(archive_fields)},
        [WIRE_STRUCT_ARCHIVE_SEGMENT] = {archive_segment_fields, COUNT(archive_segment_fields)},
        [WIRE_STRUCT_STORAGE] = {storage_fields, COUNT(storage_fields)},
        [WIRE_STRUCT_STORAGE_TABLE] = {storage_table_fields, COUNT(storage_table_fields)},
        [WIRE_STRUCT_STORAGE_INDEX] = {storage_index_fields, COUNT(storage_index_fields)},
        [WIRE_STRUCT_STORAGE_SEGMENT] = {storage_segment_fields, COUNT(storage_segment_fields)},
        [WIRE_STRUCT_STORAGE_ADVICE] = {storage_advice_fields, COUNT(storage_advice_fields)},
        [WIRE_STRUCT_VERIFICATION] = {verification_fields, COUNT(verification_fields)},
        [WIRE_STRUCT_VERIFIED] = {verified_fields, COUNT(verified_fields)},
        [WIRE_STRUCT_DAMAGE] = {damage_fields, COUNT(damage_fields)},
        [WIRE_STRUCT_BRANCH] = {branch_fields, COUNT(branch_fields)},
        [WIRE_STRUCT_LOG] = {log_fields, COUNT(log_fields)},
        [WIRE_STRUCT_HISTORY_ENTRY] = {entry_fields, COUNT(entry_fields)},
        [WIRE_STRUCT_CURSOR] = {cursor_fields, COUNT(cursor_fields)},
        [WIRE_STRUCT_PROOF] = {proof_fields, COUNT(proof_fields)},
        [WIRE_STRUCT_BLOCK] = {block_fields, COUNT(block_fields)},
        [WIRE_STRUCT_HEADER] = {header_fields, COUNT(header_fields)},
        [WIRE_STRUCT_JOB] = {job_fields, COUNT(job_fields)},
        [WIRE_STRUCT_FACT] = {fact_fields, COUNT(fact_fields)},
    };
    ensure((size_t)which < COUNT(tables));
    return tables[which];
}

static void write_fields(struct wire_writer *writer, enum wire_reply_struct which,
                         const void *object)
{
    struct wire_reply_table table = wire_reply_fields(which);
    wire_field_write(writer, table.fields, table.count, object);
}

static void write_list(struct wire_writer *writer, enum wire_reply_struct which, const void *object)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, which, object);
    wire_writer_end(writer, mark);
}

static void write_block(struct wire_writer *writer, const struct stoa_block *block)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, WIRE_STRUCT_BLOCK, block);
    wire_writer_long(writer, block->block.data, block->block.size);
    wire_writer_optional(writer, block->receipts.data, block->receipts.size);
    wire_writer_optional(writer, block->senders.data, block->senders.size);
    wire_writer_optional(writer, block->envelope.data, block->envelope.size);
    if (block->receipts_pruned != 0) { /* else nothing */
        wire_writer_u64(writer, 1);
    }
    wire_writer_end(writer, mark);
}

static void write_header(struct wire_writer *writer, const struct stoa_header *header)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, WIRE_STRUCT_HEADER, header);
    wire_writer_string(writer, header->header.data, header->header.size);
    wire_writer_end(writer, mark);
}

/* Where PART is in WHOLE, as offset and size, or itself where that does not come; an empty list
 * where it is not there. */
static void write_place(struct wire_writer *writer, struct stoa_bytes whole, struct stoa_bytes part)
{
    if (whole.data == NULL && part.data != NULL) {
        wire_writer_long(writer, part.data, part.size);
        return;
    }
    struct wire_mark mark = wire_writer_list(writer);
    if (part.data != NULL) {
        ensure(part.data >= whole.data && part.size <= whole.size &&
               (size_t)(part.data - whole.data) <= whole.size - part.size);
        wire_writer_u64(writer, (uint64_t)(part.data - whole.data));
        wire_writer_u64(writer, part.size);
    }
    wire_writer_end(writer, mark);
}

static void write_transaction(struct wire_writer *writer, const struct stoa_transaction *own)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_block(writer, &own->block);
    wire_writer_u64(writer, own->index);
    wire_writer_string(writer, own->hash, sizeof(own->hash));
    write_place(writer, own->block.block, own->transaction);
    write_place(writer, own->block.receipts, own->receipt);
    wire_writer_optional(writer, own->sender, 20);
    wire_writer_end(writer, mark);
}

static void write_nodes(struct wire_writer *writer, const struct stoa_bytes *nodes, size_t count)
{
    struct wire_mark mark = wire_writer_list(writer);
    for (size_t i = 0; i < count; i++) {
        wire_writer_string(writer, nodes[i].data, nodes[i].size);
    }
    wire_writer_end(writer, mark);
}

static void write_proof(struct wire_writer *writer, const struct stoa_proof *proof)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, WIRE_STRUCT_PROOF, proof);
    write_nodes(writer, proof->nodes, proof->node_count);
    struct wire_mark slots = wire_writer_list(writer);
    for (size_t i = 0; i < proof->slot_count; i++) {
        const struct stoa_proof_slot *slot = &proof->slots[i];
        struct wire_mark list = wire_writer_list(writer);
        wire_writer_u256(writer, slot->key);
        wire_writer_u256(writer, slot->value);
        write_nodes(writer, slot->nodes, slot->node_count);
        wire_writer_end(writer, list);
    }
    wire_writer_end(writer, slots);
    wire_writer_end(writer, mark);
}

static void write_logs(struct wire_writer *writer, const struct stoa_logs *logs)
{
    struct wire_mark mark = wire_writer_list(writer);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < logs->count; i++) {
        const struct stoa_log *log = &logs->logs[i];
        struct wire_mark one = wire_writer_list(writer);
        write_fields(writer, WIRE_STRUCT_LOG, log);
        wire_writer_string(writer, log->topics, (size_t)log->topic_count * 32);
        wire_writer_string(writer, log->data.data, log->data.size);
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, list);
    wire_writer_u64(writer, (uint32_t)logs->more);
    write_list(writer, WIRE_STRUCT_CURSOR, &logs->cursor);
    wire_writer_u64(writer, logs->missing);
    wire_writer_u64(writer, logs->missing_height);
    wire_writer_end(writer, mark);
}

static void write_history(struct wire_writer *writer, const struct stoa_history *history)
{
    struct wire_mark mark = wire_writer_list(writer);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < history->count; i++) {
        write_list(writer, WIRE_STRUCT_HISTORY_ENTRY, &history->entries[i]);
    }
    wire_writer_end(writer, list);
    wire_writer_u64(writer, (uint32_t)history->more);
    write_list(writer, WIRE_STRUCT_CURSOR, &history->cursor);
    wire_writer_u64(writer, history->missing);
    wire_writer_end(writer, mark);
}

static void write_cache_stats(struct wire_writer *writer, const struct stoa_cache_stats *stats)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, WIRE_STRUCT_CACHE_STATS, stats);
    struct wire_mark list = wire_writer_list(writer);
    for (unsigned i = 0; i < STOA_CACHE_CLASSES; i++) {
        write_list(writer, WIRE_STRUCT_CACHE_CLASS, &stats->classes[i]);
    }
    wire_writer_end(writer, list);
    wire_writer_end(writer, mark);
}

static void write_health(struct wire_writer *writer, const struct stoa_health *health)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_fields(writer, WIRE_STRUCT_HEALTH, health);
    struct wire_mark list = wire_writer_list(writer);
    for (unsigned i = 0; i < health->reason_count && i < STOA_REASONS_MAX; i++) {
        write_list(writer, WIRE_STRUCT_REASON, &health->reasons[i]);
    }
    wire_writer_end(writer, list);
    wire_writer_end(writer, mark);
}

static void write_verified(struct wire_writer *writer, const struct stoa_completion *completion)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_list(writer, WIRE_STRUCT_VERIFIED, completion->verified);
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < completion->damage_count; i++) {
        const struct stoa_damage *damage = &completion->damages[i];
        struct wire_mark one = wire_writer_list(writer);
        write_fields(writer, WIRE_STRUCT_DAMAGE, damage);
        wire_writer_text(writer, damage->file != NULL ? damage->file : "");
        wire_writer_text(writer, damage->what != NULL ? damage->what : "");
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, list);
    wire_writer_end(writer, mark);
}

static void write_copies(struct wire_writer *writer, const struct stoa_completion *completion)
{
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < completion->copy_count; i++) {
        const struct stoa_copy_info *copy = &completion->copies[i];
        struct wire_mark one = wire_writer_list(writer);
        write_fields(writer, WIRE_STRUCT_COPY, copy);
        wire_writer_text(writer, copy->name != NULL ? copy->name : "");
        wire_writer_text(writer, copy->path != NULL ? copy->path : "");
        wire_writer_text(writer, copy->damaged != NULL ? copy->damaged : "");
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, list);
}

/* COUNT structs of SIZE bytes, each a list. */
static void write_items(struct wire_writer *writer, enum wire_reply_struct which, const void *items,
                        size_t size, size_t count)
{
    struct wire_mark list = wire_writer_list(writer);
    for (size_t i = 0; i < count; i++) {
        write_list(writer, which, (const uint8_t *)items + i * size);
    }
    wire_writer_end(writer, list);
}

static void write_storage(struct wire_writer *writer, const struct stoa_storage *storage)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_list(writer, WIRE_STRUCT_STORAGE, storage);
    write_items(writer, WIRE_STRUCT_STORAGE_TABLE, storage->tables, sizeof(*storage->tables),
                storage->table_count);
    write_items(writer, WIRE_STRUCT_STORAGE_INDEX, storage->indexes, sizeof(*storage->indexes),
                storage->index_count);
    write_items(writer, WIRE_STRUCT_STORAGE_SEGMENT, storage->list, sizeof(*storage->list),
                storage->segment_count);
    write_items(writer, WIRE_STRUCT_STORAGE_ADVICE, storage->advice, sizeof(*storage->advice),
                storage->advice_count);
    write_items(writer, WIRE_STRUCT_VERIFICATION, storage->verifications,
                sizeof(*storage->verifications), storage->verification_count);
    wire_writer_end(writer, mark);
}

static void write_archive(struct wire_writer *writer, const struct stoa_archive *archive)
{
    struct wire_mark mark = wire_writer_list(writer);
    write_list(writer, WIRE_STRUCT_ARCHIVE, archive);
    write_items(writer, WIRE_STRUCT_ARCHIVE_SEGMENT, archive->list, sizeof(*archive->list),
                archive->count);
    wire_writer_end(writer, mark);
}

static void write_blocks(struct wire_writer *writer, const struct stoa_block *blocks, size_t first,
                         size_t count)
{
    struct wire_mark mark = wire_writer_list(writer);
    for (size_t i = first; i < count; i++) {
        write_block(writer, &blocks[i]);
    }
    wire_writer_end(writer, mark);
}

static void write_jobs(struct wire_writer *writer, const struct stoa_completion *own)
{
    struct wire_mark mark = wire_writer_list(writer);
    for (size_t i = 0; i < own->job_count; i++) {
        const struct stoa_job_info *job = &own->jobs[i];
        struct wire_mark one = wire_writer_list(writer);
        write_fields(writer, WIRE_STRUCT_JOB, job);
        struct wire_mark facts = wire_writer_list(writer);
        for (unsigned j = 0; j < job->fact_count && j < STOA_JOB_FACTS_MAX; j++) {
            write_list(writer, WIRE_STRUCT_FACT, &job->facts[j]);
        }
        wire_writer_end(writer, facts);
        wire_writer_end(writer, one);
    }
    wire_writer_end(writer, mark);
}

static void write_body(struct wire_writer *writer, const struct stoa_completion *own, size_t first)
{
    struct wire_mark mark;
    switch (wire_message_reply(own->message)) {
    case WIRE_REPLY_BLOCK:
        write_block(writer, &own->block);
        break;
    case WIRE_REPLY_BLOCKS:
        write_blocks(writer, own->blocks, first, own->block_count);
        break;
    case WIRE_REPLY_HEADER:
        write_header(writer, &own->header);
        break;
    case WIRE_REPLY_HEADERS:
        mark = wire_writer_list(writer);
        for (size_t i = 0; i < own->headers.count; i++) {
            write_header(writer, &own->headers.headers[i]);
        }
        wire_writer_end(writer, mark);
        break;
    case WIRE_REPLY_TRANSACTION:
        write_transaction(writer, &own->transaction);
        break;
    case WIRE_REPLY_VALUE:
        wire_writer_long(writer, own->value.data, own->value.size);
        break;
    case WIRE_REPLY_ACCOUNT:
        write_list(writer, WIRE_STRUCT_ACCOUNT, &own->account);
        break;
    case WIRE_REPLY_PROOF:
        write_proof(writer, own->proof);
        break;
    case WIRE_REPLY_LOGS:
        write_logs(writer, &own->logs);
        break;
    case WIRE_REPLY_HISTORY:
        write_history(writer, &own->history);
        break;
    case WIRE_REPLY_HEAD:
        write_list(writer, WIRE_STRUCT_HEAD, &own->head);
        break;
    case WIRE_REPLY_STATS:
        write_list(writer, WIRE_STRUCT_STATS, own->stats);
        break;
    case WIRE_REPLY_CACHE_STATS:
        write_cache_stats(writer, own->cache_stats);
        break;
    case WIRE_REPLY_HEALTH:
        write_health(writer, own->health);
        break;
    case WIRE_REPLY_ANALYSIS:
        write_list(writer, WIRE_STRUCT_ANALYSIS, own->analysis);
        break;
    case WIRE_REPLY_VERIFIED:
        write_verified(writer, own);
        break;
    case WIRE_REPLY_BRANCHES:
        mark = wire_writer_list(writer);
        for (size_t i = 0; i < own->branch_count; i++) {
            write_list(writer, WIRE_STRUCT_BRANCH, &own->branches[i]);
        }
        wire_writer_end(writer, mark);
        break;
    case WIRE_REPLY_JOBS:
        write_jobs(writer, own);
        break;
    case WIRE_REPLY_COPIES:
        write_copies(writer, own);
        break;
    case WIRE_REPLY_ARCHIVE:
        write_archive(writer, own->archive);
        break;
    case WIRE_REPLY_STORAGE:
        write_storage(writer, own->storage);
        break;
    case WIRE_REPLY_NOTHING:
    case WIRE_REPLY_UNKNOWN:
        wire_writer_end(writer, wire_writer_list(writer));
        break;
    }
}

void wire_reply_write(struct wire_writer *writer, const struct stoa_completion *completion,
                      size_t first)
{
    /* What verification found is told where it found damage, too; and how a job failed. */
    bool has_body =
        completion->result == 0 || completion->verified != NULL || completion->job_count != 0;
    struct wire_mark mark = wire_writer_list(writer);
    wire_writer_u64(writer, (uint32_t)completion->effect);
    wire_writer_u64(writer, completion->tries);
    struct wire_mark detail = wire_writer_list(writer);
    if (completion->detail.code != 0 || completion->detail.text[0] != '\0') {
        wire_writer_u64(writer, (uint32_t)completion->detail.os_error);
        wire_writer_text(writer, completion->detail.text);
    }
    wire_writer_end(writer, detail);
    wire_field_write_fixed(writer, completion->hash, sizeof(completion->hash));
    wire_writer_u64(writer, completion->height);
    if (has_body) {
        write_body(writer, completion, first);
    }
    wire_writer_end(writer, mark);
}

void wire_reply_write_part(struct wire_writer *writer, const struct stoa_block *blocks,
                           size_t count)
{
    write_blocks(writer, blocks, 0, count);
}

void wire_reply_write_error(struct wire_writer *writer, enum stoa_effect effect, const char *text)
{
    struct wire_mark mark = wire_writer_list(writer);
    wire_writer_u64(writer, (uint32_t)effect);
    wire_writer_u64(writer, 0);
    struct wire_mark detail = wire_writer_list(writer);
    wire_writer_u64(writer, 0);
    wire_writer_text(writer, text);
    wire_writer_end(writer, detail);
    wire_writer_end(writer, mark);
}
