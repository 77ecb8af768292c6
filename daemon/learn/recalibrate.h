/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recalibration on line: brings the tables of a filter over courses up to date while it decodes,
 * from nothing but what a recording holds, so that the same records always give the same tables.
 *
 * Frames are gathered by the nodes that they lie in: by the posterior under the tables in force,
 * or, where a trial_label names the target of a trial, by the posterior that knows it.  At the end
 * of each interval new numbers are fitted (retune_fit.h).  They are a candidate, no more: through
 * the next interval the candidate decodes beside the tables in force, and only if it has foretold
 * the frames better by more than luck (judge.h) is it asked to be put in force.  From then on the
 * model as it was loaded decodes beside it, and takes its place again should it foretell better;
 * while it seems to, intents are to be flagged.  Labels have no voice in this: wrong ones make
 * candidates that foretell badly.
 */
#ifndef TRAJ_LEARN_RECALIBRATE_H
#define TRAJ_LEARN_RECALIBRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/learn/error.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "proto/recording.h"
#include "traj/model.h"

enum traj_recalibrate_method {
    TRAJ_RECALIBRATE_RML,         /* recursive maximum likelihood of level, depth and, with labels,
                                     direction */
    TRAJ_RECALIBRATE_SMOOTHBATCH, /* of each interval alone, blended with what is in force */
    TRAJ_RECALIBRATE_BASELINE,    /* levels alone */
    TRAJ_RECALIBRATE_METHODS
};
/* "rml", "smoothbatch", "baseline"; TRAJ_RECALIBRATE_METHODS for what is none. */
const char *traj_recalibrate_name(enum traj_recalibrate_method method);
enum traj_recalibrate_method traj_recalibrate_named(const char *name);

struct traj_recalibrate_options {
    enum traj_recalibrate_method method;
    double interval_s;  /* > 0: tables change at most once in it */
    double half_life_s; /* > 0: after which what was seen counts for half */
    bool labels;        /* whether trial_labels are believed */
    bool frozen;        /* candidates are made and judged, and none is put in force */
};
void traj_recalibrate_options_default(struct traj_recalibrate_options *options);

/* What is to be done. */
enum traj_recalibrate_order {
    TRAJ_RECALIBRATE_NOTHING,
    TRAJ_RECALIBRATE_UPDATE, /* the numbers are to be put in force */
    TRAJ_RECALIBRATE_UNDO,   /* the tables of the file are */
    TRAJ_RECALIBRATE_DOUBT   /* what is thought of the tables in force has changed: state.doubted */
};

struct traj_recalibrate_state {
    uint64_t intervals;  /* that ended */
    uint64_t labelled;   /* trials whose label was used */
    uint64_t candidates; /* sets of numbers that were judged */
    uint64_t updates;    /* of these, such as were to be put in force */
    uint64_t refused;    /* of these, such as did not foretell better */
    uint64_t undone;
    double
        candidate; /* by how many standard errors the last candidate foretold better; NaN = none */
    double loaded; /* the same of the model as it was loaded; NaN where that is in force */
    size_t channels; /* that the tables in force move */
    bool doubted;
};

struct traj_recalibrator;

/* Begins with the model as it was loaded (borrowed); NULL with a sentence. */
struct traj_recalibrator *traj_recalibrator_new(const struct traj_model *base,
                                                const struct traj_recalibrate_options *options,
                                                struct traj_error *error);
void traj_recalibrator_free(struct traj_recalibrator *self); /* NULL is allowed */

/*
 * A decoded frame, number `frames` of all that were, counted from 1; an event that was accepted; a
 * reset; and that other tables are in force, coefficient[channels][columns] of the columns that the
 * model takes, NULL = those of the file.  0, or -1 with a sentence.
 */
int traj_recalibrator_frame(struct traj_recalibrator *self, const struct traj_frame *frame,
                            uint64_t frames, enum traj_recalibrate_order *order,
                            struct traj_error *error);
void traj_recalibrator_event(struct traj_recalibrator *self, const struct traj_event *event);
void traj_recalibrator_reset(struct traj_recalibrator *self);
int traj_recalibrator_moved(struct traj_recalibrator *self, const double *coefficient,
                            struct traj_error *error);

/*
 * The same from records, which hold all of it: takes the next one; *order tells what is to be done,
 * which is in force once its record (TRAJ_RECORD_RETUNE) comes by here.  0, or -1 with a sentence.
 */
int traj_recalibrator_take(struct traj_recalibrator *self, const struct traj_record *record,
                           enum traj_recalibrate_order *order, struct traj_error *error);

/* The numbers [channels][columns] of the last TRAJ_RECALIBRATE_UPDATE, and the frames (decoded, as
 * the records count them) that they rest on; up to the next record. */
const double *traj_recalibrator_wanted(const struct traj_recalibrator *self, size_t *columns,
                                       uint64_t *until);

void traj_recalibrator_freeze(struct traj_recalibrator *self, bool frozen);
void traj_recalibrator_state(const struct traj_recalibrator *self,
                             struct traj_recalibrate_state *state);
const struct traj_recalibrate_options *
traj_recalibrator_options(const struct traj_recalibrator *self);

#endif
