/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libtraj: the recursive decoder.  Pure: no allocation, file, socket, clock or lock.
 *
 * Memory belongs to the caller: ask traj_decoder_size, hand one block of it to traj_decoder_init,
 * then call traj_decoder_step once a frame.  A step does a bounded amount of work.  The same model
 * and the same calls give the same bits on any x86-64 machine at any optimisation level.
 *
 * Sizes (traj_dims), settings and state (the block) are three types: settings can change without
 * touching memory, and memory depends on sizes alone.
 */
#ifndef TRAJ_DECODER_H
#define TRAJ_DECODER_H

#include "traj/model.h"

enum traj_status {
    TRAJ_OK = 0,
    TRAJ_E_DIMS,      /* a size is 0, too large, or disagrees with another */
    TRAJ_E_MEMORY,    /* the block is too small */
    TRAJ_E_NONFINITE, /* NaN or infinity in a parameter or argument */
    TRAJ_E_NOT_PD,    /* a covariance is not symmetric positive definite */
    TRAJ_E_RANGE,     /* a parameter or argument lies outside its documented range */
};

/* The sentence that belongs to a status; static storage. */
const char *traj_status_text(enum traj_status status);

/* Bounds of the iteration; traj_settings_default fills in what the tests use. */
struct traj_settings {
    size_t newton_steps;     /* at most so many Newton steps an update; default 8 */
    size_t halvings;         /* at most so many halvings of one step; default 10 */
    double newton_tolerance; /* stop when the Newton decrement g'H^-1 g / 2 falls below; default
                                1e-10 */
    bool believe;            /* every unit, whatever it does; default false: a unit whose counts no
                                state explains is not observed (daemon/model/health.h) */
};
void traj_settings_default(struct traj_settings *settings);

struct traj_decoder;

/*
 * Checks a model's numbers: sizes, ranges, finiteness, positive definiteness, priors that sum to 1.
 * On failure *what (if not NULL) names the field ("dynamics.noise"), static storage, and *index its
 * component, unit or target.
 */
enum traj_status traj_model_check(const struct traj_model *model, const char **what, size_t *index);

/* Bytes that a decoder for these sizes needs, alignment slack included; 0 if the sizes are absurd.
 */
size_t traj_decoder_size(const struct traj_dims *dims);

/*
 * Lays a decoder out in memory[0..size) and puts it at its prior (as traj_decoder_reset does).
 * The model is borrowed for the decoder's whole life; settings are copied (NULL = default).
 * There is nothing to free.  On success *decoder points into memory.  Errors: those of
 * traj_model_check, TRAJ_E_RANGE of a setting, TRAJ_E_MEMORY, and TRAJ_E_NOT_PD where a covariance
 * that follows from good numbers cannot be factored because they lie too far apart.
 */
enum traj_status traj_decoder_init(void *memory, size_t size, const struct traj_model *model,
                                   const struct traj_settings *settings,
                                   struct traj_decoder **decoder);

/*
 * The model that is in force: the one that the decoder was made with (borrowed), or that model
 * carried to other targets (traj_decoder_targets), which lies in the decoder and holds until the
 * targets change.
 */
const struct traj_model *traj_decoder_model(const struct traj_decoder *decoder);

/*
 * Back to the prior; history of counts forgotten; no trial; target prior and gaze forgotten.  Which
 * units cannot be believed stays known.
 */
void traj_decoder_reset(struct traj_decoder *decoder);

/* Another source begins: every unit is believed again, and no opinion. */
void traj_decoder_believe(struct traj_decoder *decoder);

/*
 * Goes on where `from` stands, whose model has the same states and channels and may have other
 * rates (recalibration): what is believed of states, trial, targets and units is taken over and
 * nothing begins anew.  A step after it gives what it would have given had the rates changed
 * between these two frames; to adopt an identical model changes no bit.  Offsets that follow drift
 * lose what the new rates have taken over of it.  Neither allocates nor changes `from`.
 * TRAJ_E_DIMS where sizes differ or the family has no states; then nothing has changed.  That
 * states mean the same is the caller's to know.
 */
enum traj_status traj_decoder_adopt(struct traj_decoder *decoder, const struct traj_decoder *from);

/*
 * Whether trial marks will come.  false: every component runs all the time and the component may
 * change at model->switch_rate.  true (the default after init): outside trials only components
 * without trial_reset run (all, if every one has it).
 */
void traj_decoder_marks(struct traj_decoder *decoder, bool marks);

/*
 * Trial marks.  start: the plan window opens if the model has one, else movement begins; go: the
 * plan window closes and movement begins with the next step; stop: components with trial_reset end
 * and what the free component is to follow is the mixture's mean and covariance at that moment;
 * the target prior and gaze are forgotten.  A start without a stop before it implies the stop.
 *
 * Time within a trial is counted in training bins: the first step after a start is bin 1 however
 * many `steps` it says, and so is the first after a go cue for the movement.  The first bin of a
 * movement is x_1 itself, conditioned without being predicted to; the same holds of every component
 * in the first step after init or reset.  A window that ends inside a gap began the movement then.
 *
 * In a plan window, components with trial_reset wait at their start; the others are predicted and
 * updated, but their evidence moves no weights.  Counts of the window are unobserved for whatever
 * lag would bring them into the movement.  A stop before the first frame of the movement leaves
 * the other components as they are.
 */
void traj_decoder_trial_start(struct traj_decoder *decoder);
void traj_decoder_go(struct traj_decoder *decoder);
void traj_decoder_trial_stop(struct traj_decoder *decoder);

/*
 * Prior over targets, prob[M] >= 0 with a positive sum (normalised here, then floored by mixing
 * with the uniform prior at weight TRAJ_PRIOR_FLOOR so that a wrong prior can be overcome).  It
 * replaces the previous one, also in mid-trial; it lasts until the trial stops.
 */
#define TRAJ_PRIOR_FLOOR 1e-3
enum traj_status traj_decoder_target_prior(struct traj_decoder *decoder, const double *prob);

/*
 * How many targets a decoder of these sizes has room for: TRAJ_SLOTS_LEAST, or the model's own
 * where they are more; only a filter over courses has room for other targets than its own.
 */
#define TRAJ_SLOTS_LEAST 16
size_t traj_target_slots(const struct traj_dims *dims);

/* How many this decoder can be carried to; 0 where its model's targets cannot be moved. */
size_t traj_decoder_slots(const struct traj_decoder *decoder);

/*
 * From now on the targets are position[count][D], named id[count], of the set `name` (all copied):
 * courses and tuning of the model's own targets are carried to them (daemon/model/carry.h).  The
 * posterior of a target stays with its name, wherever it goes; that of a name which is gone is
 * spread as at the beginning.  Target prior and gaze are forgotten.  count 0 = the model's own
 * targets again.  The work is that of a decoder's beginning, some hundred steps' worth: call it
 * between trials.  Errors: TRAJ_E_DIMS where this model's targets cannot be moved (it is no filter
 * over courses, or has none), TRAJ_E_NONFINITE, TRAJ_E_MEMORY where there are more than
 * traj_target_slots, and nothing has changed; or where they lead to more places than there is room
 * for: then the model's own targets are in force.
 */
enum traj_status traj_decoder_targets(struct traj_decoder *decoder, const char *name, size_t count,
                                      const char (*id)[TRAJ_ID_SIZE], const double *position);

/*
 * Where the eyes are: position[D], cov[D][D].  Targets get the prior N(position; target, cov)
 * (Corbett et al. 2010), mixed with TRAJ_PRIOR_FLOOR likewise; the newest replaces the last.
 */
enum traj_status traj_decoder_gaze(struct traj_decoder *decoder, const double *position,
                                   const double *cov);

/*
 * Another decoder's opinion, by now: position[D] or velocity[D] with cov[D][D], or value[M], the
 * log likelihoods of the targets up to a constant (cov NULL), which replace the last ones and hold
 * until the trial stops.  Its bias, lag, scale and weight are found from what has come so far
 * (daemon/model/opinion.h); at first it counts for nothing.  Only filters over courses use
 * positions and velocities, of each the last one before a frame.  TRAJ_E_RANGE, and nothing taken,
 * where position or velocity is a million standard deviations away or closer described than that.
 */
enum traj_opinion_of { TRAJ_OPINION_POSITION, TRAJ_OPINION_VELOCITY, TRAJ_OPINION_TARGETS };
enum traj_status traj_decoder_opinion(struct traj_decoder *decoder, enum traj_opinion_of of,
                                      const double *value, const double *cov);

/*
 * Where the effector is by now, position[D]: a cursor that follows this decoder's intents, say.
 * What the subject intends with it is inferred beside the courses (daemon/model/steer.h); what was
 * told longer ago than a quarter of a second is not known any more.  Does nothing where the model
 * does not tell what is expected of a subject that steers.
 */
enum traj_status traj_decoder_effector(struct traj_decoder *decoder, const double *position);

/* One frame as the decoder sees it. */
struct traj_observation {
    const uint16_t *counts; /* [N], TRAJ_COUNT_MISSING = not observed; NULL = no unit observed */
    const float *features;  /* [F], NaN or infinite = not observed; NULL = none observed */
    double dt;              /* s, width of the bin: scales exposure alone */
    size_t steps;           /* training bins since the last frame, >= 1; more than 1 = gap */
};

enum traj_phase { TRAJ_PHASE_NONE, TRAJ_PHASE_PLAN, TRAJ_PHASE_MOVE };

#define TRAJ_FLAG_RECOVERED 1u /* a component turned non-finite and was rebuilt from its prior */
#define TRAJ_FLAG_STEERED 2u   /* from where the effector is, not on a course (model/steer.h) */

/*
 * The posterior after a frame.  Pointers lead into the decoder and hold until its next call.
 * NULL pointer or NaN = not defined by this model.
 */
struct traj_estimate {
    const double *position;     /* [D] posterior mean */
    const double *position_cov; /* [D][D] mixture covariance */
    const double *velocity;     /* [D], length/s */
    const double *velocity_cov; /* [D][D] */
    const double *target_prob;  /* [M], NULL when M = 0; sums with free_prob to 1 */
    double free_prob;           /* weight of components that belong to no target */
    const double *place_prob;   /* [TRAJ_PLACES] of being at rest, planning, moving ... (enum
                                 * traj_place); NULL where the model does not tell */
    double log_evidence;        /* log p(frame | frames before), natural, of observed units: of
                                 * counts a probability, of roots and features a density; NaN in
                                 * a plan window while no component runs */
    double progress;            /* 0..1 along the course, or NaN */
    double eta;                 /* s until the target, or NaN */
    enum traj_phase phase;
    unsigned flags;
};

/*
 * Predicts over observation->steps training bins and conditions on the frame.  Fills *estimate
 * with the raw posterior.  Errors: TRAJ_E_RANGE (dt not positive and finite, steps 0), then nothing
 * has changed.
 */
enum traj_status traj_decoder_step(struct traj_decoder *decoder,
                                   const struct traj_observation *observation,
                                   struct traj_estimate *estimate);

/*
 * Does ahead what the next step would do whatever its frame holds, if that is the next bin's and as
 * long as the last one.  It takes time that nobody waits for: call it between two steps, as often
 * as you like or never; no step gives anything else for it.  What the last estimate points to
 * stays.
 */
void traj_decoder_prepare(struct traj_decoder *decoder);

/*
 * Applies model->calibration to the estimate's covariances and probabilities in place (they lead
 * into the decoder's output buffers, never into its state).
 */
void traj_decoder_calibrate(struct traj_decoder *decoder, struct traj_estimate *estimate);

/* Log weight of component k and its raw mean[S] and cov[S][S], for tests and analysis; copies. */
enum traj_status traj_decoder_component(const struct traj_decoder *decoder, size_t k,
                                        double *log_weight, double *mean, double *cov);

#endif
