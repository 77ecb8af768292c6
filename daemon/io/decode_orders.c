/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What housekeeping asks of the decode thread; see decode_parts.h. */
#include "daemon/io/decode_parts.h"

#include <math.h>

#include "daemon/io/clock.h"

/*
 * An event that a person sent without a time happens now: at the last decoded frame, before the
 * next.  The second between the same two frames happens a hair later, or the pipeline would take
 * start, stop, start for two events and a copy.
 */
static enum traj_refusal take_command_event(struct traj_decode_loop *loop,
                                            const struct traj_command *command)
{
    *loop->event = *command->event;
    if (command->now) {
        double t = traj_pipeline_time(loop->pipeline);

        if (isnan(t)) {
            t = -TRAJ_TIME_MAX;
        }
        if (t != loop->command_base) {
            loop->command_base = t;
            loop->command_t = t;
        } else {
            loop->command_t = nextafter(loop->command_t, (double)INFINITY);
        }
        loop->event->t = loop->command_t;
    }
    loop->touched = true;
    return traj_decode_event(loop);
}

static void record_command_event(struct traj_decode_loop *loop, enum traj_refusal refusal,
                                 struct traj_moment at)
{
    traj_journal_control(&loop->journal, loop->event,
                         traj_pipeline_counters(loop->pipeline)->events,
                         traj_pipeline_at_once(loop->pipeline), refusal, at);
}

static void apply(struct traj_decode_loop *loop, const struct traj_command *command,
                  struct traj_moment at)
{
    if (command->config != NULL) {
        traj_decode_use_config(loop, command->config);
        traj_pipeline_configure(loop->pipeline, &command->config->pipeline);
        traj_journal_settings(&loop->journal, &command->config->pipeline,
                              command->config->workspace_dims, at);
    }
    if (command->decoder != NULL) {
        (void)traj_pipeline_swap(loop->pipeline, command->decoder);
        loop->decoder = command->decoder;
        loop->touched = true;
        traj_journal_model(&loop->journal, traj_decoder_model(command->decoder)->about.digest,
                           command->path, command->how, at);
    }
}

/*
 * The model that runs goes on with other tables; what is told of them is borrowed for good.  Where
 * it cannot, nothing has changed and nothing is borrowed.
 */
static enum traj_refusal retune(struct traj_decode_loop *loop, const struct traj_command *command,
                                struct traj_moment at)
{
    if (command->decoder != NULL) {
        if (traj_pipeline_adopt(loop->pipeline, command->decoder) == NULL) {
            return TRAJ_REFUSED_TYPE;
        }
        loop->decoder = command->decoder;
    }
    traj_pipeline_doubt(loop->pipeline, command->on);
    traj_journal_retune(&loop->journal, command->body, command->size, command->moved, at);
    return TRAJ_ACCEPTED;
}

static void record(struct traj_decode_loop *loop, bool on, struct traj_moment at)
{
    if (on) {
        traj_journal_start(&loop->journal, !loop->touched, traj_pipeline_untold(loop->pipeline),
                           traj_pipeline_counters(loop->pipeline), at);
    } else {
        traj_journal_stop(&loop->journal, at);
    }
}

/* Those who observe have the tape until they are told that it is over. */
static void observe(struct traj_decode_loop *loop, struct traj_tape *tape, struct traj_moment at)
{
    traj_journal_stop(&loop->observed, at);
    loop->observed.tape = tape;
    loop->stirred = 0;
    traj_journal_start(&loop->observed, !loop->touched, traj_pipeline_untold(loop->pipeline),
                       traj_pipeline_counters(loop->pipeline), at);
}

static void serve_command(struct traj_decode_loop *loop, const struct traj_command *command)
{
    struct traj_answer answer = {.refusal = TRAJ_ACCEPTED};
    struct traj_moment at = traj_decode_moment(loop, traj_clock_now());

    switch (command->kind) {
    case TRAJ_COMMAND_NOTHING:
        break;
    case TRAJ_COMMAND_EVENT:
        answer.refusal = take_command_event(loop, command);
        answer.objection = *traj_pipeline_objection(loop->pipeline);
        record_command_event(loop, answer.refusal, at);
        break;
    case TRAJ_COMMAND_RESET:
        traj_pipeline_reset(loop->pipeline);
        loop->touched = true;
        traj_journal_reset(&loop->journal, at);
        break;
    case TRAJ_COMMAND_PAUSE:
        traj_pipeline_pause(loop->pipeline, command->on);
        traj_journal_pause(&loop->journal, command->on, at);
        break;
    case TRAJ_COMMAND_APPLY:
        apply(loop, command, at);
        break;
    case TRAJ_COMMAND_RETUNE:
        answer.refusal = retune(loop, command, at);
        break;
    case TRAJ_COMMAND_PUBLISH:
        traj_link_publish(loop->link, command->topic, command->body, command->size);
        break;
    case TRAJ_COMMAND_RECORD:
        record(loop, command->on, at);
        break;
    case TRAJ_COMMAND_OBSERVE:
        observe(loop, command->tape, at);
        break;
    case TRAJ_COMMAND_SHUTDOWN:
        loop->stop = true;
        break;
    }
    answer.frame = traj_pipeline_counters(loop->pipeline)->decoded;
    traj_decode_publish_state(loop);
    traj_exchange_answer(loop->exchange, &answer);
}

void traj_decode_serve(struct traj_decode_loop *loop)
{
    struct traj_command command;

    while (traj_exchange_next_command(loop->exchange, &command)) {
        /* What was decoded before a command goes out before its answer, not after it. */
        if (loop->out_size > 0) {
            (void)traj_decode_flush(loop, traj_clock_now());
        }
        serve_command(loop, &command);
    }
}
