/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The evaluation as one page that stands alone: charts as inline SVG, tables, nothing from
 * elsewhere.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "clients/evaluate/page.h"
#include "clients/evaluate/report.h"
#include "clients/evaluate/report_parts.h"
#include "traj/version.h"

#define WIDTH 560.0
#define HEIGHT 300.0
#define LEFT 52.0
#define RIGHT 130.0 /* room for the names at the ends of the lines */
#define TOP 16.0
#define BOTTOM 34.0
#define TICKS 6
#define SERIES_MAX 64

/* ---- text ------------------------------------------------------------------------------------ */

static void head(const struct traj_evaluation *e, FILE *out)
{
    char sentence[2000];
    page_head(e->session->path, out);
    fprintf(out, "<p>%zu bins, %zu units, %zu features, %zu trials, %zu targets. ",
            e->session->bins, e->session->units, e->session->features, e->session->trials,
            e->session->targets);
    page_text(traj_evaluation_sentence(e, sentence, sizeof sentence), out);
    fputs(". Seeds:", out);
    for (size_t d = 0; d < e->draws; d++) {
        fprintf(out, " %" PRIu64, e->seed[d]);
    }
    fprintf(out, ". Intervals are 95 %%, from a bootstrap over %s. trajd %s.</p>\n",
            e->by_trial ? "trials" : "stretches of 5 s", TRAJ_VERSION);
}

/* ---- charts ---------------------------------------------------------------------------------- */

struct panel {
    const char *title;
    struct traj_measure (*of)(const struct traj_row *row); /* value NaN = none */
    bool from_zero;
    double guide; /* a dashed line, NaN = none */
};

static struct traj_measure plain(double x)
{
    return (struct traj_measure){x, x, x};
}

static struct traj_measure rmse_of(const struct traj_row *row)
{
    return row->stat[TRAJ_STAT_RMSE];
}

static struct traj_measure velocity_of(const struct traj_row *row)
{
    return row->stat[TRAJ_STAT_VELOCITY_MVAF];
}

static struct traj_measure mvaf_of(const struct traj_row *row)
{
    return row->stat[TRAJ_STAT_MVAF];
}

static struct traj_measure wrong_of(const struct traj_row *row)
{
    return plain(100.0 * row->score.wrong_end);
}

static struct traj_measure half_of(const struct traj_row *row)
{
    return plain(100.0 * row->score.coverage50);
}

static struct traj_measure most_of(const struct traj_row *row)
{
    return plain(100.0 * row->score.coverage90);
}

/* The scale of a chart. */
struct scale {
    double low, high, step;
    size_t sizes;
};

/* A row's place along x: the rank of its amount of data. */
static size_t rank_of(const struct traj_evaluation *e, const struct traj_row *row)
{
    size_t i = 0;
    while (i < e->options.per_target_count && e->options.per_target[i] != row->per_target) {
        i++;
    }
    return i;
}

static double x_at(const struct scale *s, size_t rank)
{
    double share = s->sizes > 1 ? (double)rank / (double)(s->sizes - 1) : 0.5;
    return LEFT + 12.0 + share * (WIDTH - LEFT - RIGHT - 24.0);
}

static double y_at(const struct scale *s, double y)
{
    return HEIGHT - BOTTOM - (y - s->low) / (s->high - s->low) * (HEIGHT - TOP - BOTTOM);
}

/* Spans all rows' intervals in steps of 1, 2 or 5; false where there is nothing to show. */
static bool scale_of(const struct traj_evaluation *e, const struct panel *p, struct scale *s)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < e->rows; i++) {
        struct traj_measure m = e->row[i].failed[0] ? plain(NAN) : p->of(&e->row[i]);
        if (isfinite(m.value)) {
            low = fmin(low, m.low);
            high = fmax(high, m.high);
        }
    }
    if (!isfinite(low)) {
        return false;
    }
    if (isfinite(p->guide)) {
        low = fmin(low, p->guide);
        high = fmax(high, p->guide);
    }
    low = p->from_zero ? fmin(low, 0.0) : low;
    double range = fmax(high - low, 1e-6 + 1e-6 * fabs(high));
    s->step = pow(10.0, floor(log10(range / TICKS)));
    while (range / s->step > TICKS) {
        double lead = s->step / pow(10.0, floor(log10(s->step) + 1e-9));
        s->step *= lead > 1.5 && lead < 3.0 ? 2.5 : 2.0; /* 1, 2, 5, 10 */
    }
    s->low = floor(low / s->step + 1e-9) * s->step;
    s->high = ceil(high / s->step - 1e-9) * s->step;
    s->high = s->high > s->low ? s->high : s->low + s->step;
    s->sizes = e->options.per_target_count;
    return true;
}

static void axes(const struct traj_evaluation *e, const struct panel *p, const struct scale *s,
                 FILE *out)
{
    int decimals = s->step >= 1.0 ? 0 : s->step >= 0.1 ? 1 : s->step >= 0.01 ? 2 : 3;
    for (double y = s->low; y <= s->high + 0.5 * s->step; y += s->step) {
        fprintf(out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/>"
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
                LEFT, WIDTH - RIGHT, y_at(s, y), y_at(s, y), LEFT - 6.0, y_at(s, y) + 4.0, decimals,
                y);
    }
    if (isfinite(p->guide)) {
        fprintf(out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"currentColor\" "
                "stroke-dasharray=\"4 4\"/>\n",
                LEFT, WIDTH - RIGHT, y_at(s, p->guide), y_at(s, p->guide));
    }
    for (size_t i = 0; i < s->sizes; i++) {
        char n[24];
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x_at(s, i),
                HEIGHT - BOTTOM + 16.0, traj_amount_name(e->options.per_target[i], n, sizeof n));
    }
    fprintf(out,
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">training trials a target</text>\n",
            (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 3.0);
}

static bool same_series(const struct traj_row *a, const struct traj_row *b)
{
    return a->method == b->method && a->condition == b->condition;
}

/* One line: its points with their intervals.  Returns the last point's y, NaN if there is none. */
static double series(const struct traj_evaluation *e, const struct panel *p, const struct scale *s,
                     const struct traj_row *first, size_t number, FILE *out)
{
    char name[64];
    bool begun = false;
    double last = NAN;
    fprintf(out, "<g stroke=\"var(--c%zu)\" fill=\"none\" stroke-width=\"%s\"><title>%s</title>",
            number % 8, number == 0 ? "2.5" : "1.5", traj_row_name(first, name, sizeof name));
    fputs("<path d=\"", out);
    for (size_t i = 0; i < e->rows; i++) {
        struct traj_measure m = e->row[i].failed[0] ? plain(NAN) : p->of(&e->row[i]);
        if (same_series(&e->row[i], first) && isfinite(m.value)) {
            last = y_at(s, m.value);
            fprintf(out, "%s%.1f %.1f", begun ? "L" : "M", x_at(s, rank_of(e, &e->row[i])), last);
            begun = true;
        }
    }
    fprintf(out, "\"%s/>", number >= 8 ? " stroke-dasharray=\"5 3\"" : "");
    for (size_t i = 0; i < e->rows; i++) {
        struct traj_measure m = e->row[i].failed[0] ? plain(NAN) : p->of(&e->row[i]);
        if (same_series(&e->row[i], first) && isfinite(m.value)) {
            double x = x_at(s, rank_of(e, &e->row[i]));
            fprintf(out,
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"var(--c%zu)\"/>",
                    x, x, y_at(s, m.low), y_at(s, m.high), x, y_at(s, m.value), number % 8);
        }
    }
    fputs("</g>\n", out);
    return last;
}

/* Names beside the ends of the lines, pushed apart so that each can be read. */
static void names(const struct traj_row *const *row, const double *y, size_t count, FILE *out)
{
    double bottom = TOP;
    bool done[SERIES_MAX] = {false};
    for (size_t k = 0; k < count; k++) {
        size_t next = count;
        for (size_t i = 0; i < count; i++) {
            if (!done[i] && isfinite(y[i]) && (next == count || y[i] < y[next])) {
                next = i;
            }
        }
        if (next == count) {
            return;
        }
        char name[64];
        done[next] = true;
        bottom = fmax(bottom, y[next]);
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" style=\"fill:var(--c%zu)\">%s</text>\n",
                WIDTH - RIGHT + 6.0, bottom + 4.0, next % 8,
                traj_row_name(row[next], name, sizeof name));
        bottom += 12.0;
    }
}

static void chart(const struct traj_evaluation *e, const struct panel *p, FILE *out)
{
    struct scale s;
    const struct traj_row *first[SERIES_MAX];
    double last[SERIES_MAX];
    size_t count = 0;
    if (!scale_of(e, p, &s)) {
        return;
    }
    fprintf(out,
            "<figure><figcaption>%s</figcaption><svg role=\"img\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\">\n",
            p->title, WIDTH, HEIGHT, WIDTH, HEIGHT);
    axes(e, p, &s, out);
    for (size_t i = 0; i < e->rows && count < SERIES_MAX; i++) {
        bool known = false;
        for (size_t k = 0; k < count; k++) {
            known = known || same_series(first[k], &e->row[i]);
        }
        if (!known) {
            first[count] = &e->row[i];
            last[count] = series(e, p, &s, &e->row[i], count, out);
            count++;
        }
    }
    names(first, last, count, out);
    fputs("</svg></figure>\n", out);
}

/* The first method's table of what it said and how often it was right, at the largest amount. */
static void reliability_chart(const struct traj_evaluation *e, FILE *out)
{
    const struct traj_row *row = NULL;
    const double size = 240.0, edge = 36.0;
    for (size_t i = 0; i < e->rows; i++) {
        if (same_series(&e->row[i], &e->row[0]) && !e->row[i].failed[0] &&
            isfinite(e->row[i].calibration)) {
            row = &e->row[i];
        }
    }
    if (!row) {
        return;
    }
    char name[64], n[24];
    fprintf(out,
            "<figure><figcaption>target probability of %s, n = %s: said, and right</figcaption>"
            "<svg role=\"img\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n",
            traj_row_name(row, name, sizeof name), traj_amount_name(row->per_target, n, sizeof n),
            size + 2.0 * edge, size + 2.0 * edge, size + 2.0 * edge, size + 2.0 * edge);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"var(--line)\"/><line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
            "stroke=\"currentColor\" stroke-dasharray=\"4 4\"/>\n",
            edge, edge, size, size, edge, edge + size, edge + size, edge);
    double all = 0.0;
    for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
        all += row->score.reliability[k].count;
    }
    for (size_t k = 0; k < TRAJ_RELIABILITY_BINS; k++) {
        const struct traj_reliability *r = &row->score.reliability[k];
        if (r->count > 0.0) {
            fprintf(out,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"var(--c0)\" "
                    "fill-opacity=\".7\"/>",
                    edge + size * r->confidence / r->count,
                    edge + size * (1.0 - r->right / r->count), 3.0 + 14.0 * sqrt(r->count / all));
        }
    }
    fprintf(out,
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">said, 0 to 1 (area: share of "
            "bins)</text><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
            "transform=\"rotate(-90 %.1f %.1f)\">right, 0 to 1</text></svg></figure>\n",
            edge + size / 2.0, edge + size + 20.0, 20.0, edge + size / 2.0, 20.0,
            edge + size / 2.0);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void cell(FILE *out, int decimals, double x)
{
    if (isfinite(x)) {
        fprintf(out, "<td>%.*f</td>", decimals, x);
    } else {
        fputs("<td></td>", out);
    }
}

static void row_cells(const struct traj_row *row, FILE *out)
{
    char n[24], name[64];
    fprintf(out, "<tr><td>%s</td><td>%s</td>", traj_amount_name(row->per_target, n, sizeof n),
            traj_row_name(row, name, sizeof name));
    if (row->failed[0]) {
        fputs("<td colspan=\"13\" style=\"text-align:left\">", out);
        page_text(row->failed, out);
        fputs("</td></tr>\n", out);
        return;
    }
    const struct traj_measure *m = &row->stat[TRAJ_STAT_RMSE];
    cell(out, 2, m->value);
    fprintf(out, "<td>%.2f to %.2f</td>", m->low, m->high);
    cell(out, 2, row->stat[TRAJ_STAT_RMSE_GROUP].value);
    cell(out, 3, row->stat[TRAJ_STAT_MVAF].value);
    cell(out, 3, row->stat[TRAJ_STAT_VELOCITY_MVAF].value);
    cell(out, 1, row->score.velocity_angle);
    cell(out, 1, row->score.idle_speed);
    cell(out, 0, row->score.velocity_lag);
    cell(out, 1, 100.0 * row->score.coverage50);
    cell(out, 1, 100.0 * row->score.coverage90);
    cell(out, 2, 100.0 * row->score.wrong_end);
    cell(out, 3, row->stat[TRAJ_STAT_LOG_SCORE].value);
    cell(out, 4, row->calibration);
    fputs("</tr>\n", out);
}

static void tables(const struct traj_evaluation *e, FILE *out)
{
    fputs("<h2>Figures</h2><div class=\"scroll\"><table><tr><th>n</th><th>method</th><th>rmse</th>"
          "<th>95 % interval</th><th>rmse by ",
          out);
    fprintf(out,
            "%s</th><th>mvaf</th><th>velocity mvaf</th><th>angle, deg</th><th>idle speed, %%</th>"
            "<th>lag, ms</th><th>50 %% region holds, %%</th><th>90 %% region</th><th>wrong end, "
            "%%</th><th>log score</th><th>calibration error</th></tr>\n",
            e->by_trial ? "trial" : "5 s");
    for (size_t i = 0; i < e->rows; i++) {
        row_cells(&e->row[i], out);
    }
    fputs("</table></div>\n", out);
    if (e->pairs == 0) {
        return;
    }
    fprintf(out,
            "<h2>Pairs</h2><p>Paired over %s: the mean difference of rmse, first less second; the "
            "ratio of rmse; p by permutation of signs.</p><div class=\"scroll\"><table><tr>"
            "<th>n</th><th>first / second</th><th>difference</th><th>95 %% interval</th><th>p</th>"
            "<th>ratio</th><th>95 %% interval</th><th>velocity ratio</th></tr>\n",
            e->by_trial ? "trials" : "stretches of 5 s");
    for (size_t i = 0; i < e->pairs; i++) {
        const struct traj_paired *x = &e->pair[i].of[TRAJ_PAIRED_POSITION];
        const struct traj_row *a = &e->row[e->pair[i].a], *b = &e->row[e->pair[i].b];
        char n[24], first[64], second[64];
        fprintf(out, "<tr><td>%s</td><td>%s / %s</td>",
                traj_amount_name(a->per_target, n, sizeof n), traj_row_name(a, first, sizeof first),
                traj_row_name(b, second, sizeof second));
        cell(out, 3, x->difference.value);
        fprintf(out, "<td>%.3f to %.3f</td><td>%.2g</td>", x->difference.low, x->difference.high,
                x->p);
        cell(out, 3, x->ratio.value);
        fprintf(out, "<td>%.3f to %.3f</td>", x->ratio.low, x->ratio.high);
        cell(out, 3, e->pair[i].of[TRAJ_PAIRED_VELOCITY].ratio.value);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

void traj_evaluation_html(const struct traj_evaluation *e, const struct traj_origin *origin,
                          FILE *out)
{
    char title[64];
    snprintf(title, sizeof title, "rmse of position, %s", e->session->length_unit);
    const struct panel panel[] = {
        {title, rmse_of, true, NAN},
        {"variance of position accounted for (mvaf)", mvaf_of, false, NAN},
        {"variance of velocity accounted for (mvaf)", velocity_of, false, NAN},
        {"trials that end on a wrong target, %", wrong_of, true, NAN},
        {"truth within the 50 % region, %", half_of, false, 50.0},
        {"truth within the 90 % region, %", most_of, false, 90.0},
    };
    head(e, out);
    fputs("<h2>How well</h2>\n<div class=\"charts\">\n", out);
    for (size_t i = 0; i < sizeof panel / sizeof panel[0]; i++) {
        chart(e, &panel[i], out);
    }
    reliability_chart(e, out);
    fputs("</div>\n", out);
    report_pictures(e, out);
    tables(e, out);
    report_tuning(e->session, out);
    report_methods(e, out);
    report_origin(origin, out);
    fputs("</body></html>\n", out);
}
