/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a control request asks for; see control_request.h. */
#include "daemon/io/control_request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

/* --- events ---------------------------------------------------------------------------------- */

/* Parses an event's text as strictly as on the frames socket. */
static int parse_event(struct traj_request *request, const char *text, struct traj_error *error)
{
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    enum traj_refusal refusal = traj_event_parse(text, strlen(text), request->event, &detail);

    if (refusal == TRAJ_ACCEPTED) {
        return 0;
    }
    return traj_error_set(error, "the event is refused: %s: %s",
                          detail.field != NULL ? detail.field : "JSON",
                          detail.reason != NULL ? detail.reason : traj_refusal_name(refusal));
}

/* One without a time of its own gets one to be read by; object is the caller's own copy. */
static int read_event_object(struct traj_request *request, json_t *object, struct traj_error *error)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    char *text;
    int rc;

    request->now =
        json_object_get(object, "t") == NULL && (type == NULL || strcmp(type, "session") != 0);
    if (request->now) {
        (void)json_object_set_new(object, "t", json_real(0.0));
    }
    text = json_dumps(object, JSON_COMPACT);
    request->event = malloc(sizeof *request->event);
    rc = text != NULL && request->event != NULL ? parse_event(request, text, error)
                                                : traj_error_set(error, "out of memory");
    free(text);
    return rc;
}

static int read_event(struct traj_request *request, struct traj_error *error)
{
    const json_t *told = json_object_get(request->body, "event");
    json_t *copy;
    int rc;

    if (!json_is_object(told)) {
        return traj_error_set(error, "event: \"event\" must be an object");
    }
    /* json_copy is not const-correct. */
    copy = json_copy((json_t *)told);
    rc = read_event_object(request, copy, error);
    json_decref(copy);
    return rc;
}

static int read_trial(struct traj_request *request, struct traj_error *error)
{
    static const struct {
        const char *action;
        const char *type;
    } marks[] = {{"start", "trial_start"}, {"go", "go"}, {"stop", "trial_stop"}};
    const char *action = json_string_value(json_object_get(request->body, "action"));

    for (size_t i = 0; action != NULL && i < sizeof marks / sizeof marks[0]; i++) {
        if (strcmp(action, marks[i].action) == 0) {
            json_t *event = json_pack("{s:s}", "type", marks[i].type);
            int rc = read_event_object(request, event, error);

            json_decref(event);
            return rc;
        }
    }
    return traj_error_set(error, "trial: \"action\" must be \"start\", \"go\" or \"stop\"");
}

static int read_prior(struct traj_request *request, struct traj_error *error)
{
    json_t *prob = json_object_get(request->body, "prob");
    json_t *event;
    int rc;

    if (!json_is_array(prob)) {
        return traj_error_set(error, "prior: \"prob\" must be an array of numbers");
    }
    event = json_pack("{s:s, s:O}", "type", "target_prior", "prob", prob);
    rc = read_event_object(request, event, error);
    json_decref(event);
    return rc;
}

/* --- actions --------------------------------------------------------------------------------- */

/* Those of one command are neighbours. */
static const char *const actions[TRAJ_REQUEST_KINDS] = {
    [TRAJ_REQUEST_MODEL_SHOW] = "show",
    [TRAJ_REQUEST_MODEL_LIST] = "list",
    [TRAJ_REQUEST_MODEL_ROLLBACK] = "rollback",
    [TRAJ_REQUEST_MODEL_LOAD] = "load",
    [TRAJ_REQUEST_MODEL_SHADOW] = "shadow",
    [TRAJ_REQUEST_RECALIBRATE_ON] = "on",
    [TRAJ_REQUEST_RECALIBRATE_OFF] = "off",
    [TRAJ_REQUEST_RECALIBRATE_FREEZE] = "freeze",
    [TRAJ_REQUEST_RECALIBRATE_ROLLBACK] = "rollback",
    [TRAJ_REQUEST_RECALIBRATE_APPLY] = "apply",
    [TRAJ_REQUEST_RECALIBRATE_SAVE] = "save",
    [TRAJ_REQUEST_RECALIBRATE_STATUS] = "status",
    [TRAJ_REQUEST_RECALIBRATE_DOUBT] = "doubt",
    [TRAJ_REQUEST_RECORD_START] = "start",
    [TRAJ_REQUEST_RECORD_STOP] = "stop",
};

const char *traj_request_action(enum traj_request_kind kind)
{
    return actions[kind] != NULL ? actions[kind] : "";
}

/* Which of the kinds first .. last the action names; false if none. */
static bool find_action(struct traj_request *request, enum traj_request_kind first,
                        enum traj_request_kind last)
{
    const char *action = json_string_value(json_object_get(request->body, "action"));

    for (int kind = (int)first; action != NULL && kind <= (int)last; kind++) {
        if (strcmp(action, actions[kind]) == 0) {
            request->kind = (enum traj_request_kind)kind;
            return true;
        }
    }
    return false;
}

/* A path that is text and not empty, or request->path stays NULL. */
static bool read_path(struct traj_request *request)
{
    const char *path = json_string_value(json_object_get(request->body, "path"));

    request->path = path != NULL && path[0] != '\0' ? path : NULL;
    return request->path != NULL;
}

static int read_on(struct traj_request *request, const char *command, struct traj_error *error)
{
    const json_t *on = json_object_get(request->body, "on");

    request->on = json_is_true(on);
    return json_is_boolean(on) ? 0
                               : traj_error_set(error, "%s: \"on\" must be true or false", command);
}

static int read_pause(struct traj_request *request, struct traj_error *error)
{
    return read_on(request, "pause", error);
}

static int read_record(struct traj_request *request, struct traj_error *error)
{
    return find_action(request, TRAJ_REQUEST_RECORD_START, TRAJ_REQUEST_RECORD_STOP)
               ? 0
               : traj_error_set(error, "record: \"action\" must be \"start\" or \"stop\"");
}

static int read_model(struct traj_request *request, struct traj_error *error)
{
    const json_t *path = json_object_get(request->body, "path");
    bool known = find_action(request, TRAJ_REQUEST_MODEL_SHOW, TRAJ_REQUEST_MODEL_SHADOW);

    if (known && request->kind == TRAJ_REQUEST_MODEL_LOAD) {
        return read_path(request)
                   ? 0
                   : traj_error_set(error, "model: load needs \"path\", a model file");
    }
    if (known && request->kind == TRAJ_REQUEST_MODEL_SHADOW) {
        return read_path(request) || json_is_null(path)
                   ? 0
                   : traj_error_set(error, "model: shadow needs \"path\", a model file, or null");
    }
    if (!known || path != NULL) {
        return traj_error_set(error,
                              "model: \"action\" must be \"show\", \"list\", \"rollback\", or "
                              "\"load\" or \"shadow\" with \"path\"");
    }
    return 0;
}

/* --- recalibration ---------------------------------------------------------------------------- */

static int read_options(struct traj_request *request, struct traj_error *error)
{
    const json_t *told = json_object_get(request->body, "options");

    if (told != NULL) {
        request->options = json_dumps(told, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    return told == NULL || request->options != NULL ? 0 : traj_error_set(error, "out of memory");
}

/* How many there have to be, the running model says. */
static int read_coefficients(struct traj_request *request, struct traj_error *error)
{
    const json_t *numbers = json_object_get(request->body, "coefficients");
    size_t count = json_array_size(numbers);

    if (json_is_null(numbers)) {
        return 0;
    }
    request->coefficient = calloc(count + 1, sizeof *request->coefficient);
    if (request->coefficient == NULL) {
        return traj_error_set(error, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(numbers, i);

        request->coefficient[i] = json_is_number(number) ? json_number_value(number) : (double)NAN;
    }
    request->coefficients = count;
    return 0;
}

static int read_doubt(struct traj_request *request, struct traj_error *error)
{
    return read_on(request, "recalibrate", error);
}

static int read_save(struct traj_request *request, struct traj_error *error)
{
    return read_path(request)
               ? 0
               : traj_error_set(error, "recalibrate: save needs \"path\", a file to write");
}

static int read_recalibrate(struct traj_request *request, struct traj_error *error)
{
    static const struct {
        enum traj_request_kind kind;
        const char *key; /* that it takes beside its action */
        int (*read)(struct traj_request *request, struct traj_error *error);
    } further[] = {
        {TRAJ_REQUEST_RECALIBRATE_ON, "options", read_options},
        {TRAJ_REQUEST_RECALIBRATE_APPLY, "coefficients", read_coefficients},
        {TRAJ_REQUEST_RECALIBRATE_SAVE, "path", read_save},
        {TRAJ_REQUEST_RECALIBRATE_DOUBT, "on", read_doubt},
    };
    size_t i = 0, count = sizeof further / sizeof further[0];
    const char *key;

    if (!find_action(request, TRAJ_REQUEST_RECALIBRATE_ON, TRAJ_REQUEST_RECALIBRATE_DOUBT)) {
        return traj_error_set(error, "recalibrate: \"action\" must be \"on\", \"off\", \"freeze\", "
                                     "\"rollback\", \"apply\", \"doubt\", \"save\" or \"status\"");
    }
    while (i < count && further[i].kind != request->kind) {
        i++;
    }
    key = i < count ? further[i].key : NULL;
    if (json_object_size(request->body) !=
        (key != NULL && json_object_get(request->body, key) != NULL ? 3 : 2)) {
        return traj_error_set(error, "recalibrate: %s takes %s%s", actions[request->kind],
                              key != NULL ? "nothing but " : "nothing", key != NULL ? key : "");
    }
    return i < count ? further[i].read(request, error) : 0;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *keys[6]; /* that it takes beside "cmd" */
    enum traj_request_kind kind;
    int (*read)(struct traj_request *request, struct traj_error *error); /* NULL = no more */
} commands[] = {
    {"ping", {NULL}, TRAJ_REQUEST_PING, NULL},
    {"status", {NULL}, TRAJ_REQUEST_STATUS, NULL},
    {"trial", {"action", NULL}, TRAJ_REQUEST_EVENT, read_trial},
    {"prior", {"prob", NULL}, TRAJ_REQUEST_EVENT, read_prior},
    {"event", {"event", NULL}, TRAJ_REQUEST_EVENT, read_event},
    {"reset", {NULL}, TRAJ_REQUEST_RESET, NULL},
    {"model", {"action", "path", NULL}, TRAJ_REQUEST_MODEL_SHOW, read_model},
    {"recalibrate",
     {"action", "options", "coefficients", "path", "on", NULL},
     TRAJ_REQUEST_RECALIBRATE_STATUS,
     read_recalibrate},
    {"pause", {"on", NULL}, TRAJ_REQUEST_PAUSE, read_pause},
    {"record", {"action", NULL}, TRAJ_REQUEST_RECORD_START, read_record},
    {"shutdown", {NULL}, TRAJ_REQUEST_SHUTDOWN, NULL},
};

/* Refuses keys that the command does not take. */
static int check_keys(const struct traj_request *request, const char *name, const char *const *keys,
                      struct traj_error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach (request->body, key, value) {
        bool known = strcmp(key, "cmd") == 0;

        for (size_t i = 0; keys[i] != NULL && !known; i++) {
            known = strcmp(key, keys[i]) == 0;
        }
        if (!known) {
            return traj_error_set(error, "%s: \"%.64s\" is not known here", name, key);
        }
    }
    return 0;
}

static int read_body(struct traj_request *request, struct traj_error *error)
{
    const char *name = json_string_value(json_object_get(request->body, "cmd"));

    if (name == NULL) {
        return traj_error_set(error,
                              "a request is an object with \"cmd\", such as {\"cmd\":\"ping\"}");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            request->kind = commands[i].kind;
            if (check_keys(request, name, commands[i].keys, error) != 0) {
                return -1;
            }
            return commands[i].read != NULL ? commands[i].read(request, error) : 0;
        }
    }
    return traj_error_set(
        error,
        "cmd \"%.64s\" is not known; there are ping, status, trial, prior, event, "
        "reset, model, recalibrate, pause, record and shutdown",
        name);
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

int traj_request_read(struct traj_request *request, const char *text, size_t size,
                      struct traj_error *error)
{
    json_error_t reason;

    memset(request, 0, sizeof *request);
    if (nests_too_deeply(text, size)) {
        (void)snprintf(reason.text, sizeof reason.text, "nested deeper than %d", TRAJ_JSON_DEPTH);
        reason.position = 0;
    } else {
        request->body = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    }
    if (request->body == NULL) {
        return traj_error_set(error, "the request is not JSON: %s at byte %d", reason.text,
                              reason.position);
    }
    return json_is_object(request->body) ? read_body(request, error)
                                         : traj_error_set(error, "a request is a JSON object");
}

void traj_request_free(struct traj_request *request)
{
    free(request->event);
    free(request->options);
    free(request->coefficient);
    json_decref(request->body);
    memset(request, 0, sizeof *request);
}
