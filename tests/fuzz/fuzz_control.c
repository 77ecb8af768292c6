/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any lines as requests at the control socket, one after the other: each gets one answer of JSON,
 * and one that is refused a sentence.  What is refused where it is read asks nothing of the decode
 * thread; what was carried out is carried out once more.
 *
 * The first byte chooses what the decode thread, which is none, says to all that it is asked: 0 =
 * done, 1 = refused, 2 = nothing, because it has ended.
 *
 * Paths are the input's, so that whatever would open one is read and no more.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "clients/trajctl/bench_model.h"
#include "daemon/io/control.h"
#include "daemon/io/control_request.h"
#include "daemon/learn/model_file.h"
#include "proto/json.h"
#include "tests/fuzz/held_file.h"

/* Beside the kinds of request: those that were carried out, were not, or could not be read. */
enum { DONE = TRAJ_REQUEST_KINDS, NOT_DONE, REFUSED, READ_WAYS };
enum { SAYS_DONE, SAYS_REFUSED, SAYS_NOTHING, SAYINGS };
enum { CALLS_MAX = 2, TEXT_MAX = 1 << 18 };
#define SECONDS_APART 20.0 /* so that the log holds nothing back */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(READ_WAYS);

/* ---- the decode thread ----------------------------------------------------------------------- */

/* One for each of what it may say, as a thread that has ended leaves them. */
static struct traj_exchange *exchange[SAYINGS];

/* Answers that were given before the end count: as many lie ready as one request can ask for. */
static void lay_answers(unsigned saying, size_t count)
{
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED, .frame = 7};
    if (saying == SAYS_REFUSED)
        answer.refusal =
            traj_object(&answer.objection, TRAJ_REFUSED_SIZE, "count", 5.0, "there are", 3.0);
    for (size_t i = 0; saying != SAYS_NOTHING && i < count; i++)
        traj_exchange_answer(exchange[saying], &answer);
}

/* How much it was asked since the last time. */
static size_t take_commands(unsigned saying)
{
    struct traj_command command;
    size_t count = 0;
    while (traj_exchange_next_command(exchange[saying], &command))
        count++;
    REQUIRE(count <= CALLS_MAX);
    lay_answers(saying, count);
    return count;
}

static void make_exchanges(void)
{
    struct traj_error error = {""};
    for (unsigned saying = 0; saying < SAYINGS; saying++) {
        exchange[saying] = traj_exchange_open(&error);
        REQUIRE(exchange[saying] != NULL);
        lay_answers(saying, CALLS_MAX);
        traj_exchange_end(exchange[saying]);
    }
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static struct held_file model;
static int nowhere; /* where the log goes */
static struct traj_service service;
static struct traj_loaded *loaded[2]; /* the model that runs and the former at an input's begin */

static void end_service(void)
{
    traj_observers_close(&service.observers);
    traj_models_close(&service.models);
    held_file_drop(&model);
}

/* Without a recorder, so that nothing is ever recorded. */
static void make_service(void)
{
    const struct bench_size size = {.units = 2, .targets = 2, .bin = 0.1};
    struct traj_error error = {""};
    struct traj_model *made = bench_model_make(&size, &error);
    held_file_make(&model, "", 0);
    REQUIRE(made != NULL && traj_model_save(made, model.path, &error) == 0);
    traj_model_free(made);
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REQUIRE(nowhere >= 0);
    traj_config_default(&service.config);
    traj_log_init(&service.log, nowhere, TRAJ_LOG_DEBUG);
    for (size_t i = 0; i < 2; i++) {
        loaded[i] = traj_loaded_open(model.path, &error);
        REQUIRE(loaded[i] != NULL);
    }
    REQUIRE(traj_observers_prepare(&service.observers, &error) == 0);
    service.decode_thread = service.housekeeping_thread = pthread_self();
    service.decode_tid = service.housekeeping_tid = (long)getpid();
    make_exchanges();
    REQUIRE(atexit(end_service) == 0);
}

/* Every input finds the same daemon; what takes long to load or lay out stays. */
static void begin(unsigned saying)
{
    if (loaded[0] == NULL)
        make_service();
    service.models.current = service.models.former = NULL;
    traj_models_close(&service.models);
    service.models.current = loaded[0];
    service.models.former = loaded[1];
    traj_recalibrator_free(service.observers.recalibrator);
    service.observers.recalibrator = NULL;
    service.observers.on = true;
    service.exchange = exchange[saying];
}

/* ---- reading --------------------------------------------------------------------------------- */

static void require_same_text(const char *a, const char *b)
{
    REQUIRE((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0));
}

static void require_same_event(const struct traj_event *a, const struct traj_event *b)
{
    static char text[2][TEXT_MAX];
    REQUIRE((a == NULL) == (b == NULL));
    if (a == NULL)
        return;
    const size_t length = traj_event_write(a, text[0], TEXT_MAX);
    REQUIRE(length > 0 && traj_event_write(b, text[1], TEXT_MAX) == length);
    REQUIRE(memcmp(text[0], text[1], length) == 0);
}

/* It nests no deeper than the reader of messages goes, which looks at it in its own way. */
static void require_flat(const char *text)
{
    struct traj_json json;
    traj_json_start(&json, text, strlen(text));
    REQUIRE(traj_json_skip(&json) && traj_json_finish(&json));
}

/* What was read, written and read once more is the same. */
static void read_again(const struct traj_request *request)
{
    struct traj_request again;
    struct traj_error error = {""};
    char *text = json_dumps(request->body, JSON_COMPACT);
    REQUIRE(text != NULL && traj_request_read(&again, text, strlen(text), &error) == 0);
    require_flat(text);
    REQUIRE(again.kind == request->kind && again.on == request->on && again.now == request->now);
    require_same_text(again.path, request->path);
    require_same_text(again.options, request->options);
    require_same_event(again.event, request->event);
    REQUIRE((again.coefficient == NULL) == (request->coefficient == NULL));
    REQUIRE(again.coefficients == request->coefficients);
    for (size_t i = 0; i < again.coefficients; i++) {
        const double a = again.coefficient[i], b = request->coefficient[i];
        REQUIRE(isnan(b) ? isnan(a) : a == b);
    }
    traj_request_free(&again);
    free(text);
}

/* Each kind is named, so that whoever adds one has to say whether it opens what a path names. */
static bool opens_nothing(const struct traj_request *request)
{
    switch (request->kind) {
    case TRAJ_REQUEST_PING:
    case TRAJ_REQUEST_STATUS:
    case TRAJ_REQUEST_EVENT:
    case TRAJ_REQUEST_RESET:
    case TRAJ_REQUEST_PAUSE:
    case TRAJ_REQUEST_SHUTDOWN:
    case TRAJ_REQUEST_MODEL_SHOW:
    case TRAJ_REQUEST_MODEL_LIST:
    case TRAJ_REQUEST_MODEL_ROLLBACK:
    case TRAJ_REQUEST_MODEL_SHADOW:
    case TRAJ_REQUEST_RECALIBRATE_ON:
    case TRAJ_REQUEST_RECALIBRATE_OFF:
    case TRAJ_REQUEST_RECALIBRATE_FREEZE:
    case TRAJ_REQUEST_RECALIBRATE_ROLLBACK:
    case TRAJ_REQUEST_RECALIBRATE_APPLY:
    case TRAJ_REQUEST_RECALIBRATE_STATUS:
    case TRAJ_REQUEST_RECALIBRATE_DOUBT:
    case TRAJ_REQUEST_RECORD_START:
    case TRAJ_REQUEST_RECORD_STOP:
        return request->path == NULL;
    case TRAJ_REQUEST_MODEL_LOAD:
    case TRAJ_REQUEST_RECALIBRATE_SAVE:
    case TRAJ_REQUEST_KINDS:
        break;
    }
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Whether it was carried out; if not, and a sentence is wanted, with that one. */
static bool check_answer(const char *text, const char *sentence)
{
    json_error_t reason;
    json_t *answer = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, &reason) : NULL;
    const json_t *ok = json_object_get(answer, "ok");
    const char *error = json_string_value(json_object_get(answer, "error"));
    REQUIRE(json_is_boolean(ok));
    const bool done = json_is_true(ok);
    if (done) {
        REQUIRE(error == NULL && json_object_size(answer) > 1);
    } else {
        REQUIRE(error != NULL && strlen(error) > 10 && json_object_size(answer) == 2);
        /* One that quotes half a character is no JSON, and another stands for it. */
        REQUIRE(sentence == NULL || strcmp(error, sentence) == 0 ||
                strcmp(error, "the request is refused") == 0);
    }
    json_decref(answer);
    return done;
}

static bool ask(unsigned saying, const uint8_t *line, size_t size, const char *sentence)
{
    static double now;
    now += SECONDS_APART;
    char *text = traj_control_answer(&service, (const char *)line, size, now);
    const bool done = check_answer(text, sentence);
    const size_t commands = take_commands(saying);
    free(text);
    REQUIRE(sentence == NULL || (!done && commands == 0));
    return done;
}

/* What is urgent is a pause, and is answered as it is in its turn. */
static void try_urgent(unsigned saying, const struct traj_request *request, const uint8_t *line,
                       size_t size)
{
    char *text = traj_control_urgent(&service, (const char *)line, size, 0.0);
    if (text != NULL) {
        REQUIRE(request != NULL && request->kind == TRAJ_REQUEST_PAUSE && request->on);
        REQUIRE(check_answer(text, NULL) == ask(saying, line, size, NULL));
    }
    (void)take_commands(saying);
    free(text);
}

static void try_request(unsigned saying, const uint8_t *line, size_t size)
{
    struct traj_request request;
    struct traj_error error = {""};
    const int rc = traj_request_read(&request, (const char *)line, size, &error);
    REQUIRE((rc != 0) == (error.text[0] != '\0'));
    if (rc != 0) {
        ACCEPTED(REFUSED);
        (void)ask(saying, line, size, error.text);
    } else {
        ACCEPTED(request.kind);
        read_again(&request);
        if (opens_nothing(&request)) {
            const bool done = ask(saying, line, size, NULL);
            REQUIRE(!done || ask(saying, line, size, NULL));
            traj_fuzz_accepted[done ? DONE : NOT_DONE]++;
        }
    }
    try_urgent(saying, rc == 0 ? &request : NULL, line, size);
    traj_request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned saying = size > 0 ? data[0] % SAYINGS : 0;
    begin(saying);
    for (size_t at = 1; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        const size_t length = end != NULL ? (size_t)(end - data) - at : size - at;
        /* In a block of exactly its size, so that a sanitizer sees the first byte beyond it. */
        uint8_t *line = malloc(length > 0 ? length : 1);
        REQUIRE(line != NULL);
        memcpy(line, data + at, length);
        try_request(saying, line, length);
        free(line);
        at += length + 1;
    }
    return 0;
}
