/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording as a session; see recording_session.h. */
#include "daemon/learn/recording_session.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/frame_check.h"
#include "daemon/learn/recording_file.h"
#include "proto/event.h"
#include "proto/frame.h"

/* Elements of one size, as many as come. */
struct list {
    char *item;
    size_t count, cap, size;
};

struct bin {
    uint64_t seq;
    double t, dt;
    size_t order;  /* of arrival: where its counts and features stand */
    unsigned code; /* enum traj_record_disposition */
    double bound;  /* t of the next that was decoded */
};

struct sample {
    double t;
    size_t order;
    bool velocity;
};

struct trial {
    double start, stop, go, move, rewarded, told; /* told: t of the label */
    int32_t target;
};

struct gathering {
    const char *path;
    struct traj_recording_omissions *omissions;
    struct traj_error *error;
    struct traj_frame frame;
    struct traj_event *event;

    size_t run, wanted; /* number of session events so far; the one that is gathered */
    bool named;         /* session event of the run */
    char subject[64], length_unit[TRAJ_ID_SIZE], description[512];

    size_t units, features, dim;
    struct list bins, counts, feature;
    struct list samples, values;
    struct list labels, marks;
    struct list names; /* char[TRAJ_ID_SIZE], as far as they were told without a hole */
    struct traj_event *targets;
    bool has_targets;
};

/* --- lists ------------------------------------------------------------------------------------ */

/* Room for so many more elements, zeroed; NULL with a sentence. */
static void *append(struct gathering *g, struct list *list, size_t size, size_t count)
{
    list->size = size;
    if (list->item == NULL || list->count + count > list->cap) {
        size_t cap = 2 * (list->count + count) + 64;
        char *larger = cap < SIZE_MAX / 2 / size ? realloc(list->item, cap * size) : NULL;
        if (larger == NULL) {
            (void)traj_error_set(g->error, "%s: memory is short", g->path);
            return NULL;
        }
        list->item = larger;
        list->cap = cap;
    }
    char *place = list->item + list->count * size;
    memset(place, 0, count * size);
    list->count += count;
    return place;
}

#define AT(list, type, i) ((type *)(void *)(list).item + (i))

/* --- frames ----------------------------------------------------------------------------------- */

static int take_frame(struct gathering *g, const struct traj_record *record)
{
    if (record->code == TRAJ_RECORD_DUPLICATE) {
        g->omissions->duplicate++;
        return 0;
    }
    if (traj_frame_parse(record->payload, record->size, &g->frame, NULL) != TRAJ_ACCEPTED ||
        !traj_time_is_sane(g->frame.t)) {
        g->omissions->refused++;
        return 0;
    }
    const struct traj_frame *frame = &g->frame;
    if (g->bins.count == 0) {
        g->units = frame->units;
        g->features = frame->features;
    }
    if (frame->units != g->units || frame->features != g->features) {
        g->omissions->other++;
        return 0;
    }
    size_t order = g->bins.count;
    struct bin *bin = append(g, &g->bins, sizeof *bin, 1);
    uint16_t *counts = append(g, &g->counts, sizeof *counts, g->units);
    float *feature = append(g, &g->feature, sizeof *feature, g->features);
    if (bin == NULL || counts == NULL || feature == NULL)
        return -1;
    *bin = (struct bin){
        .seq = frame->seq, .t = frame->t, .dt = frame->dt, .order = order, .code = record->code};
    memcpy(counts, frame->counts, g->units * sizeof *counts);
    memcpy(feature, frame->feature, g->features * sizeof *feature);
    return 0;
}

/* Of several that have one seq one that was decoded goes first, and one that was refused last. */
static int compare_bins(const void *left, const void *right)
{
    const struct bin *a = left, *b = right;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    if (a->code != b->code)
        return a->code < b->code ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Says of each bin how late it may be: what was decoded went forward, and bounds all before it. */
static void bound_bins(struct gathering *g)
{
    double bound = (double)INFINITY;
    for (size_t i = g->bins.count; i-- > 0;) {
        struct bin *bin = AT(g->bins, struct bin, i);
        bin->bound = bound;
        if (bin->code == TRAJ_RECORD_DECODED)
            bound = bin->t;
    }
}

/*
 * Puts the bins in the order of seq and leaves out what does not go forward; returns how many.
 * Where a frame that was not decoded contradicts one that was, the latter stays.
 */
static size_t order_bins(struct gathering *g)
{
    size_t kept = 0;
    if (g->bins.count > 0)
        qsort(g->bins.item, g->bins.count, sizeof(struct bin), compare_bins);
    bound_bins(g);
    for (size_t i = 0; i < g->bins.count; i++) {
        const struct bin *bin = AT(g->bins, struct bin, i);
        const struct bin *last = kept > 0 ? AT(g->bins, struct bin, kept - 1) : NULL;
        bool ahead = bin->code != TRAJ_RECORD_DECODED && bin->t >= bin->bound;
        if (last != NULL && bin->seq == last->seq) {
            g->omissions->duplicate++;
        } else if (ahead || (last != NULL && bin->t <= last->t)) {
            g->omissions->backwards++;
        } else {
            *AT(g->bins, struct bin, kept) = *bin;
            kept++;
        }
    }
    return kept;
}

/* --- events ----------------------------------------------------------------------------------- */

static int take_sample(struct gathering *g, const struct traj_event *event)
{
    if (g->samples.count == 0)
        g->dim = event->dim;
    if (event->dim != g->dim) {
        g->omissions->other++;
        return 0;
    }
    size_t order = g->samples.count;
    struct sample *sample = append(g, &g->samples, sizeof *sample, 1);
    double *value = append(g, &g->values, sizeof *value, 2 * g->dim);
    if (sample == NULL || value == NULL)
        return -1;
    *sample =
        (struct sample){.t = event->t, .order = order, .velocity = event->count == 2 * g->dim};
    memcpy(value, event->value, event->count * sizeof *value);
    return 0;
}

static struct trial *last_mark(struct gathering *g)
{
    return g->marks.count > 0 ? AT(g->marks, struct trial, g->marks.count - 1) : NULL;
}

static int take_mark(struct gathering *g, const struct traj_event *event)
{
    struct trial *trial = last_mark(g);
    if (event->kind == TRAJ_EVENT_TRIAL_START) {
        if (trial != NULL && trial->start == event->t)
            return 0;
        if (trial != NULL && isnan(trial->stop))
            trial->stop = event->t;
        trial = append(g, &g->marks, sizeof *trial, 1);
        if (trial == NULL)
            return -1;
        *trial = (struct trial){.start = event->t,
                                .stop = NAN,
                                .go = NAN,
                                .move = NAN,
                                .rewarded = NAN,
                                .told = NAN,
                                .target = -1};
    } else if (trial != NULL && event->t > trial->start && isnan(trial->stop)) {
        *(event->kind == TRAJ_EVENT_GO ? &trial->go : &trial->stop) = event->t;
    }
    return 0;
}

/* What the marks before a label say where it does not say so itself. */
static void complete_label(struct gathering *g, struct trial *label)
{
    for (size_t i = g->marks.count; i-- > 0;) {
        const struct trial *mark = AT(g->marks, struct trial, i);
        if (isnan(label->start) && mark->start < label->told)
            label->start = mark->start;
        if (mark->start != label->start)
            continue;
        if (isnan(label->stop))
            label->stop = isnan(mark->stop) ? label->told : mark->stop;
        if (isnan(label->go))
            label->go = mark->go;
        return;
    }
}

static int take_label(struct gathering *g, const struct traj_event *event)
{
    struct trial label = {.start = event->start,
                          .stop = event->stop,
                          .go = event->go,
                          .move = event->move,
                          .rewarded = event->rewarded,
                          .told = event->t,
                          .target = event->target};
    complete_label(g, &label);
    if (isnan(label.start) || isnan(label.stop)) {
        g->omissions->refused++;
        return 0;
    }
    /* The same label sent twice, for safety, is one. */
    if (g->labels.count > 0 &&
        AT(g->labels, struct trial, g->labels.count - 1)->start == label.start)
        return 0;
    struct trial *place = append(g, &g->labels, sizeof *place, 1);
    if (place == NULL)
        return -1;
    *place = label;
    return 0;
}

static int take_units(struct gathering *g, const struct traj_event *event)
{
    if (event->first != g->names.count)
        return 0;
    char(*name)[TRAJ_ID_SIZE] = append(g, &g->names, sizeof *name, event->ids);
    if (name == NULL)
        return -1;
    for (size_t i = 0; i < event->ids; i++)
        memcpy(name[i], event->id[i], TRAJ_EVENT_ID_SIZE);
    return 0;
}

static void take_session(struct gathering *g, const struct traj_event *event)
{
    g->named = true;
    (void)snprintf(g->subject, sizeof g->subject, "%s", event->subject);
    (void)snprintf(g->length_unit, sizeof g->length_unit, "%s", event->length_unit);
    (void)snprintf(g->description, sizeof g->description, "%s", event->description);
}

static int take_event(struct gathering *g, const struct traj_event *event)
{
    switch (event->kind) {
    case TRAJ_EVENT_SESSION:
        take_session(g, event);
        return 0;
    case TRAJ_EVENT_KINEMATICS:
        return take_sample(g, event);
    case TRAJ_EVENT_TRIAL_START:
    case TRAJ_EVENT_GO:
    case TRAJ_EVENT_TRIAL_STOP:
        return take_mark(g, event);
    case TRAJ_EVENT_TRIAL_LABEL:
        return take_label(g, event);
    case TRAJ_EVENT_TARGETS:
        *g->targets = *event;
        g->has_targets = true;
        return 0;
    case TRAJ_EVENT_UNITS:
        return take_units(g, event);
    default:
        return 0;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Parses a record's event; false where it has none. */
static bool event_of(struct gathering *g, const struct traj_record *record)
{
    uint64_t number;
    const void *body;
    size_t size;
    return traj_recorded_event(record, &number, &body, &size) &&
           traj_event_parse(body, size, g->event, NULL) == TRAJ_ACCEPTED;
}

static bool is_loss(const struct traj_recording_item *item)
{
    struct traj_recorded_loss loss;
    return item->found == TRAJ_FOUND_BROKEN || item->found == TRAJ_FOUND_GAP ||
           (item->found == TRAJ_FOUND_RECORD && traj_recorded_loss(&item->record, &loss) &&
            loss.inputs > 0);
}

static int gather_item(struct gathering *g, const struct traj_recording_item *item)
{
    const struct traj_record *record = &item->record;
    if (is_loss(item)) {
        g->omissions->lost += g->run == g->wanted;
        return 0;
    }
    if (item->found == TRAJ_FOUND_NO_PART)
        g->omissions->part = item->count;
    if (item->found != TRAJ_FOUND_RECORD)
        return 0;
    if (record->kind == TRAJ_RECORD_FRAME)
        return g->run == g->wanted ? take_frame(g, record) : 0;
    if (record->kind != TRAJ_RECORD_EVENT && record->kind != TRAJ_RECORD_CONTROL)
        return 0;
    bool good = event_of(g, record);
    g->run += good && g->event->kind == TRAJ_EVENT_SESSION;
    if (g->run != g->wanted)
        return 0;
    g->omissions->refused += !good;
    return good ? take_event(g, g->event) : 0;
}

static int gather(struct gathering *g)
{
    struct traj_recording_item item;
    int result = 0, more = 0;
    struct traj_recording *recording = traj_recording_open(g->path, g->error);
    while (recording != NULL && result == 0 &&
           (more = traj_recording_next(recording, &item, g->error)) > 0)
        result = gather_item(g, &item);
    traj_recording_close(recording);
    return recording == NULL || more < 0 ? -1 : result;
}

/* A run from which something can be learned. */
struct run {
    size_t events; /* session events up to its own */
    char name[64];
    size_t frames;
};

/* What the first reading finds of runs. */
struct runs {
    size_t events; /* session events so far */
    char name[64]; /* of the run under way */
    struct list list;
};

static int note_run(struct gathering *g, struct runs *runs, bool frame)
{
    struct run *run =
        runs->list.count > 0 ? AT(runs->list, struct run, runs->list.count - 1) : NULL;
    if (run == NULL || run->events != runs->events) {
        run = append(g, &runs->list, sizeof *run, 1);
        if (run == NULL)
            return -1;
        run->events = runs->events;
        memcpy(run->name, runs->name, sizeof run->name);
    }
    run->frames += frame;
    return 0;
}

static int find_runs(struct gathering *g, struct runs *runs)
{
    struct traj_recording_item item;
    int result = 0, more = 0;
    struct traj_recording *recording = traj_recording_open(g->path, g->error);
    while (recording != NULL && result == 0 &&
           (more = traj_recording_next(recording, &item, g->error)) > 0) {
        if (item.found != TRAJ_FOUND_RECORD)
            continue;
        bool event = event_of(g, &item.record), frame = item.record.kind == TRAJ_RECORD_FRAME;
        if (event && g->event->kind == TRAJ_EVENT_SESSION) {
            runs->events++;
            memcpy(runs->name, g->event->text, sizeof runs->name);
        } else if (frame || (event && g->event->kind == TRAJ_EVENT_KINEMATICS)) {
            result = note_run(g, runs, frame);
        }
    }
    traj_recording_close(recording);
    return recording == NULL || more < 0 ? -1 : result;
}

static bool is_chosen(const struct runs *runs, size_t i, const struct traj_recording_choice *choice)
{
    return choice->number > 0 ? i + 1 == choice->number
                              : choice->run == NULL ||
                                    strcmp(choice->run, AT(runs->list, struct run, i)->name) == 0;
}

/* Says which runs could have been meant, as many as a sentence holds. */
static int refuse_runs(struct gathering *g, const struct runs *runs,
                       const struct traj_recording_choice *choice)
{
    char list[300];
    size_t length = 0;
    for (size_t i = 0; i < runs->list.count && length < sizeof list; i++) {
        const struct run *run = AT(runs->list, struct run, i);
        if (is_chosen(runs, i, choice))
            length += (size_t)snprintf(list + length, sizeof list - length,
                                       "%s%zu \"%.63s\" (%zu frames)", length > 0 ? ", " : "",
                                       i + 1, run->name, run->frames);
    }
    if (choice->run != NULL)
        return traj_error_set(g->error,
                              "%s holds several runs called \"%s\", of which one must be chosen "
                              "by its number: %s",
                              g->path, choice->run, list);
    return traj_error_set(g->error,
                          "%s holds several runs, of which one must be chosen by name or number: "
                          "%s",
                          g->path, list);
}

/* Finds the run that is wanted. */
static int choose_among(struct gathering *g, const struct runs *runs,
                        const struct traj_recording_choice *choice)
{
    size_t good = 0;
    for (size_t i = 0; i < runs->list.count; i++) {
        if (is_chosen(runs, i, choice)) {
            g->wanted = AT(runs->list, struct run, i)->events;
            good++;
        }
    }
    if (good == 1)
        return 0;
    if (good > 1)
        return refuse_runs(g, runs, choice);
    if (choice->number > 0)
        return traj_error_set(g->error, "%s: no run %zu: %zu have frames or kinematics", g->path,
                              choice->number, runs->list.count);
    return traj_error_set(g->error, "%s: no frames or kinematics%s%s%s", g->path,
                          choice->run != NULL ? " of a run \"" : "",
                          choice->run != NULL ? choice->run : "", choice->run != NULL ? "\"" : "");
}

static int choose_run(struct gathering *g, const struct traj_recording_choice *choice)
{
    struct runs runs = {.events = 0};
    int result = find_runs(g, &runs) == 0 ? choose_among(g, &runs, choice) : -1;
    free(runs.list.item);
    return result;
}

/* --- the session ------------------------------------------------------------------------------ */

static int make_frames(struct gathering *g, struct traj_session *session)
{
    size_t bins = order_bins(g);
    unsigned parts = g->units > 0 && g->names.count == g->units ? TRAJ_SESSION_UNIT_NAME : 0u;
    if (bins == 0)
        return 0;
    if (traj_session_make_frames(session, bins, g->units, g->features, parts, g->error) != 0)
        return -1;
    for (size_t i = 0; i < bins; i++) {
        const struct bin *bin = AT(g->bins, struct bin, i);
        session->t_end[i] = bin->t;
        session->dt[i] = bin->dt;
        if (g->units > 0)
            memcpy(session->counts + i * g->units, AT(g->counts, uint16_t, bin->order * g->units),
                   g->units * sizeof(uint16_t));
        if (g->features > 0)
            memcpy(session->feature + i * g->features,
                   AT(g->feature, float, bin->order * g->features), g->features * sizeof(float));
    }
    if (parts != 0)
        memcpy(session->unit_name, g->names.item, g->units * sizeof *session->unit_name);
    return 0;
}

static int compare_samples(const void *left, const void *right)
{
    const struct sample *a = left, *b = right;
    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int make_kinematics(struct gathering *g, struct traj_session *session)
{
    size_t kept = 0;
    bool velocity = true;
    if (g->samples.count == 0)
        return 0;
    qsort(g->samples.item, g->samples.count, sizeof(struct sample), compare_samples);
    for (size_t i = 0; i < g->samples.count; i++) {
        const struct sample *sample = AT(g->samples, struct sample, i);
        if (kept > 0 && AT(g->samples, struct sample, kept - 1)->t == sample->t) {
            g->omissions->duplicate++;
            continue;
        }
        velocity = velocity && sample->velocity;
        *AT(g->samples, struct sample, kept) = *sample;
        kept++;
    }
    if (traj_session_make_kinematics(session, kept, g->dim, velocity ? TRAJ_SESSION_VELOCITY : 0u,
                                     g->error) != 0)
        return -1;
    for (size_t i = 0; i < kept; i++) {
        const struct sample *sample = AT(g->samples, struct sample, i);
        const double *value = AT(g->values, double, sample->order * 2 * g->dim);
        session->kin_t[i] = sample->t;
        memcpy(session->position + i * g->dim, value, g->dim * sizeof *value);
        if (velocity)
            memcpy(session->velocity + i * g->dim, value + g->dim, g->dim * sizeof *value);
    }
    return 0;
}

static int make_targets(struct gathering *g, struct traj_session *session)
{
    const struct traj_event *event = g->targets;
    if (!g->has_targets)
        return 0;
    if (traj_session_make_targets(session, event->ids, event->dim, g->error) != 0)
        return -1;
    memcpy(session->target_position, event->value, event->count * sizeof event->value[0]);
    for (size_t m = 0; m < event->ids; m++)
        memcpy(session->target_id[m], event->id[m], TRAJ_EVENT_ID_SIZE);
    return 0;
}

static int compare_trials(const void *left, const void *right)
{
    const struct trial *a = left, *b = right;
    return a->start < b->start ? -1 : a->start > b->start;
}

/* Trials of the marks that have come to an end. */
static size_t whole_marks(struct gathering *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->marks.count; i++) {
        const struct trial *trial = AT(g->marks, struct trial, i);
        if (trial->stop > trial->start) {
            *AT(g->marks, struct trial, kept) = *trial;
            kept++;
        }
    }
    return kept;
}

static int make_trials(struct gathering *g, struct traj_session *session)
{
    struct list *list = g->labels.count > 0 ? &g->labels : &g->marks;
    size_t count = g->labels.count > 0 ? g->labels.count : whole_marks(g);
    unsigned parts = 0;
    if (count == 0)
        return 0;
    qsort(list->item, count, sizeof(struct trial), compare_trials);
    for (size_t r = 0; r < count; r++) {
        const struct trial *trial = AT(*list, struct trial, r);
        parts |= (isnan(trial->go) ? 0u : TRAJ_SESSION_GO) |
                 (isnan(trial->move) ? 0u : TRAJ_SESSION_MOVE) |
                 (isnan(trial->rewarded) ? 0u : TRAJ_SESSION_REWARDED) |
                 (trial->target < 0 ? 0u : TRAJ_SESSION_TARGET);
    }
    if (traj_session_make_trials(session, count, parts, g->error) != 0)
        return -1;
    for (size_t r = 0; r < count; r++) {
        const struct trial *trial = AT(*list, struct trial, r);
        session->start[r] = trial->start;
        session->stop[r] = trial->stop;
        if (session->go != NULL)
            session->go[r] = trial->go;
        if (session->move != NULL)
            session->move[r] = trial->move;
        if (session->rewarded != NULL)
            session->rewarded[r] = trial->rewarded;
        if (session->target != NULL)
            session->target[r] = trial->target;
    }
    return 0;
}

static void put_text(char *to, size_t cap, const char *chosen, const char *told)
{
    (void)snprintf(to, cap, "%s", chosen != NULL ? chosen : told);
}

static struct traj_session *make_session(struct gathering *g, const char *name,
                                         const struct traj_recording_choice *choice)
{
    struct traj_session *session = traj_session_new(name);
    if (session == NULL) {
        (void)traj_error_set(g->error, "%s: memory is short", g->path);
        return NULL;
    }
    put_text(session->subject, sizeof session->subject, choice->subject, g->subject);
    put_text(session->length_unit, sizeof session->length_unit, choice->length_unit,
             g->length_unit);
    put_text(session->description, sizeof session->description, choice->description,
             g->description);
    if (make_frames(g, session) != 0 || make_kinematics(g, session) != 0 ||
        make_targets(g, session) != 0 || make_trials(g, session) != 0 ||
        traj_session_check(session, g->error) != 0) {
        traj_session_free(session);
        return NULL;
    }
    return session;
}

static void drop(struct gathering *g)
{
    struct list *const lists[] = {&g->bins,   &g->counts, &g->feature, &g->samples,
                                  &g->values, &g->labels, &g->marks,   &g->names};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        free(lists[i]->item);
    free(g->frame.counts);
    free(g->frame.feature);
    free(g->event);
    free(g->targets);
}

struct traj_session *traj_recording_session(const char *path, const char *name,
                                            const struct traj_recording_choice *choice,
                                            struct traj_recording_omissions *omissions,
                                            struct traj_error *error)
{
    struct gathering g = {.path = path, .omissions = omissions, .error = error};
    struct traj_session *session = NULL;
    memset(omissions, 0, sizeof *omissions);
    g.event = malloc(sizeof *g.event);
    g.targets = malloc(sizeof *g.targets);
    g.frame.counts = malloc(TRAJ_UNITS_MAX * sizeof *g.frame.counts);
    g.frame.feature = malloc(TRAJ_UNITS_MAX * sizeof *g.frame.feature);
    g.frame.units_max = g.frame.features_max = TRAJ_UNITS_MAX;
    if (g.event == NULL || g.targets == NULL || g.frame.counts == NULL || g.frame.feature == NULL)
        (void)traj_error_set(error, "%s: memory is short", path);
    else if (choose_run(&g, choice) == 0 && gather(&g) == 0)
        session = make_session(&g, name, choice);
    drop(&g);
    return session;
}
