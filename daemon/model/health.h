/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which units can be believed.  A unit whose counts no state of the model explains (an electrode
 * that has come loose or gone noisy, a unit that is lost) is not observed until its counts are
 * ordinary again, so that one broken unit cannot drag the posterior.
 *
 * Too many spikes: with m the highest rate that the model knows of a unit, the log likelihood ratio
 * of RATIO m against m is followed as a cumulative sum (Page 1954)
 *     s <- max(0, s + y log RATIO - (RATIO - 1) m dt),
 * and while s > ALARM the unit is not observed.  At rates up to m, exp(s) passes exp(ALARM) in a
 * given bin with a probability below exp(-ALARM), a millionth (Ville's inequality).
 *
 * Too few: with l the lowest rate, a silence of length t has probability exp(-l t); below
 * exp(-ALARM) the unit is not observed until it fires.
 *
 * Both rates are those of the model's nodes or courses with a margin, the slow gains' included.
 *
 * Many a unit is nearly silent somewhere, and l tells nothing of it.  The filter over courses also
 * says what its most probable state expects of each unit: a silence through which so many spikes
 * were expected that it has a probability below exp(-WRONG ALARM) is not believed either.  More is
 * asked because that state may be the wrong one; the first spike ends the doubt, so that a false
 * alarm costs next to nothing.
 *
 * What is known of the units outlives a reset of the posterior: traj_health_clear forgets it.
 */
#ifndef TRAJ_MODEL_HEALTH_H
#define TRAJ_MODEL_HEALTH_H

#include "daemon/model/arena.h"
#include "traj/decoder.h"

struct traj_health {
    size_t units;
    double *most;       /* [N] spikes/s */
    double *least;      /* [N] spikes/s */
    double *excess;     /* [N] s */
    double *silence;    /* [N] l t */
    double *expected;   /* [N] spikes/s of the most probable state, 0 where none is known */
    double *unanswered; /* [N] spikes that were expected since the last one */
    uint16_t *believed; /* [N] counts of the last frame */
};

void traj_health_lay_out(struct traj_health *health, struct traj_arena *arena,
                         const struct traj_dims *dims);
void traj_health_init(struct traj_health *health, const struct traj_model *model);
void traj_health_clear(struct traj_health *health);

/* What is expected of the units until told otherwise: that of a state of the filter over courses,
 * or nothing (state = dims.states). */
void traj_health_expect(struct traj_health *health, const struct traj_model *model, size_t state);

/*
 * Takes a frame's counts [N] (NULL = nothing observed) and returns them with the units that cannot
 * be believed as TRAJ_COUNT_MISSING: the same pointer where there are none.
 */
const uint16_t *traj_health_judge(struct traj_health *health, const uint16_t *counts, double dt);

#endif
