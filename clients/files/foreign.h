/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Libraries that read files of other programs believe what a damaged file claims: they may take all
 * memory for it, go round in circles for ever, or overrun memory, and nothing that calls them can
 * keep them from it.  Here is what can be done: memory and time are bounded by the file's size, and
 * whatever ends the process, it is said which file it was.  Internal to clients/files.
 */
#ifndef TRAJ_FILES_FOREIGN_H
#define TRAJ_FILES_FOREIGN_H

#include <signal.h>
#include <sys/resource.h>

enum { TRAJ_FOREIGN_SIGNALS = 5 };

/* What was in force before. */
struct traj_foreign {
    struct sigaction action[TRAJ_FOREIGN_SIGNALS];
    stack_t stack;
    struct rlimit memory, time;
};

/*
 * From here to traj_foreign_end, of the same thread, the file at `path` is being read.  One file
 * at a time; nothing else of the process may handle SIGABRT, SIGSEGV, SIGBUS, SIGFPE and SIGXCPU
 * meanwhile.
 */
void traj_foreign_begin(struct traj_foreign *before, const char *path);
void traj_foreign_end(const struct traj_foreign *before);

#endif
