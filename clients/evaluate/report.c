/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The evaluation as a table and as JSON. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "clients/evaluate/evaluate.h"

static void size_name(size_t per_target, char *out, size_t cap)
{
    if (per_target == 0) {
        snprintf(out, cap, "all");
    } else {
        snprintf(out, cap, "%zu", per_target);
    }
}

/* A number in its column, or a dash where there is none. */
static void column(FILE *out, int width, int decimals, double x)
{
    if (isfinite(x)) {
        fprintf(out, " %*.*f", width, decimals, x);
    } else {
        fprintf(out, " %*s", width, "-");
    }
}

void traj_evaluation_print(const struct traj_evaluation *e, const struct traj_session *s, FILE *out)
{
    fprintf(out,
            "%s: %zu bins, %zu units, %zu features, %zu trials, %zu targets; %zu folds by %s\n",
            s->path, s->bins, s->units, s->features, s->trials, s->targets, e->folds,
            e->by_trial ? "trial" : "block of time");
    fprintf(out,
            "movement: from movement onset (else go cue, else trial start) to trial stop; rmse in "
            "%s\n\n",
            s->length_unit);
    fprintf(out, "%5s  %-13s %7s %17s %7s %6s %6s %6s %6s | %7s %6s %6s %6s\n", "n", "method",
            "rmse", "95 % interval", "/trial", "mvaf", "vel", "angle", "target", "rmse", "mvaf",
            "vel", "idle%");
    fprintf(out, "%5s  %-13s %7s %17s %7s %6s %6s %6s %6s | %7s\n", "", "", "movement", "", "rmse",
            "", "mvaf", "deg", ".5 s", "all bins");
    for (size_t i = 0; i < e->results; i++) {
        const struct traj_result *r = &e->result[i];
        char n[24];
        size_name(r->per_target, n, sizeof n);
        fprintf(out, "%5s  %-13s", n, traj_method_name(r->method));
        column(out, 7, 2, r->rmse.value);
        fprintf(out, " [%7.2f,%7.2f]", r->rmse.low, r->rmse.high);
        column(out, 7, 2, r->movement.rmse_trial);
        column(out, 6, 3, r->movement.mvaf);
        column(out, 6, 3, r->movement.velocity_mvaf);
        column(out, 6, 1, r->movement.velocity_angle);
        column(out, 6, 3, r->movement.target[3]);
        fprintf(out, " |");
        column(out, 7, 2, r->all.rmse);
        column(out, 6, 3, r->all.mvaf);
        column(out, 6, 3, r->all.velocity_mvaf);
        column(out, 6, 1, r->all.idle_speed);
        fprintf(out, "\n");
    }
    fprintf(out, "\nratios of rmse over movement, paired over trials\n");
    for (size_t i = 0; i < e->ratios; i++) {
        const struct traj_ratio *r = &e->ratio[i];
        char n[24];
        size_name(r->per_target, n, sizeof n);
        fprintf(out, "%5s  %-13s / %-13s %6.3f [%6.3f,%6.3f]\n", n, traj_method_name(r->over),
                traj_method_name(r->under), r->ratio.value, r->ratio.low, r->ratio.high);
    }
}

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

static json_t *score(const struct traj_score *x)
{
    json_t *target = json_object();
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        char key[16];
        snprintf(key, sizeof key, "%.2f", traj_score_times[k]);
        json_object_set_new(target, key, number(x->target[k]));
    }
    return json_pack("{s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "frames",
                     (json_int_t)x->frames, "missing", (json_int_t)x->missing, "rmse",
                     number(x->rmse), "mvaf", number(x->mvaf), "rmse_trial", number(x->rmse_trial),
                     "velocity_mvaf", number(x->velocity_mvaf), "velocity_angle",
                     number(x->velocity_angle), "idle_speed", number(x->idle_speed), "velocity_lag",
                     number(x->velocity_lag), "coverage50", number(x->coverage50), "coverage90",
                     number(x->coverage90), "target", target);
}

void traj_evaluation_json(const struct traj_evaluation *e, const struct traj_session *s, FILE *out)
{
    json_t *results = json_array(), *ratios = json_array();
    for (size_t i = 0; i < e->results; i++) {
        const struct traj_result *r = &e->result[i];
        json_array_append_new(results, json_pack("{s:s,s:I,s:o,s:o,s:o}", "method",
                                                 traj_method_name(r->method), "trials_per_target",
                                                 (json_int_t)r->per_target, "rmse_movement",
                                                 measure(&r->rmse), "movement", score(&r->movement),
                                                 "all", score(&r->all)));
    }
    for (size_t i = 0; i < e->ratios; i++) {
        const struct traj_ratio *r = &e->ratio[i];
        json_array_append_new(ratios,
                              json_pack("{s:s,s:s,s:I,s:o}", "over", traj_method_name(r->over),
                                        "under", traj_method_name(r->under), "trials_per_target",
                                        (json_int_t)r->per_target, "ratio", measure(&r->ratio)));
    }
    json_t *all = json_pack("{s:s,s:s,s:I,s:s,s:o,s:o}", "session", s->path, "length_unit",
                            s->length_unit, "folds", (json_int_t)e->folds, "folds_by",
                            e->by_trial ? "trial" : "block", "results", results, "ratios", ratios);
    json_dumpf(all, out, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    fputc('\n', out);
    json_decref(all);
}
