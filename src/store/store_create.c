/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_create.c: a new store, with the genesis block and its state where a genesis file is given.
 * It is made beside its final name and renamed into place. */
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/genesis.h"
#include "chain/keccak.h"
#include "store/state_change.h"
#include "store/store_private.h"

/* A store that was begun and did not become one. Best effort: the error that led here is the one to
 * tell. */
static void remove_unfinished(struct io *io, const char *directory)
{
    static const char *const folders[] = {STORE_FOLDER_LEDGER, STORE_FOLDER_TABLES};
    char path[STORE_PATH_SIZE_MAX];
    for (size_t i = 0; i < 2; i++) {
        if (store_folder_path(path, directory, folders[i], NULL) == 0 &&
            store_folder_empty(io, path, NULL) == 0) {
            store_folder_remove(io, path);
        }
    }
    if (store_folder_empty(io, directory, NULL) == 0) {
        store_folder_remove(io, directory);
    }
}

/* The directory must not exist or be empty. */
static int check_target(struct io *io, const char *directory, struct error_detail *detail)
{
    size_t count = 0;
    int result = io_list(io, directory, store_folder_count, &count);
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
    put.prepare.block_sum = record_block_sum(buffer_bytes(&genesis->block));
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

/* What a new store is made of. */
struct creation {
    const struct identity *identity;
    const struct genesis *genesis; /* or NULL */
    uint32_t segment_size;
};

static int make_ledger(struct io *io, const char *directory, const struct creation *creation,
                       struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    int result = store_folder_path(path, directory, STORE_FOLDER_LEDGER, detail);
    if (result == 0) {
        result = store_folder_make(io, path, detail);
    }
    struct ledger_options options = {.io = io,
                                     .path = path,
                                     .store_id = creation->identity->store_id,
                                     .segment_size = creation->segment_size};
    if (result == 0) {
        result = ledger_create(&options, detail);
    }
    if (result != 0 || creation->genesis == NULL) {
        return result;
    }
    struct ledger *ledger;
    struct ledger_recovery recovery;
    result = ledger_open(&options, 0, &ledger, &recovery, detail);
    if (result == 0) {
        result = append_genesis(io, ledger, creation->genesis, detail);
        int closed = ledger_close(ledger, result == 0 ? detail : NULL);
        result = result != 0 ? result : closed;
    }
    return result;
}

/* Fill DIRECTORY, which exists, with a whole store. */
static int fill(struct io *io, const char *directory, const struct creation *creation,
                struct error_detail *detail)
{
    char path[STORE_PATH_SIZE_MAX];
    const struct genesis *genesis = creation->genesis;
    int result = make_ledger(io, directory, creation, detail);
    if (result == 0) {
        result = store_folder_path(path, directory, STORE_FOLDER_TABLES, detail);
    }
    if (result == 0) {
        result = store_folder_make(io, path, detail);
    }
    if (result == 0) {
        result = store_folder_path(path, directory, STORE_FILE_LOCK, detail);
    }
    if (result == 0) {
        result = store_folder_make_file(io, path, detail);
    }
    if (result == 0 && genesis != NULL && genesis->config.size > 0) {
        result = store_folder_path(path, directory, STORE_FILE_CHAIN, detail);
        if (result == 0) {
            result = store_folder_write_file(io, path, buffer_bytes(&genesis->config), detail);
        }
    }
    if (result == 0) {
        result = store_folder_path(path, directory, STORE_FILE_IDENTITY, detail);
    }
    if (result == 0) {
        result = identity_write(io, path, creation->identity, detail);
    }
    return result == 0 ? store_folder_sync(io, directory, detail) : result;
}

/* Make the store beside its final name and rename it into place, so that it appears whole or not at
 * all. */
static int create_at(struct io *io, const char *directory, const struct creation *creation,
                     struct error_detail *detail)
{
    char target[STORE_PATH_SIZE_MAX];
    char parent[STORE_PATH_SIZE_MAX];
    char making[STORE_PATH_SIZE_MAX];
    int result = store_folder_split(directory, target, parent, detail);
    if (result != 0) {
        return result;
    }
    uint32_t random;
    io_random(io, &random, sizeof(random));
    int length = snprintf(making, sizeof(making), "%s.new-%08x", target, random);
    ensure(length > 0 && (size_t)length < sizeof(making));
    result = store_folder_make(io, making, detail);
    if (result == 0) {
        result = fill(io, making, creation, detail);
    }
    struct io_request rename = {.op = IO_RENAME, .path = making, .path_to = target};
    if (result == 0 && io_wait(io, &rename) < 0) {
        result = error_set_errno(detail, rename.os_error, "rename %s to %s", making, target);
    }
    if (result != 0) {
        remove_unfinished(io, making);
        return result;
    }
    return store_folder_sync(io, parent, detail);
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
    struct creation creation = {
        .identity = &identity,
        .genesis = has_genesis ? &genesis : NULL,
        .segment_size = options->segment_size,
    };
    if (result == 0) {
        result = create_at(io, directory, &creation, detail);
    }
    if (has_genesis) {
        genesis_deinit(&genesis);
    }
    return result;
}
