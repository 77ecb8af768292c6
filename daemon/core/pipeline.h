/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline: frames and events in, intents out.  It holds the policies (order, gaps, lateness,
 * trials, limits, pause) and the counters; the estimator does the numbers.  Time is always an
 * argument.  The daemon, `trajctl decode`, cross-validation, tests and fuzzers run this same code.
 *
 * At every instant  received = decoded + late + duplicate + invalid.
 *
 * Decisions that the pages leave open, all made here:
 *   - Times closer than TRAJ_TIME_GRACE are one instant: an event that close to a frame's end
 *     belongs after it.
 *   - Order: a seq that came before (decoded or late) is a duplicate; a seq that a later one has
 *     overtaken, or a t that is not later than the last, is late.  A source that starts anew must
 *     say so by a session event.
 *   - A gap longer than gap_reset_s, or than TRAJ_GAP_BINS_MAX training bins, starts the posterior
 *     anew and ends the trial: the reset comes first, then the events that are due, so that a
 *     trial_start inside the gap opens its trial on the new posterior.
 *   - Events that fall inside a gap are applied at their place in it, to the training bin: a trial
 *     that began five bins before the frame has run five bins when the frame is decoded.
 *   - A session event starts seq of the intents at 0, so that the same run always gives the same
 *     intents.  Pause and model are a person's and outlast it; events that still wait do not.
 *   - While nobody has said whether marks come, none are expected; a trial_start is believed all
 *     the same.  go and trial_stop outside a trial mean nothing.
 *   - An event before TRAJ_TIME_UNKNOWN has no time that can be told (a person's command before the
 *     first frame of a run): it takes effect just before the next frame.
 *   - Where TRAJ_QUEUE_CAPACITY events wait, the earliest gaze, effector or estimate that a later
 *     one of its kind replaces anyhow gives way to the next (queue.h).
 *   - An event equal to one of the last 64 of its run in kind, t and numbers is a copy of it:
 *     counted, without effect.
 *   - Frames that tell of no unit at all are decoded as predictions; once they have lasted longer
 *     than gap_reset_s, or where the posterior has seen nothing since it started, valid is false
 *     and the flag unobserved.
 *   - An estimate that is not finite is not published: position and velocity are null, valid is
 *     false, flag recovered, and the posterior starts anew.
 */
#ifndef TRAJ_CORE_PIPELINE_H
#define TRAJ_CORE_PIPELINE_H

#include "daemon/core/objection.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/intent.h"
#include "traj/decoder.h"

#define TRAJ_TIME_GRACE 1e-6       /* s: times this close are equal */
#define TRAJ_MISSING_MAX INT64_MAX /* frames: as far as they are counted */
#define TRAJ_TIME_MAX 1e12         /* s: a time beyond is absurd */
#define TRAJ_TIME_UNKNOWN (-9e11)  /* s: an event before this is one of unknown time */
/*
 * A gap of more training bins is not predicted over, whatever gap_reset_s says: each bin of it is
 * one step of the estimator, and the frame behind the gap, and a pause or a signal with it, waits
 * for them all.
 */
#define TRAJ_GAP_BINS_MAX 1000.0
#define TRAJ_DT_BINS_MAX 100.0 /* a frame wider than so many training bins is absurd, */
#define TRAJ_DT_BINS_MIN 1e-3  /* and one narrower: a spike in it would be a rate without measure */

struct traj_pipeline_settings {
    double gap_reset_s; /* a gap longer than this (frame's t less the last t) starts the posterior
                           anew; 0..60, default 1.0 */
    uint16_t count_max; /* a count above this is absurd; 1..65534, default 1000 */
    double speed_limit; /* length unit / s, 0 = none: published velocity is held at this norm */
    bool workspace;     /* hold the published position inside [low, high] */
    double low[TRAJ_DIM_MAX];
    double high[TRAJ_DIM_MAX];
};
void traj_pipeline_settings_default(struct traj_pipeline_settings *settings);

/* Names the field that is out of range, or NULL if all is well; dim = D of the model. */
const char *traj_pipeline_settings_check(const struct traj_pipeline_settings *settings, size_t dim);

struct traj_counters {
    /* frames; the first is the sum of the next four */
    uint64_t received, decoded, late, duplicate, invalid;
    uint64_t refused[TRAJ_REFUSALS];     /* invalid frames by cause; sums to invalid */
    uint64_t gaps;                       /* gaps predicted over or reset at */
    uint64_t missing;                    /* seqs skipped and not come late: a running balance */
    uint64_t resets;                     /* posterior started anew (gap, session, command) */
    uint64_t recovered, limited, paused; /* intents that carried the flag */
    /* events */
    uint64_t events;                  /* received; = accepted + refused */
    uint64_t event[TRAJ_EVENT_KINDS]; /* accepted, by kind */
    uint64_t events_late;             /* accepted, but a later frame had been decoded */
    uint64_t events_duplicate;        /* accepted, but a copy of one before: without effect */
    uint64_t events_superseded; /* accepted, but gave way to others while it waited: without effect
                                 */
    uint64_t events_refused[TRAJ_REFUSALS];
};

struct traj_pipeline;

size_t traj_pipeline_size(void);

/*
 * Lays the pipeline out in memory; the decoder is borrowed, put at its prior and driven from here.
 * settings are copied (NULL = default).  NULL if memory is too small or a setting out of range.
 */
struct traj_pipeline *traj_pipeline_init(void *memory, size_t size, struct traj_decoder *decoder,
                                         const struct traj_pipeline_settings *settings);

/* Replaces the settings from the next frame on; as they are copied, they must have been checked. */
void traj_pipeline_configure(struct traj_pipeline *pipeline,
                             const struct traj_pipeline_settings *settings);

enum traj_disposition { TRAJ_DECODED, TRAJ_LATE, TRAJ_DUPLICATE, TRAJ_INVALID };

/*
 * Does ahead what the next frame will need whatever it holds; no intent is another for it.  Call it
 * when nothing waits.  What the last intent points to stays.
 */
void traj_pipeline_prepare(struct traj_pipeline *pipeline);

/*
 * Takes one frame.  TRAJ_DECODED: *intent holds the answer, all of it but intent->stamps.done and
 * .behind (stamps.device and .recv are filled in; recv is the caller's, s); pointers hold until the
 * next call.  Any other disposition has been counted and *refusal (may be NULL) says why; the
 * estimator is as if the frame had never come.
 */
enum traj_disposition traj_pipeline_frame(struct traj_pipeline *pipeline,
                                          const struct traj_frame *frame, double recv,
                                          struct traj_intent *intent, enum traj_refusal *refusal);

/* Counts a frame or event that the parser refused. */
void traj_pipeline_refuse_frame(struct traj_pipeline *pipeline, enum traj_refusal refusal);
void traj_pipeline_refuse_event(struct traj_pipeline *pipeline, enum traj_refusal refusal);

/*
 * Takes one event (copied).  It takes effect before the first frame whose t is later than the
 * event's; if such a frame has been decoded, at once, counted late and flagged in the next intent.
 * Kinds that only recordings use are counted and otherwise ignored, and are never late.  Where so
 * many wait that there is no room for one more, a gaze, effector or estimate that another of its
 * kind behind it replaces anyhow gives way, and is counted as superseded.
 * Returns TRAJ_ACCEPTED, TRAJ_REFUSED_UNITS/FIELD (prob not M long, gaze not D long, ...) or
 * TRAJ_REFUSED_SIZE (too many events wait for a frame that does not come, or a set of targets is
 * larger than the room for it).
 */
enum traj_refusal traj_pipeline_event(struct traj_pipeline *pipeline,
                                      const struct traj_event *event);

/* What is objected to in the last frame or event; its field is NULL where nothing is. */
const struct traj_objection *traj_pipeline_objection(const struct traj_pipeline *pipeline);

/*
 * When events took effect, for a recording.  An event's number is how many had come when it was
 * taken, itself included (counters.events).  at_once: the last event took effect when it was taken;
 * any other that has an effect waited.  effects: the numbers of those that waited and took effect
 * before the frame that was decoded last, in the order in which they did; they hold until the next
 * frame.
 */
bool traj_pipeline_at_once(const struct traj_pipeline *pipeline);
const uint64_t *traj_pipeline_effects(const struct traj_pipeline *pipeline, size_t *count);

/*
 * Commands; they take effect before the next frame.  A reset ends the trial; order goes on.  A
 * pause leaves the estimator running: intents go on with velocity 0 and valid false.
 */
void traj_pipeline_reset(struct traj_pipeline *pipeline);
void traj_pipeline_pause(struct traj_pipeline *pipeline, bool paused);
bool traj_pipeline_paused(const struct traj_pipeline *pipeline);

/*
 * Puts another decoder (another model, freshly initialised) in the former's place between two
 * frames; trial phase and marks carry over (a plan window begins again), the posterior starts at
 * the new model's prior.  The settings stay: check them against the new model's dim before.
 * Returns the former.
 */
struct traj_decoder *traj_pipeline_swap(struct traj_pipeline *pipeline,
                                        struct traj_decoder *decoder);

/*
 * The same with a decoder whose model has the same states under other rates: nothing begins anew
 * (traj_decoder_adopt).  Returns the former, or NULL where it cannot be, and then nothing has
 * changed.  The decoder that runs already may be handed in: then its intents say that it is new.
 */
struct traj_decoder *traj_pipeline_adopt(struct traj_pipeline *pipeline,
                                         struct traj_decoder *decoder);

/* Whether intents say that another model at hand explains the frames better; a swap ends it. */
void traj_pipeline_doubt(struct traj_pipeline *pipeline, bool doubted);

/*
 * A second pipeline that stands where `from` stands, in memory[0..size), with a decoder whose model
 * has the same states; it is put where from's is.  NULL if memory is too small or it cannot be.
 */
struct traj_pipeline *traj_pipeline_fork(void *memory, size_t size,
                                         const struct traj_pipeline *from,
                                         struct traj_decoder *decoder);

/*
 * Of TRAJ_INTENT_MODEL and TRAJ_INTENT_RETUNED those that no intent has told of yet: the next one
 * will, and until then not even a session takes them away.
 */
unsigned traj_pipeline_untold(const struct traj_pipeline *pipeline);

const struct traj_counters *traj_pipeline_counters(const struct traj_pipeline *pipeline);

/* t of the last decoded frame, NaN before the first of a run. */
double traj_pipeline_time(const struct traj_pipeline *pipeline);

#endif
