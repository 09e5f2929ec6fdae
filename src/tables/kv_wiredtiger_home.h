/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_wiredtiger_home.h: the names in the directory that WiredTiger keeps its files in, looked at
 * while it is opened, on the opener's thread. */
#ifndef KV_WIREDTIGER_HOME_H
#define KV_WIREDTIGER_HOME_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/io.h"

struct kv_wiredtiger_home {
    struct io *io; /* a loop of its own, for the time of opening */
    const char *path;
    struct buffer names; /* as they were at init, each terminated */
};

/* List PATH, which must live as long. */
int kv_wiredtiger_home_init(struct kv_wiredtiger_home *home, const char *path,
                            struct error_detail *detail);
void kv_wiredtiger_home_deinit(struct kv_wiredtiger_home *home);

/* Whether nothing was there yet. STOA_ECORRUPT where something was, but not all that WiredTiger
 * needs: opened regardless, it would start afresh and hide the loss. */
int kv_wiredtiger_home_check(const struct kv_wiredtiger_home *home, bool *out_empty,
                             struct error_detail *detail);

/* Whether FILE was there. */
bool kv_wiredtiger_home_has(const struct kv_wiredtiger_home *home, const char *file);

/* Remove the table files that KEEP does not want: a crash between a checkpoint and the creation of
 * a table leaves them. WiredTiger must not know them. */
int kv_wiredtiger_home_sweep(struct kv_wiredtiger_home *home,
                             bool (*keep)(void *context, const char *file), void *context,
                             struct error_detail *detail);

#endif
