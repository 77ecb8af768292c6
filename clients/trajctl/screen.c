/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal as a whole. */
#include "clients/trajctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define PICTURE_MAX 65536

struct screen {
    struct termios before; /* put back at the end */
    size_t columns, rows, line;
    size_t used;
    enum screen_look look;
    bool colours;
    char picture[PICTURE_MAX];
};

static void write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(STDOUT_FILENO, bytes, size);
        if (done < 0 && errno != EINTR && errno != EAGAIN) {
            return;
        }
        if (done > 0) {
            bytes += done;
            size -= (size_t)done;
        }
    }
}

struct screen *screen_open(void)
{
    static const char enter[] = "\033[?1049h\033[?25l"; /* alternate screen, no cursor */
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0) {
        return NULL;
    }
    struct screen *screen = calloc(1, sizeof *screen);
    if (!screen || tcgetattr(STDIN_FILENO, &screen->before) != 0) {
        free(screen);
        return NULL;
    }
    struct termios keys = screen->before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    const char *none = getenv("NO_COLOR");
    screen->colours = !none || none[0] == '\0';
    write_all(enter, sizeof enter - 1);
    return screen;
}

void screen_close(struct screen **screen)
{
    static const char leave[] = "\033[?25h\033[?1049l";
    if (*screen) {
        write_all(leave, sizeof leave - 1);
        tcsetattr(STDIN_FILENO, TCSANOW, &(*screen)->before);
        free(*screen);
        *screen = NULL;
    }
}

void screen_size(size_t *columns, size_t *rows)
{
    struct winsize size = {0};
    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

static void append(struct screen *screen, const char *bytes, size_t size)
{
    if (size <= sizeof screen->picture - screen->used) {
        memcpy(screen->picture + screen->used, bytes, size);
        screen->used += size;
    }
}

void screen_begin(struct screen *screen)
{
    screen_size(&screen->columns, &screen->rows);
    screen->used = 0;
    screen->line = 0;
    screen->look = SCREEN_PLAIN;
    append(screen, "\033[H", 3);
}

void screen_look(struct screen *screen, enum screen_look look)
{
    screen->look = look;
}

/* What turns a terminal to a look; every terminal in use knows these, or passes over them. */
static const char *sequence(const struct screen *screen)
{
    static const char *const order[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[1;31m"};
    static const char *const grey[] = {"", "\033[1m", "", "\033[1m", "\033[7m"};
    return (screen->colours ? order : grey)[screen->look];
}

size_t screen_lines_left(const struct screen *screen)
{
    return screen->rows > screen->line ? screen->rows - screen->line : 0;
}

void screen_line(struct screen *screen, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0 || screen_lines_left(screen) == 0) {
        return;
    }
    size_t size = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    size = size < screen->columns ? size : screen->columns;
    for (size_t i = 0; i < size; i++) {
        /* Names come from outside; a terminal takes what is not printable for orders. */
        line[i] = line[i] >= ' ' && line[i] < 127 ? line[i] : '?';
    }
    if (screen->line > 0) {
        append(screen, "\r\n", 2);
    }
    const char *look = sequence(screen);
    append(screen, look, strlen(look));
    append(screen, line, size);
    if (look[0] != '\0') {
        append(screen, "\033[0m", 4);
    }
    append(screen, "\033[K", 3);
    screen->line++;
}

void screen_show(struct screen *screen)
{
    append(screen, "\033[J", 3);
    write_all(screen->picture, screen->used);
}

char screen_key(struct screen *screen)
{
    char key = 0;
    (void)screen;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &key, 1) != 1) {
        key = 0;
    }
    return key;
}
