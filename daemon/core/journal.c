/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the decode thread tells the recorder; see journal.h. */
#include "daemon/core/journal.h"

#include <assert.h>
#include <string.h>

#include "daemon/core/queue.h"

/* Room for one loss and what is told with it, and for the end of the recording. */
#define BOOKKEEPING ((size_t)8192)
/* The most that an event takes as JSON: its numbers, names and texts at their longest. */
#define EVENT_MAX ((size_t)131072)

static_assert(TRAJ_RECORDED_MODEL_MAX + TRAJ_RECORDED_SETTINGS_MAX + 1024 < BOOKKEEPING,
              "what is told of a loss fits into its room");
static_assert(TRAJ_DIM_MAX <= TRAJ_RECORDING_DIM_MAX, "a workspace can be recorded");
static_assert(TRAJ_QUEUE_CAPACITY <= TRAJ_RECORDING_EFFECTS, "all that waited can be told");
static_assert((int)TRAJ_DECODED == TRAJ_RECORD_DECODED && (int)TRAJ_LATE == TRAJ_RECORD_LATE &&
                  (int)TRAJ_DUPLICATE == TRAJ_RECORD_DUPLICATE &&
                  (int)TRAJ_INVALID == TRAJ_RECORD_INVALID,
              "dispositions are recorded as they are");

void traj_journal_init(struct traj_journal *journal, struct traj_tape *tape)
{
    memset(journal, 0, sizeof *journal);
    journal->tape = tape;
}

/* --- one record on the tape ------------------------------------------------------------------- */

/*
 * A record's payload is a few numbers of its kind and then a body; either may be empty.  A payload
 * that no reader would take for one is not put down, although messages may be longer.
 */
static bool put(struct traj_journal *journal, const struct traj_record *record, const void *body,
                size_t size)
{
    if (size > TRAJ_RECORD_PAYLOAD_MAX - record->size)
        return false;
    unsigned char *place =
        traj_tape_reserve(journal->tape, TRAJ_RECORD_HEADER + record->size + size);
    if (place == NULL)
        return false;
    struct traj_record whole = *record;
    whole.size += size;
    traj_record_put_header(&whole, place);
    place += TRAJ_RECORD_HEADER;
    if (record->size > 0)
        memcpy(place, record->payload, record->size);
    if (size > 0)
        memcpy(place + record->size, body, size);
    traj_tape_commit(journal->tape, TRAJ_RECORD_HEADER + whole.size);
    journal->number += record->carried ? 0 : 1;
    journal->records++;
    return true;
}

static struct traj_record new_record(const struct traj_journal *journal, enum traj_record_kind kind,
                                     struct traj_moment moment)
{
    return (struct traj_record){
        .kind = kind, .number = journal->number, .frame = moment.frame, .stamp = moment.stamp};
}

static bool put_model(struct traj_journal *journal, enum traj_record_model how, bool carried,
                      struct traj_moment moment)
{
    unsigned char payload[TRAJ_RECORDED_MODEL_MAX];
    struct traj_record record = new_record(journal, TRAJ_RECORD_MODEL, moment);
    record.size = traj_recorded_put_model(&journal->model, payload);
    record.payload = payload;
    record.code = how;
    record.carried = carried;
    return put(journal, &record, NULL, 0);
}

/* Nothing to do where the tables are those of the model's file. */
static bool put_retune(struct traj_journal *journal, enum traj_record_retune how, bool carried,
                       struct traj_moment moment)
{
    struct traj_record record = new_record(journal, TRAJ_RECORD_RETUNE, moment);
    record.code = how;
    record.carried = carried;
    return journal->retune == NULL || put(journal, &record, journal->retune, journal->retune_size);
}

static bool put_settings(struct traj_journal *journal, bool carried, struct traj_moment moment)
{
    unsigned char payload[TRAJ_RECORDED_SETTINGS_MAX];
    struct traj_record record = new_record(journal, TRAJ_RECORD_SETTINGS, moment);
    record.size = traj_recorded_put_settings(&journal->settings, payload);
    record.payload = payload;
    record.carried = carried;
    return put(journal, &record, NULL, 0);
}

static bool put_pause(struct traj_journal *journal, bool carried, struct traj_moment moment)
{
    struct traj_record record = new_record(journal, TRAJ_RECORD_PAUSE, moment);
    record.code = journal->paused ? 1 : 0;
    record.carried = carried;
    return put(journal, &record, NULL, 0);
}

/* Tells of the loss, and what a reader must know to go on; there is room, or it stays untold. */
static void tell_loss(struct traj_journal *journal, struct traj_moment moment)
{
    struct traj_recorded_loss loss = {.records = journal->lost, .inputs = journal->lost_inputs};
    unsigned char payload[TRAJ_RECORDED_LOSS];
    struct traj_record record = new_record(journal, TRAJ_RECORD_LOST, moment);
    record.code = TRAJ_RECORD_LOST_BUFFER;
    /* It has the number of the first that is lost; the next has that of the first that is not. */
    record.number = journal->number - journal->lost;
    record.size = traj_recorded_put_loss(&loss, payload);
    record.payload = payload;
    record.carried = true;
    if (!put(journal, &record, NULL, 0))
        return;
    journal->lost = 0;
    journal->lost_inputs = 0;
    /* Where only what went out is missing, a reader still knows the rest. */
    if (loss.inputs == 0)
        return;
    (void)put_model(journal, TRAJ_RECORD_MODEL_RUNS, true, moment);
    (void)put_retune(journal, TRAJ_RECORD_RETUNE_RUNS, true, moment);
    (void)put_settings(journal, true, moment);
    (void)put_pause(journal, true, moment);
}

static void lose(struct traj_journal *journal, bool input)
{
    journal->number++;
    journal->lost++;
    journal->lost_all++;
    journal->lost_inputs += input;
    journal->lost_inputs_all += input;
}

/* Whether a record of so many bytes may be put down now; what was lost before is told first. */
static bool make_room(struct traj_journal *journal, size_t size, bool input,
                      struct traj_moment moment)
{
    size_t spare = input ? BOOKKEEPING : traj_tape_capacity(journal->tape) / 4;
    size_t needed = size + (journal->lost > 0 ? BOOKKEEPING + journal->retune_size : 0);
    if (traj_tape_room(journal->tape, spare) < needed) {
        lose(journal, input);
        return false;
    }
    if (journal->lost > 0)
        tell_loss(journal, moment);
    return true;
}

static void push(struct traj_journal *journal, struct traj_record *record, const void *body,
                 size_t size, struct traj_moment moment)
{
    bool input = traj_record_is_input(record->kind);
    size_t length = TRAJ_RECORD_HEADER + record->size + size;
    if (!make_room(journal, length, input, moment))
        return;
    if (!put(journal, record, body, size))
        lose(journal, input);
}

/* --- the recording itself --------------------------------------------------------------------- */

void traj_journal_start(struct traj_journal *journal, bool fresh, unsigned untold,
                        const struct traj_counters *counters, struct traj_moment moment)
{
    if (journal->tape == NULL || journal->on)
        return;
    struct traj_recorded_start start = {.frames = counters->received, .events = counters->events};
    unsigned char payload[TRAJ_RECORDED_START];
    journal->on = true;
    journal->number = 0;
    journal->records = 0;
    journal->lost = journal->lost_inputs = 0;
    journal->lost_all = journal->lost_inputs_all = 0;
    struct traj_record record = new_record(journal, TRAJ_RECORD_START, moment);
    record.code = fresh ? TRAJ_RECORD_FRESH : TRAJ_RECORD_MIDST;
    record.size = traj_recorded_put_start(&start, payload);
    record.payload = payload;
    (void)put(journal, &record, NULL, 0);
    (void)put_model(journal,
                    untold & TRAJ_INTENT_MODEL ? TRAJ_RECORD_MODEL_LOADED : TRAJ_RECORD_MODEL_RUNS,
                    false, moment);
    (void)put_retune(
        journal, untold & TRAJ_INTENT_RETUNED ? TRAJ_RECORD_RETUNE_GIVEN : TRAJ_RECORD_RETUNE_RUNS,
        false, moment);
    (void)put_settings(journal, false, moment);
    (void)put_pause(journal, false, moment);
}

void traj_journal_stop(struct traj_journal *journal, struct traj_moment moment)
{
    if (!journal->on)
        return;
    if (journal->lost > 0)
        tell_loss(journal, moment);
    struct traj_record record = new_record(journal, TRAJ_RECORD_END, moment);
    (void)put(journal, &record, NULL, 0);
    journal->on = false;
}

/* --- what is in force ------------------------------------------------------------------------- */

void traj_journal_model(struct traj_journal *journal, const char *digest, const char *path,
                        enum traj_record_model how, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_model(journal->next, digest, path, how, moment);
    struct traj_recorded_model *model = &journal->model;
    journal->retune = NULL;
    journal->retune_size = 0;
    memset(model, 0, sizeof *model);
    memcpy(model->digest, digest, strnlen(digest, sizeof model->digest - 1));
    memcpy(model->path, path, strnlen(path, sizeof model->path - 1));
    if (journal->on &&
        make_room(journal, TRAJ_RECORD_HEADER + TRAJ_RECORDED_MODEL_MAX, true, moment) &&
        !put_model(journal, how, false, moment))
        lose(journal, true);
}

void traj_journal_retune(struct traj_journal *journal, const void *payload, size_t size,
                         enum traj_record_retune how, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_retune(journal->next, payload, size, how, moment);
    journal->retune = payload;
    journal->retune_size = size;
    if (journal->on && make_room(journal, TRAJ_RECORD_HEADER + size, true, moment) &&
        !put_retune(journal, how, false, moment))
        lose(journal, true);
}

void traj_journal_settings(struct traj_journal *journal,
                           const struct traj_pipeline_settings *settings, size_t dims,
                           struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_settings(journal->next, settings, dims, moment);
    struct traj_recorded_settings *kept = &journal->settings;
    memset(kept, 0, sizeof *kept);
    kept->gap_reset_s = settings->gap_reset_s;
    kept->speed_limit = settings->speed_limit;
    kept->count_max = settings->count_max;
    kept->dims = (uint16_t)(settings->workspace && dims <= TRAJ_DIM_MAX ? dims : 0);
    for (size_t d = 0; d < kept->dims; d++) {
        kept->low[d] = settings->low[d];
        kept->high[d] = settings->high[d];
    }
    if (journal->on &&
        make_room(journal, TRAJ_RECORD_HEADER + TRAJ_RECORDED_SETTINGS_MAX, true, moment) &&
        !put_settings(journal, false, moment))
        lose(journal, true);
}

void traj_journal_pause(struct traj_journal *journal, bool paused, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_pause(journal->next, paused, moment);
    journal->paused = paused;
    if (journal->on && make_room(journal, TRAJ_RECORD_HEADER, true, moment) &&
        !put_pause(journal, false, moment))
        lose(journal, true);
}

/* --- what comes in ---------------------------------------------------------------------------- */

void traj_journal_reset(struct traj_journal *journal, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_reset(journal->next, moment);
    if (!journal->on)
        return;
    struct traj_record record = new_record(journal, TRAJ_RECORD_RESET, moment);
    push(journal, &record, NULL, 0, moment);
}

void traj_journal_frame(struct traj_journal *journal, const void *body, size_t size,
                        enum traj_disposition disposition, enum traj_refusal cause,
                        struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_frame(journal->next, body, size, disposition, cause, moment);
    if (!journal->on)
        return;
    struct traj_record record = new_record(journal, TRAJ_RECORD_FRAME, moment);
    record.code = disposition;
    record.cause = cause;
    push(journal, &record, body, size, moment);
}

static struct traj_record event_record(const struct traj_journal *journal,
                                       enum traj_record_kind kind, bool at_once,
                                       enum traj_refusal cause, struct traj_moment moment)
{
    struct traj_record record = new_record(journal, kind, moment);
    record.code = at_once ? TRAJ_RECORD_AT_ONCE : TRAJ_RECORD_WAITS;
    if (cause != TRAJ_ACCEPTED)
        record.code = TRAJ_RECORD_REFUSED;
    record.cause = cause;
    return record;
}

void traj_journal_event(struct traj_journal *journal, const void *body, size_t size,
                        uint64_t number, bool at_once, enum traj_refusal cause,
                        struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_event(journal->next, body, size, number, at_once, cause, moment);
    if (!journal->on)
        return;
    unsigned char prefix[TRAJ_RECORDED_EVENT];
    struct traj_record record = event_record(journal, TRAJ_RECORD_EVENT, at_once, cause, moment);
    record.size = traj_recorded_put_event(number, prefix);
    record.payload = prefix;
    push(journal, &record, body, size, moment);
}

void traj_journal_control(struct traj_journal *journal, const struct traj_event *event,
                          uint64_t number, bool at_once, enum traj_refusal cause,
                          struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_control(journal->next, event, number, at_once, cause, moment);
    size_t prefix = TRAJ_RECORD_HEADER + TRAJ_RECORDED_EVENT;
    if (!journal->on || !make_room(journal, prefix + EVENT_MAX, true, moment))
        return;
    /* The JSON is written where it is to stand. */
    unsigned char *place = traj_tape_reserve(journal->tape, prefix + EVENT_MAX);
    size_t size = place != NULL ? traj_event_write(event, (char *)place + prefix, EVENT_MAX) : 0;
    if (size == 0) {
        lose(journal, true);
        return;
    }
    struct traj_record record = event_record(journal, TRAJ_RECORD_CONTROL, at_once, cause, moment);
    record.size = TRAJ_RECORDED_EVENT + size;
    traj_record_put_header(&record, place);
    (void)traj_recorded_put_event(number, place + TRAJ_RECORD_HEADER);
    traj_tape_commit(journal->tape, prefix + size);
    journal->number++;
    journal->records++;
}

void traj_journal_bad(struct traj_journal *journal, enum traj_record_bad what, const void *body,
                      size_t size, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_bad(journal->next, what, body, size, moment);
    if (!journal->on)
        return;
    struct traj_record record = new_record(journal, TRAJ_RECORD_BAD, moment);
    record.code = what;
    push(journal, &record, body, size, moment);
}

/* --- what goes out ---------------------------------------------------------------------------- */

void traj_journal_intent(struct traj_journal *journal, const uint64_t *effect, size_t effects,
                         const void *body, size_t size, struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_intent(journal->next, effect, effects, body, size, moment);
    if (!journal->on)
        return;
    unsigned char prefix[TRAJ_RECORDED_INTENT(TRAJ_RECORDING_EFFECTS)];
    struct traj_record record = new_record(journal, TRAJ_RECORD_INTENT, moment);
    if (effects > TRAJ_RECORDING_EFFECTS)
        effects = TRAJ_RECORDING_EFFECTS;
    record.size = traj_recorded_put_intent(effect, effects, prefix);
    record.payload = prefix;
    push(journal, &record, body, size, moment);
}

void traj_journal_stale(struct traj_journal *journal, const void *body, size_t size,
                        struct traj_moment moment)
{
    if (journal->next != NULL)
        traj_journal_stale(journal->next, body, size, moment);
    if (!journal->on)
        return;
    struct traj_record record = new_record(journal, TRAJ_RECORD_STALE, moment);
    push(journal, &record, body, size, moment);
}
