/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recordings as bytes: what is written reads back, and damage costs the damaged record alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/recording.h"

#define RECORDS 12
#define IMAGE 8192

struct made {
    unsigned char image[IMAGE];
    size_t size;
    size_t end[RECORDS]; /* of each record */
    struct traj_record record[RECORDS];
    unsigned char payload[RECORDS][256];
};

static void make(struct made *made)
{
    memset(made, 0, sizeof *made);
    for (size_t i = 0; i < RECORDS; i++) {
        struct traj_record *record = &made->record[i];
        record->kind = (enum traj_record_kind)(1 + i);
        record->code = (unsigned)(i % 4);
        record->cause = (unsigned)(i % TRAJ_REFUSALS);
        record->carried = i % 5 == 3;
        record->number = 1000 + i;
        record->frame = i * i;
        record->stamp = 0.125 * (double)i;
        record->size = i * 17 % 256;
        /* Some payloads hold what looks like the beginning of a record. */
        for (size_t k = 0; k < record->size; k++) {
            made->payload[i][k] = (unsigned char)(i % 3 == 0 ? "TRec"[k % 4] : (int)(k * 31 + i));
        }
        record->payload = made->payload[i];
        size_t size = traj_record_write(record, made->image + made->size, IMAGE - made->size);
        assert_int_equal(size, TRAJ_RECORD_HEADER + record->size);
        made->size += size;
        made->end[i] = made->size;
    }
}

static void assert_record(const struct traj_record *a, const struct traj_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->cause, b->cause);
    assert_int_equal(a->carried, b->carried);
    assert_true(a->number == b->number && a->frame == b->frame && a->stamp == b->stamp);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->payload, b->payload, b->size);
}

/*
 * Reads all that is whole in image[0..size); found[i] tells which of the records came.  Returns the
 * bytes of the torn tail.
 */
static size_t read_all(const struct made *made, const unsigned char *image, size_t size,
                       bool found[RECORDS])
{
    size_t at = 0;
    memset(found, 0, RECORDS * sizeof *found);
    while (at < size) {
        struct traj_record record;
        size_t used = 0, wanted = 0;
        enum traj_record_outcome outcome =
            traj_record_next(image + at, size - at, &record, &used, &wanted);
        if (outcome == TRAJ_RECORD_MORE) {
            assert_int_equal(used, 0);
            assert_true(wanted > size - at);
            return size - at;
        }
        assert_true(used > 0 && used <= size - at);
        if (outcome == TRAJ_RECORD_GOOD) {
            size_t i = (size_t)(record.number - 1000);
            assert_true(i < RECORDS);
            assert_record(&record, &made->record[i]);
            found[i] = true;
        }
        at += used;
    }
    return 0;
}

static void what_is_written_reads_back(void **state)
{
    static struct made made;
    bool found[RECORDS];
    (void)state;
    make(&made);
    assert_int_equal(read_all(&made, made.image, made.size, found), 0);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_true(found[i]);
    }
    struct traj_record record = made.record[3];
    unsigned char out[TRAJ_RECORD_HEADER + 256];
    assert_int_equal(traj_record_write(&record, out, TRAJ_RECORD_HEADER + record.size - 1), 0);
    record.size = TRAJ_RECORD_PAYLOAD_MAX + 1;
    assert_int_equal(traj_record_write(&record, out, SIZE_MAX), 0);
}

/* At whatever byte the file ends, the records before are there and the rest is the tail. */
static void a_tail_torn_at_every_byte(void **state)
{
    static struct made made;
    (void)state;
    make(&made);
    size_t tried = 0;
    for (size_t size = 0; size < made.size; size++) {
        bool found[RECORDS];
        unsigned char *image = malloc(size > 0 ? size : 1);
        assert_non_null(image);
        memcpy(image, made.image, size);
        size_t tail = read_all(&made, image, size, found);
        size_t whole = 0;
        for (size_t i = 0; i < RECORDS; i++) {
            assert_int_equal(found[i], made.end[i] <= size);
            whole = made.end[i] <= size ? made.end[i] : whole;
        }
        assert_int_equal(tail, size - whole);
        free(image);
        tried++;
    }
    print_message("%zu ends tried\n", tried);
}

/* One wrong bit anywhere costs the record in which it is, and never another. */
static void a_flipped_bit_costs_one_record(void **state)
{
    static struct made made;
    static unsigned char image[IMAGE];
    (void)state;
    make(&made);
    size_t tried = 0;
    for (size_t bit = 0; bit < 8 * made.size; bit++) {
        bool found[RECORDS];
        memcpy(image, made.image, made.size);
        image[bit / 8] ^= (unsigned char)(1u << bit % 8);
        size_t tail = read_all(&made, image, made.size, found);
        for (size_t i = 0; i < RECORDS; i++) {
            bool hit = bit / 8 < made.end[i] && (i == 0 || bit / 8 >= made.end[i - 1]);
            if (hit) {
                assert_false(found[i]);
            } else if (tail == 0) {
                assert_true(found[i]);
            }
        }
        tried++;
    }
    print_message("%zu bits flipped\n", tried);
}

/* A length that reaches beyond the file hides nothing of what stands behind it. */
static void a_length_beyond_the_end_costs_one_record(void **state)
{
    static struct made made;
    static unsigned char image[IMAGE];
    (void)state;
    make(&made);
    for (size_t i = 0; i < RECORDS; i++) {
        size_t begin = i > 0 ? made.end[i - 1] : 0;
        struct traj_record record;
        size_t used = 0, wanted = 0;
        memcpy(image, made.image, made.size);
        image[begin + 6] = 0x7f; /* of four bytes from 4 on */
        assert_int_equal(
            traj_record_next(image + begin, made.size - begin, &record, &used, &wanted),
            TRAJ_RECORD_MORE);
        assert_int_equal(traj_record_pass_over(image + begin, made.size - begin),
                         i + 1 < RECORDS ? made.end[i] - begin : 0);
    }
}

static void the_header_reads_back(void **state)
{
    struct traj_recording_header header = {.part = 7,
                                           .first = 1234567890123,
                                           .stamp = -0.5,
                                           .time = 1.75e9},
                                 again;
    unsigned char bytes[TRAJ_RECORDING_HEADER];
    (void)state;
    memset(header.model, 'a', 64);
    (void)strcpy(header.name, "20260301T101500Z-815");
    (void)strcpy(header.version, "0.1.0");
    traj_recording_write_header(&header, bytes);
    memset(&again, 0, sizeof again);
    assert_int_equal(traj_recording_parse_header(bytes, sizeof bytes, &again, NULL), TRAJ_ACCEPTED);
    assert_memory_equal(&header, &again, sizeof header);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_int_not_equal(traj_recording_parse_header(bytes, sizeof bytes, &again, NULL),
                             TRAJ_ACCEPTED);
        bytes[i] ^= 1;
        assert_int_not_equal(traj_recording_parse_header(bytes, i, &again, NULL), TRAJ_ACCEPTED);
    }
}

/* A payload of each kind, and the same one byte shorter and longer, which is none. */
static void payloads_read_back(void **state)
{
    unsigned char bytes[TRAJ_RECORDED_MODEL_MAX + 1] = {0};
    struct traj_record record = {.payload = bytes};
    struct traj_recorded_settings settings = {.gap_reset_s = 0.3,
                                              .speed_limit = 1e3,
                                              .count_max = 77,
                                              .dims = 2,
                                              .low = {-1, -2},
                                              .high = {3, 4}},
                                  settings_again = {0};
    (void)state;
    record.kind = TRAJ_RECORD_SETTINGS;
    record.size = traj_recorded_put_settings(&settings, bytes);
    assert_true(traj_recorded_settings(&record, &settings_again));
    assert_memory_equal(&settings, &settings_again, sizeof settings);
    record.size++;
    assert_false(traj_recorded_settings(&record, &settings_again));
    record.size -= 2;
    assert_false(traj_recorded_settings(&record, &settings_again));

    struct traj_recorded_model model = {.path = "/data/m.tjm"}, model_again;
    memset(model.digest, '7', 64);
    record.kind = TRAJ_RECORD_MODEL;
    record.size = traj_recorded_put_model(&model, bytes);
    assert_true(traj_recorded_model(&record, &model_again));
    assert_string_equal(model.digest, model_again.digest);
    assert_string_equal(model.path, model_again.path);
    record.size = 63;
    assert_false(traj_recorded_model(&record, &model_again));

    const uint64_t effect[3] = {5, 6, UINT64_MAX};
    uint64_t effect_again[TRAJ_RECORDING_EFFECTS];
    size_t count, size;
    const void *body;
    record.kind = TRAJ_RECORD_INTENT;
    record.size = traj_recorded_put_intent(effect, 3, bytes) + 2;
    assert_true(traj_recorded_intent(&record, effect_again, &count, &body, &size));
    assert_int_equal(count, 3);
    assert_memory_equal(effect, effect_again, sizeof effect);
    assert_true(size == 2 && body == bytes + TRAJ_RECORDED_INTENT(3));
    record.size = TRAJ_RECORDED_INTENT(3) - 1;
    assert_false(traj_recorded_intent(&record, effect_again, &count, &body, &size));
    memset(bytes, 0xff, 8);
    assert_false(traj_recorded_intent(&record, effect_again, &count, &body, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_tail_torn_at_every_byte),
        cmocka_unit_test(a_flipped_bit_costs_one_record),
        cmocka_unit_test(a_length_beyond_the_end_costs_one_record),
        cmocka_unit_test(the_header_reads_back),
        cmocka_unit_test(payloads_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
