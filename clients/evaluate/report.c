/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The evaluation as tables. */
#include "clients/evaluate/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

const char *traj_amount_name(size_t per_target, char *out, size_t cap)
{
    if (per_target == 0) {
        snprintf(out, cap, "all");
    } else {
        snprintf(out, cap, "%zu", per_target);
    }
    return out;
}

const char *traj_row_name(const struct traj_row *row, char *out, size_t cap)
{
    snprintf(out, cap, "%s%s%s", traj_method_at(row->method).name, row->condition ? " " : "",
             traj_condition_name(row->condition));
    return out;
}

/* How training and test sets were made. */
static void protocol_sentence(const struct traj_evaluation *e, char *out, size_t cap)
{
    const struct traj_evaluate_options *o = &e->options;
    bool curve = false, all = false;
    for (size_t i = 0; i < o->per_target_count; i++) {
        curve = curve || o->per_target[i] > 0;
        all = all || o->per_target[i] == 0;
    }
    if (o->test) {
        snprintf(out, cap, "trained on %s, tested on %s", e->session->path, o->test->path);
    } else if (o->one_target_out) {
        snprintf(out, cap, "each target's trials decoded without any of them in training");
    } else if (!e->by_trial) {
        snprintf(out, cap, "%zu folds of contiguous time", o->folds);
    } else if (curve) {
        snprintf(out, cap, "trained on n trials a target, tested on all others%s",
                 all ? " (all: by folds)" : "");
    } else {
        snprintf(out, cap, "%zu folds of trials", o->folds);
    }
}

const char *traj_evaluation_sentence(const struct traj_evaluation *e, char *out, size_t cap)
{
    const struct traj_evaluate_options *o = &e->options;
    const struct traj_session *test = e->test ? e->test : e->session;
    char how[1200], lead[80] = "", window[80] = "every bin";
    protocol_sentence(e, how, sizeof how);
    if (o->missing_lead > 0) {
        snprintf(lead, sizeof lead, "; the first 0 to %zu bins of each test trial are missing",
                 o->missing_lead);
    }
    if (o->movement) {
        snprintf(window, sizeof window, "bins from movement onset (else go cue, else start) on");
    } else if (!isnan(o->from) && test->trials > 0) {
        snprintf(window, sizeof window, "bins from %g s after their trial's start", o->from);
    }
    snprintf(out, cap, "%s%s%s; scored: %s; lengths in %s", how, lead,
             o->marks && test->trials > 0 ? "" : "; no trial marks", window,
             e->session->length_unit);
    return out;
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

static void row_head(const struct traj_row *row, FILE *out)
{
    char n[24], name[64];
    fprintf(out, "%5s  %-21s", traj_amount_name(row->per_target, n, sizeof n),
            traj_row_name(row, name, sizeof name));
}

static double deviation(const double *x, size_t count)
{
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < count; i++) {
        mean += x[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        square += (x[i] - mean) * (x[i] - mean);
    }
    return count > 1 ? sqrt(square / (double)(count - 1)) : NAN;
}

static void print_movement(const struct traj_evaluation *e, FILE *out)
{
    fprintf(out, "\n%5s  %-21s %7s %15s %6s %7s %6s %6s %6s %6s %6s\n", "n", "method", "rmse",
            "95 % interval", "draws", "rmse by", "mvaf", "vel", "angle", "idle", "lag");
    fprintf(out, "%5s  %-21s %7s %15s %6s %7s %6s %6s %6s %6s %6s\n", "", "", "", "", "sd",
            e->by_trial ? "trial" : "5 s", "", "mvaf", "deg", "%", "ms");
    for (size_t i = 0; i < e->rows; i++) {
        const struct traj_row *row = &e->row[i];
        row_head(row, out);
        if (row->failed[0]) {
            fprintf(out, " not fitted (see below)\n");
            continue;
        }
        column(out, 7, 2, row->stat[TRAJ_STAT_RMSE].value);
        fprintf(out, " [%6.2f,%6.2f]", row->stat[TRAJ_STAT_RMSE].low,
                row->stat[TRAJ_STAT_RMSE].high);
        column(out, 6, 2, deviation(row->draw_rmse, e->draws));
        column(out, 7, 2, row->stat[TRAJ_STAT_RMSE_GROUP].value);
        column(out, 6, 3, row->score.mvaf);
        column(out, 6, 3, row->score.velocity_mvaf);
        column(out, 6, 1, row->score.velocity_angle);
        column(out, 6, 1, row->score.idle_speed);
        column(out, 6, 0, row->score.velocity_lag);
        fprintf(out, "\n");
    }
}

static void print_posterior(const struct traj_evaluation *e, FILE *out)
{
    bool any = false;
    for (size_t i = 0; i < e->rows; i++) {
        any = any || (!e->row[i].failed[0] && isfinite(e->row[i].score.coverage90));
    }
    if (!any) {
        return;
    }
    fprintf(out, "\n%5s  %-21s %13s | %29s %7s %7s %6s\n", "n", "method", "region holds",
            "target right after s", "wrong", "log", "calib.");
    fprintf(out, "%5s  %-21s %6s %6s |", "", "", "50 %", "90 %");
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        fprintf(out, " %5.2f", traj_score_times[k]);
    }
    fprintf(out, " %7s %7s %6s\n", "end %", "score", "error");
    for (size_t i = 0; i < e->rows; i++) {
        const struct traj_row *row = &e->row[i];
        const struct traj_score *s = &row->score;
        if (row->failed[0] || !isfinite(s->coverage90)) {
            continue;
        }
        row_head(row, out);
        column(out, 6, 1, 100.0 * s->coverage50);
        column(out, 6, 1, 100.0 * s->coverage90);
        fprintf(out, " |");
        for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
            column(out, 5, 3, s->target[k]);
        }
        column(out, 7, 2, 100.0 * s->wrong_end);
        column(out, 7, 3, s->log_score);
        column(out, 6, 4, row->calibration);
        fprintf(out, "\n");
    }
}

/* Of the first method: what it said of the most probable target, and how often that was right. */
static void print_reliability(const struct traj_evaluation *e, FILE *out)
{
    bool headed = false;
    for (size_t i = 0; i < e->rows; i++) {
        const struct traj_row *row = &e->row[i];
        if (row->failed[0] || !isfinite(row->calibration) || row->method != e->row[0].method) {
            continue;
        }
        if (!headed) {
            fprintf(out,
                    "\nof bins whose most probable target had so much, it was the true one "
                    "in (share of bins)\n%5s  %-21s",
                    "n", "method");
            for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
                fprintf(out, "   .%zu-%s", k, k + 1 < TRAJ_RELIABILITY_BINS ? "" : "1");
            }
            fprintf(out, "\n");
            headed = true;
        }
        double all = 0.0;
        row_head(row, out);
        for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
            column(out, 6, 3, row->score.reliability[k].right / row->score.reliability[k].count);
            all += row->score.reliability[k].count;
        }
        fprintf(out, "\n%5s  %-21s", "", "  mean said");
        for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
            const struct traj_reliability *r = &row->score.reliability[k];
            column(out, 6, 3, r->confidence / r->count);
        }
        fprintf(out, "\n%5s  %-21s", "", "  share of bins");
        for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
            column(out, 6, 3, row->score.reliability[k].count / all);
        }
        fprintf(out, "\n");
    }
}

static void print_pairs(const struct traj_evaluation *e, FILE *out)
{
    if (e->pairs == 0) {
        return;
    }
    fprintf(out,
            "\npaired over %s: mean rmse by %s, first less second; ratio of rmse; of velocity "
            "too\n",
            e->by_trial ? "trials" : "stretches of 5 s", e->by_trial ? "trial" : "stretch");
    for (size_t i = 0; i < e->pairs; i++) {
        const struct traj_paired *x = &e->pair[i].of[TRAJ_PAIRED_POSITION];
        const struct traj_paired *v = &e->pair[i].of[TRAJ_PAIRED_VELOCITY];
        const struct traj_row *a = &e->row[e->pair[i].a], *b = &e->row[e->pair[i].b];
        char n[24], first[64], second[64], both[140];
        snprintf(both, sizeof both, "%s / %s", traj_row_name(a, first, sizeof first),
                 traj_row_name(b, second, sizeof second));
        fprintf(out, "%5s  %-30s %8.3f [%8.3f,%8.3f] p %-7.2g %.3f [%.3f,%.3f]",
                traj_amount_name(a->per_target, n, sizeof n), both, x->difference.value,
                x->difference.low, x->difference.high, x->p, x->ratio.value, x->ratio.low,
                x->ratio.high);
        if (isfinite(v->ratio.value)) {
            fprintf(out, " | p %-7.2g %.3f [%.3f,%.3f]", v->p, v->ratio.value, v->ratio.low,
                    v->ratio.high);
        }
        fprintf(out, "\n");
    }
}

static void print_failures(const struct traj_evaluation *e, FILE *out)
{
    for (size_t i = 0; i < e->rows; i++) {
        char n[24], name[64];
        if (e->row[i].failed[0]) {
            fprintf(out, "\n%s, n = %s: %s\n", traj_row_name(&e->row[i], name, sizeof name),
                    traj_amount_name(e->row[i].per_target, n, sizeof n), e->row[i].failed);
        }
    }
}

static void print_draws(const struct traj_evaluation *e, FILE *out)
{
    fprintf(out, "\nrmse by draw, seeds");
    for (size_t d = 0; d < e->draws; d++) {
        fprintf(out, " %" PRIu64, e->seed[d]);
    }
    fprintf(out, "\n");
    for (size_t i = 0; i < e->rows && e->draws > 1; i++) {
        if (!e->row[i].failed[0]) {
            row_head(&e->row[i], out);
            for (size_t d = 0; d < e->draws; d++) {
                column(out, 7, 2, e->row[i].draw_rmse[d]);
            }
            fprintf(out, "\n");
        }
    }
}

void traj_evaluation_print(const struct traj_evaluation *e, FILE *out)
{
    const struct traj_session *s = e->session;
    char sentence[2000];
    fprintf(out, "%s: %zu bins, %zu units, %zu features, %zu trials, %zu targets\n", s->path,
            s->bins, s->units, s->features, s->trials, s->targets);
    fprintf(out, "%s\n", traj_evaluation_sentence(e, sentence, sizeof sentence));
    for (size_t i = 0; i < e->rows; i++) {
        if (!e->row[i].failed[0] && e->row[i].score.excluded > 0) {
            fprintf(out, "%zu bins have no kinematics within 0.5 s and are not scored\n",
                    e->row[i].score.excluded);
            break;
        }
    }
    print_movement(e, out);
    print_posterior(e, out);
    print_reliability(e, out);
    print_pairs(e, out);
    print_draws(e, out);
    print_failures(e, out);
}
