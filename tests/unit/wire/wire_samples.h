/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_samples.h: an argument and an answer of each message that travels, with every field set to
 * something. */
#ifndef WIRE_SAMPLES_H
#define WIRE_SAMPLES_H

#include "stoa.h"

/* What stoa_submit takes for MESSAGE; static. NULL where it takes none. */
const void *wire_samples_argument(enum stoa_message message);

/* What became of it, with RESULT; static. */
void wire_samples_completion(enum stoa_message message, int result, struct stoa_completion *out);

#endif
