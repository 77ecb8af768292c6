/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "clients/evaluate/channels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int traj_channels_init(struct traj_channels *c, const struct traj_session *s, bool root)
{
    c->bins = s->bins;
    c->channels = s->units + s->features;
    c->value = calloc(c->bins * c->channels, sizeof *c->value);
    c->first = calloc(c->bins, sizeof *c->first);
    if (!c->value || !c->first) {
        traj_channels_free(c);
        return -1;
    }
    for (size_t i = 0; i < c->bins; i++) {
        double *row = c->value + i * c->channels;
        for (size_t n = 0; n < s->units; n++) {
            uint16_t y = s->counts[i * s->units + n];
            row[n] = y == TRAJ_COUNT_MISSING ? NAN : root ? sqrt((double)y) : (double)y;
        }
        for (size_t f = 0; f < s->features; f++) {
            row[s->units + f] = (double)s->feature[i * s->features + f];
        }
        bool gap = i == 0 || s->t_end[i] - s->t_end[i - 1] > 1.5 * s->dt[i];
        c->first[i] = gap ? i : c->first[i - 1];
    }
    return 0;
}

void traj_channels_free(struct traj_channels *c)
{
    free(c->value);
    free(c->first);
    c->value = NULL;
    c->first = NULL;
}

void traj_channels_mean(const struct traj_channels *c, double *mean)
{
    for (size_t n = 0; n < c->channels; n++) {
        double sum = 0.0;
        size_t count = 0;
        for (size_t i = 0; i < c->bins; i++) {
            double y = c->value[i * c->channels + n];
            if (!isnan(y)) {
                sum += y;
                count++;
            }
        }
        mean[n] = count ? sum / (double)count : 0.0;
    }
}

size_t traj_validation_bin(const struct traj_channels *c)
{
    size_t bin = c->first[c->bins * 4 / 5];
    return bin > c->bins / 2 ? bin : c->bins * 4 / 5;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double traj_bin_width(const struct traj_session *s)
{
    double *dt = malloc(s->bins * sizeof *dt);
    if (!dt) {
        return s->dt[0];
    }
    memcpy(dt, s->dt, s->bins * sizeof *dt);
    qsort(dt, s->bins, sizeof *dt, ascending);
    double width = dt[s->bins / 2];
    free(dt);
    return width;
}

void traj_movement(const struct traj_session *s, size_t order, double *x, bool *known)
{
    const double half = 0.05;
    for (size_t i = 0; i < s->bins; i++) {
        double *row = x + i * order * s->dim;
        known[i] = traj_session_kinematics(s, s->t_end[i], half, row, row + s->dim) == 0;
        if (!known[i] || order < 3) {
            continue;
        }
        double before[TRAJ_DIM_MAX], after[TRAJ_DIM_MAX], from = s->t_end[i] - half,
                                                          to = s->t_end[i] + half;
        /* At the edge of a stretch the difference is one-sided. */
        if (traj_session_kinematics(s, from, half, NULL, before)) {
            from = s->t_end[i];
            memcpy(before, row + s->dim, s->dim * sizeof *before);
        }
        if (traj_session_kinematics(s, to, half, NULL, after)) {
            to = s->t_end[i];
            memcpy(after, row + s->dim, s->dim * sizeof *after);
        }
        for (size_t d = 0; d < s->dim; d++) {
            row[2 * s->dim + d] = to > from ? (after[d] - before[d]) / (to - from) : 0.0;
        }
    }
}
