/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_wiredtiger_home.h: the directory that WiredTiger keeps its files in. WiredTiger does its own
 * file I/O, outside struct io; so does this module, which only lists, counts and removes those
 * files. */
#ifndef KV_WIREDTIGER_HOME_H
#define KV_WIREDTIGER_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Whether PATH holds nothing yet. STOA_ECORRUPT where it holds something, but not all that
 * WiredTiger needs to open it: opened regardless, it would start afresh and hide the loss. */
int kv_wiredtiger_home_check(const char *path, bool *out_empty, struct error_detail *detail);

/* Whether FILE is there. */
bool kv_wiredtiger_home_has(const char *path, const char *file);

/* Remove table files that KEEP does not want: a crash between a checkpoint and the creation of a
 * table leaves them. Only when WiredTiger does not have them open. */
int kv_wiredtiger_home_sweep(const char *path, bool (*keep)(void *context, const char *file),
                             void *context, struct error_detail *detail);

/* Bytes of disk that all files take. 0 where they cannot be listed. */
uint64_t kv_wiredtiger_home_bytes(const char *path);

#endif
