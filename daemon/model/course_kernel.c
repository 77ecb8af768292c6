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

/* No kept state is more than exp(this) times as probable without the gains' factor as the one that
 * is the most probable with it. */
#define FURTHEST 600.0

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

/* to <- from / from[0] + owed + dt (first + share (second - first)); from <- 0. */
TRAJ_INLINE void take_row(size_t width, double *to, double *from, const double *owed, double dt,
                          double share, const double *first, const double *second)
{
    const double inverse = 1.0 / from[0];
    for (size_t k = 0; k < width && width > 1; k += 4) {
        const traj_four low = traj_four_get(first + k);
        const traj_four node = low + share * (traj_four_get(second + k) - low);
        const traj_four x = traj_four_get(from + k) * inverse + traj_four_get(owed + k);
        traj_four_put(to + k, x + dt * node);
        traj_four_put(from + k, traj_four_all(0.0));
    }
    to[0] = 1.0;
    from[0] = 0.0;
}

/* ---- before the frame ---------------------------------------------------------------------- */

TRAJ_INLINE void transition(struct traj_course_filter *f, const double *link_prob, size_t width)
{
    const struct traj_chain *c = &f->model->chain;
    const int32_t *const first = c->link_first, *const link_to = c->link_to;
    const struct traj_course_states *const now = &f->now;
    double *const next = f->next;
    uint8_t *const reached = f->reached;
    for (size_t i = 0, n = now->count; i < n; i++) {
        const int32_t *const links = first + now->active[i];
        const double prob = now->prob[i];
        const double *row = now->row + (size_t)now->place[i] * width;
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

/* State j of next becomes number i of those ahead, if enough has come to it. */
TRAJ_INLINE size_t take(struct traj_course_filter *f, size_t i, size_t j, size_t width, double dt)
{
    const struct traj_chain *c = &f->model->chain;
    const size_t node = (size_t)c->node[j], after = (size_t)f->node_after[j];
    double *from = f->next + j * width;
    if (!(from[0] > LEAST)) {
        for (size_t k = 0; k < width; k++)
            from[k] = 0.0;
        return i;
    }
    f->ahead.active[i] = (int32_t)j;
    f->ahead.place[i] = (int32_t)i;
    f->ahead.prob[i] = from[0];
    f->low[i] = (int32_t)node;
    f->high[i] = (int32_t)after;
    f->share[i] = c->share[j];
    take_row(width, f->ahead.row + i * width, from, f->owed, dt, c->share[j],
             f->node_row + node * width, f->node_row + after * width);
    return i + 1;
}

TRAJ_INLINE void gather(struct traj_course_filter *f, double dt, size_t width)
{
    struct traj_course_states *ahead = &f->ahead;
    size_t i = 0;
    for (size_t block = 0; block * TRAJ_LANES < f->states; block++) {
        const size_t first = block * TRAJ_LANES, after = first + TRAJ_LANES;
        if (!f->reached[block])
            continue;
        f->reached[block] = 0;
        for (size_t j = first; j < after && j < f->states; j++)
            if (f->next[j * width] != 0.0)
                i = take(f, i, j, width, dt);
    }
    ahead->count = i;
    /* What fills the last four weighs nothing, and is as likely as the first, so that it is never
     * the greatest alone. */
    for (size_t fill = i; i > 0 && fill < i + 3; fill++) {
        ahead->prob[fill] = 0.0;
        f->low[fill] = f->low[0];
        f->high[fill] = f->high[0];
        f->share[fill] = f->share[0];
        for (size_t k = 0; k < width; k++)
            ahead->row[fill * width + k] = ahead->row[k];
    }
}

/*
 * H = I + curvature of four states as L D L': leaves 1 / D, L below its diagonal by rows, v, and
 * log|H|, with one logarithm.
 */
TRAJ_INLINE void factor_four(const double *row, double *to, size_t width, size_t gains)
{
    traj_four lower[TRAJ_GAINS_MAX][TRAJ_GAINS_MAX], pivot[TRAJ_GAINS_MAX], x[TRAJ_ROW_MOST];
    traj_four determinant = traj_four_all(1.0);
    const size_t below = gains * (gains - 1) / 2;
    for (size_t k = 0; k < width; k++)
        x[k] = traj_four_of(row[k], row[width + k], row[2 * width + k], row[3 * width + k]);
    for (size_t a = 0, t = 1 + gains, o = gains; a < gains; a++) {
        traj_four rest = traj_four_all(1.0);
        for (size_t b = 0; b < a; b++, o++) {
            traj_four scaled = x[t++]; /* L_ab D_b */
            for (size_t c = 0; c < b; c++)
                scaled -= lower[a][c] * lower[b][c] * pivot[c];
            lower[a][b] = scaled / pivot[b];
            rest -= lower[a][b] * scaled;
            traj_four_put(to + 4 * o, lower[a][b]);
        }
        pivot[a] = x[t++] + rest;
        determinant *= pivot[a];
        traj_four_put(to + 4 * a, 1.0 / pivot[a]);
        traj_four_put(to + 4 * (gains + below + a), x[1 + a]);
    }
    traj_four_put(to + 4 * (2 * gains + below), traj_four_log(determinant));
}

TRAJ_INLINE void factor(struct traj_course_filter *f, size_t width)
{
    for (size_t i = 0; i < f->ahead.count; i += 4)
        factor_four(f->ahead.row + i * width, f->factored + i * width, width, width / 4);
}

/* ---- the frame ----------------------------------------------------------------------------- */

/* v' H^-1 v / 2 - log|H| / 2 of four states, v = what it was + G'y. */
TRAJ_INLINE traj_four gain_evidence(const double *factored, const double *counts, size_t gains)
{
    const size_t below = gains * (gains - 1) / 2;
    traj_four u[TRAJ_GAINS_MAX], sum = traj_four_all(0.0);
    for (size_t a = 0, o = gains; a < gains; a++) {
        u[a] = traj_four_get(factored + 4 * (gains + below + a)) + counts[1 + a];
        for (size_t b = 0; b < a; b++, o++)
            u[a] -= traj_four_get(factored + 4 * o) * u[b];
        sum += u[a] * u[a] * traj_four_get(factored + 4 * a);
    }
    return 0.5 * (sum - traj_four_get(factored + 4 * (2 * gains + below)));
}

TRAJ_INLINE void observe(struct traj_course_filter *f, const double *counts, size_t width)
{
    const double *const l = f->log_likelihood;
    for (size_t i = 0; i < f->ahead.count; i += 4) {
        const int32_t *low = f->low + i, *high = f->high + i;
        const traj_four first = traj_four_of(l[low[0]], l[low[1]], l[low[2]], l[low[3]]);
        const traj_four second = traj_four_of(l[high[0]], l[high[1]], l[high[2]], l[high[3]]);
        traj_four_put(f->likely + i, first + traj_four_get(f->share + i) * (second - first));
        if (width > 1)
            traj_four_put(f->evidence + i,
                          gain_evidence(f->factored + i * width, counts, width / 4));
    }
}

TRAJ_INLINE double greatest_of(const double *x, size_t n)
{
    traj_four most = traj_four_all(-INFINITY);
    for (size_t i = 0; i < n; i += 4)
        most = traj_four_greater(traj_four_get(x + i), most);
    return traj_four_most(most);
}

/* The states ahead become those now, but for the gaps that states leave which weigh nothing. */
TRAJ_INLINE void settle(struct traj_course_filter *f, double least, double weigh, double scale)
{
    const struct traj_course_states done = f->now;
    size_t kept = 0;
    f->now = f->ahead;
    f->ahead = done;
    for (size_t i = 0; i < f->now.count; i++) {
        const double weight = f->weight[i], prob = f->after[i];
        f->now.active[kept] = f->now.active[i];
        f->now.place[kept] = f->now.place[i];
        f->now.prob[kept] = prob * scale;
        f->weight[kept] = weight * weigh;
        kept += !(weight < least) && prob > 0.0;
    }
    f->now.count = kept;
}

/*
 * What weigh does, by logarithms, state by state: where the state that the frame makes likeliest
 * and the one that the gains do are so far apart that in all of them the product of the two
 * factors, each scaled by its own greatest, is 0.  False where no state is possible.
 */
static bool weigh_by_logarithms(struct traj_course_filter *f, double likeliest, double reference)
{
    const double temper = f->model->chain.temper;
    double total = 0.0, weighed = 0.0, most = -INFINITY, own_of_most = 0.0;
    for (size_t i = 0; i < f->ahead.count; i++) {
        const double apart = f->evidence[i] - reference;
        double own = traj_log(f->ahead.prob[i]) + temper * (f->likely[i] - likeliest);
        own += f->answers ? apart : 0.0;
        f->after[i] = own;
        f->weight[i] = own + (f->gains > 0 ? temper * apart : 0.0);
        if (f->weight[i] > most) {
            most = f->weight[i];
            own_of_most = own;
        }
    }
    if (!(most > -INFINITY && most < INFINITY))
        return false;
    for (size_t i = 0; i < f->ahead.count; i++) {
        const double own = f->after[i] - own_of_most, weight = traj_exp(f->weight[i] - most);
        f->weight[i] = weight;
        f->after[i] = weight < NEGLIGIBLE ? 0.0 : traj_exp(own > FURTHEST ? FURTHEST : own);
        total += f->after[i];
        weighed += weight;
    }
    settle(f, NEGLIGIBLE, 1.0 / weighed, 1.0 / total);
    return true;
}

TRAJ_INLINE bool weigh(struct traj_course_filter *f, double *log_evidence)
{
    const double temper = f->model->chain.temper;
    const size_t n = f->ahead.count;
    const bool gains = f->gains > 0, answers = f->answers;
    const double likeliest = greatest_of(f->likely, n);
    const double reference = gains || answers ? greatest_of(f->evidence, n) : 0.0;
    traj_four sum = traj_four_all(0.0), evidence = sum, before = sum, weights = sum, most = sum;
    for (size_t i = 0; i < n; i += 4) {
        const traj_four prob = traj_four_get(f->ahead.prob + i);
        const traj_four apart = traj_four_get(f->likely + i) - likeliest;
        traj_four after = prob * traj_four_exp(temper * apart);
        if (answers)
            after *= traj_four_exp(traj_four_get(f->evidence + i) - reference);
        traj_four weight = after;
        if (gains)
            weight *= traj_four_exp(temper * (traj_four_get(f->evidence + i) - reference));
        before += prob;
        evidence += prob * traj_four_exp(apart);
        sum += after;
        weights += weight;
        most = traj_four_greater(weight, most);
        traj_four_put(f->after + i, after);
        traj_four_put(f->weight + i, weight);
    }
    const double total = traj_four_sum(sum), weighed = traj_four_sum(weights);
    if (!(total < INFINITY && weighed < INFINITY))
        return false;
    *log_evidence = likeliest + traj_log(traj_four_sum(evidence) / traj_four_sum(before));
    if (!(total > LEAST && weighed > LEAST))
        return weigh_by_logarithms(f, likeliest, reference);
    settle(f, NEGLIGIBLE * traj_four_most(most), 1.0 / weighed, 1.0 / total);
    return true;
}

/* ---- what is published --------------------------------------------------------------------- */

/*
 * One pass over the states: means about the first state's place, squares about it too, which are
 * brought to the mean afterwards; the place is one of the posterior's own, so little cancels.
 */
TRAJ_INLINE void plane(const struct traj_course_filter *f, struct traj_plane *to)
{
    traj_four part[TRAJ_SHAPE / 4], square = traj_four_all(0.0), cross = square;
    double sum[TRAJ_SHAPE], squares[4], crosses[4], off[4];
    const size_t n = f->now.count;
    const double *origin = f->shape + (n > 0 ? TRAJ_SHAPE * (size_t)f->now.active[0] : 0);
    const traj_four about = traj_four_get(origin);
    for (size_t k = 0; k < TRAJ_SHAPE / 4; k++)
        part[k] = traj_four_all(0.0);
    for (size_t i = 0; i < n; i++) {
        const double *shape = f->shape + TRAJ_SHAPE * (size_t)f->now.active[i];
        const double weight = f->weight[i];
        const traj_four x = traj_four_get(shape) - about, weighed = weight * x;
        part[0] += weighed;
        square += weighed * x;
        cross += weighed * traj_four_swap(x);
        for (size_t k = 1; k < TRAJ_SHAPE / 4; k++)
            part[k] += weight * traj_four_get(shape + 4 * k);
    }
    for (size_t k = 0; k < TRAJ_SHAPE / 4; k++)
        traj_four_put(sum + 4 * k, part[k]);
    traj_four_put(off, part[0]);
    traj_four_put(squares, square - part[0] * part[0]);
    traj_four_put(crosses, cross - part[0] * traj_four_swap(part[0]));
    for (size_t d = 0; d < 2; d++) {
        to->position[d] = origin[d] + off[d];
        to->velocity[d] = origin[2 + d] + off[2 + d];
    }
    const double *within = sum + 4; /* xx, xy, yy of the position; of the velocity */
    to->position_cov[0] = within[0] + squares[0];
    to->position_cov[1] = to->position_cov[2] = within[1] + crosses[0];
    to->position_cov[3] = within[2] + squares[1];
    to->velocity_cov[0] = within[3] + squares[2];
    to->velocity_cov[1] = to->velocity_cov[2] = within[4] + crosses[2];
    to->velocity_cov[3] = within[5] + squares[3];
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

static void transition_plain(struct traj_course_filter *f, const double *link_prob)
{
    BY_WIDTH(transition, f, link_prob)
}

static void gather_plain(struct traj_course_filter *f, double dt)
{
    BY_WIDTH(gather, f, dt)
}

static void factor_plain(struct traj_course_filter *f)
{
    BY_WIDTH(factor, f)
}

static void observe_plain(struct traj_course_filter *f, const double *counts)
{
    BY_WIDTH(observe, f, counts)
}

static bool weigh_plain(struct traj_course_filter *f, double *log_evidence)
{
    return weigh(f, log_evidence);
}

static void plane_plain(const struct traj_course_filter *f, struct traj_plane *to)
{
    plane(f, to);
}

static const struct traj_course_kernels kernels_plain = {
    transition_plain, gather_plain, factor_plain, observe_plain, weigh_plain, plane_plain};

TRAJ_WIDE static void transition_wide(struct traj_course_filter *f,
                                      const double *link_prob){BY_WIDTH(transition, f, link_prob)}

TRAJ_WIDE static void gather_wide(struct traj_course_filter *f, double dt){BY_WIDTH(gather, f, dt)}

TRAJ_WIDE static void factor_wide(struct traj_course_filter *f){BY_WIDTH(factor, f)}

TRAJ_WIDE static void observe_wide(struct traj_course_filter *f,
                                   const double *counts){BY_WIDTH(observe, f, counts)}

TRAJ_WIDE static bool weigh_wide(struct traj_course_filter *f, double *log_evidence)
{
    return weigh(f, log_evidence);
}

TRAJ_WIDE static void plane_wide(const struct traj_course_filter *f, struct traj_plane *to)
{
    plane(f, to);
}

static const struct traj_course_kernels kernels_wide = {transition_wide, gather_wide, factor_wide,
                                                        observe_wide,    weigh_wide,  plane_wide};

const struct traj_course_kernels *traj_course_kernels_choose(void)
{
    return TRAJ_CAN_RUN_WIDE ? &kernels_wide : &kernels_plain;
}

const struct traj_course_kernels *traj_course_kernels_plain(void)
{
    return &kernels_plain;
}
