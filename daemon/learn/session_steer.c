/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A subject that steers an effector; see session_steer.h. */
#include "daemon/learn/session_steer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define LAG_MAX_S 0.4 /* by which activity leads movement at most */
#define RIDGE 1e-3    /* of a column's mean square */
#define INPUTS_MAX (3 * TRAJ_DIM_MAX + 3)

/*
 * No recording of a hand tells how an effector is steered that goes astray.  These were found in
 * closed loop with a synthetic user (clients/man/rig.md), on seeds that no comparison holds.
 */
#define PACE_DWELL_S 0.15
#define CLOSE 0.2              /* of the reach */
#define FASTEST 0.999          /* quantile of the hand's speed */
#define VELOCITY_SPREAD 0.5    /* standard deviation, of the fastest */
#define PLACE_SPREAD 0.05      /* standard deviation, of the reach */
#define MARK 0.99              /* believed of a trial mark */
#define CHANGE_RATE 0.05       /* 1/s */
#define CHANGE_RATE_FREE 1.0   /* 1/s where no marks come */
#define PATIENCE 0.75          /* of the time that trials go on after the hand has arrived */
#define PATIENCE_DEFAULT_S 0.3 /* where none does */
static const double paces[TRAJ_STEER_PACES] = {0, 2, 5, 10}; /* 1/s */

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

/* ---- tuning -------------------------------------------------------------------------------- */

struct tuning {
    const struct traj_training *training;
    const float *value;
    unsigned without;
    int32_t *plan; /* [bins] target between a trial's start and the movement's onset, else -1 */
    size_t channels, inputs, kept;
    double *gram, *work;   /* [inputs][inputs] */
    double *cross, *solve; /* [inputs][channels] */
    double *square;        /* [channels] */
    double least;          /* sum over channels of log residual variance, of the best lag */
};

static void free_tuning(struct tuning *t)
{
    free(t->plan);
    free(t->gram);
}

static int make_tuning(struct tuning *t, const struct traj_session_states *states)
{
    const struct traj_training *training = states->design->training;
    const struct traj_labels *labels = states->design->labels;
    const size_t inputs = 3 * training->dim + 3, channels = states->channels;
    *t = (struct tuning){.training = training,
                         .value = states->design->value,
                         .without = states->without,
                         .channels = channels,
                         .inputs = inputs,
                         .kept = 2 * training->dim + 2,
                         .least = INFINITY};
    t->plan = malloc((training->bins + 1) * sizeof *t->plan);
    t->gram = calloc(2 * inputs * inputs + 2 * inputs * channels + channels, sizeof *t->gram);
    if (!t->plan || !t->gram) {
        free_tuning(t);
        return -1;
    }
    t->work = t->gram + inputs * inputs;
    t->cross = t->work + inputs * inputs;
    t->solve = t->cross + inputs * channels;
    t->square = t->solve + inputs * channels;
    for (size_t b = 0; b < training->bins; b++)
        t->plan[b] = -1;
    for (size_t k = 0; k < labels->cycles; k++)
        for (size_t b = labels->cycle[k].first; b < labels->cycle[k].onset; b++)
            t->plan[b] = training->trial[labels->cycle[k].trial].target;
    return 0;
}

/* The regression's row for a bin, centred and scaled; false where it is not known. */
static bool input(const struct tuning *t, size_t bin, size_t lag, double *x)
{
    const struct traj_training *training = t->training;
    const size_t dim = training->dim, at = bin + lag;
    double square = 0;
    if (at >= training->bins || training->run_start[at] > bin || !training->known[at])
        return false;
    const double *state = training->x + at * 3 * dim;
    memset(x, 0, t->inputs * sizeof *x);
    x[0] = 1;
    for (size_t d = 0; d < dim; d++) {
        x[1 + d] = (state[d] - training->center[d]) / training->scale[0];
        x[1 + dim + d] = state[dim + d] / training->scale[1];
        square += x[1 + dim + d] * x[1 + dim + d];
    }
    x[1 + 2 * dim] = sqrt(square);
    if (t->plan[bin] < 0)
        return true;
    const double *goal = training->target_position + (size_t)t->plan[bin] * dim;
    for (size_t d = 0; d < dim; d++)
        x[t->kept + d] = (goal[d] - training->center[d]) / training->scale[0];
    x[t->kept + dim] = 1;
    return true;
}

/* Moments with one lag; how many rows.  A channel that was not observed counts as 0, which is
 * seldom and the same for all lags. */
static double gather(struct tuning *t, size_t lag)
{
    double x[INPUTS_MAX], rows = 0;
    memset(t->gram, 0, t->inputs * t->inputs * sizeof(double));
    memset(t->cross, 0, t->inputs * t->channels * sizeof(double));
    memset(t->square, 0, t->channels * sizeof(double));
    for (size_t b = 0; b < t->training->bins; b++) {
        if (!traj_fold_used(t->training->fold[b], t->without) || !input(t, b, lag, x))
            continue;
        rows++;
        for (size_t i = 0; i < t->inputs; i++)
            for (size_t k = 0; k < t->inputs; k++)
                t->gram[i * t->inputs + k] += x[i] * x[k];
        for (size_t n = 0; n < t->channels; n++) {
            const float value = t->value[b * t->channels + n];
            const double seen = isfinite(value) ? (double)value : 0;
            t->square[n] += seen * seen;
            for (size_t i = 0; i < t->inputs; i++)
                t->cross[i * t->channels + n] += x[i] * seen;
        }
    }
    return rows;
}

/* From the regression's weights to those of the model, without centre and scale. */
static void keep(const struct tuning *t, double *tuning)
{
    const struct traj_training *training = t->training;
    const size_t dim = training->dim;
    for (size_t n = 0; n < t->channels; n++) {
        double *w = tuning + n * t->kept;
        for (size_t i = 0; i < t->kept; i++)
            w[i] = t->solve[i * t->channels + n];
        for (size_t d = 0; d < dim; d++) {
            w[1 + d] /= training->scale[0];
            w[0] -= w[1 + d] * training->center[d];
            w[1 + dim + d] /= training->scale[1];
        }
        w[1 + 2 * dim] /= training->scale[1];
    }
}

/* Keeps what one lag gives, if nothing was better. */
static void try_lag(struct tuning *t, size_t lag, double *tuning)
{
    const double rows = gather(t, lag);
    double ridge[INPUTS_MAX], sum = 0;
    if (!(rows > 4 * (double)t->inputs))
        return;
    for (size_t i = 0; i < t->inputs; i++)
        ridge[i] = i == 0 ? 0 : RIDGE * rows;
    memcpy(t->solve, t->cross, t->inputs * t->channels * sizeof(double));
    traj_matrix_solve_moments(t->gram, ridge, t->inputs, t->solve, t->channels, t->work);
    for (size_t n = 0; n < t->channels; n++) {
        double left = t->square[n];
        for (size_t i = 0; i < t->inputs; i++)
            left -= t->solve[i * t->channels + n] * t->cross[i * t->channels + n];
        sum += log(fmax(left / rows, 1e-9));
    }
    if (!(sum < t->least))
        return;
    t->least = sum;
    keep(t, tuning);
}

/* ---- movement ------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static double quantile(double *x, size_t count, double q, double otherwise)
{
    if (count == 0)
        return otherwise;
    qsort(x, count, sizeof *x, compare_doubles);
    return x[(size_t)(q * (double)(count - 1))];
}

/* The fastest of the hand, and how long trials go on after its arrival; room[bins]. */
static void measure_hand(const struct traj_training *training, const struct traj_labels *labels,
                         double *room, struct traj_steer_model *steer)
{
    size_t count = 0;
    for (size_t b = 0; b < training->bins; b++) {
        double square = 0;
        for (size_t d = 0; d < training->dim && training->known[b]; d++) {
            const double v = training->x[(b * 3 + 1) * training->dim + d];
            square += v * v;
        }
        if (training->known[b])
            room[count++] = sqrt(square);
    }
    steer->speed_most = fmax(quantile(room, count, FASTEST, 0), 1e-9);
    count = 0;
    for (size_t k = 0; k < labels->cycles; k++) {
        const struct traj_cycle *cycle = &labels->cycle[k];
        const double trial = (double)(cycle->last + 1 - cycle->onset) * training->bin;
        if (trial > cycle->arrival)
            room[count++] = trial - cycle->arrival;
    }
    steer->patience = count > 0 ? PATIENCE * quantile(room, count, 0.5, 0) : PATIENCE_DEFAULT_S;
}

static void put_paces(double bin, const struct traj_steer_model *steer)
{
    const double stay = exp(-bin / PACE_DWELL_S);
    memcpy(writable(steer->pace), paces, sizeof paces);
    for (size_t k = 0; k < TRAJ_STEER_PACES; k++)
        for (size_t to = 0; to < TRAJ_STEER_PACES; to++)
            writable(steer->pace_prob)[k * TRAJ_STEER_PACES + to] =
                k == to ? stay : (1 - stay) / (TRAJ_STEER_PACES - 1);
}

int traj_session_steer(const struct traj_session_states *states, struct traj_model *model)
{
    const struct traj_training *training = states->design->training;
    const struct traj_labels *labels = states->design->labels;
    struct traj_steer_model *steer = &model->steer;
    const size_t lags = (size_t)(LAG_MAX_S / training->bin) + 1;
    double *room = malloc((training->bins + labels->cycles + 1) * sizeof *room);
    struct tuning tuning;
    if (!room || make_tuning(&tuning, states)) {
        free(room);
        return -1;
    }
    for (size_t lag = 0; lag < lags; lag++)
        try_lag(&tuning, lag, writable(steer->tuning));
    free_tuning(&tuning);
    measure_hand(training, labels, room, steer);
    free(room);
    put_paces(training->bin, steer);
    memcpy(writable(steer->home), labels->origin, training->dim * sizeof(double));
    steer->velocity_spread =
        VELOCITY_SPREAD * steer->speed_most * VELOCITY_SPREAD * steer->speed_most;
    steer->place_spread = PLACE_SPREAD * labels->reach * PLACE_SPREAD * labels->reach;
    steer->close = CLOSE * labels->reach;
    steer->mark = MARK;
    steer->change = fmin(CHANGE_RATE * training->bin, 1);
    steer->change_unmarked = fmin(CHANGE_RATE_FREE * training->bin, 1);
    return 0;
}
