/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Linear-Gaussian trajectory models from recorded movement. */
#include "daemon/learn/dynamics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/frame_of_target.h"
#include "daemon/learn/matrix.h"
#include "daemon/learn/moments.h"

#define SHRINKAGE_DEFAULT 10.0 /* trials */
#define RIDGE 1e-4             /* of the mean square of a regressor: enough for one short trial */
#define NOISE_FLOOR 1e-4 /* standard deviation in shares of the spread of position, velocity, .. */
#define START_FLOOR 0.05 /* likewise, of the first state: two pseudo-courses */
#define NEAR 0.2 /* a target nearer to the start than this share of the mean has no direction */

struct traj_movement {
    const struct traj_training *training;
    size_t state, order, extended;
    size_t folds;  /* sets of moments a target: the folds, what is always used, what seldom */
    double *block; /* all moments and the work */
    size_t memory; /* bins */
    struct traj_moments *target; /* [targets + 1][folds], the last row for unknown targets */
    struct traj_moments *walk; /* [folds] pairs of all kinematics, and every state as a first one */
    /*
     * The same rows again, of sums over windows of at most `memory` pairs divided by the root of
     * their number: their residuals' mean square is the long-run covariance.  `first` counts
     * windows.
     */
    struct traj_moments *window; /* [targets + 2][folds] */
    double *work;                /* 3 moments and 4 squares */
};

/* ---- gathering ------------------------------------------------------------------------------- */

static size_t fold_slot(const struct traj_movement *movement, unsigned fold)
{
    if (fold == TRAJ_FOLD_ALWAYS)
        return movement->folds - 2;
    return fold == TRAJ_FOLD_NEVER ? movement->folds - 1 : fold;
}

static unsigned slot_fold(const struct traj_movement *movement, size_t slot)
{
    if (slot == movement->folds - 2)
        return TRAJ_FOLD_ALWAYS;
    return slot == movement->folds - 1 ? TRAJ_FOLD_NEVER : (unsigned)slot;
}

static struct traj_moments *moments_of(const struct traj_movement *movement, int32_t target,
                                       size_t slot)
{
    size_t row = target >= 0 ? (size_t)target : movement->training->targets;
    return &movement->target[row * movement->folds + slot];
}

static const double *state_row(const struct traj_training *training, size_t row)
{
    return training->state + row * 3 * training->dim;
}

/* Row of windows that belongs to a row of pairs. */
static struct traj_moments *windows_of(const struct traj_movement *movement,
                                       const struct traj_moments *pairs)
{
    return movement->window + (pairs - movement->target);
}

/* Adds the window of pairs that ends with the pair (last - 1, last); pairs counts those known
 * before it. */
static void add_window(const struct traj_movement *movement, size_t last, size_t pairs,
                       struct traj_moments *windows)
{
    const struct traj_training *training = movement->training;
    size_t length = pairs < movement->memory ? pairs : movement->memory;
    double before[TRAJ_STATE_MAX + 1] = {0}, after[TRAJ_STATE_MAX + 1] = {0};
    double share = 1 / sqrt((double)length);
    for (size_t i = 0; i < length; i++) {
        const double *x = state_row(training, last - i), *y = state_row(training, last - i - 1);
        for (size_t j = 0; j < movement->state; j++) {
            after[j] += share * x[j];
            before[j] += share * y[j];
        }
    }
    before[movement->state] = after[movement->state] = share * (double)length;
    traj_moments_add_sums(windows, before, after);
}

/* Adds the pairs of states begin..count - 1 of a course, and the windows over them. */
static void gather_pairs(const struct traj_movement *movement, const struct traj_course *course,
                         size_t begin, struct traj_moments *row)
{
    const struct traj_training *training = movement->training;
    size_t pairs = 0, added = 0;
    struct traj_moments *own = row;
    for (size_t i = begin + 1; i < course->count; i++) {
        size_t last = course->first + i;
        if (!training->state_known[last] || !training->state_known[last - 1]) {
            pairs = 0;
            continue;
        }
        pairs++;
        if (!row) /* a run's states have folds of their own */
            own = &movement->walk[fold_slot(movement, training->state_fold[last])];
        traj_moments_add_pair(own, state_row(training, last - 1), state_row(training, last));
        if (pairs >= movement->memory || (i + 1 == course->count && added == 0)) {
            add_window(movement, last, pairs, windows_of(movement, own));
            added++;
        }
    }
}

static void gather_trial(struct traj_movement *movement, const struct traj_course *trial,
                         double plan_end)
{
    const struct traj_training *training = movement->training;
    struct traj_moments *own =
        moments_of(movement, trial->target, fold_slot(movement, trial->fold));
    size_t begin = traj_movement_begin(training, trial, plan_end);
    if (begin < trial->count && training->state_known[trial->first + begin])
        traj_moments_add_first(own, state_row(training, trial->first + begin));
    gather_pairs(movement, trial, begin, own);
}

static void gather_run(struct traj_movement *movement, const struct traj_course *run)
{
    const struct traj_training *training = movement->training;
    for (size_t i = 0; i < run->count; i++) {
        size_t row = run->first + i;
        if (training->state_known[row])
            traj_moments_add_first(&movement->walk[fold_slot(movement, training->state_fold[row])],
                                   state_row(training, row));
    }
    gather_pairs(movement, run, 0, NULL);
}

struct traj_movement *traj_movement_new(const struct traj_training *training, size_t state,
                                        double plan_end, size_t memory, struct traj_error *error)
{
    size_t extended = state + 1, folds = (training->folds > 0 ? training->folds : 1) + 2;
    size_t sets = (training->targets + 2) * folds, size = traj_moments_size(extended);
    struct traj_movement *movement = calloc(1, sizeof *movement);
    if (movement) {
        movement->block =
            calloc((2 * sets + 3) * size + 4 * extended * extended, sizeof *movement->block);
        movement->target = calloc(2 * sets, sizeof *movement->target);
    }
    if (!movement || !movement->block || !movement->target) {
        traj_movement_free(movement);
        traj_error_set(error, "no memory for the movement to %zu targets", training->targets);
        return NULL;
    }
    movement->training = training;
    movement->state = state;
    movement->order = state / training->dim;
    movement->extended = extended;
    movement->folds = folds;
    movement->walk = movement->target + (training->targets + 1) * folds;
    movement->window = movement->target + sets;
    movement->memory = memory > 0 ? memory : 1;
    movement->work = movement->block + 2 * sets * size;
    for (size_t i = 0; i < 2 * sets; i++)
        movement->target[i] = traj_moments_in(movement->block + i * size, extended);
    for (size_t r = 0; r < training->trials; r++)
        gather_trial(movement, &training->trial[r], plan_end);
    for (size_t r = 0; r < training->runs; r++)
        gather_run(movement, &training->run[r]);
    return movement;
}

void traj_movement_free(struct traj_movement *movement)
{
    if (!movement)
        return;
    free(movement->block);
    free(movement->target);
    free(movement);
}

/* Adds up the sets of one row that train a model without the fold. */
static void sum_row(const struct traj_movement *movement, const struct traj_moments *row,
                    unsigned without, struct traj_moments *sum)
{
    for (size_t f = 0; f < movement->folds; f++)
        if (traj_fold_used(slot_fold(movement, f), without))
            traj_moments_add(sum, &row[f], 1);
}

static struct traj_moments work_moments(const struct traj_movement *movement, size_t which)
{
    return traj_moments_in(movement->work + which * traj_moments_size(movement->extended),
                           movement->extended);
}

static double *work_square(const struct traj_movement *movement, size_t which)
{
    return movement->work + 3 * traj_moments_size(movement->extended) +
           which * movement->extended * movement->extended;
}

/* ---- regression ------------------------------------------------------------------------------ */

/* The rows of w[E][S] (x_t = w' u_{t-1}) that integrate, and the highest derivative standing
 * still. */
static void integrate(const struct traj_movement *movement, double decay, double *w)
{
    size_t dim = movement->training->dim, state = movement->state;
    double bin = movement->training->bin;
    memset(w, 0, movement->extended * state * sizeof *w);
    for (size_t j = 0; j < state; j++) {
        w[j * state + j] = j >= state - dim ? decay : 1;
        if (j + dim < state)
            w[(j + dim) * state + j] = bin;
        if (j + 2 * dim < state)
            w[(j + 2 * dim) * state + j] = bin * bin / 2;
    }
}

/* Mean square of each regressor in the data at hand, as the unit of its ridge. */
static void ridge_of(const struct traj_movement *movement, const struct traj_moments *moments,
                     double *ridge)
{
    const struct traj_training *training = movement->training;
    double pairs = traj_moments_pairs(moments);
    for (size_t j = 0; j < movement->state; j++) {
        double spread = training->scale[j / training->dim];
        ridge[j] = RIDGE * (pairs + 1) * spread * spread;
    }
    ridge[movement->state] = RIDGE;
}

/* w[E][S] from moments: the learned rows shrink to a highest derivative that stands still. */
static void regress(const struct traj_movement *movement, const struct traj_moments *moments,
                    double *w)
{
    size_t dim = movement->training->dim, state = movement->state, extended = movement->extended;
    double ridge[TRAJ_STATE_MAX + 1], cross[(TRAJ_STATE_MAX + 1) * TRAJ_DIM_MAX];
    integrate(movement, 1, w);
    ridge_of(movement, moments, ridge);
    for (size_t i = 0; i < extended; i++)
        for (size_t d = 0; d < dim; d++) {
            size_t j = state - dim + d;
            cross[i * dim + d] = moments->across[i * extended + j] + (i == j ? ridge[i] : 0);
        }
    traj_matrix_solve_moments(moments->past, ridge, extended, cross, dim, work_square(movement, 0));
    for (size_t i = 0; i < extended; i++)
        for (size_t d = 0; d < dim; d++)
            w[i * state + state - dim + d] = cross[i * dim + d];
}

/* Covariance of the residuals of w: the scatter of so many pairs or windows, floored. */
static void residual_noise(const struct traj_movement *movement, const struct traj_moments *moments,
                           double count, const double *w, double *noise)
{
    const struct traj_training *training = movement->training;
    size_t state = movement->state;
    double floor[TRAJ_STATE_MAX];
    traj_moments_scatter(moments, w, noise, work_square(movement, 0));
    for (size_t i = 0; i < state * state; i++)
        noise[i] /= count > 1 ? count : 1;
    for (size_t j = 0; j < state; j++) {
        double deviation = NOISE_FLOOR * training->scale[j / training->dim];
        floor[j] = deviation * deviation;
    }
    traj_matrix_make_positive(noise, state, floor, work_square(movement, 0));
}

/* Mean and covariance of first states, with two pseudo-courses about `prior` of the floor's
 * width. */
static void first_state(const struct traj_movement *movement, const struct traj_moments *moments,
                        double *start, double *cov)
{
    const struct traj_training *training = movement->training;
    size_t state = movement->state, extended = movement->extended;
    double courses = traj_moments_courses(moments), floor[TRAJ_STATE_MAX];
    for (size_t i = 0; i < state; i++) {
        double usual = i < training->dim ? training->center[i] : 0;
        start[i] = courses > 0 ? moments->first[i * extended + state] / courses : usual;
    }
    for (size_t i = 0; i < state; i++)
        for (size_t j = 0; j < state; j++) {
            double scatter =
                courses > 0 ? moments->first[i * extended + j] - courses * start[i] * start[j] : 0;
            cov[i * state + j] = scatter / (courses + 2);
        }
    for (size_t i = 0; i < state; i++) {
        double deviation = START_FLOOR * training->scale[i / training->dim];
        floor[i] = deviation * deviation * (courses > 0 ? 2 / (courses + 2) + 0.01 : 100);
    }
    traj_matrix_make_positive(cov, state, floor, work_square(movement, 0));
}

static void put_transition(const struct traj_movement *movement, const double *w,
                           const struct traj_dynamics_part *part)
{
    size_t state = movement->state;
    for (size_t i = 0; i < state; i++) {
        for (size_t j = 0; j < state; j++)
            part->transition[i * state + j] = w[j * state + i];
        part->drift[i] = w[state * state + i];
    }
}

/* ---- pooling over targets -------------------------------------------------------------------- */

/* Mean first position of all trials that train. */
static void mean_start(const struct traj_movement *movement, unsigned without, double *start)
{
    const struct traj_training *training = movement->training;
    size_t extended = movement->extended, state = movement->state;
    double courses = 0;
    memset(start, 0, training->dim * sizeof *start);
    for (size_t m = 0; m <= training->targets; m++)
        for (size_t f = 0; f < movement->folds; f++) {
            if (!traj_fold_used(slot_fold(movement, f), without))
                continue;
            const struct traj_moments *own = &movement->target[m * movement->folds + f];
            courses += traj_moments_courses(own);
            for (size_t d = 0; d < training->dim; d++)
                start[d] += own->first[d * extended + state];
        }
    for (size_t d = 0; d < training->dim; d++)
        start[d] = courses > 0 ? start[d] / courses : training->center[d];
}

/* Distance of a target from the start, and the mean over targets. */
static double distance(const struct traj_training *training, size_t target, const double *start)
{
    double sum = 0;
    for (size_t d = 0; d < training->dim; d++) {
        double apart = training->target_position[target * training->dim + d] - start[d];
        sum += apart * apart;
    }
    return sqrt(sum);
}

/* The maps into and out of the coordinates in which a target's movements are like the others'. */
static void target_maps(const struct traj_movement *movement, enum traj_likeness likeness,
                        const double *start, size_t target, double *into, double *back)
{
    const struct traj_training *training = movement->training;
    size_t dim = training->dim;
    const double *place = training->target_position + target * dim;
    double rotation[TRAJ_DIM_MAX * TRAJ_DIM_MAX], toward[TRAJ_DIM_MAX] = {1};
    if (likeness == TRAJ_ALIKE_SHIFTED) {
        traj_rotation_to(toward, dim, rotation);
        traj_frame_maps(rotation, place, 1, dim, movement->order, into, back);
        return;
    }
    double mean = 0, own = distance(training, target, start);
    for (size_t m = 0; m < training->targets; m++)
        mean += distance(training, m, start) / (double)training->targets;
    bool directed = own > NEAR * mean;
    for (size_t d = 0; d < dim && directed; d++)
        toward[d] = place[d] - start[d];
    traj_rotation_to(toward, dim, rotation);
    double scale = directed ? own : mean > 0 ? mean : 1;
    traj_frame_maps(rotation, start, scale, dim, movement->order, into, back);
}

/* A pool of all targets' movements in common coordinates; its moments are work moments 0. */
struct pool {
    double start[TRAJ_DIM_MAX];
    /* In common coordinates, except `first`, which stays in the world's. */
    struct traj_moments moments;
    double trials;
};

/* rows: movement->target for pairs of states, ->window for windows of them. */
static void fill_pool(const struct traj_movement *movement, const struct traj_moments *rows,
                      enum traj_likeness likeness, unsigned without, struct pool *pool)
{
    size_t square = movement->extended * movement->extended;
    struct traj_moments own = work_moments(movement, 1), mapped = work_moments(movement, 2);
    double *into = work_square(movement, 1), *back = work_square(movement, 2);
    pool->moments = work_moments(movement, 0);
    pool->trials = 0;
    traj_moments_clear(&pool->moments);
    mean_start(movement, without, pool->start);
    for (size_t m = 0; m < movement->training->targets; m++) {
        for (size_t f = 0; f < movement->folds; f++)
            if (traj_fold_used(slot_fold(movement, f), without))
                pool->trials += traj_moments_courses(&movement->target[m * movement->folds + f]);
        traj_moments_clear(&own);
        sum_row(movement, rows + m * movement->folds, without, &own);
        if (traj_moments_courses(&own) <= 0)
            continue;
        target_maps(movement, likeness, pool->start, m, into, back);
        traj_moments_map(&own, into, &mapped, work_square(movement, 3));
        memcpy(mapped.first, own.first, square * sizeof *own.first);
        traj_moments_add(&pool->moments, &mapped, 1);
    }
}

/* A target's own moments plus the pool's as so many trials to this target; into work moments 1. */
static struct traj_moments shrink(const struct traj_movement *movement,
                                  const struct traj_moments *rows,
                                  const struct traj_dynamics_choice *choice, unsigned without,
                                  size_t target, const struct pool *pool)
{
    size_t square = movement->extended * movement->extended;
    struct traj_moments own = work_moments(movement, 1), mapped = work_moments(movement, 2);
    double *into = work_square(movement, 1), *back = work_square(movement, 2);
    traj_moments_clear(&own);
    sum_row(movement, rows + target * movement->folds, without, &own);
    target_maps(movement, choice->likeness, pool->start, target, into, back);
    traj_moments_map(&pool->moments, back, &mapped, work_square(movement, 3));
    memcpy(mapped.first, pool->moments.first, square * sizeof *mapped.first);
    if (pool->trials > 0)
        traj_moments_add(&own, &mapped, choice->shrinkage / pool->trials);
    return own;
}

void traj_dynamics_target(const struct traj_movement *movement,
                          const struct traj_dynamics_choice *choice, unsigned without,
                          size_t target, const struct traj_dynamics_part *part)
{
    struct pool pool;
    double w[(TRAJ_STATE_MAX + 1) * TRAJ_STATE_MAX];
    fill_pool(movement, movement->target, choice->likeness, without, &pool);
    struct traj_moments moments =
        shrink(movement, movement->target, choice, without, target, &pool);
    regress(movement, &moments, w);
    put_transition(movement, w, part);
    first_state(movement, &moments, part->start, part->start_cov);
    fill_pool(movement, movement->window, choice->likeness, without, &pool);
    moments = shrink(movement, movement->window, choice, without, target, &pool);
    residual_noise(movement, &moments, traj_moments_courses(&moments), w, part->noise);
}

/* The sum over all targets, and unknown ones, of pairs or windows; into work moments 0. */
static struct traj_moments sum_targets(const struct traj_movement *movement,
                                       const struct traj_moments *rows, unsigned without)
{
    struct traj_moments all = work_moments(movement, 0);
    traj_moments_clear(&all);
    for (size_t m = 0; m <= movement->training->targets; m++)
        sum_row(movement, rows + m * movement->folds, without, &all);
    return all;
}

/* The sum over all recorded kinematics of pairs or windows; into work moments 0. */
static struct traj_moments sum_walk(const struct traj_movement *movement,
                                    const struct traj_moments *row, unsigned without)
{
    struct traj_moments all = work_moments(movement, 0);
    traj_moments_clear(&all);
    sum_row(movement, row, without, &all);
    return all;
}

void traj_dynamics_single(const struct traj_movement *movement, unsigned without,
                          const struct traj_dynamics_part *part)
{
    double w[(TRAJ_STATE_MAX + 1) * TRAJ_STATE_MAX];
    struct traj_moments all = sum_targets(movement, movement->target, without);
    regress(movement, &all, w);
    put_transition(movement, w, part);
    first_state(movement, &all, part->start, part->start_cov);
    all = sum_targets(movement, movement->window, without);
    residual_noise(movement, &all, traj_moments_courses(&all), w, part->noise);
}

void traj_dynamics_walk(const struct traj_movement *movement,
                        const struct traj_dynamics_choice *choice, unsigned without,
                        bool everywhere, const struct traj_dynamics_part *part)
{
    double w[(TRAJ_STATE_MAX + 1) * TRAJ_STATE_MAX];
    struct traj_moments all = sum_walk(movement, movement->walk, without);
    if (everywhere && choice->settling)
        regress(movement, &all, w);
    else
        integrate(movement, choice->decay, w);
    put_transition(movement, w, part);
    all = sum_walk(movement, windows_of(movement, movement->walk), without);
    residual_noise(movement, &all, traj_moments_courses(&all), w, part->noise);
    all = everywhere ? sum_walk(movement, movement->walk, without)
                     : sum_targets(movement, movement->target, without);
    first_state(movement, &all, part->start, part->start_cov);
}

/* ---- choice ---------------------------------------------------------------------------------- */

/* Log density of a fold's pairs under w and noise, without the constant; noise is overwritten. */
static double pair_density(const struct traj_movement *movement, const struct traj_moments *held,
                           const double *w, double *noise)
{
    size_t state = movement->state;
    double pairs = traj_moments_pairs(held), log_determinant = 0, trace = 0;
    double *scatter = work_square(movement, 1);
    if (pairs <= 0)
        return 0;
    traj_moments_scatter(held, w, scatter, work_square(movement, 0));
    if (traj_matrix_cholesky(noise, state))
        return -INFINITY;
    for (size_t i = 0; i < state; i++)
        log_determinant += 2 * log(noise[i * state + i]);
    traj_matrix_cholesky_solve(noise, state, scatter, state);
    for (size_t i = 0; i < state; i++)
        trace += scatter[i * state + i];
    return -(pairs * log_determinant + trace) / 2;
}

/* Held-out density of all targets' pairs under one choice. */
static double target_score(const struct traj_movement *movement,
                           const struct traj_dynamics_choice *choice)
{
    double w[(TRAJ_STATE_MAX + 1) * TRAJ_STATE_MAX], noise[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    double score = 0;
    for (unsigned f = 0; f < movement->training->folds; f++) {
        struct pool pool;
        fill_pool(movement, movement->target, choice->likeness, f, &pool);
        for (size_t m = 0; m < movement->training->targets; m++) {
            const struct traj_moments *held = moments_of(movement, (int32_t)m, f);
            if (traj_moments_pairs(held) <= 0)
                continue;
            struct traj_moments moments = shrink(movement, movement->target, choice, f, m, &pool);
            regress(movement, &moments, w);
            residual_noise(movement, &moments, traj_moments_pairs(&moments), w, noise);
            score += pair_density(movement, held, w, noise);
        }
    }
    return score;
}

/* The same of all recorded kinematics under a walk. */
static double walk_score(const struct traj_movement *movement, double decay)
{
    double w[(TRAJ_STATE_MAX + 1) * TRAJ_STATE_MAX], noise[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    double score = 0;
    integrate(movement, decay, w);
    for (unsigned f = 0; f < movement->training->folds; f++) {
        struct traj_moments all = sum_walk(movement, movement->walk, f);
        residual_noise(movement, &all, traj_moments_pairs(&all), w, noise);
        score += pair_density(movement, &movement->walk[f], w, noise);
    }
    return score;
}

static double held_out_pairs(const struct traj_movement *movement)
{
    double pairs = 0;
    for (size_t m = 0; m < movement->training->targets; m++)
        for (size_t f = 0; f < movement->training->folds; f++)
            pairs += traj_moments_pairs(moments_of(movement, (int32_t)m, f));
    return pairs;
}

static void choose_likeness(const struct traj_movement *movement,
                            struct traj_dynamics_choice *choice)
{
    static const double shrinkage[] = {0.3, 1, 3, 10, 30, 100, 1000};
    double best = -INFINITY;
    struct traj_dynamics_choice trial = *choice;
    for (int likeness = TRAJ_ALIKE_TURNED; likeness <= TRAJ_ALIKE_SHIFTED; likeness++)
        for (size_t i = 0; i < sizeof shrinkage / sizeof shrinkage[0]; i++) {
            trial.likeness = (enum traj_likeness)likeness;
            trial.shrinkage = shrinkage[i];
            double score = target_score(movement, &trial);
            if (score > best) {
                best = score;
                choice->likeness = trial.likeness;
                choice->shrinkage = trial.shrinkage;
            }
        }
    choice->pair_score = best / held_out_pairs(movement);
}

void traj_dynamics_choose(const struct traj_movement *movement, struct traj_dynamics_choice *choice)
{
    static const double decay[] = {1, 0.99, 0.98, 0.97, 0.95, 0.92, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5};
    choice->likeness = TRAJ_ALIKE_TURNED;
    choice->shrinkage = SHRINKAGE_DEFAULT;
    choice->decay = 1;
    choice->pair_score = NAN;
    if (movement->training->folds == 0)
        return;
    double best = -INFINITY;
    for (size_t i = 0; i < sizeof decay / sizeof decay[0]; i++) {
        double score = walk_score(movement, decay[i]);
        if (score > best) {
            best = score;
            choice->decay = decay[i];
        }
    }
    if (movement->training->per_target >= 2 && held_out_pairs(movement) > 0)
        choose_likeness(movement, choice);
}
