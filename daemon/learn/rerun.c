/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording through the pipeline once more; see rerun.h. */
#include "daemon/learn/rerun.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/queue.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/retune.h"
#include "proto/event.h"
#include "proto/frame.h"

#define MODELS_MAX 64 /* different models of one recording */

struct traj_rerun {
    struct traj_rerun_options options;
    struct traj_model *model[MODELS_MAX];
    size_t models;
    size_t given; /* the first so many were given, the rest were read from recorded paths */
    struct traj_rerun_missing missing;

    const struct traj_model *current; /* NULL = not at hand */
    const struct traj_model *base;    /* as its file has it; current where no tables were moved */
    struct traj_model *made;          /* of the base, by moving its tables; or NULL */
    bool doubted;
    struct traj_pipeline_settings settings;
    bool paused;

    bool fresh;   /* the daemon had just started: the next input begins a known state */
    bool swapped; /* while the state was unknown, and no intent has said so yet */
    bool retuned; /* likewise */
    bool known;
    /* After a loss, and where the recording's beginning is not there: a swap may have been among
     * what is missing, and the first intent would have said so; that intent is not known. */
    enum { SURE, DOUBTED, FIRST_FRAME } doubt;
    void *decoder_memory, *pipeline_memory;
    struct traj_pipeline *pipeline;
    uint64_t offset; /* an event's number as recorded less the pipeline's own */
    uint64_t effect[TRAJ_QUEUE_CAPACITY];

    struct traj_frame frame;
    struct traj_event *event;
};

/* --- making ----------------------------------------------------------------------------------- */

static int load_given(struct traj_rerun *rerun, struct traj_error *error)
{
    const struct traj_rerun_options *options = &rerun->options;
    if (options->count > MODELS_MAX / 2)
        return traj_error_set(error, "%zu models are more than the %d that can be compared",
                              options->count, MODELS_MAX / 2);
    for (size_t i = 0; i < options->count; i++) {
        rerun->model[i] = traj_model_load(options->models[i], error);
        if (rerun->model[i] == NULL)
            return -1;
        rerun->models = ++rerun->given;
    }
    return 0;
}

struct traj_rerun *traj_rerun_open(const struct traj_rerun_options *options,
                                   struct traj_error *error)
{
    struct traj_rerun *rerun = calloc(1, sizeof *rerun);
    if (rerun == NULL) {
        (void)traj_error_set(error, "memory is short");
        return NULL;
    }
    rerun->options = *options;
    rerun->current = rerun->base = options->pinned;
    rerun->fresh = options->pinned != NULL;
    rerun->doubt = options->pinned != NULL ? SURE : DOUBTED;
    traj_pipeline_settings_default(&rerun->settings);
    rerun->pipeline_memory = malloc(traj_pipeline_size());
    rerun->event = malloc(sizeof *rerun->event);
    rerun->frame.counts = malloc(TRAJ_UNITS_MAX * sizeof *rerun->frame.counts);
    rerun->frame.feature = malloc(TRAJ_UNITS_MAX * sizeof *rerun->frame.feature);
    rerun->frame.units_max = rerun->frame.features_max = TRAJ_UNITS_MAX;
    if (rerun->pipeline_memory == NULL || rerun->event == NULL || rerun->frame.counts == NULL ||
        rerun->frame.feature == NULL) {
        (void)traj_error_set(error, "memory is short");
        traj_rerun_close(rerun);
        return NULL;
    }
    if (load_given(rerun, error) != 0) {
        traj_rerun_close(rerun);
        return NULL;
    }
    return rerun;
}

void traj_rerun_close(struct traj_rerun *rerun)
{
    if (rerun == NULL)
        return;
    for (size_t i = 0; i < rerun->models; i++)
        traj_model_free(rerun->model[i]);
    traj_model_free(rerun->made);
    free(rerun->decoder_memory);
    free(rerun->pipeline_memory);
    free(rerun->event);
    free(rerun->frame.counts);
    free(rerun->frame.feature);
    free(rerun);
}

const struct traj_rerun_missing *traj_rerun_missing(const struct traj_rerun *rerun)
{
    return &rerun->missing;
}

const struct traj_model *traj_rerun_model(const struct traj_rerun *rerun)
{
    return rerun->current;
}

/* --- models ----------------------------------------------------------------------------------- */

static const struct traj_model *find_model(const struct traj_rerun *rerun, const char *digest)
{
    for (size_t i = 0; i < rerun->models; i++) {
        if (strcmp(rerun->model[i]->about.digest, digest) == 0)
            return rerun->model[i];
    }
    return NULL;
}

/* The model that lies where the recording says, if it is the one that ran. */
static const struct traj_model *follow(struct traj_rerun *rerun,
                                       const struct traj_recorded_model *recorded)
{
    struct traj_error ignored = {{0}};
    if (!rerun->options.follow || rerun->models == MODELS_MAX || recorded->path[0] == '\0')
        return NULL;
    struct traj_model *model = traj_model_load(recorded->path, &ignored);
    if (model == NULL || strcmp(model->about.digest, recorded->digest) != 0) {
        traj_model_free(model);
        return NULL;
    }
    rerun->model[rerun->models++] = model;
    return model;
}

static void choose_model(struct traj_rerun *rerun, const struct traj_recorded_model *recorded)
{
    rerun->current = find_model(rerun, recorded->digest);
    if (rerun->current == NULL)
        rerun->current = follow(rerun, recorded);
    rerun->base = rerun->current;
    rerun->doubted = false;
    if (rerun->current != NULL)
        return;
    rerun->missing.replaced = rerun->options.any && rerun->given > 0;
    memcpy(rerun->missing.digest, recorded->digest, sizeof rerun->missing.digest);
    memcpy(rerun->missing.path, recorded->path, sizeof rerun->missing.path);
    if (rerun->missing.replaced)
        rerun->current = rerun->base = rerun->model[0];
}

/* A decoder of the current model at its prior, in memory of its own. */
static struct traj_decoder *new_decoder(struct traj_rerun *rerun, void **memory,
                                        struct traj_error *error)
{
    struct traj_decoder *decoder = NULL;
    size_t size = traj_decoder_size(&rerun->current->dims);
    *memory = size > 0 ? malloc(size) : NULL;
    if (*memory == NULL) {
        (void)traj_error_set(error, "no memory for a decoder");
        return NULL;
    }
    enum traj_status status = traj_decoder_init(*memory, size, rerun->current, NULL, &decoder);
    if (status != TRAJ_OK) {
        (void)traj_error_set(error, "model: %s", traj_status_text(status));
        free(*memory);
        *memory = NULL;
        return NULL;
    }
    return decoder;
}

/* --- states ----------------------------------------------------------------------------------- */

/* A pinned model is not the one of the recording: it begins anew wherever something is missing. */
static void forget(struct traj_rerun *rerun)
{
    rerun->fresh = rerun->options.pinned != NULL;
    rerun->known = false;
}

/* A fresh pipeline; unknown it stays where the model is not at hand or refuses the settings. */
static int begin(struct traj_rerun *rerun, struct traj_error *error)
{
    rerun->fresh = false;
    if (rerun->current == NULL)
        return 0;
    free(rerun->decoder_memory);
    rerun->decoder_memory = NULL;
    struct traj_decoder *decoder = new_decoder(rerun, &rerun->decoder_memory, error);
    if (decoder == NULL)
        return -1;
    rerun->pipeline =
        traj_pipeline_init(rerun->pipeline_memory, traj_pipeline_size(), decoder, &rerun->settings);
    if (rerun->pipeline == NULL)
        return traj_error_set(error, "the recorded settings do not fit the model");
    traj_pipeline_pause(rerun->pipeline, rerun->paused);
    /* Neither a first input nor a session takes from the next intent that the model is new. */
    if (rerun->swapped)
        (void)traj_pipeline_swap(rerun->pipeline, decoder);
    if (rerun->retuned)
        (void)traj_pipeline_adopt(rerun->pipeline, decoder);
    traj_pipeline_doubt(rerun->pipeline, rerun->doubted);
    rerun->swapped = rerun->retuned = false;
    rerun->known = true;
    return 0;
}

static int take_model(struct traj_rerun *rerun, const struct traj_record *record,
                      struct traj_error *error)
{
    struct traj_recorded_model recorded;
    if (!traj_recorded_model(record, &recorded))
        return traj_error_set(error, "record %llu: no model", (unsigned long long)record->number);
    if (rerun->options.pinned != NULL)
        return 0;
    bool swap = record->code != TRAJ_RECORD_MODEL_RUNS && !record->carried;
    /* Tables that were moved stay so: a reader is told of the file first and then of them. */
    if (!swap && rerun->known && rerun->base != NULL &&
        strcmp(rerun->base->about.digest, recorded.digest) == 0)
        return 0;
    choose_model(rerun, &recorded);
    if (rerun->current == NULL)
        rerun->known = false;
    if (swap && !rerun->known)
        rerun->swapped = true;
    if (!swap || !rerun->known)
        return 0;
    void *memory = NULL;
    struct traj_decoder *decoder = new_decoder(rerun, &memory, error);
    if (decoder == NULL)
        return -1;
    (void)traj_pipeline_swap(rerun->pipeline, decoder);
    free(rerun->decoder_memory);
    rerun->decoder_memory = memory;
    return 0;
}

/* The model that a record makes of the base; the base itself where it moves nothing. */
static int retune(struct traj_rerun *rerun, const struct traj_recorded_retune *recorded,
                  struct traj_model **made, struct traj_error *error)
{
    size_t count = (size_t)recorded->channels * recorded->columns;
    const struct traj_dims *dims = &rerun->base->dims;
    *made = NULL;
    if (recorded->channels == 0)
        return 0;
    if (recorded->channels != dims->units + dims->features)
        return traj_error_set(error, "a record moves the tables of %u channels, the model has %zu",
                              (unsigned)recorded->channels, dims->units + dims->features);
    double *coefficient = malloc(count * sizeof *coefficient);
    if (coefficient == NULL)
        return traj_error_set(error, "memory is short");
    for (size_t i = 0; i < count; i++)
        coefficient[i] = traj_recorded_coefficient(recorded, i);
    *made = traj_retune(rerun->base, coefficient, recorded->columns, error);
    free(coefficient);
    return *made != NULL ? 0 : -1;
}

/* Has a pipeline whose state is known go on with the current model. */
static int go_on(struct traj_rerun *rerun, struct traj_error *error)
{
    void *memory = NULL;
    struct traj_decoder *decoder = new_decoder(rerun, &memory, error);
    if (decoder == NULL)
        return -1;
    if (traj_pipeline_adopt(rerun->pipeline, decoder) == NULL) {
        free(memory);
        return traj_error_set(error, "a recalibrated model has other states");
    }
    free(rerun->decoder_memory);
    rerun->decoder_memory = memory;
    return 0;
}

static int take_retune(struct traj_rerun *rerun, const struct traj_record *record,
                       struct traj_error *error)
{
    struct traj_recorded_retune recorded;
    struct traj_model *made = NULL;
    int rc = 0;
    if (!traj_recorded_retune(record, &recorded))
        return traj_error_set(error, "record %llu: no tables", (unsigned long long)record->number);
    if (rerun->options.pinned != NULL || rerun->base == NULL ||
        strcmp(rerun->base->about.digest, recorded.base) != 0)
        return 0;
    rerun->doubted = recorded.doubted;
    if (rerun->known)
        traj_pipeline_doubt(rerun->pipeline, recorded.doubted);
    if (strcmp(rerun->current->about.digest, recorded.digest) == 0 &&
        (record->code == TRAJ_RECORD_RETUNE_RUNS || record->code == TRAJ_RECORD_RETUNE_DOUBT))
        return 0;
    if (retune(rerun, &recorded, &made, error) != 0)
        return -1;
    rerun->current = made != NULL ? made : rerun->base;
    if (strcmp(rerun->current->about.digest, recorded.digest) != 0)
        rc = traj_error_set(error, "record %llu: the tables do not make the model %.12s of it",
                            (unsigned long long)record->number, recorded.digest);
    else if (rerun->known)
        rc = go_on(rerun, error);
    else
        rerun->retuned = rerun->retuned || record->code != TRAJ_RECORD_RETUNE_RUNS;
    /* The decoder has left the former model. */
    traj_model_free(rerun->made);
    rerun->made = made;
    return rc;
}

static int take_settings(struct traj_rerun *rerun, const struct traj_record *record,
                         struct traj_error *error)
{
    struct traj_recorded_settings recorded;
    struct traj_pipeline_settings settings;
    if (!traj_recorded_settings(record, &recorded))
        return traj_error_set(error, "record %llu: no settings",
                              (unsigned long long)record->number);
    traj_pipeline_settings_default(&settings);
    settings.gap_reset_s = recorded.gap_reset_s;
    settings.speed_limit = recorded.speed_limit;
    settings.count_max = recorded.count_max;
    settings.workspace = recorded.dims > 0;
    for (size_t d = 0; d < recorded.dims && d < TRAJ_DIM_MAX; d++) {
        settings.low[d] = recorded.low[d];
        settings.high[d] = recorded.high[d];
    }
    if (traj_pipeline_settings_check(&settings, recorded.dims) != NULL)
        return traj_error_set(error, "record %llu: settings out of range",
                              (unsigned long long)record->number);
    rerun->settings = settings;
    if (rerun->known)
        traj_pipeline_configure(rerun->pipeline, &settings);
    return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

static void take_frame(struct traj_rerun *rerun, const struct traj_record *record,
                       struct traj_rerun_result *result)
{
    enum traj_refusal refusal =
        traj_frame_parse(record->payload, record->size, &rerun->frame, NULL);
    if (refusal != TRAJ_ACCEPTED) {
        traj_pipeline_refuse_frame(rerun->pipeline, refusal);
        return;
    }
    if (traj_pipeline_frame(rerun->pipeline, &rerun->frame, record->stamp, &result->intent, NULL) !=
        TRAJ_DECODED)
        return;
    rerun->doubt = rerun->doubt == DOUBTED ? FIRST_FRAME : SURE;
    const uint64_t *effect = traj_pipeline_effects(rerun->pipeline, &result->effects);
    for (size_t i = 0; i < result->effects; i++)
        rerun->effect[i] = effect[i] + rerun->offset;
    result->effect = rerun->effect;
    result->decoded = true;
}

static int take_event(struct traj_rerun *rerun, const struct traj_record *record,
                      struct traj_error *error)
{
    uint64_t number;
    const void *body;
    size_t size;
    if (!traj_recorded_event(record, &number, &body, &size))
        return traj_error_set(error, "record %llu: no event", (unsigned long long)record->number);
    if (!rerun->known && (rerun->fresh || traj_rerun_anchor(record)) && begin(rerun, error) != 0)
        return -1;
    if (!rerun->known)
        return 0;
    rerun->offset = number - (traj_pipeline_counters(rerun->pipeline)->events + 1);
    enum traj_refusal refusal = traj_event_parse(body, size, rerun->event, NULL);
    if (refusal != TRAJ_ACCEPTED)
        traj_pipeline_refuse_event(rerun->pipeline, refusal);
    else
        (void)traj_pipeline_event(rerun->pipeline, rerun->event);
    return 0;
}

static int take_record(struct traj_rerun *rerun, const struct traj_record *record,
                       struct traj_rerun_result *result, struct traj_error *error)
{
    struct traj_recorded_loss loss;
    switch (record->kind) {
    case TRAJ_RECORD_START:
        forget(rerun);
        rerun->swapped = rerun->retuned = false;
        rerun->doubt = SURE;
        rerun->fresh = rerun->fresh || record->code == TRAJ_RECORD_FRESH;
        return 0;
    case TRAJ_RECORD_LOST:
        if (!traj_recorded_loss(record, &loss) || loss.inputs > 0) {
            forget(rerun);
            rerun->doubt = DOUBTED;
        }
        return 0;
    case TRAJ_RECORD_MODEL:
        return take_model(rerun, record, error);
    case TRAJ_RECORD_RETUNE:
        return take_retune(rerun, record, error);
    case TRAJ_RECORD_SETTINGS:
        return take_settings(rerun, record, error);
    case TRAJ_RECORD_PAUSE:
        rerun->paused = record->code != 0;
        if (rerun->known)
            traj_pipeline_pause(rerun->pipeline, rerun->paused);
        return 0;
    case TRAJ_RECORD_EVENT:
    case TRAJ_RECORD_CONTROL:
        return take_event(rerun, record, error);
    default:
        break;
    }
    bool message = record->kind == TRAJ_RECORD_FRAME || record->kind == TRAJ_RECORD_BAD ||
                   record->kind == TRAJ_RECORD_RESET;
    if (message && !rerun->known && rerun->fresh && begin(rerun, error) != 0)
        return -1;
    if (!rerun->known && record->kind == TRAJ_RECORD_FRAME && record->code == TRAJ_RECORD_DECODED) {
        /* Its intent has told of all that was new. */
        rerun->swapped = rerun->retuned = false;
        rerun->doubt = SURE;
    }
    if (!message || !rerun->known)
        return 0;
    if (record->kind == TRAJ_RECORD_FRAME)
        take_frame(rerun, record, result);
    else if (record->kind == TRAJ_RECORD_RESET)
        traj_pipeline_reset(rerun->pipeline);
    else if (record->code == TRAJ_RECORD_BAD_EVENT)
        traj_pipeline_refuse_event(rerun->pipeline, TRAJ_REFUSED_SYNTAX);
    else
        traj_pipeline_refuse_frame(rerun->pipeline, TRAJ_REFUSED_SYNTAX);
    return 0;
}

int traj_rerun_take(struct traj_rerun *rerun, const struct traj_recording_item *item,
                    struct traj_rerun_result *result, struct traj_error *error)
{
    int rc = 0;
    memset(result, 0, sizeof *result);
    if (item->found == TRAJ_FOUND_RECORD) {
        rc = take_record(rerun, &item->record, result, error);
    } else if (item->found == TRAJ_FOUND_BROKEN || item->found == TRAJ_FOUND_GAP) {
        forget(rerun);
        rerun->doubt = DOUBTED;
    }
    result->known = rerun->known && rerun->doubt != FIRST_FRAME;
    return rc;
}

bool traj_rerun_anchor(const struct traj_record *record)
{
    uint64_t number;
    const void *body;
    size_t size;
    if (record->kind == TRAJ_RECORD_START)
        return record->code == TRAJ_RECORD_FRESH;
    if (record->code != TRAJ_RECORD_AT_ONCE || !traj_recorded_event(record, &number, &body, &size))
        return false;
    struct traj_event *event = malloc(sizeof *event);
    bool anchor = event != NULL && traj_event_parse(body, size, event, NULL) == TRAJ_ACCEPTED &&
                  event->kind == TRAJ_EVENT_SESSION;
    free(event);
    return anchor;
}
