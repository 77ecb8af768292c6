/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the system says that this process and its threads have used. */
#ifndef TRAJ_IO_USAGE_H
#define TRAJ_IO_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* The calling thread's number, under which /proc knows it. */
long traj_usage_thread(void);

/* Page faults of a thread of this process so far; false where the system does not tell. */
bool traj_usage_faults(long thread, uint64_t *minor, uint64_t *major);

/* Resident memory of this process, bytes; false where the system does not tell. */
bool traj_usage_memory(uint64_t *bytes);

#endif
