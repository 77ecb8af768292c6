/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wire formats of rigs, and the map of their units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/blackrock.h"
#include "proto/brand.h"
#include "proto/event_broadcaster.h"
#include "proto/open_ephys.h"
#include "proto/units_map.h"

/* --- Open Ephys ------------------------------------------------------------------------------- */

static enum traj_refusal parse(const char *envelope, size_t envelope_size, const char *header,
                               const void *payload, size_t payload_size,
                               struct traj_oe_message *message)
{
    struct traj_oe_part part[3] = {
        {envelope, envelope_size}, {header, strlen(header)}, {payload, payload_size}};

    return traj_oe_parse(part, message, NULL);
}

static void what_the_plugin_sends_is_read(void **state)
{
    /* The header as the plugin's JSON library lays it out. */
    static const char spike[] =
        "{\r\n  \"message_num\": 7,\r\n  \"type\": \"spike\",\r\n"
        "  \"spike\": {\r\n    \"stream\": \"Rhythm Data\",\r\n"
        "    \"source_node\": 103,\r\n    \"electrode\": \"Electrode 2\",\r\n"
        "    \"sample_num\": 123456,\r\n    \"num_channels\": 2,\r\n"
        "    \"num_samples\": 3,\r\n    \"sorted_id\": 4,\r\n"
        "    \"threshold\": [\r\n      -50.0,\r\n      -41.5\r\n    ]\r\n"
        "  },\r\n  \"timestamp\": 1700000000123\r\n}";
    static const float threshold[] = {-50.0f, -41.5f};
    const float wave[6] = {0};
    struct traj_oe_message message;
    char out[1024];
    size_t size;

    (void)state;
    assert_int_equal(parse("EVENT", 6, spike, wave, sizeof wave, &message), TRAJ_ACCEPTED);
    assert_int_equal(message.kind, TRAJ_OE_SPIKE);
    assert_int_equal(message.number, 7);
    assert_int_equal(message.sample, 123456);
    assert_string_equal(message.stream, "Rhythm Data");
    assert_string_equal(message.name, "Electrode 2");
    assert_int_equal(message.sorted_id, 4);
    size = traj_oe_write_header(&message, 103, threshold, out, sizeof out);
    assert_int_equal(size, sizeof spike - 1);
    assert_memory_equal(out, spike, size);
    assert_int_equal(traj_oe_write_header(&message, 103, threshold, out, size - 1), 0);
}

static void kinds_round_trip(void **state)
{
    unsigned char ttl[TRAJ_OE_TTL_SIZE];
    const float samples[4] = {1, 2, 3, 4};
    struct traj_oe_message data = {.kind = TRAJ_OE_DATA,
                                   .number = 1,
                                   .sample = 9000000000,
                                   .samples = 4,
                                   .channels = 17,
                                   .rate = 24414.0625,
                                   .stream = "a \"b\"",
                                   .name = "CH18"};
    struct traj_oe_message event = {.kind = TRAJ_OE_TTL,
                                    .number = -5,
                                    .sample = 3,
                                    .line = 2,
                                    .state = 1,
                                    .word = UINT64_C(0x8000000000000004),
                                    .stream = "x"};
    struct traj_oe_message back;
    char out[1024];

    (void)state;
    out[traj_oe_write_header(&data, 1, NULL, out, sizeof out)] = '\0';
    assert_int_equal(parse("DATA", 5, out, samples, sizeof samples, &back), TRAJ_ACCEPTED);
    assert_int_equal(back.sample, 9000000000);
    assert_true(back.rate == 24414.0625);
    assert_string_equal(back.stream, "a \"b\"");
    /* A header whose tail is missing, as the plugin sends it where a name is not ASCII. */
    out[strlen(out) - 6] = '\0';
    assert_int_equal(parse("DATA", 5, out, samples, sizeof samples, &back), TRAJ_ACCEPTED);
    assert_int_equal(back.channels, 17);
    /* A payload of another length than the header says. */
    assert_int_equal(parse("DATA", 5, out, samples, sizeof samples - 1, &back),
                     TRAJ_REFUSED_SYNTAX);
    assert_int_equal(parse("EVENT", 6, out, samples, sizeof samples, &back), TRAJ_REFUSED_TYPE);

    traj_oe_write_ttl(&event, ttl);
    out[traj_oe_write_header(&event, 1, NULL, out, sizeof out)] = '\0';
    assert_int_equal(parse("EVENT", 6, out, ttl, sizeof ttl, &back), TRAJ_ACCEPTED);
    assert_int_equal(back.kind, TRAJ_OE_TTL);
    assert_int_equal(back.number, -5);
    assert_int_equal(back.line, 2);
    assert_int_equal(back.state, 1);
    assert_true(back.word == UINT64_C(0x8000000000000004));
    assert_int_equal(parse("EVENT", 6, out, ttl, 9, &back), TRAJ_REFUSED_SYNTAX);
    assert_int_equal(parse("EVENT", 6, out, NULL, 0, &back), TRAJ_REFUSED_SYNTAX);
}

static void other_messages_are_refused(void **state)
{
    static const char *const header[] = {
        "",
        "[]",
        "{\"message_num\":1}",
        "{\"message_num\":1,\"type\":\"spike\"}",
        "{\"message_num\":1.5,\"type\":\"spike\",\"spike\":{}}",
        "{\"message_num\":1,\"type\":\"spike\",\"spike\":{\"stream\":\"s\",\"sample_num\":1}}",
        "{\"message_num\":1,\"type\":\"spike\",\"spike\":{\"stream\":\"s\",\"sample_num\":-1,"
        "\"num_samples\":0,\"num_channels\":0,\"electrode\":\"e\",\"sorted_id\":0}}",
        "{\"message_num\":1,\"type\":\"spike\",\"spike\":{\"stream\":\"s\",\"sample_num\":1e300,"
        "\"num_samples\":0,\"num_channels\":0,\"electrode\":\"e\",\"sorted_id\":0}}",
        "{\"message_num\":1,\"type\":\"spike\",\"spike\":{\"stream\":\"s\",\"sample_num\":1,"
        "\"num_samples\":4294967295,\"num_channels\":4294967295,\"electrode\":\"e\","
        "\"sorted_id\":0}}",
        "{\"message_num\":1,\"type\":\"data\",\"content\":{\"stream\":\"s\",\"sample_num\":1}}",
    };
    struct traj_oe_message message;

    (void)state;
    for (size_t i = 0; i < sizeof header / sizeof header[0]; i++) {
        assert_int_not_equal(parse("EVENT", 6, header[i], NULL, 0, &message), TRAJ_ACCEPTED);
    }
    assert_int_equal(parse("EVEN", 4, "{}", NULL, 0, &message), TRAJ_REFUSED_TYPE);
}

static void broadcasts_round_trip(void **state)
{
    static const unsigned char first[2][2] = {{0, 0}, {1, 0}};
    static const char plain[] = "{\r\n  \"event_type\": \"ttl\",\r\n  \"stream\": \"a\",\r\n"
                                "  \"source_node\": 100,\r\n  \"sample_rate\": 30000.0,\r\n"
                                "  \"channel_name\": \"TTL\",\r\n  \"sample_number\": 77,\r\n"
                                "  \"line\": 3,\r\n  \"state\": true\r\n}";
    static const float wave[3] = {1, 2, 3};
    const struct traj_eb_message spike = {.kind = TRAJ_EB_SPIKE,
                                          .sample = INT64_C(1) << 40,
                                          .rate = 24414.0625,
                                          .stream = "a",
                                          .electrode = "E 1",
                                          .sorted_id = 65535};
    struct traj_eb_message back;
    unsigned char bytes[1024];
    size_t size;

    (void)state;
    assert_int_equal(traj_eb_parse(first[0], 2, plain, sizeof plain - 1, &back, NULL),
                     TRAJ_ACCEPTED);
    assert_int_equal(back.line, 3);
    assert_int_equal(back.state, 1);
    assert_int_equal(back.sample, 77);
    assert_int_equal(traj_eb_write_json(&back, 100, 0.0, (char *)bytes, sizeof bytes),
                     sizeof plain - 1);
    assert_memory_equal(bytes, plain, sizeof plain - 1);
    assert_int_equal(traj_eb_parse(first[1], 2, plain, sizeof plain - 1, &back, NULL),
                     TRAJ_REFUSED_TYPE);
    assert_int_equal(traj_eb_parse(first[0], 2, plain, sizeof plain - 2, &back, NULL),
                     TRAJ_REFUSED_SYNTAX);

    size = traj_eb_write_json(&spike, 1, 80.0, (char *)bytes, sizeof bytes);
    assert_int_equal(traj_eb_parse(first[1], 2, bytes, size, &back, NULL), TRAJ_ACCEPTED);
    assert_true(back.sample == spike.sample && back.rate == spike.rate);
    assert_string_equal(back.electrode, "E 1");
    assert_int_equal(back.sorted_id, 65535);

    size = traj_eb_write_binary(&spike, 101, 4, wave, 3, bytes, sizeof bytes);
    assert_int_equal(size, 26 + 4 * (1 + 3));
    assert_int_equal(traj_eb_parse(first[1], 2, bytes, size, &back, NULL), TRAJ_ACCEPTED);
    assert_string_equal(back.electrode, "101:4");
    assert_string_equal(back.stream, "0");
    assert_true(back.sample == spike.sample);
    assert_int_equal(traj_eb_parse(first[1], 2, bytes, 25, &back, NULL), TRAJ_REFUSED_SYNTAX);
    assert_int_equal(traj_eb_parse(first[0], 2, bytes, size, &back, NULL), TRAJ_REFUSED_TYPE);
    assert_int_equal(traj_eb_parse(first[1], 1, bytes, size, &back, NULL), TRAJ_REFUSED_TYPE);
    assert_int_equal(traj_eb_parse(first[1], 2, NULL, 0, &back, NULL), TRAJ_REFUSED_SYNTAX);
}

/* --- Blackrock -------------------------------------------------------------------------------- */

static void packets_round_trip(void **state)
{
    static const int16_t wave[4] = {5, -7, 300, -400};
    const struct traj_cb_packet sent[] = {
        {.kind = TRAJ_CB_SPIKE, .time = UINT64_C(1) << 60, .channel = 17, .unit = 3},
        {.kind = TRAJ_CB_GROUP, .time = 5, .channel = 0, .unit = 6, .instrument = 2},
        {.kind = TRAJ_CB_DIGITAL, .time = 6, .channel = 279, .value = 0x80000001},
        {.kind = TRAJ_CB_HEARTBEAT, .time = 7, .channel = 0x8000},
        {.kind = TRAJ_CB_MONITOR, .time = 8, .channel = 0x8000, .sent = 9, .counter = 70000}};
    const size_t count = sizeof sent / sizeof sent[0];
    unsigned char datagram[256];
    struct traj_cb_packet back;
    size_t size = 0, offset = 0;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        size += traj_cb_write(&sent[i], wave, 4, datagram + size, sizeof datagram - size);
    }
    assert_int_equal(size, 16 + 24 + 16 + 8 + 16 + 12 + 16 + 16 + 8);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(traj_cb_next(TRAJ_CB_410, 279, datagram, size, &offset, &back),
                         TRAJ_ACCEPTED);
        assert_int_equal(back.kind, sent[i].kind);
        assert_true(back.time == sent[i].time && back.value == sent[i].value);
        assert_int_equal(back.unit, sent[i].unit);
        assert_int_equal(back.sent, sent[i].sent);
        assert_int_equal(back.counter, sent[i].counter);
        assert_int_equal(back.instrument, sent[i].instrument);
    }
    assert_int_equal(offset, size);
    /* Cut anywhere inside the last packet, it is refused, and the rest with it. */
    for (size_t cut = size - 23; cut < size; cut++) {
        offset = size - 24;
        assert_int_equal(traj_cb_next(TRAJ_CB_410, 279, datagram, cut, &offset, &back),
                         TRAJ_REFUSED_SYNTAX);
        assert_int_equal(offset, cut);
    }
    assert_int_equal(traj_cb_write(&sent[0], wave, 4, datagram, 39), 0);
}

/* The older headers, byte by byte. */
static void older_packets_are_read(void **state)
{
    static const unsigned char spike[] = {0x10, 0x27, 0, 0, 5, 0, 2, 4, 0, 0, 0, 0,
                                          0,    0,    0, 0, 0, 0, 0, 0, 1, 0, 2, 0};
    static const unsigned char monitor[] = {1, 0, 0, 0, 0, 0, 0,  0, 0, 0x80,
                                            1, 1, 0, 3, 0, 0, 42, 0, 0, 0};
    struct traj_cb_packet packet;
    size_t offset = 0;

    (void)state;
    assert_int_equal(traj_cb_next(TRAJ_CB_311, 151, spike, sizeof spike, &offset, &packet),
                     TRAJ_ACCEPTED);
    assert_int_equal(packet.kind, TRAJ_CB_SPIKE);
    assert_true(packet.time == 10000);
    assert_int_equal(packet.channel, 5);
    assert_int_equal(packet.unit, 2);
    assert_int_equal(offset, sizeof spike);
    offset = 0;
    assert_int_equal(traj_cb_next(TRAJ_CB_400, 279, monitor, sizeof monitor, &offset, &packet),
                     TRAJ_ACCEPTED);
    assert_int_equal(packet.kind, TRAJ_CB_MONITOR);
    assert_int_equal(packet.sent, 42);
    assert_int_equal(packet.instrument, 3);
    assert_int_equal(traj_cb_protocol("4.2"), TRAJ_CB_410);
    assert_int_equal(traj_cb_protocol("5"), -1);
}

/* --- BRAND ------------------------------------------------------------------------------------ */

static void fields_of_brand_are_read(void **state)
{
    static const char sync[] = "{\"a\": {\"b\": [1]}, \"nsp_idx_1\": 123456, \"c\": \"x\"}";
    static const float floats[2] = {3.0f, 0.0f};
    static const float halves[1] = {0.5f};
    const uint64_t stamp[2] = {UINT64_C(1) << 40, 7};
    uint16_t out[3];
    size_t count = 9;
    int64_t number = 0;

    (void)state;
    assert_int_equal(traj_brand_type("int16"), TRAJ_BRAND_I16);
    assert_int_equal(traj_brand_type("double"), -1);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_I16, "\x01\x00\x00\x01", 4, out, 3, &count, NULL),
                     TRAJ_ACCEPTED);
    assert_int_equal(count, 2);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 256);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_F32, floats, sizeof floats, out, 3, &count, NULL),
                     TRAJ_ACCEPTED);
    assert_int_equal(out[0], 3);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_F32, halves, sizeof halves, out, 3, &count, NULL),
                     TRAJ_REFUSED_COUNTS);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_I8, "\xff", 1, out, 3, &count, NULL),
                     TRAJ_REFUSED_COUNTS);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_U16, "\xff\xff", 2, out, 3, &count, NULL),
                     TRAJ_REFUSED_COUNTS);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_I16, "abc", 3, out, 3, &count, NULL),
                     TRAJ_REFUSED_SYNTAX);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_I16, "", 0, out, 3, &count, NULL),
                     TRAJ_REFUSED_SYNTAX);
    assert_int_equal(traj_brand_counts(TRAJ_BRAND_I8, "\0\0\0\0", 4, out, 3, &count, NULL),
                     TRAJ_REFUSED_SIZE);

    assert_int_equal(traj_brand_number(TRAJ_BRAND_U64, stamp, sizeof stamp, &number, NULL),
                     TRAJ_ACCEPTED);
    assert_true(number == INT64_C(1) << 40);
    assert_int_equal(traj_brand_number(TRAJ_BRAND_U64, stamp, 7, &number, NULL),
                     TRAJ_REFUSED_FIELD);
    assert_int_equal(traj_brand_number(TRAJ_BRAND_TEXT, "42", 2, &number, NULL), TRAJ_ACCEPTED);
    assert_int_equal(number, 42);
    assert_int_equal(traj_brand_number(TRAJ_BRAND_TEXT, "42x", 3, &number, NULL),
                     TRAJ_REFUSED_FIELD);
    assert_int_equal(traj_brand_label(sync, sizeof sync - 1, "nsp_idx_1", &number, NULL),
                     TRAJ_ACCEPTED);
    assert_int_equal(number, 123456);
    assert_int_equal(traj_brand_label(sync, sizeof sync - 1, "nsp_idx_2", &number, NULL),
                     TRAJ_REFUSED_FIELD);
    assert_int_equal(traj_brand_label(sync, sizeof sync - 3, "nsp_idx_1", &number, NULL),
                     TRAJ_REFUSED_SYNTAX);
}

/* --- the map ---------------------------------------------------------------------------------- */

static void maps_round_trip(void **state)
{
    struct traj_map_unit unit[3] = {{"a \"1\"", "Electrode 1", 1},
                                    {"b", "Electrode 1", 2},
                                    {"rest", "Electrode 1", TRAJ_MAP_ANY}};
    struct traj_map_unit again[3];
    struct traj_units_map map = {.source = "open-ephys",
                                 .stream = "s",
                                 .rate = 24414.0625,
                                 .units = 3,
                                 .unit = unit,
                                 .units_max = 3};
    struct traj_units_map back = {.unit = again, .units_max = 3};
    char text[1024];
    size_t size;

    (void)state;
    size = traj_units_map_write(&map, text, sizeof text);
    assert_true(size > 0);
    assert_int_equal(traj_units_map_write(&map, text, size - 1), 0);
    assert_int_equal(traj_units_map_write(&map, text, sizeof text), size);
    assert_int_equal(traj_units_map_parse(text, size, &back, NULL), TRAJ_ACCEPTED);
    assert_int_equal(back.units, 3);
    assert_true(back.rate == 24414.0625);
    assert_string_equal(back.stream, "s");
    assert_string_equal(again[0].name, "a \"1\"");
    assert_int_equal(again[2].unit, TRAJ_MAP_ANY);
    assert_int_equal(traj_units_map_find(&back, "Electrode 1", 2), 1);
    assert_int_equal(traj_units_map_find(&back, "Electrode 1", 7), 2);
    assert_int_equal(traj_units_map_find(&back, "Electrode 2", 1), (size_t)-1);
    back.units_max = 2;
    assert_int_equal(traj_units_map_parse(text, size, &back, NULL), TRAJ_REFUSED_SIZE);
}

static void wrong_maps_are_refused(void **state)
{
    static const char *const text[] = {
        "{}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\"}",
        "{\"type\":\"units\",\"v\":2,\"source\":\"x\",\"units\":[]}",
        "{\"type\":\"unit\",\"v\":1,\"source\":\"x\",\"units\":[]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":[],\"more\":1}",
        "{\"type\":\"units\",\"v\":1,\"v\":1,\"source\":\"x\",\"units\":[]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"rate\":0,\"units\":[]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":[]} x",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":[{\"name\":\"a\"}]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":"
        "[{\"name\":\"\",\"channel\":\"c\",\"unit\":1}]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":"
        "[{\"name\":\"a\",\"channel\":\"c\",\"unit\":65536}]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":"
        "[{\"name\":\"a\",\"channel\":\"c\",\"unit\":1},"
        "{\"name\":\"a\",\"channel\":\"d\",\"unit\":1}]}",
        "{\"type\":\"units\",\"v\":1,\"source\":\"x\",\"units\":"
        "[{\"name\":\"a\",\"channel\":\"c\",\"unit\":1},"
        "{\"name\":\"b\",\"channel\":\"c\",\"unit\":1}]}",
    };
    struct traj_map_unit unit[4];
    struct traj_units_map map = {.unit = unit, .units_max = 4};
    struct traj_refusal_detail detail;

    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        memset(&detail, 0, sizeof detail);
        assert_int_not_equal(traj_units_map_parse(text[i], strlen(text[i]), &map, &detail),
                             TRAJ_ACCEPTED);
        assert_non_null(detail.field);
        assert_non_null(detail.reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_plugin_sends_is_read), cmocka_unit_test(kinds_round_trip),
        cmocka_unit_test(other_messages_are_refused),    cmocka_unit_test(packets_round_trip),
        cmocka_unit_test(broadcasts_round_trip),         cmocka_unit_test(older_packets_are_read),
        cmocka_unit_test(fields_of_brand_are_read),      cmocka_unit_test(maps_round_trip),
        cmocka_unit_test(wrong_maps_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
