/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The device itself, as a limit: one prewritten file written and read with O_DIRECT, nothing
 * indexed. A frame is as many bytes as a block with everything takes in a log. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_engine.h"

enum {
    RAW_ALIGN = 4096,
    RAW_FRAME_MAX = 1 << 20,
    RAW_WRITE_BLOCKS = 8, /* blocks a write during an import */
    RAW_DEPTH_MAX = 64,
};

struct raw_place {
    uint64_t offset;
    uint32_t size;
    uint32_t block_size;
};

struct bench_engine {
    int file;
    uint64_t end;
    uint64_t limit;
    uint8_t *buffer; /* of an import's writes, and of reads in flight */
    struct io_uring ring;
    bool has_ring;
    struct raw_place *places; /* by block number */
    uint64_t places_max;
    uint64_t places_count;
};

static const char *raw_describe(void)
{
    return "one prewritten file, O_DIRECT; commit: pwritev2 with RWF_DSYNC; import: writes of 8 "
           "blocks and fdatasync; reads: io_uring";
}

/* The places live in a file beside the data, so that a reopened engine knows them. */
static int raw_places_transfer(struct bench_engine *engine, const char *directory, bool load,
                               struct bench_fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/places", directory);
    FILE *file = fopen(path, load ? "rb" : "wb");
    if (file == NULL) {
        return load && errno == ENOENT ? 0
                                       : bench_fault_set(fault, "%s: %s", path, strerror(errno));
    }
    if (load) {
        engine->places_count =
            fread(engine->places, sizeof(*engine->places), engine->places_max, file);
        for (uint64_t i = 0; i < engine->places_count; i++) {
            engine->end = engine->places[i].offset + engine->places[i].size;
        }
    } else if (fwrite(engine->places, sizeof(*engine->places), engine->places_count, file) !=
               engine->places_count) {
        (void)fclose(file);
        return bench_fault_set(fault, "%s: %s", path, strerror(errno));
    }
    if (fclose(file) != 0) {
        return bench_fault_set(fault, "%s: %s", path, strerror(errno));
    }
    return 0;
}

static int raw_prewrite(struct bench_engine *engine, struct bench_fault *fault)
{
    size_t chunk = (size_t)RAW_WRITE_BLOCKS * RAW_FRAME_MAX;
    memset(engine->buffer, 0, chunk);
    for (uint64_t at = (uint64_t)lseek(engine->file, 0, SEEK_END); at < engine->limit;) {
        ssize_t written = pwrite(engine->file, engine->buffer, chunk, (off_t)at);
        if (written <= 0) {
            return bench_fault_set(fault, "raw: prewrite: %s", strerror(errno));
        }
        at += (uint64_t)written;
    }
    return fsync(engine->file) == 0 ? 0 : bench_fault_set(fault, "raw: fsync: %s", strerror(errno));
}

static void raw_destroy(struct bench_engine *engine)
{
    if (engine->has_ring) {
        io_uring_queue_exit(&engine->ring);
    }
    if (engine->file >= 0) {
        (void)close(engine->file); /* everything was flushed when it mattered */
    }
    memory_free(engine->places);
    memory_free(engine->buffer);
    memory_free(engine);
}

static char *raw_directory_of(struct bench_engine *engine, char path[4096])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", engine->file);
    ssize_t size = readlink(link, path, 4095);
    ensure(size > 0);
    path[size] = '\0';
    *strrchr(path, '/') = '\0';
    return path;
}

static int raw_open(const struct bench_setup *setup, enum bench_mode mode,
                    struct bench_engine **out_engine, struct bench_fault *fault)
{
    (void)mode; /* the device has only one */
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/data", setup->directory);
    engine->file = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0666);
    if (engine->file < 0) {
        (void)bench_fault_set(fault, "%s: %s%s", path, strerror(errno),
                              errno == EINVAL ? " (no O_DIRECT on this file system)" : "");
        goto fail;
    }
    engine->places_max = setup->blocks_max;
    engine->limit = setup->bytes_max;
    engine->places = memory_alloc_zeroed(engine->places_max, sizeof(*engine->places));
    engine->buffer = memory_alloc_aligned((size_t)RAW_DEPTH_MAX * RAW_FRAME_MAX, RAW_ALIGN);
    ensure(engine->places != NULL && engine->buffer != NULL);
    int result = io_uring_queue_init(RAW_DEPTH_MAX, &engine->ring,
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (result == -EINVAL) {
        result = io_uring_queue_init(RAW_DEPTH_MAX, &engine->ring, 0);
    }
    engine->has_ring = result == 0; /* reads then say why they cannot be */
    if (raw_prewrite(engine, fault) != 0 ||
        raw_places_transfer(engine, setup->directory, true, fault) != 0) {
        goto fail;
    }
    *out_engine = engine;
    return 0;
fail:
    raw_destroy(engine);
    return -1;
}

static int raw_close(struct bench_engine *engine, struct bench_fault *fault)
{
    char path[4096];
    int result = raw_places_transfer(engine, raw_directory_of(engine, path), false, fault);
    raw_destroy(engine);
    return result;
}

/* Lay BLOCK out at OUT: block first, then the rest. Returns the aligned size. */
static size_t raw_frame(struct bench_engine *engine, const struct made_load_block *block,
                        uint64_t offset, uint8_t *out)
{
    uint8_t *at = out;
    memcpy(at, block->block.data, block->block.size);
    at += block->block.size;
    memcpy(at, block->receipts.data, block->receipts.size);
    at += block->receipts.size;
    memcpy(at, block->senders, sizeof(block->senders));
    at += sizeof(block->senders);
    memcpy(at, block->state.data, block->state.size);
    at += block->state.size;
    for (unsigned i = 0; i < MADE_LOAD_CHANGES; i++) { /* lengths of key and value */
        at[0] = (uint8_t)block->changes[i].key.size;
        at[1] = (uint8_t)block->changes[i].value.size;
        at += 2;
    }
    size_t size = (size_t)(at - out);
    size_t padded = (size + RAW_ALIGN - 1) / RAW_ALIGN * RAW_ALIGN;
    ensure(padded <= RAW_FRAME_MAX);
    memset(at, 0, padded - size);
    ensure(block->number < engine->places_max);
    engine->places[block->number] = (struct raw_place){
        .offset = offset,
        .size = (uint32_t)padded,
        .block_size = (uint32_t)block->block.size,
    };
    engine->places_count = block->number + 1;
    return padded;
}

static int raw_write(struct bench_engine *engine, size_t size, int flags, struct bench_fault *fault)
{
    if (engine->end + size > engine->limit) {
        return bench_fault_set(fault, "raw: more bytes than were prewritten");
    }
    size_t done = 0;
    while (done < size) {
        struct iovec vector = {.iov_base = engine->buffer + done, .iov_len = size - done};
        ssize_t written = pwritev2(engine->file, &vector, 1, (off_t)(engine->end + done), flags);
        if (written <= 0) {
            return bench_fault_set(fault, "raw: write: %s", strerror(errno));
        }
        done += (size_t)written;
    }
    engine->end += size;
    return 0;
}

static int raw_commit(struct bench_engine *engine, const struct made_load_block *block,
                      struct bench_fault *fault)
{
    size_t size = raw_frame(engine, block, engine->end, engine->buffer);
    return raw_write(engine, size, RWF_DSYNC, fault);
}

static int raw_import(struct bench_engine *engine, const struct made_load_block *blocks,
                      size_t count, struct bench_fault *fault)
{
    for (size_t i = 0; i < count;) {
        size_t size = 0;
        size_t first = i;
        for (; i < count && i - first < RAW_WRITE_BLOCKS; i++) {
            size += raw_frame(engine, &blocks[i], engine->end + size, engine->buffer + size);
        }
        if (raw_write(engine, size, 0, fault) != 0) {
            return -1;
        }
        if ((i % BENCH_SYNC_EVERY == 0 || i == count) && fdatasync(engine->file) != 0) {
            return bench_fault_set(fault, "raw: fdatasync: %s", strerror(errno));
        }
    }
    return 0;
}

static int raw_nothing(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)engine;
    (void)fault;
    return 0;
}

static bool raw_can_read(enum bench_kind kind)
{
    return kind == BENCH_BLOCK || kind == BENCH_EVERYTHING;
}

/* Read of a whole frame into slot SLOT's buffer. */
static void raw_submit(struct bench_engine *engine, const struct raw_place *place, unsigned slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
    ensure(sqe != NULL);
    io_uring_prep_read(sqe, engine->file, engine->buffer + (size_t)slot * RAW_FRAME_MAX,
                       place->size, place->offset);
    io_uring_sqe_set_data64(sqe, slot);
}

static int raw_read(struct bench_engine *engine, const struct bench_reads *reads,
                    struct bench_fault *fault)
{
    if (!engine->has_ring) {
        return bench_fault_set(fault, "raw: io_uring is not to be had here");
    }
    ensure(reads->depth <= RAW_DEPTH_MAX);
    size_t in_slot[RAW_DEPTH_MAX];
    uint64_t begun[RAW_DEPTH_MAX];
    size_t next = 0, done = 0;
    unsigned idle[RAW_DEPTH_MAX], idle_count = reads->depth;
    for (unsigned i = 0; i < reads->depth; i++) {
        idle[i] = i;
    }
    while (done < reads->count) {
        for (; idle_count > 0 && next < reads->count; next++) {
            unsigned slot = idle[--idle_count];
            in_slot[slot] = next;
            begun[slot] = bench_now();
            raw_submit(engine, &engine->places[reads->items[next].number], slot);
        }
        int result = io_uring_submit_and_wait(&engine->ring, 1);
        if (result < 0 && result != -EINTR) {
            return bench_fault_set(fault, "raw: io_uring: %s", strerror(-result));
        }
        struct io_uring_cqe *cqe = NULL;
        while (io_uring_peek_cqe(&engine->ring, &cqe) == 0) {
            unsigned slot = (unsigned)io_uring_cqe_get_data64(cqe);
            const struct bench_read *read = &reads->items[in_slot[slot]];
            const struct raw_place *place = &engine->places[read->number];
            int size = cqe->res;
            io_uring_cqe_seen(&engine->ring, cqe);
            const uint8_t *data = engine->buffer + (size_t)slot * RAW_FRAME_MAX;
            if (size != (int)place->size ||
                (reads->kind == BENCH_BLOCK && bench_sum(data, place->block_size) != read->sum)) {
                return bench_fault_set(fault, "raw: block %llu came back wrong",
                                       (unsigned long long)read->number);
            }
            reads->took[in_slot[slot]] = bench_now() - begun[slot];
            idle[idle_count++] = slot;
            done++;
        }
    }
    return 0;
}

const struct bench_engine_ops bench_engine_raw = {
    .name = "raw",
    .describe = raw_describe,
    .open = raw_open,
    .close = raw_close,
    .commit = raw_commit,
    .import = raw_import,
    .busy = raw_nothing,
    .flush = raw_nothing,
    .can_read = raw_can_read,
    .read = raw_read,
};
