/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decode thread: frames and events from the frames socket through the pipeline to the intents
 * socket. It owns both sockets, the signals and the deadline of `stale`; commands come through the
 * exchange and take effect between two frames.  After traj_decode_loop_open nothing here allocates,
 * locks or logs.  Inside libzmq each message that is sent allocates once, so that an intent costs
 * two blocks where anybody subscribes to it without text as well (a constant message, which would
 * cost none, must outlive a subscriber that nobody knows to be done with it), and so does a
 * subscription that begins.
 */
#ifndef TRAJ_IO_DECODE_LOOP_H
#define TRAJ_IO_DECODE_LOOP_H

#include "daemon/core/tape.h"
#include "daemon/io/config.h"
#include "daemon/io/exchange.h"
#include "daemon/io/link.h"
#include "daemon/io/notify.h"
#include "daemon/io/realtime.h"
#include "daemon/learn/error.h"
#include "traj/decoder.h"

struct traj_decode_loop;

/*
 * All is borrowed but config, which is copied; realtime is to be filled in before the loop runs.
 * signal_fd comes from traj_signals_open, or is -1.  NULL with a sentence.
 */
struct traj_decode_loop *traj_decode_loop_open(struct traj_link *link,
                                               struct traj_exchange *exchange,
                                               struct traj_decoder *decoder,
                                               const struct traj_config *config,
                                               const struct traj_realtime *realtime, int signal_fd,
                                               struct traj_error *error);
/*
 * Has what happens told on a tape (borrowed) once recording begins: at once if `start`, else by
 * command.  model_path is where the running model was read from.  Before the loop runs.
 */
void traj_decode_loop_record(struct traj_decode_loop *loop, struct traj_tape *tape,
                             const char *model_path, bool start);

/* Has the same told to those who observe, from the beginning, on an empty tape (borrowed). */
void traj_decode_loop_observe(struct traj_decode_loop *loop, struct traj_tape *tape);

/*
 * Has the service manager told (borrowed notifier) that the loop goes round: from this thread
 * alone, so that nobody else can say it lives when it does not.  Before the loop runs.
 */
void traj_decode_loop_watched(struct traj_decode_loop *loop, struct traj_notifier *notifier);

void traj_decode_loop_close(struct traj_decode_loop **loop);

/*
 * Runs until SIGTERM, SIGINT or a shutdown command; 0, or -1 with a sentence if a socket fails.
 * Calls traj_exchange_end before it returns.
 */
int traj_decode_loop_run(struct traj_decode_loop *loop, struct traj_error *error);

#endif
