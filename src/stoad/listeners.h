/* SPDX-License-Identifier: GPL-3.0-or-later */
/* listeners.h: the settings of the wire protocol's connections, with names of users and groups and
 * the token's file looked up. */
#ifndef LISTENERS_H
#define LISTENERS_H

#include "base/buffer.h"
#include "server/connections.h"
#include "stoad/settings.h"

/* STOA_EINVAL: an unknown user or group, no token where one is needed, a file that others can read.
 * What OUT owns is given to connections, or freed by connections_settings_deinit. */
int listeners_settings(const struct settings *settings, struct connections_settings *out,
                       struct error_detail *detail);

/* Where the Unix socket is, terminated. STOA_ENOMEM. */
int listeners_path(const struct settings *settings, struct buffer *out);

#endif
