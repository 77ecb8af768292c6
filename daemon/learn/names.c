/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of targets and units as the text of a JSON array of strings. */
#include <stdio.h>
#include <string.h>

#include "daemon/learn/model_layout.h"

/* Appends as much of a text as fits and counts all of it. */
static size_t append(char *out, size_t cap, size_t at, const char *text)
{
    for (; *text; text++, at++)
        if (at + 1 < cap)
            out[at] = *text;
    return at;
}

static size_t append_name(char *out, size_t cap, size_t at, const char *name)
{
    at = append(out, cap, at, "\"");
    for (size_t i = 0; i < TRAJ_ID_SIZE && name[i]; i++) {
        unsigned char c = (unsigned char)name[i];
        char escaped[8];
        if (c == '"' || c == '\\')
            (void)snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (c < 0x20)
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", c);
        else
            (void)snprintf(escaped, sizeof escaped, "%c", c);
        at = append(out, cap, at, escaped);
    }
    return append(out, cap, at, "\"");
}

size_t traj_names_write(const char (*name)[TRAJ_ID_SIZE], size_t count, char *out, size_t cap)
{
    size_t at = append(out, cap, 0, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            at = append(out, cap, at, ",");
        at = append_name(out, cap, at, name[i]);
    }
    at = append(out, cap, at, "]");
    if (cap > 0)
        out[at < cap ? at : cap - 1] = '\0';
    return at;
}

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* Value of four hexadecimal digits, or -1. */
static int read_hex(const char *text)
{
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        int c = text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i];
        const char *found = c ? strchr(digits, c) : NULL;
        if (!found)
            return -1;
        value = value * 16 + (int)(found - digits);
    }
    return value;
}

/* Reads what follows a backslash; escapes beyond ASCII are not written here and not read either. */
static const char *read_escape(const char *text, char *out)
{
    const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t";
    const char *found = *text ? strchr(from, *text) : NULL;
    if (found) {
        *out = to[found - from];
        return text + 1;
    }
    int value = *text == 'u' ? read_hex(text + 1) : -1;
    if (value < 1 || value > 0x7f)
        return NULL;
    *out = (char)value;
    return text + 5;
}

static const char *read_name(const char *text, char *name)
{
    size_t length = 0;
    if (*text++ != '"')
        return NULL;
    while (*text && *text != '"') {
        char c = *text++;
        if (c == '\\')
            text = read_escape(text, &c);
        if (!text || (unsigned char)c == 0 || length + 1 >= TRAJ_ID_SIZE)
            return NULL;
        name[length++] = c;
    }
    name[length] = '\0';
    return *text == '"' ? text + 1 : NULL;
}

int traj_names_read(const char *text, char (*name)[TRAJ_ID_SIZE], size_t count)
{
    text = skip_space(text);
    if (*text++ != '[')
        return -1;
    for (size_t i = 0; i < count; i++) {
        text = skip_space(text);
        if (i > 0) {
            if (*text++ != ',')
                return -1;
            text = skip_space(text);
        }
        text = read_name(text, name[i]);
        if (!text)
            return -1;
    }
    text = skip_space(text);
    if (*text++ != ']')
        return -1;
    return *skip_space(text) == '\0' ? 0 : -1;
}
