/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Smoothing of mixtures of components; a part of smooth.h.  Internal to this room. */
#ifndef TRAJ_LEARN_SMOOTH_MIXTURE_H
#define TRAJ_LEARN_SMOOTH_MIXTURE_H

#include <stddef.h>

#include "traj/decoder.h"

struct traj_smooth_mixture;

/* For a decoder of components; NULL where memory is short. */
struct traj_smooth_mixture *traj_smooth_mixture_new(struct traj_decoder *decoder);
void traj_smooth_mixture_free(struct traj_smooth_mixture *s);

/* The decoder is about to step; it has stepped (-1: memory is short). */
void traj_smooth_mixture_watch(struct traj_smooth_mixture *s, size_t steps);
int traj_smooth_mixture_keep(struct traj_smooth_mixture *s, const struct traj_estimate *estimate);

size_t traj_smooth_mixture_frames(const struct traj_smooth_mixture *s);
int traj_smooth_mixture_run(struct traj_smooth_mixture *s);
void traj_smooth_mixture_show(struct traj_smooth_mixture *s, size_t t,
                              struct traj_estimate *estimate);

#endif
