/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The states of a filter over an unbroken recording: places on courses (labels.h) where the session
 * has them, then free places (places.h); with what the hand and the units do in each.
 *     s = sqrt(y D / dt + 1/4) (features as they are),  s | j ~ N(f_j, diag + U U')
 * f of the courses' places by the Gaussian process of course_basis.h, f of a free place a
 * regression on position and velocity at its centre plus its shrunk residual.  Internal to this
 * room.
 */
#ifndef TRAJ_LEARN_SESSION_STATES_H
#define TRAJ_LEARN_SESSION_STATES_H

#include "daemon/learn/labels.h"
#include "daemon/learn/places.h"
#include "daemon/learn/session_recent.h"

/* What is common to the fits of all folds. */
struct traj_session_design {
    const struct traj_training *training;
    const struct traj_labels *labels; /* NULL: free places alone */
    const double *basis;              /* [targets * row][columns], with labels */
    size_t columns;
    const float *value; /* [bins][channels] transformed, NaN = not observed */
    size_t channels;
    size_t places; /* free places at most */
    size_t rank;   /* of the noise's low-rank part */
    double unit[2];
    const struct traj_session_recent *recent; /* what answers are expected of; may be NULL */
    uint64_t seed;
};

struct traj_session_states {
    const struct traj_session_design *design;
    unsigned without;
    size_t dim, channels, rank;
    size_t courses; /* states on courses and the rest; 0 or 1 + targets * row */
    size_t states;  /* courses and free places */
    struct traj_places places;
    size_t *state;  /* [bins] TRAJ_PLACE_UNUSED where a bin does not train */
    double *count;  /* [states] */
    double *centre; /* [states][2 dim] mean position and velocity */
    double *spread; /* [states][2][dim][dim] covariance of position, and of velocity */
    double *mean;   /* [states][channels] f */
    double *noise;  /* [channels] */
    double *factor; /* [channels][rank] */
    double *answer; /* [states][2 dim] of the recent past (session_answers.h); NULL without one */
    double *answer_noise; /* [2 dim][2 dim] */
};

/* The transformed channels of every bin in new memory (free), or NULL. */
float *traj_session_values(const struct traj_training *training);

/* Fits on the bins outside fold `without`; -1 with a sentence. */
int traj_session_states_fit(struct traj_session_states *states,
                            const struct traj_session_design *design, unsigned without,
                            struct traj_error *error);
void traj_session_states_free(struct traj_session_states *states);

#endif
