/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Control requests: one JSON object in, one out.  Strict: unknown keys are refused.  What a request
 * asks for is read in control_request.h, before anything is done.
 *
 *     {"cmd":"ping"}                                      {"ok":true,"version":..}
 *     {"cmd":"status"}                                    {"ok":true, and what topic status says}
 *     {"cmd":"trial","action":"start"|"go"|"stop"}        a person's trial marks
 *     {"cmd":"prior","prob":[..]}                         prior over targets until the trial stops
 *     {"cmd":"event","event":{..}}                        an event; "t" may be absent
 *     {"cmd":"reset"}                                     posterior anew
 *     {"cmd":"model","action":"show"|"rollback"}, {"cmd":"model","action":"load","path":..}
 *     {"cmd":"pause","on":true|false}
 *     {"cmd":"record","action":"start"|"stop"}            to the directory that is configured
 *     {"cmd":"shutdown"}
 *
 * Replies: {"ok":true,...} or {"ok":false,"error":"one sentence"}.  Whatever changes the daemon's
 * state is answered once the decode thread has done it, with "frame": how many frames had been
 * decoded by then.  Events without a time of their own happen at the last decoded frame, so that
 * they take effect before the next.
 */
#ifndef TRAJ_IO_CONTROL_H
#define TRAJ_IO_CONTROL_H

#include <stddef.h>

#include "daemon/io/service.h"

/*
 * Answers one request at time now (s): JSON text to be freed by free(), NULL when memory is short.
 */
char *traj_control_answer(struct traj_service *service, const char *request, size_t size,
                          double now);

/*
 * Answers a request that must be carried out however many others there are, {"cmd":"pause",
 * "on":true}, in the same way; NULL also where it is any other.
 */
char *traj_control_urgent(struct traj_service *service, const char *request, size_t size,
                          double now);

/* What topic `status` says at time now (s): JSON text to be freed by free(), or NULL. */
char *traj_control_status(struct traj_service *service, double now);

#endif
