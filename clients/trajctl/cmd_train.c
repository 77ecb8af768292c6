/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl train: recorded sessions in, a model file out. */
#include <stdio.h>
#include <stdlib.h>

#include "clients/evaluate/report.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/origin.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/adapt.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/model_file.h"

static const struct command_help help = {
    .name = "train",
    .usage = "--session S.h5 --out M.tjm [options]",
    .about =
        "Learns a model from recorded sessions (neural frames and kinematics). Lags, ridge, plan "
        "window and calibration are chosen by cross-validation inside these sessions. The same "
        "sessions, options and seed give the same model.",
    .example = "trajctl train --session a.h5 --out m.tjm\n"
               "trajctl train --session a.h5 --session b.h5 --prior-session k.h5 --out m.tjm\n"
               "trajctl train --from m.tjm --session today.h5 --out n.tjm\n",
};

/* Reads every file of a list; NULL with a sentence.  free_sessions frees what was read. */
static struct traj_session **read_sessions(const struct option_list *list, struct traj_error *error)
{
    struct traj_session **all = calloc(list->count + 1, sizeof(struct traj_session *));
    if (!all) {
        traj_error_set(error, "memory is short");
        return NULL;
    }
    for (size_t i = 0; i < list->count; i++) {
        all[i] = traj_session_read(list->item[i], error);
        if (!all[i]) {
            for (size_t k = 0; k < i; k++) {
                traj_session_free(all[k]);
            }
            free(all);
            return NULL;
        }
    }
    return all;
}

static void free_sessions(struct traj_session **all)
{
    for (size_t i = 0; all && all[i]; i++) {
        traj_session_free(all[i]);
    }
    free(all);
}

struct page {
    const char *path; /* NULL = none */
    struct origin origin;
};

/* The model, and the page about it where one is asked for; 0, or -1 with a sentence. */
static int save(struct traj_model *model, const struct traj_session *session, const char *path,
                struct page *page, const char *out, struct traj_error *error)
{
    struct output output;
    if (traj_model_save(model, out, error)) {
        return -1;
    }
    if (!page->path) {
        return 0;
    }
    if (origin_digest(&page->origin, path, error) || output_open(&output, page->path, error)) {
        return -1;
    }
    const struct traj_origin from = {page->origin.command, page->origin.digest};
    traj_training_html(model, session, &from, output.file);
    return output_commit(&output, error);
}

/* Fits on what the lists name and saves; 0, or -1 with a sentence. */
static int fit_and_save(const struct option_list *files, const struct option_list *prior_files,
                        const struct traj_fit_options *fit, struct page *page, const char *out,
                        struct traj_error *error)
{
    int result = -1;
    struct traj_model *model = NULL;
    struct traj_session **sessions = read_sessions(files, error);
    struct traj_session **priors = sessions ? read_sessions(prior_files, error) : NULL;
    if (priors) {
        model =
            traj_fit((const struct traj_session *const *)sessions, files->count,
                     (const struct traj_session *const *)priors, prior_files->count, fit, error);
    }
    if (model) {
        result = save(model, sessions[0], files->item[0], page, out, error);
    }
    traj_model_free(model);
    free_sessions(priors);
    free_sessions(sessions);
    return result;
}

/* Adapts a model to what the list names and saves; 0, or -1 with a sentence. */
static int adapt_and_save(const char *from, const struct option_list *files,
                          const struct traj_fit_options *fit, struct page *page, const char *out,
                          struct traj_error *error)
{
    int result = -1;
    struct traj_model *old = traj_model_load(from, error), *model = NULL;
    struct traj_session **sessions = old ? read_sessions(files, error) : NULL;
    if (sessions) {
        model =
            traj_adapt(old, (const struct traj_session *const *)sessions, files->count, fit, error);
    }
    if (model) {
        result = save(model, sessions[0], files->item[0], page, out, error);
    }
    traj_model_free(model);
    free_sessions(sessions);
    traj_model_free(old);
    return result;
}

/* What a model that is adapted keeps cannot be chosen. */
static int check_from(const struct traj_fit_options *fit, const struct option_list *priors)
{
    const char *option = fit->family != TRAJ_FAMILY_AUTO ? "family"
                         : priors->count > 0             ? "prior-session"
                         : !fit->plan                    ? "no-plan"
                         : fit->order != 0               ? "order"
                                                         : NULL;
    return option ? usage_error("train", "--%s does not go with --from: the model keeps its own",
                                option)
                  : OPTIONS_RUN;
}

int cmd_train(int argc, char **argv)
{
    struct traj_fit_options fit;
    traj_fit_options_default(&fit);
    struct option_list sessions = {0}, priors = {0};
    const char *out = NULL, *from = NULL, *family = traj_family_name(fit.family);
    bool quiet = false;
    struct page page = {0};
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_REPEATED, &sessions, "session with frames and kinematics",
         .required = true},
        {"prior-session", "K.h5", OPTION_REPEATED, &priors,
         "session that teaches movement alone; its frames are not used"},
        {"out", "M.tjm", OPTION_TEXT, &out, "model file to write", .required = true},
        {"from", "M.tjm", OPTION_TEXT, &from,
         "adapt this model to the sessions of a new day instead: a few trials, or rest alone, tell "
         "what became of its units; its courses and dynamics are kept"},
        {"family", "NAME", OPTION_TEXT, &family,
         "course (a filter over learned courses; for an unbroken recording over rest, reaches, "
         "holds, returns and free places), places (free places alone, for unbroken recordings; "
         "knows no targets), mixture (a "
         "trajectory model for each target and a free one), warped (the same with courses at "
         "speeds of their own), stm (one trajectory model for all), "
         "rwm (random walk) or auto (course where trials are cut out; for an unbroken "
         "recording what decodes best what is held out: course, places or mixture)",
         .words = "auto course places mixture warped stm rwm"},
        {"no-plan", NULL, OPTION_NO, &fit.plan,
         "do not learn the prior over targets from delay activity"},
        {"folds", "N", OPTION_SIZE, &fit.folds, "folds of the inner cross-validation", 2, 100},
        {"seed", "N", OPTION_U64, &fit.seed, "seed of the assignment of trials to folds"},
        {"order", "N", OPTION_SIZE, &fit.order,
         "2 = position and velocity, 3 = acceleration too, 0 = by cross-validation", 0, 3},
        {"report", "R.html", OPTION_TEXT, &page.path,
         "also write a page, which needs nothing else: what was learned and chosen, tuning of the "
         "units of the first session"},
        {"quiet", NULL, OPTION_FLAG, &quiet, "show no progress"},
    };
    if (origin_command(&page.origin, argc, argv)) {
        return failure("train", "memory is short");
    }
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status == OPTIONS_RUN && traj_family_parse(family, &fit.family)) {
        status = usage_error(
            "train", "--family: \"%s\" is not auto, course, places, mixture, warped, stm or rwm",
            family);
    } else if (status == OPTIONS_RUN && fit.order == 1) {
        status = usage_error("train", "--order: 1 is not 0, 2 or 3");
    }
    if (status == OPTIONS_RUN && from) {
        status = check_from(&fit, &priors);
    }
    if (status == OPTIONS_RUN) {
        struct traj_error error = {0};
        struct progress progress;
        progress_init(&progress, "train", quiet);
        fit.progress = progress_callback;
        fit.progress_context = &progress;
        int result = from ? adapt_and_save(from, &sessions, &fit, &page, out, &error)
                          : fit_and_save(&sessions, &priors, &fit, &page, out, &error);
        progress_end(&progress);
        if (result) {
            status = failure("train", "%s", error.text);
        } else {
            if (!quiet) {
                fprintf(stderr, "train: %s written after %.1f s\n", out,
                        progress_seconds(&progress));
            }
            status = 0;
        }
    }
    option_list_free(&sessions);
    option_list_free(&priors);
    origin_free(&page.origin);
    return status;
}
