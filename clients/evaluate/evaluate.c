/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench: units of work, what becomes of their answers, and the result. */
#include "clients/evaluate/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/answer.h"
#include "clients/evaluate/contest.h"
#include "daemon/learn/model_file.h"

static const size_t all_trials = 0;
static const uint64_t usual_seed[] = {1, 2, 3, 4, 5};

const char *traj_condition_name(enum traj_condition condition)
{
    static const char *const name[TRAJ_CONDITIONS] = {
        "", "silent", "unobserved", "removed", "wrong prior", "adapted", "yesterday"};
    return condition < TRAJ_CONDITIONS ? name[condition] : "?";
}

void traj_evaluate_options_default(struct traj_evaluate_options *o)
{
    memset(o, 0, sizeof *o);
    o->folds = 5;
    o->per_target = &all_trials;
    o->per_target_count = 1;
    o->condition[TRAJ_CONDITION_PLAIN] = true;
    o->marks = true;
    o->from = NAN;
    o->resamples = 2000;
    o->program = "";
}

/* ---- the list of units ----------------------------------------------------------------------- */

static int choose_lists(struct traj_contest *b)
{
    const struct traj_evaluate_options *o = &b->options;
    bool curve = false;
    for (size_t i = 0; i < o->per_target_count; i++) {
        curve = curve || o->per_target[i] > 0;
    }
    b->draws = o->seed ? o->seed_count : curve ? sizeof usual_seed / sizeof usual_seed[0] : 1;
    b->seed = malloc((b->draws + 1) * sizeof *b->seed);
    b->method = malloc(traj_methods() * sizeof *b->method);
    if (!b->seed || !b->method) {
        return -1;
    }
    memcpy(b->seed, o->seed ? o->seed : usual_seed, b->draws * sizeof *b->seed);
    for (size_t i = 0; i < (o->method ? o->method_count : traj_methods()); i++) {
        size_t m = o->method ? o->method[i] : i;
        if (o->method || !traj_method_at(m).baseline) {
            b->method[b->methods++] = m;
        }
    }
    return 0;
}

/* Adds the runs of one amount of data; counts the units alone where run is NULL. */
static void list_size(struct traj_contest *b, size_t size, struct traj_run *run, size_t *runs,
                      size_t *units)
{
    size_t parts = traj_protocol_parts(&b->protocol, b->options.per_target[size]);
    for (size_t draw = 0; draw < b->draws; draw++) {
        for (int c = 0; c < TRAJ_CONDITIONS; c++) {
            for (size_t i = 0; i < b->methods; i++) {
                enum traj_condition condition = (enum traj_condition)c;
                if (!traj_contest_applies(b, condition, b->method[i])) {
                    continue;
                }
                if (run) {
                    run[*runs] = (struct traj_run){.size = size,
                                                   .draw = draw,
                                                   .method = b->method[i],
                                                   .condition = condition,
                                                   .first = *units,
                                                   .parts = parts,
                                                   .left = parts};
                }
                (*runs)++;
                *units += parts;
            }
        }
    }
}

static int list_units(struct traj_contest *b)
{
    for (size_t size = 0; size < b->options.per_target_count; size++) {
        list_size(b, size, NULL, &b->runs, &b->units);
    }
    b->run = calloc(b->runs + 1, sizeof *b->run);
    b->run_of = calloc(b->units + 1, sizeof *b->run_of);
    if (!b->run || !b->run_of) {
        return -1;
    }
    size_t runs = 0, units = 0;
    for (size_t size = 0; size < b->options.per_target_count; size++) {
        list_size(b, size, b->run, &runs, &units);
    }
    for (size_t r = 0; r < b->runs; r++) {
        for (size_t k = 0; k < b->run[r].parts; k++) {
            b->run_of[b->run[r].first + k] = r;
        }
    }
    return 0;
}

size_t traj_contest_units(const struct traj_contest *b)
{
    return b->units;
}

size_t traj_contest_method(const struct traj_contest *b, size_t unit)
{
    return b->run[b->run_of[unit]].method;
}

const char *traj_contest_name(const struct traj_contest *b, size_t unit, char *out, size_t cap)
{
    const struct traj_run *run = &b->run[b->run_of[unit]];
    size_t n = b->options.per_target[run->size];
    char amount[48] = "", part[48] = "";
    if (n > 0) {
        snprintf(amount, sizeof amount, ", %zu a target", n);
    }
    if (run->parts > 1) {
        snprintf(part, sizeof part, ", part %zu of %zu", unit - run->first + 1, run->parts);
    }
    snprintf(out, cap, "%s%s%s%s, seed %" PRIu64 "%s", traj_method_at(run->method).name,
             run->condition ? " " : "", traj_condition_name(run->condition), amount,
             b->seed[run->draw], part);
    return out;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void hash_array(struct traj_sha256 *sha, const void *data, size_t size)
{
    bool there = data && size > 0;
    traj_sha256_update(sha, &there, 1);
    if (there) {
        traj_sha256_update(sha, data, size);
    }
}

static void hash_session(struct traj_sha256 *sha, const struct traj_session *s)
{
    size_t size[] = {s->bins, s->units, s->features, s->samples, s->dim, s->trials, s->targets};
    hash_array(sha, size, sizeof size);
    hash_array(sha, s->counts, s->bins * s->units * sizeof *s->counts);
    hash_array(sha, s->feature, s->bins * s->features * sizeof *s->feature);
    hash_array(sha, s->t_end, s->bins * sizeof *s->t_end);
    hash_array(sha, s->dt, s->bins * sizeof *s->dt);
    hash_array(sha, s->unit_name, s->units * sizeof *s->unit_name);
    hash_array(sha, s->kin_t, s->samples * sizeof *s->kin_t);
    hash_array(sha, s->position, s->samples * s->dim * sizeof *s->position);
    hash_array(sha, s->velocity, s->samples * s->dim * sizeof *s->velocity);
    const double *times[] = {s->start, s->stop, s->go, s->move, s->rewarded};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        hash_array(sha, times[i], s->trials * sizeof(double));
    }
    hash_array(sha, s->target, s->trials * sizeof *s->target);
    hash_array(sha, s->target_position, s->targets * s->target_dim * sizeof(double));
}

static void hash_text(struct traj_sha256 *sha, const char *text)
{
    traj_sha256_update(sha, text, strlen(text) + 1);
}

static void digest(struct traj_contest *b)
{
    struct traj_sha256 sha;
    unsigned char bytes[TRAJ_SHA256_SIZE];
    traj_sha256_init(&sha);
    hash_text(&sha, "trajd evaluate 1");
    hash_text(&sha, b->options.program);
    hash_session(&sha, b->session);
    if (b->options.test) {
        hash_session(&sha, b->options.test);
    }
    if (b->options.yesterday) {
        hash_text(&sha, "yesterday");
        hash_session(&sha, b->options.yesterday);
    }
    traj_sha256_final(&sha, bytes);
    traj_sha256_hex(bytes, b->digest);
}

static bool loses_units(enum traj_condition condition)
{
    return condition == TRAJ_CONDITION_SILENT || condition == TRAJ_CONDITION_UNOBSERVED ||
           condition == TRAJ_CONDITION_REMOVED;
}

void traj_contest_key(const struct traj_contest *b, size_t unit, char hex[TRAJ_SHA256_HEX])
{
    const struct traj_run *run = &b->run[b->run_of[unit]];
    const struct traj_protocol *p = &b->protocol;
    uint64_t number[] = {p->folds,           p->missing_lead,   p->one_target_out,
                         p->test != NULL,    b->options.marks,  b->options.per_target[run->size],
                         b->seed[run->draw], unit - run->first, (uint64_t)run->condition};
    double share = loses_units(run->condition) ? b->options.lost_share : 0.0;
    struct traj_sha256 sha;
    unsigned char bytes[TRAJ_SHA256_SIZE];
    traj_sha256_init(&sha);
    hash_text(&sha, b->digest);
    hash_text(&sha, traj_method_at(run->method).name);
    traj_sha256_update(&sha, number, sizeof number);
    traj_sha256_update(&sha, &share, sizeof share);
    traj_sha256_final(&sha, bytes);
    traj_sha256_hex(bytes, hex);
}

/* ---- work ------------------------------------------------------------------------------------ */

static int lose(const struct traj_contest *b, const struct traj_run *run,
                struct traj_session *train, struct traj_session *test)
{
    static const enum traj_loss how[TRAJ_CONDITIONS] = {
        [TRAJ_CONDITION_SILENT] = TRAJ_UNITS_SILENT,
        [TRAJ_CONDITION_UNOBSERVED] = TRAJ_UNITS_UNOBSERVED,
        [TRAJ_CONDITION_REMOVED] = TRAJ_UNITS_REMOVED};
    if (!loses_units(run->condition) || test->units != train->units) {
        return 0;
    }
    bool *lost = calloc(test->units + 1, sizeof *lost);
    int result =
        lost ? traj_draw_units(test->units, b->options.lost_share, b->seed[run->draw], lost) : -1;
    if (result == 0) {
        traj_lose_units(test, lost, how[run->condition]);
        if (run->condition == TRAJ_CONDITION_REMOVED) {
            traj_lose_units(train, lost, TRAJ_UNITS_REMOVED);
        }
    }
    free(lost);
    return result;
}

int traj_contest_work(const struct traj_contest *b, size_t unit, struct traj_answer *answer,
                      struct traj_error *error)
{
    const struct traj_run *run = &b->run[b->run_of[unit]];
    uint64_t seed = b->seed[run->draw];
    struct traj_session *train, *test;
    struct traj_decoded *decoded = NULL;
    struct traj_error why = {0};
    int result = traj_protocol_split(&b->protocol, b->options.per_target[run->size], seed,
                                     unit - run->first, &train, &test, &why);
    if (result == 0 && traj_condition_begins_yesterday(run->condition) &&
        !b->yesterday[run->method].model) {
        why = b->yesterday[run->method].why;
    } else if (result == 0 && lose(b, run, train, test)) {
        traj_error_set(&why, "%s: not enough memory to lose units", b->session->path);
    } else if (result == 0) {
        struct traj_method_run how = {.trials = b->options.marks,
                                      .wrong_prior = run->condition == TRAJ_CONDITION_WRONG_PRIOR,
                                      .seed = seed};
        if (traj_condition_begins_yesterday(run->condition)) {
            how.from = b->yesterday[run->method].model;
            how.as_is = run->condition == TRAJ_CONDITION_YESTERDAY;
        }
        decoded = traj_method_decode(run->method, train, test, &how, &why);
    }
    result = traj_answer_make(answer, test ? test->t_end : NULL, decoded, why.text, error);
    traj_decoded_free(decoded);
    traj_session_free(train);
    traj_session_free(test);
    return result;
}

/* ---- what is scored -------------------------------------------------------------------------- */

static void scored_free(struct traj_scored *s)
{
    traj_session_free(s->session);
    traj_bins_free(&s->bins);
    memset(s, 0, sizeof *s);
}

/* The scored session of a run's draw; NULL with a sentence. */
static const struct traj_scored *scored_of(struct traj_contest *b, const struct traj_run *run,
                                           struct traj_error *error)
{
    struct traj_scored *x = &b->scored;
    if (x->session && x->size == run->size && x->draw == run->draw) {
        return x;
    }
    scored_free(x);
    x->size = run->size;
    x->draw = run->draw;
    x->session = traj_protocol_scored(&b->protocol, b->options.per_target[run->size],
                                      b->seed[run->draw], error);
    struct traj_window window = {b->options.from, b->options.movement};
    const struct traj_session *whole = b->options.test ? b->options.test : b->session;
    if (!x->session || traj_bins_init(&x->bins, x->session, whole, &window, error)) {
        scored_free(x);
        return NULL;
    }
    return x;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Scores a run all of whose parts have answered. */
static int score_run(struct traj_contest *b, struct traj_run *run, struct traj_error *error)
{
    const struct traj_scored *x = scored_of(b, run, error);
    if (!x) {
        return -1;
    }
    if (traj_score_bins(x->session, x->bins.truth, run->decoded, x->bins.keep, &run->score,
                        error)) {
        return -1;
    }
    if (traj_group_sums_init(&run->tally, x->session, x->bins.truth, run->decoded, x->bins.keep,
                             x->bins.group, b->groups)) {
        return traj_error_set(error, "%s: not enough memory to evaluate", b->session->path);
    }
    if (run->draw == 0 && run->condition == TRAJ_CONDITION_PLAIN &&
        run->size + 1 == b->options.per_target_count) {
        b->picture[run->method] = traj_picture_new(x->session, &x->bins, run->decoded);
    }
    traj_decoded_free(run->decoded);
    run->decoded = NULL;
    return 0;
}

int traj_contest_take(struct traj_contest *b, size_t unit, const struct traj_answer *answer,
                      struct traj_error *error)
{
    struct traj_run *run = &b->run[b->run_of[unit]];
    run->left--;
    b->taken++;
    if (run->failed[0]) {
        return 0;
    }
    if (traj_answer_failed(answer)) {
        traj_answer_reason(answer, run->failed, sizeof run->failed);
        traj_decoded_free(run->decoded);
        run->decoded = NULL;
        return 0;
    }
    const struct traj_scored *x = scored_of(b, run, error);
    if (!x) {
        return -1;
    }
    if (!run->decoded) {
        run->decoded =
            traj_decoded_new(x->session->bins, x->session->dim, traj_answer_targets(answer));
    }
    if (!run->decoded || traj_answer_place(answer, x->session, run->decoded)) {
        return traj_error_set(error, "%s: not enough memory to evaluate", b->session->path);
    }
    return run->left == 0 ? score_run(b, run, error) : 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

/*
 * The models of the other day, one a method: they are the same for every draw.  A method that the
 * other day cannot be learned by says so where its figures would stand, and the others go on.
 */
static int fit_yesterday(struct traj_contest *b, struct traj_error *error)
{
    struct traj_method_run how = {.trials = b->options.marks};
    b->yesterday = calloc(traj_methods(), sizeof *b->yesterday);
    if (!b->yesterday) {
        return traj_error_set(error, "%s: not enough memory to evaluate", b->session->path);
    }
    for (size_t i = 0; b->options.yesterday && i < b->methods; i++) {
        size_t m = b->method[i];
        if (traj_contest_applies(b, TRAJ_CONDITION_ADAPTED, m) ||
            traj_contest_applies(b, TRAJ_CONDITION_YESTERDAY, m)) {
            struct traj_yesterday *day = &b->yesterday[m];
            day->model = traj_method_fit(m, b->options.yesterday, &how, &day->why);
        }
    }
    return 0;
}

struct traj_contest *traj_contest_new(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error)
{
    struct traj_contest *b = calloc(1, sizeof *b);
    if (!b) {
        traj_error_set(error, "%s: not enough memory to evaluate", session->path);
        return NULL;
    }
    const struct traj_session *test = options->test ? options->test : session;
    b->session = session;
    b->options = *options;
    b->protocol = (struct traj_protocol){.session = session,
                                         .test = options->test,
                                         .folds = options->folds,
                                         .missing_lead = options->missing_lead,
                                         .one_target_out = options->one_target_out};
    int status = traj_protocol_check(&b->protocol, error);
    for (size_t i = 0; i < options->per_target_count && status == 0; i++) {
        status = traj_protocol_enough(&b->protocol, options->per_target[i], error);
    }
    if (status) {
        traj_contest_free(b);
        return NULL;
    }
    b->groups = traj_groups_of(test, &b->by_trial);
    digest(b);
    b->picture = calloc(traj_methods(), sizeof(struct traj_picture *));
    if (!b->picture || choose_lists(b) || list_units(b)) {
        traj_error_set(error, "%s: not enough memory to evaluate", session->path);
        traj_contest_free(b);
        return NULL;
    }
    if (fit_yesterday(b, error)) {
        traj_contest_free(b);
        return NULL;
    }
    return b;
}

void traj_contest_free(struct traj_contest *b)
{
    if (!b) {
        return;
    }
    for (size_t r = 0; b->run && r < b->runs; r++) {
        traj_decoded_free(b->run[r].decoded);
        traj_group_sums_free(&b->run[r].tally);
    }
    for (size_t m = 0; b->yesterday && m < traj_methods(); m++) {
        traj_model_free(b->yesterday[m].model);
    }
    traj_pictures_free(b->picture);
    free(b->yesterday);
    scored_free(&b->scored);
    free(b->run);
    free(b->run_of);
    free(b->seed);
    free(b->method);
    free(b);
}

struct traj_evaluation *traj_evaluate(const struct traj_session *session,
                                      const struct traj_evaluate_options *options,
                                      struct traj_error *error)
{
    struct traj_contest *b = traj_contest_new(session, options, error);
    struct traj_evaluation *e = NULL;
    bool going = b != NULL;
    for (size_t unit = 0; going && unit < b->units; unit++) {
        struct traj_answer answer = {0};
        going = traj_contest_work(b, unit, &answer, error) == 0 &&
                traj_contest_take(b, unit, &answer, error) == 0;
        free(answer.data);
    }
    if (going) {
        e = traj_contest_finish(b, error);
    }
    traj_contest_free(b);
    return e;
}
