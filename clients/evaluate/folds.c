/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/folds.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAD_S 1e-3 /* a span begins this much before its trial, so that rounding loses no bin */

bool traj_session_is_cut(const struct traj_session *s)
{
    size_t outside = 0;
    for (size_t i = 0; i < s->bins; i++) {
        outside += traj_session_trial_at(s, s->t_end[i]) == (size_t)-1;
    }
    return s->trials > 0 && (double)outside <= 0.02 * (double)s->bins;
}

static int no_memory(const struct traj_session *s, struct traj_error *error)
{
    return traj_error_set(error, "%s: not enough memory for cross-validation", s->path);
}

static int32_t target_of(const struct traj_session *s, size_t trial)
{
    return s->target ? s->target[trial] : -1;
}

/* All trials in an order that depends on the seed alone. */
static size_t *shuffled(size_t trials, uint64_t seed)
{
    size_t *order = malloc((trials ? trials : 1) * sizeof *order);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (order && rng) {
        gsl_rng_set(rng, (unsigned long)seed);
        for (size_t r = 0; r < trials; r++) {
            order[r] = r;
        }
        gsl_ran_shuffle(rng, order, trials, sizeof *order);
    } else {
        free(order);
        order = NULL;
    }
    gsl_rng_free(rng);
    return order;
}

static int deal_trials(struct traj_folds *folds, const struct traj_session *s, uint64_t seed)
{
    size_t *order = shuffled(s->trials, seed);
    if (!order) {
        return -1;
    }
    for (int32_t m = -1; m < (int32_t)s->targets; m++) {
        size_t dealt = m < 0 ? 0 : (size_t)m; /* targets begin at different folds, for balance */
        for (size_t i = 0; i < s->trials; i++) {
            if (target_of(s, order[i]) == m) {
                folds->of_trial[order[i]] = dealt++ % folds->count;
            }
        }
    }
    free(order);
    return 0;
}

static void cut_blocks(struct traj_folds *folds, const struct traj_session *s)
{
    double first = s->t_end[0] - s->dt[0], last = s->t_end[s->bins - 1];
    for (size_t k = 0; k <= folds->count; k++) {
        double share = (double)k / (double)folds->count;
        if (k == 0 || k == folds->count) {
            folds->edge[k] = k == 0 ? first - LEAD_S : last + LEAD_S;
        } else if (s->trials >= folds->count) {
            folds->edge[k] = s->start[(size_t)(share * (double)s->trials)] - LEAD_S;
        } else {
            folds->edge[k] = first + share * (last - first);
        }
    }
    for (size_t r = 0; r < s->trials; r++) {
        size_t k = 0;
        while (k + 1 < folds->count && s->start[r] > folds->edge[k + 1]) {
            k++;
        }
        folds->of_trial[r] = k;
    }
}

int traj_folds_init(struct traj_folds *folds, const struct traj_session *s, size_t count,
                    uint64_t seed, struct traj_error *error)
{
    memset(folds, 0, sizeof *folds);
    folds->count = count;
    folds->by_trial = traj_session_is_cut(s);
    if (s->bins == 0 || s->samples == 0) {
        return traj_error_set(error, "%s: evaluation needs both /frames and /kinematics", s->path);
    }
    if (count < 2 || (folds->by_trial ? s->trials : s->bins) < 2 * count) {
        return traj_error_set(error, "%s: %zu folds are not possible with %zu trials and %zu bins",
                              s->path, count, s->trials, s->bins);
    }
    folds->of_trial = calloc(s->trials ? s->trials : 1, sizeof *folds->of_trial);
    folds->edge = calloc(count + 1, sizeof *folds->edge);
    if (!folds->of_trial || !folds->edge) {
        traj_folds_free(folds);
        return no_memory(s, error);
    }
    if (!folds->by_trial) {
        cut_blocks(folds, s);
    } else if (deal_trials(folds, s, seed)) {
        traj_folds_free(folds);
        return no_memory(s, error);
    }
    return 0;
}

void traj_folds_free(struct traj_folds *folds)
{
    free(folds->of_trial);
    free(folds->edge);
    memset(folds, 0, sizeof *folds);
}

struct traj_session *traj_cut_trials(const struct traj_session *s, const size_t *trial,
                                     size_t count, bool unbroken, struct traj_error *error)
{
    struct traj_span *spans = calloc(count ? count : 1, sizeof *spans);
    if (!spans) {
        no_memory(s, error);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t r = trial[i];
        double end = s->stop[r] + LEAD_S;
        if (unbroken) {
            end = r + 1 < s->trials ? s->start[r + 1] - LEAD_S : INFINITY;
        }
        spans[i] = (struct traj_span){s->start[r] - LEAD_S, end};
    }
    struct traj_session *cut = traj_session_cut(s, spans, count, error);
    free(spans);
    return cut;
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Trials outside fold k (or inside it): all, or per_target of each target in shuffled order;
 * sorted. */
static size_t pick(const struct traj_folds *folds, const struct traj_session *s, size_t k,
                   bool inside, size_t per_target, const size_t *order, size_t *out)
{
    size_t count = 0;
    for (int32_t m = -1; m < (int32_t)s->targets; m++) {
        size_t taken = 0;
        for (size_t i = 0; i < s->trials; i++) {
            size_t r = order[i];
            if (target_of(s, r) == m && (folds->of_trial[r] == k) == inside &&
                (per_target == 0 || taken < per_target)) {
                out[count++] = r;
                taken++;
            }
        }
    }
    qsort(out, count, sizeof *out, by_value);
    return count;
}

/* Everything outside a block of time. */
static struct traj_session *outside_block(const struct traj_folds *folds,
                                          const struct traj_session *s, size_t k,
                                          struct traj_error *error)
{
    struct traj_span spans[2];
    size_t count = 0;
    if (k > 0) {
        spans[count++] = (struct traj_span){folds->edge[0], folds->edge[k]};
    }
    if (k + 1 < folds->count) {
        spans[count++] = (struct traj_span){folds->edge[k + 1], folds->edge[folds->count]};
    }
    return traj_session_cut(s, spans, count, error);
}

int traj_folds_split(const struct traj_folds *folds, const struct traj_session *s, size_t k,
                     size_t per_target, uint64_t seed, struct traj_session **train,
                     struct traj_session **test, struct traj_error *error)
{
    size_t *order = shuffled(s->trials, seed);
    size_t *chosen = malloc((s->trials ? s->trials : 1) * sizeof *chosen);
    *train = *test = NULL;
    if (!order || !chosen) {
        free(order);
        free(chosen);
        return no_memory(s, error);
    }
    if (folds->by_trial || per_target > 0) {
        size_t count = pick(folds, s, k, false, per_target, order, chosen);
        *train = traj_cut_trials(s, chosen, count, !folds->by_trial, error);
    } else {
        *train = outside_block(folds, s, k, error);
    }
    if (folds->by_trial) {
        size_t count = pick(folds, s, k, true, 0, order, chosen);
        *test = traj_cut_trials(s, chosen, count, false, error);
    } else {
        struct traj_span span = {folds->edge[k], folds->edge[k + 1]};
        *test = traj_session_cut(s, &span, 1, error);
    }
    free(order);
    free(chosen);
    if (!*train || !*test) {
        traj_session_free(*train);
        traj_session_free(*test);
        *train = *test = NULL;
        return -1;
    }
    return 0;
}
