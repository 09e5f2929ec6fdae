/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http_empty: a server of the HTTP library and nothing else, the measure beside which bench/http
 * puts the daemon: the same library, driven by its epoll descriptor from one thread, every request
 * answered with as many bytes as the first argument says. Prints its port and serves until ended.
 */
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *response;

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    static int seen;
    (void)context;
    (void)path;
    (void)method;
    (void)version;
    (void)data;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    char *body = calloc(1, size + 1);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, NULL, MHD_OPTION_END);
    if (body == NULL || daemon == NULL) {
        fprintf(stderr, "http_empty: cannot listen\n");
        return 1;
    }
    memset(body, ' ', size);
    response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_PERSISTENT);
    printf("port=%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout); /* whoever waits for the port would notice */
    struct pollfd watched = {.fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                             .events = POLLIN};
    for (;;) {
        MHD_UNSIGNED_LONG_LONG rest = 0;
        int wait = MHD_get_timeout(daemon, &rest) == MHD_YES ? (int)rest : -1;
        (void)poll(&watched, 1, wait); /* a signal ends it */
        (void)MHD_run(daemon);         /* a connection that failed is ended */
    }
}
