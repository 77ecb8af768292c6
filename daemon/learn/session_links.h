/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the states of an unbroken recording follow each other, in the decoder's three contexts: a
 * place on a course leads on at the pace of traj_labels_pace, the rest leads to all targets and the
 * hold to the way back at rates that were counted (without marks, inside trials, between them),
 * free places lead to free places as counted, and to and from the courses where position and
 * velocity are near.  Internal to this room.
 */
#ifndef TRAJ_LEARN_SESSION_LINKS_H
#define TRAJ_LEARN_SESSION_LINKS_H

#include "daemon/learn/session_states.h"

struct traj_session_links {
    size_t states, links;
    int32_t *first;  /* [states + 1] */
    int32_t *to;     /* [links] */
    double *prob;    /* [TRAJ_CONTEXTS][links] */
    double *initial; /* [states] */
    double *start;   /* [states] */
    double start_share;
};

/* -1 with a sentence. */
int traj_session_links_make(struct traj_session_links *links,
                            const struct traj_session_states *states, struct traj_error *error);
void traj_session_links_free(struct traj_session_links *links);

#endif
