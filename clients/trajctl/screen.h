/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A terminal used as a whole: plain ANSI sequences, keys without Enter, and everything put back at
 * the end. */
#ifndef TRAJCTL_SCREEN_H
#define TRAJCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

struct screen;

/* NULL when standard input and output are not both a terminal that can do this. */
struct screen *screen_open(void);
void screen_close(struct screen **screen);

/* The size now; 80 x 24 where the terminal does not tell. */
void screen_size(size_t *columns, size_t *rows);

/* A picture is begun, filled line by line (each is cut at the right edge), and shown in one
 * write. */
void screen_begin(struct screen *screen);
void screen_line(struct screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* How the lines that follow look, plain at the beginning of a picture; without colours where the
 * environment says NO_COLOR. */
enum screen_look { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_GOOD, SCREEN_WARNING, SCREEN_BAD };
void screen_look(struct screen *screen, enum screen_look look);
size_t screen_lines_left(const struct screen *screen);
void screen_show(struct screen *screen);

/* A key that was pressed, or 0; never waits. */
char screen_key(struct screen *screen);

#endif
