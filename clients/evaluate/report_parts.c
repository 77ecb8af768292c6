/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report shows below its figures. */
#include "clients/evaluate/report_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "clients/evaluate/page.h"
#include "clients/evaluate/picture.h"
#include "clients/evaluate/tuning.h"
#include "daemon/learn/model_file.h"
#include "traj/version.h"

#define PI 3.14159265358979323846

/* ---- one run, drawn -------------------------------------------------------------------------- */

static void trajectories(const struct traj_evaluation *e, const struct traj_picture *x,
                         const char *method, FILE *out)
{
    char title[160];
    const struct traj_session *s = e->session;
    snprintf(title, sizeof title, "trajectories: true (grey) and decoded by %s", method);
    struct plot p = {.title = title,
                     .x_name = s->length_unit,
                     .y_name = s->length_unit,
                     .x_low = INFINITY,
                     .x_high = -INFINITY,
                     .y_low = INFINITY,
                     .y_high = -INFINITY,
                     .square = true};
    if (x->paths == 0) {
        return;
    }
    for (size_t i = 0; i < x->paths; i++) {
        for (size_t k = 0; k < x->path[i].points; k++) {
            plot_hold(&p.x_low, &p.x_high, x->path[i].truth[2 * k]);
            plot_hold(&p.y_low, &p.y_high, x->path[i].truth[2 * k + 1]);
            plot_hold(&p.x_low, &p.x_high, x->path[i].decoded[2 * k]);
            plot_hold(&p.y_low, &p.y_high, x->path[i].decoded[2 * k + 1]);
        }
    }
    plot_begin(&p, out);
    for (size_t t = 0; t < s->targets && s->target_dim >= 2; t++) {
        const double *at = s->target_position + t * s->target_dim;
        plot_dot(&p, at[0], at[1], 6.0, (int)t % PAGE_COLOURS, s->target_id[t], out);
    }
    for (int decoded = 0; decoded < 2; decoded++) {
        for (size_t i = 0; i < x->paths; i++) {
            const struct traj_picture_path *path = &x->path[i];
            int colour = path->target == (size_t)-1 ? 0 : (int)(path->target % PAGE_COLOURS);
            plot_line(&p, decoded ? path->decoded : path->truth, path->points,
                      decoded ? colour : -1, decoded ? 1.4 : 1.2, NULL, 0, out);
        }
    }
    plot_end(out);
}

/* sqrt of the mean squared error of an interval, or the share of right targets; NaN where less than
 * a tenth of the best filled interval's bins are. */
static double of_time(const struct traj_picture *x, size_t k, bool error)
{
    double most = 0.0;
    for (size_t i = 0; i < TRAJ_PICTURE_TIMES; i++) {
        most = fmax(most, x->time[i].bins);
    }
    const struct traj_picture_time *t = &x->time[k];
    if (!(t->bins > 0.1 * most)) {
        return NAN;
    }
    return error ? sqrt(t->squares / t->bins) : t->answers > 0.0 ? t->right / t->answers : NAN;
}

/* Every method's line against the time since the trial's start. */
static void against_time(const struct traj_evaluation *e, bool error, FILE *out)
{
    char unit[80];
    snprintf(unit, sizeof unit, "rmse of position, %s", e->session->length_unit);
    struct plot p = {.title = error ? "error from the trial's start on"
                                    : "most probable target is the true one",
                     .x_name = "s since the trial's start",
                     .y_name = error ? unit : "share of bins",
                     .x_high = -INFINITY,
                     .y_high = error ? -INFINITY : 1.0};
    double low = 0.0;
    for (size_t m = 0; m < traj_methods(); m++) {
        for (size_t k = 0; e->picture[m] && k < TRAJ_PICTURE_TIMES; k++) {
            double y = of_time(e->picture[m], k, error);
            if (isfinite(y)) {
                plot_hold(&low, &p.y_high, y);
                plot_hold(&low, &p.x_high, ((double)k + 0.5) * TRAJ_PICTURE_STEP_S);
            }
        }
    }
    if (!isfinite(p.x_high)) {
        return;
    }
    plot_begin(&p, out);
    size_t place = 0;
    for (size_t m = 0; m < traj_methods(); m++) {
        double points[TRAJ_PICTURE_TIMES][2];
        bool any = false;
        for (size_t k = 0; e->picture[m] && k < TRAJ_PICTURE_TIMES; k++) {
            points[k][0] = ((double)k + 0.5) * TRAJ_PICTURE_STEP_S;
            points[k][1] = of_time(e->picture[m], k, error);
            any = any || isfinite(points[k][1]);
        }
        if (any) {
            plot_line(&p, points[0], TRAJ_PICTURE_TIMES, (int)(place % PAGE_COLOURS),
                      place == 0 ? 2.5 : 1.5, traj_method_at(m).name, place, out);
            place++;
        }
    }
    plot_end(out);
}

static void regions(const struct traj_evaluation *e, FILE *out)
{
    struct plot p = {.title = "regions of a stated probability, and how often they hold the truth",
                     .x_name = "stated",
                     .y_name = "held",
                     .x_high = 1.0,
                     .y_high = 1.0};
    size_t place = 0;
    for (size_t m = 0; m < traj_methods(); m++) {
        const struct traj_picture *x = e->picture[m];
        double points[TRAJ_PICTURE_LEVELS][2];
        if (!x || !(x->regions > 0.0)) {
            continue;
        }
        if (place == 0) {
            plot_begin(&p, out);
            plot_diagonal(&p, out);
        }
        for (size_t k = 0; k < TRAJ_PICTURE_LEVELS; k++) {
            points[k][0] = (double)(k + 1) / (TRAJ_PICTURE_LEVELS + 1);
            points[k][1] = x->held[k] / x->regions;
        }
        plot_line(&p, points[0], TRAJ_PICTURE_LEVELS, (int)(place % PAGE_COLOURS),
                  place == 0 ? 2.5 : 1.5, traj_method_at(m).name, place, out);
        place++;
    }
    if (place > 0) {
        plot_end(out);
    }
}

static void confusion(const struct traj_evaluation *e, const struct traj_picture *x,
                      const char *method, FILE *out)
{
    double all = 0.0;
    for (size_t i = 0; i < x->targets * x->targets; i++) {
        all += x->confusion[i];
    }
    if (!(all > 0.0)) {
        return;
    }
    fprintf(
        out,
        "<h2>Confusion of targets</h2><p>Trials by their true target (rows) and by the one that "
        "%s holds most probable in the last bin (columns).</p><div class=\"scroll\"><table "
        "class=\"confusion\"><tr><th></th>",
        method);
    for (size_t k = 0; k < x->targets; k++) {
        fputs("<th>", out);
        page_text(e->session->target_id[k], out);
        fputs("</th>", out);
    }
    fputs("</tr>\n", out);
    for (size_t i = 0; i < x->targets; i++) {
        double row = 0.0;
        for (size_t k = 0; k < x->targets; k++) {
            row += x->confusion[i * x->targets + k];
        }
        fputs("<tr><th>", out);
        page_text(e->session->target_id[i], out);
        fputs("</th>", out);
        for (size_t k = 0; k < x->targets; k++) {
            double n = x->confusion[i * x->targets + k];
            int share = row > 0.0 ? (int)(70.0 * n / row) : 0;
            fprintf(
                out,
                "<td style=\"background:color-mix(in srgb,var(%s) %d%%,transparent)\">%.0f</td>",
                i == k ? "--c0" : "--c1", share, n);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

void report_pictures(const struct traj_evaluation *e, FILE *out)
{
    size_t first = e->rows > 0 ? e->row[0].method : traj_methods();
    if (first == traj_methods() || !e->picture[first]) {
        return;
    }
    const char *name = traj_method_at(first).name;
    char n[24];
    size_t last = e->options.per_target[e->options.per_target_count - 1];
    fprintf(out,
            "<h2>How it goes</h2>\n<p>The first draw, trained on %s trials%s; "
            "trajectories of up to "
            "%d trials of each target.</p><div class=\"charts\">\n",
            traj_amount_name(last, n, sizeof n), last > 0 ? " a target" : " outside the fold",
            TRAJ_PICTURE_PATHS);
    trajectories(e, e->picture[first], name, out);
    against_time(e, true, out);
    against_time(e, false, out);
    regions(e, out);
    fputs("</div>\n", out);
    confusion(e, e->picture[first], name, out);
}

/* ---- tuning ---------------------------------------------------------------------------------- */

struct ranked {
    size_t unit;
    double explained;
};

static int best_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->explained < y->explained) - (x->explained > y->explained);
}

static const char *unit_name(const struct traj_session *s, size_t unit, char *out, size_t cap)
{
    if (s->unit_name) {
        snprintf(out, cap, "%s", s->unit_name[unit]);
    } else {
        snprintf(out, cap, "%zu", unit);
    }
    return out;
}

/* Each unit at its preferred direction, as far out as its depth. */
static void directions(const struct traj_session *s, const struct traj_unit_tuning *t, FILE *out)
{
    struct plot p = {.title = "preferred direction, and depth from the middle, spikes/s",
                     .x_name = "area: share of variance explained",
                     .y_name = "",
                     .x_low = INFINITY,
                     .x_high = -INFINITY,
                     .y_low = INFINITY,
                     .y_high = -INFINITY,
                     .square = true};
    plot_hold(&p.x_low, &p.x_high, 0.0);
    plot_hold(&p.y_low, &p.y_high, 0.0);
    for (size_t i = 0; i < s->units; i++) {
        plot_hold(&p.x_low, &p.x_high, t[i].depth * cos(t[i].direction));
        plot_hold(&p.y_low, &p.y_high, t[i].depth * sin(t[i].direction));
    }
    plot_begin(&p, out);
    for (size_t i = 0; i < s->units; i++) {
        char name[TRAJ_ID_SIZE];
        double x = t[i].depth * cos(t[i].direction), y = t[i].depth * sin(t[i].direction);
        const double line[2][2] = {{0.0, 0.0}, {x, y}};
        plot_line(&p, line[0], 2, -1, 0.8, NULL, 0, out);
        plot_dot(&p, x, y, 2.0 + 14.0 * sqrt(fmax(t[i].explained, 0.0)), 0,
                 unit_name(s, i, name, sizeof name), out);
    }
    plot_end(out);
}

/* How much the best, the second best, ... unit explains. */
static void ranking(const struct ranked *rank, size_t units, FILE *out)
{
    struct plot p = {.title = "variance of the rate explained by movement, best unit first",
                     .x_name = "units",
                     .y_name = "share",
                     .x_high = (double)units,
                     .y_high = fmax(rank[0].explained, 0.01)};
    plot_begin(&p, out);
    for (size_t i = 0; i < units; i++) {
        plot_dot(&p, (double)i + 0.5, fmax(rank[i].explained, 0.0), 2.5, 0, NULL, out);
    }
    plot_end(out);
}

static void lags(const struct traj_session *s, const struct traj_unit_tuning *t, FILE *out)
{
    struct plot p = {.title = "time by which activity leads movement",
                     .x_name = "lag, s (best fit)",
                     .y_name = "share of the rate's variance explained",
                     .x_low = -0.01,
                     .x_high = TRAJ_TUNING_LAG_S + 0.01,
                     .y_high = 0.01};
    for (size_t i = 0; i < s->units; i++) {
        plot_hold(&p.y_low, &p.y_high, fmax(t[i].explained, 0.0));
    }
    plot_begin(&p, out);
    for (size_t i = 0; i < s->units; i++) {
        char name[TRAJ_ID_SIZE];
        plot_dot(&p, t[i].lag, fmax(t[i].explained, 0.0), 3.0, 0,
                 unit_name(s, i, name, sizeof name), out);
    }
    plot_end(out);
}

static void tuning_table(const struct traj_session *s, const struct traj_unit_tuning *t,
                         const struct ranked *rank, FILE *out)
{
    fprintf(out,
            "<details><summary>Every unit, best first</summary><div class=\"scroll tall\"><table>"
            "<tr><th>rank</th><th>unit</th><th>mean rate, /s</th><th>preferred direction, deg</th>"
            "<th>depth, /s</th><th>lag, ms</th><th>variance explained, %%</th></tr>\n");
    for (size_t i = 0; i < s->units; i++) {
        const struct traj_unit_tuning *x = &t[rank[i].unit];
        char name[TRAJ_ID_SIZE];
        fprintf(out, "<tr><td>%zu</td><td>", i + 1);
        page_text(unit_name(s, rank[i].unit, name, sizeof name), out);
        fprintf(out, "</td><td>%.1f</td>", x->rate);
        if (isfinite(x->explained)) {
            fprintf(out, "<td>%.0f</td><td>%.1f</td><td>%.0f</td><td>%.1f</td>",
                    x->direction * 180.0 / PI, x->depth, 1e3 * x->lag, 100.0 * x->explained);
        } else {
            fputs("<td></td><td></td><td></td><td></td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table></div></details>\n", out);
}

void report_tuning(const struct traj_session *session, FILE *out)
{
    struct traj_error error = {0};
    struct traj_unit_tuning *t = traj_tuning_of(session, &error);
    struct ranked *rank = calloc(session->units + 1, sizeof *rank);
    if (t && rank) {
        for (size_t i = 0; i < session->units; i++) {
            rank[i] = (struct ranked){i, isfinite(t[i].explained) ? t[i].explained : -1.0};
        }
        qsort(rank, session->units, sizeof *rank, best_first);
        fputs(
            "<h2>Units</h2><p>Least squares of each unit's rate on velocity (first two dimensions) "
            "and speed, at the lag that explains most; depth is for a fast movement, the 95th "
            "percentile of speed. It describes the session; the decoder learns its own "
            "tuning.</p><div class=\"charts\">\n",
            out);
        directions(session, t, out);
        ranking(rank, session->units, out);
        lags(session, t, out);
        fputs("</div>\n", out);
        tuning_table(session, t, rank, out);
    }
    free(rank);
    free(t);
}

/* ---- words ----------------------------------------------------------------------------------- */

void report_methods(const struct traj_evaluation *e, FILE *out)
{
    char sentence[2000], name[64], n[24];
    const struct traj_session *s = e->session;
    fprintf(out,
            "<h2>For a methods section</h2><blockquote>Movement was decoded with trajd %s from the "
            "binned activity of %zu units (bins of %.0f ms, %zu trials, %zu targets). ",
            TRAJ_VERSION, s->units, s->bins > 0 ? 1e3 * s->dt[0] : NAN, s->trials, s->targets);
    fputs("Decoders were compared by cross-validation: ", out);
    page_text(traj_evaluation_sentence(e, sentence, sizeof sentence), out);
    fprintf(out,
            ". Figures are means over %zu draw%s; intervals of 95 %% come from %zu bootstrap "
            "resamples of %s, p-values from permutations of signs. Regularisation, lags and "
            "calibration were chosen inside the training data.",
            e->draws, e->draws == 1 ? "" : "s", e->options.resamples,
            e->by_trial ? "trials" : "stretches of 5 s");
    for (size_t i = 0; i < e->rows; i++) {
        const struct traj_row *row = &e->row[i];
        const struct traj_measure *m = &row->stat[TRAJ_STAT_RMSE];
        if (!row->failed[0] && row->condition == TRAJ_CONDITION_PLAIN) {
            fprintf(out, " %s (trained on %s): root-mean-square error of position %.2f ",
                    traj_row_name(row, name, sizeof name),
                    traj_amount_name(row->per_target, n, sizeof n), m->value);
            page_text(s->length_unit, out);
            fprintf(out, " [%.2f, %.2f]", m->low, m->high);
        }
    }
    fputs(".</blockquote>\n", out);
}

void report_origin(const struct traj_origin *origin, FILE *out)
{
    fputs("<h2>To make it again</h2><pre>", out);
    page_text(origin->command, out);
    fputs("</pre><p>SHA-256 of the session file: <code>", out);
    page_text(origin->digest, out);
    fprintf(out, "</code>; trajd %s.</p>\n", TRAJ_VERSION);
}

/* ---- a model --------------------------------------------------------------------------------- */

/* What `model show` tells. */
static void show_choices(const struct traj_model *model, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory) {
        traj_model_show(model, memory);
        if (fclose(memory) == 0) {
            fputs("<h2>What was learned, and what cross-validation chose</h2><pre>", out);
            page_text(text, out);
            fputs("</pre>\n", out);
        }
    }
    free(text);
}

void traj_training_html(const struct traj_model *model, const struct traj_session *session,
                        const struct traj_origin *origin, FILE *out)
{
    page_head(session->path, out);
    fprintf(
        out,
        "<p>A model of the family %s, learned from %zu bins, %zu units, %zu features, %zu trials "
        "and %zu targets. How well it decodes, <code>trajctl evaluate --report</code> tells.</p>"
        "\n",
        model->about.family, session->bins, session->units, session->features, session->trials,
        session->targets);
    show_choices(model, out);
    report_tuning(session, out);
    fprintf(
        out,
        "<h2>For a methods section</h2><blockquote>A decoder of the family %s was learned with "
        "trajd %s from the binned activity of %zu units (bins of %.0f ms) and the movement "
        "recorded with it (%zu trials to %zu targets). Regularisation, lags and calibration were "
        "chosen by cross-validation inside this session. SHA-256 of the model begins with "
        "%.12s.</blockquote>\n",
        model->about.family, TRAJ_VERSION, session->units, 1e3 * model->bin_width, session->trials,
        session->targets, model->about.digest);
    report_origin(origin, out);
    fputs("</body></html>\n", out);
}
