/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Orders of the page to the daemon: one at a time, on a thread of their own, because a daemon that
 * reads a model, or is gone, would otherwise stop the picture.
 */
#ifndef DASHBOARD_ORDERS_H
#define DASHBOARD_ORDERS_H

#include <stddef.h>

#include "traj/client.h"

struct orders;
/* 0 or a negative errno value. */
int orders_open(const char *endpoint, const struct traj_keys *keys, struct orders **orders);
void orders_close(struct orders **orders);

/*
 * Takes {"id":N,"request":{...}}; requests are trial, prior, pause and model (load, rollback), as
 * proto/control.md defines them, and no others.  NULL, or a constant sentence, without a quote in
 * it, that says why not.
 */
const char *orders_put(struct orders *orders, const char *text, size_t size);

/*
 * {"kind":"reply","id":N,"request":{...},"reply":{...}} of an order that is done, for the caller
 * to free; NULL = none.
 */
char *orders_take(struct orders *orders);

#endif
