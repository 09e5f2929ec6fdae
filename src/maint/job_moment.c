/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/job_moment.h"

#include <string.h>

#include "chain/block.h"

static void done_header(struct store_request *request)
{
    struct job *job = request->context;
    struct job_moment *moment =
        (struct job_moment *)((char *)request - offsetof(struct job_moment, request));
    struct block block;
    int result = request->result;
    if (result == 0) {
        result = block_decode(bytes_of(request->block.block.data, request->block.block.size),
                              &block, &request->detail);
        if (result == 0) {
            memcpy(moment->root, block.header.state_root, 32);
            moment->taken = true;
        }
        store_view_release(request->block.view);
    }
    if (result != 0) {
        *job_detail(job) = request->detail;
        (void)job_fail(job, result); /* its next step is its end */
    }
    job_continue(job);
}

enum job_next job_moment_take(struct job *job, struct job_moment *moment, const char *what)
{
    if (!moment->has_point) {
        int result = store_get_point(job_store(job), &moment->point);
        if (result == STOA_EBUSY) {
            return job_rest(job);
        }
        if (result != 0) {
            return job_fail(job,
                            error_set(job_detail(job), result, "%s: the store is empty", what));
        }
        moment->has_point = true;
    }
    moment->request = (struct store_request){
        .kind = STORE_GET_BLOCK, .key = {.by = STOA_BY_HASH}, .done = done_header, .context = job};
    memcpy(moment->request.key.hash, moment->point.head.hash, 32);
    store_submit(job_store(job), &moment->request);
    return JOB_WAITS;
}
