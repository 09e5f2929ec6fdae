/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/rpc_config.h"

#include <stdlib.h>
#include <zlib.h>

#include "render/fees.h"
#include "render/wide.h"
#include "rpc/rpc_argument.h"
#include "rpc/rpc_block.h"
#include "rpc/rpc_private.h"

enum {
    FIELDS_CANCUN = 20,
    FORKS_MAX = 64,
    BLOB_GAS = 131072,
    BLOB_BASE_COST = 8192, /* gas of execution below whose price a blob does not go (EIP-7918) */
    ADDRESS_SIZE = 20,
};

/* Forks that come by time, the first of them first. */
enum fork { SHANGHAI, CANCUN, PRAGUE, OSAKA, BPO1, BPO2, BPO3, BPO4, BPO5, AMSTERDAM, FORKS };

static const struct {
    const char *member; /* of the config */
    const char *blobs;  /* of its blobSchedule */
} forks[FORKS] = {
    [SHANGHAI] = {"shanghaiTime", NULL}, [CANCUN] = {"cancunTime", "cancun"},
    [PRAGUE] = {"pragueTime", "prague"}, [OSAKA] = {"osakaTime", "osaka"},
    [BPO1] = {"bpo1Time", "bpo1"},       [BPO2] = {"bpo2Time", "bpo2"},
    [BPO3] = {"bpo3Time", "bpo3"},       [BPO4] = {"bpo4Time", "bpo4"},
    [BPO5] = {"bpo5Time", "bpo5"},       [AMSTERDAM] = {"amsterdamTime", "amsterdam"},
};

/* A whole number of the config. */
static bool number_of(const json_t *config, const char *member, uint64_t *out)
{
    const json_t *value = json_object_get(config, member);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    return text != NULL && rpc_argument_parse_quantity(text, out) == NULL;
}

bool rpc_config_london(struct rpc_call *call, uint64_t *out_height)
{
    return number_of(call->rpc->chain_config, "londonBlock", out_height);
}

/* The newest fork by time that is active at TIMESTAMP. FORKS: none. */
static enum fork newest_fork(const json_t *config, uint64_t timestamp)
{
    enum fork newest = FORKS;
    for (enum fork fork = SHANGHAI; fork < FORKS; fork++) {
        uint64_t since;
        if (number_of(config, forks[fork].member, &since) && since <= timestamp) {
            newest = fork;
        }
    }
    return newest;
}

/* ---- blobs ---- */

struct blobs {
    uint64_t target;
    uint64_t max;
    uint64_t fraction; /* baseFeeUpdateFraction */
};

/* What the config says of blobs from FORK on: that of the newest fork up to it that says so. */
static bool blobs_of_config(const json_t *config, enum fork fork, struct blobs *out)
{
    const json_t *schedule = json_object_get(config, "blobSchedule");
    for (int at = (int)(fork < FORKS ? fork : SHANGHAI); at >= CANCUN; at--) {
        const json_t *entry = json_object_get(schedule, forks[at].blobs);
        if (number_of(entry, "target", &out->target) && number_of(entry, "max", &out->max) &&
            number_of(entry, "baseFeeUpdateFraction", &out->fraction)) {
            return out->fraction != 0 && out->max != 0;
        }
    }
    return false;
}

/* Of the block of HEADER: as the config says, or Cancun's or Prague's. */
static struct blobs blobs_of(struct rpc_call *call, const struct header *header)
{
    const json_t *config = call->rpc->chain_config;
    struct blobs blobs;
    if (!blobs_of_config(config, newest_fork(config, header->timestamp), &blobs)) {
        bool prague = header->requests_hash != NULL;
        blobs = (struct blobs){
            .target = prague ? 6 : 3,
            .max = prague ? 9 : 6,
            .fraction = prague ? FEES_FRACTION_PRAGUE : FEES_FRACTION_CANCUN,
        };
    }
    return blobs;
}

bool rpc_config_blob_price(struct rpc_call *call, const struct header *header, uint8_t out[32])
{
    struct blobs blobs = blobs_of(call, header);
    return header->field_count >= FIELDS_CANCUN &&
           fees_blob_price_of(header->excess_blob_gas, blobs.fraction, out);
}

/* From Osaka on blobs get cheaper only down to what they cost in execution. */
static bool is_at_floor(struct rpc_call *call, const struct header *header)
{
    uint8_t price[32];
    const json_t *config = call->rpc->chain_config;
    enum fork fork = newest_fork(config, header->timestamp);
    if (fork == FORKS || fork < OSAKA || !rpc_config_blob_price(call, header, price)) {
        return false;
    }
    struct wide cost = wide_load(header->base_fee);
    struct wide blob = wide_load(price);
    return wide_multiply(&cost, BLOB_BASE_COST, &cost) && wide_multiply(&blob, BLOB_GAS, &blob) &&
           wide_compare(&cost, &blob) > 0;
}

void rpc_config_next_blob_price(struct rpc_call *call, const struct header *header, uint8_t out[32])
{
    memset(out, 0, 32);
    if (header->field_count < FIELDS_CANCUN) {
        return;
    }
    struct blobs blobs = blobs_of(call, header);
    uint64_t used = header->blob_gas_used;
    uint64_t target = blobs.target * BLOB_GAS;
    uint64_t excess = header->excess_blob_gas;
    if (excess > UINT64_MAX / 4 || used > UINT64_MAX / 4 / (blobs.max + 1)) {
        return; /* no chain has that */
    }
    if (excess + used < target) {
        excess = 0;
    } else if (blobs.max >= blobs.target && is_at_floor(call, header)) {
        excess += used * (blobs.max - blobs.target) / blobs.max;
    } else {
        excess += used - target;
    }
    if (!fees_blob_price_of(excess, blobs.fraction, out)) {
        memset(out, 0, 32);
    }
}

double rpc_config_blob_ratio(struct rpc_call *call, const struct header *header)
{
    struct blobs blobs = blobs_of(call, header);
    return header->field_count < FIELDS_CANCUN
               ? 0
               : (double)header->blob_gas_used / ((double)blobs.max * BLOB_GAS);
}

/* ---- eth_config ---- */

struct named_address {
    const char *name;
    enum fork since;
    const char *address;
};

static const struct named_address precompiles[] = {
    {"ECREC", SHANGHAI, "0x0000000000000000000000000000000000000001"},
    {"SHA256", SHANGHAI, "0x0000000000000000000000000000000000000002"},
    {"RIPEMD160", SHANGHAI, "0x0000000000000000000000000000000000000003"},
    {"ID", SHANGHAI, "0x0000000000000000000000000000000000000004"},
    {"MODEXP", SHANGHAI, "0x0000000000000000000000000000000000000005"},
    {"BN254_ADD", SHANGHAI, "0x0000000000000000000000000000000000000006"},
    {"BN254_MUL", SHANGHAI, "0x0000000000000000000000000000000000000007"},
    {"BN254_PAIRING", SHANGHAI, "0x0000000000000000000000000000000000000008"},
    {"BLAKE2F", SHANGHAI, "0x0000000000000000000000000000000000000009"},
    {"KZG_POINT_EVALUATION", CANCUN, "0x000000000000000000000000000000000000000a"},
    {"BLS12_G1ADD", PRAGUE, "0x000000000000000000000000000000000000000b"},
    {"BLS12_G1MSM", PRAGUE, "0x000000000000000000000000000000000000000c"},
    {"BLS12_G2ADD", PRAGUE, "0x000000000000000000000000000000000000000d"},
    {"BLS12_G2MSM", PRAGUE, "0x000000000000000000000000000000000000000e"},
    {"BLS12_PAIRING_CHECK", PRAGUE, "0x000000000000000000000000000000000000000f"},
    {"BLS12_MAP_FP_TO_G1", PRAGUE, "0x0000000000000000000000000000000000000010"},
    {"BLS12_MAP_FP2_TO_G2", PRAGUE, "0x0000000000000000000000000000000000000011"},
    {"P256VERIFY", OSAKA, "0x0000000000000000000000000000000000000100"},
};

static const struct named_address contracts[] = {
    {"BEACON_ROOTS_ADDRESS", CANCUN, "0x000f3df6d732807ef1319fb7b8bb8522d0beac02"},
    {"CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS", PRAGUE,
     "0x0000bbddc7ce488642fb579f8b00f3a590007251"},
    {"HISTORY_STORAGE_ADDRESS", PRAGUE, "0x0000f90827f1c53a10cb7a02335b175320002935"},
    {"WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", PRAGUE, "0x00000961ef480eb55e80d19ad83579a64c007002"},
};

static void write_addresses(struct json_writer *writer, const struct named_address *table,
                            size_t count, enum fork fork)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].since <= fork) {
            json_writer_text(writer, table[i].name, table[i].address);
        }
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint32_t add_to_checksum(uint32_t checksum, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[8];
        if (numbers[i] != 0 && (i == 0 || numbers[i] != numbers[i - 1])) {
            bytes_store_be64(bytes, numbers[i]);
            checksum = (uint32_t)crc32(checksum, bytes, sizeof(bytes));
        }
    }
    return checksum;
}

/* EIP-2124: the checksum of the genesis and of all forks that have passed at TIMESTAMP. Those by
 * height have all passed where one by time has. */
static uint32_t fork_id(const json_t *config, const struct rpc_header *genesis, uint64_t timestamp)
{
    uint64_t heights[FORKS_MAX] = {0};
    uint64_t times[FORKS_MAX] = {0};
    size_t height_count = 0;
    size_t time_count = 0;
    /* Only read; jansson iterates over what it may change. */
    json_t *members = (json_t *)(uintptr_t)config;
    const char *name;
    json_t *value;
    json_object_foreach(members, name, value)
    {
        size_t length = strlen(name);
        uint64_t number;
        if (length < 5 || !number_of(config, name, &number)) {
            continue;
        }
        if (strcmp(name + length - 5, "Block") == 0 && height_count < FORKS_MAX) {
            heights[height_count++] = number;
        } else if (strcmp(name + length - 4, "Time") == 0 && time_count < FORKS_MAX &&
                   number > genesis->header.timestamp && number <= timestamp) {
            times[time_count++] = number;
        }
    }
    qsort(heights, height_count, sizeof(*heights), compare_numbers);
    qsort(times, time_count, sizeof(*times), compare_numbers);
    uint32_t checksum = (uint32_t)crc32(0, genesis->stored.hash, sizeof(genesis->stored.hash));
    checksum = add_to_checksum(checksum, heights, height_count);
    return add_to_checksum(checksum, times, time_count);
}

/* What holds from FORK on, as the member KEY; null for none. */
static void write_fork(struct rpc_call *call, const char *key, enum fork fork,
                       const struct rpc_header *genesis)
{
    const json_t *config = call->rpc->chain_config;
    struct json_writer *writer = call->writer;
    uint64_t since = 0;
    uint64_t chain_id = 0;
    if (fork == FORKS || !number_of(config, forks[fork].member, &since)) {
        json_writer_null(writer, key);
        return;
    }
    json_writer_object_begin(writer, key);
    json_writer_number(writer, "activationTime", since <= genesis->header.timestamp ? 0 : since);
    struct blobs blobs;
    if (blobs_of_config(config, fork, &blobs)) {
        json_writer_object_begin(writer, "blobSchedule");
        json_writer_number(writer, "target", blobs.target);
        json_writer_number(writer, "max", blobs.max);
        json_writer_number(writer, "baseFeeUpdateFraction", blobs.fraction);
        json_writer_object_end(writer);
    } else {
        json_writer_null(writer, "blobSchedule");
    }
    (void)number_of(config, "chainId", &chain_id);
    json_writer_quantity(writer, "chainId", chain_id);
    uint8_t id[4];
    uint32_t checksum = fork_id(config, genesis, since);
    bytes_store_le32(id, __builtin_bswap32(checksum));
    json_writer_hex(writer, "forkId", id, sizeof(id));
    json_writer_object_begin(writer, "precompiles");
    write_addresses(writer, precompiles, sizeof(precompiles) / sizeof(*precompiles), fork);
    json_writer_object_end(writer);
    json_writer_object_begin(writer, "systemContracts");
    write_addresses(writer, contracts, sizeof(contracts) / sizeof(*contracts), fork);
    if (fork >= PRAGUE) {
        const char *deposit = json_string_value(json_object_get(config, "depositContractAddress"));
        uint8_t address[ADDRESS_SIZE] = {0};
        if (deposit != NULL) {
            (void)bytes_from_hex(deposit, strlen(deposit), address, sizeof(address));
        }
        json_writer_hex(writer, "DEPOSIT_CONTRACT_ADDRESS", address, sizeof(address));
    }
    json_writer_object_end(writer);
    json_writer_object_end(writer);
}

/* The first fork that comes after FORK, or the last of all. */
static enum fork following_fork(const json_t *config, enum fork fork, bool last)
{
    enum fork found = FORKS;
    for (enum fork at = fork < FORKS ? fork + 1 : SHANGHAI; at < FORKS; at++) {
        uint64_t since;
        if (number_of(config, forks[at].member, &since)) {
            found = at;
            if (!last) {
                return found;
            }
        }
    }
    return found;
}

int rpc_config_show(struct rpc_call *call)
{
    const json_t *config = call->rpc->chain_config;
    struct stoa_block_key first = {.by = STOA_BY_HEIGHT};
    struct stoa_block_key latest = {.by = STOA_LATEST};
    struct rpc_header genesis;
    struct rpc_header head;
    if (config == NULL) {
        return rpc_call_fail(call, RPC_FAILED,
                             "the config of the chain's genesis is not known to this store");
    }
    int result = rpc_block_get_header(call, &latest, &head);
    if (result == 0) {
        uint64_t timestamp = head.header.timestamp;
        stoa_release(head.stored.view);
        result = rpc_block_get_header(call, &first, &genesis);
        if (result == 0) {
            enum fork current = newest_fork(config, timestamp);
            json_writer_object_begin(call->writer, NULL);
            write_fork(call, "current", current, &genesis);
            write_fork(call, "next", following_fork(config, current, false), &genesis);
            write_fork(call, "last", following_fork(config, current, true), &genesis);
            json_writer_object_end(call->writer);
            stoa_release(genesis.stored.view);
        }
    }
    return result == STOA_ENOTFOUND ? rpc_call_fail(call, RPC_FAILED, "the store is empty")
                                    : result;
}
