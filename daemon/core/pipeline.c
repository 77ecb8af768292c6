/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline.  A frame passes through these stages, and only one that reaches `decode` changes
 * anything but counters:
 *
 *     check_frame -> traj_order_judge -> decode: gap -> events due -> step -> calibrate -> publish
 *
 * Time inside decode: `at` is the instant up to which the estimator has been predicted.  Events
 * that are due are applied at their own place between `at` and the frame, in whole training bins,
 * so that a trial that began inside a gap has run for as long as it really has.
 */
#include "daemon/core/pipeline.h"

#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "daemon/core/event_check.h"
#include "daemon/core/frame_check.h"
#include "daemon/core/order.h"
#include "daemon/core/publish.h"
#include "daemon/core/queue.h"

#define GAP_RESET_MAX 60.0 /* s */
#define STEPS_MAX 100000.0 /* bounds the work of one frame, whatever a model's bin width is */

#define TARGET_SETS 4 /* that may wait at a time */

/* Flags for the next intent that a person's commands have set. */
#define OUTLAST_SESSIONS ((unsigned)(TRAJ_INTENT_MODEL | TRAJ_INTENT_RETUNED))

/* A set of targets that waits for its frame, or is in force. */
struct target_set {
    uint64_t number; /* of its event, 0 = none */
    size_t count, dim;
    char name[TRAJ_EVENT_ID_SIZE];
    char id[TRAJ_EVENT_IDS_MAX][TRAJ_EVENT_ID_SIZE];
    double position[TRAJ_EVENT_VALUES_MAX];
};
_Static_assert(TRAJ_EVENT_ID_SIZE == TRAJ_ID_SIZE, "a name on the wire is a name in the model");

struct traj_pipeline {
    struct traj_decoder *decoder;
    const struct traj_model *model;
    struct traj_pipeline_settings settings;
    struct traj_counters counters;
    struct traj_order order;
    struct traj_queue queue;
    struct target_set waiting[TARGET_SETS];
    struct target_set in_force; /* number 0 = the model's own targets */
    struct traj_event_memory recent;
    bool marked; /* the decoder has been told that trial marks come */
    bool in_trial;
    bool gone; /* the go cue of this trial came, or its movement has begun */
    bool paused;
    bool doubted;
    unsigned flags;  /* for the next intent */
    uint64_t seq;    /* of the next intent */
    double time;     /* t of the last decoded frame */
    double observed; /* t of the last in which something was observed; NaN: none that counts */
    bool at_once;    /* the last event took effect when it came */
    size_t effects;  /* events that took effect before the last frame, by number */
    uint64_t effect[TRAJ_QUEUE_CAPACITY];
    struct traj_objection objection; /* to the last frame or event */
    struct traj_published published;
};

/* --- settings and layout ---------------------------------------------------------------------- */

void traj_pipeline_settings_default(struct traj_pipeline_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    settings->gap_reset_s = 1.0;
    settings->count_max = 1000;
}

const char *traj_pipeline_settings_check(const struct traj_pipeline_settings *settings, size_t dim)
{
    if (!(settings->gap_reset_s >= 0 && settings->gap_reset_s <= GAP_RESET_MAX))
        return "gap_reset_s";
    if (settings->count_max == 0 || settings->count_max == TRAJ_COUNT_MISSING)
        return "count_max";
    if (!(settings->speed_limit >= 0) || !isfinite(settings->speed_limit))
        return "speed_limit";
    if (!settings->workspace)
        return NULL;
    for (size_t d = 0; d < dim && d < TRAJ_DIM_MAX; d++) {
        if (!isfinite(settings->low[d]) || !isfinite(settings->high[d]) ||
            settings->low[d] >= settings->high[d])
            return "workspace";
    }
    return NULL;
}

size_t traj_pipeline_size(void)
{
    return sizeof(struct traj_pipeline) + alignof(max_align_t);
}

/* Where a pipeline lies in memory[0..size), or NULL if that is too small. */
static struct traj_pipeline *place(void *memory, size_t size)
{
    if (memory == NULL || size < traj_pipeline_size())
        return NULL;
    size_t align = alignof(max_align_t);
    size_t slack = (align - (uintptr_t)memory % align) % align;
    void *aligned = (unsigned char *)memory + slack;
    return aligned;
}

struct traj_pipeline *traj_pipeline_init(void *memory, size_t size, struct traj_decoder *decoder,
                                         const struct traj_pipeline_settings *settings)
{
    struct traj_pipeline *pipeline = place(memory, size);
    if (pipeline == NULL || decoder == NULL)
        return NULL;
    memset(pipeline, 0, sizeof *pipeline);
    pipeline->decoder = decoder;
    pipeline->model = traj_decoder_model(decoder);
    if (settings != NULL)
        pipeline->settings = *settings;
    else
        traj_pipeline_settings_default(&pipeline->settings);
    if (traj_pipeline_settings_check(&pipeline->settings, pipeline->model->dims.position) != NULL)
        return NULL;
    traj_order_clear(&pipeline->order);
    traj_queue_clear(&pipeline->queue);
    pipeline->time = (double)NAN;
    pipeline->observed = (double)NAN;
    traj_decoder_reset(decoder);
    /* Nobody has said yet whether trial marks will come: without them until the first one does. */
    traj_decoder_marks(decoder, false);
    return pipeline;
}

void traj_pipeline_configure(struct traj_pipeline *pipeline,
                             const struct traj_pipeline_settings *settings)
{
    pipeline->settings = *settings;
}

/* --- small helpers ---------------------------------------------------------------------------- */

/* Whether an event of time `event` takes effect before a frame of time `frame`. */
static bool is_due(double event, double frame)
{
    return frame - event > TRAJ_TIME_GRACE;
}

/* The number of training bins in a span of time, rounded, 1..STEPS_MAX. */
static size_t steps_over(double span, double bin_width)
{
    double steps = span / bin_width + 0.5;
    if (!(steps < STEPS_MAX))
        return (size_t)STEPS_MAX;
    return steps >= 2 ? (size_t)steps : 1;
}

/* The number of training bins that end within a span of time, 0..STEPS_MAX; 0 if it is negative. */
static size_t bins_within(double span, double bin_width)
{
    double bins = (span + TRAJ_TIME_GRACE) / bin_width;
    if (!(bins < STEPS_MAX))
        return (size_t)STEPS_MAX;
    return bins >= 1 ? (size_t)bins : 0;
}

static void reset_posterior(struct traj_pipeline *pipeline)
{
    traj_decoder_reset(pipeline->decoder);
    pipeline->observed = (double)NAN;
    pipeline->in_trial = false;
    pipeline->gone = false;
    pipeline->flags |= TRAJ_INTENT_RESET;
    pipeline->counters.resets++;
}

static void set_marks(struct traj_pipeline *pipeline, bool marks)
{
    traj_decoder_marks(pipeline->decoder, marks);
    pipeline->marked = marks;
}

/* --- targets ---------------------------------------------------------------------------------- */

static void copy_set(struct target_set *set, const struct traj_event *event, uint64_t number)
{
    set->number = number;
    set->count = event->ids;
    set->dim = event->dim;
    memcpy(set->name, event->text, sizeof set->name - 1);
    set->name[sizeof set->name - 1] = '\0';
    memcpy(set->id, event->id, event->ids * sizeof event->id[0]);
    memcpy(set->position, event->value, event->count * sizeof event->value[0]);
}

/* Room for one more set that waits, or NULL. */
static struct target_set *free_set(struct traj_pipeline *pipeline)
{
    for (size_t i = 0; i < TARGET_SETS; i++) {
        if (pipeline->waiting[i].number == 0)
            return &pipeline->waiting[i];
    }
    return NULL;
}

static void forget_set(struct traj_pipeline *pipeline, uint64_t number)
{
    for (size_t i = 0; i < TARGET_SETS; i++) {
        if (pipeline->waiting[i].number == number)
            pipeline->waiting[i].number = 0;
    }
}

/* Brings the decoder to the targets in force; a model that cannot be carried keeps its own. */
static void carry(struct traj_pipeline *pipeline)
{
    const struct target_set *set = &pipeline->in_force;
    const bool fits = set->number > 0 && set->dim == pipeline->model->dims.position;
    (void)traj_decoder_targets(pipeline->decoder, set->name, fits ? set->count : 0, set->id,
                               set->position);
    pipeline->model = traj_decoder_model(pipeline->decoder);
}

/* How many targets there will be when all that waits has taken effect. */
static size_t targets_to_come(const struct traj_pipeline *pipeline)
{
    uint64_t newest = 0;
    size_t count = pipeline->model->dims.targets;
    for (size_t i = 0; traj_decoder_slots(pipeline->decoder) > 0 && i < TARGET_SETS; i++) {
        if (pipeline->waiting[i].number > newest) {
            newest = pipeline->waiting[i].number;
            count = pipeline->waiting[i].count;
        }
    }
    return count;
}

/* --- events ----------------------------------------------------------------------------------- */

/* A new source, or a restart: nothing of the former run is left but what a person commanded. */
static void begin_session(struct traj_pipeline *pipeline, bool marks)
{
    pipeline->flags &= OUTLAST_SESSIONS;
    reset_posterior(pipeline);
    traj_decoder_believe(pipeline->decoder);
    set_marks(pipeline, marks);
    traj_order_clear(&pipeline->order);
    traj_queue_clear(&pipeline->queue);
    for (size_t i = 0; i < TARGET_SETS; i++)
        pipeline->waiting[i].number = 0;
    if (pipeline->in_force.number > 0) {
        pipeline->in_force.number = 0;
        carry(pipeline);
    }
    pipeline->recent.count = 0;
    pipeline->seq = 0;
    pipeline->time = (double)NAN;
}

static void apply_estimate(struct traj_pipeline *pipeline, const struct traj_pending *event)
{
    const struct traj_dims *dims = &pipeline->model->dims;
    if (event->of == TRAJ_ESTIMATE_TARGETS) {
        if (event->count == dims->targets)
            (void)traj_decoder_opinion(pipeline->decoder, TRAJ_OPINION_TARGETS, event->value, NULL);
    } else if (event->dim == dims->position) {
        (void)traj_decoder_opinion(pipeline->decoder,
                                   event->of == TRAJ_ESTIMATE_VELOCITY ? TRAJ_OPINION_VELOCITY
                                                                       : TRAJ_OPINION_POSITION,
                                   event->value, event->value + event->dim);
    }
}

/*
 * Hands an event to the decoder.  A go or stop outside a trial (before the first start, or after a
 * reset has ended the trial) means nothing.  A start where none was announced is believed.  Numbers
 * that fitted a former model and do not fit this one are passed over.
 */
static void apply(struct traj_pipeline *pipeline, const struct traj_pending *event)
{
    const struct traj_dims *dims = &pipeline->model->dims;
    switch (event->kind) {
    case TRAJ_EVENT_TRIAL_START:
        if (!pipeline->marked)
            set_marks(pipeline, true);
        traj_decoder_trial_start(pipeline->decoder);
        pipeline->in_trial = true;
        pipeline->gone = false;
        break;
    case TRAJ_EVENT_GO:
        if (pipeline->in_trial) {
            traj_decoder_go(pipeline->decoder);
            pipeline->gone = true;
        }
        break;
    case TRAJ_EVENT_TRIAL_STOP:
        if (pipeline->in_trial)
            traj_decoder_trial_stop(pipeline->decoder);
        pipeline->in_trial = false;
        break;
    case TRAJ_EVENT_TARGET_PRIOR:
        if (event->count == dims->targets)
            (void)traj_decoder_target_prior(pipeline->decoder, event->value);
        break;
    case TRAJ_EVENT_GAZE:
        if (event->dim == dims->position)
            (void)traj_decoder_gaze(pipeline->decoder, event->value, event->value + event->dim);
        break;
    case TRAJ_EVENT_EFFECTOR:
        if (event->dim == dims->position)
            (void)traj_decoder_effector(pipeline->decoder, event->value);
        break;
    case TRAJ_EVENT_ESTIMATE:
        apply_estimate(pipeline, event);
        break;
    case TRAJ_EVENT_TARGETS:
        for (size_t i = 0; i < TARGET_SETS; i++) {
            if (pipeline->waiting[i].number == event->number) {
                pipeline->in_force = pipeline->waiting[i];
                pipeline->waiting[i].number = 0;
                carry(pipeline);
                break;
            }
        }
        break;
    default:
        break;
    }
}

/* Whether the decoder has room for a set of targets, and there is room for it to wait. */
static enum traj_refusal check_targets(struct traj_pipeline *pipeline,
                                       const struct traj_event *event)
{
    const size_t slots = traj_decoder_slots(pipeline->decoder);
    if (slots > 0 && event->dim != pipeline->model->dims.position)
        return traj_object(&pipeline->objection, TRAJ_REFUSED_UNITS, "position", (double)event->dim,
                           "the model's dimensions are", (double)pipeline->model->dims.position);
    if (slots > 0 && event->ids > slots)
        return traj_object(&pipeline->objection, TRAJ_REFUSED_SIZE, "id", (double)event->ids,
                           "the targets for which there is room are", (double)slots);
    if (free_set(pipeline) == NULL)
        return traj_object(&pipeline->objection, TRAJ_REFUSED_SIZE, "set", TARGET_SETS + 1,
                           "the sets that may wait for a frame are", TARGET_SETS);
    return TRAJ_ACCEPTED;
}

/* Lets an event wait for its frame; false if there is no room, even if what is superseded goes. */
static bool let_wait(struct traj_pipeline *pipeline, const struct traj_event *event,
                     uint64_t number)
{
    if (traj_queue_put(&pipeline->queue, event, number))
        return true;
    if (!traj_queue_give_way(&pipeline->queue, event))
        return false;
    pipeline->counters.events_superseded++;
    return traj_queue_put(&pipeline->queue, event, number);
}

/* Takes a checked event that is not a session's. */
static enum traj_refusal take_event(struct traj_pipeline *pipeline, const struct traj_event *event)
{
    if (event->kind == TRAJ_EVENT_KINEMATICS || event->kind == TRAJ_EVENT_TRIAL_LABEL ||
        event->kind == TRAJ_EVENT_UNITS)
        return TRAJ_ACCEPTED;
    struct traj_event_print print = traj_event_print_of(event);
    if (traj_event_known(&pipeline->recent, &print)) {
        pipeline->counters.events_duplicate++;
        return TRAJ_ACCEPTED;
    }
    bool acts = traj_event_acts(event->kind);
    uint64_t number = pipeline->counters.events + 1;
    if (event->kind == TRAJ_EVENT_TARGETS) {
        enum traj_refusal refusal = check_targets(pipeline, event);
        if (refusal != TRAJ_ACCEPTED)
            return refusal;
        copy_set(free_set(pipeline), event, number);
    }
    if (pipeline->order.started && is_due(event->t, pipeline->order.t)) {
        pipeline->counters.events_late++;
        pipeline->flags |= TRAJ_INTENT_LATE_EVENT;
        if (acts) {
            struct traj_pending pending;
            traj_pending_from(&pending, event);
            pending.number = number;
            apply(pipeline, &pending);
            pipeline->at_once = true;
        }
    } else if (acts && !let_wait(pipeline, event, number)) {
        if (event->kind == TRAJ_EVENT_TARGETS)
            forget_set(pipeline, number);
        return traj_object(&pipeline->objection, TRAJ_REFUSED_SIZE, "t", (double)NAN,
                           "too many events wait for a frame that has not come", (double)NAN);
    }
    traj_event_remember(&pipeline->recent, &print);
    return TRAJ_ACCEPTED;
}

enum traj_refusal traj_pipeline_event(struct traj_pipeline *pipeline,
                                      const struct traj_event *event)
{
    struct traj_dims dims = pipeline->model->dims;
    dims.targets = targets_to_come(pipeline);
    pipeline->objection.field = NULL;
    enum traj_refusal refusal = traj_event_check(event, &dims, &pipeline->objection);
    pipeline->at_once = false;
    if (refusal == TRAJ_ACCEPTED) {
        if (event->kind == TRAJ_EVENT_SESSION) {
            begin_session(pipeline, event->marks);
            pipeline->at_once = true;
        } else {
            refusal = take_event(pipeline, event);
        }
    }
    pipeline->counters.events++;
    if (refusal == TRAJ_ACCEPTED)
        pipeline->counters.event[event->kind]++;
    else
        pipeline->counters.events_refused[refusal]++;
    return refusal;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* The longest gap that is predicted over, s; half a bin more, as spans are rounded to bins. */
static double longest_gap(const struct traj_pipeline *pipeline)
{
    double bins = (TRAJ_GAP_BINS_MAX + 0.5) * pipeline->model->bin_width;
    double limit = pipeline->settings.gap_reset_s;
    return bins < limit ? bins : limit;
}

/*
 * Looks for a gap before a frame that is next in order, and starts the posterior anew beyond the
 * longest one.  True if the posterior has no past: at the start of a run, or after that reset.
 */
static bool pass_gap(struct traj_pipeline *pipeline, const struct traj_frame *frame)
{
    const struct traj_order *order = &pipeline->order;
    if (!order->started)
        return true;
    double elapsed = frame->t - order->t;
    bool gap = frame->seq - order->last > 1 || elapsed > frame->dt + frame->dt / 2;
    if (!gap)
        return false;
    pipeline->counters.gaps++;
    pipeline->flags |= TRAJ_INTENT_GAP;
    if (elapsed <= longest_gap(pipeline))
        return false;
    reset_posterior(pipeline);
    return true;
}

/*
 * The instant from which a posterior without past is predicted to the frame: the first trial start
 * that is due, for there the courses of the trial begin (no further back than the longest gap),
 * else one training bin before the frame.
 */
static double first_instant(const struct traj_pipeline *pipeline, double t)
{
    const struct traj_pending *event;
    for (size_t i = 0; (event = traj_queue_at(&pipeline->queue, i)) != NULL; i++) {
        if (!is_due(event->t, t))
            break;
        if (event->kind == TRAJ_EVENT_TRIAL_START && event->t > TRAJ_TIME_UNKNOWN) {
            double earliest = t - longest_gap(pipeline);
            return event->t > earliest ? event->t : earliest;
        }
    }
    return t - pipeline->model->bin_width;
}

/* One step of the estimator over bins of which nothing was observed; returns its flags. */
static unsigned step_unobserved(struct traj_pipeline *pipeline, size_t bins)
{
    struct traj_observation nothing = {.dt = pipeline->model->bin_width, .steps = bins};
    struct traj_estimate ignored;
    if (traj_decoder_step(pipeline->decoder, &nothing, &ignored) != TRAJ_OK)
        return 0;
    return ignored.flags;
}

/*
 * Predicts over so many unobserved bins.  After a start or go (*first) the estimator takes its next
 * step for the first bin, however long it is, so that this bin is passed by itself.
 */
static unsigned pass_over(struct traj_pipeline *pipeline, size_t bins, bool *first)
{
    unsigned flags = 0;
    if (*first && bins > 1) {
        flags |= step_unobserved(pipeline, 1);
        bins--;
    }
    if (bins > 0) {
        flags |= step_unobserved(pipeline, bins);
        *first = false;
    }
    return flags;
}

/*
 * Applies the events that are due, each after the training bins that ended before it.  *steps, the
 * bins from `at` to the frame, is lowered by those already passed; at least one, the frame's own,
 * is left.  Returns the estimator's flags on the way.
 */
static unsigned apply_due(struct traj_pipeline *pipeline, double at, double t, size_t *steps)
{
    const double bin_width = pipeline->model->bin_width;
    const struct traj_pending *event;
    unsigned flags = 0;
    bool first = false;
    while ((event = traj_queue_at(&pipeline->queue, 0)) != NULL && is_due(event->t, t)) {
        size_t bins = bins_within(event->t - at, bin_width);
        if (bins >= *steps)
            bins = *steps - 1;
        flags |= pass_over(pipeline, bins, &first);
        *steps -= bins;
        at += (double)bins * bin_width;
        if (event->kind == TRAJ_EVENT_TRIAL_START || event->kind == TRAJ_EVENT_GO)
            first = true;
        apply(pipeline, event);
        pipeline->effect[pipeline->effects++] = event->number;
        traj_queue_drop(&pipeline->queue);
    }
    if (first && *steps > 1) {
        flags |= pass_over(pipeline, 1, &first);
        *steps -= 1;
    }
    return flags;
}

static bool tells_anything(const struct traj_frame *frame)
{
    for (size_t n = 0; n < frame->units; n++) {
        if (frame->counts[n] != TRAJ_COUNT_MISSING)
            return true;
    }
    for (size_t f = 0; f < frame->features; f++) {
        if (!isnan(frame->feature[f]))
            return true;
    }
    return false;
}

/*
 * Notes whether the frame tells of any unit; false if none has for longer than a gap may last, so
 * that the posterior is nothing but a prediction.
 */
static bool is_observed(struct traj_pipeline *pipeline, const struct traj_frame *frame)
{
    if (tells_anything(frame))
        pipeline->observed = frame->t;
    return frame->t - pipeline->observed <= pipeline->settings.gap_reset_s;
}

/* Counts the flags that have a counter and hands them all to the intent. */
static void publish_flags(struct traj_pipeline *pipeline, struct traj_intent *intent)
{
    struct traj_counters *counters = &pipeline->counters;
    if (pipeline->doubted)
        pipeline->flags |= TRAJ_INTENT_DOUBTFUL;
    counters->recovered += (pipeline->flags & TRAJ_INTENT_RECOVERED) != 0;
    counters->limited += (pipeline->flags & TRAJ_INTENT_LIMITED) != 0;
    counters->paused += (pipeline->flags & TRAJ_INTENT_PAUSED) != 0;
    intent->flags = pipeline->flags;
    pipeline->flags = 0;
}

/* Decodes a frame that was checked and is next in order. */
static void decode(struct traj_pipeline *pipeline, const struct traj_frame *frame,
                   struct traj_intent *intent)
{
    bool anew = pass_gap(pipeline, frame);
    double at = anew ? first_instant(pipeline, frame->t) : pipeline->order.t;
    size_t steps = steps_over(frame->t - at, pipeline->model->bin_width);
    unsigned flags = apply_due(pipeline, at, frame->t, &steps);
    /* Not before: other targets may have come into force. */
    const struct traj_model *model = pipeline->model;

    struct traj_observation observation = {.counts = frame->units > 0 ? frame->counts : NULL,
                                           .features = frame->features > 0 ? frame->feature : NULL,
                                           .dt = frame->dt,
                                           .steps = steps};
    struct traj_estimate estimate = {0};
    bool good = traj_decoder_step(pipeline->decoder, &observation, &estimate) == TRAJ_OK;
    if (good) {
        traj_decoder_calibrate(pipeline->decoder, &estimate);
        flags |= estimate.flags;
        if (estimate.phase == TRAJ_PHASE_MOVE)
            pipeline->gone = true;
        good = traj_publish_possible(&estimate, &model->dims);
    }
    if (!good || (flags & TRAJ_FLAG_RECOVERED) != 0)
        pipeline->flags |= TRAJ_INTENT_RECOVERED;
    /* Of this frame's estimate: what passed before it may have ended since. */
    if (good && (estimate.flags & TRAJ_FLAG_STEERED) != 0)
        pipeline->flags |= TRAJ_INTENT_STEERED;
    pipeline->flags |= traj_publish(model, good ? &estimate : NULL, &pipeline->settings,
                                    pipeline->paused, &pipeline->published, intent);
    if (!is_observed(pipeline, frame))
        pipeline->flags |= TRAJ_INTENT_UNOBSERVED;
    if ((pipeline->flags & (TRAJ_INTENT_RECOVERED | TRAJ_INTENT_UNOBSERVED)) != 0)
        intent->valid = false;
    publish_flags(pipeline, intent);
    /* A posterior that the estimator itself could not mend starts anew before the next frame. */
    if (!good)
        reset_posterior(pipeline);
}

static enum traj_disposition refuse(struct traj_pipeline *pipeline, enum traj_refusal cause,
                                    enum traj_refusal *refusal)
{
    traj_pipeline_refuse_frame(pipeline, cause);
    if (refusal != NULL)
        *refusal = cause;
    return TRAJ_INVALID;
}

enum traj_disposition traj_pipeline_frame(struct traj_pipeline *pipeline,
                                          const struct traj_frame *frame, double recv,
                                          struct traj_intent *intent, enum traj_refusal *refusal)
{
    struct traj_counters *counters = &pipeline->counters;
    if (refusal != NULL)
        *refusal = TRAJ_ACCEPTED;
    pipeline->objection.field = NULL;
    enum traj_refusal cause = traj_frame_check(frame, pipeline->model, pipeline->settings.count_max,
                                               &pipeline->objection);
    if (cause != TRAJ_ACCEPTED)
        return refuse(pipeline, cause, refusal);

    counters->received++;
    switch (traj_order_judge(&pipeline->order, frame->seq, frame->t)) {
    case TRAJ_ORDER_DUPLICATE:
        counters->duplicate++;
        return TRAJ_DUPLICATE;
    case TRAJ_ORDER_LATE:
        counters->late++;
        if (traj_order_note_late(&pipeline->order, frame->seq))
            counters->missing--;
        return TRAJ_LATE;
    case TRAJ_ORDER_NEXT:
        break;
    }
    memset(intent, 0, sizeof *intent);
    pipeline->effects = 0;
    decode(pipeline, frame, intent);
    const uint64_t missing = traj_order_take(&pipeline->order, frame->seq, frame->t);
    /* One absurd seq must not bring the sum round. */
    counters->missing = missing > TRAJ_MISSING_MAX - counters->missing
                            ? TRAJ_MISSING_MAX
                            : counters->missing + missing;
    counters->decoded++;
    pipeline->time = frame->t;
    intent->seq = pipeline->seq++;
    intent->frame = frame->seq;
    intent->t = frame->t;
    intent->stamps.device = frame->device;
    intent->stamps.recv = recv;
    intent->stamps.done = (double)NAN;
    return TRAJ_DECODED;
}

void traj_pipeline_prepare(struct traj_pipeline *pipeline)
{
    traj_decoder_prepare(pipeline->decoder);
}

/* --- refusals, commands, readings ------------------------------------------------------------- */

/* A cause that is none is counted as one, so that the sums always hold. */
static enum traj_refusal a_cause(enum traj_refusal refusal)
{
    if (refusal <= TRAJ_ACCEPTED || refusal >= TRAJ_REFUSALS)
        return TRAJ_REFUSED_SYNTAX;
    return refusal;
}

const struct traj_objection *traj_pipeline_objection(const struct traj_pipeline *pipeline)
{
    return &pipeline->objection;
}

void traj_pipeline_refuse_frame(struct traj_pipeline *pipeline, enum traj_refusal refusal)
{
    pipeline->counters.received++;
    pipeline->counters.invalid++;
    pipeline->counters.refused[a_cause(refusal)]++;
}

void traj_pipeline_refuse_event(struct traj_pipeline *pipeline, enum traj_refusal refusal)
{
    pipeline->counters.events++;
    pipeline->counters.events_refused[a_cause(refusal)]++;
}

void traj_pipeline_reset(struct traj_pipeline *pipeline)
{
    reset_posterior(pipeline);
    traj_decoder_believe(pipeline->decoder);
}

void traj_pipeline_pause(struct traj_pipeline *pipeline, bool paused)
{
    pipeline->paused = paused;
}

bool traj_pipeline_paused(const struct traj_pipeline *pipeline)
{
    return pipeline->paused;
}

struct traj_decoder *traj_pipeline_swap(struct traj_pipeline *pipeline,
                                        struct traj_decoder *decoder)
{
    struct traj_decoder *former = pipeline->decoder;
    pipeline->decoder = decoder;
    pipeline->model = traj_decoder_model(decoder);
    pipeline->flags |= TRAJ_INTENT_MODEL;
    pipeline->doubted = false;
    pipeline->observed = (double)NAN;
    if (pipeline->in_force.number > 0)
        carry(pipeline);
    traj_decoder_marks(decoder, pipeline->marked);
    if (pipeline->in_trial) {
        traj_decoder_trial_start(decoder);
        if (pipeline->gone)
            traj_decoder_go(decoder);
    }
    return former;
}

struct traj_decoder *traj_pipeline_adopt(struct traj_pipeline *pipeline,
                                         struct traj_decoder *decoder)
{
    struct traj_decoder *former = pipeline->decoder;
    if (decoder != former && traj_decoder_adopt(decoder, former) != TRAJ_OK)
        return NULL;
    pipeline->decoder = decoder;
    pipeline->model = traj_decoder_model(decoder);
    pipeline->flags |= TRAJ_INTENT_RETUNED;
    return former;
}

void traj_pipeline_doubt(struct traj_pipeline *pipeline, bool doubted)
{
    pipeline->doubted = doubted;
}

struct traj_pipeline *traj_pipeline_fork(void *memory, size_t size,
                                         const struct traj_pipeline *from,
                                         struct traj_decoder *decoder)
{
    struct traj_pipeline *pipeline = place(memory, size);
    if (pipeline == NULL || traj_decoder_adopt(decoder, from->decoder) != TRAJ_OK)
        return NULL;
    *pipeline = *from;
    pipeline->decoder = decoder;
    pipeline->model = traj_decoder_model(decoder);
    return pipeline;
}

unsigned traj_pipeline_untold(const struct traj_pipeline *pipeline)
{
    return pipeline->flags & OUTLAST_SESSIONS;
}

const struct traj_counters *traj_pipeline_counters(const struct traj_pipeline *pipeline)
{
    return &pipeline->counters;
}

bool traj_pipeline_at_once(const struct traj_pipeline *pipeline)
{
    return pipeline->at_once;
}

const uint64_t *traj_pipeline_effects(const struct traj_pipeline *pipeline, size_t *count)
{
    *count = pipeline->effects;
    return pipeline->effect;
}

double traj_pipeline_time(const struct traj_pipeline *pipeline)
{
    return pipeline->time;
}
