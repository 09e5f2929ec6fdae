/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/identity.h"

#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/ensure.h"
#include "store/store_folder.h"

static const char magic[8] = {'S', 'T', 'O', 'A', 'S', 'T', 'O', 'R'};

enum {
    OFFSET_VERSION = 8,
    OFFSET_STORE_ID = 16,
    OFFSET_CHAIN_ID = 24,
    OFFSET_GENESIS = 32,
    OFFSET_CHECKSUM = 64,
};

void identity_encode(const struct identity *identity, uint8_t out[IDENTITY_SIZE])
{
    ensure(identity->store_id != 0);
    memset(out, 0, IDENTITY_SIZE);
    memcpy(out, magic, sizeof(magic));
    bytes_store_le32(out + OFFSET_VERSION, IDENTITY_FORMAT_VERSION);
    bytes_store_le64(out + OFFSET_STORE_ID, identity->store_id);
    bytes_store_le64(out + OFFSET_CHAIN_ID, identity->chain_id);
    if (identity->has_genesis) {
        memcpy(out + OFFSET_GENESIS, identity->genesis_hash, 32);
    }
    bytes_store_le64(out + OFFSET_CHECKSUM, XXH3_64bits(out, OFFSET_CHECKSUM));
}

/* IN is of this version, but for the number that says so. */
static bool only_version_is_wrong(const uint8_t in[IDENTITY_SIZE])
{
    uint8_t image[IDENTITY_SIZE];
    memcpy(image, in, sizeof(image));
    bytes_store_le32(image + OFFSET_VERSION, IDENTITY_FORMAT_VERSION);
    return bytes_load_le64(image + OFFSET_CHECKSUM) == XXH3_64bits(image, OFFSET_CHECKSUM);
}

int identity_decode(const uint8_t in[IDENTITY_SIZE], struct identity *out_identity,
                    struct error_detail *detail)
{
    if (memcmp(in, magic, sizeof(magic)) != 0) {
        return error_set(detail, STOA_ECORRUPT, "STORE: this is not the identity of a store");
    }
    uint32_t version = bytes_load_le32(in + OFFSET_VERSION);
    if (version != IDENTITY_FORMAT_VERSION && only_version_is_wrong(in)) {
        return error_set(detail, STOA_ECORRUPT, "STORE: checksum is wrong: version %u", version);
    }
    if (version != IDENTITY_FORMAT_VERSION) {
        return error_set(detail, STOA_EVERSION,
                         "STORE: format version %u; this program reads and writes version %d",
                         version, IDENTITY_FORMAT_VERSION);
    }
    if (bytes_load_le64(in + OFFSET_CHECKSUM) != XXH3_64bits(in, OFFSET_CHECKSUM)) {
        return error_set(detail, STOA_ECORRUPT, "STORE: checksum is wrong");
    }
    static const uint8_t zero[32];
    struct identity identity = {
        .store_id = bytes_load_le64(in + OFFSET_STORE_ID),
        .chain_id = bytes_load_le64(in + OFFSET_CHAIN_ID),
        .has_genesis = memcmp(in + OFFSET_GENESIS, zero, 32) != 0,
    };
    memcpy(identity.genesis_hash, in + OFFSET_GENESIS, 32);
    if (identity.store_id == 0) {
        return error_set(detail, STOA_ECORRUPT, "STORE: store id is 0");
    }
    *out_identity = identity;
    return 0;
}

int identity_write(struct io *io, const char *path, const struct identity *identity,
                   struct error_detail *detail)
{
    uint8_t image[IDENTITY_SIZE];
    identity_encode(identity, image);
    return store_folder_write_file(io, path, bytes_of(image, sizeof(image)), detail);
}

int identity_read(struct io *io, const char *path, struct identity *out_identity,
                  struct error_detail *detail)
{
    uint8_t image[IDENTITY_SIZE + 1];
    struct io_request open = {.op = IO_OPEN, .path = path};
    int64_t file = io_wait(io, &open);
    if (file < 0) {
        return error_set_errno(detail, open.os_error, "open %s", path);
    }
    struct io_request read = {
        .op = IO_READ, .file = (int)file, .data = image, .size = sizeof(image)};
    int64_t size = io_wait(io, &read);
    struct io_request close = {.op = IO_CLOSE, .file = (int)file};
    (void)io_wait(io, &close); /* nothing was written */
    if (size < 0) {
        return error_set_errno(detail, read.os_error, "read %s", path);
    }
    if (size != IDENTITY_SIZE) {
        return error_set(detail, STOA_ECORRUPT, "%s: %lld bytes instead of %d", path,
                         (long long)size, IDENTITY_SIZE);
    }
    return identity_decode(image, out_identity, detail);
}
