/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the bins of a new day lie in a filter over courses; see occupancy.h. */
#include "daemon/learn/occupancy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

/*
 * A reach keeps off its course in one way all along, so that four bins say as much about its phase
 * as one; a place of a free movement has its own spread.
 */
#define ALIKE 0.25
#define OTHER_TARGET 3.0 /* nats a bin against states of another target than the trial's */
#define VISITED_S 3.0    /* s of a trial that tell how often states are visited */
#define GUESSED_S 1.0    /* s that all bins weigh together whose state is a guess */
#define NEGLIGIBLE 1e-3  /* weight of a node in a bin */
#define CELLS 4000000    /* states times bins that are held at a time */
#define AHEAD 100        /* bins beyond which the future no longer tells */
#define STEPS_MAX 200    /* transitions taken over one gap */

struct forward_backward {
    const struct traj_today *today;
    const struct traj_model *model;
    const double *mean, *precision;
    size_t states, nodes, dim, channels;
    bool transient;    /* a trial is all that the chain knows; between trials it says nothing */
    double power;      /* on the likelihood of movement */
    double *precise;   /* [J][2][dim][dim] inverse spreads of position and velocity */
    double *log_scale; /* [J] log determinants of the spreads */
    double *visits;    /* [J] */
    double *table;     /* [nodes][channels] log rates, or P f */
    double *offset;    /* [nodes] */
    size_t chunk;      /* bins held */
    double *like;      /* [chunk][J] */
    double *alpha;     /* [chunk][J] */
    double *one, *two; /* [J] scratch */
    double *node_like; /* [nodes] scratch */
    double *node_weight;
    double *value; /* [channels] scratch */
    struct traj_occupancy *out;
};

/* ---- preparation ----------------------------------------------------------------------------- */

static bool is_transient(const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    const double *prob = chain->link_prob + TRAJ_CONTEXT_BETWEEN * model->dims.links;
    for (size_t j = 0; j < model->dims.states; j++)
        for (int32_t l = chain->link_first[j]; l < chain->link_first[j + 1]; l++)
            if (chain->link_to[l] == (int32_t)j && prob[l] > 1 - 1e-9)
                return true;
    return false;
}

/* Inverse of a covariance; returns its log determinant. */
static double invert(const double *cov, size_t n, double *out)
{
    double factor[TRAJ_DIM_MAX * TRAJ_DIM_MAX], sum = 0;
    memcpy(factor, cov, n * n * sizeof *factor);
    memset(out, 0, n * n * sizeof *out);
    if (traj_matrix_cholesky(factor, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        out[i * n + i] = 1;
        sum += 2 * log(factor[i * n + i]);
    }
    traj_matrix_cholesky_solve(factor, n, out, n);
    return sum;
}

static void step(const struct forward_backward *f, enum traj_context context, const double *from,
                 double *to)
{
    const struct traj_chain *chain = &f->model->chain;
    const double *prob = chain->link_prob + (size_t)context * f->model->dims.links;
    memset(to, 0, f->states * sizeof *to);
    for (size_t j = 0; j < f->states; j++)
        for (int32_t l = chain->link_first[j]; from[j] > 0 && l < chain->link_first[j + 1]; l++)
            to[chain->link_to[l]] += from[j] * prob[l];
}

static void step_back(const struct forward_backward *f, enum traj_context context,
                      const double *from, double *to)
{
    const struct traj_chain *chain = &f->model->chain;
    const double *prob = chain->link_prob + (size_t)context * f->model->dims.links;
    for (size_t j = 0; j < f->states; j++) {
        to[j] = 0;
        for (int32_t l = chain->link_first[j]; l < chain->link_first[j + 1]; l++)
            to[j] += prob[l] * from[chain->link_to[l]];
    }
}

/* How often a trial visits each state. */
static void count_visits(struct forward_backward *f)
{
    size_t steps = (size_t)fmin(VISITED_S / f->model->bin_width, 2000) + 1;
    memcpy(f->one, f->model->chain.start, f->states * sizeof *f->one);
    for (size_t s = 0; s < steps; s++) {
        for (size_t j = 0; j < f->states; j++)
            f->visits[j] += f->one[j];
        step(f, TRAJ_CONTEXT_TRIAL, f->one, f->two);
        memcpy(f->one, f->two, f->states * sizeof *f->one);
    }
}

/* Log rates and their sum, or P f and f' P f / 2. */
static void tabulate(struct forward_backward *f)
{
    size_t c = f->channels;
    if (!f->mean)
        return;
    for (size_t e = 0; e < f->nodes; e++) {
        const double *mean = f->mean + e * c;
        double *row = f->table + e * c;
        f->offset[e] = 0;
        for (size_t n = 0; n < c; n++) {
            if (!f->precision) {
                row[n] = mean[n];
                f->offset[e] += exp(mean[n]);
                continue;
            }
            row[n] = 0;
            for (size_t m = 0; m < c; m++)
                row[n] += f->precision[n * c + m] * mean[m];
            f->offset[e] += row[n] * mean[n] / 2;
        }
    }
}

static int prepare(struct forward_backward *f, struct traj_error *error)
{
    size_t j = f->states, square = f->dim * f->dim;
    f->chunk = CELLS / j < 2 * AHEAD ? 2 * AHEAD : CELLS / j;
    f->chunk = f->chunk < f->today->bins ? f->chunk : f->today->bins + 1;
    f->precise = malloc(2 * j * square * sizeof *f->precise);
    f->log_scale = malloc(4 * j * sizeof *f->log_scale);
    f->table = malloc((f->nodes * (f->channels + 3) + f->channels) * sizeof *f->table);
    f->like = malloc(2 * f->chunk * j * sizeof *f->like);
    if (!f->precise || !f->log_scale || !f->table || !f->like)
        return traj_error_set(error, "no memory for %zu states", j);
    f->visits = f->log_scale + j;
    f->one = f->visits + j;
    f->two = f->one + j;
    f->offset = f->table + f->nodes * f->channels;
    f->node_like = f->offset + f->nodes;
    f->node_weight = f->node_like + f->nodes;
    f->value = f->node_weight + f->nodes;
    f->alpha = f->like + f->chunk * j;
    for (size_t i = 0; i < j; i++) {
        const struct traj_chain *chain = &f->model->chain;
        f->log_scale[i] =
            invert(chain->position_spread + i * square, f->dim, f->precise + 2 * i * square);
        f->log_scale[i] +=
            invert(chain->velocity_spread + i * square, f->dim, f->precise + (2 * i + 1) * square);
        f->visits[i] = 0;
    }
    f->transient = is_transient(f->model);
    f->power = f->transient ? ALIKE : 1;
    count_visits(f);
    tabulate(f);
    return 0;
}

static void let_go(struct forward_backward *f)
{
    free(f->precise);
    free(f->log_scale);
    free(f->table);
    free(f->like);
}

/* ---- likelihood ------------------------------------------------------------------------------ */

static double squared(const double *apart, const double *precision, size_t dim)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++)
        for (size_t e = 0; e < dim; e++)
            sum += apart[d] * precision[d * dim + e] * apart[e];
    return sum;
}

static double movement_likelihood(const struct forward_backward *f, size_t b, size_t j)
{
    const struct traj_chain *chain = &f->model->chain;
    const double *x = f->today->x + b * 3 * f->dim, *precise = f->precise + 2 * j * f->dim * f->dim;
    double position[TRAJ_DIM_MAX], velocity[TRAJ_DIM_MAX];
    for (size_t d = 0; d < f->dim; d++) {
        position[d] = x[d] - chain->position[j * f->dim + d];
        velocity[d] = x[f->dim + d] - chain->velocity[j * f->dim + d];
    }
    return -f->power / 2 *
           (squared(position, precise, f->dim) +
            squared(velocity, precise + f->dim * f->dim, f->dim) + f->log_scale[j]);
}

/* Log likelihood of every node given the channels that were observed. */
static void activity_likelihood(struct forward_backward *f, size_t b)
{
    bool gaussian = f->precision != NULL;
    for (size_t n = 0; n < f->channels; n++)
        f->value[n] = traj_today_value(f->today, b, n, gaussian);
    for (size_t e = 0; e < f->nodes; e++) {
        const double *row = f->table + e * f->channels;
        double sum = gaussian ? -f->offset[e] : -f->today->dt[b] * f->offset[e];
        for (size_t n = 0; n < f->channels; n++) {
            /* What was not observed is taken for what the node expects. */
            if (!isnan(f->value[n]))
                sum += f->value[n] * row[n];
            else
                sum += gaussian ? f->mean[e * f->channels + n] * row[n]
                                : f->today->dt[b] * exp(row[n]);
        }
        f->node_like[e] = sum * f->model->chain.temper;
    }
}

/* Likelihood of every state of a bin, the greatest 1. */
static void fill_likelihood(struct forward_backward *f, size_t b, double *like)
{
    const struct traj_chain *chain = &f->model->chain;
    double most = -INFINITY;
    bool active = !f->today->known[b] && f->mean;
    if (active)
        activity_likelihood(f, b);
    for (size_t j = 0; j < f->states; j++) {
        like[j] = f->today->known[b] ? movement_likelihood(f, b, j) : 0;
        if (active) {
            double first = f->node_like[chain->node[j]];
            like[j] = chain->share[j] > 0
                          ? first + chain->share[j] * (f->node_like[chain->node[j] + 1] - first)
                          : first;
        }
        if (f->today->target[b] >= 0 && chain->target[j] >= 0 &&
            chain->target[j] != f->today->target[b])
            like[j] -= OTHER_TARGET;
        most = fmax(most, like[j]);
    }
    for (size_t j = 0; j < f->states; j++)
        like[j] = exp(like[j] - most);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static int put(struct traj_occupancy *out, size_t node, double weight)
{
    if (out->count == out->room) {
        size_t room = 2 * out->room + 1024;
        int32_t *grown = realloc(out->node, room * sizeof *grown);
        if (!grown)
            return -1;
        out->node = grown;
        double *wider = realloc(out->weight, room * sizeof *wider);
        if (!wider)
            return -1;
        out->weight = wider;
        out->room = room;
    }
    out->node[out->count] = (int32_t)node;
    out->weight[out->count++] = weight;
    return 0;
}

/* Brings states' weights to their nodes and keeps those that count; scale = what they sum to. */
static int keep(struct forward_backward *f, const double *weight, double scale)
{
    const struct traj_chain *chain = &f->model->chain;
    double total = 0, kept = 0;
    memset(f->node_weight, 0, f->nodes * sizeof *f->node_weight);
    for (size_t j = 0; j < f->states; j++) {
        if (!(weight[j] > 0))
            continue;
        f->node_weight[chain->node[j]] += (1 - chain->share[j]) * weight[j];
        if (chain->share[j] > 0)
            f->node_weight[chain->node[j] + 1] += chain->share[j] * weight[j];
        total += weight[j];
    }
    for (size_t e = 0; e < f->nodes && total > 0; e++)
        kept += f->node_weight[e] > NEGLIGIBLE * total ? f->node_weight[e] : 0;
    for (size_t e = 0; e < f->nodes && kept > 0; e++)
        if (f->node_weight[e] > NEGLIGIBLE * total &&
            put(f->out, e, scale * f->node_weight[e] / kept))
            return -1;
    return 0;
}

/* ---- forward and backward -------------------------------------------------------------------- */

static enum traj_context context_of(const struct traj_today *today, size_t b)
{
    if (!today->marked[b])
        return TRAJ_CONTEXT_UNMARKED;
    return today->trial[b] ? TRAJ_CONTEXT_TRIAL : TRAJ_CONTEXT_BETWEEN;
}

/* Where a trial begins, given its target where that is known. */
static double entry(const struct forward_backward *f, size_t b, size_t j)
{
    const struct traj_chain *chain = &f->model->chain;
    bool other = f->today->target[b] >= 0 && chain->target[j] >= 0 &&
                 chain->target[j] != f->today->target[b];
    return other ? 1e-9 * chain->start[j] : chain->start[j];
}

static size_t steps_of(const struct forward_backward *f, size_t b)
{
    size_t steps = f->today->steps[b];
    return steps < STEPS_MAX ? steps : STEPS_MAX;
}

static void normalise(double *p, size_t count)
{
    double sum = 0;
    for (size_t j = 0; j < count; j++)
        sum += p[j];
    for (size_t j = 0; j < count; j++)
        p[j] = sum > 0 ? p[j] / sum : 1 / (double)count;
}

/* alpha of bin b from that of the bin before it (NULL = it begins anew), like[] being its own. */
static void advance(struct forward_backward *f, size_t b, const double *before, const double *like,
                    double *alpha)
{
    const struct traj_chain *chain = &f->model->chain;
    double share = chain->start_share, total = 0;
    memcpy(f->one, before ? before : chain->initial, f->states * sizeof *f->one);
    for (size_t s = 0; before && s < steps_of(f, b); s++) {
        step(f, context_of(f->today, b), f->one, f->two);
        double *held = f->one;
        f->one = f->two;
        f->two = held;
    }
    if (f->today->enters[b]) {
        for (size_t j = 0; j < f->states; j++)
            total += entry(f, b, j);
        for (size_t j = 0; j < f->states; j++)
            f->one[j] = (1 - share) * f->one[j] + share * entry(f, b, j) / total;
    }
    for (size_t j = 0; j < f->states; j++)
        alpha[j] = f->one[j] * like[j];
    normalise(alpha, f->states);
}

/* beta of the bin before b from that of b times its likelihood, in place of f->one. */
static void retreat(struct forward_backward *f, size_t b)
{
    double share = f->model->chain.start_share, total = 0, enters = 0;
    if (f->today->enters[b]) {
        for (size_t j = 0; j < f->states; j++) {
            total += entry(f, b, j);
            enters += entry(f, b, j) * f->one[j];
        }
        for (size_t j = 0; j < f->states; j++)
            f->one[j] = (1 - share) * f->one[j] + share * enters / total;
    }
    for (size_t s = 0; s < steps_of(f, b); s++) {
        step_back(f, context_of(f->today, b), f->one, f->two);
        double *held = f->one;
        f->one = f->two;
        f->two = held;
    }
    normalise(f->one, f->states);
}

/* Bins first..end of one run; those before `shown` are kept.  carry is alpha of the bin before
 * first. */
static int smooth_chunk(struct forward_backward *f, size_t first, size_t end, size_t shown,
                        const double *carry)
{
    size_t j = f->states;
    for (size_t b = first; b < end; b++) {
        double *like = f->like + (b - first) * j;
        fill_likelihood(f, b, like);
        advance(f, b, b > first ? f->alpha + (b - 1 - first) * j : carry, like,
                f->alpha + (b - first) * j);
    }
    for (size_t i = 0; i < j; i++)
        f->one[i] = 1;
    /* Backward; a bin's weights take the place of its likelihood. */
    for (size_t b = end; b-- > first;) {
        double *like = f->like + (b - first) * j;
        const double *alpha = f->alpha + (b - first) * j;
        for (size_t i = 0; i < j; i++) {
            double ahead = f->one[i];
            f->one[i] *= like[i];
            like[i] = alpha[i] * ahead;
        }
        if (b > first)
            retreat(f, b);
    }
    for (size_t b = first; b < shown; b++) {
        f->out->first[b] = f->out->count;
        if (keep(f, f->like + (b - first) * j, 1))
            return -1;
    }
    return 0;
}

/* A run of bins that the chain ties together. */
static int smooth_run(struct forward_backward *f, size_t first, size_t end)
{
    double *carry = malloc(f->states * sizeof *carry);
    int status = carry ? 0 : -1;
    bool begun = false;
    while (status == 0 && first < end) {
        size_t held = end - first < f->chunk ? end - first : f->chunk;
        size_t shown = held == end - first ? held : held - AHEAD;
        status = smooth_chunk(f, first, first + held, first + shown, begun ? carry : NULL);
        memcpy(carry, f->alpha + (shown - 1) * f->states, f->states * sizeof *carry);
        begun = true;
        first += shown;
    }
    free(carry);
    return status;
}

/* A bin that the chain says nothing about: by its movement, or taken for rest before a movement. */
static int guess(struct forward_backward *f, size_t b, double scale)
{
    const struct traj_chain *chain = &f->model->chain;
    double *like = f->like, rest = 0;
    fill_likelihood(f, b, like);
    for (size_t j = 0; j < f->states; j++) {
        bool resting = chain->place[j] == TRAJ_PLACE_REST || chain->place[j] == TRAJ_PLACE_PLAN;
        rest += resting ? f->visits[j] : 0;
    }
    for (size_t j = 0; j < f->states; j++) {
        bool resting = chain->place[j] == TRAJ_PLACE_REST || chain->place[j] == TRAJ_PLACE_PLAN;
        like[j] = f->today->known[b]       ? like[j] * f->visits[j]
                  : resting || !(rest > 0) ? f->visits[j]
                                           : 0;
    }
    f->out->first[b] = f->out->count;
    return keep(f, like, scale);
}

static bool is_guessed(const struct forward_backward *f, size_t b)
{
    return f->transient && !f->today->trial[b];
}

static int place_all(struct forward_backward *f)
{
    const struct traj_today *today = f->today;
    double guessed = 0;
    for (size_t b = 0; b < today->bins; b++) {
        guessed += is_guessed(f, b) ? today->dt[b] : 0;
        f->out->inferred |= !is_guessed(f, b) && !today->known[b];
    }
    for (size_t b = 0; b < today->bins;) {
        if (is_guessed(f, b)) {
            if (guess(f, b, fmin(1, GUESSED_S / guessed)))
                return -1;
            b++;
            continue;
        }
        size_t end = b + 1;
        while (end < today->bins && today->steps[end] > 0 && !is_guessed(f, end))
            end++;
        if (smooth_run(f, b, end))
            return -1;
        b = end;
    }
    f->out->first[today->bins] = f->out->count;
    return 0;
}

int traj_occupancy_make(struct traj_occupancy *occupancy, const struct traj_today *today,
                        const double *mean, const double *precision, struct traj_error *error)
{
    const struct traj_model *model = today->model;
    struct forward_backward f = {.today = today,
                                 .model = model,
                                 .mean = mean,
                                 .precision = precision,
                                 .states = model->dims.states,
                                 .nodes = model->dims.nodes,
                                 .dim = model->dims.position,
                                 .channels = today->channels,
                                 .out = occupancy};
    *occupancy = (struct traj_occupancy){.bins = today->bins};
    occupancy->first = calloc(today->bins + 1, sizeof *occupancy->first);
    int status = occupancy->first ? prepare(&f, error)
                                  : traj_error_set(error, "no memory for %zu bins", today->bins);
    if (status == 0 && place_all(&f))
        status = traj_error_set(error, "no memory to place %zu bins", today->bins);
    let_go(&f);
    if (status)
        traj_occupancy_free(occupancy);
    return status;
}

void traj_occupancy_free(struct traj_occupancy *occupancy)
{
    free(occupancy->first);
    free(occupancy->node);
    free(occupancy->weight);
    *occupancy = (struct traj_occupancy){.bins = 0};
}
