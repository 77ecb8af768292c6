/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl compare: two models on one session, paired. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/evaluate/compare.h"
#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "daemon/learn/model_file.h"

static const struct command_help help = {
    .name = "compare",
    .usage = "A.tjm B.tjm --session S.h5 [options]",
    .about =
        "Decodes a session with two models and says which is better: at position (rmse), velocity "
        "(rmse) and the target (log score of its probability). Differences are paired over trials "
        "(over stretches of 5 s where the recording is unbroken): their mean, its 95 % interval "
        "from a bootstrap, and the two-sided p of a sign-flip permutation test. The session must "
        "be one that neither model was trained on.",
    .example = "trajctl compare a.tjm b.tjm --session test.h5\n",
    .operands = 2,
    .inputs = 2,
};

static const char *const quantity[TRAJ_PAIRED] = {"position", "velocity", "log_score"};
static const enum traj_stat stat_of[TRAJ_PAIRED] = {TRAJ_STAT_RMSE, TRAJ_STAT_VELOCITY_MVAF,
                                                    TRAJ_STAT_LOG_SCORE};

static void print_model(const char *name, const struct traj_comparison *c, size_t i)
{
    const struct traj_measure *s = c->stat[i];
    printf("%-24s %7.3f [%7.3f,%7.3f] %6.4f %8.4f", name, s[TRAJ_STAT_RMSE].value,
           s[TRAJ_STAT_RMSE].low, s[TRAJ_STAT_RMSE].high, s[TRAJ_STAT_MVAF].value,
           s[TRAJ_STAT_VELOCITY_MVAF].value);
    printf(" %6.1f %6.1f", 100.0 * c->score[i].coverage50, 100.0 * c->score[i].coverage90);
    if (isfinite(s[TRAJ_STAT_LOG_SCORE].value)) {
        printf(" %8.4f", s[TRAJ_STAT_LOG_SCORE].value);
    }
    printf("\n");
}

static void print_verdict(char *const name[2], const struct traj_comparison *c, size_t k,
                          const char *unit)
{
    static const char *const what[TRAJ_PAIRED] = {"position", "velocity", "target"};
    static const char *const of[TRAJ_PAIRED] = {"rmse", "rmse", "log score"};
    const char *per[TRAJ_PAIRED] = {unit, unit, ""};
    const struct traj_paired *x = &c->of[k];
    if (x->groups == 0) {
        return;
    }
    size_t better = traj_better(x, (enum traj_paired_of)k);
    printf("%-9s ", what[k]);
    if (better < 2) {
        printf("%s is better", name[better]);
    } else {
        printf("no difference can be told");
    }
    printf(": %s %+.4f [%+.4f,%+.4f] %s%s, p %.2g, %zu %s, the first better in %.0f %%", of[k],
           x->difference.value, x->difference.low, x->difference.high, per[k],
           k == TRAJ_PAIRED_VELOCITY ? "/s" : "", x->p, x->groups,
           c->by_trial ? "trials" : "stretches", 100.0 * x->better);
    if (isfinite(x->ratio.value)) {
        printf("; ratio %.3f [%.3f,%.3f]", x->ratio.value, x->ratio.low, x->ratio.high);
    }
    printf("\n");
}

static void print_table(char *const name[2], const struct traj_session *s,
                        const struct traj_comparison *c)
{
    printf("%s: %zu bins scored, lengths in %s\n\n", s->path, c->score[0].frames, s->length_unit);
    printf("%-24s %7s %17s %6s %8s %13s %8s\n", "", "rmse", "95 % interval", "mvaf", "velocity",
           "region holds", "log");
    printf("%-24s %7s %17s %6s %8s %6s %6s %8s\n", "", "", "", "", "mvaf", "50 %", "90 %", "score");
    print_model(name[0], c, 0);
    print_model(name[1], c, 1);
    printf("\npaired, first less second:\n");
    for (size_t k = 0; k < TRAJ_PAIRED; k++) {
        print_verdict(name, c, k, s->length_unit);
    }
}

/* JSON has no NaN: what cannot be computed is null. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *measure(const struct traj_measure *m)
{
    return json_pack("{s:o,s:o,s:o}", "value", number(m->value), "low", number(m->low), "high",
                     number(m->high));
}

static json_t *model_json(const char *name, const struct traj_comparison *c, size_t i)
{
    const struct traj_measure *s = c->stat[i];
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "model", name, "rmse",
                     measure(&s[TRAJ_STAT_RMSE]), "mvaf", measure(&s[TRAJ_STAT_MVAF]),
                     "velocity_mvaf", measure(&s[stat_of[TRAJ_PAIRED_VELOCITY]]), "log_score",
                     measure(&s[stat_of[TRAJ_PAIRED_LOG]]), "coverage50",
                     number(c->score[i].coverage50), "coverage90", number(c->score[i].coverage90));
}

static int print_json(char *const name[2], const struct traj_session *s,
                      const struct traj_comparison *c)
{
    json_t *all = json_object(), *paired = json_object(), *models = json_array();
    for (size_t i = 0; i < 2; i++) {
        json_array_append_new(models, model_json(name[i], c, i));
    }
    for (size_t k = 0; k < TRAJ_PAIRED; k++) {
        const struct traj_paired *x = &c->of[k];
        size_t better = traj_better(x, (enum traj_paired_of)k);
        json_object_set_new(paired, quantity[k],
                            json_pack("{s:o,s:I,s:o,s:o,s:o,s:o}", "better",
                                      better < 2 ? json_string(name[better]) : json_null(),
                                      "groups", (json_int_t)x->groups, "difference",
                                      measure(&x->difference), "ratio", measure(&x->ratio),
                                      "first_better", number(x->better), "p", number(x->p)));
    }
    json_object_set_new(all, "session", json_string(s->path));
    json_object_set_new(all, "length_unit", json_string(s->length_unit));
    json_object_set_new(all, "frames", json_integer((json_int_t)c->score[0].frames));
    json_object_set_new(all, "paired_over",
                        json_string(c->by_trial ? "trials" : "stretches of 5 s"));
    json_object_set_new(all, "models", models);
    json_object_set_new(all, "paired", paired);
    int result = json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(all);
    return result;
}

/* Lengths in different units cannot be compared; an empty unit tells none. */
static int check_units(const struct traj_model *const model[2], const struct traj_session *session,
                       char *const name[2], struct traj_error *error)
{
    for (size_t i = 0; i < 2; i++) {
        const char *unit = model[i]->about.length_unit;
        if (unit[0] && session->length_unit[0] && strcmp(unit, session->length_unit) != 0) {
            return traj_error_set(error, "%s: length_unit is \"%s\", that of %s is \"%s\"", name[i],
                                  unit, session->path, session->length_unit);
        }
    }
    return 0;
}

int cmd_compare(int argc, char **argv)
{
    const char *path = NULL;
    struct traj_window window = {.from = NAN};
    struct traj_decode_options decoding = {.trials = true};
    size_t resamples = 2000;
    bool json = false;
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &path, "session with frames and kinematics",
         .required = true, .file = FILE_READ},
        {"from", "SECONDS", OPTION_REAL, &window.from,
         "score only bins from so many seconds after their trial's start", 0.0, 1e6},
        {"movement", NULL, OPTION_FLAG, &window.movement,
         "score only bins from movement onset (else go cue, else trial start) to trial stop"},
        {"no-trials", NULL, OPTION_NO, &decoding.trials,
         "do not tell the decoders when trials start and stop"},
        {"json", NULL, OPTION_FLAG, &json, "print one JSON object in place of the table"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (argc - optind != 2) {
        return usage_error("compare", "it needs two model files");
    }
    char *const *name = argv + optind;
    struct traj_error error = {0};
    struct traj_comparison comparison = {0};
    struct traj_model *first = traj_model_load(name[0], &error);
    struct traj_model *second = first ? traj_model_load(name[1], &error) : NULL;
    struct traj_session *session = second ? traj_session_read(path, &error) : NULL;
    const struct traj_model *const both[2] = {first, second};
    int result = session ? check_units(both, session, name, &error) : -1;
    if (result == 0) {
        result =
            traj_compare_models(both, session, &window, &decoding, resamples, &comparison, &error);
    }
    if (result == 0 && json) {
        result = print_json(name, session, &comparison);
    } else if (result == 0) {
        print_table(name, session, &comparison);
    }
    traj_model_free(first);
    traj_model_free(second);
    traj_session_free(session);
    return result ? failure("compare", "%s", error.text) : 0;
}
