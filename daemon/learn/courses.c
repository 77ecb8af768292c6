/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Linear dynamics whose mean follows the mean course of a reach. */
#include "daemon/learn/courses.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/frame_of_target.h"
#include "daemon/learn/matrix.h"

#define STEPS_MAX 400 /* bins of a mean course; longer ones have ended */
#define NEAR 0.2 /* a target nearer to the start than this share of the mean has no direction */
#define NOISE_FLOOR 1e-4  /* standard deviation in shares of the spread of position, velocity, .. */
#define START_FLOOR 0.02  /* likewise, of the first state */
#define ACROSS_FLOOR 0.01 /* standard deviation of positions about the course, in reach lengths */
/* s: a velocity that is wrong by 10 mm/s counts as much as a position that is wrong by 1 mm.
 * Without it a mode may begin with a violent kick that positions hardly show but firing rates
 * would. */
#define VELOCITY_WEIGHT 0.1
#define SEARCHES 3
#define SEARCH_STEPS 400

struct traj_courses {
    const struct traj_training *training;
    size_t order, steps, folds;
    size_t delays;
    double base;   /* bins from a movement's begin to the earliest onset */
    double *onset; /* [delays] quantiles of the bins from begin to onset */
    double *block;
    /* Rows [targets][folds] over `steps`: */
    double *trials;  /* [.][.] courses */
    double *sum;     /* [.][.][steps][dim] positions, the last one held to the end */
    double *alive;   /* [.][.][steps] courses that are recorded there */
    double *live;    /* [.][.][steps][dim] positions of those */
    double *square;  /* [.][.][dim][dim] sum over courses and steps of p p' */
    double *scratch; /* two courses [steps][dim] and a basis [steps][6] */
};

/* ---- gathering ------------------------------------------------------------------------------- */

static size_t fold_slot(const struct traj_courses *courses, unsigned fold)
{
    if (fold == TRAJ_FOLD_ALWAYS)
        return courses->folds - 2;
    return fold == TRAJ_FOLD_NEVER ? courses->folds - 1 : fold;
}

static bool slot_used(const struct traj_courses *courses, size_t slot, unsigned without)
{
    unsigned fold = (unsigned)slot;
    if (slot == courses->folds - 2)
        fold = TRAJ_FOLD_ALWAYS;
    if (slot == courses->folds - 1)
        fold = TRAJ_FOLD_NEVER;
    return traj_fold_used(fold, without);
}

/* Position of a trial at a time in bins after its first state, between the two states around it;
 * false where they were not recorded. */
static bool position_at(const struct traj_training *training, const struct traj_course *trial,
                        double at, double *position)
{
    size_t low = (size_t)at, high = at > (double)low ? low + 1 : low;
    if (high >= trial->count || !training->state_known[trial->first + low] ||
        !training->state_known[trial->first + high])
        return false;
    const double *a = training->state + (trial->first + low) * 3 * training->dim;
    const double *b = training->state + (trial->first + high) * 3 * training->dim;
    for (size_t d = 0; d < training->dim; d++)
        position[d] = a[d] + (at - (double)low) * (b[d] - a[d]);
    return true;
}

/* begin: bins after the trial's first state; pace: bins of the trial in one of the course. */
static void add_course(struct traj_courses *courses, const struct traj_course *trial, double begin,
                       double pace)
{
    const struct traj_training *training = courses->training;
    size_t dim = training->dim, steps = courses->steps;
    size_t row = (size_t)trial->target * courses->folds + fold_slot(courses, trial->fold);
    double last[TRAJ_DIM_MAX];
    bool begun = false;
    for (size_t t = 0; t < steps; t++) {
        bool there = position_at(training, trial, begin + pace * (double)t, last);
        begun = begun || there;
        if (!begun)
            return; /* a course whose beginning is not known says nothing about time */
        courses->alive[row * steps + t] += there;
        for (size_t d = 0; d < dim; d++) {
            courses->sum[(row * steps + t) * dim + d] += last[d];
            courses->live[(row * steps + t) * dim + d] += there ? last[d] : 0;
            for (size_t e = 0; e < dim && there; e++)
                courses->square[(row * dim + d) * dim + e] += last[d] * last[e];
        }
    }
    courses->trials[row] += 1;
}

static size_t longest(const struct traj_training *training, double plan_end)
{
    size_t steps = 1;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        size_t begin = traj_movement_begin(training, trial, plan_end);
        if (trial->target >= 0 && trial->count - begin > steps)
            steps = trial->count - begin;
    }
    return steps < STEPS_MAX ? steps : STEPS_MAX;
}

static int ascending(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Quantiles of the reaction time over all trials; 0, or -1 without memory. */
static int gather_onsets(struct traj_courses *courses, double plan_end,
                         const struct traj_speeds *speeds)
{
    const struct traj_training *training = courses->training;
    double *onset = malloc((training->trials + 1) * sizeof *onset);
    size_t count = 0;
    if (!onset)
        return -1;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        size_t begin = traj_movement_begin(training, trial, plan_end);
        if (trial->target >= 0 && begin < trial->count)
            onset[count++] = traj_trial_onset(training, trial, begin);
    }
    qsort(onset, count, sizeof *onset, ascending);
    for (size_t l = 0; l < courses->delays && count > 0; l++) {
        double share = ((double)l + 0.5) / (double)courses->delays;
        courses->onset[l] = onset[(size_t)(share * (double)count)];
    }
    courses->base = speeds ? 0 : courses->onset[0];
    free(onset);
    return 0;
}

size_t traj_courses_delay(const struct traj_courses *courses, size_t l)
{
    return (size_t)(courses->onset[l] - courses->base + 0.5);
}

/* The state at which a trial's course, at its own speed, is taken to begin. */
static size_t course_begin(const struct traj_courses *courses, const struct traj_course *trial,
                           double plan_end)
{
    const struct traj_training *training = courses->training;
    size_t begin = traj_movement_begin(training, trial, plan_end);
    if (courses->delays < 2 || begin >= trial->count)
        return begin;
    double late = traj_trial_onset(training, trial, begin) - courses->base;
    return late > 0 ? begin + (size_t)(late + 0.5) : begin;
}

static void add_courses(struct traj_courses *courses, double plan_end,
                        const struct traj_speeds *speeds)
{
    const struct traj_training *training = courses->training;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->target < 0)
            continue;
        if (speeds)
            add_course(courses, trial,
                       (double)traj_movement_begin(training, trial, plan_end) + speeds->onset[r],
                       exp(-speeds->speed[r]));
        else
            add_course(courses, trial, (double)course_begin(courses, trial, plan_end), 1);
    }
}

struct traj_courses *traj_courses_new(const struct traj_training *training, size_t state,
                                      double plan_end, size_t delays,
                                      const struct traj_speeds *speeds, struct traj_error *error)
{
    size_t dim = training->dim, folds = (training->folds > 0 ? training->folds : 1) + 2;
    size_t rows = training->targets * folds, steps = longest(training, plan_end);
    struct traj_courses *courses = calloc(1, sizeof *courses);
    if (courses)
        courses->block = calloc(rows * (1 + steps * (1 + 2 * dim) + dim * dim) +
                                    steps * (2 * dim + 6) + delays + 1,
                                sizeof *courses->block);
    if (courses && courses->block) {
        courses->training = training;
        courses->order = state / dim;
        courses->steps = steps;
        courses->folds = folds;
        courses->delays = delays;
        courses->trials = courses->block;
        courses->sum = courses->trials + rows;
        courses->alive = courses->sum + rows * steps * dim;
        courses->live = courses->alive + rows * steps;
        courses->square = courses->live + rows * steps * dim;
        courses->scratch = courses->square + rows * dim * dim;
        courses->onset = courses->scratch + steps * (2 * dim + 6);
    }
    if (!courses || !courses->block || gather_onsets(courses, plan_end, speeds)) {
        traj_courses_free(courses);
        traj_error_set(error, "no memory for the courses to %zu targets", training->targets);
        return NULL;
    }
    add_courses(courses, plan_end, speeds);
    return courses;
}

void traj_courses_free(struct traj_courses *courses)
{
    if (!courses)
        return;
    free(courses->block);
    free(courses);
}

/* ---- mean courses ---------------------------------------------------------------------------- */

/* Trials to a target outside the fold; their mean course into mean[steps][dim] where there are
 * any. */
static double mean_course(const struct traj_courses *courses, size_t target, unsigned without,
                          double *mean)
{
    size_t cells = courses->steps * courses->training->dim;
    double trials = 0;
    memset(mean, 0, cells * sizeof *mean);
    for (size_t f = 0; f < courses->folds; f++) {
        size_t row = target * courses->folds + f;
        if (!slot_used(courses, f, without))
            continue;
        trials += courses->trials[row];
        for (size_t i = 0; i < cells; i++)
            mean[i] += courses->sum[row * cells + i];
    }
    for (size_t i = 0; i < cells && trials > 0; i++)
        mean[i] /= trials;
    return trials;
}

/* The place where courses begin, the mean over trials. */
static double mean_origin(const struct traj_courses *courses, unsigned without, double *origin)
{
    size_t dim = courses->training->dim;
    double trials = 0;
    memset(origin, 0, dim * sizeof *origin);
    for (size_t row = 0; row < courses->training->targets * courses->folds; row++) {
        if (!slot_used(courses, row % courses->folds, without))
            continue;
        trials += courses->trials[row];
        for (size_t d = 0; d < dim; d++)
            origin[d] += courses->sum[row * courses->steps * dim + d];
    }
    for (size_t d = 0; d < dim; d++)
        origin[d] = trials > 0 ? origin[d] / trials : courses->training->center[d];
    return trials;
}

/* Where a target lies as seen from the origin: its rotation[dim][dim] and distance. */
static double direction(const struct traj_courses *courses, const double *origin, size_t target,
                        double *rotation)
{
    const struct traj_training *training = courses->training;
    size_t dim = training->dim;
    double mean = 0, own = 0, toward[TRAJ_DIM_MAX] = {1};
    for (size_t m = 0; m < training->targets; m++) {
        double sum = 0;
        for (size_t d = 0; d < dim; d++) {
            double apart = training->target_position[m * dim + d] - origin[d];
            sum += apart * apart;
        }
        mean += sqrt(sum) / (double)training->targets;
        own = m == target ? sqrt(sum) : own;
    }
    bool directed = own > NEAR * mean;
    for (size_t d = 0; d < dim && directed; d++)
        toward[d] = training->target_position[target * dim + d] - origin[d];
    traj_rotation_to(toward, dim, rotation);
    return directed ? own : mean > 0 ? mean : 1;
}

/* z = rotation' (p - origin) / scale, and back. */
static void turn_in(const double *p, const double *origin, const double *rotation, double scale,
                    size_t dim, double *z)
{
    for (size_t i = 0; i < dim; i++) {
        z[i] = 0;
        for (size_t j = 0; j < dim; j++)
            z[i] += rotation[j * dim + i] * (p[j] - origin[j]) / scale;
    }
}

static void turn_out(const double *z, const double *origin, const double *rotation, double scale,
                     size_t dim, double *p)
{
    for (size_t i = 0; i < dim; i++) {
        p[i] = origin[i];
        for (size_t j = 0; j < dim; j++)
            p[i] += rotation[i * dim + j] * z[j] * scale;
    }
}

/* The mean course of all targets, turned to the first axis and scaled to length 1. */
static void pooled_course(const struct traj_courses *courses, unsigned without,
                          const double *origin, double *own, double *pooled)
{
    const struct traj_training *training = courses->training;
    size_t dim = training->dim;
    double rotation[TRAJ_DIM_MAX * TRAJ_DIM_MAX], z[TRAJ_DIM_MAX], trials = 0;
    memset(pooled, 0, courses->steps * dim * sizeof *pooled);
    for (size_t m = 0; m < training->targets; m++) {
        double count = mean_course(courses, m, without, own);
        double scale = direction(courses, origin, m, rotation);
        trials += count;
        for (size_t t = 0; t < courses->steps && count > 0; t++) {
            turn_in(own + t * dim, origin, rotation, scale, dim, z);
            for (size_t d = 0; d < dim; d++)
                pooled[t * dim + d] += count * z[d];
        }
    }
    for (size_t i = 0; i < courses->steps * dim && trials > 0; i++)
        pooled[i] /= trials;
}

/* ---- modes ----------------------------------------------------------------------------------- */

/*
 * Last row of M from its poles.  With w = z - 1 the characteristic polynomial of
 * (1 D D^2/2; 0 1 D; r) is  w^3 + (1 - r3) w^2 - (D r2 + D^2 r1 / 2) w - D^2 r1, and that of
 * (1 D; r) is  w^2 + (1 - r2) w - D r1.
 */
static void row_of(const double *pole, size_t order, double bin, double *row)
{
    double frequency = pole[1], damping = pole[2];
    /* The pair s^2 + 2 damping frequency s + frequency^2 in discrete time: z^2 - sum z +
     * product. */
    double product = exp(-2 * damping * frequency * bin), sum;
    double inside = damping * damping - 1, decay = exp(-damping * frequency * bin);
    if (inside >= 0)
        sum = 2 * decay * cosh(frequency * bin * sqrt(inside));
    else
        sum = 2 * decay * cos(frequency * bin * sqrt(-inside));
    double first = sum - 2, second = product - sum + 1; /* of w: their sum and product */
    if (order == 2) {
        row[0] = -second / bin;
        row[1] = 1 + first;
        row[2] = 0;
        return;
    }
    double real = exp(-pole[0] * bin) - 1;
    double e1 = first + real, e2 = second + real * first, e3 = second * real;
    row[0] = e3 / (bin * bin);
    row[1] = -(e2 + e3 / 2) / bin;
    row[2] = 1 + e1;
}

/* One step of M on the state of one axis. */
static void step(const double *row, size_t order, double bin, double *x)
{
    double last = row[0] * x[0] + row[1] * x[1] + (order == 3 ? row[2] * x[2] : 0);
    if (order == 3) {
        x[0] += bin * x[1] + bin * bin / 2 * x[2];
        x[1] += bin * x[2];
        x[2] = last;
    } else {
        x[0] += bin * x[1];
        x[1] = last;
    }
}

/*
 * basis[steps][6]: position, then velocity times VELOCITY_WEIGHT, at t for a unit of each
 * first-state variable; -1 if it runs away.
 */
static int make_basis(const struct traj_courses *courses, const double *row, double *basis)
{
    for (size_t j = 0; j < courses->order; j++) {
        double x[3] = {j == 0, j == 1, j == 2};
        for (size_t t = 0; t < courses->steps; t++) {
            basis[t * 6 + j] = x[0];
            basis[t * 6 + 3 + j] = VELOCITY_WEIGHT * x[1];
            if (!(fabs(x[0]) < 1e6))
                return -1;
            step(row, courses->order, courses->training->bin, x);
        }
    }
    return 0;
}

/* What remains of a course's axis (stride dim) at t: position, and weighted velocity. */
static void residual(const struct traj_courses *courses, const double *basis, const double *course,
                     double end, const double *x1, size_t t, double *out)
{
    size_t dim = courses->training->dim, last = courses->steps - 1;
    size_t before = t > 0 ? t - 1 : 0, after = t < last ? t + 1 : last;
    double width = (double)(after - before) * courses->training->bin;
    out[0] = course[t * dim] - end;
    out[1] = VELOCITY_WEIGHT * (course[after * dim] - course[before * dim]) / width;
    for (size_t i = 0; i < courses->order; i++) {
        out[0] -= basis[t * 6 + i] * x1[i];
        out[1] -= basis[t * 6 + 3 + i] * x1[i];
    }
}

/*
 * Least squares first state of one axis of a course (stride dim) that ends at `end`; returns the
 * squared distance of positions and weighted velocities.
 */
static double first_state(const struct traj_courses *courses, const double *basis,
                          const double *course, double end, double *x1)
{
    static const double nothing[3] = {0, 0, 0};
    size_t order = courses->order;
    double gram[9] = {0}, work[9], left[2], distance = 0;
    memset(x1, 0, order * sizeof *x1);
    for (size_t t = 0; t < courses->steps; t++) {
        const double *p = basis + t * 6, *v = p + 3;
        residual(courses, basis, course, end, nothing, t, left);
        for (size_t i = 0; i < order; i++) {
            x1[i] += p[i] * left[0] + v[i] * left[1];
            for (size_t j = 0; j <= i; j++)
                gram[i * order + j] += p[i] * p[j] + v[i] * v[j];
        }
    }
    traj_matrix_solve_moments(gram, NULL, order, x1, 1, work);
    for (size_t t = 0; t < courses->steps; t++) {
        residual(courses, basis, course, end, x1, t, left);
        distance += left[0] * left[0] + left[1] * left[1];
    }
    return distance;
}

/* What the search for poles looks at. */
struct fitting {
    const struct traj_courses *courses;
    const double *pooled;
    double *basis;
};

static void poles_of(const gsl_vector *theta, double *pole)
{
    for (size_t i = 0; i < 3; i++)
        pole[i] = i < theta->size ? exp(gsl_vector_get(theta, i)) : 1;
}

/* theta: logarithms of frequency, damping and, for order 3, the real mode's decay. */
static double misfit(const gsl_vector *theta, void *context)
{
    const struct fitting *fitting = context;
    const struct traj_courses *courses = fitting->courses;
    size_t dim = courses->training->dim;
    double pole[3], ordered[3], row[3], x1[3], sum = 0;
    poles_of(theta, pole);
    ordered[0] = pole[2];
    ordered[1] = pole[0];
    ordered[2] = pole[1];
    row_of(ordered, courses->order, courses->training->bin, row);
    if (make_basis(courses, row, fitting->basis))
        return GSL_POSINF;
    for (size_t d = 0; d < dim; d++)
        sum += first_state(courses, fitting->basis, fitting->pooled + d,
                           fitting->pooled[(courses->steps - 1) * dim + d], x1);
    /* A weak pull keeps modes within what a bin can show and a body can do. */
    for (size_t i = 0; i < theta->size; i++) {
        double beyond = fabs(gsl_vector_get(theta, i) - (i == 1 ? 0 : log(10.0))) - 1.5;
        sum += beyond > 0 ? beyond * beyond : 0;
    }
    return isfinite(sum) ? sum : GSL_POSINF;
}

/* Nelder and Mead's simplex from several beginnings; the best poles into pole. */
static double search_poles(const struct traj_courses *courses, struct fitting *fitting,
                           double *pole)
{
    static const double frequency[SEARCHES] = {6, 10, 16};
    size_t size = courses->order;
    gsl_vector *theta = gsl_vector_alloc(size), *width = gsl_vector_alloc(size);
    gsl_multimin_fminimizer *search =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, size);
    gsl_multimin_function function = {misfit, size, fitting};
    double best = INFINITY;
    for (size_t s = 0; s < SEARCHES && theta && width && search; s++) {
        for (size_t i = 0; i < size; i++)
            gsl_vector_set(theta, i, i == 1 ? log(0.8) : log(frequency[s]));
        gsl_vector_set_all(width, 0.3);
        if (gsl_multimin_fminimizer_set(search, &function, theta, width))
            continue;
        for (size_t i = 0; i < SEARCH_STEPS; i++)
            if (gsl_multimin_fminimizer_iterate(search) ||
                gsl_multimin_test_size(gsl_multimin_fminimizer_size(search), 1e-5) == GSL_SUCCESS)
                break;
        double found = gsl_multimin_fminimizer_minimum(search);
        if (found < best) {
            double unordered[3];
            best = found;
            poles_of(gsl_multimin_fminimizer_x(search), unordered);
            pole[0] = unordered[2];
            pole[1] = unordered[0];
            pole[2] = unordered[1];
        }
    }
    gsl_multimin_fminimizer_free(search);
    gsl_vector_free(theta);
    gsl_vector_free(width);
    return best;
}

/* Mean variance of position per unit variance of noise, over the steps at which courses live. */
static double unit_spread(const struct traj_courses *courses, const double *row)
{
    size_t order = courses->order;
    double m[9] = {0}, p[9] = {0}, next[9], work[9], sum = 0, weight = 0;
    for (size_t j = 0; j < order; j++) {
        double x[3] = {j == 0, j == 1, j == 2};
        step(row, order, courses->training->bin, x);
        for (size_t i = 0; i < order; i++)
            m[i * order + j] = x[i];
    }
    for (size_t t = 0; t < courses->steps; t++) {
        double alive = 0;
        for (size_t r = 0; r < courses->training->targets * courses->folds; r++)
            alive += courses->alive[r * courses->steps + t];
        sum += alive * p[0];
        weight += alive;
        traj_matrix_congruence(m, p, order, next, work);
        memcpy(p, next, sizeof p);
        p[order * order - 1] += 1;
    }
    return weight > 0 && sum > 0 ? sum / weight : 1;
}

int traj_courses_shape(struct traj_courses *courses, unsigned without,
                       struct traj_course_shape *shape)
{
    size_t dim = courses->training->dim, cells = courses->steps * dim;
    double origin[TRAJ_DIM_MAX];
    double *own = courses->scratch, *pooled = own + cells, *basis = pooled + cells;
    if (mean_origin(courses, without, origin) <= 0 || courses->steps < 4)
        return -1;
    pooled_course(courses, without, origin, own, pooled);
    struct fitting fitting = {courses, pooled, basis};
    *shape = (struct traj_course_shape){.pole = {10, 10, 1}};
    double squares = search_poles(courses, &fitting, shape->pole);
    row_of(shape->pole, courses->order, courses->training->bin, shape->row);
    shape->spread = unit_spread(courses, shape->row);
    shape->misfit = sqrt(squares / (double)courses->steps);
    return isfinite(squares) ? 0 : -1;
}

double traj_course_shape_limit(const struct traj_course_shape *shape, size_t order, double bin)
{
    /* |1 + c (z - 1)| < 1 for each pole z of the clock at 1: c < 2 (1 - Re z) / |1 - z|^2. */
    double frequency = shape->pole[1], damping = shape->pole[2], inside = damping * damping - 1;
    double decay = exp(-damping * frequency * bin), largest = INFINITY;
    if (inside >= 0) {
        double fast = exp(-(damping + sqrt(inside)) * frequency * bin);
        largest = 2 / (1 - fast);
    } else {
        double angle = frequency * bin * sqrt(-inside), real = 1 - decay * cos(angle);
        largest = 2 * real / (real * real + decay * decay * sin(angle) * sin(angle));
    }
    if (order == 3)
        largest = fmin(largest, 2 / (1 - exp(-shape->pole[0] * bin)));
    return log(largest);
}

/* ---- a target -------------------------------------------------------------------------------- */

/* Adds the scatter of live positions about a course that is fitted by x1 and end; returns its
 * weight. */
static double add_scatter(const struct traj_courses *courses, size_t target, unsigned without,
                          const double *fitted, double *scatter)
{
    size_t dim = courses->training->dim, steps = courses->steps;
    double weight = 0;
    for (size_t f = 0; f < courses->folds; f++) {
        size_t row = target * courses->folds + f;
        if (!slot_used(courses, f, without))
            continue;
        for (size_t i = 0; i < dim * dim; i++)
            scatter[i] += courses->square[row * dim * dim + i];
        for (size_t t = 0; t < steps; t++) {
            double alive = courses->alive[row * steps + t];
            const double *live = courses->live + (row * steps + t) * dim, *mean = fitted + t * dim;
            weight += alive;
            for (size_t i = 0; i < dim; i++)
                for (size_t j = 0; j < dim; j++)
                    scatter[i * dim + j] +=
                        alive * mean[i] * mean[j] - live[i] * mean[j] - mean[i] * live[j];
        }
    }
    return weight;
}

/* A target's mean course drawn towards the pooled one by so many trials. */
static void shrunk_course(const struct traj_courses *courses, size_t target, double shrinkage,
                          unsigned without, const double *origin, const double *pooled, double *own)
{
    size_t dim = courses->training->dim;
    double rotation[TRAJ_DIM_MAX * TRAJ_DIM_MAX], p[TRAJ_DIM_MAX];
    double trials = mean_course(courses, target, without, own);
    double scale = direction(courses, origin, target, rotation);
    for (size_t t = 0; t < courses->steps; t++) {
        turn_out(pooled + t * dim, origin, rotation, scale, dim, p);
        for (size_t d = 0; d < dim; d++)
            own[t * dim + d] =
                (trials * own[t * dim + d] + shrinkage * p[d]) / (trials + shrinkage);
    }
}

/* Puts M, b and the first state, and the course that they make into fitted (in place of course). */
static void put_modes(const struct traj_courses *courses, const struct traj_course_shape *shape,
                      const double *basis, double *course, const struct traj_dynamics_part *part)
{
    size_t dim = courses->training->dim, order = courses->order, state = order * dim;
    double bin = courses->training->bin;
    memset(part->transition, 0, state * state * sizeof(double));
    memset(part->drift, 0, state * sizeof(double));
    for (size_t d = 0; d < dim; d++) {
        double x1[3], end = course[(courses->steps - 1) * dim + d];
        (void)first_state(courses, basis, course + d, end, x1);
        for (size_t j = 0; j < order; j++) {
            double unit[3] = {j == 0, j == 1, j == 2};
            step(shape->row, order, bin, unit);
            for (size_t i = 0; i < order; i++)
                part->transition[(i * dim + d) * state + j * dim + d] = unit[i];
            part->start[j * dim + d] = x1[j] + (j == 0 ? end : 0);
        }
        part->drift[state - dim + d] = -shape->row[0] * end;
        for (size_t t = 0; t < courses->steps; t++) {
            course[t * dim + d] = end;
            for (size_t j = 0; j < order; j++)
                course[t * dim + d] += basis[t * 6 + j] * x1[j];
        }
    }
}

/* Noise of the highest derivative from the spread of positions; floors elsewhere. */
static void put_noise(const struct traj_courses *courses, const struct traj_course_shape *shape,
                      const double *spread, const struct traj_dynamics_part *part)
{
    const struct traj_training *training = courses->training;
    size_t dim = training->dim, state = courses->order * dim;
    double floor[TRAJ_STATE_MAX], start_floor[TRAJ_STATE_MAX],
        work[TRAJ_STATE_MAX * TRAJ_STATE_MAX];
    memset(part->noise, 0, state * state * sizeof(double));
    memset(part->start_cov, 0, state * state * sizeof(double));
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < dim; j++)
            part->noise[(state - dim + i) * state + state - dim + j] =
                spread[i * dim + j] / shape->spread;
    for (size_t j = 0; j < state; j++) {
        double scale = training->scale[j / dim];
        floor[j] = NOISE_FLOOR * NOISE_FLOOR * scale * scale;
        start_floor[j] = START_FLOOR * START_FLOOR * scale * scale;
    }
    traj_matrix_make_positive(part->noise, state, floor, work);
    traj_matrix_make_positive(part->start_cov, state, start_floor, work);
}

/* Pooled scatter in turned coordinates about each target's fitted course, per bin. */
static void pooled_spread(const struct traj_courses *courses, const struct traj_course_shape *shape,
                          double shrinkage, unsigned without, const double *origin,
                          const double *pooled, double *own, const double *basis,
                          const struct traj_dynamics_part *part, double *spread)
{
    const struct traj_training *training = courses->training;
    size_t dim = training->dim;
    double scatter[TRAJ_DIM_MAX * TRAJ_DIM_MAX], turned[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double rotation[TRAJ_DIM_MAX * TRAJ_DIM_MAX], back[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double work[TRAJ_DIM_MAX * TRAJ_DIM_MAX], weight = 0;
    memset(spread, 0, dim * dim * sizeof *spread);
    for (size_t m = 0; m < training->targets; m++) {
        shrunk_course(courses, m, shrinkage, without, origin, pooled, own);
        put_modes(courses, shape, basis, own, part);
        memset(scatter, 0, dim * dim * sizeof *scatter);
        double bins = add_scatter(courses, m, without, own, scatter);
        double scale = direction(courses, origin, m, rotation);
        for (size_t i = 0; i < dim; i++)
            for (size_t j = 0; j < dim; j++)
                back[i * dim + j] = rotation[j * dim + i] / scale;
        traj_matrix_congruence(back, scatter, dim, turned, work);
        weight += bins;
        for (size_t i = 0; i < dim * dim; i++)
            spread[i] += turned[i];
    }
    for (size_t i = 0; i < dim * dim; i++)
        spread[i] /= weight > 0 ? weight : 1;
    for (size_t i = 0; i < dim; i++)
        spread[i * dim + i] += ACROSS_FLOOR * ACROSS_FLOOR;
}

void traj_courses_target(struct traj_courses *courses, const struct traj_course_shape *shape,
                         double shrinkage, unsigned without, size_t target,
                         const struct traj_dynamics_part *part)
{
    size_t dim = courses->training->dim, cells = courses->steps * dim;
    double origin[TRAJ_DIM_MAX], rotation[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double spread[TRAJ_DIM_MAX * TRAJ_DIM_MAX], world[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double work[TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double *own = courses->scratch, *pooled = own + cells, *basis = pooled + cells;
    (void)mean_origin(courses, without, origin);
    pooled_course(courses, without, origin, own, pooled);
    if (make_basis(courses, shape->row, basis))
        memset(basis, 0, courses->steps * 6 * sizeof *basis);
    pooled_spread(courses, shape, shrinkage, without, origin, pooled, own, basis, part, spread);
    shrunk_course(courses, target, shrinkage, without, origin, pooled, own);
    put_modes(courses, shape, basis, own, part);
    double scale = direction(courses, origin, target, rotation);
    for (size_t i = 0; i < dim * dim; i++)
        rotation[i] *= scale;
    traj_matrix_congruence(rotation, spread, dim, world, work);
    put_noise(courses, shape, world, part);
}
