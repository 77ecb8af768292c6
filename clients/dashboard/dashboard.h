/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The dashboard: one page that shows in a browser what trajd decodes.  A subscriber like any other;
 * one thread relays what comes over ZeroMQ to the browsers' websockets, a second waits for the
 * daemon's replies where the page may give orders.
 */
#ifndef DASHBOARD_DASHBOARD_H
#define DASHBOARD_DASHBOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/learn/error.h"
#include "traj/client.h"

struct dashboard_options {
    const char *intents;          /* where trajd publishes */
    const char *frames;           /* where frames can be tapped at the source, or NULL */
    const char *control;          /* where trajd takes requests, or NULL: the page only shows */
    const char *model;            /* model file to take the picture from, or NULL: as status says */
    const char *address;          /* numeric IPv4 or IPv6 address to listen at */
    size_t port;                  /* 0 = any that is free */
    const struct traj_keys *keys; /* for intents and control, or NULL */
    bool (*stop)(void);           /* asked about 30 times a second whether to end */
    void (*ready)(const char *url, void *arg); /* called once, when browsers may come */
    void *arg;
};

/* Serves until stop() is true; 0, or -1 with a sentence. */
int dashboard_run(const struct dashboard_options *options, struct traj_error *error);

/*
 * Whether an address is numeric and that of one interface: browsers name it in their requests,
 * which are refused where they name anything else.
 */
bool dashboard_can_listen(const char *address);

/* Whether an address is one of this machine's own that no other machine reaches. */
bool dashboard_is_loopback(const char *address);

#endif
