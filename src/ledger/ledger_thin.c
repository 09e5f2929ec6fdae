/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a thinned segment (thin.h), a step at a time, on the loop:
 *
 *      look     trailer and index of what is there, by which the gain is told
 *      copy     a stretch of frames is read, checked, shortened where that is wanted, and written
 *      finish   index and trailer are written, all of it is flushed
 *      compare  what the device has is read again, against a sum of what was written
 *      place    renamed to its name, the folder flushed; from then on reads go there; the
 *               segment is unlinked, the folder flushed again
 *
 * Until the rename nothing has changed, and a file NNNNNNNN.thin.new is all there is to clear away;
 * after it both files say the same, and opening takes the thinned one. The segment is only ever
 * unlinked, so who has a link to it, or has it open, keeps it. It is opened here by itself: what
 * the ledger does with its own files meanwhile does not matter. Damage in what is there ends it:
 * who repairs a frame wants the frames around it as they were.
 *
 * A packed segment (arc.h) is read the same way, unpacked a stretch at a time. What is made of it
 * keeps its unfinished name: the packed one would count before it. It is written and no more, for
 * ledger_pack.c, which checks every frame of it, to pack it over what is there. */
#include <string.h>
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

enum {
    THIN_PIECE = 512 << 10,
    THIN_PACKED_PIECE = 128 << 10, /* that is unpacked at once, on the loop */
};

enum thin_phase {
    THIN_OPEN,
    THIN_LOAD,
    THIN_TRAILER,
    THIN_INDEX,
    THIN_CREATE,
    THIN_READ,
    THIN_WRITE,
    THIN_SYNC,
    THIN_COMPARE,
    THIN_RENAME,
    THIN_SYNC_FOLDER,
    THIN_UNLINK,
    THIN_SYNC_AGAIN,
    THIN_CLOSE_OLD,
    THIN_CLOSE_NEW,
    THIN_REMOVE,
    THIN_ENDED,
};

struct ledger_thin {
    struct ledger *ledger;
    struct ledger_thinning *thinning; /* NULL: it was given up, and is only cleared away */
    enum thin_phase phase;
    struct io_request request;
    uint32_t number;
    bool is_last_step; /* nothing is left to be written but index and trailer */
    bool placed;
    int source; /* -1: not open */
    int target;
    bool made; /* there is a file under the unfinished name, which goes with this */
    uint64_t source_size;
    bool packed;
    struct arc_load load;
    bool loading;
    struct arc_map *map; /* of a packed one */
    struct arc_unpacker *unpacker;
    struct arc_stretch stretch; /* that is read */
    uint8_t *packed_input;
    uint64_t packed_capacity;
    struct ledger_outline outline; /* what is there */
    struct segment_entry *made_entries;
    uint32_t next; /* entry to be copied */
    uint32_t read_end;
    uint8_t *input;
    uint64_t input_capacity;
    uint64_t input_offset;
    uint8_t *output;
    uint64_t output_capacity;
    uint64_t output_size;
    uint64_t written; /* of the new file, and where the output goes */
    uint64_t compared;
    struct buffer payload;
    XXH3_state_t *sum;
    XXH64_hash_t written_sum;
    char *path_source;
    char *path_segment;
    char *path_new;
    char *path_thin;
};

static void advance(struct io_request *request);

static void free_thin(struct ledger_thin *thin)
{
    ledger_outline_deinit(&thin->outline);
    arc_load_drop(&thin->load);
    arc_map_destroy(thin->map);
    arc_unpacker_destroy(thin->unpacker);
    memory_free(thin->packed_input);
    memory_free(thin->made_entries);
    memory_free(thin->input);
    memory_free(thin->output);
    buffer_deinit(&thin->payload);
    (void)XXH3_freeState(thin->sum);
    memory_free(thin->path_source);
    memory_free(thin->path_segment);
    memory_free(thin->path_new);
    memory_free(thin->path_thin);
    memory_free(thin);
}

static void submit(struct ledger_thin *thin, enum thin_phase phase, struct io_request request)
{
    thin->phase = phase;
    request.done = advance;
    request.context = thin;
    thin->request = request;
    io_submit(thin->ledger->io, &thin->request);
}

/* ---- ends ---- */

/* The next thing to be cleared away; what was asked for has its result. */
static void clear_away(struct ledger_thin *thin)
{
    struct ledger_thinning *thinning = thin->thinning;
    if (thin->source >= 0) {
        int file = thin->source;
        thin->source = -1;
        submit(thin, THIN_CLOSE_OLD, (struct io_request){.op = IO_CLOSE, .file = file});
    } else if (thin->target >= 0) {
        int file = thin->target;
        thin->target = -1;
        submit(thin, THIN_CLOSE_NEW, (struct io_request){.op = IO_CLOSE, .file = file});
    } else if (thin->made && !thin->placed) {
        thin->made = false;
        submit(thin, THIN_REMOVE, (struct io_request){.op = IO_UNLINK, .path = thin->path_new});
    } else {
        thin->phase = THIN_ENDED;
        thin->ledger->thin = NULL;
        free_thin(thin);
        if (thinning != NULL) {
            thinning->ended = true;
            thinning->ledger = NULL;
            thinning->done(thinning);
        }
    }
}

static void fail(struct ledger_thin *thin, int result, const char *what)
{
    struct ledger_thinning *thinning = thin->thinning;
    const struct io_request *request = &thin->request;
    if (thinning != NULL && thinning->result == 0) {
        thinning->result = result;
        if (thinning->detail.code == 0 && request->result < 0 && request->os_error != 0) {
            error_set_errno(&thinning->detail, request->os_error, "thin segment %08u: %s",
                            thin->number, what);
        } else if (thinning->detail.code == 0) {
            error_set(&thinning->detail, result, "thin segment %08u: %s: %s", thin->number, what,
                      stoa_strerror(result));
        }
    }
    clear_away(thin);
}

static void end_step(struct ledger_thin *thin)
{
    thin->thinning->done(thin->thinning);
}

/* ---- look ---- */

static uint64_t block_of(uint64_t offset)
{
    return offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
}

static bool grow(uint8_t **buffer, uint64_t *capacity, uint64_t size)
{
    if (size > *capacity) {
        memory_free(*buffer);
        *buffer = memory_alloc_aligned(segment_align(size), IO_ALIGNMENT);
        *capacity = *buffer != NULL ? segment_align(size) : 0;
    }
    return *buffer != NULL;
}

/* The groups of a packed segment around SIZE bytes at OFFSET of what it stands for. */
static void read_packed(struct ledger_thin *thin, enum thin_phase phase, uint64_t offset,
                        uint64_t size)
{
    struct arc_stretch *stretch = &thin->stretch;
    arc_map_stretch(thin->map, offset, size, stretch);
    uint64_t start = block_of(stretch->offset);
    uint64_t end = segment_align(stretch->offset + stretch->size);
    if (stretch->first == stretch->end) {
        fail(thin, STOA_ECORRUPT, "frames of it are damaged");
        return;
    }
    if (!grow(&thin->input, &thin->input_capacity, stretch->at_size) ||
        !grow(&thin->packed_input, &thin->packed_capacity, end - start)) {
        fail(thin, STOA_ENOMEM, "read it");
        return;
    }
    thin->input_offset = stretch->at;
    submit(thin, phase,
           (struct io_request){.op = IO_READ,
                               .file = thin->source,
                               .data = thin->packed_input,
                               .size = end - start,
                               .offset = start});
}

/* False: what was read of a packed segment is damaged. */
static bool unpack_input(struct ledger_thin *thin)
{
    const struct arc_stretch *stretch = &thin->stretch;
    return arc_unpack_stretch(thin->unpacker, thin->map, stretch,
                              thin->packed_input + (stretch->offset - block_of(stretch->offset)),
                              thin->input);
}

static void read_source(struct ledger_thin *thin, enum thin_phase phase, uint64_t offset,
                        uint64_t size)
{
    uint64_t start = block_of(offset);
    uint64_t end = segment_align(offset + size);
    if (thin->packed) {
        read_packed(thin, phase, offset, size);
        return;
    }
    if (!grow(&thin->input, &thin->input_capacity, end - start)) {
        fail(thin, STOA_ENOMEM, "read it");
        return;
    }
    thin->input_offset = start;
    submit(thin, phase,
           (struct io_request){.op = IO_READ,
                               .file = thin->source,
                               .data = thin->input,
                               .size = end - start,
                               .offset = start});
}

static uint64_t gain_of(const struct ledger_thin *thin, const struct segment_entry *entry)
{
    struct ledger_thinning *thinning = thin->thinning;
    struct ledger_frame frame = ledger_outline_frame(thin->number, entry);
    return ledger_kind_is_store(entry->kind) ? thinning->gain(thinning->context, &frame) : 0;
}

/* What the packed segment would take without what goes, if it packs as well as it did. */
static uint64_t packed_size(const struct ledger_thin *thin, uint64_t size)
{
    uint64_t content = 0;
    for (uint32_t i = 0; i < thin->map->header.group_count; i++) {
        content += thin->map->groups[i].at_size;
    }
    return size < content ? size * thin->source_size / content : thin->source_size;
}

/* The index is there: what would be gained. */
static void look(struct ledger_thin *thin)
{
    struct ledger_thinning *thinning = thin->thinning;
    thinning->packed = thin->packed;
    thinning->size = thin->source_size;
    thinning->size_expected = thin_index_size(thin->outline.count) + 2 * SEGMENT_BLOCK;
    for (uint32_t i = 0; i < thin->outline.count; i++) {
        uint64_t gain = gain_of(thin, &thin->outline.entries[i]);
        thinning->gain_bytes += gain;
        thinning->gain_frames += gain != 0;
        uint64_t stays = thin->outline.entries[i].kind == LEDGER_SEAL ? 0
                         : thin->outline.entries[i].thin ? thin->outline.entries[i].at_size
                                                         : thin->outline.entries[i].size;
        thinning->size_expected +=
            frame_align(thin_frame_size(stays > gain ? (uint32_t)(stays - gain) : 0));
    }
    thinning->size_needed = thinning->size_expected;
    if (thin->packed) {
        thinning->size_expected = packed_size(thin, thinning->size_expected);
    }
    if (ledger_outline_is_damaged(&thin->outline)) {
        fail(thin, STOA_ECORRUPT, "frames of it are damaged");
        return;
    }
    thin->phase = THIN_CREATE;
    end_step(thin);
}

static void trailer_read(struct ledger_thin *thin)
{
    const struct thin_trailer *trailer = &thin->outline.trailer;
    if (!ledger_outline_take_trailer(&thin->outline, thin->input)) {
        fail(thin, STOA_ECORRUPT, "its trailer is damaged");
        return;
    }
    read_source(thin, THIN_INDEX, trailer->index_offset, trailer->index_size);
}

static void read_trailer(struct ledger_thin *thin)
{
    read_source(thin, THIN_TRAILER, thin->outline.size - SEGMENT_BLOCK, SEGMENT_BLOCK);
}

static void loaded(struct arc_load *load)
{
    struct ledger_thin *thin = load->context;
    thin->loading = false;
    thin->map = load->map;
    load->map = NULL;
    if (load->result != 0) {
        thin->request.result = load->result;
        thin->request.os_error = load->os_error;
        fail(thin, load->result, load->what);
        return;
    }
    thin->outline.thin = thin->map->header.thin;
    thin->outline.size = thin->map->header.segment_size;
    read_trailer(thin);
}

static void source_opened(struct ledger_thin *thin)
{
    thin->source = (int)thin->request.result;
    if (!thin->packed) {
        read_trailer(thin);
        return;
    }
    thin->phase = THIN_LOAD;
    thin->loading = true;
    thin->load = (struct arc_load){
        .io = thin->ledger->io,
        .file = thin->source,
        .number = thin->number,
        .file_size = thin->source_size,
        .store_id = thin->ledger->store_id,
        .done = loaded,
        .context = thin,
    };
    arc_load_start(&thin->load);
}

static void index_read(struct ledger_thin *thin)
{
    uint64_t inside = thin->outline.trailer.index_offset - thin->input_offset;
    if (!ledger_outline_take_index(&thin->outline, thin->input + inside)) {
        fail(thin, STOA_ECORRUPT, "its index is damaged");
        return;
    }
    look(thin);
}

/* ---- copy ---- */

static void read_piece(struct ledger_thin *thin)
{
    const struct segment_entry *first = &thin->outline.entries[thin->next];
    uint64_t start = segment_entry_at(first);
    uint64_t end = start + segment_entry_size(first);
    uint64_t most = thin->packed ? THIN_PACKED_PIECE : THIN_PIECE;
    thin->read_end = thin->next + 1;
    while (thin->read_end < thin->outline.count) {
        const struct segment_entry *entry = &thin->outline.entries[thin->read_end];
        uint64_t entry_end = (uint64_t)segment_entry_at(entry) + segment_entry_size(entry);
        if (entry_end - start > most) {
            break;
        }
        end = entry_end;
        thin->read_end++;
    }
    read_source(thin, THIN_READ, start, end - start);
}

/* Room for SIZE bytes more in the output. */
static uint8_t *reserve(struct ledger_thin *thin, uint64_t size)
{
    uint64_t needed = segment_align(thin->output_size + size) + SEGMENT_BLOCK;
    if (needed > thin->output_capacity) {
        uint64_t capacity = needed + needed / 2;
        capacity = segment_align(capacity);
        uint8_t *output = memory_alloc_aligned(capacity, IO_ALIGNMENT);
        if (output == NULL) {
            return NULL;
        }
        if (thin->output_size != 0) {
            memcpy(output, thin->output, thin->output_size);
        }
        memory_free(thin->output);
        thin->output = output;
        thin->output_capacity = capacity;
    }
    return thin->output + thin->output_size;
}

static void pad(struct ledger_thin *thin, uint64_t end)
{
    memset(thin->output + thin->output_size, 0, end - thin->output_size);
    thin->output_size = end;
}

static int copy_frame(struct ledger_thin *thin, uint32_t index)
{
    struct ledger_thinning *thinning = thin->thinning;
    struct segment_entry entry = thin->outline.entries[index];
    struct frame_header header;
    struct bytes payload;
    const uint8_t *frame = thin->input + (segment_entry_at(&entry) - thin->input_offset);
    if (!ledger_outline_take_frame(&thin->outline, &entry, frame, &header, &payload)) {
        return STOA_ECORRUPT;
    }
    if (entry.kind == LEDGER_SEAL) {
        payload = bytes_of(NULL, 0); /* an index of frames that lie elsewhere now */
    } else if (gain_of(thin, &entry) != 0) {
        struct ledger_frame whole = ledger_outline_frame(thin->number, &entry);
        whole.payload = payload;
        whole.detail = &thinning->detail;
        uint8_t level = entry.level;
        buffer_clear(&thin->payload);
        int result = thinning->shorten(thinning->context, &whole, &thin->payload, &level);
        if (result != 0) {
            return result;
        }
        if (level != entry.level) {
            ensure(thin->payload.size <= payload.size);
            entry.level = level;
            payload = buffer_bytes(&thin->payload);
        }
    }
    uint32_t size = thin_frame_size((uint32_t)payload.size);
    uint8_t *out = reserve(thin, frame_align(size));
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    entry.thin = true;
    entry.at = (uint32_t)(thin->written + thin->output_size);
    entry.at_size = size;
    thin_encode_frame(out, &header, &entry, payload, thin->ledger->store_id);
    thin->output_size += size;
    pad(thin, frame_align(thin->output_size));
    thin->made_entries[index] = entry;
    return 0;
}

/* Index and trailer. */
static int finish_output(struct ledger_thin *thin)
{
    uint64_t store_id = thin->ledger->store_id;
    uint32_t size = thin_index_size(thin->outline.count);
    uint8_t *out = reserve(thin, (uint64_t)size + 2 * SEGMENT_BLOCK);
    if (out == NULL) {
        return STOA_ENOMEM;
    }
    struct thin_trailer trailer = {
        .number = thin->number,
        .index_offset = (uint32_t)(thin->written + thin->output_size),
        .index_size = size,
        .count = thin->outline.count,
        .first_sequence = thin->outline.entries[0].sequence,
        .segment_size = thin->outline.segment_size,
    };
    trailer.index_checksum =
        thin_encode_index(out, thin->number, thin->made_entries, thin->outline.count, store_id);
    thin->output_size += size;
    pad(thin, segment_align(thin->output_size));
    thin_encode_trailer(thin->output + thin->output_size, &trailer, store_id);
    thin->output_size += SEGMENT_BLOCK;
    thin->is_last_step = true;
    return 0;
}

static void write_output(struct ledger_thin *thin)
{
    uint64_t size = thin->output_size & ~(uint64_t)(SEGMENT_BLOCK - 1);
    if (size == 0) {
        thin->phase = THIN_READ;
        end_step(thin);
        return;
    }
    (void)XXH3_64bits_update(thin->sum, thin->output, size); /* it cannot fail of a sound state */
    submit(thin, THIN_WRITE,
           (struct io_request){.op = IO_WRITE,
                               .file = thin->target,
                               .data = thin->output,
                               .size = size,
                               .offset = thin->written});
}

static void piece_read(struct ledger_thin *thin)
{
    int result = 0;
    thin->thinning->step_bytes += thin->request.size;
    thin->thinning->bytes_read += thin->request.size;
    for (; thin->next < thin->read_end && result == 0; thin->next++) {
        result = copy_frame(thin, thin->next);
    }
    if (result == 0 && thin->next == thin->outline.count) {
        result = finish_output(thin);
    }
    if (result != 0) {
        fail(thin, result,
             result == STOA_ECORRUPT ? "frames of it are damaged" : "copy what stays of it");
        return;
    }
    write_output(thin);
}

static void piece_written(struct ledger_thin *thin)
{
    uint64_t size = thin->request.size;
    thin->thinning->step_bytes += size;
    thin->written += size;
    thin->output_size -= size;
    memmove(thin->output, thin->output + size, thin->output_size);
    if (!thin->is_last_step) {
        thin->phase = THIN_READ;
        end_step(thin);
        return;
    }
    ensure(thin->output_size == 0);
    if (thin->packed) {
        thin->made = false; /* it waits to be packed */
        thin->thinning->size_thinned = thin->written;
        clear_away(thin);
        return;
    }
    thin->written_sum = XXH3_64bits_digest(thin->sum);
    (void)XXH3_64bits_reset(thin->sum);
    submit(thin, THIN_SYNC, (struct io_request){.op = IO_SYNC, .file = thin->target});
}

/* ---- compare, place ---- */

static void compare_next(struct ledger_thin *thin)
{
    uint64_t left = thin->written - thin->compared;
    uint64_t size = left < THIN_PIECE ? left : THIN_PIECE;
    if (reserve(thin, size) == NULL) {
        fail(thin, STOA_ENOMEM, "compare it");
        return;
    }
    submit(thin, THIN_COMPARE,
           (struct io_request){.op = IO_READ,
                               .file = thin->target,
                               .data = thin->output,
                               .size = size,
                               .offset = thin->compared});
}

static void piece_compared(struct ledger_thin *thin)
{
    uint64_t size = thin->request.size;
    (void)XXH3_64bits_update(thin->sum, thin->output, size);
    thin->compared += size;
    thin->thinning->step_bytes += size;
    if (thin->compared < thin->written) {
        end_step(thin);
        return;
    }
    if (XXH3_64bits_digest(thin->sum) != thin->written_sum) {
        fail(thin, STOA_EIO, "what was written reads otherwise");
        return;
    }
    submit(
        thin, THIN_RENAME,
        (struct io_request){.op = IO_RENAME, .path = thin->path_new, .path_to = thin->path_thin});
}

/* The new file has its name for good: it is what is read from now on. */
static void place(struct ledger_thin *thin)
{
    struct ledger *ledger = thin->ledger;
    const struct ledger_form form = {.thin = true, .size = thin->written};
    int result = ledger_files_replace(ledger, thin->number, &form);
    if (result != 0) { /* opening will find it */
        fail(thin, result, "read it where it is now");
        return;
    }
    thin->thinning->size_thinned = thin->written;
    if (thin->outline.thin) { /* the rename has taken its name away */
        clear_away(thin);
        return;
    }
    submit(thin, THIN_UNLINK, (struct io_request){.op = IO_UNLINK, .path = thin->path_segment});
}

/* ---- from step to step ---- */

static void create(struct ledger_thin *thin)
{
    if (thin->made_entries == NULL) {
        thin->made_entries = memory_alloc(thin->outline.count * sizeof(*thin->made_entries));
        thin->sum = XXH3_createState();
    }
    if (thin->made_entries == NULL || thin->sum == NULL) {
        fail(thin, STOA_ENOMEM, "no memory");
        return;
    }
    (void)XXH3_64bits_reset(thin->sum);
    thin->made = true;
    submit(thin, THIN_CREATE,
           (struct io_request){.op = IO_OPEN,
                               .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE |
                                        IO_OPEN_DIRECT,
                               .path = thin->path_new});
}

static const char *failed_at(enum thin_phase phase)
{
    switch (phase) {
    case THIN_OPEN:
    case THIN_LOAD:
        return "open it";
    case THIN_TRAILER:
    case THIN_INDEX:
    case THIN_READ:
        return "read it";
    case THIN_CREATE:
        return "make a file";
    case THIN_WRITE:
        return "write";
    case THIN_SYNC:
    case THIN_SYNC_FOLDER:
    case THIN_SYNC_AGAIN:
        return "flush";
    case THIN_COMPARE:
        return "read what was written";
    case THIN_RENAME:
        return "rename";
    case THIN_UNLINK:
        return "remove what it was";
    case THIN_CLOSE_OLD:
    case THIN_CLOSE_NEW:
    case THIN_REMOVE:
    case THIN_ENDED:
        break;
    }
    return "clear away";
}

/* PHASE has ended well. */
static void go_on(struct ledger_thin *thin)
{
    const struct io_request sync = {.op = IO_SYNC_DIR, .path = thin->ledger->path};
    switch (thin->phase) {
    case THIN_OPEN:
        source_opened(thin);
        break;
    case THIN_TRAILER:
        trailer_read(thin);
        break;
    case THIN_INDEX:
        index_read(thin);
        break;
    case THIN_CREATE:
        thin->target = (int)thin->request.result;
        read_piece(thin);
        break;
    case THIN_READ:
        piece_read(thin);
        break;
    case THIN_WRITE:
        piece_written(thin);
        break;
    case THIN_SYNC:
        thin->phase = THIN_COMPARE;
        end_step(thin);
        break;
    case THIN_COMPARE:
        piece_compared(thin);
        break;
    case THIN_RENAME:
        thin->placed = true;
        submit(thin, THIN_SYNC_FOLDER, sync);
        break;
    case THIN_SYNC_FOLDER:
        place(thin);
        break;
    case THIN_UNLINK:
        submit(thin, THIN_SYNC_AGAIN, sync);
        break;
    case THIN_LOAD:
    case THIN_SYNC_AGAIN:
    case THIN_CLOSE_OLD:
    case THIN_CLOSE_NEW:
    case THIN_REMOVE:
    case THIN_ENDED:
        clear_away(thin);
        break;
    }
}

static bool is_of_source(enum thin_phase phase)
{
    return phase == THIN_TRAILER || phase == THIN_INDEX || phase == THIN_READ;
}

static void advance(struct io_request *request)
{
    struct ledger_thin *thin = request->context;
    bool clearing = thin->phase >= THIN_CLOSE_OLD;
    bool read_short =
        request->op == IO_READ && request->result >= 0 && (uint64_t)request->result < request->size;
    if (clearing) {
        clear_away(thin); /* what could not be removed is removed at open */
    } else if (request->result < 0 || read_short) {
        fail(thin, request->result < 0 ? (int)request->result : STOA_ECORRUPT,
             failed_at(thin->phase));
    } else if (thin->packed && is_of_source(thin->phase) && !unpack_input(thin)) {
        fail(thin, STOA_ECORRUPT, "packed frames of it are damaged");
    } else {
        go_on(thin);
    }
}

/* ---- for the owner ---- */

bool ledger_can_thin(const struct ledger *ledger, uint32_t number)
{
    return number >= 1 && (uint64_t)number + 1 < ledger->segment.number && !ledger->closing;
}

static char *named(const struct ledger *ledger, uint32_t number, bool thin, bool finished)
{
    char name[SEGMENT_NAME_SIZE];
    if (thin) {
        thin_name(number, finished, name);
    } else {
        segment_name(number, finished, name);
    }
    return ledger_path(ledger, name);
}

int ledger_thin_start(struct ledger *ledger, struct ledger_thinning *thinning)
{
    const struct ledger_file *file = ledger_files_get(ledger, thinning->number);
    ensure(ledger_can_thin(ledger, thinning->number));
    if (ledger->thin != NULL || ledger->pack != NULL) {
        return STOA_EBUSY;
    }
    struct ledger_thin *thin = memory_alloc_zeroed(1, sizeof(*thin));
    if (thin == NULL) {
        return STOA_ENOMEM;
    }
    thin->ledger = ledger;
    thin->thinning = thinning;
    thin->number = thinning->number;
    thin->source = -1;
    thin->target = -1;
    thin->source_size = file->disk_size;
    thin->packed = file->packed;
    buffer_init(&thin->payload);
    int result = ledger_outline_init(&thin->outline, file);
    if (result == 0 && thin->packed) {
        result = arc_unpacker_create(&thin->unpacker);
    }
    thin->path_source = ledger_form_path(file);
    thin->path_segment = named(ledger, thin->number, false, true);
    thin->path_new = named(ledger, thin->number, true, false);
    thin->path_thin = named(ledger, thin->number, true, true);
    if (result < 0 || thin->path_source == NULL || thin->path_segment == NULL ||
        thin->path_new == NULL || thin->path_thin == NULL) {
        free_thin(thin);
        return STOA_ENOMEM;
    }
    thinning->ledger = ledger;
    thinning->gain_bytes = 0;
    thinning->size_expected = 0;
    thinning->gain_frames = 0;
    thinning->packed = false;
    thinning->size_needed = 0;
    thinning->ended = false;
    thinning->result = 0;
    thinning->step_bytes = 0;
    thinning->bytes_read = 0;
    thinning->size_thinned = 0;
    thinning->detail = (struct error_detail){.code = 0};
    ledger->thin = thin;
    submit(thin, THIN_OPEN,
           (struct io_request){.op = IO_OPEN, .flags = IO_OPEN_DIRECT, .path = thin->path_source});
    return 0;
}

void ledger_thin_step(struct ledger_thinning *thinning)
{
    struct ledger_thin *thin = thinning->ledger->thin;
    ensure(thin != NULL && thin->thinning == thinning && !thin->request.pending && !thin->loading);
    thinning->step_bytes = 0;
    if (thin->phase == THIN_CREATE) {
        create(thin);
    } else if (thin->phase == THIN_READ) {
        read_piece(thin);
    } else {
        ensure(thin->phase == THIN_COMPARE);
        compare_next(thin);
    }
}

void ledger_thin_stop(struct ledger_thinning *thinning)
{
    struct ledger *ledger = thinning->ledger;
    if (ledger == NULL) {
        return; /* it has ended */
    }
    ensure(ledger->thin != NULL && ledger->thin->thinning == thinning);
    thinning->ledger = NULL;
    ledger->thin->thinning = NULL;
    if (!ledger_thin_is_busy(ledger)) {
        clear_away(ledger->thin);
    }
}

bool ledger_thin_is_busy(const struct ledger *ledger)
{
    return ledger->thin != NULL && (ledger->thin->request.pending || ledger->thin->loading);
}

void ledger_thin_deinit(struct ledger *ledger)
{
    if (ledger->thin != NULL) {
        free_thin(ledger->thin);
        ledger->thin = NULL;
    }
}
