/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl train: recorded sessions in, a model file out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/report.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/omissions.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/origin.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/progress.h"
#include "daemon/learn/adapt.h"
#include "daemon/learn/fit.h"
#include "daemon/learn/intention.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/recording_session.h"

static const struct command_help help = {
    .name = "train",
    .usage = "--session S.h5 --out M.tjm [options]",
    .about =
        "Learns a model from recorded sessions (neural frames and kinematics). Lags, ridge, plan "
        "window and calibration are chosen by cross-validation inside these sessions. The same "
        "sessions, options and seed give the same model.",
    .example = "trajctl train --session a.h5 --out m.tjm\n"
               "trajctl train --session a.h5 --session b.h5 --prior-session k.h5 --out m.tjm\n"
               "trajctl train --intention run.0001.rec --out n.tjm\n"
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

static bool is_recording(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".rec") == 0;
}

/* A run in which the subject steered, told from a recording or a session file. */
static struct traj_session *read_run(const char *path, const struct traj_model *from, bool partial,
                                     struct traj_error *error)
{
    const struct traj_recording_choice choice = {.run = NULL};
    struct traj_recording_omissions omissions;
    bool recording = is_recording(path);
    struct traj_session *run = recording
                                   ? traj_recording_session(path, path, &choice, &omissions, error)
                                   : traj_session_read(path, error);
    bool refused = run && recording && check_parts(path, &omissions, partial, error) != 0;
    if (run && recording && !refused) {
        tell_omissions("train", path, &omissions);
    }
    if (run && (refused || (recording && traj_intention_effector(run, path, error)) ||
                (from && traj_intention_decoded(run, from, error)))) {
        traj_session_free(run);
        run = NULL;
    }
    return run;
}

/* What is learned from: sessions, or runs by their intention. */
struct source {
    const struct option_list *sessions, *runs; /* one of them is empty */
    bool quiet;
    bool partial; /* of a recording of which a part is missing, what is before it will do */
};

/* Every run with the movement that was intended in place of the one that was made. */
static struct traj_session **read_runs(const struct source *source, const struct traj_model *from,
                                       struct traj_error *error)
{
    const struct option_list *list = source->runs;
    struct traj_session **all = calloc(list->count + 1, sizeof(struct traj_session *));
    if (!all) {
        traj_error_set(error, "memory is short");
        return NULL;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct traj_relabelling done;
        all[i] = read_run(list->item[i], from, source->partial, error);
        if (!all[i] || traj_intention_relabel(all[i], &done, error)) {
            free_sessions(all);
            return NULL;
        }
        if (!source->quiet) {
            fprintf(stderr,
                    "train: %s: %zu samples turned to the target, %zu within %.3g %s of it held "
                    "still, %zu trials\n",
                    list->item[i], done.turned, done.stilled, done.radius, all[i]->length_unit,
                    done.trials);
        }
    }
    return all;
}

static struct traj_session **read_source(const struct source *source, const struct traj_model *from,
                                         struct traj_error *error)
{
    return source->runs->count > 0 ? read_runs(source, from, error)
                                   : read_sessions(source->sessions, error);
}

/* Fits on what the lists name and saves; 0, or -1 with a sentence. */
static int fit_and_save(const struct source *source, const struct option_list *prior_files,
                        const struct traj_fit_options *fit, struct page *page, const char *out,
                        struct traj_error *error)
{
    int result = -1;
    struct traj_model *model = NULL;
    const struct option_list *files = source->runs->count > 0 ? source->runs : source->sessions;
    struct traj_session **sessions = read_source(source, NULL, error);
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

/* From frames that tell nothing the model would come out as it was, and nobody would know. */
static int check_frames(struct traj_session *const *sessions, struct traj_error *error)
{
    for (size_t i = 0; sessions[i]; i++) {
        if (sessions[i]->bins > 0 && traj_session_says(sessions[i], error)) {
            return -1;
        }
    }
    return 0;
}

/* Adapts a model to what the list names and saves; 0, or -1 with a sentence. */
static int adapt_and_save(const char *from, const struct source *source,
                          const struct traj_fit_options *fit, struct page *page, const char *out,
                          struct traj_error *error)
{
    int result = -1;
    struct traj_model *old = traj_model_load(from, error), *model = NULL;
    const struct option_list *files = source->runs->count > 0 ? source->runs : source->sessions;
    struct traj_session **sessions = old ? read_source(source, old, error) : NULL;
    if (sessions && check_frames(sessions, error) == 0) {
        tell_units("train", old, sessions[0]);
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

/* What cannot be written in the end is said before the hours of training. */
static int check_places(const char *out, const struct page *page)
{
    struct traj_error error = {0};
    return traj_model_place(out, &error) || (page->path && output_place(page->path, &error))
               ? failure("train", "%s", error.text)
               : OPTIONS_RUN;
}

static int run(const char *from, const struct source *source, const struct option_list *priors,
               struct traj_fit_options *fit, struct page *page, const char *out)
{
    struct traj_error error = {0};
    struct progress progress;
    progress_init(&progress, "train", source->quiet);
    fit->progress = progress_callback;
    fit->progress_context = &progress;
    int result = from ? adapt_and_save(from, source, fit, page, out, &error)
                      : fit_and_save(source, priors, fit, page, out, &error);
    progress_end(&progress);
    fit->progress = NULL;
    fit->progress_context = NULL;
    if (result) {
        return failure("train", "%s", error.text);
    }
    if (!source->quiet) {
        fprintf(stderr, "train: %s written after %.1f s\n", out, progress_seconds(&progress));
    }
    return 0;
}

int cmd_train(int argc, char **argv)
{
    struct traj_fit_options fit;
    traj_fit_options_default(&fit);
    struct option_list sessions = {0}, priors = {0}, runs = {0};
    const char *out = NULL, *from = NULL, *family = traj_family_name(fit.family);
    bool quiet = false, partial = false;
    struct page page = {0};
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_REPEATED, &sessions, "session with frames and kinematics",
         .file = FILE_READ},
        {"intention", "R.rec|S.h5", OPTION_REPEATED, &runs,
         "instead: a recording (or session) of a run in which the subject steered; what moved is "
         "replaced by what was intended, towards the target and still at it",
         .file = FILE_READ},
        {"prior-session", "K.h5", OPTION_REPEATED, &priors,
         "session that teaches movement alone; its frames are not used", .file = FILE_READ},
        {"out", "M.tjm", OPTION_TEXT, &out, "model file to write", .required = true,
         .file = FILE_WRITTEN},
        {"from", "M.tjm", OPTION_TEXT, &from,
         "adapt this model to the sessions of a new day instead: a few trials, or rest alone, tell "
         "what became of its units; its courses and dynamics are kept",
         .file = FILE_READ},
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
         "units of the first session",
         .file = FILE_WRITTEN},
        {"partial", NULL, OPTION_FLAG, &partial,
         "of a recording whose parts are not all there, learn from what is before the missing one"},
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
    if (status == OPTIONS_RUN && (sessions.count > 0) == (runs.count > 0)) {
        status = usage_error("train", "name either --session S.h5 or --intention R.rec");
    }
    if (status == OPTIONS_RUN && from) {
        status = check_from(&fit, &priors);
    }
    if (status == OPTIONS_RUN) {
        status = check_places(out, &page);
    }
    if (status == OPTIONS_RUN) {
        const struct source source = {&sessions, &runs, quiet, partial};
        status = run(from, &source, &priors, &fit, &page, out);
    }
    option_list_free(&sessions);
    option_list_free(&priors);
    origin_free(&page.origin);
    option_list_free(&runs);
    return status;
}
