/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A piece of a recording; see record_cut.h. */
#include "clients/trajctl/record_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/trajctl/omissions.h"
#include "daemon/learn/recording_file.h"
#include "daemon/learn/rerun.h"

enum { MODEL, RETUNE, SETTINGS, PAUSE, IN_FORCE };

struct cutting {
    const struct record_cut *cut;
    uint64_t from, to; /* frames */
    uint64_t anchor;   /* position of the item at which the piece begins */
    bool fresh;        /* it begins where the daemon had just started */
    FILE *out;
    unsigned char *bytes; /* one record */
    size_t cap;
    unsigned char *in_force[IN_FORCE]; /* copies of records' payloads */
    struct traj_record last[IN_FORCE]; /* kind 0 = none yet */
    unsigned how[IN_FORCE]; /* codes of model and tables that no intent has told of; 0 = RUNS */
    bool begun, inside;
    uint64_t number;   /* of the next record written */
    uint64_t left_out; /* that went out while the piece was led in */
    uint64_t written;
};

/* --- what to take ----------------------------------------------------------------------------- */

/* Turns the range of time into one of frames, by the stamps of the records. */
static void narrow(struct cutting *c, const struct traj_record *record, double began,
                   uint64_t *first, uint64_t *last)
{
    double at = record->stamp - began;
    if (at >= c->cut->from && record->frame < *first) {
        *first = record->frame;
    }
    if (at <= c->cut->to && record->frame > *last) {
        *last = record->frame;
    }
}

/* Reads through the recording once for the range in frames. */
static int find_range(struct cutting *c, struct traj_error *error)
{
    struct traj_recording_item item;
    uint64_t first = UINT64_MAX, last = 0;
    int more;
    c->from = c->cut->from_frame;
    c->to = c->cut->to_frame;
    if (isnan(c->cut->from) && isnan(c->cut->to)) {
        return 0;
    }
    struct traj_recording *recording = traj_recording_open(c->cut->path, error);
    if (!recording) {
        return -1;
    }
    double began = NAN; /* stamp of the first record */
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        if (item.found == TRAJ_FOUND_RECORD && !item.record.carried) {
            began = isnan(began) ? item.record.stamp : began;
            narrow(c, &item.record, began, &first, &last);
        }
    }
    traj_recording_close(recording);
    if (!isnan(c->cut->from) && first > c->from) {
        c->from = first;
    }
    if (!isnan(c->cut->to) && last < c->to) {
        c->to = last;
    }
    return more;
}

/* Reads through it again for the place to begin at: an anchor, or else where the range begins. */
static int find_anchor(struct cutting *c, struct traj_error *error)
{
    struct traj_recording_item item;
    uint64_t position = 0, first = UINT64_MAX;
    int more;
    struct traj_recording *recording = traj_recording_open(c->cut->path, error);
    if (!recording) {
        return -1;
    }
    c->anchor = UINT64_MAX;
    while ((more = traj_recording_next(recording, &item, error)) > 0) {
        if (item.found == TRAJ_FOUND_RECORD && item.record.frame <= c->from &&
            traj_rerun_anchor(&item.record)) {
            c->anchor = position;
            c->fresh = item.record.kind == TRAJ_RECORD_START;
        }
        if (item.found == TRAJ_FOUND_RECORD && first == UINT64_MAX &&
            item.record.frame >= c->from && item.record.kind != TRAJ_RECORD_START) {
            first = position;
        }
        position++;
    }
    traj_recording_close(recording);
    c->anchor = c->anchor == UINT64_MAX ? first : c->anchor;
    if (more == 0 && (first == UINT64_MAX || c->from > c->to)) {
        return traj_error_set(error, "%s has nothing in this range", c->cut->path);
    }
    return more;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_record(struct cutting *c, const struct traj_record *record, bool counts,
                        struct traj_error *error)
{
    struct traj_record copy = *record;
    size_t needed = TRAJ_RECORD_HEADER + record->size;
    if (needed > c->cap) {
        unsigned char *larger = realloc(c->bytes, needed);
        if (!larger) {
            return traj_error_set(error, "no memory for a record of %zu bytes", record->size);
        }
        c->bytes = larger;
        c->cap = needed;
    }
    copy.number = c->number;
    copy.carried = !counts;
    size_t size = traj_record_write(&copy, c->bytes, c->cap);
    if (size == 0 || fwrite(c->bytes, 1, size, c->out) != size) {
        return traj_error_set(error, "%s cannot be written: %s", c->cut->out, strerror(errno));
    }
    c->number += counts;
    c->written++;
    return 0;
}

static int write_loss(struct cutting *c, const struct traj_record *at, unsigned code,
                      struct traj_recorded_loss loss, struct traj_error *error)
{
    unsigned char payload[TRAJ_RECORDED_LOSS];
    struct traj_record record = {.kind = TRAJ_RECORD_LOST,
                                 .code = code,
                                 .frame = at->frame,
                                 .stamp = at->stamp,
                                 .payload = payload};
    record.size = traj_recorded_put_loss(&loss, payload);
    if (write_record(c, &record, false, error) != 0) {
        return -1;
    }
    c->number += loss.records;
    return 0;
}

/* The header, and what is in force where the piece begins. */
static int begin(struct cutting *c, const struct traj_recording_header *header,
                 const struct traj_record *at, struct traj_error *error)
{
    unsigned char bytes[TRAJ_RECORDING_HEADER], payload[TRAJ_RECORDED_START];
    struct traj_recording_header says = *header;
    struct traj_recorded_start start = {.frames = at->frame};
    struct traj_recorded_model model;
    struct traj_record record = {.kind = TRAJ_RECORD_START,
                                 .code = c->fresh ? TRAJ_RECORD_FRESH : TRAJ_RECORD_MIDST,
                                 .frame = at->frame,
                                 .stamp = at->stamp,
                                 .size = traj_recorded_put_start(&start, payload),
                                 .payload = payload};
    says.part = 1;
    says.first = 0;
    says.time += at->stamp - says.stamp;
    says.stamp = at->stamp;
    if (c->last[MODEL].kind != 0 && traj_recorded_model(&c->last[MODEL], &model)) {
        memcpy(says.model, model.digest, sizeof says.model);
    }
    traj_recording_write_header(&says, bytes);
    if (fwrite(bytes, 1, sizeof bytes, c->out) != sizeof bytes) {
        return traj_error_set(error, "%s cannot be written: %s", c->cut->out, strerror(errno));
    }
    int result = write_record(c, &record, true, error);
    for (size_t i = 0; i < IN_FORCE && result == 0; i++) {
        if (c->last[i].kind != 0) {
            c->last[i].code = i == MODEL || i == RETUNE ? c->how[i] : c->last[i].code;
            result = write_record(c, &c->last[i], true, error);
        }
    }
    c->begun = true;
    return result;
}

/* Keeps how the model and the tables came about, up to the intent that says that they are new. */
static void keep_how(struct cutting *c, const struct traj_record *record)
{
    bool told = record->kind == TRAJ_RECORD_START ||
                (record->kind == TRAJ_RECORD_FRAME && record->code == TRAJ_RECORD_DECODED);
    if (told) {
        c->how[MODEL] = TRAJ_RECORD_MODEL_RUNS;
        c->how[RETUNE] = TRAJ_RECORD_RETUNE_RUNS;
    } else if (record->kind == TRAJ_RECORD_MODEL && record->code != TRAJ_RECORD_MODEL_RUNS) {
        c->how[MODEL] = record->code;
    } else if (record->kind == TRAJ_RECORD_RETUNE && record->code != TRAJ_RECORD_RETUNE_RUNS &&
               record->code != TRAJ_RECORD_RETUNE_DOUBT) {
        c->how[RETUNE] = record->code;
    }
}

/* Keeps a copy of what will be in force. */
static int keep(struct cutting *c, const struct traj_record *record, struct traj_error *error)
{
    size_t i = record->kind == TRAJ_RECORD_MODEL      ? MODEL
               : record->kind == TRAJ_RECORD_RETUNE   ? RETUNE
               : record->kind == TRAJ_RECORD_SETTINGS ? SETTINGS
               : record->kind == TRAJ_RECORD_PAUSE    ? PAUSE
                                                      : IN_FORCE;
    keep_how(c, record);
    if (i == IN_FORCE) {
        return 0;
    }
    if (i == MODEL) {
        /* Tables that were moved are those of the model before, or are told again behind it. */
        c->last[RETUNE].kind = 0;
    }
    unsigned char *copy = malloc(record->size + 1);
    if (!copy) {
        return traj_error_set(error, "memory is short");
    }
    if (record->size > 0) {
        memcpy(copy, record->payload, record->size);
    }
    free(c->in_force[i]);
    c->in_force[i] = copy;
    c->last[i] = *record;
    c->last[i].payload = copy;
    return 0;
}

static int take_record(struct cutting *c, const struct traj_record *record,
                       struct traj_error *error)
{
    struct traj_recorded_loss loss;
    bool goes_out = record->kind == TRAJ_RECORD_INTENT || record->kind == TRAJ_RECORD_STALE;
    if (record->kind == TRAJ_RECORD_START || record->kind == TRAJ_RECORD_END) {
        return 0;
    }
    if (record->kind == TRAJ_RECORD_LOST) {
        return traj_recorded_loss(record, &loss) ? write_loss(c, record, record->code, loss, error)
                                                 : 0;
    }
    if (record->carried) {
        return write_record(c, record, false, error);
    }
    if (goes_out && record->frame < c->from) {
        c->left_out++;
        return 0;
    }
    if (!c->inside && record->frame >= c->from) {
        c->inside = true;
        loss = (struct traj_recorded_loss){.records = c->left_out};
        if (c->left_out > 0 && write_loss(c, record, TRAJ_RECORD_LOST_CUT, loss, error) != 0) {
            return -1;
        }
    }
    return write_record(c, record, true, error);
}

/* One item of the recording; 1 where the range has ended. */
static int take_item(struct cutting *c, const struct traj_recording_header *header,
                     const struct traj_recording_item *item, uint64_t position,
                     struct traj_error *error)
{
    const struct traj_record *record = &item->record;
    if (item->found == TRAJ_FOUND_GAP && c->begun) {
        struct traj_record here = {.frame = c->from};
        struct traj_recorded_loss loss = {.records = item->count, .inputs = item->count};
        return write_loss(c, &here, TRAJ_RECORD_LOST_DISK, loss, error);
    }
    /* Is not reached where the range ends before. */
    if (item->found == TRAJ_FOUND_NO_PART) {
        tell_missing_part("record", c->cut->path, item->count);
    }
    if (item->found != TRAJ_FOUND_RECORD) {
        return 0;
    }
    if (record->frame > c->to) {
        return 1;
    }
    if (position < c->anchor) {
        return keep(c, record, error);
    }
    if (!c->begun && c->fresh && position == c->anchor) {
        /* What is in force follows the start itself. */
        return begin(c, header, record, error);
    }
    if (!c->begun && begin(c, header, record, error) != 0) {
        return -1;
    }
    return take_record(c, record, error);
}

static int take_all(struct cutting *c, struct traj_error *error)
{
    struct traj_recording_item item;
    struct traj_record end = {.kind = TRAJ_RECORD_END};
    uint64_t position = 0;
    int result = 0, more = 0;
    struct traj_recording *recording = traj_recording_open(c->cut->path, error);
    if (!recording) {
        return -1;
    }
    while (result == 0 && (more = traj_recording_next(recording, &item, error)) > 0) {
        result = take_item(c, traj_recording_header(recording), &item, position++, error);
        if (item.found == TRAJ_FOUND_RECORD) {
            end.frame = item.record.frame;
            end.stamp = item.record.stamp;
        }
    }
    traj_recording_close(recording);
    if (result < 0 || more < 0) {
        return -1;
    }
    end.frame = c->to < end.frame ? c->to : end.frame;
    return write_record(c, &end, true, error);
}

static int write_file(struct cutting *c, struct traj_error *error)
{
    /* For its owner alone, as recordings are. */
    int fd = open(c->cut->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    c->out = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!c->out) {
        int why = errno;
        if (fd >= 0) {
            (void)close(fd);
            (void)unlink(c->cut->out);
        }
        errno = why;
        return traj_error_set(error, "%s cannot be made: %s", c->cut->out, strerror(errno));
    }
    int result = take_all(c, error);
    if (fclose(c->out) != 0 && result == 0) {
        result = traj_error_set(error, "%s cannot be written: %s", c->cut->out, strerror(errno));
    }
    if (result != 0) {
        (void)unlink(c->cut->out);
    }
    return result;
}

int record_cut(const struct record_cut *cut, struct traj_error *error)
{
    struct cutting c = {.cut = cut};
    int result = find_range(&c, error);
    if (result == 0) {
        result = find_anchor(&c, error);
    }
    if (result == 0) {
        result = write_file(&c, error);
    }
    if (result == 0) {
        printf("%s: %" PRIu64 " records, frames %" PRIu64 " on, of which %" PRIu64
               " messages went out before the range and are left out\n",
               cut->out, c.written, c.from, c.left_out);
    }
    for (size_t i = 0; i < IN_FORCE; i++) {
        free(c.in_force[i]);
    }
    free(c.bytes);
    return result;
}
