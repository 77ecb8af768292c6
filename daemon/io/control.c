/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control requests; see control.h. */
#include "daemon/io/control.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/io/clock.h"
#include "daemon/io/control_status.h"
#include "daemon/io/objection_text.h"
#include "daemon/learn/model_file.h"
#include "proto/event.h"
#include "proto/json.h"
#include "traj/version.h"

/*
 * A longer request is never urgent: so to look at each of a flood costs no more than to receive it
 * and to refuse it.
 */
#define URGENT_MAX 128

/* A request under way; a command fills in reply or error. */
struct request {
    struct traj_service *service;
    json_t *body;
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

/* --- events ---------------------------------------------------------------------------------- */

/* Hands an event to the pipeline; now = without a time of its own. */
static int send_event(struct request *request, const struct traj_event *event, bool now)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_EVENT, .event = event, .now = now};
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

/* Parses an event object as strictly as on the frames socket and sends it. */
static int send_event_json(struct request *request, json_t *object)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    struct traj_event *event = malloc(sizeof *event);
    const char *type = json_string_value(json_object_get(object, "type"));
    bool now =
        json_object_get(object, "t") == NULL && (type == NULL || strcmp(type, "session") != 0);
    char *text = NULL;
    int rc = -1;

    if (now) {
        (void)json_object_set_new(object, "t", json_real(0.0));
    }
    text = json_dumps(object, JSON_COMPACT);
    if (event == NULL || text == NULL) {
        (void)traj_error_set(&request->error, "out of memory");
    } else {
        enum traj_refusal refusal = traj_event_parse(text, strlen(text), event, &detail);

        if (refusal == TRAJ_ACCEPTED) {
            rc = send_event(request, event, now);
        } else {
            (void)traj_error_set(&request->error, "the event is refused: %s: %s",
                                 detail.field != NULL ? detail.field : "JSON",
                                 detail.reason != NULL ? detail.reason
                                                       : traj_refusal_name(refusal));
        }
    }
    free(text);
    free(event);
    return rc;
}

static int do_event(struct request *request)
{
    json_t *object = json_object_get(request->body, "event");

    if (!json_is_object(object)) {
        return traj_error_set(&request->error, "event: \"event\" must be an object");
    }
    return send_event_json(request, object);
}

static int do_trial(struct request *request)
{
    static const struct {
        const char *action;
        const char *type;
    } marks[] = {{"start", "trial_start"}, {"go", "go"}, {"stop", "trial_stop"}};
    const char *action = json_string_value(json_object_get(request->body, "action"));

    for (size_t i = 0; action != NULL && i < sizeof marks / sizeof marks[0]; i++) {
        if (strcmp(action, marks[i].action) == 0) {
            json_t *event = json_pack("{s:s}", "type", marks[i].type);
            int rc = send_event_json(request, event);

            json_decref(event);
            return rc;
        }
    }
    return traj_error_set(&request->error,
                          "trial: \"action\" must be \"start\", \"go\" or \"stop\"");
}

static int do_prior(struct request *request)
{
    json_t *prob = json_object_get(request->body, "prob");
    json_t *event;
    int rc;

    if (!json_is_array(prob)) {
        return traj_error_set(&request->error, "prior: \"prob\" must be an array of numbers");
    }
    event = json_pack("{s:s, s:O}", "type", "target_prior", "prob", prob);
    rc = send_event_json(request, event);
    json_decref(event);
    return rc;
}

/* --- commands to the decode thread ----------------------------------------------------------- */

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
    json_t *on = json_object_get(request->body, "on");
    struct traj_command command = {.kind = TRAJ_COMMAND_PAUSE, .on = json_is_true(on)};
    struct traj_answer answer;

    if (!json_is_boolean(on)) {
        return traj_error_set(&request->error, "pause: \"on\" must be true or false");
    }
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

static int load_model(struct request *request, const char *path)
{
    struct traj_service *service = request->service;
    struct traj_loaded *next = traj_loaded_open(path, &request->error);
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
    return reply_frame(request, &answer);
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
    return reply_frame(request, &answer);
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

/* path NULL = no more shadow. */
static int set_shadow(struct request *request, const char *path)
{
    struct traj_service *service = request->service;
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

static int do_model(struct request *request)
{
    const char *action = json_string_value(json_object_get(request->body, "action"));
    const char *path = json_string_value(json_object_get(request->body, "path"));

    if (action != NULL && strcmp(action, "load") == 0) {
        if (path == NULL || path[0] == '\0') {
            return traj_error_set(&request->error, "model: load needs \"path\", a model file");
        }
        return load_model(request, path) != 0 ? -1 : tell_model(request, "loaded");
    }
    if (action != NULL && strcmp(action, "shadow") == 0) {
        if (json_object_get(request->body, "path") == NULL || (path != NULL && path[0] == '\0')) {
            return traj_error_set(&request->error,
                                  "model: shadow needs \"path\", a model file, or null");
        }
        return set_shadow(request, path);
    }
    if (path != NULL || action == NULL ||
        (strcmp(action, "show") != 0 && strcmp(action, "rollback") != 0 &&
         strcmp(action, "list") != 0)) {
        return traj_error_set(&request->error,
                              "model: \"action\" must be \"show\", \"list\", \"rollback\", or "
                              "\"load\" or \"shadow\" with \"path\"");
    }
    if (strcmp(action, "list") == 0) {
        return list_models(request);
    }
    if (strcmp(action, "show") == 0) {
        return show_model(request);
    }
    return roll_model_back(request) != 0 ? -1 : tell_model(request, "rolled back");
}

/* --- recalibration ---------------------------------------------------------------------------- */

/* The options of the request, laid over those in force or the configured ones. */
static int recalibration_options(struct request *request, struct traj_recalibrate_options *options)
{
    json_t *told = json_object_get(request->body, "options");
    char *text;
    int rc;

    if (told == NULL) {
        return 0;
    }
    text = json_dumps(told, JSON_COMPACT | JSON_ENCODE_ANY);
    rc = text != NULL ? traj_config_recalibration(options, text, "recalibrate", &request->error)
                      : traj_error_set(&request->error, "out of memory");
    free(text);
    return rc;
}

static int start_recalibration(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;
    struct traj_observers *observers = &service->observers;
    struct traj_recalibrate_options options = service->config.recalibration;

    if (observers->recalibrator != NULL) {
        options = *traj_recalibrator_options(observers->recalibrator);
    }
    options.frozen = false;
    if (recalibration_options(request, &options) != 0) {
        return -1;
    }
    /* What was learned so far stays where it only goes on. */
    if (observers->recalibrator != NULL && json_object_get(request->body, "options") == NULL) {
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
    const json_t *numbers = json_object_get(request->body, "coefficients");
    size_t count = json_array_size(numbers), channels = dims->units + dims->features;
    double *coefficient = calloc(count + 1, sizeof *coefficient);
    int rc;

    if (coefficient == NULL) {
        return traj_error_set(&request->error, "out of memory");
    }
    if (json_is_null(numbers)) {
        free(coefficient);
        return traj_models_retune(&service->models, NULL, 0, 0, TRAJ_RECORD_RETUNE_GIVEN,
                                  service->exchange, answer, &request->error);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(numbers, i);

        coefficient[i] = json_is_number(number) ? json_number_value(number) : (double)NAN;
    }
    if (count == 0 || count % channels != 0) {
        rc = traj_error_set(&request->error,
                            "recalibrate: \"coefficients\" must be an array of as many numbers "
                            "for each of the model's %zu channels, or null",
                            channels);
    } else {
        rc = traj_models_retune(&service->models, coefficient, count / channels, 0,
                                TRAJ_RECORD_RETUNE_GIVEN, service->exchange, answer,
                                &request->error);
    }
    free(coefficient);
    return rc;
}

/* Whether intents are to say that another model explains more. */
static int doubt_tables(struct request *request, struct traj_answer *answer)
{
    struct traj_service *service = request->service;
    const json_t *on = json_object_get(request->body, "on");

    return json_is_boolean(on)
               ? traj_models_doubt(&service->models, json_is_true(on), service->exchange, answer,
                                   &request->error)
               : traj_error_set(&request->error, "recalibrate: \"on\" must be true or false");
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

static int do_recalibrate(struct request *request)
{
    static const struct {
        const char *action, *key; /* that it takes beside */
        int (*run)(struct request *request, struct traj_answer *answer);
    } actions[] = {
        {"on", "options", start_recalibration},  {"off", NULL, stop_recalibration},
        {"freeze", NULL, freeze_recalibration},  {"rollback", NULL, roll_tables_back},
        {"apply", "coefficients", apply_tables}, {"save", "path", save_running},
        {"status", NULL, tell_recalibration},    {"doubt", "on", doubt_tables},
    };
    const char *action = json_string_value(json_object_get(request->body, "action"));
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED};

    for (size_t i = 0; action != NULL && i < sizeof actions / sizeof actions[0]; i++) {
        size_t keys =
            actions[i].key != NULL && json_object_get(request->body, actions[i].key) ? 3 : 2;

        if (strcmp(action, actions[i].action) != 0) {
            continue;
        }
        if (json_object_size(request->body) != keys) {
            return traj_error_set(&request->error, "recalibrate: %s takes %s%s", action,
                                  actions[i].key != NULL ? "nothing but " : "nothing",
                                  actions[i].key != NULL ? actions[i].key : "");
        }
        if (actions[i].run(request, &answer) != 0) {
            return -1;
        }
        if (request->reply == NULL) {
            (void)reply_frame(request, &answer);
            traj_log_write(&request->service->log, TRAJ_LOG_INFO, "recalibration: %s", action);
        }
        (void)json_object_set_new(request->reply, "recalibration",
                                  traj_service_recalibration(request->service));
        return 0;
    }
    return traj_error_set(&request->error,
                          "recalibrate: \"action\" must be \"on\", \"off\", \"freeze\", "
                          "\"rollback\", \"apply\", \"doubt\", \"save\" or \"status\"");
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
    const char *action = json_string_value(json_object_get(request->body, "action"));
    bool start = action != NULL && strcmp(action, "start") == 0;
    int rc;

    if (!start && (action == NULL || strcmp(action, "stop") != 0)) {
        return traj_error_set(&request->error, "record: \"action\" must be \"start\" or \"stop\"");
    }
    if (service->recorder == NULL) {
        return traj_error_set(&request->error,
                              "record: no directory is configured (\"record\" in --config)");
    }
    rc = start ? start_recording(request) : stop_recording(request);
    if (rc == 0) {
        json_t *recording = traj_service_recording(service);

        traj_log_write(&service->log, TRAJ_LOG_INFO, "recording %s: %s", start ? "to" : "ended",
                       json_string_value(json_object_get(recording, "file")));
        (void)json_object_set_new(request->reply, "recording", recording);
    }
    return rc;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *keys[6]; /* that it takes beside "cmd" */
    int (*run)(struct request *request);
} commands[] = {
    {"ping", {NULL}, do_ping},
    {"status", {NULL}, do_status},
    {"trial", {"action", NULL}, do_trial},
    {"prior", {"prob", NULL}, do_prior},
    {"event", {"event", NULL}, do_event},
    {"reset", {NULL}, do_reset},
    {"model", {"action", "path", NULL}, do_model},
    {"recalibrate", {"action", "options", "coefficients", "path", "on", NULL}, do_recalibrate},
    {"pause", {"on", NULL}, do_pause},
    {"record", {"action", NULL}, do_record},
    {"shutdown", {NULL}, do_shutdown},
};

/* Refuses keys that the command does not take. */
static int check_keys(struct request *request, const char *name, const char *const *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach (request->body, key, value) {
        bool known = strcmp(key, "cmd") == 0;

        for (size_t i = 0; keys[i] != NULL && !known; i++) {
            known = strcmp(key, keys[i]) == 0;
        }
        if (!known) {
            return traj_error_set(&request->error, "%s: \"%.64s\" is not known here", name, key);
        }
    }
    return 0;
}

static int dispatch(struct request *request)
{
    const char *name = json_string_value(json_object_get(request->body, "cmd"));

    if (name == NULL) {
        return traj_error_set(&request->error,
                              "a request is an object with \"cmd\", such as {\"cmd\":\"ping\"}");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            if (check_keys(request, name, commands[i].keys) != 0) {
                return -1;
            }
            return commands[i].run(request);
        }
    }
    return traj_error_set(
        &request->error,
        "cmd \"%.64s\" is not known; there are ping, status, trial, prior, event, "
        "reset, model, recalibrate, pause, record and shutdown",
        name);
}

/* {"ok":false,"error":..}; a sentence that quotes a cut-off character is no UTF-8. */
static json_t *refusal_reply(const struct traj_error *error)
{
    json_t *reply = json_pack("{s:b, s:s}", "ok", 0, "error", error->text);

    return reply != NULL ? reply
                         : json_pack("{s:b, s:s}", "ok", 0, "error", "the request is refused");
}

/* Whether brackets stand inside brackets more than TRAJ_JSON_DEPTH deep, outside of strings. */
static bool nests_too_deeply(const char *text, size_t size)
{
    size_t depth = 0;
    bool string = false;

    for (size_t i = 0; i < size; i++) {
        if (string) {
            string = text[i] != '"';
            i += text[i] == '\\'; /* what is escaped does not count */
        } else if (text[i] == '"') {
            string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > TRAJ_JSON_DEPTH) {
                return true;
            }
        } else if (text[i] == '}' || text[i] == ']') {
            depth -= depth > 0;
        }
    }
    return false;
}

char *traj_control_answer(struct traj_service *service, const char *request, size_t size,
                          double now)
{
    struct request self = {.service = service, .now = now};
    json_error_t reason;
    json_t *ok = NULL;
    char *text;
    int rc;

    if (nests_too_deeply(request, size)) {
        (void)snprintf(reason.text, sizeof reason.text, "nested deeper than %d", TRAJ_JSON_DEPTH);
        reason.position = 0;
    } else {
        self.body = json_loadb(request, size, JSON_REJECT_DUPLICATES, &reason);
    }
    if (self.body == NULL) {
        rc = traj_error_set(&self.error, "the request is not JSON: %s at byte %d", reason.text,
                            reason.position);
    } else if (!json_is_object(self.body)) {
        rc = traj_error_set(&self.error, "a request is a JSON object");
    } else {
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
    json_decref(self.body);
    return text;
}

/* Whether the text is a request to pause, and no more than that. */
static bool asks_for_pause(const char *text, size_t size)
{
    json_t *body = size <= URGENT_MAX ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *name = json_string_value(json_object_get(body, "cmd"));
    bool asks = name != NULL && strcmp(name, "pause") == 0 && json_object_size(body) == 2 &&
                json_is_true(json_object_get(body, "on"));

    json_decref(body);
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
