/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arc_load.h: what opening a packed segment reads: header, dictionary, index, each from its first
 * place, and from its second where that is damaged or cannot be read. */
#ifndef ARC_LOAD_H
#define ARC_LOAD_H

#include "io/io.h"
#include "ledger/arc.h"

/* Embedded in its owner until DONE. */
struct arc_load {
    struct io *io;
    int file;
    uint32_t number;
    uint64_t file_size;
    uint64_t store_id;
    void (*done)(struct arc_load *load); /* from io_run */
    void *context;

    int result; /* 0; STOA_ECORRUPT; STOA_EVERSION; STOA_ENOMEM; else neither could be read */
    int os_error;
    const char *what;    /* on failure: which part */
    struct arc_map *map; /* on success, to be destroyed by whoever asked */

    /* Its own. */
    struct io_request request;
    unsigned part;
    unsigned copy;
    uint8_t *data;
    struct arc_header header;
};

void arc_load_start(struct arc_load *load);
/* It will not go on: the loop has ended. Also after it was done, or was never started. */
void arc_load_drop(struct arc_load *load);

#endif
