/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "made_genesis.h"

#include <stdio.h>

#include "chain/keccak.h"
#include "chain/trie.h"
#include "made_chain.h"
#include "made_rlp.h"

enum {
    GENESIS_TIME = 1438269988,
    BLOCK_SECONDS = 12,
    GENESIS_DIFFICULTY = 131072,
    GENESIS_GAS_LIMIT = 30000000,
    SLOT_COUNT = 3,
    ACCOUNT_COUNT = MADE_SIGNER_ACCOUNTS + 2,
};

/* Keccak-256 of an empty RLP list: no uncles. */
static void set_no_uncles(uint8_t out[32])
{
    keccak_256("\xc0", 1, out);
}

static uint64_t difficulty_of(uint64_t number)
{
    return number >= MADE_FORK_MERGE ? 0 : GENESIS_DIFFICULTY + number * 64;
}

bool made_header_has_base_fee(uint64_t number)
{
    return number >= MADE_FORK_LONDON;
}

void made_header_init(struct made_header *header, uint64_t number, struct made_random *random)
{
    *header = (struct made_header){
        .number = number,
        .timestamp = GENESIS_TIME + number * BLOCK_SECONDS,
        .difficulty = difficulty_of(number),
    };
    set_no_uncles(header->uncles_hash);
    made_random_fill(random, header->beneficiary, sizeof(header->beneficiary));
    made_random_fill(random, header->state_root, sizeof(header->state_root));
    memcpy(header->transactions_root, trie_empty_root, 32);
    memcpy(header->receipts_root, trie_empty_root, 32);
    memcpy(header->withdrawals_root, trie_empty_root, 32);
    header->extra_size = made_random_below(random, sizeof(header->extra) + 1);
    made_random_fill(random, header->extra, header->extra_size);
    made_random_fill(random, header->mix_hash, sizeof(header->mix_hash));
    if (number < MADE_FORK_MERGE) {
        made_random_fill(random, header->nonce, sizeof(header->nonce));
    }
    made_random_fill(random, header->parent_beacon_root, sizeof(header->parent_beacon_root));
}

/* What London and later forks append. */
static void put_later_fields(const struct made_header *header, struct buffer *out)
{
    /* SHA-256 of nothing: a block without requests. */
    static const uint8_t no_requests[32] = {
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
        0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
        0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    };
    if (made_header_has_base_fee(header->number)) {
        made_rlp_uint(out, header->base_fee);
    }
    if (header->number >= MADE_FORK_SHANGHAI) {
        made_rlp_string(out, header->withdrawals_root, 32);
    }
    if (header->number >= MADE_FORK_CANCUN) {
        made_rlp_uint(out, header->blob_gas_used);
        made_rlp_uint(out, header->excess_blob_gas);
        made_rlp_string(out, header->parent_beacon_root, 32);
    }
    if (header->number >= MADE_FORK_PRAGUE) {
        made_rlp_string(out, no_requests, 32);
    }
}

void made_header_encode(const struct made_header *header, struct buffer *out, uint8_t out_hash[32])
{
    struct buffer payload;
    buffer_init(&payload);
    made_rlp_string(&payload, header->parent_hash, 32);
    made_rlp_string(&payload, header->uncles_hash, 32);
    made_rlp_string(&payload, header->beneficiary, 20);
    made_rlp_string(&payload, header->state_root, 32);
    made_rlp_string(&payload, header->transactions_root, 32);
    made_rlp_string(&payload, header->receipts_root, 32);
    made_rlp_string(&payload, header->bloom, 256);
    made_rlp_uint(&payload, header->difficulty);
    made_rlp_uint(&payload, header->number);
    made_rlp_uint(&payload, header->gas_limit);
    made_rlp_uint(&payload, header->gas_used);
    made_rlp_uint(&payload, header->timestamp);
    made_rlp_string(&payload, header->extra, header->extra_size);
    made_rlp_string(&payload, header->mix_hash, 32);
    made_rlp_string(&payload, header->nonce, 8);
    put_later_fields(header, &payload);
    size_t before = out->size;
    made_rlp_list(out, &payload);
    keccak_256(out->data + before, out->size - before, out_hash);
    buffer_deinit(&payload);
}

/* ---- the genesis ---- */

struct slot {
    uint8_t key[32];
    uint8_t value[32];
};

struct account {
    uint8_t address[20];
    uint64_t nonce;
    uint64_t balance;
    const uint8_t *code;
    size_t code_size;
    struct slot slots[SLOT_COUNT];
    size_t slot_count;
};

/* PUSH1 42, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN. */
static const uint8_t contract_code[] = {0x60, 0x2a, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3};

static void make_accounts(uint64_t seed, const struct made_signer *signer,
                          struct account accounts[ACCOUNT_COUNT])
{
    struct made_random random = made_random_of(seed, 0);
    memset(accounts, 0, ACCOUNT_COUNT * sizeof(*accounts));
    for (unsigned i = 0; i < MADE_SIGNER_ACCOUNTS; i++) {
        memcpy(accounts[i].address, made_signer_address(signer, i), 20);
        accounts[i].balance = UINT64_C(10000000000000000000) + i;
    }
    struct account *plain = &accounts[MADE_SIGNER_ACCOUNTS];
    made_random_fill(&random, plain->address, 20);
    plain->nonce = 7;
    plain->balance = 1;
    struct account *contract = &accounts[MADE_SIGNER_ACCOUNTS + 1];
    made_random_fill(&random, contract->address, 20);
    contract->nonce = 1;
    contract->code = contract_code;
    contract->code_size = sizeof(contract_code);
    contract->slot_count = SLOT_COUNT;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        contract->slots[i].key[31] = (uint8_t)i;
        made_random_fill(&random, contract->slots[i].value + (i * 10), 32 - i * 10);
        contract->slots[i].value[31] |= 1; /* never zero */
    }
}

static void storage_root(const struct account *account, uint8_t out[32])
{
    struct trie_pair pairs[SLOT_COUNT];
    struct buffer values[SLOT_COUNT];
    for (size_t i = 0; i < account->slot_count; i++) {
        buffer_init(&values[i]);
        made_rlp_uint256(&values[i], account->slots[i].value);
        pairs[i].key = bytes_of(account->slots[i].key, 32);
        pairs[i].value = buffer_bytes(&values[i]);
    }
    ensure(trie_secure_root(pairs, account->slot_count, out) == 0);
    for (size_t i = 0; i < account->slot_count; i++) {
        buffer_deinit(&values[i]);
    }
}

static void encode_account(const struct account *account, struct buffer *out)
{
    uint8_t root[32], code_hash[32];
    storage_root(account, root);
    keccak_256(account->code, account->code_size, code_hash);
    struct buffer payload;
    buffer_init(&payload);
    made_rlp_uint(&payload, account->nonce);
    made_rlp_uint(&payload, account->balance);
    made_rlp_string(&payload, root, 32);
    made_rlp_string(&payload, code_hash, 32);
    buffer_init(out);
    made_rlp_list(out, &payload);
    buffer_deinit(&payload);
}

static void state_root(const struct account accounts[ACCOUNT_COUNT], uint8_t out[32])
{
    struct trie_pair pairs[ACCOUNT_COUNT];
    struct buffer values[ACCOUNT_COUNT];
    for (size_t i = 0; i < ACCOUNT_COUNT; i++) {
        encode_account(&accounts[i], &values[i]);
        pairs[i].key = bytes_of(accounts[i].address, 20);
        pairs[i].value = buffer_bytes(&values[i]);
    }
    ensure(trie_secure_root(pairs, ACCOUNT_COUNT, out) == 0);
    for (size_t i = 0; i < ACCOUNT_COUNT; i++) {
        buffer_deinit(&values[i]);
    }
}

static void put_config(struct buffer *out)
{
    uint64_t total_difficulty = 0;
    for (uint64_t i = 0; i < MADE_FORK_MERGE; i++) {
        total_difficulty += difficulty_of(i);
    }
    ensure(buffer_append_format(
               out,
               "  \"config\": {\n    \"chainId\": %d,\n    \"homesteadBlock\": %d,\n"
               "    \"eip150Block\": %d,\n    \"eip155Block\": %d,\n    \"eip158Block\": %d,\n"
               "    \"byzantiumBlock\": %d,\n    \"constantinopleBlock\": %d,\n"
               "    \"petersburgBlock\": %d,\n    \"istanbulBlock\": %d,\n"
               "    \"berlinBlock\": %d,\n    \"londonBlock\": %d,\n"
               "    \"mergeNetsplitBlock\": %d,\n    \"terminalTotalDifficulty\": %llu,\n",
               MADE_CHAIN_ID, MADE_FORK_HOMESTEAD, MADE_FORK_TANGERINE, MADE_FORK_SPURIOUS,
               MADE_FORK_SPURIOUS, MADE_FORK_BYZANTIUM, MADE_FORK_ISTANBUL, MADE_FORK_ISTANBUL,
               MADE_FORK_ISTANBUL, MADE_FORK_BERLIN, MADE_FORK_LONDON, MADE_FORK_MERGE,
               (unsigned long long)total_difficulty) == 0);
    ensure(buffer_append_format(
               out,
               "    \"shanghaiTime\": %d,\n    \"cancunTime\": %d,\n    \"pragueTime\": %d,\n"
               "    \"blobSchedule\": {\n"
               "      \"cancun\": {\"target\": 3, \"max\": 6, \"baseFeeUpdateFraction\": "
               "3338477},\n"
               "      \"prague\": {\"target\": 6, \"max\": 9, \"baseFeeUpdateFraction\": "
               "5007716}\n    },\n    \"ethash\": {}\n  },\n",
               GENESIS_TIME + MADE_FORK_SHANGHAI * BLOCK_SECONDS,
               GENESIS_TIME + MADE_FORK_CANCUN * BLOCK_SECONDS,
               GENESIS_TIME + MADE_FORK_PRAGUE * BLOCK_SECONDS) == 0);
}

static void put_account(const struct account *account, bool last, struct buffer *out)
{
    char hex[65];
    bytes_to_hex(account->address, 20, hex);
    ensure(buffer_append_format(out, "    \"%s\": {\"balance\": \"0x%llx\"", hex,
                                (unsigned long long)account->balance) == 0);
    if (account->nonce > 0) {
        ensure(buffer_append_format(out, ", \"nonce\": \"0x%llx\"",
                                    (unsigned long long)account->nonce) == 0);
    }
    if (account->code_size > 0) {
        ensure(account->code_size <= 32);
        bytes_to_hex(account->code, account->code_size, hex);
        ensure(buffer_append_format(out, ", \"code\": \"0x%s\"", hex) == 0);
    }
    for (size_t i = 0; i < account->slot_count; i++) {
        bytes_to_hex(account->slots[i].key, 32, hex);
        ensure(buffer_append_format(out, "%s\"0x%s\": ", i == 0 ? ", \"storage\": {" : ", ", hex) ==
               0);
        bytes_to_hex(account->slots[i].value, 32, hex);
        ensure(buffer_append_format(out, "\"0x%s\"%s", hex,
                                    i + 1 == account->slot_count ? "}" : "") == 0);
    }
    ensure(buffer_append_format(out, "}%s\n", last ? "" : ",") == 0);
}

static void put_json(const struct made_header *header, const struct account accounts[ACCOUNT_COUNT],
                     struct buffer *out)
{
    char extra[65], mix[65], beneficiary[41], nonce[17];
    bytes_to_hex(header->extra, header->extra_size, extra);
    bytes_to_hex(header->mix_hash, 32, mix);
    bytes_to_hex(header->beneficiary, 20, beneficiary);
    bytes_to_hex(header->nonce, 8, nonce);
    made_rlp_raw(out, "{\n", 2);
    put_config(out);
    ensure(buffer_append_format(
               out,
               "  \"nonce\": \"0x%s\",\n  \"timestamp\": \"0x%llx\",\n  \"extraData\": \"0x%s\",\n"
               "  \"gasLimit\": \"0x%llx\",\n  \"difficulty\": \"0x%llx\",\n"
               "  \"mixHash\": \"0x%s\",\n  \"coinbase\": \"0x%s\",\n  \"alloc\": {\n",
               nonce, (unsigned long long)header->timestamp, extra,
               (unsigned long long)header->gas_limit, (unsigned long long)header->difficulty, mix,
               beneficiary) == 0);
    for (unsigned i = 0; i < ACCOUNT_COUNT; i++) {
        put_account(&accounts[i], i + 1 == ACCOUNT_COUNT, out);
    }
    made_rlp_raw(out, "  }\n}\n", 6);
}

void made_genesis(uint64_t seed, const struct made_signer *signer, struct buffer *out_json,
                  uint8_t out_hash[32])
{
    struct account accounts[ACCOUNT_COUNT];
    make_accounts(seed, signer, accounts);
    struct made_header header;
    struct made_random random = made_random_of(seed, UINT64_MAX);
    made_header_init(&header, 0, &random);
    header.gas_limit = GENESIS_GAS_LIMIT;
    header.nonce[0] |= 1;
    state_root(accounts, header.state_root);
    struct buffer encoding;
    buffer_init(&encoding);
    made_header_encode(&header, &encoding, out_hash);
    buffer_deinit(&encoding);
    put_json(&header, accounts, out_json);
}
