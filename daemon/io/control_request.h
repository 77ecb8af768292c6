/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a control request asks for: its text is read here, and nothing is done.  No file is opened,
 * nobody is asked, and whatever the text says is refused here unless the daemon's state decides it.
 */
#ifndef TRAJ_IO_CONTROL_REQUEST_H
#define TRAJ_IO_CONTROL_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/error.h"
#include "proto/event.h"

enum traj_request_kind {
    TRAJ_REQUEST_PING,
    TRAJ_REQUEST_STATUS,
    TRAJ_REQUEST_EVENT, /* event, now; trial and prior are events too */
    TRAJ_REQUEST_RESET,
    TRAJ_REQUEST_PAUSE, /* on */
    TRAJ_REQUEST_SHUTDOWN,
    TRAJ_REQUEST_MODEL_SHOW,
    TRAJ_REQUEST_MODEL_LIST,
    TRAJ_REQUEST_MODEL_ROLLBACK,
    TRAJ_REQUEST_MODEL_LOAD,     /* path */
    TRAJ_REQUEST_MODEL_SHADOW,   /* path; NULL = no more shadow */
    TRAJ_REQUEST_RECALIBRATE_ON, /* options */
    TRAJ_REQUEST_RECALIBRATE_OFF,
    TRAJ_REQUEST_RECALIBRATE_FREEZE,
    TRAJ_REQUEST_RECALIBRATE_ROLLBACK,
    TRAJ_REQUEST_RECALIBRATE_APPLY, /* coefficient, coefficients */
    TRAJ_REQUEST_RECALIBRATE_SAVE,  /* path */
    TRAJ_REQUEST_RECALIBRATE_STATUS,
    TRAJ_REQUEST_RECALIBRATE_DOUBT, /* on */
    TRAJ_REQUEST_RECORD_START,
    TRAJ_REQUEST_RECORD_STOP,
    TRAJ_REQUEST_KINDS
};

struct traj_request {
    enum traj_request_kind kind;
    bool on;
    bool now;                 /* the event has no time of its own */
    const char *path;         /* not "" */
    struct traj_event *event; /* as strictly read as on the frames socket */
    char *options;            /* JSON text; NULL = none were told */
    double *coefficient;      /* NaN where the text has no number; NULL = those of the file */
    size_t coefficients;      /* 0 also where they are no array */
    json_t *body;             /* the object that was read; path leads into it */
};

/* 0, or -1 with a sentence; either way it is given back by traj_request_free. */
int traj_request_read(struct traj_request *request, const char *text, size_t size,
                      struct traj_error *error);
void traj_request_free(struct traj_request *request);

/* "on", "load", ..., the action of such kinds as have one; else "". */
const char *traj_request_action(enum traj_request_kind kind);

#endif
