/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files, directories and locks: one suite for every implementation of io.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io_world.h"

static void a_missing_file_is_not_found(struct io_world *world)
{
    assert_int_equal(io_world_open_file(world, "absent", 0), STOA_ENOTFOUND);
    assert_int_equal(io_world_open_file(world, "absent/below", IO_OPEN_CREATE), STOA_ENOTFOUND);
    assert_int_equal(io_world_on_path(world, IO_UNLINK, "absent"), STOA_ENOTFOUND);
    assert_int_equal(io_world_rename_to(world, "absent", "other"), STOA_ENOTFOUND);
    assert_int_equal(io_world_on_path(world, IO_SYNC_DIR, "absent"), STOA_ENOTFOUND);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "absent"), &size),
                     STOA_ENOTFOUND);
}

static void an_error_carries_its_errno(struct io_world *world)
{
    struct io_request request = {.op = IO_OPEN, .path = io_world_path_of(world, "absent")};
    assert_int_equal(io_wait(world->io, &request), STOA_ENOTFOUND);
    assert_int_equal(request.os_error, ENOENT);
    assert_false(request.pending);
}

static void what_is_written_is_read_back(struct io_world *world)
{
    int file = io_world_open_new(world, "file", 0);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, 0), IO_WORLD_SIZE);
    assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_SIZE), IO_WORLD_SIZE);
    assert_memory_equal(world->back, world->data, IO_WORLD_SIZE);
    assert_int_equal(io_world_read_at(world, file, 1000, 5000), 5000);
    assert_memory_equal(world->back, world->data + 1000, 5000);
    assert_int_equal(io_world_write_at(world, file, 777, 3, 0), 3);
    assert_int_equal(io_world_read_at(world, file, 776, 5), 5);
    assert_int_equal(world->back[0], world->data[776]);
    assert_memory_equal(world->back + 1, world->data, 3);
    assert_int_equal(world->back[4], world->data[780]);
    io_world_close_file(world, file);
}

static void transfers_of_added_memory_move_the_same(struct io_world *world)
{
    enum { ADDED = 4 * IO_WORLD_BLOCK };
    int file = io_world_open_new(world, "added", IO_OPEN_DIRECT);
    (void)io_buffer_add(world->io, world->data, ADDED);
    (void)io_buffer_add(world->io, world->back, ADDED);
    /* Inside, across its end, and outside. */
    struct io_request write = {.op = IO_WRITE,
                               .flags = IO_WRITE_DURABLE,
                               .file = file,
                               .data = world->data + IO_WORLD_BLOCK,
                               .size = 3 * IO_WORLD_BLOCK};
    assert_int_equal(io_world_wait_for(world, write), 3 * IO_WORLD_BLOCK);
    write.offset = 3 * IO_WORLD_BLOCK;
    write.size = 4 * IO_WORLD_BLOCK;
    assert_int_equal(io_world_wait_for(world, write), 4 * IO_WORLD_BLOCK);
    assert_int_equal(io_world_read_at(world, file, 0, 3 * IO_WORLD_BLOCK), 3 * IO_WORLD_BLOCK);
    assert_memory_equal(world->back, world->data + IO_WORLD_BLOCK, 3 * IO_WORLD_BLOCK);
    assert_int_equal(io_world_read_at(world, file, 0, 7 * IO_WORLD_BLOCK), 7 * IO_WORLD_BLOCK);
    assert_memory_equal(world->back + 3 * IO_WORLD_BLOCK, world->data + IO_WORLD_BLOCK,
                        4 * IO_WORLD_BLOCK);
    io_buffer_remove(world->io, world->data);
    io_buffer_remove(world->io, world->back);
    io_buffer_remove(world->io, world->back); /* it is not there any more */
    assert_int_equal(io_world_read_at(world, file, 0, 2 * IO_WORLD_BLOCK), 2 * IO_WORLD_BLOCK);
    assert_memory_equal(world->back, world->data + IO_WORLD_BLOCK, 2 * IO_WORLD_BLOCK);
    io_world_close_file(world, file);
}

static void more_memory_than_there_is_room_for_is_moved_as_well(struct io_world *world)
{
    enum { COUNT = 64 };
    int file = io_world_open_new(world, "many", 0);
    unsigned added = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        added += io_buffer_add(world->io, world->data + (size_t)i * 64, 64);
    }
    assert_true(added < COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct io_request write = {.op = IO_WRITE,
                                   .file = file,
                                   .data = world->data + (size_t)i * 64,
                                   .size = 64,
                                   .offset = (uint64_t)i * 64};
        assert_int_equal(io_world_wait_for(world, write), 64);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        io_buffer_remove(world->io, world->data + (size_t)i * 64);
    }
    assert_int_equal(io_world_read_at(world, file, 0, COUNT * 64), COUNT * 64);
    assert_memory_equal(world->back, world->data, COUNT * 64);
    io_world_close_file(world, file);
}

static void direct_files_move_whole_blocks(struct io_world *world)
{
    int file = io_world_open_new(world, "direct", IO_OPEN_DIRECT);
    assert_int_equal(io_world_write_at(world, file, IO_WORLD_BLOCK, IO_WORLD_SIZE, 0),
                     IO_WORLD_SIZE);
    assert_int_equal(io_world_read_at(world, file, 2 * IO_WORLD_BLOCK, IO_WORLD_SIZE),
                     IO_WORLD_SIZE - IO_WORLD_BLOCK);
    assert_memory_equal(world->back, world->data + IO_WORLD_BLOCK, IO_WORLD_SIZE - IO_WORLD_BLOCK);
    assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_BLOCK), IO_WORLD_BLOCK);
    io_world_assert_zeros(world->back, IO_WORLD_BLOCK);
    io_world_close_file(world, file);
}

static void a_read_ends_at_the_end_of_the_file(struct io_world *world)
{
    int file = io_world_open_new(world, "short", 0);
    assert_int_equal(io_world_write_at(world, file, 0, 5000, 0), 5000);
    assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_SIZE), 5000);
    assert_memory_equal(world->back, world->data, 5000);
    assert_int_equal(world->back[5000], 0xee);
    assert_int_equal(io_world_read_at(world, file, 4999, 2), 1);
    assert_int_equal(io_world_read_at(world, file, 5000, 1), 0);
    assert_int_equal(io_world_read_at(world, file, 1 << 20, IO_WORLD_BLOCK), 0);
    io_world_close_file(world, file);
    int direct = (int)io_world_open_file(world, "short", IO_OPEN_DIRECT);
    assert_true(direct >= 0);
    assert_int_equal(io_world_read_at(world, direct, 0, IO_WORLD_SIZE), 5000);
    assert_int_equal(io_world_read_at(world, direct, IO_WORLD_BLOCK, IO_WORLD_BLOCK),
                     5000 - IO_WORLD_BLOCK);
    io_world_close_file(world, direct);
}

static void transfers_of_nothing_succeed(struct io_world *world)
{
    int file = io_world_open_new(world, "nothing", 0);
    assert_int_equal(io_world_write_at(world, file, 0, 0, 0), 0);
    assert_int_equal(io_world_write_at(world, file, 4096, 0, IO_WRITE_DURABLE), 0);
    assert_int_equal(io_world_read_at(world, file, 0, 0), 0);
    uint64_t size;
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "nothing"), &size), 0);
    assert_int_equal(size, 0);
    io_world_close_file(world, file);
}

static void durable_writes_and_flushes_succeed(struct io_world *world)
{
    int file = io_world_open_new(world, "durable", IO_OPEN_DIRECT);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, IO_WRITE_DURABLE),
                     IO_WORLD_SIZE);
    assert_int_equal(io_world_write_at(world, file, IO_WORLD_SIZE, IO_WORLD_SIZE, 0),
                     IO_WORLD_SIZE);
    assert_int_equal(io_world_on_file(world, IO_SYNC, file, 0, 0), 0);
    assert_int_equal(io_world_read_at(world, file, IO_WORLD_SIZE, IO_WORLD_SIZE), IO_WORLD_SIZE);
    assert_memory_equal(world->back, world->data, IO_WORLD_SIZE);
    io_world_close_file(world, file);
    assert_int_equal(io_world_on_path(world, IO_SYNC_DIR, ""), 0);
}

static void exclusive_creation_meets_what_exists(struct io_world *world)
{
    unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    int64_t file = io_world_open_file(world, "once", flags | IO_OPEN_DIRECT);
    assert_true(file >= 0);
    assert_int_equal(io_world_open_file(world, "once", flags), STOA_EEXISTS);
    assert_int_equal(io_world_open_file(world, "once", flags | IO_OPEN_DIRECT), STOA_EEXISTS);
    io_world_close_file(world, (int)file);
}

static void truncation_empties_and_plain_opening_keeps(struct io_world *world)
{
    uint64_t size;
    io_world_close_file(world, io_world_open_new(world, "kept", 0));
    int file = (int)io_world_open_file(world, "kept", IO_OPEN_WRITE);
    assert_int_equal(io_world_write_at(world, file, 0, 100, 0), 100);
    io_world_close_file(world, file);
    io_world_close_file(world, io_world_open_new(world, "kept", 0));
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "kept"), &size), 0);
    assert_int_equal(size, 100);
    io_world_close_file(world, io_world_open_new(world, "kept", IO_OPEN_TRUNCATE));
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "kept"), &size), 0);
    assert_int_equal(size, 0);
    file = (int)io_world_open_file(world, "kept", IO_OPEN_WRITE);
    assert_int_equal(io_world_write_at(world, file, 200, 1, 0), 1);
    assert_int_equal(io_world_read_at(world, file, 0, 200), 200);
    io_world_assert_zeros(world->back, 200);
    io_world_close_file(world, file);
}

static void a_read_only_file_refuses_writes(struct io_world *world)
{
    io_world_close_file(world, io_world_open_new(world, "fixed", 0));
    int file = (int)io_world_open_file(world, "fixed", 0);
    struct io_request request = {
        .op = IO_WRITE, .file = file, .data = world->data, .size = 10, .offset = 0};
    assert_true(io_wait(world->io, &request) < 0);
    assert_int_equal(request.os_error, EBADF);
    assert_true(io_world_on_file(world, IO_ALLOCATE, file, 0, IO_WORLD_BLOCK) < 0);
    io_world_close_file(world, file);
}

static void a_directory_is_no_file(struct io_world *world)
{
    uint64_t size;
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), 0);
    assert_int_equal(io_world_open_file(world, "folder", IO_OPEN_WRITE), STOA_EINVAL);
    assert_int_equal(io_world_on_path(world, IO_UNLINK, "folder"), STOA_EINVAL);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "folder"), &size),
                     STOA_EINVAL);
    io_world_close_file(world, io_world_open_new(world, "plain", 0));
    assert_int_equal(io_world_on_path(world, IO_SYNC_DIR, "plain"), STOA_ENOTFOUND);
    assert_int_equal(io_world_open_file(world, "plain/x", IO_OPEN_CREATE), STOA_ENOTFOUND);
}

static void a_closed_file_is_refused(struct io_world *world)
{
    int file = io_world_open_new(world, "gone", 0);
    io_world_close_file(world, file);
    struct io_request request = {.op = IO_READ, .file = file, .data = world->back, .size = 10};
    assert_true(io_wait(world->io, &request) < 0);
    assert_int_equal(request.os_error, EBADF);
}

static void allocated_space_reads_as_zeros(struct io_world *world)
{
    uint64_t size;
    int file = io_world_open_new(world, "room", IO_OPEN_DIRECT);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_BLOCK, 0), IO_WORLD_BLOCK);
    int64_t result = io_world_on_file(world, IO_ALLOCATE, file, 0, IO_WORLD_SIZE);
    if (result == STOA_ENOTSUP) {
        print_message("skipped: this file system reserves no space\n");
        io_world_close_file(world, file);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "room"), &size), 0);
    assert_int_equal(size, IO_WORLD_SIZE);
    assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_SIZE), IO_WORLD_SIZE);
    assert_memory_equal(world->back, world->data, IO_WORLD_BLOCK);
    io_world_assert_zeros(world->back + IO_WORLD_BLOCK, IO_WORLD_SIZE - IO_WORLD_BLOCK);
    assert_int_equal(io_world_on_file(world, IO_ALLOCATE, file, 0, 0), STOA_EINVAL);
    io_world_close_file(world, file);
}

static void punched_space_reads_as_zeros_and_keeps_the_length(struct io_world *world)
{
    uint64_t size;
    int file = io_world_open_new(world, "holes", 0);
    assert_int_equal(io_world_write_at(world, file, 0, IO_WORLD_SIZE, 0), IO_WORLD_SIZE);
    int64_t result =
        io_world_on_file(world, IO_PUNCH, file, 4 * IO_WORLD_BLOCK, 4 * IO_WORLD_BLOCK);
    if (result == STOA_ENOTSUP) {
        print_message("skipped: this file system punches no holes\n");
        io_world_close_file(world, file);
        return;
    }
    assert_int_equal(result, 0);
    assert_int_equal(io_world_on_file(world, IO_PUNCH, file, 100, 50), 0);
    assert_int_equal(
        io_world_on_file(world, IO_PUNCH, file, 12 * IO_WORLD_BLOCK, 100 * IO_WORLD_BLOCK), 0);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "holes"), &size), 0);
    assert_int_equal(size, IO_WORLD_SIZE);
    assert_int_equal(io_world_read_at(world, file, 0, IO_WORLD_SIZE), IO_WORLD_SIZE);
    assert_memory_equal(world->back, world->data, 100);
    io_world_assert_zeros(world->back + 100, 50);
    assert_memory_equal(world->back + 150, world->data + 150, 4 * IO_WORLD_BLOCK - 150);
    io_world_assert_zeros(world->back + 4 * IO_WORLD_BLOCK, 4 * IO_WORLD_BLOCK);
    assert_memory_equal(world->back + 8 * IO_WORLD_BLOCK, world->data + 8 * IO_WORLD_BLOCK,
                        4 * IO_WORLD_BLOCK);
    io_world_assert_zeros(world->back + 12 * IO_WORLD_BLOCK, 4 * IO_WORLD_BLOCK);
    io_world_close_file(world, file);
}

/* Names */

static void renaming_replaces_its_target(struct io_world *world)
{
    uint64_t size;
    int file = io_world_open_new(world, "new", 0);
    assert_int_equal(io_world_write_at(world, file, 0, 42, 0), 42);
    io_world_close_file(world, file);
    io_world_close_file(world, io_world_open_new(world, "old", 0));
    assert_int_equal(io_world_rename_to(world, "new", "old"), 0);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "old"), &size), 0);
    assert_int_equal(size, 42);
    assert_int_equal(io_world_open_file(world, "new", 0), STOA_ENOTFOUND);
    assert_int_equal(io_world_rename_to(world, "old", "old"), 0);
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), 0);
    assert_true(io_world_rename_to(world, "old", "folder") < 0);
    assert_int_equal(io_world_rename_to(world, "old", "folder/inside"), 0);
    assert_int_equal(io_world_rename_to(world, "folder", "moved"), 0);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "moved/inside"), &size), 0);
    assert_int_equal(size, 42);
    assert_int_equal(io_world_rename_to(world, "moved", "moved/inside/x"), STOA_ENOTFOUND);
}

static void an_unlinked_file_lives_while_it_is_open(struct io_world *world)
{
    int file = io_world_open_new(world, "ghost", 0);
    assert_int_equal(io_world_write_at(world, file, 0, 100, 0), 100);
    assert_int_equal(io_world_on_path(world, IO_UNLINK, "ghost"), 0);
    assert_int_equal(io_world_open_file(world, "ghost", 0), STOA_ENOTFOUND);
    assert_int_equal(io_world_read_at(world, file, 0, 100), 100);
    assert_memory_equal(world->back, world->data, 100);
    io_world_close_file(world, file);
}

static void a_linked_file_has_two_names(struct io_world *world)
{
    uint64_t size;
    int file = io_world_open_new(world, "one", 0);
    assert_int_equal(io_world_write_at(world, file, 0, 100, 0), 100);
    assert_int_equal(io_world_link_to(world, "one", "two"), 0);
    assert_int_equal(io_world_write_at(world, file, 100, 50, 0), 50);
    io_world_close_file(world, file);
    assert_int_equal(io_world_on_path(world, IO_UNLINK, "one"), 0);
    assert_int_equal(io_file_size(world->io, io_world_path_of(world, "two"), &size), 0);
    assert_int_equal(size, 150);
    io_world_close_file(world, io_world_open_new(world, "three", 0));
    assert_int_equal(io_world_link_to(world, "three", "two"), STOA_EEXISTS);
    assert_int_equal(io_world_link_to(world, "absent", "four"), STOA_ENOTFOUND);
    assert_int_equal(io_world_link_to(world, "two", "none/four"), STOA_ENOTFOUND);
}

static void making_a_directory_twice_is_refused(struct io_world *world)
{
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), 0);
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), STOA_EEXISTS);
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "none/folder"), STOA_ENOTFOUND);
    assert_int_equal(io_world_on_path(world, IO_SYNC_DIR, "folder"), 0);
}

static void only_an_empty_directory_is_removed(struct io_world *world)
{
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), 0);
    io_world_close_file(world, io_world_open_new(world, "folder/file", 0));
    assert_int_equal(io_world_on_path(world, IO_RMDIR, "folder"), STOA_EEXISTS);
    assert_true(io_world_on_path(world, IO_RMDIR, "folder/file") < 0);
    assert_int_equal(io_world_on_path(world, IO_UNLINK, "folder/file"), 0);
    assert_int_equal(io_world_on_path(world, IO_RMDIR, "folder"), 0);
    assert_int_equal(io_world_on_path(world, IO_RMDIR, "folder"), STOA_ENOTFOUND);
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "folder"), 0);
}

static void gather_name(void *context, const char *name)
{
    char *all = context;
    strcat(all, name);
    strcat(all, "|");
}

static void a_listing_names_each_entry_once(struct io_world *world)
{
    char all[1000] = "";
    assert_int_equal(io_list(world->io, world->directory, gather_name, all), 0);
    assert_string_equal(all, "");
    io_world_close_file(world, io_world_open_new(world, "first", 0));
    assert_int_equal(io_world_on_path(world, IO_MKDIR, "second"), 0);
    assert_int_equal(io_list(world->io, world->directory, gather_name, all), 0);
    assert_int_equal(strlen(all), strlen("first|second|"));
    assert_non_null(strstr(all, "first|"));
    assert_non_null(strstr(all, "second|"));
    assert_int_equal(io_list(world->io, io_world_path_of(world, "third"), gather_name, all),
                     STOA_ENOTFOUND);
    assert_int_equal(io_list(world->io, io_world_path_of(world, "first"), gather_name, all),
                     STOA_ENOTFOUND);
}

static void space_is_told(struct io_world *world)
{
    uint64_t space_free = 0;
    uint64_t space_total = 0;
    assert_int_equal(io_space(world->io, world->directory, &space_free, &space_total), 0);
    assert_true(space_total > 0);
    assert_true(space_free <= space_total);
}

static void a_lock_is_held_once(struct io_world *world)
{
    int lock;
    int second;
    const char *path = io_world_path_of(world, "LOCK");
    assert_int_equal(io_lock(world->io, path, &lock), 0);
    assert_int_equal(io_lock(world->io, path, &second), STOA_ELOCKED);
    io_unlock(world->io, lock);
    assert_int_equal(io_lock(world->io, path, &second), 0);
    io_unlock(world->io, second);
    assert_int_equal(io_lock(world->io, io_world_path_of(world, "none/LOCK"), &lock),
                     STOA_ENOTFOUND);
}

static const struct io_world_fact facts[] = {
    {"a_missing_file_is_not_found", a_missing_file_is_not_found},
    {"an_error_carries_its_errno", an_error_carries_its_errno},
    {"what_is_written_is_read_back", what_is_written_is_read_back},
    {"transfers_of_added_memory_move_the_same", transfers_of_added_memory_move_the_same},
    {"more_memory_than_there_is_room_for_is_moved_as_well",
     more_memory_than_there_is_room_for_is_moved_as_well},
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
    {"a_linked_file_has_two_names", a_linked_file_has_two_names},
    {"only_an_empty_directory_is_removed", only_an_empty_directory_is_removed},
    {"making_a_directory_twice_is_refused", making_a_directory_twice_is_refused},
    {"a_listing_names_each_entry_once", a_listing_names_each_entry_once},
    {"space_is_told", space_is_told},
    {"a_lock_is_held_once", a_lock_is_held_once},
};

int main(void)
{
    return io_world_run(facts, sizeof(facts) / sizeof(facts[0]));
}
