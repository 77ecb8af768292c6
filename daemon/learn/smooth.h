/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Smoothing: the posterior of every frame given the whole recording, frames after it included; for
 * analysis and relabelling, never in the daemon.  A decoder runs forward as ever and is watched;
 * then one pass backward turns what it believed into what it would believe knowing the rest.
 *
 * Filter over courses: with a_t the posterior that was filtered (as it stood when frame t + 1 came:
 * priors that arrived in between count) and T the transition to frame t + 1 (gaps, switching of
 * targets and trial starts included),
 *     g_t(i) = a_t(i) sum_j T(i, j) g_t+1(j) / (a_t T)(j),
 * the forward-backward posterior of the hidden Markov model (Rauch, Tung and Striebel's form of
 * it), exact where the model has no slow gains.  Gains are integrated over whole paths, so that
 * a_t carries their evidence: the result is still exact over paths that never meet, and where paths
 * meet it rests on the gains as they were known when they met.
 *
 * Mixtures of linear-Gaussian components: Rauch, Tung and Striebel's recursion in each component
 * from its filtered moments, which hold the Laplace update of each frame, and the recursion above
 * over components with the switching between them.  A trial's start and stop, where components
 * begin anew, part what is before from what is after.  Components with a clock of their own
 * (warped) keep their filtered moments; their weights are smoothed.
 *
 * Memory: about 12 bytes for every frame and every state that has weight in it.
 */
#ifndef TRAJ_LEARN_SMOOTH_H
#define TRAJ_LEARN_SMOOTH_H

#include "daemon/learn/error.h"
#include "traj/decoder.h"

struct traj_smoother;

/* Watches a decoder, from its first frame on; NULL with a sentence. */
struct traj_smoother *traj_smoother_new(struct traj_decoder *decoder, struct traj_error *error);
void traj_smoother_free(struct traj_smoother *smoother);

/* To be called after every step of the decoder, with its estimate; 0, or -1 with a sentence. */
int traj_smoother_keep(struct traj_smoother *smoother, const struct traj_estimate *estimate,
                       struct traj_error *error);

/* Frames kept so far. */
size_t traj_smoother_frames(const struct traj_smoother *smoother);

/* The pass backward, once, when the last frame has been kept; 0, or -1 with a sentence. */
int traj_smoother_run(struct traj_smoother *smoother, struct traj_error *error);

/*
 * The smoothed posterior of frame t, raw; its pointers lead into the decoder's output, so that
 * traj_decoder_calibrate applies to it.  log_evidence, phase and flags are left as they are.
 */
void traj_smoother_show(struct traj_smoother *smoother, size_t t, struct traj_estimate *estimate);

#endif
