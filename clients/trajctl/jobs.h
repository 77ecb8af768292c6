/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a bench's units of work in parallel processes, and keeps their answers for another time. */
#ifndef TRAJCTL_JOBS_H
#define TRAJCTL_JOBS_H

#include "clients/evaluate/evaluate.h"
#include "clients/trajctl/progress.h"

struct jobs {
    size_t processes;          /* at a time; 1 = work in this one */
    const char *cache;         /* folder in which answers are kept, or NULL */
    struct progress *progress; /* told of every unit, with the time that is left */
};

/*
 * Works on every unit and has the bench take the answers.  With a cache, answers that lie there are
 * taken from it and new ones are put there as soon as they are known, each whole or not at all, so
 * that an interrupted run goes on where it stopped.  A process that dies counts as a method that
 * could not be fitted.  0, or -1 with a sentence.
 */
int jobs_run(struct traj_contest *contest, const struct jobs *jobs, struct traj_error *error);

/*
 * "VERSION DIGEST" of this very program: another build decodes differently, so that its answers
 * must not be taken for this one's.  Writes at most cap bytes; returns out.
 */
const char *jobs_program(char *out, size_t cap);

#endif
