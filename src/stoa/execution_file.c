/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/execution_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "chain/rlp.h"
#include "stoa/error.h"

enum { CHUNK_SIZE = 1 << 20, LINE_SIZE_MAX = 1 << 30, ADDRESS_SIZE = 20, HASH_SIZE = 32 };

struct execution_file {
    struct byte_input *input; /* owned */
    struct buffer chunk;
    size_t begin;    /* of what is in CHUNK and no line yet */
    size_t searched; /* no line ends before this */
    bool ended;
    uint64_t line_number;
    struct bytes line;    /* in CHUNK */
    bool line_kept;       /* LINE is of a later block than was asked for */
    struct buffer decode; /* one receipt or more */
    struct buffer payload;
};

int execution_file_open(const char *path, struct execution_file **out_file,
                        struct error_detail *detail)
{
    struct execution_file *file = memory_alloc_zeroed(1, sizeof(*file));
    if (file == NULL) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    int result = byte_input_open(path, &file->input, detail);
    if (result != 0) {
        memory_free(file);
        return result;
    }
    *out_file = file;
    return 0;
}

void execution_file_close(struct execution_file *file)
{
    if (file == NULL) {
        return;
    }
    byte_input_close(file->input);
    buffer_deinit(&file->chunk);
    buffer_deinit(&file->decode);
    buffer_deinit(&file->payload);
    memory_free(file);
}

static int read_more(struct execution_file *file, struct error_detail *detail)
{
    size_t left = file->chunk.size - file->begin;
    if (file->begin > 0) {
        memmove(file->chunk.data, file->chunk.data + file->begin, left);
        file->chunk.size = left;
        file->searched -= file->begin;
        file->begin = 0;
    }
    if (left > LINE_SIZE_MAX) {
        return error_set(detail, STOA_ETOOBIG, "line too long");
    }
    if (buffer_reserve(&file->chunk, CHUNK_SIZE) != 0) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    size_t count;
    int result = byte_input_read(file->input, file->chunk.data + left, file->chunk.capacity - left,
                                 &count, detail);
    if (result == 0) {
        file->chunk.size += count;
        file->ended = count == 0;
    }
    return result;
}

/* The next line that is not empty, into file->line. STOA_ENOTFOUND at the end. */
static int next_line(struct execution_file *file, struct error_detail *detail)
{
    for (;;) {
        const uint8_t *newline = NULL;
        if (file->searched < file->chunk.size) {
            newline =
                memchr(file->chunk.data + file->searched, '\n', file->chunk.size - file->searched);
        }
        if (newline == NULL && !file->ended) {
            file->searched = file->chunk.size;
            int result = read_more(file, detail);
            if (result != 0) {
                return result;
            }
            continue;
        }
        size_t end = newline != NULL ? (size_t)(newline - file->chunk.data) : file->chunk.size;
        if (newline == NULL && end == file->begin) {
            return STOA_ENOTFOUND;
        }
        file->line = bytes_of(file->chunk.data + file->begin, end - file->begin);
        file->begin = newline != NULL ? end + 1 : end;
        file->searched = file->begin;
        file->line_number++;
        if (file->line.size > 0) {
            return 0;
        }
    }
}

/* The number of a line that begins as these files do, without parsing the rest. */
static bool peek_number(struct bytes line, uint64_t *out)
{
    static const char start[] = "{\"number\":";
    size_t length = sizeof(start) - 1;
    if (line.size <= length || memcmp(line.data, start, length) != 0) {
        return false;
    }
    uint64_t number = 0;
    size_t i = length;
    for (; i < line.size && line.data[i] >= '0' && line.data[i] <= '9'; i++) {
        if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(line.data[i] - '0'), &number)) {
            return false;
        }
    }
    *out = number;
    return i > length && i < line.size && line.data[i] == ',';
}

/* The bytes that MEMBER, a hexadecimal string, stands for, appended to OUT. */
static int append_hex(struct buffer *out, const json_t *member, const char *name,
                      struct error_detail *detail)
{
    const char *text = json_string_value(member);
    size_t length = json_string_length(member);
    if (text == NULL || length < 2 || text[0] != '0' || text[1] != 'x') {
        return error_set(detail, STOA_EINVAL, "%s: no 0x-hexadecimal string", name);
    }
    size_t size = (length - 2) / 2;
    if (buffer_reserve(out, size + 1) != 0) {
        return error_set(detail, STOA_ENOMEM, "no memory");
    }
    if (bytes_from_hex(text, length, out->data + out->size, size) != (ptrdiff_t)size) {
        return error_set(detail, STOA_EINVAL, "%s: bad hexadecimal digits", name);
    }
    out->size += size;
    return 0;
}

static int take_receipts(struct execution_file *file, const json_t *receipts, struct buffer *out,
                         struct error_detail *detail)
{
    if (!json_is_array(receipts)) {
        return error_set(detail, STOA_EINVAL, "receipts: no array");
    }
    buffer_clear(&file->payload);
    for (size_t i = 0; i < json_array_size(receipts); i++) {
        buffer_clear(&file->decode);
        int result = append_hex(&file->decode, json_array_get(receipts, i), "receipts", detail);
        if (result != 0) {
            return result;
        }
        struct bytes receipt = buffer_bytes(&file->decode);
        if (receipt.size == 0) {
            return error_set(detail, STOA_EINVAL, "receipts: receipt %zu is empty", i);
        }
        if (receipt.data[0] >= 0x80 && receipt.data[0] < 0xc0) {
            return error_set(detail, STOA_EINVAL, "receipts: receipt %zu is none", i);
        }
        bool typed = receipt.data[0] < 0x80;
        result = typed ? rlp_append_string(&file->payload, receipt)
                       : buffer_append(&file->payload, receipt.data, receipt.size);
        if (result != 0) {
            return error_set(detail, result, "no memory");
        }
    }
    int result = rlp_append_list_prefix(out, file->payload.size);
    if (result == 0) {
        result = buffer_append(out, file->payload.data, file->payload.size);
    }
    return result == 0 ? 0 : error_set(detail, result, "no memory");
}

static int take_senders(const json_t *transactions, struct buffer *out, struct error_detail *detail)
{
    if (!json_is_array(transactions)) {
        return error_set(detail, STOA_EINVAL, "txs: no array");
    }
    for (size_t i = 0; i < json_array_size(transactions); i++) {
        const json_t *from = json_object_get(json_array_get(transactions, i), "from");
        int result = append_hex(out, from, "from", detail);
        if (result != 0) {
            return result;
        }
        if (out->size != (i + 1) * ADDRESS_SIZE) {
            return error_set(detail, STOA_EINVAL, "from: no address in transaction %zu", i);
        }
    }
    return 0;
}

static int take_block(struct execution_file *file, const json_t *root, struct execution_block *out,
                      struct error_detail *detail)
{
    buffer_clear(&out->senders);
    buffer_clear(&file->decode);
    int result = append_hex(&file->decode, json_object_get(root, "hash"), "hash", detail);
    if (result == 0 && file->decode.size != HASH_SIZE) {
        result = error_set(detail, STOA_EINVAL, "hash: not 32 bytes");
    }
    if (result != 0) {
        return result;
    }
    memcpy(out->hash, file->decode.data, HASH_SIZE);
    const json_t *receipts = json_object_get(root, "receipts");
    const json_t *transactions = json_object_get(root, "txs");
    out->has_receipts = receipts != NULL;
    if (out->has_receipts) {
        buffer_clear(&out->receipts);
    }
    result = receipts == NULL ? 0 : take_receipts(file, receipts, &out->receipts, detail);
    if (result == 0 && transactions != NULL) {
        result = take_senders(transactions, &out->senders, detail);
    }
    return result == 0 ? execution_state_read(root, &out->state, detail) : result;
}

/* STOA_ENOTFOUND: the line is of a later block. STOA_EBUSY: of an earlier one. */
static int parse_line(struct execution_file *file, uint64_t number, struct execution_block *out,
                      struct error_detail *detail)
{
    json_error_t error;
    json_t *root =
        json_loadb((const char *)file->line.data, file->line.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return error_set(detail, STOA_EINVAL, "%s", error.text);
    }
    const json_t *member = json_object_get(root, "number");
    int result;
    if (!json_is_integer(member) || json_integer_value(member) < 0) {
        result = error_set(detail, STOA_EINVAL, "number: no whole number");
    } else if ((uint64_t)json_integer_value(member) < number) {
        result = STOA_EBUSY;
    } else if ((uint64_t)json_integer_value(member) > number) {
        result = STOA_ENOTFOUND;
    } else {
        result = take_block(file, root, out, detail);
    }
    json_decref(root);
    return result;
}

int execution_file_find(struct execution_file *file, uint64_t number,
                        struct execution_block *out_block, struct error_detail *detail)
{
    for (;;) {
        int result = file->line_kept ? 0 : next_line(file, detail);
        if (result == STOA_ENOTFOUND) {
            return error_set(detail, STOA_ENOTFOUND, "no line for block %" PRIu64, number);
        }
        if (result != 0) {
            return result;
        }
        file->line_kept = false;
        uint64_t peeked;
        if (peek_number(file->line, &peeked) && peeked < number) {
            continue;
        }
        result = parse_line(file, number, out_block, detail);
        if (result == STOA_EBUSY) {
            continue;
        }
        if (result == STOA_ENOTFOUND) {
            file->line_kept = true;
            return error_set(detail, STOA_ENOTFOUND, "no line for block %" PRIu64, number);
        }
        if (result != 0) {
            (void)error_prefix(detail, "line %" PRIu64, file->line_number);
        }
        return result;
    }
}
