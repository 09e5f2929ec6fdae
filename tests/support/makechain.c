/* SPDX-License-Identifier: GPL-3.0-or-later */
/* makechain: writes a made chain (made_chain.h) into a directory, in the form real chain data comes
 * in: genesis.json, chain.rlp, execution.jsonl. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "made_chain.h"

static void usage(FILE *file)
{
    fputs("usage: makechain --out DIR [--blocks N] [--seed S]\n"
          "Write genesis.json, chain.rlp and execution.jsonl of a made chain to DIR.\n",
          file);
}

static int write_file(const char *directory, const char *name, struct bytes content)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path)) {
        fprintf(stderr, "makechain: %s: path too long\n", directory);
        return 1;
    }
    FILE *file = fopen(path, "wb");
    size_t written = file == NULL ? 0 : fwrite(content.data, 1, content.size, file);
    if (file == NULL || fclose(file) != 0 || written != content.size) {
        fprintf(stderr, "makechain: %s: %s\n", path, strerror(errno));
        return 1;
    }
    return 0;
}

static int write_chain(const char *directory, uint64_t seed, uint64_t blocks)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "makechain: %s: %s\n", directory, strerror(errno));
        return 1;
    }
    struct made_chain *chain = made_chain_create(seed, blocks);
    struct buffer rlp, execution;
    buffer_init(&rlp);
    buffer_init(&execution);
    made_chain_export(chain, &rlp);
    for (uint64_t i = 1; i <= blocks; i++) {
        made_chain_execution(made_chain_block(chain, i), &execution);
    }
    int result = write_file(directory, "genesis.json", made_chain_genesis_json(chain)) |
                 write_file(directory, "chain.rlp", buffer_bytes(&rlp)) |
                 write_file(directory, "execution.jsonl", buffer_bytes(&execution));
    buffer_deinit(&execution);
    buffer_deinit(&rlp);
    made_chain_destroy(chain);
    return result;
}

/* A whole decimal number; exits where TEXT is none. */
static uint64_t number_of(const char *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        fprintf(stderr, "makechain: --%s: not a number: %s\n", option, text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"blocks", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t blocks = 100;
    uint64_t seed = 1;
    const char *directory = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'b') {
            blocks = number_of("blocks", optarg);
        } else if (c == 's') {
            seed = number_of("seed", optarg);
        } else if (c == 'o') {
            directory = optarg;
        } else {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (directory == NULL || optind != argc || blocks > 10000000) {
        usage(stderr);
        return 2;
    }
    return write_chain(directory, seed, blocks);
}
