/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a model says about its own making. */
#include "daemon/learn/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/fingerprint.h"

/* Exact, and null where nothing was measured: JSON knows no NaN. */
void traj_summary_number(FILE *out, const char *key, double value)
{
    if (isfinite(value))
        fprintf(out, ",\"%s\":%.17g", key, value);
    else
        fprintf(out, ",\"%s\":null", key);
}

static void put_count(FILE *out, const char *key, size_t value)
{
    fprintf(out, ",\"%s\":%zu", key, value);
}

static void put_data(FILE *out, const struct traj_training *training, size_t prior_count,
                     const struct traj_fit_options *options)
{
    fputs("{\"sessions\":[", out);
    for (size_t s = 0; s < training->sessions; s++) {
        if (s > 0)
            fputc(',', out);
        /* By what is in it: the same data give the same model, whatever the file was called. */
        char fingerprint[TRAJ_FINGERPRINT_SIZE];
        traj_session_fingerprint(training->session[s], fingerprint);
        fprintf(out, "\"%s\"", fingerprint);
    }
    fputc(']', out);
    put_count(out, "prior_sessions", prior_count);
    put_count(out, "bins", training->bins);
    put_count(out, "trials", training->trials);
    put_count(out, "trials_labelled", training->labelled);
    put_count(out, "trials_per_target", training->per_target);
    fprintf(out, ",\"unbroken\":%s", training->unbroken ? "true" : "false");
    put_count(out, "folds", training->folds);
    fprintf(out, ",\"seed\":%llu", (unsigned long long)options->seed);
}

void traj_summary_components(FILE *out, const void *of)
{
    const struct traj_choice *choice = of;
    fputs(",\"tuning\":{\"prior_precision\":", out);
    fprintf(out, "%.17g", choice->tuning.ridge);
    traj_summary_number(out, "gain_nats_per_s", choice->tuning.gain);
    fprintf(out, ",\"counts\":\"%s\"", choice->tuning.root ? "gaussian roots" : "poisson");
    if (choice->tuning.root)
        put_count(out, "noise_rank", choice->tuning.rank);
    fprintf(out, ",\"own\":%s", choice->tuning.own ? "true" : "false");
    traj_summary_number(out, "own_precision", choice->tuning.own ? choice->tuning.own_ridge : NAN);
    traj_summary_number(out, "own_gain_nats_per_s",
                        choice->tuning.own ? choice->tuning.own_gain : NAN);
    fprintf(out, "},\"dynamics\":{\"fitted_to\":\"%s\",\"alike\":\"%s\"",
            choice->dynamics.course ? "courses" : "pairs",
            choice->dynamics.likeness == TRAJ_ALIKE_TURNED ? "turned" : "shifted");
    put_count(out, "noise_memory_bins", choice->dynamics.memory);
    put_count(out, "reaction_times", choice->dynamics.delays);
    traj_summary_number(out, "shrinkage_trials", choice->dynamics.shrinkage);
    traj_summary_number(out, "walk_decay", choice->dynamics.decay);
    fprintf(out, ",\"free_settles\":%s", choice->dynamics.settling ? "true" : "false");
    traj_summary_number(out, "nats_per_pair", choice->dynamics.pair_score);
    traj_summary_number(out, "noise_scale", choice->noise_scale);
    traj_summary_number(out, "walk_scale", choice->walk_scale);
    fprintf(out, "},\"plan\":{\"rates\":%s", choice->plan.rates ? "true" : "false");
    traj_summary_number(out, "begin_s", choice->plan.begin);
    traj_summary_number(out, "end_s", choice->plan.end);
    traj_summary_number(out, "temper", choice->plan.temper);
    traj_summary_number(out, "shrinkage_s", choice->plan.rates ? choice->plan.shrinkage : NAN);
    traj_summary_number(out, "gain_nats_per_trial", choice->plan.rates ? choice->plan.score : NAN);
    fputs("},\"mixture\":{\"evidence_temper\":", out);
    fprintf(out, "%.17g", choice->evidence_temper);
    traj_summary_number(out, "free_prior", choice->free_prior);
    traj_summary_number(out, "switch_rate_per_s", choice->switch_rate);
    bool warped = choice->family == TRAJ_FAMILY_WARPED;
    traj_summary_number(out, "speed_spread", warped ? choice->speed_spread : NAN);
    traj_summary_number(out, "speed_walk", warped ? choice->speed_walk : NAN);
    traj_summary_number(out, "features_to_diagonal", choice->to_diagonal);
    fputc('}', out);
}

static void put_measures(FILE *out, const struct traj_selection *selection,
                         const struct traj_calibrated *calibrated)
{
    fprintf(out, ",\"held_out\":{\"bins\":%zu", selection->bins);
    put_count(out, "decodings", selection->decodings);
    traj_summary_number(out, "rmse", selection->rmse);
    traj_summary_number(out, "rmse_unmarked", selection->rmse_unmarked);
    traj_summary_number(out, "coverage_90_before", calibrated->coverage_before);
    traj_summary_number(out, "target_log_score_before", calibrated->log_score_before);
    traj_summary_number(out, "target_log_score_after", calibrated->log_score_after);
    fputs("}}", out);
}

char *traj_summary(const struct traj_training *training, size_t prior_count,
                   const struct traj_fit_options *options, traj_summary_choice *put_choice,
                   const void *choice, const struct traj_selection *selection,
                   const struct traj_calibrated *calibrated, struct traj_error *error)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out) {
        put_data(out, training, prior_count, options);
        put_choice(out, choice);
        put_measures(out, selection, calibrated);
        bool failed = ferror(out) != 0;
        if (fclose(out) == 0 && !failed)
            return text;
    }
    free(text);
    traj_error_set(error, "no memory for the model's description");
    return NULL;
}
