/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packing a segment (arc.h), or unpacking one, a step at a time, on the loop; what burns the
 * processor (training, compressing) is left to whoever drives it, who has a worker do it.
 *
 *      look      trailer and index of what is there, or of a packed one what opening it reads
 *      sample    pieces of it are read, and a dictionary is trained by them
 *      copy      a stretch is read, its frames are checked, packed, unpacked again, compared and
 *                written; bytes between them must be zero
 *      finish    the index is written, and all that is there twice; all of it is flushed
 *      compare   what the device has is read again, against a sum of what was written, and opened
 *      place     renamed to its name, the folder flushed; from then on reads go there; what was
 *                there is unlinked, its folder flushed
 *
 * Until the rename nothing has changed, and the unfinished file is all there is to clear away;
 * after it both files say the same, and opening takes the packed one. What thinning left of a
 * packed segment (ledger_thin.c) is packed in the same way, and the rename puts it over what was
 * packed: at any instant there is the one or the other under that name. What is read here is opened
 * here by itself, as ledger_thin.c does, and damage in it ends it. */
#include <string.h>
#include <xxhash.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_pack_private.h"

static void advance(struct io_request *request);

static void free_pack(struct ledger_pack *pack)
{
    ledger_outline_deinit(&pack->outline);
    pack_work_deinit(pack);
    arc_load_drop(&pack->load);
    arc_map_destroy(pack->map);
    memory_free(pack->input);
    memory_free(pack->output);
    memory_free(pack->block);
    (void)XXH3_freeState(pack->sum);
    memory_free(pack->path_source);
    memory_free(pack->path_new);
    memory_free(pack->path_made);
    memory_free(pack->parent);
    memory_free(pack);
}

static void submit(struct ledger_pack *pack, enum pack_phase phase, struct io_request request)
{
    pack->phase = phase;
    request.done = advance;
    request.context = pack;
    pack->request = request;
    io_submit(pack->ledger->io, &pack->request);
}

/* ---- ends ---- */

/* The next thing to be cleared away; what was asked for has its result. */
static void clear_away(struct ledger_pack *pack)
{
    struct ledger_packing *packing = pack->packing;
    if (pack->source >= 0) {
        int file = pack->source;
        pack->source = -1;
        submit(pack, PACK_CLOSE_OLD, (struct io_request){.op = IO_CLOSE, .file = file});
    } else if (pack->target >= 0) {
        int file = pack->target;
        pack->target = -1;
        submit(pack, PACK_CLOSE_NEW, (struct io_request){.op = IO_CLOSE, .file = file});
    } else if (pack->made && !pack->placed) {
        pack->made = false;
        submit(pack, PACK_REMOVE, (struct io_request){.op = IO_UNLINK, .path = pack->path_new});
    } else if (pack->thinned) {
        pack->thinned = false;
        submit(pack, PACK_REMOVE, (struct io_request){.op = IO_UNLINK, .path = pack->path_source});
    } else {
        pack->phase = PACK_ENDED;
        pack->ledger->pack = NULL;
        free_pack(pack);
        if (packing != NULL) {
            packing->ended = true;
            packing->ledger = NULL;
            packing->done(packing);
        }
    }
}

static void fail(struct ledger_pack *pack, int result, int os_error, const char *what)
{
    struct ledger_packing *packing = pack->packing;
    const char *verb = pack->unpacking ? "unpack" : "pack";
    if (packing != NULL && packing->result == 0) {
        packing->result = result;
        if (os_error != 0) {
            error_set_errno(&packing->detail, os_error, "%s segment %08u: %s", verb, pack->number,
                            what);
        } else {
            error_set(&packing->detail, result, "%s segment %08u: %s: %s", verb, pack->number, what,
                      stoa_strerror(result));
        }
    }
    clear_away(pack);
}

static void end_step(struct ledger_pack *pack)
{
    if (pack->packing == NULL) {
        clear_away(pack); /* it was given up meanwhile */
    } else {
        pack->packing->done(pack->packing);
    }
}

static void end_step_for_work(struct ledger_pack *pack, enum pack_phase phase)
{
    pack->phase = phase;
    if (pack->packing != NULL) {
        pack->packing->wants_work = true;
    }
    end_step(pack);
}

/* ---- look ---- */

static void read_source(struct ledger_pack *pack, enum pack_phase phase, uint64_t offset,
                        uint64_t size)
{
    uint64_t start = offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
    uint64_t end = segment_align(offset + size);
    if (!pack_reserve(&pack->input, &pack->input_capacity, 0, end - start)) {
        fail(pack, STOA_ENOMEM, 0, "read it");
        return;
    }
    pack->input_offset = start;
    submit(pack, phase,
           (struct io_request){.op = IO_READ,
                               .file = pack->source,
                               .data = pack->input,
                               .size = end - start,
                               .offset = start});
}

static void look(struct ledger_pack *pack)
{
    struct ledger_packing *packing = pack->packing;
    if (packing == NULL) {
        clear_away(pack);
        return;
    }
    const struct arc_header *header = &pack->header;
    packing->lowest = header->lowest;
    packing->highest = header->highest;
    packing->block_count = header->block_count;
    packing->size = pack->source_size;
    packing->size_expected = pack->unpacking
                                 ? header->segment_size
                                 : pack->source_size + 2 * (uint64_t)ARC_DICTIONARY_MAX +
                                       2 * arc_index_size(pack->group_count);
    pack->phase = PACK_FOLDER;
    end_step(pack);
}

static void index_read(struct ledger_pack *pack)
{
    struct ledger_outline *outline = &pack->outline;
    if (!ledger_outline_take_index(
            outline, pack->input + (outline->trailer.index_offset - pack->input_offset))) {
        fail(pack, STOA_ECORRUPT, 0, "its index is damaged");
    } else if (ledger_outline_is_damaged(outline)) {
        fail(pack, STOA_ECORRUPT, 0, "frames of it are damaged");
    } else if (!pack_make_groups(pack)) {
        fail(pack, STOA_ENOMEM, 0, "no memory");
    } else {
        look(pack);
    }
}

static void trailer_read(struct ledger_pack *pack)
{
    const struct thin_trailer *trailer = &pack->outline.trailer;
    if (!ledger_outline_take_trailer(&pack->outline, pack->input)) {
        fail(pack, STOA_ECORRUPT, 0, "its trailer is damaged");
        return;
    }
    read_source(pack, PACK_INDEX, trailer->index_offset, trailer->index_size);
}

static void start_load(struct ledger_pack *pack, enum pack_phase phase, int file, uint64_t size);

static void source_opened(struct ledger_pack *pack)
{
    pack->source = (int)pack->request.result;
    if (pack->unpacking) {
        start_load(pack, PACK_LOAD, pack->source, pack->source_size);
    } else {
        read_source(pack, PACK_TRAILER, pack->source_size - SEGMENT_BLOCK, SEGMENT_BLOCK);
    }
}

/* ---- what opening a packed file reads ---- */

static void place_begin(struct ledger_pack *pack);

static void loaded(struct arc_load *load)
{
    struct ledger_pack *pack = load->context;
    pack->loading = false;
    if (load->result != 0) {
        fail(pack, load->result, load->os_error, load->what);
        return;
    }
    if (pack->phase == PACK_CHECK) { /* it can be opened: that is all that was asked */
        arc_load_drop(load);
        place_begin(pack);
        return;
    }
    pack->map = load->map;
    load->map = NULL;
    pack->header = pack->map->header;
    pack->group_count = pack->header.group_count;
    look(pack);
}

static void start_load(struct ledger_pack *pack, enum pack_phase phase, int file, uint64_t size)
{
    pack->phase = phase;
    pack->loading = true;
    pack->load = (struct arc_load){
        .io = pack->ledger->io,
        .file = file,
        .number = pack->number,
        .file_size = size,
        .store_id = pack->ledger->store_id,
        .done = loaded,
        .context = pack,
    };
    arc_load_start(&pack->load);
}

/* ---- make a file ---- */

static void create(struct ledger_pack *pack)
{
    pack->made = true;
    submit(pack, PACK_CREATE,
           (struct io_request){.op = IO_OPEN,
                               .flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE |
                                        IO_OPEN_DIRECT,
                               .path = pack->path_new});
}

/* The folder of packed segments is there, for good. */
static void make_folder(struct ledger_pack *pack)
{
    if (pack->unpacking) {
        create(pack);
        return;
    }
    submit(pack, PACK_FOLDER, (struct io_request){.op = IO_MKDIR, .path = pack->ledger->archive});
}

static void created(struct ledger_pack *pack)
{
    pack->target = (int)pack->request.result;
    pack->phase = pack->unpacking ? PACK_UNPACK : PACK_SAMPLE;
    end_step(pack);
}

/* ---- sample ---- */

static void sample_next(struct ledger_pack *pack)
{
    uint64_t offset;
    uint64_t size;
    if (!pack_next_sample(pack, &offset, &size)) {
        end_step_for_work(pack, PACK_TRAIN);
        return;
    }
    read_source(pack, PACK_SAMPLE, offset, size);
}

static void sample_read(struct ledger_pack *pack)
{
    uint64_t size = pack->request.size;
    if (pack->packing != NULL) {
        pack->packing->step_bytes += size;
    }
    pack_take_sample(pack, bytes_of(pack->input, size));
    end_step(pack);
}

/* ---- copy ---- */

static void read_piece(struct ledger_pack *pack)
{
    uint64_t end;
    pack_next_piece(pack, &end);
    read_source(pack, PACK_READ, pack->position, end - pack->position);
}

static void write_output(struct ledger_pack *pack)
{
    uint64_t size = pack->output_size & ~(uint64_t)(SEGMENT_BLOCK - 1);
    if (size == 0) {
        pack->phase = pack->unpacking ? PACK_UNPACK : PACK_READ;
        end_step(pack);
        return;
    }
    (void)XXH3_64bits_update(pack->sum, pack->output, size); /* it cannot fail of a sound state */
    submit(pack, PACK_WRITE,
           (struct io_request){.op = IO_WRITE,
                               .file = pack->target,
                               .data = pack->output,
                               .size = size,
                               .offset = pack->written});
}

/* The work on a piece, or on the dictionary, has ended. */
static void worked(struct ledger_pack *pack)
{
    if (pack->work_result != 0) {
        fail(pack, pack->work_result, 0, pack->work_what);
        return;
    }
    write_output(pack);
}

static void sync_target(struct ledger_pack *pack)
{
    pack->written_sum = XXH3_64bits_digest(pack->sum);
    (void)XXH3_64bits_reset(pack->sum); /* likewise */
    submit(pack, PACK_SYNC, (struct io_request){.op = IO_SYNC, .file = pack->target});
}

static void piece_written(struct ledger_pack *pack)
{
    uint64_t size = pack->request.size;
    pack->written += size;
    pack->output_size -= size;
    memmove(pack->output, pack->output + size, pack->output_size);
    if (pack->packing != NULL) {
        pack->packing->step_bytes += size;
    }
    if (!pack->is_last_step) {
        pack->phase = pack->unpacking ? PACK_UNPACK : PACK_READ;
        end_step(pack);
    } else if (pack->unpacking) {
        ensure(pack->output_size == 0);
        sync_target(pack);
    } else { /* its first block was left out so far */
        ensure(pack->output_size == 0);
        ensure(pack->written == pack->header.file_size);
        submit(
            pack, PACK_HEAD,
            (struct io_request){
                .op = IO_WRITE, .file = pack->target, .data = pack->block, .size = SEGMENT_BLOCK});
    }
}

/* ---- unpack ---- */

static void unpack_next(struct ledger_pack *pack)
{
    const struct arc_map *map = pack->map;
    uint32_t end = pack->next;
    uint64_t size = 0;
    if (pack->next == map->header.group_count || pack_is_gap(pack)) {
        int result = pack_fill_gap(pack);
        if (result != 0) {
            fail(pack, result, 0, "no memory");
            return;
        }
        write_output(pack);
        return;
    }
    while (end < map->header.group_count &&
           (end == pack->next || size + map->groups[end].at_size <= PACK_UNPACK_SIZE)) {
        size += map->groups[end++].at_size;
    }
    pack->piece_end = end;
    const struct arc_group *first = &map->groups[pack->next];
    const struct arc_group *last = &map->groups[end - 1];
    read_source(pack, PACK_READ, first->offset,
                (uint64_t)last->offset + last->size - first->offset);
}

static void packed_read(struct ledger_pack *pack)
{
    int result = pack_unpack_piece(pack);
    if (result != 0) {
        fail(pack, result, 0, result == STOA_ECORRUPT ? "frames of it are damaged" : "unpack it");
        return;
    }
    write_output(pack);
}

static void piece_read(struct ledger_pack *pack)
{
    if (pack->packing != NULL) {
        pack->packing->step_bytes += pack->request.size;
    }
    if (pack->unpacking) {
        packed_read(pack);
    } else {
        end_step_for_work(pack, PACK_COMPRESS);
    }
}

/* ---- compare, place ---- */

static void compare_next(struct ledger_pack *pack)
{
    uint64_t left = pack->written - pack->compared;
    uint64_t size = left < PACK_COMPARE_SIZE ? left : PACK_COMPARE_SIZE;
    if (!pack_reserve(&pack->output, &pack->output_capacity, 0, size)) {
        fail(pack, STOA_ENOMEM, 0, "compare it");
        return;
    }
    submit(pack, PACK_COMPARE,
           (struct io_request){.op = IO_READ,
                               .file = pack->target,
                               .data = pack->output,
                               .size = size,
                               .offset = pack->compared});
}

static void piece_compared(struct ledger_pack *pack)
{
    uint64_t size = pack->request.size;
    uint64_t skip = !pack->unpacking && pack->compared == 0 ? SEGMENT_BLOCK : 0;
    bool same = skip == 0 || memcmp(pack->output, pack->block, SEGMENT_BLOCK) == 0;
    (void)XXH3_64bits_update(pack->sum, pack->output + skip, size - skip); /* likewise */
    pack->compared += size;
    if (pack->packing != NULL) {
        pack->packing->step_bytes += size;
    }
    if (same && pack->compared < pack->written) {
        end_step(pack);
    } else if (!same || XXH3_64bits_digest(pack->sum) != pack->written_sum) {
        fail(pack, STOA_EIO, 0, "what was written reads otherwise");
    } else if (pack->unpacking) {
        place_begin(pack);
    } else {
        start_load(pack, PACK_CHECK, pack->target, pack->written);
    }
}

static void place_begin(struct ledger_pack *pack)
{
    if (pack->packing == NULL) {
        clear_away(pack);
        return;
    }
    submit(
        pack, PACK_RENAME,
        (struct io_request){.op = IO_RENAME, .path = pack->path_new, .path_to = pack->path_made});
}

/* The new file has its name for good: it is what is read from now on. */
static void place(struct ledger_pack *pack)
{
    const struct ledger_form form = {
        .thin = pack->header.thin, .packed = !pack->unpacking, .size = pack->written};
    int result = ledger_files_replace(pack->ledger, pack->number, &form);
    if (result != 0) { /* opening will find it */
        fail(pack, result, 0, "read it where it is now");
        return;
    }
    if (form.packed) { /* as opening it would tell */
        ledger_files_get(pack->ledger, pack->number)->size = pack->header.segment_size;
    }
    if (pack->packing != NULL) {
        pack->packing->size_made = pack->written;
    }
    if (pack->thinned) { /* the rename has taken away what it was */
        clear_away(pack);
        return;
    }
    submit(pack, PACK_UNLINK, (struct io_request){.op = IO_UNLINK, .path = pack->path_source});
}

/* ---- from step to step ---- */

static const char *failed_at(enum pack_phase phase)
{
    static const char *const texts[] = {
        [PACK_OPEN] = "open it",
        [PACK_TRAILER] = "read it",
        [PACK_INDEX] = "read it",
        [PACK_FOLDER] = "make the folder of packed segments",
        [PACK_SYNC_PARENT] = "flush",
        [PACK_CREATE] = "make a file",
        [PACK_SAMPLE] = "read it",
        [PACK_READ] = "read it",
        [PACK_WRITE] = "write",
        [PACK_HEAD] = "write",
        [PACK_SYNC] = "flush",
        [PACK_COMPARE] = "read what was written",
        [PACK_RENAME] = "rename",
        [PACK_SYNC_MADE] = "flush",
        [PACK_UNLINK] = "remove what it was",
        [PACK_SYNC_SOURCE] = "flush",
    };
    return texts[phase];
}

static void sync_folder(struct ledger_pack *pack, enum pack_phase phase, bool archive)
{
    const struct ledger *ledger = pack->ledger;
    submit(
        pack, phase,
        (struct io_request){.op = IO_SYNC_DIR, .path = archive ? ledger->archive : ledger->path});
}

/* PHASE has ended well. */
static void go_on(struct ledger_pack *pack)
{
    switch (pack->phase) {
    case PACK_OPEN:
        source_opened(pack);
        break;
    case PACK_TRAILER:
        trailer_read(pack);
        break;
    case PACK_INDEX:
        index_read(pack);
        break;
    case PACK_FOLDER:
        submit(pack, PACK_SYNC_PARENT,
               (struct io_request){.op = IO_SYNC_DIR, .path = pack->parent});
        break;
    case PACK_SYNC_PARENT:
        create(pack);
        break;
    case PACK_CREATE:
        created(pack);
        break;
    case PACK_SAMPLE:
        sample_read(pack);
        break;
    case PACK_READ:
        piece_read(pack);
        break;
    case PACK_WRITE:
        piece_written(pack);
        break;
    case PACK_HEAD:
        sync_target(pack);
        break;
    case PACK_SYNC:
        pack->phase = PACK_COMPARE;
        end_step(pack);
        break;
    case PACK_COMPARE:
        piece_compared(pack);
        break;
    case PACK_RENAME:
        pack->placed = true;
        sync_folder(pack, PACK_SYNC_MADE, !pack->unpacking);
        break;
    case PACK_SYNC_MADE:
        place(pack);
        break;
    case PACK_UNLINK:
        sync_folder(pack, PACK_SYNC_SOURCE, pack->unpacking);
        break;
    case PACK_LOAD:
    case PACK_CHECK:
    case PACK_TRAIN:
    case PACK_COMPRESS:
    case PACK_UNPACK:
    case PACK_SYNC_SOURCE:
    case PACK_CLOSE_OLD:
    case PACK_CLOSE_NEW:
    case PACK_REMOVE:
    case PACK_ENDED:
        clear_away(pack);
        break;
    }
}

static void advance(struct io_request *request)
{
    struct ledger_pack *pack = request->context;
    bool clearing = pack->phase >= PACK_CLOSE_OLD;
    bool there = pack->phase == PACK_FOLDER && request->result == STOA_EEXISTS;
    bool read_short =
        request->op == IO_READ && request->result >= 0 && (uint64_t)request->result < request->size;
    if (clearing) {
        clear_away(pack); /* what could not be removed is removed at open */
    } else if (read_short) {
        fail(pack, STOA_ECORRUPT, 0, "the file ends before");
    } else if (request->result < 0 && !there) {
        fail(pack, (int)request->result, request->os_error, failed_at(pack->phase));
    } else {
        go_on(pack);
    }
}

/* ---- for the owner ---- */

bool ledger_is_packed(const struct ledger *ledger, uint32_t number)
{
    return number >= 1 && number <= ledger->file_count && ledger->files[number - 1]->packed;
}

/* Everything before the last part of PATH; to be freed. */
static char *parent_of(const char *path)
{
    char *parent = memory_copy_text(path);
    char *last = parent != NULL ? strrchr(parent, '/') : NULL;
    if (last != NULL) {
        last[last == parent ? 1 : 0] = '\0';
    }
    return parent;
}

static bool name_files(struct ledger_pack *pack, const struct ledger_file *file)
{
    const struct ledger *ledger = pack->ledger;
    char made[SEGMENT_NAME_SIZE];
    char unfinished[SEGMENT_NAME_SIZE];
    arc_name(pack->number, true, made);
    arc_name(pack->number, false, unfinished);
    pack->path_source = ledger_form_path(file);
    if (pack->thinned) {
        char thin[SEGMENT_NAME_SIZE];
        thin_name(pack->number, false, thin);
        memory_free(pack->path_source);
        pack->path_source = ledger_path(ledger, thin);
    }
    pack->path_made = ledger_archive_path(ledger, made);
    pack->path_new = ledger_archive_path(ledger, unfinished);
    pack->parent = parent_of(ledger->archive);
    pack->block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    pack->sum = XXH3_createState();
    if (pack->path_source == NULL || pack->path_made == NULL || pack->path_new == NULL ||
        pack->parent == NULL || pack->block == NULL || pack->sum == NULL) {
        return false;
    }
    (void)XXH3_64bits_reset(pack->sum); /* likewise */
    return true;
}

/* Of an unpacked one the name is known only now. */
static bool name_unpacked(struct ledger_pack *pack)
{
    char made[SEGMENT_NAME_SIZE];
    char unfinished[SEGMENT_NAME_SIZE];
    if (pack->header.thin) {
        thin_name(pack->number, true, made);
        thin_name(pack->number, false, unfinished);
    } else {
        segment_name(pack->number, true, made);
        segment_name(pack->number, false, unfinished);
    }
    memory_free(pack->path_made);
    memory_free(pack->path_new);
    pack->path_made = ledger_path(pack->ledger, made);
    pack->path_new = ledger_path(pack->ledger, unfinished);
    return pack->path_made != NULL && pack->path_new != NULL;
}

int ledger_pack_start(struct ledger *ledger, struct ledger_packing *packing)
{
    const struct ledger_file *file = ledger_files_get(ledger, packing->number);
    bool thinned = packing->thinned_size != 0;
    ensure(file != NULL && ledger->archive != NULL && !(packing->unpack && thinned));
    ensure(file->packed == (packing->unpack || thinned));
    ensure(packing->unpack || ledger_can_thin(ledger, packing->number));
    if (ledger->pack != NULL || ledger->thin != NULL) {
        return STOA_EBUSY;
    }
    struct ledger_pack *pack = memory_alloc_zeroed(1, sizeof(*pack));
    if (pack == NULL) {
        return STOA_ENOMEM;
    }
    pack->ledger = ledger;
    pack->packing = packing;
    pack->number = packing->number;
    pack->unpacking = packing->unpack;
    pack->source = -1;
    pack->target = -1;
    pack->thinned = thinned;
    pack->source_size = thinned ? packing->thinned_size : file->disk_size;
    pack->written = pack->unpacking ? 0 : SEGMENT_BLOCK; /* the header comes last */
    if (!name_files(pack, file) || ledger_outline_init(&pack->outline, file) < 0 ||
        arc_unpacker_create(&pack->unpacker) < 0) {
        free_pack(pack);
        return STOA_ENOMEM;
    }
    if (thinned) {
        pack->outline.thin = true;
        pack->outline.size = pack->source_size;
    }
    packing->ledger = ledger;
    packing->wants_work = false;
    packing->ended = false;
    packing->result = 0;
    packing->step_bytes = 0;
    packing->size_made = 0;
    packing->block_count = 0;
    packing->detail = (struct error_detail){.code = 0};
    ledger->pack = pack;
    submit(pack, PACK_OPEN,
           (struct io_request){.op = IO_OPEN, .flags = IO_OPEN_DIRECT, .path = pack->path_source});
    return 0;
}

void ledger_pack_step(struct ledger_packing *packing)
{
    struct ledger_pack *pack = packing->ledger->pack;
    ensure(pack != NULL && pack->packing == packing && !pack->request.pending && !pack->loading);
    packing->step_bytes = 0;
    packing->wants_work = false;
    if (pack->phase == PACK_FOLDER) {
        if (pack->unpacking && !name_unpacked(pack)) {
            fail(pack, STOA_ENOMEM, 0, "no memory");
        } else {
            make_folder(pack);
        }
    } else if (pack->phase == PACK_SAMPLE) {
        sample_next(pack);
    } else if (pack->phase == PACK_TRAIN || pack->phase == PACK_COMPRESS) {
        worked(pack);
    } else if (pack->phase == PACK_READ) {
        read_piece(pack);
    } else if (pack->phase == PACK_UNPACK) {
        unpack_next(pack);
    } else {
        ensure(pack->phase == PACK_COMPARE);
        compare_next(pack);
    }
}

void ledger_pack_work(struct ledger_packing *packing)
{
    struct ledger_pack *pack = packing->ledger->pack;
    ensure(packing->wants_work);
    if (pack->phase == PACK_TRAIN) {
        pack_work_train(pack);
    } else {
        ensure(pack->phase == PACK_COMPRESS);
        pack_work_compress(pack);
    }
}

void ledger_pack_stop(struct ledger_packing *packing)
{
    struct ledger *ledger = packing->ledger;
    if (ledger == NULL) {
        return; /* it has ended */
    }
    ensure(ledger->pack != NULL && ledger->pack->packing == packing);
    packing->ledger = NULL;
    ledger->pack->packing = NULL;
    if (!ledger_pack_is_busy(ledger)) {
        clear_away(ledger->pack);
    }
}

bool ledger_pack_is_busy(const struct ledger *ledger)
{
    return ledger->pack != NULL && (ledger->pack->request.pending || ledger->pack->loading);
}

void ledger_pack_deinit(struct ledger *ledger)
{
    if (ledger->pack != NULL) {
        free_pack(ledger->pack);
        ledger->pack = NULL;
    }
}

static void note_step(struct ledger_packing *packing)
{
    bool *stepped = packing->context;
    *stepped = true;
}

int ledger_unpack(struct ledger *ledger, uint32_t number, struct error_detail *detail)
{
    bool stepped = false;
    struct ledger_packing packing = {
        .number = number, .unpack = true, .done = note_step, .context = &stepped};
    if (!ledger_is_packed(ledger, number)) {
        return 0;
    }
    int result = ledger_pack_start(ledger, &packing);
    if (result < 0) {
        return error_set(detail, result, "unpack segment %08u", number);
    }
    while (!packing.ended) {
        result = io_run(ledger->io, LEDGER_WAIT_NS);
        if (result < 0) {
            ledger_pack_stop(&packing);
            return error_set(detail, result, "unpack segment %08u: the loop has ended", number);
        }
        if (stepped && !packing.ended) {
            stepped = false;
            ledger_pack_step(&packing);
        }
    }
    if (packing.result != 0 && detail != NULL) {
        *detail = packing.detail;
    }
    return packing.result;
}
