/* SPDX-License-Identifier: GPL-3.0-or-later */
/* limits.h: what follows from the settings: options of the store, and the bounds that hold while it
 * is served. */
#ifndef LIMITS_H
#define LIMITS_H

#include "base/buffer.h"
#include "stoa.h"
#include "stoad/settings.h"

/* What one setting alone cannot say. STOA_EINVAL. */
int limits_check(const struct settings *settings, struct error_detail *detail);

/* Options to open the store with; CACHE and MAINTENANCE are what they point at, and that to texts
 * of SETTINGS. */
void limits_store_options(const struct settings *settings, struct stoa_options *out_options,
                          struct stoa_cache_options *out_cache,
                          struct stoa_maintenance *out_maintenance);

/* Every setting and every bound, a line each: name = value. STOA_ENOMEM. */
int limits_print(const struct settings *settings, struct buffer *out);

#endif
