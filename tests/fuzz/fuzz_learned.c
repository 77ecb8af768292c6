/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any lines as the messages of a recording, from which a session is learned: "F" and the body of a
 * frame, "E" or "C" and that of an event, other letters and the payload of a record of another
 * kind.  Refused by a sentence, or a session that holds together.
 */
#include <string.h>

#include "daemon/learn/recording_session.h"
#include "proto/recording.h"
#include "tests/fuzz/held_file.h"

#define LINE_MAX_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

static void add(const struct held_file *held, const void *bytes, size_t size)
{
    REQUIRE(write(held->fd, bytes, size) == (ssize_t)size);
}

static void add_line(const struct held_file *held, const uint8_t *line, size_t size,
                     uint64_t number)
{
    static unsigned char payload[TRAJ_RECORDED_EVENT + LINE_MAX_BYTES];
    static unsigned char out[TRAJ_RECORD_HEADER + sizeof payload + 8];
    struct traj_record record = {
        .number = number, .frame = number, .stamp = 0.001 * (double)number};
    size_t before = 0;
    if (size == 0 || size > LINE_MAX_BYTES) {
        return;
    }
    record.kind = line[0] == 'F'   ? TRAJ_RECORD_FRAME
                  : line[0] == 'E' ? TRAJ_RECORD_EVENT
                  : line[0] == 'C' ? TRAJ_RECORD_CONTROL
                                   : (enum traj_record_kind)(1 + line[0] % (TRAJ_RECORD_KINDS - 1));
    if (record.kind == TRAJ_RECORD_EVENT || record.kind == TRAJ_RECORD_CONTROL) {
        before = traj_recorded_put_event(number, payload);
        record.code = TRAJ_RECORD_AT_ONCE;
    }
    memcpy(payload + before, line + 1, size - 1);
    record.payload = payload;
    record.size = before + size - 1;
    size_t length = traj_record_write(&record, out, sizeof out);
    REQUIRE(length > 0);
    add(held, out, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct traj_recording_choice choice = {.length_unit = "mm"};
    struct traj_recording_header header = {.part = 1, .first = 1, .name = "fuzz"};
    const uint8_t *at = data, *end = data + size;
    struct traj_recording_omissions omitted;
    struct traj_error error = {{0}}, again = {{0}};
    unsigned char head[TRAJ_RECORDING_HEADER];
    struct held_file held;
    memset(header.model, '0', sizeof header.model - 1);
    traj_recording_write_header(&header, head);
    held_file_make(&held, head, sizeof head);
    for (uint64_t number = 1; at < end; number++) {
        const uint8_t *mark = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = mark != NULL ? mark : end;
        add_line(&held, at, (size_t)(stop - at), number);
        at = mark != NULL ? mark + 1 : end;
    }
    struct traj_session *session =
        traj_recording_session(held.path, "fuzz", &choice, &omitted, &error);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(0);
    }
    traj_session_free(session);
    held_file_drop(&held);
    return 0;
}
