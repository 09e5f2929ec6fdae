/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine_rig.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"
#include "server/connections.h"

static const uint64_t seed = 11;

/* The backend that the machine refuses is left to the others. */
static enum stoa_io allowed(enum stoa_io wanted)
{
    struct io *io;
    struct error_detail detail;
    struct io_options options = {.backend = IO_BACKEND_RING};
    if (wanted == STOA_IO_RING && io_create(&options, &io, &detail) != 0) {
        print_message("io_uring is skipped, threads serve: %s\n", detail.text);
        return STOA_IO_THREADS;
    }
    if (wanted == STOA_IO_RING) {
        io_destroy(io);
    }
    return wanted;
}

static int set_up(void **state, enum stoa_io io, bool remote)
{
    struct engine_rig *rig = calloc(1, sizeof(*rig));
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    const char *temporary = getenv("TMPDIR");
    assert_non_null(rig);
    snprintf(rig->base, sizeof(rig->base), "%s/stoa-engine-XXXXXX",
             temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(rig->base));
    snprintf(rig->directory, sizeof(rig->directory), "%.240s/store", rig->base);
    rig->chain = made_chain_create(seed, ENGINE_RIG_BLOCKS);
    struct bytes json = made_chain_genesis_json(rig->chain);
    options.genesis_json = (const char *)json.data;
    options.genesis_json_size = json.size;
    assert_int_equal(stoa_create(rig->directory, &options, NULL), 0);
    rig->io = allowed(io);
    rig->remote = remote;
    engine_rig_open(rig);
    *state = rig;
    return 0;
}

int engine_rig_set_up_ring(void **state)
{
    return set_up(state, STOA_IO_RING, false);
}

int engine_rig_set_up_threads(void **state)
{
    return set_up(state, STOA_IO_THREADS, false);
}

int engine_rig_set_up_remote(void **state)
{
    return set_up(state, STOA_IO_RING, true);
}

int engine_rig_tear_down(void **state)
{
    struct engine_rig *rig = *state;
    if (rig->stoa != NULL) {
        engine_rig_close(rig);
    }
    engine_rig_remove(rig->base);
    made_chain_destroy(rig->chain);
    free(rig);
    return 0;
}

struct stoa_options engine_rig_options(const struct engine_rig *rig)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    options.io = rig->io;
    options.segment_size = 1 << 20;
    options.table_cache_size = 32 << 20;
    options.verify_workers = 2;
    return options;
}

void engine_rig_serve(struct engine_rig *rig)
{
    char path[ENGINE_RIG_PATH_SIZE];
    struct error_detail detail = {.code = 0};
    struct connections_settings settings = {
        .limits = {.connections = 16,
                   .client_connections = 16,
                   .requests = 3000,
                   .queued = 64 << 20},
        .role_otherwise = WIRE_ROLE_ADMIN,
        .request_max = 16 << 20,
        .handshake_ms = 5000,
        .idle_ms = 60000,
        .stall_ms = 30000,
    };
    engine_rig_path(rig, "sock", path);
    struct server_options options = {.stoa = rig->served, .stop_ms = 5000};
    int result = server_create(&options, &rig->server, &detail);
    if (result == 0) {
        result = connections_create(rig->server, path, NULL, &settings, &rig->connections, &detail);
    }
    if (result == 0) {
        result = server_start(rig->server, &detail);
    }
    if (result != 0) {
        fail_msg("serve: %d %s", result, detail.text);
    }
}

/* RIG's store becomes what a server serves, and its handle a client's. */
static void serve_and_connect(struct engine_rig *rig)
{
    char path[ENGINE_RIG_PATH_SIZE];
    struct stoa_detail told = {.code = 0};
    rig->served = rig->stoa;
    engine_rig_serve(rig);
    engine_rig_path(rig, "sock", path);
    int result = stoa_connect(path, NULL, &rig->stoa, &told);
    if (result != 0) {
        fail_msg("connect: %d %s", result, told.text);
    }
}

void engine_rig_open(struct engine_rig *rig)
{
    struct stoa_options options = engine_rig_options(rig);
    struct stoa_detail detail;
    int result = stoa_open(rig->directory, &options, &rig->stoa, &detail);
    if (result != 0) {
        fail_msg("open: %d %s", result, detail.text);
    }
    if (rig->remote) {
        serve_and_connect(rig);
    }
}

void engine_rig_close(struct engine_rig *rig)
{
    struct stoa_detail detail;
    int result = stoa_close(rig->stoa, &detail);
    if (rig->remote && result == 0) {
        server_stop(rig->server);
        assert_int_equal(server_join(rig->server), 0);
        connections_destroy(rig->connections);
        server_destroy(rig->server);
        result = stoa_close(rig->served, &detail);
    }
    rig->stoa = NULL;
    if (result != 0) {
        fail_msg("close: %d %s", result, detail.text);
    }
}

struct stoa_store_block engine_rig_put_of(const struct engine_rig *rig, uint64_t number)
{
    const struct made_block *block = made_chain_block(rig->chain, number);
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    assert_non_null(block);
    put.block = (struct stoa_bytes){block->block.data, block->block.size};
    put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
    put.expected_hash = block->hash;
    return put;
}

void engine_rig_put(struct engine_rig *rig, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        struct stoa_store_block put = engine_rig_put_of(rig, number);
        struct stoa_detail detail;
        int result = stoa_store_block(rig->stoa, &put, &detail);
        if (result != 0) {
            fail_msg("store block %d: %d %s", (int)number, result, detail.text);
        }
    }
}

static void expect_bytes(struct stoa_bytes is, struct bytes wanted)
{
    assert_int_equal(is.size, wanted.size);
    assert_memory_equal(is.data, wanted.data, wanted.size);
}

static void expect_transactions(struct stoa *stoa, const struct made_block *block)
{
    for (size_t i = 0; i < block->transaction_count; i++) {
        const struct made_transaction *wanted = &block->transactions[i];
        struct stoa_transaction found;
        assert_int_equal(stoa_get_transaction(stoa, wanted->hash, &found, NULL), 0);
        assert_int_equal(found.index, i);
        assert_int_equal(found.block.height, block->number);
        expect_bytes(found.transaction, wanted->envelope);
        expect_bytes(found.receipt, wanted->receipt);
        assert_memory_equal(found.sender, wanted->sender, 20);
        stoa_release(found.block.view);
    }
}

void engine_rig_expect(struct stoa *stoa, const struct made_chain *chain, uint64_t first,
                       uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        const struct made_block *block = made_chain_block(chain, number);
        struct stoa_block_key keys[] = {{.by = STOA_BY_HEIGHT, .height = number},
                                        {.by = STOA_BY_HASH}};
        memcpy(keys[1].hash, block->hash, 32);
        for (int i = 0; i < 2; i++) {
            struct stoa_block found;
            struct stoa_detail detail;
            int result = stoa_get_block(stoa, &keys[i], &found, &detail);
            if (result != 0) {
                fail_msg("get block %d: %d %s", (int)number, result, detail.text);
            }
            assert_int_equal(found.height, number);
            assert_true(found.canonical);
            assert_memory_equal(found.hash, block->hash, 32);
            expect_bytes(found.block, buffer_bytes(&block->block));
            expect_bytes(found.receipts, buffer_bytes(&block->receipts));
            stoa_release(found.view);
        }
        expect_transactions(stoa, block);
    }
}

void engine_rig_expect_head(const struct engine_rig *rig, uint64_t height)
{
    struct stoa_head head;
    assert_int_equal(stoa_get_head(rig->stoa, &head), 0);
    assert_false(head.empty);
    assert_int_equal(head.height, height);
    assert_memory_equal(head.hash,
                        height == 0 ? made_chain_genesis_hash(rig->chain)
                                    : made_chain_block(rig->chain, height)->hash,
                        32);
    assert_memory_equal(head.genesis_hash, made_chain_genesis_hash(rig->chain), 32);
}

void engine_rig_path(const struct engine_rig *rig, const char *name, char out[ENGINE_RIG_PATH_SIZE])
{
    int length = snprintf(out, ENGINE_RIG_PATH_SIZE, "%s/%s", rig->directory, name);
    assert_in_range(length, 1, ENGINE_RIG_PATH_SIZE - 1);
}

void engine_rig_flip_file(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_true(byte >= 0);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    assert_int_equal(fclose(file), 0);
}

void engine_rig_flip(const struct engine_rig *rig, const char *name, long offset)
{
    char path[ENGINE_RIG_PATH_SIZE];
    engine_rig_path(rig, name, path);
    engine_rig_flip_file(path, offset);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void engine_rig_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
