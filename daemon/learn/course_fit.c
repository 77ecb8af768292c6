/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fits the filter over courses; see course_fit.h. */
#include "daemon/learn/course_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/bench.h"
#include "daemon/learn/chain.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/summary.h"

#define NODES_MAX 2000  /* targets times bins of the longest trial that can be learned in minutes */
#define BINS_MAX 4000   /* held-out bins that a candidate is judged by */
#define TRIALS_NEEDED 3 /* a target, below which leaving trials out says more about luck */
/* The temper where the data cannot choose: from few trials rates are known badly, and say less. */
#define TEMPER_ONE 0.5
#define TEMPER_MANY 0.55
#define TRIALS_MANY 5.0
#define DECODINGS 10 /* of the held-out trials, about */
/* By so much over the root of the number of trials must a mean squared error be less to be believed
 * less. */
#define MARGIN 0.3
#define SCALE_ROUNDS 2
#define SCALE_PRIOR 100.0
#define SCALE_LEAST 0.1

struct course_fit {
    const struct traj_training *training;
    const struct traj_fit_options *options;
    size_t slots;                 /* folds + 1; the last has nothing left out */
    struct traj_reach **reach;    /* [slots] */
    struct traj_rates *rates;     /* [slots] */
    double taught_weight;         /* of a trial of the kinematics-only sessions */
    struct traj_rate_prior prior; /* of the rates */
    struct traj_chain_choice choice;
    struct traj_selection selection;
    struct traj_calibrated calibrated;
    struct traj_error *error;
};

const char *traj_course_fit_obstacle(const struct traj_training *training)
{
    if (training->unbroken)
        return "rests and returns were recorded too";
    if (training->labelled == 0 || training->targets == 0)
        return "no trial has a known target";
    if (training->units == 0 || training->features > 0)
        return "there are features";
    for (size_t r = 0; r < training->trials; r++)
        if (training->trial[r].bin_count * training->targets > NODES_MAX)
            return "the longest trial has too many bins for so many targets";
    return NULL;
}

static void tell(const struct course_fit *fit, const char *stage, double share)
{
    if (fit->options->progress)
        fit->options->progress(fit->options->progress_context, stage, share);
}

static struct traj_model *make(void *context, unsigned without, struct traj_error *error)
{
    const struct course_fit *fit = context;
    size_t slot = without == TRAJ_FOLD_NONE ? fit->slots - 1 : without;
    return traj_chain_assemble(fit->reach[slot], &fit->rates[slot], &fit->choice, NULL, error);
}

/* Rates under a prior, in place of *rates. */
static int weigh_prior(struct course_fit *fit, const struct traj_reach *reach,
                       const struct traj_rate_prior *prior, struct traj_rates *rates)
{
    struct traj_rate_kernel kernel = {.phase = NULL};
    struct traj_rates before = *rates;
    *rates = (struct traj_rates){.gain = NULL};
    int status = traj_rate_kernel_init(&kernel, reach, prior, fit->error) ||
                         traj_rates_fit(rates, reach, &kernel, &before, fit->error)
                     ? -1
                     : 0;
    traj_rates_free(&before);
    traj_rate_kernel_free(&kernel);
    return status;
}

/*
 * The prior that makes the counts of all units most probable.  Scales of the kernel's parts by
 * MacKay's fixed point: a part's squared coefficients over how many of them the data determine,
 * SCALE_PRIOR coefficients standing for the usual scales; then the length over which rates are
 * alike, by trial.
 */
static int choose_prior(struct course_fit *fit, const struct traj_reach *reach)
{
    static const double longer[] = {0.7, 1.4};
    struct traj_rates rates = {.gain = NULL};
    double most = -INFINITY;
    int status = 0;
    fit->prior = traj_rate_prior_usual;
    if (fit->training->per_target < TRIALS_NEEDED)
        return 0;
    for (size_t round = 0; round < SCALE_ROUNDS && status == 0; round++) {
        status = weigh_prior(fit, reach, &fit->prior, &rates);
        for (size_t part = 0; status == 0 && part < TRAJ_RATE_PARTS; part++) {
            double ratio = (rates.square[part] + SCALE_PRIOR) / (rates.known[part] + SCALE_PRIOR);
            double *scale = &fit->prior.scale[part];
            *scale = fmin(fmax(*scale * ratio, SCALE_LEAST), 1 / SCALE_LEAST);
        }
        most = rates.evidence;
    }
    for (size_t i = 0; i < 2 && status == 0; i++) {
        struct traj_rate_prior other = fit->prior;
        other.ell = longer[i];
        status = weigh_prior(fit, reach, &other, &rates);
        if (status == 0 && rates.evidence > most) {
            most = rates.evidence;
            fit->prior = other;
        }
    }
    traj_rates_free(&rates);
    return status;
}

/* Courses and rates of every slot; the kernel is common to them. */
static int fit_slots(struct course_fit *fit)
{
    const struct traj_training *training = fit->training;
    struct traj_rate_kernel kernel = {.phase = NULL};
    double onset = traj_reach_onset(training);
    int status = traj_reach_taught(training, onset, &fit->taught_weight, fit->error);
    for (size_t i = fit->slots; i-- > 0 && status == 0;) {
        unsigned without = i + 1 == fit->slots ? TRAJ_FOLD_NONE : (unsigned)i;
        fit->reach[i] = traj_reach_fit(training, onset, fit->taught_weight, without, fit->error);
        if (!fit->reach[i])
            status = -1;
        if (status == 0 && !kernel.phase)
            status = choose_prior(fit, fit->reach[i]);
        if (status == 0 && !kernel.phase)
            status = traj_rate_kernel_init(&kernel, fit->reach[i], &fit->prior, fit->error);
        if (status == 0)
            status =
                traj_rates_fit(&fit->rates[i], fit->reach[i], &kernel,
                               i + 1 < fit->slots ? &fit->rates[fit->slots - 1] : NULL, fit->error);
        tell(fit, "courses", (double)(fit->slots - i) / (double)fit->slots);
    }
    traj_rate_kernel_free(&kernel);
    return status;
}

/*
 * Sets *number to the value of the grid that decodes best, if that is better than the first, the
 * usual one, by more than luck makes with so few trials.
 */
static int vary(struct course_fit *fit, const struct traj_bench *bench, double *number,
                const double *grid, size_t count)
{
    struct traj_maker maker = {fit->training, make, fit};
    double margin = MARGIN / sqrt((double)fit->training->labelled);
    double best = INFINITY, chosen = grid[0];
    for (size_t i = 0; i < count; i++) {
        double mean_square;
        *number = grid[i];
        if (traj_bench_error(bench, &maker, true, TRAJ_BENCH_ALL, &mean_square, fit->error))
            return -1;
        fit->selection.decodings++;
        tell(fit, "select", (double)fit->selection.decodings / DECODINGS);
        if (mean_square < best) {
            best = i == 0 ? mean_square * (1 - margin) : mean_square;
            chosen = grid[i];
        }
        if (chosen == grid[i])
            fit->selection.rmse = sqrt(mean_square);
    }
    *number = chosen;
    return 0;
}

static int choose(struct course_fit *fit)
{
    static const double temper[] = {0.55, 0.3, 0.4, 0.7, 1};
    static const double change[] = {0, 0.001};
    static const double wander[] = {1, 0, 2.5};
    const struct traj_training *training = fit->training;
    double many = fmin(1, ((double)training->per_target - 1) / (TRIALS_MANY - 1));
    struct traj_bench bench;
    fit->choice = (struct traj_chain_choice){TEMPER_ONE + (TEMPER_MANY - TEMPER_ONE) * many, 0, 1,
                                             TRAJ_CALIBRATION_NONE};
    if (training->folds < 2 || training->per_target < TRIALS_NEEDED)
        return 0;
    int status = traj_bench_make(&bench, training, BINS_MAX, fit->error);
    for (size_t i = 0; status == 0 && i < bench.count; i++)
        fit->selection.bins += bench.held[i].session->bins;
    if (status == 0)
        status = vary(fit, &bench, &fit->choice.temper, temper, 5) ||
                         vary(fit, &bench, &fit->choice.wander, wander, 3) ||
                         vary(fit, &bench, &fit->choice.switch_prob, change, 2)
                     ? -1
                     : 0;
    traj_bench_free(&bench);
    return status;
}

static void put_choice(FILE *out, const void *of)
{
    const struct course_fit *fit = of;
    const struct traj_reach *reach = fit->reach[fit->slots - 1];
    fputs(",\"courses\":{\"phases\":", out);
    fprintf(out, "%zu", reach->phases);
    traj_summary_number(out, "onset_s", reach->onset * fit->training->bin);
    fprintf(out, ",\"taught_trials\":%zu", reach->taught);
    traj_summary_number(out, "taught_weight", fit->taught_weight);
    fprintf(out, ",\"gains\":%zu", fit->rates[fit->slots - 1].gains);
    traj_summary_number(out, "temper", fit->choice.temper);
    traj_summary_number(out, "switch_prob", fit->choice.switch_prob);
    traj_summary_number(out, "wander", fit->choice.wander);
    traj_summary_number(out, "rate_scale_all", fit->prior.scale[TRAJ_RATE_ALL]);
    traj_summary_number(out, "rate_scale_once", fit->prior.scale[TRAJ_RATE_ONCE]);
    traj_summary_number(out, "rate_scale_twice", fit->prior.scale[TRAJ_RATE_TWICE]);
    traj_summary_number(out, "rate_scale_own", fit->prior.scale[TRAJ_RATE_OWN]);
    traj_summary_number(out, "rate_length_s", fit->prior.ell * TRAJ_RATE_ELL_S);
    fputc('}', out);
}

static struct traj_model *finish(struct course_fit *fit, size_t prior_count)
{
    struct traj_maker maker = {fit->training, make, fit};
    if (fit->options->calibrate) {
        tell(fit, "calibration", 0);
        if (traj_calibrate(&maker, &fit->choice.calibration, &fit->calibrated, fit->error))
            return NULL;
    }
    char *text = traj_summary(fit->training, prior_count, fit->options, put_choice, fit,
                              &fit->selection, &fit->calibrated, fit->error);
    if (!text)
        return NULL;
    struct traj_model *model = traj_chain_assemble(
        fit->reach[fit->slots - 1], &fit->rates[fit->slots - 1], &fit->choice, text, fit->error);
    free(text);
    tell(fit, "done", 1);
    return model;
}

struct traj_model *traj_course_fit(const struct traj_training *training, size_t prior_count,
                                   const struct traj_fit_options *options, struct traj_error *error)
{
    struct course_fit fit = {.training = training,
                             .options = options,
                             .slots = training->folds + 1,
                             .selection = {NAN, NAN, 0, 0},
                             .calibrated = {NAN, NAN, NAN, 0},
                             .error = error};
    struct traj_model *model = NULL;
    fit.reach = calloc(fit.slots, sizeof(struct traj_reach *));
    fit.rates = calloc(fit.slots, sizeof *fit.rates);
    if (!fit.reach || !fit.rates)
        traj_error_set(error, "no memory for the courses of %zu folds", fit.slots);
    else if (fit_slots(&fit) == 0 && choose(&fit) == 0)
        model = finish(&fit, prior_count);
    for (size_t i = 0; fit.reach && fit.rates && i < fit.slots; i++) {
        traj_reach_free(fit.reach[i]);
        traj_rates_free(&fit.rates[i]);
    }
    free(fit.reach);
    free(fit.rates);
    return model;
}
