/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target without libFuzzer:
 *
 *     fuzz_x [--write-seeds DIR] [FILE | DIR]...
 *
 * First the target's own seeds and every file named are replayed as they are, then STOA_FUZZ_RUNS
 * (20000) mutations of them are tried, or as many as STOA_FUZZ_SECONDS (120) are enough for: under
 * a sanitizer some targets take a fifth of a second for one. Every run depends on STOA_TEST_SEED
 * and its number only; a crash prints both, and STOA_FUZZ_FIRST=number repeats it at once.
 * --write-seeds fills a corpus for libFuzzer instead. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/ensure.h"
#include "fuzz/fuzz.h"
#include "support/fixture.h"

enum { CORPUS_MAX = 4096, INPUT_MAX = 1 << 20, CHANGES_MAX = 6, CHUNK_MAX = 64 };

struct corpus {
    struct buffer inputs[CORPUS_MAX];
    size_t count;
};

static char where[128]; /* what the signal handler prints */

static void on_crash(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, where, strlen(where));
    (void)written; /* nothing is left to be done */
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

/* ---- corpus ---- */

static struct buffer *corpus_add(struct corpus *corpus)
{
    ensure(corpus->count < CORPUS_MAX);
    struct buffer *input = &corpus->inputs[corpus->count++];
    buffer_init(input);
    return input;
}

static bool add_file(struct corpus *corpus, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    struct buffer *input = corpus_add(corpus);
    size_t got;
    do {
        int reserved = buffer_reserve(input, 1 << 16);
        ensure(reserved == 0);
        got = fread(input->data + input->size, 1, input->capacity - input->size, file);
        input->size += got;
    } while (got > 0);
    bool good = ferror(file) == 0;
    (void)fclose(file); /* only read */
    return good;
}

/* A file, or every file right below a directory. */
static bool add_path(struct corpus *corpus, const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return add_file(corpus, path);
    }
    bool good = true;
    for (struct dirent *entry = readdir(directory); good && entry != NULL;
         entry = readdir(directory)) {
        char name[4096];
        int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        ensure(length > 0 && (size_t)length < sizeof(name));
        if (entry->d_name[0] != '.') {
            good = add_file(corpus, name);
        }
    }
    (void)closedir(directory); /* only read */
    return good;
}

static void add_seeds(struct corpus *corpus)
{
    for (size_t i = 0; fuzz_seed(i, corpus_add(corpus)); i++) {
    }
    buffer_deinit(&corpus->inputs[--corpus->count]); /* of the seed that was not there */
}

/* ---- mutations ---- */

static uint8_t interesting_byte(uint64_t *random)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x20, 0x30, 0x37, 0x38, 0x7f, 0x80, 0x81, 0xa0,
                                    0xb7, 0xb8, 0xb9, 0xbb, 0xbc, 0xbf, 0xc0, 0xc1, 0xf7, 0xf8,
                                    0xf9, 0xfb, 0xfc, 0xff, '"',  '{',  '}',  '[',  ',',  ':'};
    return fixture_random(random) % 2 == 0 ? (uint8_t)fixture_random(random)
                                           : bytes[fixture_random_below(random, sizeof(bytes))];
}

/* Put SIZE bytes at DATA (which is not part of INPUT) into INPUT at AT. */
static void insert(struct buffer *input, size_t at, const uint8_t *data, size_t size)
{
    if (size == 0 || input->size + size > INPUT_MAX) {
        return;
    }
    int reserved = buffer_reserve(input, size);
    ensure(reserved == 0);
    memmove(input->data + at + size, input->data + at, input->size - at);
    memcpy(input->data + at, data, size);
    input->size += size;
}

static void change_once(struct buffer *input, const struct buffer *other, uint64_t *random)
{
    uint8_t chunk[CHUNK_MAX];
    size_t at = fixture_random_below(random, input->size + 1);
    size_t length = 1 + fixture_random_below(random, CHUNK_MAX);
    size_t rest = input->size - at;
    size_t part = length < rest ? length : rest;
    switch (fixture_random_below(random, 8)) {
    case 0: /* flip a bit */
        if (rest > 0) {
            input->data[at] ^= (uint8_t)(1u << fixture_random_below(random, 8));
        }
        break;
    case 1: /* another byte */
        if (rest > 0) {
            input->data[at] = interesting_byte(random);
        }
        break;
    case 2: /* a few more */
        for (size_t i = 0; i < length % 9; i++) {
            chunk[i] = interesting_byte(random);
        }
        insert(input, at, chunk, length % 9);
        break;
    case 3: /* some less */
        if (part > 0) {
            memmove(input->data + at, input->data + at + part, rest - part);
            input->size -= part;
        }
        break;
    case 4: /* the same again, elsewhere */
        if (part > 0) {
            memcpy(chunk, input->data + at, part);
            insert(input, fixture_random_below(random, input->size + 1), chunk, part);
        }
        break;
    case 5: /* cut */
        input->size = at;
        break;
    case 6: /* a piece of another input */
        if (other->size > 0) {
            size_t from = fixture_random_below(random, other->size);
            size_t size = length < other->size - from ? length : other->size - from;
            insert(input, at, other->data + from, size);
        }
        break;
    default: /* count one up or down */
        if (rest > 0) {
            input->data[at] = (uint8_t)(input->data[at] + (length % 2 == 0 ? 1 : -1));
        }
        break;
    }
}

static void run_one(const struct buffer *input)
{
    /* A copy of the exact size, so that a sanitizer sees a read past the end. */
    uint8_t *copy = malloc(input->size == 0 ? 1 : input->size);
    ensure(copy != NULL);
    if (input->size > 0) {
        memcpy(copy, input->data, input->size);
    }
    int result = LLVMFuzzerTestOneInput(copy, input->size);
    ensure(result == 0);
    free(copy);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

static void run_mutations(const struct corpus *corpus, uint64_t seed)
{
    uint64_t runs = from_environment("STOA_FUZZ_RUNS", 20000);
    time_t end = time(NULL) + (time_t)from_environment("STOA_FUZZ_SECONDS", 120);
    uint64_t run = from_environment("STOA_FUZZ_FIRST", 0);
    struct buffer input;
    buffer_init(&input);
    for (; run < runs && time(NULL) < end; run++) {
        snprintf(where, sizeof(where), "crash: STOA_TEST_SEED=%llu STOA_FUZZ_FIRST=%llu\n",
                 (unsigned long long)seed, (unsigned long long)run);
        uint64_t random = seed ^ (run + 1) * 0x9e3779b97f4a7c15;
        const struct buffer *from = &corpus->inputs[fixture_random_below(&random, corpus->count)];
        const struct buffer *other = &corpus->inputs[fixture_random_below(&random, corpus->count)];
        buffer_clear(&input);
        int appended = buffer_append(&input, from->data, from->size);
        ensure(appended == 0);
        size_t changes = 1 + fixture_random_below(&random, CHANGES_MAX);
        for (size_t i = 0; i < changes; i++) {
            change_once(&input, other, &random);
        }
        run_one(&input);
    }
    printf("%llu runs on %zu seeds\n", (unsigned long long)run, corpus->count);
    buffer_deinit(&input);
}

int main(int argc, char **argv)
{
    static struct corpus corpus;
    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0) {
        return fuzz_write_seeds(argv[2]);
    }
    add_seeds(&corpus);
    for (int i = 1; i < argc; i++) {
        if (!add_path(&corpus, argv[i])) {
            return 1;
        }
    }
    ensure(corpus.count > 0);
    uint64_t seed = fixture_seed();
    (void)fflush(stdout); /* a crash must not swallow the seed */
    (void)signal(SIGABRT, on_crash);
    (void)signal(SIGSEGV, on_crash);
    for (size_t i = 0; i < corpus.count; i++) {
        snprintf(where, sizeof(where), "crash: on input %zu as it is\n", i);
        run_one(&corpus.inputs[i]);
    }
    run_mutations(&corpus, seed);
    for (size_t i = 0; i < corpus.count; i++) {
        buffer_deinit(&corpus.inputs[i]);
    }
    return 0;
}
