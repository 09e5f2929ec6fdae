/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_pool.h: a few threads for what waits for the store: jobs run in the order they came, each on
 * one of them. How many can wait is the giver's to bound. Any thread may give. */
#ifndef HTTP_POOL_H
#define HTTP_POOL_H

#include "base/error.h"

struct http_pool;

/* Embedded in its owner, who has it back when RUN is called. */
struct http_job {
    void (*run)(struct http_job *job);
    struct http_job *next;
};

int http_pool_create(unsigned threads, struct http_pool **out_pool, struct error_detail *detail);

/* Runs what waits to its end. NULL is allowed. */
void http_pool_destroy(struct http_pool *pool);

void http_pool_give(struct http_pool *pool, struct http_job *job);

#endif
