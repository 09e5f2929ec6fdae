/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "maint/job_packing.h"

#include "store/store_folder.h"

static void stepped(struct ledger_packing *packing)
{
    job_continue(packing->context);
}

int job_packing_start(struct job *job, uint32_t number, bool unpack, uint64_t thinned_size)
{
    struct job_packing *own = job_state(job);
    own->packing = (struct ledger_packing){
        .number = number,
        .unpack = unpack,
        .thinned_size = thinned_size,
        .done = stepped,
        .context = job,
    };
    int result = ledger_pack_start(store_ledger(job_store(job)), &own->packing);
    own->begun = result == 0;
    own->looked = false;
    own->worked = false;
    return result;
}

/* On a worker. */
static int work(struct job *job, struct kv_session *session)
{
    struct job_packing *own = job_state(job);
    (void)session; /* it needs no tables */
    ledger_pack_work(&own->packing);
    own->worked = true;
    return 0;
}

enum job_next job_packing_step(struct job *job)
{
    struct job_packing *own = job_state(job);
    if (own->packing.wants_work && !own->worked) {
        return job_work(job, false, work);
    }
    job_spend(job, own->packing.step_bytes, 1);
    own->worked = false;
    ledger_pack_step(&own->packing);
    return JOB_WAITS;
}

void job_packing_stop(struct job *job)
{
    struct job_packing *own = job_state(job);
    if (own->begun) {
        ledger_pack_stop(&own->packing);
        own->begun = false;
    }
}

int job_packing_check_space(struct job *job, const char *what)
{
    const struct job_packing *own = job_state(job);
    return job_check_space(job, own->packing.unpack ? STORE_FOLDER_LEDGER : STORE_FOLDER_ARCHIVE,
                           own->packing.size_expected, what);
}
