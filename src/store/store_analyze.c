/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the state is made of, counted by walking its values and tries. On the loop, with everything
 * applied, so that the tables have it all. */
#include "base/ensure.h"
#include "state/state_update.h"
#include "store/state_change.h"
#include "store/store_private.h"
#include "store/values.h"

static int count_account(void *context, const struct values_account *account)
{
    struct stoa_analysis *analysis = context;
    struct stoa_account fields;
    int result = state_change_read_account(account->value, &fields, NULL);
    if (result != 0) {
        return result;
    }
    analysis->accounts++;
    analysis->contracts += memcmp(fields.code_hash, state_empty_code_hash, 32) != 0;
    for (size_t i = 0; i < account->slot_count; i++) {
        analysis->slots += account->slots[i].value.size != 0;
    }
    return 0;
}

static int count_code(void *context, struct bytes code)
{
    struct stoa_analysis *analysis = context;
    analysis->codes++;
    analysis->code_bytes += code.size;
    return 0;
}

static int count_raw(void *context, struct bytes key, struct bytes value)
{
    struct stoa_analysis *analysis = context;
    analysis->raw_keys++;
    analysis->raw_bytes += key.size + value.size;
    return 0;
}

static int count_record(void *context, struct bytes base, struct bytes record)
{
    struct stoa_analysis *analysis = context;
    analysis->trie_records++;
    analysis->trie_record_bytes += base.size + record.size;
    if (record.size < 2) {
        return STOA_ECORRUPT;
    }
    if ((record.data[0] & TRIE_RECORD_LEAF) != 0) {
        analysis->trie_leaves++;
        return 0;
    }
    size_t bitmaps = 2 + ((size_t)record.data[1] + 1) / 2;
    if (record.size < bitmaps + 4) {
        return STOA_ECORRUPT;
    }
    analysis->trie_branches++;
    analysis->trie_extensions += record.data[1] != 0;
    for (unsigned leaves = bytes_load_le16(record.data + bitmaps + 2); leaves != 0;
         leaves &= leaves - 1) {
        analysis->trie_leaves++;
    }
    return 0;
}

int store_analyze(struct store *store, struct stoa_analysis *out_analysis,
                  struct error_detail *detail)
{
    struct stoa_analysis analysis = STOA_ANALYSIS_INIT;
    struct values_visitor visitor = {
        .account = count_account, .code = count_code, .raw = count_raw, .context = &analysis};
    struct values_records records = {.record = count_record, .context = &analysis};
    uint64_t height = store->head.present ? store->head.height : 0;
    struct index_asker asker = {store->options.is_stopping, store->options.stopping_context,
                                store->session};
    int result = store_apply_all(store, detail);
    index_ask(store->index, asker.is_stopping != NULL ? &asker : NULL);
    if (result == 0) {
        result = values_walk(store->index, store->session, height, &visitor, detail);
    }
    if (result == 0) {
        result = values_walk_records(store->index, store->session, height, &records, detail);
    }
    index_ask(store->index, NULL);
    store_note_tables(store, result);
    if (result != 0) {
        return error_set(detail, result, "analyze: %s", stoa_strerror(result));
    }
    analysis.height = height;
    analysis.value_versions = visitor.versions;
    analysis.value_version_bytes = visitor.version_bytes;
    analysis.trie_versions = records.versions;
    analysis.trie_version_bytes = records.version_bytes;
    *out_analysis = analysis;
    return 0;
}
