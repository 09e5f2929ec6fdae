/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoad/daemon.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/memory.h"
#include "server/server.h"
#include "stoad/confine.h"
#include "stoad/limits.h"
#include "stoad/listeners.h"
#include "stoad/log_lines.h"
#include "stoad/notify.h"
#include "stoad/web.h"

enum stage { OPENING, SERVING, STOPPING };

struct daemon {
    struct settings *settings;
    const struct settings_line *line;
    struct log_lines lines;
    struct event_sink events;
    struct stoa *stoa;
    struct server *server;
    struct connections *connections;
    struct connections_settings fresh; /* of a reload, on their way to the loop */
    atomic_int stage;                  /* exchanges order the server's pointer as well */
    struct timespec limit; /* the signals' thread's: when it has to have ended; 0: not yet */
    bool watchdog;
    pthread_mutex_t order; /* of the next: who holds it and finds that unset has the server */
    bool ending;           /* its thread has ended, and it is taken apart */
};

static void say(struct daemon *daemon, enum event_level level, const char *event,
                const struct event_field *fields, size_t count)
{
    event_say(&daemon->events, level, event, fields, count);
}

static void say_failure(struct daemon *daemon, const char *what, int code, const char *text)
{
    const struct event_field fields[] = {
        EVENT_TEXT("what", what),
        EVENT_TEXT("error", stoa_error_name(code)),
        EVENT_TEXT("detail", text[0] != '\0' ? text : stoa_strerror(code)),
    };
    say(daemon, EVENT_ERROR, "failed", fields, 3);
}

/* ---- reload ---- */

static void take_log_settings(struct daemon *daemon)
{
    atomic_store_explicit(&daemon->lines.json, daemon->settings->number[SETTING_LOG_FORMAT] == 1,
                          memory_order_relaxed);
    atomic_store_explicit(&daemon->lines.level, (int)daemon->settings->number[SETTING_LOG_LEVEL],
                          memory_order_relaxed);
}

/* On the server's loop. */
static void take_settings(void *context)
{
    struct daemon *daemon = context;
    take_log_settings(daemon);
    connections_reload(daemon->connections, &daemon->fresh);
}

/* One setting of the new file. True: it is another than before, and was taken. */
static bool take_setting(struct daemon *daemon, struct settings *fresh, enum setting setting)
{
    struct settings *now = daemon->settings;
    if (now->on_line[setting] || strcmp(now->text[setting], fresh->text[setting]) == 0) {
        return false;
    }
    const struct event_field fields[] = {EVENT_TEXT("setting", settings_name(setting))};
    if (!settings_reloads(setting)) {
        say(daemon, EVENT_WARNING, "needs_restart", fields, 1);
        return false;
    }
    char *text = now->text[setting];
    now->text[setting] = fresh->text[setting];
    now->number[setting] = fresh->number[setting];
    fresh->text[setting] = text;
    say(daemon, EVENT_INFO, "setting_changed", fields, 1);
    return true;
}

/* Read the file anew into FRESH, which is initialised. */
static int read_again(struct daemon *daemon, struct settings *fresh, struct error_detail *detail)
{
    int result =
        settings_set(fresh, SETTING_DIRECTORY, daemon->settings->text[SETTING_DIRECTORY], detail);
    for (unsigned i = 0; result == 0 && i < SETTING_COUNT; i++) {
        if (daemon->settings->on_line[i]) {
            result = settings_set(fresh, (enum setting)i, daemon->settings->text[i], detail);
            fresh->on_line[i] = true;
        }
    }
    if (result == 0) {
        result = settings_parse_file(fresh, daemon->line->file, detail);
    }
    if (result == 0) {
        result = limits_check(fresh, detail);
    }
    return result == 0 ? listeners_settings(fresh, &daemon->fresh, detail) : result;
}

static void reload(struct daemon *daemon)
{
    struct settings fresh;
    struct error_detail detail = {.code = 0};
    struct stoa_detail public = {.code = 0};
    (void)notify_send("RELOADING=1"); /* nobody need listen */
    if (settings_init(&fresh) != 0) {
        say_failure(daemon, "reload", STOA_ENOMEM, "");
        return;
    }
    int result = read_again(daemon, &fresh, &detail);
    if (result != 0) {
        say_failure(daemon, "reload", result, detail.text); /* nothing has changed */
    }
    bool cache = false;
    for (unsigned i = 0; result == 0 && i < SETTING_COUNT; i++) {
        bool taken = take_setting(daemon, &fresh, (enum setting)i);
        cache = cache || (taken && i == SETTING_CACHE_SIZE);
    }
    if (result == 0) {
        if (server_run_on_loop(daemon->server, take_settings, daemon) != 0) {
            connections_settings_deinit(&daemon->fresh); /* it has ended meanwhile */
        }
    }
    if (cache) {
        result =
            stoa_resize_cache(daemon->stoa, daemon->settings->number[SETTING_CACHE_SIZE], &public);
        if (result != 0) {
            say_failure(daemon, "cache-size", result, public.text);
        }
    }
    settings_deinit(&fresh);
    say(daemon, EVENT_INFO, "reloaded", NULL, 0);
    (void)notify_send("READY=1");
}

/* ---- signals ---- */

static void take_signal(struct daemon *daemon, int number)
{
    int stage = atomic_load_explicit(&daemon->stage, memory_order_acquire);
    if (number == SIGHUP) {
        pthread_mutex_lock(&daemon->order);
        if (stage == SERVING && !daemon->ending) {
            reload(daemon);
        }
        pthread_mutex_unlock(&daemon->order);
        return;
    }
    const struct event_field fields[] = {EVENT_NUMBER("signal", number)};
    if (stage != SERVING) {
        say(daemon, EVENT_WARNING, "stopped_at_once", fields, 1);
        _exit(stage == OPENING ? DAEMON_DONE : DAEMON_FAILED);
    }
    say(daemon, EVENT_INFO, "stopping", fields, 1);
    (void)notify_send("STOPPING=1");
    clock_gettime(CLOCK_MONOTONIC, &daemon->limit);
    daemon->limit.tv_sec += (time_t)daemon->settings->number[SETTING_STOP_SECONDS];
    atomic_store_explicit(&daemon->stage, STOPPING, memory_order_release);
    pthread_mutex_lock(&daemon->order); /* the server ends as soon as it sees this, or by itself */
    if (!daemon->ending) {
        server_stop(daemon->server);
    }
    pthread_mutex_unlock(&daemon->order);
}

static void signals_of_daemon(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGHUP);
}

/* The next signal. Once it stops there is an end to that, whatever holds it up: what is
 * acknowledged is in the ledger, and the next opening replays what the tables lack. */
static int next_signal(struct daemon *daemon, const sigset_t *set)
{
    for (;;) {
        if (daemon->limit.tv_sec == 0) {
            int number = sigwaitinfo(set, NULL);
            if (number > 0) {
                return number;
            }
            continue; /* interrupted */
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t left_ns = (int64_t)(daemon->limit.tv_sec - now.tv_sec) * 1000000000 +
                          (daemon->limit.tv_nsec - now.tv_nsec);
        if (left_ns <= 0) {
            say(daemon, EVENT_WARNING, "stopped_late", NULL, 0);
            _exit(DAEMON_FAILED);
        }
        struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000),
                                .tv_nsec = (long)(left_ns % 1000000000)};
        int number = sigtimedwait(set, NULL, &left);
        if (number > 0) {
            return number;
        }
    }
}

static void *signal_thread(void *context)
{
    sigset_t set;
    signals_of_daemon(&set);
    for (;;) {
        take_signal(context, next_signal(context, &set));
    }
    return NULL;
}

static int start_signals(struct daemon *daemon)
{
    sigset_t set;
    pthread_t thread;
    signals_of_daemon(&set);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    ensure(error == 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    error = sigaction(SIGPIPE, &ignore, NULL);
    ensure(error == 0);
    error = pthread_create(&thread, NULL, signal_thread, daemon);
    if (error != 0) {
        return error_from_errno(error);
    }
    pthread_detach(thread);
    return 0;
}

/* ---- running ---- */

static void note_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct daemon *daemon = context;
    const struct event_field fields[] = {
        EVENT_TEXT("what", what),
        EVENT_NUMBER("done", done),
        EVENT_NUMBER("total", total),
    };
    say(daemon, EVENT_INFO, "opening", fields, 3);
    (void)notify_send("EXTEND_TIMEOUT_USEC=60000000");
}

static void note_alive(void *context)
{
    const struct daemon *daemon = context;
    if (daemon->watchdog) {
        (void)notify_send("WATCHDOG=1");
    }
}

static int open_store(struct daemon *daemon)
{
    struct stoa_options options;
    struct stoa_cache_options cache;
    struct stoa_maintenance maintenance;
    struct stoa_detail detail = {.code = 0};
    limits_store_options(daemon->settings, &options, &cache, &maintenance);
    options.progress = note_progress;
    options.progress_context = daemon;
    const char *directory = daemon->settings->text[SETTING_DIRECTORY];
    int result = stoa_open(directory, &options, &daemon->stoa, &detail);
    if (result != 0) {
        say_failure(daemon, directory, result, detail.text);
        return result;
    }
    if (detail.text[0] != '\0') {
        const struct event_field fields[] = {EVENT_TEXT("detail", detail.text)};
        say(daemon, EVENT_WARNING, "warning", fields, 1);
    }
    return 0;
}

/* Where that cannot be had it is said; the store is served all the same. */
static void confine(struct daemon *daemon)
{
    struct error_detail detail = {.code = 0};
    if (daemon->settings->number[SETTING_CONFINE] == 0) {
        return;
    }
    if (confine_enter(&detail) != 0) {
        const struct event_field fields[] = {EVENT_TEXT("detail", detail.text)};
        say(daemon, EVENT_WARNING, "not_confined", fields, 1);
    }
}

static void say_ready(struct daemon *daemon)
{
    struct stoa_stats stats = STOA_STATS_INIT;
    struct stoa_head head = {.empty = 1};
    (void)stoa_get_stats(daemon->stoa, &stats); /* then the next line is short */
    const struct event_field loop[] = {
        EVENT_TEXT("loop", stats.io),
        EVENT_TEXT("features", stats.io_features),
    };
    say(daemon, EVENT_INFO, "io", loop, 2);
    const struct event_field sockets[] = {
        EVENT_TEXT("loop", server_io_name(daemon->server)),
        EVENT_TEXT("features", server_io_features(daemon->server)),
    };
    say(daemon, EVENT_INFO, "sockets", sockets, 2);
    (void)stoa_get_head(daemon->stoa, &head); /* then it is told as empty */
    const struct event_field fields[] = {
        EVENT_TEXT("directory", daemon->settings->text[SETTING_DIRECTORY]),
        EVENT_TEXT("config", daemon->settings->file),
        EVENT_TEXT("version", stoa_version()),
        EVENT_NUMBER("head", head.empty ? -1 : (int64_t)head.height),
        EVENT_NUMBER("process", getpid()),
    };
    say(daemon, EVENT_INFO, "ready", fields, 5);
    (void)notify_send("READY=1");
}

static int listen_to_clients(struct daemon *daemon, struct error_detail *detail)
{
    struct connections_settings own;
    struct buffer path = {.data = NULL};
    const char *tcp = daemon->settings->text[SETTING_TCP];
    int result = listeners_settings(daemon->settings, &own, detail);
    if (result != 0) {
        return result;
    }
    result = listeners_path(daemon->settings, &path);
    if (result == 0) {
        result =
            connections_create(daemon->server, (const char *)path.data, tcp[0] != '\0' ? tcp : NULL,
                               &own, &daemon->connections, detail);
    }
    if (result == 0) {
        const struct event_field fields[] = {
            EVENT_TEXT("socket", (const char *)path.data),
            EVENT_TEXT("tcp", tcp[0] != '\0' ? tcp : NULL),
        };
        say(daemon, EVENT_INFO, "listening", fields, 2);
    } else {
        connections_settings_deinit(&own);
    }
    buffer_deinit(&path);
    return result;
}

/* Serve until told to stop. The server's parts are made and attached here. */
static int serve(struct daemon *daemon)
{
    struct error_detail detail = {.code = 0};
    struct server_options options = {
        .stoa = daemon->stoa,
        .events = &daemon->events,
        .io = (enum io_backend)daemon->settings->number[SETTING_IO],
        .stop_ms = (uint32_t)(daemon->settings->number[SETTING_STOP_SECONDS] * 1000 / 2),
        .alive = note_alive,
        .alive_context = daemon,
    };
    struct web *web = NULL;
    int result = server_create(&options, &daemon->server, &detail);
    if (result == 0) {
        result = listen_to_clients(daemon, &detail);
    }
    if (result == 0) {
        result = web_create(daemon->settings, daemon->server, &web, &detail);
    }
    if (result == 0) {
        result = server_start(daemon->server, &detail);
    }
    if (result != 0) {
        say_failure(daemon, "serve", result, detail.text);
        web_destroy(web);
        connections_destroy(daemon->connections);
        server_destroy(daemon->server);
        return result;
    }
    if (detail.text[0] != '\0') {
        const struct event_field fields[] = {EVENT_TEXT("detail", detail.text)};
        say(daemon, EVENT_WARNING, "warning", fields, 1);
    }
    confine(daemon); /* with all its threads there */
    atomic_store_explicit(&daemon->stage, SERVING, memory_order_release);
    say_ready(daemon);
    result = server_join(daemon->server);
    web_destroy(web);
    pthread_mutex_lock(&daemon->order);
    daemon->ending = true;
    pthread_mutex_unlock(&daemon->order);
    if (result != 0) {
        say_failure(daemon, "serve", result, "");
    }
    connections_destroy(daemon->connections);
    server_destroy(daemon->server);
    atomic_store_explicit(&daemon->stage, STOPPING, memory_order_release);
    return result;
}

int daemon_run(struct settings *settings, const struct settings_line *line)
{
    static struct daemon daemon; /* the thread of the signals has it until the process ends */
    daemon.settings = settings;
    daemon.line = line;
    log_lines_init(&daemon.lines, STDERR_FILENO);
    daemon.lines.journal = secure_getenv("JOURNAL_STREAM") != NULL;
    daemon.events = (struct event_sink){.say = log_lines_say, .context = &daemon.lines};
    daemon.watchdog = notify_wants_watchdog();
    pthread_mutex_init(&daemon.order, NULL);
    atomic_init(&daemon.stage, OPENING);
    take_log_settings(&daemon);
    int result = start_signals(&daemon);
    if (result != 0) {
        say_failure(&daemon, "start", result, "");
        return DAEMON_FAILED;
    }
    result = open_store(&daemon);
    if (result != 0) {
        return result == STOA_ENOTFOUND  ? DAEMON_NO_STORE
               : result == STOA_ECORRUPT ? DAEMON_DAMAGE
                                         : DAEMON_FAILED;
    }
    result = serve(&daemon);
    struct stoa_detail detail = {.code = 0};
    int closed = stoa_close(daemon.stoa, &detail);
    if (closed != 0) {
        say_failure(&daemon, "close", closed, detail.text);
    }
    say(&daemon, EVENT_INFO, "stopped", NULL, 0);
    return result == 0 && closed == 0 ? DAEMON_DONE : DAEMON_FAILED;
}
