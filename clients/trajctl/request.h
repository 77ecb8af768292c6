/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One request to the daemon's control socket. */
#ifndef TRAJCTL_REQUEST_H
#define TRAJCTL_REQUEST_H

#include <jansson.h>

#define REQUEST_MS 3000       /* the daemon answers within this, or is not there */
#define REQUEST_LOAD_MS 60000 /* a model is read and checked before the answer */

/*
 * Sends request (the reference is taken; NULL = memory is short) and waits for the reply.  Returns
 * 0, or 1 after a sentence on stderr: no answer, no JSON, or what the daemon refused.  *reply (may
 * be NULL) is a new reference.
 */
int request_send(const char *command, const char *endpoint, json_t *request, int timeout_ms,
                 json_t **reply);

/* The same for requests whose answer is only that it is done; says so with the frame. */
int request_do(const char *command, const char *endpoint, json_t *request);

#endif
