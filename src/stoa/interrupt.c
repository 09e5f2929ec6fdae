/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stoa/interrupt.h"

#include <signal.h>

#include "base/ensure.h"

static volatile sig_atomic_t requested;

static void set_action(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    int result = sigaction(number, &action, NULL);
    ensure(result == 0);
}

static void note(int number)
{
    (void)number;
    requested = 1;
    set_action(SIGINT, SIG_DFL);
    set_action(SIGTERM, SIG_DFL);
}

void interrupt_catch(void)
{
    set_action(SIGINT, note);
    set_action(SIGTERM, note);
}

bool interrupt_requested(void)
{
    return requested != 0;
}
