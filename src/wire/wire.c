/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/wire.h"

#include <isa-l/crc.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>

#include "base/ensure.h"
#include "chain/rlp.h"
#include "wire/wire_field.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct wire_field hello_fields[] = {
    WIRE_FIELD(struct wire_hello, version_least, WIRE_U64),
    WIRE_FIELD(struct wire_hello, version_most, WIRE_U64),
    WIRE_FIELD(struct wire_hello, features, WIRE_U64),
    WIRE_FIELD(struct wire_hello, nonce, WIRE_FIXED),
    WIRE_FIELD(struct wire_hello, name, WIRE_TEXT),
};

static const struct wire_field welcome_fields[] = {
    WIRE_FIELD(struct wire_welcome, version, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, features, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, role, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, payload_max, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, requests_max, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, idle_ms, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, chain_id, WIRE_U64),
    WIRE_FIELD(struct wire_welcome, name, WIRE_TEXT),
};

static const struct wire_field challenge_fields[] = {
    WIRE_FIELD(struct wire_challenge, nonce, WIRE_FIXED),
};

static const struct wire_field goodbye_fields[] = {
    WIRE_FIELD(struct wire_goodbye, code, WIRE_INT),
    WIRE_FIELD(struct wire_goodbye, text, WIRE_TEXT),
};

uint32_t wire_checksum(uint32_t checksum, struct bytes bytes)
{
    return bytes.size == 0 ? checksum : crc32_gzip_refl(checksum, bytes.data, bytes.size);
}

void wire_put_header(const struct wire_header *header, uint8_t out[WIRE_HEADER_SIZE])
{
    bytes_store_le32(out, header->size);
    bytes_store_le16(out + 4, header->type);
    out[6] = header->flags;
    out[7] = header->priority;
    bytes_store_le64(out + 8, header->id);
    bytes_store_le32(out + 16, header->deadline_ms);
    bytes_store_le32(out + 20, header->checksum);
    bytes_store_le32(out + 24, 0);
    bytes_store_le32(out + 28, wire_checksum(0, bytes_of(out, 28)));
}

int wire_get_header(const uint8_t data[WIRE_HEADER_SIZE], struct wire_header *out_header,
                    struct error_detail *detail)
{
    if (wire_checksum(0, bytes_of(data, 28)) != bytes_load_le32(data + 28)) {
        return error_set(detail, STOA_EINVAL, "no frame: its header's checksum is wrong");
    }
    uint16_t type = bytes_load_le16(data + 4);
    unsigned known = type == STOA_MESSAGE_GET_TRANSACTION || type == STOA_MESSAGE_GET_RECEIPT
                         ? WIRE_FLAGS
                         : WIRE_FLAGS & ~WIRE_PARTS;
    if ((data[6] & ~known) != 0 || bytes_load_le32(data + 24) != 0) {
        return error_set(detail, STOA_EINVAL, "a frame with reserved bits set");
    }
    *out_header = (struct wire_header){
        .size = bytes_load_le32(data),
        .type = type,
        .flags = data[6],
        .priority = data[7],
        .id = bytes_load_le64(data + 8),
        .deadline_ms = bytes_load_le32(data + 16),
        .checksum = bytes_load_le32(data + 20),
    };
    return 0;
}

int wire_check_payload(const struct wire_header *header, struct bytes payload,
                       struct error_detail *detail)
{
    ensure(payload.size == header->size);
    if (wire_checksum(0, payload) != header->checksum) {
        return error_set(detail, STOA_ECORRUPT, "a frame's payload was changed on its way");
    }
    return 0;
}

void wire_begin(struct wire_writer *writer, struct buffer *buffer)
{
    static const uint8_t room[WIRE_HEADER_SIZE] = {0};
    int result = buffer_append(buffer, room, sizeof(room));
    wire_writer_begin(writer, buffer);
    writer->result = result;
}

int wire_end(struct wire_writer *writer, const struct wire_header *header)
{
    struct buffer *buffer = writer->buffer;
    uint64_t size = wire_writer_size(writer);
    int result = writer->result;
    if (result == 0 && size > WIRE_PAYLOAD_MAX) {
        result = STOA_ETOOBIG;
    }
    if (result != 0) {
        buffer->size =
            writer->start < WIRE_HEADER_SIZE ? writer->start : writer->start - WIRE_HEADER_SIZE;
        writer->cut_count = 0;
        return result;
    }
    struct wire_header own = *header;
    size_t at = writer->start;
    own.size = (uint32_t)size;
    own.checksum = 0;
    for (unsigned i = 0; i < writer->cut_count; i++) {
        const struct wire_cut *cut = &writer->cuts[i];
        own.checksum = wire_checksum(own.checksum, bytes_of(buffer->data + at, cut->at - at));
        own.checksum = wire_checksum(own.checksum, cut->bytes);
        at = cut->at;
    }
    own.checksum = wire_checksum(own.checksum, bytes_of(buffer->data + at, buffer->size - at));
    wire_put_header(&own, buffer->data + writer->start - WIRE_HEADER_SIZE);
    return 0;
}

void wire_prove(struct bytes token, const uint8_t server_nonce[WIRE_NONCE_SIZE],
                const uint8_t client_nonce[WIRE_NONCE_SIZE], uint8_t out[WIRE_PROOF_SIZE])
{
    static const char purpose[] = "stoa-client";
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, token.size, token.data);
    hmac_sha256_update(&context, sizeof(purpose) - 1, (const uint8_t *)purpose);
    hmac_sha256_update(&context, WIRE_NONCE_SIZE, server_nonce);
    hmac_sha256_update(&context, WIRE_NONCE_SIZE, client_nonce);
    hmac_sha256_digest(&context, WIRE_PROOF_SIZE, out);
}

bool wire_proofs_equal(const uint8_t a[WIRE_PROOF_SIZE], const uint8_t b[WIRE_PROOF_SIZE])
{
    return memeql_sec(a, b, WIRE_PROOF_SIZE) != 0;
}

/* A frame of TYPE whose payload is the list of FIELDS of OBJECT. */
static int append_fields(struct buffer *buffer, uint16_t type, const struct wire_field *fields,
                         size_t count, const void *object)
{
    struct wire_writer writer;
    struct wire_header header = {.type = type};
    wire_begin(&writer, buffer);
    struct wire_mark mark = wire_writer_list(&writer);
    wire_field_write(&writer, fields, count, object);
    wire_writer_end(&writer, mark);
    return wire_end(&writer, &header);
}

static int read_fields(struct bytes payload, const struct wire_field *fields, size_t count,
                       void *object, struct error_detail *detail)
{
    int result = wire_field_read_list(&payload, fields, count, object, detail);
    return result == 0 ? rlp_expect_end(payload, detail) : result;
}

int wire_append_hello(struct buffer *buffer, const struct wire_hello *hello)
{
    return append_fields(buffer, WIRE_HELLO, hello_fields, COUNT(hello_fields), hello);
}

int wire_append_challenge(struct buffer *buffer, const struct wire_challenge *challenge)
{
    return append_fields(buffer, WIRE_CHALLENGE, challenge_fields, COUNT(challenge_fields),
                         challenge);
}

int wire_append_proof(struct buffer *buffer, const uint8_t proof[WIRE_PROOF_SIZE])
{
    static const struct wire_field fields[] = {{0, WIRE_PROOF_SIZE, WIRE_FIXED}};
    return append_fields(buffer, WIRE_PROOF, fields, 1, proof);
}

int wire_append_welcome(struct buffer *buffer, const struct wire_welcome *welcome)
{
    return append_fields(buffer, WIRE_WELCOME, welcome_fields, COUNT(welcome_fields), welcome);
}

int wire_append_goodbye(struct buffer *buffer, int code, const char *text)
{
    struct wire_goodbye goodbye = {.code = code};
    size_t length = strnlen(text, sizeof(goodbye.text) - 1);
    memcpy(goodbye.text, text, length);
    return append_fields(buffer, WIRE_GOODBYE, goodbye_fields, COUNT(goodbye_fields), &goodbye);
}

int wire_append_empty(struct buffer *buffer, const struct wire_header *header)
{
    struct wire_writer writer;
    wire_begin(&writer, buffer);
    return wire_end(&writer, header);
}

int wire_read_hello(struct bytes payload, struct wire_hello *out, struct error_detail *detail)
{
    *out = (struct wire_hello){.version_least = 0};
    return read_fields(payload, hello_fields, COUNT(hello_fields), out, detail);
}

int wire_read_challenge(struct bytes payload, struct wire_challenge *out,
                        struct error_detail *detail)
{
    *out = (struct wire_challenge){.nonce = {0}};
    return read_fields(payload, challenge_fields, COUNT(challenge_fields), out, detail);
}

int wire_read_proof(struct bytes payload, uint8_t out[WIRE_PROOF_SIZE], struct error_detail *detail)
{
    static const struct wire_field fields[] = {{0, WIRE_PROOF_SIZE, WIRE_FIXED}};
    memset(out, 0, WIRE_PROOF_SIZE);
    return read_fields(payload, fields, 1, out, detail);
}

int wire_read_welcome(struct bytes payload, struct wire_welcome *out, struct error_detail *detail)
{
    *out = (struct wire_welcome){.version = 0};
    return read_fields(payload, welcome_fields, COUNT(welcome_fields), out, detail);
}

int wire_read_goodbye(struct bytes payload, struct wire_goodbye *out, struct error_detail *detail)
{
    *out = (struct wire_goodbye){.code = 0};
    return read_fields(payload, goodbye_fields, COUNT(goodbye_fields), out, detail);
}
