/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ensure.h"

static bool load(const char *directory, const char *name, struct buffer *out)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, name);
    ensure(length > 0 && (size_t)length < sizeof(path));
    buffer_init(out);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    for (;;) {
        int reserved = buffer_reserve(out, 1 << 16);
        ensure(reserved == 0);
        size_t got = fread(out->data + out->size, 1, out->capacity - out->size, file);
        if (got == 0) {
            break;
        }
        out->size += got;
    }
    ensure(ferror(file) == 0);
    (void)fclose(file); /* only read */
    return true;
}

static const char *root_of_source(void)
{
    const char *root = getenv("top_srcdir");
    return root == NULL ? "." : root;
}

bool fixture_load_data(const char *name, struct buffer *out)
{
    const char *directory = getenv("STOA_TEST_DATA");
    if (directory != NULL) {
        return load(directory, name, out);
    }
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/../shared/data", root_of_source());
    ensure(length > 0 && (size_t)length < sizeof(path));
    return load(path, name, out);
}

bool fixture_load_source(const char *name, struct buffer *out)
{
    return load(root_of_source(), name, out);
}

uint64_t fixture_seed(void)
{
    const char *text = getenv("STOA_TEST_SEED");
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0)
                                 : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    printf("STOA_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t fixture_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t fixture_random_below(uint64_t *state, uint64_t limit)
{
    ensure(limit > 0);
    return fixture_random(state) % limit;
}

void fixture_random_fill(uint64_t *state, void *out, size_t size)
{
    uint8_t *to = out;
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)fixture_random(state);
    }
}
