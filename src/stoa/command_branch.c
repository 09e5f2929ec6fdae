/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_branch.c: the commands about branches: list them, choose the head, set the marks. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "stoa/answer.h"
#include "stoa/command.h"
#include "stoa/console.h"

enum { HASH_SIZE = 32, BRANCHES_AT_ONCE = 64 };

/* All branches, in memory that the caller frees with memory_free. */
static int get_branches(struct stoa *stoa, struct stoa_branch **out_branches, size_t *out_count,
                        struct stoa_detail *detail)
{
    size_t capacity = 0;
    size_t count = BRANCHES_AT_ONCE;
    struct stoa_branch *branches = NULL;
    int result = 0;
    while (result == 0 && count > capacity) { /* this process alone has the store: twice at most */
        memory_free(branches);
        capacity = count;
        branches = memory_alloc_zeroed(capacity, sizeof(*branches));
        result = branches == NULL ? STOA_ENOMEM
                                  : stoa_get_branches(stoa, branches, capacity, &count, detail);
    }
    if (result != 0) {
        memory_free(branches);
        return result;
    }
    *out_branches = branches;
    *out_count = count;
    return 0;
}

static void add_json(struct json_writer *json, const struct stoa_branch *branch)
{
    json_writer_object_begin(json, NULL);
    json_writer_quantity(json, "number", branch->height);
    json_writer_hex(json, "hash", branch->hash, HASH_SIZE);
    json_writer_quantity256(json, "totalDifficulty", branch->total_difficulty);
    json_writer_bool(json, "canonical", branch->canonical != 0);
    json_writer_object_begin(json, "fork");
    json_writer_quantity(json, "number", branch->fork_height);
    json_writer_hex(json, "hash", branch->fork_hash, HASH_SIZE);
    json_writer_object_end(json);
    json_writer_object_end(json);
}

static void add_text(struct sheet *sheet, const struct stoa_branch *branch)
{
    sheet_line(sheet, branch->canonical != 0 ? "head" : "branch", "%" PRIu64, branch->height);
    sheet_hex(sheet, "  hash", branch->hash, HASH_SIZE);
    sheet_decimal(sheet, "  total difficulty", branch->total_difficulty);
    if (branch->canonical == 0) {
        sheet_line(sheet, "  blocks", "%" PRIu64, branch->height - branch->fork_height);
        sheet_line(sheet, "  forks off", "%" PRIu64, branch->fork_height);
        sheet_hex(sheet, "  from", branch->fork_hash, HASH_SIZE);
    }
}

static int print_branches(const struct options *options, const struct stoa_branch *branches,
                          size_t count)
{
    struct answer answer;
    answer_init(&answer, options);
    json_writer_array_begin(&answer.json, NULL);
    for (size_t i = 0; i < count; i++) {
        add_json(&answer.json, &branches[i]);
        add_text(&answer.sheet, &branches[i]);
    }
    json_writer_array_end(&answer.json);
    return answer_finish(&answer);
}

int command_branch_list(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_branch *branches;
    size_t count;
    struct stoa_detail detail = {.code = 0};
    int result = get_branches(stoa, &branches, &count, &detail);
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, "branches"));
    }
    status = print_branches(options, branches, count);
    memory_free(branches);
    return command_close(stoa, status);
}

/* What the change made of the head. */
static int print_head(const struct options *options, const struct stoa_head *head)
{
    struct answer answer;
    answer_init(&answer, options);
    json_writer_object_begin(&answer.json, NULL);
    json_writer_quantity(&answer.json, "head", head->height);
    sheet_line(&answer.sheet, "head", "%" PRIu64, head->height);
    if (head->has_safe != 0) {
        json_writer_quantity(&answer.json, "safe", head->safe_height);
        sheet_line(&answer.sheet, "safe", "%" PRIu64, head->safe_height);
    }
    if (head->has_finalized != 0) {
        json_writer_quantity(&answer.json, "finalized", head->finalized_height);
        sheet_line(&answer.sheet, "finalized", "%" PRIu64, head->finalized_height);
    }
    json_writer_object_end(&answer.json);
    return answer_finish(&answer);
}

typedef int change_function(struct stoa *stoa, const struct stoa_block_key *key,
                            struct stoa_detail *detail);

static int change(const struct options *options, const struct stoa_block_key *key,
                  change_function *function)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_detail detail = {.code = 0};
    struct stoa_head head = {.empty = 1};
    int result = function(stoa, key, &detail);
    if (result == 0) {
        result = stoa_get_head(stoa, &head);
    }
    if (result != 0) {
        return command_close(stoa, command_fail(result, &detail, options->arguments[0]));
    }
    return command_close(stoa, print_head(options, &head));
}

static int update_head(struct stoa *stoa, const struct stoa_block_key *key,
                       struct stoa_detail *detail)
{
    return stoa_update_head(stoa, key->hash, detail);
}

int command_branch_set_head(const struct options *options)
{
    const char *text = options->arguments[0];
    struct stoa_block_key key = {.by = STOA_BY_HASH};
    if (bytes_from_hex(text, strlen(text), key.hash, HASH_SIZE) != HASH_SIZE) {
        console_error("%s: no block hash", text);
        return COMMAND_USAGE;
    }
    return change(options, &key, update_head);
}

static int set_mark(const struct options *options, change_function *function)
{
    struct stoa_block_key key;
    if (!command_parse_key(options->arguments[0], &key)) {
        console_error("%s: neither a number, nor a hash, nor latest", options->arguments[0]);
        return COMMAND_USAGE;
    }
    return change(options, &key, function);
}

int command_branch_set_safe(const struct options *options)
{
    return set_mark(options, stoa_set_safe);
}

int command_branch_set_finalized(const struct options *options)
{
    return set_mark(options, stoa_set_finalized);
}
