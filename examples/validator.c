/* SPDX-License-Identifier: GPL-3.0-or-later */
/* validator.c: the chain actor of a small validator node, on the public interface of Stoa alone.
 *
 *      validator DIRECTORY [BLOCKS [INTERVAL_MS]]
 *      validator -s SOCKET [BLOCKS [INTERVAL_MS]]
 *
 * The second form stores through a daemon, stoad(8), at its socket or at 127.0.0.1:PORT with the
 * token in the file $STOA_TOKEN_FILE; all else is the same.
 *
 * It makes a block each INTERVAL_MS (100), stores it durably with its receipts and the state it
 * changes, reads both back, and prints "acknowledged NUMBER HASH" once a crash cannot take the
 * block away any more. It ends after BLOCKS blocks, or never. Killed at any moment and started
 * again, it goes on where it was.
 *
 * What a real node would do the same way:
 *      - production waits while the store is read-only or failed (stoa_wait_health);
 *      - a call has a deadline, until which the store tries again by itself what can pass;
 *      - a circuit breaker keeps slots from piling up on a store that fails;
 *      - "it may have been done" is settled by asking for the head, never by guessing.
 *
 * The blocks are empty of transactions, so that their roots are the well-known ones of empty lists
 * and no hash function is needed: the store tells each block's hash. What the chain computes is a
 * ledger of its own: a reward that each block adds to its producer's balance. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <stoa.h>

enum { BLOCK_SIZE_MAX = 1024, REWARD = 2, DEADLINE_MS = 5000, INTERVAL_MS_DEFAULT = 100 };

/* Keccak-256 of an empty list of uncles, and the root of an empty trie. */
static const uint8_t no_uncles[32] = {
    0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5, 0x67, 0xb6, 0xcc, 0xd4, 0x1a,
    0xd3, 0x12, 0x45, 0x1b, 0x94, 0x8a, 0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47};
static const uint8_t empty_root[32] = {
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21};
static const uint8_t empty_list[] = {0xc0};
static const char balance_key[] = "balance/validator";

struct validator {
    struct stoa *stoa;
    struct stoa_breaker *breaker;
    bool breaker_was_open; /* and that was said */
    struct stoa_head head;
    uint8_t block[BLOCK_SIZE_MAX];
    size_t block_size;
};

/* ---- the block: RLP, as far as it is needed ---- */

struct writer {
    uint8_t data[BLOCK_SIZE_MAX];
    size_t size;
};

static void put(struct writer *writer, const uint8_t *data, size_t size)
{
    memcpy(writer->data + writer->size, data, size);
    writer->size += size;
}

/* SIZE in big-endian without leading zeros. */
static size_t trim(uint64_t value, uint8_t out[8])
{
    size_t size = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        if (size > 0 || value >> shift != 0) {
            out[size++] = (uint8_t)(value >> shift);
        }
    }
    return size;
}

static void put_head(struct writer *writer, uint8_t short_base, size_t size)
{
    uint8_t digits[8];
    size_t count = trim(size, digits);
    if (size < 56) {
        put(writer, &(uint8_t){(uint8_t)(short_base + size)}, 1);
    } else {
        put(writer, &(uint8_t){(uint8_t)(short_base + 55 + count)}, 1);
        put(writer, digits, count);
    }
}

static void put_string(struct writer *writer, const uint8_t *data, size_t size)
{
    if (size != 1 || data[0] >= 0x80) {
        put_head(writer, 0x80, size);
    }
    put(writer, data, size);
}

static void put_number(struct writer *writer, uint64_t value)
{
    uint8_t digits[8];
    put_string(writer, digits, trim(value, digits));
}

/* The block after the head. */
static void make_block(struct validator *self)
{
    static const uint8_t zeros[256];
    static const uint8_t name[] = "validator.c";
    const struct stoa_head *head = &self->head;
    struct writer header = {.size = 0};
    struct writer body = {.size = 0};
    struct writer block = {.size = 0};
    put_string(&header, head->empty ? zeros : head->hash, 32);
    put_string(&header, no_uncles, 32);
    put_string(&header, zeros, 20); /* beneficiary */
    put_string(&header, empty_root, 32);
    put_string(&header, empty_root, 32);
    put_string(&header, empty_root, 32);
    put_string(&header, zeros, 256);                         /* bloom */
    put_number(&header, 1);                                  /* difficulty */
    put_number(&header, head->empty ? 0 : head->height + 1); /* number */
    put_number(&header, 30000000);                           /* gas limit */
    put_number(&header, 0);                                  /* gas used */
    put_number(&header, (uint64_t)time(NULL));
    put_string(&header, name, sizeof(name) - 1);
    put_string(&header, zeros, 32); /* mix hash */
    put_string(&header, zeros, 8);  /* nonce */
    put_head(&body, 0xc0, header.size);
    put(&body, header.data, header.size);
    put(&body, empty_list, 1); /* transactions */
    put(&body, empty_list, 1); /* uncles */
    put_head(&block, 0xc0, body.size);
    put(&block, body.data, body.size);
    memcpy(self->block, block.data, block.size);
    self->block_size = block.size;
}

/* ---- storing and reading back ---- */

static int say(const char *what, int result, const struct stoa_detail *detail)
{
    fprintf(stderr, "validator: %s: %s\n", what,
            detail != NULL && detail->text[0] != '\0' ? detail->text : stoa_strerror(result));
    return result;
}

/* 0 where there is none yet. */
static int read_balance(struct validator *self, uint64_t *out_balance)
{
    struct stoa_bytes key = {(const uint8_t *)balance_key, sizeof(balance_key) - 1};
    struct stoa_bytes value;
    int result = stoa_get_state(self->stoa, key, &value, NULL);
    *out_balance = 0;
    if (result == STOA_ENOTFOUND) {
        return 0;
    }
    if (result == 0 && value.size == sizeof(*out_balance)) {
        memcpy(out_balance, value.data, sizeof(*out_balance));
    }
    if (result == 0) {
        stoa_free((void *)(uintptr_t)value.data);
    }
    return result;
}

/* Submit, and wait for the answer. STOA_EREFUSED and the like would be our own fault; what speaks
 * of the store counts in the breaker. */
static int store(struct validator *self, uint64_t balance, struct stoa_completion *done)
{
    struct stoa_store_block put_block = STOA_STORE_BLOCK_INIT;
    struct stoa_change change = {
        .key = {(const uint8_t *)balance_key, sizeof(balance_key) - 1},
        .value = {(const uint8_t *)&balance, sizeof(balance)},
    };
    struct stoa_call call = STOA_CALL_INIT;
    call.deadline_ms = DEADLINE_MS;
    put_block.block = (struct stoa_bytes){self->block, self->block_size};
    put_block.receipts = (struct stoa_bytes){empty_list, 1};
    put_block.changes = &change;
    put_block.change_count = 1;
    int result = stoa_submit_store_block(self->stoa, &put_block, &call);
    if (result == 0) {
        (void)stoa_reap(self->stoa, done, 1, -1); /* one is under way: it comes */
        result = done->result;
        if (result != 0) {
            (void)say("store", result, &done->detail);
        }
    }
    stoa_breaker_report(self->breaker, result);
    return result;
}

/* What was acknowledged is what is read. */
static int read_back(struct validator *self, uint64_t height, uint64_t balance)
{
    struct stoa_block_key key = {.by = STOA_BY_HEIGHT, .height = height};
    struct stoa_block block;
    struct stoa_detail detail = {.code = 0};
    uint64_t found;
    int result = stoa_get_block(self->stoa, &key, &block, &detail);
    if (result != 0) {
        return say("read back", result, &detail);
    }
    bool same = block.block.size == self->block_size &&
                memcmp(block.block.data, self->block, self->block_size) == 0 &&
                block.receipts.size == 1 && block.receipts.data[0] == empty_list[0];
    stoa_release(block.view);
    result = read_balance(self, &found);
    if (result != 0) {
        return say("read balance", result, NULL);
    }
    return same && found == balance ? 0 : say("read back: it differs", STOA_ECORRUPT, NULL);
}

/* ---- slots ---- */

static void sleep_ms(unsigned milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    (void)nanosleep(&time, NULL); /* a slot that comes early harms nobody */
}

/* An operator wants to see when it opens, and that it closes. */
static void say_breaker(struct validator *self)
{
    enum stoa_breaker_state state = stoa_breaker_get_state(self->breaker);
    if (!self->breaker_was_open && state == STOA_BREAKER_OPEN) {
        fprintf(stderr, "validator: the breaker is open\n");
        self->breaker_was_open = true;
    } else if (self->breaker_was_open && state == STOA_BREAKER_CLOSED) {
        fprintf(stderr, "validator: the breaker is closed\n");
        self->breaker_was_open = false;
    }
}

/* False, after a while, where the store cannot take a block. */
static bool may_produce(struct validator *self, unsigned interval_ms)
{
    struct stoa_health health = STOA_HEALTH_INIT;
    say_breaker(self);
    int result = stoa_get_health(self->stoa, &health);
    if (result != 0) { /* no daemon: the handle looks for it */
        stoa_breaker_report(self->breaker, result);
        sleep_ms(interval_ms);
        return false;
    }
    if (health.state >= STOA_READ_ONLY) {
        fprintf(stderr, "validator: the store is %s: %s\n", stoa_health_name(health.state),
                health.reason_count > 0 ? health.reasons[0].text : "");
        (void)stoa_wait_health(self->stoa, health.version, 10000, &health); /* looked at again */
        return false;
    }
    if (stoa_breaker_allow(self->breaker) != 0) {
        sleep_ms(interval_ms);
        return false;
    }
    return true;
}

/* One slot. *OUT_MADE: a block was acknowledged. A negative result ends the program. */
static int run_slot(struct validator *self, bool *out_made)
{
    struct stoa_completion done;
    uint64_t balance;
    *out_made = false;
    int result = stoa_get_head(self->stoa, &self->head); /* also after "may have been done" */
    if (result == 0) {
        result = read_balance(self, &balance);
    }
    if (result != 0) {
        stoa_breaker_report(self->breaker, result);
        return 0;
    }
    balance += REWARD;
    make_block(self);
    if (store(self, balance, &done) != 0) {
        return 0; /* said, and counted by the breaker; the next slot tries again */
    }
    printf("acknowledged %" PRIu64 " ", done.height);
    for (size_t i = 0; i < 32; i++) {
        printf("%02x", done.hash[i]);
    }
    printf("\n");
    fflush(stdout);
    *out_made = true;
    result = read_back(self, done.height, balance);
    return result == STOA_ECORRUPT ? result : 0; /* else it could not be asked */
}

static int run(struct validator *self, uint64_t blocks, unsigned interval_ms)
{
    int result = 0;
    for (uint64_t made = 0; result == 0 && (blocks == 0 || made < blocks);) {
        bool one = false;
        if (may_produce(self, interval_ms)) {
            result = run_slot(self, &one);
            sleep_ms(interval_ms);
        }
        made += one;
    }
    return result;
}

/* As the daemon reads it: the bytes of the file but for white space at its end. */
static size_t read_token(uint8_t *out, size_t size)
{
    const char *path = getenv("STOA_TOKEN_FILE");
    FILE *file = path == NULL ? NULL : fopen(path, "rb");
    size_t length = file == NULL ? 0 : fread(out, 1, size, file);
    while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == ' ')) {
        length--;
    }
    if (file != NULL) {
        fclose(file);
    }
    return length;
}

static int connect_to(const char *socket, struct stoa **out_stoa)
{
    static uint8_t token[4096];
    struct stoa_connect_options options = STOA_CONNECT_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    options.name = "validator";
    options.token = token;
    options.token_size = read_token(token, sizeof(token));
    options.silence_ms = 2000; /* a slot is short: do not wait long for a daemon that hangs */
    int result = stoa_connect(socket, &options, out_stoa, &detail);
    return result == 0 ? 0 : say(socket, result, &detail);
}

static int open_store(const char *directory, struct stoa **out_stoa)
{
    struct stoa_detail detail = {.code = 0};
    int result = stoa_open(directory, NULL, out_stoa, &detail);
    if (result == STOA_ENOTFOUND) { /* the first start: its first block is the genesis */
        result = stoa_create(directory, NULL, &detail);
        if (result == 0) {
            result = stoa_open(directory, NULL, out_stoa, &detail);
        }
    }
    return result == 0 ? 0 : say(directory, result, &detail);
}

int main(int argc, char **argv)
{
    struct validator self = {.stoa = NULL};
    bool remote = argc > 1 && strcmp(argv[1], "-s") == 0;
    argc -= remote;
    argv += remote;
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: validator DIRECTORY|-s SOCKET [BLOCKS [INTERVAL_MS]]\n");
        return 2;
    }
    uint64_t blocks = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    unsigned interval_ms = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : INTERVAL_MS_DEFAULT;
    struct stoa_breaker_options options = STOA_BREAKER_OPTIONS_INIT;
    struct stoa_detail detail = {.code = 0};
    int result = remote ? connect_to(argv[1], &self.stoa) : open_store(argv[1], &self.stoa);
    if (result != 0) {
        return 1;
    }
    options.stoa = self.stoa;
    result = stoa_breaker_create(&options, &self.breaker);
    if (result == 0) {
        result = run(&self, blocks, interval_ms);
    }
    stoa_breaker_destroy(self.breaker);
    int closed = stoa_close(self.stoa, &detail);
    if (closed != 0) {
        (void)say("close", closed, &detail);
    }
    return result == 0 && closed == 0 ? 0 : 1;
}
