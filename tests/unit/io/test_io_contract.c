/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What io.h promises, shown on all three implementations: each fact is a test on each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "io/io_sim.h"

enum { PATH_SIZE = 256, BLOCK = IO_ALIGNMENT, BLOCKS = 16, SIZE = BLOCK * BLOCKS };

enum kind { ON_RING, ON_THREADS, IN_SIMULATION, KIND_COUNT };

static const char *const kind_names[] = {"io_uring", "threads", "simulation"};

struct world {
    enum kind kind;
    struct io *io; /* NULL: refused here */
    struct io_disk *disk;
    char directory[PATH_SIZE];
    uint8_t *data; /* SIZE bytes, aligned, of a pattern */
    uint8_t *back; /* SIZE bytes, aligned */
    unsigned count;
    unsigned order[64];
};

static int64_t wait_for(struct world *world, struct io_request request)
{
    return io_wait(world->io, &request);
}

static const char *path_of(struct world *world, const char *name)
{
    static char paths[4][2 * PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", world->directory, name);
    return path;
}

static int64_t open_file(struct world *world, const char *name, unsigned flags)
{
    return wait_for(
        world, (struct io_request){.op = IO_OPEN, .path = path_of(world, name), .flags = flags});
}

static int open_new(struct world *world, const char *name, unsigned flags)
{
    int64_t file = open_file(world, name, IO_OPEN_WRITE | IO_OPEN_CREATE | flags);
    assert_true(file >= 0);
    return (int)file;
}

static void close_file(struct world *world, int file)
{
    assert_int_equal(wait_for(world, (struct io_request){.op = IO_CLOSE, .file = file}), 0);
}

static int64_t write_at(struct world *world, int file, uint64_t offset, size_t size, unsigned flags)
{
    return wait_for(world, (struct io_request){.op = IO_WRITE,
                                               .file = file,
                                               .data = world->data,
                                               .size = size,
                                               .offset = offset,
                                               .flags = flags});
}

static int64_t read_at(struct world *world, int file, uint64_t offset, size_t size)
{
    memset(world->back, 0xee, SIZE);
    return wait_for(
        world,
        (struct io_request){
            .op = IO_READ, .file = file, .data = world->back, .size = size, .offset = offset});
}

static int64_t on_file(struct world *world, enum io_op op, int file, uint64_t offset, size_t size)
{
    return wait_for(world,
                    (struct io_request){.op = op, .file = file, .offset = offset, .size = size});
}

static int64_t on_path(struct world *world, enum io_op op, const char *name)
{
    return wait_for(world, (struct io_request){.op = op, .path = path_of(world, name)});
}

static int64_t rename_to(struct world *world, const char *from, const char *to)
{
    return wait_for(world, (struct io_request){.op = IO_RENAME,
                                               .path = path_of(world, from),
                                               .path_to = path_of(world, to)});
}

static void assert_zeros(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(data[i], 0);
    }
}

static void run_until(struct world *world, unsigned count)
{
    while (world->count < count) {
        assert_true(io_run(world->io, UINT64_MAX) >= 0);
    }
}

static void count_done(struct io_request *request)
{
    struct world *world = request->context;
    world->count++;
}

/* Files */

static void a_missing_file_is_not_found(struct world *world)
{
    assert_int_equal(open_file(world, "absent", 0), STOA_ENOTFOUND);
    assert_int_equal(open_file(world, "absent/below", IO_OPEN_CREATE), STOA_ENOTFOUND);
    assert_int_equal(on_path(world, IO_UNLINK, "absent"), STOA_ENOTFOUND);
    assert_int_equal(rename_to(world, "absent", "other"), STOA_ENOTFOUND);
    assert_int_equal(on_path(world, IO_SYNC_DIR, "absent"), STOA_ENOTFOUND);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, path_of(world, "absent"), &size), STOA_ENOTFOUND);
}

static void an_error_carries_its_errno(struct world *world)
{
    struct io_request request = {.op = IO_OPEN, .path = path_of(world, "absent")};
    assert_int_equal(io_wait(world->io, &request), STOA_ENOTFOUND);
    assert_int_equal(request.os_error, ENOENT);
    assert_false(request.pending);
}

static void what_is_written_is_read_back(struct world *world)
{
    int file = open_new(world, "file", 0);
    assert_int_equal(write_at(world, file, 0, SIZE, 0), SIZE);
    assert_int_equal(read_at(world, file, 0, SIZE), SIZE);
    assert_memory_equal(world->back, world->data, SIZE);
    assert_int_equal(read_at(world, file, 1000, 5000), 5000);
    assert_memory_equal(world->back, world->data + 1000, 5000);
    assert_int_equal(write_at(world, file, 777, 3, 0), 3);
    assert_int_equal(read_at(world, file, 776, 5), 5);
    assert_int_equal(world->back[0], world->data[776]);
    assert_memory_equal(world->back + 1, world->data, 3);
    assert_int_equal(world->back[4], world->data[780]);
    close_file(world, file);
}

static void direct_files_move_whole_blocks(struct world *world)
{
    int file = open_new(world, "direct", IO_OPEN_DIRECT);
    assert_int_equal(write_at(world, file, BLOCK, SIZE, 0), SIZE);
    assert_int_equal(read_at(world, file, 2 * BLOCK, SIZE), SIZE - BLOCK);
    assert_memory_equal(world->back, world->data + BLOCK, SIZE - BLOCK);
    assert_int_equal(read_at(world, file, 0, BLOCK), BLOCK);
    assert_zeros(world->back, BLOCK);
    close_file(world, file);
}

static void a_read_ends_at_the_end_of_the_file(struct world *world)
{
    int file = open_new(world, "short", 0);
    assert_int_equal(write_at(world, file, 0, 5000, 0), 5000);
    assert_int_equal(read_at(world, file, 0, SIZE), 5000);
    assert_memory_equal(world->back, world->data, 5000);
    assert_int_equal(world->back[5000], 0xee);
    assert_int_equal(read_at(world, file, 4999, 2), 1);
    assert_int_equal(read_at(world, file, 5000, 1), 0);
    assert_int_equal(read_at(world, file, 1 << 20, BLOCK), 0);
    close_file(world, file);
    int direct = (int)open_file(world, "short", IO_OPEN_DIRECT);
    assert_true(direct >= 0);
    assert_int_equal(read_at(world, direct, 0, SIZE), 5000);
    assert_int_equal(read_at(world, direct, BLOCK, BLOCK), 5000 - BLOCK);
    close_file(world, direct);
}

static void transfers_of_nothing_succeed(struct world *world)
{
    int file = open_new(world, "nothing", 0);
    assert_int_equal(write_at(world, file, 0, 0, 0), 0);
    assert_int_equal(write_at(world, file, 4096, 0, IO_WRITE_DURABLE), 0);
    assert_int_equal(read_at(world, file, 0, 0), 0);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, path_of(world, "nothing"), &size), 0);
    assert_int_equal(size, 0);
    close_file(world, file);
}

static void durable_writes_and_flushes_succeed(struct world *world)
{
    int file = open_new(world, "durable", IO_OPEN_DIRECT);
    assert_int_equal(write_at(world, file, 0, SIZE, IO_WRITE_DURABLE), SIZE);
    assert_int_equal(write_at(world, file, SIZE, SIZE, 0), SIZE);
    assert_int_equal(on_file(world, IO_SYNC, file, 0, 0), 0);
    assert_int_equal(read_at(world, file, SIZE, SIZE), SIZE);
    assert_memory_equal(world->back, world->data, SIZE);
    close_file(world, file);
    assert_int_equal(on_path(world, IO_SYNC_DIR, ""), 0);
}

static void exclusive_creation_meets_what_exists(struct world *world)
{
    unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    int64_t file = open_file(world, "once", flags | IO_OPEN_DIRECT);
    assert_true(file >= 0);
    assert_int_equal(open_file(world, "once", flags), STOA_EEXISTS);
    assert_int_equal(open_file(world, "once", flags | IO_OPEN_DIRECT), STOA_EEXISTS);
    close_file(world, (int)file);
}

static void truncation_empties_and_plain_opening_keeps(struct world *world)
{
    uint64_t size;
    close_file(world, open_new(world, "kept", 0));
    int file = (int)open_file(world, "kept", IO_OPEN_WRITE);
    assert_int_equal(write_at(world, file, 0, 100, 0), 100);
    close_file(world, file);
    close_file(world, open_new(world, "kept", 0));
    assert_int_equal(io_file_size(world->io, path_of(world, "kept"), &size), 0);
    assert_int_equal(size, 100);
    close_file(world, open_new(world, "kept", IO_OPEN_TRUNCATE));
    assert_int_equal(io_file_size(world->io, path_of(world, "kept"), &size), 0);
    assert_int_equal(size, 0);
    file = (int)open_file(world, "kept", IO_OPEN_WRITE);
    assert_int_equal(write_at(world, file, 200, 1, 0), 1);
    assert_int_equal(read_at(world, file, 0, 200), 200);
    assert_zeros(world->back, 200);
    close_file(world, file);
}

static void a_read_only_file_refuses_writes(struct world *world)
{
    close_file(world, open_new(world, "fixed", 0));
    int file = (int)open_file(world, "fixed", 0);
    struct io_request request = {
        .op = IO_WRITE, .file = file, .data = world->data, .size = 10, .offset = 0};
    assert_true(io_wait(world->io, &request) < 0);
    assert_int_equal(request.os_error, EBADF);
    assert_true(on_file(world, IO_ALLOCATE, file, 0, BLOCK) < 0);
    close_file(world, file);
}

static void a_directory_is_no_file(struct world *world)
{
    uint64_t size;
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), 0);
    assert_int_equal(open_file(world, "folder", IO_OPEN_WRITE), STOA_EINVAL);
    assert_int_equal(on_path(world, IO_UNLINK, "folder"), STOA_EINVAL);
    assert_int_equal(io_file_size(world->io, path_of(world, "folder"), &size), STOA_EINVAL);
    close_file(world, open_new(world, "plain", 0));
    assert_int_equal(on_path(world, IO_SYNC_DIR, "plain"), STOA_ENOTFOUND);
    assert_int_equal(open_file(world, "plain/x", IO_OPEN_CREATE), STOA_ENOTFOUND);
}

static void a_closed_file_is_refused(struct world *world)
{
    int file = open_new(world, "gone", 0);
    close_file(world, file);
    struct io_request request = {.op = IO_READ, .file = file, .data = world->back, .size = 10};
    assert_true(io_wait(world->io, &request) < 0);
    assert_int_equal(request.os_error, EBADF);
}

static void allocated_space_reads_as_zeros(struct world *world)
{
    uint64_t size;
    int file = open_new(world, "room", IO_OPEN_DIRECT);
    assert_int_equal(write_at(world, file, 0, BLOCK, 0), BLOCK);
    int64_t result = on_file(world, IO_ALLOCATE, file, 0, SIZE);
    if (result == STOA_ENOTSUP) {
        print_message("skipped: this file system reserves no space\n");
        close_file(world, file);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(io_file_size(world->io, path_of(world, "room"), &size), 0);
    assert_int_equal(size, SIZE);
    assert_int_equal(read_at(world, file, 0, SIZE), SIZE);
    assert_memory_equal(world->back, world->data, BLOCK);
    assert_zeros(world->back + BLOCK, SIZE - BLOCK);
    assert_int_equal(on_file(world, IO_ALLOCATE, file, 0, 0), STOA_EINVAL);
    close_file(world, file);
}

static void punched_space_reads_as_zeros_and_keeps_the_length(struct world *world)
{
    uint64_t size;
    int file = open_new(world, "holes", 0);
    assert_int_equal(write_at(world, file, 0, SIZE, 0), SIZE);
    int64_t result = on_file(world, IO_PUNCH, file, 4 * BLOCK, 4 * BLOCK);
    if (result == STOA_ENOTSUP) {
        print_message("skipped: this file system punches no holes\n");
        close_file(world, file);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(on_file(world, IO_PUNCH, file, 100, 50), 0);
    assert_int_equal(on_file(world, IO_PUNCH, file, 12 * BLOCK, 100 * BLOCK), 0);
    assert_int_equal(io_file_size(world->io, path_of(world, "holes"), &size), 0);
    assert_int_equal(size, SIZE);
    assert_int_equal(read_at(world, file, 0, SIZE), SIZE);
    assert_memory_equal(world->back, world->data, 100);
    assert_zeros(world->back + 100, 50);
    assert_memory_equal(world->back + 150, world->data + 150, 4 * BLOCK - 150);
    assert_zeros(world->back + 4 * BLOCK, 4 * BLOCK);
    assert_memory_equal(world->back + 8 * BLOCK, world->data + 8 * BLOCK, 4 * BLOCK);
    assert_zeros(world->back + 12 * BLOCK, 4 * BLOCK);
    close_file(world, file);
}

/* Names */

static void renaming_replaces_its_target(struct world *world)
{
    uint64_t size;
    int file = open_new(world, "new", 0);
    assert_int_equal(write_at(world, file, 0, 42, 0), 42);
    close_file(world, file);
    close_file(world, open_new(world, "old", 0));
    assert_int_equal(rename_to(world, "new", "old"), 0);
    assert_int_equal(io_file_size(world->io, path_of(world, "old"), &size), 0);
    assert_int_equal(size, 42);
    assert_int_equal(open_file(world, "new", 0), STOA_ENOTFOUND);
    assert_int_equal(rename_to(world, "old", "old"), 0);
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), 0);
    assert_true(rename_to(world, "old", "folder") < 0);
    assert_int_equal(rename_to(world, "old", "folder/inside"), 0);
    assert_int_equal(rename_to(world, "folder", "moved"), 0);
    assert_int_equal(io_file_size(world->io, path_of(world, "moved/inside"), &size), 0);
    assert_int_equal(size, 42);
    assert_int_equal(rename_to(world, "moved", "moved/inside/x"), STOA_ENOTFOUND);
}

static void an_unlinked_file_lives_while_it_is_open(struct world *world)
{
    int file = open_new(world, "ghost", 0);
    assert_int_equal(write_at(world, file, 0, 100, 0), 100);
    assert_int_equal(on_path(world, IO_UNLINK, "ghost"), 0);
    assert_int_equal(open_file(world, "ghost", 0), STOA_ENOTFOUND);
    assert_int_equal(read_at(world, file, 0, 100), 100);
    assert_memory_equal(world->back, world->data, 100);
    close_file(world, file);
}

static void making_a_directory_twice_is_refused(struct world *world)
{
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), 0);
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), STOA_EEXISTS);
    assert_int_equal(on_path(world, IO_MKDIR, "none/folder"), STOA_ENOTFOUND);
    assert_int_equal(on_path(world, IO_SYNC_DIR, "folder"), 0);
}

static void only_an_empty_directory_is_removed(struct world *world)
{
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), 0);
    close_file(world, open_new(world, "folder/file", 0));
    assert_int_equal(on_path(world, IO_RMDIR, "folder"), STOA_EEXISTS);
    assert_true(on_path(world, IO_RMDIR, "folder/file") < 0);
    assert_int_equal(on_path(world, IO_UNLINK, "folder/file"), 0);
    assert_int_equal(on_path(world, IO_RMDIR, "folder"), 0);
    assert_int_equal(on_path(world, IO_RMDIR, "folder"), STOA_ENOTFOUND);
    assert_int_equal(on_path(world, IO_MKDIR, "folder"), 0);
}

static void gather_name(void *context, const char *name)
{
    char *all = context;
    strcat(all, name);
    strcat(all, "|");
}

static void a_listing_names_each_entry_once(struct world *world)
{
    char all[1000] = "";
    assert_int_equal(io_list(world->io, world->directory, gather_name, all), 0);
    assert_string_equal(all, "");
    close_file(world, open_new(world, "first", 0));
    assert_int_equal(on_path(world, IO_MKDIR, "second"), 0);
    assert_int_equal(io_list(world->io, world->directory, gather_name, all), 0);
    assert_int_equal(strlen(all), strlen("first|second|"));
    assert_non_null(strstr(all, "first|"));
    assert_non_null(strstr(all, "second|"));
    assert_int_equal(io_list(world->io, path_of(world, "third"), gather_name, all), STOA_ENOTFOUND);
    assert_int_equal(io_list(world->io, path_of(world, "first"), gather_name, all), STOA_ENOTFOUND);
}

static void space_is_told(struct world *world)
{
    uint64_t space_free = 0;
    uint64_t space_total = 0;
    assert_int_equal(io_space(world->io, world->directory, &space_free, &space_total), 0);
    assert_true(space_total > 0);
    assert_true(space_free <= space_total);
}

static void a_lock_is_held_once(struct world *world)
{
    int lock;
    int second;
    const char *path = path_of(world, "LOCK");
    assert_int_equal(io_lock(world->io, path, &lock), 0);
    assert_int_equal(io_lock(world->io, path, &second), STOA_ELOCKED);
    io_unlock(world->io, lock);
    assert_int_equal(io_lock(world->io, path, &second), 0);
    io_unlock(world->io, second);
    assert_int_equal(io_lock(world->io, path_of(world, "none/LOCK"), &lock), STOA_ENOTFOUND);
}

/* The loop */

static void nothing_runs_before_the_loop_does(struct world *world)
{
    int file = open_new(world, "file", 0);
    struct io_request request = {.op = IO_WRITE,
                                 .file = file,
                                 .data = world->data,
                                 .size = 10,
                                 .done = count_done,
                                 .context = world};
    io_submit(world->io, &request);
    assert_true(request.pending);
    assert_int_equal(world->count, 0);
    run_until(world, 1);
    assert_false(request.pending);
    assert_int_equal(request.result, 10);
    close_file(world, file);
}

struct chain {
    struct io_request request;
    struct world *world;
    unsigned left;
};

static void submit_again(struct io_request *request)
{
    struct chain *chain = request->context;
    assert_int_equal(request->result, BLOCK);
    chain->world->count++;
    if (--chain->left > 0) {
        request->offset += BLOCK;
        io_submit(chain->world->io, request);
    }
}

static void a_callback_may_submit_its_own_request_again(struct world *world)
{
    int file = open_new(world, "file", 0);
    struct chain chain = {.world = world, .left = 100};
    chain.request = (struct io_request){.op = IO_WRITE,
                                        .file = file,
                                        .data = world->data,
                                        .size = BLOCK,
                                        .done = submit_again,
                                        .context = &chain};
    io_submit(world->io, &chain.request);
    run_until(world, 100);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, path_of(world, "file"), &size), 0);
    assert_int_equal(size, 100 * BLOCK);
    close_file(world, file);
}

static void requests_beyond_the_ring_wait_their_turn(struct world *world)
{
    enum { MANY = 10000, SPAN = 64 };
    struct io_request *all = calloc(MANY, sizeof(*all));
    uint8_t *bytes = malloc((size_t)MANY * SPAN);
    assert_non_null(all);
    assert_non_null(bytes);
    int file = open_new(world, "many", 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        world->count = 0;
        for (unsigned i = 0; i < MANY; i++) {
            uint8_t *own = bytes + (size_t)i * SPAN;
            memset(own, pass == 0 ? (int)(i % 251) : 0, SPAN);
            all[i] = (struct io_request){.op = pass == 0 ? IO_WRITE : IO_READ,
                                         .file = file,
                                         .data = own,
                                         .size = SPAN,
                                         .offset = (uint64_t)i * SPAN,
                                         .done = count_done,
                                         .context = world};
            io_submit(world->io, &all[i]);
        }
        run_until(world, MANY);
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(all[i].result, SPAN);
            assert_int_equal(bytes[(size_t)i * SPAN + SPAN - 1], i % 251);
        }
    }
    close_file(world, file);
    free(bytes);
    free(all);
}

static void the_data_path_allocates_nothing(struct world *world)
{
    if (world->kind == IN_SIMULATION) {
        return; /* its disk is made of memory */
    }
    int file = open_new(world, "file", IO_OPEN_DIRECT);
    assert_int_equal(write_at(world, file, 0, SIZE, 0), SIZE);
    uint64_t before = memory_allocation_count();
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(write_at(world, file, 0, SIZE, IO_WRITE_DURABLE), SIZE);
        assert_int_equal(read_at(world, file, 0, SIZE), SIZE);
    }
    assert_int_equal(memory_allocation_count(), before);
    close_file(world, file);
}

/* Timers */

struct alarm {
    struct io_request request;
    struct world *world;
    unsigned number;
};

static void note_alarm(struct io_request *request)
{
    struct alarm *alarm = request->context;
    struct world *world = alarm->world;
    assert_true(request->result == STOA_ECANCELED || io_now_ns(world->io) >= request->deadline_ns);
    world->order[world->count++] = alarm->number;
}

static void set_alarm(struct world *world, struct alarm *alarm, unsigned number, uint64_t at)
{
    *alarm = (struct alarm){.world = world, .number = number};
    alarm->request = (struct io_request){
        .op = IO_TIMER, .deadline_ns = at, .done = note_alarm, .context = alarm};
    io_submit(world->io, &alarm->request);
}

static void timers_ring_in_the_order_of_their_deadlines(struct world *world)
{
    static const unsigned places[] = {5, 1, 4, 1, 3, 0, 2, 7, 6, 7};
    enum { COUNT = sizeof(places) / sizeof(places[0]) };
    struct alarm alarms[COUNT];
    uint64_t now = io_now_ns(world->io);
    for (unsigned i = 0; i < COUNT; i++) {
        set_alarm(world, &alarms[i], i, now + places[i] * 1000000u);
    }
    run_until(world, COUNT);
    for (unsigned i = 1; i < COUNT; i++) {
        unsigned earlier = world->order[i - 1];
        unsigned later = world->order[i];
        assert_true(places[earlier] < places[later] ||
                    (earlier < later && places[earlier] == places[later]));
    }
}

static void timers_grow_beyond_their_first_room(struct world *world)
{
    enum { COUNT = 1000 };
    struct io_request *all = calloc(COUNT, sizeof(*all));
    assert_non_null(all);
    uint64_t now = io_now_ns(world->io);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = (struct io_request){.op = IO_TIMER,
                                     .deadline_ns = now + (i * 7919u % COUNT) * 1000u,
                                     .done = count_done,
                                     .context = world};
        io_submit(world->io, &all[i]);
    }
    for (unsigned i = 0; i < COUNT; i += 3) {
        assert_true(io_cancel(world->io, &all[i]));
    }
    run_until(world, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(all[i].result, i % 3 == 0 ? STOA_ECANCELED : 0);
    }
    free(all);
}

static void a_canceled_timer_says_so(struct world *world)
{
    struct alarm alarm;
    set_alarm(world, &alarm, 0, io_now_ns(world->io) + 3600 * (uint64_t)1000000000);
    assert_int_equal(io_run(world->io, 0), 0);
    assert_true(io_cancel(world->io, &alarm.request));
    assert_int_equal(world->count, 0);
    run_until(world, 1);
    assert_int_equal(alarm.request.result, STOA_ECANCELED);
    assert_false(io_cancel(world->io, &alarm.request));
}

static void waiting_ends_in_time(struct world *world)
{
    uint64_t before = io_now_ns(world->io);
    assert_int_equal(io_run(world->io, 3000000), 0);
    assert_true(io_now_ns(world->io) >= before + 3000000);
    assert_int_equal(io_run(world->io, 0), 0);
}

static void a_request_canceled_before_the_loop_runs_never_starts(struct world *world)
{
    struct io_request request = {
        .op = IO_MKDIR, .path = path_of(world, "never"), .done = count_done, .context = world};
    io_submit(world->io, &request);
    assert_true(io_cancel(world->io, &request));
    run_until(world, 1);
    assert_int_equal(request.result, STOA_ECANCELED);
    assert_int_equal(on_path(world, IO_SYNC_DIR, "never"), STOA_ENOTFOUND);
}

static void a_request_canceled_on_its_way_ends_once(struct world *world)
{
    int file = open_new(world, "file", IO_OPEN_DIRECT);
    enum { COUNT = 64 };
    struct io_request all[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = (struct io_request){.op = i % 2 == 0 ? IO_WRITE : IO_SYNC_DIR,
                                     .file = file,
                                     .path = world->directory,
                                     .data = world->data,
                                     .size = SIZE,
                                     .flags = IO_WRITE_DURABLE,
                                     .done = count_done,
                                     .context = world};
        io_submit(world->io, &all[i]);
    }
    assert_true(io_run(world->io, 0) >= 0);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)io_cancel(world->io, &all[i]);
    }
    run_until(world, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        int64_t good = i % 2 == 0 ? SIZE : 0;
        assert_true(all[i].result == good || all[i].result == STOA_ECANCELED);
        assert_false(all[i].pending);
    }
    assert_int_equal(io_run(world->io, 0), 0);
    close_file(world, file);
}

/* Wakes */

static void note_wake(void *context)
{
    struct world *world = context;
    world->count++;
}

static void a_wake_from_the_loop_itself_is_kept(struct world *world)
{
    world->io->woken = note_wake;
    world->io->woken_context = world;
    io_wake(world->io);
    io_wake(world->io);
    assert_int_equal(world->count, 0);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, 1);
    assert_int_equal(io_run(world->io, 0), 0);
}

static void hooks_hear_every_wake_until_removed(struct world *world)
{
    for (unsigned i = 0; i < IO_HOOKS_MAX; i++) {
        assert_int_equal(io_hook_add(world->io, note_wake, world), 0);
    }
    assert_int_equal(io_hook_add(world->io, note_wake, world), STOA_EBUSY);
    io_wake(world->io);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, IO_HOOKS_MAX);
    for (unsigned i = 0; i < IO_HOOKS_MAX; i++) {
        io_hook_remove(world->io, note_wake, world);
    }
    io_wake(world->io);
    assert_int_equal(io_run(world->io, UINT64_MAX), 1);
    assert_int_equal(world->count, IO_HOOKS_MAX);
}

struct caller {
    struct io *io;
    unsigned *shared; /* plain memory: the wake orders it */
    pthread_mutex_t lock;
    unsigned sum;
};

enum { CALLERS = 4, CALLS = 2000 };

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (unsigned i = 0; i < CALLS; i++) {
        pthread_mutex_lock(&caller->lock);
        caller->sum++;
        pthread_mutex_unlock(&caller->lock);
        io_wake(caller->io);
    }
    return NULL;
}

static void take_sum(void *context)
{
    struct caller *caller = context;
    pthread_mutex_lock(&caller->lock);
    *caller->shared = caller->sum;
    pthread_mutex_unlock(&caller->lock);
}

static void no_wake_of_another_thread_is_lost(struct world *world)
{
    if (world->kind == IN_SIMULATION) {
        return; /* one thread by design */
    }
    pthread_t threads[CALLERS];
    struct caller caller = {
        .io = world->io, .shared = &world->count, .lock = PTHREAD_MUTEX_INITIALIZER};
    world->io->woken = take_sum;
    world->io->woken_context = &caller;
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &caller), 0);
    }
    run_until(world, CALLERS * CALLS);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    pthread_mutex_destroy(&caller.lock);
}

static void *write_then_wake(void *argument)
{
    struct caller *caller = argument;
    *caller->shared = 1;
    io_wake(caller->io);
    return NULL;
}

static void what_was_written_before_a_wake_is_seen_after_it(struct world *world)
{
    if (world->kind == IN_SIMULATION) {
        return;
    }
    for (unsigned i = 0; i < 100; i++) {
        unsigned shared = 0;
        pthread_t thread;
        struct caller caller = {.io = world->io, .shared = &shared};
        assert_int_equal(pthread_create(&thread, NULL, write_then_wake, &caller), 0);
        while (io_run(world->io, UINT64_MAX) == 0) {
        }
        assert_int_equal(shared, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

/* Clocks and chance */

static void clocks_go_forward(struct world *world)
{
    uint64_t now = io_now_ns(world->io);
    uint64_t wall = io_wall_ns(world->io);
    assert_int_equal(io_run(world->io, 1000000), 0);
    assert_true(io_now_ns(world->io) >= now + 1000000);
    assert_true(io_wall_ns(world->io) > wall);
    assert_true(wall > (uint64_t)1500000000 * 1000000000);
}

static void random_bytes_differ(struct world *world)
{
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    io_random(world->io, a, sizeof(a));
    io_random(world->io, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void several_loops_live_side_by_side(struct world *world)
{
    if (world->kind == IN_SIMULATION) {
        return;
    }
    struct io *more[3];
    struct io_options options = {.backend =
                                     world->kind == ON_RING ? IO_BACKEND_RING : IO_BACKEND_THREADS};
    int file = open_new(world, "file", 0);
    assert_int_equal(write_at(world, file, 0, SIZE, 0), SIZE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(io_create(&options, &more[i], NULL), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct io_request request = {
            .op = IO_READ, .file = file, .data = world->back, .size = SIZE};
        memset(world->back, 0, SIZE);
        assert_int_equal(io_wait(more[i], &request), SIZE);
        assert_memory_equal(world->back, world->data, SIZE);
    }
    for (unsigned i = 0; i < 3; i++) {
        io_destroy(more[i]);
    }
    close_file(world, file);
}

/* The frame: every fact on every implementation. */

struct fact {
    const char *name;
    void (*run)(struct world *world);
};

struct one_test {
    const struct fact *fact;
    enum kind kind;
    char name[128];
};

static const struct fact facts[] = {
    {"a_missing_file_is_not_found", a_missing_file_is_not_found},
    {"an_error_carries_its_errno", an_error_carries_its_errno},
    {"what_is_written_is_read_back", what_is_written_is_read_back},
    {"direct_files_move_whole_blocks", direct_files_move_whole_blocks},
    {"a_read_ends_at_the_end_of_the_file", a_read_ends_at_the_end_of_the_file},
    {"transfers_of_nothing_succeed", transfers_of_nothing_succeed},
    {"durable_writes_and_flushes_succeed", durable_writes_and_flushes_succeed},
    {"exclusive_creation_meets_what_exists", exclusive_creation_meets_what_exists},
    {"truncation_empties_and_plain_opening_keeps", truncation_empties_and_plain_opening_keeps},
    {"a_read_only_file_refuses_writes", a_read_only_file_refuses_writes},
    {"a_directory_is_no_file", a_directory_is_no_file},
    {"a_closed_file_is_refused", a_closed_file_is_refused},
    {"allocated_space_reads_as_zeros", allocated_space_reads_as_zeros},
    {"punched_space_reads_as_zeros_and_keeps_the_length",
     punched_space_reads_as_zeros_and_keeps_the_length},
    {"renaming_replaces_its_target", renaming_replaces_its_target},
    {"an_unlinked_file_lives_while_it_is_open", an_unlinked_file_lives_while_it_is_open},
    {"only_an_empty_directory_is_removed", only_an_empty_directory_is_removed},
    {"making_a_directory_twice_is_refused", making_a_directory_twice_is_refused},
    {"a_listing_names_each_entry_once", a_listing_names_each_entry_once},
    {"space_is_told", space_is_told},
    {"a_lock_is_held_once", a_lock_is_held_once},
    {"nothing_runs_before_the_loop_does", nothing_runs_before_the_loop_does},
    {"a_callback_may_submit_its_own_request_again", a_callback_may_submit_its_own_request_again},
    {"requests_beyond_the_ring_wait_their_turn", requests_beyond_the_ring_wait_their_turn},
    {"the_data_path_allocates_nothing", the_data_path_allocates_nothing},
    {"timers_ring_in_the_order_of_their_deadlines", timers_ring_in_the_order_of_their_deadlines},
    {"timers_grow_beyond_their_first_room", timers_grow_beyond_their_first_room},
    {"a_canceled_timer_says_so", a_canceled_timer_says_so},
    {"waiting_ends_in_time", waiting_ends_in_time},
    {"a_request_canceled_before_the_loop_runs_never_starts",
     a_request_canceled_before_the_loop_runs_never_starts},
    {"a_request_canceled_on_its_way_ends_once", a_request_canceled_on_its_way_ends_once},
    {"a_wake_from_the_loop_itself_is_kept", a_wake_from_the_loop_itself_is_kept},
    {"hooks_hear_every_wake_until_removed", hooks_hear_every_wake_until_removed},
    {"no_wake_of_another_thread_is_lost", no_wake_of_another_thread_is_lost},
    {"what_was_written_before_a_wake_is_seen_after_it",
     what_was_written_before_a_wake_is_seen_after_it},
    {"clocks_go_forward", clocks_go_forward},
    {"random_bytes_differ", random_bytes_differ},
    {"several_loops_live_side_by_side", several_loops_live_side_by_side},
};

enum { FACT_COUNT = sizeof(facts) / sizeof(facts[0]) };

static void open_real(struct world *world)
{
    struct error_detail detail = {0};
    struct io_options options = {.backend =
                                     world->kind == ON_RING ? IO_BACKEND_RING : IO_BACKEND_THREADS};
    int error = io_create(&options, &world->io, &detail);
    if (error != 0 && world->kind == ON_RING && getenv("STOA_TEST_NEEDS_RING") == NULL) {
        print_message("skipped: %s\n", detail.text);
        world->io = NULL;
        return;
    }
    assert_int_equal(error, 0);
    strcpy(world->directory, "io-contract.XXXXXX");
    assert_non_null(mkdtemp(world->directory));
}

static void open_simulated(struct world *world)
{
    struct io_sim_options options = {
        .seed = 7, .capacity = (uint64_t)64 << 20, .delay_ns_max = 50000};
    world->disk = io_disk_create(7);
    assert_non_null(world->disk);
    assert_int_equal(io_sim_create(world->disk, &options, &world->io), 0);
    strcpy(world->directory, "/world");
    struct io_request request = {.op = IO_MKDIR, .path = world->directory};
    assert_int_equal(io_wait(world->io, &request), 0);
}

static void run_fact(void **state)
{
    const struct one_test *test = *state;
    struct world world = {.kind = test->kind};
    if (test->kind == IN_SIMULATION) {
        open_simulated(&world);
    } else {
        open_real(&world);
    }
    if (world.io == NULL) {
        return;
    }
    world.data = aligned_alloc(BLOCK, SIZE);
    world.back = aligned_alloc(BLOCK, SIZE);
    assert_non_null(world.data);
    assert_non_null(world.back);
    for (size_t i = 0; i < SIZE; i++) {
        world.data[i] = (uint8_t)(i * 31 + i / 251 + 1);
    }
    test->fact->run(&world);
    io_destroy(world.io);
    io_disk_destroy(world.disk);
    free(world.data);
    free(world.back);
    if (test->kind != IN_SIMULATION) {
        char command[2 * PATH_SIZE];
        snprintf(command, sizeof(command), "rm -rf ./%s", world.directory);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    static struct one_test all[FACT_COUNT * KIND_COUNT];
    static struct CMUnitTest tests[FACT_COUNT * KIND_COUNT];
    size_t count = 0;
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        for (size_t i = 0; i < FACT_COUNT; i++) {
            struct one_test *one = &all[count];
            one->fact = &facts[i];
            one->kind = (enum kind)kind;
            snprintf(one->name, sizeof(one->name), "%s on %s", facts[i].name, kind_names[kind]);
            tests[count].name = one->name;
            tests[count].test_func = run_fact;
            tests[count].initial_state = one;
            count++;
        }
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
