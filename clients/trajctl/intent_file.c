/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading files of intents. */
#include "clients/trajctl/intent_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/evaluate/method.h"
#include "proto/intent.h"

#define TICKS 1e4 /* times are compared in tenths of a millisecond */

/* The bin whose end is t, or (size_t)-1. */
static size_t bin_at(const struct traj_session *session, double t)
{
    size_t low = 0, high = session->bins;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (session->t_end[middle] < t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low > 0 ? low - 1 : 0; i < session->bins && i <= low; i++) {
        if (llround(session->t_end[i] * TICKS) == llround(t * TICKS)) {
            return i;
        }
    }
    return (size_t)-1;
}

static int take_intent(struct traj_intent *intent, const struct traj_session *session,
                       struct intent_file *file)
{
    size_t bin = bin_at(session, intent->t);
    file->intents++;
    if (bin == (size_t)-1) {
        file->unknown++;
        return 0;
    }
    struct traj_collector collector = {file->decoded, bin, session};
    intent->t = session->t_end[bin];
    return traj_collect(&collector, intent);
}

static int take_line(const char *line, size_t length, const struct traj_session *session,
                     struct traj_intent_buffer *buffer, struct intent_file *file,
                     struct traj_refusal_detail *detail)
{
    enum traj_refusal refusal = traj_intent_parse(line, length, buffer, detail);
    if (refusal == TRAJ_REFUSED_TYPE) {
        return 0; /* stale and status share the topic list of whoever recorded them */
    }
    if (refusal != TRAJ_ACCEPTED) {
        return -1;
    }
    if (buffer->intent.position && buffer->intent.dim != session->dim) {
        detail->field = "position";
        detail->reason = "has another number of dimensions than the session";
        return -1;
    }
    memcpy(file->model, buffer->model, sizeof file->model);
    file->model[sizeof file->model - 1] = '\0';
    return take_intent(&buffer->intent, session, file);
}

static int read_lines(FILE *in, const char *path, const struct traj_session *session,
                      struct intent_file *file, struct traj_error *error)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t length;
    int result = 0;
    struct traj_intent_buffer *buffer = malloc(sizeof *buffer);
    if (!buffer) {
        return traj_error_set(error, "%s: memory is short", path);
    }
    while (result == 0 && (length = getline(&line, &cap, in)) >= 0) {
        struct traj_refusal_detail detail = {0};
        number++;
        if (length > 0 && line[length - 1] == '\n') {
            length--;
        }
        if (length > 0 && take_line(line, (size_t)length, session, buffer, file, &detail)) {
            result = traj_error_set(error, "%s line %zu: %s: %s", path, number,
                                    detail.field ? detail.field : "not an intent",
                                    detail.reason ? detail.reason : "");
        }
    }
    if (result == 0 && ferror(in)) {
        result = traj_error_set(error, "%s cannot be read: %s", path, strerror(errno));
    }
    free(buffer);
    free(line);
    return result;
}

int intent_file_read(const char *path, const struct traj_session *session, struct intent_file *file,
                     struct traj_error *error)
{
    memset(file, 0, sizeof *file);
    file->decoded = traj_decoded_new(session->bins, session->dim, session->targets);
    if (!file->decoded) {
        return traj_error_set(error, "%s: memory is short", path);
    }
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (!in) {
        intent_file_free(file);
        return traj_error_set(error, "%s cannot be read: %s", path, strerror(errno));
    }
    int result = read_lines(in, path, session, file, error);
    if (in != stdin) {
        fclose(in);
    }
    if (result) {
        intent_file_free(file);
    }
    return result;
}

void intent_file_free(struct intent_file *file)
{
    traj_decoded_free(file->decoded);
    file->decoded = NULL;
}
