/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { ENTRY_SIZE = 1 << 16, NAME_MAX_SIZE = 256, TOKEN_LEAST = 32, TOKEN_MOST = 4096 };

/* A number, or a name that the system knows. */
static bool find_id(const char *name, bool group, uint32_t *out)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < UINT32_MAX) {
        *out = (uint32_t)number;
        return true;
    }
    char room[ENTRY_SIZE]; /* of what the system knows of it */
    struct group group_entry;
    struct passwd user_entry;
    struct group *group_found = NULL;
    struct passwd *user_found = NULL;
    if (group) {
        (void)getgrnam_r(name, &group_entry, room, sizeof(room), &group_found); /* then NULL */
        *out = group_found == NULL ? 0 : group_found->gr_gid;
        return group_found != NULL;
    }
    (void)getpwnam_r(name, &user_entry, room, sizeof(room), &user_found); /* likewise */
    *out = user_found == NULL ? 0 : user_found->pw_uid;
    return user_found != NULL;
}

static int add(uint32_t **ids, size_t *count, uint32_t id)
{
    uint32_t *grown = memory_resize(*ids, (*count + 1) * sizeof(**ids));
    if (grown == NULL) {
        return STOA_ENOMEM;
    }
    *ids = grown;
    grown[(*count)++] = id;
    return 0;
}

static int read_list(const struct settings *settings, enum setting setting,
                     struct clients_list *out, struct error_detail *detail)
{
    const char *at = settings->text[setting];
    while (*at != '\0') {
        char name[NAME_MAX_SIZE];
        uint32_t id;
        size_t length = strcspn(at, ", ");
        bool group = at[0] == '@';
        if (length == 0) {
            at++;
            continue;
        }
        if (length >= sizeof(name)) {
            return error_set(detail, STOA_EINVAL, "%s: a name too long", settings_name(setting));
        }
        memcpy(name, at, length);
        name[length] = '\0';
        at += length;
        if (!find_id(name + group, group, &id)) {
            return error_set(detail, STOA_EINVAL, "%s: there is no %s '%s'", settings_name(setting),
                             group ? "group" : "user", name + group);
        }
        int result = group ? add(&out->groups, &out->group_count, id)
                           : add(&out->users, &out->user_count, id);
        if (result != 0) {
            return error_set(detail, result, "%s", settings_name(setting));
        }
    }
    return 0;
}

/* The file's bytes, without white space at their end. */
static int read_token(const char *path, struct connections_settings *out,
                      struct error_detail *detail)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        int result = error_set_errno(detail, errno, "token-file: %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return result;
    }
    if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        close(fd);
        return error_set(detail, STOA_EINVAL, "token-file: %s: others may read or write it", path);
    }
    uint8_t *token = memory_alloc(TOKEN_MOST);
    ssize_t size = token == NULL ? -1 : read(fd, token, TOKEN_MOST);
    close(fd);
    while (size > 0 &&
           (token[size - 1] == '\n' || token[size - 1] == '\r' || token[size - 1] == ' ')) {
        size--;
    }
    if (size < TOKEN_LEAST || size == TOKEN_MOST) {
        memory_free(token);
        return error_set(detail, STOA_EINVAL, "token-file: %s: a token has %d to %d bytes", path,
                         TOKEN_LEAST, TOKEN_MOST - 1);
    }
    out->token = token;
    out->token_size = (size_t)size;
    return 0;
}

static uint32_t milliseconds(const struct settings *settings, enum setting setting)
{
    return (uint32_t)(settings->number[setting] * 1000);
}

int listeners_settings(const struct settings *settings, struct connections_settings *out,
                       struct error_detail *detail)
{
    const uint64_t *number = settings->number;
    static const enum setting lists[] = {
        [WIRE_ROLE_READ] = SETTING_ROLE_READ,
        [WIRE_ROLE_WRITE] = SETTING_ROLE_WRITE,
        [WIRE_ROLE_ADMIN] = SETTING_ROLE_ADMIN,
    };
    struct connections_settings own = {
        .limits = {.connections = (unsigned)number[SETTING_CONNECTIONS_MAX],
                   .client_connections = (unsigned)number[SETTING_CLIENT_CONNECTIONS_MAX],
                   .requests = (unsigned)number[SETTING_REQUESTS_MAX],
                   .queued = number[SETTING_QUEUE_SIZE_MAX],
                   .rate = (unsigned)number[SETTING_RATE_MAX]},
        .role_otherwise = (enum wire_role)number[SETTING_ROLE_OTHERS],
        .role_tcp = (enum wire_role)number[SETTING_TCP_ROLE],
        .request_max = (uint32_t)number[SETTING_REQUEST_SIZE_MAX],
        .handshake_ms = milliseconds(settings, SETTING_HANDSHAKE_SECONDS),
        .idle_ms = milliseconds(settings, SETTING_IDLE_SECONDS),
        .stall_ms = milliseconds(settings, SETTING_STALL_SECONDS),
    };
    int result = 0;
    for (int role = WIRE_ROLE_READ; result == 0 && role <= WIRE_ROLE_ADMIN; role++) {
        result = read_list(settings, lists[role], &own.roles[role], detail);
    }
    const char *token_file = settings->text[SETTING_TOKEN_FILE];
    if (result == 0 && token_file[0] != '\0') {
        result = read_token(token_file, &own, detail);
    } else if (result == 0 && settings->text[SETTING_TCP][0] != '\0') {
        result = error_set(detail, STOA_EINVAL, "tcp: token-file is not given");
    }
    if (result != 0) {
        connections_settings_deinit(&own);
        return result;
    }
    *out = own;
    return 0;
}

int listeners_path(const struct settings *settings, struct buffer *out)
{
    const char *socket = settings->text[SETTING_SOCKET];
    int result = socket[0] != '\0' ? buffer_append_format(out, "%s", socket)
                                   : buffer_append_format(out, "%s/stoad.sock",
                                                          settings->text[SETTING_DIRECTORY]);
    return result == 0 ? buffer_append(out, "", 1) : result;
}
