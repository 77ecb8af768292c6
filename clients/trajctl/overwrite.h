/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Refuses command lines by which a command would write over what it reads. */
#ifndef TRAJCTL_OVERWRITE_H
#define TRAJCTL_OVERWRITE_H

#include <stddef.h>

#include "clients/trajctl/options.h"

/*
 * After parsing: no file that is written is one that is read (a later part of a recording
 * included), by whatever name, and no two that are written are one.  operand are the words that are
 * no options.  OPTIONS_RUN, or EXIT_USAGE after a sentence.
 */
int check_overwriting(const struct command_help *help, const struct command_option *options,
                      size_t count, char *const *operand, size_t operands);

#endif
