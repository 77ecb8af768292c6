/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cross-validation itself; tables are in report.c. */
#include "clients/evaluate/evaluate.h"

#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/folds.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"

#define BLOCK_S 2.0 /* unit of the bootstrap where there are no trials */

static const size_t all_trials = 0;
static const uint64_t first_seed = 1;

const char *traj_method_name(enum traj_method method)
{
    static const char *const name[TRAJ_METHODS] = {"rwm",    "stm",    "mixture", "mixture+plan",
                                                   "course", "kalman", "wiener"};
    return method < TRAJ_METHODS ? name[method] : "?";
}

void traj_evaluate_options_default(struct traj_evaluate_options *o)
{
    memset(o, 0, sizeof *o);
    o->folds = 5;
    o->per_target = &all_trials;
    o->per_target_count = 1;
    o->seed = &first_seed;
    o->seed_count = 1;
    o->marks = true;
    o->resamples = 2000;
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        o->method[m] = true;
    }
}

/* The bootstrap's units: which group each bin belongs to, if it is scored at all. */
struct groups {
    size_t count;
    size_t *of_bin; /* [bins], (size_t)-1 = not scored */
    bool *keep;     /* [bins] */
};

/* A trial's movement begins at its onset, or the go cue, or its start: the first that is known. */
static double movement_onset(const struct traj_session *s, size_t r)
{
    if (s->move && !isnan(s->move[r])) {
        return s->move[r];
    }
    return s->go && !isnan(s->go[r]) ? s->go[r] : s->start[r];
}

static int groups_init(struct groups *g, const struct traj_session *s)
{
    g->of_bin = malloc(s->bins * sizeof *g->of_bin);
    g->keep = calloc(s->bins, sizeof *g->keep);
    if (!g->of_bin || !g->keep) {
        return -1;
    }
    g->count =
        s->trials ? s->trials : (size_t)((s->t_end[s->bins - 1] - s->t_end[0]) / BLOCK_S) + 1;
    for (size_t i = 0; i < s->bins; i++) {
        size_t r = s->trials ? traj_session_trial_at(s, s->t_end[i])
                             : (size_t)((s->t_end[i] - s->t_end[0]) / BLOCK_S);
        bool scored = s->trials == 0 || (r != (size_t)-1 && s->t_end[i] > movement_onset(s, r));
        g->of_bin[i] = scored ? r : (size_t)-1;
        g->keep[i] = scored;
    }
    return 0;
}

int traj_collect(void *collector, const struct traj_intent *intent)
{
    struct traj_collector *c = collector;
    const struct traj_session *s = c->session;
    struct traj_decoded *d = c->decoded;
    while (c->bin < s->bins && s->t_end[c->bin] < intent->t - 1e-9) {
        c->bin++;
    }
    if (c->bin == s->bins || s->t_end[c->bin] > intent->t + 1e-9) {
        return 0;
    }
    size_t i = c->bin++, dim = d->dim;
    if (intent->position) {
        memcpy(d->position + i * dim, intent->position, dim * sizeof(double));
    }
    if (intent->position_cov) {
        memcpy(d->position_cov + i * dim * dim, intent->position_cov, dim * dim * sizeof(double));
    }
    if (intent->velocity) {
        memcpy(d->velocity + i * dim, intent->velocity, dim * sizeof(double));
    }
    if (intent->target_prob && d->targets == intent->targets) {
        memcpy(d->target_prob + i * d->targets, intent->target_prob, d->targets * sizeof(double));
    }
    return 0;
}

static struct traj_decoded *run_family(enum traj_family family, bool plan, bool marks,
                                       uint64_t seed, const struct traj_session *train,
                                       const struct traj_session *test, struct traj_error *error)
{
    struct traj_fit_options options;
    traj_fit_options_default(&options);
    options.family = family;
    options.plan = plan;
    options.seed = seed;
    struct traj_model *model = traj_fit(&train, 1, NULL, 0, &options, error);
    if (!model) {
        return NULL;
    }
    struct traj_decoded *decoded = traj_decoded_new(test->bins, test->dim, model->dims.targets);
    struct traj_collector collector = {decoded, 0, test};
    struct traj_decode_options how = {.trials = marks};
    if (!decoded) {
        traj_error_set(error, "%s: not enough memory to decode", test->path);
    } else if (traj_decode(model, test, &how, traj_collect, &collector, NULL, error)) {
        traj_decoded_free(decoded);
        decoded = NULL;
    }
    traj_model_free(model);
    return decoded;
}

static struct traj_decoded *run_method(enum traj_method method, bool marks, uint64_t seed,
                                       const struct traj_session *train,
                                       const struct traj_session *test, struct traj_error *error)
{
    switch (method) {
    case TRAJ_METHOD_RWM:
        return run_family(TRAJ_FAMILY_RWM, false, marks, seed, train, test, error);
    case TRAJ_METHOD_STM:
        return run_family(TRAJ_FAMILY_STM, false, marks, seed, train, test, error);
    case TRAJ_METHOD_MIXTURE:
        return run_family(TRAJ_FAMILY_MIXTURE, false, marks, seed, train, test, error);
    case TRAJ_METHOD_MIXTURE_PLAN:
        return run_family(TRAJ_FAMILY_MIXTURE, true, marks, seed, train, test, error);
    case TRAJ_METHOD_COURSE:
        return run_family(TRAJ_FAMILY_COURSE, true, marks, seed, train, test, error);
    case TRAJ_METHOD_KALMAN:
        return traj_kalman(train, test, error);
    case TRAJ_METHOD_WIENER:
        return traj_wiener(train, test, error);
    default:
        traj_error_set(error, "evaluate: unknown method");
        return NULL;
    }
}

/* Puts the answers for a fold in their place among the whole session's bins. */
static void place(const struct traj_session *whole, const struct traj_session *part,
                  const struct traj_decoded *from, struct traj_decoded *to)
{
    size_t dim = to->dim, targets = to->targets;
    for (size_t i = 0, k = 0; i < part->bins; i++) {
        while (k < whole->bins && whole->t_end[k] < part->t_end[i]) {
            k++;
        }
        memcpy(to->position + k * dim, from->position + i * dim, dim * sizeof(double));
        memcpy(to->position_cov + k * dim * dim, from->position_cov + i * dim * dim,
               dim * dim * sizeof(double));
        memcpy(to->velocity + k * dim, from->velocity + i * dim, dim * sizeof(double));
        if (targets > 0 && from->targets == targets) {
            memcpy(to->target_prob + k * targets, from->target_prob + i * targets,
                   targets * sizeof(double));
        }
    }
}

/* The work in hand: one size of training set, one draw. */
struct draw {
    const struct traj_session *session;
    const struct traj_evaluate_options *options;
    const struct traj_folds *folds;
    size_t per_target;
    uint64_t seed;
    size_t done, total; /* method-folds, for progress */
};

static int run_folds(struct draw *w, struct traj_decoded **decoded, struct traj_error *error)
{
    int result = 0;
    for (size_t k = 0; result == 0 && k < w->folds->count; k++) {
        struct traj_session *train, *test;
        if (traj_folds_split(w->folds, w->session, k, w->per_target, w->seed, &train, &test,
                             error)) {
            return -1;
        }
        for (size_t m = 0; result == 0 && m < TRAJ_METHODS; m++) {
            if (!w->options->method[m]) {
                continue;
            }
            struct traj_decoded *part =
                run_method((enum traj_method)m, w->options->marks, w->seed, train, test, error);
            if (part) {
                place(w->session, test, part, decoded[m]);
            } else {
                result = -1;
            }
            traj_decoded_free(part);
            w->done++;
            if (w->options->progress) {
                w->options->progress(w->options->progress_context,
                                     traj_method_name((enum traj_method)m),
                                     (double)w->done / (double)w->total);
            }
        }
        traj_session_free(train);
        traj_session_free(test);
    }
    return result;
}

/* Squared error and bins of each group, summed over draws; a bin without an answer costs the mean
 * position. */
static void add_errors(const struct traj_session *s, const struct traj_truth *truth,
                       const struct groups *g, const struct traj_decoded *decoded, double *square,
                       double *bins)
{
    double mean[TRAJ_DIM_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < s->bins; i++) {
        for (size_t d = 0; g->keep[i] && d < s->dim; d++) {
            mean[d] += truth->position[i * s->dim + d];
        }
        count += g->keep[i];
    }
    for (size_t i = 0; i < s->bins; i++) {
        size_t at = g->of_bin[i];
        if (at == (size_t)-1) {
            continue;
        }
        for (size_t d = 0; d < s->dim; d++) {
            double said = decoded->position[i * s->dim + d];
            double e =
                (isfinite(said) ? said : mean[d] / (double)count) - truth->position[i * s->dim + d];
            square[at] += e * e;
        }
        bins[at] += 1.0;
    }
}

static void add_score(struct traj_score *sum, const struct traj_score *x, double weight)
{
    sum->frames = x->frames;
    sum->missing += x->missing;
    sum->trials = x->trials;
    sum->rmse += weight * x->rmse;
    sum->mvaf += weight * x->mvaf;
    sum->velocity_mvaf += weight * x->velocity_mvaf;
    sum->velocity_angle += weight * x->velocity_angle;
    sum->idle_speed += weight * x->idle_speed;
    sum->velocity_lag += weight * x->velocity_lag;
    sum->rmse_trial += weight * x->rmse_trial;
    sum->coverage50 += weight * x->coverage50;
    sum->coverage90 += weight * x->coverage90;
    for (size_t d = 0; d < TRAJ_DIM_MAX; d++) {
        sum->r2[d] += weight * x->r2[d];
    }
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        sum->target[k] += weight * x->target[k];
    }
}

static int score_draw(const struct draw *w, const struct traj_truth *truth, const struct groups *g,
                      struct traj_decoded **decoded, struct traj_result *result, double **square,
                      double **bins, struct traj_error *error)
{
    double weight = 1.0 / (double)w->options->seed_count;
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        if (!w->options->method[m]) {
            continue;
        }
        struct traj_score score;
        struct traj_score_options movement = {NAN, g->keep}, all = {NAN, NULL};
        if (traj_score(w->session, decoded[m], &movement, &score, error)) {
            return -1;
        }
        add_score(&result->movement, &score, weight);
        if (traj_score(w->session, decoded[m], &all, &score, error)) {
            return -1;
        }
        add_score(&result->all, &score, weight);
        add_errors(w->session, truth, g, decoded[m], square[m], bins[m]);
        result->method = (enum traj_method)m;
        result->per_target = w->per_target;
        result++;
    }
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Root of the ratio of mean squares over resampled groups; under = NULL gives the rmse itself. */
static double resampled(const size_t *pick, size_t count, const double *square, const double *bins,
                        const double *under, const double *under_bins)
{
    double a = 0.0, n = 0.0, b = 0.0, k = 0.0;
    for (size_t i = 0; i < count; i++) {
        a += square[pick[i]];
        n += bins[pick[i]];
        b += under ? under[pick[i]] : 0.0;
        k += under ? under_bins[pick[i]] : 0.0;
    }
    return under ? sqrt(a / n / (b / k)) : sqrt(a / n);
}

/* Bootstrap over groups that hold scored bins; the same draws for every call with the same groups.
 */
static int bootstrap(size_t groups, const double *square, const double *bins, const double *under,
                     const double *under_bins, size_t resamples, struct traj_measure *out)
{
    size_t *live = malloc(groups * sizeof *live), *pick = malloc(groups * sizeof *pick), count = 0;
    double *value = malloc((resamples + 1) * sizeof *value);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    int result = live && pick && value && rng ? 0 : -1;
    for (size_t g = 0; result == 0 && g < groups; g++) {
        if (bins[g] > 0.0) {
            live[count++] = g;
        }
    }
    if (result == 0) {
        out->value = resampled(live, count, square, bins, under, under_bins);
        out->low = out->high = out->value;
        for (size_t r = 0; r < resamples; r++) {
            for (size_t i = 0; i < count; i++) {
                pick[i] = live[gsl_rng_uniform_int(rng, (unsigned long)count)];
            }
            value[r] = resampled(pick, count, square, bins, under, under_bins);
        }
        if (resamples > 0) {
            qsort(value, resamples, sizeof *value, ascending);
            out->low = value[(size_t)(0.025 * (double)(resamples - 1))];
            out->high = value[(size_t)(0.975 * (double)(resamples - 1))];
        }
    }
    free(live);
    free(pick);
    free(value);
    gsl_rng_free(rng);
    return result;
}

static double total_rmse(const double *square, const double *bins, size_t groups)
{
    double a = 0.0, n = 0.0;
    for (size_t g = 0; g < groups; g++) {
        a += square[g];
        n += bins[g];
    }
    return sqrt(a / n);
}

/* The ratios that are reported: whichever of their methods were run. */
static int add_ratios(struct traj_evaluation *e, const struct draw *w, const struct groups *g,
                      double **square, double **bins)
{
    const bool *run = w->options->method;
    enum traj_method best = run[TRAJ_METHOD_COURSE]         ? TRAJ_METHOD_COURSE
                            : run[TRAJ_METHOD_MIXTURE_PLAN] ? TRAJ_METHOD_MIXTURE_PLAN
                                                            : TRAJ_METHOD_MIXTURE;
    const enum traj_method pair[TRAJ_RATIOS][2] = {{TRAJ_METHOD_MIXTURE, TRAJ_METHOD_RWM},
                                                   {TRAJ_METHOD_MIXTURE, TRAJ_METHOD_STM},
                                                   {TRAJ_METHOD_MIXTURE_PLAN, TRAJ_METHOD_MIXTURE},
                                                   {TRAJ_METHOD_COURSE, TRAJ_METHOD_MIXTURE_PLAN},
                                                   {best, TRAJ_METHOD_KALMAN},
                                                   {best, TRAJ_METHOD_WIENER}};
    for (size_t i = 0; i < TRAJ_RATIOS; i++) {
        enum traj_method a = pair[i][0], b = pair[i][1];
        if (!w->options->method[a] || !w->options->method[b]) {
            continue;
        }
        struct traj_ratio *r = &e->ratio[e->ratios++];
        r->over = a;
        r->under = b;
        r->per_target = w->per_target;
        if (bootstrap(g->count, square[a], bins[a], square[b], bins[b], w->options->resamples,
                      &r->ratio)) {
            return -1;
        }
    }
    return 0;
}

/* Arrays of one size of training set: per method what was decoded and each group's error. */
struct tables {
    struct traj_decoded *decoded[TRAJ_METHODS];
    double *square[TRAJ_METHODS], *bins[TRAJ_METHODS];
};

static void tables_free(struct tables *t)
{
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        traj_decoded_free(t->decoded[m]);
        free(t->square[m]);
        free(t->bins[m]);
    }
    memset(t, 0, sizeof *t);
}

static int tables_init(struct tables *t, const struct traj_session *s, const struct groups *g)
{
    memset(t, 0, sizeof *t);
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        t->decoded[m] = traj_decoded_new(s->bins, s->dim, s->targets);
        t->square[m] = calloc(g->count, sizeof(double));
        t->bins[m] = calloc(g->count, sizeof(double));
        if (!t->decoded[m] || !t->square[m] || !t->bins[m]) {
            tables_free(t);
            return -1;
        }
    }
    return 0;
}

/* One size of training set: all draws, then intervals and ratios. */
static int evaluate_size(struct traj_evaluation *e, struct draw *w, const struct traj_truth *truth,
                         const struct groups *g, struct traj_error *error)
{
    struct tables t;
    struct traj_result *first = e->result + e->results;
    if (tables_init(&t, w->session, g)) {
        return traj_error_set(error, "%s: not enough memory to evaluate", w->session->path);
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < w->options->seed_count; i++) {
        struct traj_folds folds;
        w->seed = w->options->seed[i];
        result = traj_folds_init(&folds, w->session, w->options->folds, w->seed, error);
        if (result == 0) {
            w->folds = &folds;
            e->by_trial = folds.by_trial;
            result = run_folds(w, t.decoded, error);
            w->folds = NULL;
        }
        if (result == 0) {
            result = score_draw(w, truth, g, t.decoded, first, t.square, t.bins, error);
        }
        traj_folds_free(&folds);
    }
    for (size_t m = 0; result == 0 && m < TRAJ_METHODS; m++) {
        if (w->options->method[m]) {
            result = bootstrap(g->count, t.square[m], t.bins[m], NULL, NULL, w->options->resamples,
                               &e->result[e->results].rmse);
            e->result[e->results].rmse.value = total_rmse(t.square[m], t.bins[m], g->count);
            e->results++;
        }
    }
    if (result == 0) {
        result = add_ratios(e, w, g, t.square, t.bins);
    }
    tables_free(&t);
    return result ? traj_error_set(error, "%s: not enough memory to evaluate", w->session->path)
                  : 0;
}

static size_t methods_chosen(const struct traj_evaluate_options *o)
{
    size_t count = 0;
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        count += o->method[m];
    }
    return count;
}

struct traj_evaluation *traj_evaluate(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error)
{
    struct traj_evaluate_options chosen = *options, *o = &chosen;
    if (!traj_session_is_cut(session) || !session->target)
        chosen.method[TRAJ_METHOD_COURSE] = false;
    struct traj_evaluation *e = calloc(1, sizeof *e);
    struct traj_truth *truth = traj_truth_new(session, error);
    struct groups g = {0};
    bool ready = false;
    if (e) {
        e->result = calloc(o->per_target_count * TRAJ_METHODS, sizeof *e->result);
        e->ratio = calloc(o->per_target_count * TRAJ_RATIOS, sizeof *e->ratio);
        ready = truth && e->result && e->ratio && groups_init(&g, session) == 0;
        e->folds = o->folds;
    }
    struct draw w = {.session = session, .options = o};
    w.total = methods_chosen(o) * o->folds * o->seed_count * o->per_target_count;
    for (size_t i = 0; ready && i < o->per_target_count; i++) {
        w.per_target = o->per_target[i];
        ready = evaluate_size(e, &w, truth, &g, error) == 0;
    }
    if (!ready) {
        traj_error_set(error, "%s: not enough memory to evaluate", session->path);
        traj_evaluation_free(e);
        e = NULL;
    }
    free(g.of_bin);
    free(g.keep);
    traj_truth_free(truth);
    return e;
}

void traj_evaluation_free(struct traj_evaluation *e)
{
    if (e) {
        free(e->result);
        free(e->ratio);
        free(e);
    }
}
