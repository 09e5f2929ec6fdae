/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process that writes runs and a counter is killed at random moments; what opens afterwards is a
 * whole checkpoint. STOA_KILL_ROUNDS sets how often. And: homes that are damaged are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/kv_fixture.h"
#include "tables/runs.h"

enum { BATCH = 40, KEY_SPACE = 500, CHECKPOINT_EVERY = 5 };

/* Step N of the workload: which keys it writes, and that the value of each is N. */
static uint32_t step_key(uint32_t step, uint32_t i)
{
    return (step * 2654435761u + i * 40503u) % KEY_SPACE;
}

static bool step_removes(uint32_t step, uint32_t i)
{
    return (step + i) % 5 == 0;
}

static struct bytes counter_key(void)
{
    return bytes_of("applied", 7);
}

static int read_counter(struct kv_session *session, uint32_t *out_step, struct error_detail *detail)
{
    struct bytes value;
    int result = kv_get(session, "meta", counter_key(), &value, detail);
    *out_step = result == 0 && value.size == 4 ? bytes_load_le32(value.data) : 0;
    return result == STOA_ENOTFOUND ? 0 : result;
}

static int write_step(struct kv_session *session, struct runs *runs, uint32_t step,
                      struct error_detail *detail)
{
    struct runs_entry entries[BATCH];
    uint8_t keys[BATCH][4];
    uint8_t number[4];
    bytes_store_le32(number, step);
    for (uint32_t i = 0; i < BATCH; i++) {
        bytes_store_be32(keys[i], step_key(step, i));
        entries[i] = (struct runs_entry){.key = bytes_of(keys[i], 4),
                                         .value = bytes_of(number, 4),
                                         .removed = step_removes(step, i)};
    }
    int result = runs_load(runs, session, entries, BATCH, detail);
    result = result != 0 ? result : kv_begin(session, detail);
    result = result != 0 ? result : runs_record(runs, session, detail);
    for (uint32_t i = 0; i < BATCH && result == 0; i++) {
        uint8_t key[4];
        bytes_store_be32(key, step_key(step, i));
        result = kv_put(session, "mutable", bytes_of(key, 4), bytes_of(number, 4), detail);
    }
    result =
        result != 0 ? result : kv_put(session, "meta", counter_key(), bytes_of(number, 4), detail);
    result = result != 0 ? result : kv_commit(session, detail);
    if (result == 0) {
        runs_publish(runs);
    }
    if (result == 0 && runs_merge_due(runs)) {
        result = runs_merge(runs, session, NULL, NULL, detail);
    }
    if (result == 0 && step % CHECKPOINT_EVERY == 0) {
        result = kv_checkpoint(session, detail);
    }
    return result;
}

/* Write until killed. Only errors end it otherwise. Each completed checkpoint is told to the
 * parent. */
static int work(const char *directory, int report)
{
    struct error_detail detail = {0};
    struct kv_options options = {.path = directory, .cache_size = 32 << 20};
    struct kv *kv;
    struct kv_session *session;
    struct runs *runs;
    uint32_t step = 0;
    int result = kv_wiredtiger_open(&options, &kv, &detail);
    result = result != 0 ? result : kv_session_open(kv, &session, &detail);
    result = result != 0 ? result : kv_table_create(session, "meta", KV_POINT, &detail);
    result = result != 0 ? result : kv_table_create(session, "mutable", KV_POINT, &detail);
    result = result != 0 ? result : runs_open(session, "index", 0, &runs, &detail);
    result = result != 0 ? result : read_counter(session, &step, &detail);
    while (result == 0) {
        result = write_step(session, runs, ++step, &detail);
        if (result == 0 && step % CHECKPOINT_EVERY == 0 &&
            write(report, &step, sizeof(step)) != (ssize_t)sizeof(step)) {
            return 2;
        }
    }
    fprintf(stderr, "step %u: %s\n", step, detail.text);
    return 1;
}

/* Everything must be as step STEP left it. */
static void check_step(struct kv_session *session, struct runs *runs, uint32_t step)
{
    uint32_t *by_key = calloc(KEY_SPACE, sizeof(*by_key));
    bool *removed = calloc(KEY_SPACE, sizeof(*removed));
    assert_non_null(by_key);
    assert_non_null(removed);
    for (uint32_t s = 1; s <= step; s++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            by_key[step_key(s, i)] = s;
            removed[step_key(s, i)] = step_removes(s, i);
        }
    }
    struct runs_version *version = runs_acquire(runs);
    for (uint32_t k = 0; k < KEY_SPACE; k++) {
        uint8_t key[4];
        struct bytes value;
        struct error_detail detail = {0};
        bytes_store_be32(key, k);
        int result = kv_get(session, "mutable", bytes_of(key, 4), &value, &detail);
        assert_int_equal(result, by_key[k] == 0 ? STOA_ENOTFOUND : 0);
        if (result == 0) {
            assert_int_equal(bytes_load_le32(value.data), by_key[k]);
        }
        result = runs_get(version, session, bytes_of(key, 4), &value, &detail);
        if (result != 0 && result != STOA_ENOTFOUND) {
            print_error("%s\n", detail.text);
        }
        assert_int_equal(result, by_key[k] == 0 || removed[k] ? STOA_ENOTFOUND : 0);
        if (result == 0) {
            assert_int_equal(bytes_load_le32(value.data), by_key[k]);
        }
    }
    runs_release(runs, version);
    free(by_key);
    free(removed);
}

static void check_store(const char *directory, uint32_t least)
{
    struct error_detail detail = {0};
    struct kv_options options = {.path = directory, .cache_size = 32 << 20};
    struct kv *kv;
    struct kv_session *session;
    struct runs *runs;
    uint32_t step;
    int result = kv_wiredtiger_open(&options, &kv, &detail);
    if (result == STOA_ECORRUPT && least == 0) { /* killed while the home was made */
        kv_fixture_remove_directory(directory);
        assert_int_equal(mkdir(directory, 0700), 0);
        return;
    }
    if (result != 0) {
        print_error("open: %s\n", detail.text);
    }
    assert_int_equal(result, 0);
    assert_int_equal(kv_session_open(kv, &session, &detail), 0);
    assert_int_equal(kv_table_create(session, "meta", KV_POINT, &detail), 0);
    assert_int_equal(kv_table_create(session, "mutable", KV_POINT, &detail), 0);
    result = runs_open(session, "index", 0, &runs, &detail);
    if (result != 0) {
        print_error("runs: %s\n", detail.text);
    }
    assert_int_equal(result, 0);
    assert_int_equal(read_counter(session, &step, &detail), 0);
    assert_true(step >= least);
    assert_int_equal(step % CHECKPOINT_EVERY, 0);
    check_step(session, runs, step);
    runs_close(runs);
    kv_session_close(session);
    kv_close(kv);
}

static void what_is_killed_opens_as_its_last_checkpoint(void **state)
{
    (void)state;
    const char *asked = getenv("STOA_KILL_ROUNDS");
    unsigned rounds = asked != NULL ? (unsigned)strtoul(asked, NULL, 10) : 8;
    uint64_t random = fixture_seed();
    char directory[64];
    kv_fixture_make_directory(directory);
    uint32_t least = 0;
    for (unsigned round = 0; round < rounds; round++) {
        int report[2];
        assert_int_equal(pipe(report), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(work(directory, report[1]));
        }
        close(report[1]);
        uint32_t step;
        bool early = fixture_random_below(&random, 4) == 0; /* perhaps while it opens */
        if (!early && read(report[0], &step, sizeof(step)) == (ssize_t)sizeof(step)) {
            least = step;
        }
        struct timespec wait = {.tv_nsec = (long)fixture_random_below(&random, 300000000)};
        nanosleep(&wait, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it met no error of its own */
        while (read(report[0], &step, sizeof(step)) == (ssize_t)sizeof(step)) {
            least = step;
        }
        close(report[0]);
        check_store(directory, least);
    }
    print_message("%u rounds, %u steps\n", rounds, least);
    kv_fixture_remove_directory(directory);
}

static const char *const wt_files[] = {"WiredTiger", "WiredTiger.turtle", "WiredTiger.wt",
                                       "catalog.wt", "a.1.wt"};
enum { FILE_COUNT = sizeof(wt_files) / sizeof(wt_files[0]) };

static void make_home(char directory[64])
{
    kv_fixture_make_directory(directory);
    struct kv_options options = {.path = directory, .cache_size = 16 << 20};
    struct kv *kv;
    struct kv_session *session;
    assert_int_equal(kv_wiredtiger_open(&options, &kv, NULL), 0);
    assert_int_equal(kv_session_open(kv, &session, NULL), 0);
    assert_int_equal(kv_table_create(session, "a", KV_POINT, NULL), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(kv_put(session, "a", bytes_of(&i, 4), bytes_of(&i, 4), NULL), 0);
    }
    assert_int_equal(kv_checkpoint(session, NULL), 0);
    kv_session_close(session);
    kv_close(kv);
}

enum damage { GONE, EMPTY, CUT, GARBLED, DAMAGE_COUNT };

static void damage_file(const char *directory, const char *file, enum damage damage)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    assert_int_equal(stat(path, &status), 0);
    if (damage == GONE) {
        assert_int_equal(unlink(path), 0);
    } else if (damage == EMPTY) {
        assert_int_equal(truncate(path, 0), 0);
    } else if (damage == CUT) {
        assert_int_equal(truncate(path, status.st_size / 2), 0);
    } else {
        int handle = open(path, O_WRONLY);
        assert_true(handle >= 0);
        for (off_t offset = 0; offset < status.st_size; offset += 16) {
            assert_int_equal(pwrite(handle, "\xa5garbled", 8, offset), 8);
        }
        close(handle);
    }
}

/* In a child, so that a crash of the library would fail one test only. 0: refused as damage, at
 * open or when read; 1: all was there regardless; else an error. */
static int try_home(const char *directory)
{
    struct kv_options options = {.path = directory, .cache_size = 16 << 20};
    struct kv *kv;
    struct kv_session *session;
    struct error_detail detail = {0};
    int result = kv_wiredtiger_open(&options, &kv, &detail);
    if (result != 0) {
        if (result != STOA_ECORRUPT || detail.text[0] == '\0') {
            fprintf(stderr, "open: %d %s\n", result, detail.text);
            return 3;
        }
        return 0;
    }
    result = kv_session_open(kv, &session, &detail);
    for (uint32_t i = 0; i < 3000 && result == 0; i++) {
        struct bytes value;
        result = kv_get(session, "a", bytes_of(&i, 4), &value, &detail);
        if (result == 0 && !bytes_equal(value, bytes_of(&i, 4))) {
            return 4;
        }
    }
    if (result != 0 && result != STOA_ECORRUPT) {
        fprintf(stderr, "%d %s\n", result, detail.text);
    }
    return result == 0 ? 1 : result == STOA_ECORRUPT ? 0 : 5;
}

static void damaged_homes_are_refused_and_never_served(void **state)
{
    (void)state;
    for (size_t file = 0; file < FILE_COUNT; file++) {
        for (enum damage damage = GONE; damage < DAMAGE_COUNT; damage++) {
            char directory[64];
            make_home(directory);
            damage_file(directory, wt_files[file], damage);
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                _exit(try_home(directory));
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            bool good = WIFEXITED(status) && WEXITSTATUS(status) <= 1;
            /* Only the version stamp is not needed to read the tables. */
            good = good && (WEXITSTATUS(status) == 0 || file == 0);
            if (!good) {
                print_error("%s, damage %d: status %x\n", wt_files[file], (int)damage,
                            (unsigned)status);
            }
            assert_true(good);
            kv_fixture_remove_directory(directory);
        }
    }
}

static void a_directory_of_something_else_is_left_alone(void **state)
{
    (void)state;
    char directory[64];
    char path[128];
    kv_fixture_make_directory(directory);
    snprintf(path, sizeof(path), "%s/mine.wt", directory);
    int handle = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(handle >= 0);
    close(handle);
    struct kv *kv;
    struct error_detail detail;
    struct kv_options options = {.path = directory};
    assert_int_equal(kv_wiredtiger_open(&options, &kv, &detail), STOA_ECORRUPT);
    assert_int_equal(access(path, F_OK), 0);
    options.path = path;
    assert_int_equal(kv_wiredtiger_open(&options, &kv, &detail), STOA_ENOTFOUND);
    kv_fixture_remove_directory(directory);
    options.path = directory;
    assert_int_equal(kv_wiredtiger_open(&options, &kv, &detail), STOA_ENOTFOUND);
}

static int open_as_nobody(const char *directory)
{
    struct kv *kv;
    struct error_detail detail;
    struct kv_options options = {.path = directory};
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
        return 2;
    }
    int result = kv_wiredtiger_open(&options, &kv, &detail);
    if (result != STOA_EPERM) {
        fprintf(stderr, "%d %s\n", result, detail.text);
    }
    return result == STOA_EPERM ? 0 : 1;
}

static void a_home_that_may_not_be_touched_is_no_damage(void **state)
{
    (void)state;
    char directory[64];
    make_home(directory);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(chmod(directory, round == 0 ? 0500 : 0), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (round == 0 && geteuid() != 0) {
                _exit(0); /* the owner may write the files that are there */
            }
            _exit(open_as_nobody(directory));
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(chmod(directory, 0700), 0);
    kv_fixture_remove_directory(directory);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_killed_opens_as_its_last_checkpoint),
        cmocka_unit_test(damaged_homes_are_refused_and_never_served),
        cmocka_unit_test(a_directory_of_something_else_is_left_alone),
        cmocka_unit_test(a_home_that_may_not_be_touched_is_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
