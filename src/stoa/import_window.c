/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/import_window.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "stoa/console.h"

/* A slot whose buffers grew beyond this gives them back. */
enum { KEPT_BYTES = 1 << 20, REAP_MAX = 64, HASH_SIZE = 32 };

int import_window_create(struct stoa *stoa, unsigned skip, bool print_stored,
                         struct import_window **out_window)
{
    struct import_window *window = memory_alloc_zeroed(1, sizeof(*window));
    if (window == NULL) {
        return STOA_ENOMEM;
    }
    window->stoa = stoa;
    window->skip = skip;
    window->print_stored = print_stored;
    for (size_t i = 0; i < IMPORT_WINDOW_BLOCKS; i++) {
        window->unused[i] = &window->slots[IMPORT_WINDOW_BLOCKS - 1 - i];
    }
    window->unused_count = IMPORT_WINDOW_BLOCKS;
    *out_window = window;
    return 0;
}

void import_window_destroy(struct import_window *window)
{
    if (window == NULL) {
        return;
    }
    ensure(window->first == window->next);
    for (size_t i = 0; i < IMPORT_WINDOW_BLOCKS; i++) {
        buffer_deinit(&window->slots[i].block);
        buffer_deinit(&window->slots[i].execution.receipts);
        buffer_deinit(&window->slots[i].execution.senders);
        execution_state_deinit(&window->slots[i].execution.state);
    }
    memory_free(window);
}

static size_t slot_bytes(const struct import_slot *slot)
{
    return slot->block.size + slot->execution.receipts.size + slot->execution.senders.size +
           execution_state_bytes(&slot->execution.state);
}

static void shrink(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES) {
        buffer_deinit(buffer);
    }
}

void import_window_drop(struct import_window *window, struct import_slot *slot)
{
    ensure(window->unused_count < IMPORT_WINDOW_BLOCKS);
    shrink(&slot->block);
    shrink(&slot->execution.receipts);
    shrink(&slot->execution.senders);
    shrink(&slot->execution.state.accounts);
    shrink(&slot->execution.state.slots);
    shrink(&slot->execution.state.codes);
    shrink(&slot->execution.state.code_bytes);
    window->unused[window->unused_count++] = slot;
}

static void note_failure(struct import_window *window, const struct import_slot *slot, int result,
                         const struct stoa_detail *detail)
{
    if (window->failure != 0 && window->failed_sequence < slot->sequence) {
        return;
    }
    window->failure = result;
    window->failed_sequence = slot->sequence;
    window->failed_number = slot->number;
    window->failure_detail = *detail;
}

static void note_completion(struct import_window *window, const struct stoa_completion *completion)
{
    ensure(completion->tag >= window->first && completion->tag < window->next);
    struct import_slot *slot = window->order[completion->tag % IMPORT_WINDOW_BLOCKS];
    ensure(slot->sequence == completion->tag);
    ensure(!slot->done);
    slot->done = true;
    slot->result = completion->result;
    /* A block of another branch is named by whoever compares the file with the chain. */
    bool elsewhere = slot->receipts_only && completion->result == STOA_ENOTFOUND;
    if (completion->result != 0 && completion->result != STOA_EEXISTS && !elsewhere) {
        note_failure(window, slot, completion->result, &completion->detail);
    }
}

/* Give up what is done at the old end of the window, and tell how far the store has come. */
static void advance(struct import_window *window)
{
    bool any = false;
    uint8_t hash[HASH_SIZE];
    while (window->first < window->next) {
        struct import_slot *slot = window->order[window->first % IMPORT_WINDOW_BLOCKS];
        if (!slot->done) {
            break;
        }
        bool good = window->failure == 0 || slot->sequence < window->failed_sequence;
        if (slot->receipts_only) {
            window->receipts += slot->result == 0;
        } else if (good) {
            window->stored++;
            window->stored_bytes += slot->block.size;
            window->stored_number = slot->number;
            memcpy(hash, slot->hash, HASH_SIZE);
            any = true;
        }
        ensure(window->bytes >= slot_bytes(slot));
        window->bytes -= slot_bytes(slot);
        window->first++;
        import_window_drop(window, slot);
    }
    if (any && window->print_stored) {
        char text[2 * HASH_SIZE + 1];
        bytes_to_hex(hash, HASH_SIZE, text);
        /* The import goes on without its reader. */
        (void)console_print("stored %" PRIu64 " 0x%s\n", window->stored_number, text);
    }
}

/* Take what is done; with WAIT, wait for the first. Returns how many. */
static unsigned reap(struct import_window *window, bool wait)
{
    struct stoa_completion completions[REAP_MAX];
    int count = stoa_reap(window->stoa, completions, REAP_MAX, wait ? -1 : 0);
    ensure(count >= 0 && count <= REAP_MAX);
    for (int i = 0; i < count; i++) {
        note_completion(window, &completions[i]);
    }
    if (count > 0) {
        advance(window);
    }
    return (unsigned)count;
}

struct import_slot *import_window_take(struct import_window *window)
{
    while (reap(window, false) == REAP_MAX) {
        /* there may be more */
    }
    while (window->failure == 0 &&
           (window->unused_count == 0 || window->bytes >= IMPORT_WINDOW_BYTES)) {
        unsigned count = reap(window, true);
        ensure(count > 0);
    }
    if (window->failure != 0) {
        return NULL;
    }
    struct import_slot *slot = window->unused[--window->unused_count];
    buffer_clear(&slot->block);
    buffer_clear(&slot->execution.receipts);
    buffer_clear(&slot->execution.senders);
    execution_state_clear(&slot->execution.state);
    slot->has_receipts = false;
    slot->receipts_only = false;
    slot->has_expectations = false;
    slot->done = false;
    return slot;
}

static struct stoa_bytes view_of(const struct buffer *buffer)
{
    return (struct stoa_bytes){.data = buffer->data, .size = buffer->size};
}

/* The engine is full though this window may not be: what is under way makes room, or a moment. */
static void wait_for_room(struct import_window *window)
{
    if (window->first < window->next) {
        (void)reap(window, true); /* how many does not matter */
        return;
    }
    const struct timespec moment = {.tv_nsec = 1000000};
    (void)nanosleep(&moment, NULL); /* waking early does no harm */
}

static int submit_receipts(struct import_window *window, struct import_slot *slot)
{
    struct stoa_store_receipts request = STOA_STORE_RECEIPTS_INIT;
    request.block_hash = slot->hash;
    request.receipts = view_of(&slot->execution.receipts);
    request.skip = window->skip & STOA_SKIP_RECEIPTS;
    return stoa_submit_store_receipts(window->stoa, &request, STOA_TAG(window->next));
}

static int submit_block(struct import_window *window, struct import_slot *slot)
{
    struct stoa_store_block request = STOA_STORE_BLOCK_INIT;
    request.block = view_of(&slot->block);
    request.skip = window->skip;
    request.flags = window->side ? STOA_STORE_SIDE : 0;
    if (slot->has_receipts) {
        request.receipts = view_of(&slot->execution.receipts);
    }
    if (slot->has_expectations) {
        request.expected_hash = slot->execution.hash;
        if (slot->execution.senders.size > 0) {
            request.senders = slot->execution.senders.data;
        }
        execution_state_fill(&slot->execution.state, &request);
    }
    return stoa_submit_store_block(window->stoa, &request, STOA_TAG(window->next));
}

bool import_window_submit(struct import_window *window, struct import_slot *slot)
{
    int result = STOA_EBUSY;
    while (window->failure == 0 && result == STOA_EBUSY) {
        result = slot->receipts_only ? submit_receipts(window, slot) : submit_block(window, slot);
        if (result == STOA_EBUSY) {
            wait_for_room(window);
        }
    }
    slot->sequence = window->next;
    if (result == 0) {
        window->order[window->next % IMPORT_WINDOW_BLOCKS] = slot;
        window->bytes += slot_bytes(slot);
        window->next++;
        return true;
    }
    if (window->failure == 0) {
        struct stoa_detail detail = {.code = result};
        note_failure(window, slot, result, &detail);
    }
    import_window_drop(window, slot);
    return false;
}

int import_window_drain(struct import_window *window)
{
    while (window->first < window->next) {
        unsigned count = reap(window, true);
        ensure(count > 0);
    }
    return window->failure;
}
