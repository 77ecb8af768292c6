/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What housekeeping knows of the daemon: made by main before the threads start, then housekeeping's
 * own.
 */
#ifndef TRAJ_IO_SERVICE_H
#define TRAJ_IO_SERVICE_H

#include <pthread.h>

#include "daemon/io/config.h"
#include "daemon/io/exchange.h"
#include "daemon/io/guard.h"
#include "daemon/io/log.h"
#include "daemon/io/models.h"
#include "daemon/io/observers.h"
#include "daemon/io/options.h"
#include "daemon/io/outlet.h"
#include "daemon/io/realtime.h"
#include "daemon/io/recorder.h"
#include "daemon/io/source/tap.h"
#include "proto/sha256.h"

struct traj_service {
    const struct traj_options *options; /* to read the configuration again */
    struct traj_config config;          /* in force */
    char configured[TRAJ_SHA256_HEX];   /* of the model that it names, as it was read last */
    struct traj_models models;
    struct traj_exchange *exchange;
    struct traj_recorder *recorder; /* NULL where no directory is configured */
    struct traj_observers observers;
    struct traj_tap *tap;       /* NULL where no source is configured */
    struct traj_outlet *outlet; /* NULL where none is configured */
    uint64_t tap_said;          /* how much of what it said is in the log */
    struct traj_log log;
    struct traj_guard guard;
    char frames[TRAJ_ENDPOINT_SIZE]; /* addresses as they really are */
    char intents[TRAJ_ENDPOINT_SIZE];
    char control[TRAJ_ENDPOINT_SIZE];
    struct traj_realtime realtime; /* what was granted */
    pthread_t decode_thread;
    pthread_t housekeeping_thread;
    long decode_tid; /* as the system numbers threads */
    long housekeeping_tid;
    double started;         /* s, daemon's clock */
    uint64_t requests_held; /* not answered, because too many came in a second */
    struct {                /* the frame rate is taken over the last half second or more */
        double since;
        uint64_t decoded;
        double value; /* frames/s */
    } rate;
};

#endif
