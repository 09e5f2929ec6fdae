/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state of real chains through stoa.h: at the head and at any height, against a replay of the
 * changes, before and after reopening. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/memory.h"
#include "chain/genesis.h"
#include "chain/keccak.h"
#include "chain/rlp.h"
#include "stoa.h"
#include "stoa/execution_state.h"
#include "support/chain_data.h"
#include "support/fixture.h"
#include "support/state_lines.h"

enum { PATH_SIZE = 256, HEIGHTS = 100, BLOCKS_MAX = 600 };

/* What a height made of an account or slot. */
struct version {
    uint64_t height;
    bool slot;
    bool there;
    uint8_t address[20];
    uint8_t number[32];
    uint8_t value[32]; /* of a slot */
    struct stoa_account account;
};

struct rig {
    char base[PATH_SIZE];
    char directory[PATH_SIZE];
    struct stoa *stoa;
    struct buffer versions; /* struct version, by height */
    uint64_t head;
};

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void rig_open(struct rig *rig)
{
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail;
    if (stoa_open(rig->directory, &options, &rig->stoa, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
}

static void rig_close(struct rig *rig)
{
    assert_int_equal(stoa_close(rig->stoa, NULL), 0);
    rig->stoa = NULL;
}

static void rig_create(struct rig *rig, struct bytes genesis)
{
    struct stoa_create_options options = STOA_CREATE_OPTIONS_INIT;
    const char *temporary = getenv("TMPDIR");
    memset(rig, 0, sizeof(*rig));
    snprintf(rig->base, sizeof(rig->base), "%s/stoa-state-XXXXXX",
             temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(rig->base));
    snprintf(rig->directory, sizeof(rig->directory), "%.240s/store", rig->base);
    options.genesis_json = (const char *)genesis.data; /* NULL: block 0 is stored like others */
    options.genesis_json_size = genesis.size;
    assert_int_equal(stoa_create(rig->directory, &options, NULL), 0);
    rig_open(rig);
}

static void rig_remove(struct rig *rig)
{
    if (rig->stoa != NULL) {
        rig_close(rig);
    }
    buffer_deinit(&rig->versions);
    assert_int_equal(nftw(rig->base, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- the model ---- */

static void note(struct rig *rig, const struct version *version)
{
    assert_int_equal(buffer_append(&rig->versions, version, sizeof(*version)), 0);
}

static void note_genesis(struct rig *rig, const struct genesis *genesis)
{
    for (size_t i = 0; i < genesis->account_count; i++) {
        const struct genesis_account *from = &genesis->accounts[i];
        struct version version = {.there = true};
        memcpy(version.address, from->address, 20);
        version.account.nonce = from->nonce;
        memcpy(version.account.balance, from->balance, 32);
        keccak_256(from->code.data, from->code.size, version.account.code_hash);
        note(rig, &version);
        version.slot = true;
        for (size_t j = 0; j < from->slot_count; j++) {
            memcpy(version.number, from->slots[j].key, 32);
            memcpy(version.value, from->slots[j].value, 32);
            note(rig, &version);
        }
    }
}

static void note_changes(struct rig *rig, const struct stoa_store_block *put, uint64_t height)
{
    for (size_t i = 0; i < put->account_count; i++) {
        const struct stoa_account_change *from = &put->accounts[i];
        struct version version = {
            .height = height,
            .there = (from->flags & STOA_ACCOUNT_REMOVED) == 0,
            .account = {.nonce = from->nonce},
        };
        memcpy(version.address, from->address, 20);
        memcpy(version.account.balance, from->balance, 32);
        memcpy(version.account.code_hash, from->code_hash, 32);
        note(rig, &version);
    }
    for (size_t i = 0; i < put->slot_count; i++) {
        struct version version = {.height = height, .slot = true, .there = true};
        memcpy(version.address, put->slots[i].address, 20);
        memcpy(version.number, put->slots[i].slot, 32);
        memcpy(version.value, put->slots[i].value, 32);
        note(rig, &version);
    }
}

/* The account's storage was emptied between two heights. */
static bool wiped_between(const struct version *versions, size_t count, const struct version *slot,
                          uint64_t until)
{
    for (size_t i = 0; i < count; i++) {
        if (!versions[i].slot && !versions[i].there && versions[i].height > slot->height &&
            versions[i].height <= until && memcmp(versions[i].address, slot->address, 20) == 0) {
            return true;
        }
    }
    return false;
}

static void check_one(struct rig *rig, const struct version *wanted, uint64_t height, bool wiped)
{
    struct stoa_state_query query = {.height = height == rig->head ? STOA_AT_HEAD : height};
    struct stoa_detail detail = {.code = 0};
    memcpy(query.address, wanted->address, 20);
    memcpy(query.slot, wanted->number, 32);
    if (wanted->slot) {
        static const uint8_t zero[32];
        uint8_t value[32];
        if (stoa_get_storage(rig->stoa, &query, value, &detail) != 0) {
            fail_msg("%s", detail.text);
        }
        assert_memory_equal(value, wiped ? zero : wanted->value, 32);
        return;
    }
    struct stoa_account account;
    int result = stoa_get_account(rig->stoa, &query, &account, &detail);
    if (result != (wanted->there ? 0 : STOA_ENOTFOUND)) {
        fail_msg("%d %s", result, detail.text);
    }
    if (wanted->there) {
        assert_int_equal(account.nonce, wanted->account.nonce);
        assert_memory_equal(account.balance, wanted->account.balance, 32);
        assert_memory_equal(account.code_hash, wanted->account.code_hash, 32);
    }
}

/* Everything that was ever changed, as of HEIGHT. */
static void check_height(struct rig *rig, uint64_t height)
{
    const struct version *versions = (const void *)rig->versions.data;
    size_t count = rig->versions.size / sizeof(*versions);
    for (size_t i = 0; i < count; i++) {
        const struct version *version = &versions[i];
        if (version->height > height) {
            break;
        }
        bool newest = true;
        for (size_t j = i + 1; newest && j < count && versions[j].height <= height; j++) {
            newest = versions[j].slot != version->slot ||
                     memcmp(versions[j].address, version->address, 20) != 0 ||
                     memcmp(versions[j].number, version->number, 32) != 0;
        }
        if (newest) {
            check_one(rig, version, height,
                      version->slot && wiped_between(versions, count, version, height));
        }
    }
}

static uint64_t state_hits(struct rig *rig)
{
    struct stoa_cache_stats stats = STOA_CACHE_STATS_INIT;
    assert_int_equal(stoa_get_cache_stats(rig->stoa, &stats), 0);
    const struct stoa_cache_class_stats *of = &stats.classes[STOA_CACHE_STATE];
    uint64_t hits = 0;
    for (size_t i = 0; i < sizeof(of->hits) / sizeof(of->hits[0]); i++) {
        hits += of->hits[i];
    }
    return hits;
}

static size_t newest_count(struct rig *rig)
{
    const struct version *versions = (const void *)rig->versions.data;
    size_t count = rig->versions.size / sizeof(*versions);
    size_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        bool again = false;
        for (size_t j = i + 1; !again && j < count; j++) {
            again = versions[j].slot == versions[i].slot &&
                    memcmp(versions[j].address, versions[i].address, 20) == 0 &&
                    memcmp(versions[j].number, versions[i].number, 32) == 0;
        }
        newest += !again;
    }
    return newest;
}

/* What was read once is then read in place, and is the same. */
static void check_head_again(struct rig *rig)
{
    check_height(rig, rig->head);
    uint64_t hits = state_hits(rig);
    check_height(rig, rig->head);
    assert_true(state_hits(rig) >= hits + newest_count(rig));
}

static void check_heights(struct rig *rig, uint64_t *random, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check_height(rig, fixture_random_below(random, rig->head + 1));
    }
    check_head_again(rig);
}

/* ---- chains ---- */

static void load(const char *chain, const char *name, struct buffer *out)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "chains/%s/%s", chain, name);
    assert_true(fixture_load_data(path, out));
}

static void create_with_genesis(struct rig *rig, const char *chain)
{
    struct buffer text;
    struct genesis genesis;
    load(chain, "genesis.json", &text);
    assert_int_equal(genesis_parse(buffer_bytes(&text), &genesis, NULL), 0);
    rig_create(rig, buffer_bytes(&text));
    note_genesis(rig, &genesis);
    genesis_deinit(&genesis);
    buffer_deinit(&text);
}

/* Store the next blocks, at most COUNT, with their state but for the one at height WITHOUT. */
static void store_blocks(struct rig *rig, struct bytes *blocks, struct bytes *lines, uint64_t count,
                         uint64_t without)
{
    struct bytes item;
    struct execution_state state = {.given = false};
    while (count-- > 0 && chain_data_next_item(blocks, &item)) {
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        struct stoa_detail detail = {.code = 0};
        json_t *line = state_lines_next(lines);
        assert_non_null(line);
        assert_int_equal(execution_state_read(line, &state, NULL), 0);
        json_decref(line);
        put.block = (struct stoa_bytes){item.data, item.size};
        put.skip = STOA_SKIP_SENDERS;
        rig->head++;
        if (rig->head != without) {
            execution_state_fill(&state, &put);
            note_changes(rig, &put, rig->head);
        }
        if (stoa_store_block(rig->stoa, &put, &detail) != 0) {
            fail_msg("block %llu: %s", (unsigned long long)rig->head, detail.text);
        }
    }
    execution_state_deinit(&state);
}

static void check_chain(const char *chain, uint64_t *random)
{
    struct rig rig;
    struct buffer blocks;
    struct buffer lines;
    create_with_genesis(&rig, chain);
    check_height(&rig, 0);
    load(chain, "chain.rlp", &blocks);
    load(chain, "execution.jsonl", &lines);
    struct bytes blocks_left = buffer_bytes(&blocks);
    struct bytes lines_left = buffer_bytes(&lines);
    store_blocks(&rig, &blocks_left, &lines_left, 7, UINT64_MAX);
    check_heights(&rig, random, 4);
    assert_int_equal(stoa_checkpoint(rig.stoa, NULL), 0);
    store_blocks(&rig, &blocks_left, &lines_left, 150, UINT64_MAX);
    check_heights(&rig, random, 4);
    rig_close(&rig);
    rig_open(&rig);
    check_heights(&rig, random, rig.head < 50 ? HEIGHTS : 6);
    rig_remove(&rig);
    buffer_deinit(&blocks);
    buffer_deinit(&lines);
}

static bool data_is_there(void)
{
    struct buffer text;
    if (!fixture_load_data("chains/eapi-2023-07/genesis.json", &text)) {
        return false;
    }
    buffer_deinit(&text);
    return true;
}

static void the_state_of_real_chains_is_known_at_every_height(void **context)
{
    (void)context;
    uint64_t random = fixture_seed();
    for (size_t i = 0; data_is_there() && state_lines_chains[i] != NULL; i++) {
        check_chain(state_lines_chains[i], &random);
    }
}

static void number_of(const char *text, uint8_t *out, size_t size)
{
    char padded[80] = "0";
    assert_non_null(text);
    size_t length = strlen(text + 2);
    memcpy(padded + length % 2, text + 2, length + 1);
    uint8_t bytes[32];
    ptrdiff_t got = bytes_from_hex(padded, length + length % 2, bytes, size);
    assert_true(got >= 0);
    memset(out, 0, size);
    memcpy(out + size - (size_t)got, bytes, (size_t)got);
}

/* NUMBER in decimal. */
static void decimal_of(const uint8_t number[32], char out[80])
{
    uint8_t left[32];
    char digits[80];
    size_t count = 0;
    bool more = true;
    memcpy(left, number, 32);
    while (more) {
        unsigned rest = 0;
        more = false;
        for (size_t i = 0; i < 32; i++) {
            unsigned value = rest << 8 | left[i];
            left[i] = (uint8_t)(value / 10);
            rest = value % 10;
            more = more || left[i] != 0;
        }
        digits[count++] = (char)('0' + rest);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    out[count] = '\0';
}

static void check_head_code(struct rig *rig, const uint8_t hash[32], const char *code)
{
    struct stoa_state_query query = {.height = STOA_AT_HEAD};
    struct stoa_bytes found;
    memcpy(query.slot, hash, 32);
    assert_int_equal(stoa_get_code(rig->stoa, &query, &found, NULL), 0);
    char *hex = malloc(2 * found.size + 1);
    assert_non_null(hex);
    bytes_to_hex(found.data, found.size, hex);
    assert_string_equal(hex, code + 2);
    free(hex);
    stoa_free((void *)(uintptr_t)found.data);
}

static void check_head_account(struct rig *rig, const char *address, json_t *wanted)
{
    struct stoa_state_query query = {.height = STOA_AT_HEAD};
    struct stoa_account account;
    char balance[80];
    uint8_t hash[32];
    const char *slot;
    json_t *value;
    number_of(address, query.address, 20);
    assert_int_equal(stoa_get_account(rig->stoa, &query, &account, NULL), 0);
    decimal_of(account.balance, balance);
    assert_string_equal(balance, json_string_value(json_object_get(wanted, "balance")));
    assert_int_equal(account.nonce, json_integer_value(json_object_get(wanted, "nonce")));
    number_of(json_string_value(json_object_get(wanted, "codeHash")), hash, 32);
    assert_memory_equal(account.code_hash, hash, 32);
    json_object_foreach(json_object_get(wanted, "storage"), slot, value)
    {
        char text[80];
        uint8_t expected[32];
        uint8_t found[32];
        snprintf(text, sizeof(text), "0x%s", json_string_value(value));
        number_of(text, expected, 32);
        number_of(slot, query.slot, 32);
        assert_int_equal(stoa_get_storage(rig->stoa, &query, found, NULL), 0);
        assert_memory_equal(found, expected, 32);
    }
    const char *code = json_string_value(json_object_get(wanted, "code"));
    if (code != NULL && strlen(code) > 2) {
        check_head_code(rig, hash, code);
    }
}

static void the_head_state_of_a_real_chain_is_as_others_have_it(void **context)
{
    (void)context;
    struct rig rig;
    struct buffer blocks;
    struct buffer lines;
    struct buffer text;
    const char *address;
    json_t *wanted;
    if (!data_is_there()) {
        return;
    }
    create_with_genesis(&rig, "ethtest-2023-12");
    load("ethtest-2023-12", "chain.rlp", &blocks);
    load("ethtest-2023-12", "execution.jsonl", &lines);
    load("ethtest-2023-12", "headstate.json", &text);
    struct bytes blocks_left = buffer_bytes(&blocks);
    struct bytes lines_left = buffer_bytes(&lines);
    store_blocks(&rig, &blocks_left, &lines_left, BLOCKS_MAX, UINT64_MAX);
    json_t *state = json_loadb((const char *)text.data, text.size, 0, NULL);
    json_t *accounts = json_object_get(state, "accounts");
    assert_true(json_object_size(accounts) > 100);
    json_object_foreach(accounts, address, wanted)
    {
        check_head_account(&rig, address, wanted);
    }
    json_decref(state);
    rig_remove(&rig);
    buffer_deinit(&blocks);
    buffer_deinit(&lines);
    buffer_deinit(&text);
}

/* ---- branches ---- */

enum { BRANCH_BLOCKS_MAX = 64 };

struct branch_block {
    uint8_t hash[32];
    uint8_t parent[32];
    uint64_t number;
    uint8_t root[32];
    struct buffer versions;
};

struct branches {
    struct rig rig;
    struct branch_block blocks[BRANCH_BLOCKS_MAX];
    size_t count;
    uint8_t roots[BRANCH_BLOCKS_MAX][32]; /* of the chain, by height */
};

static json_t *as_changes(json_t *pre)
{
    json_t *accounts = json_object();
    json_t *storage = json_object();
    json_t *codes = json_object();
    const char *address;
    json_t *account;
    json_object_foreach(pre, address, account)
    {
        struct buffer code = {.data = NULL};
        uint8_t hash[32];
        char text[67] = "0x";
        chain_data_hex(account, "code", &code);
        keccak_256(code.data, code.size, hash);
        bytes_to_hex(hash, 32, text + 2);
        json_object_set_new(accounts, address,
                            json_pack("{sOsOss}", "nonce", json_object_get(account, "nonce"),
                                      "balance", json_object_get(account, "balance"), "codeHash",
                                      text));
        json_object_set(storage, address, json_object_get(account, "storage"));
        if (code.size > 0) {
            json_object_set(codes, text, json_object_get(account, "code"));
        }
        buffer_deinit(&code);
    }
    return json_pack("{sososo}", "accounts", accounts, "storage", storage, "codes", codes);
}

static struct branch_block *find_block(struct branches *branches, const uint8_t hash[32])
{
    for (size_t i = 0; i < branches->count; i++) {
        if (memcmp(branches->blocks[i].hash, hash, 32) == 0) {
            return &branches->blocks[i];
        }
    }
    return NULL;
}

/* Store a block beside the chain, and then make it the head where it has the highest difficulty. */
static bool store_branch_block(struct branches *branches, struct bytes encoding,
                               const json_t *changes, uint64_t number)
{
    struct rig *rig = &branches->rig;
    struct execution_state state = {.given = false};
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct stoa_detail detail = {.code = 0};
    struct branch_block *block = &branches->blocks[branches->count++];
    struct bytes cursor = encoding;
    struct bytes fields;
    struct rlp_item header;
    const uint8_t *parent;
    assert_true(branches->count <= BRANCH_BLOCKS_MAX);
    memset(block, 0, sizeof(*block));
    assert_int_equal(execution_state_read(changes, &state, NULL), 0);
    execution_state_fill(&state, &put);
    put.block = (struct stoa_bytes){encoding.data, encoding.size};
    put.skip = STOA_SKIP_SENDERS;
    put.flags |= number == 0 ? 0 : STOA_STORE_SIDE;
    assert_int_equal(rlp_read_list(&cursor, &fields, NULL), 0);
    assert_int_equal(rlp_read(&fields, &header, NULL), 0);
    keccak_256(header.encoding.data, header.encoding.size, block->hash);
    assert_int_equal(rlp_read_fixed(&header.payload, 32, &parent, NULL), 0);
    memcpy(block->parent, parent, 32);
    for (unsigned i = 0; i < 2; i++) {
        struct rlp_item passed_over;
        assert_int_equal(rlp_read(&header.payload, &passed_over, NULL), 0);
    }
    const uint8_t *root;
    assert_int_equal(rlp_read_fixed(&header.payload, 32, &root, NULL), 0);
    memcpy(block->root, root, 32);
    block->number = number;
    struct buffer kept = rig->versions;
    rig->versions = (struct buffer){.data = NULL};
    note_changes(rig, &put, number);
    block->versions = rig->versions;
    rig->versions = kept;
    if (stoa_store_block(rig->stoa, &put, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    execution_state_deinit(&state);
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    struct stoa_block stored;
    struct stoa_head head;
    memcpy(key.hash, block->hash, 32);
    assert_int_equal(stoa_get_block(rig->stoa, &key, &stored, NULL), 0);
    assert_int_equal(stoa_get_head(rig->stoa, &head), 0);
    bool wins = memcmp(stored.total_difficulty, head.total_difficulty, 32) > 0;
    stoa_release(stored.view);
    if (wins && stoa_update_head(rig->stoa, block->hash, &detail) != 0) {
        fail_msg("%s", detail.text);
    }
    return wins || number == 0;
}

/* The model becomes that of the branch of the newest block. */
static void follow_branch(struct branches *branches)
{
    const struct branch_block *chain[BRANCH_BLOCKS_MAX];
    size_t count = 0;
    struct branch_block *block = &branches->blocks[branches->count - 1];
    branches->rig.head = block->number;
    for (; block != NULL; block = find_block(branches, block->parent)) {
        chain[count++] = block;
        memcpy(branches->roots[block->number], block->root, 32);
    }
    buffer_clear(&branches->rig.versions);
    while (count > 0) {
        const struct buffer *versions = &chain[--count]->versions;
        assert_int_equal(buffer_append(&branches->rig.versions, versions->data, versions->size), 0);
    }
}

/* What other branches have and this one has not is not there. */
static void check_absent(struct branches *branches)
{
    const struct version *ours = (const void *)branches->rig.versions.data;
    size_t count = branches->rig.versions.size / sizeof(*ours);
    for (size_t i = 0; i < branches->count; i++) {
        const struct version *theirs = (const void *)branches->blocks[i].versions.data;
        for (size_t j = 0; j < branches->blocks[i].versions.size / sizeof(*theirs); j++) {
            bool known = false;
            for (size_t k = 0; k < count && !known; k++) {
                known = ours[k].slot == theirs[j].slot &&
                        memcmp(ours[k].address, theirs[j].address, 20) == 0 &&
                        memcmp(ours[k].number, theirs[j].number, 32) == 0;
            }
            struct version absent = theirs[j];
            absent.there = false;
            if (!known) {
                check_one(&branches->rig, &absent, branches->rig.head, true);
            }
        }
    }
}

static void check_branch(struct branches *branches)
{
    for (uint64_t height = 0; height <= branches->rig.head; height++) {
        uint8_t root[32];
        check_height(&branches->rig, height);
        assert_int_equal(stoa_get_state_root(branches->rig.stoa, height, root, NULL), 0);
        assert_memory_equal(root, branches->roots[height], 32);
    }
    check_absent(branches);
}

static void end_test(struct branches *branches)
{
    if (branches->count == 0) {
        return;
    }
    rig_close(&branches->rig);
    rig_open(&branches->rig);
    check_branch(branches);
    for (size_t i = 0; i < branches->count; i++) {
        buffer_deinit(&branches->blocks[i].versions);
    }
    branches->count = 0;
    rig_remove(&branches->rig);
}

static void the_state_follows_the_head_across_branches(void **context)
{
    (void)context;
    static struct branches branches;
    struct buffer text;
    struct buffer encoding = {.data = NULL};
    uint64_t random = fixture_seed();
    json_t *line;
    unsigned switches = 0;
    if (!fixture_load_data("reorg/multi-chain.jsonl", &text)) {
        return;
    }
    struct bytes cursor = buffer_bytes(&text);
    while ((line = state_lines_next(&cursor)) != NULL) {
        json_t *changes = NULL;
        uint64_t number = 0;
        if (json_object_get(line, "genesisRLP") != NULL) {
            end_test(&branches);
            rig_create(&branches.rig, bytes_of(NULL, 0));
            chain_data_hex(line, "genesisRLP", &encoding);
            changes = as_changes(json_object_get(line, "pre"));
        } else {
            chain_data_hex(line, "rlp", &encoding);
            number = (uint64_t)json_integer_value(json_object_get(line, "number"));
        }
        if (store_branch_block(&branches, buffer_bytes(&encoding), changes == NULL ? line : changes,
                               number)) {
            follow_branch(&branches);
            switches++;
        }
        if (fixture_random_below(&random, 3) == 0) {
            assert_int_equal(stoa_checkpoint(branches.rig.stoa, NULL), 0);
        }
        check_branch(&branches);
        json_decref(changes);
        json_decref(line);
    }
    end_test(&branches);
    assert_true(switches > 60);
    buffer_deinit(&encoding);
    buffer_deinit(&text);
}

static void from_a_block_without_on_the_state_is_not_known(void **context)
{
    (void)context;
    struct rig rig;
    struct buffer blocks;
    struct buffer lines;
    if (!data_is_there()) {
        return;
    }
    create_with_genesis(&rig, "eapi-2024-01");
    load("eapi-2024-01", "chain.rlp", &blocks);
    load("eapi-2024-01", "execution.jsonl", &lines);
    struct bytes blocks_left = buffer_bytes(&blocks);
    struct bytes lines_left = buffer_bytes(&lines);
    store_blocks(&rig, &blocks_left, &lines_left, 12, 6);
    const struct version *first = (const void *)rig.versions.data;
    struct stoa_state_query query = {.height = STOA_AT_HEAD};
    struct stoa_account account;
    struct stoa_detail detail;
    memcpy(query.address, first->address, 20);
    for (unsigned round = 0; round < 2; round++) {
        query.height = STOA_AT_HEAD;
        assert_int_equal(stoa_get_account(rig.stoa, &query, &account, &detail), STOA_ENOTSUP);
        assert_non_null(strstr(detail.text, "block 6"));
        for (query.height = 0; query.height < 6; query.height++) {
            assert_int_equal(stoa_get_account(rig.stoa, &query, &account, &detail), 0);
        }
        query.height = 6;
        assert_int_equal(stoa_get_account(rig.stoa, &query, &account, &detail), STOA_ENOTSUP);
        query.height = 13;
        assert_int_equal(stoa_get_account(rig.stoa, &query, &account, &detail), STOA_ENOTFOUND);
        assert_non_null(strstr(detail.text, "not that high"));
        rig_close(&rig);
        rig_open(&rig);
    }
    rig_remove(&rig);
    buffer_deinit(&blocks);
    buffer_deinit(&lines);
}

/* KIND of HEIGHT is refused, and what is kept is named. */
static void check_too_old(const char *kind, int result, const struct stoa_detail *detail)
{
    char kept[80];
    assert_int_equal(result, STOA_EPRUNED);
    snprintf(kept, sizeof(kept), "%s of height 9 are not kept any more: those of 16 to 80 are",
             kind);
    assert_non_null(strstr(detail->text, kept));
}

static void what_is_not_kept_is_refused_and_the_window_named(void **context)
{
    (void)context;
    struct rig rig;
    struct buffer blocks;
    struct buffer lines;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct stoa_detail detail;
    if (!data_is_there()) {
        return;
    }
    create_with_genesis(&rig, "ethtest-2023-12");
    rig_close(&rig);
    options.history_blocks = 64;
    options.trie_history_blocks = 64;
    assert_int_equal(stoa_open(rig.directory, &options, &rig.stoa, &detail), 0);
    load("ethtest-2023-12", "chain.rlp", &blocks);
    load("ethtest-2023-12", "execution.jsonl", &lines);
    struct bytes blocks_left = buffer_bytes(&blocks);
    struct bytes lines_left = buffer_bytes(&lines);
    store_blocks(&rig, &blocks_left, &lines_left, 80, 0);
    const struct version *first = (const void *)rig.versions.data;
    struct stoa_state_query query = {.height = 9};
    struct stoa_proof_query proof_query = {.height = 9};
    struct stoa_account account;
    struct stoa_proof *proof;
    uint8_t value[32];
    memcpy(query.address, first->address, 20);
    memcpy(proof_query.address, first->address, 20);
    check_too_old("values", stoa_get_account(rig.stoa, &query, &account, &detail), &detail);
    check_too_old("values", stoa_get_storage(rig.stoa, &query, value, &detail), &detail);
    check_too_old("the state's tries", stoa_get_proof(rig.stoa, &proof_query, &proof, &detail),
                  &detail);
    check_height(&rig, 16);
    check_head_again(&rig);
    proof_query.height = 16;
    assert_int_equal(stoa_get_proof(rig.stoa, &proof_query, &proof, &detail), 0);
    stoa_free(proof);
    rig_remove(&rig);
    buffer_deinit(&blocks);
    buffer_deinit(&lines);
}

static void what_is_given_wrongly_is_refused(void **context)
{
    (void)context;
    struct rig rig;
    struct buffer blocks;
    if (!data_is_there()) {
        return;
    }
    create_with_genesis(&rig, "eapi-2024-01");
    load("eapi-2024-01", "chain.rlp", &blocks);
    struct bytes left = buffer_bytes(&blocks);
    struct bytes item;
    assert_true(chain_data_next_item(&left, &item));
    struct stoa_account_change account = {.flags = 0};
    struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
    struct stoa_detail detail;
    put.block = (struct stoa_bytes){item.data, item.size};
    put.accounts = &account;
    put.account_count = 1;
    assert_int_equal(stoa_store_block(rig.stoa, &put, &detail), STOA_EINVAL); /* without STATE */
    assert_non_null(strstr(detail.text, "accounts"));
    put.flags = STOA_STORE_STATE;
    account.flags = 1U << 7;
    assert_int_equal(stoa_store_block(rig.stoa, &put, &detail), STOA_EINVAL);
    assert_non_null(strstr(detail.text, "accounts[0].flags"));
    put.accounts = NULL;
    assert_int_equal(stoa_store_block(rig.stoa, &put, &detail), STOA_EINVAL);
    assert_int_equal(stoa_get_account(rig.stoa, NULL, NULL, &detail), STOA_EINVAL);
    rig_remove(&rig);
    buffer_deinit(&blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_of_real_chains_is_known_at_every_height),
        cmocka_unit_test(the_head_state_of_a_real_chain_is_as_others_have_it),
        cmocka_unit_test(the_state_follows_the_head_across_branches),
        cmocka_unit_test(from_a_block_without_on_the_state_is_not_known),
        cmocka_unit_test(what_is_not_kept_is_refused_and_the_window_named),
        cmocka_unit_test(what_is_given_wrongly_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
