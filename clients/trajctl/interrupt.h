/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ctrl-C and SIGTERM ask a command to end in good order. */
#ifndef TRAJCTL_INTERRUPT_H
#define TRAJCTL_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only set a flag (blocking calls return EINTR). */
void interrupt_catch(void);
bool interrupted(void);

/* From now on a blocking call returns EINTR at least once a second, so that its caller can look
 * around. */
void interrupt_tick(void);

/* Whether ticks are held back: for what has a time limit of its own and cannot be begun again. */
void interrupt_hold_ticks(bool held);

#endif
