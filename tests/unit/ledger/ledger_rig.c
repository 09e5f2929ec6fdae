/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"

static void fill(uint8_t *payload, size_t size, unsigned number)
{
    ensure(size >= 8);
    uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + size + 1;
    bytes_store_le32(payload, number);
    bytes_store_le32(payload + 4, (uint32_t)size);
    size_t i = 8;
    for (; i + 8 <= size; i += 8) {
        bytes_store_le64(payload + i, ledger_rig_random(&state));
    }
    for (; i < size; i++) {
        payload[i] = (uint8_t)ledger_rig_random(&state);
    }
}

uint64_t ledger_rig_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void init(struct ledger_rig *rig, uint32_t segment_size)
{
    rig->options = (struct ledger_options){
        .path = rig->directory,
        .store_id = UINT64_C(0x1122334455667788),
        .segment_size = segment_size,
    };
    rig->appends = memory_alloc_zeroed(LEDGER_RIG_FRAMES_MAX, sizeof(*rig->appends));
    ensure(rig->appends != NULL);
    ledger_rig_start(rig);
}

static void make(struct ledger_rig *rig)
{
    int result = ledger_create(&rig->options, &rig->detail);
    if (result != 0) {
        fprintf(stderr, "ledger_create: %s\n", rig->detail.text);
    }
    ensure(result == 0);
}

void ledger_rig_init_sim(struct ledger_rig *rig, uint64_t seed, uint32_t segment_size)
{
    *rig = (struct ledger_rig){0};
    rig->disk = io_disk_create(seed);
    ensure(rig->disk != NULL);
    rig->sim = (struct io_sim_options){.seed = seed, .capacity = UINT64_C(1) << 40, .torn = true};
    snprintf(rig->directory, sizeof(rig->directory), "/ledger");
    init(rig, segment_size);
    struct io_request request = {.op = IO_MKDIR, .path = rig->directory};
    ensure(io_wait(rig->io, &request) == 0);
    request = (struct io_request){.op = IO_SYNC_DIR, .path = "/"};
    ensure(io_wait(rig->io, &request) == 0);
    make(rig);
}

void ledger_rig_init_real(struct ledger_rig *rig, enum io_backend backend, uint32_t segment_size)
{
    *rig = (struct ledger_rig){.backend = backend};
    snprintf(rig->directory, sizeof(rig->directory), "/tmp/stoa-ledger-XXXXXX");
    ensure(mkdtemp(rig->directory) != NULL);
    init(rig, segment_size);
    if (rig->io != NULL) {
        make(rig);
    }
}

/* The canary's disk. */
static void lying_submit(struct io *io, struct io_request *request)
{
    request->flags &= ~(unsigned)IO_WRITE_DURABLE;
    struct ledger_rig *rig = io->woken_context;
    rig->honest->submit(io, request);
}

void ledger_rig_start(struct ledger_rig *rig)
{
    if (rig->io != NULL) {
        return;
    }
    int result = 0;
    if (rig->disk != NULL) {
        result = io_sim_create(rig->disk, &rig->sim, &rig->io);
    } else {
        struct io_options options = {.backend = rig->backend};
        result = io_create(&options, &rig->io, &rig->detail);
        if (result < 0 && rig->backend == IO_BACKEND_RING) {
            rig->io = NULL;
            return;
        }
    }
    ensure(result == 0);
    rig->options.io = rig->io;
    if (rig->lying) {
        rig->ops = *rig->io->ops;
        rig->honest = rig->io->ops;
        rig->io->woken_context = rig;
        rig->ops.submit = lying_submit;
        rig->io->ops = &rig->ops;
    }
}

static void remove_name(void *context, const char *name)
{
    const struct ledger_rig *rig = context;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", rig->directory, name);
    unlink(path);
}

void ledger_rig_deinit(struct ledger_rig *rig)
{
    ledger_abandon(rig->ledger);
    if (rig->disk == NULL && rig->io != NULL) {
        (void)io_list(rig->io, rig->directory, remove_name, rig);
    }
    if (rig->disk == NULL) {
        rmdir(rig->directory);
    }
    io_destroy(rig->io);
    io_disk_destroy(rig->disk);
    ledger_rig_forget(rig, 0);
    memory_free(rig->appends);
}

int ledger_rig_open(struct ledger_rig *rig, uint64_t proven)
{
    ledger_rig_start(rig);
    rig->detail = (struct error_detail){0};
    rig->recovery = (struct ledger_recovery){0};
    return ledger_open(&rig->options, proven, &rig->ledger, &rig->recovery, &rig->detail);
}

int ledger_rig_close(struct ledger_rig *rig)
{
    int result = ledger_close(rig->ledger, &rig->detail);
    rig->ledger = NULL;
    return result;
}

void ledger_rig_cut(struct ledger_rig *rig, uint64_t seed, bool torn)
{
    struct io_disk *left = io_disk_cut(rig->disk, seed, torn);
    ensure(left != NULL);
    rig->dead = true;
    ledger_abandon(rig->ledger);
    rig->dead = false;
    rig->ledger = NULL;
    io_destroy(rig->io);
    rig->io = NULL;
    io_disk_destroy(rig->disk);
    rig->disk = left;
}

bool ledger_rig_is_cut(struct ledger_rig *rig)
{
    const struct io_ops *ops = rig->io->ops;
    if (rig->lying) {
        rig->io->ops = rig->honest;
    }
    bool cut = io_sim_is_cut(rig->io);
    rig->io->ops = ops;
    return cut;
}

static void append_done(struct ledger_append *append)
{
    struct ledger_rig_append *mine = append->context;
    if (mine->rig->dead) {
        return;
    }
    ensure(!mine->done);
    mine->done = true;
    mine->rig->done_count++;
    if (append->result == 0) {
        mine->rig->good_count++;
    }
}

struct ledger_rig_append *ledger_rig_append(struct ledger_rig *rig, size_t size)
{
    ensure(rig->append_count < LEDGER_RIG_FRAMES_MAX);
    unsigned number = rig->append_count++;
    struct ledger_rig_append *mine = &rig->appends[number];
    *mine = (struct ledger_rig_append){.rig = rig, .number = number, .size = size};
    mine->payload = memory_alloc(size);
    ensure(mine->payload != NULL);
    fill(mine->payload, size, number);
    size_t half = size / 2;
    mine->append = (struct ledger_append){
        .kind = LEDGER_BLOCK,
        .height = 1000 + number,
        .parts = {bytes_of(mine->payload, half), bytes_of(mine->payload + half, size - half)},
        .part_count = 2,
        .done = append_done,
        .context = mine,
    };
    ledger_append(rig->ledger, &mine->append);
    return mine;
}

int ledger_rig_wait(struct ledger_rig *rig)
{
    while (rig->done_count < rig->append_count) {
        int result = io_run(rig->io, 1000000000);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int ledger_rig_identify(struct bytes payload)
{
    if (payload.size < 8 || bytes_load_le32(payload.data + 4) != payload.size) {
        return -1;
    }
    unsigned number = bytes_load_le32(payload.data);
    uint8_t *expected = memory_alloc(payload.size);
    ensure(expected != NULL);
    fill(expected, payload.size, number);
    bool equal = memcmp(expected, payload.data, payload.size) == 0;
    memory_free(expected);
    return equal ? (int)number : -1;
}

static void read_done(struct ledger_read *read)
{
    bool *done = read->context;
    *done = true;
}

int ledger_rig_read_at(struct ledger_rig *rig, const struct ledger_position *position,
                       unsigned number)
{
    bool done = false;
    struct ledger_read read = {.position = *position, .done = read_done, .context = &done};
    ledger_read(rig->ledger, &read);
    while (!done) {
        int result = io_run(rig->io, 1000000000);
        if (result < 0) {
            return result;
        }
    }
    int result = read.result;
    if (result == 0) {
        ensure(ledger_rig_identify(read.payload) == (int)number);
        ensure(read.kind == LEDGER_BLOCK);
        ensure(read.height == 1000 + number);
    } else {
        rig->detail = read.detail;
    }
    ledger_read_release(&read);
    return result;
}

int ledger_rig_read(struct ledger_rig *rig, unsigned number)
{
    ensure(number < rig->append_count);
    return ledger_rig_read_at(rig, &rig->appends[number].append.position, number);
}

int ledger_rig_read_ranges(struct ledger_rig *rig, unsigned number, uint64_t seed, bool *out_whole)
{
    const struct ledger_rig_append *append = &rig->appends[number];
    uint64_t random = seed + 1;
    bool done = false;
    struct ledger_ranges ranges = {
        .count = 1 + (unsigned)(ledger_rig_random(&random) % LEDGER_RANGES_MAX)};
    struct ledger_read read = {.position = append->append.position,
                               .ranges = &ranges,
                               .done = read_done,
                               .context = &done};
    for (unsigned i = 0; i < ranges.count; i++) {
        uint32_t begin = (uint32_t)(ledger_rig_random(&random) % append->size);
        ranges.at[i].offset = begin;
        ranges.at[i].size = 1 + (uint32_t)(ledger_rig_random(&random) % (append->size - begin));
    }
    ledger_read(rig->ledger, &read);
    while (!done) {
        int result = io_run(rig->io, 1000000000);
        if (result < 0) {
            return result;
        }
    }
    *out_whole = read.ranges == NULL;
    for (unsigned i = 0; read.result == 0 && !*out_whole && i < ranges.count; i++) {
        ensure(memcmp(ranges.at[i].data, append->payload + ranges.at[i].offset,
                      ranges.at[i].size) == 0);
    }
    if (read.result != 0) {
        rig->detail = read.detail;
    }
    ledger_read_release(&read);
    return read.result;
}

struct scan_state {
    struct ledger_rig *rig;
    unsigned count;
};

static int scan_frame(void *context, const struct ledger_frame *frame)
{
    struct scan_state *scan = context;
    if (frame->result != 0) {
        fprintf(stderr, "scan: %s\n", frame->detail->text);
        return -100;
    }
    int number = ledger_rig_identify(frame->payload);
    if (number != (int)scan->count || frame->height != 1000 + scan->count ||
        frame->kind != LEDGER_BLOCK || scan->count >= scan->rig->append_count) {
        fprintf(stderr, "scan: frame %u is number %d\n", scan->count, number);
        return -101;
    }
    scan->rig->appends[scan->count++].append.position = frame->position;
    return 0;
}

int ledger_rig_scan(struct ledger_rig *rig)
{
    struct scan_state scan = {.rig = rig};
    int result = ledger_scan(rig->ledger, 0, NULL, scan_frame, &scan, &rig->detail);
    return result == 0 ? (int)scan.count : result;
}

static void say_damage(void *context, const struct ledger_damage *damage)
{
    const bool *quiet = context;
    if (!*quiet) {
        fprintf(stderr, "damage: %s offset %llu size %llu sequence %llu: %s\n", damage->file,
                (unsigned long long)damage->offset, (unsigned long long)damage->size,
                (unsigned long long)damage->sequence, damage->what);
    }
}

int ledger_rig_verify(struct ledger_rig *rig, bool quiet, struct ledger_verify_report *out_report)
{
    struct ledger_verify_report report = {0};
    int result = ledger_verify(rig->ledger, say_damage, NULL, &quiet, &report, &rig->detail);
    if (out_report != NULL) {
        *out_report = report;
    }
    return result;
}

void ledger_rig_forget(struct ledger_rig *rig, unsigned count)
{
    for (unsigned i = count; i < rig->append_count; i++) {
        memory_free(rig->appends[i].payload);
    }
    ensure(count <= rig->append_count);
    rig->append_count = count;
    rig->done_count = count;
    rig->good_count = count;
}

const char *ledger_rig_segment(const struct ledger_rig *rig, unsigned number)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%08u.seg", rig->directory, number);
    return path;
}

unsigned ledger_rig_seed_count(unsigned otherwise)
{
    const char *text = getenv("STOA_SIM_SEEDS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

uint64_t ledger_rig_seed_first(void)
{
    const char *text = getenv("STOA_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : 1;
}
