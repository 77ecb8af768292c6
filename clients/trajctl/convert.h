/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The formats of trajctl convert that have options of their own: argv[0] is the format's name. */
#ifndef TRAJCTL_CONVERT_H
#define TRAJCTL_CONVERT_H

#include "daemon/learn/session.h"

int convert_nwb(int argc, char **argv);
int convert_npz(int argc, char **argv);
int convert_mat(int argc, char **argv);

/* Writes a session and says what it holds; 0, or -1 with a sentence, also where there is none. */
int convert_write(const struct traj_session *session, const char *out, struct traj_error *error);

#endif
