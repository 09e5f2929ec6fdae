/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client's handle when the daemon goes, comes back, says nothing, or is none. What it does while
 * all is well is tested by the engine's own tests. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "engine_rig.h"
#include "io/sockets.h"
#include "server/connections.h"
#include "wire/wire.h"

static void stop_server(struct engine_rig *rig)
{
    server_stop(rig->server);
    assert_int_equal(server_join(rig->server), 0);
    connections_destroy(rig->connections);
    server_destroy(rig->server);
    rig->server = NULL;
    rig->connections = NULL;
}

static struct stoa *connect_to(const struct engine_rig *rig, unsigned reconnect_ms)
{
    char path[ENGINE_RIG_PATH_SIZE];
    struct stoa *stoa;
    struct stoa_detail detail = {.code = 0};
    struct stoa_connect_options options = STOA_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = reconnect_ms;
    options.silence_ms = 200;
    engine_rig_path(rig, "sock", path);
    int result = stoa_connect(path, &options, &stoa, &detail);
    if (result != 0) {
        fail_msg("connect: %d %s", result, detail.text);
    }
    return stoa;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void reads_go_on_over_the_next_connection(void **state)
{
    struct engine_rig *rig = *state;
    engine_rig_put(rig, 1, 10);
    stop_server(rig);
    engine_rig_serve(rig);
    engine_rig_expect(rig->stoa, rig->chain, 1, 10);
    engine_rig_put(rig, 11, 12);
    engine_rig_expect_head(rig, 12);
}

static void without_a_daemon_calls_fail_at_once_until_it_is_back(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_head head;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_completion done;
    struct stoa *stoa = connect_to(rig, 100);
    assert_int_equal(stoa_get_head(stoa, &head), 0);
    stop_server(rig);
    assert_int_equal(stoa_get_head(stoa, &head), STOA_ECLOSED);
    uint64_t begin = now_ms();
    int failures = 0;
    for (int i = 0; i < 1000;
         i++) { /* some of them try: the breaker lets one through now and then */
        failures += stoa_get_head(stoa, &head) == STOA_ECLOSED;
    }
    assert_int_equal(failures, 1000);
    assert_true(now_ms() - begin < 10000);
    assert_int_equal(stoa_ask(stoa, STOA_MESSAGE_STORE_BLOCK, &put, NULL, &done), STOA_ECLOSED);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_int_not_equal(done.detail.text[0], 0);
    engine_rig_serve(rig);
    int result;
    begin = now_ms();
    do {
        result = stoa_get_head(stoa, &head);
    } while (result == STOA_ECLOSED && now_ms() - begin < 30000);
    assert_int_equal(result, 0);
    assert_int_equal(stoa_close(stoa, NULL), 0);
}

static void sync_does_not_vouch_for_what_another_connection_was_told(void **state)
{
    struct engine_rig *rig = *state;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    struct stoa_call call = STOA_CALL_INIT;
    struct stoa_completion done;
    call.durability = STOA_BUFFERED;
    assert_int_equal(stoa_sync(rig->stoa, NULL), 0);
    assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_STORE_BLOCK, &put, &call, &done), 0);
    assert_int_equal(stoa_sync(rig->stoa, NULL), 0);
    put = engine_rig_put_of(rig, 2);
    assert_int_equal(stoa_ask(rig->stoa, STOA_MESSAGE_STORE_BLOCK, &put, &call, &done), 0);
    stop_server(rig);
    assert_int_equal(stoa_sync(rig->served, NULL), 0); /* it is readable when it is durable */
    engine_rig_serve(rig);
    engine_rig_expect_head(rig, 2); /* over the new one */
    assert_int_equal(stoa_sync(rig->stoa, NULL), STOA_ECLOSED);
    assert_int_equal(stoa_sync(rig->stoa, NULL), 0);
}

static void views_outlive_the_connection_and_hold_the_handle(void **state)
{
    struct engine_rig *rig = *state;
    const struct stoa_block_key key = {.by = STOA_LATEST};
    struct stoa_block block;
    struct stoa_detail detail;
    struct stoa *stoa = connect_to(rig, 1000);
    engine_rig_put(rig, 1, 1);
    assert_int_equal(stoa_get_block(stoa, &key, &block, NULL), 0);
    stop_server(rig);
    const struct made_block *made = made_chain_block(rig->chain, 1);
    assert_int_equal(block.block.size, made->block.size);
    assert_memory_equal(block.block.data, made->block.data, made->block.size);
    assert_int_equal(stoa_close(stoa, &detail), STOA_EBUSY);
    stoa_release(block.view);
    assert_int_equal(stoa_close(stoa, &detail), 0);
    engine_rig_serve(rig);
}

/* ---- a daemon that greets, takes what it is asked, and never answers ---- */

struct mute {
    int listener;
    atomic_bool stop;
    atomic_int greeted;
};

static void *run_mute(void *context)
{
    struct mute *mute = context;
    int fds[16];
    int count = 0;
    struct wire_welcome welcome = {
        .version = WIRE_VERSION, .role = WIRE_ROLE_ADMIN, .payload_max = 1 << 20};
    struct buffer frame = {.data = NULL};
    assert_int_equal(wire_append_welcome(&frame, &welcome), 0);
    while (!atomic_load(&mute->stop)) {
        int fd = -1;
        const struct timespec pause = {.tv_nsec = 1000000};
        if (count < 16) {
            fd = sockets_take(mute->listener, SOCK_NONBLOCK);
        }
        if (fd >= 0) {
            struct iovec part = {frame.data, frame.size};
            assert_int_equal(sockets_send(fd, &part, 1), (ptrdiff_t)frame.size);
            fds[count++] = fd;
            atomic_fetch_add(&mute->greeted, 1);
        }
        nanosleep(&pause, NULL);
    }
    while (count > 0) {
        sockets_close(fds[--count]);
    }
    buffer_deinit(&frame);
    return NULL;
}

static void daemon_that_says_nothing_is_left(void **state)
{
    struct engine_rig *rig = *state;
    char path[ENGINE_RIG_PATH_SIZE];
    struct mute mute = {.listener = -1};
    struct error_detail detail = {.code = 0};
    struct stoa_completion done;
    struct stoa_store_block put = engine_rig_put_of(rig, 1);
    pthread_t thread;
    stop_server(rig);
    engine_rig_path(rig, "sock", path);
    assert_int_equal(sockets_listen_unix(path, &mute.listener, &detail), 0);
    atomic_init(&mute.stop, false);
    atomic_init(&mute.greeted, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_mute, &mute), 0);
    struct stoa *stoa = connect_to(rig, 300);
    /* A write may have been done; what the daemon is asked for meanwhile is asked of the next. */
    assert_int_equal(stoa_ask(stoa, STOA_MESSAGE_STORE_BLOCK, &put, NULL, &done), STOA_ECLOSED);
    assert_int_equal(done.effect, STOA_EFFECT_UNKNOWN);
    struct stoa_call call = STOA_CALL_INIT;
    call.deadline_ms = 300;
    const struct stoa_block_key key = {.by = STOA_LATEST};
    assert_int_equal(stoa_ask(stoa, STOA_MESSAGE_GET_BLOCK, &key, &call, &done), STOA_ETIMEOUT);
    assert_int_equal(done.effect, STOA_EFFECT_NONE);
    assert_true(atomic_load(&mute.greeted) >= 2);
    assert_int_equal(stoa_close(stoa, NULL), 0);
    atomic_store(&mute.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sockets_close(mute.listener);
    sockets_unlink(path);
    engine_rig_serve(rig);
}

static void address_that_leads_nowhere_is_told(void **state)
{
    struct engine_rig *rig = *state;
    char path[ENGINE_RIG_PATH_SIZE];
    struct stoa *stoa;
    struct stoa_detail detail = {.code = 0};
    engine_rig_path(rig, "nowhere", path);
    assert_int_equal(stoa_connect(path, NULL, &stoa, &detail), STOA_ENOTFOUND);
    assert_non_null(strstr(detail.text, "nowhere"));
    assert_int_equal(stoa_connect("10.0.0.1:80", NULL, &stoa, &detail), STOA_EINVAL);
    assert_int_equal(stoa_connect("127.0.0.1", NULL, &stoa, &detail), STOA_EINVAL);
    assert_int_equal(stoa_connect("127.0.0.1:99999", NULL, &stoa, &detail), STOA_EINVAL);
    assert_int_equal(stoa_connect(NULL, NULL, &stoa, &detail), STOA_EINVAL);
}

#define REMOTE(test)                                                      \
    {                                                                     \
#test, test, engine_rig_set_up_remote, engine_rig_tear_down, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        REMOTE(reads_go_on_over_the_next_connection),
        REMOTE(without_a_daemon_calls_fail_at_once_until_it_is_back),
        REMOTE(sync_does_not_vouch_for_what_another_connection_was_told),
        REMOTE(views_outlive_the_connection_and_hold_the_handle),
        REMOTE(daemon_that_says_nothing_is_left),
        REMOTE(address_that_leads_nowhere_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
