/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv_private.h: what the implementations of kv.h share. */
#ifndef KV_PRIVATE_H
#define KV_PRIVATE_H

#include "tables/kv.h"

/* STOA_EINVAL for an empty key, STOA_ETOOBIG for a key or value above the limits. */
int kv_entry_check(const char *table, struct bytes key, struct bytes value,
                   struct error_detail *detail);

/* Where NAME is or would be among COUNT names in order, of which NAME_AT gives one. */
size_t kv_name_place(const char *name, size_t count,
                     const char *(*name_at)(const void *names, size_t index), const void *names,
                     bool *out_found);

#endif
