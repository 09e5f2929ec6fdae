/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io_queue.h: requests in order, linked through themselves. One owner, no locks; a request is in at
 * most one queue. */
#ifndef IO_QUEUE_H
#define IO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/io.h"

struct io_queue {
    struct io_request *first;
    struct io_request *last;
};

static inline bool io_queue_is_empty(const struct io_queue *queue)
{
    return queue->first == NULL;
}

static inline void io_queue_push(struct io_queue *queue, struct io_request *request)
{
    request->next = NULL;
    request->previous = queue->last;
    if (queue->last == NULL) {
        queue->first = request;
    } else {
        queue->last->next = request;
    }
    queue->last = request;
}

static inline void io_queue_push_front(struct io_queue *queue, struct io_request *request)
{
    request->previous = NULL;
    request->next = queue->first;
    if (queue->first == NULL) {
        queue->last = request;
    } else {
        queue->first->previous = request;
    }
    queue->first = request;
}

static inline void io_queue_remove(struct io_queue *queue, struct io_request *request)
{
    if (request->previous == NULL) {
        queue->first = request->next;
    } else {
        request->previous->next = request->next;
    }
    if (request->next == NULL) {
        queue->last = request->previous;
    } else {
        request->next->previous = request->previous;
    }
    request->next = NULL;
    request->previous = NULL;
}

/* The first request, or NULL. */
static inline struct io_request *io_queue_pop(struct io_queue *queue)
{
    struct io_request *request = queue->first;
    if (request != NULL) {
        io_queue_remove(queue, request);
    }
    return request;
}

/* Everything in OTHER goes to the end of QUEUE; OTHER is empty afterwards. */
static inline void io_queue_append(struct io_queue *queue, struct io_queue *other)
{
    if (other->first == NULL) {
        return;
    }
    other->first->previous = queue->last;
    if (queue->last == NULL) {
        queue->first = other->first;
    } else {
        queue->last->next = other->first;
    }
    queue->last = other->last;
    other->first = NULL;
    other->last = NULL;
}

static inline bool io_queue_contains(const struct io_queue *queue, const struct io_request *request)
{
    for (const struct io_request *one = queue->first; one != NULL; one = one->next) {
        if (one == request) {
            return true;
        }
    }
    return false;
}

#endif
