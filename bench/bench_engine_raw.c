/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The device itself, as a limit: one prewritten file, written round in a circle and read with
 * O_DIRECT, nothing indexed. A frame is as many bytes as a block with everything takes in a log;
 * a read is 4 KiB at a random place. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "bench_engine.h"

enum {
    RAW_ALIGN = 4096,
    RAW_FRAME_MAX = 1 << 19,
    RAW_WRITE_BLOCKS = 8, /* blocks a write during an import */
    RAW_BUFFER = RAW_WRITE_BLOCKS * RAW_FRAME_MAX,
    RAW_DEPTH_MAX = 64,
};

struct bench_engine {
    int file;
    uint64_t next;  /* where the next frame goes */
    uint64_t limit; /* of the file */
    uint8_t *buffer;
    struct io_uring ring;
    bool has_ring;
};

static int raw_fault(struct bench_fault *fault, const char *what)
{
    return bench_fault_set(fault, "%s: %s", what, strerror(errno));
}

static int raw_prewrite(struct bench_engine *engine, struct bench_fault *fault)
{
    struct stat status;
    if (fstat(engine->file, &status) != 0) {
        return raw_fault(fault, "fstat");
    }
    memset(engine->buffer, 0, RAW_BUFFER);
    for (uint64_t at = (uint64_t)status.st_size; at < engine->limit;) {
        ssize_t written = pwrite(engine->file, engine->buffer, RAW_BUFFER, (off_t)at);
        if (written <= 0) {
            return raw_fault(fault, "prewrite");
        }
        at += (uint64_t)written;
    }
    return fsync(engine->file) == 0 ? 0 : raw_fault(fault, "fsync");
}

static int raw_stop(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)fault; /* everything was flushed when it mattered */
    if (engine->has_ring) {
        io_uring_queue_exit(&engine->ring);
    }
    if (engine->file >= 0) {
        (void)close(engine->file);
    }
    memory_free(engine->buffer);
    memory_free(engine);
    return 0;
}

static int raw_start(const struct bench_engine_ops *ops, const struct bench_setup *setup,
                     struct bench_engine **out_engine, struct bench_fault *fault)
{
    (void)ops; /* the device has only one of it */
    struct bench_engine *engine = memory_alloc_zeroed(1, sizeof(*engine));
    ensure(engine != NULL);
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/data", setup->directory);
    engine->limit = (setup->bytes_max / RAW_BUFFER + 1) * RAW_BUFFER;
    engine->buffer = memory_alloc_aligned(RAW_BUFFER, RAW_ALIGN);
    ensure(engine->buffer != NULL);
    engine->file = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0666);
    if (engine->file < 0) {
        (void)bench_fault_set(fault, "%s: %s%s", path, strerror(errno),
                              errno == EINVAL ? " (no O_DIRECT on this file system)" : "");
        (void)raw_stop(engine, NULL);
        return -1;
    }
    int result = io_uring_queue_init(RAW_DEPTH_MAX, &engine->ring,
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (result == -EINVAL) {
        result = io_uring_queue_init(RAW_DEPTH_MAX, &engine->ring, 0);
    }
    engine->has_ring = result == 0; /* reads then say why they cannot be */
    if (raw_prewrite(engine, fault) != 0) {
        (void)raw_stop(engine, NULL);
        return -1;
    }
    *out_engine = engine;
    return 0;
}

static uint8_t *append(uint8_t *at, const void *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

/* Lay BLOCK out at OUT. Returns the aligned size. */
static size_t raw_frame(const struct bench_block *block, uint8_t *out)
{
    uint8_t *at = append(out, block->block.data, block->block.size);
    at = append(at, block->receipts.data, block->receipts.size);
    at = append(at, block->senders.data, block->senders.size);
    for (size_t i = 0; i < block->change_count; i++) {
        const struct stoa_change *change = &block->changes[i];
        *at++ = (uint8_t)change->key.size;
        *at++ = (uint8_t)change->value.size;
        at = append(at, change->key.data, change->key.size);
        at = append(at, change->value.data, change->value.size);
    }
    size_t size = (size_t)(at - out);
    size_t padded = (size + RAW_ALIGN - 1) / RAW_ALIGN * RAW_ALIGN;
    ensure(padded <= RAW_FRAME_MAX);
    memset(at, 0, padded - size);
    return padded;
}

static int raw_write(struct bench_engine *engine, size_t size, int flags, struct bench_fault *fault)
{
    if (engine->next + size > engine->limit) {
        engine->next = 0;
    }
    for (size_t done = 0; done < size;) {
        struct iovec vector = {.iov_base = engine->buffer + done, .iov_len = size - done};
        ssize_t written = pwritev2(engine->file, &vector, 1, (off_t)engine->next, flags);
        if (written <= 0) {
            return raw_fault(fault, "write");
        }
        done += (size_t)written;
        engine->next += (uint64_t)written;
    }
    return 0;
}

static int raw_commit(struct bench_engine *engine, const struct bench_block *block,
                      struct bench_fault *fault)
{
    return raw_write(engine, raw_frame(block, engine->buffer), RWF_DSYNC, fault);
}

static int raw_import(struct bench_engine *engine, const struct bench_block *blocks, size_t count,
                      _Atomic uint64_t *acked, struct bench_fault *fault)
{
    for (size_t i = 0; i < count;) {
        size_t size = 0;
        for (size_t end = i + RAW_WRITE_BLOCKS; i < count && i < end; i++) {
            size += raw_frame(&blocks[i], engine->buffer + size);
        }
        if (raw_write(engine, size, 0, fault) != 0) {
            return -1;
        }
        if (i % BENCH_SYNC_EVERY == 0 || i == count) {
            if (fdatasync(engine->file) != 0) {
                return raw_fault(fault, "fdatasync");
            }
            *acked = blocks[i - 1].number + 1;
        }
    }
    return 0;
}

static int raw_flush(struct bench_engine *engine, struct bench_fault *fault)
{
    (void)engine; /* it has only one place */
    (void)fault;
    return 0;
}

static void raw_submit(struct bench_engine *engine, const struct bench_read *read, unsigned slot,
                       uint64_t tag)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
    ensure(sqe != NULL);
    uint64_t page = bench_sum(read->key, 32) % (engine->limit / RAW_ALIGN);
    io_uring_prep_read(sqe, engine->file, engine->buffer + (size_t)slot * RAW_ALIGN, RAW_ALIGN,
                       page * RAW_ALIGN);
    io_uring_sqe_set_data64(sqe, tag);
}

/* What is under way: which read has which slot of the buffer. */
struct raw_window {
    unsigned idle[RAW_DEPTH_MAX];
    unsigned idle_count;
};

static int raw_reap(struct bench_engine *engine, const struct bench_reads *reads,
                    struct raw_window *window, struct bench_fault *fault)
{
    int result = io_uring_submit_and_wait(&engine->ring, 1);
    if (result < 0 && result != -EINTR) {
        return bench_fault_set(fault, "io_uring: %s", strerror(-result));
    }
    struct io_uring_cqe *cqe = NULL;
    while (io_uring_peek_cqe(&engine->ring, &cqe) == 0) {
        uint64_t tag = io_uring_cqe_get_data64(cqe);
        int size = cqe->res;
        io_uring_cqe_seen(&engine->ring, cqe);
        if (size != RAW_ALIGN) {
            return bench_fault_set(fault, "a read brought %d bytes", size);
        }
        uint64_t *took = &reads->took[tag / RAW_DEPTH_MAX];
        *took = bench_now() - *took;
        window->idle[window->idle_count++] = (unsigned)(tag % RAW_DEPTH_MAX);
    }
    return 0;
}

static int raw_read(struct bench_engine *engine, const struct bench_reads *reads,
                    struct bench_fault *fault)
{
    if (!engine->has_ring) {
        return bench_fault_set(fault, "io_uring is not to be had here");
    }
    ensure(reads->depth <= RAW_DEPTH_MAX);
    struct raw_window window = {.idle_count = reads->depth};
    for (unsigned i = 0; i < reads->depth; i++) {
        window.idle[i] = i;
    }
    size_t next = 0;
    bool more = reads->count > 0;
    while (more || window.idle_count < reads->depth) {
        while (more && window.idle_count > 0) {
            unsigned slot = window.idle[--window.idle_count];
            reads->took[next] = bench_now();
            more = reads->took[next] < reads->until && next + 1 < reads->count;
            raw_submit(engine, &reads->items[next], slot, next * RAW_DEPTH_MAX + slot);
            next++;
        }
        if (raw_reap(engine, reads, &window, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct bench_engine_ops bench_engine_raw = {
    .name = "raw",
    .version = "-",
    .settings = "limit: one prewritten file, O_DIRECT, nothing indexed; commit: a write with "
                "RWF_DSYNC; import: "
                "writes of 8 blocks, fdatasync every 64; reads: 4 KiB at random places by io_uring",
    .phases = BENCH_LIMIT_PHASES,
    .open = raw_start,
    .close = raw_stop,
    .commit = raw_commit,
    .import = raw_import,
    .flush = raw_flush,
    .read = raw_read,
};
