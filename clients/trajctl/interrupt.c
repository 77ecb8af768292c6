/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A flag that signals set. */
#include "clients/trajctl/interrupt.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

static volatile sig_atomic_t asked;

static void ask(int signal_number)
{
    (void)signal_number;
    asked = 1;
}

void interrupt_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ask; /* without SA_RESTART: a blocking call is to return */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool interrupted(void)
{
    return asked != 0;
}

static void tick(int signal_number)
{
    (void)signal_number;
}

void interrupt_tick(void)
{
    const struct itimerval second = {{1, 0}, {1, 0}};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = tick;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &second, NULL);
}

void interrupt_hold_ticks(bool held)
{
    sigset_t ticks;
    sigemptyset(&ticks);
    sigaddset(&ticks, SIGALRM);
    (void)sigprocmask(held ? SIG_BLOCK : SIG_UNBLOCK, &ticks, NULL);
}
