/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon's configuration: defaults, then a JSON file, then the command line.  Strict: an
 * unknown or doubled key, a wrong type and a number out of range are refused with file, line or
 * field, and reason.
 *
 *     {
 *       "model": "reach.tjm",                  the model file
 *       "shadow": null,                        a second model file, which decodes beside the first
 *       "recalibrate": {                       or null: the model stays as it was loaded
 *         "method": "rml",                     or "smoothbatch", "baseline"
 *         "interval_s": 10,                    tables change at most once in it
 *         "half_life_s": 60,                   after which what was seen counts for half
 *         "labels": true                       whether trial_labels are believed
 *       },
 *       "source": null,                        or a rig: "open-ephys://host:5556?units=rig.json"
 *       "lsl_outlet": null,                    or the name of an LSL stream of the intents
 *       "frames": "@tcp://127.0.0.1:5601",     endpoints: "@" or bare binds, ">" connects
 *       "intents": "@tcp://127.0.0.1:5602",
 *       "control": "@tcp://127.0.0.1:5603",
 *       "publish": "all",                      or "newest": the last of those that waited
 *       "stale_ms": 500,                       0 = never say that frames have stopped
 *       "status_ms": 1000,                     0 = no status messages
 *       "gap_reset_s": 1.0,                    a longer gap starts the posterior anew
 *       "count_max": 1000,                     a larger count is absurd
 *       "speed_limit": 0,                      length unit/s; 0 = none
 *       "workspace": {"low": [..], "high": [..]} or null
 *       "paused": false,                       true: begins with the output held, until asked
 *       "receive_hwm": 1000000,                messages that may wait for decoding; 0 = no bound
 *       "send_hwm": 20000,                     messages that may wait for one slow subscriber
 *       "message_max": 1048576,                bytes; a longer message is refused
 *       "request_rate": 1000,                  control requests answered in a second; 0 = any
 *       "curve": {                             or null: nothing beyond this machine
 *         "secret_key": "trajd.key_secret",    the daemon's own keys, of trajctl keygen
 *         "clients": "clients.list",           who may connect to which socket
 *         "servers": {"frames": "rig.key"}     public keys of those to which the daemon connects
 *       },
 *       "record": {                            or null: nothing can be recorded
 *         "directory": "recordings",           where recordings go; made if it is not there
 *         "start": true,                       begin with the daemon, else by a request
 *         "rotate_mb": 256,                    a new part begins beyond; 0 = never
 *         "buffer_mb": 16,                     memory between decoding and the disk
 *         "sync_s": 1.0                        the disk is flushed so often; 0 = at the end alone
 *       },
 *       "log_level": "info",                   "error", "warning", "info", "debug"
 *       "receive": "auto",                     "block": sleeps until a frame is there; "expect":
 *                                              awake just before one is due; "spin": never sleeps;
 *                                              "auto": expect with a priority, else block
 *       "priority": 0,                         SCHED_FIFO, 1..99; 0 = the ordinary scheduler
 *       "cpu": null,                           the processor that decodes; null = any
 *       "io_cpu": null,                        the processor of libzmq's threads
 *       "lock_memory": false,                  no page is ever taken away
 *       "wake_us": null                        no processor may sleep so deep that it takes longer
 *                                              to wake up; null = whatever the system does
 *     }
 */
#ifndef TRAJ_IO_CONFIG_H
#define TRAJ_IO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/pipeline.h"
#include "daemon/io/endpoint.h"
#include "daemon/io/log.h"
#include "daemon/io/outlet.h"
#include "daemon/io/source/url.h"
#include "daemon/learn/error.h"
#include "daemon/learn/recalibrate.h"
#include "proto/key.h"

#define TRAJ_PATH_SIZE 4096

/* Recording: directory "" = none, and then the rest means nothing. */
struct traj_record_config {
    char directory[TRAJ_PATH_SIZE];
    bool start;
    int rotate_mb;
    int buffer_mb;
    double sync_s;
};

/* Keys: secret_key "" = none, and then the rest means nothing. */
struct traj_curve_config {
    char secret_key[TRAJ_PATH_SIZE];
    char clients[TRAJ_PATH_SIZE];
    char server[TRAJ_SOCKETS][TRAJ_PATH_SIZE]; /* "" = none */
};

/* How the decode thread waits for frames. */
enum traj_receive {
    TRAJ_RECEIVE_AUTO, /* as traj_realtime_receive (realtime.h) says */
    TRAJ_RECEIVE_BLOCK,
    TRAJ_RECEIVE_EXPECT, /* awake shortly before a frame is expected, until it is there */
    TRAJ_RECEIVE_SPIN,
    TRAJ_RECEIVES
};

/* "auto", "block", "expect" or "spin". */
const char *traj_receive_name(enum traj_receive receive);

struct traj_config {
    char model[TRAJ_PATH_SIZE];  /* "" = none named */
    char shadow[TRAJ_PATH_SIZE]; /* "" = none */
    bool recalibrate;
    struct traj_recalibrate_options recalibration; /* also where it is off */
    char source[TRAJ_URL_SIZE];                    /* "" = frames come by the frames socket */
    char lsl_outlet[TRAJ_OUTLET_NAME];             /* "" = none */
    char frames[TRAJ_ENDPOINT_SIZE];
    char intents[TRAJ_ENDPOINT_SIZE];
    char control[TRAJ_ENDPOINT_SIZE];
    bool newest; /* publish */
    int stale_ms;
    int status_ms;
    struct traj_pipeline_settings pipeline;
    bool paused;           /* at the start */
    size_t workspace_dims; /* numbers in workspace.low and high; 0 = no workspace */
    int receive_hwm;
    int send_hwm;
    int message_max;
    int request_rate;
    struct traj_curve_config curve;
    struct traj_record_config record;
    enum traj_log_level log_level;
    enum traj_receive receive;
    int priority;
    int cpu;    /* -1 = any */
    int io_cpu; /* -1 = any */
    bool lock_memory;
    int wake_us; /* -1 = not asked */
};

void traj_config_default(struct traj_config *config);

/* Lays a file over *config.  0, or -1 with a sentence, and then *config is undefined. */
int traj_config_read(struct traj_config *config, const char *path, struct traj_error *error);

/* Lays JSON text over *config; name stands for the path in sentences. */
int traj_config_parse(struct traj_config *config, const char *text, size_t size, const char *name,
                      struct traj_error *error);

/*
 * Checks what fields say together: a thread that spins at a real-time priority never leaves its
 * processor, so libzmq's threads need another; what lies beyond this machine needs keys.  0, or -1
 * with a sentence.
 */
int traj_config_agrees(const struct traj_config *config, struct traj_error *error);

/* Replaces one textual setting ("model", "frames", "intents", "control") from the command line. */
int traj_config_override(struct traj_config *config, const char *key, const char *value,
                         struct traj_error *error);

/*
 * Checks what needs the model, read from the file `model`: the workspace and D.  0, or -1 with a
 * sentence.
 */
int traj_config_fits(const struct traj_config *config, const char *model, size_t dim,
                     struct traj_error *error);

/* Reads what config.h shows under "recalibrate" from JSON text; name stands for where it stood. */
int traj_config_recalibration(struct traj_recalibrate_options *options, const char *text,
                              const char *name, struct traj_error *error);

/*
 * The effective configuration as JSON text that traj_config_parse reads back to the same; to be
 * freed by free().  NULL when memory is short.
 */
char *traj_config_text(const struct traj_config *config);

#endif
