/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ensure.h"
#include "base/memory.h"

static const char end_word[] = "end ";
enum { END_SIZE = 4 + 2 * TRANSFER_SUM_SIZE + 1 };

void manifest_init(struct manifest *manifest)
{
    *manifest = (struct manifest){.number = 0};
}

void manifest_deinit(struct manifest *manifest)
{
    memory_free(manifest->files);
    manifest_init(manifest);
}

int manifest_add(struct manifest *manifest, const char *name, uint64_t size,
                 const uint8_t sum[TRANSFER_SUM_SIZE])
{
    size_t length = strlen(name);
    ensure(length > 0 && length < MANIFEST_NAME_SIZE && strchr(name, ' ') == NULL);
    if (manifest->file_count == manifest->file_capacity) {
        size_t capacity = manifest->file_capacity == 0 ? 64 : 2 * manifest->file_capacity;
        struct manifest_file *files =
            memory_resize(manifest->files, capacity * sizeof(*manifest->files));
        if (files == NULL) {
            return STOA_ENOMEM;
        }
        manifest->files = files;
        manifest->file_capacity = capacity;
    }
    size_t place = manifest->file_count++;
    while (place > 0 && strcmp(manifest->files[place - 1].name, name) > 0) {
        place--; /* a file that took its form late: hardly ever */
    }
    ensure(place == 0 || strcmp(manifest->files[place - 1].name, name) != 0);
    memmove(&manifest->files[place + 1], &manifest->files[place],
            (manifest->file_count - 1 - place) * sizeof(*manifest->files));
    struct manifest_file *file = &manifest->files[place];
    *file = (struct manifest_file){.size = size};
    memcpy(file->name, name, length + 1);
    memcpy(file->sum, sum, TRANSFER_SUM_SIZE);
    return 0;
}

const struct manifest_file *manifest_find(const struct manifest *manifest, const char *prefix)
{
    size_t length = strlen(prefix);
    size_t low = 0;
    size_t high = manifest->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(manifest->files[middle].name, prefix) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < manifest->file_count && strncmp(manifest->files[low].name, prefix, length) == 0
               ? &manifest->files[low]
               : NULL;
}

uint64_t manifest_bytes(const struct manifest *manifest)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->file_count; i++) {
        bytes += manifest->files[i].size;
    }
    return bytes;
}

/* ---- writing ---- */

static int add_hash(struct buffer *out, const char *before, const void *data, size_t size)
{
    char hex[65];
    ensure(size <= 32);
    bytes_to_hex(data, size, hex);
    return buffer_append_format(out, "%s%s\n", before, hex);
}

static int add_block(struct buffer *out, const char *word, uint64_t height, const uint8_t hash[32])
{
    char before[48];
    (void)snprintf(before, sizeof(before), "%s %" PRIu64 " ", word, height);
    return add_hash(out, before, hash, 32);
}

static int add_files(const struct manifest *manifest, struct buffer *out)
{
    int result = 0;
    for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
        const struct manifest_file *file = &manifest->files[i];
        char before[MANIFEST_NAME_SIZE + 32];
        (void)snprintf(before, sizeof(before), "file %s %" PRIu64 " ", file->name, file->size);
        result = add_hash(out, before, file->sum, TRANSFER_SUM_SIZE);
    }
    return result;
}

int manifest_encode(const struct manifest *manifest, struct buffer *out)
{
    const struct ledger_end *end = &manifest->end;
    uint8_t sum[TRANSFER_SUM_SIZE];
    size_t start = out->size;
    int result = buffer_append_format(out,
                                      "stoa-manifest %d\nnumber %" PRIu64 "\ncreated %" PRIu64
                                      "\nstore %016" PRIx64 "\nchain %" PRIu64 "\n",
                                      MANIFEST_VERSION, manifest->number, manifest->created_ns,
                                      manifest->store_id, manifest->chain_id);
    if (result == 0 && manifest->has_genesis) {
        result = add_hash(out, "genesis ", manifest->genesis_hash, 32);
    }
    if (result == 0) {
        result = buffer_append_format(
            out, "ledger %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %016" PRIx64 "\n",
            end->segment, end->size, end->sequence, end->offset, end->checksum);
    }
    if (result == 0) {
        result = add_block(out, "head", manifest->height, manifest->hash);
    }
    if (result == 0) {
        result = add_hash(out, "state-root ", manifest->state_root, 32);
    }
    if (result == 0 && manifest->has_finalized) {
        result = add_block(out, "finalized", manifest->finalized_height, manifest->finalized_hash);
    }
    if (result == 0) {
        result = add_files(manifest, out);
    }
    if (result == 0) {
        transfer_sum_bytes(bytes_of(out->data + start, out->size - start), sum);
        result = add_hash(out, end_word, sum, sizeof(sum));
    }
    return result;
}

/* ---- reading ---- */

struct parser {
    const char *at;
    const char *end;
    bool failed;
};

/* WORD, which must be next. */
static void expect(struct parser *parser, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(parser->end - parser->at) < size || memcmp(parser->at, word, size) != 0) {
        parser->failed = true;
        return;
    }
    parser->at += size;
}

static bool is_next(const struct parser *parser, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(parser->end - parser->at) >= size && memcmp(parser->at, word, size) == 0;
}

/* A number as this module writes it, up to MOST. */
static uint64_t take_number(struct parser *parser, uint64_t most)
{
    uint64_t value = 0;
    const char *start = parser->at;
    while (!parser->failed && parser->at < parser->end && *parser->at >= '0' &&
           *parser->at <= '9') {
        unsigned digit = (unsigned)(*parser->at - '0');
        if (value > (most - digit) / 10) {
            parser->failed = true;
            return 0;
        }
        value = value * 10 + digit;
        parser->at++;
    }
    bool padded = parser->at - start > 1 && *start == '0';
    parser->failed = parser->failed || parser->at == start || padded;
    return value;
}

/* Digits as they are written: each text has one meaning and each meaning one text. */
static void take_hex(struct parser *parser, void *out, size_t size)
{
    if (parser->failed || (size_t)(parser->end - parser->at) < 2 * size ||
        bytes_from_hex(parser->at, 2 * size, out, size) != (ptrdiff_t)size) {
        parser->failed = true;
        return;
    }
    for (size_t i = 0; i < 2 * size; i++) {
        parser->failed = parser->failed || (parser->at[i] >= 'A' && parser->at[i] <= 'F');
    }
    parser->at += 2 * size;
}

static uint64_t take_word(struct parser *parser)
{
    uint8_t bytes[8] = {0};
    take_hex(parser, bytes, sizeof(bytes));
    return bytes_load_be64(bytes);
}

static uint64_t take_line(struct parser *parser, const char *word)
{
    expect(parser, word);
    uint64_t value = take_number(parser, UINT64_MAX);
    expect(parser, "\n");
    return value;
}

static void take_block(struct parser *parser, const char *word, uint64_t *out_height,
                       uint8_t out_hash[32])
{
    expect(parser, word);
    *out_height = take_number(parser, UINT64_MAX);
    expect(parser, " ");
    take_hex(parser, out_hash, 32);
    expect(parser, "\n");
}

/* A name is a folder and a file in it, or a file: letters, digits, dots inside, nothing else. */
static bool name_is_safe(const char *name)
{
    bool begins = true;
    for (const char *at = name; *at != '\0'; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                      (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
        if (!letter && (begins || (*at != '.' && *at != '/'))) {
            return false;
        }
        begins = *at == '/';
    }
    return !begins;
}

static int take_file(struct parser *parser, struct manifest *manifest)
{
    struct manifest_file file = {.size = 0};
    expect(parser, "file ");
    size_t length = 0;
    while (parser->at < parser->end && *parser->at != ' ' && length + 1 < MANIFEST_NAME_SIZE) {
        file.name[length++] = *parser->at++;
    }
    expect(parser, " ");
    file.size = take_number(parser, UINT64_MAX);
    expect(parser, " ");
    take_hex(parser, file.sum, sizeof(file.sum));
    expect(parser, "\n");
    bool ordered = manifest->file_count == 0 ||
                   strcmp(manifest->files[manifest->file_count - 1].name, file.name) < 0;
    if (parser->failed || !ordered || !name_is_safe(file.name)) {
        parser->failed = true;
        return 0;
    }
    return manifest_add(manifest, file.name, file.size, file.sum);
}

static int parse(struct parser *parser, struct manifest *manifest)
{
    manifest->number = take_line(parser, "number ");
    manifest->created_ns = take_line(parser, "created ");
    expect(parser, "store ");
    manifest->store_id = take_word(parser);
    expect(parser, "\n");
    manifest->chain_id = take_line(parser, "chain ");
    manifest->has_genesis = is_next(parser, "genesis ");
    if (manifest->has_genesis) {
        expect(parser, "genesis ");
        take_hex(parser, manifest->genesis_hash, 32);
        expect(parser, "\n");
    }
    struct ledger_end *end = &manifest->end;
    expect(parser, "ledger ");
    end->segment = (uint32_t)take_number(parser, UINT32_MAX);
    expect(parser, " ");
    end->size = take_number(parser, UINT64_MAX);
    expect(parser, " ");
    end->sequence = take_number(parser, UINT64_MAX);
    expect(parser, " ");
    end->offset = (uint32_t)take_number(parser, UINT32_MAX);
    expect(parser, " ");
    end->checksum = take_word(parser);
    expect(parser, "\n");
    take_block(parser, "head ", &manifest->height, manifest->hash);
    expect(parser, "state-root ");
    take_hex(parser, manifest->state_root, 32);
    expect(parser, "\n");
    manifest->has_finalized = is_next(parser, "finalized ");
    if (manifest->has_finalized) {
        take_block(parser, "finalized ", &manifest->finalized_height, manifest->finalized_hash);
    }
    int result = 0;
    while (result == 0 && !parser->failed && parser->at < parser->end) {
        result = take_file(parser, manifest);
    }
    return result;
}

int manifest_decode(struct bytes text, struct manifest *out_manifest, struct error_detail *detail)
{
    uint8_t sum[TRANSFER_SUM_SIZE];
    uint8_t wanted[TRANSFER_SUM_SIZE];
    struct manifest manifest;
    struct parser parser = {.at = (const char *)text.data, .end = (const char *)text.data};
    manifest_init(&manifest);
    if (text.size < END_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "the manifest is cut off");
    }
    parser.end = parser.at + text.size;
    expect(&parser, "stoa-manifest ");
    uint64_t version = take_number(&parser, UINT32_MAX);
    expect(&parser, "\n");
    struct parser last = {.at = parser.end - END_SIZE, .end = parser.end};
    expect(&last, end_word);
    take_hex(&last, wanted, sizeof(wanted));
    expect(&last, "\n");
    transfer_sum_bytes(bytes_of(text.data, text.size - END_SIZE), sum);
    if (parser.failed || last.failed || memcmp(sum, wanted, sizeof(sum)) != 0) {
        return error_set(detail, STOA_ECORRUPT, "the manifest is damaged: checksum");
    }
    if (!parser.failed && version > MANIFEST_VERSION) {
        return error_set(detail, STOA_EVERSION, "the manifest has version %" PRIu64, version);
    }
    parser.end -= END_SIZE;
    int result = parse(&parser, &manifest);
    if (result == 0 && parser.failed) {
        result = error_set(detail, STOA_ECORRUPT, "the manifest is damaged at byte %td",
                           parser.at - (const char *)text.data);
    } else if (result != 0) {
        (void)error_set(detail, result, "read the manifest: no memory"); /* returned below */
    }
    if (result != 0) {
        manifest_deinit(&manifest);
        return result;
    }
    *out_manifest = manifest;
    return 0;
}

int manifest_read(struct io *io, const char *path, struct manifest *out_manifest,
                  struct error_detail *detail)
{
    uint8_t *data = NULL;
    size_t size = 0;
    int result = transfer_read(io, path, MANIFEST_SIZE_MAX, &data, &size, detail);
    if (result != 0) {
        return result;
    }
    result = manifest_decode(bytes_of(data, size), out_manifest, detail);
    memory_free(data);
    if (result != 0) {
        error_prefix(detail, "%s", path);
    }
    return result;
}

int manifest_write(struct io *io, const char *directory, const char *path,
                   const struct manifest *manifest, struct error_detail *detail)
{
    struct buffer text;
    buffer_init(&text);
    int result = manifest_encode(manifest, &text);
    if (result != 0) {
        (void)error_set(detail, result, "write %s: no memory", path); /* returned below */
    } else {
        result = transfer_write(io, directory, path, buffer_bytes(&text), detail);
    }
    buffer_deinit(&text);
    return result;
}
