/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a report draws of one run. */
#include "clients/evaluate/picture.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

#define NONE ((size_t)-1)

static size_t most_probable(const struct traj_decoded *d, size_t bin)
{
    size_t best = NONE;
    for (size_t k = 0; d->target_prob && k < d->targets; k++) {
        double p = d->target_prob[bin * d->targets + k];
        if (p > 0.0 && (best == NONE || p > d->target_prob[bin * d->targets + best])) {
            best = k;
        }
    }
    return best;
}

static size_t target_of(const struct traj_session *s, size_t trial)
{
    return trial != NONE && s->target && s->target[trial] >= 0 ? (size_t)s->target[trial] : NONE;
}

/* The squared error of a bin, NaN where nothing was decoded; its region counts too. */
static double take_error(struct traj_picture *p, const struct traj_truth *truth,
                         const struct traj_decoded *d, size_t bin)
{
    double e[TRAJ_DIM_MAX], squares = 0.0;
    for (size_t k = 0; k < d->dim; k++) {
        e[k] = d->position[bin * d->dim + k] - truth->position[bin * d->dim + k];
        squares += e[k] * e[k];
    }
    double far = traj_mahalanobis(e, d->position_cov + bin * d->dim * d->dim, d->dim);
    if (isfinite(squares) && isfinite(far)) {
        /* The share of a normal distribution that lies nearer than the truth does. */
        double share = gsl_cdf_chisq_P(far, (double)d->dim);
        p->regions += 1.0;
        for (size_t k = 0; k < TRAJ_PICTURE_LEVELS; k++) {
            p->held[k] += share <= (double)(k + 1) / (TRAJ_PICTURE_LEVELS + 1);
        }
    }
    return squares;
}

static void take_bin(struct traj_picture *p, const struct traj_session *s,
                     const struct traj_bins *bins, const struct traj_decoded *d, size_t bin)
{
    size_t trial = bins->truth->trial[bin], target = target_of(s, trial),
           said = most_probable(d, bin);
    double squares = take_error(p, bins->truth, d, bin);
    if (trial == NONE) {
        return;
    }
    double since = (s->t_end[bin] - s->start[trial]) / TRAJ_PICTURE_STEP_S;
    if (since >= 0.0 && since < TRAJ_PICTURE_TIMES && isfinite(squares)) {
        struct traj_picture_time *time = &p->time[(size_t)since];
        time->squares += squares;
        time->bins += 1.0;
        time->answers += target != NONE && said != NONE;
        time->right += target != NONE && said == target;
    }
    bool last = bin + 1 == d->bins || bins->truth->trial[bin + 1] != trial;
    if (last && target < p->targets && said < p->targets) {
        p->confusion[target * p->targets + said] += 1.0;
    }
}

/* Keeps a trial's trajectory unless enough of its target are kept. */
static int take_path(struct traj_picture *p, const struct traj_session *s,
                     const struct traj_truth *truth, const struct traj_decoded *d, size_t first,
                     size_t end)
{
    size_t target = target_of(s, truth->trial[first]), same = 0;
    for (size_t i = 0; i < p->paths; i++) {
        same += p->path[i].target == target;
    }
    if (same >= TRAJ_PICTURE_PATHS || d->dim < 2) {
        return 0;
    }
    struct traj_picture_path *path = realloc(p->path, (p->paths + 1) * sizeof *path);
    if (!path) {
        return -1;
    }
    p->path = path;
    path += p->paths++;
    *path = (struct traj_picture_path){.target = target};
    path->truth = calloc(end - first, 2 * sizeof(double));
    path->decoded = calloc(end - first, 2 * sizeof(double));
    if (!path->truth || !path->decoded) {
        return -1;
    }
    for (size_t i = first; i < end; i++) {
        const double *x = truth->position + i * d->dim, *y = d->position + i * d->dim;
        if (truth->known[i] && isfinite(y[0]) && isfinite(y[1])) {
            for (size_t k = 0; k < 2; k++) {
                path->truth[2 * path->points + k] = x[k];
                path->decoded[2 * path->points + k] = y[k];
            }
            path->points++;
        }
    }
    return 0;
}

static int take_all(struct traj_picture *p, const struct traj_session *s,
                    const struct traj_bins *bins, const struct traj_decoded *d)
{
    const struct traj_truth *truth = bins->truth;
    for (size_t i = 0, end; i < d->bins; i = end) {
        for (end = i + 1; end < d->bins && truth->trial[end] == truth->trial[i]; end++) {
        }
        for (size_t k = i; k < end; k++) {
            if (truth->known[k] && bins->keep[k]) {
                take_bin(p, s, bins, d, k);
            }
        }
        if (truth->trial[i] != NONE && take_path(p, s, truth, d, i, end)) {
            return -1;
        }
    }
    return 0;
}

struct traj_picture *traj_picture_new(const struct traj_session *session,
                                      const struct traj_bins *bins,
                                      const struct traj_decoded *decoded)
{
    struct traj_picture *p = calloc(1, sizeof *p);
    if (p) {
        p->targets = session->targets;
        p->confusion = calloc(p->targets * p->targets + 1, sizeof *p->confusion);
    }
    if (!p || !p->confusion || take_all(p, session, bins, decoded)) {
        traj_picture_free(p);
        return NULL;
    }
    return p;
}

void traj_picture_free(struct traj_picture *p)
{
    for (size_t i = 0; p && i < p->paths; i++) {
        free(p->path[i].truth);
        free(p->path[i].decoded);
    }
    if (p) {
        free(p->path);
        free(p->confusion);
    }
    free(p);
}
