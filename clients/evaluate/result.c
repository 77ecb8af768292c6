/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the scored runs of a bench say: means over draws, intervals, pairs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/contest.h"

/* ---- the result ------------------------------------------------------------------------------ */

static const size_t mean_fields[] = {
    offsetof(struct traj_score, rmse),          offsetof(struct traj_score, mvaf),
    offsetof(struct traj_score, velocity_mvaf), offsetof(struct traj_score, velocity_angle),
    offsetof(struct traj_score, idle_speed),    offsetof(struct traj_score, velocity_lag),
    offsetof(struct traj_score, rmse_trial),    offsetof(struct traj_score, coverage50),
    offsetof(struct traj_score, coverage90),    offsetof(struct traj_score, wrong_end),
    offsetof(struct traj_score, log_score),     offsetof(struct traj_score, calibration)};

static double mean_field(struct traj_run *const *run, size_t draws, size_t offset)
{
    double sum = 0.0, count = 0.0;
    for (size_t i = 0; i < draws; i++) {
        double x = *(const double *)(const void *)((const char *)&run[i]->score + offset);
        sum += isfinite(x) ? x : 0.0;
        count += isfinite(x);
    }
    return count > 0.0 ? sum / count : NAN;
}

/* Means over draws; the reliability table is summed, because a single draw's is thin. */
static void mean_score(struct traj_run *const *run, size_t draws, struct traj_score *out)
{
    *out = run[0]->score;
    for (size_t k = 0; k < sizeof mean_fields / sizeof mean_fields[0]; k++) {
        *(double *)(void *)((char *)out + mean_fields[k]) = mean_field(run, draws, mean_fields[k]);
    }
    for (size_t d = 0; d < TRAJ_DIM_MAX; d++) {
        out->r2[d] = mean_field(run, draws, offsetof(struct traj_score, r2) + d * sizeof(double));
    }
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        out->target[k] =
            mean_field(run, draws, offsetof(struct traj_score, target) + k * sizeof(double));
    }
    for (size_t i = 1; i < draws; i++) {
        out->missing += run[i]->score.missing;
        for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
            const struct traj_reliability *more = &run[i]->score.reliability[k];
            out->reliability[k].count += more->count;
            out->reliability[k].confidence += more->confidence;
            out->reliability[k].right += more->right;
        }
    }
}

/* The runs of a row, one a draw. */
static void runs_of(struct traj_contest *b, size_t size, enum traj_condition condition,
                    size_t method, struct traj_run **out)
{
    for (size_t r = 0; r < b->runs; r++) {
        struct traj_run *run = &b->run[r];
        if (run->size == size && run->condition == condition && run->method == method) {
            out[run->draw] = run;
        }
    }
}

static int fill_row(struct traj_contest *b, size_t size, struct traj_row *row,
                    struct traj_run **run, const struct traj_group_sums **tally)
{
    row->per_target = b->options.per_target[size];
    row->draw_rmse = calloc(b->draws, sizeof *row->draw_rmse);
    runs_of(b, size, row->condition, row->method, run);
    for (size_t i = 0; i < b->draws; i++) {
        if (!run[i]) {
            return -1; /* cannot be: every row has a run for each draw */
        }
        tally[i] = &run[i]->tally;
        if (run[i]->failed[0] && !row->failed[0]) {
            memcpy(row->failed, run[i]->failed, sizeof row->failed);
        }
    }
    if (!row->draw_rmse || row->failed[0]) {
        return row->draw_rmse ? 0 : -1;
    }
    mean_score(run, b->draws, &row->score);
    row->calibration = traj_calibration_error(row->score.reliability);
    for (size_t i = 0; i < b->draws; i++) {
        row->draw_rmse[i] = run[i]->score.rmse;
    }
    return traj_bootstrap(tally, b->draws, b->options.resamples, row->stat);
}

/* The row that another is compared with: the first method's, or the condition that is the norm. */
static size_t norm_of(const struct traj_evaluation *e, size_t first, size_t i)
{
    const struct traj_row *row = &e->row[i];
    static const enum traj_condition norm_of_condition[TRAJ_CONDITIONS] = {
        [TRAJ_CONDITION_SILENT] = TRAJ_CONDITION_REMOVED,
        [TRAJ_CONDITION_UNOBSERVED] = TRAJ_CONDITION_REMOVED,
        [TRAJ_CONDITION_REMOVED] = TRAJ_CONDITION_REMOVED};
    enum traj_condition norm = norm_of_condition[row->condition]; /* plain for all others */
    bool other = norm != row->condition;
    for (size_t k = first; k < e->rows; k++) {
        const struct traj_row *candidate = &e->row[k];
        if (other ? candidate->condition == norm && candidate->method == row->method
                  : candidate->condition == row->condition) {
            return k;
        }
    }
    return i;
}

/* Pairs among the rows from `first` on, which are those of one amount of data. */
static int add_pairs(struct traj_contest *b, struct traj_evaluation *e, size_t size, size_t first,
                     const struct traj_group_sums **tally, struct traj_run **run)
{
    const struct traj_group_sums **other = tally + b->draws;
    for (size_t i = first; i < e->rows; i++) {
        const struct traj_row *row = &e->row[i];
        size_t norm = norm_of(e, first, i);
        if (norm == i || row->failed[0] || e->row[norm].failed[0]) {
            continue;
        }
        /* The first method against each other one; a condition against its norm. */
        bool same = e->row[norm].condition == row->condition;
        struct traj_pair *pair = &e->pair[e->pairs++];
        pair->a = same ? norm : i;
        pair->b = same ? i : norm;
        runs_of(b, size, e->row[pair->a].condition, e->row[pair->a].method, run);
        for (size_t d = 0; d < b->draws; d++) {
            tally[d] = &run[d]->tally;
        }
        runs_of(b, size, e->row[pair->b].condition, e->row[pair->b].method, run);
        for (size_t d = 0; d < b->draws; d++) {
            other[d] = &run[d]->tally;
        }
        if (traj_compare(tally, other, b->draws, b->options.resamples, pair->of)) {
            return -1;
        }
    }
    return 0;
}

static int fill(struct traj_contest *b, struct traj_evaluation *e)
{
    struct traj_run **run = calloc(b->draws, sizeof(struct traj_run *));
    const struct traj_group_sums **tally = calloc(2 * b->draws, sizeof(struct traj_group_sums *));
    int result = run && tally ? 0 : -1;
    for (size_t size = 0; result == 0 && size < b->options.per_target_count; size++) {
        size_t first = e->rows;
        for (int c = 0; result == 0 && c < TRAJ_CONDITIONS; c++) {
            for (size_t i = 0; result == 0 && i < b->methods; i++) {
                if (!traj_contest_applies(b, (enum traj_condition)c, b->method[i])) {
                    continue;
                }
                struct traj_row *row = &e->row[e->rows++];
                row->method = b->method[i];
                row->condition = (enum traj_condition)c;
                result = fill_row(b, size, row, run, tally);
            }
        }
        result = result ? result : add_pairs(b, e, size, first, tally, run);
    }
    free(run);
    free(tally);
    return result;
}

void traj_pictures_free(struct traj_picture **picture)
{
    for (size_t m = 0; picture && m < traj_methods(); m++) {
        traj_picture_free(picture[m]);
    }
    free(picture);
}

struct traj_evaluation *traj_contest_finish(struct traj_contest *b, struct traj_error *error)
{
    struct traj_evaluation *e = calloc(1, sizeof *e);
    size_t rows = b->options.per_target_count * TRAJ_CONDITIONS * b->methods;
    if (b->taken < b->units) {
        traj_error_set(error, "%s: %zu of %zu units of work are done", b->session->path, b->taken,
                       b->units);
        free(e);
        return NULL;
    }
    if (e) {
        e->session = b->session;
        e->test = b->options.test;
        e->options = b->options;
        e->draws = b->draws;
        e->by_trial = b->by_trial;
        e->seed = calloc(b->draws + 1, sizeof *e->seed);
        e->row = calloc(rows + 1, sizeof *e->row);
        e->pair = calloc(rows + 1, sizeof *e->pair);
    }
    if (!e || !e->seed || !e->row || !e->pair || fill(b, e)) {
        traj_error_set(error, "%s: not enough memory to evaluate", b->session->path);
        traj_evaluation_free(e);
        return NULL;
    }
    memcpy(e->seed, b->seed, b->draws * sizeof *e->seed);
    e->picture = b->picture;
    b->picture = NULL;
    return e;
}

void traj_evaluation_free(struct traj_evaluation *e)
{
    if (!e) {
        return;
    }
    for (size_t i = 0; e->row && i < e->rows; i++) {
        free(e->row[i].draw_rmse);
    }
    traj_pictures_free(e->picture);
    free(e->seed);
    free(e->row);
    free(e->pair);
    free(e);
}
