#!/usr/bin/env node
// SPDX-License-Identifier: GPL-3.0-or-later
// A client of stoad in JavaScript alone: the protocol of stoa-protocol(7) over its Unix socket.
//
//     const stoa = await Client.connect('/var/lib/stoa/stoad.sock');
//     await stoa.storeBlock(blockRlp);
//     console.log(await stoa.getHead());
//
// Run as a program it copies a chain: stoa_client.js SOCKET FILE stores the blocks of a file as geth exports it, and reads
// each back.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');

const REPLY = 1;
const MORE = 2;
const TYPE = {
    storeBlock: 1, getBlock: 2, getBlockByHeight: 3, getBlockRange: 4, updateState: 7, getState: 8, getTransaction: 20,
    getHead: 22, hello: 512, welcome: 515, ping: 516, goodbye: 518,
};
const ENOTFOUND = -4;

class StoaError extends Error {
    constructor(code, text) {
        super(`${text} (${code})`);
        this.code = code;
    }
}

const crcTable = new Uint32Array(256).map((_, n) => {
    for (let bit = 0; bit < 8; bit++) {
        n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    }
    return n;
});

function crc32(bytes) {
    let crc = 0xffffffff;
    for (let i = 0; i < bytes.length; i++) {
        crc = (crc >>> 8) ^ crcTable[(crc ^ bytes[i]) & 0xff];
    }
    return (crc ^ 0xffffffff) >>> 0;
}

// ---- RLP: an item is a Buffer or an array of items ----

function bigEndian(value) {
    let hex = BigInt(value).toString(16);
    hex = hex === '0' ? '' : hex;
    return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
}

function prefix(base, size) {
    if (size < 56) {
        return Buffer.from([base + size]);
    }
    const digits = bigEndian(size);
    return Buffer.concat([Buffer.from([base + 55 + digits.length]), digits]);
}

function encode(item) {
    if (Array.isArray(item)) {
        const body = Buffer.concat(item.map(encode));
        return Buffer.concat([prefix(0xc0, body.length), body]);
    }
    if (typeof item === 'number' || typeof item === 'bigint') {
        item = bigEndian(item);
    } else if (typeof item === 'string') {
        item = Buffer.from(item);
    }
    return item.length === 1 && item[0] < 0x80 ? item : Buffer.concat([prefix(0x80, item.length), item]);
}

// Where the item at AT begins and ends without its prefix, and whether it is a list.
function span(data, at) {
    const first = data[at];
    if (first < 0x80) {
        return [at, at + 1, false];
    }
    const base = first >= 0xc0 ? 0xc0 : 0x80;
    let size = first - base;
    at += 1;
    if (size > 55) {
        const digits = size - 55;
        size = data.readUIntBE(at, digits);
        at += digits;
    }
    return [at, at + size, base === 0xc0];
}

function decode(data, at = 0) {
    let [begin, end, isList] = span(data, at);
    if (!isList) {
        return [data.subarray(begin, end), end];
    }
    const items = [];
    while (begin < end) {
        const [item, next] = decode(data, begin);
        items.push(item);
        begin = next;
    }
    return [items, end];
}

const number = (item) => (item.length === 0 ? 0 : Number(BigInt(`0x${item.toString('hex')}`)));
const optional = (value) => (value === undefined || value === null ? [] : [value]);

// ---- the connection ----

class Client {
    static connect(path) {
        return new Promise((resolve, reject) => {
            const client = new Client();
            client.socket = net.connect(path);
            client.pending = new Map();
            client.nextId = 1n;
            client.received = [];
            client.receivedSize = 0;
            client.socket.on('error', (error) => client.fail(error, reject));
            client.socket.on('close', () => client.fail(new StoaError(-19, 'the connection was closed'), reject));
            client.socket.on('data', (data) => client.take(data));
            client.welcomed = resolve;
            client.send(TYPE.hello, 0n, [1, 1, 0, crypto.randomBytes(32), 'stoa_client.js']);
        });
    }

    fail(error, reject) {
        reject(error);
        for (const waiting of this.pending.values()) {
            waiting.reject(error);
        }
        this.pending.clear();
    }

    close() {
        this.socket.destroy();
    }

    send(type, id, items, flags = 0) {
        const payload = items === null ? Buffer.alloc(0) : encode(items);
        const header = Buffer.alloc(32);
        header.writeUInt32LE(payload.length, 0);
        header.writeUInt16LE(type, 4);
        header.writeUInt8(flags, 6);
        header.writeBigUInt64LE(id, 8);
        header.writeUInt32LE(crc32(payload), 20);
        header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
        this.socket.write(Buffer.concat([header, payload]));
    }

    take(data) {
        this.received.push(data);
        this.receivedSize += data.length;
        if (this.receivedSize < (this.wanted || 32)) {
            return; // else a large frame would be copied again with each piece of it
        }
        let all = this.received.length === 1 ? data : Buffer.concat(this.received);
        this.wanted = 32;
        while (all.length >= 32) {
            const size = all.readUInt32LE(0);
            if (all.length < 32 + size) {
                this.wanted = 32 + size;
                break;
            }
            const header = all.subarray(0, 32);
            const payload = all.subarray(32, 32 + size);
            if (crc32(header.subarray(0, 28)) !== header.readUInt32LE(28) || crc32(payload) !== header.readUInt32LE(20)) {
                this.socket.destroy(new StoaError(-8, 'a frame was changed on its way'));
                return;
            }
            this.frame(header, payload);
            all = all.subarray(32 + size);
        }
        this.received = [all];
        this.receivedSize = all.length;
    }

    frame(header, payload) {
        const type = header.readUInt16LE(4);
        const flags = header.readUInt8(6);
        const id = header.readBigUInt64LE(8);
        if (type === TYPE.ping) {
            if (!(flags & REPLY)) {
                this.send(TYPE.ping, id, null, REPLY);
            }
            return;
        }
        if (type === TYPE.welcome) {
            const [welcome] = decode(payload);
            this.role = number(welcome[2]);
            this.welcomed(this);
            return;
        }
        if (type === TYPE.goodbye) {
            const [[code, text]] = decode(payload);
            this.socket.destroy(new StoaError(number(code) | 0, text.toString()));
            return;
        }
        const waiting = this.pending.get(id);
        if (waiting === undefined) {
            return;
        }
        const [reply] = decode(payload);
        if (flags & MORE) {
            waiting.parts.push(...reply);
            return;
        }
        this.pending.delete(id);
        const result = header.readInt32LE(16);
        if (result !== 0) {
            waiting.reject(new StoaError(result, reply[2].length ? reply[2][1].toString() : 'failed'));
            return;
        }
        if (waiting.parts.length) {
            reply[5] = waiting.parts.concat(reply[5]);
        }
        waiting.resolve(reply);
    }

    // [effect, tries, detail, hash, height, body]. Any number may be under way.
    call(type, items) {
        return new Promise((resolve, reject) => {
            const id = this.nextId++;
            this.pending.set(id, { resolve, reject, parts: [] });
            this.send(type, id, items);
        });
    }

    // ---- calls ----

    async storeBlock(block, receipts) {
        return (await this.call(TYPE.storeBlock, [[block, optional(receipts), [], [], [], [], [], 0, 0]]))[3];
    }

    static block(item) {
        const [hash, height, difficulty, canonical, block, receipts, senders] = item;
        return {
            hash, height: number(height), totalDifficulty: number(difficulty), canonical: number(canonical) === 1, block,
            receipts: receipts[0], senders: senders[0],
        };
    }

    async getBlock(key) {
        const byHash = Buffer.isBuffer(key);
        const items = byHash ? [1, 0, key] : [0, key, Buffer.alloc(0)];
        return Client.block((await this.call(byHash ? TYPE.getBlock : TYPE.getBlockByHeight, items))[5]);
    }

    async getRange(first, count) {
        return (await this.call(TYPE.getBlockRange, [first, count]))[5].map(Client.block);
    }

    async getState(key) {
        return (await this.call(TYPE.getState, [key]))[5];
    }

    async putState(changes) {
        await this.call(TYPE.updateState, [changes.map(([key, value]) => [key, optional(value)])]);
    }

    async getHead() {
        const head = (await this.call(TYPE.getHead, []))[5];
        return number(head[0]) ? null : { height: number(head[1]), hash: head[2], genesis: head[4] };
    }
}

function expect(condition, text) {
    if (!condition) {
        throw new StoaError(0, text);
    }
}

async function main(path, file) {
    const data = fs.readFileSync(file);
    const blocks = [];
    for (let at = 0; at < data.length;) {
        const end = span(data, at)[1];
        blocks.push(data.subarray(at, end));
        at = end;
    }
    const stoa = await Client.connect(path);
    const before = await stoa.getHead();
    const first = before === null ? 0 : before.height + 1;
    for (let i = 0; i < blocks.length; i += 64) {
        await Promise.all(blocks.slice(i, i + 64).map((block) => stoa.storeBlock(block)));
    }
    const head = await stoa.getHead();
    expect(head.height === first + blocks.length - 1, `the head is ${head.height}`);
    for (let i = 0; i < blocks.length; i += 100) {
        const range = await stoa.getRange(first + i, Math.min(100, blocks.length - i));
        expect(range.length === Math.min(100, blocks.length - i), 'a range is short');
        range.forEach((one, j) => expect(one.block.equals(blocks[i + j]), `block ${first + i + j} differs`));
    }
    expect((await stoa.getBlock(head.hash)).block.equals(blocks[blocks.length - 1]), 'by hash');
    await stoa.putState([[Buffer.from('node'), Buffer.from('was here')], [Buffer.from('empty'), Buffer.alloc(0)]]);
    expect((await stoa.getState(Buffer.from('node'))).toString() === 'was here', 'state');
    const absent = await stoa.getBlock(head.height + 1).catch((error) => error.code);
    expect(absent === ENOTFOUND, 'a block that is not there');
    console.log(`stored and read back ${blocks.length} blocks, the head is ${head.height} 0x${head.hash.toString('hex')}`);
    stoa.close();
}

module.exports = { Client, StoaError };
if (require.main === module) {
    if (process.argv.length !== 4) {
        console.error('usage: stoa_client.js SOCKET FILE');
        process.exit(2);
    }
    main(process.argv[2], process.argv[3]).then(() => process.exit(0), (error) => {
        console.error(`stoa_client.js: ${error.message}`);
        process.exit(1);
    });
}
