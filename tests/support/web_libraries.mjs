// SPDX-License-Identifier: GPL-3.0-or-later
// web_libraries.mjs URL LIBRARY EXPECTED: what a library that programs use reads of a chain through JSON-RPC is what the chain's
// own files say. EXPECTED is a JSON file, see test_web_libraries.sh. Fails with what differs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, library, expectedFile] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(expectedFile, "utf8"));
const load = createRequire(join(process.env.STOA_NODE_MODULES, "..", "any.js"));
const number = (value) => Number(BigInt(value));
const lower = (value) => (value === null || value === undefined ? null : value.toLowerCase());

// Nodes of an EIP-1186 proof, root first, lead from ROOT to the value under the key's hash. KECCAK hashes hex, RLP decodes it.
function prove(root, key, nodes, keccak, rlp) {
    let path = keccak(key).slice(2);
    let wanted = root;
    for (const [index, node] of nodes.entries()) {
        assert.equal(keccak(node), wanted, `node ${index} of a proof`);
        const item = rlp(node);
        if (item.length === 17) {
            wanted = item[parseInt(path[0], 16)];
            path = path.slice(1);
            continue;
        }
        const encoded = item[0].slice(2);
        const odd = parseInt(encoded[0], 16) & 1;
        const leaf = parseInt(encoded[0], 16) & 2;
        const part = encoded.slice(odd ? 1 : 2);
        assert.ok(path.startsWith(part), "a path of a proof");
        path = path.slice(part.length);
        if (leaf) {
            assert.equal(path, "");
            return rlp(item[1]);
        }
        wanted = item[1];
    }
    assert.fail("a proof ends early");
}

function checkProof(proof, root, keccak, rlp) {
    const [nonce, balance, storage, code] = prove(root, proof.address, proof.accountProof, keccak, rlp);
    assert.equal(BigInt(nonce === "0x" ? 0 : nonce), BigInt(proof.nonce));
    assert.equal(BigInt(balance === "0x" ? 0 : balance), BigInt(proof.balance));
    assert.equal(storage, proof.storageHash);
    assert.equal(code, proof.codeHash);
}

const libraries = {
    async ethers() {
        const ethers = load("ethers");
        const provider = new ethers.JsonRpcProvider(url, undefined, { staticNetwork: false });
        assert.equal(await provider.getBlockNumber(), expected.head);
        assert.equal((await provider.getNetwork()).chainId, BigInt(expected.chainId));
        for (const block of expected.blocks) {
            const got = await provider.getBlock(block.number, true);
            assert.equal(got.hash, block.hash);
            assert.equal(got.stateRoot, block.stateRoot);
            assert.deepEqual(got.transactions, block.txs.map((tx) => tx.hash));
            for (const tx of block.txs) {
                assert.equal(lower((await provider.getTransaction(tx.hash)).from), tx.from);
                const receipt = await provider.getTransactionReceipt(tx.hash);
                assert.equal(receipt.blockHash, block.hash);
                assert.equal(lower(receipt.contractAddress), tx.created ?? null);
            }
        }
        const logs = await provider.getLogs({ fromBlock: 0, toBlock: "latest" });
        assert.equal(logs.length, expected.logs);
        for (const account of expected.accounts) {
            assert.equal(await provider.getBalance(account.address), BigInt(account.balance));
            assert.equal(await provider.getTransactionCount(account.address), number(account.nonce));
            const proof = await provider.send("eth_getProof", [account.address, [], "latest"]);
            checkProof(proof, expected.stateRoot, ethers.keccak256, ethers.decodeRlp);
        }
        await provider.getFeeData();
        provider.destroy();
    },

    async viem() {
        const viem = load("viem");
        const client = viem.createPublicClient({ transport: viem.http(url) });
        assert.equal(await client.getBlockNumber(), BigInt(expected.head));
        assert.equal(await client.getChainId(), expected.chainId);
        for (const block of expected.blocks) {
            const got = await client.getBlock({ blockNumber: BigInt(block.number), includeTransactions: true });
            assert.equal(got.hash, block.hash);
            assert.deepEqual(got.transactions.map((tx) => tx.hash), block.txs.map((tx) => tx.hash));
            assert.deepEqual(got.transactions.map((tx) => lower(tx.from)), block.txs.map((tx) => tx.from));
            for (const tx of block.txs) {
                const receipt = await client.getTransactionReceipt({ hash: tx.hash });
                assert.equal(receipt.blockHash, block.hash);
                assert.equal(lower(receipt.contractAddress), tx.created ?? null);
            }
        }
        const logs = await client.getLogs({ fromBlock: 0n, toBlock: "latest" });
        assert.equal(logs.length, expected.logs);
        for (const account of expected.accounts) {
            assert.equal(await client.getBalance({ address: account.address }), BigInt(account.balance));
            const proof = await client.getProof({ address: account.address, storageKeys: [] });
            checkProof(proof, expected.stateRoot, viem.keccak256, (hex) => viem.fromRlp(hex, "hex"));
        }
        const filter = await client.createBlockFilter();
        assert.deepEqual(await client.getFilterChanges({ filter }), []);
        assert.equal(await client.uninstallFilter({ filter }), true);
    },

    async web3() {
        const { Web3 } = load("web3");
        const web3 = new Web3(url);
        assert.equal(Number(await web3.eth.getBlockNumber()), expected.head);
        assert.equal(Number(await web3.eth.getChainId()), expected.chainId);
        for (const block of expected.blocks) {
            const got = await web3.eth.getBlock(block.number, true);
            assert.equal(got.hash, block.hash);
            assert.deepEqual((got.transactions ?? []).map((tx) => tx.hash), block.txs.map((tx) => tx.hash));
            for (const tx of block.txs) {
                assert.equal(lower((await web3.eth.getTransaction(tx.hash)).from), tx.from);
                const receipt = await web3.eth.getTransactionReceipt(tx.hash);
                assert.equal(receipt.blockHash, block.hash);
            }
        }
        assert.equal((await web3.eth.getPastLogs({ fromBlock: "0x0", toBlock: "latest" })).length, expected.logs);
        for (const account of expected.accounts) {
            assert.equal(await web3.eth.getBalance(account.address), BigInt(account.balance));
            const proof = await web3.eth.getProof(account.address, [], "latest");
            assert.equal(BigInt(proof.balance), BigInt(account.balance));
            assert.equal(web3.utils.keccak256(proof.accountProof[0]), expected.stateRoot);
        }
    },
};

await libraries[library]();
console.log(`${library}: ${expected.blocks.length} blocks, ${expected.accounts.length} accounts, ${expected.logs} logs`);
process.exit(0);
