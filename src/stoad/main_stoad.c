/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main_stoad.c: the program stoad(8). */
#include <stdio.h>

#include "base/buffer.h"
#include "stoad/daemon.h"
#include "stoad/limits.h"

static int print_limits(const struct settings *settings)
{
    struct buffer out = {.data = NULL};
    int result = limits_print(settings, &out);
    if (result == 0) {
        (void)fwrite(out.data, 1, out.size, stdout); /* fflush tells */
        result = fflush(stdout);
    }
    buffer_deinit(&out);
    return result == 0 ? DAEMON_DONE : DAEMON_FAILED;
}

int main(int argc, char **argv)
{
    static struct settings settings;
    struct settings_line line = {.file = NULL};
    struct error_detail detail = {.code = 0};
    int result = settings_init(&settings);
    if (result == 0) {
        settings_parse_line(&settings, argc, argv, &line);
        result = settings_parse_file(&settings, line.file, &detail);
    }
    if (result == 0) {
        result = limits_check(&settings, &detail);
    }
    if (result != 0) {
        (void)fprintf(stderr, "stoad: %s\n",
                      detail.text[0] != '\0' ? detail.text : stoa_strerror(result));
        settings_deinit(&settings);
        return DAEMON_FAILED;
    }
    int status = line.check_config   ? DAEMON_DONE
                 : line.print_limits ? print_limits(&settings)
                                     : daemon_run(&settings, &line);
    settings_deinit(&settings);
    return status;
}
