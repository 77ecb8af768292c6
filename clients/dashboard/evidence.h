/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What each unit by itself says about the leading target: the daemon does not tell, but the model
 * file and a tap at the source let one reckon it, for models that filter over courses.
 *
 * On a bin with the observation y_n, at the progress p that the intent tells, for target m:
 *     e_n = log p(y_n | m, p) - log (1/M) sum_m' p(y_n | m', p)      nats
 * with the mean emission of the states on the way to m at about p, and units taken as independent.
 * The sum over bins fades with a time constant of half a second.  Units that share noise count
 * fully each, unlike in the decoder, so this says which units speak, not how sure to be.
 */
#ifndef DASHBOARD_EVIDENCE_H
#define DASHBOARD_EVIDENCE_H

#include <stddef.h>

#include "proto/frame.h"
#include "proto/intent.h"
#include "traj/model.h"

struct evidence;
/* NULL where the model has no courses to targets, or memory is short. */
struct evidence *evidence_new(const struct traj_model *model);
void evidence_free(struct evidence *evidence);

/* One frame, with what the decoder last said; fades alone where that is nothing about a target. */
void evidence_take(struct evidence *evidence, const struct traj_frame *frame,
                   const struct traj_intent *intent);

/* The faded sum of each unit, nats; *units is how many there are. */
const double *evidence_of_units(const struct evidence *evidence, size_t *units);

#endif
