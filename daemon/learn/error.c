/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one sentence that learning, files and commands report instead of a result. */
#include "daemon/learn/error.h"

#include <stdarg.h>
#include <stdio.h>

int(traj_error_set)(struct traj_error *error, const char *format, ...)
{
    if (error != NULL && error->text[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return -1;
}
