/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/clients.h"

#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"

static bool list_has(const struct clients_list *list, const struct sockets_peer *peer)
{
    for (size_t i = 0; i < list->user_count; i++) {
        if (list->users[i] == peer->user) {
            return true;
        }
    }
    for (size_t i = 0; i < list->group_count; i++) {
        for (unsigned j = 0; j < peer->group_count; j++) {
            if (list->groups[i] == peer->groups[j]) {
                return true;
            }
        }
    }
    return false;
}

enum wire_role clients_role(const struct clients_list lists[WIRE_ROLE_ADMIN + 1],
                            enum wire_role otherwise, const struct sockets_peer *peer)
{
    if (peer->user == 0 || peer->user == getuid()) {
        return WIRE_ROLE_ADMIN;
    }
    for (int role = WIRE_ROLE_ADMIN; role > WIRE_ROLE_NONE; role--) {
        if (list_has(&lists[role], peer)) {
            return (enum wire_role)role;
        }
    }
    return otherwise;
}

static struct client *find(struct clients *clients, uint64_t who)
{
    struct client *client = clients->first;
    while (client != NULL && client->who != who) {
        client = client->next;
    }
    return client;
}

struct client *clients_enter(struct clients *clients, const struct clients_limits *limits,
                             uint64_t who, bool admin, bool *out_reserved, const char **out_why)
{
    struct client *client = find(clients, who);
    bool full = clients->connections >= limits->connections ||
                (client != NULL && client->connections >= limits->client_connections);
    if (full && (!admin || clients->reserved >= CLIENTS_ADMIN_SLOTS)) {
        *out_why = clients->connections >= limits->connections
                       ? "too many connections"
                       : "too many connections of this client";
        return NULL;
    }
    if (client == NULL) {
        client = memory_alloc_zeroed(1, sizeof(*client));
        if (client == NULL) {
            *out_why = "out of memory";
            return NULL;
        }
        client->who = who;
        client->tokens = limits->rate;
        client->next = clients->first;
        clients->first = client;
    }
    *out_reserved = full;
    clients->reserved += full;
    clients->connections += !full;
    client->connections++;
    return client;
}

void clients_leave(struct clients *clients, struct client *client, bool reserved)
{
    ensure(client->connections != 0);
    client->connections--;
    clients->reserved -= reserved;
    clients->connections -= !reserved;
    clients_settle(clients, client);
}

bool clients_may_move(const struct clients *clients, const struct clients_limits *limits,
                      const struct client *client)
{
    return clients->connections < limits->connections &&
           client->connections <= limits->client_connections;
}

void clients_move(struct clients *clients)
{
    ensure(clients->reserved != 0);
    clients->reserved--;
    clients->connections++;
}

void clients_settle(struct clients *clients, struct client *client)
{
    if (client->connections != 0 || client->requests != 0 || client->queued_in != 0 ||
        client->queued_out != 0) {
        return;
    }
    struct client **at = &clients->first;
    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    memory_free(client);
}

bool clients_may_begin(struct client *client, const struct clients_limits *limits, unsigned cost,
                       uint64_t now_ns, uint64_t *out_wait_ns)
{
    *out_wait_ns = UINT64_MAX;
    bool busy = client->requests != 0 && client->requests + cost > limits->requests;
    /* What came may be one frame that is as long as that: it must be served to go. */
    if (busy || client->queued_out > limits->queued ||
        (client->queued_in > limits->queued && client->requests != 0)) {
        return false;
    }
    if (limits->rate == 0) {
        return true;
    }
    double rate = limits->rate;
    client->tokens += (double)(now_ns - client->tokens_ns) * rate / 1e9;
    client->tokens = client->tokens > rate ? rate : client->tokens;
    client->tokens_ns = now_ns;
    if (client->tokens < 1) {
        *out_wait_ns = (uint64_t)((1 - client->tokens) * 1e9 / rate) + 1;
        return false;
    }
    client->tokens -= 1;
    return true;
}
