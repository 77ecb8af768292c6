/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Training and test sets of an evaluation; see protocol.h. */
#include "clients/evaluate/protocol.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAD_S 1e-3 /* a span begins this much before its trial, so that rounding loses no bin */

/* Streams of random numbers that one seed gives, so that no draw repeats another's. */
enum purpose { DRAW_TRIALS, DRAW_LEADS, DRAW_UNITS, PURPOSES };

enum role { NEITHER, TRAIN, TEST };

static gsl_rng *make_rng(uint64_t seed, enum purpose purpose)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng) {
        gsl_rng_set(rng, (unsigned long)(seed * PURPOSES + (uint64_t)purpose));
    }
    return rng;
}

static int no_memory(const struct traj_session *s, struct traj_error *error)
{
    return traj_error_set(error, "%s: not enough memory for the evaluation", s->path);
}

static int32_t target_of(const struct traj_session *s, size_t trial)
{
    return s->target ? s->target[trial] : -1;
}

static size_t trials_of(const struct traj_session *s, int32_t target)
{
    size_t count = 0;
    for (size_t r = 0; r < s->trials; r++) {
        count += target_of(s, r) == target;
    }
    return count;
}

/* All trials in an order that depends on the seed alone. */
static size_t *shuffled(size_t trials, uint64_t seed)
{
    size_t *order = malloc((trials ? trials : 1) * sizeof *order);
    gsl_rng *rng = make_rng(seed, DRAW_TRIALS);
    if (order && rng) {
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

/* ---- which trials ---------------------------------------------------------------------------- */

/* The target that part k leaves out: the k-th that has trials. */
static int32_t target_of_part(const struct traj_session *s, size_t k)
{
    for (int32_t m = 0; m < (int32_t)s->targets; m++) {
        if (trials_of(s, m) > 0 && k-- == 0) {
            return m;
        }
    }
    return -1;
}

/* Takes the first per_target candidates of each target (0 = all) in the order; others are TEST or
 * NEITHER as told. */
static void choose_training(const struct traj_session *s, const size_t *order, size_t per_target,
                            enum role rest, const bool *candidate, enum role *role)
{
    for (int32_t m = -1; m < (int32_t)s->targets; m++) {
        size_t taken = 0;
        for (size_t i = 0; i < s->trials; i++) {
            size_t r = order[i];
            if (target_of(s, r) != m || !candidate[r]) {
                continue;
            }
            bool take = per_target == 0 || taken < per_target;
            role[r] = take ? TRAIN : rest;
            taken += take;
        }
    }
}

/* Deals the trials of each target to the folds in turn, in the order; marks those of fold k. */
static void deal(const struct traj_session *s, const size_t *order, size_t folds, size_t k,
                 bool *held)
{
    for (int32_t m = -1; m < (int32_t)s->targets; m++) {
        size_t dealt = m < 0 ? 0 : (size_t)m; /* targets begin at different folds, for balance */
        for (size_t i = 0; i < s->trials; i++) {
            if (target_of(s, order[i]) == m) {
                held[order[i]] = dealt++ % folds == k;
            }
        }
    }
}

/* Edge b of the blocks of an unbroken session, b = 0..folds. */
static double block_edge(const struct traj_protocol *p, size_t b)
{
    const struct traj_session *s = p->session;
    double first = s->t_end[0] - s->dt[0], last = s->t_end[s->bins - 1];
    if (b == 0 || b >= p->folds) {
        return b == 0 ? first - LEAD_S : last + LEAD_S;
    }
    if (s->trials >= p->folds) {
        return s->start[b * s->trials / p->folds] - LEAD_S;
    }
    return first + (last - first) * (double)b / (double)p->folds;
}

/* Trials that start within block k. */
static void held_by_block(const struct traj_protocol *p, size_t k, bool *held)
{
    for (size_t r = 0; r < p->session->trials; r++) {
        double t = p->session->start[r];
        held[r] = t > block_edge(p, k) && t <= block_edge(p, k + 1);
    }
}

/* Whether the parts of a draw are blocks of time. */
static bool by_blocks(const struct traj_protocol *p)
{
    return !p->test && !p->one_target_out && traj_session_is_unbroken(p->session);
}

/* Every trial's role in part k; 0, or -1 when memory is short. */
static int assign(const struct traj_protocol *p, size_t per_target, uint64_t seed, size_t k,
                  enum role *role)
{
    const struct traj_session *s = p->session;
    size_t *order = shuffled(s->trials, seed);
    bool *held = calloc(s->trials + 1, sizeof *held);
    bool drawn = per_target > 0 && !p->one_target_out && !by_blocks(p); /* tested on all others */
    if (!order || !held) {
        free(order);
        free(held);
        return -1;
    }
    if (p->one_target_out) {
        int32_t out = target_of_part(s, k);
        for (size_t r = 0; r < s->trials; r++) {
            held[r] = target_of(s, r) == out;
        }
    } else if (by_blocks(p)) {
        held_by_block(p, k, held);
    } else if (per_target == 0 && !p->test) {
        deal(s, order, p->folds, k, held);
    }
    for (size_t r = 0; r < s->trials; r++) {
        role[r] = held[r] ? TEST : NEITHER;
        held[r] = !held[r]; /* from here on: may be trained on */
    }
    choose_training(s, order, per_target, drawn ? TEST : NEITHER, held, role);
    free(order);
    free(held);
    return 0;
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* The part of `from` that belongs to the trials of a role, whose spans are those of the whole
 * session; in an unbroken one a trial's span lasts until the next trial. */
static struct traj_session *cut_trials(const struct traj_session *whole,
                                       const struct traj_session *from, const enum role *role,
                                       enum role wanted, struct traj_error *error)
{
    struct traj_span *span = calloc(whole->trials + 1, sizeof *span);
    size_t count = 0;
    bool unbroken = traj_session_is_unbroken(whole);
    if (!span) {
        no_memory(whole, error);
        return NULL;
    }
    for (size_t r = 0; r < whole->trials; r++) {
        if (role[r] != wanted) {
            continue;
        }
        bool last = r + 1 == whole->trials;
        double next = last ? INFINITY : whole->start[r + 1] - LEAD_S;
        double end = whole->stop[r] + LEAD_S < next ? whole->stop[r] + LEAD_S : next;
        span[count++] = (struct traj_span){whole->start[r] - LEAD_S, unbroken ? next : end};
    }
    struct traj_session *cut = NULL;
    if (count > 0) {
        cut = traj_session_cut(from, span, count, error);
    } else {
        traj_error_set(error, "%s: no trials are left to %s on", whole->path,
                       wanted == TRAIN ? "train" : "test");
    }
    free(span);
    return cut;
}

/* Everything outside a block of time, or inside. */
static struct traj_session *cut_block(const struct traj_protocol *p, size_t k, bool inside,
                                      struct traj_error *error)
{
    struct traj_span span[2];
    size_t count = 0;
    double from = block_edge(p, k), to = block_edge(p, k + 1);
    if (inside) {
        span[count++] = (struct traj_span){from, to};
    } else {
        if (k > 0) {
            span[count++] = (struct traj_span){block_edge(p, 0), from};
        }
        if (k + 1 < p->folds) {
            span[count++] = (struct traj_span){to, block_edge(p, p->folds)};
        }
    }
    return traj_session_cut(p->session, span, count, error);
}

static struct traj_session *copy(const struct traj_session *s, struct traj_error *error)
{
    struct traj_span all = {-INFINITY, INFINITY};
    return traj_session_cut(s, &all, 1, error);
}

/* ---- the protocol ---------------------------------------------------------------------------- */

int traj_protocol_check(const struct traj_protocol *p, struct traj_error *error)
{
    const struct traj_session *s = p->session, *t = p->test ? p->test : s;
    if (s->bins == 0 || s->samples == 0 || t->bins == 0 || t->samples == 0) {
        return traj_error_set(error, "%s: evaluation needs both /frames and /kinematics",
                              s->bins == 0 || s->samples == 0 ? s->path : t->path);
    }
    if (s->dim != t->dim) {
        return traj_error_set(error, "%s: /kinematics/position has %zu columns, %s has %zu",
                              t->path, t->dim, s->path, s->dim);
    }
    if (p->missing_lead > 0 && traj_session_is_unbroken(t)) {
        return traj_error_set(error,
                              "%s: leading bins can only be missing where trials were cut out of "
                              "a recording",
                              t->path);
    }
    if (p->one_target_out && (p->test || target_of_part(s, 1) < 0)) {
        return traj_error_set(error,
                              "%s: to leave one target out needs trials to two targets or more, "
                              "and no second session",
                              s->path);
    }
    bool trials = !traj_session_is_unbroken(s);
    if (!p->test && !p->one_target_out &&
        (p->folds < 2 || (trials ? s->trials : s->bins) < 2 * p->folds)) {
        return traj_error_set(error, "%s: %zu folds are not possible with %zu trials and %zu bins",
                              s->path, p->folds, s->trials, s->bins);
    }
    return 0;
}

size_t traj_protocol_parts(const struct traj_protocol *p, size_t per_target)
{
    size_t parts = 0;
    if (p->one_target_out) {
        while (target_of_part(p->session, parts) >= 0) {
            parts++;
        }
        return parts;
    }
    return p->test || (per_target > 0 && !by_blocks(p)) ? 1 : p->folds;
}

/* Marks what part k tests on whatever is drawn. */
static void held_always(const struct traj_protocol *p, size_t k, bool *held)
{
    const int32_t out = p->one_target_out ? target_of_part(p->session, k) : -1;
    if (by_blocks(p)) {
        held_by_block(p, k, held);
    }
    for (size_t r = 0; p->one_target_out && r < p->session->trials; r++) {
        held[r] = target_of(p->session, r) == out;
    }
}

int traj_protocol_trials(const struct traj_protocol *p, size_t *fewest, size_t *most)
{
    const struct traj_session *s = p->session;
    bool *held = calloc(s->trials + 1, sizeof *held);
    if (!held) {
        return -1;
    }
    /* Trials whose target is not known count where none is known. */
    const int32_t first = trials_of(s, -1) < s->trials ? 0 : -1;
    *fewest = *most = s->trials;
    for (size_t k = 0; k < traj_protocol_parts(p, 1); k++) {
        size_t greatest = 0;
        held_always(p, k, held);
        for (int32_t m = first; m < (int32_t)s->targets; m++) {
            const bool left_out = p->one_target_out && m == target_of_part(s, k);
            size_t there = 0;
            for (size_t r = 0; r < s->trials; r++) {
                there += target_of(s, r) == m && !held[r];
            }
            if (trials_of(s, m) > 0 && !left_out && there < *fewest) {
                *fewest = there;
            }
            greatest = there > greatest ? there : greatest;
        }
        *most = greatest < *most ? greatest : *most;
    }
    free(held);
    return 0;
}

int traj_protocol_enough(const struct traj_protocol *p, size_t per_target, struct traj_error *error)
{
    size_t fewest, most;
    if (per_target == 0) {
        return 0;
    }
    if (traj_protocol_trials(p, &fewest, &most)) {
        return no_memory(p->session, error);
    }
    if (per_target <= most) {
        return 0;
    }
    return traj_error_set(error,
                          "%s: there are no %zu trials of each target to train on: no target has "
                          "more than %zu outside the test",
                          p->session->path, per_target, most);
}

int traj_protocol_split(const struct traj_protocol *p, size_t per_target, uint64_t seed, size_t k,
                        struct traj_session **train, struct traj_session **test,
                        struct traj_error *error)
{
    const struct traj_session *s = p->session;
    *train = *test = NULL;
    if (by_blocks(p)) {
        *test = cut_block(p, k, true, error);
    } else if (p->test) {
        *test = traj_without_leads(p->test, p->missing_lead, seed, error);
    }
    enum role *role = calloc(s->trials + 1, sizeof *role);
    if (!role || assign(p, per_target, seed, k, role)) {
        no_memory(s, error);
    } else if (per_target == 0 && p->test) {
        *train = copy(s, error);
    } else if (per_target == 0 && by_blocks(p)) {
        *train = cut_block(p, k, false, error);
    } else {
        *train = cut_trials(s, s, role, TRAIN, error);
    }
    if (role && *train && !*test) {
        struct traj_session *late = traj_without_leads(s, p->missing_lead, seed, error);
        *test = late ? cut_trials(s, late, role, TEST, error) : NULL;
        traj_session_free(late);
    }
    free(role);
    if (!*train || !*test) {
        traj_session_free(*train);
        traj_session_free(*test);
        *train = *test = NULL;
        return -1;
    }
    return 0;
}

struct traj_session *traj_protocol_scored(const struct traj_protocol *p, size_t per_target,
                                          uint64_t seed, struct traj_error *error)
{
    const struct traj_session *s = p->session;
    if (p->test || by_blocks(p)) {
        return traj_without_leads(p->test ? p->test : s, p->missing_lead, seed, error);
    }
    size_t parts = traj_protocol_parts(p, per_target);
    enum role *role = calloc(s->trials + 1, sizeof *role);
    enum role *any = calloc(s->trials + 1, sizeof *any);
    int result = role && any ? 0 : -1;
    for (size_t k = 0; result == 0 && k < parts; k++) {
        result = assign(p, per_target, seed, k, role);
        for (size_t r = 0; r < s->trials; r++) {
            any[r] = role[r] == TEST ? TEST : any[r];
        }
    }
    struct traj_session *late = result ? NULL : traj_without_leads(s, p->missing_lead, seed, error);
    struct traj_session *scored = late ? cut_trials(s, late, any, TEST, error) : NULL;
    if (result) {
        no_memory(s, error);
    }
    traj_session_free(late);
    free(role);
    free(any);
    return scored;
}

/* ---- what is done to a test ------------------------------------------------------------------ */

/* Closes the rows of bins that are not kept. */
static void keep_bins(struct traj_session *s, const bool *keep)
{
    size_t n = 0;
    for (size_t i = 0; i < s->bins; i++) {
        if (!keep[i]) {
            continue;
        }
        s->t_end[n] = s->t_end[i];
        s->dt[n] = s->dt[i];
        if (s->units > 0) {
            memmove(s->counts + n * s->units, s->counts + i * s->units,
                    s->units * sizeof *s->counts);
        }
        if (s->features > 0) {
            memmove(s->feature + n * s->features, s->feature + i * s->features,
                    s->features * sizeof *s->feature);
        }
        n++;
    }
    s->bins = n;
}

struct traj_session *traj_without_leads(const struct traj_session *whole, size_t most,
                                        uint64_t seed, struct traj_error *error)
{
    struct traj_session *s = copy(whole, error);
    if (!s || most == 0) {
        return s;
    }
    bool *keep = malloc(s->bins * sizeof *keep);
    gsl_rng *rng = make_rng(seed, DRAW_LEADS);
    if (!keep || !rng) {
        no_memory(whole, error);
        traj_session_free(s);
        s = NULL;
    }
    for (size_t i = 0; s && i < s->bins; i++) {
        keep[i] = true;
    }
    for (size_t r = 0, i = 0; s && r < s->trials; r++) {
        size_t lost = gsl_rng_uniform_int(rng, (unsigned long)most + 1), trial = r;
        while (i < s->bins && whole->t_end[i] <= whole->start[r] + 1e-6) {
            i++;
        }
        size_t first = i;
        while (i < s->bins && traj_session_trial_at(whole, whole->t_end[i]) == trial) {
            i++;
        }
        for (size_t j = first; lost > 0 && j + 1 < i && j < first + lost; j++) {
            keep[j] = false;
            s->start[r] = whole->t_end[j + 1] - whole->dt[j + 1];
        }
    }
    if (s) {
        keep_bins(s, keep);
    }
    free(keep);
    gsl_rng_free(rng);
    return s;
}

int traj_draw_units(size_t units, double share, uint64_t seed, bool *lost)
{
    size_t *order = malloc((units + 1) * sizeof *order);
    size_t count = (size_t)lround(share * (double)units);
    gsl_rng *rng = make_rng(seed, DRAW_UNITS);
    int result = order && rng ? 0 : -1;
    for (size_t n = 0; result == 0 && n < units; n++) {
        order[n] = n;
        lost[n] = false;
    }
    if (result == 0 && units > 0) {
        gsl_ran_shuffle(rng, order, units, sizeof *order);
    }
    for (size_t i = 0; result == 0 && i < count && i + 1 < units; i++) {
        lost[order[i]] = true;
    }
    free(order);
    gsl_rng_free(rng);
    return result;
}

void traj_lose_units(struct traj_session *s, const bool *lost, enum traj_loss how)
{
    size_t left = 0;
    for (size_t n = 0; n < s->units; n++) {
        left += !lost[n];
    }
    for (size_t i = 0; i < s->bins; i++) {
        const uint16_t *from = s->counts + i * s->units;
        uint16_t *to = s->counts + i * (how == TRAJ_UNITS_REMOVED ? left : s->units);
        for (size_t n = 0, k = 0; n < s->units; n++) {
            if (how != TRAJ_UNITS_REMOVED) {
                to[n] = !lost[n] ? from[n] : how == TRAJ_UNITS_SILENT ? 0 : TRAJ_COUNT_MISSING;
            } else if (!lost[n]) {
                to[k++] = from[n];
            }
        }
    }
    if (how != TRAJ_UNITS_REMOVED) {
        return;
    }
    for (size_t n = 0, k = 0; s->unit_name && n < s->units; n++) {
        if (!lost[n]) {
            memmove(s->unit_name[k++], s->unit_name[n], TRAJ_ID_SIZE);
        }
    }
    s->units = left;
}
