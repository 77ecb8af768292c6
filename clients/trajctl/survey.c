/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a rig sends; see survey.h. */
#include "clients/trajctl/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "clients/trajctl/interrupt.h"
#include "clients/trajctl/progress.h"
#include "proto/event_broadcaster.h"
#include "proto/open_ephys.h"

bool survey_add(struct survey *survey, const char *channel, int32_t unit, uint64_t spikes)
{
    for (size_t n = 0; n < survey->units; n++) {
        if (survey->unit[n].unit == unit && strcmp(survey->unit[n].channel, channel) == 0) {
            survey->unit[n].spikes += spikes;
            return true;
        }
    }
    if (survey->units == survey->room) {
        size_t room = survey->room ? 2 * survey->room : 256;
        struct survey_unit *more = realloc(survey->unit, room * sizeof *more);
        if (!more) {
            return false;
        }
        survey->unit = more;
        survey->room = room;
    }
    struct survey_unit *added = &survey->unit[survey->units++];
    (void)snprintf(added->channel, sizeof added->channel, "%s", channel);
    added->unit = unit;
    added->spikes = spikes;
    return true;
}

bool survey_wants(struct survey *survey, const char *stream)
{
    if (survey->heard[0] == '\0' && (!survey->stream || strcmp(survey->stream, stream) == 0)) {
        (void)snprintf(survey->heard, sizeof survey->heard, "%s", stream);
    }
    if (strcmp(survey->heard, stream) == 0) {
        return true;
    }
    size_t length = strlen(survey->others);
    if (!strstr(survey->others, stream) && length + 80 < sizeof survey->others) {
        (void)snprintf(survey->others + length, sizeof survey->others - length, "%s\"%s\"",
                       length > 0 ? ", " : "", stream);
    }
    return false;
}

void survey_free(struct survey *survey)
{
    free(survey->unit);
}

/* --- Open Ephys, by either plugin ---------------------------------------------------------- */

static bool hear_open_ephys(struct survey *survey, const struct traj_oe_part part[3])
{
    struct traj_oe_message message;
    survey->messages++;
    if (traj_oe_parse(part, &message, NULL) != TRAJ_ACCEPTED) {
        survey->refused++;
        return true;
    }
    if (!survey_wants(survey, message.stream)) {
        return true;
    }
    if (message.kind == TRAJ_OE_DATA) {
        survey->rate = message.rate;
    }
    return message.kind != TRAJ_OE_SPIKE || survey_add(survey, message.name, message.sorted_id, 1);
}

static bool hear_broadcaster(struct survey *survey, const struct traj_oe_part part[3])
{
    struct traj_eb_message message;
    survey->messages++;
    if (part[2].size > 0 || traj_eb_parse(part[0].data, part[0].size, part[1].data, part[1].size,
                                          &message, NULL) != TRAJ_ACCEPTED) {
        survey->refused++;
        return true;
    }
    if (!survey_wants(survey, message.stream)) {
        return true;
    }
    survey->rate = message.rate;
    return message.kind != TRAJ_EB_SPIKE ||
           survey_add(survey, message.electrode, message.sorted_id, 1);
}

/* One message, if one comes within a moment; false when memory is short. */
static bool receive(struct survey *survey, void *socket,
                    bool (*hear)(struct survey *survey, const struct traj_oe_part part[3]))
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    zmq_msg_t message[3];
    struct traj_oe_part part[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    size_t count = 0;
    int more = 1;
    bool good = true;
    if (zmq_poll(&item, 1, 100) <= 0) {
        return true;
    }
    for (size_t i = 0; i < 3; i++) {
        (void)zmq_msg_init(&message[i]);
    }
    while (more) {
        zmq_msg_t rest;
        (void)zmq_msg_init(&rest);
        more = zmq_msg_recv(&rest, socket, 0) >= 0 && zmq_msg_more(&rest);
        if (count < 3) {
            (void)zmq_msg_move(&message[count], &rest);
            part[count] =
                (struct traj_oe_part){zmq_msg_data(&message[count]), zmq_msg_size(&message[count])};
        }
        (void)zmq_msg_close(&rest);
        count++;
    }
    good = hear(survey, part);
    for (size_t i = 0; i < 3; i++) {
        (void)zmq_msg_close(&message[i]);
    }
    return good;
}

static int listen_to(struct survey *survey,
                     bool (*hear)(struct survey *survey, const struct traj_oe_part part[3]),
                     struct traj_error *error)
{
    void *context = zmq_ctx_new();
    void *socket = context ? zmq_socket(context, ZMQ_SUB) : NULL;
    char address[300];
    int none = 0, result = 0;
    (void)snprintf(address, sizeof address, "tcp://%.280s", survey->address);
    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) ||
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) || zmq_connect(socket, address)) {
        result = traj_error_set(error, "%s: %s", address, zmq_strerror(zmq_errno()));
    }
    double until = monotonic_seconds() + survey->seconds;
    while (result == 0 && monotonic_seconds() < until) {
        if (!receive(survey, socket, hear)) {
            result = traj_error_set(error, "memory is short");
        } else if (interrupted()) {
            result = 1;
        }
    }
    if (socket) {
        (void)zmq_close(socket);
    }
    if (context) {
        (void)zmq_ctx_term(context);
    }
    return result;
}

int survey_open_ephys(struct survey *survey, struct traj_error *error)
{
    return listen_to(survey, hear_open_ephys, error);
}

int survey_event_broadcaster(struct survey *survey, struct traj_error *error)
{
    return listen_to(survey, hear_broadcaster, error);
}
