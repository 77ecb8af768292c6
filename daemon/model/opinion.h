/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Another decoder's opinion as one more observation of the filter over courses: position or
 * velocity z with the covariance R that its sender states, or the log likelihood of every target.
 * How good it is nobody needs to say; it is learned as it comes, from this decoder's own posterior,
 * by a rule without randomness.
 *
 * Bias, lag and scale.  With m(i) and P(i) the posterior's mean and covariance i frames ago,
 *     e_i = z - m(i),  i = 0 .. TRAJ_OPINION_LAGS - 1
 * has for every i a running mean and mean square; the lag is the i of the least variance, the bias
 * b its mean, and the scale of R what e has beyond P:
 *     s = max((E[(e - b)' R^-1 (e - b)] - E[tr R^-1 P]) / D, least).
 * In state j, so many bins later, it is expected at x_j - (bins) v_j + b with covariance s R +
 * spread_j: w_j, its density there.
 *
 * Power.  What an opinion is worth is seen in what comes after it: had it been believed with power
 * tau, the next frame y would have been more probable by
 *     log E[w^tau | frames to y] - log E[w^tau | frames before y].
 * Sums of this over past opinions, slowly forgotten, are kept for a few powers (prequential; Dawid
 * 1984); the power with the greatest sum is in force, and none before the sum has passed
 * TRAJ_OPINION_NATS.  An opinion that is useless or too sure of itself therefore does nothing, or
 * little; one whose errors last over many frames counts as little as that makes it worth.
 *
 * The log likelihoods of targets are what is thought by now: the newest replaces the last.  They
 * enter as a belief about the target (target.h) with a power that is found in the same way.
 */
#ifndef TRAJ_MODEL_OPINION_H
#define TRAJ_MODEL_OPINION_H

#include "daemon/model/arena.h"
#include "traj/decoder.h"

#define TRAJ_OPINION_LAGS 16
#define TRAJ_OPINION_POWERS 6 /* 1, 1/2 .. 1/32 */
#define TRAJ_OPINION_NATS 3.0

/* The power in force, and what the others would have been worth. */
struct traj_opinion_power {
    double sum[TRAJ_OPINION_POWERS]; /* nats, of power 2^-k */
    double power;                    /* 0 = nothing is believed */
};

/* What is known of the sender of positions, or of velocities. */
struct traj_opinion_stream {
    bool waiting; /* z has come and the frame after it has not */
    double value[TRAJ_DIM_MAX], cov[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double count;                                          /* of opinions, up to a window */
    double mean[TRAJ_OPINION_LAGS][TRAJ_DIM_MAX];          /* of e_i */
    double square[TRAJ_OPINION_LAGS];                      /* of |e_i|^2 */
    double off[TRAJ_OPINION_LAGS], own[TRAJ_OPINION_LAGS]; /* of (e-b)'R^-1(e-b), tr R^-1 P */
    struct traj_opinion_power worth;
};

/* The posterior some frames ago. */
struct traj_opinion_past {
    double mean[2][TRAJ_DIM_MAX], cov[2][TRAJ_DIM_MAX * TRAJ_DIM_MAX];
};

struct traj_opinion {
    size_t dim;
    struct traj_opinion_stream stream[2]; /* of position, velocity */
    struct traj_opinion_past past[TRAJ_OPINION_LAGS];
    size_t frames; /* whose posterior has been noted */
    double *log;   /* [J] scratch: log w_j of the states ahead, */
    double *root;  /* [J] and w_j to the least power */
    /* Of targets: */
    bool told;      /* loglik is in force */
    double *loglik; /* [M] */
    double *ratio;  /* [M] what it makes of the uniform distribution with the power in force */
    double *trial;  /* [M] scratch: with another power */
    double *before; /* [M] targets' probabilities before a frame, */
    double *after;  /* [M] and after it */
    struct traj_opinion_power target;
};

void traj_opinion_lay_out(struct traj_opinion *opinion, struct traj_arena *arena,
                          const struct traj_dims *room);

/* Another source: nothing is known of any sender. */
void traj_opinion_forget(struct traj_opinion *opinion);

/* What is waiting or in force is dropped; what is known of the senders stays. */
void traj_opinion_clear(struct traj_opinion *opinion);

/* Takes an opinion on position (of = 0) or velocity (1): value[D], cov[D][D] positive definite;
 * TRAJ_E_RANGE and nothing taken where it is absurdly far away or sure of itself. */
enum traj_status traj_opinion_take(struct traj_opinion *opinion, size_t of, const double *value,
                                   const double *cov);

/* Notes the posterior after a frame. */
void traj_opinion_note(struct traj_opinion *opinion, const double *position,
                       const double *position_cov, const double *velocity,
                       const double *velocity_cov);

/* Whether a stream's opinion is to be weighed with the coming frame. */
bool traj_opinion_waits(const struct traj_opinion *opinion);

/*
 * Weighs what waits for the states active[count] of a model, `steps` bins after the frame before:
 * prob[i] *= w_i^power; likely[i], the frame's log likelihood of each state, teaches the powers.
 */
void traj_opinion_weigh(struct traj_opinion *opinion, const struct traj_model *model, size_t steps,
                        const int32_t *active, size_t count, const double *likely, double *prob);

/* Log likelihoods of the targets; *ratio gets log P(m) M by the power in force, floored. */
void traj_opinion_targets(struct traj_opinion *opinion, size_t targets, const double *loglik);

/* What the frame said of the targets: their probabilities in opinion->before and opinion->after. */
void traj_opinion_learn_targets(struct traj_opinion *opinion, size_t targets);

#endif
