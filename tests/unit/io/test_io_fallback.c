/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which loop io_create chooses. Started again under tests/support/no_io_uring with the word
 * "refused", it shows the fallback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/io.h"

static const char *own_path;

static void assert_backend(enum io_backend backend, const char *name)
{
    struct io_options options = {.backend = backend};
    struct error_detail detail = {0};
    struct io *io;
    assert_int_equal(io_create(&options, &io, &detail), 0);
    assert_string_equal(io->ops->name, name);
    assert_true(strlen(io->features) > 0);
    io_destroy(io);
}

static void the_environment_decides_where_options_do_not(void **state)
{
    (void)state;
    setenv("STOA_IO", "threads", 1);
    assert_backend(IO_BACKEND_AUTO, "threads");
    setenv("STOA_IO", "", 1);
    assert_backend(IO_BACKEND_THREADS, "threads");
    unsetenv("STOA_IO");
}

static void an_unknown_choice_is_refused_by_name(void **state)
{
    (void)state;
    struct error_detail detail = {0};
    struct io *io = NULL;
    setenv("STOA_IO", "epoll", 1);
    assert_int_equal(io_create(NULL, &io, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "STOA_IO=epoll"));
    assert_null(io);
    unsetenv("STOA_IO");
}

/* The newest descriptor of a ring that this process has. */
static int find_ring(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int found = -1;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char target[64] = "";
        int file = atoi(entry->d_name);
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1) > 0 &&
            strcmp(target, "anon_inode:[io_uring]") == 0 && file > found) {
            found = file;
        }
    }
    closedir(folder);
    return found;
}

/* What OPERATION comes to on the ring FILE, whose memory lies as that of TWIN. */
static int try_operation(int file, struct io_uring_params *twin, unsigned operation)
{
    enum { MARK = 1000 };
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    int result = 1;
    assert_int_equal(io_uring_queue_mmap(file, twin, &ring), 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        return 0;
    }
    io_uring_prep_nop(sqe);
    sqe->opcode = (__u8)operation;
    sqe->fd = -1;
    sqe->user_data = MARK;
    (void)io_uring_submit_and_wait(&ring, 1);
    while (result == 1) {
        assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
        result = cqe->user_data == MARK ? cqe->res : 1; /* else a wake of its own */
        io_uring_cqe_seen(&ring, cqe);
    }
    return result;
}

static void show_restrictions(bool sockets, unsigned foreign)
{
    enum { ENTRIES = 8 };
    struct io_options options = {
        .backend = IO_BACKEND_RING, .entries = ENTRIES, .sockets = sockets};
    struct error_detail detail = {0};
    struct io_uring_params twin = {.flags = IORING_SETUP_CLAMP};
    struct io *io;
    if (io_create(&options, &io, &detail) != 0) {
        skip();
    }
    if (strstr(io->features, "not restricted") != NULL) {
        io_destroy(io);
        skip();
    }
    int file = find_ring();
    assert_true(file >= 0);
    int other = (int)syscall(__NR_io_uring_setup, ENTRIES, &twin);
    assert_true(other >= 0);
    char probe[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)] = {0};
    assert_int_equal(syscall(__NR_io_uring_register, other, IORING_REGISTER_PROBE, probe, 256), 0);
    assert_int_equal(syscall(__NR_io_uring_register, file, IORING_REGISTER_PROBE, probe, 256), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(try_operation(file, &twin, foreign), -EACCES);
    close(other);
    io_destroy(io);
}

static void a_ring_takes_what_is_used_and_nothing_else(void **state)
{
    (void)state;
    show_restrictions(false, IORING_OP_CONNECT);
    show_restrictions(false, IORING_OP_ACCEPT);
    show_restrictions(true, IORING_OP_CONNECT);
    show_restrictions(true, IORING_OP_OPENAT);
}

static void too_many_entries_or_threads_are_refused(void **state)
{
    (void)state;
    struct io *io = NULL;
    struct io_options entries = {.entries = 1000000};
    struct io_options threads = {.backend = IO_BACKEND_THREADS, .threads = 100000};
    assert_int_equal(io_create(&entries, &io, NULL), STOA_EINVAL);
    assert_int_equal(io_create(&threads, &io, NULL), STOA_EINVAL);
    assert_null(io);
}

/* Run PROGRAM with its arguments under the wrapper; its exit status. */
static int run_wrapped(const char *option, const char *program, const char *argument)
{
    char command[4096];
    const char *build = getenv("top_builddir");
    snprintf(command, sizeof(command), "'%s/tests/support/no_io_uring' %s '%s' %s",
             build == NULL ? "." : build, option, program, argument);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_machine_without_io_uring_gets_threads_and_a_warning(void **state)
{
    (void)state;
    assert_int_equal(run_wrapped("", own_path, "refused"), 0);
    assert_int_equal(run_wrapped("--enosys", own_path, "refused"), 0);
}

/* The kernel's older way to be woken, and the whole contract where the ring is refused. */
static void the_contract_holds_on_lesser_kernels(void **state)
{
    (void)state;
    static const char *const suites[] = {"contract", "loop", "sockets"};
    const char *build = getenv("top_builddir");
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        char program[4096];
        snprintf(program, sizeof(program), "%s/tests/unit/io/test_io_%s",
                 build == NULL ? "." : build, suites[i]);
        assert_int_equal(run_wrapped("--no-message", program, ">/dev/null 2>&1"), 0);
        assert_int_equal(run_wrapped("", program, ">/dev/null 2>&1"), 0);
    }
}

/* Under the wrapper; plain code, for the parent looks only at the exit status. */
static int show_fallback(void)
{
    struct error_detail detail = {0};
    struct io_options ring = {.backend = IO_BACKEND_RING};
    struct io *io = NULL;
    unsetenv("STOA_IO");
    int error = io_create(&ring, &io, &detail);
    bool refused = (error == STOA_EPERM && detail.os_error == EPERM) ||
                   (error == STOA_ENOTSUP && detail.os_error == ENOSYS);
    if (!refused || io != NULL || strstr(detail.text, "io_uring") == NULL) {
        return 1;
    }
    if (io_create(NULL, &io, &detail) != 0 || strcmp(io->ops->name, "threads") != 0) {
        return 2;
    }
    bool warned = detail.code == 0 && strstr(detail.text, "threads serve instead") != NULL &&
                  strstr(detail.text, strerror(detail.os_error)) != NULL;
    io_destroy(io);
    setenv("STOA_IO", "ring", 1);
    if (io_create(NULL, &io, &detail) == 0) {
        return 3;
    }
    return warned ? 0 : 4;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "refused") == 0) {
        return show_fallback();
    }
    own_path = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_decides_where_options_do_not),
        cmocka_unit_test(an_unknown_choice_is_refused_by_name),
        cmocka_unit_test(a_ring_takes_what_is_used_and_nothing_else),
        cmocka_unit_test(too_many_entries_or_threads_are_refused),
        cmocka_unit_test(a_machine_without_io_uring_gets_threads_and_a_warning),
        cmocka_unit_test(the_contract_holds_on_lesser_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
