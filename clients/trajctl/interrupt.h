/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ctrl-C and SIGTERM ask a command to end in good order. */
#ifndef TRAJCTL_INTERRUPT_H
#define TRAJCTL_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only set a flag (blocking calls return EINTR). */
void interrupt_catch(void);
bool interrupted(void);

#endif
