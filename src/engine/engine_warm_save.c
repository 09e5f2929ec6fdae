/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saving what keeps the next start warm while the store runs, so that a killed one is warm as well:
 * once a minute the loop walks the cache a little each turn, notes the state keys that were read
 * and, after those, the ones that were not, and writes them to DIR/WARM (engine_warm.c) without
 * waiting for the disk. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot_values.h"

enum {
    BUCKETS_A_TURN = 256, /* some 20 us */
    KEYS_SIZE_MAX = 2 << 20,
    PATH_SIZE_MAX = 4096,
};

static const uint64_t period_ns = UINT64_C(60) * 1000000000;

/* In this order. */
enum step { OPEN, WRITE, SYNC, CLOSE, RENAME, STEPS };

struct engine_warm_save {
    struct stoa *stoa;
    uint64_t next_ns;
    bool collecting;
    bool writing;
    bool failed;
    size_t cursor;
    struct buffer used;
    struct buffer rest;
    enum step step;
    int file;
    struct io_request request;
    char path[PATH_SIZE_MAX];
    char made[PATH_SIZE_MAX];
};

int engine_warm_save_init(struct stoa *stoa)
{
    struct engine_warm_save *save = memory_alloc_zeroed(1, sizeof(*save));
    if (save == NULL) {
        return STOA_ENOMEM;
    }
    stoa->warm_save = save;
    save->stoa = stoa;
    save->next_ns = io_now_ns(stoa->io) + period_ns;
    buffer_init(&save->used);
    buffer_init(&save->rest);
    int length = snprintf(save->path, sizeof(save->path), "%s/WARM", stoa->directory);
    int made = snprintf(save->made, sizeof(save->made), "%s/WARM.new", stoa->directory);
    if (length < 0 || made < 0 || made >= PATH_SIZE_MAX) {
        save->next_ns = UINT64_MAX;
    }
    return 0;
}

void engine_warm_save_soon(struct stoa *stoa)
{
    struct engine_warm_save *save = stoa->warm_save;
    if (save == NULL) {
        return;
    }
    save->next_ns = save->next_ns == UINT64_MAX ? UINT64_MAX : 0;
}

static void note_key(struct buffer *out, struct bytes key)
{
    struct bytes raw = hot_raw_key(key);
    uint8_t size = (uint8_t)raw.size;
    if (size == 0 || out->size + raw.size >= KEYS_SIZE_MAX) {
        return;
    }
    if (buffer_append(out, &size, 1) == 0 && buffer_append(out, raw.data, raw.size) != 0) {
        out->size--; /* a size without its key */
    }
}

static void note_used(void *context, struct bytes key)
{
    struct engine_warm_save *save = context;
    note_key(&save->used, key);
}

static void note_rest(void *context, struct bytes key)
{
    struct engine_warm_save *save = context;
    note_key(&save->rest, key);
}

static void note_keys(void *context, struct bytes key, struct bytes value, bool read)
{
    struct engine_warm_save *save = context;
    hot_values_list(save->stoa->cache, key, value, read, read ? note_used : note_rest, save);
}

/* ---- the file ---- */

static void finish(struct engine_warm_save *save)
{
    save->writing = false;
    save->next_ns = io_now_ns(save->stoa->io) + period_ns;
    buffer_deinit(&save->used);
    buffer_deinit(&save->rest);
    buffer_init(&save->used);
    buffer_init(&save->rest);
}

static void done_step(struct io_request *request);

static void submit_step(struct engine_warm_save *save)
{
    struct io_request *request = &save->request;
    *request = (struct io_request){.file = save->file, .done = done_step, .context = save};
    switch ((int)save->step) {
    case OPEN:
        request->op = IO_OPEN;
        request->path = save->made;
        request->flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE;
        break;
    case WRITE:
        request->op = IO_WRITE;
        request->data = save->used.data;
        request->size = save->used.size;
        break;
    case SYNC:
        request->op = IO_SYNC;
        break;
    case CLOSE:
        request->op = IO_CLOSE;
        break;
    default:
        request->op = IO_RENAME;
        request->path = save->made;
        request->path_to = save->path;
        break;
    }
    io_submit(save->stoa->io, request);
}

/* Best effort: what fails leaves the file of before. */
static void done_step(struct io_request *request)
{
    struct engine_warm_save *save = request->context;
    bool good = request->result >= 0 &&
                (save->step != WRITE || request->result == (int64_t)save->used.size);
    if (save->step == OPEN) {
        if (!good) {
            finish(save);
            return;
        }
        save->file = (int)request->result;
    }
    save->failed = save->failed || !good;
    save->step = save->failed && save->step < CLOSE ? CLOSE : save->step + 1;
    if (save->step == STEPS || (save->step == RENAME && save->failed)) {
        finish(save);
    } else {
        submit_step(save);
    }
}

static void write_keys(struct engine_warm_save *save)
{
    struct bytes rest = buffer_bytes(&save->rest);
    if (rest.size != 0 && buffer_append(&save->used, rest.data, rest.size) != 0) {
        buffer_clear(&save->rest); /* those that were read are enough */
    }
    if (save->used.size == ENGINE_WARM_HEAD_SIZE || engine_warm_seal(&save->used) != 0) {
        finish(save); /* nothing to be kept */
        return;
    }
    save->writing = true;
    save->failed = false;
    save->step = OPEN;
    submit_step(save);
}

/* ---- turns ---- */

bool engine_warm_save_step(struct stoa *stoa)
{
    struct engine_warm_save *save = stoa->warm_save;
    if (save == NULL || stoa->cache == NULL || save->writing) {
        return false;
    }
    if (!save->collecting) {
        if (io_now_ns(stoa->io) < save->next_ns ||
            atomic_load_explicit(&stoa->warming, memory_order_relaxed)) {
            return false; /* while it is warming the old file knows more */
        }
        save->collecting = true;
        save->cursor = 0;
        if (engine_warm_head(&save->used) != 0) {
            save->collecting = false;
            finish(save);
            return false;
        }
    }
    if (cache_walk(stoa->cache, CACHE_STATE, &save->cursor, BUCKETS_A_TURN, note_keys, save)) {
        return true;
    }
    save->collecting = false;
    write_keys(save);
    return false;
}

void engine_warm_save_end(struct stoa *stoa)
{
    struct engine_warm_save *save = stoa->warm_save;
    while (save != NULL && save->writing) {
        ensure(io_run(stoa->io, LOOP_WAIT_NS) >= 0);
    }
    if (save != NULL) {
        buffer_deinit(&save->used);
        buffer_deinit(&save->rest);
        memory_free(save);
        stoa->warm_save = NULL;
    }
}
