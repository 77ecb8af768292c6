/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pieces of a page that stands alone: its head with all style, text, and plots as inline SVG. */
#ifndef TRAJ_EVALUATE_PAGE_H
#define TRAJ_EVALUATE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PAGE_COLOURS 8 /* var(--c0) to var(--c7), told apart by the colour-blind */

/* Text as it is, whatever it holds. */
void page_text(const char *text, FILE *out);

/* Up to and with the heading. */
void page_head(const char *title, FILE *out);

/* A plot of y against x. */
struct plot {
    const char *title, *x_name, *y_name;
    double x_low, x_high, y_low, y_high;
    bool square;   /* one scale for both axes */
    bool nameless; /* no ticks: a map of places */
};

/* Widens low..high so that it holds x; NaN is left out.  To begin with low = INFINITY, high =
 * -INFINITY. */
void plot_hold(double *low, double *high, double x);

void plot_begin(struct plot *plot, FILE *out);
/* points[count][2]; colour 0..7, or -1 for grey; what is not finite breaks the line.  name (NULL =
 * none) shows under the pointer, and at place number `place` of the legend. */
void plot_line(const struct plot *plot, const double *points, size_t count, int colour,
               double width, const char *name, size_t place, FILE *out);
/* A disc of so many pixels. */
void plot_dot(const struct plot *plot, double x, double y, double radius, int colour,
              const char *name, FILE *out);
/* From corner to corner, dashed: where what is said is true. */
void plot_diagonal(const struct plot *plot, FILE *out);
void plot_end(FILE *out);

#endif
