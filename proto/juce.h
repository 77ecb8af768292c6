/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON laid out as the library JUCE writes it, which the Open Ephys GUI uses: a member a line, two
 * spaces a level, line ends of two characters, a point in every real number.  What does not fit is
 * left out and remembered in `full`.
 */
#ifndef TRAJ_PROTO_JUCE_H
#define TRAJ_PROTO_JUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct traj_juce {
    char *out;
    size_t cap, length;
    bool full;
    unsigned level;
    bool comma; /* one belongs before what comes next */
};

void traj_juce_open(struct traj_juce *juce, const char *bracket);
void traj_juce_close(struct traj_juce *juce, const char *bracket);
void traj_juce_key(struct traj_juce *juce, const char *key);
void traj_juce_text(struct traj_juce *juce, const char *key, const char *text);
void traj_juce_whole(struct traj_juce *juce, const char *key, int64_t value);
void traj_juce_bool(struct traj_juce *juce, const char *key, bool value);
/* A real number: after a key, or as the next element of an array. */
void traj_juce_real(struct traj_juce *juce, double value);
void traj_juce_element(struct traj_juce *juce, double value);

#endif
