# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# functions.sh: what the system tests share. A test sources it first, then works in $work, a directory of its own that is
# removed at the end. A test fails when any command in it fails; it exits 77 where it cannot run here, saying why.
#
# By hand, from a build directory: top_srcdir=.. tests/system/test_import.sh. STOA_TEST_WRAPPER, if set, is a program
# (and its arguments) that every stoa is run under.
set -euo pipefail

top_srcdir=$(cd "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}" && pwd)
top_builddir=$(cd "${top_builddir:-.}" && pwd)
data=${STOA_TEST_DATA:-$top_srcdir/../shared/data}
export top_srcdir top_builddir LC_ALL=C

work=$(mktemp -d "${TMPDIR:-/tmp}/stoa-test.XXXXXX")
cleanup_commands=()

# Run COMMAND when the test ends, however it ends; the last one first.
cleanup_fn() {
    cleanup_commands=("$*" "${cleanup_commands[@]}")
}

clean_up() {
    local status=$? command
    set +e
    for command in "${cleanup_commands[@]}"; do
        eval "$command"
    done
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

skip() {
    echo "skipped: $*"
    exit 77
}

fail() {
    local log
    echo "FAILED: $*" >&2
    for log in "$work"/stoad*.log; do
        [ ! -s "$log" ] || { echo "==> ${log##*/}" && tail -n 20 "$log"; } >&2
    done
    exit 1
}

requires() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

requires_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}

requires_data() {
    [ -e "$data/$1" ] || skip "no $data/$1; STOA_TEST_DATA names the folder"
}

# $program becomes the first of these that was built: the program itself, not libtool's wrapper: its process id is then the one to kill, and parallel tests never relink it.
find_program() {
    local path
    for path in "$@"; do
        if [ -x "$top_builddir/${path%/*}/.libs/${path##*/}" ]; then
            export LD_LIBRARY_PATH="$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
            program=$top_builddir/${path%/*}/.libs/${path##*/}
            return 0
        elif [ -x "$top_builddir/$path" ]; then
            program=$top_builddir/$path
            return 0
        fi
    done
    program=
    return 1
}

find_program ./stoa src/stoa/stoa || :
stoa=$program

# Every stoa of a test is run through here. Exec it (in a subshell) to know its process id.
stoa() {
    [ -n "$stoa" ] || fail "the program stoa was not built in $top_builddir"
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoa" "$@"
}

# expect CODE COMMAND...: run it and hold its exit code against CODE. What it printed is then in $work/out and $work/err.
expect() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    if [ "$status" != "$wanted" ]; then
        echo "FAILED: $*: exit code $status, expected $wanted" >&2
        head -c 4000 "$work/out" "$work/err" >&2
        exit 1
    fi
    if [ "$wanted" != 0 ] && [ ! -s "$work/err" ]; then
        fail "$*: exit code $wanted without a word on standard error"
    fi
}

# The message of the last expect says PATTERN (an extended regular expression, case ignored).
says() {
    grep -Eiq -- "$1" "$work/err" || fail "expected a message like '$1', got: $(cat "$work/err")"
}

same() {
    [ "$1" = "$2" ] || fail "${3:-values} differ: '$1' and '$2'"
}

# Head of a store as "number hash", from its JSON.
head_of() {
    stoa -d "$1" --json head | jq -r '"\(.number) \(.hash)"'
}

# The bytes of FILE as lower-case hex digits, without line ends.
hex_of() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

# Flip one bit of the byte at OFFSET of FILE.
flip_bit() {
    local byte
    byte=$(od -An -v -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ (1 << ${3:-0}))))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# The first place in FILE, from AT on, whose byte is not zero: one of a frame, where AT could be in the padding behind one.
in_a_frame() {
    local zeros
    zeros=$({ cmp -i "$2:0" "$1" /dev/zero || :; } | sed -n 's/.*differ: [a-z]* \([0-9]*\),.*/\1/p')
    echo $(($2 + zeros - 1))
}

# A deterministic chain of N blocks in DIRECTORY: chain.rlp, genesis.json, execution.jsonl.
make_chain() {
    find_program tests/support/makechain || fail "makechain was not built in $top_builddir"
    "$program" --blocks "$1" --out "$2" >/dev/null
}

# A store of the made chain in DIRECTORY $2.
make_store() {
    stoa -d "$2" init --genesis "$1/genesis.json" >/dev/null
    stoa -d "$2" import "$1/chain.rlp" --execution "$1/execution.jsonl" >/dev/null 2>&1
}

# read_back STORE FILE [EXECUTION]: every block, transaction and receipt of FILE is in STORE, byte for byte.
read_back() {
    find_program tests/support/readback || fail "readback was not built in $top_builddir"
    "$program" "$@"
}

# Seed of a randomised test: printed, and taken from STOA_TEST_SEED to repeat.
seed_random() {
    seed=${STOA_TEST_SEED:-$((($(date +%s%N) / 1000 + $$) % 1000000000))}
    echo "STOA_TEST_SEED=$seed"
    RANDOM=$((seed % 32768))
}

# Run COMMAND until it succeeds, for a minute at most. WHAT is for the message.
wait_for() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 1200; tries++)); do
        if "$@" 2>/dev/null; then
            return 0
        fi
        sleep 0.05
    done
    fail "$what did not come about"
}

find_stoad() {
    find_program ./stoad || fail "the program stoad was not built in $top_builddir"
    stoad=$program
}

stoad() {
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoad" "$@"
}

# start_stoad STORE [OPTION...]: start it and wait until it serves: $stoad_pid; what it says is in $work/stoad.log. However slow
# the machine is, it may close its store when it is told to stop.
start_stoad() {
    local directory=$1
    shift
    set -- --stop-seconds=300 "$@"
    # LeakSanitizer looks at what ends by a call that the daemon's filter refuses.
    case ${SANITIZER_CFLAGS:-} in *address*) set -- --confine no "$@" ;; esac
    : >"$work/stoad.log" # what an earlier one said is not this one's readiness
    # shellcheck disable=SC2086 # a command and its arguments
    ${STOA_TEST_WRAPPER:-} "$stoad" -d "$directory" "$@" >"$work/stoad.log" 2>&1 </dev/null &
    stoad_pid=$!
    cleanup_fn "kill -KILL $stoad_pid 2>/dev/null"
    wait_for "the daemon's readiness" stoad_is_ready
}

stoad_is_ready() {
    kill -0 "$stoad_pid" || fail "the daemon ended: $(cat "$work/stoad.log")"
    grep -qE 'event"?[=:]"?ready' "$work/stoad.log"
}

# Stop it in order, and hold its exit code against 0.
stop_stoad() {
    local status=0
    kill -TERM "$stoad_pid"
    wait "$stoad_pid" || status=$?
    [ "$status" = 0 ] || fail "the daemon ended with $status: $(cat "$work/stoad.log")"
}

# same_as_told STORE FILE: what a validator's output in FILE says was acknowledged is there: 40 of its blocks and the last ones,
# $checked in all; and no number was told twice.
same_as_told() {
    local word number hash
    checked=0
    while read -r word number hash; do
        if [ "$word" != acknowledged ] || [ "${#hash}" != 64 ]; then
            continue # the line it was ended in
        fi
        same "$(stoa -d "$1" --json header "$number" | jq -r .hash)" "0x$hash" "block $number"
        checked=$((checked + 1))
    done < <(shuf -n 40 "$2"; tail -n 2 "$2")
    same "$(cut -d ' ' -f 2 "$2" | sort -n | uniq -d)" "" "numbers told twice"
}

# A disk of its own of SIZE, mounted at disk.
mount_disk() {
    requires mkfs.ext4 mount
    requires_root
    mkdir disk
    truncate -s "$1" disk.img
    mkfs.ext4 -q -m 0 disk.img
    mount -o loop disk.img disk 2>err || skip "cannot mount a loop device here: $(cat err)"
    cleanup_fn "umount -l $work/disk"
}

find_validator() {
    validator=$top_builddir/examples/validator
    [ -x "$validator" ] || skip "examples/validator is not built"
}

# start_validator ADDRESS [COMMAND...]: examples/validator as a client of the daemon there, run by COMMAND: $validator_pid. What
# was acknowledged is in $work/told, what else it says in $work/errors.
start_validator() {
    local address=$1
    shift
    "$@" "$validator" -s "$address" 0 2 >"$work/told" 2>"$work/errors" &
    validator_pid=$!
    cleanup_fn "kill -KILL $validator_pid 2>/dev/null"
}

end_validator() {
    kill -TERM "$validator_pid"
    wait "$validator_pid" 2>/dev/null || :
}

# So many blocks were acknowledged; makes N: there are N more than now.
count() { wc -l <"$work/told"; }
has_made() { kill -0 "$validator_pid" && [ "$(count)" -ge "$1" ]; }
makes() { wait_for "the validator's next $1 blocks; $(tail -n 3 "$work/errors")" has_made $(($(count) + $1)); }

# So often the validator has said that the breaker is $1 (open, closed).
said() { grep -c "the breaker is $1" "$work/errors" || :; }
has_said() { kill -0 "$validator_pid" && [ "$(said "$1")" -ge "$2" ]; }
