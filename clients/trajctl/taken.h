/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a daemon made of the frames that it was sent: asked before the first one and at the end. */
#ifndef TRAJCTL_TAKEN_H
#define TRAJCTL_TAKEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/error.h"
#include "traj/client.h"

struct taken {
    const char *endpoint; /* the control socket; NULL = nobody is asked */
    struct traj_control *control;
    json_t *before; /* the daemon's frames, as proto/status.md says; NULL = not known */
};

/* Once the daemon listens.  One that does not answer is not asked again. */
void taken_begin(struct taken *taken, const char *endpoint);

/*
 * Once all has been sent: waits until the daemon has received `sent` frames, of which `wanted`
 * should not be refused.  0, with what there is to say in note ("" = nothing); 1 when interrupted;
 * -1 with a sentence where it refused all of them.
 */
int taken_end(struct taken *taken, size_t sent, size_t wanted, char *note, size_t size,
              struct traj_error *error);

void taken_free(struct taken *taken);

#endif
