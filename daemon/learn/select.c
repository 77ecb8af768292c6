/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses what only decoding can tell, by decoding held-out folds. */
#include "daemon/learn/select.h"

#include <math.h>
#include <string.h>

#include "daemon/learn/root_noise.h"

#define WINDOWS_MAX 16
#define BINS_MAX 8000   /* held-out bins that a candidate is judged by */
#define TRIALS_NEEDED 3 /* a target, below which leaving trials out says more about luck */
#define SWITCH_RATE_DEFAULT 0.5
#define NOISE_SCALE_DEFAULT 0.3
#define EVIDENCE_TEMPER_DEFAULT 0.25
#define FREE_PRIOR_DEFAULT 0.03
#define SHRINKAGE_DEFAULT 1.0 /* trials */
#define DECODINGS 40          /* candidates of a full search, about */

/* The longest delay from a trial's start to its go cue, whole bins; 0 where no go cue is known. */
static double longest_delay(const struct traj_training *training)
{
    double delay = 0;
    for (size_t r = 0; r < training->trials; r++)
        if (training->trial[r].bin_count > 0 && training->trial[r].go > delay)
            delay = training->trial[r].go;
    return ceil(delay / training->bin - 1e-6) * training->bin;
}

/* The earliest onset of movement after a trial's start, where every trial tells it; else 0. */
static double earliest_onset(const struct traj_training *training)
{
    double onset = INFINITY;
    for (size_t r = 0; r < training->trials; r++) {
        const struct traj_course *trial = &training->trial[r];
        if (trial->bin_count > 0)
            onset = trial->move >= 0 ? fmin(onset, trial->move) : 0;
    }
    return isfinite(onset) ? floor(onset / training->bin + 1e-6) * training->bin : 0;
}

void traj_choice_default(const struct traj_training *training,
                         const struct traj_fit_options *options, struct traj_choice *choice)
{
    double delay = longest_delay(training);
    bool directed = traj_family_directed(options->family);
    memset(choice, 0, sizeof *choice);
    choice->family = options->family;
    choice->state = training->dim * (options->order > 0 ? options->order : directed ? 3 : 2);
    choice->tuning.columns = 2 * training->dim;
    choice->plan.end = delay > 0 ? delay : earliest_onset(training);
    choice->plan.temper = 1;
    choice->dynamics.course = true;
    choice->dynamics.shrinkage = SHRINKAGE_DEFAULT;
    choice->dynamics.memory = 1;
    choice->dynamics.delays = 1;
    choice->noise_scale = NOISE_SCALE_DEFAULT;
    choice->walk_scale = NOISE_SCALE_DEFAULT;
    choice->evidence_temper = EVIDENCE_TEMPER_DEFAULT;
    choice->free_prior = FREE_PRIOR_DEFAULT;
    choice->switch_rate = SWITCH_RATE_DEFAULT;
    choice->speed_spread = 1;
    choice->speed_walk = 0;
    choice->calibration = (struct traj_calibration)TRAJ_CALIBRATION_NONE;
}

/* One search: which number is varied, and what is measured. */
struct search {
    struct traj_bench bench;
    struct traj_fits *fits;
    const struct traj_fit_options *options;
    struct traj_choice *choice;
    struct traj_selection *selection;
    bool marks;
    enum traj_bench_part part; /* of the bins that a candidate is judged by */
    size_t expected;           /* decodings, for the share that is done */
    struct traj_error *error;
};

static struct traj_model *make(void *context, unsigned without, struct traj_error *error)
{
    struct traj_assembly *assembly = context;
    return traj_assemble(assembly->fits, assembly->choice, without, NULL, error);
}

struct traj_maker traj_assembly_maker(struct traj_assembly *assembly)
{
    return (struct traj_maker){assembly->fits->training, make, assembly};
}

static int measure(struct search *search, double *mean_square)
{
    struct traj_selection *selection = search->selection;
    struct traj_assembly assembly = {search->fits, search->choice};
    struct traj_maker maker = traj_assembly_maker(&assembly);
    if (traj_bench_error(&search->bench, &maker, search->marks, search->part, mean_square,
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
    choice->plan.rates = search->options->plan && traj_family_directed(choice->family) && end > 0 &&
                         traj_plan_possible(training, end);
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
    double end[WINDOWS_MAX], best = INFINITY, chosen = 0;
    size_t count = window_ends(search->fits->training, end, WINDOWS_MAX);
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

/* One way to make the components: state order, how targets' dynamics are fitted, whose tuning. */
struct making {
    size_t order;
    bool course, own;
    size_t memory;
};

static int choose_making(struct search *search, const struct making *making, size_t count)
{
    struct traj_choice *choice = search->choice, best_choice = *choice;
    double best = INFINITY, shrinkage = choice->dynamics.shrinkage;
    for (size_t i = 0; i < count; i++) {
        double mean_square;
        if (search->options->order != 0 && making[i].order != search->options->order)
            continue;
        choice->state = making[i].order * search->fits->training->dim;
        choice->dynamics.course = making[i].course;
        choice->dynamics.memory = making[i].memory;
        choice->tuning.own = making[i].own;
        /* Pairs have a density by which their shrinkage is chosen; courses are decoded to tell. */
        choice->dynamics.shrinkage = shrinkage;
        if (traj_fits_movement(search->fits, choice, search->error))
            return -1;
        traj_dynamics_choose(search->fits->movement, &choice->dynamics);
        if (making[i].course)
            choice->dynamics.shrinkage = SHRINKAGE_DEFAULT;
        if (measure(search, &mean_square))
            return -1;
        if (mean_square < best) {
            best = mean_square;
            best_choice = *choice;
        }
    }
    *choice = best_choice;
    search->selection->rmse = sqrt(best);
    return 0;
}

static const double noise_grid[] = {0.3, 1, 0.1, 0.03};
#define DELAYS 5 /* components of a target that wait for reaction times, where that helps */
#define NOISES (sizeof noise_grid / sizeof noise_grid[0])

static int choose_single(struct search *search)
{
    static const struct making making[] = {
        {2, false, false, 1}, {3, false, false, 1}, {2, false, false, 4}, {3, false, false, 4}};
    return choose_making(search, making, 4) ||
                   vary(search, &search->choice->noise_scale, noise_grid, NOISES)
               ? -1
               : 0;
}

/* Whether reaction times differ so much that each target needs components that wait for them. */
static int choose_delays(struct search *search)
{
    struct traj_choice *choice = search->choice;
    double with, without = search->selection->rmse * search->selection->rmse;
    if (!choice->dynamics.course)
        return 0;
    choice->dynamics.delays = DELAYS;
    if (measure(search, &with))
        return -1;
    if (with < without)
        search->selection->rmse = sqrt(with);
    else
        choice->dynamics.delays = 1;
    return 0;
}

static int choose_mixture(struct search *search)
{
    static const struct making making[] = {{3, true, true, 1},
                                           {2, true, true, 1},
                                           {3, false, true, 1},
                                           {3, true, false, 1},
                                           {2, false, false, 1}};
    static const double temper[] = {0.25, 1, 0.5, 0.1, 0.05};
    static const double free_prior[] = {0.03, 0.003, 0.01, 0.1};
    static const double shrinkage[] = {1, 0.3, 3, 10};
    /* A warped component follows a course; pairs of states have no onset to be warped about. */
    static const struct making course[] = {
        {3, true, true, 1}, {2, true, true, 1}, {3, true, false, 1}};
    static const double spread[] = {1, 0.5, 1.5};
    static const double walk[] = {0, 0.003, 0.03};
    struct traj_choice *choice = search->choice;
    bool warped = choice->family == TRAJ_FAMILY_WARPED;
    if (choose_making(search, warped ? course : making, warped ? 3 : 5) ||
        vary(search, &choice->noise_scale, noise_grid, NOISES) ||
        vary(search, &choice->evidence_temper, temper, 5) || choose_delays(search) ||
        vary(search, &choice->free_prior, free_prior, 4))
        return -1;
    if (choice->dynamics.course && vary(search, &choice->dynamics.shrinkage, shrinkage, 4))
        return -1;
    if (warped && (vary(search, &choice->speed_walk, walk, 3) ||
                   vary(search, &choice->speed_spread, spread, 3)))
        return -1;
    return vary(search, &choice->noise_scale, noise_grid, NOISES) ||
                   vary(search, &choice->evidence_temper, temper, 5)
               ? -1
               : 0;
}

/* The free component of an unbroken session: a walk, or a rule by which movement settles. */
static int choose_free(struct search *search)
{
    struct traj_dynamics_choice *dynamics = &search->choice->dynamics;
    double walking, settling, scale;
    dynamics->settling = false;
    if (vary(search, &search->choice->walk_scale, noise_grid, NOISES))
        return -1;
    walking = search->selection->rmse;
    scale = search->choice->walk_scale;
    dynamics->settling = true;
    if (vary(search, &search->choice->walk_scale, noise_grid, NOISES))
        return -1;
    settling = search->selection->rmse;
    if (settling >= walking) {
        dynamics->settling = false;
        search->choice->walk_scale = scale;
        search->selection->rmse = walking;
    }
    return 0;
}

static int choose_marked(struct search *search)
{
    bool directed =
        traj_family_directed(search->choice->family) && search->fits->training->labelled > 0;
    if (!directed)
        return choose_single(search);
    /* Targets' components are judged where they run; then the free one, which runs always. */
    search->part = TRAJ_BENCH_TRIALS;
    if (choose_mixture(search))
        return -1;
    search->part = TRAJ_BENCH_ALL;
    return search->fits->training->unbroken ? choose_free(search) : 0;
}

static int choose_unmarked(struct search *search)
{
    static const double rate[] = {0.5, 0.1, 0.2, 1, 2, 4};
    const struct traj_training *training = search->fits->training;
    if (!training->unbroken || training->trials == 0 ||
        !traj_family_directed(search->choice->family))
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

/* Whether leaving trials out says more than luck. */
static bool enough(const struct traj_training *training, const struct traj_choice *choice)
{
    if (training->folds < 2)
        return false;
    return training->labelled == 0 || !traj_family_directed(choice->family) ||
           training->per_target >= TRIALS_NEEDED;
}

/* Runs one part of the search on the held-out folds. */
static int run_search(struct search *search, int (*part)(struct search *search))
{
    int status = traj_bench_make(&search->bench, search->fits->training, BINS_MAX, search->error);
    if (status == 0) {
        search->selection->bins = count_bins(&search->bench);
        status = part(search);
    }
    traj_bench_free(&search->bench);
    return status;
}

int traj_select_window(struct traj_fits *fits, const struct traj_fit_options *options,
                       struct traj_choice *choice, struct traj_selection *selection,
                       struct traj_error *error)
{
    struct search search = {.fits = fits,
                            .options = options,
                            .choice = choice,
                            .selection = selection,
                            .marks = true,
                            .error = error};
    search.expected = DECODINGS;
    if (fits->training->trials == 0 || !enough(fits->training, choice))
        return settle_plan(&search, choice->plan.end);
    return run_search(&search, choose_window);
}

/* Least error over a few tempers. */
static int try_tempers(struct search *search, double *least)
{
    static const double temper[] = {0.25, 1, 0.05};
    if (vary(search, &search->choice->evidence_temper, temper, 3))
        return -1;
    *least = search->selection->rmse;
    return 0;
}

/* Fits tuning anew, as the choice now says. */
static int refit(struct search *search)
{
    const struct traj_training *training = search->fits->training;
    traj_fits_free(search->fits);
    return traj_fits_make(search->fits, training, search->choice, search->error);
}

static int choose_observation(struct search *search)
{
    const struct traj_training *training = search->fits->training;
    struct traj_choice *choice = search->choice, poisson;
    double counts, roots;
    if (try_tempers(search, &counts))
        return -1;
    poisson = *choice;
    choice->tuning.root = true;
    if (traj_root_noise_choose(training, &choice->tuning, search->error) ||
        (poisson.tuning.own && traj_tuning_choose_own(training, &choice->tuning, search->error)) ||
        refit(search) || try_tempers(search, &roots))
        return -1;
    if (roots < counts)
        return 0;
    *choice = poisson;
    search->selection->rmse = counts;
    return refit(search);
}

int traj_select_observation(struct traj_fits *fits, const struct traj_fit_options *options,
                            struct traj_choice *choice, struct traj_selection *selection,
                            struct traj_error *error)
{
    struct search search = {.fits = fits,
                            .options = options,
                            .choice = choice,
                            .selection = selection,
                            .marks = true,
                            .error = error};
    search.expected = DECODINGS;
    choice->tuning.root = false;
    if (fits->training->units == 0 || fits->training->units > TRAJ_ROOT_UNITS_MAX ||
        !enough(fits->training, choice))
        return 0;
    return run_search(&search, choose_observation);
}

static int choose_rest(struct search *search)
{
    return choose_marked(search) ? -1 : choose_unmarked(search);
}

int traj_select(struct traj_fits *fits, const struct traj_fit_options *options,
                struct traj_choice *choice, struct traj_selection *selection,
                struct traj_error *error)
{
    struct search search = {.fits = fits,
                            .options = options,
                            .choice = choice,
                            .selection = selection,
                            .marks = true,
                            .error = error};
    search.expected = DECODINGS;
    return enough(fits->training, choice) ? run_search(&search, choose_rest) : 0;
}
