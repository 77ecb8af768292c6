/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The prior of what units do along the courses of an unbroken recording: a Gaussian process over
 * target x place with covariance
 *     K = J x (vb O + vt S) + C1 x (vc S4 + vct S) + C2 x (v2 S4 + v2t S) + I x (vi S4 + vit S)
 * (x Kronecker: target, place), J and O all ones, C1 the cosine between two targets' directions, C2
 * twice its square, S = exp(-((g - g') / ell)^2 / 2), S4 the same with 4 ell.  Internal to this
 * room.
 */
#ifndef TRAJ_LEARN_COURSE_BASIS_H
#define TRAJ_LEARN_COURSE_BASIS_H

#include "daemon/learn/labels.h"

/* F with F F' = K but for directions of little variance, [targets * row][*columns], in new memory
 * (free); NULL with a sentence. */
double *traj_course_basis(const struct traj_labels *labels, const struct traj_training *training,
                          size_t *columns, struct traj_error *error);

#endif
