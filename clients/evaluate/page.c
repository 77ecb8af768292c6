/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTML and SVG by hand: a page that asks nothing of anybody. */
#include "clients/evaluate/page.h"

#include <math.h>

#define WIDTH 470.0
#define HEIGHT 300.0
#define LEFT 52.0
#define RIGHT 84.0 /* room for the names of lines */
#define TOP 10.0
#define BOTTOM 40.0
#define TICKS 6

void page_text(const char *text, FILE *out)
{
    for (; *text; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity) {
            fputs(entity, out);
        } else {
            putc(*text, out);
        }
    }
}

void page_head(const char *title, FILE *out)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          out);
    page_text(title, out);
    fputs("</title>\n<style>\n"
          ":root{color-scheme:light dark;--line:#8884;--grey:#8889;--c0:#0072b2;--c1:#d55e00;"
          "--c2:#009e73;--c3:#b0578d;--c4:#c77d0a;--c5:#0e8aa8;--c6:#7a5c43;--c7:#6b7280}\n"
          "@media(prefers-color-scheme:dark){:root{--c0:#5cb3ee;--c1:#ff9147;--c2:#3fd0a6;"
          "--c3:#e79bc8;--c4:#f2b455;--c5:#5fd3ec;--c6:#c9a98c;--c7:#a8b0bc}}\n"
          "body{font:15px/1.45 system-ui,sans-serif;max-width:82em;margin:2em auto;padding:0 1em}\n"
          "h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em}p{max-width:60em}\n"
          ".charts{display:flex;flex-wrap:wrap;gap:1.2em 1em}figure{margin:0}\n"
          "figcaption{font-weight:600;max-width:32em}svg{max-width:100%;height:auto}\n"
          "svg text{font:11px system-ui,sans-serif;fill:currentColor}\n"
          "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
          "th,td{padding:.15em .6em;text-align:right;border-bottom:1px solid var(--line)}\n"
          "th:nth-child(2),td:nth-child(2){text-align:left}.scroll{overflow-x:auto}\n"
          ".tall{max-height:24em;overflow:auto}pre,blockquote{border-left:3px solid var(--line);"
          "padding-left:1em;margin-left:0;white-space:pre-wrap;max-width:62em}\n"
          "table.confusion td,table.confusion th{text-align:center;border:1px solid var(--line);"
          "min-width:2em}\n"
          "</style></head><body>\n<h1>",
          out);
    page_text(title, out);
    fputs("</h1>\n", out);
}

void plot_hold(double *low, double *high, double x)
{
    if (isfinite(x)) {
        *low = fmin(*low, x);
        *high = fmax(*high, x);
    }
}

static double x_at(const struct plot *p, double x)
{
    return LEFT + (x - p->x_low) / (p->x_high - p->x_low) * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct plot *p, double y)
{
    return HEIGHT - BOTTOM - (y - p->y_low) / (p->y_high - p->y_low) * (HEIGHT - TOP - BOTTOM);
}

/* A step of 1, 2 or 5 that gives at most TICKS of them. */
static double step_of(double range)
{
    double step = pow(10.0, floor(log10(range / TICKS)));
    static const double times[] = {1.0, 2.0, 5.0, 10.0};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (range / (step * times[i]) <= TICKS) {
            return step * times[i];
        }
    }
    return range;
}

static int decimals_of(double step)
{
    return step >= 1.0 ? 0 : (int)ceil(-log10(step) - 1e-9);
}

static void widen(double *low, double *high)
{
    if (!(*low < *high)) {
        *low = isfinite(*low) ? *low - 0.5 : 0.0;
        *high = *low + 1.0;
    }
}

static void ticks(const struct plot *p, FILE *out)
{
    double step = step_of(p->y_high - p->y_low);
    for (double y = ceil(p->y_low / step - 1e-9) * step; y <= p->y_high + 1e-9 * step; y += step) {
        fprintf(out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--line)\"/>"
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
                LEFT, WIDTH - RIGHT, y_at(p, y), y_at(p, y), LEFT - 6.0, y_at(p, y) + 4.0,
                decimals_of(step), fabs(y) < 1e-9 * step ? 0.0 : y);
    }
    step = step_of(p->x_high - p->x_low);
    for (double x = ceil(p->x_low / step - 1e-9) * step; x <= p->x_high + 1e-9 * step; x += step) {
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.*f</text>\n", x_at(p, x),
                HEIGHT - BOTTOM + 15.0, decimals_of(step), fabs(x) < 1e-9 * step ? 0.0 : x);
    }
}

void plot_begin(struct plot *p, FILE *out)
{
    widen(&p->x_low, &p->x_high);
    widen(&p->y_low, &p->y_high);
    if (p->square) {
        /* The axis that is too short for its range is given more of it. */
        double per_x = (p->x_high - p->x_low) / (WIDTH - LEFT - RIGHT),
               per_y = (p->y_high - p->y_low) / (HEIGHT - TOP - BOTTOM), per = fmax(per_x, per_y);
        double x = 0.5 * (p->x_low + p->x_high), y = 0.5 * (p->y_low + p->y_high);
        p->x_low = x - 0.5 * per * (WIDTH - LEFT - RIGHT);
        p->x_high = x + 0.5 * per * (WIDTH - LEFT - RIGHT);
        p->y_low = y - 0.5 * per * (HEIGHT - TOP - BOTTOM);
        p->y_high = y + 0.5 * per * (HEIGHT - TOP - BOTTOM);
    }
    fputs("<figure><figcaption>", out);
    page_text(p->title, out);
    fprintf(out,
            "</figcaption><svg role=\"img\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f "
            "%.0f\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    if (!p->nameless) {
        ticks(p, out);
    }
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
            0.5 * (LEFT + WIDTH - RIGHT), HEIGHT - 6.0);
    page_text(p->x_name, out);
    fprintf(out,
            "</text><text x=\"13\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 13 "
            "%.1f)\">",
            0.5 * (TOP + HEIGHT - BOTTOM), 0.5 * (TOP + HEIGHT - BOTTOM));
    page_text(p->y_name, out);
    fputs("</text>\n", out);
}

static void colour_name(int colour, char *out, size_t cap)
{
    if (colour < 0) {
        snprintf(out, cap, "var(--grey)");
    } else {
        snprintf(out, cap, "var(--c%d)", colour % PAGE_COLOURS);
    }
}

void plot_line(const struct plot *p, const double *points, size_t count, int colour, double width,
               const char *name, size_t place, FILE *out)
{
    char paint[24];
    bool begun = false;
    colour_name(colour, paint, sizeof paint);
    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" d=\"", paint, width);
    for (size_t i = 0; i < count; i++) {
        double x = points[2 * i], y = points[2 * i + 1];
        if (isfinite(x) && isfinite(y)) {
            fprintf(out, "%s%.1f %.1f", begun ? "L" : "M", x_at(p, x), y_at(p, y));
        }
        begun = isfinite(x) && isfinite(y);
    }
    fputs("\"/>\n", out);
    if (name) {
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" style=\"fill:%s\">", WIDTH - RIGHT + 8.0,
                TOP + 12.0 + 13.0 * (double)place, paint);
        page_text(name, out);
        fputs("</text>\n", out);
    }
}

void plot_dot(const struct plot *p, double x, double y, double radius, int colour, const char *name,
              FILE *out)
{
    char paint[24];
    if (!isfinite(x) || !isfinite(y)) {
        return;
    }
    colour_name(colour, paint, sizeof paint);
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\".7\">",
            x_at(p, x), y_at(p, y), radius, paint);
    if (name) {
        fputs("<title>", out);
        page_text(name, out);
        fputs("</title>", out);
    }
    fputs("</circle>\n", out);
}

void plot_diagonal(const struct plot *p, FILE *out)
{
    fprintf(out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"currentColor\" "
            "stroke-dasharray=\"4 4\"/>\n",
            x_at(p, p->x_low), y_at(p, p->y_low), x_at(p, p->x_high), y_at(p, p->y_high));
}

void plot_end(FILE *out)
{
    fputs("</svg></figure>\n", out);
}
