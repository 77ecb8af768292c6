/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control requests: JSON out, JSON in. */
#include "clients/trajctl/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/options.h"
#include "traj/client.h"

/* Exchanges one text for another; 0, or 1 after a sentence. */
static int exchange(const char *command, struct traj_control *control, const char *endpoint,
                    const char *text, int timeout_ms, json_t **reply)
{
    const char *answer = NULL;
    json_error_t why;
    int rc = traj_control_request(control, text, timeout_ms, &answer);
    if (rc == -ETIMEDOUT) {
        return failure(command, "no trajd answers at %s%s", endpoint, options_keys_doubt(endpoint));
    }
    if (rc != 0) {
        return failure(command, "%s: %s", endpoint, strerror(-rc));
    }
    json_t *body = json_loads(answer, 0, &why);
    if (!json_is_object(body)) {
        json_decref(body);
        return failure(command, "%s: the answer is no JSON object", endpoint);
    }
    if (!json_is_true(json_object_get(body, "ok"))) {
        const char *sentence = json_string_value(json_object_get(body, "error"));
        int status = failure(command, "%s", sentence ? sentence : "trajd refused without a reason");
        json_decref(body);
        return status;
    }
    *reply = body;
    return 0;
}

int request_send(const char *command, const char *endpoint, json_t *request, int timeout_ms,
                 json_t **reply)
{
    struct traj_control *control = NULL;
    json_t *body = NULL;
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (!text) {
        return failure(command, "the request cannot be written as JSON");
    }
    int rc = traj_control_open_with(endpoint, options_keys(), &control);
    int status = rc ? failure(command, "%s: %s", endpoint, strerror(-rc))
                    : exchange(command, control, endpoint, text, timeout_ms, &body);
    traj_control_close(&control);
    free(text);
    if (reply) {
        *reply = body;
    } else {
        json_decref(body);
    }
    return status;
}

int request_do(const char *command, const char *endpoint, json_t *request)
{
    json_t *reply = NULL;
    int status = request_send(command, endpoint, request, REQUEST_MS, &reply);
    if (status == 0) {
        printf("done after %" JSON_INTEGER_FORMAT " frames\n",
               json_integer_value(json_object_get(reply, "frame")));
    }
    json_decref(reply);
    return status;
}
