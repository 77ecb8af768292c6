/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording to a running trajd; see replay_recording.h. */
#include "clients/trajctl/replay_recording.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/taken.h"
#include "daemon/learn/recording_file.h"
#include "daemon/learn/rerun.h"

#define ASK_MS 5000   /* for the answer to a request */
#define LOAD_MS 60000 /* for a model */
#define SETTLE_S 60.0 /* for the daemon to decode what it has been sent */

/* Between two requests while it has not: soon at first, and then as few as any daemon allows. */
#define POLL_FIRST_NS 1000000
#define POLL_NS 20000000

struct sending {
    struct recorded_replay *replay;
    struct traj_recording *recording;
    struct traj_control *control;
    uint64_t position; /* of the item under way, from 0 */
    uint64_t anchor;   /* position of the item to begin with; UINT64_MAX = none */
    bool begun;        /* the anchor has been passed */
    uint64_t base;     /* messages that the daemon had received before */
    uint64_t messages; /* sent */
    size_t decoded;    /* frames among them that became an intent where they were recorded */
    uint64_t unsent;   /* messages that were no messages: not two parts, or of another topic */
    uint64_t losses;   /* places where something that came in is missing */
    uint64_t left_out; /* frames that are wanted and stand before the anchor */
    bool opening;      /* what follows the recording's beginning tells what was in force there */
    /* In force: before the first message what was recorded, then what the daemon has, too. */
    bool paused;
    struct traj_recorded_model model;
    struct traj_recorded_settings settings;
    struct traj_record retune;  /* with a payload of its own; kind 0 = the tables of the model */
    void *tables;               /* that payload */
    bool new_model, new_tables; /* no intent has told of them yet */
    bool tables_untold;         /* after a loss: those in force have not been told again */
    bool model_checked;
    bool held;        /* the daemon was paused */
    bool other_model; /* the daemon runs one that the recording was not made with */
};

static void note(const struct sending *s, const char *text)
{
    if (!s->replay->quiet) {
        progress_end(s->replay->feed->progress);
        fprintf(stderr, "replay: %s\n", text);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void wait_ns(long ns)
{
    struct timespec pause = {.tv_nsec = ns};
    (void)nanosleep(&pause, NULL);
}

/* The reply to a request (a new reference), whatever it says; or NULL. */
static json_t *ask_once(struct sending *s, const char *text, int timeout_ms)
{
    const char *answer = NULL;
    json_t *reply = NULL;
    /* An answer may take longer than a tick, and what was asked for must not be asked for twice. */
    interrupt_hold_ticks(true);
    if (text && traj_control_request(s->control, text, timeout_ms, &answer) == 0) {
        reply = json_loads(answer, 0, NULL);
    }
    interrupt_hold_ticks(false);
    return reply;
}

/* The daemon has not looked at the request, for there were too many in this second. */
static bool asked_too_soon(const json_t *reply)
{
    return json_is_true(json_object_get(reply, "held"));
}

/* One request; its reply (a new reference), or NULL with a sentence. */
static json_t *ask(struct sending *s, json_t *request, int timeout_ms, struct traj_error *error)
{
    double began = monotonic_seconds();
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_t *reply = NULL;
    if (!s->control &&
        traj_control_open_with(s->replay->control, options_keys(), &s->control) != 0) {
        traj_error_set(error, "%s: no control socket", s->replay->control);
    } else {
        reply = ask_once(s, text, timeout_ms);
        while (asked_too_soon(reply) && !interrupted() &&
               monotonic_seconds() - began < 1e-3 * timeout_ms) {
            json_decref(reply);
            wait_ns(POLL_NS);
            reply = ask_once(s, text, timeout_ms);
        }
    }
    if (reply && !json_is_true(json_object_get(reply, "ok"))) {
        const char *why = json_string_value(json_object_get(reply, "error"));
        traj_error_set(error, "%s: %s", s->replay->control, why ? why : "refused");
        json_decref(reply);
        reply = NULL;
    } else if (!reply) {
        traj_error_set(error, "no trajd answers at %s%s", s->replay->control,
                       options_keys_doubt(s->replay->control));
    }
    free(text);
    json_decref(request);
    return reply;
}

/* Messages that the daemon has received so far. */
static int received(struct sending *s, uint64_t *count, struct traj_error *error)
{
    json_t *reply = ask(s, json_pack("{s:s}", "cmd", "status"), ASK_MS, error);
    if (!reply) {
        return -1;
    }
    json_t *frames = json_object_get(reply, "frames"), *events = json_object_get(reply, "events");
    *count = (uint64_t)json_integer_value(json_object_get(frames, "received")) +
             (uint64_t)json_integer_value(json_object_get(events, "received"));
    json_decref(reply);
    return 0;
}

/* Waits until the daemon has received all that was sent, so that a request comes at its place. */
static int settle(struct sending *s, struct traj_error *error)
{
    double began = monotonic_seconds();
    uint64_t count = 0;
    for (long ns = POLL_FIRST_NS;; ns = ns < POLL_NS / 2 ? 2 * ns : POLL_NS) {
        if (received(s, &count, error) != 0) {
            return -1;
        }
        if (count - s->base >= s->messages) {
            return 0;
        }
        if (interrupted()) {
            return 1;
        }
        if (monotonic_seconds() - began > SETTLE_S) {
            return traj_error_set(error, "the daemon has received %llu of %llu messages",
                                  (unsigned long long)(count - s->base),
                                  (unsigned long long)s->messages);
        }
        wait_ns(ns);
    }
}

/* Has the daemon go on with the recorded model, as its record says where that lies. */
static int load_model(struct sending *s, struct traj_error *error)
{
    const struct traj_recorded_model *model = &s->model;
    int result = settle(s, error);
    if (result != 0) {
        return result;
    }
    json_t *reply =
        ask(s, json_pack("{s:s,s:s,s:s}", "cmd", "model", "action", "load", "path", model->path),
            LOAD_MS, error);
    if (!reply) {
        return -1;
    }
    const char *digest =
        json_string_value(json_object_get(json_object_get(reply, "model"), "digest"));
    if (digest && strcmp(digest, model->digest) == 0) {
        s->other_model = false;
    } else {
        result = traj_error_set(error, "%s is not the model %.12s of the recording any more",
                                model->path, model->digest);
    }
    json_decref(reply);
    return result;
}

/* One request of which the answer says no more than that it is done. */
static int request(struct sending *s, json_t *what, struct traj_error *error)
{
    json_t *reply = ask(s, what, LOAD_MS, error);
    json_decref(reply);
    return reply ? 0 : -1;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Keeps a copy of what the tables are. */
static int keep_tables(struct sending *s, const struct traj_record *record,
                       struct traj_error *error)
{
    void *copy = malloc(record->size + 1);
    if (!copy) {
        return traj_error_set(error, "memory is short");
    }
    if (record->size > 0) {
        memcpy(copy, record->payload, record->size);
    }
    free(s->tables);
    s->tables = copy;
    s->retune = *record;
    s->retune.payload = copy;
    s->new_tables = s->new_tables || (record->code != TRAJ_RECORD_RETUNE_RUNS &&
                                      record->code != TRAJ_RECORD_RETUNE_DOUBT);
    return 0;
}

/* Before the first message: what is in force there. */
static int look_at(struct sending *s, const struct traj_record *record, struct traj_error *error)
{
    if (record->kind == TRAJ_RECORD_MODEL) {
        (void)traj_recorded_model(record, &s->model);
        /* Tables that were moved are those of the model before, or are told again behind it. */
        s->retune.kind = 0;
        s->new_model = s->new_model || (!record->carried && record->code != TRAJ_RECORD_MODEL_RUNS);
    } else if (record->kind == TRAJ_RECORD_RETUNE) {
        return keep_tables(s, record, error);
    } else if (record->kind == TRAJ_RECORD_FRAME && record->code == TRAJ_RECORD_DECODED) {
        s->new_model = s->new_tables = false;
    } else if (record->kind == TRAJ_RECORD_SETTINGS) {
        (void)traj_recorded_settings(record, &s->settings);
    } else if (record->kind == TRAJ_RECORD_PAUSE) {
        s->paused = record->code != 0;
    }
    return 0;
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* No request tells what a daemon's settings are, so that a person has to look. */
static void tell_settings(const struct sending *s)
{
    const struct traj_recorded_settings *settings = &s->settings;
    struct traj_pipeline_settings usual;
    char text[200];
    traj_pipeline_settings_default(&usual);
    if (settings->count_max == 0 ||
        (settings->gap_reset_s == usual.gap_reset_s && settings->count_max == usual.count_max &&
         settings->speed_limit == usual.speed_limit && settings->dims == 0)) {
        return;
    }
    (void)snprintf(text, sizeof text,
                   "recorded with gap_reset_s %g, count_max %u, speed_limit %g and %s workspace: "
                   "the daemon must be configured alike",
                   settings->gap_reset_s, (unsigned)settings->count_max, settings->speed_limit,
                   settings->dims > 0 ? "a" : "no");
    note(s, text);
}

/* The numbers by which a record moves the tables; null where they are those of the file. */
static json_t *coefficients(const struct traj_recorded_retune *recorded)
{
    size_t count = (size_t)recorded->channels * recorded->columns;
    json_t *numbers = count > 0 ? json_array() : json_null();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(numbers, json_real(traj_recorded_coefficient(recorded, i)));
    }
    return numbers;
}

static json_t *apply_request(const struct traj_recorded_retune *recorded)
{
    return json_pack("{s:s,s:s,s:o}", "cmd", "recalibrate", "action", "apply", "coefficients",
                     coefficients(recorded));
}

static json_t *doubt_request(const struct traj_recorded_retune *recorded)
{
    return json_pack("{s:s,s:s,s:b}", "cmd", "recalibrate", "action", "doubt", "on",
                     recorded->doubted);
}

/*
 * A model that was loaded before the first message, and of which no intent had told: the first one
 * does.  Where it cannot be loaded the rest may well be as it was.
 */
static int bring_model(struct sending *s)
{
    struct traj_error why = {0};
    char text[sizeof why.text + 200];
    int result = s->new_model ? load_model(s, &why) : 0;
    if (result < 0) {
        (void)snprintf(text, sizeof text,
                       "a model was loaded before the first message, which cannot be done here, so "
                       "that the first intent lacks the flag model: %s",
                       why.text);
        note(s, text);
    }
    return result > 0 ? result : 0;
}

/* Says so where the daemon runs another model than the recording was made with. */
static int compare_model(struct sending *s, struct traj_error *error)
{
    char text[200];
    json_t *reply = ask(s, json_pack("{s:s,s:s}", "cmd", "model", "action", "show"), ASK_MS, error);
    if (!reply) {
        return -1;
    }
    const char *digest =
        json_string_value(json_object_get(json_object_get(reply, "model"), "digest"));
    if (digest && strcmp(digest, s->model.digest) != 0) {
        s->other_model = true;
        (void)snprintf(text, sizeof text,
                       "the recording was made with model %.12s, the daemon runs %.12s: the "
                       "intents will differ",
                       s->model.digest, digest);
        note(s, text);
    }
    json_decref(reply);
    return 0;
}

/* Before the first message: does the daemon run the recorded model, and has it been fed before? */
static int check_daemon(struct sending *s, struct traj_error *error)
{
    struct traj_error none = {0};
    s->model_checked = true;
    json_t *reply = ask(s, json_pack("{s:s}", "cmd", "status"), ASK_MS, &none);
    if (!reply) {
        note(s, "the daemon does not answer on its control socket, so that its model was not "
                "compared with the recorded one");
        return 0;
    }
    s->held = json_is_true(json_object_get(reply, "paused"));
    json_decref(reply);
    int result = bring_model(s);
    result = result == 0 ? compare_model(s, error) : result;
    result = result == 0 ? received(s, &s->base, error) : result;
    if (result == 0 && s->base > 0) {
        note(s, "the daemon is not fresh: what comes before the first session event may differ");
    }
    return result;
}

/* Tables that had been moved before the first message, and what was thought of them. */
static int bring_tables(struct sending *s, struct traj_error *error)
{
    struct traj_recorded_retune recorded;
    int result = 0;
    /* Another model may have no such channels; that the intents will differ has been told. */
    if (s->retune.kind == 0 || s->other_model) {
        return 0;
    }
    if (!traj_recorded_retune(&s->retune, &recorded)) {
        return traj_error_set(error, "record %llu: no tables",
                              (unsigned long long)s->retune.number);
    }
    if (recorded.channels > 0 || s->new_tables) {
        result = request(s, apply_request(&recorded), error);
    }
    if (result == 0 && recorded.channels > 0 && !s->new_tables) {
        note(s, "the recording's tables had been moved before: the first intent carries the flag "
                "retuned, the recorded one does not");
    }
    if (result == 0 && recorded.doubted) {
        result = request(s, doubt_request(&recorded), error);
    }
    return result;
}

/* What a paused daemon publishes says so, and what a recorded one did, too. */
static int bring_pause(struct sending *s, struct traj_error *error)
{
    if (s->paused == s->held) {
        return 0;
    }
    note(s, s->paused ? "the recording begins paused: so does the daemon now"
                      : "the daemon was paused, the recording is not: its output goes out now");
    return request(s, json_pack("{s:s,s:b}", "cmd", "pause", "on", (int)s->paused), error);
}

/* Before the first message or command of all: the daemon is brought to what is in force. */
static int begin(struct sending *s, struct traj_error *error)
{
    if (s->model_checked) {
        return 0;
    }
    int result = check_daemon(s, error);
    tell_settings(s);
    result = result == 0 ? bring_tables(s, error) : result;
    return result == 0 ? bring_pause(s, error) : result;
}

/* --- records, one by one ---------------------------------------------------------------------- */

static int command(struct sending *s, json_t *what, struct traj_error *error)
{
    int result = begin(s, error);
    result = result == 0 ? settle(s, error) : result;
    if (result != 0) {
        json_decref(what);
        return result;
    }
    return request(s, what, error);
}

/* A copy of what was in force tells something new after a loss alone. */
static int send_pause(struct sending *s, const struct traj_record *record, struct traj_error *error)
{
    bool paused = record->code != 0;
    if (!s->model_checked || (record->carried && paused == s->paused)) {
        return look_at(s, record, error);
    }
    s->paused = paused;
    return command(s, json_pack("{s:s,s:b}", "cmd", "pause", "on", (int)paused), error);
}

/* Loads the model of a copy, where another one ran up to the loss before it. */
static int follow_model(struct sending *s, const struct traj_record *record,
                        struct traj_error *error)
{
    struct traj_recorded_model model;
    if (!traj_recorded_model(record, &model)) {
        return 0;
    }
    bool same = strcmp(model.digest, s->model.digest) == 0;
    s->tables_untold = same && s->retune.kind != 0;
    if (same) {
        return 0;
    }
    int result = look_at(s, record, error);
    return result == 0 ? load_model(s, error) : result;
}

static int send_model(struct sending *s, const struct traj_record *record, struct traj_error *error)
{
    bool swap = !record->carried && record->code != TRAJ_RECORD_MODEL_RUNS;
    if (record->carried && s->model_checked) {
        return follow_model(s, record, error);
    }
    /* The daemon's own model is that of the recording up to here. */
    int result = swap ? begin(s, error) : 0;
    if (result == 0) {
        result = look_at(s, record, error);
    }
    return result == 0 && swap ? load_model(s, error) : result;
}

static int move_tables(struct sending *s, const struct traj_recorded_retune *recorded,
                       struct traj_error *error)
{
    int result = command(s, apply_request(recorded), error);
    if (result == 0 && recorded->doubted) {
        result = command(s, doubt_request(recorded), error);
    }
    return result;
}

/* Moves the tables to those of a copy, where they were others up to the loss before it. */
static int follow_tables(struct sending *s, const struct traj_recorded_retune *recorded,
                         struct traj_error *error)
{
    struct traj_recorded_retune former;
    bool known = s->retune.kind != 0 && traj_recorded_retune(&s->retune, &former);
    bool same = known ? strcmp(former.digest, recorded->digest) == 0 : recorded->channels == 0;
    bool doubted = known && former.doubted;
    s->tables_untold = false;
    if (s->other_model || (same && doubted == recorded->doubted)) {
        return 0;
    }
    return same ? command(s, doubt_request(recorded), error) : move_tables(s, recorded, error);
}

/* Tables that were moved while the recording was made are moved where it is replayed. */
static int send_retune(struct sending *s, const struct traj_record *record,
                       struct traj_error *error)
{
    struct traj_recorded_retune recorded;
    int result = 0;
    if (!traj_recorded_retune(record, &recorded)) {
        return traj_error_set(error, "record %llu: no tables", (unsigned long long)record->number);
    }
    if (record->carried || record->code == TRAJ_RECORD_RETUNE_RUNS) {
        result = s->model_checked ? follow_tables(s, &recorded, error) : 0;
    } else if (record->code == TRAJ_RECORD_RETUNE_DOUBT) {
        result = command(s, doubt_request(&recorded), error);
    } else {
        result = move_tables(s, &recorded, error);
    }
    return result == 0 ? keep_tables(s, record, error) : result;
}

static bool same_settings(const struct traj_recorded_settings *a,
                          const struct traj_recorded_settings *b)
{
    unsigned char bytes[2][TRAJ_RECORDED_SETTINGS_MAX];
    size_t size = traj_recorded_put_settings(a, bytes[0]);
    return size == traj_recorded_put_settings(b, bytes[1]) && memcmp(bytes[0], bytes[1], size) == 0;
}

static int send_settings(struct sending *s, const struct traj_record *record,
                         struct traj_error *error)
{
    struct traj_recorded_settings former = s->settings;
    (void)look_at(s, record, error);
    if (!s->model_checked) {
        return 0;
    }
    if (!same_settings(&former, &s->settings)) {
        note(s, "the recording's settings change here, which no request can do: configure the "
                "daemon and send SIGHUP");
    }
    if (!s->tables_untold) {
        return 0;
    }
    /* Moved tables that are not told again have gone with a model that was loaded anew. */
    s->tables_untold = false;
    s->retune.kind = 0;
    return s->other_model ? 0 : load_model(s, error);
}

static int send_message(struct sending *s, const struct traj_record *record,
                        struct traj_error *error)
{
    struct feed *feed = s->replay->feed;
    bool frame = record->kind == TRAJ_RECORD_FRAME;
    const void *body = record->payload;
    size_t size = record->size;
    uint64_t number;
    if (!frame && !traj_recorded_event(record, &number, &body, &size)) {
        return traj_error_set(error, "record %llu: no event", (unsigned long long)record->number);
    }
    int result = begin(s, error);
    /* What leads up to the frame that is wanted is sent at once. */
    if (result == 0 && record->frame >= s->replay->from) {
        result = feed_wait(feed, record->stamp, frame);
    }
    if (result == 0) {
        result = feed_publish(feed, frame, body, size, error);
    }
    if (result == 0) {
        s->messages++;
        *(frame ? &feed->sent : &feed->events) += 1;
        s->decoded += frame && record->code == TRAJ_RECORD_DECODED;
    }
    return result;
}

/* What stands behind a recording's beginning, a pause last. */
static bool tells_what_runs(const struct traj_record *record)
{
    return record->kind == TRAJ_RECORD_MODEL || record->kind == TRAJ_RECORD_RETUNE ||
           record->kind == TRAJ_RECORD_SETTINGS || record->kind == TRAJ_RECORD_PAUSE;
}

static int send_record(struct sending *s, const struct traj_record *record,
                       struct traj_error *error)
{
    struct traj_recorded_loss loss;
    if (s->opening && tells_what_runs(record)) {
        s->opening = record->kind != TRAJ_RECORD_PAUSE;
        return look_at(s, record, error);
    }
    s->opening = record->kind == TRAJ_RECORD_START;
    switch (record->kind) {
    case TRAJ_RECORD_FRAME:
    case TRAJ_RECORD_EVENT:
    case TRAJ_RECORD_CONTROL:
        return send_message(s, record, error);
    case TRAJ_RECORD_BAD:
        s->unsent++;
        return 0;
    case TRAJ_RECORD_RESET:
        return command(s, json_pack("{s:s}", "cmd", "reset"), error);
    case TRAJ_RECORD_PAUSE:
        return send_pause(s, record, error);
    case TRAJ_RECORD_MODEL:
        return send_model(s, record, error);
    case TRAJ_RECORD_RETUNE:
        return send_retune(s, record, error);
    case TRAJ_RECORD_SETTINGS:
        return send_settings(s, record, error);
    case TRAJ_RECORD_LOST:
        s->losses += traj_recorded_loss(record, &loss) && loss.inputs > 0;
        return 0;
    default:
        return 0;
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

/*
 * Finds the last place at or before the frame that is wanted where the decoder's state is known; of
 * a whole recording the first, so that nothing that can be sent is left out.
 */
static int find_anchor(struct sending *s, struct traj_error *error)
{
    struct traj_recording_item item;
    uint64_t position = 0;
    struct traj_recording *recording = traj_recording_open(s->replay->path, error);
    if (!recording) {
        return -1;
    }
    int result;
    bool reached = s->replay->from == 0;
    s->anchor = UINT64_MAX;
    while ((result = traj_recording_next(recording, &item, error)) > 0 && !interrupted()) {
        if (item.found == TRAJ_FOUND_RECORD) {
            reached = reached || (item.record.kind == TRAJ_RECORD_FRAME &&
                                  item.record.frame >= s->replay->from);
            bool passed = s->replay->from == 0 || item.record.frame > s->replay->from;
            if (passed && s->anchor != UINT64_MAX) {
                break;
            }
            if (traj_rerun_anchor(&item.record)) {
                s->anchor = position;
            }
        }
        position++;
    }
    traj_recording_close(recording);
    if (result == 0 && !reached) {
        return traj_error_set(error, "%s has no frame %llu", s->replay->path,
                              (unsigned long long)s->replay->from);
    }
    return result < 0 ? -1 : 0;
}

static int send_all(struct sending *s, struct traj_error *error)
{
    struct traj_recording_item item;
    int result = 0, more;
    while (result == 0 && (more = traj_recording_next(s->recording, &item, error)) != 0) {
        if (more < 0) {
            return -1;
        }
        s->begun = s->begun || s->anchor == UINT64_MAX || s->position == s->anchor;
        s->position++;
        if (item.found == TRAJ_FOUND_RECORD && !s->begun) {
            s->left_out +=
                item.record.kind == TRAJ_RECORD_FRAME && item.record.frame >= s->replay->from;
            result = look_at(s, &item.record, error);
        } else if (item.found == TRAJ_FOUND_RECORD) {
            result = send_record(s, &item.record, error);
        } else if (item.found == TRAJ_FOUND_BROKEN || item.found == TRAJ_FOUND_GAP) {
            s->losses++;
        }
        if (s->position % 256 == 0) {
            uint64_t done, all;
            traj_recording_progress(s->recording, &done, &all);
            progress_update(s->replay->feed->progress, "sent", (double)done / (double)all);
        }
    }
    return result;
}

static void tell_doubts(const struct sending *s)
{
    char text[200];
    uint64_t later = traj_recording_later_part(s->recording);
    if (later > 0) {
        (void)snprintf(text, sizeof text,
                       "a part is missing after %.80s, and there is a part %llu: what comes after "
                       "was not sent",
                       traj_recording_path(s->recording), (unsigned long long)later);
        note(s, text);
    }
    if (s->anchor == UINT64_MAX) {
        note(s, "the recording began in the midst of a run and holds no session event: the "
                "decoder's state at its beginning is not known, and the intents will differ");
    }
    if (s->left_out > 0) {
        (void)snprintf(text, sizeof text,
                       "%llu frames before the first session event were not sent, because what the "
                       "decoder knew by then is not in the recording",
                       (unsigned long long)s->left_out);
        note(s, text);
    }
    if (s->losses > 0) {
        (void)snprintf(text, sizeof text,
                       "messages are missing at %llu places; from each to the next session event "
                       "the intents may differ",
                       (unsigned long long)s->losses);
        note(s, text);
    }
    if (s->unsent > 0) {
        (void)snprintf(text, sizeof text,
                       "%llu messages that had not two parts, or another topic, were not sent",
                       (unsigned long long)s->unsent);
        note(s, text);
    }
}

/* All of it, and what the daemon made of it; 0, 1 when interrupted, or -1 with a sentence. */
static int send_and_ask(struct sending *s, struct traj_error *error)
{
    struct taken taken = {0};
    struct feed *feed = s->replay->feed;
    char text[400] = "";
    int result = feed_open(feed, error);
    if (result == 0) {
        taken_begin(&taken, s->replay->asked);
        result = send_all(s, error);
    }
    feed_close(feed, result);
    if (result == 0) {
        result = taken_end(&taken, feed->sent, s->decoded, text, sizeof text, error);
    }
    if (text[0]) {
        note(s, text);
    }
    taken_free(&taken);
    return result;
}

int replay_recording(struct recorded_replay *replay, struct traj_error *error)
{
    struct sending s = {.replay = replay};
    int result = find_anchor(&s, error);
    if (result == 0) {
        s.recording = traj_recording_open(replay->path, error);
        result = s.recording ? send_and_ask(&s, error) : -1;
    }
    if (result == 0) {
        tell_doubts(&s);
    }
    traj_control_close(&s.control);
    traj_recording_close(s.recording);
    free(s.tables);
    return result;
}
