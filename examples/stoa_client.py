#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of stoad in Python alone: the protocol of stoa-protocol(7) over its Unix socket.

    with Client("/var/lib/stoa/stoad.sock") as stoa:
        stoa.store_block(block_rlp, receipts_rlp)
        print(stoa.get_head())

Run as a program it copies a chain: stoa_client.py SOCKET FILE stores the blocks of a file as geth exports it, and reads each back.
"""
import os
import socket
import struct
import sys
import zlib

HEADER = struct.Struct("<IHBBQIII")
REPLY, MORE = 1, 2
STORE_BLOCK, GET_BLOCK, GET_BLOCK_BY_HEIGHT, GET_BLOCK_RANGE = 1, 2, 3, 4
UPDATE_STATE, GET_STATE = 7, 8
GET_TRANSACTION, GET_HEAD, GET_HEALTH = 20, 22, 27
HELLO, PING, GOODBYE, WELCOME = 512, 516, 518, 515
EEXISTS, ENOTFOUND = -5, -4


class StoaError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")
        self.code = code


# ---- RLP: an item is bytes or a list of items ----

def encode(item):
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    elif isinstance(item, str):
        item = item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        item = bytes(item)
        return item if len(item) == 1 and item[0] < 0x80 else prefix(0x80, len(item)) + item
    body = b"".join(encode(one) for one in item)
    return prefix(0xC0, len(body)) + body


def prefix(base, size):
    if size < 56:
        return bytes([base + size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(digits)]) + digits


def span(data, at):
    """Where the item at AT begins and ends without its prefix, and whether it is a list."""
    first = data[at]
    if first < 0x80:
        return at, at + 1, False
    base = 0xC0 if first >= 0xC0 else 0x80
    size = first - base
    at += 1
    if size > 55:
        digits = size - 55
        size = int.from_bytes(data[at:at + digits], "big")
        at += digits
    return at, at + size, base == 0xC0


def decode(data, at=0):
    """The item at AT, and where the next one begins."""
    begin, end, is_list = span(data, at)
    if not is_list:
        return bytes(data[begin:end]), end
    items = []
    while begin < end:
        item, begin = decode(data, begin)
        items.append(item)
    return items, end


def number(item):
    return int.from_bytes(item, "big")


def optional(value):
    return [] if value is None else [value]


# ---- the connection ----

class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb", 1 << 18)
        self.next_id = 1
        try:
            self.send(HELLO, 0, [1, 1, 0, os.urandom(32), "stoa_client.py"])
        except BrokenPipeError:
            pass # why it was not let in is still to be read
        kind, _, _, payload = self.receive()
        if kind != WELCOME:
            raise StoaError(0, "no welcome")
        welcome, _ = decode(payload)
        self.role = number(welcome[2])
        self.chain_id = number(welcome[6])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, kind, request_id, items, flags=0):
        payload = b"" if items is None else encode(items)
        header = HEADER.pack(len(payload), kind, flags, 0, request_id, 0, zlib.crc32(payload), 0)
        self.socket.sendall(header + struct.pack("<I", zlib.crc32(header)) + payload)

    def read(self, size):
        data = self.file.read(size)
        if len(data) != size:
            raise StoaError(-19, "the connection was closed")
        return data

    def receive(self):
        """Type, flags, result and payload of the next frame that is not a ping."""
        while True:
            data = self.read(32)
            size, kind, flags, _, request_id, result, checksum, _ = HEADER.unpack(data[:28])
            payload = self.read(size)
            if zlib.crc32(data[:28]) != struct.unpack("<I", data[28:])[0] or zlib.crc32(payload) != checksum:
                raise StoaError(-8, "a frame was changed on its way")
            if kind == PING:
                if not flags & REPLY:
                    self.send(PING, request_id, None, REPLY)
                continue
            if kind == GOODBYE:
                code, text = decode(payload)[0][:2]
                raise StoaError(number(code) - (1 << 32), text.decode())
            self.last_id = request_id
            return kind, flags, result - (1 << 32) if result >> 31 else result, payload

    def call(self, kind, items):
        """Ask, and return what every reply has and the answer."""
        self.send(kind, self.next_id, items)
        self.next_id += 1
        return self.answer()[1]

    def answer(self):
        """The next reply: its id and [effect, tries, detail, hash, height, body]; parts of a range come before."""
        parts = []
        while True:
            _, flags, result, payload = self.receive()
            reply, _ = decode(payload)
            if flags & MORE:
                parts += reply
                continue
            if result != 0:
                raise StoaError(result, reply[2][1].decode() if reply[2] else "failed")
            if parts:
                reply[5] = parts + reply[5]
            return self.last_id, reply

    # ---- calls ----

    def store_block(self, block, receipts=None, changes=()):
        """Store durably; the block's hash."""
        pairs = [[key, optional(value)] for key, value in changes]
        return self.call(STORE_BLOCK, [[block, optional(receipts), [], [], pairs, [], [], 0, 0]])[3]

    def store_blocks(self, blocks, in_flight=64):
        """Store many, several at once, in their order."""
        waiting = 0
        for block in blocks:
            self.send(STORE_BLOCK, self.next_id, [[block, [], [], [], [], [], [], 0, 0]])
            self.next_id += 1
            waiting += 1
            if waiting == in_flight:
                self.answer()
                waiting -= 1
        for _ in range(waiting):
            self.answer()

    @staticmethod
    def block_of(item):
        names = ("hash", "height", "total_difficulty", "canonical", "block", "receipts", "senders", "envelope")
        block = dict(zip(names, item))
        for name in ("height", "total_difficulty", "canonical"):
            block[name] = number(block[name])
        for name in ("receipts", "senders", "envelope"):
            block[name] = block[name][0] if block[name] else None
        return block

    def get_block(self, key):
        """By height or by hash."""
        by_hash = isinstance(key, bytes)
        items = [1, 0, key] if by_hash else [0, key, b""]
        return self.block_of(self.call(GET_BLOCK if by_hash else GET_BLOCK_BY_HEIGHT, items)[5])

    def get_range(self, first, count):
        return [self.block_of(item) for item in self.call(GET_BLOCK_RANGE, [first, count])[5]]

    def get_transaction(self, wanted):
        block, index, _, place, receipt, sender = self.call(GET_TRANSACTION, [wanted])[5]
        block = self.block_of(block)
        at, size = (number(one) for one in place)
        found = {"block": block, "index": number(index), "transaction": block["block"][at:at + size],
                 "sender": sender[0] if sender else None, "receipt": None}
        if receipt:
            at, size = (number(one) for one in receipt)
            found["receipt"] = block["receipts"][at:at + size]
        return found

    def get_state(self, key):
        return self.call(GET_STATE, [key])[5]

    def put_state(self, changes):
        self.call(UPDATE_STATE, [[[key, optional(value)] for key, value in changes]])

    def get_head(self):
        head = self.call(GET_HEAD, [])[5]
        return None if number(head[0]) else {"height": number(head[1]), "hash": head[2], "genesis": head[4]}


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[2], "rb") as file:
        data = memoryview(file.read())
    blocks, at = [], 0
    while at < len(data):
        end = span(data, at)[1]
        blocks.append(bytes(data[at:end]))
        at = end
    with Client(sys.argv[1]) as stoa:
        first = (stoa.get_head() or {"height": -1})["height"] + 1
        stoa.store_blocks(blocks)
        last = stoa.get_head()["height"]
        if last != first + len(blocks) - 1:
            raise StoaError(0, f"the head is {last}")
        for i in range(0, len(blocks), 100):
            for j, block in enumerate(stoa.get_range(first + i, min(100, len(blocks) - i))):
                if block["block"] != blocks[i + j]:
                    raise StoaError(0, f"block {first + i + j} differs")
        one = stoa.get_block(last)
        assert stoa.get_block(one["hash"])["block"] == blocks[-1]
        stoa.put_state([(b"python", b"was here"), (b"empty", b"")])
        assert stoa.get_state(b"python") == b"was here" and stoa.get_state(b"empty") == b""
        try:
            stoa.get_block(last + 1)
            raise AssertionError("a block that is not there")
        except StoaError as error:
            assert error.code == ENOTFOUND
        print(f"stored and read back {len(blocks)} blocks, the head is {last} 0x{one['hash'].hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
