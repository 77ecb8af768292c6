/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses what only decoding can tell, by decoding held-out folds. */
#include "daemon/learn/select.h"

#include <math.h>
#include <string.h>

#define BINS_MAX 8000      /* held-out bins that a candidate is judged by */
#define TRIALS_NEEDED 3    /* a target, below which leaving trials out says more about luck */
#define SWITCH_RATE_DEFAULT 0.5
#define NOISE_SCALE_DEFAULT 0.1
#define EVIDENCE_TEMPER_DEFAULT 0.25
#define FREE_PRIOR_DEFAULT 0.03

/* The longest delay from a trial's start to its go cue, whole bins; 0 where no go cue is known. */
static double longest_delay(const struct traj_training *training)
{
    double delay = 0;
    for (size_t r = 0; r < training->trials; r++)
        if (training->trial[r].bin_count > 0 && training->trial[r].go > delay)
            delay = training->trial[r].go;
    return ceil(delay / training->bin - 1e-6) * training->bin;
}

void traj_choice_default(const struct traj_training *training,
                         const struct traj_fit_options *options, struct traj_choice *choice)
{
    memset(choice, 0, sizeof *choice);
    choice->family = options->family;
    choice->state = training->dim * (options->order > 0 ? options->order : 2);
    choice->plan.end = longest_delay(training);
    choice->plan.temper = 1;
    choice->noise_scale = NOISE_SCALE_DEFAULT;
    choice->evidence_temper = EVIDENCE_TEMPER_DEFAULT;
    choice->free_prior = FREE_PRIOR_DEFAULT;
    choice->switch_rate = SWITCH_RATE_DEFAULT;
    choice->calibration = (struct traj_calibration){1, 1, 1};
}

/* One search: which number is varied, and what is measured. */
struct search {
    struct traj_bench bench;
    struct traj_fits *fits;
    const struct traj_fit_options *options;
    struct traj_choice *choice;
    struct traj_selection *selection;
    bool marks;
    size_t expected; /* decodings, for the share that is done */
    struct traj_error *error;
};

static int measure(struct search *search, double *mean_square)
{
    struct traj_selection *selection = search->selection;
    if (traj_bench_error(&search->bench, search->fits, search->choice, search->marks, mean_square,
                         search->error))
        return -1;
    selection->decodings++;
    if (search->options->progress) {
        double share = (double)selection->decodings / (double)search->expected;
        search->options->progress(search->options->progress_context, "select",
                                  share < 1 ? share : 1);
    }
    return 0;
}

/* Sets *number to the value of the grid that decodes best; the first of equals wins. */
static int vary(struct search *search, double *number, const double *grid, size_t count)
{
    double best = INFINITY, chosen = *number;
    for (size_t i = 0; i < count; i++) {
        double mean_square;
        *number = grid[i];
        if (measure(search, &mean_square))
            return -1;
        if (mean_square < best) {
            best = mean_square;
            chosen = grid[i];
        }
    }
    *number = chosen;
    if (search->marks)
        search->selection->rmse = sqrt(best);
    else
        search->selection->rmse_unmarked = sqrt(best);
    return 0;
}

/* ---- plan window ----------------------------------------------------------------------------- */

/* Settles the plan's rates for a window that ends at `end`. */
static int settle_plan(struct search *search, double end)
{
    const struct traj_training *training = search->fits->training;
    struct traj_choice *choice = search->choice;
    choice->plan.end = end;
    choice->plan.rates = search->options->plan && choice->family == TRAJ_FAMILY_MIXTURE &&
                         end > 0 && traj_plan_possible(training, end);
    choice->plan.begin = 0;
    choice->plan.temper = 1;
    choice->plan.score = NAN;
    return choice->plan.rates ? traj_plan_choose(training, &choice->plan, search->error) : 0;
}

/* Length of the shortest trial, s. */
static double shortest_trial(const struct traj_training *training)
{
    double shortest = INFINITY;
    for (size_t r = 0; r < training->trials; r++)
        if (training->trial[r].bin_count > 0)
            shortest = fmin(shortest, (double)training->trial[r].count * training->bin);
    return isinf(shortest) ? 0 : shortest;
}

/* Ends of the window that are tried: where a go cue comes, that or none; else every 50 ms. */
static size_t window_ends(const struct traj_training *training, double *end, size_t cap)
{
    double delay = longest_delay(training), limit = 0.6 * shortest_trial(training);
    size_t count = 0;
    end[count++] = 0;
    if (delay > 0) {
        end[count++] = delay;
        return count;
    }
    for (double at = 0.05; at <= fmin(limit, 0.5) + 1e-9 && count < cap; at += 0.05) {
        double whole = floor(at / training->bin + 0.5) * training->bin;
        if (whole > end[count - 1])
            end[count++] = whole;
    }
    return count;
}

static int choose_window(struct search *search)
{
    double end[16], best = INFINITY, chosen = 0;
    size_t count = window_ends(search->fits->training, end, 16);
    for (size_t i = 0; i < count; i++) {
        double mean_square;
        if (settle_plan(search, end[i]) || measure(search, &mean_square))
            return -1;
        if (mean_square < best) {
            best = mean_square;
            chosen = end[i];
        }
    }
    return settle_plan(search, chosen);
}

/* ---- the search ------------------------------------------------------------------------------ */

static int choose_marked(struct search *search)
{
    static const double noise[] = {0.1, 1, 0.3, 0.03, 0.01, 0.003};
    static const double temper[] = {0.25, 1, 0.5, 0.1, 0.05, 0.02};
    static const double free_prior[] = {0.03, 0.01, 0.1};
    struct traj_choice *choice = search->choice;
    if (choose_window(search) || vary(search, &choice->noise_scale, noise, 6))
        return -1;
    if (choice->family != TRAJ_FAMILY_MIXTURE || search->fits->training->trials == 0)
        return 0;
    if (vary(search, &choice->evidence_temper, temper, 6) ||
        vary(search, &choice->free_prior, free_prior, 3) ||
        vary(search, &choice->noise_scale, noise, 6))
        return -1;
    return vary(search, &choice->evidence_temper, temper, 6);
}

static int choose_unmarked(struct search *search)
{
    static const double rate[] = {0.5, 0.1, 0.2, 1, 2, 4};
    const struct traj_training *training = search->fits->training;
    if (!training->unbroken || training->trials == 0 ||
        search->choice->family != TRAJ_FAMILY_MIXTURE)
        return 0;
    search->marks = false;
    return vary(search, &search->choice->switch_rate, rate, 6);
}

static size_t count_bins(const struct traj_bench *bench)
{
    size_t bins = 0;
    for (size_t i = 0; i < bench->count; i++)
        bins += bench->held[i].session->bins;
    return bins;
}

int traj_select(struct traj_fits *fits, const struct traj_fit_options *options,
                struct traj_choice *choice, struct traj_selection *selection,
                struct traj_error *error)
{
    const struct traj_training *training = fits->training;
    struct search search = {.fits = fits, .options = options, .choice = choice,
                            .selection = selection, .marks = true, .error = error};
    *selection = (struct traj_selection){NAN, NAN, 0, 0};
    bool enough = training->labelled > 0 && choice->family == TRAJ_FAMILY_MIXTURE
                      ? training->per_target >= TRIALS_NEEDED
                      : training->folds >= 2;
    if (training->folds == 0 || !enough)
        return settle_plan(&search, choice->plan.end);
    search.expected = choice->family == TRAJ_FAMILY_MIXTURE ? 42 : 14;
    int status = traj_bench_make(&search.bench, training, BINS_MAX, error);
    if (status == 0) {
        selection->bins = count_bins(&search.bench);
        status = choose_marked(&search);
    }
    if (status == 0)
        status = choose_unmarked(&search);
    traj_bench_free(&search.bench);
    return status;
}
