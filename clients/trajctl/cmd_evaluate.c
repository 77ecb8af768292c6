/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl evaluate: decoders compared on one session. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/protocol.h"
#include "clients/evaluate/report.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/jobs.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/origin.h"
#include "clients/trajctl/output.h"
#include "clients/trajctl/processors.h"
#include "clients/trajctl/progress.h"

#define LIST_MAX 64
#define RANDOM_START_S 0.28 /* of a trial that may be missing with --random-start */

static const struct command_help help = {
    .name = "evaluate",
    .usage = "--session S.h5 [options]",
    .about =
        "Compares decoders on a session with kinematics, all on the same training and test sets. "
        "Methods are default (the family that train chooses), the families of train, mixture+plan "
        "(the mixture with the prior from delay activity), and with --baselines decoders that are "
        "not trajd's. With --trials-per-target each draw trains on so many trials of each target "
        "and tests on all others; without it trials that were cut out of a recording are dealt to "
        "folds, and an unbroken session is always tested in blocks of time. Prints rmse with 95 % "
        "intervals (bootstrap over trials, or stretches of time where the recording is unbroken), "
        "velocity, how often stated regions and target probabilities are right, and pairs: the "
        "first method against each other one, with a permutation test.",
    .example = "trajctl evaluate --session s.h5 --baselines\n"
               "trajctl evaluate --session s.h5 --methods default,kalman \\\n"
               "    --trials-per-target 1,2,5,10 --missing-lead 14 --cache c\n"
               "trajctl evaluate --session s.h5 --leave-one-target-out\n"
               "trajctl evaluate --session a.h5 --test b.h5\n"
               "trajctl evaluate --session today.h5 --yesterday a.h5 --trials-per-target 3,10\n",
};

/* What the command line chose, and room for its lists. */
struct request {
    struct origin origin;
    const char *session, *test, *yesterday, *sizes, *seeds, *methods, *cache, *page;
    bool baselines, json, quiet, random_start, wrong_prior;
    double silence, lose;
    size_t jobs;
    size_t per_target[LIST_MAX];
    size_t method[LIST_MAX];
    uint64_t seed[LIST_MAX];
    struct traj_evaluate_options options;
};

/* "1,2,5" into numbers; returns how many, 0 if the text is no such list or too long. */
static size_t parse_list(const char *text, uint64_t *out, size_t cap)
{
    size_t count = 0;
    char item[32];
    while (count < cap) {
        size_t length = strcspn(text, ",");
        if (length == 0 || length >= sizeof item) {
            return 0;
        }
        memcpy(item, text, length);
        item[length] = '\0';
        if (!number_u64(item, &out[count])) {
            return 0;
        }
        count++;
        if (text[length] == '\0') {
            return count;
        }
        text += length + 1;
    }
    return 0;
}

/* Fills the lists; OPTIONS_RUN or an exit status after a sentence. */
static int read_lists(struct request *r)
{
    uint64_t size[LIST_MAX];
    if (r->sizes) {
        r->options.per_target_count = parse_list(r->sizes, size, LIST_MAX);
        if (r->options.per_target_count == 0) {
            return usage_error("evaluate",
                               "--trials-per-target: \"%s\" is not a list such as 1,2,5", r->sizes);
        }
        for (size_t i = 0; i < r->options.per_target_count; i++) {
            r->per_target[i] = (size_t)size[i];
        }
        r->options.per_target = r->per_target;
    }
    if (r->seeds) {
        r->options.seed_count = parse_list(r->seeds, r->seed, LIST_MAX);
        if (r->options.seed_count == 0) {
            return usage_error("evaluate", "--seeds: \"%s\" is not a list such as 1,2,3", r->seeds);
        }
        r->options.seed = r->seed;
    }
    return OPTIONS_RUN;
}

static int unknown_method(const char *name, size_t length)
{
    char list[512];
    size_t used = 0;
    for (size_t m = 0; m < traj_methods() && used < sizeof list; m++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", m ? ", " : "",
                                 traj_method_at(m).name);
    }
    return usage_error("evaluate", "--methods: \"%.*s\" is none of %s", (int)length, name, list);
}

/* Which methods to run: all trajd's, the baselines if asked for, or those that --methods names, in
 * that order. */
static int choose_methods(struct request *r)
{
    r->options.method = r->method;
    for (size_t m = 0; !r->methods && m < traj_methods(); m++) {
        if (r->baselines || !traj_method_at(m).baseline) {
            r->method[r->options.method_count++] = m;
        }
    }
    for (const char *at = r->methods; at && *at;) {
        size_t length = strcspn(at, ","), m = traj_method_find(at, length);
        bool known = m < traj_methods();
        for (size_t i = 0; known && i < r->options.method_count; i++) {
            known = known && r->method[i] != m;
        }
        if (m == traj_methods()) {
            return unknown_method(at, length);
        }
        if (known) {
            r->method[r->options.method_count++] = m;
        }
        at += length + (at[length] == ',');
    }
    for (size_t m = 0; r->methods && r->baselines && m < traj_methods(); m++) {
        bool there = false;
        for (size_t i = 0; i < r->options.method_count; i++) {
            there = there || r->method[i] == m;
        }
        if (!there && traj_method_at(m).baseline) {
            r->method[r->options.method_count++] = m;
        }
    }
    return OPTIONS_RUN;
}

/* What is done to the units and the prior. */
static int choose_conditions(struct request *r)
{
    bool *condition = r->options.condition;
    if (r->silence > 0.0 && r->lose > 0.0 && r->silence != r->lose) {
        return usage_error("evaluate", "--silence and --lose must name the same share");
    }
    r->options.lost_share = r->silence > 0.0 ? r->silence : r->lose;
    condition[TRAJ_CONDITION_SILENT] = r->silence > 0.0;
    condition[TRAJ_CONDITION_UNOBSERVED] = r->lose > 0.0;
    condition[TRAJ_CONDITION_REMOVED] = r->options.lost_share > 0.0;
    condition[TRAJ_CONDITION_WRONG_PRIOR] = r->wrong_prior;
    condition[TRAJ_CONDITION_ADAPTED] = condition[TRAJ_CONDITION_YESTERDAY] = r->yesterday != NULL;
    condition[TRAJ_CONDITION_PLAIN] =
        r->wrong_prior || r->yesterday || !(r->options.lost_share > 0.0);
    return OPTIONS_RUN;
}

/* 0, or -1 with a sentence. */
static int write_page(const struct request *r, const struct traj_evaluation *e,
                      struct traj_error *error)
{
    struct output output;
    struct origin origin = r->origin;
    if (origin_digest(&origin, r->session, error) || output_open(&output, r->page, error)) {
        return -1;
    }
    const struct traj_origin from = {origin.command, origin.digest};
    traj_evaluation_html(e, &from, output.file);
    return output_commit(&output, error);
}

static int report(const struct request *r, const struct traj_evaluation *e)
{
    struct traj_error error = {0};
    size_t failed = 0;
    if (r->page && write_page(r, e, &error)) {
        return failure("evaluate", "%s", error.text);
    }
    if (r->json) {
        traj_evaluation_json(e, stdout);
    } else {
        traj_evaluation_print(e, stdout);
    }
    for (size_t i = 0; i < e->rows; i++) {
        failed += e->row[i].failed[0] != '\0';
    }
    if (fflush(stdout)) {
        return failure("evaluate", "standard output cannot be written");
    }
    return failed == e->rows ? failure("evaluate", "%s", e->row[0].failed) : 0;
}

/* Reads what is to be evaluated; 0, or -1 with a sentence. */
static int read_sessions(struct request *r, struct traj_session **session,
                         struct traj_session **test, struct traj_session **yesterday,
                         struct traj_error *error)
{
    *session = traj_session_read(r->session, error);
    *test = *session && r->test ? traj_session_read(r->test, error) : NULL;
    *yesterday = *session && r->yesterday ? traj_session_read(r->yesterday, error) : NULL;
    if (!*session || (r->test && !*test) || (r->yesterday && !*yesterday)) {
        return -1;
    }
    if (r->random_start && (*session)->bins > 0) {
        const struct traj_session *tested = *test ? *test : *session;
        r->options.missing_lead = (size_t)lround(RANDOM_START_S / tested->dt[0]);
    }
    r->options.test = *test;
    r->options.yesterday = *yesterday;
    return 0;
}

/* Where some targets have fewer trials than a draw is to train on, all that they have are taken. */
static void tell_fewer(const struct request *r, const struct traj_session *session)
{
    const struct traj_protocol protocol = {.session = session,
                                           .test = r->options.test,
                                           .folds = r->options.folds,
                                           .one_target_out = r->options.one_target_out};
    size_t fewest, most;
    if (r->quiet || traj_protocol_trials(&protocol, &fewest, &most)) {
        return;
    }
    for (size_t i = 0; i < r->options.per_target_count; i++) {
        if (r->options.per_target[i] > fewest) {
            fprintf(stderr,
                    "evaluate: %s: %zu trials of each target: one or more targets have only %zu to "
                    "train on\n",
                    session->path, r->options.per_target[i], fewest);
        }
    }
}

static int run(struct request *r)
{
    struct traj_error error = {0};
    struct progress progress;
    struct traj_session *session, *test = NULL, *yesterday = NULL;
    struct traj_contest *bench = NULL;
    struct traj_evaluation *evaluation = NULL;
    char program[160];
    progress_init(&progress, "evaluate", r->quiet);
    struct jobs jobs = {r->jobs, r->cache, &progress};
    r->options.program = r->cache ? jobs_program(program, sizeof program) : "";
    if (read_sessions(r, &session, &test, &yesterday, &error) == 0 &&
        (!r->page || output_place(r->page, &error) == 0)) {
        bench = traj_contest_new(session, &r->options, &error);
    }
    if (bench) {
        tell_fewer(r, session);
    }
    if (bench && jobs_run(bench, &jobs, &error) == 0) {
        progress_update(&progress, "intervals", NAN);
        evaluation = traj_contest_finish(bench, &error);
    }
    progress_end(&progress);
    int status = evaluation ? report(r, evaluation) : failure("evaluate", "%s", error.text);
    traj_evaluation_free(evaluation);
    traj_contest_free(bench);
    traj_session_free(yesterday);
    traj_session_free(test);
    traj_session_free(session);
    return status;
}

int cmd_evaluate(int argc, char **argv)
{
    struct request r = {.jobs = processors_online()};
    struct traj_evaluate_options *o = &r.options;
    traj_evaluate_options_default(o);
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &r.session, "session with frames and kinematics",
         .required = true, .file = FILE_READ},
        {"test", "B.h5", OPTION_TEXT, &r.test,
         "train on the session and test on this other one (another day)", .file = FILE_READ},
        {"yesterday", "A.h5", OPTION_TEXT, &r.yesterday,
         "also train on this session of another day, and decode with that model as it is "
         "(yesterday) and adapted to the same training trials, as train --from does (adapted)",
         .file = FILE_READ},
        {"methods", "M,M,...", OPTION_TEXT, &r.methods,
         "run these, the first of which the others are compared with; without it all of trajd's",
         .plain = true},
        {"baselines", NULL, OPTION_FLAG, &r.baselines, "run the baselines too"},
        {"trials-per-target", "N,N,...", OPTION_TEXT, &r.sizes,
         "train on so many trials of each target (a learning curve); without it on all outside the "
         "fold, which 0 in the list also means",
         .plain = true},
        {"seeds", "N,N,...", OPTION_TEXT, &r.seeds,
         "draws of folds and trials, over which figures are averaged; without it 1,2,3,4,5 for a "
         "learning curve, else 1",
         .plain = true},
        {"folds", "K", OPTION_SIZE, &o->folds, "folds of the cross-validation", 2, 1000},
        {"missing-lead", "BINS", OPTION_SIZE, &o->missing_lead,
         "leave out the first 0 to BINS bins of each test trial, uniformly; the trial then starts "
         "at its first remaining bin",
         0, 100000},
        {"random-start", NULL, OPTION_FLAG, &r.random_start,
         "--missing-lead with as many bins as 0.28 s hold"},
        {"leave-one-target-out", NULL, OPTION_FLAG, &o->one_target_out,
         "decode each target's trials after training on the other targets' alone"},
        {"from", "SECONDS", OPTION_REAL, &o->from,
         "score only bins from so many seconds after their trial's start", 0.0, 1e6},
        {"movement", NULL, OPTION_FLAG, &o->movement,
         "score only bins from movement onset (else go cue, else trial start) to trial stop"},
        {"no-trials", NULL, OPTION_NO, &o->marks, "give the decoders no trial marks"},
        {"silence", "SHARE", OPTION_REAL, &r.silence,
         "this share of the units counts nothing in the test; beside it they are removed from "
         "training and test",
         0.0, 0.99},
        {"lose", "SHARE", OPTION_REAL, &r.lose,
         "likewise, but the test says that they are not observed", 0.0, 0.99},
        {"wrong-prior", NULL, OPTION_FLAG, &r.wrong_prior,
         "also decode with a target_prior event at each trial's start that gives .9 to a target "
         "that is not the trial's"},
        {"cache", "DIR", OPTION_TEXT, &r.cache,
         "keep what was decoded in this folder, and take from it what an interrupted run has done"},
        {"jobs", "J", OPTION_SIZE, &r.jobs, "processes that work at a time", 1, 1024},
        {"report", "R.html", OPTION_TEXT, &r.page,
         "also write a page, which needs nothing else: learning curves, trajectories, calibration, "
         "confusion, tuning of units, a paragraph for a methods section",
         .file = FILE_WRITTEN},
        {"json", NULL, OPTION_FLAG, &r.json, "print one JSON object in place of the tables"},
        {"quiet", NULL, OPTION_FLAG, &r.quiet, "show no progress"},
    };
    if (origin_command(&r.origin, argc, argv)) {
        return failure("evaluate", "memory is short");
    }
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    status = status == OPTIONS_RUN ? read_lists(&r) : status;
    status = status == OPTIONS_RUN ? choose_methods(&r) : status;
    status = status == OPTIONS_RUN ? choose_conditions(&r) : status;
    status = status == OPTIONS_RUN ? run(&r) : status;
    origin_free(&r.origin);
    return status;
}
