/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of a file of settings: what is wrong is named with its line, and what is taken is within
 * its bounds. */
#include <string.h>

#include "base/ensure.h"
#include "fuzz/fuzz.h"
#include "stoad/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct error_detail detail = {.code = 0};
    static const char empty[] = "";
    int result = settings_init(&settings);
    ensure(result == 0);
    result =
        settings_parse_text(&settings, "f", size == 0 ? empty : (const char *)data, size, &detail);
    ensure(result == 0 || (result == detail.code && strncmp(detail.text, "f:", 2) == 0));
    struct settings again;
    int made = settings_init(&again);
    ensure(made == 0);
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        ensure(settings.text[i] != NULL);
        made = settings_set(&again, (enum setting)i, settings.text[i], &detail);
        ensure(made == 0 && again.number[i] == settings.number[i]);
    }
    settings_deinit(&again);
    settings_deinit(&settings);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const seeds[] = {
        "",
        "cache-size = 8M\n; comment\nlog-format = json\n",
        "role-read = root,@adm 7\nkeep-history = 64\nio = ring\n",
        "[section]\nio = auto\n",
        "cache-size = 18446744073709551615G\n",
        "log-level\n = \n",
    };
    if (index >= sizeof(seeds) / sizeof(seeds[0])) {
        return false;
    }
    int appended = buffer_append(out, seeds[index], strlen(seeds[index]));
    ensure(appended == 0);
    return true;
}
