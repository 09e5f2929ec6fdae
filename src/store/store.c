/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/genesis.h"
#include "chain/keccak.h"
#include "store/state_change.h"
#include "store/store_private.h"

static const char file_identity[] = "STORE";
static const char file_lock[] = "LOCK";
static const char folder_ledger[] = "ledger";
static const char folder_tables[] = "tables";

static const uint64_t checkpoint_ns_default = 30000000000;
enum { TABLE_WORKERS_DEFAULT = 4, WRITER_COUNT = 4, VERIFY_WORKERS_DEFAULT = 2 };

static int join(char out[STORE_PATH_SIZE_MAX], const char *directory, const char *name,
                struct error_detail *detail)
{
    int length = snprintf(out, STORE_PATH_SIZE_MAX, "%s/%s", directory, name);
    ensure(length >= 0);
    return length < STORE_PATH_SIZE_MAX
               ? 0
               : error_set(detail, STOA_EINVAL, "the path of the store is too long");
}

/* ---- small blocking file operations, for creating and opening ---- */

static int make_directory(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_MKDIR, .path = path};
    return io_wait(io, &request) < 0
               ? error_set_errno(detail, request.os_error, "make directory %s", path)
               : 0;
}

static int sync_directory(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request request = {.op = IO_SYNC_DIR, .path = path};
    return io_wait(io, &request) < 0
               ? error_set_errno(detail, request.os_error, "flush directory %s", path)
               : 0;
}

static int make_empty_file(struct io *io, const char *path, struct error_detail *detail)
{
    struct io_request open = {.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE | IO_OPEN_CREATE};
    int64_t file = io_wait(io, &open);
    if (file < 0) {
        return error_set_errno(detail, open.os_error, "create %s", path);
    }
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    return io_wait(io, &close) < 0 ? error_set_errno(detail, close.os_error, "close %s", path) : 0;
}

struct removal {
    struct io *io;
    const char *directory;
    char **names;
    size_t count;
    size_t capacity;
    int result;
};

static void note_name(void *context, const char *name)
{
    struct removal *removal = context;
    if (removal->count == removal->capacity) {
        size_t capacity = removal->capacity == 0 ? 64 : 2 * removal->capacity;
        char **names = memory_resize(removal->names, capacity * sizeof(*names));
        if (names == NULL) {
            removal->result = STOA_ENOMEM;
            return;
        }
        removal->names = names;
        removal->capacity = capacity;
    }
    removal->names[removal->count] = memory_copy_text(name);
    if (removal->names[removal->count] == NULL) {
        removal->result = STOA_ENOMEM;
        return;
    }
    removal->count++;
}

/* Remove the files of a directory that has no directories in it. */
static int empty_directory(struct io *io, const char *directory, struct error_detail *detail)
{
    struct removal removal = {.io = io, .directory = directory};
    int result = io_list(io, directory, note_name, &removal);
    if (result == 0) {
        result = removal.result;
    }
    if (result != 0) {
        (void)error_set(detail, result, "list %s", directory); /* text only */
    }
    for (size_t i = 0; i < removal.count; i++) {
        char path[STORE_PATH_SIZE_MAX];
        if (result == 0) {
            result = join(path, directory, removal.names[i], detail);
        }
        struct io_request request = {.op = IO_UNLINK, .path = path};
        if (result == 0 && io_wait(io, &request) < 0) {
            result = error_set_errno(detail, request.os_error, "remove %s", path);
        }
        memory_free(removal.names[i]);
    }
    memory_free(removal.names);
    return result;
}

static void remove_directory(struct io *io, const char *path)
{
    struct io_request request = {.op = IO_RMDIR, .path = path};
    (void)io_wait(io, &request); /* what cannot be removed stays for the operator to see */
}

/* A store that was begun and did not become one. Best effort: the error that led here is the one to
 * tell. */
static void remove_unfinished(struct io *io, const char *directory)
{
    static const char *const folders[] = {folder_ledger, folder_tables};
    char path[STORE_PATH_SIZE_MAX];
    for (size_t i = 0; i < 2; i++) {
        if (join(path, directory, folders[i], NULL) == 0 && empty_directory(io, path, NULL) == 0) {
            remove_directory(io, path);
        }
    }
    if (empty_directory(io, directory, NULL) == 0) {
        remove_directory(io, directory);
    }
}

/* ---- creating ---- */

static void count_name(void *context, const char *name)
{
    size_t *count = context;
    (void)name;
    (*count)++;
}

/* The directory must not exist or be empty. */
static int check_target(struct io *io, const char *directory, struct error_detail *detail)
{
    size_t count = 0;
    int result = io_list(io, directory, count_name, &count);
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    if (result != 0) {
        return error_set(detail, result, "list %s: %s", directory, stoa_strerror(result));
    }
    return count == 0 ? 0
                      : error_set(detail, STOA_EEXISTS, "%s exists and is not empty", directory);
}

static void done_genesis(struct ledger_append *append)
{
    struct store_put *put = append->context;
    put->durable = append == &put->append;
}

/* What a genesis file's accounts are as changes of block 0. */
struct genesis_state {
    struct stoa_account_change *accounts;
    struct stoa_slot_change *slots;
    struct stoa_bytes *codes;
};

static void free_genesis_state(struct genesis_state *state)
{
    memory_free(state->accounts);
    memory_free(state->slots);
    memory_free(state->codes);
}

static int take_genesis_state(const struct genesis *genesis, struct genesis_state *state,
                              struct stoa_store_block *block)
{
    size_t slots = 0;
    for (size_t i = 0; i < genesis->account_count; i++) {
        slots += genesis->accounts[i].slot_count;
    }
    state->accounts = memory_alloc_zeroed(genesis->account_count, sizeof(*state->accounts));
    state->slots = memory_alloc_zeroed(slots, sizeof(*state->slots));
    state->codes = memory_alloc_zeroed(genesis->account_count, sizeof(*state->codes));
    if (state->accounts == NULL || state->slots == NULL || state->codes == NULL) {
        return STOA_ENOMEM;
    }
    for (size_t i = 0; i < genesis->account_count; i++) {
        const struct genesis_account *from = &genesis->accounts[i];
        struct stoa_account_change *to = &state->accounts[block->account_count++];
        memcpy(to->address, from->address, sizeof(to->address));
        to->nonce = from->nonce;
        memcpy(to->balance, from->balance, sizeof(to->balance));
        keccak_256(from->code.data, from->code.size, to->code_hash);
        if (from->code.size > 0) {
            state->codes[block->code_count++] =
                (struct stoa_bytes){from->code.data, from->code.size};
        }
        for (size_t j = 0; j < from->slot_count; j++) {
            struct stoa_slot_change *slot = &state->slots[block->slot_count++];
            memcpy(slot->address, from->address, sizeof(slot->address));
            memcpy(slot->slot, from->slots[j].key, sizeof(slot->slot));
            memcpy(slot->value, from->slots[j].value, sizeof(slot->value));
        }
    }
    block->accounts = state->accounts;
    block->slots = state->slots;
    block->codes = state->codes;
    block->flags = STOA_STORE_STATE;
    return 0;
}

/* Append block 0 to an open ledger and wait for it. */
static int append_genesis(struct io *io, struct ledger *ledger, const struct genesis *genesis,
                          struct error_detail *detail)
{
    static const uint8_t zero[32];
    struct stoa_store_block block = STOA_STORE_BLOCK_INIT;
    block.block = (struct stoa_bytes){genesis->block.data, genesis->block.size};
    struct store_put put = {.store = NULL};
    struct genesis_state state = {.accounts = NULL};
    prepare_init(&put.prepare);
    put.prepare.put = &block;
    int result = block_decode(buffer_bytes(&genesis->block), &put.prepare.block, detail);
    if (result == 0 && take_genesis_state(genesis, &state, &block) != 0) {
        result = error_set(detail, STOA_ENOMEM, "store the genesis block");
    }
    if (result == 0) {
        result = state_change_append(&block, &put.prepare.changes, detail);
    }
    if (result == 0) {
        store_put_make_record(&put, zero);
        put.state_append.done = done_genesis;
        put.append.done = done_genesis;
        ledger_append(ledger, &put.state_append);
        ledger_append(ledger, &put.append);
        while (!put.durable && result == 0) {
            int ran = io_run(io, 1000000000);
            result = ran < 0 ? error_set(detail, ran, "store the genesis block") : 0;
        }
    }
    if (result == 0 && put.append.result == 0) {
        put.append.result = put.state_append.result;
    }
    if (result == 0 && put.append.result != 0) {
        result = error_set(detail, put.append.result, "store the genesis block: %s",
                           stoa_strerror(put.append.result));
    }
    prepare_deinit(&put.prepare);
    free_genesis_state(&state);
    return result;
}

static int make_ledger(struct io *io, const char *directory, uint64_t store_id,
                       const struct genesis *genesis, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = join(path, directory, folder_ledger, detail);
    if (result == 0) {
        result = make_directory(io, path, detail);
    }
    struct ledger_options options = {.io = io, .path = path, .store_id = store_id};
    if (result == 0) {
        result = ledger_create(&options, detail);
    }
    if (result != 0 || genesis == NULL) {
        return result;
    }
    struct ledger *ledger;
    struct ledger_recovery recovery;
    result = ledger_open(&options, 0, &ledger, &recovery, detail);
    if (result == 0) {
        result = append_genesis(io, ledger, genesis, detail);
        int closed = ledger_close(ledger, result == 0 ? detail : NULL);
        result = result != 0 ? result : closed;
    }
    return result;
}

/* Fill DIRECTORY, which exists, with a whole store. */
static int fill(struct io *io, const char *directory, const struct identity *identity,
                const struct genesis *genesis, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = make_ledger(io, directory, identity->store_id, genesis, detail);
    if (result == 0) {
        result = join(path, directory, folder_tables, detail);
    }
    if (result == 0) {
        result = make_directory(io, path, detail);
    }
    if (result == 0) {
        result = join(path, directory, file_lock, detail);
    }
    if (result == 0) {
        result = make_empty_file(io, path, detail);
    }
    if (result == 0) {
        result = join(path, directory, file_identity, detail);
    }
    if (result == 0) {
        result = identity_write(io, path, identity, detail);
    }
    return result == 0 ? sync_directory(io, directory, detail) : result;
}

/* DIR without slashes at its end, and its parent. */
static int split_directory(const char *directory, char out[STORE_PATH_SIZE_MAX],
                           char out_parent[STORE_PATH_SIZE_MAX], struct error_detail *detail)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') {
        length--;
    }
    if (length == 0 || length + 32 > STORE_PATH_SIZE_MAX) {
        return error_set(detail, STOA_EINVAL, "the path of the store is %s",
                         length == 0 ? "empty" : "too long");
    }
    memcpy(out, directory, length);
    out[length] = '\0';
    const char *slash = strrchr(out, '/');
    if (slash == NULL) {
        memcpy(out_parent, ".", 2);
    } else {
        size_t size = slash == out ? 1 : (size_t)(slash - out);
        memcpy(out_parent, out, size);
        out_parent[size] = '\0';
    }
    return 0;
}

/* Make the store beside its final name and rename it into place, so that it appears whole or not at
 * all. */
static int create_at(struct io *io, const char *directory, const struct identity *identity,
                     const struct genesis *genesis, struct error_detail *detail)
{
    char target[STORE_PATH_SIZE_MAX];
    char parent[STORE_PATH_SIZE_MAX];
    char making[STORE_PATH_SIZE_MAX];
    int result = split_directory(directory, target, parent, detail);
    if (result != 0) {
        return result;
    }
    uint32_t random;
    io_random(io, &random, sizeof(random));
    int length = snprintf(making, sizeof(making), "%s.new-%08x", target, random);
    ensure(length > 0 && (size_t)length < sizeof(making));
    result = make_directory(io, making, detail);
    if (result == 0) {
        result = fill(io, making, identity, genesis, detail);
    }
    struct io_request rename = {.op = IO_RENAME, .path = making, .path_to = target};
    if (result == 0 && io_wait(io, &rename) < 0) {
        result = error_set_errno(detail, rename.os_error, "rename %s to %s", making, target);
    }
    if (result != 0) {
        remove_unfinished(io, making);
        return result;
    }
    return sync_directory(io, parent, detail);
}

int store_create(struct io *io, const char *directory, const struct stoa_create_options *options,
                 struct error_detail *detail)
{
    struct genesis genesis;
    bool has_genesis = options->genesis_json != NULL;
    int result = check_target(io, directory, detail);
    if (result != 0) {
        return result;
    }
    if (has_genesis) {
        result = genesis_parse(bytes_of(options->genesis_json, options->genesis_json_size),
                               &genesis, detail);
        if (result != 0) {
            error_prefix(detail, "genesis");
            return result;
        }
    }
    struct identity identity = {.chain_id = options->chain_id, .has_genesis = has_genesis};
    while (identity.store_id == 0) {
        io_random(io, &identity.store_id, sizeof(identity.store_id));
    }
    if (has_genesis) {
        memcpy(identity.genesis_hash, genesis.hash, 32);
        if (identity.chain_id == 0) {
            identity.chain_id = genesis.chain_id;
        } else if (genesis.chain_id != 0 && genesis.chain_id != identity.chain_id) {
            result = error_set(
                detail, STOA_EINVAL, "chain id %llu given, but the genesis says %llu",
                (unsigned long long)identity.chain_id, (unsigned long long)genesis.chain_id);
        }
    }
    if (result == 0) {
        result = create_at(io, directory, &identity, has_genesis ? &genesis : NULL, detail);
    }
    if (has_genesis) {
        genesis_deinit(&genesis);
    }
    return result;
}

/* ---- opening ---- */

static int start_session(void *context, unsigned index, void **out_state,
                         struct error_detail *detail)
{
    struct store *store = context;
    (void)index;
    struct kv_session *session;
    int result = kv_session_open(store->kv, &session, detail);
    if (result == 0) {
        *out_state = session;
    }
    return result;
}

static void stop_session(void *context, void *state)
{
    (void)context;
    kv_session_close(state);
}

static int start_recovery(void *context, unsigned index, void **out_state,
                          struct error_detail *detail)
{
    (void)context;
    (void)index;
    *out_state = transaction_recovery_create();
    return *out_state == NULL ? error_set(detail, STOA_ENOMEM, "signature recovery") : 0;
}

static void stop_recovery(void *context, void *state)
{
    (void)context;
    transaction_recovery_destroy(state);
}

static int open_kv(struct store *store, const char *path, struct error_detail *detail)
{
    const struct store_options *options = &store->options;
    struct kv_options kv_options = {.path = path, .cache_size = options->table_cache_size};
    int result = options->memory_tables != NULL
                     ? kv_memory_open(options->memory_tables, &store->kv, detail)
                     : kv_wiredtiger_open(&kv_options, &store->kv, detail);
    if (result == 0) {
        result = kv_session_open(store->kv, &store->session, detail);
    }
    if (result == 0) {
        result = index_open(store->kv, store->session, store->identity.store_id, &store->index,
                            &store->applied, detail);
    }
    return result;
}

void store_close_tables(struct store *store)
{
    index_close(store->index);
    kv_session_close(store->session);
    if (store->kv != NULL) {
        kv_close(store->kv);
    }
    store->index = NULL;
    store->session = NULL;
    store->kv = NULL;
}

/* Tables that are missing or damaged are made anew; the replay that follows fills them from the
 * ledger. */
int store_open_tables(struct store *store, bool anew, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = join(path, store->directory, folder_tables, detail);
    if (result != 0) {
        return result;
    }
    if (store->options.memory_tables != NULL) {
        return open_kv(store, path, detail);
    }
    size_t count = 0;
    result = io_list(store->io, path, count_name, &count);
    if (result == STOA_ENOTFOUND) {
        store->rebuilt = true;
        result = make_directory(store->io, path, detail);
    } else if (result != 0) {
        return error_set(detail, result, "list %s: %s", path, stoa_strerror(result));
    }
    if (result == 0) {
        result = anew ? STOA_ECORRUPT : open_kv(store, path, detail);
    }
    if (result == STOA_ECORRUPT) {
        store->rebuilt = true;
        store_close_tables(store);
        result = empty_directory(store->io, path, detail);
        if (result == 0) {
            result = open_kv(store, path, detail);
        }
    }
    return result;
}

static int open_ledger(struct store *store, const struct store_options *options,
                       struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = join(path, store->directory, folder_ledger, detail);
    struct ledger_options ledger_options = {
        .io = store->io,
        .path = path,
        .store_id = store->identity.store_id,
        .segment_size = options->segment_size,
        .prepare = options->bulk ? LEDGER_ALLOCATE : LEDGER_PREWRITE,
        .spare_count = STORE_SPARE_SEGMENTS,
    };
    if (result == 0) {
        result = ledger_open(&ledger_options, store->applied.position.sequence, &store->ledger,
                             &store->recovery, detail);
    }
    return result;
}

/* The workers that call the tables. */
int store_start_table_workers(struct store *store, struct error_detail *detail)
{
    const struct store_options *options = &store->options;
    struct workers_options tables = {
        .io = store->io,
        .count = options->table_workers != 0 ? options->table_workers : TABLE_WORKERS_DEFAULT,
        .name = "stoa-read",
        .start = start_session,
        .stop = stop_session,
        .context = store,
    };
    int result = workers_create(&tables, &store->readers, detail);
    if (result == 0) {
        tables.count = WRITER_COUNT;
        tables.name = "stoa-apply";
        tables.gives_way = true;
        result = workers_create(&tables, &store->writers, detail);
    }
    return result;
}

static int start_verifiers(struct store *store, struct error_detail *detail)
{
    unsigned count = store->options.verify_workers;
    struct workers_options verify = {
        .io = store->io,
        .count = count != 0 ? count : VERIFY_WORKERS_DEFAULT,
        .name = "stoa-verify",
        .start = start_recovery,
        .stop = stop_recovery,
    };
    return workers_create(&verify, &store->verifiers, detail);
}

static int read_identity(struct store *store, struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = join(path, store->directory, file_identity, detail);
    if (result == 0) {
        result = identity_read(store->io, path, &store->identity, detail);
    }
    if (result == STOA_ENOTFOUND) {
        return error_set(detail, result, "%s is not a store", store->directory);
    }
    if (result != 0) {
        return result;
    }
    result = join(path, store->directory, file_lock, detail);
    if (result != 0) {
        return result;
    }
    result = io_lock(store->io, path, &store->lock);
    if (result == STOA_ELOCKED) {
        return error_set(detail, result, "%s is in use by another process", store->directory);
    }
    return result == 0 ? 0 : error_set(detail, result, "lock %s: %s", path, stoa_strerror(result));
}

static int make_batches(struct store *store, struct error_detail *detail)
{
    int result = store_tries_init(store, detail);
    if (result != 0) {
        return result;
    }
    store->branches = branches_create();
    if (store->branches == NULL) {
        return error_set(detail, STOA_ENOMEM, "open");
    }
    for (unsigned i = 0; i < STORE_FROZEN_MAX + 1; i++) {
        struct pending *batch = pending_create();
        if (batch == NULL) {
            return error_set(detail, STOA_ENOMEM, "open");
        }
        if (store->open == NULL) {
            store->open = batch;
        } else {
            store->idle[store->idle_count++] = batch;
        }
    }
    return 0;
}

static int open_parts(struct store *store, const struct store_options *options,
                      struct error_detail *detail)
{
    int result = read_identity(store, detail);
    if (result == 0) {
        result = make_batches(store, detail);
    }
    if (result == 0) {
        result = store_open_tables(store, false, detail);
    }
    if (result == 0) {
        result = open_ledger(store, options, detail);
    }
    if (result == 0) {
        result = store_replay(store, detail);
    }
    if (result != 0 && store->tables_damage == STORE_REBUILD) {
        result = store_replay_anew(store, detail);
    }
    if (result == 0) {
        result = store_start_table_workers(store, detail);
    }
    return result == 0 ? start_verifiers(store, detail) : result;
}

int store_open(const struct store_options *options, struct store **out_store,
               struct error_detail *detail)
{
    struct store *store = memory_alloc_zeroed(1, sizeof(*store));
    char parent[STORE_PATH_SIZE_MAX];
    if (store == NULL) {
        return error_set(detail, STOA_ENOMEM, "open");
    }
    store->io = options->io;
    if ((options->history_blocks != 0 && options->history_blocks < STORE_RETENTION_MIN) ||
        (options->trie_history_blocks != 0 && options->trie_history_blocks < STORE_RETENTION_MIN)) {
        memory_free(store);
        return error_set(detail, STOA_EINVAL, "open: history of fewer than %d blocks",
                         STORE_RETENTION_MIN);
    }
    store->unwind_max = options->unwind_max != 0 ? options->unwind_max : STORE_UNWIND_DEFAULT;
    store->lock = -1;
    store->options = *options;
    store->checkpoint_ns =
        options->checkpoint_ns != 0 ? options->checkpoint_ns : checkpoint_ns_default;
    int result = split_directory(options->directory, store->directory, parent, detail);
    if (result == 0) {
        result = open_parts(store, options, detail);
    }
    if (result != 0) {
        result = store_blame_space(store, result, detail);
        store_abandon(store);
        return result;
    }
    store->checkpointed_sequence = store->rebuilt ? 0 : store->applied.position.sequence;
    store_metrics_start(store);
    store_apply_start_timer(store);
    store->cache = options->cache;
    store_cache_head(store);
    *out_store = store;
    return 0;
}

/* ---- closing ---- */

static void release(struct store *store)
{
    workers_destroy(store->verifiers);
    workers_destroy(store->readers);
    workers_destroy(store->writers);
    store_rebuild_free(store);
    store_close_tables(store);
    store_tries_deinit(store);
    store_put_free_pool(store);
    store_query_free_all(store);
    store_get_free_pool(store);
    branches_destroy(store->branches);
    pending_destroy(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        pending_destroy(store->frozen[i]);
    }
    for (unsigned i = 0; i < store->idle_count; i++) {
        pending_destroy(store->idle[i]);
    }
    if (store->lock >= 0) {
        io_unlock(store->io, store->lock);
    }
    memory_free(store);
}

void store_abandon(struct store *store)
{
    if (store != NULL) {
        __atomic_store_n(&store->closing, true, __ATOMIC_RELAXED);
        ledger_abandon(store->ledger);
        release(store);
    }
}

int store_close(struct store *store, struct error_detail *detail)
{
    if (store == NULL) {
        return 0;
    }
    int result = 0;
    store_rebuild_stop(store);
    while (store->pending_requests != 0 && result >= 0) {
        result = io_run(store->io, 1000000000);
    }
    ensure(store->views_out == 0);
    result = result < 0 ? error_set(detail, result, "close") : 0;
    __atomic_store_n(&store->closing, true, __ATOMIC_RELAXED);
    if (result == 0) {
        result = store_apply_checkpoint(store, detail);
    }
    store_apply_wait_idle(store);
    (void)io_cancel(store->io, &store->timer); /* it may have run out already */
    (void)io_cancel(store->io, &store->settle_timer);
    (void)io_cancel(store->io, &store->through.timer);
    while ((store->timer.pending || store->settle_timer.pending || store->through.timer.pending) &&
           io_run(store->io, 1000000000) >= 0) {
    }
    int closed = ledger_close(store->ledger, result == 0 ? detail : NULL);
    store->ledger = NULL;
    release(store);
    return result != 0 ? result : closed;
}

/* ---- serving ---- */

void store_finish_request(struct store *store, struct store_request *request, int result)
{
    ensure(store->pending_requests > 0);
    store->pending_requests--;
    request->result = result;
    if (result != 0 && request->detail.code == 0) {
        (void)error_set(&request->detail, result, "%s", stoa_strerror(result)); /* text only */
    }
    request->done(request);
}

void store_submit(struct store *store, struct store_request *request)
{
    store->pending_requests++;
    request->result = 0;
    request->appended = false;
    request->work = NULL;
    request->detail.code = 0;
    request->detail.os_error = 0;
    request->detail.text[0] = '\0';
    if (request->kind == STORE_PUT_BLOCK || request->kind >= STORE_UPDATE_HEAD) {
        store_put_submit(store, request);
    } else if (request->kind == STORE_QUERY_LOGS || request->kind == STORE_QUERY_HISTORY ||
               request->kind == STORE_GET_RANGE || request->kind == STORE_GET_HEADERS) {
        store_query_submit(store, request);
    } else {
        store_get_submit(store, request);
    }
}

unsigned store_pending(const struct store *store)
{
    return store->pending_requests;
}

unsigned store_views_out(const struct store *store)
{
    return store->views_out;
}

uint64_t store_chain_id(const struct store *store)
{
    return store->identity.chain_id;
}

void store_get_head(const struct store *store, struct stoa_head *out_head)
{
    *out_head = (struct stoa_head){
        .empty = !store->head.present,
        .height = store->head.height,
        .chain_id = store->identity.chain_id,
    };
    memcpy(out_head->hash, store->head.hash, 32);
    memcpy(out_head->total_difficulty, store->head.total_difficulty, 32);
    memcpy(out_head->genesis_hash, store->identity.genesis_hash, 32);
    out_head->has_safe = store->safe.present;
    out_head->safe_height = store->safe.height;
    memcpy(out_head->safe_hash, store->safe.hash, 32);
    out_head->has_finalized = store->finalized.present;
    out_head->finalized_height = store->finalized.height;
    memcpy(out_head->finalized_hash, store->finalized.hash, 32);
}

void store_get_stats(struct store *store, struct stoa_stats *out_stats)
{
    struct ledger_stats ledger;
    ledger_stats(store->ledger, &ledger);
    struct index_floors floors = store_floors(store);
    uint64_t waiting = store->settling.count + pending_block_count(store->open);
    for (unsigned i = 0; i < store->frozen_count; i++) {
        waiting += pending_block_count(store->frozen[i]);
    }
    *out_stats = (struct stoa_stats){
        .size = sizeof(*out_stats),
        .blocks = store->head.present ? store->head.height + 1 : 0,
        .ledger_segments = ledger.segment_count,
        .ledger_bytes = ledger.segment_bytes,
        .ledger_sequence = ledger.last_sequence,
        .applied_sequence = store->applied.position.sequence,
        .pending_blocks = waiting,
        .table_bytes = store->statistics.file_bytes,
        .frame_bytes = ledger.frame_bytes,
        .written_bytes = ledger.written_bytes,
        .groups = ledger.group_count,
        .appends = ledger.append_count,
        .recovered_blocks = store->replayed_blocks,
        .cut_bytes = store->recovery.cut_bytes,
        .rebuilt_tables = store->rebuilt,
        .stopped = ledger.stopped || store->apply_failed != 0,
        .state_heights = store->head.state_end,
        .history_from = floors.values,
        .trie_history_from = floors.tries,
    };
    snprintf(out_stats->io, sizeof(out_stats->io), "%s", store->io->ops->name);
    snprintf(out_stats->io_features, sizeof(out_stats->io_features), "%s", store->io->features);
}

int store_checkpoint(struct store *store, struct error_detail *detail)
{
    return store_apply_checkpoint(store, detail);
}
