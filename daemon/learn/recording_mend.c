/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording whose daemon was killed; see recording_mend.h. */
#include "daemon/learn/recording_mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/tape.h"
#include "daemon/learn/recording_parts.h"
#include "proto/recording.h"

#define SHARED "/dev/shm"
#define ALIGNMENT TRAJ_TAPE_PEEK /* as a page is */

struct mending {
    struct traj_tape *tape;
    struct traj_mended mended;
    int fd;
    uint64_t next; /* number of the first record that the file does not have */
    struct traj_error *error;
};

/* --- the recording's last part ---------------------------------------------------------------- */

static void name_part(struct mending *m, const char *base, uint64_t part)
{
    char suffix[TRAJ_RECORDING_PART_SUFFIX];
    traj_recording_part_suffix(suffix, part);
    (void)snprintf(m->mended.file, sizeof m->mended.file, "%.3000s%s", base, suffix);
}

/*
 * The last one that is there, even where one before it is not: only at its end do the records go
 * on.  Where there is none, what is on the tape has nowhere to go.  A last one that was killed
 * before it had a header holds nothing: it is removed, and the records go on in the one before.
 */
static int find_last_part(struct mending *m, const char *base, const char *tape)
{
    struct stat status;
    uint64_t part = traj_recording_last_part(base, strlen(base));
    if (part == 0)
        return traj_error_set(m->error,
                              "no part of %.200s is there any more; what its daemon had not "
                              "written stays in %.200s",
                              base, tape);
    name_part(m, base, part);
    if (part > 1 && lstat(m->mended.file, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size < (off_t)TRAJ_RECORDING_HEADER && unlink(m->mended.file) == 0)
        name_part(m, base, part - 1);
    return 0;
}

/*
 * Where the last whole record of an image ends, whatever is damaged before it; m->next becomes the
 * number after that record.
 */
static size_t whole_length(struct mending *m, const unsigned char *image, size_t size)
{
    struct traj_recording_header header;
    size_t at = TRAJ_RECORDING_HEADER;
    size_t whole = at;
    if (traj_recording_parse_header(image, size, &header, NULL) != TRAJ_ACCEPTED)
        return 0;
    m->next = header.first;
    while (at < size) {
        struct traj_record record;
        size_t used, wanted;
        enum traj_record_outcome outcome =
            traj_record_next(image + at, size - at, &record, &used, &wanted);
        if (outcome == TRAJ_RECORD_MORE)
            used = traj_record_pass_over(image + at, size - at);
        if (used == 0)
            break;
        at += used;
        if (outcome != TRAJ_RECORD_GOOD)
            continue;
        whole = at;
        struct traj_recorded_loss loss;
        if (!record.carried)
            m->next = record.number + 1;
        else if (traj_recorded_loss(&record, &loss))
            m->next = record.number + loss.records;
    }
    return whole;
}

/* Opens the part, finds out what it has, and cuts what is no whole record off its end. */
static int open_part(struct mending *m)
{
    const char *path = m->mended.file;
    struct stat status;
    m->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (m->fd < 0 || fstat(m->fd, &status) != 0)
        return traj_error_set(m->error, "%s: %s", path, strerror(errno));
    size_t size = (size_t)status.st_size;
    void *image = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, m->fd, 0) : MAP_FAILED;
    if (image == MAP_FAILED)
        return traj_error_set(m->error, "%s cannot be read", path);
    size_t whole = whole_length(m, image, size);
    (void)munmap(image, size);
    if (whole == 0)
        return traj_error_set(m->error, "%s is no recording", path);
    m->mended.cut = size - whole;
    if ((whole < size && ftruncate(m->fd, (off_t)whole) != 0) ||
        lseek(m->fd, (off_t)whole, SEEK_SET) < 0)
        return traj_error_set(m->error, "%s: %s", path, strerror(errno));
    return 0;
}

/* --- what is on the tape ---------------------------------------------------------------------- */

static int append(struct mending *m, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t taken = write(m->fd, bytes, size);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken <= 0)
            return traj_error_set(m->error, "%s: %s", m->mended.file, strerror(errno));
        bytes += taken;
        size -= (size_t)taken;
    }
    return 0;
}

static int append_tape(struct mending *m)
{
    uint64_t at = traj_tape_begin(m->tape);
    bool ahead = false; /* the file has nothing of what comes now */
    unsigned char *bytes;
    size_t size;
    while ((bytes = traj_tape_read(m->tape, &at, &size)) != NULL) {
        struct traj_record record;
        if (!traj_record_view(bytes, size, &record) || TRAJ_RECORD_HEADER + record.size != size)
            return traj_error_set(m->error, "%s: what is on its tape is no record", m->mended.file);
        if (record.number >= m->next && (!record.carried || record.kind == TRAJ_RECORD_LOST))
            ahead = true;
        if (!ahead)
            continue;
        traj_record_seal(bytes, size);
        if (append(m, bytes, size) != 0)
            return -1;
        m->mended.records++;
    }
    return fsync(m->fd) == 0 ? 0
                             : traj_error_set(m->error, "%s: %s", m->mended.file, strerror(errno));
}

/* --- tapes ------------------------------------------------------------------------------------ */

/* Reads size bytes from the file's beginning; false if there are not so many. */
static bool read_tape(int fd, void *memory, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, (char *)memory + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* A tape that nobody holds any more and that is of a recording which begins with prefix. */
static bool is_left_behind(int fd, const char *prefix, struct stat *status)
{
    alignas(ALIGNMENT) unsigned char first[TRAJ_TAPE_PEEK];
    if (fstat(fd, status) != 0 || !S_ISREG(status->st_mode) || flock(fd, LOCK_EX | LOCK_NB) != 0 ||
        !read_tape(fd, first, sizeof first))
        return false;
    const char *name = traj_tape_peek(first, sizeof first);
    return name != NULL && strncmp(name, prefix, strlen(prefix)) == 0;
}

/*
 * Anybody may put a file there.  Only what none but this user could write is believed; and it is
 * copied, for a file that shrinks under a mapping would end this process.  The caller frees it.
 */
static struct traj_tape *copy_tape(int fd, const char *path, const struct stat *status,
                                   void **memory, struct traj_error *error)
{
    if (status->st_uid != geteuid() || (status->st_mode & 077) != 0) {
        (void)traj_error_set(error,
                             "%.200s is not this user's alone, so that what is on it is not "
                             "believed; it stays as it is",
                             path);
        return NULL;
    }
    size_t size = (size_t)status->st_size;
    *memory = aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (*memory == NULL || !read_tape(fd, *memory, size)) {
        (void)traj_error_set(error, "%.200s cannot be read: memory is short, or it has changed",
                             path);
        return NULL;
    }
    struct traj_tape *tape = traj_tape_attach(*memory, size);
    if (tape == NULL)
        (void)traj_error_set(error, "%.200s is damaged; it stays as it is", path);
    return tape;
}

static void mend(int fd, const char *path, const char *prefix,
                 void (*tell)(void *context, const struct traj_mended *mended, const char *reason),
                 void *context)
{
    struct traj_error error = {{0}};
    struct mending m = {.fd = -1, .error = &error};
    struct stat status;
    void *memory = NULL;
    if (!is_left_behind(fd, prefix, &status))
        return;
    m.tape = copy_tape(fd, path, &status, &memory, &error);
    int rc = m.tape != NULL ? 0 : -1;
    if (rc == 0 && find_last_part(&m, traj_tape_name(m.tape), path) == 0)
        rc = open_part(&m) == 0 ? append_tape(&m) : -1;
    else if (rc == 0)
        /* Nothing is lost with a tape on which nothing waits. */
        rc = traj_tape_waiting(m.tape) == 0 ? 0 : -1;
    if (rc == 0)
        (void)unlink(path);
    if (rc != 0 || m.mended.records > 0 || m.mended.cut > 0)
        tell(context, &m.mended, rc == 0 ? NULL : error.text);
    if (m.fd >= 0)
        (void)close(m.fd);
    free(memory);
}

/* Whatever was left behind stays where it is, and for the next who looks. */
static void tell_unseen(void (*tell)(void *context, const struct traj_mended *mended,
                                     const char *reason),
                        void *context)
{
    const struct traj_mended none = {.records = 0};
    struct traj_error error = {{0}};
    (void)traj_error_set(&error, SHARED " cannot be looked through for what was left there: %s",
                         strerror(errno));
    tell(context, &none, error.text);
}

void traj_recording_mend_all(const char *prefix,
                             void (*tell)(void *context, const struct traj_mended *mended,
                                          const char *reason),
                             void *context)
{
    DIR *folder = opendir(SHARED);
    if (folder == NULL) {
        /* Where there is no such folder there are no tapes; else some may be left there. */
        if (errno != ENOENT)
            tell_unseen(tell, context);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[sizeof SHARED + 1 + sizeof entry->d_name];
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "trajd-", 6) != 0 || length < 5 ||
            strcmp(entry->d_name + length - 5, ".tape") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", SHARED, entry->d_name);
        /* Without waiting: what is there may be anything. */
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        mend(fd, path, prefix, tell, context);
        (void)close(fd);
    }
    (void)closedir(folder);
}
