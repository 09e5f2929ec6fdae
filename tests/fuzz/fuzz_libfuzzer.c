/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a target has besides libFuzzer's own options: --write-seeds DIR, which fills a corpus. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

/* libFuzzer calls it first, if it is there. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 3 && strcmp((*argv)[1], "--write-seeds") == 0) {
        exit(fuzz_write_seeds((*argv)[2]));
    }
    return 0;
}
