/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated machine keeps what it promises to keep, loses what it may lose, and repeats itself.
 * Facts about chance are shown over many seeds: what may happen must happen for one of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/io_sim.h"

enum { BLOCK = IO_ALIGNMENT, SECTOR = 512, SEEDS = 200, PART = 8 * BLOCK };

static const uint64_t capacity = 1 << 20;

struct machine {
    struct io_disk *disk;
    struct io *io;
    uint8_t data[PART];
    uint8_t back[PART];
};

static void start_on(struct machine *machine, struct io_disk *disk, struct io_sim_options options)
{
    machine->disk = disk;
    assert_non_null(disk);
    options.capacity = options.capacity == 0 ? capacity : options.capacity;
    assert_int_equal(io_sim_create(disk, &options, &machine->io), 0);
}

static struct machine *start(struct io_sim_options options)
{
    struct machine *machine = aligned_alloc(BLOCK, (sizeof(*machine) + BLOCK - 1) / BLOCK * BLOCK);
    assert_non_null(machine);
    memset(machine, 0, sizeof(*machine));
    start_on(machine, io_disk_create(options.seed), options);
    return machine;
}

static void stop(struct machine *machine)
{
    io_destroy(machine->io);
    io_disk_destroy(machine->disk);
    free(machine);
}

/* Power goes and comes back: the same machine with what a cut by SEED leaves. */
static void cut(struct machine *machine, uint64_t seed, bool torn)
{
    struct io_disk *left = io_disk_cut(machine->disk, seed, torn);
    io_destroy(machine->io);
    io_disk_destroy(machine->disk);
    start_on(machine, left, (struct io_sim_options){.seed = seed});
}

static int64_t wait_for(struct machine *machine, struct io_request request)
{
    return io_wait(machine->io, &request);
}

static int open_file(struct machine *machine, const char *path)
{
    int64_t file = wait_for(
        machine,
        (struct io_request){.op = IO_OPEN, .path = path, .flags = IO_OPEN_WRITE | IO_OPEN_CREATE});
    assert_true(file >= 0);
    return (int)file;
}

static int64_t write_at(struct machine *machine, int file, uint8_t value, uint64_t offset,
                        size_t size, unsigned flags)
{
    memset(machine->data, value, size);
    return wait_for(machine, (struct io_request){.op = IO_WRITE,
                                                 .file = file,
                                                 .data = machine->data,
                                                 .size = size,
                                                 .offset = offset,
                                                 .flags = flags});
}

static int64_t read_at(struct machine *machine, int file, uint64_t offset, size_t size)
{
    return wait_for(
        machine,
        (struct io_request){
            .op = IO_READ, .file = file, .data = machine->back, .size = size, .offset = offset});
}

static void sync_file(struct machine *machine, int file)
{
    assert_int_equal(wait_for(machine, (struct io_request){.op = IO_SYNC, .file = file}), 0);
}

static void on_path(struct machine *machine, enum io_op op, const char *path, const char *path_to)
{
    assert_int_equal(
        wait_for(machine, (struct io_request){.op = op, .path = path, .path_to = path_to}), 0);
}

static bool exists(struct machine *machine, const char *path)
{
    uint64_t size;
    return io_file_size(machine->io, path, &size) == 0;
}

static uint64_t size_of(struct machine *machine, const char *path)
{
    uint64_t size = UINT64_MAX;
    assert_int_equal(io_file_size(machine->io, path, &size), 0);
    return size;
}

/* A file whose name and PART bytes of VALUE are durable. */
static int durable_file(struct machine *machine, const char *path, uint8_t value)
{
    int file = open_file(machine, path);
    assert_int_equal(write_at(machine, file, value, 0, PART, 0), PART);
    sync_file(machine, file);
    on_path(machine, IO_SYNC_DIR, "/", NULL);
    return file;
}

/* Contents */

static void flushed_data_survives_every_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = durable_file(machine, "/a", 1);
        assert_int_equal(write_at(machine, file, 2, 2 * BLOCK, BLOCK, IO_WRITE_DURABLE), BLOCK);
        assert_int_equal(write_at(machine, file, 3, 100, SECTOR, IO_WRITE_DURABLE), SECTOR);
        assert_int_equal(write_at(machine, file, 9, 6 * BLOCK, BLOCK, 0), BLOCK);
        assert_int_equal(write_at(machine, file, 9, 3 * BLOCK, 10, 0), 10);
        cut(machine, seed, true);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        for (size_t i = 0; i < 6 * BLOCK; i++) {
            bool second = i >= 2 * BLOCK && i < 3 * BLOCK;
            bool third = i >= 100 && i < 100 + SECTOR;
            if (i < 3 * BLOCK || i >= 3 * BLOCK + SECTOR) {
                assert_int_equal(machine->back[i], second ? 2 : third ? 3 : 1);
            }
        }
        assert_int_equal(machine->back[7 * BLOCK], 1);
        stop(machine);
    }
}

static void unflushed_sectors_are_kept_or_lost_one_by_one(void **state)
{
    (void)state;
    unsigned kept = 0;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = durable_file(machine, "/a", 1);
        assert_int_equal(write_at(machine, file, 2, 0, PART, 0), PART);
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        assert_memory_equal(machine->back, machine->data, PART);
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        for (size_t i = 0; i < PART; i += SECTOR) {
            uint8_t first = machine->back[i];
            assert_true(first == 1 || first == 2);
            for (size_t k = 0; k < SECTOR; k++) {
                assert_int_equal(machine->back[i + k], first);
            }
            kept += first == 2;
            lost += first == 1;
        }
        stop(machine);
    }
    assert_true(kept > 0);
    assert_true(lost > 0);
}

static void an_overwritten_sector_may_come_back_in_any_version(void **state)
{
    (void)state;
    unsigned seen[4] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = durable_file(machine, "/a", 1);
        assert_int_equal(write_at(machine, file, 2, 0, BLOCK, 0), BLOCK);
        assert_int_equal(write_at(machine, file, 3, 0, BLOCK, 0), BLOCK);
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, BLOCK), BLOCK);
        assert_in_range(machine->back[0], 1, 3);
        seen[machine->back[0]]++;
        stop(machine);
    }
    assert_true(seen[1] > 0);
    assert_true(seen[2] > 0);
    assert_true(seen[3] > 0);
}

static void torn_sectors_appear_only_where_they_may(void **state)
{
    (void)state;
    unsigned garbled = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = durable_file(machine, "/a", 1);
        assert_int_equal(write_at(machine, file, 2, 4 * BLOCK, BLOCK, 0), BLOCK);
        cut(machine, seed, true);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        for (size_t i = 0; i < PART; i++) {
            if (i / BLOCK != 4) {
                assert_int_equal(machine->back[i], 1);
            }
        }
        for (size_t i = 4 * BLOCK; i < 5 * BLOCK; i += SECTOR) {
            garbled += memcmp(machine->back + i, machine->back + i + 1, SECTOR - 1) != 0;
        }
        stop(machine);
    }
    assert_true(garbled > 0);
}

static void an_unflushed_size_is_lost_kept_or_between(void **state)
{
    (void)state;
    unsigned old_size = 0;
    unsigned new_size = 0;
    unsigned between = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = open_file(machine, "/a");
        assert_int_equal(write_at(machine, file, 1, 0, BLOCK, IO_WRITE_DURABLE), BLOCK);
        on_path(machine, IO_SYNC_DIR, "/", NULL);
        assert_int_equal(write_at(machine, file, 2, BLOCK, 4 * BLOCK, 0), 4 * BLOCK);
        cut(machine, seed, true);
        uint64_t size = size_of(machine, "/a");
        assert_in_range(size, BLOCK, 5 * BLOCK);
        old_size += size == BLOCK;
        new_size += size == 5 * BLOCK;
        between += size != BLOCK && size != 5 * BLOCK;
        stop(machine);
    }
    assert_true(old_size > 0);
    assert_true(new_size > 0);
    assert_true(between > 0);
}

static void a_killed_process_loses_nothing_it_wrote(void **state)
{
    (void)state;
    struct machine *machine = start((struct io_sim_options){.seed = 1});
    int file = open_file(machine, "/a");
    assert_int_equal(write_at(machine, file, 5, 0, PART, 0), PART);
    io_destroy(machine->io);
    start_on(machine, machine->disk, (struct io_sim_options){.seed = 2});
    file = open_file(machine, "/a");
    assert_int_equal(read_at(machine, file, 0, PART), PART);
    assert_memory_equal(machine->back, machine->data, PART);
    stop(machine);
}

static void a_punch_is_as_unflushed_as_a_write(void **state)
{
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = durable_file(machine, "/a", 1);
        struct io_request punch = {.op = IO_PUNCH, .file = file, .offset = 0, .size = BLOCK};
        assert_int_equal(io_wait(machine->io, &punch), 0);
        if (seed % 2 == 0) {
            sync_file(machine, file);
        }
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, 1), 1);
        assert_true(machine->back[0] == 0 || (seed % 2 == 1 && machine->back[0] == 1));
        kept += machine->back[0] == 1;
        stop(machine);
    }
    assert_true(kept > 0);
}

/* Names */

static void a_new_name_is_durable_only_after_its_directory(void **state)
{
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        int file = open_file(machine, "/a");
        assert_int_equal(write_at(machine, file, 1, 0, BLOCK, IO_WRITE_DURABLE), BLOCK);
        on_path(machine, IO_MKDIR, "/d", NULL);
        if (seed % 2 == 0) {
            on_path(machine, IO_SYNC_DIR, "/", NULL);
        }
        (void)open_file(machine, "/d/inside");
        on_path(machine, IO_SYNC_DIR, "/d", NULL);
        cut(machine, seed, false);
        bool there = exists(machine, "/a");
        assert_true(there || seed % 2 == 1);
        assert_true(exists(machine, "/d/inside") || seed % 2 == 1);
        kept += seed % 2 == 1 && there;
        if (there) {
            assert_int_equal(size_of(machine, "/a"), BLOCK);
        }
        stop(machine);
    }
    assert_in_range(kept, 1, SEEDS / 2 - 1);
}

static void a_rename_is_atomic(void **state)
{
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        (void)durable_file(machine, "/old", 1);
        (void)durable_file(machine, "/new", 2);
        on_path(machine, IO_MKDIR, "/d", NULL);
        on_path(machine, IO_SYNC_DIR, "/", NULL);
        on_path(machine, IO_RENAME, "/new", "/old");
        on_path(machine, IO_RENAME, "/old", "/d/moved");
        if (seed % 2 == 0) {
            on_path(machine, IO_SYNC_DIR, seed % 4 == 0 ? "/" : "/d", NULL);
        }
        cut(machine, seed, true);
        bool moved = exists(machine, "/d/moved");
        assert_true(moved || seed % 2 == 1);
        kept += seed % 2 == 1 && moved;
        const char *path = moved ? "/d/moved" : exists(machine, "/old") ? "/old" : "/new";
        int file = open_file(machine, path);
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        bool second = moved || !exists(machine, "/new");
        assert_int_equal(machine->back[0], second ? 2 : 1);
        assert_false(moved && (exists(machine, "/old") || exists(machine, "/new")));
        stop(machine);
    }
    assert_in_range(kept, 1, SEEDS / 2 - 1);
}

static void an_unlinked_file_may_come_back_whole(void **state)
{
    (void)state;
    unsigned back = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        (void)durable_file(machine, "/a", 7);
        on_path(machine, IO_UNLINK, "/a", NULL);
        if (seed % 2 == 0) {
            on_path(machine, IO_SYNC_DIR, "/", NULL);
        }
        cut(machine, seed, true);
        if (exists(machine, "/a")) {
            assert_int_equal(seed % 2, 1);
            int file = open_file(machine, "/a");
            assert_int_equal(read_at(machine, file, 0, PART), PART);
            assert_int_equal(machine->back[PART - 1], 7);
            back++;
        }
        stop(machine);
    }
    assert_in_range(back, 1, SEEDS / 2 - 1);
}

/* A busy loop, its trace, and power that goes in the middle */

enum { REQUESTS = 40, TRACE = 4 * REQUESTS };

struct job {
    struct io_request request;
    struct busy *busy;
    unsigned number;
};

struct busy {
    struct machine *machine;
    struct job jobs[REQUESTS];
    uint64_t trace[TRACE];
    size_t count;
};

static void note(struct io_request *request)
{
    const struct job *job = request->context;
    struct busy *busy = job->busy;
    assert_in_range(busy->count + 3, 0, TRACE);
    busy->trace[busy->count++] = job->number;
    busy->trace[busy->count++] = (uint64_t)request->result;
    busy->trace[busy->count++] = io_now_ns(busy->machine->io);
}

/* Writes of block N with value N + 1, and a few flushes between. Returns what io_run said last. */
static int be_busy(struct machine *machine, struct busy *busy, int file)
{
    memset(busy, 0, sizeof(*busy));
    busy->machine = machine;
    for (unsigned i = 0; i < PART; i++) {
        machine->data[i] = (uint8_t)(i / BLOCK + 1);
    }
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct job *job = &busy->jobs[i];
        *job = (struct job){.busy = busy, .number = i};
        job->request = (struct io_request){.op = i % 5 == 4 ? IO_SYNC : IO_WRITE,
                                           .file = file,
                                           .data = machine->data + (i % 8) * BLOCK,
                                           .size = BLOCK,
                                           .offset = (uint64_t)(i % 8) * BLOCK,
                                           .done = note,
                                           .context = job};
        io_submit(machine->io, &job->request);
    }
    while (busy->count < 3 * REQUESTS) {
        int ran = io_run(machine->io, UINT64_MAX);
        if (ran < 0) {
            return ran;
        }
    }
    return 0;
}

static void one_seed_makes_one_trace(void **state)
{
    (void)state;
    static struct busy runs[3];
    uint8_t chance[3][16];
    for (unsigned i = 0; i < 3; i++) {
        struct machine *machine = start((struct io_sim_options){.seed = i < 2 ? 5 : 6,
                                                                .delay_ns_max = 100000,
                                                                .write_error_1_in = 10,
                                                                .sync_error_1_in = 3});
        assert_int_equal(be_busy(machine, &runs[i], open_file(machine, "/a")), 0);
        io_random(machine->io, chance[i], sizeof(chance[i]));
        stop(machine);
    }
    assert_memory_equal(runs[0].trace, runs[1].trace, sizeof(runs[0].trace));
    assert_memory_not_equal(runs[0].trace, runs[2].trace, sizeof(runs[0].trace));
    assert_memory_equal(chance[0], chance[1], sizeof(chance[0]));
    assert_memory_not_equal(chance[0], chance[2], sizeof(chance[0]));
}

static void without_delay_requests_complete_in_order(void **state)
{
    (void)state;
    static struct busy busy;
    struct machine *machine = start((struct io_sim_options){.seed = 5});
    assert_int_equal(be_busy(machine, &busy, open_file(machine, "/a")), 0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_int_equal(busy.trace[3 * i], i);
    }
    stop(machine);
}

static void delays_reorder(void **state)
{
    (void)state;
    static struct busy busy;
    struct machine *machine = start((struct io_sim_options){.seed = 5, .delay_ns_max = 1000000});
    assert_int_equal(be_busy(machine, &busy, open_file(machine, "/a")), 0);
    unsigned swapped = 0;
    for (unsigned i = 1; i < REQUESTS; i++) {
        swapped += busy.trace[3 * i] < busy.trace[3 * i - 3];
    }
    assert_true(swapped > 0);
    stop(machine);
}

static void power_goes_at_the_chosen_operation(void **state)
{
    (void)state;
    static struct busy busy;
    struct machine *machine = start((struct io_sim_options){.seed = 5, .delay_ns_max = 1000});
    assert_int_equal(be_busy(machine, &busy, open_file(machine, "/a")), 0);
    uint64_t operations = io_sim_operation_count(machine->io);
    assert_int_equal(operations, REQUESTS + 1);
    stop(machine);
    for (uint64_t at = 2; at <= operations; at++) {
        machine = start((struct io_sim_options){.seed = 5, .delay_ns_max = 1000, .cut_at = at});
        assert_int_equal(be_busy(machine, &busy, open_file(machine, "/a")), STOA_ECLOSED);
        assert_true(io_sim_is_cut(machine->io));
        assert_int_equal(busy.count, 3 * (at - 2));
        assert_int_equal(io_run(machine->io, 0), STOA_ECLOSED);
        struct io_request late = {.op = IO_MKDIR, .path = "/late"};
        assert_int_equal(io_wait(machine->io, &late), STOA_ECLOSED);
        cut(machine, at, true);
        assert_false(exists(machine, "/late"));
        stop(machine);
    }
}

static void what_is_in_flight_at_a_cut_may_have_arrived(void **state)
{
    (void)state;
    unsigned arrived = 0;
    unsigned missed = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        (void)durable_file(machine, "/a", 1);
        struct io_disk *disk = machine->disk;
        io_destroy(machine->io);
        start_on(machine, disk, (struct io_sim_options){.seed = seed, .cut_at = 2});
        int file = open_file(machine, "/a");
        assert_int_equal(write_at(machine, file, 2, 0, BLOCK, IO_WRITE_DURABLE), STOA_ECLOSED);
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, BLOCK), BLOCK);
        arrived += machine->back[0] == 2;
        missed += machine->back[0] == 1;
        stop(machine);
    }
    assert_true(arrived > 0);
    assert_true(missed > 0);
    assert_int_equal(arrived + missed, SEEDS);
}

static void ignore(struct io_request *request)
{
    (void)request;
}

static void a_cut_under_a_running_loop_sees_what_is_in_flight(void **state)
{
    (void)state;
    unsigned arrived = 0;
    struct machine *machine = start((struct io_sim_options){.seed = 3, .delay_ns_max = 1000000000});
    int file = durable_file(machine, "/a", 1);
    memset(machine->data, 2, BLOCK);
    struct io_request write = {.op = IO_WRITE,
                               .file = file,
                               .data = machine->data,
                               .size = BLOCK,
                               .flags = IO_WRITE_DURABLE,
                               .done = ignore};
    io_submit(machine->io, &write);
    assert_int_equal(io_run(machine->io, 0), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *other = start((struct io_sim_options){.seed = 0});
        io_destroy(other->io);
        io_disk_destroy(other->disk);
        start_on(other, io_disk_cut(machine->disk, seed, false), (struct io_sim_options){0});
        int twin = open_file(other, "/a");
        assert_int_equal(read_at(other, twin, 0, BLOCK), BLOCK);
        assert_true(other->back[0] == 1 || other->back[0] == 2);
        arrived += other->back[0] == 2;
        stop(other);
    }
    assert_in_range(arrived, 1, SEEDS - 1);
    while (write.pending) {
        assert_true(io_run(machine->io, UINT64_MAX) >= 0);
    }
    assert_int_equal(read_at(machine, file, 0, BLOCK), BLOCK);
    assert_int_equal(machine->back[0], 2);
    stop(machine);
}

/* Faults */

static void a_full_disk_refuses_and_goes_on(void **state)
{
    (void)state;
    uint64_t space_free;
    uint64_t space_total;
    struct machine *machine = start((struct io_sim_options){.seed = 1, .capacity = 4 * BLOCK});
    int file = open_file(machine, "/a");
    assert_int_equal(write_at(machine, file, 1, 0, 4 * BLOCK, 0), 4 * BLOCK);
    assert_int_equal(io_space(machine->io, "/", &space_free, &space_total), 0);
    assert_int_equal(space_free, 0);
    assert_int_equal(space_total, 4 * BLOCK);
    struct io_request more = {
        .op = IO_WRITE, .file = file, .data = machine->data, .size = BLOCK, .offset = 4 * BLOCK};
    assert_int_equal(io_wait(machine->io, &more), STOA_ENOSPACE);
    assert_int_equal(more.os_error, ENOSPC);
    struct io_request room = {.op = IO_ALLOCATE, .file = file, .size = 5 * BLOCK};
    assert_int_equal(io_wait(machine->io, &room), STOA_ENOSPACE);
    assert_int_equal(write_at(machine, file, 2, 0, 4 * BLOCK, 0), 4 * BLOCK);
    struct io_request punch = {.op = IO_PUNCH, .file = file, .size = BLOCK};
    assert_int_equal(io_wait(machine->io, &punch), 0);
    assert_int_equal(io_wait(machine->io, &more), BLOCK);
    struct io_request close = {.op = IO_CLOSE, .file = file};
    on_path(machine, IO_UNLINK, "/a", NULL);
    assert_int_equal(io_space(machine->io, "/", &space_free, &space_total), 0);
    assert_int_equal(space_free, 0);
    assert_int_equal(io_wait(machine->io, &close), 0);
    assert_int_equal(io_space(machine->io, "/", &space_free, &space_total), 0);
    assert_int_equal(space_free, 4 * BLOCK);
    stop(machine);
}

static void faults_come_as_often_as_asked(void **state)
{
    (void)state;
    unsigned reads = 0;
    unsigned writes = 0;
    unsigned syncs = 0;
    struct machine *machine = start((struct io_sim_options){
        .seed = 9, .read_error_1_in = 4, .write_error_1_in = 4, .sync_error_1_in = 4});
    int file = open_file(machine, "/a");
    for (unsigned i = 0; i < 400; i++) {
        struct io_request sync = {.op = IO_SYNC, .file = file};
        writes += write_at(machine, file, 1, 0, BLOCK, 0) == STOA_EIO;
        reads += read_at(machine, file, 0, BLOCK) == STOA_EIO;
        syncs += io_wait(machine->io, &sync) == STOA_EIO;
    }
    assert_in_range(reads, 50, 150);
    assert_in_range(writes, 50, 150);
    assert_in_range(syncs, 50, 150);
    stop(machine);
}

static void what_a_failed_flush_dropped_is_not_saved_by_the_next(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        (void)durable_file(machine, "/a", 1);
        struct io_disk *disk = machine->disk;
        io_destroy(machine->io);
        start_on(machine, disk, (struct io_sim_options){.seed = seed, .sync_error_1_in = 2});
        int file = open_file(machine, "/a");
        assert_int_equal(write_at(machine, file, 2, 0, PART, 0), PART);
        bool failed = false;
        for (;;) {
            struct io_request sync = {.op = IO_SYNC, .file = file};
            if (io_wait(machine->io, &sync) == 0) {
                break;
            }
            failed = true;
        }
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        assert_memory_equal(machine->back, machine->data, PART);
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        bool whole = true;
        for (size_t i = 0; i < PART; i++) {
            whole = whole && machine->back[i] == 2;
        }
        assert_true(whole || failed);
        lost += !whole;
        stop(machine);
    }
    assert_true(lost > 0);
}

static void a_flush_need_not_cover_what_completes_while_it_runs(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine =
            start((struct io_sim_options){.seed = seed, .delay_ns_max = 100000});
        int file = durable_file(machine, "/a", 1);
        memset(machine->data, 2, BLOCK);
        struct io_request write = {
            .op = IO_WRITE, .file = file, .data = machine->data, .size = BLOCK, .done = ignore};
        struct io_request sync = {.op = IO_SYNC, .file = file, .done = ignore};
        io_submit(machine->io, &sync);
        io_submit(machine->io, &write);
        while (write.pending || sync.pending) {
            assert_true(io_run(machine->io, UINT64_MAX) >= 0);
        }
        cut(machine, seed, false);
        file = open_file(machine, "/a");
        assert_int_equal(read_at(machine, file, 0, BLOCK), BLOCK);
        lost += machine->back[0] == 1;
        stop(machine);
    }
    assert_in_range(lost, 1, SEEDS - 1);
}

static void a_failed_write_is_done_in_part(void **state)
{
    (void)state;
    unsigned partly = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine *machine = start((struct io_sim_options){.seed = seed});
        (void)durable_file(machine, "/a", 1);
        struct io_disk *disk = machine->disk;
        io_destroy(machine->io);
        start_on(machine, disk, (struct io_sim_options){.seed = seed, .write_error_1_in = 1});
        int file = open_file(machine, "/a");
        assert_int_equal(write_at(machine, file, 2, 0, PART, 0), STOA_EIO);
        assert_int_equal(read_at(machine, file, 0, PART), PART);
        unsigned newer = 0;
        for (size_t i = 0; i < PART; i += SECTOR) {
            newer += machine->back[i] == 2;
        }
        partly += newer > 0 && newer < PART / SECTOR;
        stop(machine);
    }
    assert_true(partly > 0);
}

static void a_flipped_bit_is_durable(void **state)
{
    (void)state;
    struct machine *machine = start((struct io_sim_options){.seed = 1});
    int file = durable_file(machine, "/a", 0);
    assert_int_equal(io_disk_flip(machine->disk, "/a", 4097, 3), 0);
    assert_int_equal(io_disk_flip(machine->disk, "/b", 0, 0), STOA_ENOTFOUND);
    assert_int_equal(io_disk_flip(machine->disk, "/a", PART, 0), STOA_EINVAL);
    assert_int_equal(io_disk_flip(machine->disk, "/a", 0, 8), STOA_EINVAL);
    assert_int_equal(read_at(machine, file, 4096, 3), 3);
    assert_int_equal(machine->back[1], 8);
    cut(machine, 1, true);
    file = open_file(machine, "/a");
    assert_int_equal(read_at(machine, file, 4096, 3), 3);
    assert_int_equal(machine->back[0], 0);
    assert_int_equal(machine->back[1], 8);
    assert_int_equal(machine->back[2], 0);
    stop(machine);
}

static void direct_requests_must_be_aligned(void **state)
{
    (void)state;
    struct machine *machine = start((struct io_sim_options){.seed = 1});
    int file = (int)wait_for(
        machine, (struct io_request){.op = IO_OPEN,
                                     .path = "/a",
                                     .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT});
    struct io_request request = {.op = IO_WRITE, .file = file, .data = machine, .size = BLOCK};
    assert_int_equal(io_wait(machine->io, &request), BLOCK);
    request.offset = SECTOR;
    assert_int_equal(io_wait(machine->io, &request), STOA_EINVAL);
    request.offset = 0;
    request.size = SECTOR;
    assert_int_equal(io_wait(machine->io, &request), STOA_EINVAL);
    request.size = BLOCK;
    request.data = (uint8_t *)machine + 8;
    assert_int_equal(io_wait(machine->io, &request), STOA_EINVAL);
    stop(machine);
}

static void an_idle_clock_moves_to_the_next_timer(void **state)
{
    (void)state;
    struct machine *machine = start((struct io_sim_options){.seed = 1});
    uint64_t hour = 3600 * (uint64_t)1000000000;
    uint64_t before = io_now_ns(machine->io);
    struct io_request timer = {.op = IO_TIMER, .deadline_ns = before + hour};
    assert_int_equal(io_wait(machine->io, &timer), 0);
    assert_int_equal(io_now_ns(machine->io), before + hour);
    assert_int_equal(io_sim_operation_count(machine->io), 0);
    assert_int_equal(io_run(machine->io, UINT64_MAX), 0);
    stop(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_data_survives_every_cut),
        cmocka_unit_test(unflushed_sectors_are_kept_or_lost_one_by_one),
        cmocka_unit_test(an_overwritten_sector_may_come_back_in_any_version),
        cmocka_unit_test(torn_sectors_appear_only_where_they_may),
        cmocka_unit_test(an_unflushed_size_is_lost_kept_or_between),
        cmocka_unit_test(a_killed_process_loses_nothing_it_wrote),
        cmocka_unit_test(a_punch_is_as_unflushed_as_a_write),
        cmocka_unit_test(a_new_name_is_durable_only_after_its_directory),
        cmocka_unit_test(a_rename_is_atomic),
        cmocka_unit_test(an_unlinked_file_may_come_back_whole),
        cmocka_unit_test(one_seed_makes_one_trace),
        cmocka_unit_test(without_delay_requests_complete_in_order),
        cmocka_unit_test(delays_reorder),
        cmocka_unit_test(power_goes_at_the_chosen_operation),
        cmocka_unit_test(what_is_in_flight_at_a_cut_may_have_arrived),
        cmocka_unit_test(a_cut_under_a_running_loop_sees_what_is_in_flight),
        cmocka_unit_test(a_full_disk_refuses_and_goes_on),
        cmocka_unit_test(faults_come_as_often_as_asked),
        cmocka_unit_test(what_a_failed_flush_dropped_is_not_saved_by_the_next),
        cmocka_unit_test(a_flush_need_not_cover_what_completes_while_it_runs),
        cmocka_unit_test(a_failed_write_is_done_in_part),
        cmocka_unit_test(a_flipped_bit_is_durable),
        cmocka_unit_test(direct_requests_must_be_aligned),
        cmocka_unit_test(an_idle_clock_moves_to_the_next_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
