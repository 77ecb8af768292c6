/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON as JUCE lays it out; see juce.h. */
#include "proto/juce.h"

#include <string.h>

#include "proto/number.h"

static void put(struct traj_juce *juce, const char *text, size_t length)
{
    if (juce->full || juce->cap - juce->length < length) {
        juce->full = true;
        return;
    }
    memcpy(juce->out + juce->length, text, length);
    juce->length += length;
}

static void write_text(struct traj_juce *juce, const char *text)
{
    put(juce, text, strlen(text));
}

static void new_line(struct traj_juce *juce)
{
    if (juce->comma) {
        write_text(juce, ",");
    }
    write_text(juce, "\r\n");
    for (unsigned i = 0; i < juce->level; i++) {
        write_text(juce, "  ");
    }
    juce->comma = true;
}

void traj_juce_open(struct traj_juce *juce, const char *bracket)
{
    write_text(juce, bracket);
    juce->level++;
    juce->comma = false;
}

void traj_juce_close(struct traj_juce *juce, const char *bracket)
{
    juce->level--;
    juce->comma = false;
    new_line(juce);
    write_text(juce, bracket);
    juce->comma = true;
}

void traj_juce_key(struct traj_juce *juce, const char *key)
{
    new_line(juce);
    write_text(juce, "\"");
    write_text(juce, key);
    write_text(juce, "\": ");
}

void traj_juce_text(struct traj_juce *juce, const char *key, const char *text)
{
    traj_juce_key(juce, key);
    write_text(juce, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            write_text(juce, "\\");
        }
        put(juce, text, 1);
    }
    write_text(juce, "\"");
}

void traj_juce_whole(struct traj_juce *juce, const char *key, int64_t value)
{
    char digits[TRAJ_NUMBER_SIZE];

    traj_juce_key(juce, key);
    put(juce, digits, traj_number_write_i64(value, digits));
}

/* A real number always shows its point. */
void traj_juce_real(struct traj_juce *juce, double value)
{
    char digits[TRAJ_NUMBER_SIZE];
    size_t length = traj_number_write(value, digits);

    put(juce, digits, length);
    if (memchr(digits, '.', length) == NULL && memchr(digits, 'e', length) == NULL) {
        write_text(juce, ".0");
    }
}

void traj_juce_element(struct traj_juce *juce, double value)
{
    new_line(juce);
    traj_juce_real(juce, value);
}

void traj_juce_bool(struct traj_juce *juce, const char *key, bool value)
{
    traj_juce_key(juce, key);
    write_text(juce, value ? "true" : "false");
}
