/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client's keys, from key files. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/key.h"
#include "traj/client.h"

_Static_assert(TRAJ_KEY_SIZE == TRAJ_CLIENT_KEY, "both mean a key of Z85 and its NUL");

/* A longer file is no key file. */
#define FILE_MAX 65536

/* Puts the sentence where the caller wants it; returns rc. */
static int refuse(int rc, char *reason, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int refuse(int rc, char *reason, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (reason != NULL && size > 0) {
        /* Looked at twice, for the static and the shared library, the analyzer misses va_start. */
        // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
        (void)vsnprintf(reason, size, format, args);
    }
    va_end(args);
    return rc;
}

static int read_pair(const char *path, bool secret, struct traj_key_pair *pair, char *reason,
                     size_t size)
{
    char text[FILE_MAX];
    struct stat about;
    const char *wrong;
    ssize_t got = -1;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0 && fstat(fd, &about) == 0) {
        got = read(fd, text, sizeof text);
    }
    rc = got < 0 ? -errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != 0) {
        return refuse(rc, reason, size, "%s: %s", path, strerror(-rc));
    }
    wrong = traj_key_parse(text, (size_t)got, pair);
    if (wrong != NULL) {
        return refuse(-EBADMSG, reason, size, "%s: %s", path, wrong);
    }
    /* Only now is it known whether there is a secret: a public key is for everybody to read. */
    if (secret && pair->secret_key[0] == '\0') {
        return refuse(-EBADMSG, reason, size,
                      "%s: holds no secret key; a public one is that of --server-key", path);
    }
    if (secret && (about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return refuse(-EPERM, reason, size,
                      "%s: a secret key that others may read or write is none; chmod 600 %s", path,
                      path);
    }
    return 0;
}

int traj_keys_read(const char *own, const char *server, struct traj_keys *keys, char *reason,
                   size_t size)
{
    struct traj_key_pair pair;
    char derived[TRAJ_KEY_SIZE];
    int rc = read_pair(own, true, &pair, reason, size);

    if (rc != 0) {
        return rc;
    }
    if (zmq_curve_public(derived, pair.secret_key) != 0 || strcmp(derived, pair.public_key) != 0) {
        return refuse(-EBADMSG, reason, size,
                      "%s: holds no secret key that belongs to its public one", own);
    }
    memcpy(keys->public_key, pair.public_key, sizeof keys->public_key);
    memcpy(keys->secret_key, pair.secret_key, sizeof keys->secret_key);
    rc = read_pair(server, false, &pair, reason, size);
    memcpy(keys->server_key, pair.public_key, sizeof keys->server_key);
    return rc;
}
