/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TRAJCTL_PROCESSORS_H
#define TRAJCTL_PROCESSORS_H

#include <stddef.h>

/* The processors that are there to work; 1 where the system does not tell. */
size_t processors_online(void);

#endif
