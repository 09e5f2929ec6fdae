/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ensure.h"
#include "fuzz/fuzz.h"

static bool write_seed(const char *directory, size_t index, const struct buffer *seed)
{
    char name[4096];
    int length = snprintf(name, sizeof(name), "%s/seed-%04zu", directory, index);
    ensure(length > 0 && (size_t)length < sizeof(name));
    FILE *file = fopen(name, "wb");
    bool good = file != NULL && fwrite(seed->data, 1, seed->size, file) == seed->size;
    if (file == NULL || fclose(file) != 0 || !good) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        return false;
    }
    return true;
}

int fuzz_write_seeds(const char *directory)
{
    struct buffer seed;
    buffer_init(&seed);
    bool good = true;
    for (size_t i = 0; good && fuzz_seed(i, &seed); i++) {
        good = write_seed(directory, i, &seed);
        buffer_clear(&seed);
    }
    buffer_deinit(&seed);
    return good ? 0 : 1;
}
