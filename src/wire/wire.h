/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire.h: frames of the wire protocol, as stoa-protocol(7) describes them byte by byte; and the
 * handshake's. Pure; any thread.
 *
 * A frame is a header of 32 bytes and a payload of RLP. Integers of the header are little-endian:
 *
 *     0  u32 size of the payload       16  u32 deadline in ms; of a reply: the result, i32
 *     4  u16 type                      20  u32 CRC-32 of the payload
 *     6  u8  flags                     24  u32 0
 *     7  u8  priority                  28  u32 CRC-32 of the bytes before
 *     8  u64 correlation id
 *
 * A list may have more items than a reader knows, at its end: it passes them over. Items that are
 * missing at the end are 0, empty or none. So a newer side talks with an older one. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "wire/wire_writer.h"

enum {
    WIRE_VERSION = 1,
    WIRE_HEADER_SIZE = 32,
    WIRE_NONCE_SIZE = 32,
    WIRE_PROOF_SIZE = 32,
    WIRE_NAME_MAX = 64,
    WIRE_PAYLOAD_MAX = 1 << 30, /* of any frame; a server says a smaller one for requests */
    WIRE_HELLO_MAX = 1024,      /* of a frame before the handshake is done */
};

enum {
    WIRE_REPLY = 1 << 0,
    WIRE_MORE = 1 << 1,     /* a part of a reply: more frames of its id follow */
    WIRE_NO_RETRY = 1 << 2, /* of a request: STOA_CALL_NO_RETRY */
    WIRE_BUFFERED = 1 << 3, /* of a request: STOA_BUFFERED */
    WIRE_PARTS_SHIFT = 4,   /* of a request for a transaction: the parts wanted, STOA_PART_… */
    WIRE_PARTS = 7 << WIRE_PARTS_SHIFT,
    WIRE_FLAGS = (1 << 7) - 1,
};

/* Types: those of enum stoa_message, and these. Replies have their request's. */
enum wire_type {
    WIRE_SYNC = 0x100, /* of the library's other calls: wire_service.h */
    WIRE_METRICS_TEXT,
    WIRE_METRICS_LIST,
    WIRE_DEAD_LETTERS_LIST,
    WIRE_DEAD_LETTERS_RETRY,
    WIRE_DEAD_LETTERS_DROP,
    WIRE_DEAD_LETTERS_COUNT,
    WIRE_RESIZE_CACHE,
    WIRE_BLOCK_CHANGES,
    WIRE_SERVICE_END,
    WIRE_HELLO = 0x200, /* of the connection itself */
    WIRE_CHALLENGE,
    WIRE_PROOF,
    WIRE_WELCOME,
    WIRE_PING,
    WIRE_CANCEL,  /* its id is that of the request to take back; the reply says how that went */
    WIRE_GOODBYE, /* why the server ends the connection */
};

struct wire_header {
    uint32_t size;
    uint16_t type;
    uint8_t flags;
    uint8_t priority;
    uint64_t id;
    uint32_t deadline_ms; /* of a reply: result, by wire_result */
    uint32_t checksum;
};

static inline int wire_result(const struct wire_header *header)
{
    return (int)(int32_t)header->deadline_ms;
}

/* CRC-32 as of zlib, going on from CHECKSUM (0 at first). */
uint32_t wire_checksum(uint32_t checksum, struct bytes bytes);

/* HEADER's checksum of its payload is the caller's to set. */
void wire_put_header(const struct wire_header *header, uint8_t out[WIRE_HEADER_SIZE]);

/* STOA_EINVAL: the checksum is wrong, or a reserved bit or byte is not 0. */
int wire_get_header(const uint8_t data[WIRE_HEADER_SIZE], struct wire_header *out_header,
                    struct error_detail *detail);

/* Whether PAYLOAD is what HEADER says. STOA_ECORRUPT. */
int wire_check_payload(const struct wire_header *header, struct bytes payload,
                       struct error_detail *detail);

/* Begin a frame at the end of BUFFER, which WRITER then fills; end it: its header is filled from
 * HEADER, whose size and checksum are found out. STOA_ENOMEM, STOA_ETOOBIG: BUFFER is as it was. */
void wire_begin(struct wire_writer *writer, struct buffer *buffer);
int wire_end(struct wire_writer *writer, const struct wire_header *header);

/* ---- the handshake ---- */

enum {
    WIRE_FEATURE_PARTS = 1 << 0, /* WIRE_PARTS in requests for transactions */
    WIRE_FEATURES = WIRE_FEATURE_PARTS,
};

/* The client's first frame. */
struct wire_hello {
    uint64_t version_least;
    uint64_t version_most;
    uint64_t features; /* wanted: WIRE_FEATURE_… */
    uint8_t nonce[WIRE_NONCE_SIZE];
    char name[WIRE_NAME_MAX]; /* of the client, for the server's log */
};

enum wire_role { WIRE_ROLE_NONE, WIRE_ROLE_READ, WIRE_ROLE_WRITE, WIRE_ROLE_ADMIN };

/* The server's answer where it lets the client in. */
struct wire_welcome {
    uint64_t version;
    uint64_t features;     /* of those wanted, that are on */
    uint64_t role;         /* enum wire_role */
    uint64_t payload_max;  /* of a request */
    uint64_t requests_max; /* in flight, of this client */
    uint64_t idle_ms;      /* a connection without a frame for so long is pinged, then closed */
    uint64_t chain_id;
    char name[WIRE_NAME_MAX]; /* "stoad 0.1.0" */
};

/* Where a token is wanted: 32 random bytes, to be answered with wire_prove of them. */
struct wire_challenge {
    uint8_t nonce[WIRE_NONCE_SIZE];
};

struct wire_goodbye {
    int code; /* STOA_E… */
    char text[256];
};

/* HMAC-SHA-256 with the token of "stoa-client", the server's nonce and the client's. */
void wire_prove(struct bytes token, const uint8_t server_nonce[WIRE_NONCE_SIZE],
                const uint8_t client_nonce[WIRE_NONCE_SIZE], uint8_t out[WIRE_PROOF_SIZE]);

/* Whether both are the same, in a time that does not tell where they differ. */
bool wire_proofs_equal(const uint8_t a[WIRE_PROOF_SIZE], const uint8_t b[WIRE_PROOF_SIZE]);

/* Whole frames. STOA_ENOMEM. */
int wire_append_hello(struct buffer *buffer, const struct wire_hello *hello);
int wire_append_challenge(struct buffer *buffer, const struct wire_challenge *challenge);
int wire_append_proof(struct buffer *buffer, const uint8_t proof[WIRE_PROOF_SIZE]);
int wire_append_welcome(struct buffer *buffer, const struct wire_welcome *welcome);
int wire_append_goodbye(struct buffer *buffer, int code, const char *text);
/* Without a payload: a ping, its reply, a cancel and its. */
int wire_append_empty(struct buffer *buffer, const struct wire_header *header);

/* Payloads. STOA_EINVAL. */
int wire_read_hello(struct bytes payload, struct wire_hello *out, struct error_detail *detail);
int wire_read_challenge(struct bytes payload, struct wire_challenge *out,
                        struct error_detail *detail);
int wire_read_proof(struct bytes payload, uint8_t out[WIRE_PROOF_SIZE],
                    struct error_detail *detail);
int wire_read_welcome(struct bytes payload, struct wire_welcome *out, struct error_detail *detail);
int wire_read_goodbye(struct bytes payload, struct wire_goodbye *out, struct error_detail *detail);

#endif
