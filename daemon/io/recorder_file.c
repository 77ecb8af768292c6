/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of a recording; see recorder_file.h. */
#include "daemon/io/recorder_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/io/clock.h"
#include "daemon/learn/recording_mend.h"
#include "daemon/learn/recording_parts.h"
#include "proto/recording.h"
#include "traj/version.h"

#define BATCH 64          /* records that one system call writes */
#define RETRY_S 1.0       /* a disk that has refused is asked again so often */
#define NAMES 100         /* recordings that may begin in one second */
#define DIRECTORY_MAX 900 /* bytes: its name stands on the tape */

/* The last record of a kind that a reader who begins at a new part must know. */
struct carried {
    size_t size; /* 0 = none yet */
    size_t room;
    unsigned char *bytes;
};

enum { MODEL, RETUNE, SETTINGS, PAUSE, CARRIED };

#define LOSS_SIZE ((size_t)(TRAJ_RECORD_HEADER + TRAJ_RECORDED_LOSS))

struct traj_recorder_file {
    struct traj_record_config config;
    char directory[PATH_MAX]; /* resolved */
    char name[TRAJ_RECORDING_NAME];
    char base[TRAJ_TAPE_NAME];
    char path[TRAJ_TAPE_NAME + 32];
    int fd; /* -1 = none is open */
    uint64_t part;
    uint64_t size; /* of the part: whole records */
    bool filled;   /* the part holds a record of its own; else another would hold no more */
    bool spoilt;   /* the disk has not kept what was written to the part */
    bool outdated; /* what is in force has changed by a record that is lost since the part began */
    uint64_t next; /* number that the next record should have */
    char digest[65];
    struct carried carried[CARRIED];

    bool dirty; /* something has been written since the last flush */
    double flushed;

    bool failing;
    double retry;
    int rotate_why;      /* errno by which the next part could not be begun; 0 = none waits */
    double rotate_retry; /* not before is it tried again; this part goes on meanwhile */
    uint64_t untold, untold_inputs; /* records lost and not told of in the file */
    struct traj_recorder_state state;
};

/* --- directory and names ---------------------------------------------------------------------- */

static int check_directory(struct traj_recorder_file *self, struct traj_error *error)
{
    const char *path = self->config.directory;
    struct stat status;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return traj_error_set(error, "record: %s cannot be made: %s", path, strerror(errno));
    }
    if (realpath(path, self->directory) == NULL || stat(self->directory, &status) != 0) {
        return traj_error_set(error, "record: %s: %s", path, strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
        return traj_error_set(error, "record: %s is no directory", path);
    }
    /* Anybody could put a link in the place of a file there, or take recordings away. */
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        return traj_error_set(error, "record: everybody may write to %s; chmod o-w it", path);
    }
    if (access(self->directory, W_OK | X_OK) != 0) {
        return traj_error_set(error, "record: %s cannot be written to: %s", path, strerror(errno));
    }
    if (strlen(self->directory) > DIRECTORY_MAX) {
        return traj_error_set(error, "record: the name of %s is too long", path);
    }
    return 0;
}

struct traj_recorder_file *traj_recorder_file_open(const struct traj_record_config *config,
                                                   struct traj_error *error)
{
    struct traj_recorder_file *self = calloc(1, sizeof *self);

    if (self == NULL) {
        (void)traj_error_set(error, "out of memory");
        return NULL;
    }
    self->config = *config;
    self->fd = -1;
    if (check_directory(self, error) != 0) {
        traj_recorder_file_free(&self);
    }
    return self;
}

void traj_recorder_file_free(struct traj_recorder_file **file)
{
    if (*file != NULL) {
        traj_recorder_file_close(*file);
        for (size_t i = 0; i < CARRIED; i++) {
            free((*file)->carried[i].bytes);
        }
        free(*file);
        *file = NULL;
    }
}

/* Says in the log what became of a tape that was found. */
static void tell_mended(void *context, const struct traj_mended *mended, const char *reason)
{
    struct traj_log *log = context;

    if (reason != NULL) {
        traj_log_write(log, TRAJ_LOG_WARNING, "record: %s", reason);
    } else {
        traj_log_write(log, TRAJ_LOG_WARNING,
                       "record: a daemon that was killed left %zu records of %s on its tape; they "
                       "have been added",
                       mended->records, mended->file);
    }
}

void traj_recorder_file_mend(struct traj_recorder_file *file, struct traj_log *log)
{
    char prefix[PATH_MAX + 2];

    (void)snprintf(prefix, sizeof prefix, "%s/", file->directory);
    traj_recording_mend_all(prefix, tell_mended, log);
}

const char *traj_recorder_file_base(const struct traj_recorder_file *file)
{
    return file->base;
}

void traj_recorder_file_state(const struct traj_recorder_file *file,
                              struct traj_recorder_state *state)
{
    *state = file->state;
    state->failing = file->failing;
    state->part = file->part;
    (void)snprintf(state->file, sizeof state->file, "%s", file->path);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The end of a path, as much as a sentence has room for. */
static const char *path_end(const char *path)
{
    return path + (strlen(path) > 160 ? strlen(path) - 160 : 0);
}

static void note_error(struct traj_recorder_file *self, int why)
{
    (void)snprintf(self->state.error, sizeof self->state.error, "%s: %s", path_end(self->path),
                   strerror(why));
}

/* Where part self->part + 1 is to be. */
static void name_next(const struct traj_recorder_file *self, char path[sizeof self->path])
{
    char suffix[TRAJ_RECORDING_PART_SUFFIX];

    traj_recording_part_suffix(suffix, self->part + 1);
    (void)snprintf(path, sizeof self->path, "%s%s", self->base, suffix);
}

static void note_failure(struct traj_recorder_file *self, int why, double now)
{
    self->failing = true;
    self->retry = now + RETRY_S;
    note_error(self, why);
}

/*
 * Writes all of the pieces, or as many as the disk takes; returns how many are there whole.  What
 * is there of the next is cut off again.  errno tells why not all.
 */
static size_t write_pieces(struct traj_recorder_file *self, const struct iovec *piece, size_t count)
{
    struct iovec left[BATCH];
    size_t first = 0, whole = 0;
    int why = 0;

    memcpy(left, piece, count * sizeof *left);
    while (first < count) {
        ssize_t taken = writev(self->fd, left + first, (int)(count - first));

        if (taken < 0 && errno == EINTR) {
            continue;
        }
        if (taken <= 0) {
            why = taken < 0 ? errno : ENOSPC;
            break;
        }
        for (size_t rest = (size_t)taken; rest > 0;) {
            size_t step = rest < left[first].iov_len ? rest : left[first].iov_len;

            left[first].iov_base = (char *)left[first].iov_base + step;
            left[first].iov_len -= step;
            rest -= step;
            first += left[first].iov_len == 0 ? 1 : 0;
        }
    }
    for (; whole < first; whole++) {
        self->size += piece[whole].iov_len;
        self->state.bytes += piece[whole].iov_len;
        self->dirty = true;
    }
    if (whole < count) {
        (void)ftruncate(self->fd, (off_t)self->size);
        errno = why;
    }
    return whole;
}

static void flush(struct traj_recorder_file *self, double now)
{
    if (self->fd >= 0 && self->dirty && fdatasync(self->fd) != 0) {
        /*
         * The system has let go of pages that it could not write and will not say so again: this
         * part may have a hole, which a reader finds by the records' sums.  Another goes on.
         */
        note_failure(self, errno, now);
        self->spoilt = self->filled;
    }
    self->dirty = false;
    self->flushed = now;
}

/* Pieces of what a new part, or a part after a loss, begins with: what is in force. */
static size_t carried_pieces(struct traj_recorder_file *self, struct iovec *piece)
{
    size_t count = 0;

    for (size_t i = 0; i < CARRIED; i++) {
        if (self->carried[i].size > 0) {
            piece[count++] = (struct iovec){self->carried[i].bytes, self->carried[i].size};
        }
    }
    return count;
}

/* The directory's entry of a new file reaches the disk too. */
static void flush_directory(const struct traj_recorder_file *self)
{
    int fd = open(self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* A record of what was lost and not told of; its length. */
static size_t write_loss(const struct traj_recorder_file *self, double now,
                         unsigned char bytes[LOSS_SIZE])
{
    unsigned char payload[TRAJ_RECORDED_LOSS];
    struct traj_recorded_loss loss = {self->untold, self->untold_inputs};
    struct traj_record record = {.kind = TRAJ_RECORD_LOST,
                                 .code = TRAJ_RECORD_LOST_DISK,
                                 .carried = true,
                                 .number = self->next,
                                 .stamp = now,
                                 .payload = payload};

    record.size = traj_recorded_put_loss(&loss, payload);
    return traj_record_write(&record, bytes, LOSS_SIZE);
}

static void note_told(struct traj_recorder_file *self)
{
    self->next += self->untold;
    self->untold = self->untold_inputs = 0;
    self->outdated = false;
}

/* What a part begins with: its header, a loss that is not told of yet, and what is in force. */
static size_t first_pieces(struct traj_recorder_file *self, struct iovec *piece,
                           unsigned char header[TRAJ_RECORDING_HEADER],
                           unsigned char loss[LOSS_SIZE])
{
    struct traj_recording_header says = {.part = self->part + 1,
                                         .first = self->next,
                                         .stamp = traj_clock_now(),
                                         .time = traj_clock_wall()};
    size_t count = 0;

    memcpy(says.model, self->digest, sizeof says.model);
    memcpy(says.name, self->name, sizeof says.name);
    (void)snprintf(says.version, sizeof says.version, "%s", TRAJ_VERSION);
    traj_recording_write_header(&says, header);
    piece[count++] = (struct iovec){header, TRAJ_RECORDING_HEADER};
    if (self->untold > 0) {
        piece[count++] = (struct iovec){loss, write_loss(self, says.stamp, loss)};
    }
    return count + carried_pieces(self, piece + count);
}

/* Makes part self->part + 1 under base; 0, or errno; and then nothing has changed. */
static int open_part(struct traj_recorder_file *self)
{
    unsigned char header[TRAJ_RECORDING_HEADER], loss[LOSS_SIZE];
    struct iovec piece[2 + CARRIED] = {{NULL, 0}};
    char path[sizeof self->path];
    int old = self->fd;
    uint64_t old_size = self->size;
    size_t count = first_pieces(self, piece, header, loss);

    name_next(self, path);
    self->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                    S_IRUSR | S_IWUSR);
    self->size = 0;
    if (self->fd < 0 || write_pieces(self, piece, count) < count) {
        int why = errno;

        if (self->fd >= 0) {
            (void)close(self->fd);
            (void)unlink(path);
        }
        self->fd = old;
        self->size = old_size;
        return why;
    }
    if (old >= 0) {
        /* The new part has been begun: what the disk made of the old one holds nothing up. */
        if (fdatasync(old) != 0) {
            note_error(self, errno);
        }
        (void)close(old);
    }
    self->part++;
    self->filled = false;
    self->spoilt = false;
    note_told(self);
    memcpy(self->path, path, sizeof self->path);
    flush_directory(self);
    return 0;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Room for a record; where there is none it is not carried, and a reader must begin earlier. */
static bool make_room(struct carried *place, size_t size)
{
    unsigned char *larger = size > place->room ? realloc(place->bytes, size) : place->bytes;

    place->size = 0;
    if (larger == NULL) {
        return false;
    }
    place->bytes = larger;
    place->room = size > place->room ? size : place->room;
    return true;
}

/* Keeps a copy of a record that whoever begins to read later must know. */
static void carry(struct traj_recorder_file *self, const struct traj_record *record)
{
    struct traj_record copy = *record;
    struct carried *place;

    if (record->kind == TRAJ_RECORD_MODEL) {
        place = &self->carried[MODEL];
        copy.code = TRAJ_RECORD_MODEL_RUNS;
        if (record->size >= 64) {
            memcpy(self->digest, record->payload, 64);
        }
        /* Tables that were moved are those of the model before, or are told again behind it. */
        self->carried[RETUNE].size = 0;
    } else if (record->kind == TRAJ_RECORD_RETUNE) {
        place = &self->carried[RETUNE];
        copy.code = TRAJ_RECORD_RETUNE_RUNS;
    } else if (record->kind == TRAJ_RECORD_SETTINGS) {
        place = &self->carried[SETTINGS];
    } else if (record->kind == TRAJ_RECORD_PAUSE) {
        place = &self->carried[PAUSE];
    } else {
        return;
    }
    copy.carried = true;
    if (make_room(place, TRAJ_RECORD_HEADER + record->size)) {
        place->size = traj_record_write(&copy, place->bytes, place->room);
    }
}

static void note_written(struct traj_recorder_file *self, const struct iovec *piece)
{
    struct traj_recorded_loss loss;
    struct traj_record record;

    self->state.records++;
    if (!traj_record_view(piece->iov_base, piece->iov_len, &record)) {
        return;
    }
    if (!record.carried) {
        self->next = record.number + 1;
        self->filled = true;
    } else if (traj_recorded_loss(&record, &loss)) {
        self->next = record.number + loss.records;
    }
    carry(self, &record);
}

/* A loss that the journal told of and that is lost itself counts with ours. */
static void note_lost(struct traj_recorder_file *self, const struct traj_record *record)
{
    struct traj_recorded_loss loss = {0, 0};

    if (record->kind == TRAJ_RECORD_LOST && traj_recorded_loss(record, &loss)) {
        self->untold += loss.records;
        self->untold_inputs += loss.inputs;
    } else if (!record->carried) {
        self->untold++;
        self->state.lost++;
        if (traj_record_is_input(record->kind)) {
            self->untold_inputs++;
            self->state.lost_inputs++;
        }
    }
    self->outdated = self->outdated || record->kind == TRAJ_RECORD_MODEL ||
                     record->kind == TRAJ_RECORD_RETUNE || record->kind == TRAJ_RECORD_SETTINGS ||
                     record->kind == TRAJ_RECORD_PAUSE;
    carry(self, record);
}

/* Gives up what is on the tape, so that it does not fill. */
static bool drop(struct traj_recorder_file *self, struct traj_tape *tape)
{
    uint64_t at = traj_tape_begin(tape);
    bool any = false;
    const void *bytes;
    size_t size;

    while ((bytes = traj_tape_read(tape, &at, &size)) != NULL) {
        struct traj_record record;

        if (traj_record_view(bytes, size, &record)) {
            note_lost(self, &record);
        }
        any = true;
    }
    traj_tape_release(tape, at);
    return any;
}

/* Takes back what stands behind so many bytes of the part. */
static void cut_back(struct traj_recorder_file *self, uint64_t size)
{
    self->state.bytes -= self->size - size;
    self->size = size;
    (void)ftruncate(self->fd, (off_t)size);
}

/*
 * Writes how much was lost and, unless the part has just begun with it, what is in force after it;
 * 0, or errno.
 */
static int tell_loss(struct traj_recorder_file *self, double now)
{
    unsigned char bytes[LOSS_SIZE];
    struct iovec piece[1 + CARRIED];
    uint64_t size = self->size;
    size_t count = 1;

    piece[0] = (struct iovec){bytes, write_loss(self, now, bytes)};
    if (self->filled || self->outdated) {
        count += carried_pieces(self, piece + 1);
    }
    if (write_pieces(self, piece, count) < count) {
        int why = errno;

        cut_back(self, size);
        return why;
    }
    note_told(self);
    return 0;
}

/*
 * What was lost is told, and the part goes on, or where a limit on the size of files ends it, or
 * the disk has failed to keep it, a new one, which begins with what was lost; 0, or errno.
 */
static int resume(struct traj_recorder_file *self, double now)
{
    int why = self->untold > 0 && self->fd >= 0 && !self->spoilt ? tell_loss(self, now) : 0;

    if (self->fd < 0 || self->spoilt || (why == EFBIG && (self->filled || self->outdated))) {
        why = open_part(self);
    }
    return why;
}

/* What is on the tape, up to so many records; their number, and where each ends. */
static size_t gather(struct traj_tape *tape, struct iovec piece[BATCH], uint64_t end[BATCH])
{
    uint64_t at = traj_tape_begin(tape);
    size_t count = 0;

    for (; count < BATCH; count++) {
        size_t size = 0;
        unsigned char *bytes = traj_tape_read(tape, &at, &size);

        if (bytes == NULL) {
            break;
        }
        traj_record_seal(bytes, size);
        piece[count] = (struct iovec){bytes, size};
        end[count] = at;
    }
    return count;
}

/* What telling of a loss changes. */
struct place {
    uint64_t part, size, next, untold, untold_inputs;
    bool outdated;
};

static struct place here(const struct traj_recorder_file *self)
{
    return (struct place){self->part,   self->size,          self->next,
                          self->untold, self->untold_inputs, self->outdated};
}

/*
 * A record that a part has no room for although it holds none of its own is lost: no other part has
 * more.  What was told of a loss before it is taken back, and told with this one.
 */
static void lose(struct traj_recorder_file *self, const struct iovec *piece,
                 const struct place *before)
{
    struct traj_record record;

    if (self->part == before->part) {
        cut_back(self, before->size);
        self->next = before->next;
        self->untold = before->untold;
        self->untold_inputs = before->untold_inputs;
        self->outdated = before->outdated;
    }
    if (traj_record_view(piece->iov_base, piece->iov_len, &record)) {
        note_lost(self, &record);
    }
    note_error(self, EFBIG);
}

/* Writes one batch off the tape; false if there was nothing. */
static bool write_batch(struct traj_recorder_file *self, struct traj_tape *tape, double now)
{
    struct iovec piece[BATCH] = {{NULL, 0}};
    uint64_t end[BATCH] = {0};
    const struct place before = here(self);
    size_t count = gather(tape, piece, end), whole = 0;
    int why;

    if (count == 0) {
        return false;
    }
    why = self->untold > 0 ? resume(self, now) : 0;
    if (why == 0) {
        whole = write_pieces(self, piece, count);
        why = whole < count ? errno : 0;
    }
    for (size_t i = 0; i < whole; i++) {
        note_written(self, &piece[i]);
    }
    if (why == EFBIG && self->filled) {
        /* A limit on the size of files is no full disk: the next part has room again. */
        why = open_part(self);
    } else if (why == EFBIG) {
        if (whole == 0) {
            lose(self, &piece[0], &before);
            whole = 1;
        }
        why = 0;
    }
    if (whole > 0) {
        traj_tape_release(tape, end[whole - 1]);
    }
    if (why != 0) {
        note_failure(self, why, now);
    }
    return true;
}

/*
 * A part that is full gives way to the next.  Where that cannot be begun, this one still takes all
 * that comes: what is on the tape waits for nothing.
 */
static void rotate(struct traj_recorder_file *self, double now)
{
    uint64_t limit = (uint64_t)self->config.rotate_mb << 20;
    char next[sizeof self->path];
    int why;

    if (limit == 0 || self->size < limit || !self->filled ||
        (self->rotate_why != 0 && now < self->rotate_retry)) {
        return;
    }
    name_next(self, next);
    why = open_part(self);
    if (why != 0) {
        (void)snprintf(self->state.error, sizeof self->state.error,
                       "%s cannot be begun: %s; part %llu goes on", path_end(next), strerror(why),
                       (unsigned long long)self->part);
        self->rotate_retry = now + RETRY_S;
    } else if (self->rotate_why != 0) {
        (void)snprintf(self->state.error, sizeof self->state.error,
                       "%s could not be begun for a while: %s", path_end(next),
                       strerror(self->rotate_why));
    }
    self->rotate_why = why;
}

bool traj_recorder_file_take(struct traj_recorder_file *file, struct traj_tape *tape, bool last,
                             double now)
{
    bool moved;

    if (file->failing && (last || now >= file->retry)) {
        int why = resume(file, now);

        if (why == 0) {
            file->failing = false;
        } else {
            note_failure(file, why, now);
        }
    }
    if (file->failing) {
        /* A short failure costs nothing: the tape holds what comes meanwhile, up to its half. */
        return (last || traj_tape_waiting(tape) > traj_tape_capacity(tape) / 2) && drop(file, tape);
    }
    moved = write_batch(file, tape, now);
    if (file->failing) {
        /* At the end nobody waits for better times. */
        return last ? drop(file, tape) || moved : moved;
    }
    rotate(file, now);
    if (file->config.sync_s > 0.0 && now - file->flushed >= file->config.sync_s) {
        flush(file, now);
    }
    return moved;
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* A name that no recording in the directory has: the time of day and this process. */
static int find_name(struct traj_recorder_file *self, int attempt)
{
    time_t seconds = (time_t)traj_clock_wall();
    char when[32] = "";
    char tail[16] = "";
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &utc) == 0) {
        return -1;
    }
    if (attempt > 0) {
        (void)snprintf(tail, sizeof tail, "-%d", attempt);
    }
    (void)snprintf(self->name, sizeof self->name, "%s-%ld%s", when, (long)getpid(), tail);
    (void)snprintf(self->base, sizeof self->base, "%.*s/%s", DIRECTORY_MAX, self->directory,
                   self->name);
    return 0;
}

int traj_recorder_file_begin(struct traj_recorder_file *file, const char *digest,
                             struct traj_error *error)
{
    int why = EEXIST;

    file->part = 0;
    file->next = 0;
    file->failing = false;
    file->rotate_why = 0;
    file->untold = file->untold_inputs = 0;
    file->outdated = false;
    file->flushed = traj_clock_now();
    for (size_t i = 0; i < CARRIED; i++) {
        file->carried[i].size = 0;
    }
    memset(&file->state, 0, sizeof file->state);
    memset(file->name, 0, sizeof file->name);
    (void)snprintf(file->digest, sizeof file->digest, "%s", digest);
    for (int attempt = 0; attempt < NAMES && why == EEXIST; attempt++) {
        why = find_name(file, attempt) == 0 ? open_part(file) : EINVAL;
    }
    return why == 0 ? 0
                    : traj_error_set(error, "record: no file can be made in %s: %s",
                                     file->directory, strerror(why));
}

void traj_recorder_file_close(struct traj_recorder_file *file)
{
    if (file->fd < 0) {
        return;
    }
    flush(file, traj_clock_now());
    (void)close(file->fd);
    file->fd = -1;
}
