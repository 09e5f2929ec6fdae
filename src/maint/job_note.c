/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is kept of a job in the table "meta": its last run, whether it is paused, and how far it is
 * where it is under way. Little-endian:
 *
 *   version (1), flags (1), last result (4), runs (8), failures (8), started (8), ended (8),
 *   elapsed (8), bytes (8), operations (8), text of the last error, count of facts (4), each with
 *   name and value (8); and, where it is under way, its order and its point; then how many damaged
 *   places are not listed (8), count (4) of those that are, each with file, what, offset (8),
 *   size (8), height (8), flags (1).
 *   A text is its size (4) and its bytes.
 *
 * A note of another version, or one that is not readable, is as none. */
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "maint/job_private.h"

enum { NOTE_KEY_SIZE = 64, NOTE_VERSION = 2, NOTE_PAUSED = 1 << 0, NOTE_UNDER_WAY = 1 << 1 };
enum { DAMAGE_HAS_HEIGHT = 1 << 0, DAMAGE_STALE = 1 << 1 };

static const char *note_key(const struct job *job, char out[NOTE_KEY_SIZE])
{
    int size = snprintf(out, NOTE_KEY_SIZE, "job-%s", job_name(job));
    ensure(size > 4 && size < NOTE_KEY_SIZE);
    return out;
}

struct writer {
    struct buffer *out;
    int result;
};

static void put(struct writer *writer, const void *data, size_t size)
{
    if (writer->result == 0) {
        writer->result = buffer_append(writer->out, data, size);
    }
}

static void put8(struct writer *writer, uint8_t value)
{
    put(writer, &value, 1);
}

static void put32(struct writer *writer, uint32_t value)
{
    uint8_t bytes[4];
    bytes_store_le32(bytes, value);
    put(writer, bytes, sizeof(bytes));
}

static void put64(struct writer *writer, uint64_t value)
{
    uint8_t bytes[8];
    bytes_store_le64(bytes, value);
    put(writer, bytes, sizeof(bytes));
}

static void put_text(struct writer *writer, const void *text, size_t size)
{
    put32(writer, (uint32_t)size);
    put(writer, text, size);
}

static void put_order(struct writer *writer, const struct job_order *order)
{
    put32(writer, order->flags);
    put64(writer, order->bytes_per_second);
    put64(writer, order->operations_per_second);
    put64(writer, order->from);
    put64(writer, order->to);
    for (unsigned i = 0; i < JOB_NUMBERS_MAX; i++) {
        put64(writer, order->numbers[i]);
    }
    put_text(writer, order->name, strlen(order->name));
    put_text(writer, order->path, strlen(order->path));
}

static void put_damages(struct writer *writer, const struct job_damages *damages)
{
    put64(writer, damages->more);
    put32(writer, damages->count);
    for (unsigned i = 0; i < damages->count; i++) {
        const struct job_damage *damage = &damages->items[i];
        put_text(writer, damage->file, strlen(damage->file));
        put_text(writer, damage->what, strlen(damage->what));
        put64(writer, damage->offset);
        put64(writer, damage->size);
        put64(writer, damage->height);
        put8(writer, (uint8_t)((damage->has_height ? DAMAGE_HAS_HEIGHT : 0) |
                               (damage->is_stale ? DAMAGE_STALE : 0)));
    }
}

static int encode(const struct job *job, struct buffer *out)
{
    const struct stoa_job_info *info = &job->info;
    struct writer writer = {.out = out};
    bool dry = (job->order.flags & JOB_DRY_RUN) != 0;
    bool under_way = job->active && !job->ended && !dry;
    buffer_clear(out);
    put8(&writer, NOTE_VERSION);
    put8(&writer, (uint8_t)((job->paused ? NOTE_PAUSED : 0) | (under_way ? NOTE_UNDER_WAY : 0)));
    put32(&writer, (uint32_t)info->last_result);
    put64(&writer, info->runs);
    put64(&writer, info->failures);
    put64(&writer, info->started);
    put64(&writer, info->ended);
    put64(&writer, info->elapsed_ms);
    put64(&writer, info->bytes);
    put64(&writer, info->operations);
    put_text(&writer, info->last_error, strlen(info->last_error));
    put32(&writer, info->fact_count);
    for (unsigned i = 0; i < info->fact_count; i++) {
        put_text(&writer, info->facts[i].name, strlen(info->facts[i].name));
        put64(&writer, info->facts[i].value);
    }
    if (under_way) {
        put_order(&writer, &job->order);
        put_text(&writer, job->point.data, job->point.size);
    }
    put_damages(&writer, &job->damages);
    return writer.result;
}

/* ---- reading ---- */

struct reader {
    struct bytes rest;
    bool failed;
};

static const uint8_t *get(struct reader *reader, size_t size)
{
    static const uint8_t nothing[8] = {0};
    const uint8_t *data = reader->rest.data;
    if (reader->failed || reader->rest.size < size) {
        reader->failed = true;
        return size <= sizeof(nothing) ? nothing : NULL;
    }
    reader->rest = bytes_of(data + size, reader->rest.size - size);
    return data;
}

static uint32_t get32(struct reader *reader)
{
    return bytes_load_le32(get(reader, 4));
}

static uint64_t get64(struct reader *reader)
{
    return bytes_load_le64(get(reader, 8));
}

/* At most SIZE - 1 bytes, terminated. */
static void get_text(struct reader *reader, char *out, size_t size)
{
    uint32_t length = get32(reader);
    const uint8_t *data = length < size ? get(reader, length) : NULL;
    reader->failed = reader->failed || length >= size;
    if (!reader->failed) {
        memcpy(out, data, length);
        out[length] = '\0';
    }
}

static void get_order(struct reader *reader, struct job_order *out)
{
    out->flags = get32(reader);
    out->bytes_per_second = get64(reader);
    out->operations_per_second = get64(reader);
    out->from = get64(reader);
    out->to = get64(reader);
    for (unsigned i = 0; i < JOB_NUMBERS_MAX; i++) {
        out->numbers[i] = get64(reader);
    }
    get_text(reader, out->name, sizeof(out->name));
    get_text(reader, out->path, sizeof(out->path));
}

static void get_facts(struct reader *reader, struct stoa_job_info *info)
{
    uint32_t count = get32(reader);
    reader->failed = reader->failed || count > STOA_JOB_FACTS_MAX;
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        get_text(reader, info->facts[i].name, sizeof(info->facts[i].name));
        info->facts[i].value = get64(reader);
        info->fact_count = i + 1;
    }
}

static void get_damages(struct reader *reader, struct job_damages *damages)
{
    uint64_t more = get64(reader);
    uint32_t count = get32(reader);
    job_damages_clear(damages);
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        struct job_damage damage = {.offset = 0};
        get_text(reader, damage.file, sizeof(damage.file));
        get_text(reader, damage.what, sizeof(damage.what));
        damage.offset = get64(reader);
        damage.size = get64(reader);
        damage.height = get64(reader);
        uint8_t flags = get(reader, 1)[0];
        damage.has_height = (flags & DAMAGE_HAS_HEIGHT) != 0;
        damage.is_stale = (flags & DAMAGE_STALE) != 0;
        if (!reader->failed) {
            (void)job_damages_add(damages, &damage); /* else it is counted */
        }
    }
    damages->more += more;
}

static bool decode(struct job *job, struct bytes note)
{
    struct reader reader = {.rest = note};
    struct stoa_job_info info = job->info;
    struct job_order order = {.flags = 0};
    if (get(&reader, 1)[0] != NOTE_VERSION) {
        return false;
    }
    uint8_t flags = get(&reader, 1)[0];
    info.last_result = (int32_t)get32(&reader);
    info.runs = get64(&reader);
    info.failures = get64(&reader);
    info.started = get64(&reader);
    info.ended = get64(&reader);
    info.elapsed_ms = get64(&reader);
    info.bytes = get64(&reader);
    info.operations = get64(&reader);
    get_text(&reader, info.last_error, sizeof(info.last_error));
    get_facts(&reader, &info);
    bool under_way = (flags & NOTE_UNDER_WAY) != 0;
    if (under_way) {
        get_order(&reader, &order);
        uint32_t size = get32(&reader);
        const uint8_t *point = get(&reader, size);
        if (reader.failed || size > JOB_POINT_SIZE_MAX) {
            return false;
        }
        buffer_clear(&job->point);
        int result = buffer_append(&job->point, point, size);
        ensure(result == 0); /* its room was made before */
    }
    get_damages(&reader, &job->damages);
    if (reader.failed || reader.rest.size != 0) {
        job_damages_clear(&job->damages);
        return false;
    }
    job->info = info;
    job->paused = (flags & NOTE_PAUSED) != 0;
    job->interrupted = under_way;
    job->left = order;
    return true;
}

int job_note_read(struct job *job, struct error_detail *detail)
{
    char key[NOTE_KEY_SIZE];
    int result = store_note_get(job->jobs->store, note_key(job, key), &job->note_value, detail);
    if (result == 0 && job->note_value.size != 0) {
        (void)decode(job, buffer_bytes(&job->note_value)); /* else it is as if there were none */
    }
    return result;
}

/* ---- writing ---- */

static int run_note(struct store_work *work, struct kv_session *session)
{
    struct job *job = work->context;
    char key[NOTE_KEY_SIZE];
    return store_note_put(work, session, note_key(job, key), buffer_bytes(&job->note_value));
}

/* A note that could not be written is no failure of the job: it would only have saved work. */
static void done_note(struct store_work *work)
{
    struct job *job = work->context;
    job->noting = false;
    if (job->note_again) {
        job->note_again = false;
        job_note_write(job, true);
    }
    if (!job->noting) {
        job_advance(job);
    }
}

void job_note_write(struct job *job, bool always)
{
    bool dry = job->active && (job->order.flags & JOB_DRY_RUN) != 0;
    if (!always && (dry || (job->kind->flags & JOB_UNNOTED) != 0)) {
        return;
    }
    if (job->noting) {
        job->note_again = true;
        return;
    }
    job->noted_ns = io_now_ns(job->jobs->io);
    job->point_is_new = false;
    if (encode(job, &job->note_value) != 0) {
        return;
    }
    job->note.run = run_note;
    job->note.done = done_note;
    job->note.context = job;
    job->noting = store_work_start(job->jobs->store, &job->note) == 0;
}
