/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the filter over courses looks up; see course_tables.h. */
#include "daemon/model/course_tables.h"

#include "daemon/model/elementary.h"
#include "daemon/model/lanes.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

/* In sds of a channel's noise: */
#define FARTHEST 5.0 /* a residual beyond it moves the channel's offset no further, and */
#define BEYOND 10.0  /* a value is taken for no further than this from all means */

static size_t observed_channels(const struct traj_course_filter *f)
{
    size_t seen = 0;
    for (size_t n = 0; n < f->channels; n++)
        seen += f->observed[n];
    return seen;
}

static bool mostly_observed(const struct traj_course_filter *f)
{
    return 2 * observed_channels(f) >= f->channels;
}

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
    const size_t seen = observed_channels(f);
    const bool most = mostly_observed(f);
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

/*
 * D^-1 U, a row a channel and a row a factor, and the means, a row a channel: they stand.  Both a
 * channel's means and its values are told from its mean over the nodes, which leaves s - f as it
 * is: of a feature that lies far from 0, f' D^-1 f would be so large that where the channel is
 * missing nothing would be left of the sum over the others.
 */
static void tabulate_means(struct traj_course_filter *f)
{
    const struct traj_chain *c = &f->model->chain;
    for (size_t n = 0; n < f->channels; n++) {
        double centre = 0.0;
        for (size_t e = 0; e < f->nodes; e++)
            centre += c->emission_mean[e * f->channels + n] / (double)f->nodes;
        f->centre[n] = centre;
        f->least[n] = f->most[n] = centre;
        for (size_t e = 0; e < f->nodes; e++) {
            const double mean = c->emission_mean[e * f->channels + n];
            f->table[n * f->stride + e] = mean - centre;
            f->least[n] = mean < f->least[n] ? mean : f->least[n];
            f->most[n] = mean > f->most[n] ? mean : f->most[n];
        }
        double variance = c->emission_noise[n];
        f->precision[n] = 1.0 / variance;
        for (size_t a = 0; a < f->factors; a++) {
            const double scaled = c->emission_factor[n * f->factors + a] * f->precision[n];
            f->scaled[n * f->factor_stride + a] = scaled;
            f->scaled_of[a * f->channels + n] = scaled;
            variance +=
                c->emission_factor[n * f->factors + a] * c->emission_factor[n * f->factors + a];
        }
        f->farthest[n] = FARTHEST * sqrt(variance);
        f->least[n] -= BEYOND * sqrt(variance);
        f->most[n] += BEYOND * sqrt(variance);
    }
}

/* Cholesky factor of I + U' D^-1 U over the observed channels, which reads the lower half alone. */
static bool factor_noise(struct traj_course_filter *f)
{
    const size_t rank = f->factors;
    for (size_t a = 0; a < rank; a++)
        for (size_t b = 0; b <= a; b++)
            f->noise_factor[a * rank + b] = a == b ? 1.0 : 0.0;
    for (size_t n = 0; n < f->channels; n++) {
        const double *u = f->model->chain.emission_factor + n * rank;
        const double *scaled = f->scaled + n * f->factor_stride;
        for (size_t a = 0; f->observed[n] && a < rank; a++) {
            double *row = f->noise_factor + a * rank;
            for (size_t b = 0; b <= a; b++)
                row[b] += u[a] * scaled[b];
        }
    }
    return traj_cholesky(rank, f->noise_factor, f->noise_factor);
}

/* What is worked on at a time stays in the nearest cache: */
#define NODES 128u   /* nodes, a multiple of TRAJ_LANES, and */
#define CHANNELS 16u /* channels */

/* Adds times f^2 of a channel to the sums over some nodes. */
static void add_square(size_t nodes, double times, const double *mean, double *sum)
{
    for (size_t e = 0; e < nodes; e += 4) {
        const traj_four there = traj_four_get(mean + e);
        traj_four_put(sum + e, traj_four_get(sum + e) + times * there * there);
    }
}

/* Adds the parts of so many channels, `sign` times, over the nodes from `first` on. */
static void add_channels(struct traj_course_filter *f, const size_t *channel, size_t count,
                         size_t first, double sign)
{
    const size_t nodes = f->stride - first < NODES ? f->stride - first : NODES;
    const struct traj_rows rows = {count, f->row_of, f->value_of};
    for (size_t i = 0; i < count; i++) {
        f->row_of[i] = f->table + channel[i] * f->stride;
        add_square(nodes, sign * f->precision[channel[i]], f->row_of[i] + first, f->sums + first);
    }
    for (size_t a = 0; a < f->factors; a++) {
        for (size_t i = 0; i < count; i++)
            f->value_of[i] = sign * f->scaled[channel[i] * f->factor_stride + a];
        f->add_rows(&rows, first, nodes, f->sums + (1 + a) * f->stride);
    }
}

/* Adds the parts of those channels whose observed[] is `which`, `sign` times. */
static void add_those(struct traj_course_filter *f, bool which, double sign)
{
    for (size_t first = 0; first < f->stride; first += NODES) {
        size_t channel[CHANNELS], count = 0;
        for (size_t n = 0; n < f->channels; n++) {
            if ((f->observed[n] != 0) == which)
                channel[count++] = n;
            if (count == CHANNELS || (n + 1 == f->channels && count > 0)) {
                add_channels(f, channel, count, first, sign);
                count = 0;
            }
        }
    }
}

/*
 * Of every node over the observed channels: f' D^-1 f, and U'D^-1 f, a row a factor.  As with the
 * rates it is the sum over all less what is missing, or, where that is most, over the others; what
 * was observed before has no part in it.
 */
static void sum_channels(struct traj_course_filter *f)
{
    const size_t all = (1 + f->factors) * f->stride;
    const bool most = mostly_observed(f);
    if (most)
        memcpy(f->sums, f->sums_of_all, all * sizeof(double));
    else
        memset(f->sums, 0, all * sizeof(double));
    add_those(f, !most, most ? -1.0 : 1.0);
}

/* U'D^-1 f <- v = L^-1 U'D^-1 f, in the order of traj_solve_lower. */
static void solve_nodes(struct traj_course_filter *f)
{
    const size_t stride = f->stride, rank = f->factors;
    const double *l = f->noise_factor;
    for (size_t a = 0; a < rank; a++) {
        const struct traj_rows before = {a, f->row_of, f->value_of};
        double *row = f->sums + (1 + a) * stride;
        f->row_of[a] = row;
        for (size_t b = 0; b < a; b++)
            f->value_of[b] = -l[a * rank + b];
        f->add_rows(&before, 0, stride, row);
        for (size_t e = 0; e < stride; e += 4)
            traj_four_put(row + e, traj_four_get(row + e) / l[a * rank + a]);
    }
}

/* log of (2 pi)^(-m/2) |D + U U'|^(-1/2) over the m observed channels: |D| |I + U'D^-1 U|. */
static double normaliser(const struct traj_course_filter *f)
{
    const double log_two_pi = 1.8378770664093453;
    const size_t rank = f->factors;
    double sum = 0.0;
    for (size_t n = 0; n < f->channels; n++)
        sum += f->observed[n] ? log_two_pi + traj_log(f->model->chain.emission_noise[n]) : 0.0;
    for (size_t a = 0; a < rank; a++)
        sum += 2.0 * traj_log(f->noise_factor[a * rank + a]);
    return -0.5 * sum;
}

/*
 * f' P f / 2 of every node, from the centre, by the Woodbury identity: with L L' = I + U'D^-1 U and
 * v = L^-1 U'D^-1 f, f' P f = f' D^-1 f - v'v, over the observed channels alone.  What a frame adds
 * to it is in traj_course_tables_weigh; so nothing that has a row a channel depends on which are
 * observed, and a frame in which one comes or goes costs little more than others.
 */
static bool tabulate_gaussian(struct traj_course_filter *f)
{
    if (!factor_noise(f))
        return false;
    f->normaliser = normaliser(f);
    sum_channels(f);
    solve_nodes(f);
    for (size_t e = 0; e < f->stride; e++) {
        double sum = f->sums[e];
        for (size_t a = 0; a < f->factors; a++) {
            const double v = f->sums[(1 + a) * f->stride + e];
            sum -= v * v;
        }
        f->offset[e] = 0.5 * sum;
    }
    traj_steer_tabulate(
        &f->steer, f->observed,
        &(struct traj_noise){f->precision, f->scaled, f->factor_stride, f->noise_factor});
    return true;
}

/*
 * P y of the observed channels, which are listed, so that y' P f = sum_n (P y)_n f_n, y = s - b
 * from the centre: P y = D^-1 y - D^-1 U (I + U'D^-1 U)^-1 U'D^-1 y.  Of the density, -y' P y / 2
 * and its constant are of the frame alone.
 */
static size_t weigh_gaussian(struct traj_course_filter *f)
{
    const size_t rank = f->factors;
    struct traj_rows rows = {0, f->row_of, f->value_of};
    memset(f->common, 0, f->factor_stride * sizeof(double));
    for (size_t n = 0; n < f->channels; n++) {
        f->centred[n] = f->observed[n] ? f->seen[n] - f->centre[n] : 0.0;
        f->weighed[n] = f->centred[n] * f->precision[n];
        if (f->centred[n] == 0.0)
            continue;
        f->row_of[rows.count] = f->scaled + n * f->factor_stride;
        f->value_of[rows.count++] = f->centred[n];
    }
    f->add_rows(&rows, 0, f->factor_stride, f->common);
    traj_solve_lower(rank, f->noise_factor, f->common);
    traj_solve_lower_transposed(rank, f->noise_factor, f->common);
    rows.count = rank;
    for (size_t a = 0; a < rank; a++) {
        f->row_of[a] = f->scaled_of + a * f->channels;
        f->value_of[a] = -f->common[a];
    }
    f->add_rows(&rows, 0, f->channels, f->weighed);
    rows.count = 0;
    double square = 0.0;
    for (size_t n = 0; n < f->channels; n++) {
        if (!f->observed[n])
            continue;
        square += f->centred[n] * f->weighed[n];
        f->row_of[rows.count] = f->table + n * f->stride;
        f->value_of[rows.count++] = f->weighed[n];
    }
    f->frame_alone = f->normaliser - 0.5 * square;
    return rows.count;
}

/* The counts that are not 0; y log dt - log y! is of the frame alone. */
static size_t weigh_poisson(struct traj_course_filter *f, double dt)
{
    const double log_dt = traj_log(dt);
    size_t count = 0;
    f->frame_alone = 0.0;
    for (size_t n = 0; n < f->channels; n++) {
        if (f->seen[n] == 0.0)
            continue;
        f->frame_alone += f->seen[n] * log_dt - traj_log_factorial((unsigned)f->seen[n]);
        f->row_of[count] = f->table + n * f->stride;
        f->value_of[count++] = f->seen[n];
    }
    return count;
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
    if (f->model->chain.gaussian == 0.0) {
        tabulate_rates(f);
        return;
    }
    tabulate_means(f);
    memset(f->sums, 0, (1 + f->factors) * f->stride * sizeof(double));
    add_those(f, true, 1.0);
    memcpy(f->sums_of_all, f->sums, (1 + f->factors) * f->stride * sizeof(double));
}

bool traj_course_tables_follow(struct traj_course_filter *f)
{
    if (f->model->chain.gaussian != 0.0)
        return tabulate_gaussian(f);
    tabulate_poisson(f);
    return true;
}

struct traj_rows traj_course_tables_weigh(struct traj_course_filter *f, double dt)
{
    const size_t count = f->model->chain.gaussian != 0.0 ? weigh_gaussian(f) : weigh_poisson(f, dt);
    return (struct traj_rows){count, f->row_of, f->value_of};
}
