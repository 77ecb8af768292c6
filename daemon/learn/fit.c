/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fits a model from recorded sessions: the order in which things are chosen. */
#include "daemon/learn/fit.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdlib.h>

#include "daemon/learn/assemble.h"
#include "daemon/learn/course_fit.h"
#include "daemon/learn/features.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/select.h"
#include "daemon/learn/session_fit.h"
#include "daemon/learn/summary.h"

void traj_fit_options_default(struct traj_fit_options *options)
{
    *options = (struct traj_fit_options){.family = TRAJ_FAMILY_AUTO,
                                         .plan = true,
                                         .calibrate = true,
                                         .folds = 5,
                                         .seed = 1,
                                         .order = 0};
}

/* What the stages share. */
struct fit {
    const struct traj_fit_options *options;
    struct traj_training *training;
    struct traj_fits fits;
    struct traj_choice choice;
    struct traj_selection selection;
    struct traj_calibrated calibrated;
    int32_t *lag; /* [units] */
    struct traj_error *error;
};

static void tell(const struct fit *fit, const char *stage, double share)
{
    if (fit->options->progress)
        fit->options->progress(fit->options->progress_context, stage, share);
}

static void tell_tuning(void *context, double share)
{
    tell(context, "lag", share);
}

/* Tuning, outside the plan window that the choice holds. */
static int fit_tuning(struct fit *fit)
{
    struct traj_choice *choice = &fit->choice;
    traj_training_plan(fit->training, choice->plan.end);
    if (traj_tuning_choose(fit->training, &choice->tuning, tell_tuning, fit, fit->error))
        return -1;
    choice->tuning.own = false;
    tell(fit, "tuning", 0);
    if (traj_family_directed(choice->family) &&
        traj_tuning_choose_own(fit->training, &choice->tuning, fit->error))
        return -1;
    traj_fits_free(&fit->fits);
    return traj_fits_make(&fit->fits, fit->training, choice, fit->error);
}

/* Everything, in the order in which one choice rests on another. */
static int fit_all(struct fit *fit)
{
    struct traj_choice *choice = &fit->choice;
    const struct traj_training *training = fit->training;
    double window = choice->plan.end;
    choice->tuning.lag = fit->lag;
    fit->selection = (struct traj_selection){NAN, NAN, 0, 0};
    if (traj_features_choose(training, choice->tuning.columns, &choice->to_diagonal, fit->error) ||
        fit_tuning(fit) || traj_fits_movement(&fit->fits, choice, fit->error))
        return -1;
    tell(fit, "dynamics", 0);
    traj_dynamics_choose(fit->fits.movement, &choice->dynamics);
    if (traj_select_window(&fit->fits, fit->options, choice, &fit->selection, fit->error))
        return -1;
    /* Tuning must not learn from the bins of a window that has just been found. */
    if (choice->plan.end != window && fit_tuning(fit))
        return -1;
    if (traj_select_observation(&fit->fits, fit->options, choice, &fit->selection, fit->error))
        return -1;
    return traj_select(&fit->fits, fit->options, choice, &fit->selection, fit->error);
}

static struct traj_model *finish(struct fit *fit, size_t prior_count)
{
    if (fit->options->calibrate) {
        tell(fit, "calibration", 0);
        struct traj_assembly assembly = {&fit->fits, &fit->choice};
        struct traj_maker maker = traj_assembly_maker(&assembly);
        if (traj_calibrate(&maker, &fit->choice.calibration, &fit->calibrated, fit->error))
            return NULL;
    }
    char *text = traj_summary(fit->training, prior_count, fit->options, traj_summary_components,
                              &fit->choice, &fit->selection, &fit->calibrated, fit->error);
    if (!text)
        return NULL;
    struct traj_model *model =
        traj_assemble(&fit->fits, &fit->choice, TRAJ_FOLD_NONE, text, fit->error);
    free(text);
    tell(fit, "done", 1);
    return model;
}

static int check_options(const struct traj_fit_options *options,
                         const struct traj_session *const *sessions, size_t count,
                         struct traj_error *error)
{
    if (options->order != 0 && options->order != 2 && options->order != 3)
        return traj_error_set(error, "order: %zu is not 0, 2 or 3", options->order);
    if (options->folds < 2)
        return traj_error_set(error, "folds: %zu is less than 2", options->folds);
    if (options->family >= TRAJ_FAMILIES)
        return traj_error_set(error, "family: %d is not known", (int)options->family);
    size_t trials = 0;
    for (size_t i = 0; i < count; i++)
        trials += sessions[i]->trials;
    if (options->family == TRAJ_FAMILY_STM && trials == 0)
        return traj_error_set(error, "%s: /trials: none, and a single-trajectory model needs them",
                              count > 0 ? sessions[0]->path : "sessions");
    return 0;
}

/* Fits the component families, all but the model. */
static int prepare_components(struct fit *fit)
{
    fit->lag = calloc(fit->training->units + 1, sizeof *fit->lag);
    traj_choice_default(fit->training, fit->options, &fit->choice);
    if (!fit->lag)
        return traj_error_set(fit->error, "no memory for %zu units", fit->training->units);
    return fit_all(fit);
}

static struct traj_model *fit_components(struct fit *fit, size_t prior_count)
{
    return prepare_components(fit) == 0 ? finish(fit, prior_count) : NULL;
}

/* Refuses a family by name. */
static struct traj_model *refuse(const struct fit *fit, const char *family, const char *why)
{
    traj_error_set(fit->error, "%s: the %s cannot be fitted: %s", fit->training->session[0]->path,
                   family, why);
    return NULL;
}

/* Whether the component families decode what was held out better than the filter of an unbroken
 * recording does; *status -1 with a sentence. */
static bool components_better(struct fit *fit, const struct traj_bench *bench, double unexplained,
                              int *status)
{
    double theirs, rmse[2];
    struct traj_assembly assembly = {&fit->fits, &fit->choice};
    struct traj_maker maker = traj_assembly_maker(&assembly);
    *status = traj_session_unexplained(bench, &maker, &theirs, rmse, fit->error);
    return *status == 0 && theirs < unexplained;
}

/* The filter of an unbroken recording; with `compete`, or a component family that decodes better
 * what was held out. */
static struct traj_model *fit_session(struct fit *fit, struct traj_fit_options *options,
                                      size_t prior_count, bool with_courses, bool compete)
{
    struct traj_bench bench = {.training = fit->training};
    struct traj_model *model = NULL;
    bool held_out = fit->training->folds > 1, components = false;
    int status =
        held_out ? traj_bench_make(&bench, fit->training, TRAJ_SESSION_BENCH_BINS, fit->error) : 0;
    struct traj_session_fit *session = NULL;
    if (status == 0)
        session = traj_session_fit_new(fit->training, held_out ? &bench : NULL, with_courses,
                                       options, fit->error);
    status = session ? 0 : -1;
    if (session && compete && held_out) {
        options->family = TRAJ_FAMILY_MIXTURE;
        status = prepare_components(fit);
        if (status == 0)
            components =
                components_better(fit, &bench, traj_session_fit_unexplained(session), &status);
    }
    if (status == 0)
        model = components ? finish(fit, prior_count)
                           : traj_session_fit_finish(session, prior_count, fit->error);
    traj_session_fit_free(session);
    traj_bench_free(&bench);
    return model;
}

/* Settles which family it is to be, and fits it. */
static struct traj_model *fit_family(struct fit *fit, struct traj_fit_options *options,
                                     size_t prior_count)
{
    const char *no_course = traj_course_fit_obstacle(fit->training);
    const char *no_session = traj_session_fit_obstacle(fit->training);
    switch (options->family) {
    case TRAJ_FAMILY_AUTO:
        if (!no_course)
            return traj_course_fit(fit->training, prior_count, options, fit->error);
        if (!no_session)
            return fit_session(fit, options, prior_count, true, true);
        options->family = TRAJ_FAMILY_MIXTURE;
        return fit_components(fit, prior_count);
    case TRAJ_FAMILY_COURSE:
        if (!no_course)
            return traj_course_fit(fit->training, prior_count, options, fit->error);
        if (!no_session)
            return fit_session(fit, options, prior_count, true, false);
        return refuse(fit, "filter over courses", fit->training->unbroken ? no_session : no_course);
    case TRAJ_FAMILY_PLACES:
        return no_session ? refuse(fit, "filter over places", no_session)
                          : fit_session(fit, options, prior_count, false, false);
    default:
        return fit_components(fit, prior_count);
    }
}

struct traj_model *traj_fit(const struct traj_session *const *sessions, size_t count,
                            const struct traj_session *const *priors, size_t prior_count,
                            const struct traj_fit_options *options, struct traj_error *error)
{
    struct traj_fit_options usual;
    traj_fit_options_default(&usual);
    struct traj_fit_options chosen = options ? *options : usual;
    struct fit fit = {.options = &chosen, .error = error};
    fit.calibrated = (struct traj_calibrated){NAN, NAN, NAN, 0};
    if (check_options(fit.options, sessions, count, error))
        return NULL;
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    struct traj_model *model = NULL;
    fit.training = traj_training_new(sessions, count, priors, prior_count, fit.options->folds,
                                     fit.options->seed, error);
    if (fit.training)
        model = fit_family(&fit, &chosen, prior_count);
    traj_fits_free(&fit.fits);
    free(fit.lag);
    traj_training_free(fit.training);
    gsl_set_error_handler(handler);
    return model;
}
