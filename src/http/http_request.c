/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/http_request.h"

#include <strings.h>

#include "base/ensure.h"
#include "stoa/error.h"

/* Call for each name of LIST, without the spaces around it, until one fits. */
static bool any_of(const char *list, const char *wanted, size_t wanted_size)
{
    const char *p = list;
    while (*p != '\0') {
        size_t size = strcspn(p, ",");
        const char *name = p;
        p += size + (p[size] == ',');
        while (size > 0 && *name == ' ') {
            name++;
            size--;
        }
        while (size > 0 && name[size - 1] == ' ') {
            size--;
        }
        if ((size == 1 && *name == '*') ||
            (size == wanted_size && strncasecmp(name, wanted, size) == 0)) {
            return size > 0;
        }
    }
    return false;
}

bool http_request_host_is_in(const char *list, const char *host)
{
    if (host == NULL || host[0] == '\0') {
        return any_of(list, "", 0); /* only where any will do */
    }
    size_t size;
    if (host[0] == '[') {
        size = strcspn(host, "]");
        if (host[size] != ']') {
            return false;
        }
        size++;
    } else {
        size = strcspn(host, ":");
    }
    const char *port = host + size;
    if (*port != '\0' && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) {
        return false;
    }
    if (size > 1 && host[size - 1] == '.') {
        size--;
    }
    return size > 0 && any_of(list, host, size);
}

bool http_request_origin_is_in(const char *list, const char *origin)
{
    return origin != NULL && origin[0] != '\0' && any_of(list, origin, strlen(origin));
}

bool http_request_is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t size = sizeof(json) - 1;
    if (type == NULL || strncasecmp(type, json, size) != 0) {
        return false;
    }
    return type[size] == '\0' || type[size] == ';' || type[size] == ' ';
}

void http_body_init(struct http_body *body, size_t max)
{
    *body = (struct http_body){.max = max};
    buffer_init(&body->bytes);
}

void http_body_deinit(struct http_body *body)
{
    buffer_deinit(&body->bytes);
}

int http_body_add(struct http_body *body, const void *data, size_t size)
{
    ensure(body->bytes.size <= body->max);
    if (body->dropped == 0 && size <= body->max - body->bytes.size) {
        return buffer_append(&body->bytes, data, size);
    }
    if (size > HTTP_BODY_DROPPED_MAX - body->dropped) {
        return STOA_ETOOBIG;
    }
    buffer_deinit(&body->bytes); /* nobody will read it */
    buffer_init(&body->bytes);
    body->dropped += size;
    return 0;
}
