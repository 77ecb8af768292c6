/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Smoothing of mixtures of components; see smooth.h. */
#include "daemon/learn/smooth_mixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"
#include "daemon/model/affine.h"
#include "daemon/model/internal.h"

#define MOVES_MAX 4096u /* steps over a gap; by then nothing is left of what was before */

/* How component k of a frame came from that of the frame before. */
struct link {
    int32_t moves;  /* bins by which it was predicted; -1 = it began anew */
    double entered; /* share of newcomers in it */
};

/* A frame: `changed` components' probability moved on by switching (0 = not). */
struct frame {
    bool begins; /* weights have nothing to do with those before */
    double changed;
};

struct traj_smooth_mixture {
    struct traj_decoder *decoder;
    size_t components, size, frames, cap;
    struct frame *frame;
    struct link *link; /* [cap][K] */
    double *weight;    /* [cap][K] */
    double *arriving;  /* [cap][K] weights after switching, before the frame was seen */
    double *prior;     /* [cap][K] of newcomers */
    double *mean;      /* [cap][K][S] */
    double *cov;       /* [cap][K][S][S] */
    size_t *wait;      /* [K] bins that a component still waits at its start */
    uint8_t *present;  /* [K] after the last frame */
    uint8_t *fresh;    /* [K] */
    double *work;
};

static int resize(double **array, size_t count)
{
    void *grown = realloc(*array, (count + 1) * sizeof(double));
    if (!grown)
        return -1;
    *array = grown;
    return 0;
}

/* Room for one frame more. */
static int make_room(struct traj_smooth_mixture *s)
{
    if (s->frames < s->cap)
        return 0;
    size_t cap = s->cap + s->cap / 2 + 256, k = s->components, n = s->size;
    void *frame = realloc(s->frame, cap * sizeof *s->frame);
    if (!frame)
        return -1;
    s->frame = frame;
    void *link = realloc(s->link, cap * k * sizeof *s->link);
    if (!link)
        return -1;
    s->link = link;
    if (resize(&s->weight, cap * k) || resize(&s->arriving, cap * k) ||
        resize(&s->prior, cap * k) || resize(&s->mean, cap * k * n) ||
        resize(&s->cov, cap * k * n * n))
        return -1;
    s->cap = cap;
    return 0;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Probability that was exchanged before this step, and what came in; see switching.c. */
static double look_at_switching(struct traj_smooth_mixture *s, size_t steps, double *prior)
{
    const struct traj_decoder *decoder = s->decoder;
    const struct traj_model *model = decoder->model;
    double total = 0;
    if (decoder->trial.marks || decoder->trial.phase == TRAJ_PHASE_PLAN ||
        !(model->switch_rate > 0) || s->frames == 0)
        return 0;
    for (size_t k = 0; k < s->components; k++) {
        int32_t target = model->component_target[k];
        if (decoder->mixture.component[k].fresh)
            return 0;
        prior[k] =
            model->component_prior[k] * (target < 0 ? 1 : exp(decoder->belief.total[target]));
        total += prior[k];
    }
    for (size_t k = 0; k < s->components; k++)
        prior[k] /= total;
    return 1 - exp(-model->switch_rate * model->bin_width * (double)steps);
}

/* Whether a component stands where the last frame left it. */
static bool stayed(const struct traj_smooth_mixture *s, size_t k)
{
    const struct traj_mixture_component *one = &s->decoder->mixture.component[k];
    size_t n = s->size, at = (s->frames - 1) * s->components + k;
    double *mean = s->work, *cov = s->work + n;
    one->table->moments(one->self, mean, cov);
    return memcmp(mean, s->mean + at * n, n * sizeof *mean) == 0 &&
           memcmp(cov, s->cov + at * n * n, n * n * sizeof *cov) == 0;
}

static struct link look_at_component(struct traj_smooth_mixture *s, size_t k, size_t steps,
                                     double changed, double newcomers, bool *begins)
{
    const struct traj_mixture_component *one = &s->decoder->mixture.component[k];
    const struct traj_model *model = s->decoder->model;
    bool known = s->frames > 0 && s->present[k];
    *begins = *begins || one->present != (known ? 1 : 0) || (known && one->fresh && !s->fresh[k]);
    if (!known || !one->present || one->fresh || (changed == 0 && !stayed(s, k))) {
        s->wait[k] = one->fresh && model->dims.delay > 0 ? (size_t)model->component_delay[k] : 0;
        return (struct link){-1, 0};
    }
    if (!one->running)
        return (struct link){0, 0};
    size_t waited = steps < s->wait[k] ? steps : s->wait[k], moves = steps - waited;
    double weight = exp(s->decoder->mixture.log_weight[k]);
    s->wait[k] -= waited;
    return (struct link){(int32_t)(moves < MOVES_MAX ? moves : MOVES_MAX),
                         weight > 0 ? fmin(newcomers / weight, 1) : 0};
}

void traj_smooth_mixture_watch(struct traj_smooth_mixture *s, size_t steps)
{
    struct traj_mixture *mixture = &s->decoder->mixture;
    size_t row = s->frames * s->components;
    if (make_room(s)) {
        s->cap = 0; /* keep says so */
        return;
    }
    struct frame *frame = &s->frame[s->frames];
    double *prior = s->prior + row;
    memset(prior, 0, s->components * sizeof *prior);
    *frame = (struct frame){s->frames == 0, look_at_switching(s, steps, prior)};
    for (size_t k = 0; k < s->components; k++) {
        s->link[row + k] = look_at_component(s, k, steps, frame->changed, frame->changed * prior[k],
                                             &frame->begins);
        s->arriving[row + k] = mixture->component[k].present ? exp(mixture->log_weight[k]) : 0;
    }
}

int traj_smooth_mixture_keep(struct traj_smooth_mixture *s, const struct traj_estimate *estimate)
{
    struct traj_mixture *mixture = &s->decoder->mixture;
    size_t n = s->size, row = s->frames * s->components;
    if (s->frames >= s->cap)
        return -1;
    if (estimate->flags & TRAJ_FLAG_RECOVERED)
        s->frame[s->frames].begins = true;
    for (size_t k = 0; k < s->components; k++) {
        const struct traj_mixture_component *one = &mixture->component[k];
        s->present[k] = one->present;
        s->fresh[k] = one->fresh;
        if (s->frame[s->frames].begins)
            s->link[row + k].moves = -1;
        s->weight[row + k] = one->present ? exp(mixture->log_weight[k]) : 0;
        one->table->moments(one->self, s->mean + (row + k) * n, s->cov + (row + k) * n * n);
    }
    s->frames++;
    return 0;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Weights of frame t from those of frame t + 1. */
static void smooth_weights(struct traj_smooth_mixture *s, size_t t)
{
    size_t k, count = s->components;
    const struct frame *later = &s->frame[t + 1];
    double *weight = s->weight + t * count;
    const double *after = weight + count, *arriving = s->arriving + (t + 1) * count;
    const double *prior = s->prior + (t + 1) * count;
    double entered = 0, sum = 0;
    if (later->changed == 0) {
        /* Between frames nothing changes but priors: each component keeps what it came to. */
        memcpy(weight, after, count * sizeof *weight);
        return;
    }
    for (k = 0; k < count; k++)
        entered += arriving[k] > 0 ? prior[k] * after[k] / arriving[k] : 0;
    for (k = 0; k < count; k++) {
        double before = fmax((arriving[k] - later->changed * prior[k]) / (1 - later->changed), 0);
        double stays = arriving[k] > 0 ? after[k] / arriving[k] : 0;
        weight[k] = before * ((1 - later->changed) * stays + later->changed * entered);
        sum += weight[k];
    }
    for (k = 0; k < count && sum > 0; k++)
        weight[k] /= sum;
}

/* A^moves into out[n][n]. */
static void power(const double *transition, size_t moves, size_t n, double *out, double *work)
{
    for (size_t i = 0; i < n * n; i++)
        out[i] = i % (n + 1) == 0 ? 1 : 0;
    for (size_t m = 0; m < moves; m++) {
        traj_matrix_multiply(transition, out, n, n, n, work);
        memcpy(out, work, n * n * sizeof *out);
    }
}

/*
 * m_t <- m_t + G (m_t+1 - m-_t+1) and P_t <- P_t + G (P_t+1 - P-_t+1) G', G' = P-^-1 F P_t, with
 * m-, P- what frame t predicts of frame t + 1 (Rauch, Tung and Striebel 1965).
 */
static void smooth_component(struct traj_smooth_mixture *s, size_t t, size_t k)
{
    const struct traj_dynamics *dynamics = &s->decoder->model->dynamics;
    size_t n = s->size, square = n * n, at = t * s->components + k, next = at + s->components;
    struct link link = s->link[next];
    double *mean = s->mean + at * n, *cov = s->cov + at * square;
    double *predicted = s->work, *spread = predicted + n, *gain = spread + square,
           *apart = gain + square, *work = apart + square;
    const struct traj_affine map = {n, dynamics->transition + k * square, dynamics->drift + k * n,
                                    dynamics->noise + k * square};
    memcpy(predicted, mean, n * sizeof *mean);
    memcpy(spread, cov, square * sizeof *cov);
    for (int32_t m = 0; m < link.moves; m++)
        traj_affine_step(&map, predicted, spread, work);
    power(map.transition, (size_t)link.moves, n, apart, work);
    traj_matrix_multiply(apart, cov, n, n, n, gain); /* F P, to become G' */
    for (size_t i = 0; i < square; i++)
        apart[i] = s->cov[next * square + i] - spread[i];
    if (traj_matrix_cholesky(spread, n))
        return;
    traj_matrix_cholesky_solve(spread, n, gain, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            double held = gain[i * n + j];
            gain[i * n + j] = gain[j * n + i];
            gain[j * n + i] = held;
        }
    double stays = 1 - link.entered;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            mean[i] += stays * gain[i * n + j] * (s->mean[next * n + j] - predicted[j]);
    traj_matrix_congruence(gain, apart, n, spread, work);
    for (size_t i = 0; i < square; i++)
        cov[i] += stays * spread[i];
}

int traj_smooth_mixture_run(struct traj_smooth_mixture *s)
{
    const struct traj_model *model = s->decoder->model;
    for (size_t t = s->frames; t-- > 1;) {
        if (s->frame[t].begins)
            continue;
        smooth_weights(s, t - 1);
        for (size_t k = 0; k < s->components; k++)
            if (s->link[t * s->components + k].moves >= 0 &&
                (model->dims.warps == 0 || model->warp.own[k] < 0))
                smooth_component(s, t - 1, k);
    }
    return 0;
}

/* ---- what is shown --------------------------------------------------------------------------- */

/* Moments of the mixture over coordinates from..from + dim of the state. */
static void mix(const struct traj_smooth_mixture *s, size_t t, size_t from, double *mean,
                double *cov)
{
    size_t dim = s->decoder->model->dims.position, n = s->size, row = t * s->components;
    memset(mean, 0, dim * sizeof *mean);
    memset(cov, 0, dim * dim * sizeof *cov);
    for (size_t k = 0; k < s->components; k++)
        for (size_t d = 0; d < dim; d++)
            mean[d] += s->weight[row + k] * s->mean[(row + k) * n + from + d];
    for (size_t k = 0; k < s->components; k++) {
        const double *m = s->mean + (row + k) * n + from, *c = s->cov + (row + k) * n * n;
        for (size_t d = 0; d < dim; d++)
            for (size_t e = 0; e < dim; e++)
                cov[d * dim + e] += s->weight[row + k] * (c[(from + d) * n + from + e] +
                                                          (m[d] - mean[d]) * (m[e] - mean[e]));
    }
}

void traj_smooth_mixture_show(struct traj_smooth_mixture *s, size_t t,
                              struct traj_estimate *estimate)
{
    struct traj_decoder *decoder = s->decoder;
    const struct traj_model *model = decoder->model;
    const double *weight = s->weight + t * s->components;
    traj_decoder_publish(decoder, estimate);
    mix(s, t, 0, decoder->position, decoder->position_cov);
    mix(s, t, model->dims.position, decoder->velocity, decoder->velocity_cov);
    memset(decoder->target_prob, 0, model->dims.targets * sizeof(double));
    estimate->free_prob = 0;
    for (size_t k = 0; k < s->components; k++)
        if (model->component_target[k] >= 0)
            decoder->target_prob[model->component_target[k]] += weight[k];
        else
            estimate->free_prob += weight[k];
}

size_t traj_smooth_mixture_frames(const struct traj_smooth_mixture *s)
{
    return s->frames;
}

struct traj_smooth_mixture *traj_smooth_mixture_new(struct traj_decoder *decoder)
{
    struct traj_smooth_mixture *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    size_t k = decoder->model->dims.components, n = decoder->model->dims.state;
    s->decoder = decoder;
    s->components = k;
    s->size = n;
    s->wait = calloc(k + 1, sizeof *s->wait);
    s->present = calloc(k + 1, 1);
    s->fresh = calloc(k + 1, 1);
    s->work = calloc(5 * n * n + 2 * n + traj_affine_scratch(n), sizeof *s->work);
    if (s->wait && s->present && s->fresh && s->work)
        return s;
    traj_smooth_mixture_free(s);
    return NULL;
}

void traj_smooth_mixture_free(struct traj_smooth_mixture *s)
{
    if (!s)
        return;
    free(s->frame);
    free(s->link);
    free(s->weight);
    free(s->arriving);
    free(s->prior);
    free(s->mean);
    free(s->cov);
    free(s->wait);
    free(s->present);
    free(s->fresh);
    free(s->work);
    free(s);
}
