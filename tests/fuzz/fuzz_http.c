/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: two lines, the allow-list and the Host header (as Origin and Content-Type, too), then a
 * body, which comes in pieces. Nothing that is not in the list gets in; a body is kept whole or not
 * at all, whatever its pieces were. */
#include <string.h>
#include <strings.h>

#include "base/ensure.h"
#include "fuzz/fuzz.h"
#include "http/http_request.h"

enum { LINE = 256, BODY = 512 };

/* The next line of INPUT, as much as fits. */
static void take_line(struct bytes *input, char out[LINE])
{
    size_t size = 0;
    while (size < input->size && input->data[size] != '\n') {
        size++;
    }
    size_t kept = size < LINE - 1 ? size : LINE - 1;
    if (kept > 0) {
        memcpy(out, input->data, kept);
    }
    out[kept] = '\0';
    size_t taken = size + (size < input->size);
    *input = bytes_of(input->data + taken, input->size - taken);
}

static void check_names(const char *list, const char *header)
{
    bool any = strchr(list, '*') != NULL;
    if (http_request_host_is_in(list, header) && !any) {
        /* Some name of the list is what the header begins with. */
        bool found = false;
        for (const char *p = list; *p != '\0'; p++) {
            for (size_t size = 1; size <= strlen(p) && !found; size++) {
                found = strncasecmp(p, header, size) == 0;
            }
        }
        ensure(found);
    }
    if (http_request_origin_is_in(list, header) && !any) {
        ensure(strcasestr(list, header) != NULL);
    }
    if (http_request_is_json(header)) {
        ensure(strncasecmp(header, "application/json", 16) == 0);
    }
}

static void check_body(struct bytes input)
{
    struct http_body body;
    size_t given = 0;
    http_body_init(&body, BODY);
    while (given < input.size) {
        size_t size = 1 + input.data[given];
        size = size < input.size - given ? size : input.size - given;
        int result = http_body_add(&body, input.data + given, size);
        ensure(result == 0);
        given += size;
    }
    ensure(http_body_is_too_large(&body) == (input.size > BODY));
    ensure(input.size > BODY || bytes_equal(buffer_bytes(&body.bytes), input));
    http_body_deinit(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char list[LINE];
    char header[LINE];
    struct bytes input = bytes_of(data, size);
    take_line(&input, list);
    take_line(&input, header);
    check_names(list, header);
    check_body(input);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const seeds[] = {
        "localhost,127.0.0.1,[::1]\nlocalhost:8545\n{\"jsonrpc\":\"2.0\"}",
        "localhost, node.example \nNODE.example.\nbody",
        "[::1]\n[::1]:8545\n",
        "*\nanything at all\n",
        "https://explorer.example\nhttps://explorer.example\nx",
        "a,,b\napplication/json; charset=utf-8\nx",
        "\n\n",
    };
    if (index >= sizeof(seeds) / sizeof(*seeds)) {
        return false;
    }
    int result = buffer_append(out, seeds[index], strlen(seeds[index]));
    ensure(result == 0);
    return true;
}
