/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One sentence that names the file or message, the field and the reason. The first error wins. */
#ifndef TRAJ_LEARN_ERROR_H
#define TRAJ_LEARN_ERROR_H

struct traj_error {
    char text[512];
};

/*
 * Writes the sentence if none stands there yet (so a struct starts as {0}; NULL is allowed and says
 * that nobody asks).  Returns -1, so that `return traj_error_set(...)` reads well.
 */
int traj_error_set(struct traj_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/*
 * The analyser does not see that every refusal is told by -1, and would follow paths that are none.
 */
#define traj_error_set(...) ((void)traj_error_set(__VA_ARGS__), -1)
#endif

#endif
