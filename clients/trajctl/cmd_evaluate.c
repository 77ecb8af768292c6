/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl evaluate: decoders compared on one session by cross-validation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/evaluate.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"

#define LIST_MAX 32

static const struct command_help help = {
    .name = "evaluate",
    .usage = "--session S.h5 [options]",
    .about =
        "Cross-validates decoders on one session with kinematics: the random-walk model (rwm), the "
        "single trajectory model (stm), the mixture of trajectory models without and with the "
        "prior "
        "from delay activity, the filter over courses where trials "
        "are cut out, and with --baselines a Kalman filter and a ridge Wiener filter, all "
        "trained and tested on the same folds. Trials that are cut out of a recording are dealt to "
        "folds at random; an unbroken session is cut into blocks of time. Prints rmse over "
        "movement "
        "with 95 % intervals (bootstrap over trials), variance accounted for, velocity, and paired "
        "ratios.",
    .example = "trajctl evaluate --session s.h5 --baselines\n"
               "trajctl evaluate --session s.h5 --trials-per-target 1,2,5,10 --seeds 1,2,3\n",
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

/* What the command line chose, and room for its lists. */
struct request {
    const char *session, *sizes, *seeds, *methods;
    bool baselines, json, quiet;
    size_t per_target[LIST_MAX];
    uint64_t seed[LIST_MAX];
    struct traj_evaluate_options options;
};

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

/* Which methods to run: all trajd's, the baselines if asked for, or those that --methods names. */
static int choose_methods(struct request *r)
{
    for (size_t m = 0; m < TRAJ_METHODS; m++) {
        bool baseline = m == TRAJ_METHOD_KALMAN || m == TRAJ_METHOD_WIENER;
        r->options.method[m] = !r->methods && (!baseline || r->baselines);
    }
    for (const char *at = r->methods; at && *at;) {
        size_t length = strcspn(at, ","), m = 0;
        while (m < TRAJ_METHODS &&
               (strlen(traj_method_name((enum traj_method)m)) != length ||
                strncmp(traj_method_name((enum traj_method)m), at, length) != 0)) {
            m++;
        }
        if (m == TRAJ_METHODS) {
            return usage_error("evaluate",
                               "--methods: \"%.*s\" is none of rwm, stm, mixture, "
                               "mixture+plan, course, kalman, wiener",
                               (int)length, at);
        }
        r->options.method[m] = true;
        at += length + (at[length] == ',');
    }
    return OPTIONS_RUN;
}

static int run(struct request *r)
{
    struct traj_error error = {0};
    struct progress progress;
    progress_init(&progress, "evaluate", r->quiet);
    r->options.progress = progress_callback;
    r->options.progress_context = &progress;
    struct traj_session *session = traj_session_read(r->session, &error);
    struct traj_evaluation *evaluation =
        session ? traj_evaluate(session, &r->options, &error) : NULL;
    r->options.progress_context = NULL;
    progress_end(&progress);
    if (!evaluation) {
        traj_session_free(session);
        return failure("evaluate", "%s", error.text);
    }
    if (r->json) {
        traj_evaluation_json(evaluation, session, stdout);
    } else {
        traj_evaluation_print(evaluation, session, stdout);
    }
    traj_evaluation_free(evaluation);
    traj_session_free(session);
    return fflush(stdout) ? failure("evaluate", "standard output cannot be written") : 0;
}

int cmd_evaluate(int argc, char **argv)
{
    struct request r = {0};
    bool marks = true;
    traj_evaluate_options_default(&r.options);
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &r.session, "session with frames and kinematics",
         .required = true},
        {"folds", "K", OPTION_SIZE, &r.options.folds, "folds of the cross-validation", 2, 1000},
        {"trials-per-target", "N,N,...", OPTION_TEXT, &r.sizes,
         "train on so many trials of each target (a learning curve); without it on all outside the "
         "fold, which 0 in the list also means",
         .plain = true},
        {"seeds", "N,N,...", OPTION_TEXT, &r.seeds,
         "draws of folds and trials, whose errors are pooled; without it one draw, seed 1",
         .plain = true},
        {"baselines", NULL, OPTION_FLAG, &r.baselines, "run Kalman and Wiener too"},
        {"methods", "M,M,...", OPTION_TEXT, &r.methods, "run just these", .plain = true},
        {"no-trials", NULL, OPTION_NO, &marks, "give the decoders no trial marks"},
        {"json", NULL, OPTION_FLAG, &r.json, "print one JSON object in place of the table"},
        {"quiet", NULL, OPTION_FLAG, &r.quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    status = status == OPTIONS_RUN ? read_lists(&r) : status;
    status = status == OPTIONS_RUN ? choose_methods(&r) : status;
    if (status != OPTIONS_RUN) {
        return status;
    }
    r.options.marks = marks;
    return run(&r);
}
