/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Another decoder's opinion; see opinion.h. */
#include "daemon/model/opinion.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"
#include "daemon/model/target.h"

#include <math.h>
#include <string.h>

#define FIRST 50.0          /* opinions before any is believed */
#define WINDOW 2000.0       /* over which bias, lag and scale are averaged */
#define MEMORY (1.0 / 3000) /* share of the sums of worth that an opinion makes forgotten */
#define SCALE_LEAST 0.25
#define SCALE_MOST 1e9
#define LAST (TRAJ_OPINION_POWERS - 1)
#define ABSURD 1e12 /* squared sds of the sender's own, and ... */
#define AWAY 1e15   /* units of length (a second), beyond which an opinion is none */

void traj_opinion_lay_out(struct traj_opinion *opinion, struct traj_arena *arena,
                          const struct traj_dims *room)
{
    opinion->dim = room->position;
    opinion->log = traj_arena_take(arena, room->states, sizeof(double));
    opinion->root = traj_arena_take(arena, room->states, sizeof(double));
    opinion->loglik = traj_arena_take(arena, room->targets, sizeof(double));
    opinion->ratio = traj_arena_take(arena, room->targets, sizeof(double));
    opinion->trial = traj_arena_take(arena, room->targets, sizeof(double));
    opinion->before = traj_arena_take(arena, room->targets, sizeof(double));
    opinion->after = traj_arena_take(arena, room->targets, sizeof(double));
}

void traj_opinion_forget(struct traj_opinion *opinion)
{
    traj_opinion_clear(opinion);
    memset(opinion->stream, 0, sizeof opinion->stream);
    memset(&opinion->target, 0, sizeof opinion->target);
}

void traj_opinion_clear(struct traj_opinion *opinion)
{
    opinion->stream[0].waiting = opinion->stream[1].waiting = false;
    opinion->frames = 0;
    opinion->told = false;
}

/* ---- worth --------------------------------------------------------------------------------- */

/* The power whose sum is greatest, if that is great enough. */
static void settle(struct traj_opinion_power *worth)
{
    double most = TRAJ_OPINION_NATS, power = 1.0;
    worth->power = 0.0;
    for (size_t k = 0; k < TRAJ_OPINION_POWERS; k++, power *= 0.5)
        if (worth->sum[k] > most) {
            most = worth->sum[k];
            worth->power = power;
        }
}

static void add_gain(struct traj_opinion_power *worth, size_t k, double gain)
{
    worth->sum[k] -= MEMORY * worth->sum[k];
    if (traj_all_finite(1, &gain))
        worth->sum[k] += gain;
}

/* ---- bias, lag and scale ------------------------------------------------------------------- */

static double variance_at(const struct traj_opinion_stream *stream, size_t dim, size_t lag)
{
    double sum = stream->square[lag];
    for (size_t d = 0; d < dim; d++)
        sum -= stream->mean[lag][d] * stream->mean[lag][d];
    return sum;
}

static size_t lag_of(const struct traj_opinion_stream *stream, size_t dim)
{
    size_t best = 0;
    for (size_t i = 1; i < TRAJ_OPINION_LAGS; i++)
        if (variance_at(stream, dim, i) < variance_at(stream, dim, best))
            best = i;
    return best;
}

static double scale_of(const struct traj_opinion_stream *stream, size_t dim, size_t lag)
{
    const double s = (stream->off[lag] - stream->own[lag]) / (double)dim;
    return s < SCALE_LEAST ? SCALE_LEAST : s > SCALE_MOST ? SCALE_MOST : s;
}

/* e' R^-1 e and tr R^-1 P by the factor of R. */
static void measure_apart(size_t dim, const double *factor, const double *apart, const double *cov,
                          double *off, double *own)
{
    double x[TRAJ_DIM_MAX];
    memcpy(x, apart, dim * sizeof *x);
    traj_solve_lower(dim, factor, x);
    *off = *own = 0.0;
    for (size_t d = 0; d < dim; d++)
        *off += x[d] * x[d];
    for (size_t c = 0; c < dim; c++) {
        for (size_t d = 0; d < dim; d++)
            x[d] = cov[d * dim + c];
        traj_solve_lower(dim, factor, x);
        traj_solve_lower_transposed(dim, factor, x);
        *own += x[c];
    }
}

/* Whether it can be averaged with others at all: one that is further away, or surer of itself, than
 * any sender is would leave sums that thousands of others do not mend, or no numbers. */
static bool is_sane(const struct traj_opinion *opinion, size_t of, const double *value,
                    const double *factor)
{
    const size_t dim = opinion->dim;
    const struct traj_opinion_past *past =
        &opinion->past[(opinion->frames - 1) % TRAJ_OPINION_LAGS];
    double apart[TRAJ_DIM_MAX], off, own;
    for (size_t d = 0; d < dim; d++) {
        apart[d] = value[d] - past->mean[of][d];
        if (!(fabs(apart[d]) < AWAY))
            return false;
    }
    measure_apart(dim, factor, apart, past->cov[of], &off, &own);
    return off < ABSURD && own < ABSURD;
}

/* What an opinion tells of its sender, the posteriors of the frames before it being what they
 * are. */
static void learn_sender(struct traj_opinion *opinion, size_t of, const double *factor)
{
    struct traj_opinion_stream *stream = &opinion->stream[of];
    const size_t dim = opinion->dim;
    stream->count += stream->count < WINDOW ? 1.0 : 0.0;
    for (size_t i = 0; i < TRAJ_OPINION_LAGS; i++) {
        const struct traj_opinion_past *past =
            &opinion->past[(opinion->frames - 1 - i) % TRAJ_OPINION_LAGS];
        double apart[TRAJ_DIM_MAX], off, own, square = 0.0;
        for (size_t d = 0; d < dim; d++) {
            apart[d] = stream->value[d] - past->mean[of][d];
            square += apart[d] * apart[d];
            stream->mean[i][d] += (apart[d] - stream->mean[i][d]) / stream->count;
            apart[d] -= stream->mean[i][d];
        }
        measure_apart(dim, factor, apart, past->cov[of], &off, &own);
        stream->square[i] += (square - stream->square[i]) / stream->count;
        stream->off[i] += (off - stream->off[i]) / stream->count;
        stream->own[i] += (own - stream->own[i]) / stream->count;
    }
}

enum traj_status traj_opinion_take(struct traj_opinion *opinion, size_t of, const double *value,
                                   const double *cov)
{
    struct traj_opinion_stream *stream = &opinion->stream[of];
    const size_t dim = opinion->dim;
    double factor[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    if (!traj_all_finite(dim, value) || !traj_all_finite(dim * dim, cov))
        return TRAJ_E_NONFINITE;
    if (!traj_cholesky(dim, cov, factor))
        return TRAJ_E_NOT_PD;
    if (opinion->frames > 0 && !is_sane(opinion, of, value, factor))
        return TRAJ_E_RANGE;
    memcpy(stream->value, value, dim * sizeof *value);
    memcpy(stream->cov, cov, dim * dim * sizeof *cov);
    if (opinion->frames < TRAJ_OPINION_LAGS)
        return TRAJ_OK; /* nothing to compare it with yet */
    learn_sender(opinion, of, factor);
    stream->waiting = stream->count >= FIRST;
    return TRAJ_OK;
}

void traj_opinion_note(struct traj_opinion *opinion, const double *position,
                       const double *position_cov, const double *velocity,
                       const double *velocity_cov)
{
    const size_t dim = opinion->dim, vector = dim * sizeof(double);
    struct traj_opinion_past *past = &opinion->past[opinion->frames % TRAJ_OPINION_LAGS];
    memcpy(past->mean[0], position, vector);
    memcpy(past->mean[1], velocity, vector);
    memcpy(past->cov[0], position_cov, dim * vector);
    memcpy(past->cov[1], velocity_cov, dim * vector);
    opinion->frames++;
    /* Only whether there are enough and their place in the ring matter. */
    if (opinion->frames >= 4 * TRAJ_OPINION_LAGS)
        opinion->frames -= 2 * TRAJ_OPINION_LAGS;
}

/* ---- the frame ----------------------------------------------------------------------------- */

bool traj_opinion_waits(const struct traj_opinion *opinion)
{
    return opinion->stream[0].waiting || opinion->stream[1].waiting;
}

/* log N(z; expected in state j, s R + spread_j) but for what all states share. */
static double density(const struct traj_opinion *opinion, size_t of, const double *bias,
                      double scale, double back, const struct traj_chain *c, size_t j)
{
    const struct traj_opinion_stream *stream = &opinion->stream[of];
    const size_t dim = opinion->dim;
    const double *x = of ? c->velocity + j * dim : c->position + j * dim;
    const double *spread = (of ? c->velocity_spread : c->position_spread) + j * dim * dim;
    double cov[TRAJ_DIM_MAX * TRAJ_DIM_MAX], apart[TRAJ_DIM_MAX], sum = 0.0;
    for (size_t i = 0; i < dim * dim; i++)
        cov[i] = scale * stream->cov[i] + spread[i];
    for (size_t d = 0; d < dim; d++)
        apart[d] = stream->value[d] - bias[d] - x[d] + (of ? 0.0 : back * c->velocity[j * dim + d]);
    if (!traj_cholesky(dim, cov, cov))
        return 0.0;
    traj_solve_lower(dim, cov, apart);
    for (size_t d = 0; d < dim; d++)
        sum -= 0.5 * apart[d] * apart[d];
    return sum - traj_log_diagonal(dim, cov);
}

static void weigh_stream(struct traj_opinion *opinion, size_t of, const struct traj_model *model,
                         size_t steps, const int32_t *active, size_t count, const double *likely,
                         double *prob)
{
    struct traj_opinion_stream *stream = &opinion->stream[of];
    const size_t lag = lag_of(stream, opinion->dim);
    const double scale = scale_of(stream, opinion->dim, lag);
    const double back = (double)(lag + steps) * model->bin_width;
    const double least = 1.0 / (double)(1u << LAST), power = stream->worth.power;
    double most = -INFINITY, likeliest = -INFINITY;
    double before[TRAJ_OPINION_POWERS] = {0.0}, after[TRAJ_OPINION_POWERS] = {0.0};
    double all[2] = {0.0, 0.0};
    for (size_t i = 0; i < count; i++) {
        opinion->log[i] =
            density(opinion, of, stream->mean[lag], scale, back, &model->chain, (size_t)active[i]);
        most = opinion->log[i] > most ? opinion->log[i] : most;
        likeliest = likely[i] > likeliest ? likely[i] : likeliest;
    }
    for (size_t i = 0; i < count; i++) {
        const double said = traj_exp(model->chain.temper * (likely[i] - likeliest));
        double w = traj_exp(least * (opinion->log[i] - most)), chosen = 1.0;
        all[0] += prob[i];
        all[1] += prob[i] * said;
        for (size_t k = TRAJ_OPINION_POWERS; k-- > 0; w *= w) {
            before[k] += prob[i] * w;
            after[k] += prob[i] * said * w;
            chosen = power * (double)(1u << k) == 1.0 ? w : chosen;
        }
        opinion->root[i] = chosen;
    }
    for (size_t k = 0; k < TRAJ_OPINION_POWERS; k++)
        add_gain(&stream->worth, k, traj_log(after[k] / all[1]) - traj_log(before[k] / all[0]));
    settle(&stream->worth);
    /* Where nothing that was believed agrees with it at all, it is not believed. */
    double kept = 0.0;
    for (size_t i = 0; i < count; i++)
        kept += prob[i] * opinion->root[i];
    for (size_t i = 0; kept > 1e-200 && power > 0.0 && i < count; i++)
        prob[i] *= opinion->root[i];
}

void traj_opinion_weigh(struct traj_opinion *opinion, const struct traj_model *model, size_t steps,
                        const int32_t *active, size_t count, const double *likely, double *prob)
{
    for (size_t of = 0; of < 2; of++) {
        if (opinion->stream[of].waiting && count > 0)
            weigh_stream(opinion, of, model, steps, active, count, likely, prob);
        opinion->stream[of].waiting = false;
    }
}

/* ---- targets ------------------------------------------------------------------------------- */

void traj_opinion_targets(struct traj_opinion *opinion, size_t targets, const double *loglik)
{
    memcpy(opinion->loglik, loglik, targets * sizeof *loglik);
    opinion->told = true;
    traj_target_likelihood(targets, opinion->target.power, opinion->loglik, opinion->ratio);
}

/* log E_after - log E_before of exp(change[m]) over targets, 1 where there is none. */
static double told_by(const struct traj_opinion *opinion, size_t targets, const double *change)
{
    double before = 1.0, then = 1.0;
    for (size_t m = 0; m < targets; m++) {
        const double factor = traj_exp(change[m]) - 1.0;
        before += factor * opinion->before[m];
        then += factor * opinion->after[m];
    }
    return traj_log(then) - traj_log(before);
}

void traj_opinion_learn_targets(struct traj_opinion *opinion, size_t targets)
{
    double power = 1.0;
    /* The posterior holds the power in force already: what no opinion would have been worth. */
    for (size_t m = 0; m < targets; m++)
        opinion->trial[m] = -opinion->ratio[m];
    const double none = told_by(opinion, targets, opinion->trial);
    for (size_t k = 0; k < TRAJ_OPINION_POWERS; k++, power *= 0.5) {
        traj_target_likelihood(targets, power, opinion->loglik, opinion->trial);
        for (size_t m = 0; m < targets; m++)
            opinion->trial[m] -= opinion->ratio[m];
        add_gain(&opinion->target, k, told_by(opinion, targets, opinion->trial) - none);
    }
    settle(&opinion->target);
}
