/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the pipeline objects to, as a person reads it. */
#ifndef TRAJ_IO_OBJECTION_TEXT_H
#define TRAJ_IO_OBJECTION_TEXT_H

#include "daemon/core/objection.h"

/* The sentence that objection.h shows, "" where nothing is objected to. */
#define TRAJ_OBJECTION_TEXT 200
void traj_objection_write(const struct traj_objection *objection, char text[TRAJ_OBJECTION_TEXT]);

#endif
