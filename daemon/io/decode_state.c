/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the decode thread goes by and what others are told of it; see decode_parts.h. */
#include "daemon/io/decode_parts.h"

#include <string.h>

void traj_decode_use_config(struct traj_decode_loop *loop, const struct traj_config *config)
{
    loop->newest = config->newest;
    loop->asked = config->receive;
    loop->receive = traj_realtime_receive(loop->realtime, loop->asked);
    loop->stale_s = 1e-3 * config->stale_ms;
}

void traj_decode_publish_state(struct traj_decode_loop *loop)
{
    loop->state.counters = *traj_pipeline_counters(loop->pipeline);
    loop->state.t = traj_pipeline_time(loop->pipeline);
    loop->state.offset = traj_delay_offset(&loop->delay);
    loop->state.paused = traj_pipeline_paused(loop->pipeline);
    loop->state.subscribers = loop->link->subscribers + loop->link->binaries;
    loop->state.recording = loop->journal.on;
    loop->state.records = loop->journal.records;
    loop->state.records_lost = loop->journal.lost_all;
    loop->state.record_inputs_lost = loop->journal.lost_inputs_all;
    traj_exchange_publish(loop->exchange, &loop->state);
    loop->state_changed = false;
}

static void note(struct traj_decode_loop *loop, const struct traj_note *record)
{
    if (!traj_exchange_note(loop->exchange, record)) {
        loop->state.notes_lost++;
    }
}

void traj_decode_note(struct traj_decode_loop *loop, enum traj_note_kind kind,
                      enum traj_refusal refusal, const struct traj_refusal_detail *detail)
{
    struct traj_note record = {.kind = kind, .refusal = refusal};

    if (detail != NULL) {
        record.detail = *detail;
    } else {
        record.objection = *traj_pipeline_objection(loop->pipeline);
    }
    note(loop, &record);
}

void traj_decode_note_passed(struct traj_decode_loop *loop)
{
    struct traj_note record = {.kind = TRAJ_NOTE_FRAMES_PASSED, .passed = loop->passed};

    note(loop, &record);
}

enum traj_refusal traj_decode_event(struct traj_decode_loop *loop)
{
    enum traj_refusal refusal = traj_pipeline_event(loop->pipeline, loop->event);

    if (refusal == TRAJ_ACCEPTED && loop->event->kind == TRAJ_EVENT_SESSION) {
        loop->state.session = true;
        traj_delay_clear(&loop->delay); /* perhaps another clock */
        memcpy(loop->state.run, loop->event->text, sizeof loop->state.run);
    }
    return refusal;
}
