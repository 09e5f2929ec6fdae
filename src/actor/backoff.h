/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backoff.h: how long to wait before something that failed is tried again: 500 ms, doubling with
 * each failure up to 60 s, of which the second half is drawn by lot, so that many who failed
 * together do not come back together. */
#ifndef BACKOFF_H
#define BACKOFF_H

#include <stdint.h>

/* FAILURES: how often it has failed, at least 1. LOT: 64 random bits. */
uint64_t backoff_ns(unsigned failures, uint64_t lot);

/* The same with other bounds than 500 ms and 60 s. */
uint64_t backoff_within_ns(unsigned failures, uint64_t lot, uint64_t pause_ns,
                           uint64_t pause_max_ns);

#endif
