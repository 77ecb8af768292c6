/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recording whose daemon was killed; see recording_mend.h. */
#include "daemon/learn/recording_mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/tape.h"
#include "proto/recording.h"

#define SHARED "/dev/shm"
#define PARTS_MAX 1000000

struct mending {
    struct traj_tape *tape;
    struct traj_mended mended;
    int fd;
    uint64_t next; /* number of the first record that the file does not have */
    struct traj_error *error;
};

/* --- the recording's last part ---------------------------------------------------------------- */

static bool find_last_part(struct mending *m, const char *base)
{
    bool found = false;
    for (unsigned long part = 1; part < PARTS_MAX; part++) {
        char path[sizeof m->mended.file];
        (void)snprintf(path, sizeof path, "%.3000s.%04lu.rec", base, part);
        if (access(path, F_OK) != 0)
            break;
        memcpy(m->mended.file, path, sizeof path);
        found = true;
    }
    return found;
}

/* Where the whole records of an image end; m->next becomes the number after the last of them. */
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

/* Opens the part, finds out what it has, and cuts half a record off its end. */
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

/* A tape that nobody holds any more: its memory, private to us, or NULL. */
static void *map_tape(int fd, size_t *size)
{
    struct stat status;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &status) != 0 || status.st_size <= 0)
        return NULL;
    *size = (size_t)status.st_size;
    void *memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static void mend(int fd, const char *path, const char *prefix,
                 void (*tell)(void *context, const struct traj_mended *mended, const char *reason),
                 void *context)
{
    struct traj_error error = {{0}};
    struct mending m = {.fd = -1, .error = &error};
    size_t size = 0;
    void *memory = map_tape(fd, &size);
    if (memory == NULL)
        return;
    m.tape = traj_tape_attach(memory, size);
    if (m.tape != NULL && strncmp(traj_tape_name(m.tape), prefix, strlen(prefix)) == 0) {
        int rc = 0;
        if (find_last_part(&m, traj_tape_name(m.tape)))
            rc = open_part(&m) == 0 ? append_tape(&m) : -1;
        if (rc == 0)
            (void)unlink(path);
        if (rc != 0 || m.mended.records > 0 || m.mended.cut > 0)
            tell(context, &m.mended, rc == 0 ? NULL : error.text);
        if (m.fd >= 0)
            (void)close(m.fd);
    }
    (void)munmap(memory, size);
}

void traj_recording_mend_all(const char *prefix,
                             void (*tell)(void *context, const struct traj_mended *mended,
                                          const char *reason),
                             void *context)
{
    DIR *folder = opendir(SHARED);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[sizeof SHARED + 1 + sizeof entry->d_name];
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "trajd-", 6) != 0 || length < 5 ||
            strcmp(entry->d_name + length - 5, ".tape") != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", SHARED, entry->d_name);
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        mend(fd, path, prefix, tell, context);
        (void)close(fd);
    }
    (void)closedir(folder);
}
