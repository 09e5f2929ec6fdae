/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "made_signer.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "base/memory.h"
#include "chain/keccak.h"
#include "made_rlp.h"

struct made_signer {
    secp256k1_context *context;
    uint64_t chain_id;
    uint8_t keys[MADE_SIGNER_ACCOUNTS][32];
    uint8_t addresses[MADE_SIGNER_ACCOUNTS][20];
    uint64_t nonces[MADE_SIGNER_ACCOUNTS];
};

struct signature {
    uint8_t r[32];
    uint8_t s[32];
    unsigned parity;
};

static void derive_account(struct made_signer *signer, uint64_t seed, unsigned account)
{
    uint8_t material[24] = "made key";
    bytes_store_be64(material + 8, seed);
    bytes_store_be64(material + 16, account);
    keccak_256(material, sizeof(material), signer->keys[account]);
    ensure(secp256k1_ec_seckey_verify(signer->context, signer->keys[account]) == 1);

    secp256k1_pubkey public;
    uint8_t point[65];
    size_t size = sizeof(point);
    ensure(secp256k1_ec_pubkey_create(signer->context, &public, signer->keys[account]) == 1);
    ensure(secp256k1_ec_pubkey_serialize(signer->context, point, &size, &public,
                                         SECP256K1_EC_UNCOMPRESSED) == 1);
    uint8_t hash[32];
    keccak_256(point + 1, 64, hash);
    memcpy(signer->addresses[account], hash + 12, 20);
}

struct made_signer *made_signer_create(uint64_t seed, uint64_t chain_id)
{
    struct made_signer *signer = memory_alloc_zeroed(1, sizeof(*signer));
    ensure(signer != NULL);
    signer->chain_id = chain_id;
    signer->context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    ensure(signer->context != NULL);
    for (unsigned i = 0; i < MADE_SIGNER_ACCOUNTS; i++) {
        derive_account(signer, seed, i);
    }
    return signer;
}

void made_signer_destroy(struct made_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    secp256k1_context_destroy(signer->context);
    memory_free(signer);
}

const uint8_t *made_signer_address(const struct made_signer *signer, unsigned account)
{
    ensure(account < MADE_SIGNER_ACCOUNTS);
    return signer->addresses[account];
}

/* Sign the hash of PREFIX (a type byte, or -1 for none) and PAYLOAD as a list. */
static struct signature sign_list(const struct made_signer *signer, unsigned account, int prefix,
                                  const struct buffer *payload)
{
    struct buffer message;
    buffer_init(&message);
    if (prefix >= 0) {
        made_rlp_raw(&message, &(uint8_t){(uint8_t)prefix}, 1);
    }
    made_rlp_list(&message, payload);
    uint8_t hash[32];
    keccak_256(message.data, message.size, hash);
    buffer_deinit(&message);

    secp256k1_ecdsa_recoverable_signature recoverable;
    ensure(secp256k1_ecdsa_sign_recoverable(signer->context, &recoverable, hash,
                                            signer->keys[account], NULL, NULL) == 1);
    uint8_t compact[64];
    int parity = -1;
    ensure(secp256k1_ecdsa_recoverable_signature_serialize_compact(signer->context, compact,
                                                                   &parity, &recoverable) == 1);
    ensure(parity == 0 || parity == 1);
    struct signature signature = {.parity = (unsigned)parity};
    memcpy(signature.r, compact, 32);
    memcpy(signature.s, compact + 32, 32);
    return signature;
}

static void put_signature(struct buffer *out, uint64_t v, const struct signature *signature)
{
    made_rlp_uint(out, v);
    made_rlp_uint256(out, signature->r);
    made_rlp_uint256(out, signature->s);
}

static void put_access_list(struct buffer *out, struct made_random *random)
{
    struct buffer list, entry, keys;
    buffer_init(&list);
    buffer_init(&entry);
    buffer_init(&keys);
    for (uint64_t i = made_random_below(random, 3); i > 0; i--) {
        uint8_t bytes[32];
        buffer_clear(&entry);
        buffer_clear(&keys);
        made_random_fill(random, bytes, 20);
        made_rlp_string(&entry, bytes, 20);
        for (uint64_t j = made_random_below(random, 4); j > 0; j--) {
            made_random_fill(random, bytes, 32);
            made_rlp_string(&keys, bytes, 32);
        }
        made_rlp_list(&entry, &keys);
        made_rlp_list(&list, &entry);
    }
    made_rlp_list(out, &list);
    buffer_deinit(&keys);
    buffer_deinit(&entry);
    buffer_deinit(&list);
}

static void put_blob_hashes(struct buffer *out, unsigned count, struct made_random *random)
{
    struct buffer list;
    buffer_init(&list);
    for (unsigned i = 0; i < count; i++) {
        uint8_t hash[32];
        made_random_fill(random, hash, sizeof(hash));
        hash[0] = 1; /* version of a KZG commitment's hash */
        made_rlp_string(&list, hash, sizeof(hash));
    }
    made_rlp_list(out, &list);
    buffer_deinit(&list);
}

static void put_authorizations(struct made_signer *signer, struct buffer *out,
                               struct made_random *random)
{
    struct buffer list, entry;
    buffer_init(&list);
    buffer_init(&entry);
    for (uint64_t i = made_random_between(random, 1, 3); i > 0; i--) {
        unsigned account = (unsigned)made_random_below(random, MADE_SIGNER_ACCOUNTS);
        uint8_t address[20];
        made_random_fill(random, address, sizeof(address));
        buffer_clear(&entry);
        made_rlp_uint(&entry, signer->chain_id);
        made_rlp_string(&entry, address, sizeof(address));
        made_rlp_uint(&entry, signer->nonces[account]);
        struct signature signature = sign_list(signer, account, 5, &entry);
        put_signature(&entry, signature.parity, &signature);
        made_rlp_list(&list, &entry);
    }
    made_rlp_list(out, &list);
    buffer_deinit(&entry);
    buffer_deinit(&list);
}

static void put_fees(struct buffer *out, unsigned type, uint64_t base_fee,
                     struct made_random *random)
{
    uint64_t tip = made_random_between(random, 1, 2000000000);
    if (type >= 2) {
        made_rlp_uint(out, tip);
    }
    made_rlp_uint(out, base_fee + tip);
}

/* Recipient, value and input; types 3 and 4 cannot create a contract. */
static void put_call(struct buffer *out, struct made_random *random, struct made_signed *made)
{
    uint8_t address[20];
    made_random_fill(random, address, sizeof(address));
    made->creates = made->type < 3 && made_random_below(random, 8) == 0;
    made_rlp_string(out, address, made->creates ? 0 : sizeof(address));

    uint8_t value[32] = {0};
    if (made_random_below(random, 4) != 0) {
        made_random_fill(random, value + 22, made_random_below(random, 11));
    }
    made_rlp_uint256(out, value);

    uint8_t input[600];
    size_t size = made_random_below(random, 3) == 0 ? 0 : made_random_below(random, 260);
    size = made_random_below(random, 24) == 0 ? sizeof(input) : size;
    made_random_fill(random, input, size);
    made_rlp_string(out, input, size);
}

static void set_created(struct made_signed *made, uint64_t nonce)
{
    struct buffer payload, list;
    buffer_init(&payload);
    buffer_init(&list);
    made_rlp_string(&payload, made->sender, sizeof(made->sender));
    made_rlp_uint(&payload, nonce);
    made_rlp_list(&list, &payload);
    uint8_t hash[32];
    keccak_256(list.data, list.size, hash);
    memcpy(made->created, hash + 12, sizeof(made->created));
    buffer_deinit(&list);
    buffer_deinit(&payload);
}

/* Append the signature as KIND wants it. */
static void finish_payload(const struct made_signer *signer, unsigned account, enum made_kind kind,
                           unsigned type, struct buffer *payload)
{
    struct signature signature;
    if (kind == MADE_LEGACY) {
        size_t unsigned_size = payload->size;
        made_rlp_uint(payload, signer->chain_id);
        made_rlp_uint(payload, 0);
        made_rlp_uint(payload, 0);
        signature = sign_list(signer, account, -1, payload);
        payload->size = unsigned_size;
        put_signature(payload, signer->chain_id * 2 + 35 + signature.parity, &signature);
    } else if (kind == MADE_LEGACY_OLD) {
        signature = sign_list(signer, account, -1, payload);
        put_signature(payload, 27 + signature.parity, &signature);
    } else {
        signature = sign_list(signer, account, (int)type, payload);
        put_signature(payload, signature.parity, &signature);
    }
}

void made_signer_sign(struct made_signer *signer, enum made_kind kind, uint64_t base_fee,
                      struct made_random *random, struct made_signed *out)
{
    static const unsigned types[MADE_KIND_COUNT] = {0, 0, 1, 2, 3, 4};
    ensure(kind < MADE_KIND_COUNT);
    unsigned account = (unsigned)made_random_below(random, MADE_SIGNER_ACCOUNTS);
    uint64_t nonce = signer->nonces[account]++;
    *out = (struct made_signed){.type = types[kind]};
    memcpy(out->sender, signer->addresses[account], sizeof(out->sender));

    struct buffer payload;
    buffer_init(&payload);
    if (out->type > 0) {
        made_rlp_uint(&payload, signer->chain_id);
    }
    made_rlp_uint(&payload, nonce);
    put_fees(&payload, out->type, base_fee, random);
    made_rlp_uint(&payload, made_random_between(random, 600000, 900000));
    put_call(&payload, random, out);
    if (out->type > 0) {
        put_access_list(&payload, random);
    }
    if (kind == MADE_BLOB) {
        out->blob_count = (unsigned)made_random_between(random, 1, 2);
        made_rlp_uint(&payload, made_random_between(random, 1, 100));
        put_blob_hashes(&payload, out->blob_count, random);
    }
    if (kind == MADE_SET_CODE) {
        put_authorizations(signer, &payload, random);
    }
    finish_payload(signer, account, kind, out->type, &payload);

    buffer_init(&out->envelope);
    if (out->type > 0) {
        made_rlp_raw(&out->envelope, &(uint8_t){(uint8_t)out->type}, 1);
    }
    made_rlp_list(&out->envelope, &payload);
    buffer_deinit(&payload);
    keccak_256(out->envelope.data, out->envelope.size, out->hash);
    if (out->creates) {
        set_created(out, nonce);
    }
}
