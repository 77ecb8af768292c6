/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fits the filter over an unbroken recording; see session_fit.h. */
#include "daemon/learn/session_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/course_basis.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/session_gain.h"
#include "daemon/learn/session_model.h"
#include "daemon/learn/summary.h"
#include "daemon/model/internal.h"

#define BINS_NEEDED 1000
#define PLACES_BESIDE 60 /* free places where there are courses, and where there are none */
#define PLACES_ALONE 300
#define BINS_A_PLACE 20
#define RANK_MAX 24 /* of the noise's low-rank part */
#define TEMPER 0.15 /* where the data are too few to choose */
#define DRIFT_RATE 0.1
#define DECODINGS 20 /* of a search, for the share that is done */
/*
 * By which share of what is unexplained another value must beat the usual one: held-out stretches
 * are short, and what goes wrong seldom and for long, such as a posterior that locks in where too
 * much is believed of each bin, is hardly seen in them.
 */
#define MARGIN 0.05
/* What counts as one unit of distance between places, in root mean squares of position and
 * velocity: where a hand is tells more than how fast it is. */
static const double unit_beside[2] = {1, 3}, unit_alone[2] = {0.5, 3};

struct traj_session_fit {
    const struct traj_training *training;
    const struct traj_fit_options *options;
    size_t slots; /* folds + 1; the last has nothing left out */
    struct traj_labels *labels;
    double *basis;
    float *value;
    struct traj_session_recent recent;
    struct traj_session_design design;
    struct traj_session_states *states; /* [slots] */
    struct traj_session_links *links;   /* [slots] */
    struct traj_session_choice choice;
    struct traj_selection selection;
    struct traj_calibrated calibrated;
    double unexplained;
};

const char *traj_session_fit_obstacle(const struct traj_training *training)
{
    if (!training->unbroken)
        return "trials were cut out of the recording";
    if (training->units + training->features == 0)
        return "there are neither units nor features";
    if (training->bins < BINS_NEEDED)
        return "fewer than 1000 bins";
    return NULL;
}

static void tell(const struct traj_session_fit *fit, const char *stage, double share)
{
    if (fit->options->progress)
        fit->options->progress(fit->options->progress_context, stage, share < 1 ? share : 1);
}

/* ---- held-out error ------------------------------------------------------------------------ */

struct squares {
    struct traj_session_gain gain;
    size_t run;
    double count[TRAJ_SESSION_RUNS];
    double sum[2][TRAJ_DIM_MAX], square[2];
};

static void add_squares(void *context, const struct traj_held *held, size_t bin,
                        const struct traj_intent *intent, const struct traj_decoder *decoder)
{
    struct squares *s = context;
    const struct traj_course_filter *filter = &decoder->filter;
    double apart[2 * TRAJ_DIM_MAX], unexplained[2 * TRAJ_DIM_MAX], spread[2];
    size_t dim = s->gain.dim;
    if (!intent->position || !intent->velocity || !intent->position_cov || !intent->velocity_cov)
        return;
    s->count[s->run]++;
    for (size_t d = 0; d < dim; d++) {
        double p = held->position[bin * dim + d], v = held->velocity[bin * dim + d];
        apart[d] = p - intent->position[d];
        apart[dim + d] = v - intent->velocity[d];
        s->sum[0][d] += p;
        s->sum[1][d] += v;
        s->square[0] += p * p;
        s->square[1] += v * v;
    }
    spread[0] = traj_recent_reach(intent->position_cov, NULL, dim);
    spread[1] = traj_recent_reach(intent->velocity_cov, intent->velocity, dim);
    if (filter->recent.stages > 0)
        traj_recent_unexplained(&filter->recent, filter->weight, filter->now.active,
                                filter->now.count, unexplained);
    traj_session_gain_add(&s->gain, s->run, held->fold,
                          filter->recent.stages > 0 ? unexplained : NULL, spread, apart);
}

static double variance(const struct squares *s, size_t part)
{
    double sum = s->square[part], count = fmax(s->count[0] + s->count[1], 1);
    for (size_t d = 0; d < s->gain.dim; d++)
        sum -= s->sum[part][d] * s->sum[part][d] / count;
    return fmax(sum, 1e-300);
}

/* With the gain that suits best, which the model must not have yet. */
static int measure(const struct traj_bench *bench, const struct traj_maker *maker,
                   double *unexplained, double rmse[2], double *gain, struct traj_error *error)
{
    size_t runs = bench->training->trials > 0 ? 2 : 1;
    double left[TRAJ_SESSION_RUNS][2];
    struct squares s = {.run = 0};
    int status = traj_session_gain_init(&s.gain, bench->training->dim, bench->training->folds)
                     ? traj_error_set(error, "no memory to compare decoders")
                     : 0;
    for (s.run = 0; s.run < runs && status == 0; s.run++)
        status = traj_bench_run(bench, maker, runs == 2 && s.run == 0, add_squares, &s, error);
    if (status == 0 && traj_session_gain_settle(&s.gain, left, gain))
        status = traj_error_set(error, "no memory to compare decoders");
    traj_session_gain_free(&s.gain);
    if (status)
        return -1;
    for (size_t run = 0; run < runs; run++)
        rmse[run] = s.count[run] > 0 ? sqrt(left[run][0] / s.count[run]) : INFINITY;
    if (runs == 1)
        rmse[1] = rmse[0];
    *unexplained = (left[0][0] + left[1][0]) / variance(&s, 0) / 2 +
                   (left[0][1] + left[1][1]) / variance(&s, 1) / 2;
    if (!(s.count[0] > 0))
        *unexplained = INFINITY;
    return 0;
}

int traj_session_unexplained(const struct traj_bench *bench, const struct traj_maker *maker,
                             double *unexplained, double rmse[2], struct traj_error *error)
{
    double gain[4 * TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    return measure(bench, maker, unexplained, rmse, gain, error);
}

static struct traj_model *make(void *context, unsigned without, struct traj_error *error)
{
    const struct traj_session_fit *fit = context;
    size_t slot = without == TRAJ_FOLD_NONE ? fit->slots - 1 : without;
    return traj_session_model(&fit->states[slot], &fit->links[slot], &fit->choice, NULL, error);
}

/*
 * Sets *number to the value of the grid that decodes best, where it beats the first, the usual one,
 * by the margin.
 */
static int vary(struct traj_session_fit *fit, const struct traj_bench *bench, double *number,
                const double *grid, size_t count, struct traj_error *error)
{
    struct traj_maker maker = {fit->training, make, fit};
    double chosen = grid[0], least = INFINITY, gain[4 * TRAJ_DIM_MAX * TRAJ_DIM_MAX];
    double best[4 * TRAJ_DIM_MAX * TRAJ_DIM_MAX] = {0};
    memset(fit->choice.gain, 0, sizeof fit->choice.gain);
    for (size_t i = 0; i < count; i++) {
        double unexplained, rmse[2];
        *number = grid[i];
        if (measure(bench, &maker, &unexplained, rmse, gain, error))
            return -1;
        fit->selection.decodings += fit->training->trials > 0 ? 2 : 1;
        tell(fit, "select", (double)fit->selection.decodings / DECODINGS);
        if (unexplained < least) {
            least = i == 0 ? (1 - MARGIN) * unexplained : unexplained;
            fit->unexplained = unexplained;
            fit->selection.rmse = rmse[0];
            fit->selection.rmse_unmarked = rmse[1];
            chosen = grid[i];
            memcpy(best, gain, sizeof best);
        }
    }
    *number = chosen;
    memcpy(fit->choice.gain, best, sizeof best);
    return 0;
}

/* ---- fitting ------------------------------------------------------------------------------- */

static void free_slots(struct traj_session_fit *fit)
{
    for (size_t i = 0; i < fit->slots; i++) {
        if (fit->states)
            traj_session_states_free(&fit->states[i]);
        if (fit->links)
            traj_session_links_free(&fit->links[i]);
    }
    free(fit->states);
    free(fit->links);
    fit->states = NULL;
    fit->links = NULL;
}

/* States and links of every slot. */
static int fit_slots(struct traj_session_fit *fit, struct traj_error *error)
{
    fit->states = calloc(fit->slots, sizeof *fit->states);
    fit->links = calloc(fit->slots, sizeof *fit->links);
    if (!fit->states || !fit->links)
        return traj_error_set(error, "no memory for the states of %zu folds", fit->slots);
    for (size_t i = 0; i < fit->slots; i++) {
        unsigned without = i + 1 == fit->slots ? TRAJ_FOLD_NONE : (unsigned)i;
        if (traj_session_states_fit(&fit->states[i], &fit->design, without, error) ||
            traj_session_links_make(&fit->links[i], &fit->states[i], error))
            return -1;
        tell(fit, "states", (double)(i + 1) / (double)fit->slots);
    }
    return 0;
}

static void lay_design(struct traj_session_fit *fit)
{
    const struct traj_training *training = fit->training;
    const double *unit = fit->labels ? unit_beside : unit_alone;
    size_t places = fit->labels ? PLACES_BESIDE : PLACES_ALONE;
    size_t most = training->bins / BINS_A_PLACE;
    fit->design = (struct traj_session_design){.training = training,
                                               .labels = fit->labels,
                                               .basis = fit->basis,
                                               .columns = fit->design.columns,
                                               .value = fit->value,
                                               .recent = &fit->recent,
                                               .channels = training->units + training->features,
                                               .places = places < most ? places : most,
                                               .seed = fit->options->seed};
    fit->design.rank = fit->design.channels < RANK_MAX ? fit->design.channels : RANK_MAX;
    for (size_t k = 0; k < 2; k++)
        fit->design.unit[k] = unit[k] * training->scale[k];
}

static int choose(struct traj_session_fit *fit, const struct traj_bench *bench,
                  struct traj_error *error)
{
    static const double temper[] = {0.15, 0.08, 0.25, 0.4};
    static const double drift[] = {DRIFT_RATE, 0, 0.03, 0.3};
    static const double answer[] = {0, 0.06, 0.12, 0.25};
    static const double change[] = {0, 0.25};
    if (!bench || bench->count == 0)
        return 0;
    return vary(fit, bench, &fit->choice.temper, temper, 4, error) ||
                   vary(fit, bench, &fit->choice.drift_rate, drift, 4, error) ||
                   (fit->labels && fit->labels->targets > 1 &&
                    vary(fit, bench, &fit->choice.switch_rate, change, 2, error)) ||
                   (fit->recent.stages > 0 &&
                    vary(fit, bench, &fit->choice.answer_temper, answer, 4, error))
               ? -1
               : 0;
}

void traj_session_fit_free(struct traj_session_fit *fit)
{
    if (!fit)
        return;
    free_slots(fit);
    traj_labels_free(fit->labels);
    free(fit->basis);
    free(fit->value);
    traj_session_recent_free(&fit->recent);
    free(fit);
}

/* One kind of states, fitted and chosen about. */
static struct traj_session_fit *fit_kind(const struct traj_training *training,
                                         const struct traj_bench *bench, bool with_courses,
                                         const struct traj_fit_options *options,
                                         struct traj_error *error)
{
    struct traj_session_fit *fit = calloc(1, sizeof *fit);
    if (!fit) {
        traj_error_set(error, "no memory");
        return NULL;
    }
    *fit = (struct traj_session_fit){.training = training,
                                     .options = options,
                                     .slots = training->folds + 1,
                                     .choice = {.temper = TEMPER,
                                                .drift_rate = DRIFT_RATE,
                                                .calibration = TRAJ_CALIBRATION_NONE},
                                     .selection = {NAN, NAN, 0, 0},
                                     .calibrated = {NAN, NAN, NAN, 0},
                                     .unexplained = INFINITY};
    error->text[0] = '\0';
    fit->value = traj_session_values(training);
    if (with_courses)
        fit->labels = traj_labels_new(training, error);
    if (fit->labels)
        fit->basis = traj_course_basis(fit->labels, training, &fit->design.columns, error);
    bool failed = !fit->value || error->text[0] || (fit->labels && !fit->basis);
    if (!failed && traj_session_recent_fit(&fit->recent, training, fit->value,
                                           training->units + training->features, error))
        failed = true;
    lay_design(fit);
    for (size_t i = 0; bench && i < bench->count; i++)
        fit->selection.bins += bench->held[i].session->bins;
    if (!failed && fit_slots(fit, error) == 0 && choose(fit, bench, error) == 0)
        return fit;
    if (!error->text[0])
        traj_error_set(error, "no memory for the channels of %zu bins", training->bins);
    traj_session_fit_free(fit);
    return NULL;
}

struct traj_session_fit *traj_session_fit_new(const struct traj_training *training,
                                              const struct traj_bench *bench, bool with_courses,
                                              const struct traj_fit_options *options,
                                              struct traj_error *error)
{
    with_courses = with_courses && traj_labels_obstacle(training) == NULL;
    struct traj_session_fit *fit = fit_kind(training, bench, with_courses, options, error);
    /* Who asks for courses by name has them. */
    if (!fit || !fit->labels || !bench || options->family == TRAJ_FAMILY_COURSE)
        return fit;
    struct traj_session_fit *alone = fit_kind(training, bench, false, options, error);
    if (!alone) {
        traj_session_fit_free(fit);
        return NULL;
    }
    bool better = alone->unexplained < fit->unexplained;
    traj_session_fit_free(better ? fit : alone);
    return better ? alone : fit;
}

double traj_session_fit_unexplained(const struct traj_session_fit *fit)
{
    return fit->unexplained;
}

static void put_choice(FILE *out, const void *of)
{
    const struct traj_session_fit *fit = of;
    const struct traj_session_states *states = &fit->states[fit->slots - 1];
    fprintf(out, ",\"session\":{\"course_states\":%zu,\"free_states\":%zu,\"noise_rank\":%zu",
            states->courses, states->places.places, states->rank);
    traj_summary_number(out, "temper", fit->choice.temper);
    traj_summary_number(out, "drift_per_s", fit->choice.drift_rate);
    traj_summary_number(out, "switch_per_s", fit->choice.switch_rate);
    traj_summary_number(out, "answer_temper", fit->choice.answer_temper);
    traj_summary_number(out, "answer_ridge", fit->recent.ridge);
    traj_summary_number(out, "unexplained", fit->unexplained);
    fputc('}', out);
}

/* Whether what the recent past says changes anything that is published. */
static bool uses_recent(const struct traj_session_fit *fit)
{
    bool used = fit->choice.answer_temper > 0;
    for (size_t i = 0; i < sizeof fit->choice.gain / sizeof *fit->choice.gain; i++)
        used = used || fit->choice.gain[i] != 0;
    return used;
}

struct traj_model *traj_session_fit_finish(struct traj_session_fit *fit, size_t prior_count,
                                           struct traj_error *error)
{
    struct traj_maker maker = {fit->training, make, fit};
    fit->choice.without_recent = !uses_recent(fit);
    tell(fit, "calibration", 0);
    if (fit->options->calibrate &&
        traj_calibrate(&maker, &fit->choice.calibration, &fit->calibrated, error))
        return NULL;
    char *text = traj_summary(fit->training, prior_count, fit->options, put_choice, fit,
                              &fit->selection, &fit->calibrated, error);
    if (!text)
        return NULL;
    struct traj_model *model = traj_session_model(
        &fit->states[fit->slots - 1], &fit->links[fit->slots - 1], &fit->choice, text, error);
    free(text);
    tell(fit, "done", 1);
    return model;
}
