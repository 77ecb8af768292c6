/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl rig: closed-loop experiments with a synthetic user, over real sockets. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/rig/figures.h"
#include "clients/rig/scenario.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/loop_jobs.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/processors.h"
#include "clients/trajctl/progress.h"
#include "traj/version.h"

#define SEEDS_MAX 1000

static const struct command_help help = {
    .name = "rig",
    .usage = "--scenario S.json [options]",
    .about =
        "A closed-loop experiment: a synthetic user who sees the cursor and corrects it, a "
        "synthetic population, and a decoder behind its real sockets. For every seed: a "
        "calibration block by hand, training, a daemon of its own, practice, and a block that "
        "counts. Without --asap it runs in real time; with it as fast as it goes, with the same "
        "result. The page clients/man/rig.md tells what a scenario holds, and how "
        "the user, the units and the measures are made.",
    .example = "trajctl rig --scenario clients/rig/scenarios/centre-out-96.json --asap\n"
               "trajctl rig --scenario S.json --seeds 1..20 --asap --json\n",
};

/* What was asked for, and what came out. */
struct rig_command {
    const char *scenario_path, *seeds_text, *decoders_text;
    struct loop_setup setup;
    bool json, quiet;
    size_t jobs; /* 0 = by itself */
    uint64_t seed[SEEDS_MAX];
    size_t seeds;
    enum loop_decoder decoder[LOOP_DECODERS];
    size_t decoders;
    double *figure;                            /* [decoders][TRAJ_FIGURES][seeds] */
    struct traj_starts (*starts)[TRAJ_STARTS]; /* [decoders * seeds] */
};

/* "7", "1..20" or "1,2,5". */
static bool read_seeds(struct rig_command *c)
{
    const char *text = c->seeds_text;
    while (*text != '\0') {
        char *end;
        unsigned long long first = strtoull(text, &end, 10), last = first;
        if (end == text) {
            return false;
        }
        if (strncmp(end, "..", 2) == 0) {
            text = end + 2;
            last = strtoull(text, &end, 10);
            if (end == text) {
                return false;
            }
        }
        for (; first <= last && c->seeds < SEEDS_MAX; first++) {
            c->seed[c->seeds++] = first;
        }
        text = *end == ',' ? end + 1 : end;
        if (first <= last || (*end != ',' && *end != '\0')) {
            return false;
        }
    }
    return c->seeds > 0;
}

static bool read_decoders(struct rig_command *c)
{
    const char *text = c->decoders_text;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        char word[16] = "";
        if (length >= sizeof word || c->decoders >= LOOP_DECODERS) {
            return false;
        }
        memcpy(word, text, length);
        if (loop_decoder_parse(word, &c->decoder[c->decoders]) != 0) {
            return false;
        }
        c->decoders++;
        text += length + (text[length] == ',' ? 1 : 0);
    }
    return c->decoders > 0;
}

static double *figure_of(const struct rig_command *c, size_t decoder, size_t figure)
{
    return c->figure + (decoder * TRAJ_FIGURES + figure) * c->seeds;
}

static bool measured(const struct rig_command *c, size_t figure)
{
    for (size_t i = 0; i < c->decoders; i++) {
        for (size_t s = 0; s < c->seeds; s++) {
            if (!isnan(figure_of(c, i, figure)[s])) {
                return true;
            }
        }
    }
    return false;
}

static void print_table(const struct rig_command *c)
{
    printf("%s, %zu seeds: mean over seeds (95 %% interval)\n%-16s", c->setup.scenario.name,
           c->seeds, "");
    for (size_t i = 0; i < c->decoders; i++) {
        printf("  %-24s", loop_decoder_name(c->decoder[i]));
    }
    putchar('\n');
    for (size_t f = 0; f < TRAJ_FIGURES; f++) {
        if (!measured(c, f)) {
            continue;
        }
        printf("%-16s", traj_figure_name((enum traj_figure)f));
        for (size_t i = 0; i < c->decoders; i++) {
            struct traj_interval m = traj_interval_mean(figure_of(c, i, f), c->seeds);
            char cell[64];
            (void)snprintf(cell, sizeof cell, "%.3f (%.3f to %.3f)", m.value, m.low, m.high);
            printf("  %-24s", cell);
        }
        putchar('\n');
    }
    for (size_t f = 0; f < TRAJ_FIGURES && c->decoders > 1; f++) {
        if ((f != TRAJ_FIGURE_TIME && f != TRAJ_FIGURE_BITS && f != TRAJ_FIGURE_TRACKING) ||
            !measured(c, f)) {
            continue;
        }
        for (size_t i = 1; i < c->decoders; i++) {
            struct traj_interval m =
                traj_interval_ratio(figure_of(c, 0, f), figure_of(c, i, f), c->seeds);
            printf("%s, %s over %s: %.3f (%.3f to %.3f)\n", traj_figure_name((enum traj_figure)f),
                   loop_decoder_name(c->decoder[0]), loop_decoder_name(c->decoder[i]), m.value,
                   m.low, m.high);
        }
    }
}

/* NaN and infinity have no JSON. */
static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *interval(struct traj_interval m)
{
    return json_pack("{s:o, s:o, s:o}", "value", real(m.value), "low", real(m.low), "high",
                     real(m.high));
}

/* The trade-off of starts of one decoder by threshold: means over the seeds that tell (one without
 * a rest says nothing of false starts). */
static json_t *starts_of(const struct rig_command *c, size_t decoder)
{
    json_t *all = json_array();
    for (size_t k = 0; k < TRAJ_STARTS; k++) {
        double sum[3] = {0.0, 0.0, 0.0}, known[3] = {0.0, 0.0, 0.0};
        for (size_t s = 0; s < c->seeds; s++) {
            const struct traj_starts *one = &c->starts[decoder * c->seeds + s][k];
            const double value[3] = {one->false_a_minute, one->delay, one->missed};
            for (size_t i = 0; i < 3; i++) {
                sum[i] += isnan(value[i]) ? 0.0 : value[i];
                known[i] += isnan(value[i]) ? 0.0 : 1.0;
            }
        }
        json_array_append_new(all, json_pack("{s:o, s:o, s:o, s:o}", "threshold",
                                             real(c->starts[decoder * c->seeds][k].threshold),
                                             "false_a_minute", real(sum[0] / known[0]), "delay",
                                             real(sum[1] / known[1]), "missed",
                                             real(sum[2] / known[2])));
    }
    return all;
}

static json_t *json_of(const struct rig_command *c)
{
    json_t *seeds = json_array(), *decoders = json_array();
    for (size_t s = 0; s < c->seeds; s++) {
        json_array_append_new(seeds, json_integer((json_int_t)c->seed[s]));
    }
    for (size_t i = 0; i < c->decoders; i++) {
        json_t *one = json_pack("{s:s}", "decoder", loop_decoder_name(c->decoder[i]));
        for (size_t f = 0; f < TRAJ_FIGURES; f++) {
            json_t *each = json_array();
            for (size_t s = 0; s < c->seeds; s++) {
                json_array_append_new(each, real(figure_of(c, i, f)[s]));
            }
            json_t *figure = interval(traj_interval_mean(figure_of(c, i, f), c->seeds));
            json_object_set_new(figure, "each", each);
            if (i > 0) {
                json_object_set_new(figure, "first_over_this",
                                    interval(traj_interval_ratio(figure_of(c, 0, f),
                                                                 figure_of(c, i, f), c->seeds)));
            }
            json_object_set_new(one, traj_figure_name((enum traj_figure)f), figure);
        }
        json_object_set_new(one, "starts", starts_of(c, i));
        json_array_append_new(decoders, one);
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "version", TRAJ_VERSION, "scenario",
                     c->setup.scenario.name, "seeds", seeds, "decoders", decoders);
}

/* What a configuration asks for (processors, priorities, recalibration on line) is for one daemon
 * at a time, and so is real time. */
static size_t jobs_of(const struct rig_command *c)
{
    if (c->jobs > 0) {
        return c->jobs;
    }
    return c->setup.asap && !c->setup.config ? processors_online() : 1;
}

/* Every decoder with every seed. */
static int run_all(struct rig_command *c, struct traj_error *error)
{
    struct progress progress;
    struct loop_result *out = calloc(c->decoders * c->seeds, sizeof *out);
    if (!out) {
        return traj_error_set(error, "memory is short");
    }
    progress_init(&progress, "rig", c->quiet);
    const struct loop_jobs jobs = {.setup = &c->setup,
                                   .seed = c->seed,
                                   .seeds = c->seeds,
                                   .decoder = c->decoder,
                                   .decoders = c->decoders,
                                   .processes = jobs_of(c),
                                   .progress = &progress};
    int result = loop_jobs_run(&jobs, out, error);
    for (size_t i = 0; result == 0 && i < c->decoders; i++) {
        for (size_t s = 0; s < c->seeds; s++) {
            for (size_t f = 0; f < TRAJ_FIGURES; f++) {
                figure_of(c, i, f)[s] = out[i * c->seeds + s].figure[f];
            }
            memcpy(c->starts[i * c->seeds + s], out[i * c->seeds + s].starts, sizeof *c->starts);
        }
    }
    progress_end(&progress);
    free(out);
    return result;
}

static int run(struct rig_command *c)
{
    struct traj_error error = {0};
    traj_scenario_default(&c->setup.scenario);
    if (traj_scenario_read(&c->setup.scenario, c->scenario_path, &error) != 0) {
        return failure("rig", "%s", error.text);
    }
    if (c->setup.scenario.second_trajd && c->setup.model) {
        return usage_error("rig", "%s: calibration.second_trajd does not go with --model",
                           c->scenario_path);
    }
    c->figure = calloc(c->decoders * TRAJ_FIGURES * c->seeds, sizeof *c->figure);
    c->starts = calloc(c->decoders * c->seeds, sizeof *c->starts);
    if (!c->figure || !c->starts) {
        free(c->figure);
        return failure("rig", "memory is short");
    }
    interrupt_catch();
    int result = run_all(c, &error);
    if (result == 0 && c->json) {
        json_t *all = json_of(c);
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
        putchar('\n');
        json_decref(all);
    } else if (result == 0) {
        print_table(c);
    }
    free(c->figure);
    free(c->starts);
    return result == 0 ? 0 : failure("rig", "%s", error.text);
}

int cmd_rig(int argc, char **argv)
{
    struct rig_command *c = calloc(1, sizeof *c);
    if (!c) {
        return failure("rig", "memory is short");
    }
    c->seeds_text = "1";
    c->decoders_text = "trajd";
    const struct command_option options[] = {
        {"scenario", "S.json", OPTION_TEXT, &c->scenario_path, "the experiment", .required = true,
         .file = FILE_READ},
        {"seeds", "LIST", OPTION_TEXT, &c->seeds_text, "seeds, as 1..20 or 1,2,5"},
        {"decoders", "LIST", OPTION_TEXT, &c->decoders_text,
         "which decoders: " LOOP_DECODER_LIST "; the first is compared with the others"},
        {"asap", NULL, OPTION_FLAG, &c->setup.asap, "as fast as it goes, with the same result"},
        {"json", NULL, OPTION_FLAG, &c->json, "print JSON instead of a table"},
        {"trajd", "PROGRAM", OPTION_TEXT, &c->setup.trajd,
         "the daemon to start; otherwise the one beside this program", .file = FILE_READ},
        {"config", "C.json", OPTION_TEXT, &c->setup.config, "its configuration", .file = FILE_READ},
        {"model", "M.tjm", OPTION_TEXT, &c->setup.model,
         "a model to use instead of one trained on each seed's calibration", .file = FILE_READ},
        {"family", "NAME", OPTION_TEXT, &c->setup.family, "family of the model, as in train"},
        {"keep", "DIR", OPTION_TEXT, &c->setup.keep,
         "an existing folder for every seed's sessions and model"},
        {"for-recording", NULL, OPTION_FLAG, &c->setup.kinematics,
         "send kinematics, targets and trial labels too, so that a recording can be learned from"},
        {"jobs", "N", OPTION_SIZE, &c->jobs,
         "experiments at a time; by itself one for each processor with --asap and without "
         "--config, else one; the result is the same",
         1, 1024},
        {"quiet", NULL, OPTION_FLAG, &c->quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status == OPTIONS_RUN && !read_seeds(c)) {
        status = usage_error("rig", "--seeds: \"%s\" is no list of seeds", c->seeds_text);
    }
    if (status == OPTIONS_RUN && !read_decoders(c)) {
        status = usage_error("rig", "--decoders: \"%s\" is no list of %s", c->decoders_text,
                             LOOP_DECODER_LIST);
    }
    if (status == OPTIONS_RUN && loop_setup_check(&c->setup) != 0) {
        status = usage_error("rig", "--family: \"%s\" is no family", c->setup.family);
    }
    if (status == OPTIONS_RUN) {
        status = run(c);
    }
    free(c);
    return status;
}
