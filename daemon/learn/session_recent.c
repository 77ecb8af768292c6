/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regression on the recent past of all channels; see session_recent.h. */
#include "daemon/learn/session_recent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/matrix.h"

#define STAGES 6
#define SPAN 0.65       /* s, that the cascade remembers: as the linear filters of the field */
#define INPUTS_MAX 1200 /* beyond which the moments take too long: more channels, fewer stages */
#define FOLDS_MAX 10
#define ROWS 32 /* bins that are added to the moments at a time */

/* Moments of the bins of one fold. */
struct moments {
    double *gram;   /* [inputs][inputs], lower triangle */
    double *cross;  /* [inputs][out] */
    double *square; /* [out] */
};

/* Everything that fitting needs beside the result. */
struct fitting {
    struct traj_session_recent *recent;
    size_t folds;
    double *moment;        /* [folds + 1] moments, the last of which are scratch */
    double *work;          /* [inputs][inputs] */
    double *ridge;         /* [inputs] */
    double *row, *target;  /* [ROWS][inputs], [ROWS][out] that wait to be added */
    size_t rows, row_fold; /* how many do, and of which fold */
};

static size_t moments_size(const struct traj_session_recent *recent)
{
    return recent->inputs * (recent->inputs + recent->out) + recent->out;
}

static struct moments moments_of(const struct fitting *fitting, size_t fold)
{
    size_t inputs = fitting->recent->inputs, out = fitting->recent->out;
    double *gram = fitting->moment + fold * moments_size(fitting->recent);
    double *cross = gram + inputs * inputs;
    return (struct moments){gram, cross, cross + inputs * out};
}

/* ---- the cascade --------------------------------------------------------------------------- */

/* The stages after bin b, in the decoder's order; z[stages][channels] is what it was before. */
static void step_stages(const struct traj_session_recent *recent, size_t b, double *z)
{
    size_t c = recent->channels;
    const float *value = recent->value + b * c;
    bool begins = recent->training->run_start[b] == b;
    if (begins)
        memset(z, 0, recent->stages * c * sizeof *z);
    for (size_t n = 0; n < c; n++)
        z[n] = isfinite(value[n]) ? (double)value[n] - recent->center[n] : 0;
    for (size_t k = 1; k < recent->stages; k++)
        for (size_t n = 0; n < c; n++)
            z[k * c + n] += recent->follow * (z[(k - 1) * c + n] - z[k * c + n]);
}

static void measure_center(struct traj_session_recent *recent)
{
    const struct traj_training *training = recent->training;
    for (size_t n = 0; n < recent->channels; n++) {
        double sum = 0, count = 0;
        for (size_t b = 0; b < training->bins; b++) {
            double value = recent->value[b * recent->channels + n];
            sum += isfinite(value) ? value : 0;
            count += isfinite(value) ? 1 : 0;
        }
        recent->center[n] = sum / fmax(count, 1);
    }
}

/* ---- moments ------------------------------------------------------------------------------- */

/* Adds the rows that wait to their fold's moments; eight at a time, so that the moments are not
 * read for every one of them. */
static void flush(struct fitting *fitting)
{
    const struct traj_session_recent *recent = fitting->recent;
    const struct moments m = moments_of(fitting, fitting->row_fold);
    size_t n = recent->inputs, out = recent->out, rows = (fitting->rows + 7) / 8 * 8;
    memset(fitting->row + fitting->rows * n, 0, (rows - fitting->rows) * n * sizeof(double));
    for (size_t r = 0; r < fitting->rows; r++)
        for (size_t i = 0; i < n; i++)
            for (size_t o = 0; o < out; o++)
                m.cross[i * out + o] += fitting->row[r * n + i] * fitting->target[r * out + o];
    for (size_t r = 0; r < fitting->rows; r++)
        for (size_t o = 0; o < out; o++)
            m.square[o] += fitting->target[r * out + o] * fitting->target[r * out + o];
    for (size_t r = 0; r < rows; r += 8) {
        const double *x = fitting->row + r * n;
        for (size_t i = 0; i < n; i++) {
            double *gram = m.gram + i * n;
            double a = x[i], b = x[n + i], c = x[2 * n + i], d = x[3 * n + i];
            double e = x[4 * n + i], f = x[5 * n + i], g = x[6 * n + i], h = x[7 * n + i];
            for (size_t k = 0; k <= i; k++)
                gram[k] += a * x[k] + b * x[n + k] + c * x[2 * n + k] + d * x[3 * n + k] +
                           e * x[4 * n + k] + f * x[5 * n + k] + g * x[6 * n + k] +
                           h * x[7 * n + k];
        }
    }
    fitting->rows = 0;
}

static void gather(struct fitting *fitting, double *z)
{
    const struct traj_session_recent *recent = fitting->recent;
    const struct traj_training *training = recent->training;
    size_t n = recent->inputs, dim = training->dim;
    for (size_t b = 0; b < training->bins; b++) {
        step_stages(recent, b, z);
        if (!training->known[b] || training->fold[b] >= fitting->folds)
            continue;
        if (fitting->rows == ROWS || (fitting->rows > 0 && fitting->row_fold != training->fold[b]))
            flush(fitting);
        fitting->row_fold = training->fold[b];
        memcpy(fitting->row + fitting->rows * n, z, (n - 1) * sizeof *z);
        fitting->row[fitting->rows * n + n - 1] = 1;
        for (size_t o = 0; o < recent->out; o++)
            fitting->target[fitting->rows * recent->out + o] =
                training->x[b * 3 * dim + o] - (o < dim ? training->center[o] : 0);
        fitting->rows++;
    }
    if (fitting->rows > 0)
        flush(fitting);
}

/* ---- regression ---------------------------------------------------------------------------- */

/* weight[inputs][out] from the moments of all folds but two. */
static void solve(struct fitting *fitting, unsigned one, unsigned two, double *weight)
{
    size_t n = fitting->recent->inputs, out = fitting->recent->out;
    const struct moments left = moments_of(fitting, fitting->folds);
    memset(left.gram, 0, n * n * sizeof(double));
    memset(weight, 0, n * out * sizeof *weight);
    for (unsigned f = 0; f < fitting->folds; f++) {
        if (f == one || f == two)
            continue;
        const struct moments m = moments_of(fitting, f);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k <= i; k++)
                left.gram[i * n + k] += m.gram[i * n + k];
        for (size_t i = 0; i < n * out; i++)
            weight[i] += m.cross[i];
    }
    for (size_t i = 0; i < n; i++) {
        double bins = fmax(left.gram[n * n - 1], 1);
        fitting->ridge[i] = i + 1 < n ? fitting->recent->ridge * left.gram[i * n + i] / bins : 0;
        for (size_t k = 0; k < i; k++)
            left.gram[k * n + i] = left.gram[i * n + k];
    }
    traj_matrix_solve_moments(left.gram, fitting->ridge, n, weight, out, fitting->work);
}

/* Squared error of a regression on a fold for one output, from the fold's moments. */
static double squared_error(const struct fitting *fitting, unsigned fold, const double *weight,
                            size_t o)
{
    const struct moments m = moments_of(fitting, fold);
    size_t n = fitting->recent->inputs, out = fitting->recent->out;
    double sum = m.square[o];
    for (size_t i = 0; i < n; i++) {
        double bent = 0.5 * m.gram[i * n + i] * weight[i * out + o];
        for (size_t k = 0; k < i; k++)
            bent += m.gram[i * n + k] * weight[k * out + o];
        sum += 2 * weight[i * out + o] * (bent - m.cross[i * out + o]);
    }
    return sum;
}

/* The ridge whose answers to folds that it has not seen are the nearest. */
static void choose_ridge(struct fitting *fitting, double *weight)
{
    static const double grid[] = {100, 30, 300, 1000};
    struct traj_session_recent *recent = fitting->recent;
    const double *scale = recent->training->scale;
    double least = INFINITY, chosen = grid[0];
    for (size_t r = 0; r < sizeof grid / sizeof *grid; r++) {
        double sum = 0;
        recent->ridge = grid[r];
        for (unsigned f = 0; f < fitting->folds; f++) {
            solve(fitting, f, f, weight);
            for (size_t o = 0; o < recent->out; o++) {
                double unit = fmax(scale[o / recent->training->dim], 1e-300);
                sum += squared_error(fitting, f, weight, o) / (unit * unit);
            }
        }
        if (sum < least) {
            least = sum;
            chosen = grid[r];
        }
    }
    recent->ridge = chosen;
}

static size_t slot_of(const struct traj_session_recent *recent, unsigned fold)
{
    return fold < recent->training->folds ? fold : recent->training->folds;
}

static double *weight_at(const struct traj_session_recent *recent, size_t one, size_t two)
{
    size_t slots = recent->training->folds + 1;
    return recent->weight + (one * slots + two) * recent->inputs * recent->out;
}

const double *traj_session_recent_weight(const struct traj_session_recent *recent, unsigned one,
                                         unsigned two)
{
    return weight_at(recent, slot_of(recent, one), slot_of(recent, two));
}

/* Every pair of folds, and none. */
static void solve_all(struct fitting *fitting)
{
    struct traj_session_recent *recent = fitting->recent;
    size_t folds = fitting->folds, size = recent->inputs * recent->out * sizeof(double);
    for (size_t one = 0; one <= folds; one++)
        for (size_t two = 0; two <= one; two++) {
            /* Leaving out a fold and none is leaving it out twice. */
            if (one == folds && two < folds)
                memcpy(weight_at(recent, one, two), weight_at(recent, two, two), size);
            else
                solve(fitting, (unsigned)one, (unsigned)two, weight_at(recent, one, two));
            if (one != two)
                memcpy(weight_at(recent, two, one), weight_at(recent, one, two), size);
        }
}

/* ---- memory -------------------------------------------------------------------------------- */

static int fitting_alloc(struct fitting *fitting)
{
    size_t n = fitting->recent->inputs, out = fitting->recent->out;
    fitting->moment =
        calloc((fitting->folds + 1) * moments_size(fitting->recent), sizeof *fitting->moment);
    fitting->work = malloc(n * n * sizeof(double));
    fitting->ridge = malloc(n * sizeof(double));
    fitting->row = malloc(ROWS * n * sizeof(double));
    fitting->target = malloc(ROWS * out * sizeof(double));
    return fitting->moment && fitting->work && fitting->ridge && fitting->row && fitting->target
               ? 0
               : -1;
}

static void fitting_free(struct fitting *fitting)
{
    free(fitting->moment);
    free(fitting->work);
    free(fitting->ridge);
    free(fitting->row);
    free(fitting->target);
}

void traj_session_recent_free(struct traj_session_recent *recent)
{
    free(recent->center);
    free(recent->weight);
    *recent = (struct traj_session_recent){.stages = 0};
}

int traj_session_recent_fit(struct traj_session_recent *recent,
                            const struct traj_training *training, const float *value,
                            size_t channels, struct traj_error *error)
{
    size_t slots = training->folds + 1, most = (INPUTS_MAX - 1) / (channels > 0 ? channels : 1);
    size_t stages = most < STAGES ? most : STAGES;
    *recent = (struct traj_session_recent){.training = training,
                                           .value = value,
                                           .channels = channels,
                                           .out = 2 * training->dim,
                                           .stages = stages,
                                           .inputs = stages * channels + 1};
    struct fitting fitting = {.recent = recent, .folds = training->folds};
    /* With one fold left out for the states and another for their answers, something must be left.
     */
    if (training->folds < 3 || training->folds > FOLDS_MAX || stages == 0) {
        recent->stages = 0;
        return 0;
    }
    recent->follow = 1 - exp(-training->bin * (double)stages / SPAN);
    recent->center = calloc(channels + 1, sizeof *recent->center);
    recent->weight = calloc(slots * slots * recent->inputs * recent->out, sizeof *recent->weight);
    double *z = calloc(recent->inputs, sizeof *z);
    int status = recent->center && recent->weight && z ? fitting_alloc(&fitting) : -1;
    if (status == 0) {
        measure_center(recent);
        gather(&fitting, z);
        choose_ridge(&fitting, recent->weight);
        solve_all(&fitting);
    }
    free(z);
    fitting_free(&fitting);
    if (status) {
        traj_session_recent_free(recent);
        return traj_error_set(error, "no memory to regress on %zu channels", channels);
    }
    return 0;
}

double *traj_session_recent_answers(const struct traj_session_recent *recent, unsigned without)
{
    const struct traj_training *training = recent->training;
    size_t out = recent->out, inputs = recent->inputs;
    double *answer = malloc((training->bins * out + inputs) * sizeof *answer);
    if (!answer)
        return NULL;
    double *z = answer + training->bins * out;
    memset(z, 0, inputs * sizeof *z);
    for (size_t b = 0; b < training->bins; b++) {
        const double *weight = traj_session_recent_weight(recent, without, training->fold[b]);
        double *row = answer + b * out;
        step_stages(recent, b, z);
        for (size_t o = 0; o < out; o++)
            row[o] = weight[(inputs - 1) * out + o] + (o < training->dim ? training->center[o] : 0);
        for (size_t i = 0; i + 1 < inputs; i++)
            for (size_t o = 0; o < out; o++)
                row[o] += z[i] * weight[i * out + o];
    }
    return answer;
}
