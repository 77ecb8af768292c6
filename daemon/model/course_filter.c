/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The filter over courses; see course_filter.h. */
#include "daemon/model/course_filter.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* States whose posterior falls below this share of the greatest are dropped: all that are dropped
 * in a frame together weigh less than states times this. */
#define NEGLIGIBLE 1e-12
#define STEPS_MAX 4096u /* transitions taken over one gap; by then the chain has forgotten */

static size_t channels_of(const struct traj_dims *dims)
{
    return dims->units + dims->features;
}

void traj_course_filter_lay_out(struct traj_course_filter *filter, struct traj_arena *arena,
                                const struct traj_dims *dims)
{
    const size_t states = dims->states, nodes = dims->nodes, gains = dims->gains;
    const size_t channels = states ? channels_of(dims) : 0, tri = gains * (gains + 1) / 2;
    filter->states = states;
    filter->nodes = nodes;
    filter->channels = channels;
    filter->gains = gains;
    filter->factors = dims->factors;
    filter->links = dims->links;
    filter->dim = dims->position;
    filter->tri = tri;
    filter->active = traj_arena_take(arena, states, sizeof(int32_t));
    filter->reached = traj_arena_take(arena, states, sizeof(uint8_t));
    filter->members = traj_arena_take(arena, states, sizeof(double));
    filter->prob = traj_arena_take(arena, states, sizeof(double));
    filter->next = traj_arena_take(arena, states, sizeof(double));
    filter->weight = traj_arena_take(arena, states, sizeof(double));
    filter->likely = traj_arena_take(arena, states, sizeof(double));
    filter->residual = traj_arena_take(arena, states * gains, sizeof(double));
    filter->residual_next = traj_arena_take(arena, states * gains, sizeof(double));
    filter->curvature = traj_arena_take(arena, states * tri, sizeof(double));
    filter->curvature_next = traj_arena_take(arena, states * tri, sizeof(double));
    filter->observed = traj_arena_take(arena, channels, sizeof(uint8_t));
    filter->table = traj_arena_take(arena, channels * nodes, sizeof(double));
    filter->rate = traj_arena_take(arena, channels * nodes, sizeof(double));
    filter->offset = traj_arena_take(arena, nodes, sizeof(double));
    filter->gain_rate = traj_arena_take(arena, gains * nodes, sizeof(double));
    filter->gain_curve = traj_arena_take(arena, tri * nodes, sizeof(double));
    filter->log_likelihood = traj_arena_take(arena, nodes, sizeof(double));
    filter->noise_factor = traj_arena_take(arena, dims->factors * dims->factors, sizeof(double));
    filter->loading = traj_arena_take(arena, dims->factors * nodes, sizeof(double));
    filter->column = traj_arena_take(arena, dims->factors, sizeof(double));
    filter->gain_counts = traj_arena_take(arena, gains, sizeof(double));
    filter->drifted = traj_arena_take(arena, channels, sizeof(double));
    filter->seen = traj_arena_take(arena, channels, sizeof(double));
    filter->node_weight = traj_arena_take(arena, nodes, sizeof(double));
}

/* ---- tables -------------------------------------------------------------------------------- */

/* Sums of the observed units' rates, and what the gains need of them. */
static void tabulate_poisson(struct traj_course_filter *f)
{
    const double *doubt = f->model->chain.emission_doubt;
    double seen = 0.0;
    const double *gain = f->model->chain.gain;
    const size_t nodes = f->nodes, gains = f->gains;
    memset(f->offset, 0, nodes * sizeof(double));
    memset(f->gain_rate, 0, gains * nodes * sizeof(double));
    memset(f->gain_curve, 0, f->tri * nodes * sizeof(double));
    for (size_t n = 0; n < f->channels; n++) {
        if (!f->observed[n])
            continue;
        seen += 1.0;
        const double *rate = f->rate + n * nodes;
        for (size_t e = 0; e < nodes; e++)
            f->offset[e] += rate[e];
        for (size_t a = 0, t = 0; a < gains; a++) {
            const double one = gain[n * gains + a];
            for (size_t e = 0; e < nodes; e++)
                f->gain_rate[a * nodes + e] += one * rate[e];
            for (size_t b = 0; b <= a; b++, t++) {
                const double two = one * gain[n * gains + b];
                for (size_t e = 0; e < nodes; e++)
                    f->gain_curve[t * nodes + e] += two * rate[e];
            }
        }
    }
    for (size_t e = 0; doubt && e < nodes; e++)
        f->offset[e] -= doubt[e] * (seen / (double)f->channels);
}

/* Cholesky factor of I + U' D^-1 U over the observed channels. */
static bool factor_noise(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t rank = f->factors;
    for (size_t a = 0; a < rank; a++)
        for (size_t b = 0; b < rank; b++)
            f->noise_factor[a * rank + b] = a == b ? 1.0 : 0.0;
    for (size_t n = 0; n < f->channels; n++) {
        const double *u = c->emission_factor + n * rank;
        for (size_t a = 0; f->observed[n] && a < rank; a++)
            for (size_t b = 0; b < rank; b++)
                f->noise_factor[a * rank + b] += u[a] * u[b] / c->emission_noise[n];
    }
    return traj_cholesky(rank, f->noise_factor, f->noise_factor);
}

/*
 * P f and f' P f / 2 of every node by the Woodbury identity: with z = (I + U'D^-1 U)^-1 U'D^-1 f,
 * P f = D^-1 (f - U z), over the observed channels alone.
 */
static bool tabulate_gaussian(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t nodes = f->nodes, rank = f->factors;
    if (!factor_noise(f))
        return false;
    memset(f->loading, 0, rank * nodes * sizeof(double));
    for (size_t n = 0; n < f->channels; n++)
        for (size_t a = 0; f->observed[n] && a < rank; a++) {
            const double u = c->emission_factor[n * rank + a] / c->emission_noise[n];
            for (size_t e = 0; e < nodes; e++)
                f->loading[a * nodes + e] += u * c->emission_mean[e * f->channels + n];
        }
    for (size_t e = 0; e < nodes; e++) {
        for (size_t a = 0; a < rank; a++)
            f->column[a] = f->loading[a * nodes + e];
        traj_solve_lower(rank, f->noise_factor, f->column);
        traj_solve_lower_transposed(rank, f->noise_factor, f->column);
        f->offset[e] = 0.0;
        for (size_t n = 0; n < f->channels; n++) {
            const double mean = c->emission_mean[e * f->channels + n];
            double left = mean;
            for (size_t a = 0; a < rank; a++)
                left -= c->emission_factor[n * rank + a] * f->column[a];
            f->table[n * nodes + e] = f->observed[n] ? left / c->emission_noise[n] : 0.0;
            f->offset[e] += 0.5 * mean * f->table[n * nodes + e];
        }
    }
    return true;
}

static bool tabulate(struct traj_course_filter *f)
{
    if (f->model->chain.gaussian != 0.0)
        return tabulate_gaussian(f);
    tabulate_poisson(f);
    return true;
}

enum traj_status traj_course_filter_init(struct traj_course_filter *f,
                                         const struct traj_model *model)
{
    const struct traj_chain *c = &model->chain;
    f->model = model;
    f->context = TRAJ_CONTEXT_BETWEEN;
    f->add_rows = traj_rows_choose();
    memset(f->observed, 1, f->channels);
    for (size_t j = 0; j < f->states; j++)
        if (c->group[j] >= 0)
            f->members[c->group[j]] += 1.0;
    if (c->gaussian == 0.0)
        for (size_t n = 0; n < f->channels; n++)
            for (size_t e = 0; e < f->nodes; e++) {
                f->table[n * f->nodes + e] = c->emission_mean[e * f->channels + n];
                f->rate[n * f->nodes + e] = traj_exp(c->emission_mean[e * f->channels + n]);
            }
    if (!tabulate(f))
        return TRAJ_E_NOT_PD;
    traj_course_filter_reset(f);
    return TRAJ_OK;
}

/* ---- trials -------------------------------------------------------------------------------- */

/* Lists the states that have probability. */
static void list_active(struct traj_course_filter *f)
{
    f->actives = 0;
    for (size_t j = 0; j < f->states; j++)
        if (f->prob[j] > 0.0)
            f->active[f->actives++] = (int32_t)j;
}

static void forget(struct traj_course_filter *f)
{
    memcpy(f->prob, f->model->chain.initial, f->states * sizeof(double));
    memset(f->residual, 0, f->states * f->gains * sizeof(double));
    memset(f->curvature, 0, f->states * f->tri * sizeof(double));
    list_active(f);
}

void traj_course_filter_reset(struct traj_course_filter *f)
{
    forget(f);
    memcpy(f->weight, f->prob, f->states * sizeof(double));
    memset(f->drifted, 0, f->channels * sizeof(double));
    f->fresh = true;
    f->entering = false;
    f->context = f->context == TRAJ_CONTEXT_UNMARKED ? TRAJ_CONTEXT_UNMARKED : TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_marks(struct traj_course_filter *f, bool marks)
{
    if (!marks)
        f->context = TRAJ_CONTEXT_UNMARKED;
    else if (f->context == TRAJ_CONTEXT_UNMARKED)
        f->context = TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_trial_start(struct traj_course_filter *f)
{
    f->entering = true;
    f->context = TRAJ_CONTEXT_TRIAL;
}

void traj_course_filter_trial_stop(struct traj_course_filter *f)
{
    f->entering = false;
    if (f->context == TRAJ_CONTEXT_TRIAL)
        f->context = TRAJ_CONTEXT_BETWEEN;
}

void traj_course_filter_reweigh(struct traj_course_filter *f, const double *change)
{
    const int32_t *target = f->model->chain.target;
    for (size_t j = 0; j < f->states; j++)
        if (target[j] >= 0)
            f->prob[j] *= traj_exp(change[target[j]]);
}

/* ---- prediction ---------------------------------------------------------------------------- */

/* Divides the sums of v and H of each state by its probability. */
static void divide(const struct traj_course_filter *f, size_t width, double *sums)
{
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        for (size_t k = 0; k < width; k++)
            sums[j * width + k] /= f->prob[j];
    }
}

static void swap(double **a, double **b)
{
    double *held = *a;
    *a = *b;
    *b = held;
}

/* Leaves state j without probability. */
static void clear_state(struct traj_course_filter *f, size_t j)
{
    f->prob[j] = 0.0;
    f->weight[j] = 0.0;
    for (size_t a = 0; a < f->gains; a++)
        f->residual[j * f->gains + a] = 0.0;
    for (size_t t = 0; t < f->tri; t++)
        f->curvature[j * f->tri + t] = 0.0;
}

/* What was gathered in the second set of arrays becomes the distribution. */
static void adopt(struct traj_course_filter *f)
{
    for (size_t i = 0; i < f->actives; i++)
        clear_state(f, (size_t)f->active[i]);
    swap(&f->prob, &f->next);
    swap(&f->residual, &f->residual_next);
    swap(&f->curvature, &f->curvature_next);
    f->actives = 0;
    for (size_t j = 0; j < f->states; j++) {
        if (!f->reached[j])
            continue;
        f->reached[j] = 0;
        f->active[f->actives++] = (int32_t)j;
    }
    divide(f, f->gains, f->residual);
    divide(f, f->tri, f->curvature);
}

/* Adds probability `mass` that comes from state j to place `to` of the second set. */
static void pass(struct traj_course_filter *f, size_t j, size_t to, double mass)
{
    f->next[to] += mass;
    for (size_t a = 0; a < f->gains; a++)
        f->residual_next[to * f->gains + a] += mass * f->residual[j * f->gains + a];
    for (size_t t = 0; t < f->tri; t++)
        f->curvature_next[to * f->tri + t] += mass * f->curvature[j * f->tri + t];
}

static void transition(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    const double *prob = c->link_prob + (size_t)f->context * f->links;
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        for (int32_t l = c->link_first[j]; l < c->link_first[j + 1]; l++) {
            const double mass = f->prob[j] * prob[l];
            if (!(mass > 0.0))
                continue;
            pass(f, j, (size_t)c->link_to[l], mass);
            f->reached[c->link_to[l]] = 1;
        }
    }
    adopt(f);
}

/*
 * The target changes with probability switch_prob: a group's states (one a target, of the same
 * phase and warp) share that part of their probability evenly.  groups are numbered below J.
 */
static void exchange(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (c->group[j] >= 0)
            pass(f, j, (size_t)c->group[j], f->prob[j]);
    }
    for (size_t j = 0; j < f->states; j++) {
        const double keep = (1.0 - c->switch_prob) * f->prob[j];
        if (c->group[j] < 0 || !(f->next[c->group[j]] > 0.0))
            continue;
        const size_t g = (size_t)c->group[j];
        const double come = c->switch_prob * f->next[g] / f->members[g], sum = keep + come;
        const double scale = c->switch_prob / f->members[g];
        for (size_t a = 0; a < f->gains; a++) {
            double *v = f->residual + j * f->gains + a;
            *v = (keep * *v + scale * f->residual_next[g * f->gains + a]) / sum;
        }
        for (size_t t = 0; t < f->tri; t++) {
            double *h = f->curvature + j * f->tri + t;
            *h = (keep * *h + scale * f->curvature_next[g * f->tri + t]) / sum;
        }
        f->prob[j] = sum;
    }
    memset(f->next, 0, f->states * sizeof(double));
    memset(f->residual_next, 0, f->states * f->gains * sizeof(double));
    memset(f->curvature_next, 0, f->states * f->tri * sizeof(double));
    list_active(f);
}

/* The trial's start: a share of the probability stands where trials begin, by what is believed
 * of targets. */
static void enter(struct traj_course_filter *f, const double *belief)
{
    const struct traj_chain *c = &f->model->chain;
    double total = 0.0;
    for (size_t j = 0; j < f->states; j++) {
        const double weigh = c->target[j] >= 0 ? traj_exp(belief[c->target[j]]) : 1.0;
        f->next[j] = c->start[j] > 0.0 ? c->start[j] * weigh : 0.0;
        total += f->next[j];
    }
    for (size_t j = 0; j < f->states; j++) {
        const double come = c->start_share * f->next[j] / total;
        const double keep = (1.0 - c->start_share) * f->prob[j], sum = keep + come;
        const double share = sum > 0.0 ? keep / sum : 0.0;
        for (size_t a = 0; a < f->gains; a++)
            f->residual[j * f->gains + a] *= share;
        for (size_t t = 0; t < f->tri; t++)
            f->curvature[j * f->tri + t] *= share;
        f->prob[j] = sum;
    }
    memset(f->next, 0, f->states * sizeof(double));
    memset(f->weight, 0, f->states * sizeof(double));
    list_active(f);
    f->entering = false;
}

static void predict(struct traj_course_filter *f, size_t steps, const double *belief)
{
    for (size_t s = f->fresh ? 1 : 0; s < steps && s < STEPS_MAX; s++) {
        transition(f);
        if (f->model->chain.switch_prob > 0.0)
            exchange(f);
    }
    f->fresh = false;
    if (f->entering)
        enter(f, belief);
}

/* ---- conditioning -------------------------------------------------------------------------- */

/* The transformed value of channel n, or NaN where it was not observed. */
static double channel(const struct traj_course_filter *f, const struct traj_observation *o,
                      size_t n)
{
    const size_t units = f->model->dims.units;
    if (n >= units)
        return o->features ? (double)o->features[n - units] : NAN;
    if (!o->counts || o->counts[n] == TRAJ_COUNT_MISSING)
        return NAN;
    if (f->model->chain.gaussian == 0.0)
        return (double)o->counts[n];
    return sqrt((double)o->counts[n] * (f->model->bin_width / o->dt) + 0.25);
}

/* log_likelihood += sum of value times row, and none are left. */
static void add_rows(struct traj_course_filter *f, struct traj_rows *rows)
{
    f->add_rows(rows, f->nodes, f->log_likelihood);
    rows->count = 0;
}

/* l of every node, and G'y; the tables follow when other channels are observed than before. */
static void emit(struct traj_course_filter *f, const struct traj_observation *o)
{
    const bool poisson = f->model->chain.gaussian == 0.0;
    const double *gain = f->model->chain.gain;
    const double exposure = poisson ? o->dt : 1.0;
    bool changed = false;
    struct traj_rows rows = {.count = 0};
    for (size_t n = 0; n < f->channels; n++) {
        const uint8_t seen = isfinite(channel(f, o, n)) ? 1 : 0;
        changed = changed || seen != f->observed[n];
        f->observed[n] = seen;
    }
    if (changed)
        (void)tabulate(f); /* fewer channels leave the noise positive definite */
    for (size_t e = 0; e < f->nodes; e++)
        f->log_likelihood[e] = -exposure * f->offset[e];
    memset(f->gain_counts, 0, f->gains * sizeof(double));
    for (size_t n = 0; n < f->channels; n++) {
        const double value = f->observed[n] ? channel(f, o, n) - f->drifted[n] : 0.0;
        f->seen[n] = value;
        if (value == 0.0)
            continue;
        rows.row[rows.count] = f->table + n * f->nodes;
        rows.value[rows.count++] = value;
        if (rows.count == TRAJ_ROWS)
            add_rows(f, &rows);
        for (size_t a = 0; a < f->gains; a++)
            f->gain_counts[a] += value * gain[n * f->gains + a];
    }
    add_rows(f, &rows);
}

/* A node table between state j's two nodes. */
static double between(const struct traj_chain *c, size_t j, const double *row)
{
    const double first = row[c->node[j]];
    return c->share[j] > 0.0 ? first + c->share[j] * (row[c->node[j] + 1] - first) : first;
}

static void follow_gains(struct traj_course_filter *f, size_t j, double dt)
{
    const struct traj_chain *c = &f->model->chain;
    for (size_t a = 0; a < f->gains; a++)
        f->residual[j * f->gains + a] +=
            f->gain_counts[a] - dt * between(c, j, f->gain_rate + a * f->nodes);
    for (size_t t = 0; t < f->tri; t++)
        f->curvature[j * f->tri + t] += dt * between(c, j, f->gain_curve + t * f->nodes);
}

/*
 * v' H^-1 v / 2 - log|H| / 2 of state j, H = I + curvature, by H = L D L' with the few rows that
 * there are: a row of L D in place of a matrix, and one logarithm.
 */
static double gain_evidence(const struct traj_course_filter *f, size_t j)
{
    double lower[TRAJ_GAINS_MAX * TRAJ_GAINS_MAX], pivot[TRAJ_GAINS_MAX], u[TRAJ_GAINS_MAX];
    double sum = 0.0, determinant = 1.0;
    const double *h = f->curvature + j * f->tri;
    for (size_t a = 0; a < f->gains; a++) {
        double *row = lower + a * TRAJ_GAINS_MAX;
        double left = f->residual[j * f->gains + a], rest = 1.0;
        for (size_t b = 0; b < a; b++) {
            double scaled = *h++; /* L_ab D_b */
            for (size_t c = 0; c < b; c++)
                scaled -= row[c] * lower[b * TRAJ_GAINS_MAX + c] * pivot[c];
            row[b] = scaled / pivot[b];
            rest -= row[b] * scaled;
            left -= row[b] * u[b];
        }
        pivot[a] = *h++ + rest;
        u[a] = left;
        determinant *= pivot[a];
        sum += left * left / pivot[a];
    }
    return determinant > 0.0 ? 0.5 * (sum - traj_log(determinant)) : NAN;
}

/* p <- normalise(p exp(tau l)); returns log of sum p exp(l), NaN where nothing is left. */
static double condition(struct traj_course_filter *f, double dt)
{
    const struct traj_chain *c = &f->model->chain;
    double most = -INFINITY, sum = 0.0, evidence = 0.0, before = 0.0;
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (!(f->prob[j] > 0.0))
            continue;
        f->likely[j] = between(c, j, f->log_likelihood);
        most = f->likely[j] > most ? f->likely[j] : most;
        follow_gains(f, j, dt);
    }
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (!(f->prob[j] > 0.0))
            continue;
        before += f->prob[j];
        evidence += f->prob[j] * traj_exp(f->likely[j] - most);
        f->prob[j] *= traj_exp(c->temper * (f->likely[j] - most));
        sum += f->prob[j];
    }
    if (!(sum > 0.0) || !(sum < INFINITY))
        return NAN;
    for (size_t i = 0; i < f->actives; i++)
        f->prob[f->active[i]] /= sum;
    return most + traj_log(evidence / before);
}

/* The gains' factor on the posterior. */
static void weigh_gains(struct traj_course_filter *f)
{
    double most = -INFINITY;
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (!(f->prob[j] > 0.0))
            continue;
        f->likely[j] = gain_evidence(f, j);
        most = f->likely[j] > most ? f->likely[j] : most;
    }
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (f->prob[j] > 0.0)
            f->weight[j] *= traj_exp(f->model->chain.temper * (f->likely[j] - most));
    }
}

/* The posterior with the gains' factor. */
static bool weigh(struct traj_course_filter *f)
{
    double greatest = 0.0, sum = 0.0;
    size_t kept = 0;
    for (size_t i = 0; i < f->actives; i++)
        f->weight[f->active[i]] = f->prob[f->active[i]];
    if (f->gains > 0)
        weigh_gains(f);
    for (size_t i = 0; i < f->actives; i++) {
        const double weight = f->weight[f->active[i]];
        sum += weight;
        greatest = weight > greatest ? weight : greatest;
    }
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        if (f->weight[j] < NEGLIGIBLE * greatest || !(f->prob[j] > 0.0)) {
            clear_state(f, j);
            continue;
        }
        f->weight[j] /= sum;
        f->active[kept++] = (int32_t)j;
    }
    f->actives = kept;
    return sum > 0.0 && sum < INFINITY;
}

/* The channels' offsets follow what the posterior leaves unexplained. */
static void follow_drift(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    memset(f->node_weight, 0, f->nodes * sizeof(double));
    for (size_t j = 0; j < f->states; j++) {
        const double weight = f->weight[j], share = c->share[j];
        if (!(weight > 0.0))
            continue;
        f->node_weight[c->node[j]] += weight * (1.0 - share);
        if (share > 0.0)
            f->node_weight[c->node[j] + 1] += weight * share;
    }
    for (size_t n = 0; n < f->channels; n++)
        f->drifted[n] += f->observed[n] ? c->drift * f->seen[n] : 0.0;
    for (size_t e = 0; e < f->nodes; e++) {
        const double weight = c->drift * f->node_weight[e];
        const double *mean = c->emission_mean + e * f->channels;
        for (size_t n = 0; weight > 0.0 && n < f->channels; n++)
            f->drifted[n] -= f->observed[n] ? weight * mean[n] : 0.0;
    }
}

double traj_course_filter_step(struct traj_course_filter *f,
                               const struct traj_observation *observation, const double *belief,
                               bool *recovered)
{
    predict(f, observation->steps, belief);
    emit(f, observation);
    const double evidence = condition(f, observation->dt);
    *recovered = isnan(evidence) || !weigh(f);
    if (*recovered) {
        forget(f);
        memcpy(f->weight, f->prob, f->states * sizeof(double));
    } else if (f->model->chain.drift > 0.0) {
        follow_drift(f);
    }
    return *recovered ? NAN : evidence;
}

/* ---- what is published --------------------------------------------------------------------- */

/* Mean and covariance over states of values with a spread within each state. */
static void mixture_moments(const struct traj_course_filter *f, const double *value,
                            const double *spread, double *mean, double *cov)
{
    const size_t dim = f->dim;
    double off[TRAJ_DIM_MAX];
    memset(mean, 0, dim * sizeof(double));
    memset(cov, 0, dim * dim * sizeof(double));
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        for (size_t d = 0; d < dim; d++)
            mean[d] += f->weight[j] * value[j * dim + d];
    }
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        for (size_t d = 0; d < dim; d++)
            off[d] = value[j * dim + d] - mean[d];
        for (size_t d = 0; d < dim; d++)
            for (size_t e = 0; e < dim; e++)
                cov[d * dim + e] +=
                    f->weight[j] * (spread[(j * dim + d) * dim + e] + off[d] * off[e]);
    }
}

void traj_course_filter_moments(const struct traj_course_filter *f, double *position,
                                double *position_cov, double *velocity, double *velocity_cov,
                                double *target, double *place, double *progress, double *eta)
{
    const struct traj_chain *c = &f->model->chain;
    double on_course = 0.0, sum = 0.0, timed = 0.0, time = 0.0;
    memset(target, 0, f->model->dims.targets * sizeof(double));
    memset(place, 0, TRAJ_PLACES * sizeof(double));
    for (size_t i = 0; i < f->actives; i++) {
        const size_t j = (size_t)f->active[i];
        const double weight = f->weight[j];
        place[c->place[j]] += weight;
        if (c->target[j] >= 0)
            target[c->target[j]] += weight;
        if (c->progress[j] >= 0.0) {
            on_course += weight;
            sum += weight * c->progress[j];
        }
        if (c->eta[j] >= 0.0) {
            timed += weight;
            time += weight * c->eta[j];
        }
    }
    *progress = on_course > 0.0 ? sum / on_course : NAN;
    *eta = timed > 0.0 ? time / timed : NAN;
    mixture_moments(f, c->position, c->position_spread, position, position_cov);
    mixture_moments(f, c->velocity, c->velocity_spread, velocity, velocity_cov);
}
