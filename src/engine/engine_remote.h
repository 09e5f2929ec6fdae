/* SPDX-License-Identifier: GPL-3.0-or-later */
/* engine_remote.h: a handle whose store is another process's: the calls of stoa.h go to a table of
 * operations instead of to a loop. The client implements it; nothing of the engine runs. */
#ifndef ENGINE_REMOTE_H
#define ENGINE_REMOTE_H

#include "stoa.h"

/* As the calls of stoa.h with these names; ANY THREAD, like those. Sizes of reports are checked
 * already, and each is the newest's. */
struct engine_remote_ops {
    int (*close)(void *remote, struct stoa_detail *detail); /* STOA_EBUSY: views are out */
    int (*submit)(void *remote, enum stoa_message message, const void *argument,
                  const struct stoa_call *call);
    void (*ask)(void *remote, enum stoa_message message, const void *argument,
                const struct stoa_call *call, struct stoa_completion *out);
    int (*reap)(void *remote, struct stoa_completion *out, unsigned count, int timeout_ms);
    int (*completion_fd)(void *remote);
    int (*cancel)(void *remote, uint64_t correlation_id);
    int (*sync)(void *remote, struct stoa_detail *detail);
    int (*metrics_list)(void *remote, void (*each)(void *context, const struct stoa_metric *metric),
                        void *context);
    int (*metrics_text)(void *remote, char **out_text, size_t *out_size);
    int (*letters_list)(void *remote, struct stoa_dead_letter *out, size_t capacity,
                        size_t *out_count);
    int (*letters_retry)(void *remote, uint64_t id, struct stoa_detail *detail);
    int (*letters_drop)(void *remote, uint64_t id);
    int (*letters_count)(void *remote, struct stoa_dead_letter_counts *out);
    int (*resize_cache)(void *remote, uint64_t size, struct stoa_detail *detail);
    int (*block_changes)(void *remote, const struct stoa_block_key *key,
                         struct stoa_block_changes **out, struct stoa_detail *detail);
    int (*rebuild_index)(void *remote, int index,
                         int (*progress)(void *context, uint64_t done, uint64_t total),
                         void *context, struct stoa_detail *detail);
    int (*wait_health)(void *remote, uint64_t seen, int timeout_ms, struct stoa_health *out);
    int (*health_fd)(void *remote);
};

/* A view that an operation handed out, marked by engine_remote_mark: stoa_release calls this. */
struct engine_remote_view {
    void (*release)(struct engine_remote_view *view);
};
struct stoa_view *engine_remote_mark(struct engine_remote_view *view);

/* A handle on STATE. STOA_ENOMEM. */
int engine_remote_make(const struct engine_remote_ops *ops, void *state, struct stoa **out_stoa);

/* What has come of COMPLETION and nobody wants. */
void engine_remote_forget(struct stoa_completion *completion);

#endif
