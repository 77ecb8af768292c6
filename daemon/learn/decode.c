/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon without sockets: stream -> pipeline -> sink, on one thread. */
#include "daemon/learn/decode.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/publish.h"
#include "daemon/learn/smooth.h"
#include "daemon/learn/stream.h"

/* Everything that one run owns. */
struct run {
    size_t *unit_map; /* [N] */
    void *decoder_memory;
    void *pipeline_memory;
    struct traj_decoder *decoder;
    struct traj_pipeline *pipeline;
    struct traj_stream *stream;
};

static void end_run(struct run *run)
{
    traj_stream_close(run->stream);
    free(run->pipeline_memory);
    free(run->decoder_memory);
    free(run->unit_map);
}

/* The session's column of a unit by name, or (size_t)-1. */
static size_t column_of(const struct traj_session *session, const char *name)
{
    for (size_t n = 0; n < session->units; n++) {
        if (strncmp(session->unit_name[n], name, TRAJ_ID_SIZE) == 0)
            return n;
    }
    return (size_t)-1;
}

/* Matches units by name; the model's units that the session lacks are not observed. */
static int match_names(const struct traj_model *model, const struct traj_session *session,
                       size_t *map, struct traj_error *error)
{
    size_t common = 0;
    for (size_t n = 0; n < model->dims.units; n++) {
        map[n] = column_of(session, model->about.unit_name[n]);
        common += map[n] != (size_t)-1;
    }
    if (common == 0)
        return traj_error_set(error, "%s: /frames/unit_name: no unit in common with the model",
                              session->path);
    return 0;
}

int traj_match_units(const struct traj_model *model, const struct traj_session *session,
                     size_t *map, struct traj_error *error)
{
    size_t units = model->dims.units;
    if (session->bins == 0)
        return traj_error_set(error, "%s: has no /frames to decode", session->path);
    if (session->features != model->dims.features)
        return traj_error_set(error, "%s: /frames/features has %zu columns, the model %zu",
                              session->path, session->features, model->dims.features);
    if (units > 0 && session->units > 0 && model->about.unit_name != NULL &&
        session->unit_name != NULL)
        return match_names(model, session, map, error);
    if (session->units != units)
        return traj_error_set(error, "%s: /frames/counts has %zu units, the model %zu",
                              session->path, session->units, units);
    for (size_t n = 0; n < units; n++)
        map[n] = n;
    return 0;
}

static int match_units(const struct traj_model *model, const struct traj_session *session,
                       struct run *run, struct traj_error *error)
{
    size_t units = model->dims.units;
    run->unit_map = malloc((units > 0 ? units : 1) * sizeof *run->unit_map);
    if (run->unit_map == NULL)
        return traj_error_set(error, "%s: no memory to match %zu units", session->path, units);
    return traj_match_units(model, session, run->unit_map, error);
}

static int make_decoder(const struct traj_model *model, const struct traj_settings *settings,
                        struct run *run, struct traj_error *error)
{
    size_t size = traj_decoder_size(&model->dims);
    run->decoder_memory = size > 0 ? malloc(size) : NULL;
    if (run->decoder_memory == NULL)
        return traj_error_set(error, "model: no memory for a decoder of its sizes");
    enum traj_status status =
        traj_decoder_init(run->decoder_memory, size, model, settings, &run->decoder);
    if (status != TRAJ_OK)
        return traj_error_set(error, "model: %s", traj_status_text(status));
    return 0;
}

static int make_pipeline(const struct traj_model *model,
                         const struct traj_pipeline_settings *settings, struct run *run,
                         struct traj_error *error)
{
    const char *field =
        settings != NULL ? traj_pipeline_settings_check(settings, model->dims.position) : NULL;
    if (field != NULL)
        return traj_error_set(error, "settings: %s is out of range", field);
    size_t size = traj_pipeline_size();
    run->pipeline_memory = malloc(size);
    if (run->pipeline_memory == NULL)
        return traj_error_set(error, "settings: no memory for a pipeline");
    run->pipeline = traj_pipeline_init(run->pipeline_memory, size, run->decoder, settings);
    return run->pipeline != NULL ? 0 : traj_error_set(error, "settings: refused");
}

static int open_stream(const struct traj_model *model, const struct traj_session *session,
                       const struct traj_decode_options *options, struct run *run,
                       struct traj_error *error)
{
    struct traj_stream_options wanted = {.trials = options->trials,
                                         .targets = options->targets && !options->smooth,
                                         .recordings = false,
                                         .unit_map = run->unit_map,
                                         .units_out = model->dims.units};
    run->stream = traj_stream_open(session, &wanted, error);
    return run->stream != NULL ? 0 : -1;
}

/* Drives the pipeline until the stream ends or the sink has had enough. */
static int drive(struct run *run, const struct traj_decode_options *options,
                 int (*sink)(void *context, const struct traj_intent *intent), void *context)
{
    const struct traj_frame *frame;
    const struct traj_event *event;
    struct traj_intent intent;
    for (;;) {
        switch (traj_stream_next(run->stream, &frame, &event)) {
        case TRAJ_STREAM_EVENT:
            /* The pipeline counts what it refuses, here as in the daemon. */
            (void)traj_pipeline_event(run->pipeline, event);
            event = options->after ? options->after(options->after_context, event) : NULL;
            if (event)
                (void)traj_pipeline_event(run->pipeline, event);
            break;
        case TRAJ_STREAM_FRAME:
            if (traj_pipeline_frame(run->pipeline, frame, (double)NAN, &intent, NULL) ==
                TRAJ_DECODED) {
                int ended = sink(context, &intent);
                if (ended != 0)
                    return ended;
            }
            break;
        case TRAJ_STREAM_END:
            return 0;
        }
    }
}

/* ---- smoothing ------------------------------------------------------------------------------- */

/* Intents that wait for the end of the session; their numbers are made anew then. */
struct waiting {
    struct traj_smoother *smoother;
    struct traj_intent *intent;
    size_t count, cap;
    struct traj_error *error;
};

static int wait_for_end(void *context, const struct traj_intent *intent)
{
    struct waiting *waiting = context;
    const struct traj_estimate estimate = {
        .flags = (intent->flags & TRAJ_INTENT_RECOVERED) != 0 ? TRAJ_FLAG_RECOVERED : 0u};
    if (waiting->count == waiting->cap) {
        size_t cap = waiting->cap + waiting->cap / 2 + 1024;
        struct traj_intent *grown = realloc(waiting->intent, cap * sizeof *grown);
        if (grown == NULL)
            return traj_error_set(waiting->error, "no memory to smooth so many frames");
        waiting->intent = grown;
        waiting->cap = cap;
    }
    waiting->intent[waiting->count++] = *intent;
    return traj_smoother_keep(waiting->smoother, &estimate, waiting->error);
}

/* What was published of a frame, with the smoothed posterior in place of the filtered one. */
static void publish_smoothed(const struct run *run, const struct waiting *waiting, size_t i,
                             const struct traj_pipeline_settings *settings,
                             struct traj_published *published, struct traj_intent *out)
{
    const struct traj_model *model = traj_decoder_model(run->decoder);
    const struct traj_intent *filtered = &waiting->intent[i];
    bool paused = (filtered->flags & TRAJ_INTENT_PAUSED) != 0;
    struct traj_estimate estimate = {0};
    traj_smoother_show(waiting->smoother, i, &estimate);
    traj_decoder_calibrate(run->decoder, &estimate);
    *out = *filtered;
    if (filtered->position == NULL || !traj_publish_possible(&estimate, &model->dims))
        return;
    unsigned flags = traj_publish(model, &estimate, settings, paused, published, out);
    out->flags = (filtered->flags & ~(unsigned)TRAJ_INTENT_LIMITED) | flags | TRAJ_INTENT_SMOOTHED;
    out->log_evidence = filtered->log_evidence;
    out->valid = filtered->valid;
    if (estimate.place_prob == NULL)
        out->state = filtered->state;
}

/* Forward as ever, then backward, then everything to the sink. */
static int drive_smoothed(struct run *run, const struct traj_decode_options *options,
                          int (*sink)(void *context, const struct traj_intent *intent),
                          void *context, struct traj_error *error)
{
    struct traj_pipeline_settings settings;
    struct waiting waiting = {.smoother = traj_smoother_new(run->decoder, error), .error = error};
    traj_pipeline_settings_default(&settings);
    if (options->pipeline != NULL)
        settings = *options->pipeline;
    int status = waiting.smoother != NULL ? drive(run, options, wait_for_end, &waiting) : -1;
    if (status == 0)
        status = traj_smoother_run(waiting.smoother, error);
    for (size_t i = 0; i < waiting.count && status == 0; i++) {
        struct traj_published published;
        struct traj_intent intent;
        publish_smoothed(run, &waiting, i, &settings, &published, &intent);
        status = sink(context, &intent);
    }
    traj_smoother_free(waiting.smoother);
    free(waiting.intent);
    return status;
}

int traj_decode(const struct traj_model *model, const struct traj_session *session,
                const struct traj_decode_options *options,
                int (*sink)(void *context, const struct traj_intent *intent), void *context,
                struct traj_counters *counters, struct traj_error *error)
{
    struct run run = {0};
    int status = -1;
    if (match_units(model, session, &run, error) == 0 &&
        make_decoder(model, options->decoder, &run, error) == 0 &&
        make_pipeline(model, options->pipeline, &run, error) == 0 &&
        open_stream(model, session, options, &run, error) == 0) {
        if (options->begun)
            options->begun(options->begun_context, run.decoder);
        status = options->smooth ? drive_smoothed(&run, options, sink, context, error)
                                 : drive(&run, options, sink, context);
        if (counters != NULL)
            *counters = *traj_pipeline_counters(run.pipeline);
    }
    end_run(&run);
    return status;
}
