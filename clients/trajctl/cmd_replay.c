/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl replay: a recorded session as the live source that it once was. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/session_file.h"
#include "clients/trajctl/commands.h"
#include "clients/trajctl/feed.h"
#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/options.h"
#include "clients/trajctl/progress.h"
#include "clients/trajctl/replay_recording.h"
#include "clients/trajctl/taken.h"
#include "daemon/learn/decode.h"
#include "daemon/learn/model_file.h"
#include "daemon/learn/stream.h"
#include "traj/client.h"

#define EVENT_MAX 131072 /* bytes of an event's JSON */

static const struct command_help help = {
    .name = "replay",
    .usage = "R.rec | --session S.h5 [options]",
    .about =
        "Sends a session's frames and events to trajd as a live source would, at absolute "
        "deadlines: each message at the recorded time, divided by --speed, or with --asap as fast "
        "as the daemon takes them. Kinematics and trial labels go along as events for recording; "
        "the decoder never sees them. Waits up to 10 s for the daemon. Nothing is lost: where the "
        "daemon is slower, replay waits. Frames are binary unless --json is given; both decode to "
        "the same intents. At the end the daemon is asked whether it refused frames; where it "
        "refused all, replay fails. A recording is sent as it was received, byte for byte and in "
        "the same order, with what came by the control socket at the same frames; a fresh daemon "
        "with the recorded model and settings gives the recorded intents.",
    .example = "trajctl replay --session b.h5 --asap\n"
               "trajctl replay --session b.h5 --speed 5 --frames tcp://127.0.0.1:5601\n"
               "trajctl replay r.0001.rec --asap --from-frame 100000\n",
    .operands = 1,
    .inputs = 1,
};

struct replay {
    const char *session, *model;
    const char *control; /* where the daemon says what it refused; NULL = not known */
    double repeat;       /* share of messages that are sent twice */
    uint64_t seed;       /* of which ones, and the generator's state */
    size_t limit;        /* frames; 0 = all */
    bool json, quiet;
    struct traj_stream_options stream;
    size_t *unit_map; /* where stream.unit_map leads, or NULL */

    struct feed feed;
    struct progress progress;
    void *body;
    size_t cap;
    size_t repeated;
};

/* splitmix64 (Steele et al. 2014) to [0, 1): the same messages are sent twice everywhere. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Sends one item of the stream, perhaps twice; 0, 1 when interrupted, or -1 with a sentence. */
static int send_item(struct replay *r, const struct traj_frame *frame,
                     const struct traj_event *event, struct traj_error *error)
{
    size_t size;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one of the two is given */
    int waited = feed_wait(&r->feed, frame ? frame->t : event->t, frame != NULL);
    if (waited != 0) {
        return waited;
    }
    if (frame) {
        size = r->json ? traj_frame_write_json(frame, r->body, r->cap)
                       : traj_frame_write_binary(frame, r->body, r->cap);
    } else {
        size = traj_event_write(event, r->body, r->cap);
    }
    if (size == 0) {
        return traj_error_set(error, "%s: a message needs more than %zu bytes", r->session, r->cap);
    }
    bool twice = r->repeat > 0.0 && uniform(&r->seed) < r->repeat;
    for (int i = 0; i <= (int)twice; i++) {
        int result = feed_publish(&r->feed, frame != NULL, r->body, size, error);
        if (result != 0) {
            return result;
        }
    }
    *(frame ? &r->feed.sent : &r->feed.events) += 1;
    r->repeated += twice;
    return 0;
}

/* Sends the session item by item; 0, 1 when interrupted, or -1 with a sentence. */
static int send_all(struct replay *r, const struct traj_session *session, struct traj_error *error)
{
    size_t frames = r->limit > 0 && r->limit < session->bins ? r->limit : session->bins;
    struct traj_stream *stream = traj_stream_open(session, &r->stream, error);
    int result = stream ? 0 : -1;
    /* Without a limit what comes after the last frame goes along: labels, the last trial's stop. */
    while (result == 0 && (r->limit == 0 || r->feed.sent < frames)) {
        const struct traj_frame *frame = NULL;
        const struct traj_event *event = NULL;
        enum traj_stream_item item = traj_stream_next(stream, &frame, &event);
        if (item == TRAJ_STREAM_END) {
            break;
        }
        result = item == TRAJ_STREAM_FRAME ? send_item(r, frame, NULL, error)
                                           : send_item(r, NULL, event, error);
        if (item == TRAJ_STREAM_FRAME && (r->feed.speed > 0.0 || r->feed.sent % 64 == 0)) {
            progress_update(&r->progress, "sent", (double)r->feed.sent / (double)frames);
        }
    }
    traj_stream_close(stream);
    return result;
}

/* Has the stream give the units in the model's order, by name, as decode takes them. */
static int map_units(struct replay *r, const struct traj_session *session, struct traj_error *error)
{
    struct traj_model *model = traj_model_load(r->model, error);
    if (!model) {
        return -1;
    }
    size_t units = model->dims.units;
    int result = -1;
    r->unit_map = calloc(units ? units : 1, sizeof *r->unit_map);
    if (r->unit_map) {
        result = traj_match_units(model, session, r->unit_map, error);
    } else {
        traj_error_set(error, "memory is short");
    }
    r->stream.unit_map = r->unit_map;
    r->stream.units_out = units;
    traj_model_free(model);
    return result;
}

/* All of it, and what the daemon made of it; 0, 1 when interrupted, or -1 with a sentence. */
static int send_and_ask(struct replay *r, const struct traj_session *session,
                        struct traj_error *error)
{
    struct taken taken = {0};
    char note[400] = "";
    int result = feed_open(&r->feed, error);
    if (result == 0) {
        taken_begin(&taken, r->control);
        result = send_all(r, session, error);
    }
    feed_close(&r->feed, result);
    if (result == 0) {
        result = taken_end(&taken, r->feed.sent, r->feed.sent, note, sizeof note, error);
    }
    if (note[0] && !r->quiet) {
        progress_end(&r->progress);
        fprintf(stderr, "replay: %s\n", note);
    }
    taken_free(&taken);
    return result;
}

static int replay(struct replay *r, struct traj_error *error)
{
    struct traj_session *session = traj_session_read(r->session, error);
    if (!session) {
        return -1;
    }
    int result = -1;
    if (r->model && map_units(r, session, error)) {
        traj_session_free(session);
        free(r->unit_map);
        return -1;
    }
    size_t units = r->model ? r->stream.units_out : session->units;
    r->cap = EVENT_MAX + TRAJ_FRAME_HEADER + 8 * units + 32 * session->features;
    r->body = malloc(r->cap);
    if (!r->body) {
        traj_error_set(error, "memory is short");
    } else if (session->bins == 0) {
        traj_error_set(error, "%s has no frames to send", r->session);
    } else {
        result = send_and_ask(r, session, error);
    }
    free(r->body);
    free(r->unit_map);
    traj_session_free(session);
    return result;
}

static void report(const struct replay *r)
{
    double seconds = progress_seconds(&r->progress);
    fprintf(stderr, "replay: %zu frames and %zu events in %.2f s", r->feed.sent, r->feed.events,
            seconds);
    if (r->repeated > 0) {
        fprintf(stderr, ", %zu of them twice", r->repeated);
    }
    if (r->feed.speed > 0.0) {
        fprintf(stderr, ", at most %.1f ms late", 1e3 * r->feed.late);
    }
    fputc('\n', stderr);
}

/* What only one of the two sources knows. */
static int check_source(const struct replay *r, const struct recorded_replay *recorded)
{
    if ((recorded->path == NULL) == (r->session == NULL)) {
        return usage_error("replay", "name either --session S.h5 or a recording");
    }
    if (recorded->path != NULL && (r->model || r->json || r->limit > 0 || r->repeat > 0.0 ||
                                   !r->stream.trials || !r->stream.recordings)) {
        return usage_error("replay", "a recording is sent as it is: --model, --json, --limit, "
                                     "--duplicate, --no-trials and --no-labels are for sessions");
    }
    if (recorded->path == NULL && recorded->from > 0) {
        return usage_error("replay", "--from-frame is for recordings");
    }
    return OPTIONS_RUN;
}

int cmd_replay(int argc, char **argv)
{
    struct replay r = {.feed = {.frames = TRAJ_DEFAULT_FRAMES, .speed = 1.0},
                       .seed = 1,
                       .stream = {.trials = true, .targets = true, .recordings = true}};
    struct recorded_replay recorded = {0};
    bool asap = false;
    const struct command_option options[] = {
        {"session", "S.h5", OPTION_TEXT, &r.session, "session file with frames", .file = FILE_READ},
        {"frames", "ENDPOINT", OPTION_TEXT, &r.feed.frames,
         "where trajd takes frames; @ before it binds instead of connecting"},
        {"control", "ENDPOINT", OPTION_TEXT, &r.control,
         "where trajd answers requests, " TRAJ_DEFAULT_CONTROL
         " unless told: needed where a recording holds some; whether frames were refused is asked "
         "there, unless --frames is given and this is not",
         .plain = true},
        {"model", "M.tjm", OPTION_TEXT, &r.model,
         "send the units that this model names, in its order; without it, the units as recorded",
         .file = FILE_READ},
        {"speed", "X", OPTION_REAL, &r.feed.speed, "recorded seconds sent in one second", 1e-3,
         1e6},
        {"asap", NULL, OPTION_FLAG, &asap, "as fast as the daemon takes them, instead of --speed"},
        {"no-trials", NULL, OPTION_NO, &r.stream.trials,
         "send no trial starts, go cues and stops, and say that none will come"},
        {"no-labels", NULL, OPTION_NO, &r.stream.recordings, "send no kinematics and trial labels"},
        {"json", NULL, OPTION_FLAG, &r.json, "send frames as JSON"},
        {"limit", "N", OPTION_SIZE, &r.limit, "send the first N frames alone", 1, 1e15,
         .plain = true},
        {"from-frame", "N", OPTION_U64, &recorded.from,
         "of a recording, what came from the N-th decoded frame on; what leads up to it, from the "
         "last session event on, is sent before as fast as it goes",
         .plain = true},
        {"duplicate", "P", OPTION_REAL, &r.repeat,
         "send this share of the messages twice, for tests", 0.0, 1.0},
        {"seed", "N", OPTION_U64, &r.seed, "seed of which messages are sent twice"},
        {"quiet", NULL, OPTION_FLAG, &r.quiet, "show no progress"},
    };
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    recorded.path = status == OPTIONS_RUN && optind < argc ? argv[optind] : NULL;
    status = status == OPTIONS_RUN ? check_source(&r, &recorded) : status;
    if (status != OPTIONS_RUN) {
        return status;
    }
    recorded.control = r.control ? r.control : TRAJ_DEFAULT_CONTROL;
    /* Another endpoint for frames may be that of another daemon. */
    if (strcmp(r.feed.frames, TRAJ_DEFAULT_FRAMES) == 0) {
        r.control = recorded.control;
    }
    recorded.asked = r.control;
    r.feed.speed = asap ? 0.0 : r.feed.speed;
    r.feed.progress = &r.progress;
    recorded.feed = &r.feed;
    recorded.quiet = r.quiet;
    struct traj_error error = {0};
    interrupt_catch();
    interrupt_tick();
    progress_init(&r.progress, "replay", r.quiet);
    int result = recorded.path ? replay_recording(&recorded, &error) : replay(&r, &error);
    progress_end(&r.progress);
    if (result < 0) {
        return failure("replay", "%s", error.text);
    }
    if (!r.quiet) {
        report(&r);
    }
    return result > 0 ? failure("replay", "interrupted after %zu frames", r.feed.sent) : 0;
}
