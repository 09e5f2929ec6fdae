/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tables/kv_wiredtiger_home.h"

#include <string.h>

#include "base/ensure.h"
#include "stoa/error.h"

struct listing {
    struct buffer *names;
    int result;
};

static void add_name(void *context, const char *name)
{
    struct listing *listing = context;
    if (listing->result == 0) {
        listing->result = buffer_append(listing->names, name, strlen(name) + 1);
    }
}

int kv_wiredtiger_home_init(struct kv_wiredtiger_home *home, const char *path,
                            struct error_detail *detail)
{
    *home = (struct kv_wiredtiger_home){.path = path};
    buffer_init(&home->names);
    struct io_options options = {.backend = IO_BACKEND_THREADS, .threads = 1};
    int result = io_create(&options, &home->io, detail);
    if (result != 0) {
        error_prefix(detail, "tables in %s", path);
        return result;
    }
    struct listing listing = {.names = &home->names};
    result = io_list(home->io, path, add_name, &listing);
    result = result != 0 ? result : listing.result;
    if (result != 0) {
        error_set(detail, result, "list tables in %s: %s", path, stoa_strerror(result));
        kv_wiredtiger_home_deinit(home);
    }
    return result;
}

void kv_wiredtiger_home_deinit(struct kv_wiredtiger_home *home)
{
    io_destroy(home->io);
    home->io = NULL;
    buffer_deinit(&home->names);
}

bool kv_wiredtiger_home_has(const struct kv_wiredtiger_home *home, const char *file)
{
    for (size_t i = 0; i < home->names.size;) {
        const char *name = (const char *)home->names.data + i;
        if (strcmp(name, file) == 0) {
            return true;
        }
        i += strlen(name) + 1;
    }
    return false;
}

int kv_wiredtiger_home_check(const struct kv_wiredtiger_home *home, bool *out_empty,
                             struct error_detail *detail)
{
    static const char *const wanted[] = {"WiredTiger", "WiredTiger.turtle", "WiredTiger.wt"};
    bool empty = home->names.size == 0;
    for (size_t i = 0; !empty && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!kv_wiredtiger_home_has(home, wanted[i])) {
            return error_set(detail, STOA_ECORRUPT, "tables in %s: %s is missing", home->path,
                             wanted[i]);
        }
    }
    *out_empty = empty;
    return 0;
}

/* NAME.ID.wt, and what WiredTiger makes of one that is in its way: NAME.ID.wt.N. */
static bool is_table_file(const char *name)
{
    const char *end = strstr(name, ".wt");
    return strncmp(name, "WiredTiger", strlen("WiredTiger")) != 0 && end != NULL &&
           (end[3] == '\0' || end[3] == '.');
}

static int remove_file(struct kv_wiredtiger_home *home, const char *name,
                       struct error_detail *detail)
{
    struct buffer path;
    buffer_init(&path);
    int64_t result = buffer_append_format(&path, "%s/%s", home->path, name);
    result = result != 0 ? result : buffer_append(&path, "", 1);
    if (result == 0) {
        struct io_request request = {.op = IO_UNLINK, .path = (const char *)path.data};
        result = io_wait(home->io, &request);
    }
    buffer_deinit(&path);
    if (result == STOA_ENOTFOUND || result >= 0) {
        return 0;
    }
    return error_set(detail, (int)result, "remove %s/%s: %s", home->path, name,
                     stoa_strerror((int)result));
}

int kv_wiredtiger_home_sweep(struct kv_wiredtiger_home *home,
                             bool (*keep)(void *context, const char *file), void *context,
                             struct error_detail *detail)
{
    ensure(home->io != NULL);
    int result = 0;
    for (size_t i = 0; result == 0 && i < home->names.size;) {
        const char *name = (const char *)home->names.data + i;
        if (is_table_file(name) && !keep(context, name)) {
            result = remove_file(home, name, detail);
        }
        i += strlen(name) + 1;
    }
    return result;
}
