/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/web.h"

#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "http/http.h"

enum { ADDRESS_SIZE = 64, CHAIN_FILE_MAX = 1 << 20 };

static const char client[] = "stoa/" PACKAGE_VERSION;

struct web {
    struct rpc *rpc;
    struct http *http;
};

static uint64_t now_ms(void *context)
{
    (void)context;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock is always there */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* "127.0.0.1:8545", "[::1]:8545"; "none": *OUT_NONE. */
static int read_place(const char *text, char address[ADDRESS_SIZE], uint16_t *out_port,
                      bool *out_none, struct error_detail *detail)
{
    *out_none = strcmp(text, "none") == 0;
    if (*out_none) {
        return 0;
    }
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracketed = size > 1 && text[0] == '[' && text[size - 1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size -= bracketed ? 2 : 0;
    if (colon == NULL || end == colon + 1 || *end != '\0' || port > UINT16_MAX || size == 0 ||
        size >= ADDRESS_SIZE || (!bracketed && memchr(start, ':', size) != NULL)) {
        return error_set(detail, STOA_EINVAL, "http: '%.100s' is neither ADDRESS:PORT nor none",
                         text);
    }
    memcpy(address, start, size);
    address[size] = '\0';
    *out_port = (uint16_t)port;
    return 0;
}

int web_check(const struct settings *settings, struct error_detail *detail)
{
    char address[ADDRESS_SIZE];
    uint16_t port;
    bool none;
    int result = read_place(settings->text[SETTING_HTTP], address, &port, &none, detail);
    if (result == 0 && !none && !http_is_address(address)) {
        result = error_set(detail, STOA_EINVAL, "http: %s is no address", address);
    }
    return result;
}

/* The config of the chain's genesis, which a store may have beside it. */
static int load_chain(const struct settings *settings, struct buffer *out,
                      struct error_detail *detail)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/chain.json", settings->text[SETTING_DIRECTORY]);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return error_set(detail, STOA_EINVAL, "the directory's name is too long");
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(detail, errno, "open %s", path);
    }
    int result = buffer_reserve(out, CHAIN_FILE_MAX + 1);
    if (result == 0) {
        out->size = fread(out->data, 1, CHAIN_FILE_MAX + 1, file);
        result = ferror(file) != 0 || out->size > CHAIN_FILE_MAX ? STOA_EIO : 0;
    }
    (void)fclose(file); /* only read */
    return result == 0 ? 0 : error_set(detail, result, "read %s", path);
}

static int create_rpc(const struct settings *settings, struct stoa *stoa, struct rpc **out_rpc,
                      struct error_detail *detail)
{
    const uint64_t *number = settings->number;
    struct buffer chain;
    struct rpc_options options = {
        .stoa = stoa,
        .client = client,
        .body_max = number[SETTING_RPC_BODY_SIZE],
        .batch_max = number[SETTING_RPC_BATCH],
        .answer_max = number[SETTING_RPC_ANSWER_SIZE],
        .time_ms = (unsigned)number[SETTING_RPC_TIME_MS],
        .log_blocks_max = (unsigned)number[SETTING_RPC_LOG_BLOCKS],
        .log_max = (unsigned)number[SETTING_RPC_LOGS],
        .filters_max = number[SETTING_RPC_FILTERS],
        .now_ms = now_ms,
    };
    if (getrandom(options.seed, sizeof(options.seed), 0) != sizeof(options.seed)) {
        return error_set_errno(detail, errno, "random numbers");
    }
    buffer_init(&chain);
    int result = load_chain(settings, &chain, detail);
    if (result == 0) {
        options.chain_config = buffer_bytes(&chain);
        result = rpc_create(&options, out_rpc, detail);
    }
    buffer_deinit(&chain);
    return result;
}

static int create_http(const struct settings *settings, struct stoa *stoa, struct web *web,
                       struct error_detail *detail)
{
    char address[ADDRESS_SIZE];
    bool none;
    const char *hosts = settings->text[SETTING_HTTP_HOSTS];
    struct http_options options = {
        .stoa = stoa,
        .rpc = web->rpc,
        .address = address,
        .hosts = hosts[0] != '\0' ? hosts : NULL,
        .origins = settings->text[SETTING_HTTP_ORIGINS],
        .threads = (unsigned)settings->number[SETTING_HTTP_THREADS],
        .connections = (unsigned)settings->number[SETTING_HTTP_CONNECTIONS],
        .idle_seconds = (unsigned)settings->number[SETTING_HTTP_IDLE_SECONDS],
    };
    int result = read_place(settings->text[SETTING_HTTP], address, &options.port, &none, detail);
    return result == 0 ? http_create(&options, &web->http, detail) : result;
}

static void say_place(const struct settings *settings, struct server *server, const struct web *web)
{
    char address[ADDRESS_SIZE] = "";
    uint16_t port;
    bool none;
    (void)read_place(settings->text[SETTING_HTTP], address, &port, &none, NULL); /* was read */
    const struct event_field fields[] = {
        EVENT_TEXT("address", address),
        EVENT_NUMBER("port", http_port(web->http)),
    };
    event_say(server_events(server), EVENT_INFO, "http", fields, 2);
}

int web_create(const struct settings *settings, struct server *server, struct web **out_web,
               struct error_detail *detail)
{
    *out_web = NULL;
    if (strcmp(settings->text[SETTING_HTTP], "none") == 0) {
        return 0;
    }
    struct web *web = memory_alloc_zeroed(1, sizeof(*web));
    if (web == NULL) {
        return error_set(detail, STOA_ENOMEM, "HTTP: %s", stoa_strerror(STOA_ENOMEM));
    }
    int result = create_rpc(settings, server_store(server), &web->rpc, detail);
    if (result == 0) {
        result = create_http(settings, server_store(server), web, detail);
    }
    if (result == 0) {
        result = server_attach(server, http_part(web->http));
    }
    if (result != 0) {
        web_destroy(web);
        return result;
    }
    say_place(settings, server, web);
    *out_web = web;
    return 0;
}

void web_destroy(struct web *web)
{
    if (web == NULL) {
        return;
    }
    http_destroy(web->http);
    rpc_destroy(web->rpc);
    memory_free(web);
}
