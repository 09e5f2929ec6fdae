/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The deep part of checking everything: the state from its values.
 *
 *   values   the root of all values, worked out from nothing else, as of the lowest height that is
 *            kept and as of the head, against the root that the tries have there, which is compared
 *            with the header's;
 *   history  each change that the ledger has of a block is the version of its height in the index;
 *   roots    these changes, put into the tries as of the block before, give the block's root.
 *
 * So by induction the values as of every height that is kept are those of its header's root. */
#include "store/store_verify_private.h"

static int report_state(struct verify *verify, uint64_t height, const char *file, const char *what)
{
    struct ledger_frame frame = {.height = height};
    verify_report(verify, &frame, file, what);
    return 0;
}

/* One change of a canonical block is in the index, as of its height and not before. */
static int check_change(struct verify *verify, uint64_t height, const struct record_change *change)
{
    struct store *store = verify->store;
    unsigned domain = change->key.data[0];
    struct bytes value;
    uint64_t bound = height;
    if (domain == STATE_KEY_MARK) {
        return 0;
    }
    int result =
        index_find_state(store->index, store->session, change->key, &bound, &value, verify->detail);
    store_note_tables(store, result);
    verify->report.changes++;
    if (result == STOA_ECORRUPT) {
        return report_state(verify, height, "tables/state", "a change of this block is damaged");
    }
    if (result != 0 && result != STOA_ENOTFOUND) {
        return result;
    }
    bool same = change->removed
                    ? result == STOA_ENOTFOUND
                    : result == 0 && bound == height && bytes_equal(value, change->value);
    if (!same && domain != STATE_KEY_RAW) { /* those may have been updated since */
        return report_state(verify, height, "tables/state",
                            "a change of this block is missing or wrong");
    }
    return 0;
}

static int check_changes(struct verify *verify, uint64_t height)
{
    struct bytes cursor = buffer_bytes(&verify->changes);
    struct record_change change;
    int result = 0;
    while (result == 0 && record_next_change(&cursor, &change) == 0) {
        result = check_change(verify, height, &change);
    }
    return result;
}

/* The root that the changes make of the tries before. */
static int check_root(struct verify *verify, uint64_t height, const uint8_t wanted[32])
{
    struct store *store = verify->store;
    struct tries_reader reader;
    store_tries_reader(store, height - 1, &reader);
    reader.session = store->session;
    int result = tries_run(&verify->tries, &reader, buffer_bytes(&verify->changes), height, false);
    trie_layer_release(verify->tries.layer);
    verify->tries.layer = NULL;
    verify->report.roots++;
    store_note_tables(store, result);
    if (result == STOA_EREFUSED || result == STOA_ECORRUPT ||
        (result == 0 && memcmp(verify->tries.root, wanted, 32) != 0)) {
        return report_state(verify, height, "tables/trie",
                            "the changes of this block lead to another state root");
    }
    if (result != 0 && verify->detail != NULL) {
        *verify->detail = verify->tries.detail;
    }
    return result;
}

void verify_deep_note(struct verify *verify, const uint8_t hash[32], struct bytes changes)
{
    memcpy(verify->changed, hash, 32);
    buffer_clear(&verify->changes);
    if (buffer_append(&verify->changes, changes.data, changes.size) != 0) {
        verify->out_of_memory = true;
    }
}

int verify_deep_block(struct verify *verify, uint64_t height, const uint8_t hash[32],
                      const uint8_t *state_root)
{
    struct index_floors floors = store_floors(verify->store);
    if (verify->out_of_memory) {
        return error_set(verify->detail, STOA_ENOMEM, "verify");
    }
    if (verify->changes.size == 0 || memcmp(verify->changed, hash, 32) != 0) {
        return 0;
    }
    int result = height > floors.values || height == 0 ? check_changes(verify, height) : 0;
    bool rooted = state_root != NULL && height > floors.tries &&
                  tries_is_marked(buffer_bytes(&verify->changes));
    if (result == 0 && rooted) {
        result = check_root(verify, height, state_root);
    }
    buffer_clear(&verify->changes);
    return result;
}

/* All values as of HEIGHT against the tries. */
static int check_values(struct verify *verify, uint64_t height)
{
    struct store *store = verify->store;
    uint8_t made[32];
    uint8_t root[32];
    int result = values_root(store->index, store->session, height, made, verify->detail);
    store_note_tables(store, result);
    if (result != 0) {
        return result == STOA_ECORRUPT
                   ? report_state(verify, height, "tables/state", "a value is damaged")
                   : result;
    }
    struct tries_reader reader;
    struct trie_task task;
    store_tries_reader(store, height, &reader);
    struct buffer scratch;
    buffer_init(&scratch);
    reader.session = store->session;
    reader.scratch = &scratch;
    struct trie_reader records = tries_reader_of(&reader);
    trie_task_init(&task, &records);
    result = trie_update_root(bytes_of(NULL, 0), &task, root);
    trie_task_deinit(&task);
    buffer_deinit(&scratch);
    verify->report.full_roots++;
    if (result == STOA_ECORRUPT || (result == 0 && memcmp(made, root, 32) != 0)) {
        return report_state(verify, height, "tables/state",
                            "the values as of this block have another state root");
    }
    return result;
}

int verify_deep_values(struct verify *verify)
{
    struct store *store = verify->store;
    struct index_floors floors = store_floors(store);
    uint64_t floor = floors.values > floors.tries ? floors.values : floors.tries;
    uint64_t end = store->head.present ? store->head.state_end : 0;
    if (end <= floor) {
        return 0; /* the state is not known */
    }
    int result = check_values(verify, floor);
    return result == 0 && end - 1 > floor ? check_values(verify, end - 1) : result;
}
