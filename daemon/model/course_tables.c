/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the filter over courses looks up; see course_tables.h. */
#include "daemon/model/course_tables.h"

#include "daemon/model/elementary.h"
#include "daemon/model/lanes.h"
#include "daemon/model/linalg.h"

#include <string.h>

/* Adds unit n's rates, `sign` times, to the sums, and what the gains need of them. */
static void add_unit(struct traj_course_filter *f, size_t n, double sign)
{
    const size_t stride = f->stride, gains = f->gains;
    const double *rate = f->rate + n * stride,
                 *gain = gains ? f->model->chain.gain + n * gains : NULL;
    double *sum = f->sums;
    for (size_t e = 0; e < stride; e++)
        sum[e] += sign * rate[e];
    for (size_t a = 0; a < gains; a++) {
        const double one = sign * gain[a];
        sum += stride;
        for (size_t e = 0; e < stride; e++)
            sum[e] += one * rate[e];
    }
    for (size_t a = 0; a < gains; a++)
        for (size_t b = 0; b <= a; b++) {
            const double two = sign * gain[a] * gain[b];
            sum += stride;
            for (size_t e = 0; e < stride; e++)
                sum[e] += two * rate[e];
        }
}

/*
 * Sums of the observed units' rates: those of all units less what is missing, or, where that is
 * most of them, the sum of the others.  What was observed before has no part in it.
 */
static void tabulate_poisson(struct traj_course_filter *f)
{
    const double *doubt = f->model->chain.emission_doubt;
    const size_t stride = f->stride, all = (1 + f->gains + f->tri) * stride;
    size_t seen = 0;
    for (size_t n = 0; n < f->channels; n++)
        seen += f->observed[n];
    const bool most = 2 * seen >= f->channels;
    if (most)
        memcpy(f->sums, f->sums_of_all, all * sizeof(double));
    else
        memset(f->sums, 0, all * sizeof(double));
    for (size_t n = 0; n < f->channels; n++)
        if ((f->observed[n] != 0) != most)
            add_unit(f, n, most ? -1.0 : 1.0);
    const double share = (double)seen / (double)f->channels;
    for (size_t e = 0; e < f->nodes; e++)
        f->offset[e] = f->sums[e] - (doubt ? doubt[e] * share : 0.0);
    for (size_t e = 0; f->gains > 0 && e < f->nodes; e++) {
        double *row = f->node_row + e * f->width + 1;
        for (size_t a = 0; a < f->gains; a++)
            row[a] = -f->sums[(1 + a) * stride + e];
        for (size_t t = 0; t < f->tri; t++)
            row[f->gains + t] = f->sums[(1 + f->gains + t) * stride + e];
    }
}

/* The tables of all units, that need not be made anew. */
static void tabulate_rates(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    for (size_t n = 0; n < f->channels; n++) {
        for (size_t e = 0; e < f->nodes; e++) {
            const double mean = c->emission_mean[e * f->channels + n];
            f->table[n * f->stride + e] = mean;
            f->rate[n * f->stride + e] = traj_exp(mean);
        }
        add_unit(f, n, 1.0);
    }
    memcpy(f->sums_of_all, f->sums, (1 + f->gains + f->tri) * f->stride * sizeof(double));
}

/* Cholesky factor of I + U' D^-1 U over the observed channels, which reads the lower half alone. */
static bool factor_noise(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t rank = f->factors;
    for (size_t a = 0; a < rank; a++)
        for (size_t b = 0; b <= a; b++)
            f->noise_factor[a * rank + b] = a == b ? 1.0 : 0.0;
    for (size_t n = 0; n < f->channels; n++) {
        const double *u = c->emission_factor + n * rank;
        const double noise = c->emission_noise[n];
        for (size_t a = 0; f->observed[n] && a < rank; a++) {
            double *row = f->noise_factor + a * rank;
            for (size_t b = 0; b <= a; b++)
                row[b] += u[a] * u[b] / noise;
        }
    }
    return traj_cholesky(rank, f->noise_factor, f->noise_factor);
}

/* The means a row a channel, as the tables are, where the model has a row a node. */
static void turn_means(struct traj_course_filter *f)
{
    const double *mean = f->model->chain.emission_mean;
    for (size_t n = 0; n < f->channels; n++)
        for (size_t e = 0; e < f->nodes; e++)
            f->rate[n * f->stride + e] = mean[e * f->channels + n];
}

/* What is worked on at a time stays in the nearest cache: */
#define NODES 128u   /* nodes, a multiple of TRAJ_LANES, and */
#define CHANNELS 16u /* channels */

static size_t nodes_from(const struct traj_course_filter *f, size_t first)
{
    return f->stride - first < NODES ? f->stride - first : NODES;
}

/* Adds what so many channels contribute to the loading of the nodes from `first` on. */
static void load_channels(struct traj_course_filter *f, const size_t *channel, size_t count,
                          size_t first)
{
    const struct traj_chain *c = &f->model->chain;
    const struct traj_rows rows = {count, f->row_of, f->value_of};
    for (size_t i = 0; i < count; i++)
        f->row_of[i] = f->rate + channel[i] * f->stride;
    for (size_t a = 0; a < f->factors; a++) {
        for (size_t i = 0; i < count; i++)
            f->value_of[i] =
                c->emission_factor[channel[i] * f->factors + a] / c->emission_noise[channel[i]];
        f->add_rows(&rows, first, nodes_from(f, first), f->loading + a * f->stride);
    }
}

/* U'D^-1 f of every node into loading, a row a factor. */
static void load_factors(struct traj_course_filter *f)
{
    memset(f->loading, 0, f->factors * f->stride * sizeof(double));
    for (size_t first = 0; first < f->stride; first += NODES) {
        size_t channel[CHANNELS], count = 0;
        for (size_t n = 0; n < f->channels; n++) {
            if (f->observed[n])
                channel[count++] = n;
            if (count == CHANNELS || (n + 1 == f->channels && count > 0)) {
                load_channels(f, channel, count, first);
                count = 0;
            }
        }
    }
}

/* row <- row / by. */
static void divide_row(size_t stride, double *row, double by)
{
    for (size_t e = 0; e < stride; e += 4)
        traj_four_put(row + e, traj_four_get(row + e) / by);
}

/* loading <- (I + U'D^-1 U)^-1 loading, in the order of traj_solve_lower and its transposed. */
static void solve_nodes(struct traj_course_filter *f)
{
    const size_t stride = f->stride, rank = f->factors;
    const double *l = f->noise_factor;
    for (size_t a = 0; a < rank; a++) {
        const struct traj_rows before = {a, f->row_of, f->value_of};
        f->row_of[a] = f->loading + a * stride;
        for (size_t b = 0; b < a; b++)
            f->value_of[b] = -l[a * rank + b];
        f->add_rows(&before, 0, stride, f->loading + a * stride);
        divide_row(stride, f->loading + a * stride, l[a * rank + a]);
    }
    for (size_t a = rank; a-- > 0;) {
        struct traj_rows behind = {0, f->row_of, f->value_of};
        for (size_t b = rank; b-- > a + 1;) {
            f->row_of[behind.count] = f->loading + b * stride;
            f->value_of[behind.count++] = -l[b * rank + a];
        }
        f->add_rows(&behind, 0, stride, f->loading + a * stride);
        divide_row(stride, f->loading + a * stride, l[a * rank + a]);
    }
}

/* Of one channel, whose row holds f - U z at nodes in a row: P f, and its part of f' P f / 2. */
static void weigh_row(size_t nodes, const double *mean, double noise, double *row, double *offset)
{
    for (size_t e = 0; e < nodes; e += 4) {
        const traj_four weighed = traj_four_get(row + e) / noise;
        traj_four_put(row + e, weighed);
        traj_four_put(offset + e,
                      traj_four_get(offset + e) + 0.5 * traj_four_get(mean + e) * weighed);
    }
}

/* The rows of all channels over the nodes from `first` on, from the solved loading. */
static void tabulate_nodes(struct traj_course_filter *f, size_t first)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t nodes = nodes_from(f, first), rank = f->factors;
    const struct traj_rows rows = {rank, f->row_of, f->value_of};
    for (size_t a = 0; a < rank; a++)
        f->row_of[a] = f->loading + a * f->stride;
    for (size_t n = 0; n < f->channels; n++) {
        const double *mean = f->rate + n * f->stride;
        double *row = f->table + n * f->stride;
        if (!f->observed[n]) {
            memset(row + first, 0, nodes * sizeof(double));
            continue;
        }
        memcpy(row + first, mean + first, nodes * sizeof(double));
        for (size_t a = 0; a < rank; a++)
            f->value_of[a] = -c->emission_factor[n * rank + a];
        f->add_rows(&rows, first, nodes, row);
        weigh_row(nodes, mean + first, c->emission_noise[n], row + first, f->offset + first);
    }
}

/*
 * P f and f' P f / 2 of every node by the Woodbury identity: with z = (I + U'D^-1 U)^-1 U'D^-1 f,
 * P f = D^-1 (f - U z), over the observed channels alone.  Nodes lie side by side in every pass, so
 * that a frame in which a channel comes or goes costs little more than the arithmetic.
 */
static bool tabulate_gaussian(struct traj_course_filter *f)
{
    if (!factor_noise(f))
        return false;
    load_factors(f);
    solve_nodes(f);
    memset(f->offset, 0, f->stride * sizeof(double));
    for (size_t first = 0; first < f->stride; first += NODES)
        tabulate_nodes(f, first);
    traj_steer_tabulate(&f->steer, f->observed, f->noise_factor);
    return true;
}

/* What never changes of the states. */
static void describe_states(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    f->starts = 0;
    for (size_t j = 0; j < f->states; j++) {
        if (c->group[j] >= 0)
            f->members[c->group[j]] += 1.0;
        f->node_after[j] = c->node[j] + (c->share[j] > 0.0 ? 1 : 0);
        if (c->start[j] > 0.0)
            f->start[f->starts++] = (int32_t)j;
        int32_t *span = f->span + 2 * (j / TRAJ_LANES);
        const int32_t low = c->node[j] / (int32_t)TRAJ_LANES;
        const int32_t high = f->node_after[j] / (int32_t)TRAJ_LANES;
        span[0] = j % TRAJ_LANES == 0 || low < span[0] ? low : span[0];
        span[1] = j % TRAJ_LANES == 0 || high > span[1] ? high : span[1];
        if (f->dim != 2)
            continue;
        const double *p = c->position_spread + 4 * j, *v = c->velocity_spread + 4 * j;
        const double on = c->progress[j] >= 0.0 ? 1.0 : 0.0, timed = c->eta[j] >= 0.0 ? 1.0 : 0.0;
        const double shape[TRAJ_SHAPE] = {c->position[2 * j],
                                          c->position[2 * j + 1],
                                          c->velocity[2 * j],
                                          c->velocity[2 * j + 1],
                                          p[0],
                                          p[2],
                                          p[3],
                                          v[0],
                                          v[2],
                                          v[3],
                                          on,
                                          on * c->progress[j],
                                          timed,
                                          timed * c->eta[j]};
        memcpy(f->shape + TRAJ_SHAPE * j, shape, sizeof shape);
    }
}

void traj_course_tables_make(struct traj_course_filter *f)
{
    describe_states(f);
    if (f->model->chain.gaussian == 0.0)
        tabulate_rates(f);
    else
        turn_means(f);
}

bool traj_course_tables_follow(struct traj_course_filter *f)
{
    if (f->model->chain.gaussian != 0.0)
        return tabulate_gaussian(f);
    tabulate_poisson(f);
    return true;
}
