/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording from its files; see recording_file.h. */
#include "daemon/learn/recording_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/learn/recording_parts.h"

#define CHUNK ((size_t)1 << 18) /* bytes that are read at once */

struct traj_recording {
    char *path;      /* of the part; room for the next one's number */
    size_t stem;     /* bytes of it that all parts have in common */
    uint64_t number; /* of the part by its name; 0 = its name is not that of a part */
    FILE *file;
    struct traj_recording_header header;
    unsigned char *buffer;
    size_t cap, begin, end; /* what has been read and not given stands in [begin, end) */
    bool exhausted;         /* the part has no more bytes */
    bool opened;            /* the part has been told of */
    bool ended;             /* and so has the one that is missing after it */
    uint64_t broken;        /* bytes passed over and not told */
    uint64_t expected;      /* number of the next record */
    uint64_t done, all;
    struct traj_record held; /* a record that waits until the gap before it is told */
    bool holding;
};

/* --- parts ------------------------------------------------------------------------------------ */

static uint64_t size_of(FILE *file)
{
    long size = -1;
    if (fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    rewind(file);
    return size > 0 ? (uint64_t)size : 0;
}

static int read_header(struct traj_recording *r, struct traj_error *error)
{
    unsigned char bytes[TRAJ_RECORDING_HEADER];
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    size_t size = fread(bytes, 1, sizeof bytes, r->file);
    if (traj_recording_parse_header(bytes, size, &r->header, &detail) != TRAJ_ACCEPTED)
        return traj_error_set(error, "%s is no recording: %s %s, at byte %zu", r->path,
                              detail.field, detail.reason, detail.offset);
    r->done += size;
    return 0;
}

static int open_part(struct traj_recording *r, struct traj_error *error)
{
    r->begin = r->end = 0;
    r->exhausted = false;
    r->opened = false;
    r->file = fopen(r->path, "rb");
    if (r->file == NULL)
        return traj_error_set(error, "%s cannot be read: %s", r->path, strerror(errno));
    return read_header(r, error);
}

static void name_part(struct traj_recording *r, uint64_t number)
{
    char suffix[TRAJ_RECORDING_PART_SUFFIX];
    traj_recording_part_suffix(suffix, number);
    memcpy(r->path + r->stem, suffix, strlen(suffix) + 1);
    r->number = number;
}

/* The name of the part after this one, if there is such a file; false otherwise. */
static bool name_next(struct traj_recording *r)
{
    if (r->number == 0)
        return false;
    name_part(r, r->number + 1);
    FILE *file = fopen(r->path, "rb");
    if (file != NULL) {
        (void)fclose(file);
        return true;
    }
    name_part(r, r->number - 1);
    return false;
}

/* Adds up the sizes of all parts, so that progress can be told. */
static void measure(struct traj_recording *r)
{
    const uint64_t first = r->number;
    do {
        FILE *file = fopen(r->path, "rb");
        if (file == NULL)
            break;
        r->all += size_of(file);
        (void)fclose(file);
    } while (name_next(r));
    if (first > 0)
        name_part(r, first);
}

struct traj_recording *traj_recording_open(const char *path, struct traj_error *error)
{
    struct traj_recording *r = calloc(1, sizeof *r);
    if (r != NULL) {
        r->path = malloc(strlen(path) + TRAJ_RECORDING_PART_SUFFIX);
        r->cap = CHUNK;
        r->buffer = malloc(r->cap);
    }
    if (r == NULL || r->path == NULL || r->buffer == NULL) {
        (void)traj_error_set(error, "%s: memory is short", path);
        traj_recording_close(r);
        return NULL;
    }
    memcpy(r->path, path, strlen(path) + 1);
    (void)traj_recording_part(path, &r->stem, &r->number);
    measure(r);
    if (open_part(r, error) != 0) {
        traj_recording_close(r);
        return NULL;
    }
    r->expected = r->header.first;
    return r;
}

void traj_recording_close(struct traj_recording *recording)
{
    if (recording == NULL)
        return;
    if (recording->file != NULL)
        (void)fclose(recording->file);
    free(recording->buffer);
    free(recording->path);
    free(recording);
}

const struct traj_recording_header *traj_recording_header(const struct traj_recording *recording)
{
    return &recording->header;
}

const char *traj_recording_path(const struct traj_recording *recording)
{
    return recording->path;
}

uint64_t traj_recording_later_part(struct traj_recording *recording)
{
    if (recording->number == 0)
        return 0;
    uint64_t last = traj_recording_last_part(recording->path, recording->stem);
    /* A part that has just been made is not beyond one that is missing. */
    bool grown = name_next(recording);
    if (grown)
        name_part(recording, recording->number - 1);
    return !grown && last > recording->number ? last : 0;
}

void traj_recording_progress(const struct traj_recording *recording, uint64_t *done, uint64_t *all)
{
    *done = recording->done;
    *all = recording->all;
}

/* Whether the part by this name is the last one and was killed before it had a header. */
static bool is_stillborn(const struct traj_recording *r)
{
    FILE *file = fopen(r->path, "rb");
    uint64_t size = file != NULL ? size_of(file) : 0;
    if (file == NULL)
        return false;
    (void)fclose(file);
    return size < TRAJ_RECORDING_HEADER && traj_recording_last_part(r->path, r->stem) == r->number;
}

/* Goes on with the next part: 1, 0 if there is none, -1 with a sentence. */
static int next_part(struct traj_recording *r, struct traj_error *error)
{
    struct traj_recording_header former = r->header;
    if (!name_next(r))
        return 0;
    if (is_stillborn(r)) {
        name_part(r, r->number - 1);
        return 0;
    }
    (void)fclose(r->file);
    r->file = NULL;
    if (open_part(r, error) != 0)
        return -1;
    if (strcmp(former.name, r->header.name) != 0 || r->header.part != former.part + 1)
        return traj_error_set(error, "%s is part %llu of %s, not part %llu of %s", r->path,
                              (unsigned long long)r->header.part, r->header.name,
                              (unsigned long long)former.part + 1, former.name);
    return 1;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Reads on until there are `wanted` bytes, or no more; -1 with a sentence. */
static int fill(struct traj_recording *r, size_t wanted, struct traj_error *error)
{
    if (r->begin > 0) {
        memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (wanted + CHUNK > r->cap) {
        unsigned char *larger = realloc(r->buffer, wanted + CHUNK);
        if (larger == NULL)
            return traj_error_set(error, "%s: no memory for a record of %zu bytes", r->path,
                                  wanted);
        r->buffer = larger;
        r->cap = wanted + CHUNK;
    }
    size_t got = fread(r->buffer + r->end, 1, r->cap - r->end, r->file);
    if (ferror(r->file))
        return traj_error_set(error, "%s cannot be read: %s", r->path, strerror(errno));
    r->end += got;
    r->exhausted = got == 0;
    return 0;
}

static void give_record(struct traj_recording *r, struct traj_recording_item *item)
{
    struct traj_recorded_loss loss;
    item->found = TRAJ_FOUND_RECORD;
    item->record = r->held;
    r->holding = false;
    if (!r->held.carried)
        r->expected = r->held.number + 1;
    else if (traj_recorded_loss(&r->held, &loss))
        r->expected = r->held.number + loss.records;
}

/* Gives the record that is held, or first what is missing before it. */
static void give_held(struct traj_recording *r, struct traj_recording_item *item)
{
    bool counted = !r->held.carried || r->held.kind == TRAJ_RECORD_LOST;
    if (!counted || r->held.number == r->expected) {
        give_record(r, item);
        return;
    }
    item->found = TRAJ_FOUND_GAP;
    item->count = r->held.number > r->expected ? r->held.number - r->expected : 1;
    r->expected = r->held.number;
}

/* What the bytes passed over come to. */
static int give_broken(struct traj_recording *r, struct traj_recording_item *item)
{
    item->found = TRAJ_FOUND_BROKEN;
    item->count = r->broken;
    r->broken = 0;
    return 1;
}

/* At the end: says once if a part is missing there; as traj_recording_next. */
static int end(struct traj_recording *r, struct traj_recording_item *item)
{
    if (r->ended || traj_recording_later_part(r) == 0)
        return 0;
    r->ended = true;
    item->found = TRAJ_FOUND_NO_PART;
    item->count = r->number + 1;
    return 1;
}

/* At the end of a part: its torn tail, the next part, or the end; as traj_recording_next. */
static int end_part(struct traj_recording *r, struct traj_recording_item *item,
                    struct traj_error *error)
{
    uint64_t rest = r->end - r->begin;
    r->done += rest;
    r->begin = r->end;
    if (r->broken > 0)
        return give_broken(r, item);
    if (rest > 0) {
        item->found = TRAJ_FOUND_TORN;
        item->count = rest;
        return 1;
    }
    int next = next_part(r, error);
    return next == 0 ? end(r, item) : next;
}

/*
 * A length that is itself damaged asks for bytes that are not there: passes over it if a whole
 * record follows.  false where none does, and then the rest is a torn tail.
 */
static bool pass_over(struct traj_recording *r)
{
    size_t over = traj_record_pass_over(r->buffer + r->begin, r->end - r->begin);
    r->broken += over;
    r->done += over;
    r->begin += over;
    return over > 0;
}

/* Looks at what stands next: 1 an item, 2 look again, 0 the part's end, -1 with a sentence. */
static int look(struct traj_recording *r, struct traj_recording_item *item,
                struct traj_error *error)
{
    size_t used, wanted;
    enum traj_record_outcome outcome =
        traj_record_next(r->buffer + r->begin, r->end - r->begin, &r->held, &used, &wanted);
    if (outcome == TRAJ_RECORD_MORE) {
        if (r->exhausted)
            return pass_over(r) ? 2 : 0;
        return fill(r, wanted, error) == 0 ? 2 : -1;
    }
    if (outcome == TRAJ_RECORD_BROKEN) {
        r->begin += used;
        r->done += used;
        r->broken += used;
        return 2;
    }
    if (r->broken > 0)
        return give_broken(r, item);
    r->begin += used;
    r->done += used;
    r->holding = true;
    give_held(r, item);
    return 1;
}

int traj_recording_next(struct traj_recording *recording, struct traj_recording_item *item,
                        struct traj_error *error)
{
    if (!recording->opened) {
        recording->opened = true;
        item->found = TRAJ_FOUND_PART;
        item->count = recording->header.part;
        return 1;
    }
    if (recording->holding) {
        give_held(recording, item);
        return 1;
    }
    for (;;) {
        int result = look(recording, item, error);
        if (result == 2)
            continue;
        if (result != 0)
            return result;
        result = end_part(recording, item, error);
        if (result != 1 || recording->opened)
            return result;
        recording->opened = true;
        item->found = TRAJ_FOUND_PART;
        item->count = recording->header.part;
        return 1;
    }
}
