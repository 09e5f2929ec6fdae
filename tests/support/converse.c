/* SPDX-License-Identifier: GPL-3.0-or-later */
/* converse: hold recorded JSON-RPC conversations (FOLDER/METHOD/NAME.io) against what a store
 * answers.
 *
 *   converse --store DIR FOLDER      in this process
 *   converse --port N FOLDER         over HTTP, of a daemon on 127.0.0.1
 *
 * The order of members counts for nothing. Where a recording is of another age than the newest, and
 * so says something else, the table below names it, and why. */
#include <arpa/inet.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "rpc/rpc.h"
#include "stoa.h"

/* A member that the recordings of CHAIN (a prefix of its name) have and we have not, or the other
 * way round; of METHOD, or of all where that is NULL. */
static const struct excused {
    const char *chain;
    const char *method;
    const char *member;
    const char *reason;
} excused[] = {
    {"eapi-2023", NULL, "totalDifficulty", "left out of the specification after 2023"},
    {"eapi-2023", NULL, "blockTimestamp", "came in 2024 (of logs) and 2025 (of transactions)"},
    {"eapi-2024", NULL, "blockTimestamp", "came in 2024 (of logs) and 2025 (of transactions)"},
    {"eapi-2025-02", NULL, "blockTimestamp", "came in 2024 (of logs) and 2025 (of transactions)"},
    {"eapi-2023", "eth_feeHistory", "baseFeePerBlobGas", "came with Cancun"},
    {"eapi-2023", "eth_feeHistory", "blobGasUsedRatio", "came with Cancun"},
    {"eapi-2025-10", "eth_capabilities", "deleteStrategy", "how that node keeps logs; we keep all"},
};

/* Whole answers that were recorded of an older or another node and are different now. */
static const struct other {
    const char *chain;
    const char *name; /* of the file, with its folder */
    const char *reason;
} others[] = {
    {"eapi-2023", "eth_getStorage/get-storage-invalid-key.io", "code and text changed in 2025"},
    {"eapi-2023", "eth_getStorage/get-storage-invalid-key-too-large.io",
     "code and text changed in 2025"},
    {"eapi-2024-01", "eth_getStorageAt/get-storage-invalid-key.io",
     "code and text changed in 2025"},
    {"eapi-2024-01", "eth_getStorageAt/get-storage-invalid-key-too-large.io",
     "code and text changed in 2025"},
    {"eapi-2025-02", "eth_getStorageAt/get-storage-invalid-key.io",
     "code and text changed in 2025"},
    {"eapi-2025-02", "eth_getStorageAt/get-storage-invalid-key-too-large.io",
     "code and text changed in 2025"},
    {"eapi-2024-01", "eth_feeHistory/fee-history.io",
     "was recorded of a chain whose block 2 had blobs; this one has none"},
};

struct conversation {
    struct rpc *rpc; /* NULL: over HTTP */
    int port;
    const char *chain;
    unsigned asked;
    unsigned excused;
    unsigned failed;
};

static uint64_t now_ms(void *context)
{
    (void)context;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void append(struct buffer *out, const void *data, size_t size)
{
    int result = buffer_append(out, data, size);
    ensure(result == 0);
}

/* ---- asking ---- */

static void send_all(int socket, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);
        ensure(sent > 0);
        data += sent;
        size -= (size_t)sent;
    }
}

/* POST REQUEST to the daemon; the body of its answer goes to OUT. */
static void ask_http(int port, const char *request, struct buffer *out)
{
    char head[256];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ensure(connection >= 0);
    int connected = connect(connection, (struct sockaddr *)&address, sizeof(address));
    ensure(connected == 0);
    int length = snprintf(head, sizeof(head),
                          "POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                          port, strlen(request));
    send_all(connection, head, (size_t)length);
    send_all(connection, request, strlen(request));
    char chunk[65536];
    struct buffer answer;
    buffer_init(&answer);
    for (;;) {
        ssize_t got = recv(connection, chunk, sizeof(chunk), 0);
        ensure(got >= 0);
        if (got == 0) {
            break;
        }
        append(&answer, chunk, (size_t)got);
    }
    (void)close(connection);
    append(&answer, "", 1);
    const char *body = strstr((const char *)answer.data, "\r\n\r\n");
    ensure(body != NULL);
    ensure(strncmp((const char *)answer.data, "HTTP/1.1 200", 12) == 0);
    append(out, body + 4, strlen(body + 4));
    buffer_deinit(&answer);
}

static json_t *ask(const struct conversation *conversation, const char *request)
{
    struct buffer out;
    buffer_init(&out);
    if (conversation->rpc != NULL) {
        int result = rpc_answer(conversation->rpc, bytes_of(request, strlen(request)), &out);
        ensure(result == 0);
    } else {
        ask_http(conversation->port, request, &out);
    }
    json_t *answer = json_loadb((const char *)out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    if (answer == NULL) {
        fprintf(stderr, "not JSON: %.*s\n", (int)out.size, (const char *)out.data);
    }
    buffer_deinit(&out);
    return answer;
}

/* ---- comparing ---- */

static bool is_excused(const struct conversation *conversation, const char *method,
                       const char *member)
{
    for (size_t i = 0; i < sizeof(excused) / sizeof(*excused); i++) {
        const struct excused *row = &excused[i];
        if (strncmp(conversation->chain, row->chain, strlen(row->chain)) == 0 &&
            (row->method == NULL || strcmp(row->method, method) == 0) &&
            strcmp(row->member, member) == 0) {
            return true;
        }
    }
    return false;
}

/* Remove from VALUE, everywhere below it, the members that are excused. */
static void strip(const struct conversation *conversation, const char *method, json_t *value)
{
    size_t index;
    json_t *item;
    const char *key;
    void *next;
    json_array_foreach(value, index, item)
    {
        strip(conversation, method, item);
    }
    json_object_foreach_safe(value, next, key, item)
    {
        if (is_excused(conversation, method, key)) {
            json_object_del(value, key);
        } else {
            strip(conversation, method, item);
        }
    }
}

static const struct other *find_other(const struct conversation *conversation, const char *name)
{
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        const struct other *row = &others[i];
        if (strcmp(row->name, name) == 0 &&
            strncmp(conversation->chain, row->chain, strlen(row->chain)) == 0) {
            return row;
        }
    }
    return NULL;
}

static void compare(struct conversation *conversation, const char *method, const char *name,
                    const char *request, const char *expected_text)
{
    json_t *expected = json_loads(expected_text, 0, NULL);
    json_t *answer = ask(conversation, request);
    const struct other *other = find_other(conversation, name);
    ensure(expected != NULL);
    conversation->asked++;
    strip(conversation, method, expected);
    strip(conversation, method, answer);
    bool equal = answer != NULL && json_equal(expected, answer);
    if (equal && other != NULL) {
        printf("FAILED: %s/%s is as recorded, and need not be excused\n", conversation->chain,
               name);
        conversation->failed++;
    } else if (!equal && other != NULL) {
        printf("%s/%s differs: %s\n", conversation->chain, name, other->reason);
        conversation->excused++;
    } else if (!equal) {
        char *ours = json_dumps(answer, JSON_SORT_KEYS | JSON_ENCODE_ANY);
        char *theirs = json_dumps(expected, JSON_SORT_KEYS);
        printf("FAILED: %s/%s\n  asked    %s\n  expected %.3000s\n  got      %.3000s\n",
               conversation->chain, name, request, theirs, ours == NULL ? "nothing" : ours);
        free(ours);
        free(theirs);
        conversation->failed++;
    }
    json_decref(expected);
    json_decref(answer);
}

/* ---- files ---- */

static void hold_file(struct conversation *conversation, const char *folder, const char *method,
                      const char *file)
{
    char path[4096];
    char name[512];
    char *line = NULL;
    size_t capacity = 0;
    char *request = NULL;
    (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, method, file);
    (void)snprintf(name, sizeof(name), "%s/%s", method, file);
    FILE *input = fopen(path, "r");
    ensure(input != NULL);
    ssize_t length;
    while ((length = getline(&line, &capacity, input)) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, ">> ", 3) == 0) {
            free(request);
            request = strdup(line + 3);
        } else if (strncmp(line, "<< ", 3) == 0) {
            ensure(request != NULL);
            compare(conversation, method, name, request, line + 3);
        }
    }
    free(request);
    free(line);
    (void)fclose(input); /* only read */
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void hold_folder(struct conversation *conversation, const char *folder)
{
    struct dirent **methods;
    int method_count = scandir(folder, &methods, NULL, by_name);
    ensure(method_count > 0);
    for (int i = 0; i < method_count; i++) {
        char path[4096];
        struct dirent **files;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, methods[i]->d_name);
        int file_count = methods[i]->d_name[0] == '.' ? 0 : scandir(path, &files, NULL, by_name);
        for (int j = 0; j < file_count; j++) {
            if (files[j]->d_name[0] != '.') {
                hold_file(conversation, folder, methods[i]->d_name, files[j]->d_name);
            }
            free(files[j]);
        }
        if (file_count > 0) {
            free(files);
        }
        free(methods[i]);
    }
    free(methods);
}

/* The text of DIR/chain.json, empty where there is none. */
static void load_config(const char *directory, struct buffer *out)
{
    char path[4096];
    char chunk[4096];
    size_t got;
    (void)snprintf(path, sizeof(path), "%s/chain.json", directory);
    FILE *input = fopen(path, "r");
    while (input != NULL && (got = fread(chunk, 1, sizeof(chunk), input)) > 0) {
        append(out, chunk, got);
    }
    if (input != NULL) {
        (void)fclose(input); /* only read */
    }
}

static struct rpc *make_rpc(struct stoa *stoa, const char *directory)
{
    struct rpc *rpc;
    struct buffer config;
    struct error_detail detail;
    buffer_init(&config);
    load_config(directory, &config);
    struct rpc_options options = {.stoa = stoa, .now_ms = now_ms};
    options.chain_config = buffer_bytes(&config);
    int result = rpc_create(&options, &rpc, &detail);
    ensure(result == 0);
    buffer_deinit(&config);
    return rpc;
}

int main(int argc, char **argv)
{
    struct conversation conversation = {.port = 0};
    struct stoa *stoa = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: converse --store DIR|--port N FOLDER\n");
        return 2;
    }
    if (strcmp(argv[1], "--store") == 0) {
        struct stoa_detail detail;
        int opened = stoa_open(argv[2], NULL, &stoa, &detail);
        ensure(opened == 0);
        conversation.rpc = make_rpc(stoa, argv[2]);
    } else {
        conversation.port = atoi(argv[2]);
    }
    /* FOLDER is …/CHAIN/rpc */
    char *chain = strdup(argv[3]);
    char *slash = strrchr(chain, '/');
    ensure(slash != NULL);
    *slash = '\0';
    conversation.chain = strrchr(chain, '/') + 1;
    hold_folder(&conversation, argv[3]);
    printf("%s: %u answers, %u excused, %u wrong\n", conversation.chain, conversation.asked,
           conversation.excused, conversation.failed);
    rpc_destroy(conversation.rpc);
    int closed = stoa_close(stoa, NULL);
    ensure(closed == 0);
    free(chain);
    return conversation.failed == 0 && conversation.asked > 0 ? 0 : 1;
}
