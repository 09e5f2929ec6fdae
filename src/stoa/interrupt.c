/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/ensure.h"

static volatile sig_atomic_t requested;
static volatile sig_atomic_t event = -1; /* readable once it is requested */

static void set_action(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    int result = sigaction(number, &action, NULL);
    ensure(result == 0);
}

static void note(int number)
{
    static const uint64_t one = 1;
    int saved = errno;
    (void)number;
    requested = 1;
    set_action(SIGINT, SIG_DFL);
    set_action(SIGTERM, SIG_DFL);
    if (event >= 0) {
        ssize_t written = write(event, &one, sizeof(one));
        ensure(written == sizeof(one)); /* the counter is far from full */
    }
    errno = saved;
}

void interrupt_catch(void)
{
    if (event < 0) {
        event = eventfd(0, EFD_CLOEXEC); /* without one only EINTR ends a wait */
    }
    set_action(SIGINT, note);
    set_action(SIGTERM, note);
}

bool interrupt_requested(void)
{
    return requested != 0;
}

bool interrupt_wait_readable(int fd)
{
    struct pollfd wanted[] = {{.fd = fd, .events = POLLIN}, {.fd = event, .events = POLLIN}};
    while (poll(wanted, 2, interrupt_requested() ? 0 : -1) < 0 && errno == EINTR) {
    }
    return wanted[0].revents != 0 || !interrupt_requested();
}
