/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a model says about its own making, as JSON text.  Internal to this room. */
#ifndef TRAJ_LEARN_SUMMARY_H
#define TRAJ_LEARN_SUMMARY_H

#include <stdio.h>

#include "daemon/learn/select.h"

/* Writes what was chosen as members of an object, each with its comma before it. */
typedef void traj_summary_choice(FILE *out, const void *choice);

/* The one for struct traj_choice. */
traj_summary_choice traj_summary_components;

/* ,"key":value; exact, and null where nothing was measured. */
void traj_summary_number(FILE *out, const char *key, double value);

/* The text in new memory (free), or NULL with a sentence. */
char *traj_summary(const struct traj_training *training, size_t prior_count,
                   const struct traj_fit_options *options, traj_summary_choice *put_choice,
                   const void *choice, const struct traj_selection *selection,
                   const struct traj_calibrated *calibrated, struct traj_error *error);

#endif
