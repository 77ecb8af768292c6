/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is intended with an effector; see steer.h. */
#include "daemon/model/steer.h"

#include "daemon/model/elementary.h"
#include "daemon/model/linalg.h"

#include <math.h>
#include <string.h>

#define FRESH_S 0.25 /* a place that was told so long ago is not known any more */

static size_t states_of(const struct traj_steer *s)
{
    return s->goals * s->paces;
}

void traj_steer_lay_out(struct traj_steer *s, struct traj_arena *arena,
                        const struct traj_dims *dims)
{
    s->dim = dims->position;
    s->paces = dims->paces;
    s->goals = s->paces > 0 ? dims->targets + 1 : 0;
    s->channels = s->paces > 0 ? dims->units + dims->features : 0;
    s->inputs = s->paces > 0 ? 2 * dims->position + 2 : 0;
    const size_t states = states_of(s), inputs = s->inputs;
    s->prob = traj_arena_take(arena, states, sizeof(double));
    s->next = traj_arena_take(arena, states, sizeof(double));
    s->likely = traj_arena_take(arena, states, sizeof(double));
    s->x = traj_arena_take(arena, states * inputs, sizeof(double));
    s->reader = traj_arena_take(arena, s->channels * inputs, sizeof(double));
    s->gram = traj_arena_take(arena, inputs * inputs, sizeof(double));
    s->seen = traj_arena_take(arena, inputs, sizeof(double));
    s->scratch = traj_arena_take(arena, inputs * (dims->factors + inputs + 1), sizeof(double));
}

void traj_steer_init(struct traj_steer *s, const struct traj_model *model)
{
    s->model = model;
    s->marked = true;
    traj_steer_clear(s);
}

void traj_steer_clear(struct traj_steer *s)
{
    s->told = s->steered = false;
    s->over = s->arrived = 0.0;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* z = (I + U'D^-1 U)^-1 U'D^-1 B into the scratch, a row an input. */
static void share_noise(struct traj_steer *s, const uint8_t *observed,
                        const struct traj_noise *noise)
{
    const size_t rank = s->model->dims.factors, inputs = s->inputs;
    double *z = s->scratch;
    memset(z, 0, inputs * rank * sizeof(double));
    for (size_t n = 0; n < s->channels; n++) {
        const double *scaled = noise->scaled + n * noise->stride;
        const double *tuning = s->model->steer.tuning + n * inputs;
        for (size_t i = 0; observed[n] && i < inputs; i++)
            for (size_t a = 0; a < rank; a++)
                z[i * rank + a] += scaled[a] * tuning[i];
    }
    for (size_t i = 0; i < inputs; i++) {
        traj_solve_lower(rank, noise->factor, z + i * rank);
        traj_solve_lower_transposed(rank, noise->factor, z + i * rank);
    }
}

/* P B = D^-1 B - D^-1 U z by the Woodbury identity, and B' P B. */
static void read_noise(struct traj_steer *s, const uint8_t *observed,
                       const struct traj_noise *noise)
{
    const size_t rank = s->model->dims.factors, inputs = s->inputs;
    const double *tuning = s->model->steer.tuning, *z = s->scratch;
    share_noise(s, observed, noise);
    for (size_t n = 0; n < s->channels; n++)
        for (size_t i = 0; i < inputs; i++) {
            double left = tuning[n * inputs + i] * noise->precision[n];
            for (size_t a = 0; a < rank; a++)
                left -= noise->scaled[n * noise->stride + a] * z[i * rank + a];
            s->reader[n * inputs + i] = observed[n] ? left : 0.0;
        }
    memset(s->gram, 0, inputs * inputs * sizeof(double));
    for (size_t n = 0; n < s->channels; n++)
        for (size_t i = 0; i < inputs; i++)
            for (size_t k = 0; k < inputs; k++)
                s->gram[i * inputs + k] += tuning[n * inputs + i] * s->reader[n * inputs + k];
}

/*
 * P V (I / q + V' P V)^-1 V' P leaves P B: with z = q (I + q V' P V)^-1 of a row's part of v, a row
 * of P B loses z' (V' P B), and so does a row of B' P B.
 */
static void take_spread(const struct traj_steer *s, const double *factor, const double *of_velocity,
                        double *row)
{
    const size_t dim = s->dim, inputs = s->inputs;
    double z[TRAJ_DIM_MAX];
    for (size_t d = 0; d < dim; d++)
        z[d] = s->model->steer.velocity_spread * row[1 + dim + d];
    traj_solve_lower(dim, factor, z);
    traj_solve_lower_transposed(dim, factor, z);
    for (size_t d = 0; d < dim; d++)
        for (size_t i = 0; i < inputs; i++)
            row[i] -= z[d] * of_velocity[d * inputs + i];
}

static void spread_velocity(struct traj_steer *s)
{
    const size_t dim = s->dim, inputs = s->inputs;
    double *factor = s->scratch, *of_velocity = factor + dim * dim;
    for (size_t d = 0; d < dim; d++) {
        const double *row = s->gram + (1 + dim + d) * inputs;
        memcpy(of_velocity + d * inputs, row, inputs * sizeof(double));
        for (size_t e = 0; e < dim; e++)
            factor[d * dim + e] =
                s->model->steer.velocity_spread * row[1 + dim + e] + (d == e ? 1.0 : 0.0);
    }
    if (!traj_cholesky(dim, factor, factor))
        return; /* I and what is not negative: rounding alone could */
    for (size_t n = 0; n < s->channels; n++)
        take_spread(s, factor, of_velocity, s->reader + n * inputs);
    for (size_t i = 0; i < inputs; i++)
        take_spread(s, factor, of_velocity, s->gram + i * inputs);
}

void traj_steer_tabulate(struct traj_steer *s, const uint8_t *observed,
                         const struct traj_noise *noise)
{
    if (s->paces == 0)
        return;
    read_noise(s, observed, noise);
    spread_velocity(s);
}

/* ---- what is told -------------------------------------------------------------------------- */

static void normalise(struct traj_steer *s)
{
    double sum = 0.0;
    for (size_t j = 0; j < states_of(s); j++)
        sum += s->prob[j];
    for (size_t j = 0; j < states_of(s) && sum > 0.0; j++)
        s->prob[j] /= sum;
}

/* p <- (1 - share) p + share (targets by belief, or home without one; not moving yet). */
static void aim(struct traj_steer *s, double share, const double *belief)
{
    const size_t home = s->goals - 1;
    const size_t believed = belief ? home : 0;
    double total = 0.0;
    for (size_t m = 0; m < believed; m++)
        total += traj_exp(belief[m]);
    for (size_t j = 0; j < states_of(s); j++)
        s->prob[j] *= 1.0 - share;
    if (total > 0.0)
        for (size_t m = 0; m < believed; m++)
            s->prob[m * s->paces] += share * traj_exp(belief[m]) / total;
    else
        s->prob[home * s->paces] += share;
    normalise(s);
}

void traj_steer_effector(struct traj_steer *s, const double *position, const double *belief)
{
    if (s->paces == 0)
        return;
    memcpy(s->at, position, s->dim * sizeof(double));
    s->age = 0;
    if (s->told)
        return;
    s->told = true;
    memset(s->prob, 0, states_of(s) * sizeof(double));
    aim(s, 1.0, NULL);
    aim(s, s->in_trial ? 1.0 : 0.5, belief);
}

void traj_steer_trial_start(struct traj_steer *s, const double *belief)
{
    s->in_trial = true;
    s->steered = false;
    s->over = s->arrived = 0.0;
    if (s->told)
        aim(s, s->model->steer.mark, belief);
}

void traj_steer_trial_stop(struct traj_steer *s)
{
    s->in_trial = false;
    s->over = 0.0;
    if (s->told)
        aim(s, s->model->steer.mark, NULL);
}

void traj_steer_reweigh(struct traj_steer *s, const double *change)
{
    if (!s->told)
        return;
    for (size_t j = 0; j < (s->goals - 1) * s->paces; j++)
        s->prob[j] *= traj_exp(change[j / s->paces]);
    normalise(s);
}

void traj_steer_adopt(struct traj_steer *s, const struct traj_steer *from)
{
    s->marked = from->marked;
    s->in_trial = from->in_trial;
    s->told = from->told;
    s->age = from->age;
    s->over = from->over;
    s->steered = from->steered;
    s->arrived = from->arrived;
    memcpy(s->at, from->at, sizeof s->at);
    for (size_t j = 0; j < states_of(s); j++)
        s->prob[j] = from->prob[j];
}

/* ---- a step -------------------------------------------------------------------------------- */

static const double *goal_of(const struct traj_steer *s, size_t g)
{
    return g + 1 < s->goals ? s->model->target_position + g * s->dim : s->model->steer.home;
}

static double way_to(const struct traj_steer *s, const double *goal)
{
    double square = 0.0;
    for (size_t d = 0; d < s->dim; d++)
        square += (goal[d] - s->at[d]) * (goal[d] - s->at[d]);
    return sqrt(square);
}

bool traj_steer_astray(const struct traj_steer *s)
{
    return s->told && way_to(s, s->model->steer.home) > s->model->steer.close;
}

/* What is intended in every state. */
static void intend(struct traj_steer *s)
{
    const struct traj_steer_model *m = &s->model->steer;
    const size_t dim = s->dim;
    for (size_t j = 0; j < states_of(s); j++) {
        const double *goal = goal_of(s, j / s->paces);
        const double far = way_to(s, goal);
        double pace = m->pace[j % s->paces], *x = s->x + j * s->inputs;
        if (pace * far > m->speed_most)
            pace = m->speed_most / far;
        x[0] = 1.0;
        for (size_t d = 0; d < dim; d++) {
            x[1 + d] = s->at[d];
            x[1 + dim + d] = pace * (goal[d] - s->at[d]);
        }
        x[1 + 2 * dim] = pace * far;
    }
}

/* One bin: the pace changes; and the goal, to any of those that there can be. */
static void move(struct traj_steer *s)
{
    const struct traj_steer_model *m = &s->model->steer;
    const double change = s->marked ? m->change : m->change_unmarked;
    const size_t paces = s->paces, goals = s->in_trial ? s->goals - 1 : s->goals;
    double another = 0.0;
    for (size_t g = 0; g < s->goals; g++) {
        const bool close = way_to(s, goal_of(s, g)) <= m->close;
        double *p = s->prob + g * paces, *q = s->next + g * paces;
        memset(q, 0, paces * sizeof(double));
        for (size_t k = 0; k < paces; k++)
            for (size_t to = 0; to < paces; to++)
                q[to == 0 && !close ? k : to] += p[k] * m->pace_prob[k * paces + to];
        for (size_t k = 0; k < paces; k++) {
            another += change * q[k];
            p[k] = (1.0 - change) * q[k];
        }
    }
    for (size_t g = 0; g < goals; g++)
        s->prob[g * paces] += another / (double)goals;
}

/* l of every state; the greatest. */
static double look(struct traj_steer *s, const double *seen)
{
    const size_t inputs = s->inputs;
    double most = -INFINITY;
    memset(s->seen, 0, inputs * sizeof(double));
    for (size_t n = 0; n < s->channels; n++)
        for (size_t i = 0; seen[n] != 0.0 && i < inputs; i++)
            s->seen[i] += seen[n] * s->reader[n * inputs + i];
    for (size_t j = 0; j < states_of(s); j++) {
        const double *x = s->x + j * inputs;
        double l = 0.0;
        for (size_t i = 0; i < inputs; i++) {
            double half = 0.0;
            for (size_t k = 0; k < inputs; k++)
                half += s->gram[i * inputs + k] * x[k];
            l += x[i] * (s->seen[i] - 0.5 * half);
        }
        s->likely[j] = l;
        most = l > most ? l : most;
    }
    return most;
}

void traj_steer_step(struct traj_steer *s, const double *seen, size_t steps)
{
    const double temper = sqrt(s->model->chain.temper);
    double sum = 0.0;
    if (!s->told)
        return;
    s->age += steps;
    if ((double)(s->age - 1) * s->model->bin_width > FRESH_S) {
        traj_steer_clear(s);
        return;
    }
    for (size_t i = 0; i < steps; i++)
        move(s);
    intend(s);
    const double most = look(s, seen);
    for (size_t j = 0; j < states_of(s); j++) {
        s->prob[j] *= traj_exp(temper * (s->likely[j] - most));
        sum += s->prob[j];
    }
    if (sum > 0.0 && sum < INFINITY)
        normalise(s);
    else
        traj_steer_clear(s);
}

/* Probability of being still at a goal that is close. */
static double still(const struct traj_steer *s)
{
    double sum = 0.0;
    for (size_t g = 0; g < s->goals; g++)
        if (way_to(s, goal_of(s, g)) <= s->model->steer.close)
            sum += s->prob[g * s->paces];
    return sum;
}

void traj_steer_wait(struct traj_steer *s, double share, size_t steps)
{
    const double time = (double)steps * s->model->bin_width;
    const double patience = s->model->steer.patience;
    /* Now and then something else is likelier for some bins than a course. */
    s->over += (2.0 * share - 1.0) * time;
    s->over = s->over > 0.0 ? s->over : 0.0;
    s->arrived = s->steered && still(s) > 0.5 ? s->arrived + time : 0.0;
    if (!s->marked && s->arrived > patience) {
        s->steered = false;
        s->over = s->arrived = 0.0;
    } else if (s->over > patience) {
        s->steered = true;
    }
}

/* ---- what is made of it -------------------------------------------------------------------- */

void traj_steer_expect(const struct traj_steer *s, double *expected)
{
    double x[2 * TRAJ_DIM_MAX + 2] = {0};
    if (!s->steered)
        return;
    for (size_t j = 0; j < states_of(s); j++)
        for (size_t i = 0; i < s->inputs; i++)
            x[i] += s->prob[j] * s->x[j * s->inputs + i];
    for (size_t n = 0; n < s->channels; n++) {
        expected[n] = 0.0;
        for (size_t i = 0; i < s->inputs; i++)
            expected[n] += s->model->steer.tuning[n * s->inputs + i] * x[i];
    }
}

/* Probabilities of targets and of places. */
static void add_classes(const struct traj_steer *s, double *target, double *place)
{
    memset(place, 0, TRAJ_PLACES * sizeof(double));
    for (size_t g = 0; g < s->goals; g++) {
        const double *p = s->prob + g * s->paces;
        const bool home = g + 1 == s->goals;
        double moving = 0.0;
        for (size_t k = 1; k < s->paces; k++)
            moving += p[k];
        const bool there = way_to(s, goal_of(s, g)) <= s->model->steer.close;
        place[home ? TRAJ_PLACE_RETURN : TRAJ_PLACE_MOVE] += moving;
        place[home ? TRAJ_PLACE_REST : there ? TRAJ_PLACE_HOLD : TRAJ_PLACE_PLAN] += p[0];
        if (!home)
            target[g] = p[0] + moving;
    }
}

void traj_steer_redirect(const struct traj_steer *s, double share, double *target)
{
    for (size_t g = 0; g + 1 < s->goals; g++) {
        double mine = 0.0;
        for (size_t k = 0; k < s->paces; k++)
            mine += s->prob[g * s->paces + k];
        target[g] += share * mine;
    }
}

void traj_steer_moments(const struct traj_steer *s, double *position, double *position_cov,
                        double *velocity, double *velocity_cov, double *target, double *place)
{
    const size_t dim = s->dim;
    const struct traj_steer_model *m = &s->model->steer;
    const double ahead = s->model->bin_width * (double)s->age;
    memset(velocity, 0, dim * sizeof(double));
    memset(velocity_cov, 0, dim * dim * sizeof(double));
    for (size_t j = 0; j < states_of(s); j++)
        for (size_t d = 0; d < dim; d++)
            velocity[d] += s->prob[j] * s->x[j * s->inputs + 1 + dim + d];
    for (size_t j = 0; j < states_of(s); j++) {
        const double *v = s->x + j * s->inputs + 1 + dim;
        for (size_t a = 0; a < dim; a++)
            for (size_t b = 0; b < dim; b++)
                velocity_cov[a * dim + b] +=
                    s->prob[j] * (v[a] - velocity[a]) * (v[b] - velocity[b]);
    }
    for (size_t a = 0; a < dim; a++) {
        velocity_cov[a * dim + a] += m->velocity_spread;
        position[a] = s->at[a] + ahead * velocity[a];
        for (size_t b = 0; b < dim; b++)
            position_cov[a * dim + b] =
                ahead * ahead * velocity_cov[a * dim + b] + (a == b ? m->place_spread : 0.0);
    }
    add_classes(s, target, place);
}
