/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key files and the list of clients; see keys.h. */
#include "daemon/io/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

/* A longer file is none of ours. */
#define FILE_MAX ((size_t)1 << 20)

#define OTHERS_READ (S_IRWXG | S_IRWXO)
#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* What must be true of the file before a byte of it is believed; 0, or -1 with a sentence. */
static int check_file(const char *path, const struct stat *about, bool secret,
                      struct traj_error *error)
{
    if (!S_ISREG(about->st_mode)) {
        return traj_error_set(error, "%s: not a file", path);
    }
    if (about->st_uid != geteuid() && about->st_uid != 0) {
        return traj_error_set(error, "%s: belongs to another user; chown it to the user of trajd",
                              path);
    }
    if (secret && (about->st_mode & OTHERS_READ) != 0) {
        return traj_error_set(
            error, "%s: a secret key that others may read or write is none; chmod 600 %s", path,
            path);
    }
    if ((about->st_mode & OTHERS_WRITE) != 0) {
        return traj_error_set(error, "%s: others may write it; chmod go-w %s", path, path);
    }
    if (about->st_size < 0 || (size_t)about->st_size > FILE_MAX) {
        return traj_error_set(error, "%s: too long to be what it should be", path);
    }
    return 0;
}

/* Reads all of an open file into a block of cap bytes; its length, or -1 and errno. */
static ssize_t read_all(int fd, char *out, size_t cap)
{
    size_t size = 0;

    while (size < cap) {
        ssize_t got = read(fd, out + size, cap - size);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    return (ssize_t)size;
}

/* The text of a file that has passed check_file, to be freed; NULL with a sentence. */
static char *read_file(const char *path, bool secret, size_t *size, struct traj_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;
    char *text = NULL;
    ssize_t got = -1;

    if (fd < 0 || fstat(fd, &about) != 0) {
        (void)traj_error_set(error, "%s: %s", path, strerror(errno));
    } else if (check_file(path, &about, secret, error) == 0) {
        text = malloc((size_t)about.st_size + 1);
        if (text == NULL) {
            (void)traj_error_set(error, "out of memory");
        } else {
            got = read_all(fd, text, (size_t)about.st_size);
        }
        if (text != NULL && got < 0) {
            (void)traj_error_set(error, "%s: %s", path, strerror(errno));
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (got < 0) {
        free(text);
        return NULL;
    }
    *size = (size_t)got;
    return text;
}

static int read_pair(const char *path, bool secret, struct traj_key_pair *pair,
                     struct traj_error *error)
{
    size_t size;
    char *text = read_file(path, secret, &size, error);
    const char *wrong;

    if (text == NULL) {
        return -1;
    }
    wrong = traj_key_parse(text, size, pair);
    free(text);
    return wrong == NULL ? 0 : traj_error_set(error, "%s: %s", path, wrong);
}

int traj_keys_secret(const char *path, struct traj_key_pair *pair, struct traj_error *error)
{
    char derived[TRAJ_KEY_SIZE];

    if (read_pair(path, true, pair, error) != 0) {
        return -1;
    }
    if (pair->secret_key[0] == '\0') {
        return traj_error_set(error, "%s: holds no line secret-key = \"...\"", path);
    }
    if (zmq_curve_public(derived, pair->secret_key) != 0) {
        return traj_error_set(error, "%s: no key: %s", path, zmq_strerror(zmq_errno()));
    }
    if (strcmp(derived, pair->public_key) != 0) {
        return traj_error_set(error, "%s: the public and the secret key do not belong together",
                              path);
    }
    return 0;
}

int traj_keys_public(const char *path, char key[TRAJ_KEY_SIZE], struct traj_error *error)
{
    struct traj_key_pair pair;

    if (read_pair(path, false, &pair, error) != 0) {
        return -1;
    }
    memcpy(key, pair.public_key, TRAJ_KEY_SIZE);
    return 0;
}

/* --- the list --------------------------------------------------------------------------------- */

static int add_client(struct traj_client_list *list, const struct traj_client_entry *entry)
{
    struct traj_client_entry *client =
        realloc(list->client, (list->count + 1) * sizeof *list->client);

    if (client == NULL) {
        return -1;
    }
    client[list->count++] = *entry;
    list->client = client;
    return 0;
}

static int parse_list(const char *path, const char *text, size_t size,
                      struct traj_client_list *list, struct traj_error *error)
{
    const char *end = text + size;

    for (size_t number = 1; text < end; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        struct traj_client_entry entry;
        const char *wrong;

        stop = stop != NULL ? stop : end;
        wrong = traj_client_parse(text, (size_t)(stop - text), &entry);
        if (wrong != NULL) {
            return traj_error_set(error, "%s:%zu: %s", path, number, wrong);
        }
        if (entry.rights != 0 && traj_clients_find(list, entry.key) != NULL) {
            return traj_error_set(error, "%s:%zu: the key stands there twice", path, number);
        }
        if (entry.rights != 0 && add_client(list, &entry) != 0) {
            return traj_error_set(error, "out of memory");
        }
        text = stop < end ? stop + 1 : end;
    }
    return 0;
}

int traj_clients_read(const char *path, struct traj_client_list *list, struct traj_error *error)
{
    size_t size;
    char *text = read_file(path, false, &size, error);
    int rc;

    memset(list, 0, sizeof *list);
    if (text == NULL) {
        return -1;
    }
    rc = parse_list(path, text, size, list, error);
    free(text);
    if (rc != 0) {
        traj_clients_free(list);
    }
    return rc;
}

void traj_clients_free(struct traj_client_list *list)
{
    free(list->client);
    memset(list, 0, sizeof *list);
}

const struct traj_client_entry *traj_clients_find(const struct traj_client_list *list,
                                                  const char *key)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->client[i].key, key) == 0) {
            return &list->client[i];
        }
    }
    return NULL;
}
