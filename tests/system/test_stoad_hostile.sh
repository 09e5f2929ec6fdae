#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Clients that mean harm, or know no better: the daemon's memory stays bounded, honest clients are answered meanwhile, and an
# admin gets in where all slots are taken.
# shellcheck source=functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/system/functions.sh"
requires jq python3
find_stoad
make_chain 200 made
make_store made store
# AddressSanitizer holds what is freed back, 256 MiB of it by default, which is no memory of the daemon's.
export ASAN_OPTIONS=quarantine_size_mb=8:${ASAN_OPTIONS:-}
start_stoad store --connections-max=64 --client-connections-max=64 --handshake-seconds=2 --stall-seconds=1 \
    --requests-max=256 --queue-size-max=8M --request-size-max=1M
wanted=$(stoa -d store head)
calm=$(awk '/^VmRSS/ {print $2}' "/proc/$stoad_pid/status")

# The honest client, while the other is at it.
honest() {
    same "$(timeout 20 "$stoa" -s store/stoad.sock head)" "$wanted" "what an honest client is told during: $1"
}

# Not more than so many MiB above the calm.
bounded() {
    local now
    now=$(awk '/^VmRSS/ {print $2}' "/proc/$stoad_pid/status")
    [ $((now - calm)) -lt $(($2 * 1024)) ] || fail "$1: the daemon grew by $(((now - calm) / 1024)) MiB"
}

cat >hostile.py <<END
import sys
sys.path.insert(0, "$top_srcdir/examples")
END
cat >>hostile.py <<'END'
import os, socket, struct, time, zlib
import stoa_client
from stoa_client import Client, HEADER, StoaError, encode

path, what = sys.argv[1:3]

def connect():
    one = socket.socket(socket.AF_UNIX)
    one.connect(path) # waits where many want to
    one.settimeout(20)
    return one

def frame(kind, payload, size=None, request_id=1, flags=0):
    head = HEADER.pack(len(payload) if size is None else size, kind, flags, 0, request_id, 0, zlib.crc32(payload), 0)
    return head + struct.pack("<I", zlib.crc32(head)) + payload

def goodbye(one):
    """What the daemon says before it closes."""
    data = b""
    while True:
        try:
            more = one.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            break
        data += more
    text = ""
    while len(data) >= 32:
        size, kind = HEADER.unpack(data[:28])[:2]
        if kind == stoa_client.GOODBYE:
            text = stoa_client.decode(data[32:32 + size])[0][1].decode()
        data = data[32 + size:]
    return text

def ready():
    print("ready", flush=True)
    sys.stdin.readline()

if what == "half-open":
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(3000, hard - 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 90, hard))
    held = [connect() for _ in range(count)]
    print("held", len(held), file=sys.stderr)
    ready()
elif what == "garbage":
    for data in (b"GET / HTTP/1.1\r\nHost: stoa\r\n\r\n" * 4, os.urandom(5000), b"\0" * 64):
        one = connect()
        one.sendall(data)
        assert "no frame" in goodbye(one), data[:10]
    one = connect()
    one.sendall(frame(stoa_client.HELLO, encode([7, 9, 0, os.urandom(32), "future"])))
    assert "version" in goodbye(one)
    one = connect()
    one.sendall(frame(stoa_client.GET_HEAD, encode([])))
    assert "handshake" in goodbye(one)
    one = connect()
    one.sendall(frame(stoa_client.HELLO, b"", size=1 << 20))
    assert "longer" in goodbye(one)
    stoa = Client(path)
    for payload in (b"", b"\xc1", os.urandom(40), b"\xf8\xff" + b"\xc0" * 20):
        stoa.socket.sendall(frame(stoa_client.GET_BLOCK, payload))
        try:
            stoa.answer()
            raise AssertionError("an answer to nonsense")
        except StoaError as error:
            assert error.code in (-1, -4), error
    try:
        stoa.call(0xff, [])
        raise AssertionError("an answer to an unknown message")
    except StoaError as error:
        assert error.code == -15, error
    for size in (1 << 24, 0xffffffff):
        stoa = Client(path)
        stoa.socket.sendall(frame(stoa_client.STORE_BLOCK, b"", size=size))
        assert "longer" in goodbye(stoa.socket)
    stoa = Client(path)
    damaged = bytearray(frame(stoa_client.GET_STATE, encode([b"key"])))
    damaged[-1] ^= 1
    stoa.socket.sendall(damaged)
    assert "changed" in goodbye(stoa.socket)
elif what == "slow-writer":
    one = connect()
    assert "handshake" in goodbye(one)
    stoa = Client(path)
    data = frame(stoa_client.STORE_BLOCK, os.urandom(900000))
    stoa.socket.sendall(data[:800000])
    assert "frame took too long" in goodbye(stoa.socket)
elif what == "slow-readers":
    held = []
    for _ in range(40):
        stoa = Client(path)
        stoa.socket.setblocking(False)
        data = b"".join(frame(stoa_client.GET_BLOCK_RANGE, encode([1, 200]), request_id=i) for i in range(200))
        try:
            stoa.socket.send(data)
        except BlockingIOError:
            pass
        held.append(stoa)
    ready()
elif what == "flood":
    held = []
    for _ in range(8):
        stoa = Client(path)
        stoa.socket.setblocking(False)
        held.append(stoa)
    data = b"".join(frame(stoa_client.GET_BLOCK, encode([0, i % 200, b""]), request_id=i) for i in range(2000))
    print("ready", flush=True)
    end = time.time() + 4
    while time.time() < end:
        for stoa in held:
            try:
                stoa.socket.send(data)
            except BlockingIOError:
                time.sleep(0.001)
            except (BrokenPipeError, ConnectionResetError):
                pass
    sys.stdin.readline()
elif what == "slots":
    data = b"".join(frame(stoa_client.GET_BLOCK, encode([0, i % 200, b""]), request_id=i) for i in range(2000))
    # All slots are of clients that have just gone, held up among them; and the one that is kept, by turns.
    for _ in range(50):
        held = [Client(path) for _ in range(65)]
        for one in held[::2]:
            one.socket.setblocking(False)
            try:
                one.socket.send(data)
            except BlockingIOError:
                pass
        for one in held:
            one.close()
    held = [Client(path) for _ in range(64)]
    ready()
    admin = Client(path) # the honest client had the slot that is kept until a moment ago
    assert admin.get_head()["height"] == 200
    try:
        Client(path)
        raise AssertionError("more than one in the slot that is kept")
    except StoaError as error:
        assert error.code == -6 and "too many" in str(error), error
elif what == "last-first":
    held = [Client(path) for _ in range(9)] # of which the last has the slot that is kept
    for one in reversed(held):
        one.close()
END

# beside WHAT COMMAND...: run it while the hostile client is at WHAT.
beside() {
    local what=$1
    shift
    coproc HOSTILE { exec python3 hostile.py store/stoad.sock "$what"; }
    local pid=$HOSTILE_PID
    read -r -t 60 <&"${HOSTILE[0]}" || fail "$what did not begin"
    "$@"
    echo >&"${HOSTILE[1]}" || :
    wait "$pid" || fail "the hostile client at $what"
}

asked_often() {
    local turn
    for turn in 1 2 3 4 5 6 7 8; do
        honest "$1, $turn"
        bounded "$1" "$2"
    done
}

beside half-open asked_often half-open 64
python3 hostile.py store/stoad.sock garbage || fail "garbage"
honest garbage
python3 hostile.py store/stoad.sock slow-writer || fail "slow writer"
honest "slow writer"
beside slow-readers asked_often slow-readers 128
beside flood asked_often flood 128
beside slots honest "all slots taken"
kill -0 "$stoad_pid" || fail "the daemon is gone"
wait_for "the daemon's forgetting them" honest "after all"
bounded "after all" 128
grep -q 'event=connection_ended' stoad.log || fail "nothing is said of them"
stop_stoad

# A slot that is kept is given back while there are others that its client may not have.
start_stoad store --client-connections-max=8
python3 hostile.py store/stoad.sock last-first || fail "as many connections of a user as may be"
wait_for "the daemon's forgetting them" honest "the last went first"
kill -0 "$stoad_pid" || fail "the daemon is gone"
stop_stoad
