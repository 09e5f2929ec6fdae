/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of the daemon's server on a simulated loop: clients that send their frames in pieces,
 * read slowly, hang up and come again, while the loop moves a little at a time, late, and finds
 * connections reset. Each reply is that of its own client's request, one for each; what is queued
 * stays within its limits; nothing is left at the end.
 *
 * STOA_SIM_SEEDS=N runs N seeds instead of the short run; STOA_TEST_SEED=S begins at S. */
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
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/io_sim.h"
#include "io/sockets.h"
#include "server/connections_private.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/server_fake.h"

enum {
    CLIENTS = 9, /* with the slot that is kept for an admin, as all of this user are */
    PENDING_MAX = 64,
    KEY_LEAST = 16,
    KEY_MOST = 3000,
    STEPS = 3000,
    SEEDS_SHORT = 12,
    QUEUED_MAX = 1 << 16,
    REQUESTS_MAX = 24,
    REQUEST_SIZE_MAX = 1 << 16,
    PIECE_MAX = 16384, /* of io_sim_socket.c */
    MS = 1000000,
};

/* Bytes that may be queued each way: what is counted before it is looked at, of each connection a
 * piece behind a frame that is not whole; of each request its reply. */
static const uint64_t queued_in_most = QUEUED_MAX + CLIENTS * (PIECE_MAX + KEY_MOST + 256);
static const uint64_t queued_out_most = QUEUED_MAX + (REQUESTS_MAX + CLIENTS) * (KEY_MOST + 256);

struct world {
    struct io *io;
    struct server *server;
    struct connections *connections;
    uint64_t random;
    char path[64];
    int first_free; /* descriptor */
};

struct asked {
    uint64_t id;
    uint8_t key[KEY_MOST];
    size_t size;
};

struct caller {
    int fd; /* -1: it is not there */
    bool welcome;
    unsigned laziness; /* it reads in one of so many of its turns */
    uint64_t last_id;
    struct buffer out;
    struct buffer in;
    struct asked asked[PENDING_MAX];
    size_t asked_count;
    uint64_t answered;
};

static uint64_t below(struct world *world, uint64_t limit)
{
    return fixture_random_below(&world->random, limit);
}

/* ---- the world ---- */

static int next_descriptor(void)
{
    int fd = dup(STDOUT_FILENO);
    const int number = fd;
    assert_true(fd >= 0);
    close(fd);
    return number;
}

static void begin(struct world *world, uint64_t seed, const struct io_sim_socket_options *chances,
                  unsigned rate)
{
    const struct server_fake_options store = {
        .seed = seed, .delay_ns_max = 3 * MS, .busy_1_in = 20};
    struct connections_settings settings = {
        .limits = {.connections = CLIENTS - 1,
                   .client_connections = CLIENTS - 1,
                   .requests = REQUESTS_MAX,
                   .queued = QUEUED_MAX,
                   .rate = rate},
        .request_max = REQUEST_SIZE_MAX,
        .handshake_ms = 100000,
        .idle_ms = 0,
        .stall_ms = 100000,
    };
    memset(world, 0, sizeof(*world));
    world->random = seed;
    world->first_free = next_descriptor();
    snprintf(world->path, sizeof(world->path), "./connections-sim.%d", (int)getpid());
    assert_int_equal(io_sim_socket_create(chances, &world->io), 0);
    world->server = server_fake_create(world->io, &store);
    assert_int_equal(
        connections_create(world->server, world->path, NULL, &settings, &world->connections, NULL),
        0);
    server_fake_start(world->server);
}

static void end(struct world *world)
{
    server_fake_stop(world->server);
    assert_int_equal(world->connections->request_count, 0);
    assert_int_equal(world->connections->count, 0);
    assert_int_equal(world->connections->clients.connections, 0);
    assert_int_equal(world->connections->clients.reserved, 0);
    assert_null(world->connections->clients.first);
    connections_destroy(world->connections);
    server_fake_destroy(world->server);
    io_destroy(world->io);
    assert_int_equal(server_fake_held(), 0);
    assert_int_equal(next_descriptor(), world->first_free);
}

static void turn(struct world *world, uint64_t wait_ns)
{
    server_fake_turn(world->server, wait_ns);
    for (const struct client *one = world->connections->clients.first; one != NULL;
         one = one->next) {
        assert_true(one->queued_in <= queued_in_most);
        assert_true(one->queued_out <= queued_out_most);
        assert_true(one->requests <= REQUESTS_MAX);
    }
}

/* ---- clients ---- */

static void hang_up(struct caller *caller)
{
    sockets_close(caller->fd);
    caller->fd = -1;
    caller->welcome = false;
    caller->asked_count = 0;
    buffer_clear(&caller->out);
    buffer_clear(&caller->in);
}

static void call(struct world *world, struct caller *caller)
{
    struct wire_hello hello = {.version_least = 1, .version_most = 1, .name = "caller"};
    assert_int_equal(sockets_connect(world->path, 1000, &caller->fd, NULL), 0);
    assert_true(fcntl(caller->fd, F_SETFL, O_NONBLOCK) == 0);
    assert_int_equal(wire_append_hello(&caller->out, &hello), 0);
    caller->laziness = 1 + (unsigned)below(world, 8);
}

static void ask(struct world *world, struct caller *caller)
{
    struct wire_writer writer;
    if (caller->asked_count == PENDING_MAX) {
        return;
    }
    struct asked *asked = &caller->asked[caller->asked_count++];
    asked->id = ++caller->last_id;
    asked->size = KEY_LEAST + (size_t)below(world, KEY_MOST - KEY_LEAST + 1);
    fixture_random_fill(&world->random, asked->key, asked->size);
    const struct stoa_bytes key = {asked->key, asked->size};
    const struct wire_header header = {.type = STOA_MESSAGE_GET_STATE, .id = asked->id};
    wire_begin(&writer, &caller->out);
    assert_int_equal(wire_argument_write(&writer, STOA_MESSAGE_GET_STATE, &key), 0);
    assert_int_equal(wire_end(&writer, &header), 0);
}

/* Some of what it has to say. */
static void say(struct world *world, struct caller *caller)
{
    if (caller->out.size == 0) {
        return;
    }
    size_t size = 1 + (size_t)below(world, caller->out.size);
    ssize_t sent = send(caller->fd, caller->out.data, size, MSG_NOSIGNAL);
    if (sent < 0) {
        assert_true(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
        return; /* what it is told is read */
    }
    caller->out.size -= (size_t)sent;
    memmove(caller->out.data, caller->out.data + sent, caller->out.size);
}

static void take_reply(struct caller *caller, const struct wire_header *header,
                       struct bytes payload)
{
    struct stoa_completion done = {.result = 0};
    struct wire_reply_held held;
    size_t at = 0;
    while (at < caller->asked_count && caller->asked[at].id != header->id) {
        at++;
    }
    assert_true(at < caller->asked_count); /* it asked, and was not answered before */
    assert_int_equal(header->type, STOA_MESSAGE_GET_STATE);
    assert_int_equal(wire_result(header), 0);
    assert_int_equal(wire_reply_read(STOA_MESSAGE_GET_STATE, 0, payload, &done, &held, NULL), 0);
    assert_int_equal(done.value.size, caller->asked[at].size);
    assert_memory_equal(done.value.data, caller->asked[at].key, done.value.size);
    memory_free((void *)(uintptr_t)done.value.data); /* none of the store's */
    caller->asked[at] = caller->asked[--caller->asked_count];
    caller->answered++;
}

static void take_frames(struct caller *caller)
{
    size_t taken = 0;
    struct wire_header header;
    while (caller->in.size - taken >= WIRE_HEADER_SIZE) {
        const uint8_t *data = caller->in.data + taken;
        assert_int_equal(wire_get_header(data, &header, NULL), 0);
        if (caller->in.size - taken - WIRE_HEADER_SIZE < header.size) {
            break;
        }
        struct bytes payload = bytes_of(data + WIRE_HEADER_SIZE, header.size);
        assert_int_equal(wire_check_payload(&header, payload, NULL), 0);
        if (header.type == WIRE_WELCOME) {
            assert_false(caller->welcome);
            caller->welcome = true;
        } else { /* never why it is not wanted: there is room for all */
            take_reply(caller, &header, payload);
        }
        taken += WIRE_HEADER_SIZE + header.size;
    }
    caller->in.size -= taken;
    memmove(caller->in.data, caller->in.data + taken, caller->in.size);
}

/* Some of what it is told. False: the connection has ended. */
static bool hear(struct world *world, struct caller *caller)
{
    size_t size = 1 + (size_t)below(world, 20000);
    assert_int_equal(buffer_reserve(&caller->in, size), 0);
    ssize_t got = recv(caller->fd, caller->in.data + caller->in.size, size, 0);
    if (got <= 0) {
        assert_true(got == 0 || errno == EAGAIN || errno == ECONNRESET);
        return got < 0 && errno == EAGAIN;
    }
    caller->in.size += (size_t)got;
    take_frames(caller);
    return true;
}

static void act(struct world *world, struct caller *caller)
{
    if (caller->fd < 0) {
        call(world, caller);
        return;
    }
    if (below(world, 200) == 0) {
        hang_up(caller);
        return;
    }
    for (uint64_t more = below(world, 4); more > 0 && caller->welcome; more--) {
        ask(world, caller);
    }
    say(world, caller);
    if (below(world, caller->laziness) == 0 && !hear(world, caller)) {
        hang_up(caller);
    }
}

/* All that is connected is answered, however slowly that goes. */
static void listen_to_the_end(struct world *world, struct caller *callers)
{
    for (unsigned turns = 0; turns < 20 * STEPS; turns++) {
        bool all = true;
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct caller *caller = &callers[i];
            if (caller->fd >= 0) {
                say(world, caller);
                if (!hear(world, caller)) {
                    hang_up(caller);
                }
            }
            all = all && (caller->fd < 0 || (caller->welcome && caller->asked_count == 0));
        }
        turn(world, MS / 10);
        if (all) {
            return;
        }
    }
    fail_msg("a client is not answered");
}

static void run_seed(uint64_t seed)
{
    static struct caller callers[CLIENTS];
    struct world world;
    uint64_t answered = 0;
    const struct io_sim_socket_options chances = {
        .seed = seed,
        .late_1_in = seed % 3 == 0 ? 0 : 3,
        .delay_ns_max = MS,
        .short_1_in = 3,
        .reset_1_in = seed % 2 == 0 ? 0 : 500,
    };
    begin(&world, seed, &chances, 0);
    memset(callers, 0, sizeof(callers));
    for (unsigned i = 0; i < CLIENTS; i++) {
        callers[i].fd = -1;
    }
    for (unsigned step = 0; step < STEPS; step++) {
        act(&world, &callers[below(&world, CLIENTS)]);
        turn(&world, below(&world, MS / 5));
    }
    listen_to_the_end(&world, callers);
    for (unsigned i = 0; i < CLIENTS; i++) {
        answered += callers[i].answered;
        if (i % 2 == 0 && callers[i].fd >= 0) {
            hang_up(&callers[i]);
        }
    }
    assert_true(answered > STEPS / 20);
    for (unsigned i = 0; i < CLIENTS; i++) {
        buffer_deinit(&callers[i].out);
        buffer_deinit(&callers[i].in);
    }
    server_fake_stop(world.server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        sockets_close(callers[i].fd);
    }
    end(&world);
}

static void replies_find_their_clients_and_nothing_is_left(void **state)
{
    (void)state;
    const char *given = getenv("STOA_SIM_SEEDS");
    uint64_t count =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)SEEDS_SHORT / SANITIZED_SLOWER;
    uint64_t first = fixture_seed();
    for (uint64_t i = 0; i < count; i++) {
        print_message("seed %llu\n", (unsigned long long)(first + i));
        run_seed(first + i);
    }
}

/* ---- who goes, and who comes ---- */

static void turn_until_welcome(struct world *world, struct caller *caller)
{
    while (!caller->welcome) {
        say(world, caller);
        turn(world, MS);
        assert_true(hear(world, caller));
    }
}

static void a_client_that_is_held_up_is_missed_at_once(void **state)
{
    (void)state;
    struct world world;
    static struct caller caller;
    const struct io_sim_socket_options chances = {.seed = fixture_seed()};
    begin(&world, chances.seed, &chances, 1);
    memset(&caller, 0, sizeof(caller));
    call(&world, &caller);
    turn_until_welcome(&world, &caller);
    for (unsigned i = 0; i < 5; i++) { /* one a second */
        ask(&world, &caller);
    }
    while (caller.asked_count != 4) {
        say(&world, &caller);
        turn(&world, MS);
        assert_true(hear(&world, &caller));
    }
    while (!world.connections->first->waits) {
        say(&world, &caller);
        turn(&world, MS);
    }
    turn(&world, MS);
    assert_int_equal(world.connections->count, 1);
    uint64_t gone_ns = io_now_ns(world.io);
    hang_up(&caller);
    turn(&world, MS);
    assert_int_equal(world.connections->count, 0);
    assert_true(io_now_ns(world.io) - gone_ns < MS);
    buffer_deinit(&caller.out);
    buffer_deinit(&caller.in);
    end(&world);
}

/* Whatever the loop is told first: that they came, or that those before have gone. */
static void the_slots_of_those_who_have_gone_are_free(void **state)
{
    (void)state;
    struct world world;
    static struct caller callers[CLIENTS];
    const struct io_sim_socket_options chances = {
        .seed = fixture_seed(), .late_1_in = 2, .delay_ns_max = 10 * MS, .short_1_in = 2};
    begin(&world, chances.seed, &chances, 0);
    memset(callers, 0, sizeof(callers));
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            call(&world, &callers[i]);
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            turn_until_welcome(&world, &callers[i]);
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            ask(&world, &callers[i]);
            say(&world, &callers[i]);
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            hang_up(&callers[round % 2 == 0 ? i : CLIENTS - 1 - i]);
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        buffer_deinit(&callers[i].out);
        buffer_deinit(&callers[i].in);
    }
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_find_their_clients_and_nothing_is_left),
        cmocka_unit_test(a_client_that_is_held_up_is_missed_at_once),
        cmocka_unit_test(the_slots_of_those_who_have_gone_are_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
