/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is accepted as a genesis yields a block 0 that our own decoder accepts. */
#include "base/ensure.h"
#include "chain/block.h"
#include "chain/genesis.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct genesis genesis;
    struct error_detail detail = {.code = 0};
    int result = genesis_parse(bytes_of(data, size), &genesis, &detail);
    if (result != 0) {
        ensure(result == STOA_EINVAL);
        ensure(detail.code == STOA_EINVAL);
        ensure(detail.text[0] != '\0');
        return 0;
    }
    struct block block;
    result = block_decode(buffer_bytes(&genesis.block), &block, &detail);
    ensure(result == 0);
    ensure(memcmp(block.hash, genesis.hash, sizeof(block.hash)) == 0);
    ensure(memcmp(block.header.state_root, genesis.state_root, sizeof(genesis.state_root)) == 0);
    ensure(block.header.number == 0);
    ensure(block.transaction_count == 0);
    int roots = block_check_transactions_root(&block, &detail);
    ensure(roots == 0);
    roots = block_check_uncles_hash(&block, &detail);
    ensure(roots == 0);
    if (block.has_withdrawals) {
        roots = block_check_withdrawals_root(&block, &detail);
        ensure(roots == 0);
    }
    genesis_deinit(&genesis);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const seeds[] = {
        "{\"gasLimit\":\"0x1388\",\"difficulty\":\"0x400\",\"alloc\":{}}",
        "{\"config\":{\"chainId\":1,\"londonBlock\":0,\"shanghaiTime\":0,\"cancunTime\":0,"
        "\"pragueTime\":0,\"terminalTotalDifficulty\":58750000000000000000000},\"nonce\":\"0x42\","
        "\"timestamp\":\"0x5\",\"extraData\":\"0x1234\",\"gasLimit\":30000000,\"difficulty\":1,"
        "\"mixHash\":\"0x0000000000000000000000000000000000000000000000000000000000000000\","
        "\"coinbase\":\"0x0000000000000000000000000000000000000000\",\"number\":\"0x0\","
        "\"baseFeePerGas\":null,\"blobGasUsed\":\"0x1\",\"excessBlobGas\":2,\"alloc\":{}}",
        "{\"gasLimit\":1,\"difficulty\":\"12345678901234567890\",\"alloc\":{"
        "\"00000000000000000000000000000000000000aa\":{\"balance\":\"0xde0b6b3a7640000\"},"
        "\"0x00000000000000000000000000000000000000ab\":{\"balance\":\"1000000000000000000\","
        "\"nonce\":\"0x1\",\"code\":\"0x60016002\",\"storage\":{\"0x01\":\"0x02\",\"0x0a\":"
        "\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}}}}",
    };
    if (index >= sizeof(seeds) / sizeof(seeds[0])) {
        return false;
    }
    return buffer_append(out, seeds[index], strlen(seeds[index])) == 0;
}
