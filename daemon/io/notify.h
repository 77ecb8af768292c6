/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tells the service manager how things stand, by the sd_notify protocol; nothing where there is
 * none.
 */
#ifndef TRAJ_IO_NOTIFY_H
#define TRAJ_IO_NOTIFY_H

/* state is "READY=1", "STOPPING=1", ...; sent to the socket that $NOTIFY_SOCKET names. */
void traj_notify(const char *state);

#endif
