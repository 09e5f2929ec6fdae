/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Warming the cache up: after opening, the newest blocks and the state keys that were used most
 * before it was closed, or killed (engine_warm_save.c), are read in the background, a few at a time
 * where nobody has asked for anything for a moment, else one now and then, so that who asks a store
 * that was just opened does not wait for what nobody has asked for; and beside that a worker reads
 * the indexes that lead to blocks, as far as the tables' cache has room for them. The keys are kept
 * in DIR/WARM:
 *
 *   offset  size  field
 *        0     8  magic "STOAWARM"
 *        8     4  version, 1
 *       12     4  zero
 *       16        raw state keys: size (1 byte), key
 *     last     8  XXH3 of all before
 *
 * A file that is absent or damaged costs nothing but the warmth. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/buffer.h"
#include "base/ensure.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "store/hot_values.h"

enum {
    KEYS_MAX = 65536,
    HEAD_SIZE = ENGINE_WARM_HEAD_SIZE,
    SUM_SIZE = 8,
    FILE_SIZE_MAX = HEAD_SIZE + KEYS_MAX * (1 + RAW_KEY_MAX) + SUM_SIZE,
    VERSION = 1,
    BUSY = 16,         /* requests of others in the store: warming waits */
    FIRST_BLOCKS = 64, /* the newest, before any key: they bring transactions and headers as well */
    TURN_MAX = 256,    /* answered at once in one turn of the loop */
    PATH_SIZE_MAX = 4096,
};

static const uint64_t moment_ns = 10000000;

static const uint8_t magic[8] = {'S', 'T', 'O', 'A', 'W', 'A', 'R', 'M'};

static bool path_of(const struct stoa *stoa, const char *name, char out[PATH_SIZE_MAX])
{
    int length = snprintf(out, PATH_SIZE_MAX, "%s/%s", stoa->directory, name);
    return length > 0 && length < PATH_SIZE_MAX;
}

/* ---- keys ---- */

static void forget(struct stoa *stoa)
{
    memory_free(stoa->warm_file);
    stoa->warm_file = NULL;
    stoa->warm_keys = bytes_of(NULL, 0);
    stoa->warm_blocks = 0;
}

/* Take the next of KEYS, as they are in the file. False: there is none, or not in order. */
static bool take_key(struct bytes *keys, struct bytes *out_key)
{
    if (keys->size < 2 || keys->data[0] < 1 || keys->data[0] > RAW_KEY_MAX ||
        keys->data[0] >= keys->size) {
        return false;
    }
    size_t size = keys->data[0];
    *out_key = bytes_of(keys->data + 1, size);
    *keys = bytes_of(keys->data + 1 + size, keys->size - 1 - size);
    return true;
}

/* ---- the file ---- */

struct key_list {
    struct cache *cache;
    struct buffer content; /* with room for all */
    unsigned count;
};

static void add_raw_key(struct key_list *list, struct bytes raw)
{
    uint8_t size = (uint8_t)raw.size;
    if (size != 0 && list->count < KEYS_MAX) {
        ensure(buffer_append(&list->content, &size, 1) == 0);
        ensure(buffer_append(&list->content, raw.data, raw.size) == 0);
        list->count++;
    }
}

static void add_key(void *context, struct bytes key)
{
    add_raw_key(context, hot_raw_key(key));
}

static void add_keys(void *context, struct bytes key, struct bytes value, bool read)
{
    struct key_list *list = context;
    hot_values_list(list->cache, key, value, read, add_key, list);
}

/* Those that warming did not come to are as good as they were. */
static void add_left(struct key_list *list, struct bytes *keys)
{
    struct bytes key;
    while (take_key(keys, &key)) {
        add_raw_key(list, key);
    }
}

static int64_t file_call(struct stoa *stoa, struct io_request request)
{
    return io_wait(stoa->io, &request);
}

/* Best effort: what fails leaves the old file, or none. */
static void write_file(struct stoa *stoa, struct buffer *content)
{
    char path[PATH_SIZE_MAX];
    char made[PATH_SIZE_MAX];
    if (!path_of(stoa, "WARM", path) || !path_of(stoa, "WARM.new", made)) {
        return;
    }
    int64_t file = file_call(stoa, (struct io_request){
                                       .op = IO_OPEN,
                                       .path = made,
                                       .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE,
                                   });
    if (file < 0) {
        return;
    }
    struct bytes all = buffer_bytes(content);
    bool good = file_call(stoa,
                          (struct io_request){
                              .op = IO_WRITE,
                              .file = (int)file,
                              .data = (void *)(uintptr_t)all.data,
                              .size = all.size,
                          }) == (int64_t)all.size &&
                file_call(stoa, (struct io_request){.op = IO_SYNC, .file = (int)file}) >= 0;
    (void)file_call(stoa,
                    (struct io_request){.op = IO_CLOSE, .file = (int)file}); /* it is synced */
    if (good) {
        (void)file_call(stoa, (struct io_request){
                                  .op = IO_RENAME,
                                  .path = made,
                                  .path_to = path,
                              }); /* or the old one stays */
    }
}

int engine_warm_head(struct buffer *out)
{
    uint8_t head[HEAD_SIZE] = {0};
    memcpy(head, magic, sizeof(magic));
    bytes_store_le32(head + 8, VERSION);
    return buffer_append(out, head, sizeof(head));
}

int engine_warm_seal(struct buffer *out)
{
    uint8_t sum[SUM_SIZE];
    bytes_store_le64(sum, XXH3_64bits(out->data, out->size));
    return buffer_append(out, sum, sizeof(sum));
}

void engine_warm_save(struct stoa *stoa)
{
    struct key_list list = {.cache = stoa->cache};
    if (stoa->cache == NULL) {
        return;
    }
    buffer_init(&list.content);
    if (buffer_reserve(&list.content, FILE_SIZE_MAX) == 0) {
        ensure(engine_warm_head(&list.content) == 0);
        cache_list(stoa->cache, CACHE_STATE, KEYS_MAX, add_keys, &list);
        add_left(&list, &stoa->warm_keys);
        bool some = list.content.size > HEAD_SIZE;
        ensure(engine_warm_seal(&list.content) == 0);
        if (some) {
            write_file(stoa, &list.content);
        }
    }
    buffer_deinit(&list.content);
    forget(stoa);
}

/* The keys, into stoa->warm_keys. */
static void read_file(struct stoa *stoa)
{
    char path[PATH_SIZE_MAX];
    uint64_t size = 0;
    if (!path_of(stoa, "WARM", path) || io_file_size(stoa->io, path, &size) != 0 ||
        size < HEAD_SIZE + SUM_SIZE || size > FILE_SIZE_MAX) {
        return;
    }
    uint8_t *data = memory_alloc(size);
    int64_t file = file_call(stoa, (struct io_request){.op = IO_OPEN, .path = path});
    if (data != NULL && file >= 0) {
        int64_t got = file_call(
            stoa, (struct io_request){
                      .op = IO_READ, .file = (int)file, .data = data, .size = (size_t)size});
        if (got == (int64_t)size && memcmp(data, magic, sizeof(magic)) == 0 &&
            bytes_load_le32(data + 8) == VERSION &&
            XXH3_64bits(data, size - SUM_SIZE) == bytes_load_le64(data + size - SUM_SIZE)) {
            stoa->warm_file = data;
            stoa->warm_keys = bytes_of(data + HEAD_SIZE, size - HEAD_SIZE - SUM_SIZE);
            data = NULL;
        }
    }
    if (file >= 0) {
        (void)file_call(stoa,
                        (struct io_request){.op = IO_CLOSE, .file = (int)file}); /* was read only */
    }
    memory_free(data);
}

/* ---- reading ---- */

static bool tables_stop(void *context)
{
    struct stoa *stoa = context;
    return atomic_load_explicit(&stoa->warm_tables_stop, memory_order_relaxed); /* a hint only */
}

static int run_tables(struct store_work *work, struct kv_session *session)
{
    return store_warm_tables(work, session, tables_stop, work->context);
}

/* What failed costs nothing but the warmth; damage was noted by the store. */
static void done_tables(struct store_work *work)
{
    struct stoa *stoa = work->context;
    stoa->warm_tables_busy = false;
}

static void start_tables(struct stoa *stoa)
{
    stoa->warm_tables =
        (struct store_work){.run = run_tables, .done = done_tables, .context = stoa};
    atomic_store_explicit(&stoa->warm_tables_stop, false, memory_order_relaxed);
    stoa->warm_tables_busy = store_work_start(stoa->store, &stoa->warm_tables) == 0;
}

int engine_warm_begin(struct stoa *stoa)
{
    struct stoa_head head;
    if (atomic_load_explicit(&stoa->warming, memory_order_relaxed)) {
        return STOA_EBUSY;
    }
    if (stoa->cache == NULL) {
        return 0;
    }
    forget(stoa); /* keys that were left */
    read_file(stoa);
    store_get_head(stoa->store, &head);
    struct cache_stats stats;
    cache_get_stats(stoa->cache, &stats);
    stoa->warm_next = head.height;
    stoa->warm_blocks = head.empty ? 0 : ENGINE_WARM_BLOCKS;
    stoa->warm_bytes = stats.classes[CACHE_BLOCKS].budget / 2;
    atomic_store_explicit(&stoa->warming, true, memory_order_relaxed);
    start_tables(stoa);
    return 0;
}

static void done_warm(struct store_request *request)
{
    struct engine_warm *slot = request->context;
    struct stoa *stoa = slot->stoa;
    if (request->result == 0 && request->kind == STORE_GET_BLOCK) {
        const struct stoa_block *block = &request->block;
        uint64_t size = block->block.size + block->receipts.size + block->envelope.size;
        stoa->warm_bytes -= size < stoa->warm_bytes ? size : stoa->warm_bytes;
        store_view_release(request->block.view);
    }
    memory_free((void *)(uintptr_t)request->value.data);
    if (request->result == 0) {
        atomic_fetch_add_explicit(&stoa->warmed, 1, memory_order_relaxed);
    }
    slot->busy = false;
    stoa->warm_under_way--;
}

static bool any_block(const struct stoa *stoa)
{
    return stoa->warm_blocks != 0 && stoa->warm_bytes != 0;
}

/* The newest blocks first, then the keys as often as they were read, then more blocks. False:
 * nothing is left. */
static bool next_request(struct stoa *stoa, struct engine_warm *slot)
{
    struct bytes *keys = &stoa->warm_keys;
    bool newest = stoa->warm_blocks > ENGINE_WARM_BLOCKS - FIRST_BLOCKS && any_block(stoa);
    slot->request = (struct store_request){.done = done_warm, .context = slot};
    struct bytes key;
    if (!newest && take_key(keys, &key)) {
        memcpy(slot->key, key.data, key.size);
        slot->request.kind = STORE_GET_STATE;
        slot->request.state_key = bytes_of(slot->key, key.size);
        slot->request.query.height = STOA_AT_HEAD;
        return true;
    }
    if (!newest) {
        *keys = bytes_of(NULL, 0);
    }
    if (!any_block(stoa)) {
        return false;
    }
    stoa->warm_blocks = stoa->warm_next == 0 ? 0 : stoa->warm_blocks - 1;
    slot->request.kind = STORE_GET_BLOCK;
    slot->request.keep = true;
    slot->request.key = (struct stoa_block_key){.by = STOA_BY_HEIGHT, .height = stoa->warm_next};
    stoa->warm_next -= stoa->warm_next == 0 ? 0 : 1;
    return true;
}

/* Whether others wait for an answer, or did in the last moment. */
static bool is_asked(struct stoa *stoa, uint64_t now)
{
    if (stoa->asked || store_pending(stoa->store) > stoa->warm_under_way) {
        stoa->asked = false;
        stoa->warm_quiet_ns = now + moment_ns;
    }
    return now < stoa->warm_quiet_ns;
}

/* True: enough is under way for now. */
static bool is_held(struct stoa *stoa, bool asked, uint64_t now)
{
    if (store_pending(stoa->store) >= stoa->warm_under_way + BUSY) {
        return true; /* there is a next turn when they are answered */
    }
    stoa->warm_held = asked && (stoa->warm_under_way != 0 || now < stoa->warm_at_ns);
    return stoa->warm_held;
}

uint64_t engine_warm_wait_ns(struct stoa *stoa)
{
    if (!stoa->warm_held) {
        return LOOP_WAIT_NS;
    }
    uint64_t now = io_now_ns(stoa->io);
    bool at = stoa->warm_at_ns > now && stoa->warm_at_ns < stoa->warm_quiet_ns;
    uint64_t next = at ? stoa->warm_at_ns : stoa->warm_quiet_ns;
    return next > now ? next - now : 0;
}

bool engine_warm_step(struct stoa *stoa)
{
    bool left = atomic_load_explicit(&stoa->warming, memory_order_relaxed);
    uint64_t now = left ? io_now_ns(stoa->io) : 0;
    bool asked = left && is_asked(stoa, now);
    unsigned turn = 0;
    stoa->warm_held = false;
    for (unsigned i = 0; left && i < ENGINE_WARM_SLOTS; i++) {
        struct engine_warm *slot = &stoa->warm[i];
        while (left && !slot->busy) { /* what is at hand is done from inside */
            if (is_held(stoa, asked, now)) {
                return false;
            }
            if (turn++ == TURN_MAX) {
                return true;
            }
            left = next_request(stoa, slot);
            if (left) {
                slot->stoa = stoa;
                slot->busy = true;
                stoa->warm_under_way++;
                store_submit(stoa->store, &slot->request);
                stoa->warm_at_ns = slot->busy ? now + moment_ns : stoa->warm_at_ns;
            }
        }
    }
    if (!left && stoa->warm_under_way == 0 && !stoa->warm_tables_busy) {
        forget(stoa);
        atomic_store_explicit(&stoa->warming, false, memory_order_relaxed);
    }
    return false;
}

void engine_warm_end(struct stoa *stoa)
{
    stoa->warm_blocks = 0; /* the keys that are left are saved */
    atomic_store_explicit(&stoa->warm_tables_stop, true, memory_order_relaxed);
    while (stoa->warm_under_way != 0 || stoa->warm_tables_busy) {
        ensure(io_run(stoa->io, LOOP_WAIT_NS) >= 0);
    }
    atomic_store_explicit(&stoa->warming, false, memory_order_relaxed);
}
