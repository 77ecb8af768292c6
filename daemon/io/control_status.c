/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's state as JSON; see control_status.h. */
#include "daemon/io/control_status.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/io/clock.h"
#include "daemon/io/usage.h"
#include "traj/version.h"

/* The rate is measured over at least so long, s, so that two requests in a row do not spoil it. */
#define RATE_PERIOD_S 0.5

/* A number, or null where it is not finite: JSON has no word for those. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Text, "" as null.  It may have been cut within a character, and is no UTF-8 then. */
static json_t *words(const char *text)
{
    char plain[512];
    json_t *string = text[0] != '\0' ? json_string(text) : json_null();
    size_t i;

    if (string != NULL) {
        return string;
    }
    for (i = 0; i + 1 < sizeof plain && text[i] != '\0'; i++) {
        plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    }
    return json_stringn(plain, i);
}

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *digest(const struct traj_loaded *loaded)
{
    return loaded != NULL ? json_string(loaded->model->about.digest) : json_null();
}

json_t *traj_service_model(const struct traj_loaded *loaded)
{
    const struct traj_model *model;

    if (loaded == NULL) {
        return json_null();
    }
    model = loaded->model;
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}",
                     "path", loaded->path, "digest", digest(loaded), "family", model->about.family,
                     "subject", model->about.subject, "length_unit", model->about.length_unit,
                     "target_set", model->about.target_set, "units", count(model->dims.units),
                     "features", count(model->dims.features), "targets", count(model->dims.targets),
                     "components", count(model->dims.components), "dim",
                     count(model->dims.position), "state", count(model->dims.state), "bin_width",
                     number(model->bin_width), "plan", model->plan.end > 0.0);
}

static json_t *refusals(const uint64_t *counter)
{
    json_t *object = json_object();

    for (int i = TRAJ_ACCEPTED + 1; i < TRAJ_REFUSALS; i++) {
        (void)json_object_set_new(object, traj_refusal_name((enum traj_refusal)i),
                                  count(counter[i]));
    }
    return object;
}

static json_t *frames_json(const struct traj_counters *counters)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "received",
                     count(counters->received), "decoded", count(counters->decoded), "late",
                     count(counters->late), "duplicate", count(counters->duplicate), "invalid",
                     count(counters->invalid), "refused", refusals(counters->refused), "gaps",
                     count(counters->gaps), "missing", count(counters->missing), "resets",
                     count(counters->resets), "recovered", count(counters->recovered), "limited",
                     count(counters->limited), "paused", count(counters->paused));
}

static json_t *events_json(const struct traj_counters *counters)
{
    json_t *accepted = json_object();

    for (int kind = 0; kind < TRAJ_EVENT_KINDS; kind++) {
        (void)json_object_set_new(accepted, traj_event_name((enum traj_event_kind)kind),
                                  count(counters->event[kind]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "received", count(counters->events),
                     "accepted", accepted, "late", count(counters->events_late), "duplicate",
                     count(counters->events_duplicate), "superseded",
                     count(counters->events_superseded), "refused",
                     refusals(counters->events_refused));
}

/* Nanoseconds to milliseconds. */
static json_t *milliseconds(uint64_t value)
{
    return json_real((double)value / 1e6);
}

static json_t *latency_json(const struct traj_histogram *latency)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "count", count(latency->count), "p50",
                     milliseconds(traj_histogram_quantile(latency, 0.5)), "p90",
                     milliseconds(traj_histogram_quantile(latency, 0.9)), "p99",
                     milliseconds(traj_histogram_quantile(latency, 0.99)), "p999",
                     milliseconds(traj_histogram_quantile(latency, 0.999)), "max",
                     milliseconds(latency->max), "overflow", count(latency->overflow));
}

static json_t *stage_json(struct traj_exchange *exchange, enum traj_stage stage)
{
    struct traj_histogram *copy = malloc(sizeof *copy);
    json_t *json;

    if (copy == NULL) {
        return NULL;
    }
    traj_tally_read(&traj_exchange_stages(exchange)->tally[stage], copy);
    json = latency_json(copy);
    free(copy);
    return json;
}

/* Every stage but the total, which stands by itself. */
static json_t *stages_json(struct traj_exchange *exchange)
{
    json_t *object = json_object();

    for (int stage = 0; stage < TRAJ_STAGE_TOTAL; stage++) {
        (void)json_object_set_new(object, traj_stage_name((enum traj_stage)stage),
                                  stage_json(exchange, (enum traj_stage)stage));
    }
    return object;
}

static void update_rate(struct traj_service *service, const struct traj_state *state, double now)
{
    double period = now - service->rate.since;

    if (period < RATE_PERIOD_S) {
        return;
    }
    service->rate.value = (double)(state->counters.decoded - service->rate.decoded) / period;
    service->rate.decoded = state->counters.decoded;
    service->rate.since = now;
}

static json_t *thread_json(pthread_t thread, long tid)
{
    uint64_t minor = 0;
    uint64_t major = 0;
    bool told = traj_usage_faults(tid, &minor, &major);

    return json_pack("{s:o, s:o, s:o}", "cpu_s", number(traj_clock_thread(thread)), "minor_faults",
                     told ? count(minor) : json_null(), "major_faults",
                     told ? count(major) : json_null());
}

static json_t *threads_json(const struct traj_service *service)
{
    return json_pack("{s:o, s:o}", "decode",
                     thread_json(service->decode_thread, service->decode_tid), "housekeeping",
                     thread_json(service->housekeeping_thread, service->housekeeping_tid));
}

static json_t *memory_json(void)
{
    uint64_t bytes = 0;

    return traj_usage_memory(&bytes) ? count(bytes) : json_null();
}

static json_t *realtime_json(const struct traj_service *service)
{
    const struct traj_realtime *realtime = &service->realtime;

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "receive",
                     traj_receive_name(traj_realtime_receive(realtime, service->config.receive)),
                     "lock_memory", traj_grant_name(realtime->lock_memory), "priority",
                     traj_grant_name(realtime->priority), "cpu", traj_grant_name(realtime->cpu),
                     "io_cpu", traj_grant_name(realtime->io_cpu), "wake_us",
                     traj_grant_name(realtime->wake_us));
}

/* A counter for each socket. */
static json_t *by_socket(const uint64_t *counter)
{
    json_t *object = json_object();

    for (int i = 0; i < TRAJ_SOCKETS; i++) {
        (void)json_object_set_new(object, traj_socket_name((enum traj_socket)i), count(counter[i]));
    }
    return object;
}

static json_t *security_json(const struct traj_service *service)
{
    const struct traj_guard *guard = &service->guard;

    return json_pack("{s:b, s:o, s:o, s:o, s:o}", "curve", (int)(guard->socket != NULL), "clients",
                     count(guard->clients.count), "admitted", by_socket(guard->admitted), "refused",
                     by_socket(guard->refused), "requests_held", count(service->requests_held));
}

static json_t *recording_json(const struct traj_service *service, const struct traj_state *state)
{
    struct traj_recorder_state recorder;
    json_t *lost;

    if (service->recorder == NULL) {
        return json_null();
    }
    traj_recorder_state(service->recorder, &recorder);
    lost = json_pack("{s:o, s:o, s:o}", "buffer", count(state->records_lost), "disk",
                     count(recorder.lost), "inputs",
                     count(state->record_inputs_lost + recorder.lost_inputs));
    return json_pack("{s:b, s:b, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "on",
                     (int)(state->recording || recorder.open), "failing", (int)recorder.failing,
                     "file", recorder.file[0] != '\0' ? recorder.file : NULL, "part",
                     count(recorder.part), "records", count(recorder.records), "bytes",
                     count(recorder.bytes), "lost", lost, "waiting", count(recorder.waiting),
                     "capacity", count(recorder.capacity), "error", words(recorder.error));
}

static json_t *source_json(const struct traj_service *service, double now)
{
    struct traj_rig_state state;
    const struct traj_intake_counters *counters = &state.counters;
    const struct traj_binner_counters *bins = &state.bins;
    json_t *spikes;
    json_t *given;

    if (service->tap == NULL) {
        return json_null();
    }
    traj_tap_state(service->tap, &state);
    spikes =
        json_pack("{s:o, s:o, s:o, s:o}", "binned", count(bins->spikes), "late", count(bins->late),
                  "early", count(bins->early), "doubtful", count(bins->doubtful));
    given = json_pack("{s:o, s:o, s:o, s:o, s:o}", "given", count(bins->bins), "waited",
                      count(bins->waited), "skipped", count(bins->skipped), "leaps",
                      count(bins->leaps), "dropped", count(state.dropped));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "address", service->config.source, "run", count(state.run), "heard",
        number(now - state.heard), "offset", number(state.offset), "messages",
        count(counters->messages), "refused", count(counters->refused), "lost",
        count(counters->lost), "foreign", count(counters->foreign), "unmapped",
        count(counters->unmapped), "restarts", count(counters->restarts), "marks",
        count(counters->marks), "connections", count(counters->connections), "unwritten",
        count(counters->unwritten), "spikes", spikes, "bins", given, "said", words(state.said));
}

static json_t *outlet_json(const struct traj_service *service)
{
    struct traj_outlet_state state;

    if (service->outlet == NULL) {
        return json_null();
    }
    traj_outlet_state(service->outlet, &state);
    return json_pack("{s:s, s:o, s:o, s:b}", "name", service->config.lsl_outlet, "pushed",
                     count(state.pushed), "lost", count(state.lost), "listened",
                     (int)state.listened);
}

json_t *traj_service_shadow(const struct traj_service *service)
{
    const struct traj_shadow *shadow = service->observers.shadow;
    struct traj_shadow_state state;

    if (shadow == NULL) {
        return json_null();
    }
    traj_shadow_state(shadow, &state);
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path", traj_shadow_model(shadow)->path,
        "digest", traj_shadow_model(shadow)->model->about.digest, "decoded", count(state.decoded),
        "lost", count(state.lost), "records_lost", count(service->observers.lost), "compared",
        count(state.compared), "logev", number(state.evidence), "logev_running", number(state.main),
        "apart", number(state.apart));
}

json_t *traj_service_recalibration(const struct traj_service *service)
{
    const struct traj_recalibrator *recalibrator = service->observers.recalibrator;
    const struct traj_models *models = &service->models;
    struct traj_recalibrate_options options = service->config.recalibration;
    struct traj_recalibrate_state state = {0};

    if (recalibrator == NULL && models->tables == NULL) {
        return json_null();
    }
    state.candidate = state.loaded = (double)NAN;
    if (recalibrator != NULL) {
        options = *traj_recalibrator_options(recalibrator);
        traj_recalibrator_state(recalibrator, &state);
    }
    return json_pack("{s:b, s:b, s:s, s:f, s:f, s:b, s:s, s:b, s:b,"
                     " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "on", (int)(recalibrator != NULL), "frozen", (int)options.frozen, "method",
                     traj_recalibrate_name(options.method), "interval_s", options.interval_s,
                     "half_life_s", options.half_life_s, "labels", (int)options.labels, "digest",
                     traj_models_running(models)->about.digest, "moved",
                     (int)(models->tables != NULL && models->tables->model != NULL), "doubted",
                     (int)models->doubted, "intervals", count(state.intervals), "labelled",
                     count(state.labelled), "candidates", count(state.candidates), "updates",
                     count(state.updates), "refused", count(state.refused), "undone",
                     count(state.undone), "channels", count(state.channels), "candidate",
                     number(state.candidate), "loaded", number(state.loaded));
}

int traj_service_units_fit(const struct traj_service *service, const struct traj_model *model,
                           struct traj_error *error)
{
    if (service->tap == NULL || traj_intake_fits(service->models.current->model, model)) {
        return 0;
    }
    return traj_error_set(error, "the model has other units, or another order of them, than the "
                                 "running one, for which the source was opened: restart trajd");
}

json_t *traj_service_recording(struct traj_service *service)
{
    struct traj_state *state = malloc(sizeof *state);
    json_t *recording;

    if (state == NULL) {
        return NULL;
    }
    traj_exchange_state(service->exchange, state);
    recording = recording_json(service, state);
    free(state);
    return recording;
}

json_t *traj_service_status(struct traj_service *service, double now)
{
    struct traj_state *state = malloc(sizeof *state);
    json_t *status;

    if (state == NULL) {
        return NULL;
    }
    traj_exchange_state(service->exchange, state);
    update_rate(service, state, now);
    status = json_pack(
        "{s:i, s:s, s:s, s:f, s:b, s:s, s:o, s:o, s:{s:s, s:s, s:s}, s:o, s:o, s:o, s:f}", "v", 1,
        "type", "status", "version", TRAJ_VERSION, "uptime", now - service->started, "paused",
        (int)state->paused, "publish", service->config.newest ? "newest" : "all", "model",
        traj_service_model(service->models.current), "former", digest(service->models.former),
        "endpoints", "frames", service->frames, "intents", service->intents, "control",
        service->control, "t", number(state->t), "frames", frames_json(&state->counters), "events",
        events_json(&state->counters), "rate", service->rate.value);
    if (status != NULL) {
        (void)json_object_set_new(status, "clock", json_real(now));
        (void)json_object_set_new(status, "offset", number(state->offset));
        (void)json_object_set_new(status, "session",
                                  state->session ? json_string(state->run) : json_null());
        (void)json_object_set_new(status, "latency_ms",
                                  stage_json(service->exchange, TRAJ_STAGE_TOTAL));
        (void)json_object_set_new(status, "stages_ms", stages_json(service->exchange));
        (void)json_object_set_new(status, "behind_max", count(state->behind_max));
        (void)json_object_set_new(status, "published", count(state->published));
        (void)json_object_set_new(status, "stale", count(state->stale));
        (void)json_object_set_new(status, "subscribers", count(state->subscribers));
        (void)json_object_set_new(status, "notes_lost", count(state->notes_lost));
        (void)json_object_set_new(status, "source", source_json(service, now));
        (void)json_object_set_new(status, "lsl_outlet", outlet_json(service));
        (void)json_object_set_new(status, "recording", recording_json(service, state));
        (void)json_object_set_new(status, "shadow", traj_service_shadow(service));
        (void)json_object_set_new(status, "recalibration", traj_service_recalibration(service));
        (void)json_object_set_new(status, "threads", threads_json(service));
        (void)json_object_set_new(status, "memory", memory_json());
        (void)json_object_set_new(status, "realtime", realtime_json(service));
        (void)json_object_set_new(status, "security", security_json(service));
    }
    free(state);
    return status;
}
