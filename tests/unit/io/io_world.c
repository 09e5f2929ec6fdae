/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io_world.h"

static const char *const kind_names[] = {"io_uring", "threads", "simulation"};

struct one_test {
    const struct io_world_fact *fact;
    enum io_world_kind kind;
    char name[128];
};

int64_t io_world_wait_for(struct io_world *world, struct io_request request)
{
    return io_wait(world->io, &request);
}

const char *io_world_path_of(struct io_world *world, const char *name)
{
    static char paths[4][2 * IO_WORLD_PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", world->directory, name);
    return path;
}

int64_t io_world_open_file(struct io_world *world, const char *name, unsigned flags)
{
    return io_world_wait_for(
        world,
        (struct io_request){.op = IO_OPEN, .path = io_world_path_of(world, name), .flags = flags});
}

int io_world_open_new(struct io_world *world, const char *name, unsigned flags)
{
    int64_t file = io_world_open_file(world, name, IO_OPEN_WRITE | IO_OPEN_CREATE | flags);
    assert_true(file >= 0);
    return (int)file;
}

void io_world_close_file(struct io_world *world, int file)
{
    assert_int_equal(io_world_wait_for(world, (struct io_request){.op = IO_CLOSE, .file = file}),
                     0);
}

int64_t io_world_write_at(struct io_world *world, int file, uint64_t offset, size_t size,
                          unsigned flags)
{
    return io_world_wait_for(world, (struct io_request){.op = IO_WRITE,
                                                        .file = file,
                                                        .data = world->data,
                                                        .size = size,
                                                        .offset = offset,
                                                        .flags = flags});
}

int64_t io_world_read_at(struct io_world *world, int file, uint64_t offset, size_t size)
{
    memset(world->back, 0xee, IO_WORLD_SIZE);
    return io_world_wait_for(
        world,
        (struct io_request){
            .op = IO_READ, .file = file, .data = world->back, .size = size, .offset = offset});
}

int64_t io_world_on_file(struct io_world *world, enum io_op op, int file, uint64_t offset,
                         size_t size)
{
    return io_world_wait_for(
        world, (struct io_request){.op = op, .file = file, .offset = offset, .size = size});
}

int64_t io_world_on_path(struct io_world *world, enum io_op op, const char *name)
{
    return io_world_wait_for(world,
                             (struct io_request){.op = op, .path = io_world_path_of(world, name)});
}

int64_t io_world_rename_to(struct io_world *world, const char *from, const char *to)
{
    return io_world_wait_for(world, (struct io_request){.op = IO_RENAME,
                                                        .path = io_world_path_of(world, from),
                                                        .path_to = io_world_path_of(world, to)});
}

int64_t io_world_link_to(struct io_world *world, const char *from, const char *to)
{
    return io_world_wait_for(world, (struct io_request){.op = IO_LINK,
                                                        .path = io_world_path_of(world, from),
                                                        .path_to = io_world_path_of(world, to)});
}

void io_world_assert_zeros(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(data[i], 0);
    }
}

void io_world_run_until(struct io_world *world, unsigned count)
{
    while (world->count < count) {
        assert_true(io_run(world->io, UINT64_MAX) >= 0);
    }
}

void io_world_count_done(struct io_request *request)
{
    struct io_world *world = request->context;
    world->count++;
}

static void open_real(struct io_world *world)
{
    struct error_detail detail = {0};
    struct io_options options = {.backend = world->kind == IO_WORLD_ON_RING ? IO_BACKEND_RING
                                                                            : IO_BACKEND_THREADS};
    int error = io_create(&options, &world->io, &detail);
    if (error != 0 && world->kind == IO_WORLD_ON_RING && getenv("STOA_TEST_NEEDS_RING") == NULL) {
        print_message("skipped: %s\n", detail.text);
        world->io = NULL;
        return;
    }
    assert_int_equal(error, 0);
    strcpy(world->directory, "io-contract.XXXXXX");
    assert_non_null(mkdtemp(world->directory));
}

static void open_simulated(struct io_world *world)
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
    struct io_world world = {.kind = test->kind};
    if (test->kind == IO_WORLD_IN_SIMULATION) {
        open_simulated(&world);
    } else {
        open_real(&world);
    }
    if (world.io == NULL) {
        return;
    }
    world.data = aligned_alloc(IO_WORLD_BLOCK, IO_WORLD_SIZE);
    world.back = aligned_alloc(IO_WORLD_BLOCK, IO_WORLD_SIZE);
    assert_non_null(world.data);
    assert_non_null(world.back);
    for (size_t i = 0; i < IO_WORLD_SIZE; i++) {
        world.data[i] = (uint8_t)(i * 31 + i / 251 + 1);
    }
    test->fact->run(&world);
    io_destroy(world.io);
    io_disk_destroy(world.disk);
    free(world.data);
    free(world.back);
    if (test->kind != IO_WORLD_IN_SIMULATION) {
        char command[2 * IO_WORLD_PATH_SIZE];
        snprintf(command, sizeof(command), "rm -rf ./%s", world.directory);
        assert_int_equal(system(command), 0);
    }
}

int io_world_run(const struct io_world_fact *facts, size_t count)
{
    struct one_test *all = calloc(count * IO_WORLD_KIND_COUNT, sizeof(*all));
    struct CMUnitTest *tests = calloc(count * IO_WORLD_KIND_COUNT, sizeof(*tests));
    assert_non_null(all);
    assert_non_null(tests);
    size_t made = 0;
    for (unsigned kind = 0; kind < IO_WORLD_KIND_COUNT; kind++) {
        for (size_t i = 0; i < count; i++) {
            struct one_test *one = &all[made];
            one->fact = &facts[i];
            one->kind = (enum io_world_kind)kind;
            snprintf(one->name, sizeof(one->name), "%s on %s", facts[i].name, kind_names[kind]);
            tests[made].name = one->name;
            tests[made].test_func = run_fact;
            tests[made].initial_state = one;
            made++;
        }
    }
    int failed = _cmocka_run_group_tests("facts", tests, made, NULL, NULL);
    free(tests);
    free(all);
    return failed;
}
