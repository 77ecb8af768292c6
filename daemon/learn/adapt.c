/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A trained model brought to a new day; see adapt.h. */
#include "daemon/learn/adapt.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/adapt_parts.h"
#include "daemon/learn/fingerprint.h"
#include "daemon/learn/model_layout.h"
#include "daemon/learn/select.h"
#include "daemon/learn/summary.h"
#include "traj/decoder.h"

#define TRIALS_NEEDED 5  /* a target, below which leaving trials out says more about luck */
#define TRIALS_IN_ALL 40 /* and so many in all */
#define WIDER 1.2        /* factor on the covariances of yesterday's calibration, where kept */
#define NEW_BELOW 0.5    /* a unit that is the same with less probability is said to have changed */

/* What the maker of fold models needs. */
struct run {
    struct traj_adapt *adapt;
    const struct traj_adapt_family *family;
    void *self;
    struct traj_calibration calibration;
    struct traj_calibrated calibrated;
    bool calibrated_today;
};

/* ---- a model for today's channels ------------------------------------------------------------ */

static void name_units(const struct traj_adapt *adapt, const struct traj_model *model)
{
    const struct traj_session *session = adapt->today->session[0];
    char(*name)[TRAJ_ID_SIZE] = (char(*)[TRAJ_ID_SIZE])(uintptr_t)model->about.unit_name;
    if (name && session->unit_name)
        memcpy(name, session->unit_name, model->dims.units * TRAJ_ID_SIZE);
    else if (name)
        memcpy(name, adapt->from->about.unit_name, model->dims.units * TRAJ_ID_SIZE);
}

/* Everything of yesterday's model that has its place in one with today's units. */
static void inherit(const struct traj_model *from, const struct traj_model *model)
{
    struct traj_model_field old[TRAJ_MODEL_FIELDS], new[TRAJ_MODEL_FIELDS];
    size_t before = traj_model_fields(&from->dims, from->plan.rate != NULL, old);
    size_t after = traj_model_fields(&model->dims, model->plan.rate != NULL, new);
    for (size_t i = 0; i < after; i++)
        for (size_t k = 0; k < before; k++) {
            size_t count = traj_model_field_count(&new[i]);
            if (new[i].offset == old[k].offset && count == traj_model_field_count(&old[k]))
                memcpy(traj_model_field_data(&new[i], model), traj_model_field_data(&old[k], from),
                       count * traj_dtype_bytes(new[i].dtype));
        }
}

static struct traj_model *make_model(const struct run *run, unsigned without, const char *text,
                                     struct traj_error *error)
{
    const struct traj_adapt *adapt = run->adapt;
    const struct traj_model *from = adapt->from;
    struct traj_dims dims = from->dims;
    dims.units = adapt->today->units;
    if (dims.factors > adapt->today->channels)
        dims.factors = adapt->today->channels;
    bool named = adapt->today->session[0]->unit_name || from->about.unit_name;
    struct traj_model *model =
        traj_model_make(&dims, from->plan.rate != NULL, named, text ? strlen(text) + 1 : 0, error);
    if (!model)
        return NULL;
    inherit(from, model);
    struct traj_description held = model->about;
    model->about = from->about;
    model->about.digest[0] = '\0';
    model->about.target_id = held.target_id;
    model->about.unit_name = held.unit_name;
    model->about.training = held.training;
    if (dims.targets > 0)
        memcpy((void *)(uintptr_t)held.target_id, from->about.target_id,
               dims.targets * TRAJ_ID_SIZE);
    if (held.training && text)
        memcpy((void *)(uintptr_t)held.training, text, strlen(text) + 1);
    name_units(adapt, model);
    model->calibration = run->calibration;
    const char *what = NULL;
    size_t index = 0;
    if (run->family->fill(run->self, without, model) == 0) {
        enum traj_status status = traj_model_check(model, &what, &index);
        if (status == TRAJ_OK)
            return model;
        traj_error_set(error, "%s: what was adapted is no model: %s[%zu]: %s",
                       adapt->today->session[0]->path, what ? what : "?", index,
                       traj_status_text(status));
    }
    traj_error_set(error, "%s: no memory to adapt %zu units", adapt->today->session[0]->path,
                   adapt->today->units);
    free(model);
    return NULL;
}

static struct traj_model *make(void *context, unsigned without, struct traj_error *error)
{
    return make_model(context, without, NULL, error);
}

static struct traj_model *make_now(const struct traj_adapt *adapt)
{
    return make_model(adapt->make_context, TRAJ_FOLD_NONE, NULL, adapt->error);
}

/* ---- calibration ----------------------------------------------------------------------------- */

/* By held-out trials of today; else yesterday's, a little wider: units known less well say less. */
static int calibrate(struct run *run)
{
    struct traj_adapt *adapt = run->adapt;
    struct traj_maker maker = {adapt->training, make, run};
    const struct traj_calibration raw = TRAJ_CALIBRATION_NONE;
    run->calibrated = (struct traj_calibrated){NAN, NAN, NAN, 0};
    run->calibration = adapt->from->calibration;
    run->calibration.position_scale *= WIDER;
    run->calibration.velocity_scale *= WIDER;
    if (!adapt->training || !adapt->options->calibrate)
        return 0;
    traj_adapt_tell(adapt, "calibration", 0);
    run->calibration = raw;
    run->calibrated_today = true;
    return traj_calibrate(&maker, &run->calibration, &run->calibrated, adapt->error);
}

/* Sessions from which trials can be held out, or NULL. */
static struct traj_training *hold_out(const struct traj_today *today,
                                      const struct traj_fit_options *options)
{
    struct traj_error ignored = {""};
    if (today->labelled < TRIALS_IN_ALL || !today->targets_alike ||
        today->labelled < TRIALS_NEEDED * today->model->dims.targets)
        return NULL;
    struct traj_training *training = traj_training_new(today->session, today->sessions, NULL, 0,
                                                       options->folds, options->seed, &ignored);
    if (training && training->folds < 2) {
        traj_training_free(training);
        training = NULL;
    }
    return training;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void put_text(FILE *out, const char *text, size_t most)
{
    fputc('"', out);
    for (size_t i = 0; i < most && text[i]; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

static void put_unit(FILE *out, const char (*name)[TRAJ_ID_SIZE], size_t n, bool *first)
{
    if (!*first)
        fputc(',', out);
    *first = false;
    if (name)
        put_text(out, name[n], TRAJ_ID_SIZE);
    else
        fprintf(out, "%zu", n);
}

/* Lists of units: lost, new, and those that seem to be others under an old name. */
static void put_units(FILE *out, const struct traj_adapt *adapt)
{
    const struct traj_today *today = adapt->today;
    const char(*name)[TRAJ_ID_SIZE] = (const char(*)[TRAJ_ID_SIZE])today->session[0]->unit_name;
    bool first = true;
    fputs(",\"lost\":[", out);
    for (size_t m = 0; m < adapt->from->dims.units; m++) {
        bool there = false;
        for (size_t n = 0; n < today->units; n++)
            there = there || today->was[n] == m;
        if (!there)
            put_unit(out, adapt->from->about.unit_name, m, &first);
    }
    first = true;
    fputs("],\"new\":[", out);
    for (size_t n = 0; n < today->units; n++)
        if (today->was[n] == TRAJ_UNIT_NEW)
            put_unit(out, name ? name : adapt->from->about.unit_name, n, &first);
    first = true;
    fputs("],\"changed\":[", out);
    for (size_t n = 0; n < today->units; n++)
        if (today->was[n] != TRAJ_UNIT_NEW && adapt->same[n] < NEW_BELOW)
            put_unit(out, name ? name : adapt->from->about.unit_name, n, &first);
    fputc(']', out);
}

static char *describe(const struct run *run)
{
    const struct traj_adapt *adapt = run->adapt;
    const struct traj_today *today = adapt->today;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fputs("{\"from\":", out);
    put_text(out, adapt->from->about.digest, sizeof adapt->from->about.digest);
    fputs(",\"sessions\":[", out);
    for (size_t s = 0; s < today->sessions; s++) {
        char fingerprint[TRAJ_FINGERPRINT_SIZE];
        traj_session_fingerprint(today->session[s], fingerprint);
        if (s > 0)
            fputc(',', out);
        put_text(out, fingerprint, sizeof fingerprint);
    }
    fprintf(out, "],\"bins\":%zu,\"bins_with_movement\":%zu,\"trials\":%zu,\"trials_labelled\":%zu",
            today->bins, today->bins_known, today->trials, today->labelled);
    fputs(",\"units\":{\"prior_same\":", out);
    fprintf(out, "%.17g", adapt->prior);
    traj_summary_number(out, "shift", adapt->shift);
    traj_summary_number(out, "spread", adapt->spread);
    fputs(",\"drift\":[", out);
    for (size_t g = 0; g < TRAJ_DRIFTS; g++)
        fprintf(out, "%s{\"sd\":%g,\"share\":%.17g}", g > 0 ? "," : "", traj_drift[g],
                adapt->drift[g]);
    fputc(']', out);
    put_units(out, adapt);
    fprintf(out, "},\"calibrated\":%s", run->calibrated_today ? "true" : "false");
    traj_summary_number(out, "coverage_90_before", run->calibrated.coverage_before);
    fputc('}', out);
    bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return text;
    free(text);
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct traj_model *adapt_all(struct traj_adapt *adapt)
{
    struct run run = {.adapt = adapt,
                      .family =
                          adapt->from->dims.states > 0 ? &traj_adapt_chain : &traj_adapt_linear};
    struct traj_model *model = NULL;
    run.calibration = adapt->from->calibration;
    adapt->make = make_now;
    adapt->make_context = &run;
    traj_adapt_tell(adapt, "units", 0);
    if (run.family->prepare(adapt, &run.self) == 0 && calibrate(&run) == 0) {
        /* Which units changed is known once all the data have been fitted. */
        model = make_model(&run, TRAJ_FOLD_NONE, NULL, adapt->error);
        char *text = model ? describe(&run) : NULL;
        free(model);
        model = text ? make_model(&run, TRAJ_FOLD_NONE, text, adapt->error) : NULL;
        free(text);
    }
    run.family->release(run.self);
    traj_adapt_tell(adapt, "done", 1);
    return model;
}

struct traj_model *traj_adapt(const struct traj_model *from,
                              const struct traj_session *const *sessions, size_t count,
                              const struct traj_fit_options *options, struct traj_error *error)
{
    struct traj_fit_options usual;
    traj_fit_options_default(&usual);
    struct traj_adapt adapt = {.from = from, .options = options ? options : &usual, .error = error};
    struct traj_model *model = NULL;
    traj_adapt_usual(&adapt);
    if (adapt.options->folds < 2) {
        traj_error_set(error, "folds: %zu is less than 2", adapt.options->folds);
        return NULL;
    }
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    struct traj_today *today = traj_today_new(from, sessions, count, error);
    struct traj_training *training = today ? hold_out(today, adapt.options) : NULL;
    adapt.today = today;
    adapt.training = training;
    adapt.same = today ? calloc(today->channels + 1, sizeof *adapt.same) : NULL;
    if (today && adapt.same)
        model = adapt_all(&adapt);
    else
        traj_error_set(error, "no memory to adapt a model");
    free(adapt.same);
    traj_training_free(training);
    traj_today_free(today);
    gsl_set_error_handler(handler);
    return model;
}
