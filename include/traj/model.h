/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parameters of a decoder: plain arrays and numbers, no behaviour.
 *
 * A model is written by daemon/learn, carried by a model file (learn/model_file.h) and read by the
 * decoder (traj/decoder.h).  The decoder never changes it, so one model may serve many decoders.
 * All arrays are row-major and belong to whoever made the model; they must outlive every decoder.
 *
 * Units: seconds, the session's own length unit, spikes per second.
 *
 * State of a linear-Gaussian component, S = order * D numbers, stacked by derivative:
 *     x = (p_1..p_D, v_1..v_D [, a_1..a_D])        length, length/s, length/s^2
 */
#ifndef TRAJ_MODEL_H
#define TRAJ_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAJ_DIM_MAX 16      /* position dimensions (joint angles included) */
#define TRAJ_STATE_MAX 48    /* position, velocity, acceleration of each */
#define TRAJ_UNITS_MAX 8192  /* units, and likewise features */
#define TRAJ_TARGETS_MAX 256 /* targets of one set */
#define TRAJ_COMPONENTS_MAX 320
#define TRAJ_LAG_MAX 63       /* longest lag in bins */
#define TRAJ_GAINS_MAX 4      /* slow gain factors */
#define TRAJ_DELAY_MAX 4095   /* longest delay of a component in bins */
#define TRAJ_WARP_MAX 3.0     /* log speed: twenty times as fast */
#define TRAJ_STAGES_MAX 16    /* of the memory of the recent past */
#define TRAJ_PACES_MAX 16     /* of an effector that is steered */
#define TRAJ_STATES_MAX 65536 /* states and nodes of a filter over courses */
#define TRAJ_LINKS_MAX 4194304
#define TRAJ_ID_SIZE 32           /* bytes of an id or name, terminating NUL included */
#define TRAJ_COUNT_MISSING 65535u /* a count that says: this unit was not observed in this bin */

/* Sizes; everything that the decoder's memory depends on. */
struct traj_dims {
    size_t position;   /* D, 1..TRAJ_DIM_MAX */
    size_t state;      /* S, a multiple of D that is 2 D or 3 D */
    size_t units;      /* N, units that give counts; 0 where features alone are decoded */
    size_t features;   /* F, continuous features; 0 where counts alone are decoded */
    size_t targets;    /* M, 0 where no targets are known */
    size_t components; /* K, at least 1; 0 in the filter over courses */
    size_t lag;        /* the largest lag of any unit, bins */
    size_t tunings;    /* tuning sets that belong to single components, beside the shared one */
    size_t delay;      /* the largest delay of any component, bins */
    size_t warps;      /* distributions of speed that warped components have, 0 = none is warped */
    /* Filter over courses, whose models have no components; all 0 in the other families: */
    size_t states; /* J */
    size_t nodes;  /* E, emission nodes */
    size_t gains;  /* q, slow gain factors */
    size_t links;  /* L, transitions with positive probability */
    /* r, rank of the low-rank part of the noise; with components 0 = Poisson counts */
    size_t factors;
    /* B, stages of the memory of the recent past (struct traj_recent_model); 0 = there is none */
    size_t stages;
    size_t paces; /* of an effector that is steered (struct traj_steer_model); 0 = none is */
};

/*
 * Poisson tuning (Yu et al. 2007):
 *     y_n(t - lag_n) | x_t ~ Poisson(dt exp(c_n' x_t + d_n))
 * or, with dims.factors > 0, Gaussian tuning of roots with noise that is correlated over units, D
 * the training bin:
 *     sqrt(y_n(t - lag_n) D / dt + 1/4) = c_n' x_t + d_n + e_n,  e ~ N(0, diag(noise) + U U')
 * shared by all components but those that have a set of their own: what a unit does along one
 * course (its speed tuning above all) is linear in the state there and nowhere else.
 */
struct traj_tuning {
    const double *weight;     /* c [N][S], log rate (or root) per unit of state */
    const double *offset;     /* d [N], log spikes/s at x = 0 */
    const int32_t *lag;       /* [N], bins by which activity leads movement, 0..TRAJ_LAG_MAX */
    const double *own_weight; /* [tunings][N][S] */
    const double *own_offset; /* [tunings][N] */
    const int32_t *own;   /* [K] the component's set, -1 = the shared one; NULL where tunings = 0 */
    const double *noise;  /* [N], positive; NULL where factors = 0 */
    const double *factor; /* U [N][r] */
};

/* Gaussian observation of continuous features: f = C x + d + N(0, R). */
struct traj_feature_map {
    const double *weight; /* C [F][S] */
    const double *offset; /* d [F] */
    const double *noise;  /* R [F][F], positive definite */
};

/*
 * Linear-Gaussian trajectory models, one a component, in steps of one training bin:
 *     x_1 | k ~ N(start_k, start_cov_k),  x_t | x_{t-1}, k ~ N(A_k x_{t-1} + b_k, Q_k)
 */
struct traj_dynamics {
    const double *transition; /* A [K][S][S] */
    const double *drift;      /* b [K][S] */
    const double *noise;      /* Q [K][S][S], positive definite */
    const double *start;      /* pi [K][S] */
    const double *start_cov;  /* V [K][S][S], positive definite */
};

/*
 * Speeds of the components that run through their course faster or slower (Corbett et al. 2010):
 * the linear-Gaussian model is that of the course at s = 0, and s, the logarithm of the clock's
 * speed, has the prior N(mean, variance) and walks; see daemon/model/warped.h.
 */
struct traj_warp {
    const double *mean;     /* [warps] of s at x_1 */
    const double *variance; /* [warps] >= 0 */
    const double *walk;     /* [warps] variance of a step of s in one bin, >= 0 */
    const double *limit;    /* [warps] |s| is held within it, 0..TRAJ_WARP_MAX */
    const int32_t
        *own; /* [K] the component's row of these, -1 = not warped; NULL where warps = 0 */
};

/* What a state of the filter over courses is part of. */
enum traj_place {
    TRAJ_PLACE_REST,
    TRAJ_PLACE_PLAN,   /* on an outward course, before movement onset */
    TRAJ_PLACE_MOVE,   /* on an outward course, after it */
    TRAJ_PLACE_HOLD,   /* at the target */
    TRAJ_PLACE_RETURN, /* on the way back */
    TRAJ_PLACE_FREE,   /* anywhere else */
    TRAJ_PLACES
};

enum traj_emission {
    TRAJ_EMISSION_POISSON, /* counts, independent given the state and the trial's gains */
    TRAJ_EMISSION_GAUSSIAN /* square roots of counts, and features, with correlated noise */
};

/* Which transition probabilities are in force. */
enum traj_context {
    TRAJ_CONTEXT_UNMARKED, /* no trial marks will come */
    TRAJ_CONTEXT_TRIAL,
    TRAJ_CONTEXT_BETWEEN,
    TRAJ_CONTEXTS
};

/*
 * Filter over courses: a hidden Markov model whose states are places on learned courses (target x
 * phase x warp), rests, holds, returns and free places, in steps of one training bin.
 * States' emissions are interpolated between nodes; see daemon/model/course_filter.h.
 */
struct traj_chain {
    const double *position;        /* [J][D] mean position of a state */
    const double *velocity;        /* [J][D] mean velocity */
    const double *position_spread; /* [J][D][D] covariance of the position within a state */
    const double *velocity_spread; /* [J][D][D] */
    const int32_t *target;         /* [J] target of a state, -1 = none */
    const uint8_t *place;          /* [J] enum traj_place */
    const double *progress;        /* [J] 0..1 along the outward course, -1 = not on one */
    const double *eta;             /* [J] s until the target is reached, -1 = not defined */
    const int32_t *node;           /* [J] emission node; with share > 0 the next node takes part */
    const double *share;           /* [J] in [0, 1) */
    const int32_t *group; /* [J] states that may be exchanged when the target changes, -1 = none */
    const double
        *emission_mean; /* [E][C] log spikes/s, or mean of the transformed channel; C = N (+ F) */
    /* [E] nats/s that a node is credited with because its rates are known badly (Poisson): what
     * plug-in rates are expected to lose, half the sum of rate times variance of log rate; NULL =
     * 0 */
    const double *emission_doubt;
    const double *emission_noise; /* [C] diagonal of the noise covariance (Gaussian) */
    const double
        *emission_factor;      /* [C][r] its low-rank part U, covariance = diag + U U' (Gaussian) */
    const double *gain;        /* [C][q] slow log gains (Poisson) */
    const int32_t *link_first; /* [J + 1] first link of each state */
    const int32_t *link_to;    /* [L] */
    const double *link_prob;   /* [TRAJ_CONTEXTS][L]; those of a state sum to 1 in each context */
    const double *initial;     /* [J] distribution when nothing is known; sums to 1 */
    const double *start;       /* [J] distribution in the first bin of a trial; sums to 1 */
    double start_share;        /* (0, 1]: how much a trial start overrides what was believed */
    double switch_prob;        /* per bin: the target changes, phase and warp kept */
    double temper;             /* tau in (0, 1] */
    double gaussian;           /* 0 = Poisson, 1 = Gaussian emission (enum traj_emission) */
    double drift; /* [0, 1): share of a channel's residual by which its offset follows it a bin */
};

/*
 * Regression of position and velocity on the recent past of all channels, which the filter over
 * courses with Gaussian emission weighs inside its posterior; see daemon/model/recent.h.
 */
struct traj_recent_model {
    const double *center; /* [C] what the channels are read from */
    const double *weight; /* [B][C][2 D] */
    const double *offset; /* [2 D] */
    const double *mean;   /* [J][2 D] the answer that is expected in a state */
    const double *noise;  /* [2 D][2 D] covariance of the answer within a state */
    /* [2 D][2 D] 1/length^2 (position's columns), 1/(length/s)^2 (velocity's): by how much the
     * published mean follows what of the answer (rows) the posterior leaves unexplained, for each
     * unit of what it may reach (recent.h) */
    const double *gain;
    double follow; /* (0, 1]: share by which a stage follows the one before, a bin */
    double temper; /* [0, 1]: power on the likelihood of the answer */
};

/*
 * What the filter over courses with Gaussian emission expects where a subject steers an effector
 * whose place is told; see daemon/model/steer.h.
 */
struct traj_steer_model {
    const double *tuning;    /* B [C][2 D + 2], of 1, place, velocity and speed intended */
    const double *pace;      /* [paces] 1/s, from 0: intended speed as a share of the way left */
    const double *pace_prob; /* [paces][paces] of another pace a bin later; rows sum to 1 */
    const double *home;      /* [D] where trials begin */
    double speed_most;       /* length/s */
    double velocity_spread;  /* (length/s)^2, variance of the intended velocity about a state's */
    double place_spread;     /* length^2, variance of the published position about its mean */
    double close;            /* length: nearer to the goal the subject may be still */
    double mark;             /* [0, 1]: how much a trial mark overrides what was believed */
    double change;           /* per bin: the goal changes, where trial marks come */
    double change_unmarked;  /* and where none do */
    double patience;         /* s that a course may have been over before steering is believed */
};

/*
 * Plan activity: firing rates in the delay before movement, by target.
 * Bins that end between trial start + begin and the go cue (or trial start + end, whichever comes
 * first) belong to the plan; the movement model starts after them.  With rate NULL the window
 * still delays the movement model, but its counts say nothing about the target.
 */
struct traj_plan {
    double begin; /* s after trial start, >= 0: earlier bins are passed over */
    double end;   /* s after trial start; 0 = no plan window, movement begins at trial start */
    const double *rate; /* r [M][N], spikes/s, or NULL */
    double temper; /* in (0, 1]: power to which the plan's likelihood is raised, chosen by CV */
};

/*
 * A function of one number: f between knots at[0] <= at[1] <= ... linearly, constant beyond the
 * first and the last.  All 0 = 0 everywhere.
 */
#define TRAJ_CURVE_KNOTS 6
struct traj_curve {
    double at[TRAJ_CURVE_KNOTS];
    double value[TRAJ_CURVE_KNOTS];
};

/*
 * What is done to the raw posterior before it is published; fitted on held-out folds by learn.
 * How far a stated uncertainty can be trusted depends on how large it is, and for the velocity also
 * on how fast the movement is: a covariance C is published as
 *     scale exp(curve(log(trace C / D))) C,
 * that of the velocity with a factor exp(velocity_by_speed(log |v|^2)) more.  Before that the
 * covariance of position is drawn towards a round one of the same trace,
 *     C <- (1 - position_round) C + position_round (trace C / D) I:
 * that of a posterior on a few states has directions in which it is much too sure.
 */
struct traj_calibration {
    double position_scale; /* factor on the position covariance */
    double velocity_scale; /* factor on the velocity covariance */
    double position_round; /* 0..1 */
    /* Log of a further factor on that of position where no trial marks come: then more of what may
     * happen is not foreseen, or less. */
    double position_unmarked;
    /* Probabilities of the targets and of free: free is multiplied by exp(free_bias), then all are
     * raised to target_power + target_rise times the greatest of a target, then normalised. */
    double target_power;
    double target_rise; /* >= 0: how much more a posterior that is nearly sure is to be believed */
    double free_bias;   /* <= 0 */
    struct traj_curve position_by_spread; /* over log length^2 */
    struct traj_curve velocity_by_spread; /* over log (length/s)^2 */
    struct traj_curve velocity_by_speed;  /* over log (length/s)^2 */
};
/* Publishes the posterior as it is. */
#define TRAJ_CALIBRATION_NONE                                                                      \
    {                                                                                              \
        .position_scale = 1.0, .velocity_scale = 1.0, .target_power = 1.0                          \
    }

/* For people and for programs that must name things; the decoder's mathematics never reads it. */
struct traj_description {
    char family[TRAJ_ID_SIZE];      /* "course", "mixture", ...: see proto/model.md */
    char length_unit[TRAJ_ID_SIZE]; /* "mm" ... */
    char subject[64];
    char target_set[TRAJ_ID_SIZE]; /* name of the target set the model was trained on */
    char digest[65]; /* SHA-256 of the model file with its digest field zeroed, lower-case hex; "" =
                        never saved */
    const char (*target_id)[TRAJ_ID_SIZE]; /* [M] */
    const char (*unit_name)[TRAJ_ID_SIZE]; /* [N], or NULL where the sessions named none */
    const char *training; /* JSON object text: sessions, trials, what CV chose; or NULL */
};

struct traj_model {
    struct traj_dims dims;
    double bin_width; /* D, s: the training bin that one transition stands for */
    struct traj_tuning tuning;
    struct traj_feature_map feature;
    struct traj_dynamics dynamics;
    struct traj_warp warp;           /* dims.warps > 0 */
    struct traj_chain chain;         /* dims.states > 0 */
    struct traj_recent_model recent; /* dims.stages > 0 */
    struct traj_steer_model steer;   /* dims.paces > 0 */
    const int32_t
        *component_target;         /* [K] target of a component, -1 = free (belongs to no target) */
    const double *component_prior; /* [K] positive, sums to 1 */
    /* [K] bins for which a component waits at x_1 when it starts anew: the hand rests for a
     * reaction time that differs between trials; NULL where dims.delay = 0 */
    const int32_t *component_delay;
    const uint8_t
        *trial_reset; /* [K] 1 = starts from start_k at each trial's movement; 0 = goes on */
    const double *target_position; /* [M][D] */
    struct traj_plan plan;
    double
        switch_rate; /* 1/s: rate at which the component changes where no trial marks come; >= 0 */
    double evidence_temper; /* in (0, 1]: power on each bin's evidence in the weights; 1 = exact
                               Bayes */
    struct traj_calibration calibration;
    struct traj_description about;
};

#endif
