/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control requests; see control.h. */
#include "daemon/io/control.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "daemon/io/clock.h"
#include "daemon/io/control_request.h"
#include "daemon/io/control_status.h"
#include "daemon/io/objection_text.h"
#include "daemon/learn/model_file.h"
#include "traj/version.h"

/*
 * A longer request is never urgent: so to look at each of a flood costs no more than to receive it
 * and to refuse it.
 */
#define URGENT_MAX 128

/* A request under way; a command fills in reply or error. */
struct request {
    struct traj_service *service;
    const struct traj_request *asked;
    json_t *body; /* of what is asked */
    double now;
    json_t *reply; /* an object to which "ok" is added */
    struct traj_error error;
};

/* Replies with {"frame":n}. */
static int reply_frame(struct request *request, const struct traj_answer *answer)
{
    request->reply = json_pack("{s:I}", "frame", (json_int_t)answer->frame);
    return 0;
}

/* Has the decode thread do something and replies with the frame at which it did. */
static int call(struct request *request, const struct traj_command *command,
                struct traj_answer *answer)
{
    if (traj_exchange_call(request->service->exchange, command, answer) != 0) {
        return traj_error_set(&request->error, "the daemon is ending");
    }
    return reply_frame(request, answer);
}

/* --- commands to the decode thread ----------------------------------------------------------- */

/* An event; without a time of its own it happens now. */
static int do_event(struct request *request)
{
    const struct traj_event *event = request->asked->event;
    struct traj_command command = {
        .kind = TRAJ_COMMAND_EVENT, .event = event, .now = request->asked->now};
    struct traj_answer answer;
    char text[TRAJ_OBJECTION_TEXT];

    if (call(request, &command, &answer) != 0) {
        return -1;
    }
    if (answer.refusal == TRAJ_ACCEPTED) {
        return 0;
    }
    traj_objection_write(&answer.objection, text);
    return traj_error_set(&request->error, "%s is refused: %s", traj_event_name(event->kind),
                          text[0] != '\0' ? text : traj_refusal_name(answer.refusal));
}

static int do_ping(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};
    struct traj_answer answer;

    if (call(request, &command, &answer) != 0) {
        return -1;
    }
    (void)json_object_set_new(request->reply, "version", json_string(TRAJ_VERSION));
    /* As late as can be: the caller halves the round trip. */
    (void)json_object_set_new(request->reply, "clock", json_real(traj_clock_now()));
    return 0;
}

static int do_status(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};
    struct traj_answer answer;

    /* Refreshes the snapshot, so that a request sees all that happened before it. */
    if (traj_exchange_call(request->service->exchange, &command, &answer) != 0) {
        return traj_error_set(&request->error, "the daemon is ending");
    }
    request->reply = traj_service_status(request->service, request->now);
    return 0;
}

static int do_reset(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_RESET};
    struct traj_answer answer;

    return call(request, &command, &answer);
}

static int do_pause(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_PAUSE, .on = request->asked->on};
    struct traj_answer answer;

    return call(request, &command, &answer);
}

static int do_shutdown(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_SHUTDOWN};
    struct traj_answer answer;

    return call(request, &command, &answer);
}

/* --- models ---------------------------------------------------------------------------------- */

/* Whether this model can run here: the workspace is of its dimensions, the source of its units. */
static int fits_here(struct request *request, const struct traj_loaded *next)
{
    const struct traj_service *service = request->service;

    return traj_config_fits(&service->config, next->path, next->model->dims.position,
                            &request->error) != 0
               ? -1
               : traj_service_units_fit(service, next->model, &request->error);
}

/* Adds what a swap brought to the reply and the log. */
static int tell_model(struct request *request, const char *how)
{
    const struct traj_loaded *current = request->service->models.current;

    traj_log_write(&request->service->log, TRAJ_LOG_INFO, "model %s: %s (%.12s)", how,
                   current->path, current->model->about.digest);
    (void)json_object_set_new(request->reply, "model", traj_service_model(current));
    return 0;
}

static int load_model(struct request *request)
{
    struct traj_service *service = request->service;
    struct traj_loaded *next = traj_loaded_open(request->asked->path, &request->error);
    struct traj_answer answer;

    if (next == NULL) {
        return -1;
    }
    if (fits_here(request, next) != 0) {
        traj_loaded_close(&next);
        return -1;
    }
    if (traj_models_swap(&service->models, next, NULL, service->exchange, &answer,
                         &request->error) != 0) {
        return -1;
    }
    (void)reply_frame(request, &answer);
    return tell_model(request, "loaded");
}

/* The configuration may be another than when the former model ran. */
static int roll_model_back(struct request *request)
{
    struct traj_models *models = &request->service->models;
    struct traj_answer answer;

    if (models->former != NULL && fits_here(request, models->former) != 0) {
        return -1;
    }
    if (traj_models_rollback(models, request->service->exchange, &answer, &request->error) != 0) {
        return -1;
    }
    (void)reply_frame(request, &answer);
    return tell_model(request, "rolled back");
}

static int show_model(struct request *request)
{
    const struct traj_models *models = &request->service->models;
    const struct traj_model *model = models->current->model;
    json_t *shown = traj_service_model(models->current);
    json_t *targets = json_array();
    json_t *training = NULL;

    for (size_t m = 0; m < model->dims.targets && model->about.target_id != NULL; m++) {
        (void)json_array_append_new(targets, json_string(model->about.target_id[m]));
    }
    if (model->about.training != NULL) {
        training = json_loads(model->about.training, 0, NULL);
    }
    (void)json_object_set_new(shown, "target_id", targets);
    (void)json_object_set_new(shown, "training", training != NULL ? training : json_null());
    request->reply =
        json_pack("{s:o, s:o}", "model", shown, "former", traj_service_model(models->former));
    return 0;
}

/* All models that the daemon holds, and what each is for. */
static int list_models(struct request *request)
{
    const struct traj_service *service = request->service;
    const struct traj_shadow *shadow = service->observers.shadow;
    const struct {
        const char *role;
        const struct traj_loaded *loaded;
    } held[] = {
        {"running", service->models.current},
        {"former", service->models.former},
        {"shadow", shadow != NULL ? traj_shadow_model(shadow) : NULL},
    };
    json_t *models = json_array();

    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        if (held[i].loaded != NULL) {
            json_t *model = traj_service_model(held[i].loaded);

            (void)json_object_set_new(model, "role", json_string(held[i].role));
            (void)json_array_append_new(models, model);
        }
    }
    request->reply = json_pack("{s:o}", "models", models);
    return 0;
}

static int set_shadow(struct request *request)
{
    struct traj_service *service = request->service;
    const char *path = request->asked->path;
    struct traj_answer answer;

    if (traj_observers_shadow(&service->observers, path, service->exchange, &answer,
                              &request->error) != 0) {
        return -1;
    }
    traj_log_write(&service->log, TRAJ_LOG_INFO, "shadow: %s", path != NULL ? path : "off");
    (void)reply_frame(request, &answer);
    (void)json_object_set_new(request->reply, "shadow", traj_service_shadow(service));
    return 0;
}

/* --- recalibration ---------------------------------------------------------------------------- */

static int start_recalibration(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;
    struct traj_observers *observers = &service->observers;
    struct traj_recalibrate_options options = service->config.recalibration;
    const char *told = request->asked->options; /* laid over those in force */

    if (observers->recalibrator != NULL) {
        options = *traj_recalibrator_options(observers->recalibrator);
    }
    options.frozen = false;
    if (told != NULL &&
        traj_config_recalibration(&options, told, "recalibrate", &request->error) != 0) {
        return -1;
    }
    /* What was learned so far stays where it only goes on. */
    if (observers->recalibrator != NULL && told == NULL) {
        struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};

        traj_recalibrator_freeze(observers->recalibrator, false);
        return call(request, &command, answer);
    }
    return traj_observers_recalibrate(observers, &options, &service->models, service->exchange,
                                      answer, &request->error);
}

static int freeze_recalibration(struct request *request, struct traj_answer *answer)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};

    if (request->service->observers.recalibrator == NULL) {
        return traj_error_set(&request->error, "recalibrate: it is off");
    }
    traj_recalibrator_freeze(request->service->observers.recalibrator, true);
    return call(request, &command, answer);
}

static int roll_tables_back(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;

    if (traj_models_retune_back(&service->models, service->exchange, answer, &request->error) !=
        0) {
        return -1;
    }
    /* Or it would put its own in force again at once. */
    if (service->observers.recalibrator != NULL) {
        traj_recalibrator_freeze(service->observers.recalibrator, true);
    }
    return 0;
}

/* Numbers from outside: of another program, or of a recording that is replayed. */
static int apply_tables(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;
    const struct traj_dims *dims = &service->models.current->model->dims;
    size_t count = request->asked->coefficients, channels = dims->units + dims->features;
    const double *coefficient = request->asked->coefficient;

    if (coefficient != NULL && (count == 0 || count % channels != 0)) {
        return traj_error_set(&request->error,
                              "recalibrate: \"coefficients\" must be an array of as many numbers "
                              "for each of the model's %zu channels, or null",
                              channels);
    }
    return traj_models_retune(&service->models, coefficient, count / channels, 0,
                              TRAJ_RECORD_RETUNE_GIVEN, service->exchange, answer, &request->error);
}

/* Whether intents are to say that another model explains more. */
static int doubt_tables(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;

    return traj_models_doubt(&service->models, request->asked->on, service->exchange, answer,
                             &request->error);
}

/*
 * Whether a model may be written there: whoever may ask may not therefore destroy what else the
 * daemon's user has.
 */
static int check_place(const char *path, struct traj_error *error)
{
    struct traj_error reason = {{0}};
    struct stat there;
    struct traj_model *model;

    if (lstat(path, &there) != 0) {
        return 0; /* nothing, or nothing that could be written */
    }
    if (!S_ISREG(there.st_mode)) {
        return traj_error_set(error, "recalibrate: save writes over models alone: %s: not a file",
                              path);
    }
    model = traj_model_load(path, &reason);
    if (model == NULL) {
        return traj_error_set(error, "recalibrate: save writes over models alone: %s", reason.text);
    }
    traj_model_free(model);
    return 0;
}

/* Writes the running model, moved tables and all, to a file. */
static int save_running(struct request *request, struct traj_answer *answer)
{
    const char *path = json_string_value(json_object_get(request->body, "path"));
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};
    struct traj_model *copy;
    int rc;

    if (path == NULL || path[0] == '\0') {
        return traj_error_set(&request->error, "recalibrate: save needs \"path\", a file to write");
    }
    if (check_place(path, &request->error) != 0) {
        return -1;
    }
    copy = traj_model_copy(traj_models_running(&request->service->models), path, &request->error);
    rc = copy != NULL ? traj_model_save(copy, path, &request->error) : -1;
    traj_model_free(copy);
    return rc == 0 ? call(request, &command, answer) : -1;
}

static int stop_recalibration(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;

    return traj_observers_recalibrate(&service->observers, NULL, &service->models,
                                      service->exchange, answer, &request->error);
}

static int tell_recalibration(struct request *request, struct traj_answer *answer)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_NOTHING};

    return call(request, &command, answer);
}

static int do_recalibrate(struct request *request,
                          int (*run)(struct request *request, struct traj_answer *answer))
{
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED};

    if (run(request, &answer) != 0) {
        return -1;
    }
    if (request->reply == NULL) {
        (void)reply_frame(request, &answer);
        traj_log_write(&request->service->log, TRAJ_LOG_INFO, "recalibration: %s",
                       traj_request_action(request->asked->kind));
    }
    (void)json_object_set_new(request->reply, "recalibration",
                              traj_service_recalibration(request->service));
    return 0;
}

/* --- recording -------------------------------------------------------------------------------- */

static int start_recording(struct request *request)
{
    struct traj_service *service = request->service;
    struct traj_command command = {.kind = TRAJ_COMMAND_RECORD, .on = true};
    struct traj_answer answer;

    if (traj_recorder_begin(service->recorder, service->models.current->model->about.digest,
                            &request->error) != 0) {
        return -1;
    }
    return call(request, &command, &answer);
}

static int stop_recording(struct request *request)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_RECORD};
    struct traj_recorder_state state;
    struct traj_answer answer;

    traj_recorder_state(request->service->recorder, &state);
    if (!state.open) {
        return traj_error_set(&request->error, "record: nothing is being recorded");
    }
    return call(request, &command, &answer) != 0
               ? -1
               : traj_recorder_finish(request->service->recorder, &request->error);
}

static int do_record(struct request *request)
{
    struct traj_service *service = request->service;
    bool start = request->asked->kind == TRAJ_REQUEST_RECORD_START;
    json_t *recording;

    if (service->recorder == NULL) {
        return traj_error_set(&request->error,
                              "record: no directory is configured (\"record\" in --config)");
    }
    if ((start ? start_recording(request) : stop_recording(request)) != 0) {
        return -1;
    }
    recording = traj_service_recording(service);
    traj_log_write(&service->log, TRAJ_LOG_INFO, "recording %s: %s", start ? "to" : "ended",
                   json_string_value(json_object_get(recording, "file")));
    (void)json_object_set_new(request->reply, "recording", recording);
    return 0;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static int dispatch(struct request *request)
{
    static int (*const plain[TRAJ_REQUEST_KINDS])(struct request * request) = {
        [TRAJ_REQUEST_PING] = do_ping,
        [TRAJ_REQUEST_STATUS] = do_status,
        [TRAJ_REQUEST_EVENT] = do_event,
        [TRAJ_REQUEST_RESET] = do_reset,
        [TRAJ_REQUEST_PAUSE] = do_pause,
        [TRAJ_REQUEST_SHUTDOWN] = do_shutdown,
        [TRAJ_REQUEST_MODEL_SHOW] = show_model,
        [TRAJ_REQUEST_MODEL_LIST] = list_models,
        [TRAJ_REQUEST_MODEL_ROLLBACK] = roll_model_back,
        [TRAJ_REQUEST_MODEL_LOAD] = load_model,
        [TRAJ_REQUEST_MODEL_SHADOW] = set_shadow,
        [TRAJ_REQUEST_RECORD_START] = do_record,
        [TRAJ_REQUEST_RECORD_STOP] = do_record,
    };
    /* These tell of recalibration besides. */
    static int (*const recalibrating[TRAJ_REQUEST_KINDS])(struct request * request,
                                                          struct traj_answer * answer) = {
        [TRAJ_REQUEST_RECALIBRATE_ON] = start_recalibration,
        [TRAJ_REQUEST_RECALIBRATE_OFF] = stop_recalibration,
        [TRAJ_REQUEST_RECALIBRATE_FREEZE] = freeze_recalibration,
        [TRAJ_REQUEST_RECALIBRATE_ROLLBACK] = roll_tables_back,
        [TRAJ_REQUEST_RECALIBRATE_APPLY] = apply_tables,
        [TRAJ_REQUEST_RECALIBRATE_SAVE] = save_running,
        [TRAJ_REQUEST_RECALIBRATE_STATUS] = tell_recalibration,
        [TRAJ_REQUEST_RECALIBRATE_DOUBT] = doubt_tables,
    };
    enum traj_request_kind kind = request->asked->kind;

    return plain[kind] != NULL ? plain[kind](request)
                               : do_recalibrate(request, recalibrating[kind]);
}

/* {"ok":false,"error":..}; a sentence that quotes a cut-off character is no UTF-8. */
static json_t *refusal_reply(const struct traj_error *error)
{
    json_t *reply = json_pack("{s:b, s:s}", "ok", 0, "error", error->text);

    return reply != NULL ? reply
                         : json_pack("{s:b, s:s}", "ok", 0, "error", "the request is refused");
}

char *traj_control_answer(struct traj_service *service, const char *request, size_t size,
                          double now)
{
    struct traj_request asked;
    struct request self = {.service = service, .asked = &asked, .now = now};
    json_t *ok = NULL;
    char *text;
    int rc = traj_request_read(&asked, request, size, &self.error);

    if (rc == 0) {
        self.body = asked.body;
        rc = dispatch(&self);
    }
    if (rc == 0 && self.reply != NULL) {
        ok = json_pack("{s:b}", "ok", 1);
        (void)json_object_update(ok, self.reply);
    } else {
        traj_log_limited(&service->log, TRAJ_LOG_REQUEST, now, TRAJ_LOG_WARNING,
                         "request refused: %s", self.error.text);
        ok = refusal_reply(&self.error);
    }
    text = json_dumps(ok, JSON_COMPACT);
    json_decref(ok);
    json_decref(self.reply);
    traj_request_free(&asked);
    return text;
}

/* Whether the text is a request to pause, and no more than that. */
static bool asks_for_pause(const char *text, size_t size)
{
    struct traj_request asked;
    struct traj_error error;
    bool asks;

    if (size > URGENT_MAX) {
        return false;
    }
    asks = traj_request_read(&asked, text, size, &error) == 0 && asked.kind == TRAJ_REQUEST_PAUSE &&
           asked.on;
    traj_request_free(&asked);
    return asks;
}

char *traj_control_urgent(struct traj_service *service, const char *request, size_t size,
                          double now)
{
    struct traj_state state;
    json_t *reply;
    char *text;

    if (!asks_for_pause(request, size)) {
        return NULL;
    }
    traj_exchange_state(service->exchange, &state);
    if (!state.paused) {
        return traj_control_answer(service, request, size, now);
    }
    /* Nothing is to be done: a flood of pauses wakes the decode thread for the first alone. */
    reply = json_pack("{s:b, s:I}", "ok", 1, "frame", (json_int_t)state.counters.decoded);
    text = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    return text;
}

char *traj_control_status(struct traj_service *service, double now)
{
    json_t *status = traj_service_status(service, now);
    char *text = status != NULL ? json_dumps(status, JSON_COMPACT) : NULL;

    json_decref(status);
    return text;
}
