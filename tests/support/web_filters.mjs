// SPDX-License-Identifier: GPL-3.0-or-later
// web_filters.mjs URL LIBRARY STORE FORK: a library that polls sees the daemon's head move and its branch change. It watches by
// the library's own means (ethers, viem) and by a filter of blocks, while blocks come in and the head goes to the other branch.
// STOA is the program stoa, STORE the daemon's store with the common blocks of the folder FORK and no more. Fails with what
// differs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";

const [url, library, store, fork] = process.argv.slice(2);
const load = createRequire(join(process.env.STOA_NODE_MODULES, "..", "any.js"));
const stoa = (...words) => execFileSync(process.env.STOA, ["-d", store, ...words], { encoding: "utf8" });
const show = (...words) => JSON.parse(stoa("--json", ...words));
const number = (value) => Number(BigInt(value));

// Until CONDITION holds, which is asked again and again; for a minute at most.
async function until(what, condition) {
    const end = Date.now() + 60000;
    while (!(await condition())) {
        assert.ok(Date.now() < end, `${what} did not come about`);
        await new Promise((done) => setTimeout(done, 50));
    }
}

// Each gives { changes(): hashes since it was last asked, block(height): { hash, parentHash }, heads: heights it was told of }.
const watchers = {
    async ethers() {
        const { JsonRpcProvider } = load("ethers");
        const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 });
        const heads = [];
        await provider.on("block", (height) => heads.push(height));
        await until("the first block of ethers' own polling", async () => (await provider.getBlockNumber()) >= 0);
        const filter = await provider.send("eth_newBlockFilter", []);
        return {
            heads,
            changes: () => provider.send("eth_getFilterChanges", [filter]),
            block: (height) => provider.getBlock(height),
        };
    },

    async viem() {
        const viem = load("viem");
        const client = viem.createPublicClient({ transport: viem.http(url), pollingInterval: 50, cacheTime: 0 });
        const heads = [];
        client.watchBlockNumber({ emitOnBegin: true, emitMissed: true, onBlockNumber: (height) => heads.push(Number(height)) });
        const filter = await client.createBlockFilter();
        return {
            heads,
            changes: () => client.getFilterChanges({ filter }),
            block: (height) => client.getBlock({ blockNumber: BigInt(height) }),
        };
    },

    async web3() {
        const { Web3 } = load("web3");
        const web3 = new Web3(url); // subscriptions want a socket: over HTTP there are filters
        const filter = await web3.requestManager.send({ method: "eth_newBlockFilter", params: [] });
        return {
            heads: null,
            changes: () => web3.requestManager.send({ method: "eth_getFilterChanges", params: [filter] }),
            block: (height) => web3.eth.getBlock(height),
        };
    },
};

const start = number(show("head").number);
const watcher = await watchers[library]();
if (watcher.heads !== null) {
    await until("the head as it was", () => watcher.heads.includes(start) || library === "ethers");
}
assert.deepEqual(await watcher.changes(), []);

// Blocks come.
stoa("import", `${fork}/fork-outdated.blocks`);
const first = show("head");
const heights = Array.from({ length: number(first.number) - start }, (_, i) => start + 1 + i);
assert.ok(heights.length > 0);
const hashesOf = () => heights.map((height) => show("header", String(height)).hash);
const before = hashesOf();
assert.deepEqual(await watcher.changes(), before);
assert.deepEqual(await watcher.changes(), []);
if (watcher.heads !== null) {
    await until("the new head", () => watcher.heads.includes(number(first.number)));
}
assert.equal((await watcher.block(number(first.number))).hash, first.hash);

// The head goes to the other branch.
stoa("import", "--side", `${fork}/fork-upgraded.blocks`);
assert.deepEqual(await watcher.changes(), []);
const other = show("branches").find((branch) => !branch.canonical).hash;
stoa("set-head", other);
const after = hashesOf();
assert.notDeepEqual(after, before);
const moved = heights.filter((_, i) => after[i] !== before[i]);
const changes = await watcher.changes();
assert.deepEqual(changes, after.filter((hash) => !before.includes(hash)));
assert.equal(changes.at(-1), other);
for (const height of moved) {
    const block = await watcher.block(height);
    assert.equal(block.hash, after[heights.indexOf(height)]);
    assert.equal(block.parentHash, (await watcher.block(height - 1)).hash);
}
console.log(`${library}: saw ${before.length} blocks come and ${changes.length} of another branch take their place`);
process.exit(0);
