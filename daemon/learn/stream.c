/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recorded session as a stream: three sources in ascending time (frames, marks of trials, samples
 * of kinematics) are merged, the earliest first.
 */
#include "daemon/learn/stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/pipeline.h"

/* Events of trials, in the order that those of equal time come in. */
enum rank { STOP, START, GO, LABEL };
#define KINEMATICS_RANK GO /* samples come after a go of the same time and before a label */

struct mark {
    double t;
    enum rank rank;
    size_t trial;
};

struct traj_stream {
    const struct traj_session *session;
    struct traj_stream_options options;
    bool opened;       /* the session event has been given */
    bool targets_told; /* and after it, for recording, where the targets are */
    size_t units_told; /* and the names of so many units */
    struct mark *mark; /* [marks], ascending by time and rank */
    size_t marks, next_mark;
    size_t samples, next_sample; /* samples = 0 where kinematics are not wanted */
    size_t next_bin;
    struct traj_frame frame;
    struct traj_event event;
};

static int compare_marks(const void *left, const void *right)
{
    const struct mark *a = left;
    const struct mark *b = right;
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->trial < b->trial ? -1 : a->trial > b->trial;
}

/*
 * When a trial ends: at its stop, but no later than the next one's start.  A start implies the stop
 * of the trial before it, and a stop that came after would end the wrong trial.
 */
static double end_of_trial(const struct traj_session *session, size_t trial)
{
    double stop = session->stop[trial];
    if (trial + 1 < session->trials && session->start[trial + 1] < stop)
        return session->start[trial + 1];
    return stop;
}

static void add_mark(struct traj_stream *stream, double t, enum rank rank, size_t trial)
{
    stream->mark[stream->marks++] = (struct mark){.t = t, .rank = rank, .trial = trial};
}

static int list_marks(struct traj_stream *stream, struct traj_error *error)
{
    const struct traj_session *session = stream->session;
    if (session->trials == 0)
        return 0;
    stream->mark = calloc(session->trials, 4 * sizeof *stream->mark);
    if (stream->mark == NULL)
        return traj_error_set(error, "%s: no memory for the marks of %zu trials", session->path,
                              session->trials);
    for (size_t r = 0; r < session->trials; r++) {
        double end = end_of_trial(session, r);
        if (stream->options.trials) {
            add_mark(stream, session->start[r], START, r);
            add_mark(stream, end, STOP, r);
            /* A go cue outside its trial (or NaN) is none. */
            if (session->go != NULL && session->go[r] >= session->start[r] && session->go[r] < end)
                add_mark(stream, session->go[r], GO, r);
        }
        if (stream->options.recordings)
            add_mark(stream, end, LABEL, r);
    }
    qsort(stream->mark, stream->marks, sizeof *stream->mark, compare_marks);
    return 0;
}

static int make_buffers(struct traj_stream *stream, struct traj_error *error)
{
    const struct traj_session *session = stream->session;
    size_t units = stream->options.units_out;
    struct traj_frame *frame = &stream->frame;
    frame->counts = calloc(units > 0 ? units : 1, sizeof *frame->counts);
    frame->feature = calloc(session->features > 0 ? session->features : 1, sizeof *frame->feature);
    if (frame->counts == NULL || frame->feature == NULL)
        return traj_error_set(error, "%s: no memory for a frame of %zu units and %zu features",
                              session->path, units, session->features);
    frame->units = frame->units_max = units;
    frame->features = frame->features_max = session->features;
    return 0;
}

struct traj_stream *traj_stream_open(const struct traj_session *session,
                                     const struct traj_stream_options *options,
                                     struct traj_error *error)
{
    struct traj_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        (void)traj_error_set(error, "%s: no memory for a stream", session->path);
        return NULL;
    }
    stream->session = session;
    stream->options = *options;
    if (options->unit_map == NULL)
        stream->options.units_out = session->units;
    if (options->recordings)
        stream->samples = session->samples;
    if (make_buffers(stream, error) != 0 || list_marks(stream, error) != 0) {
        traj_stream_close(stream);
        return NULL;
    }
    return stream;
}

void traj_stream_close(struct traj_stream *stream)
{
    if (stream == NULL)
        return;
    free(stream->frame.counts);
    free(stream->frame.feature);
    free(stream->mark);
    free(stream);
}

/* An event of a kind that says nothing yet; the numbers beyond count stay as they were. */
static struct traj_event *new_event(struct traj_stream *stream, enum traj_event_kind kind, double t)
{
    struct traj_event *event = &stream->event;
    event->kind = kind;
    event->t = t;
    event->marks = false;
    event->target = -1;
    event->go = (double)NAN;
    event->rewarded = (double)NAN;
    event->start = event->stop = event->move = (double)NAN;
    event->first = 0;
    event->dim = 0;
    event->count = 0;
    event->ids = 0;
    event->text[0] = '\0';
    event->subject[0] = '\0';
    event->length_unit[0] = '\0';
    event->description[0] = '\0';
    return event;
}

/* The name of the run: the file's, without its folder, cut where a UTF-8 character begins. */
static void name_run(const char *path, char *text, size_t cap)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);
    if (length >= cap) {
        length = cap - 1;
        while (length > 0 && ((unsigned char)name[length] & 0xc0u) == 0x80u)
            length--;
    }
    memcpy(text, name, length);
    text[length] = '\0';
}

static void copy_text(char *to, const char *from, size_t cap)
{
    size_t length = strnlen(from, cap - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

/* When the session begins: with its first bin, or else its first sample. */
static double begin_of(const struct traj_session *session)
{
    if (session->bins > 0)
        return session->t_end[0] - session->dt[0];
    return session->samples > 0 ? session->kin_t[0] : 0.0;
}

/* Whether one event can carry the targets. */
static bool targets_fit(const struct traj_session *session)
{
    return session->targets > 0 && session->targets <= TRAJ_EVENT_IDS_MAX &&
           session->targets * session->target_dim <= TRAJ_EVENT_VALUES_MAX;
}

static bool tells_targets(const struct traj_stream *stream)
{
    return (stream->options.recordings || stream->options.targets) && targets_fit(stream->session);
}

static void open_session(struct traj_stream *stream)
{
    struct traj_event *event = new_event(stream, TRAJ_EVENT_SESSION, (double)NAN);
    event->marks = stream->options.trials && stream->session->trials > 0;
    name_run(stream->session->path, event->text, sizeof event->text);
    /* Where places are told, a recording of the stream must say in what unit. */
    if (stream->options.recordings || tells_targets(stream))
        copy_text(event->length_unit, stream->session->length_unit, sizeof event->length_unit);
    if (!stream->options.recordings)
        return;
    copy_text(event->subject, stream->session->subject, sizeof event->subject);
    copy_text(event->description, stream->session->description, sizeof event->description);
}

static void give_targets(struct traj_stream *stream)
{
    const struct traj_session *session = stream->session;
    struct traj_event *event = new_event(stream, TRAJ_EVENT_TARGETS, begin_of(session));
    copy_text(event->text, "targets", sizeof event->text);
    event->ids = session->targets;
    event->dim = session->target_dim;
    event->count = session->targets * session->target_dim;
    memcpy(event->value, session->target_position, event->count * sizeof event->value[0]);
    for (size_t m = 0; m < session->targets; m++)
        copy_text(event->id[m], session->target_id[m], TRAJ_EVENT_ID_SIZE);
}

/* Whether every unit that the stream gives has a name. */
static bool units_are_named(const struct traj_stream *stream)
{
    const struct traj_session *session = stream->session;
    const size_t *map = stream->options.unit_map;
    if (session->unit_name == NULL || session->units == 0)
        return false;
    for (size_t n = 0; map != NULL && n < stream->options.units_out; n++) {
        if (map[n] >= session->units)
            return false;
    }
    return true;
}

static void give_units(struct traj_stream *stream)
{
    const struct traj_session *session = stream->session;
    const size_t *map = stream->options.unit_map;
    struct traj_event *event = new_event(stream, TRAJ_EVENT_UNITS, begin_of(session));
    event->first = stream->units_told;
    while (stream->units_told < stream->options.units_out && event->ids < TRAJ_EVENT_IDS_MAX) {
        size_t n = stream->units_told++;
        size_t column = map != NULL ? map[n] : n;
        copy_text(event->id[event->ids++], session->unit_name[column], TRAJ_EVENT_ID_SIZE);
    }
}

/* What opens the stream, one event at a time; false when all of it has been given. */
static bool give_opening(struct traj_stream *stream)
{
    if (!stream->opened) {
        stream->opened = true;
        open_session(stream);
        return true;
    }
    if (!stream->targets_told && tells_targets(stream)) {
        stream->targets_told = true;
        give_targets(stream);
        return true;
    }
    if (!stream->options.recordings)
        return false;
    if (stream->units_told < stream->options.units_out && units_are_named(stream)) {
        give_units(stream);
        return true;
    }
    return false;
}

static void give_mark(struct traj_stream *stream, const struct mark *mark)
{
    static const enum traj_event_kind kind[] = {[STOP] = TRAJ_EVENT_TRIAL_STOP,
                                                [START] = TRAJ_EVENT_TRIAL_START,
                                                [GO] = TRAJ_EVENT_GO,
                                                [LABEL] = TRAJ_EVENT_TRIAL_LABEL};
    const struct traj_session *session = stream->session;
    struct traj_event *event = new_event(stream, kind[mark->rank], mark->t);
    if (mark->rank != LABEL)
        return;
    if (session->target != NULL)
        event->target = session->target[mark->trial];
    if (session->go != NULL)
        event->go = session->go[mark->trial];
    if (session->rewarded != NULL)
        event->rewarded = session->rewarded[mark->trial];
    event->start = session->start[mark->trial];
    event->stop = session->stop[mark->trial];
    if (session->move != NULL)
        event->move = session->move[mark->trial];
}

static void give_sample(struct traj_stream *stream, size_t sample)
{
    const struct traj_session *session = stream->session;
    size_t dim = session->dim;
    struct traj_event *event = new_event(stream, TRAJ_EVENT_KINEMATICS, session->kin_t[sample]);
    event->dim = dim;
    event->count = dim;
    memcpy(event->value, session->position + sample * dim, dim * sizeof event->value[0]);
    if (session->velocity == NULL)
        return;
    event->count = 2 * dim;
    memcpy(event->value + dim, session->velocity + sample * dim, dim * sizeof event->value[0]);
}

static void give_frame(struct traj_stream *stream, size_t bin)
{
    const struct traj_session *session = stream->session;
    struct traj_frame *frame = &stream->frame;
    frame->seq = bin;
    frame->t = session->t_end[bin];
    frame->dt = session->dt[bin];
    const size_t *map = stream->options.unit_map;
    for (size_t n = 0; n < frame->units; n++) {
        size_t column = map != NULL ? map[n] : n;
        frame->counts[n] = column < session->units ? session->counts[bin * session->units + column]
                                                   : (uint16_t)TRAJ_COUNT_MISSING;
    }
    if (frame->features > 0)
        memcpy(frame->feature, session->feature + bin * frame->features,
               frame->features * sizeof frame->feature[0]);
}

/* Whether the next sample comes before the next mark; one of both exists. */
static bool sample_is_first(const struct traj_stream *stream)
{
    if (stream->next_sample >= stream->samples)
        return false;
    if (stream->next_mark >= stream->marks)
        return true;
    double t = stream->session->kin_t[stream->next_sample];
    const struct mark *mark = &stream->mark[stream->next_mark];
    return t != mark->t ? t < mark->t : mark->rank > KINEMATICS_RANK;
}

/* Whether an event of time t comes before the next frame; the pipeline's own rule. */
static bool before_frame(const struct traj_stream *stream, double t)
{
    if (stream->next_bin >= stream->session->bins)
        return true;
    return stream->session->t_end[stream->next_bin] - t > TRAJ_TIME_GRACE;
}

/* Gives the next event that comes before the next frame; false if there is none. */
static bool give_event(struct traj_stream *stream)
{
    if (give_opening(stream))
        return true;
    if (stream->next_mark >= stream->marks && stream->next_sample >= stream->samples)
        return false;
    if (sample_is_first(stream)) {
        if (!before_frame(stream, stream->session->kin_t[stream->next_sample]))
            return false;
        give_sample(stream, stream->next_sample++);
        return true;
    }
    const struct mark *mark = &stream->mark[stream->next_mark];
    if (!before_frame(stream, mark->t))
        return false;
    stream->next_mark++;
    give_mark(stream, mark);
    return true;
}

enum traj_stream_item traj_stream_next(struct traj_stream *stream, const struct traj_frame **frame,
                                       const struct traj_event **event)
{
    *frame = NULL;
    *event = NULL;
    if (give_event(stream)) {
        *event = &stream->event;
        return TRAJ_STREAM_EVENT;
    }
    if (stream->next_bin >= stream->session->bins)
        return TRAJ_STREAM_END;
    give_frame(stream, stream->next_bin++);
    *frame = &stream->frame;
    return TRAJ_STREAM_FRAME;
}
