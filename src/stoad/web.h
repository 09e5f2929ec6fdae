/* SPDX-License-Identifier: GPL-3.0-or-later */
/* web.h: the daemon's HTTP with its JSON-RPC, as the settings say. Made before the server starts,
 * ended after its thread has. */
#ifndef WEB_H
#define WEB_H

#include "server/server.h"
#include "stoad/settings.h"

struct web;

/* Listen, attach to SERVER, and say where. *OUT_WEB is NULL where the settings ask for none. */
int web_create(const struct settings *settings, struct server *server, struct web **out_web,
               struct error_detail *detail);

/* NULL is allowed. */
void web_destroy(struct web *web);

/* Whether the settings that are about it make sense. */
int web_check(const struct settings *settings, struct error_detail *detail);

#endif
