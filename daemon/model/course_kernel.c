/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The passes of the filter over courses, each twice; see course_kernel.h. */
#include "daemon/model/course_kernel.h"

#include "daemon/model/course_filter.h"
#include "daemon/model/lanes.h"

#include <float.h>

/* States whose posterior falls below this share of the greatest are dropped: all that are dropped
 * in a frame together weigh less than states times this. */
#define NEGLIGIBLE 1e-12

/* What comes to a state with less probability than this never arrives: 1 / p must be a number. */
#define LEAST 1e-290

/* ---- rows: all of a state's sums, fours of them at a time ---------------------------------- */

/* to += mass from, where the first of a row is 1. */
TRAJ_INLINE void add_row(size_t width, double *to, double mass, const double *from)
{
    if (width == 1) {
        to[0] += mass;
        return;
    }
    for (size_t k = 0; k < width; k += 4)
        traj_four_put(to + k, traj_four_get(to + k) + mass * traj_four_get(from + k));
}

/* to <- from / from[0] (+ add + dt (first + share (second - first))); from <- 0. */
TRAJ_INLINE void take_row(size_t width, double *to, double *from, const double *add, double dt,
                          double share, const double *first, const double *second)
{
    const double inverse = 1.0 / from[0];
    for (size_t k = 0; k < width && width > 1; k += 4) {
        traj_four x = traj_four_get(from + k) * inverse;
        if (add) {
            const traj_four low = traj_four_get(first + k);
            const traj_four node = low + share * (traj_four_get(second + k) - low);
            x += traj_four_get(add + k) + dt * node;
        }
        traj_four_put(to + k, x);
        traj_four_put(from + k, traj_four_all(0.0));
    }
    to[0] = 1.0;
    from[0] = 0.0;
}

/* ---- prediction ---------------------------------------------------------------------------- */

TRAJ_INLINE void transition(struct traj_course_filter *f, const double *link_prob, size_t width)
{
    const struct traj_chain *c = &f->model->chain;
    const int32_t *const first = c->link_first, *const link_to = c->link_to;
    double *const next = f->next, *const rows = f->row;
    uint8_t *const reached = f->reached;
    for (size_t i = 0, n = f->actives; i < n; i++) {
        const int32_t *const links = first + f->active[i];
        const double prob = f->prob[i];
        const double *row = rows + (size_t)f->place[i] * width;
        for (size_t l = (size_t)links[0], end = (size_t)links[1]; l < end; l++) {
            const size_t to = (size_t)link_to[l];
            const double mass = prob * link_prob[l];
            if (!(mass > 0.0))
                continue;
            reached[to / TRAJ_LANES] = 1;
            add_row(width, next + to * width, mass, row);
        }
    }
}

/* State j of next becomes active state i, if enough has come to it. */
TRAJ_INLINE size_t take(struct traj_course_filter *f, size_t i, size_t j, size_t width,
                        const double *add, double dt)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t node = (size_t)c->node[j], after = (size_t)f->node_after[j];
    const double share = c->share[j], low = f->log_likelihood[node];
    double *from = f->next + j * width;
    if (!(from[0] > LEAST)) {
        for (size_t k = 0; k < width; k++)
            from[k] = 0.0;
        return i;
    }
    f->active[i] = (int32_t)j;
    f->place[i] = (int32_t)i;
    f->prob[i] = from[0];
    f->likely[i] = low + share * (f->log_likelihood[after] - low);
    take_row(width, f->row + i * width, from, add, dt, share, f->node_row + node * width,
             f->node_row + after * width);
    return i + 1;
}

TRAJ_INLINE void gather(struct traj_course_filter *f, const double *add, double dt, size_t width)
{
    size_t i = 0;
    for (size_t block = 0; block * TRAJ_LANES < f->states; block++) {
        const size_t first = block * TRAJ_LANES, after = first + TRAJ_LANES;
        if (!f->reached[block])
            continue;
        f->reached[block] = 0;
        for (size_t j = first; j < after && j < f->states; j++)
            if (f->next[j * width] != 0.0)
                i = take(f, i, j, width, add, dt);
    }
    f->actives = i;
    /* What fills the last four weighs nothing, and is as likely as the first, so that it is never
     * the greatest alone. */
    for (size_t fill = i; i > 0 && fill < i + 3; fill++) {
        f->prob[fill] = 0.0;
        f->likely[fill] = f->likely[0];
        for (size_t k = 0; k < width; k++)
            f->row[fill * width + k] = f->row[k];
    }
}

/* ---- conditioning -------------------------------------------------------------------------- */

TRAJ_INLINE double condition(struct traj_course_filter *f)
{
    const double temper = f->model->chain.temper;
    const size_t n = f->actives;
    traj_four most = traj_four_all(-INFINITY), sum = traj_four_all(0.0);
    traj_four evidence = sum, before = sum;
    for (size_t i = 0; i < n; i += 4)
        most = traj_four_greater(traj_four_get(f->likely + i), most);
    const double greatest = traj_four_most(most);
    for (size_t i = 0; i < n; i += 4) {
        const traj_four prob = traj_four_get(f->prob + i);
        const traj_four apart = traj_four_get(f->likely + i) - greatest;
        const traj_four after = prob * traj_four_exp(temper * apart);
        before += prob;
        evidence += prob * traj_four_exp(apart);
        sum += after;
        traj_four_put(f->prob + i, after);
    }
    const double total = traj_four_sum(sum);
    if (!(total > 0.0) || !(total < INFINITY))
        return NAN;
    const double inverse = 1.0 / total;
    for (size_t i = 0; i < n; i += 4)
        traj_four_put(f->prob + i, traj_four_get(f->prob + i) * inverse);
    return greatest + traj_log(traj_four_sum(evidence) / traj_four_sum(before));
}

/*
 * v' H^-1 v / 2 - log|H| / 2 of four states, H = I + curvature, by H = L D L' with the few rows
 * that there are, and one logarithm.
 */
TRAJ_INLINE traj_four gain_evidence(const double *row, size_t width, size_t gains)
{
    traj_four lower[TRAJ_GAINS_MAX][TRAJ_GAINS_MAX], pivot[TRAJ_GAINS_MAX], x[TRAJ_ROW_MOST];
    traj_four u[TRAJ_GAINS_MAX], sum = traj_four_all(0.0), determinant = traj_four_all(1.0);
    for (size_t k = 0; k < width; k++)
        x[k] = traj_four_of(row[k], row[width + k], row[2 * width + k], row[3 * width + k]);
    for (size_t a = 0, t = 1 + gains; a < gains; a++) {
        traj_four left = x[1 + a], rest = traj_four_all(1.0);
        for (size_t b = 0; b < a; b++) {
            traj_four scaled = x[t++]; /* L_ab D_b */
            for (size_t c = 0; c < b; c++)
                scaled -= lower[a][c] * lower[b][c] * pivot[c];
            lower[a][b] = scaled / pivot[b];
            rest -= lower[a][b] * scaled;
            left -= lower[a][b] * u[b];
        }
        pivot[a] = x[t++] + rest;
        u[a] = left;
        determinant *= pivot[a];
        sum += left * left / pivot[a];
    }
    return 0.5 * (sum - traj_four_log(determinant));
}

TRAJ_INLINE void weigh_gains(struct traj_course_filter *f, size_t width, size_t gains)
{
    for (size_t i = 0; i < f->actives; i += 4)
        traj_four_put(f->evidence + i, gain_evidence(f->row + i * width, width, gains));
}

/* Closes the gaps that states leave which weigh nothing. */
TRAJ_INLINE void drop(struct traj_course_filter *f, double least, double inverse)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->actives; i++) {
        const double weight = f->weight[i], prob = f->prob[i];
        f->active[kept] = f->active[i];
        f->place[kept] = f->place[i];
        f->prob[kept] = prob;
        f->weight[kept] = weight * inverse;
        kept += !(weight < least) && prob > 0.0;
    }
    f->actives = kept;
}

TRAJ_INLINE bool weigh(struct traj_course_filter *f)
{
    const double temper = f->model->chain.temper;
    const size_t n = f->actives;
    traj_four most = traj_four_all(-INFINITY), sum = traj_four_all(0.0);
    traj_four greatest = sum;
    for (size_t i = 0; i < n && f->gains > 0; i += 4)
        most = traj_four_greater(traj_four_get(f->evidence + i), most);
    const double reference = traj_four_most(most);
    for (size_t i = 0; i < n; i += 4) {
        traj_four weight = traj_four_get(f->prob + i);
        if (f->gains > 0)
            weight *= traj_four_exp(temper * (traj_four_get(f->evidence + i) - reference));
        sum += weight;
        greatest = traj_four_greater(weight, greatest);
        traj_four_put(f->weight + i, weight);
    }
    const double total = traj_four_sum(sum);
    if (!(total > 0.0) || !(total < INFINITY))
        return false;
    drop(f, NEGLIGIBLE * traj_four_most(greatest), 1.0 / total);
    return true;
}

/* ---- what is published --------------------------------------------------------------------- */

/* Sums over states: means, spreads within states, and what is known of progress and eta. */
TRAJ_INLINE void sum_shapes(const struct traj_course_filter *f, double *sum)
{
    traj_four part[TRAJ_SHAPE / 4];
    for (size_t k = 0; k < TRAJ_SHAPE / 4; k++)
        part[k] = traj_four_all(0.0);
    for (size_t i = 0; i < f->actives; i++) {
        const double *shape = f->shape + TRAJ_SHAPE * (size_t)f->active[i];
        for (size_t k = 0; k < TRAJ_SHAPE / 4; k++)
            part[k] += f->weight[i] * traj_four_get(shape + 4 * k);
    }
    for (size_t k = 0; k < TRAJ_SHAPE / 4; k++)
        traj_four_put(sum + 4 * k, part[k]);
}

/* The spread between states is summed about the mean, so that nothing cancels. */
TRAJ_INLINE void plane(const struct traj_course_filter *f, struct traj_plane *to)
{
    double sum[TRAJ_SHAPE];
    sum_shapes(f, sum);
    const traj_four mean = traj_four_get(sum);
    traj_four square = traj_four_all(0.0);
    double position = 0.0, velocity = 0.0;
    for (size_t i = 0; i < f->actives; i++) {
        const double *shape = f->shape + TRAJ_SHAPE * (size_t)f->active[i], w = f->weight[i];
        const traj_four off = traj_four_get(shape) - mean;
        square += w * off * off;
        position += w * (shape[0] - sum[0]) * (shape[1] - sum[1]);
        velocity += w * (shape[2] - sum[2]) * (shape[3] - sum[3]);
    }
    for (size_t d = 0; d < 2; d++) {
        to->position[d] = sum[d];
        to->velocity[d] = sum[2 + d];
    }
    const double *within = sum + 4; /* xx, xy, yy of the position; of the velocity */
    to->position_cov[0] = within[0] + square[0];
    to->position_cov[1] = to->position_cov[2] = within[1] + position;
    to->position_cov[3] = within[2] + square[1];
    to->velocity_cov[0] = within[3] + square[2];
    to->velocity_cov[1] = to->velocity_cov[2] = within[4] + velocity;
    to->velocity_cov[3] = within[5] + square[3];
    to->on_course = sum[10];
    to->progress = sum[11];
    to->timed = sum[12];
    to->eta = sum[13];
}

/* ---- both compilations --------------------------------------------------------------------- */

/* A row's width is a constant in every copy. */
#define BY_WIDTH(function, ...)                                                                    \
    switch (f->width) {                                                                            \
    case 1:                                                                                        \
        function(__VA_ARGS__, 1);                                                                  \
        break;                                                                                     \
    case 4:                                                                                        \
        function(__VA_ARGS__, 4);                                                                  \
        break;                                                                                     \
    case 8:                                                                                        \
        function(__VA_ARGS__, 8);                                                                  \
        break;                                                                                     \
    case 12:                                                                                       \
        function(__VA_ARGS__, 12);                                                                 \
        break;                                                                                     \
    default:                                                                                       \
        function(__VA_ARGS__, 16);                                                                 \
        break;                                                                                     \
    }

TRAJ_INLINE void gather_adding(struct traj_course_filter *f, const double *add, double dt,
                               size_t width)
{
    if (add)
        gather(f, add, dt, width);
    else
        gather(f, NULL, 0.0, width);
}

TRAJ_INLINE void gains_of(struct traj_course_filter *f, size_t width)
{
    weigh_gains(f, width, width / 4);
}

static void transition_plain(struct traj_course_filter *f, const double *link_prob)
{
    BY_WIDTH(transition, f, link_prob)
}

static void gather_plain(struct traj_course_filter *f, const double *add, double dt)
{
    BY_WIDTH(gather_adding, f, add, dt)
}

static void gains_plain(struct traj_course_filter *f)
{
    BY_WIDTH(gains_of, f)
}

static double condition_plain(struct traj_course_filter *f)
{
    return condition(f);
}

static bool weigh_plain(struct traj_course_filter *f)
{
    return weigh(f);
}

static void plane_plain(const struct traj_course_filter *f, struct traj_plane *to)
{
    plane(f, to);
}

static const struct traj_course_kernels kernels_plain = {
    transition_plain, gather_plain, gains_plain, condition_plain, weigh_plain, plane_plain};

TRAJ_WIDE static void transition_wide(struct traj_course_filter *f,
                                      const double *link_prob){BY_WIDTH(transition, f, link_prob)}

TRAJ_WIDE static void gather_wide(struct traj_course_filter *f, const double *add,
                                  double dt){BY_WIDTH(gather_adding, f, add, dt)}

TRAJ_WIDE static void gains_wide(struct traj_course_filter *f){BY_WIDTH(gains_of, f)}

TRAJ_WIDE static double condition_wide(struct traj_course_filter *f)
{
    return condition(f);
}

TRAJ_WIDE static bool weigh_wide(struct traj_course_filter *f)
{
    return weigh(f);
}

TRAJ_WIDE static void plane_wide(const struct traj_course_filter *f, struct traj_plane *to)
{
    plane(f, to);
}

static const struct traj_course_kernels kernels_wide = {transition_wide, gather_wide, gains_wide,
                                                        condition_wide,  weigh_wide,  plane_wide};

const struct traj_course_kernels *traj_course_kernels_choose(void)
{
    return TRAJ_CAN_RUN_WIDE ? &kernels_wide : &kernels_plain;
}

const struct traj_course_kernels *traj_course_kernels_plain(void)
{
    return &kernels_plain;
}
