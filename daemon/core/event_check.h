/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What makes an event fit for a model, and the memory by which copies of an event are known. */
#ifndef TRAJ_CORE_EVENT_CHECK_H
#define TRAJ_CORE_EVENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/objection.h"
#include "proto/event.h"
#include "traj/model.h"

/*
 * Whether an event's numbers fit a model of these sizes: prob[M] with a positive sum, gaze with
 * position[D] and a positive definite cov[D][D], a sane time.  TRAJ_ACCEPTED, or
 * the cause, and then *objection says more.
 */
enum traj_refusal traj_event_check(const struct traj_event *event, const struct traj_dims *dims,
                                   struct traj_objection *objection);

/* Kinds that change the decoder; of the rest only the order is judged. */
bool traj_event_acts(enum traj_event_kind kind);

#define TRAJ_EVENT_MEMORY 64

/* What tells one event from another. */
struct traj_event_print {
    enum traj_event_kind kind;
    double t;
    uint64_t hash; /* of its numbers */
};

/* The last events of a run; all zero bytes remember nothing. */
struct traj_event_memory {
    size_t count; /* remembered so far; the newest stands at (count - 1) % TRAJ_EVENT_MEMORY */
    struct traj_event_print print[TRAJ_EVENT_MEMORY];
};

struct traj_event_print traj_event_print_of(const struct traj_event *event);
bool traj_event_known(const struct traj_event_memory *memory, const struct traj_event_print *print);
void traj_event_remember(struct traj_event_memory *memory, const struct traj_event_print *print);

#endif
