/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Result files: written beside their place, synced, then renamed. */
#include "clients/trajctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".XXXXXX"

/* Opens output->temporary with the permissions that a new file would get. */
static FILE *open_temporary(struct output *output)
{
    mode_t mask = umask(0);
    umask(mask);
    int fd = mkstemp(output->temporary);
    if (fd < 0) {
        return NULL;
    }
    FILE *file = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        int reason = errno;
        close(fd);
        unlink(output->temporary);
        errno = reason;
    }
    return file;
}

int output_open(struct output *output, const char *path, struct traj_error *error)
{
    struct stat at;
    *output = (struct output){.path = path};
    if (strcmp(path, "-") == 0) {
        output->file = stdout;
        return 0;
    }
    if (stat(path, &at) == 0 && !S_ISREG(at.st_mode)) {
        output->file = fopen(path, "w");
    } else {
        size_t size = strlen(path) + sizeof SUFFIX;
        output->temporary = malloc(size);
        if (!output->temporary) {
            return traj_error_set(error, "%s: memory is short", path);
        }
        (void)snprintf(output->temporary, size, "%s%s", path, SUFFIX);
        output->file = open_temporary(output);
    }
    if (!output->file) {
        int reason = errno;
        free(output->temporary);
        output->temporary = NULL;
        return traj_error_set(error, "%s cannot be written: %s", path, strerror(reason));
    }
    return 0;
}

int output_place(const char *path, struct traj_error *error)
{
    struct stat at;
    struct output output;
    if (strcmp(path, "-") != 0 && stat(path, &at) == 0 && !S_ISREG(at.st_mode)) {
        /* A pipe that was opened and closed again would be at its end for who reads it. */
        if (!S_ISDIR(at.st_mode) && access(path, W_OK) == 0) {
            return 0;
        }
        return traj_error_set(error, "%s cannot be written: %s", path,
                              strerror(S_ISDIR(at.st_mode) ? EISDIR : errno));
    }
    if (output_open(&output, path, error) != 0) {
        return -1;
    }
    output_abandon(&output);
    return 0;
}

int output_commit(struct output *output, struct traj_error *error)
{
    FILE *file = output->file;
    int bad = fflush(file) != 0 || ferror(file);
    int reason = errno;
    if (!bad && output->temporary && fsync(fileno(file)) != 0) {
        bad = 1;
        reason = errno;
    }
    if (file != stdout && fclose(file) != 0 && !bad) {
        bad = 1;
        reason = errno;
    }
    output->file = NULL;
    if (!bad && output->temporary && rename(output->temporary, output->path) != 0) {
        bad = 1;
        reason = errno;
    }
    if (bad) {
        traj_error_set(error, "%s cannot be written: %s", output->path, strerror(reason));
    }
    if (bad && output->temporary) {
        unlink(output->temporary);
    }
    free(output->temporary);
    output->temporary = NULL;
    return bad ? -1 : 0;
}

int output_write(const char *path, const char *text, size_t size, struct traj_error *error)
{
    struct output output;
    if (output_open(&output, path, error) != 0) {
        return -1;
    }
    (void)fwrite(text, 1, size, output.file); /* output_commit asks whether it went well */
    return output_commit(&output, error);
}

void output_abandon(struct output *output)
{
    if (output->file && output->file != stdout) {
        fclose(output->file);
    }
    if (output->temporary) {
        unlink(output->temporary);
        free(output->temporary);
    }
    output->file = NULL;
    output->temporary = NULL;
}
