/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input: the body of a JSON-RPC request, asked of a store with a made chain. Whatever it is, the
 * answer is JSON (or nothing), stays near its bounds, and each call in it has a result or an error
 * and not both. */
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ensure.h"
#include "fuzz/fuzz.h"
#include "rpc/rpc.h"
#include "rpc/rpc_method.h"
#include "stoa.h"
#include "support/made_chain.h"

enum { BLOCKS = 24, ANSWER_MAX = 1 << 16, BATCH_MAX = 16, SLACK = 1 << 16 };

static char base[64];
static struct stoa *stoa;
static struct rpc *rpc;

static uint64_t now_ms(void *context)
{
    uint64_t *now = context;
    return ++*now;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void clean_up(void)
{
    rpc_destroy(rpc);
    int closed = stoa_close(stoa, NULL);
    ensure(closed == 0);
    (void)nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* else it stays in /tmp */
}

static void open_once(void)
{
    static uint64_t clock;
    static const char config[] =
        "{\"chainId\":20221,\"londonBlock\":3,\"shanghaiTime\":100,\"cancunTime\":200,"
        "\"blobSchedule\":{\"cancun\":{\"target\":3,\"max\":6,\"baseFeeUpdateFraction\":3338477}}}";
    if (rpc != NULL) {
        return;
    }
    char directory[96];
    struct stoa_create_options create = STOA_CREATE_OPTIONS_INIT;
    struct stoa_options options = STOA_OPTIONS_INIT;
    struct made_chain *chain = made_chain_create(5, BLOCKS);
    struct bytes json = made_chain_genesis_json(chain);
    snprintf(base, sizeof(base), "/tmp/stoa-fuzz-rpc-XXXXXX");
    ensure(mkdtemp(base) != NULL);
    snprintf(directory, sizeof(directory), "%s/store", base);
    create.genesis_json = (const char *)json.data;
    create.genesis_json_size = json.size;
    int result = stoa_create(directory, &create, NULL);
    ensure(result == 0);
    options.io = STOA_IO_THREADS;
    result = stoa_open(directory, &options, &stoa, NULL);
    ensure(result == 0);
    for (uint64_t number = 1; number <= BLOCKS; number++) {
        const struct made_block *block = made_chain_block(chain, number);
        struct stoa_store_block put = STOA_STORE_BLOCK_INIT;
        put.block = (struct stoa_bytes){block->block.data, block->block.size};
        put.receipts = (struct stoa_bytes){block->receipts.data, block->receipts.size};
        result = stoa_store_block(stoa, &put, NULL);
        ensure(result == 0);
    }
    made_chain_destroy(chain);
    struct rpc_options wanted = {
        .stoa = stoa,
        .chain_config = bytes_of(config, sizeof(config) - 1),
        .answer_max = ANSWER_MAX,
        .batch_max = BATCH_MAX,
        .filters_max = 8,
        .now_ms = now_ms,
        .now_context = &clock,
    };
    result = rpc_create(&wanted, &rpc, NULL);
    ensure(result == 0);
    (void)atexit(clean_up); /* else it is left to the end of the process */
}

static void check_answer(const json_t *answer)
{
    ensure(json_is_object(answer));
    ensure(json_object_get(answer, "id") != NULL);
    bool good = json_object_get(answer, "result") != NULL;
    bool bad = json_object_get(answer, "error") != NULL;
    ensure(good != bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out;
    open_once();
    buffer_init(&out);
    int result = rpc_answer(rpc, bytes_of(data, size), &out);
    ensure(result == 0);
    ensure(out.size <= ANSWER_MAX + SLACK + 2 * size);
    if (out.size > 0) {
        json_t *answer = json_loadb((const char *)out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
        ensure(answer != NULL);
        if (json_is_array(answer)) {
            ensure(json_array_size(answer) <= BATCH_MAX);
            for (size_t i = 0; i < json_array_size(answer); i++) {
                check_answer(json_array_get(answer, i));
            }
        } else {
            check_answer(answer);
        }
        json_decref(answer);
    }
    buffer_deinit(&out);
    return 0;
}

static void append(struct buffer *out, const char *text)
{
    int result = buffer_append(out, text, strlen(text));
    ensure(result == 0);
}

/* A request for each method, with arguments that suit one or another. */
bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const params[] = {
        "[\"0x5\",true]",
        "[\"0x0000000000000000000000000000000000000000000000000000000000000005\",\"0x0\"]",
        "[\"0x00000000000000000000000000000000000000aa\",\"latest\",\"0x3\"]",
        "[{\"fromBlock\":\"0x1\",\"toBlock\":\"0x9\",\"address\":[],\"topics\":[null,[]]}]",
        "[\"0x4\",\"latest\",[10,50.5]]",
    };
    enum { PARAMS = sizeof(params) / sizeof(*params) };
    const struct rpc_method *method = rpc_method_at(index / PARAMS);
    if (method == NULL) {
        return false;
    }
    append(out, index % 7 == 0 ? "[" : "");
    append(out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"");
    append(out, method->name);
    append(out, "\",\"params\":");
    append(out, params[index % PARAMS]);
    append(out, "}");
    append(out, index % 7 == 0
                    ? ",{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"eth_blockNumber\"}]"
                    : "");
    return true;
}
