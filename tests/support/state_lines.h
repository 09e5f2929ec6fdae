/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_lines.h: the state changes of the real chains (execution.jsonl, genesis.json, the mainnet's
 * file), for tests: read, and as what state_update takes. */
#ifndef STATE_LINES_H
#define STATE_LINES_H

#include <jansson.h>

#include "chain/genesis.h"
#include "state/state_update.h"

/* Owned: state_lines_deinit. */
struct state_lines {
    struct state_account_change *accounts; /* sorted */
    size_t count;
};

/* The names of the chains below chains/, NULL at the end. */
extern const char *const state_lines_chains[];

/* LINE's members accounts and storage. */
void state_lines_read(const json_t *line, struct state_lines *out);
void state_lines_genesis(const struct genesis *genesis, struct state_lines *out);
void state_lines_deinit(struct state_lines *lines);

/* Load the genesis file NAME below the data. False, with a line that says so, where it is absent.
 */
bool state_lines_load_genesis(const char *name, struct genesis *out);

/* The next line of *CURSOR as JSON, which the caller owns; NULL at the end. */
json_t *state_lines_next(struct bytes *cursor);

#endif
