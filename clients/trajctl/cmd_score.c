/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl score: decoded intents against the movement, beside baselines on the same bins. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clients/evaluate/baseline.h"
#include "clients/evaluate/metrics.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/intent_file.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"

static const struct command_help help = {
    .name = "score",
    .usage = "--session S.h5 --intents I.jsonl [options]",
    .about =
        "Measures decoded intents against the movement that the session recorded. rmse: root of "
        "the mean squared distance. mvaf: 1 - squared errors / squared deviations from the mean. "
        "target: share of trials whose most probable target was the true one, so many seconds "
        "after the trial's start. A bin without an intent costs the whole distance to the mean "
        "position; a bin without kinematics within 0.5 s is not scored. With --train, a Kalman and "
        "a ridge Wiener filter trained on that session are scored on the same bins.",
    .example = "trajctl score --session b.h5 --intents i.jsonl --from 0.1\n"
               "trajctl score --session b.h5 --intents i.jsonl --train a.h5\n",
};

enum { TRAJD, KALMAN, WIENER, METHODS };
static const char *const method_name[METHODS] = {"trajd", "kalman", "wiener"};

/* What is printed: scores of the methods that ran. */
struct results {
    struct traj_score score[METHODS]; /* over the bins that were asked for */
    struct traj_score trial[METHODS]; /* over bins in trials; only if in_trials */
    bool ran[METHODS];
    bool in_trials; /* every bin was asked for, and some lie in trials */
    size_t unknown;
};

static int score_method(int method, const struct traj_session *session,
                        const struct traj_decoded *decoded,
                        const struct traj_score_options *options, struct results *results,
                        struct traj_error *error)
{
    const struct traj_score_options trials = {.from = 0.0};
    results->in_trials = isnan(options->from) && session->trials > 0;
    if (traj_score(session, decoded, options, &results->score[method], error) ||
        (results->in_trials &&
         traj_score(session, decoded, &trials, &results->trial[method], error))) {
        return -1;
    }
    results->ran[method] = true;
    return 0;
}

static int score_baseline(int method, const struct traj_session *train,
                          const struct traj_session *test, const struct traj_score_options *options,
                          struct results *results, struct traj_error *error)
{
    struct traj_decoded *decoded =
        method == KALMAN ? traj_kalman(train, test, error) : traj_wiener(train, test, error);
    int result = decoded ? score_method(method, test, decoded, options, results, error) : -1;
    traj_decoded_free(decoded);
    return result;
}

/* Of intents that answer nothing in the session there is no score. */
static int check_intents(const char *path, const struct traj_session *session,
                         const struct intent_file *file, struct traj_error *error)
{
    if (file->intents == 0) {
        return traj_error_set(error, "%s: holds no intent", path);
    }
    if (file->intents == file->unknown) {
        return traj_error_set(error, "%s: none of its %zu intents is of a bin of %s", path,
                              file->intents, session->path);
    }
    return 0;
}

/* By what intents are measured must be there. */
static int check_session(const struct traj_session *session, struct traj_error *error)
{
    if (session->bins == 0) {
        return traj_error_set(error,
                              "%s: /frames: none, so there is no bin that an intent could be of",
                              session->path);
    }
    if (session->samples == 0) {
        return traj_error_set(error,
                              "%s: /kinematics: none, so there is no movement to score intents by",
                              session->path);
    }
    return 0;
}

/* Filters that learned lengths in another unit answer in it. */
static int check_train(const struct traj_session *train, const struct traj_session *test,
                       struct traj_error *error)
{
    if (strcmp(train->length_unit, test->length_unit) == 0) {
        return 0;
    }
    return traj_error_set(error, "%s: length_unit is \"%s\", that of %s is \"%s\"", train->path,
                          train->length_unit, test->path, test->length_unit);
}

static int score_all(const struct traj_session *session, const char *intents,
                     const char *train_path, const struct traj_score_options *options,
                     struct progress *progress, struct results *results, struct traj_error *error)
{
    struct intent_file file;
    if (check_session(session, error) || intent_file_read(intents, session, &file, error)) {
        return -1;
    }
    int result = check_intents(intents, session, &file, error);
    if (result == 0) {
        result = score_method(TRAJD, session, file.decoded, options, results, error);
    }
    results->unknown = file.unknown;
    intent_file_free(&file);
    if (result || !train_path) {
        return result;
    }
    struct traj_session *train = traj_session_read(train_path, error);
    result = train ? check_train(train, session, error) : -1;
    for (int method = KALMAN; result == 0 && method < METHODS; method++) {
        progress_update(progress, method_name[method], (double)(method - KALMAN) / 2.0);
        result = score_baseline(method, train, session, options, results, error);
    }
    traj_session_free(train);
    return result;
}

/* --- people ----------------------------------------------------------------------------------- */

static void column(int width, int decimals, double x)
{
    if (isfinite(x)) {
        printf(" %*.*f", width, decimals, x);
    } else {
        printf(" %*s", width, "-");
    }
}

static void print_table(const char *title, const struct results *results,
                        const struct traj_score *score)
{
    printf("\n%s: %zu bins\n", title, score[TRAJD].frames);
    printf("%-8s %9s %9s %7s %9s %6s %12s  target right after\n", "", "rmse", "rmse by", "mvaf",
           "velocity", "angle", "region holds");
    printf("%-8s %9s %9s %7s %9s %6s %6s %6s", "", "", "trial", "", "mvaf", "deg", "50 %", "90 %");
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        char time[16];
        snprintf(time, sizeof time, "%gs", traj_score_times[k]);
        printf(" %5s", time);
    }
    printf("\n");
    for (int method = 0; method < METHODS; method++) {
        const struct traj_score *s = &score[method];
        if (!results->ran[method]) {
            continue;
        }
        printf("%-8s", method_name[method]);
        column(9, 3, s->rmse);
        column(9, 3, s->rmse_trial);
        column(7, 4, s->mvaf);
        column(9, 4, s->velocity_mvaf);
        column(6, 1, s->velocity_angle);
        column(6, 1, 100.0 * s->coverage50);
        column(6, 1, 100.0 * s->coverage90);
        printf(" ");
        for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
            column(5, 2, s->target[k]);
        }
        printf("\n");
    }
}

static void print_tables(const struct traj_session *session, const struct results *results,
                         double from)
{
    const struct traj_score *own = &results->score[TRAJD];
    char title[64] = "every bin";
    printf("%s: %zu trials; lengths in %s\n", session->path, own->trials, session->length_unit);
    if (own->missing > 0) {
        printf("%zu bins have no intent\n", own->missing);
    }
    if (results->unknown > 0) {
        printf("%zu intents belong to no bin of this session\n", results->unknown);
    }
    if (own->excluded > 0) {
        printf("%zu bins have no kinematics within 0.5 s and are not scored\n", own->excluded);
    }
    bool all = results->in_trials && results->trial[TRAJD].frames == own->frames;
    if (all) {
        snprintf(title, sizeof title, "every bin, all in trials");
    } else if (results->in_trials) {
        print_table("in trials", results, results->trial);
    }
    if (!isnan(from) && session->trials > 0) {
        snprintf(title, sizeof title, "in trials, from %g s after their start", from);
    }
    print_table(title, results, results->score);
}

/* --- programs --------------------------------------------------------------------------------- */

/* JSON has no NaN: what cannot be computed is null. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *score_json(const struct traj_score *s, size_t dim)
{
    json_t *r2 = json_array(), *target = json_object();
    for (size_t d = 0; d < dim; d++) {
        json_array_append_new(r2, number(s->r2[d]));
    }
    for (size_t k = 0; k < TRAJ_SCORE_TIMES; k++) {
        char key[16];
        snprintf(key, sizeof key, "%.2f", traj_score_times[k]);
        json_object_set_new(target, key, number(s->target[k]));
    }
    return json_pack(
        "{s:I,s:I,s:o,s:o,s:o,s:{s:o,s:o,s:o,s:o},s:o,s:I,s:o,s:{s:o,s:o},s:I,s:o,s:o,s:o}",
        "frames", (json_int_t)s->frames, "missing", (json_int_t)s->missing, "rmse", number(s->rmse),
        "mvaf", number(s->mvaf), "r2", r2, "velocity", "mvaf", number(s->velocity_mvaf), "angle",
        number(s->velocity_angle), "idle", number(s->idle_speed), "lag", number(s->velocity_lag),
        "rmse_trial", number(s->rmse_trial), "trials", (json_int_t)s->trials, "target", target,
        "coverage", "50", number(s->coverage50), "90", number(s->coverage90), "excluded",
        (json_int_t)s->excluded, "wrong_end", number(s->wrong_end), "log_score",
        number(s->log_score), "calibration_error", number(s->calibration));
}

static int print_json(const struct traj_session *session, const struct results *results)
{
    json_t *all = json_object();
    json_object_set_new(all, "session", json_string(session->path));
    json_object_set_new(all, "length_unit", json_string(session->length_unit));
    json_object_set_new(all, "unknown", json_integer((json_int_t)results->unknown));
    for (int method = 0; method < METHODS; method++) {
        if (results->ran[method]) {
            json_object_set_new(all, method_name[method],
                                score_json(&results->score[method], session->dim));
        }
    }
    int result = json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(all);
    return result;
}

int cmd_score(int argc, char **argv)
{
    const char *path = NULL, *intents = NULL, *train = NULL;
    struct traj_score_options scoring = {.from = NAN};
    bool json = false;
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &path, "session file with the movement", .required = true,
         .file = FILE_READ},
        {"intents", "I.jsonl", OPTION_TEXT, &intents, "file of intents; - = standard input",
         .required = true, .file = FILE_READ},
        {"from", "SECONDS", OPTION_REAL, &scoring.from,
         "score only bins from so many seconds after their trial's start; without it, every bin "
         "(and the table tells of those in trials too)",
         0.0, 1e6},
        {"train", "A.h5", OPTION_TEXT, &train,
         "also train a Kalman and a Wiener filter on this session and score them",
         .file = FILE_READ},
        {"json", NULL, OPTION_FLAG, &json, "print one JSON object"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    struct traj_error error = {0};
    struct results results = {0};
    struct progress progress;
    struct traj_session *session = traj_session_read(path, &error);
    progress_init(&progress, "score", false);
    int result =
        session ? score_all(session, intents, train, &scoring, &progress, &results, &error) : -1;
    progress_end(&progress);
    if (result == 0 && json) {
        result = print_json(session, &results);
    } else if (result == 0) {
        print_tables(session, &results, scoring.from);
    }
    traj_session_free(session);
    return result ? failure("score", "%s", error.text) : 0;
}
