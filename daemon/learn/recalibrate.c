/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recalibration on line; see recalibrate.h. */
#include "daemon/learn/recalibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/judge.h"
#include "daemon/learn/label_trial.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/retune.h"
#include "daemon/learn/retune_fit.h"

#define SURE 2.0           /* standard errors by which a model must foretell better */
#define SEEMS 1.0          /* and from which the other is doubted */
#define LABELLED_LEAST 10u /* trials before directions are learned from labels */

static const char *const names[TRAJ_RECALIBRATE_METHODS] = {"rml", "smoothbatch", "baseline"};

struct traj_recalibrator {
    const struct traj_model *base;
    struct traj_recalibrate_options options;
    size_t channels, columns;
    struct traj_retune_fit *fit;
    struct traj_pipeline_settings settings;

    struct traj_judge *in_force;
    struct traj_judge *loaded;      /* the model as it was loaded; NULL while that is in force */
    struct traj_judge *candidate;   /* NULL where there is none */
    double *now, *wanted, *next;    /* [C][K] in force; of the candidate; of the one to come */
    uint64_t rests_on;              /* frames that the candidate rests on */
    bool asked;                     /* for other tables, which are not in force yet */
    struct traj_lead better, worse; /* candidate less in force; loaded less in force */

    struct traj_label_trial trial;
    double starts, stops; /* s: marks that wait for their frame; NaN = none */
    int32_t label;        /* of the trial that runs or has just ended; -1 = none yet */
    bool labels_come;     /* there has been one: trials wait for theirs */

    double began; /* t of the interval's first frame; NaN = none yet */
    struct traj_recalibrate_state state;
    struct traj_frame frame;
    struct traj_event *event;
};

const char *traj_recalibrate_name(enum traj_recalibrate_method method)
{
    return (unsigned)method < TRAJ_RECALIBRATE_METHODS ? names[method] : "?";
}

enum traj_recalibrate_method traj_recalibrate_named(const char *name)
{
    int method = 0;
    while (method < TRAJ_RECALIBRATE_METHODS && strcmp(name, names[method]) != 0)
        method++;
    return (enum traj_recalibrate_method)method;
}

void traj_recalibrate_options_default(struct traj_recalibrate_options *options)
{
    *options = (struct traj_recalibrate_options){
        .method = TRAJ_RECALIBRATE_RML, .interval_s = 10, .half_life_s = 60, .labels = true};
}

/* ---- making ---------------------------------------------------------------------------------- */

static int fill(struct traj_recalibrator *self, struct traj_error *error)
{
    const struct traj_model *base = self->base;
    self->channels = base->dims.units + base->dims.features;
    self->columns = traj_retune_columns(base);
    self->fit = traj_retune_fit_new(base, error);
    if (!self->fit || traj_label_trial_init(&self->trial, base, error))
        return -1;
    const size_t count = self->channels * self->columns;
    self->now = calloc(3 * count, sizeof *self->now);
    self->event = malloc(sizeof *self->event);
    self->frame.counts = malloc(TRAJ_UNITS_MAX * sizeof *self->frame.counts);
    self->frame.feature = malloc(TRAJ_UNITS_MAX * sizeof *self->frame.feature);
    self->frame.units_max = self->frame.features_max = TRAJ_UNITS_MAX;
    if (!self->now || !self->event || !self->frame.counts || !self->frame.feature)
        return traj_error_set(error, "no memory to recalibrate");
    self->wanted = self->now + count;
    self->next = self->wanted + count;
    self->in_force = traj_judge_new(base, NULL, NULL, &self->settings, error);
    return self->in_force ? 0 : -1;
}

struct traj_recalibrator *traj_recalibrator_new(const struct traj_model *base,
                                                const struct traj_recalibrate_options *options,
                                                struct traj_error *error)
{
    struct traj_recalibrator *self = calloc(1, sizeof *self);
    if (!self) {
        traj_error_set(error, "no memory to recalibrate");
        return NULL;
    }
    self->base = base;
    self->options = *options;
    self->starts = self->stops = self->began = NAN;
    self->label = -1;
    self->state.candidate = self->state.loaded = NAN;
    traj_pipeline_settings_default(&self->settings);
    if (fill(self, error)) {
        traj_recalibrator_free(self);
        return NULL;
    }
    return self;
}

void traj_recalibrator_free(struct traj_recalibrator *self)
{
    if (!self)
        return;
    traj_judge_free(self->in_force);
    traj_judge_free(self->loaded);
    traj_judge_free(self->candidate);
    traj_retune_fit_free(self->fit);
    traj_label_trial_free(&self->trial);
    free(self->now);
    free(self->event);
    free(self->frame.counts);
    free(self->frame.feature);
    free(self);
}

/* ---- trials and their labels ----------------------------------------------------------------- */

/* The trial that has ended, or is to, is learned from: by its label if there is one. */
static void settle_trial(struct traj_recalibrator *self)
{
    if (self->label >= 0 && self->options.labels &&
        traj_label_trial_label(&self->trial, self->in_force, (size_t)self->label, self->fit))
        self->state.labelled++;
    traj_label_trial_flush(&self->trial, self->fit);
    self->label = -1;
}

/* Marks that lie before this frame. */
static void pass_marks(struct traj_recalibrator *self, double t)
{
    if (self->stops < t - TRAJ_TIME_GRACE) {
        self->trial.open = false;
        self->stops = NAN;
    }
    if (self->starts < t - TRAJ_TIME_GRACE) {
        settle_trial(self);
        if (self->labels_come)
            traj_label_trial_begin(&self->trial);
        self->starts = NAN;
    }
}

static void note_event(struct traj_recalibrator *self, const struct traj_event *event)
{
    switch (event->kind) {
    case TRAJ_EVENT_TRIAL_START:
        self->starts = event->t;
        break;
    case TRAJ_EVENT_TRIAL_STOP:
        self->stops = event->t;
        break;
    case TRAJ_EVENT_TRIAL_LABEL:
        self->label = event->target;
        self->labels_come = self->options.labels;
        /* The trial is over: nothing more is to come that it could tell. */
        if (!self->trial.open && self->trial.frames > 0)
            settle_trial(self);
        break;
    case TRAJ_EVENT_SESSION:
        settle_trial(self);
        self->starts = self->stops = self->began = NAN;
        break;
    default:
        break;
    }
}

/* ---- the interval ---------------------------------------------------------------------------- */

static enum traj_retune_what what_moves(const struct traj_recalibrator *self)
{
    if (self->options.method == TRAJ_RECALIBRATE_BASELINE)
        return TRAJ_RETUNE_LEVELS;
    return self->state.labelled >= LABELLED_LEAST ? TRAJ_RETUNE_TUNING : TRAJ_RETUNE_GAINS;
}

/* What the last interval has said of the candidate; true if it is to be put in force. */
static bool judge_candidate(struct traj_recalibrator *self)
{
    /* Short intervals are put together until something can be said. */
    if (!self->candidate || !traj_lead_known(&self->better))
        return false;
    self->state.candidates++;
    self->state.candidate = traj_lead_surely(&self->better);
    bool good = self->state.candidate > SURE;
    if (!good) {
        self->state.refused++;
        traj_judge_free(self->candidate);
        self->candidate = NULL;
    }
    return good;
}

/* Makes numbers for the next interval to judge. */
static int propose(struct traj_recalibrator *self, uint64_t frames, struct traj_error *error)
{
    const struct traj_recalibrate_options *options = &self->options;
    const double fade = exp2(-options->interval_s / options->half_life_s);
    const bool batch = options->method == TRAJ_RECALIBRATE_SMOOTHBATCH;
    const size_t changed = traj_retune_fit_close(self->fit, what_moves(self), batch ? 0 : fade,
                                                 batch ? fade : 0, self->now, self->next);
    if (self->candidate || changed == 0)
        return 0;
    struct traj_model *model = traj_retune(self->base, self->next, self->columns, error);
    self->candidate =
        model ? traj_judge_new(NULL, model, self->in_force, &self->settings, error) : NULL;
    if (!self->candidate)
        return -1;
    memcpy(self->wanted, self->next, self->channels * self->columns * sizeof *self->wanted);
    self->rests_on = frames;
    traj_lead_clear(&self->better);
    return 0;
}

/* Whether the model as it was loaded explains better, and whether something else would. */
static enum traj_recalibrate_order judge_in_force(struct traj_recalibrator *self, bool better)
{
    const bool was = self->state.doubted;
    self->state.loaded = self->loaded ? traj_lead_surely(&self->worse) : NAN;
    traj_lead_fade(&self->worse);
    if (self->loaded && self->state.loaded > SURE && !self->options.frozen)
        return TRAJ_RECALIBRATE_UNDO;
    if (better && !self->options.frozen)
        return TRAJ_RECALIBRATE_UPDATE;
    self->state.doubted = better || (self->loaded && self->state.loaded > SEEMS);
    return self->state.doubted != was ? TRAJ_RECALIBRATE_DOUBT : TRAJ_RECALIBRATE_NOTHING;
}

static int end_interval(struct traj_recalibrator *self, uint64_t frames,
                        enum traj_recalibrate_order *order, struct traj_error *error)
{
    self->state.intervals++;
    if (!self->trial.open)
        settle_trial(self);
    if (self->asked) {
        /* Tables are on their way; what is in force until then is not judged again. */
        return propose(self, frames, error);
    }
    *order = judge_in_force(self, judge_candidate(self));
    self->asked = *order == TRAJ_RECALIBRATE_UPDATE || *order == TRAJ_RECALIBRATE_UNDO;
    if (*order == TRAJ_RECALIBRATE_UPDATE)
        self->state.updates++;
    else if (*order == TRAJ_RECALIBRATE_UNDO)
        self->state.undone++;
    if (self->options.frozen && self->candidate) {
        /* It is to be judged again: what is true now need not stay so. */
        traj_judge_free(self->candidate);
        self->candidate = NULL;
    }
    return propose(self, frames, error);
}

/* ---- what comes ------------------------------------------------------------------------------ */

#define JUDGES 3
#define EACH_JUDGE(self, judge)                                                                    \
    struct traj_judge *const judge[JUDGES] = {(self)->in_force, (self)->loaded, (self)->candidate}

/* Learns from a frame that the tables in force have decoded. */
static void learn(struct traj_recalibrator *self, const struct traj_frame *frame)
{
    pass_marks(self, frame->t);
    if (!self->in_force->able) {
        /* Labels name targets that the tables do not know. */
        self->label = -1;
        return;
    }
    if (self->trial.open)
        traj_label_trial_frame(&self->trial, frame, self->in_force->weight);
    else
        traj_retune_fit_add(self->fit, frame->units > 0 ? frame->counts : NULL,
                            frame->features > 0 ? frame->feature : NULL, frame->dt,
                            self->in_force->weight);
}

int traj_recalibrator_frame(struct traj_recalibrator *self, const struct traj_frame *frame,
                            uint64_t frames, enum traj_recalibrate_order *order,
                            struct traj_error *error)
{
    EACH_JUDGE(self, judge);
    *order = TRAJ_RECALIBRATE_NOTHING;
    for (size_t i = 0; i < JUDGES; i++)
        if (judge[i])
            traj_judge_frame(judge[i], frame);
    if (!self->in_force || !self->in_force->decoded)
        return 0;
    if (self->candidate)
        traj_lead_add(&self->better, self->candidate, self->in_force, frame->dt);
    if (self->loaded)
        traj_lead_add(&self->worse, self->loaded, self->in_force, frame->dt);
    learn(self, frame);
    if (isnan(self->began) || frame->t < self->began)
        self->began = frame->t - frame->dt;
    if (frame->t - self->began < self->options.interval_s - TRAJ_TIME_GRACE)
        return 0;
    self->began = frame->t;
    return end_interval(self, frames, order, error);
}

void traj_recalibrator_event(struct traj_recalibrator *self, const struct traj_event *event)
{
    EACH_JUDGE(self, judge);
    for (size_t i = 0; i < JUDGES; i++)
        if (judge[i])
            (void)traj_pipeline_event(judge[i]->pipeline, event);
    note_event(self, event);
}

void traj_recalibrator_reset(struct traj_recalibrator *self)
{
    EACH_JUDGE(self, judge);
    for (size_t i = 0; i < JUDGES; i++)
        if (judge[i])
            traj_pipeline_reset(judge[i]->pipeline);
}

static void count_moved(struct traj_recalibrator *self)
{
    self->state.channels = 0;
    for (size_t n = 0; n < self->channels; n++) {
        bool moved = false;
        for (size_t k = 0; k < self->columns; k++)
            moved = moved || self->now[n * self->columns + k] != 0;
        self->state.channels += moved;
    }
}

int traj_recalibrator_moved(struct traj_recalibrator *self, const double *coefficient,
                            struct traj_error *error)
{
    struct traj_model *model =
        coefficient ? traj_retune(self->base, coefficient, self->columns, error) : NULL;
    struct traj_judge *made =
        model || !coefficient
            ? traj_judge_new(self->base, model, self->in_force, &self->settings, error)
            : NULL;
    if (!made)
        return -1;
    if (coefficient && !self->loaded)
        self->loaded = traj_judge_new(self->base, NULL, self->in_force, &self->settings, error);
    if (coefficient && !self->loaded) {
        traj_judge_free(made);
        return -1;
    }
    if (!coefficient) {
        traj_judge_free(self->loaded);
        self->loaded = NULL;
    }
    for (size_t i = 0; i < self->channels * self->columns; i++)
        self->now[i] = coefficient ? coefficient[i] : 0;
    traj_judge_free(self->in_force);
    traj_judge_free(self->candidate);
    self->in_force = made;
    self->candidate = NULL;
    self->asked = false;
    self->state.doubted = false;
    traj_lead_clear(&self->worse);
    traj_retune_fit_anew(self->fit);
    count_moved(self);
    return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static int take_frame(struct traj_recalibrator *self, const struct traj_record *record,
                      enum traj_recalibrate_order *order, struct traj_error *error)
{
    if (record->code != TRAJ_RECORD_DECODED ||
        traj_frame_parse(record->payload, record->size, &self->frame, NULL) != TRAJ_ACCEPTED)
        return 0;
    return traj_recalibrator_frame(self, &self->frame, record->frame + 1, order, error);
}

static void take_event(struct traj_recalibrator *self, const struct traj_record *record)
{
    uint64_t number;
    const void *body;
    size_t size;
    if (record->code != TRAJ_RECORD_REFUSED && traj_recorded_event(record, &number, &body, &size) &&
        traj_event_parse(body, size, self->event, NULL) == TRAJ_ACCEPTED)
        traj_recalibrator_event(self, self->event);
}

/* Other tables are in force from here on. */
static int take_retune(struct traj_recalibrator *self, const struct traj_record *record,
                       struct traj_error *error)
{
    struct traj_recorded_retune recorded;
    const size_t count = self->channels * self->columns;
    if (!traj_recorded_retune(record, &recorded) || record->carried ||
        strcmp(recorded.base, self->base->about.digest) != 0)
        return 0;
    if (record->code == TRAJ_RECORD_RETUNE_DOUBT) {
        self->state.doubted = recorded.doubted;
        return 0;
    }
    if (recorded.channels > 0 &&
        (recorded.channels != self->channels || recorded.columns != self->columns))
        return traj_error_set(error, "other tables than the model's were put in force");
    for (size_t i = 0; i < count && recorded.channels > 0; i++)
        self->next[i] = traj_recorded_coefficient(&recorded, i);
    return traj_recalibrator_moved(self, recorded.channels > 0 ? self->next : NULL, error);
}

static void take_settings(struct traj_recalibrator *self, const struct traj_record *record)
{
    EACH_JUDGE(self, judge);
    struct traj_recorded_settings recorded;
    if (!traj_recorded_settings(record, &recorded))
        return;
    /* Limits hold what is published, of which nothing is needed here. */
    self->settings.gap_reset_s = recorded.gap_reset_s;
    self->settings.count_max = recorded.count_max;
    for (size_t i = 0; i < JUDGES; i++)
        if (judge[i])
            traj_pipeline_configure(judge[i]->pipeline, &self->settings);
}

int traj_recalibrator_take(struct traj_recalibrator *self, const struct traj_record *record,
                           enum traj_recalibrate_order *order, struct traj_error *error)
{
    *order = TRAJ_RECALIBRATE_NOTHING;
    switch (record->kind) {
    case TRAJ_RECORD_FRAME:
        return take_frame(self, record, order, error);
    case TRAJ_RECORD_EVENT:
    case TRAJ_RECORD_CONTROL:
        take_event(self, record);
        return 0;
    case TRAJ_RECORD_RETUNE:
        return take_retune(self, record, error);
    case TRAJ_RECORD_SETTINGS:
        take_settings(self, record);
        return 0;
    case TRAJ_RECORD_RESET:
        traj_recalibrator_reset(self);
        return 0;
    default:
        return 0;
    }
}

/* ---- readings -------------------------------------------------------------------------------- */

const double *traj_recalibrator_wanted(const struct traj_recalibrator *self, size_t *columns,
                                       uint64_t *until)
{
    *columns = self->columns;
    *until = self->rests_on;
    return self->wanted;
}

void traj_recalibrator_freeze(struct traj_recalibrator *self, bool frozen)
{
    self->options.frozen = frozen;
}

void traj_recalibrator_state(const struct traj_recalibrator *self,
                             struct traj_recalibrate_state *state)
{
    *state = self->state;
}

const struct traj_recalibrate_options *
traj_recalibrator_options(const struct traj_recalibrator *self)
{
    return &self->options;
}
