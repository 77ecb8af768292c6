/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The housekeeping thread; see housekeeping.h. */
#include "daemon/io/housekeeping.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "daemon/io/clock.h"
#include "daemon/io/control.h"
#include "daemon/io/control_status.h"
#include "daemon/io/link.h"
#include "daemon/io/objection_text.h"
#include "daemon/io/usage.h"
#include "daemon/learn/retune.h"

/*
 * A request longer than this is no request.  The longest that anybody means is one that moves the
 * tables of the largest model: so many numbers for each unit and each feature, as JSON of at most
 * 24 characters and a comma each.
 */
#define REQUEST_MAX ((size_t)16 << 20)
#define REQUEST_NUMBER ((size_t)25)
_Static_assert(2 * TRAJ_UNITS_MAX * TRAJ_RETUNE_COLUMNS_MAX * REQUEST_NUMBER + 1024 <= REQUEST_MAX,
               "the tables of the largest model fit into a request");

/* Requests of one client that wait to be looked at; what it sends beyond waits on its side. */
#define REQUESTS_WAITING 16

/*
 * What clients have not fetched may take so long to leave when the daemon ends: the reply to
 * shutdown.
 */
#define CONTROL_LINGER_MS 2000

/*
 * Requests looked at in one turn; more wait for the next, so that a flood of them holds up nothing
 * else for long.
 */
#define REQUESTS_AT_ONCE 64

/* How long the log waits at most before it says what it held back. */
#define FLUSH_MS 1000

struct traj_housekeeping {
    struct traj_service *service;
    void *control;
    pthread_t thread;
    bool started;
    double next_status; /* s; infinity = never */
    double allowance;   /* requests that may be answered, as of `allowed` (s) */
    double allowed;
    bool behind; /* more is there to be looked at */
};

/* --- the control socket ---------------------------------------------------------------------- */

static int open_control(struct traj_housekeeping *self, void *context, struct traj_error *error)
{
    struct traj_endpoint endpoint;
    int linger = CONTROL_LINGER_MS, waiting = REQUESTS_WAITING;

    if (traj_endpoint_parse("control", self->service->config.control, &endpoint, error) != 0) {
        return -1;
    }
    self->control = zmq_socket(context, ZMQ_ROUTER);
    if (self->control == NULL ||
        zmq_setsockopt(self->control, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_setsockopt(self->control, ZMQ_RCVHWM, &waiting, sizeof waiting) != 0) {
        return traj_error_set(error, "control: no socket: %s", zmq_strerror(zmq_errno()));
    }
    if (traj_guard_socket(&self->service->guard, TRAJ_SOCKET_CONTROL, &endpoint, REQUEST_MAX,
                          self->control, error) != 0) {
        return -1;
    }
    return traj_endpoint_attach("control", &endpoint, self->control, error);
}

/*
 * The envelope of a request: the client's identity, for a REQ client its request id (if it
 * correlates) and an empty part; it goes back before the reply.
 */
#define ENVELOPE 3

struct request_parts {
    zmq_msg_t part[ENVELOPE + 1];
    size_t count;
    bool too_many;
};

/* Receives all parts of one message; false if none waits. */
static bool receive_parts(void *socket, struct request_parts *parts)
{
    int more = 1;

    parts->count = 0;
    parts->too_many = false;
    while (more) {
        zmq_msg_t part;

        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&part);
            return parts->count > 0;
        }
        more = zmq_msg_more(&part);
        if (parts->count <= ENVELOPE) {
            (void)zmq_msg_init(&parts->part[parts->count]);
            (void)zmq_msg_move(&parts->part[parts->count], &part);
            parts->count++;
        } else {
            parts->too_many = true;
        }
        (void)zmq_msg_close(&part);
    }
    return true;
}

/* How many parts are envelope: identity and all up to an empty part, or the identity alone. */
static size_t envelope_parts(struct request_parts *parts)
{
    for (size_t i = 1; i < parts->count; i++) {
        if (zmq_msg_size(&parts->part[i]) == 0) {
            return i + 1;
        }
    }
    return 1;
}

/* Sends the envelope and the reply; a client that is gone or does not read loses it. */
static void send_reply(void *socket, struct request_parts *parts, size_t envelope,
                       const char *reply)
{
    for (size_t i = 0; i < envelope; i++) {
        if (zmq_msg_send(&parts->part[i], socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
            return;
        }
    }
    (void)zmq_send(socket, reply, strlen(reply), ZMQ_DONTWAIT);
}

/*
 * Whether one more request may be answered now: as many in a row as come in a second, and after
 * that as many a second.  Whoever floods the daemon with requests would otherwise wake the decode
 * thread for each.
 */
static bool may_answer(struct traj_housekeeping *self, double now)
{
    double rate = self->service->config.request_rate;

    if (rate <= 0.0) {
        return true;
    }
    self->allowance += rate * (now - self->allowed);
    self->allowed = now;
    if (self->allowance > rate) {
        self->allowance = rate;
    }
    if (self->allowance < 1.0) {
        return false;
    }
    self->allowance -= 1.0;
    return true;
}

/* The reply to a request of one part, to be freed; NULL and *bad where it is to be said instead. */
static char *reply_to(struct traj_housekeeping *self, zmq_msg_t *request, double now,
                      const char **bad)
{
    const char *text = request != NULL ? zmq_msg_data(request) : NULL;
    size_t size = request != NULL ? zmq_msg_size(request) : 0;
    char *reply;

    *bad = "{\"ok\":false,\"error\":\"a request is one message part of JSON\"}";
    if (may_answer(self, now)) {
        return text != NULL ? traj_control_answer(self->service, text, size, now) : NULL;
    }
    reply = text != NULL ? traj_control_urgent(self->service, text, size, now) : NULL;
    if (reply == NULL) {
        *bad = "{\"ok\":false,\"error\":\"too many requests in a second (request_rate); ask "
               "again later\",\"held\":true}";
        self->service->requests_held++;
    }
    return reply;
}

static void answer_requests(struct traj_housekeeping *self, double now)
{
    struct request_parts parts;

    for (int n = 0; n < REQUESTS_AT_ONCE && receive_parts(self->control, &parts); n++) {
        size_t envelope = envelope_parts(&parts);
        bool one = !parts.too_many && parts.count == envelope + 1;
        const char *bad;
        char *reply = reply_to(self, one ? &parts.part[envelope] : NULL, now, &bad);

        send_reply(self->control, &parts, envelope, reply != NULL ? reply : bad);
        free(reply);
        for (size_t i = 0; i < parts.count; i++) {
            (void)zmq_msg_close(&parts.part[i]);
        }
    }
}

/* --- configuration and model again, after SIGHUP --------------------------------------------- */

/* Settings that only a restart changes; text is compared up to its end. */
#define RESTART(name, member, text)                                                                \
    {                                                                                              \
        name, offsetof(struct traj_config, member), sizeof(((struct traj_config *)0)->member),     \
            text                                                                                   \
    }

static const struct {
    const char *name; /* of which several in a row are one */
    size_t offset, size;
    bool text;
} restart[] = {
    RESTART("source", source, true),
    RESTART("lsl_outlet", lsl_outlet, true),
    RESTART("frames", frames, true),
    RESTART("intents", intents, true),
    RESTART("control", control, true),
    RESTART("receive_hwm", receive_hwm, false),
    RESTART("send_hwm", send_hwm, false),
    RESTART("message_max", message_max, false),
    RESTART("curve", curve.secret_key, true),
    RESTART("curve", curve.server[0], true),
    RESTART("curve", curve.server[1], true),
    RESTART("curve", curve.server[2], true),
    RESTART("record", record.directory, true),
    RESTART("record", record.start, false),
    RESTART("record", record.rotate_mb, false),
    RESTART("record", record.buffer_mb, false),
    RESTART("record", record.sync_s, false),
    RESTART("priority", priority, false),
    RESTART("cpu", cpu, false),
    RESTART("io_cpu", io_cpu, false),
    RESTART("lock_memory", lock_memory, false),
    RESTART("wake_us", wake_us, false),
};
_Static_assert(TRAJ_SOCKETS == 3, "each socket's server stands above");

/* Keeps what is in force of these settings, in *next, and says which of them it would change. */
static void keep(struct traj_service *service, struct traj_config *next)
{
    char names[256] = "";
    char *end = names;
    const char *last = "";

    for (size_t i = 0; i < sizeof restart / sizeof restart[0]; i++) {
        const char *now = (const char *)&service->config + restart[i].offset;
        char *then = (char *)next + restart[i].offset;
        bool same = restart[i].text ? strncmp(now, then, restart[i].size) == 0
                                    : memcmp(now, then, restart[i].size) == 0;

        if (!same && strcmp(last, restart[i].name) != 0) {
            end = stpcpy(stpcpy(end, last[0] != '\0' ? ", " : ""), restart[i].name);
            last = restart[i].name;
        }
        memcpy(then, now, restart[i].size);
    }
    if (last[0] != '\0') {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "what these settings say now comes into force at a restart alone: %s",
                       names);
    }
}

/* The shadow and recalibration go on as they are, whatever the configuration says. */
static void tell_observers(struct traj_service *service, const struct traj_config *next)
{
    const struct traj_observers *observers = &service->observers;
    const struct traj_recalibrate_options *would = &next->recalibration, *are = would;
    const char *shadow = "";

    if (observers->shadow != NULL) {
        shadow = traj_shadow_model(observers->shadow)->path;
    }
    if (observers->recalibrator != NULL) {
        are = traj_recalibrator_options(observers->recalibrator);
    }
    if (strcmp(shadow, next->shadow) != 0) {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "shadow goes on as it was: it changes at a restart, or by a request");
    }
    if (next->recalibrate != (observers->recalibrator != NULL) || are->method != would->method ||
        are->interval_s != would->interval_s || are->half_life_s != would->half_life_s ||
        are->labels != would->labels) {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "recalibrate goes on as it was: it changes at a restart, or by a request");
    }
}

/*
 * "paused" holds the output when it newly stands in the file, before anything else of it is in
 * force; taken out again it lets nothing go, which a person must ask for.
 */
static int hold_output(struct traj_service *service, const struct traj_config *next,
                       struct traj_error *error)
{
    struct traj_command command = {.kind = TRAJ_COMMAND_PAUSE, .on = true};
    struct traj_answer answer;
    struct traj_state state;

    traj_exchange_state(service->exchange, &state);
    if (service->config.paused && !next->paused && state.paused) {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "a pause goes on although \"paused\" is false now: a request alone ends it");
    }
    if (service->config.paused || !next->paused) {
        return 0;
    }
    if (traj_exchange_call(service->exchange, &command, &answer) != 0) {
        return traj_error_set(error, "the daemon is ending");
    }
    traj_log_write(&service->log, TRAJ_LOG_INFO, "paused by the configuration");
    return 0;
}

/*
 * Whether the configuration names another model than when it was read last, by its name or by what
 * is in the file.  Where it does not, a model that a request has loaded since is not taken away.
 */
static bool names_another(const struct traj_service *service, const struct traj_config *next,
                          const struct traj_loaded *loaded)
{
    return strcmp(next->model, service->config.model) != 0 ||
           strcmp(loaded->model->about.digest, service->configured) != 0;
}

/* The model that was read for this configuration fits it, and so does the one that is to run. */
static int check_model(const struct traj_service *service, const struct traj_config *next,
                       const struct traj_loaded *loaded, struct traj_error *error)
{
    const struct traj_loaded *current = service->models.current;

    if (traj_config_fits(next, next->model, loaded->model->dims.position, error) != 0 ||
        traj_service_units_fit(service, loaded->model, error) != 0) {
        return -1;
    }
    return names_another(service, next, loaded)
               ? 0
               : traj_config_fits(next, current->path, current->model->dims.position, error);
}

/*
 * Puts the configuration in force, and the model that was read for it, which is taken over, where
 * that is to run from now on.
 */
static int put_in_force(struct traj_service *service, const struct traj_config *next,
                        struct traj_loaded **loaded, struct traj_error *error)
{
    const struct traj_loaded *current = service->models.current;
    struct traj_command command = {.kind = TRAJ_COMMAND_APPLY, .config = next};
    bool runs = strcmp((*loaded)->model->about.digest, current->model->about.digest) == 0;
    struct traj_loaded *other = *loaded;
    struct traj_answer answer;

    if (!runs && names_another(service, next, *loaded)) {
        *loaded = NULL;
        return traj_models_swap(&service->models, other, next, service->exchange, &answer, error);
    }
    /* The same model goes on, and with it the posterior. */
    if (traj_exchange_call(service->exchange, &command, &answer) != 0) {
        return traj_error_set(error, "the daemon is ending");
    }
    if (!runs) {
        traj_log_write(&service->log, TRAJ_LOG_WARNING,
                       "model goes on as it was loaded: %s, which the configuration names, is the "
                       "same as when it was read last",
                       next->model);
    }
    return 0;
}

/* Reads, checks and only then applies; -1 with a sentence, and nothing has changed. */
static int reload(struct traj_service *service, struct traj_error *error)
{
    struct traj_config *next = calloc(1, sizeof *next);
    struct traj_loaded *loaded = NULL;
    struct traj_client_list clients = {NULL, 0};
    char digest[sizeof service->configured] = "";
    int rc = -1;

    if (next == NULL) {
        return traj_error_set(error, "out of memory");
    }
    if (traj_options_config(service->options, next, error) == 0 &&
        traj_guard_reread(&service->guard, next, &clients, error) == 0) {
        loaded = traj_loaded_open(next->model, error);
    }
    if (loaded != NULL && check_model(service, next, loaded, error) == 0 &&
        hold_output(service, next, error) == 0) {
        memcpy(digest, loaded->model->about.digest, sizeof digest);
        rc = put_in_force(service, next, &loaded, error);
    }
    if (rc == 0) {
        memcpy(service->configured, digest, sizeof digest);
        keep(service, next);
        tell_observers(service, next);
        traj_guard_use(&service->guard, &clients);
        service->config = *next;
        service->log.level = next->log_level;
        traj_realtime_tell(&service->realtime, next->receive, &service->log);
    }
    traj_clients_free(&clients);
    traj_loaded_close(&loaded);
    free(next);
    return rc;
}

static void handle_reload(struct traj_housekeeping *self)
{
    struct traj_service *service = self->service;
    struct traj_error error = {{0}};

    if (reload(service, &error) != 0) {
        traj_log_write(&service->log, TRAJ_LOG_ERROR,
                       "reload refused, the running configuration and model go on: %s", error.text);
        return;
    }
    traj_log_write(&service->log, TRAJ_LOG_INFO, "reloaded: model %s (%.12s)",
                   service->models.current->path, service->models.current->model->about.digest);
    self->next_status = service->config.status_ms > 0 ? traj_clock_now() : (double)INFINITY;
}

/* --- notes from the decode thread ------------------------------------------------------------ */

static void log_refusal(struct traj_log *log, enum traj_log_kind kind, const char *what,
                        const struct traj_note *note, double now)
{
    const struct traj_refusal_detail *detail = &note->detail;

    if (detail->field != NULL && detail->reason != NULL) {
        traj_log_limited(log, kind, now, TRAJ_LOG_WARNING, "%s refused (%s): %s: %s, at byte %zu",
                         what, traj_refusal_name(note->refusal), detail->field, detail->reason,
                         detail->offset);
    } else if (detail->reason != NULL) {
        traj_log_limited(log, kind, now, TRAJ_LOG_WARNING, "%s refused (%s): %s, at byte %zu", what,
                         traj_refusal_name(note->refusal), detail->reason, detail->offset);
    } else {
        char text[TRAJ_OBJECTION_TEXT];

        traj_objection_write(&note->objection, text);
        traj_log_limited(log, kind, now, TRAJ_LOG_WARNING, "%s refused (%s)%s%s", what,
                         traj_refusal_name(note->refusal), text[0] != '\0' ? ": " : "", text);
    }
}

/* The decode thread says it seldom enough. */
static void log_passed(struct traj_log *log, const struct traj_passed *passed)
{
    traj_log_write(
        log, TRAJ_LOG_WARNING,
        "nothing has been decoded for %.1f s: the %" PRIu64
        " frames since are all late or duplicates, because the last decoded one was seq "
        "%" PRIu64 ", t %.10g, and now seq %" PRIu64 ", t %.10g comes; a session event begins anew",
        passed->since, passed->frames, passed->last_seq, passed->last_t, passed->seq, passed->t);
}

static void read_notes(struct traj_housekeeping *self, double now)
{
    struct traj_service *service = self->service;
    struct traj_note note;

    while (traj_exchange_next_note(service->exchange, &note)) {
        switch (note.kind) {
        case TRAJ_NOTE_FRAME_REFUSED:
            log_refusal(&service->log, TRAJ_LOG_FRAME, "frame", &note, now);
            break;
        case TRAJ_NOTE_EVENT_REFUSED:
            log_refusal(&service->log, TRAJ_LOG_EVENT, "event", &note, now);
            break;
        case TRAJ_NOTE_FRAMES_PASSED:
            log_passed(&service->log, &note.passed);
            break;
        }
    }
    if (traj_exchange_reload_asked(service->exchange) && !traj_exchange_ended(service->exchange)) {
        handle_reload(self);
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

static void publish_status(struct traj_housekeeping *self, double now)
{
    struct traj_service *service = self->service;
    char *text;

    if (service->config.status_ms == 0 || now < self->next_status) {
        return;
    }
    self->next_status = now + 1e-3 * service->config.status_ms;
    text = traj_control_status(service, now);
    if (text != NULL) {
        struct traj_command command = {
            .kind = TRAJ_COMMAND_PUBLISH, .topic = "status", .body = text, .size = strlen(text)};
        struct traj_answer answer;

        (void)traj_exchange_call(service->exchange, &command, &answer);
    }
    free(text);
}

/* What the source has to say, once. */
static void log_source(struct traj_service *service, double now)
{
    struct traj_rig_state state;

    if (service->tap == NULL) {
        return;
    }
    traj_tap_state(service->tap, &state);
    if (state.said_count > service->tap_said) {
        traj_log_limited(&service->log, TRAJ_LOG_SOURCE, now, TRAJ_LOG_WARNING, "source: %s",
                         state.said);
        service->tap_said = state.said_count;
    }
}

static long wait_ms(const struct traj_housekeeping *self, double now)
{
    double left = 1e3 * (self->next_status - now);

    if (self->behind) {
        return 0;
    }
    if (self->service->config.status_ms == 0 || left > FLUSH_MS) {
        return FLUSH_MS;
    }
    return left > 0.0 ? (long)ceil(left) : 0;
}

static void *run(void *argument)
{
    struct traj_housekeeping *self = argument;
    struct traj_exchange *exchange = self->service->exchange;
    double now = traj_clock_now();

    (void)prctl(PR_SET_NAME, "housekeeping");
    self->service->housekeeping_thread = pthread_self();
    self->service->housekeeping_tid = traj_usage_thread();
    while (!traj_exchange_ended(exchange)) {
        zmq_pollitem_t item[] = {
            {.socket = self->control, .events = ZMQ_POLLIN},
            {.fd = traj_exchange_note_fd(exchange), .events = ZMQ_POLLIN},
            {.socket = self->service->guard.socket, .events = ZMQ_POLLIN},
        };

        (void)zmq_poll(item, self->service->guard.socket != NULL ? 3 : 2, wait_ms(self, now));
        now = traj_clock_now();
        if (item[1].revents != 0) {
            traj_exchange_note_clear(exchange);
        }
        traj_guard_answer(&self->service->guard, &self->service->log, now);
        read_notes(self, now);
        answer_requests(self, now);
        self->behind = traj_observers_work(&self->service->observers, &self->service->models,
                                           exchange, &self->service->log);
        publish_status(self, now);
        log_source(self->service, now);
        traj_log_flush(&self->service->log, now);
    }
    /* What was noted before the end is still told. */
    read_notes(self, now);
    traj_log_flush(&self->service->log, (double)INFINITY);
    return NULL;
}

struct traj_housekeeping *traj_housekeeping_open(void *context, struct traj_service *service,
                                                 struct traj_error *error)
{
    struct traj_housekeeping *self = calloc(1, sizeof *self);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->service = service;
    if (open_control(self, context, error) != 0) {
        traj_housekeeping_close(&self);
        return NULL;
    }
    traj_link_address(self->control, service->control, sizeof service->control);
    return self;
}

int traj_housekeeping_start(struct traj_housekeeping *housekeeping,
                            const pthread_attr_t *attributes, struct traj_error *error)
{
    int rc;

    housekeeping->service->started = traj_clock_now();
    housekeeping->allowed = housekeeping->service->started;
    housekeeping->allowance = housekeeping->service->config.request_rate;
    housekeeping->service->rate.since = housekeeping->service->started;
    housekeeping->next_status = housekeeping->service->started;
    rc = pthread_create(&housekeeping->thread, attributes, run, housekeeping);
    if (rc != 0) {
        return traj_error_set(error, "cannot start a thread: %s", strerror(rc));
    }
    housekeeping->started = true;
    return 0;
}

void traj_housekeeping_close(struct traj_housekeeping **housekeeping)
{
    struct traj_housekeeping *self = *housekeeping;

    if (self == NULL) {
        return;
    }
    if (self->started) {
        (void)pthread_join(self->thread, NULL);
    }
    if (self->control != NULL) {
        (void)zmq_close(self->control);
    }
    free(self);
    *housekeeping = NULL;
}
