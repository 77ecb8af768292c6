/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A filter over free places; see codebook.h. */
#include "daemon/learn/codebook.h"

#include <gsl/gsl_eigen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/bench.h"
#include "daemon/learn/matrix.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/model_layout.h"
#include "daemon/learn/random.h"
#include "daemon/learn/summary.h"
#include "traj/decoder.h"

#define PLACES 300        /* clusters, where there are bins enough */
#define BINS_A_PLACE 20   /* bins that a cluster needs on average */
#define ROUNDS 12         /* of k-means */
#define POSITION_UNIT 0.7 /* of its standard deviation: one unit of distance between clusters */
#define VELOCITY_UNIT 1.2
#define RIDGE 10.0        /* of the regression on position and velocity */
#define RESIDUAL_PRIOR 30 /* bins that the regression counts for in a cluster's mean */
#define TO_DIAGONAL 0.05  /* of the noise covariance */
#define RANK_MAX 64       /* of its low-rank part */
#define UNIQUE_FLOOR 0.05 /* of a channel's variance that is its own at least */
#define PREDICTED 2.0     /* transitions that the prediction from velocity counts for */
#define VELOCITY_KEPT 0.9 /* in one bin, of that prediction */
#define PREDICTION_WIDTH 0.6
#define LINK_MIN 1e-5    /* rarer transitions are left out */
#define SPREAD_MIN 1e-3  /* variance within a cluster, of the overall one */
#define START_SHARE 1e-9 /* trial marks are not needed and hardly heeded */
#define BINS_MAX 6000    /* held-out bins that a candidate is judged by */

/* One fit: clusters and what belongs to them. */
struct codebook {
    size_t dim, channels, places, rank, regressors;
    double unit[2];   /* of position and velocity */
    double *centre;   /* [places][2 dim] position, velocity */
    double *count;    /* [places] bins */
    double *spread;   /* [places][2 dim][2 dim] sums of squares about the centre */
    double *mean;     /* [places][channels] f */
    double *noise;    /* [channels] */
    double *factor;   /* [channels][rank] */
    double *move;     /* [places][places] transition probabilities */
    double *beta;     /* [regressors][channels] */
    size_t *place_of; /* [bins] of the training, (size_t)-1 = not used */
};

struct fit {
    const struct traj_training *training;
    const struct traj_fit_options *options;
    size_t slots; /* folds + 1; the last has nothing left out */
    struct codebook *book;
    double temper;
    struct traj_calibration calibration;
    struct traj_selection selection;
    struct traj_calibrated calibrated;
    struct traj_error *error;
};

const char *traj_codebook_obstacle(const struct traj_training *training)
{
    if (!training->unbroken)
        return "trials were cut out of the recording";
    if (training->units == 0 || training->features > 0)
        return "there are features";
    if (training->bins < 1000)
        return "fewer than 1000 bins";
    return NULL;
}

static void book_free(struct codebook *book)
{
    free(book->centre);
    free(book->count);
    free(book->spread);
    free(book->mean);
    free(book->noise);
    free(book->factor);
    free(book->move);
    free(book->beta);
    free(book->place_of);
}

static bool used(const struct traj_training *training, size_t b, unsigned without)
{
    return training->known[b] && traj_fold_used(training->fold[b], without);
}

/* Position and velocity of a bin. */
static const double *state_of(const struct traj_training *training, size_t b)
{
    return training->x + b * 3 * training->dim;
}

static double channel_of(const struct traj_training *training, size_t b, size_t n)
{
    uint16_t y = training->counts[n * training->bins + b];
    return y == TRAJ_COUNT_MISSING ? NAN : sqrt(y * training->bin / training->dt[b] + 0.25);
}

/* ---- clusters ------------------------------------------------------------------------------ */

static double distance(const struct codebook *book, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < 2 * book->dim; i++) {
        double apart = (a[i] - b[i]) / book->unit[i / book->dim];
        sum += apart * apart;
    }
    return sum;
}

static size_t nearest(const struct codebook *book, const double *x)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t j = 0; j < book->places; j++) {
        double d = distance(book, x, book->centre + j * 2 * book->dim);
        if (d < least) {
            least = d;
            best = j;
        }
    }
    return best;
}

/* Means of the bins that are nearest to each centre; an empty cluster stays where it is. */
static int settle_centres(struct codebook *book, const struct traj_training *training,
                          unsigned without)
{
    size_t width = 2 * book->dim;
    double *sum = calloc(book->places * width, sizeof *sum);
    if (!sum)
        return -1;
    memset(book->count, 0, book->places * sizeof *book->count);
    for (size_t b = 0; b < training->bins; b++) {
        book->place_of[b] = (size_t)-1;
        if (!used(training, b, without))
            continue;
        size_t j = book->place_of[b] = nearest(book, state_of(training, b));
        book->count[j]++;
        for (size_t i = 0; i < width; i++)
            sum[j * width + i] += state_of(training, b)[i];
    }
    for (size_t j = 0; j < book->places; j++)
        for (size_t i = 0; i < width && book->count[j] > 0; i++)
            book->centre[j * width + i] = sum[j * width + i] / book->count[j];
    free(sum);
    return 0;
}

/* k-means from bins drawn at random. */
static int cluster(struct codebook *book, const struct traj_training *training, unsigned without,
                   uint64_t seed)
{
    size_t width = 2 * book->dim, drawn = 0;
    for (size_t tries = 0; drawn < book->places && tries < 1000 * book->places; tries++) {
        size_t b = (size_t)(traj_random_next(&seed) % training->bins);
        if (used(training, b, without))
            memcpy(book->centre + drawn++ * width, state_of(training, b), width * sizeof(double));
    }
    book->places = drawn;
    for (size_t round = 0; round <= ROUNDS; round++)
        if (settle_centres(book, training, without))
            return -1;
    return drawn > 0 ? 0 : -1;
}

static void measure_spread(struct codebook *book, const struct traj_training *training)
{
    size_t width = 2 * book->dim;
    memset(book->spread, 0, book->places * width * width * sizeof *book->spread);
    for (size_t b = 0; b < training->bins; b++) {
        size_t j = book->place_of[b];
        if (j == (size_t)-1)
            continue;
        const double *x = state_of(training, b), *c = book->centre + j * width;
        for (size_t i = 0; i < width; i++)
            for (size_t k = 0; k < width; k++)
                book->spread[(j * width + i) * width + k] += (x[i] - c[i]) * (x[k] - c[k]);
    }
}

/* ---- emission ------------------------------------------------------------------------------ */

/* 1, z, |p|, |v| and the products of two of z, z = position and velocity in units. */
static void regressors_of(const struct codebook *book, const struct traj_training *training,
                          const double *x, double *out)
{
    size_t width = 2 * book->dim, n = 0;
    double z[2 * TRAJ_DIM_MAX], length[2] = {0, 0};
    for (size_t i = 0; i < width; i++) {
        double from = i < book->dim ? training->center[i] : 0;
        z[i] = (x[i] - from) / book->unit[i / book->dim];
        length[i / book->dim] += z[i] * z[i];
    }
    out[n++] = 1;
    out[n++] = sqrt(length[0]);
    out[n++] = sqrt(length[1]);
    for (size_t i = 0; i < width; i++) {
        out[n++] = z[i];
        for (size_t k = 0; k <= i; k++)
            out[n++] = z[i] * z[k];
    }
}

static int regress(struct codebook *book, const struct traj_training *training)
{
    size_t r = book->regressors, c = book->channels;
    double *gram = calloc(2 * r * r + 2 * r, sizeof *gram);
    if (!gram)
        return -1;
    double *work = gram + r * r, *ridge = work + r * r, *row = ridge + r;
    memset(book->beta, 0, r * c * sizeof *book->beta);
    for (size_t b = 0; b < training->bins; b++) {
        if (book->place_of[b] == (size_t)-1)
            continue;
        regressors_of(book, training, state_of(training, b), row);
        for (size_t i = 0; i < r; i++) {
            for (size_t k = 0; k < r; k++)
                gram[i * r + k] += row[i] * row[k];
            for (size_t n = 0; n < c; n++) {
                double s = channel_of(training, b, n);
                book->beta[i * c + n] += isnan(s) ? 0 : row[i] * s;
            }
        }
    }
    for (size_t i = 1; i < r; i++)
        ridge[i] = RIDGE;
    traj_matrix_solve_moments(gram, ridge, r, book->beta, c, work);
    free(gram);
    return 0;
}

static double regression_at(const struct codebook *book, const double *row, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < book->regressors; i++)
        sum += row[i] * book->beta[i * book->channels + n];
    return sum;
}

static void settle_means(struct codebook *book, const struct traj_training *training, double *row)
{
    size_t c = book->channels;
    memset(book->mean, 0, book->places * c * sizeof *book->mean);
    for (size_t b = 0; b < training->bins; b++) {
        size_t j = book->place_of[b];
        if (j == (size_t)-1)
            continue;
        regressors_of(book, training, state_of(training, b), row);
        for (size_t n = 0; n < c; n++) {
            double s = channel_of(training, b, n);
            book->mean[j * c + n] += isnan(s) ? 0 : s - regression_at(book, row, n);
        }
    }
    for (size_t j = 0; j < book->places; j++) {
        regressors_of(book, training, book->centre + j * 2 * book->dim, row);
        for (size_t n = 0; n < c; n++)
            book->mean[j * c + n] = regression_at(book, row, n) +
                                    book->mean[j * c + n] / (book->count[j] + RESIDUAL_PRIOR);
    }
}

/* Covariance of the channels about their clusters' means, a share of it moved to the diagonal. */
static void residual_covariance(const struct codebook *book, const struct traj_training *training,
                                gsl_matrix *cov, double *off)
{
    size_t c = book->channels;
    double bins = 0;
    gsl_matrix_set_zero(cov);
    for (size_t b = 0; b < training->bins; b++) {
        size_t j = book->place_of[b];
        if (j == (size_t)-1)
            continue;
        for (size_t n = 0; n < c; n++) {
            double s = channel_of(training, b, n);
            off[n] = isnan(s) ? 0 : s - book->mean[j * c + n];
        }
        for (size_t n = 0; n < c; n++)
            for (size_t m = 0; m <= n; m++)
                *gsl_matrix_ptr(cov, n, m) += off[n] * off[m];
        bins++;
    }
    for (size_t n = 0; n < c; n++)
        for (size_t m = 0; m <= n; m++) {
            double v = gsl_matrix_get(cov, n, m) / fmax(bins, 1);
            v = n == m ? v + 1e-6 : v * (1 - TO_DIAGONAL);
            gsl_matrix_set(cov, n, m, v);
            gsl_matrix_set(cov, m, n, v);
        }
}

/* diag + U U' from the largest eigenvalues, less what the rest has on average. */
static int factor_noise(struct codebook *book, const struct traj_training *training)
{
    size_t c = book->channels, r = book->rank;
    gsl_matrix *cov = gsl_matrix_alloc(c, c), *vector = gsl_matrix_alloc(c, c);
    gsl_vector *value = gsl_vector_alloc(c);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(c);
    double *diagonal = malloc(c * sizeof *diagonal), rest = 0;
    int status = cov && vector && value && work && diagonal ? 0 : -1;
    if (status == 0) {
        residual_covariance(book, training, cov, diagonal);
        for (size_t n = 0; n < c; n++)
            diagonal[n] = gsl_matrix_get(cov, n, n);
        status = gsl_eigen_symmv(cov, value, vector, work) ||
                         gsl_eigen_symmv_sort(value, vector, GSL_EIGEN_SORT_VAL_DESC)
                     ? -1
                     : 0;
    }
    if (status == 0) {
        for (size_t k = r; k < c; k++)
            rest += gsl_vector_get(value, k) / (double)(c - r);
        rest = r < c ? rest : gsl_vector_get(value, c - 1) / 2;
        for (size_t n = 0; n < c; n++) {
            double shared = 0;
            for (size_t k = 0; k < r; k++) {
                double u =
                    gsl_matrix_get(vector, n, k) * sqrt(fmax(gsl_vector_get(value, k) - rest, 0));
                book->factor[n * r + k] = u;
                shared += u * u;
            }
            book->noise[n] = fmax(diagonal[n] - shared, UNIQUE_FLOOR * diagonal[n]);
        }
    }
    gsl_matrix_free(cov);
    gsl_matrix_free(vector);
    gsl_vector_free(value);
    gsl_eigen_symmv_free(work);
    free(diagonal);
    return status;
}

/* ---- transitions --------------------------------------------------------------------------- */

static void count_moves(struct codebook *book, const struct traj_training *training)
{
    size_t k = book->places, dim = book->dim;
    memset(book->move, 0, k * k * sizeof *book->move);
    for (size_t j = 0; j < k; j++) {
        double ahead[2 * TRAJ_DIM_MAX], sum = 0;
        const double *from = book->centre + j * 2 * dim;
        for (size_t d = 0; d < dim; d++) {
            ahead[d] = from[d] + training->bin * from[dim + d];
            ahead[dim + d] = VELOCITY_KEPT * from[dim + d];
        }
        for (size_t i = 0; i < k; i++) {
            double d = distance(book, ahead, book->centre + i * 2 * dim);
            book->move[j * k + i] = exp(-0.5 * d / (PREDICTION_WIDTH * PREDICTION_WIDTH)) + 1e-12;
            sum += book->move[j * k + i];
        }
        for (size_t i = 0; i < k; i++)
            book->move[j * k + i] *= PREDICTED / sum;
    }
    for (size_t b = 1; b < training->bins; b++)
        if (training->run_start[b] < b && book->place_of[b] != (size_t)-1 &&
            book->place_of[b - 1] != (size_t)-1)
            book->move[book->place_of[b - 1] * k + book->place_of[b]]++;
    for (size_t j = 0; j < k; j++) {
        double *row = book->move + j * k, sum = 0, kept = 0;
        for (size_t i = 0; i < k; i++)
            sum += row[i];
        for (size_t i = 0; i < k; i++)
            kept += row[i] = row[i] / sum < LINK_MIN ? 0 : row[i] / sum;
        for (size_t i = 0; i < k; i++)
            row[i] /= kept;
    }
}

/* ---- one book ------------------------------------------------------------------------------ */

static int book_alloc(struct codebook *book, const struct traj_training *training, unsigned without)
{
    size_t bins = 0, width = 2 * training->dim;
    for (size_t b = 0; b < training->bins; b++)
        bins += used(training, b, without);
    book->dim = training->dim;
    book->channels = training->units;
    book->places = bins / BINS_A_PLACE < PLACES ? bins / BINS_A_PLACE : PLACES;
    book->places = book->places > 0 ? book->places : 1;
    book->rank = book->channels < RANK_MAX ? book->channels : RANK_MAX;
    book->regressors = 3 + width + width * (width + 1) / 2;
    book->unit[0] = POSITION_UNIT * training->scale[0] / sqrt((double)training->dim);
    book->unit[1] = VELOCITY_UNIT * training->scale[1] / sqrt((double)training->dim);
    book->centre = calloc(book->places * width, sizeof(double));
    book->count = calloc(book->places, sizeof(double));
    book->spread = calloc(book->places * width * width, sizeof(double));
    book->mean = calloc(book->places * book->channels, sizeof(double));
    book->noise = calloc(book->channels, sizeof(double));
    book->factor = calloc(book->channels * book->rank, sizeof(double));
    book->move = calloc(book->places * book->places, sizeof(double));
    book->beta = calloc(book->regressors * book->channels, sizeof(double));
    book->place_of = calloc(training->bins, sizeof *book->place_of);
    return book->centre && book->count && book->spread && book->mean && book->noise &&
                   book->factor && book->move && book->beta && book->place_of
               ? 0
               : -1;
}

static int book_fit(struct codebook *book, const struct traj_training *training, unsigned without,
                    uint64_t seed, struct traj_error *error)
{
    int status = book_alloc(book, training, without);
    double *row = malloc((book->regressors + 1) * sizeof *row);
    if (status == 0 && row && cluster(book, training, without, seed) == 0 &&
        regress(book, training) == 0) {
        measure_spread(book, training);
        settle_means(book, training, row);
        count_moves(book, training);
        status = factor_noise(book, training);
    } else {
        status = -1;
    }
    free(row);
    return status
               ? traj_error_set(error, "places could not be learned from %zu bins", training->bins)
               : 0;
}

/* ---- the model ----------------------------------------------------------------------------- */

static double *writable(const double *array)
{
    return (double *)(uintptr_t)array;
}

static int32_t *writable_i(const int32_t *array)
{
    return (int32_t *)(uintptr_t)array;
}

static void put_states(const struct codebook *book, const struct traj_training *training,
                       const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    size_t dim = book->dim, width = 2 * dim;
    double total = 0;
    for (size_t j = 0; j < book->places; j++)
        total += book->count[j] + 1;
    for (size_t j = 0; j < book->places; j++) {
        for (size_t d = 0; d < dim; d++) {
            writable(chain->position)[j * dim + d] = book->centre[j * width + d];
            writable(chain->velocity)[j * dim + d] = book->centre[j * width + dim + d];
            for (size_t e = 0; e < dim; e++) {
                const double *s = book->spread + j * width * width;
                double p = s[d * width + e] / (book->count[j] + 1);
                double v = s[(dim + d) * width + dim + e] / (book->count[j] + 1);
                double floor_p = SPREAD_MIN * training->scale[0] * training->scale[0];
                double floor_v = SPREAD_MIN * training->scale[1] * training->scale[1];
                writable(chain->position_spread)[(j * dim + d) * dim + e] =
                    p + (d == e ? floor_p : 0);
                writable(chain->velocity_spread)[(j * dim + d) * dim + e] =
                    v + (d == e ? floor_v : 0);
            }
        }
        writable_i(chain->target)[j] = -1;
        ((uint8_t *)(uintptr_t)chain->place)[j] = TRAJ_PLACE_FREE;
        writable(chain->progress)[j] = writable(chain->eta)[j] = -1;
        writable_i(chain->node)[j] = (int32_t)j;
        writable_i(chain->group)[j] = -1;
        writable(chain->initial)[j] = writable(chain->start)[j] = (book->count[j] + 1) / total;
    }
}

static void put_links(const struct codebook *book, const struct traj_model *model)
{
    const struct traj_chain *chain = &model->chain;
    size_t next = 0, k = book->places;
    for (size_t j = 0; j < k; j++) {
        writable_i(chain->link_first)[j] = (int32_t)next;
        for (size_t i = 0; i < k; i++) {
            if (!(book->move[j * k + i] > 0))
                continue;
            writable_i(chain->link_to)[next] = (int32_t)i;
            for (size_t c = 0; c < TRAJ_CONTEXTS; c++)
                writable(chain->link_prob)[c * model->dims.links + next] = book->move[j * k + i];
            next++;
        }
    }
    writable_i(chain->link_first)[k] = (int32_t)next;
}

static void describe(const struct traj_training *training, const char *text,
                     struct traj_model *model)
{
    const struct traj_session *session = training->session[0];
    struct traj_description *about = &model->about;
    (void)snprintf(about->family, sizeof about->family, "places");
    memcpy(about->length_unit, session->length_unit, sizeof about->length_unit);
    memcpy(about->subject, session->subject, sizeof about->subject);
    about->length_unit[sizeof about->length_unit - 1] = '\0';
    about->subject[sizeof about->subject - 1] = '\0';
    if (about->unit_name && session->unit_name)
        memcpy((void *)(uintptr_t)about->unit_name, session->unit_name,
               model->dims.units * TRAJ_ID_SIZE);
    if (about->training)
        memcpy((void *)(uintptr_t)about->training, text, strlen(text) + 1);
}

static struct traj_model *assemble(const struct fit *fit, const struct codebook *book,
                                   const char *text, struct traj_error *error)
{
    const struct traj_training *training = fit->training;
    struct traj_dims dims = {.position = book->dim,
                             .state = 2 * book->dim,
                             .units = book->channels,
                             .states = book->places,
                             .nodes = book->places,
                             .factors = book->rank};
    for (size_t i = 0; i < book->places * book->places; i++)
        dims.links += book->move[i] > 0;
    struct traj_model *model = traj_model_make(
        &dims, false, training->session[0]->unit_name != NULL, text ? strlen(text) + 1 : 0, error);
    if (!model)
        return NULL;
    const char *what = NULL;
    size_t index = 0;
    describe(training, text, model);
    model->bin_width = training->bin;
    model->plan.temper = model->evidence_temper = 1;
    model->calibration = fit->calibration;
    model->chain.start_share = START_SHARE;
    model->chain.temper = fit->temper;
    model->chain.gaussian = 1;
    put_states(book, training, model);
    put_links(book, model);
    memcpy(writable(model->chain.emission_mean), book->mean,
           book->places * book->channels * sizeof(double));
    memcpy(writable(model->chain.emission_noise), book->noise, book->channels * sizeof(double));
    memcpy(writable(model->chain.emission_factor), book->factor,
           book->channels * book->rank * sizeof(double));
    enum traj_status status = traj_model_check(model, &what, &index);
    if (status != TRAJ_OK) {
        traj_error_set(error, "%s: what was fitted is no model: %s[%zu]: %s",
                       training->session[0]->path, what ? what : "?", index,
                       traj_status_text(status));
        traj_model_free(model);
        return NULL;
    }
    return model;
}

static struct traj_model *make(void *context, unsigned without, struct traj_error *error)
{
    const struct fit *fit = context;
    size_t slot = without == TRAJ_FOLD_NONE ? fit->slots - 1 : without;
    return assemble(fit, &fit->book[slot], NULL, error);
}

/* ---- choices ------------------------------------------------------------------------------- */

static void tell(const struct fit *fit, const char *stage, double share)
{
    if (fit->options->progress)
        fit->options->progress(fit->options->progress_context, stage, share);
}

static int choose_temper(struct fit *fit)
{
    static const double grid[] = {0.12, 0.05, 0.08, 0.2, 0.4, 1};
    struct traj_maker maker = {fit->training, make, fit};
    struct traj_bench bench;
    double best = INFINITY, chosen = grid[0];
    if (fit->training->folds < 2)
        return 0;
    int status = traj_bench_make(&bench, fit->training, BINS_MAX, fit->error);
    for (size_t i = 0; i < sizeof grid / sizeof grid[0] && status == 0; i++) {
        double mean_square = 0;
        fit->temper = grid[i];
        status = traj_bench_error(&bench, &maker, true, TRAJ_BENCH_ALL, &mean_square, fit->error);
        fit->selection.decodings++;
        tell(fit, "select", (double)fit->selection.decodings / 6);
        if (mean_square < best) {
            best = mean_square;
            chosen = grid[i];
        }
    }
    for (size_t i = 0; i < bench.count; i++)
        fit->selection.bins += bench.held[i].session->bins;
    traj_bench_free(&bench);
    fit->temper = chosen;
    fit->selection.rmse = sqrt(best);
    return status;
}

static void put_choice(FILE *out, const void *of)
{
    const struct fit *fit = of;
    fprintf(out, ",\"places\":{\"states\":%zu,\"noise_rank\":%zu", fit->book[fit->slots - 1].places,
            fit->book[fit->slots - 1].rank);
    traj_summary_number(out, "temper", fit->temper);
    fputc('}', out);
}

static struct traj_model *finish(struct fit *fit, size_t prior_count)
{
    struct traj_maker maker = {fit->training, make, fit};
    tell(fit, "calibration", 0);
    if (fit->options->calibrate &&
        traj_calibrate(&maker, &fit->calibration, &fit->calibrated, fit->error))
        return NULL;
    char *text = traj_summary(fit->training, prior_count, fit->options, put_choice, fit,
                              &fit->selection, &fit->calibrated, fit->error);
    if (!text)
        return NULL;
    struct traj_model *model = assemble(fit, &fit->book[fit->slots - 1], text, fit->error);
    free(text);
    return model;
}

struct traj_model *traj_codebook_fit(const struct traj_training *training, size_t prior_count,
                                     const struct traj_fit_options *options, double *rmse,
                                     struct traj_error *error)
{
    struct fit fit = {.training = training,
                      .options = options,
                      .slots = training->folds + 1,
                      .temper = 0.12,
                      .calibration = TRAJ_CALIBRATION_NONE,
                      .selection = {NAN, NAN, 0, 0},
                      .calibrated = {NAN, NAN, NAN, 0},
                      .error = error};
    struct traj_model *model = NULL;
    int status = 0;
    fit.book = calloc(fit.slots, sizeof *fit.book);
    if (!fit.book)
        status = traj_error_set(error, "no memory for the places of %zu folds", fit.slots);
    for (size_t i = 0; status == 0 && i < fit.slots; i++) {
        unsigned without = i + 1 == fit.slots ? TRAJ_FOLD_NONE : (unsigned)i;
        status = book_fit(&fit.book[i], training, without, options->seed + i, error);
        tell(&fit, "places", (double)(i + 1) / (double)fit.slots);
    }
    if (status == 0 && choose_temper(&fit) == 0)
        model = finish(&fit, prior_count);
    *rmse = fit.selection.rmse;
    for (size_t i = 0; fit.book && i < fit.slots; i++)
        book_free(&fit.book[i]);
    free(fit.book);
    return model;
}
