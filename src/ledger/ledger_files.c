/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open segment files, and reads of single frames.
 *
 * The newest segments are opened when the ledger is, in the background: the first read of one would
 * wait for its open, and that for what the file system has to read. Others are opened when first
 * read, and the least recently used is closed when too many are open. A read that meets a closed
 * file waits in its list until it is open. */
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "ledger/ledger_private.h"

static void start_read(struct ledger_file *file, struct ledger_read *read);

enum { MOVES_MAX = 8 }; /* of a file that somebody else gives one form after the other */

/* ---- the table ---- */

int ledger_files_reserve(struct ledger *ledger, uint32_t number, struct ledger_file **out_file)
{
    ensure(number == ledger->file_count + 1);
    if (ledger->file_count == ledger->file_capacity) {
        uint32_t capacity = ledger->file_capacity == 0 ? 64 : 2 * ledger->file_capacity;
        struct ledger_file **files =
            memory_resize(ledger->files, capacity * sizeof(struct ledger_file *));
        if (files == NULL) {
            return STOA_ENOMEM;
        }
        ledger->files = files;
        ledger->file_capacity = capacity;
    }
    struct ledger_file *file = memory_alloc_zeroed(1, sizeof(*file));
    if (file == NULL) {
        return STOA_ENOMEM;
    }
    file->ledger = ledger;
    file->number = number;
    file->file = -1;
    *out_file = file;
    return 0;
}

void ledger_files_add(struct ledger *ledger, struct ledger_file *file)
{
    ensure(file->number == ledger->file_count + 1);
    ensure(ledger->file_count < ledger->file_capacity);
    ledger->files[ledger->file_count++] = file;
}

struct ledger_file *ledger_files_get(struct ledger *ledger, uint32_t number)
{
    return number >= 1 && number <= ledger->file_count ? ledger->files[number - 1] : NULL;
}

int ledger_files_reader(struct ledger *ledger, struct ledger_file *file, bool tolerant,
                        struct segment_reader *reader)
{
    ensure(file->state == LEDGER_FILE_OPEN);
    return file->packed ? segment_reader_init_packed(reader, ledger->io, file->file, file->arc,
                                                     ledger->unpacker, tolerant)
                        : segment_reader_init(reader, ledger->io, file->file, file->size, tolerant);
}

/* ---- opening and closing ---- */

static void fail_read_open(struct ledger_file *file, struct ledger_read *read)
{
    char name[SEGMENT_NAME_SIZE];
    ledger_form_name(file, name);
    if (file->open_result == STOA_ENOTFOUND) {
        read->result = error_set(&read->detail, STOA_ECORRUPT, "segment file %s is missing", name);
    } else if (file->open_os_error != 0) {
        read->result = error_set_errno(&read->detail, file->open_os_error, "open %s", name);
    } else if (file->open_result == STOA_ECORRUPT) {
        read->result = error_set(&read->detail, STOA_ECORRUPT, "%s: %s", name, file->open_what);
    } else {
        read->result = error_set(&read->detail, file->open_result, "open %s: %s", name,
                                 stoa_strerror(file->open_result));
    }
}

/* Go on with the reads that waited for FILE to open, or fail them. */
static void end_waiting(struct ledger_file *file)
{
    struct ledger_read *read = file->waiting;
    file->waiting = NULL;
    while (read != NULL) {
        struct ledger_read *next = read->next;
        if (file->state == LEDGER_FILE_OPEN) {
            start_read(file, read);
        } else {
            fail_read_open(file, read);
            ledger_files_end_read(read);
        }
        read = next;
    }
}

static int open_file(struct ledger_file *file, bool write);

static void free_file(struct ledger_file *file)
{
    arc_load_drop(&file->load);
    arc_map_destroy(file->arc);
    memory_free(file->path);
    memory_free(file->block);
    memory_free(file);
}

/* A file whose place another has taken, and that nobody has open or uses, goes. */
static void forget_retired(struct ledger_file *file)
{
    struct ledger_file **at = &file->ledger->retired;
    ensure(file->state == LEDGER_FILE_CLOSED && file->waiting == NULL);
    while (*at != file) {
        ensure(*at != NULL);
        at = &(*at)->retired_next;
    }
    *at = file->retired_next;
    free_file(file);
}

static void close_done(struct io_request *request)
{
    struct ledger_file *file = request->context;
    file->state = LEDGER_FILE_CLOSED;
    file->file = -1;
    arc_map_destroy(file->arc);
    file->arc = NULL;
    if (file->retired && file->users == 0) {
        forget_retired(file);
        return;
    }
    if (file->waiting != NULL) { /* it was wanted again meanwhile */
        int result = open_file(file, false);
        if (result < 0) {
            file->open_result = result;
            end_waiting(file);
        }
    }
}

static void close_file(struct ledger_file *file)
{
    ensure(file->state == LEDGER_FILE_OPEN);
    file->state = LEDGER_FILE_CLOSING;
    file->ledger->open_count--;
    file->request = (struct io_request){
        .op = IO_CLOSE, .file = file->file, .done = close_done, .context = file};
    io_submit(file->ledger->io, &file->request);
}

static void close_oldest(struct ledger *ledger)
{
    struct ledger_file *oldest = NULL;
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        struct ledger_file *file = ledger->files[i];
        if (file->state == LEDGER_FILE_OPEN && file->users == 0 &&
            (oldest == NULL || file->used_at < oldest->used_at)) {
            oldest = file;
        }
    }
    if (oldest != NULL) {
        close_file(oldest);
    }
}

static void end_open(struct ledger_file *file)
{
    end_waiting(file);
    if (file->retired && file->users == 0 && file->state == LEDGER_FILE_OPEN) {
        close_file(file);
    }
}

/* Another may have taken FILE's name since its size was seen: one that is thinned once more, or
 * packed without what was pruned. */
static bool is_other(struct ledger_file *file)
{
    uint64_t size = file->disk_size;
    bool packed = file->packed;
    if (ledger_form_find(file) != 0 || (file->disk_size == size && file->packed == packed)) {
        return false;
    }
    if (!file->retired) {
        file->ledger->stats.segment_bytes += file->disk_size;
        file->ledger->stats.segment_bytes -= size;
    }
    return true;
}

/* What is needed to find frames in a thinned segment. Where it is damaged the file is open all the
 * same: only single frames cannot be found in it. */
static void trailer_done(struct io_request *request)
{
    struct ledger_file *file = request->context;
    file->has_trailer = request->result == SEGMENT_BLOCK &&
                        thin_decode_trailer(file->block, file->number, file->size,
                                            file->ledger->store_id, &file->trailer);
    memory_free(file->block);
    file->block = NULL;
    file->state = LEDGER_FILE_OPEN;
    if (!file->has_trailer && is_other(file)) {
        close_file(file); /* and it is opened again for whoever waits */
        return;
    }
    end_open(file);
}

static bool read_trailer(struct ledger_file *file)
{
    file->block = memory_alloc_aligned(SEGMENT_BLOCK, IO_ALIGNMENT);
    if (file->block == NULL) {
        return false;
    }
    file->request = (struct io_request){
        .op = IO_READ,
        .file = file->file,
        .data = file->block,
        .size = SEGMENT_BLOCK,
        .offset = file->size - SEGMENT_BLOCK,
        .done = trailer_done,
        .context = file,
    };
    io_submit(file->ledger->io, &file->request);
    return true;
}

/* What is needed to find frames in a packed segment, or why it cannot be had. */
static void arc_loaded(struct arc_load *load)
{
    struct ledger_file *file = load->context;
    if (load->result == 0) {
        file->arc = load->map;
        load->map = NULL;
        file->size = file->arc->header.segment_size;
        file->thin = file->arc->header.thin;
        file->state = LEDGER_FILE_OPEN;
        end_open(file);
        return;
    }
    file->open_result = load->result;
    file->open_os_error = load->os_error;
    file->open_what = load->what;
    file->state = LEDGER_FILE_OPEN;
    if (load->result == STOA_ECORRUPT && is_other(file)) {
        file->open_result = 0;
        close_file(file); /* likewise */
        return;
    }
    close_file(file);  /* it is not open for whoever waits */
    end_waiting(file); /* nor for who asks again meanwhile, until it is closed */
}

static void load_arc(struct ledger_file *file)
{
    file->load = (struct arc_load){
        .io = file->ledger->io,
        .file = file->file,
        .number = file->number,
        .file_size = file->disk_size,
        .store_id = file->ledger->store_id,
        .done = arc_loaded,
        .context = file,
    };
    arc_load_start(&file->load);
}

/* Whoever writes the ledger may have given the segment another form since it was listed. */
static bool find_moved(struct ledger_file *file)
{
    return (file->ledger->foreign || file->retired) && ledger_form_find(file) == 0;
}

static void open_done(struct io_request *request)
{
    struct ledger_file *file = request->context;
    memory_free(file->path);
    file->path = NULL;
    file->open_result = request->result < 0 ? (int)request->result : 0;
    file->open_os_error = request->os_error;
    if (request->result < 0) {
        file->ledger->open_count--;
        file->state = LEDGER_FILE_CLOSED;
        if (request->result == STOA_ENOTFOUND && file->moves < MOVES_MAX && find_moved(file)) {
            file->moves++;
            if (open_file(file, false) == 0) {
                return;
            }
        }
        end_open(file);
        return;
    }
    file->file = (int)request->result;
    file->moves = 0;
    if (file->packed) {
        load_arc(file);
        return;
    }
    if (file->thin && read_trailer(file)) {
        return;
    }
    file->state = LEDGER_FILE_OPEN;
    end_open(file);
}

static int open_file(struct ledger_file *file, bool write)
{
    ensure(file->state == LEDGER_FILE_CLOSED);
    ensure(file->path == NULL);
    struct ledger *ledger = file->ledger;
    if (ledger->open_count >= LEDGER_FILES_OPEN_MAX) {
        close_oldest(ledger);
    }
    file->path = ledger_form_path(file);
    if (file->path == NULL ||
        (file->packed && ledger->unpacker == NULL && arc_unpacker_create(&ledger->unpacker) < 0)) {
        memory_free(file->path);
        file->path = NULL;
        return STOA_ENOMEM;
    }
    file->state = LEDGER_FILE_OPENING;
    ledger->open_count++;
    file->request = (struct io_request){
        .op = IO_OPEN,
        .flags = IO_OPEN_DIRECT | (write ? (unsigned)IO_OPEN_WRITE : 0),
        .path = file->path,
        .done = open_done,
        .context = file,
    };
    io_submit(ledger->io, &file->request);
    return 0;
}

int ledger_files_hold(struct ledger *ledger, struct ledger_file *file, bool write,
                      struct error_detail *detail)
{
    if (write && file->state == LEDGER_FILE_OPEN) { /* for reading, so far */
        ensure(file->users == 0);
        close_file(file);
    }
    file->users++;
    file->used_at = ++ledger->use_tick;
    int result = 0;
    while (file->state != LEDGER_FILE_OPEN) {
        if (file->state == LEDGER_FILE_CLOSED) {
            file->open_result = 0;
            result = open_file(file, write);
        }
        while (result >= 0 &&
               (file->state == LEDGER_FILE_OPENING || file->state == LEDGER_FILE_CLOSING)) {
            result = io_run(ledger->io, LEDGER_WAIT_NS);
        }
        if (result >= 0 && file->state == LEDGER_FILE_CLOSED) {
            result = file->open_result;
        }
        if (result < 0) {
            char name[SEGMENT_NAME_SIZE];
            ledger_form_name(file, name);
            file->users--;
            if (file->open_os_error != 0) {
                return error_set_errno(detail, file->open_os_error, "open %s/%s", ledger->path,
                                       name);
            }
            return error_set(detail, result, "open %s/%s: %s", ledger->path, name,
                             result == STOA_ECORRUPT && file->open_what != NULL
                                 ? file->open_what
                                 : stoa_strerror(result));
        }
    }
    return 0;
}

void ledger_files_drop(struct ledger_file *file)
{
    ensure(file->users > 0);
    file->users--;
    if (file->retired && file->users == 0 && file->state == LEDGER_FILE_OPEN) {
        close_file(file);
    } else if (file->retired && file->users == 0 && file->state == LEDGER_FILE_CLOSED) {
        forget_retired(file);
    }
}

int ledger_files_replace(struct ledger *ledger, uint32_t number, const struct ledger_form *form)
{
    struct ledger_file *old = ledger_files_get(ledger, number);
    struct ledger_file *file = memory_alloc_zeroed(1, sizeof(*file));
    ensure(old != NULL && number < ledger->segment.number);
    if (file == NULL) {
        return STOA_ENOMEM;
    }
    file->ledger = ledger;
    file->number = number;
    file->file = -1;
    ledger_form_set(file, form);
    ledger->stats.segment_bytes += file->disk_size;
    ledger->stats.segment_bytes -= old->disk_size;
    ledger->files[number - 1] = file;
    old->retired = true;
    old->retired_next = ledger->retired;
    ledger->retired = old;
    old->users++; /* as of somebody who leaves now */
    ledger_files_drop(old);
    return 0;
}

void ledger_files_open_ahead(struct ledger *ledger)
{
    unsigned count = 0;
    for (uint32_t i = ledger->file_count; i > 0 && count < LEDGER_FILES_OPEN_AHEAD; i--) {
        struct ledger_file *file = ledger->files[i - 1];
        if (file->state == LEDGER_FILE_CLOSED && open_file(file, false) < 0) {
            return; /* no memory: each is opened when it is read */
        }
        count++;
    }
}

bool ledger_files_are_opening(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        if (ledger->files[i]->state == LEDGER_FILE_OPENING) {
            return true;
        }
    }
    for (const struct ledger_file *file = ledger->retired; file != NULL;
         file = file->retired_next) {
        if (file->state == LEDGER_FILE_OPENING) {
            return true;
        }
    }
    return false;
}

static void wait_and_free(struct ledger *ledger, struct ledger_file *file, bool *running)
{
    while (*running && file->request.pending) {
        *running = io_run(ledger->io, LEDGER_WAIT_NS) >= 0;
    }
    free_file(file);
}

/* Nobody uses one any more: those that are open are being closed. */
static void free_retired(struct ledger *ledger, bool *running)
{
    while (*running && ledger->retired != NULL) {
        if (ledger->retired->state == LEDGER_FILE_OPEN && !ledger->retired->request.pending) {
            close_file(ledger->retired);
        }
        *running = io_run(ledger->io, LEDGER_WAIT_NS) >= 0;
    }
    while (ledger->retired != NULL) {
        struct ledger_file *file = ledger->retired;
        ledger->retired = file->retired_next;
        free_file(file);
    }
}

void ledger_files_deinit(struct ledger *ledger)
{
    bool running = true;
    while (running && ledger_files_are_opening(ledger)) {
        running = io_run(ledger->io, LEDGER_WAIT_NS) >= 0;
    }
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        if (ledger->files[i]->state == LEDGER_FILE_OPEN) {
            close_file(ledger->files[i]);
        }
    }
    for (uint32_t i = 0; i < ledger->file_count; i++) {
        wait_and_free(ledger, ledger->files[i], &running);
    }
    free_retired(ledger, &running);
    memory_free(ledger->files);
    ledger->files = NULL;
    ledger->file_count = 0;
}

/* ---- buffers ---- */

static size_t class_size(unsigned class)
{
    return (size_t)SEGMENT_BLOCK << class;
}

static struct ledger_block *pool_take(struct ledger_pool *pool, uint64_t size)
{
    unsigned class = 0;
    while (class_size(class) < size) {
        class ++;
    }
    ensure(class < LEDGER_POOL_CLASSES);
    struct ledger_block *block = pool->idle[class];
    if (block != NULL) {
        pool->idle[class] = block->next;
        pool->idle_bytes -= class_size(class);
    } else {
        uint8_t *data = memory_alloc_aligned(class_size(class) + sizeof(*block), IO_ALIGNMENT);
        if (data == NULL) {
            return NULL;
        }
        void *behind = data + class_size(class);
        block = behind;
        *block = (struct ledger_block){.data = data, .class = class, .all_next = pool->all};
        if (pool->all != NULL) {
            pool->all->all_previous = block;
        }
        pool->all = block;
    }
    block->next = NULL;
    pool->lent++;
    return block;
}

static void pool_free(struct ledger_pool *pool, struct ledger_block *block)
{
    if (block->all_previous != NULL) {
        block->all_previous->all_next = block->all_next;
    } else {
        pool->all = block->all_next;
    }
    if (block->all_next != NULL) {
        block->all_next->all_previous = block->all_previous;
    }
    memory_free(block->data);
}

static void pool_give(struct ledger_pool *pool, struct ledger_block *block)
{
    ensure(pool->lent > 0);
    pool->lent--;
    if (pool->idle_bytes + class_size(block->class) > LEDGER_POOL_IDLE_MAX) {
        pool_free(pool, block);
        return;
    }
    block->next = pool->idle[block->class];
    pool->idle[block->class] = block;
    pool->idle_bytes += class_size(block->class);
}

struct ledger_block *ledger_files_take_buffer(struct ledger *ledger, uint64_t size)
{
    return pool_take(&ledger->pool, size);
}

void ledger_files_give_buffer(struct ledger *ledger, struct ledger_block *block)
{
    pool_give(&ledger->pool, block);
}

void ledger_files_deinit_pool(struct ledger *ledger)
{
    while (ledger->pool.all != NULL) {
        pool_free(&ledger->pool, ledger->pool.all);
    }
}

/* ---- reading a frame ---- */

void ledger_files_end_read(struct ledger_read *read)
{
    struct ledger *ledger = read->ledger;
    ledger->reads_in_flight--;
    ledger_files_drop(read->file);
    if (read->result != 0 && read->block != NULL) {
        pool_give(&ledger->pool, read->block);
        read->block = NULL;
        read->buffer = NULL;
        read->payload = bytes_of(NULL, 0);
    }
    read->done(read);
}

int ledger_files_report(struct ledger_read *read, const char *what,
                        const struct frame_header *header)
{
    const struct ledger_position *position = &read->position;
    char name[SEGMENT_NAME_SIZE];
    ledger_form_name(read->file, name);
    if (header == NULL) {
        return error_set(&read->detail, STOA_ECORRUPT,
                         "%s: offset %u: sequence %llu: height unknown: %s", name, position->offset,
                         (unsigned long long)position->sequence, what);
    }
    return error_set(&read->detail, STOA_ECORRUPT, "%s: offset %u: sequence %llu: height %llu: %s",
                     name, position->offset, (unsigned long long)position->sequence,
                     (unsigned long long)header->height, what);
}

int ledger_files_report_failed(struct ledger_read *read)
{
    const struct io_request *request = &read->request;
    char name[SEGMENT_NAME_SIZE];
    ledger_form_name(read->file, name);
    if (request->os_error != 0) {
        return error_set_errno(&read->detail, request->os_error, "read %s: offset %u", name,
                               read->position.offset);
    }
    return error_set(&read->detail, (int)request->result, "read %s: offset %u: %s", name,
                     read->position.offset, stoa_strerror((int)request->result));
}

uint64_t ledger_files_buffer_size(const struct ledger_read *read)
{
    return class_size(read->block->class);
}

/* Of the frame, from its start; of ranges up to where the last ends. */
static uint64_t bytes_wanted(const struct ledger_read *read)
{
    if (read->ranges != NULL) {
        return FRAME_HEADER_SIZE + ledger_ranges_end(read->ranges);
    }
    return read->front == 0 ? read->position.size : FRAME_HEADER_SIZE + (uint64_t)read->front;
}

/* Check what was read for READ and present it. */
static int check_read(struct ledger_read *read)
{
    const struct io_request *request = &read->request;
    const struct ledger_position *position = &read->position;
    uint64_t skip = position->offset - request->offset;
    if (request->result < 0) {
        return ledger_files_report_failed(read);
    }
    if ((uint64_t)request->result < skip + bytes_wanted(read)) {
        return ledger_files_report(read, "the file ends before", NULL);
    }
    const uint8_t *frame = read->buffer + skip;
    struct frame_header header;
    if (frame_decode(frame, read->ledger->store_id, &header) != FRAME_GOOD) {
        return ledger_files_report(read, "frame header", NULL);
    }
    if (header.sequence != position->sequence || frame_size(&header) != position->size) {
        return ledger_files_report(read, "another frame lies there", &header);
    }
    if (read->front == 0 && !frame_check(frame, &header, read->ledger->store_id)) {
        return ledger_files_report(read, "frame checksum", &header);
    }
    read->kind = (enum ledger_kind)header.kind;
    read->height = header.height;
    read->payload =
        bytes_of(frame + FRAME_HEADER_SIZE, read->front == 0 ? header.length : read->front);
    return 0;
}

static void read_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    read->result = check_read(read);
    ledger_files_end_read(read);
}

static void refused_done(struct io_request *request)
{
    struct ledger_read *read = request->context;
    read->ledger->reads_in_flight--;
    read->done(read);
}

/* End READ from the loop with a result that is known already. */
static void refuse_read(struct ledger *ledger, struct ledger_read *read, int result,
                        const char *what)
{
    ledger->reads_in_flight++;
    read->result = error_set(&read->detail, result, "%08u.seg: offset %u: sequence %llu: %s",
                             read->position.segment, read->position.offset,
                             (unsigned long long)read->position.sequence, what);
    read->request = (struct io_request){.op = IO_TIMER, .done = refused_done, .context = read};
    io_submit(ledger->io, &read->request);
}

/* Room for what is read from FILE, in the form that it has. */
static uint64_t buffer_wanted(const struct ledger_file *file, const struct ledger_read *read)
{
    uint64_t start = read->position.offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
    if (file->packed) { /* its buffer is taken once it is known where it lies */
        return 0;
    }
    if (file->thin) { /* it lies elsewhere; two blocks of the index are read first */
        return segment_align((uint64_t)read->position.size + THIN_PREFIX_SIZE) + 2 * SEGMENT_BLOCK;
    }
    return read->ranges != NULL
               ? ledger_ranges_room(read)
               : segment_align((uint64_t)read->position.offset + bytes_wanted(read)) - start;
}

static void failed_start_done(struct io_request *request)
{
    ledger_files_end_read(request->context);
}

/* FILE is open, and its form is known only since. */
static void start_read(struct ledger_file *file, struct ledger_read *read)
{
    uint64_t wanted = buffer_wanted(file, read);
    bool fits = wanted <= class_size(LEDGER_POOL_CLASSES - 1);
    if (wanted != 0 && fits) {
        read->block = pool_take(&file->ledger->pool, wanted);
    }
    if (wanted != 0 && read->block == NULL) {
        read->result = fits ? error_set(&read->detail, STOA_ENOMEM, "no memory to read it into")
                            : ledger_files_report(read, "no frame is that big", NULL);
        read->request =
            (struct io_request){.op = IO_TIMER, .done = failed_start_done, .context = read};
        io_submit(file->ledger->io, &read->request);
        return;
    }
    read->buffer = read->block == NULL ? NULL : read->block->data;
    if (file->packed) {
        ledger_pack_read(file, read);
        return;
    }
    if (file->thin) {
        ledger_thin_read(file, read);
        return;
    }
    if (read->ranges != NULL) {
        ledger_ranges_read(file, read);
        return;
    }
    uint64_t start = read->position.offset & ~(uint64_t)(SEGMENT_BLOCK - 1);
    uint64_t end = segment_align((uint64_t)read->position.offset + bytes_wanted(read));
    read->request = (struct io_request){
        .op = IO_READ,
        .file = file->file,
        .data = read->buffer,
        .size = end - start,
        .offset = start,
        .done = read_done,
        .context = read,
    };
    io_submit(file->ledger->io, &read->request);
}

void ledger_read(struct ledger *ledger, struct ledger_read *read)
{
    const struct ledger_position *position = &read->position;
    ensure(read->done != NULL);
    read->ledger = ledger;
    read->result = 0;
    read->payload = bytes_of(NULL, 0);
    read->buffer = NULL;
    read->block = NULL;
    read->next = NULL;
    read->file = NULL;
    read->detail = (struct error_detail){0};
    struct ledger_file *file = ledger_files_get(ledger, position->segment);
    if (file == NULL || position->segment > ledger->segment.number) {
        refuse_read(ledger, read, STOA_ENOTFOUND, "no such segment");
        return;
    }
    if (position->sequence == 0 || position->sequence > ledger->durable_sequence ||
        bytes_wanted(read) > position->size || position->offset % FRAME_ALIGNMENT != 0 ||
        position->size < FRAME_HEADER_SIZE ||
        (!file->thin && !file->packed &&
         (uint64_t)position->offset + position->size > file->size)) {
        refuse_read(ledger, read, STOA_ENOTFOUND, "no such frame");
        return;
    }
    ledger->read_ns = io_now_ns(ledger->io);
    if (buffer_wanted(file, read) > class_size(LEDGER_POOL_CLASSES - 1)) {
        refuse_read(ledger, read, STOA_ENOTFOUND, "no frame is that big");
        return;
    }
    ledger->reads_in_flight++;
    read->file = file;
    file->users++;
    file->used_at = ++ledger->use_tick;
    if (file->state == LEDGER_FILE_OPEN) {
        start_read(file, read);
        return;
    }
    read->next = file->waiting;
    file->waiting = read;
    if (file->state == LEDGER_FILE_CLOSED && open_file(file, false) < 0) {
        file->waiting = read->next;
        file->users--;
        ledger->reads_in_flight--;
        ledger_read_release(read);
        refuse_read(ledger, read, STOA_ENOMEM, "no memory to open it");
    }
}

void ledger_read_release(struct ledger_read *read)
{
    if (read->block == NULL) {
        return;
    }
    pool_give(&read->ledger->pool, read->block);
    read->block = NULL;
    read->buffer = NULL;
    read->payload = bytes_of(NULL, 0);
}
