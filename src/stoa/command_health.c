/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_health.c: how the store is. */
#include <inttypes.h>

#include "render/json_writer.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/sheet.h"

static bool print_json(const struct stoa_health *health)
{
    struct buffer buffer;
    struct json_writer json;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    json_writer_object_begin(&json, NULL);
    json_writer_text(&json, "state", stoa_health_name(health->state));
    json_writer_number(&json, "violations", health->violations);
    json_writer_array_begin(&json, "reasons");
    for (unsigned i = 0; i < health->reason_count; i++) {
        json_writer_object_begin(&json, NULL);
        json_writer_text(&json, "text", health->reasons[i].text);
        json_writer_object_end(&json);
    }
    json_writer_array_end(&json);
    json_writer_object_end(&json);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

static bool print_text(const struct stoa_health *health)
{
    struct sheet sheet;
    sheet_init(&sheet);
    sheet_line(&sheet, "state", "%s", stoa_health_name(health->state));
    for (unsigned i = 0; i < health->reason_count; i++) {
        sheet_line(&sheet, i == 0 ? "because" : "", "%s", health->reasons[i].text);
    }
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

int command_health_run(const struct options *options)
{
    struct stoa *stoa;
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct stoa_health health = STOA_HEALTH_INIT;
    int result = stoa_get_health(stoa, &health);
    if (result != 0) {
        struct stoa_detail detail = {.code = 0};
        return command_close(stoa, command_fail(result, &detail, "health"));
    }
    bool printed = options->json ? print_json(&health) : print_text(&health);
    bool serves = health.state <= STOA_DEGRADED;
    return command_close(stoa, printed && serves ? COMMAND_DONE : COMMAND_FAILED);
}
