/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a recording: a header that is refused with a reason or writes back equal; records
 * that lie inside the bytes and write back equal; and every byte is either part of one, passed
 * over, or the torn tail.  The payloads' readers refuse or give what fits into their structs.
 */
#include <stdint.h>
#include <string.h>

#include "proto/recording.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(9);

static void try_header(const uint8_t *data, size_t size)
{
    struct traj_recording_header header;
    struct traj_refusal_detail detail = {NULL, NULL, 0};
    unsigned char out[TRAJ_RECORDING_HEADER];
    enum traj_refusal refusal = traj_recording_parse_header(data, size, &header, &detail);
    if (refusal != TRAJ_ACCEPTED) {
        REQUIRE(refusal < TRAJ_REFUSALS && detail.reason != NULL && detail.offset <= size);
        return;
    }
    ACCEPTED(0);
    struct traj_recording_header again;
    traj_recording_write_header(&header, out);
    REQUIRE(traj_recording_parse_header(out, sizeof out, &again, NULL) == TRAJ_ACCEPTED);
    REQUIRE(again.part == header.part && again.first == header.first);
    REQUIRE(strcmp(again.name, header.name) == 0 && strcmp(again.model, header.model) == 0);
}

static void require_inside(const struct traj_record *record, const void *body, size_t size)
{
    const uint8_t *begin = record->payload;
    const uint8_t *at = body;
    REQUIRE(at >= begin && (size_t)(at - begin) <= record->size);
    REQUIRE(size == record->size - (size_t)(at - begin));
}

static void try_retune(const struct traj_record *record)
{
    struct traj_recorded_retune retune;
    if (!traj_recorded_retune(record, &retune))
        return;
    ACCEPTED(8);
    const size_t numbers = (size_t)retune.channels * retune.columns;
    REQUIRE(record->size == TRAJ_RECORDED_RETUNE(numbers));
    double *coefficient = malloc((numbers + 1) * sizeof *coefficient);
    unsigned char *out = malloc(record->size);
    REQUIRE(coefficient != NULL && out != NULL);
    for (size_t i = 0; i < numbers; i++)
        coefficient[i] = traj_recorded_coefficient(&retune, i);
    REQUIRE(traj_recorded_put_retune(&retune, coefficient, out) == record->size);
    free(coefficient);
    free(out);
}

static void try_payload(const struct traj_record *record)
{
    static struct traj_recorded_model model;
    static unsigned char out[TRAJ_RECORDED_MODEL_MAX];
    static uint64_t effect[TRAJ_RECORDING_EFFECTS];
    struct traj_recorded_settings settings;
    struct traj_recorded_start start;
    struct traj_recorded_loss loss;
    uint64_t number;
    const void *body;
    size_t size, count;
    if (traj_recorded_settings(record, &settings)) {
        ACCEPTED(2);
        REQUIRE(traj_recorded_put_settings(&settings, out) == record->size);
        REQUIRE(memcmp(out, record->payload, record->size) == 0);
    }
    if (traj_recorded_model(record, &model)) {
        ACCEPTED(3);
        REQUIRE(traj_recorded_put_model(&model, out) == record->size);
        REQUIRE(memcmp(out, record->payload, record->size) == 0);
    }
    if (traj_recorded_event(record, &number, &body, &size)) {
        ACCEPTED(4);
        require_inside(record, body, size);
    }
    if (traj_recorded_intent(record, effect, &count, &body, &size)) {
        ACCEPTED(5);
        REQUIRE(count <= TRAJ_RECORDING_EFFECTS);
        require_inside(record, body, size);
    }
    if (traj_recorded_start(record, &start)) {
        ACCEPTED(6);
        REQUIRE(traj_recorded_put_start(&start, out) == record->size);
    }
    if (traj_recorded_loss(record, &loss)) {
        ACCEPTED(7);
        REQUIRE(traj_recorded_put_loss(&loss, out) == record->size);
    }
    try_retune(record);
    REQUIRE(strcmp(traj_record_name(record->kind), "unknown") != 0);
}

static void try_records(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct traj_record record;
        size_t used, wanted;
        enum traj_record_outcome outcome =
            traj_record_next(data + at, size - at, &record, &used, &wanted);
        if (outcome == TRAJ_RECORD_MORE) {
            REQUIRE(used == 0 && wanted > size - at);
            REQUIRE(wanted <= TRAJ_RECORD_HEADER + TRAJ_RECORD_PAYLOAD_MAX);
            return;
        }
        REQUIRE(used > 0 && used <= size - at);
        if (outcome == TRAJ_RECORD_GOOD) {
            uint8_t *copy = malloc(used);
            REQUIRE(copy != NULL);
            REQUIRE(used == TRAJ_RECORD_HEADER + record.size);
            REQUIRE(traj_record_write(&record, copy, used) == used);
            REQUIRE(memcmp(copy, data + at, used) == 0);
            free(copy);
            ACCEPTED(1);
            try_payload(&record);
        }
        at += used;
    }
}

/* Seals whatever has a record's outline, which no mutation would find, and tries once more. */
static void try_sealed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    for (size_t at = 0; at < size;) {
        struct traj_record record;
        if (traj_record_view(copy + at, size - at, &record)) {
            traj_record_seal(copy + at, TRAJ_RECORD_HEADER + record.size);
            at += TRAJ_RECORD_HEADER + record.size;
        } else {
            at++;
        }
    }
    try_records(copy, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_header(data, size);
    try_records(data, size);
    try_sealed(data, size);
    if (size > TRAJ_RECORDING_HEADER) {
        try_records(data + TRAJ_RECORDING_HEADER, size - TRAJ_RECORDING_HEADER);
        try_sealed(data + TRAJ_RECORDING_HEADER, size - TRAJ_RECORDING_HEADER);
    }
    return 0;
}
