/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two kinds of model share when they are adapted to a new day.  Internal to this room. */
#ifndef TRAJ_LEARN_ADAPT_PARTS_H
#define TRAJ_LEARN_ADAPT_PARTS_H

#include "daemon/learn/adapt.h"
#include "daemon/learn/occupancy.h"
#include "daemon/learn/population.h"
#include "daemon/learn/today.h"
#include "daemon/learn/training.h"

#define TRAJ_DRIFTS 4 /* sd of a unit's drift along the population's directions */
extern const double traj_drift[TRAJ_DRIFTS];

struct traj_adapt {
    const struct traj_model *from;
    const struct traj_fit_options *options;
    const struct traj_today *today;
    const struct traj_training *training; /* NULL where nothing can be held out */
    struct traj_error *error;
    double *same;              /* [channels] probability that it is yesterday's unit */
    double prior;              /* share of yesterday's units that are still there */
    double drift[TRAJ_DRIFTS]; /* shares of those that drifted so far, see traj_drift */
    double shift;              /* of all units' log rates together */
    double spread;             /* sd of single units' about that */
    /* The new model as it stands, for a family that places bins by decoding them. */
    struct traj_model *(*make)(const struct traj_adapt *adapt);
    const void *make_context;
};

/* Fold of a bin of today, of `slots` = folds + 1; the last is in every training set. */
size_t traj_adapt_slots(const struct traj_adapt *adapt);
size_t traj_adapt_slot(const struct traj_adapt *adapt, size_t bin);

/* What is believed of units before any of them has been seen. */
void traj_adapt_usual(struct traj_adapt *adapt);

void traj_adapt_tell(const struct traj_adapt *adapt, const char *stage, double share);

/*
 * The two hypotheses about a unit, the first of which comes in grades of drift.  The fit of the
 * grade that explains best stands for all of them.
 */
struct traj_heir {
    size_t columns;
    double level_same, level_other; /* sd of the level */
    bool mean_rates;                /* base_same is the log of a mean rate, else a mean log rate */
    double temper;                  /* on the evidence, for spikes are not independent */
    double scale_same[TRAJ_POPULATION_RANK + 1], scale_other[TRAJ_POPULATION_RANK + 1];
    double *base; /* [rows_max] prior mean of the first */
    struct traj_unit_fit same, other;
    double evidence_same[TRAJ_DRIFTS], evidence_other; /* tempered */
    double probability;                                /* that it is the same, given the data */
};
int traj_heir_init(struct traj_heir *heir, size_t rows_max, size_t columns);
void traj_heir_free(struct traj_heir *heir);

/* A unit's data under each hypothesis, which may scale them differently. */
struct traj_heir_data {
    struct traj_unit_data same, other;
    const double *base_same; /* [rows] yesterday's; NULL = it is a new unit */
    const double *base_other;
    double offset_same, offset_other; /* of the evidences, by that scaling */
};

/*
 * Fits both and weighs them.  Where mean_rates, log rates start below yesterday's by half of their
 * prior variance, so that the mean rate is yesterday's.
 */
int traj_heir_fit(struct traj_heir *heir, const struct traj_adapt *adapt,
                  const struct traj_heir_data *data);

/*
 * Sets adapt->prior and adapt->drift to what explains all units best: same[units][TRAJ_DRIFTS] and
 * other[units] are tempered evidences, those of new or unseen units NaN.
 */
void traj_adapt_settle(struct traj_adapt *adapt, const double *same, const double *other,
                       size_t units);

/*
 * The median and the spread about it of how much more units fire than expected: logs of the ratios,
 * each with the weight of what it rests on.  Units that changed do not move a median much.
 */
void traj_adapt_shift(struct traj_adapt *adapt, const double *spikes, const double *expected,
                      size_t units);

/*
 * Slow gains of today's units, gain[units][gains] of adapt->from, where bins lie at `at` and units
 * have log rates mean[nodes][channels]; same[units].  0, or -1 without memory.
 */
int traj_adapt_gains(const struct traj_adapt *adapt, const struct traj_occupancy *at,
                     const double *mean, const double *same, unsigned without, double *gain);

/* Fills the tuning to what is steered of a filter over courses whose tables are today's already;
 * nothing where it knows of no steering.  0, or -1 without memory. */
int traj_adapt_steer(const struct traj_adapt *adapt, const struct traj_model *model);

/* Fills the regression on the recent past of a filter over courses whose tables are today's
 * already; nothing where it has none. */
void traj_adapt_recent(const struct traj_adapt *adapt, struct traj_model *model);

/* A family of models: prepares, and fills in what depends on units. */
struct traj_adapt_family {
    int (*prepare)(struct traj_adapt *adapt, void **self);
    int (*fill)(void *self, unsigned without, struct traj_model *model);
    void (*release)(void *self);
};
extern const struct traj_adapt_family traj_adapt_chain;
extern const struct traj_adapt_family traj_adapt_linear;

#endif
