/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The evaluation as JSON. */
#include <jansson.h>
#include <math.h>

#include "clients/evaluate/report.h"

/* JSON has no NaN: what cannot be computed is null. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *measure(const struct traj_measure *m)
{
    return json_pack("{s:o,s:o,s:o}", "value", number(m->value), "low", number(m->low), "high",
                     number(m->high));
}

static json_t *reliability(const struct traj_reliability *r)
{
    json_t *all = json_array();
    for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
        json_array_append_new(all, json_pack("{s:o,s:o,s:o}", "bins", number(r[k].count), "said",
                                             number(r[k].confidence / r[k].count), "right",
                                             number(r[k].right / r[k].count)));
    }
    return all;
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *row_json(const struct traj_evaluation *e, const struct traj_row *row)
{
    const struct traj_score *x = &row->score;
    json_t *all = json_object(), *target = json_object(), *draws = json_array();
    json_t *r2 = json_array();
    set(all, "method", json_string(traj_method_at(row->method).name));
    set(all, "condition", json_string(traj_condition_name(row->condition)));
    set(all, "trials_per_target", json_integer((json_int_t)row->per_target));
    if (row->failed[0]) {
        set(all, "failed", json_string(row->failed));
        json_decref(target);
        json_decref(draws);
        json_decref(r2);
        return all;
    }
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        char key[16];
        snprintf(key, sizeof key, "%.2f", traj_score_times[k]);
        set(target, key, number(x->target[k]));
    }
    for (size_t d = 0; d < e->draws; d++) {
        json_array_append_new(draws, number(row->draw_rmse[d]));
    }
    for (size_t d = 0; d < e->session->dim; d++) {
        json_array_append_new(r2, number(x->r2[d]));
    }
    set(all, "r2", r2);
    set(all, "frames", json_integer((json_int_t)x->frames));
    set(all, "missing", json_integer((json_int_t)x->missing));
    set(all, "excluded", json_integer((json_int_t)x->excluded));
    set(all, "rmse", measure(&row->stat[TRAJ_STAT_RMSE]));
    set(all, "rmse_by_draw", draws);
    set(all, e->by_trial ? "rmse_trial" : "rmse_stretch",
        measure(&row->stat[TRAJ_STAT_RMSE_GROUP]));
    set(all, "mvaf", measure(&row->stat[TRAJ_STAT_MVAF]));
    set(all, "velocity_mvaf", measure(&row->stat[TRAJ_STAT_VELOCITY_MVAF]));
    set(all, "velocity_angle", number(x->velocity_angle));
    set(all, "idle_speed", number(x->idle_speed));
    set(all, "velocity_lag", number(x->velocity_lag));
    set(all, "coverage50", number(x->coverage50));
    set(all, "coverage90", number(x->coverage90));
    set(all, "target", target);
    set(all, "wrong_end", number(x->wrong_end));
    set(all, "log_score", measure(&row->stat[TRAJ_STAT_LOG_SCORE]));
    set(all, "calibration_error", number(row->calibration));
    set(all, "reliability", reliability(x->reliability));
    return all;
}

static json_t *paired_json(const struct traj_paired *x)
{
    return json_pack("{s:I,s:o,s:o,s:o,s:o}", "groups", (json_int_t)x->groups, "difference",
                     measure(&x->difference), "ratio", measure(&x->ratio), "better",
                     number(x->better), "p", number(x->p));
}

static json_t *pair_json(const struct traj_evaluation *e, const struct traj_pair *pair)
{
    const struct traj_row *a = &e->row[pair->a], *b = &e->row[pair->b];
    char first[64], second[64];
    return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o}", "first", traj_row_name(a, first, sizeof first),
                     "second", traj_row_name(b, second, sizeof second), "trials_per_target",
                     (json_int_t)a->per_target, "position",
                     paired_json(&pair->of[TRAJ_PAIRED_POSITION]), "velocity",
                     paired_json(&pair->of[TRAJ_PAIRED_VELOCITY]), "log_score",
                     paired_json(&pair->of[TRAJ_PAIRED_LOG]));
}

void traj_evaluation_json(const struct traj_evaluation *e, FILE *out)
{
    json_t *all = json_object(), *rows = json_array(), *pairs = json_array(), *seeds = json_array();
    char sentence[2000];
    for (size_t i = 0; i < e->rows; i++) {
        json_array_append_new(rows, row_json(e, &e->row[i]));
    }
    for (size_t i = 0; i < e->pairs; i++) {
        json_array_append_new(pairs, pair_json(e, &e->pair[i]));
    }
    for (size_t d = 0; d < e->draws; d++) {
        json_array_append_new(seeds, json_integer((json_int_t)e->seed[d]));
    }
    set(all, "session", json_string(e->session->path));
    set(all, "test", e->test ? json_string(e->test->path) : json_null());
    set(all, "length_unit", json_string(e->session->length_unit));
    set(all, "protocol", json_string(traj_evaluation_sentence(e, sentence, sizeof sentence)));
    set(all, "paired_over", json_string(e->by_trial ? "trials" : "stretches of 5 s"));
    set(all, "seeds", seeds);
    set(all, "results", rows);
    set(all, "pairs", pairs);
    json_dumpf(all, out, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    fputc('\n', out);
    json_decref(all);
}
