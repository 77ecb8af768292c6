/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the reader take what RFC 8259 allows and nothing else, and is what the writer writes always
 * JSON?
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"

/* Whether the bytes are one JSON value, read from a block of exactly their size. */
static enum traj_refusal judge(const char *text, size_t length)
{
    struct traj_json json;
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    traj_json_start(&json, copy, length);
    (void)(traj_json_skip(&json) && traj_json_finish(&json));
    free(copy);
    return json.refusal;
}

static void test_accepts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "-0.5e+10",
        " \t\r\n1\n",
        "null",
        "true",
        "false",
        "\"\"",
        "\"a\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,2,[3,{}],{\"a\":[]}]",
        "{\"a\":1,\"b\":{\"c\":[null,true]}}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
        "\"\\ud834\\udd1e\"",
        "\"\xC2\xA2\xE2\x82\xAC\xF0\x9D\x84\x9E\xEF\xBF\xBF\xF4\x8F\xBF\xBF\x7F\"",
        "[[[[[[[[1]]]]]]]]",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (judge(texts[i], strlen(texts[i])) != TRAJ_ACCEPTED) {
            fail_msg("%s is refused", texts[i]);
        }
    }
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "tru",
        "01",
        "1.",
        ".1",
        "+1",
        "1e",
        "--1",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x10",
        "1 2",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "{\"a\":1]",
        "\"",
        "\"a",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\\\"",
        "\"\\ud834\"",
        "\"\\ud834x\"",
        "\"\\ud834\\n\"",
        "\"\\ud834\\u0041\"",
        "\"\\udd1e\"",
        "\"\\udd1e\\ud834\"",
        "\"\x80\"",
        "\"\xC0\xAF\"",         /* overlong */
        "\"\xC1\xBF\"",         /* overlong */
        "\"\xC2\"",             /* cut off */
        "\"\xE0\x80\x80\"",     /* overlong */
        "\"\xE2\x82\"",         /* cut off */
        "\"\xED\xA0\x80\"",     /* a surrogate */
        "\"\xF0\x80\x80\x80\"", /* overlong */
        "\"\xF4\x90\x80\x80\"", /* beyond U+10FFFF */
        "\"\xF5\x80\x80\x80\"",
        "\"\xFF\"",
        "\xEF\xBB\xBF{}", /* a byte order mark */
        "/* */1",
        "1//",
        "[[[[[[[[[1]]]]]]]]]",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (judge(texts[i], strlen(texts[i])) != TRAJ_REFUSED_SYNTAX) {
            fail_msg("%s is not refused as syntax", texts[i]);
        }
    }
    assert_int_equal(judge("\"a\0b\"", 5), TRAJ_REFUSED_SYNTAX);
    assert_int_equal(judge("1\0", 2), TRAJ_REFUSED_SYNTAX);
    assert_int_equal(judge("\0", 1), TRAJ_REFUSED_SYNTAX);
}

/* Every beginning of a valid text is refused, and never read beyond. */
static void test_truncated(void **state)
{
    (void)state;
    const char *text =
        "{\"a\":[1.5e3,null,true,{\"b\":\"\\ud834\\udd1e\xE2\x82\xAC\"}],\"c\":false}";
    for (size_t length = 0; length < strlen(text); length++) {
        assert_int_equal(judge(text, length), TRAJ_REFUSED_SYNTAX);
    }
    assert_int_equal(judge(text, strlen(text)), TRAJ_ACCEPTED);
}

static void test_values(void **state)
{
    (void)state;
    const char *body = " { \"d\" : -1.5e2 , \"u\":18446744073709551615,\"b\":true,\"n\":null,"
                       "\"s\":\"a\\u00e9\\n\\ud83d\\ude00\"} ";
    struct traj_json json;
    char key[4];
    double number = 0.0;
    uint64_t whole = 0;
    bool truth = false;
    char text[32];
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_object(&json));
    assert_true(traj_json_member(&json, key, sizeof key) && strcmp(key, "d") == 0);
    assert_true(traj_json_double(&json, &number) && number == -150.0);
    assert_true(traj_json_member(&json, key, sizeof key) && strcmp(key, "u") == 0);
    assert_true(traj_json_u64(&json, &whole) && whole == UINT64_MAX);
    assert_true(traj_json_member(&json, key, sizeof key) && strcmp(key, "b") == 0);
    assert_true(traj_json_bool(&json, &truth) && truth);
    assert_true(traj_json_member(&json, key, sizeof key) && strcmp(key, "n") == 0);
    assert_true(traj_json_null(&json));
    assert_true(traj_json_member(&json, key, sizeof key) && strcmp(key, "s") == 0);
    assert_true(traj_json_text(&json, text, sizeof text));
    assert_string_equal(text, "a\xC3\xA9\n\xF0\x9F\x98\x80");
    assert_false(traj_json_member(&json, key, sizeof key));
    assert_true(traj_json_finish(&json));
}

/* Which refusal one value gets from one reader. */
enum reader { DOUBLE, U64, BOOL, NUL, TEXT3, COUNTS3, DOUBLES3, FLOATS3, OBJECT, ARRAY };
static enum traj_refusal read_as(const char *body, enum reader reader)
{
    struct traj_json json;
    double number[3];
    float small[3];
    uint16_t count[3];
    uint64_t whole;
    bool truth;
    size_t n;
    char text[4];
    traj_json_start(&json, body, strlen(body));
    switch (reader) {
    case DOUBLE:
        (void)traj_json_double(&json, &number[0]);
        break;
    case U64:
        (void)traj_json_u64(&json, &whole);
        break;
    case BOOL:
        (void)traj_json_bool(&json, &truth);
        break;
    case NUL:
        (void)traj_json_null(&json);
        break;
    case TEXT3:
        (void)traj_json_text(&json, text, sizeof text);
        break;
    case COUNTS3:
        (void)traj_json_counts(&json, count, 3, &n);
        break;
    case DOUBLES3:
        (void)traj_json_doubles(&json, number, 3, &n);
        break;
    case FLOATS3:
        (void)traj_json_floats(&json, small, 3, &n);
        break;
    case OBJECT:
        (void)traj_json_object(&json);
        break;
    case ARRAY:
        (void)traj_json_array(&json);
        break;
    }
    return json.refusal;
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum reader reader;
        enum traj_refusal refusal;
    } cases[] = {
        {"1", DOUBLE, TRAJ_ACCEPTED},
        {"1e999", DOUBLE, TRAJ_REFUSED_FIELD},
        {"\"1\"", DOUBLE, TRAJ_REFUSED_FIELD},
        {"null", DOUBLE, TRAJ_REFUSED_FIELD},
        {"nan", DOUBLE, TRAJ_REFUSED_SYNTAX},
        {"1..", DOUBLE, TRAJ_REFUSED_SYNTAX},
        {"-1", U64, TRAJ_REFUSED_FIELD},
        {"1.0", U64, TRAJ_REFUSED_FIELD},
        {"18446744073709551616", U64, TRAJ_REFUSED_FIELD},
        {"1", BOOL, TRAJ_REFUSED_FIELD},
        {"tru", BOOL, TRAJ_REFUSED_SYNTAX},
        {"0", NUL, TRAJ_REFUSED_FIELD},
        {"\"abc\"", TEXT3, TRAJ_ACCEPTED},
        {"\"abcd\"", TEXT3, TRAJ_REFUSED_FIELD},
        {"\"a\\u0000\"", TEXT3, TRAJ_REFUSED_FIELD},
        {"3", TEXT3, TRAJ_REFUSED_FIELD},
        {"[0,10,65534]", COUNTS3, TRAJ_ACCEPTED},
        {"[null, null ,\n7]", COUNTS3, TRAJ_ACCEPTED},
        {"[1,2,3,4]", COUNTS3, TRAJ_REFUSED_SIZE},
        {"[1,2,3,400]", COUNTS3, TRAJ_REFUSED_SIZE},
        {"[65535]", COUNTS3, TRAJ_REFUSED_COUNTS},
        {"[18446744073709551615]", COUNTS3, TRAJ_REFUSED_COUNTS},
        {"[-1]", COUNTS3, TRAJ_REFUSED_FIELD},
        {"[1.0]", COUNTS3, TRAJ_REFUSED_FIELD},
        {"[true]", COUNTS3, TRAJ_REFUSED_FIELD},
        {"[01,1]", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"[00,1]", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"[1,]", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"[1,,2]", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"[1,2", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"[1,2,", COUNTS3, TRAJ_REFUSED_SYNTAX},
        {"{}", COUNTS3, TRAJ_REFUSED_FIELD},
        {"[1,2,3]", DOUBLES3, TRAJ_ACCEPTED},
        {"[1,2,3,4]", DOUBLES3, TRAJ_REFUSED_SIZE},
        {"[null]", DOUBLES3, TRAJ_REFUSED_FIELD},
        {"[1e300]", DOUBLES3, TRAJ_ACCEPTED},
        {"[1e300]", FLOATS3, TRAJ_REFUSED_FIELD},
        {"[3.4028235677973366e38]", FLOATS3, TRAJ_REFUSED_FIELD},
        {"[3.4028235677973362e38]", FLOATS3, TRAJ_ACCEPTED},
        {"[1e-300,null]", FLOATS3, TRAJ_ACCEPTED},
        {"[]", OBJECT, TRAJ_REFUSED_FIELD},
        {"}", OBJECT, TRAJ_REFUSED_SYNTAX},
        {"{}", ARRAY, TRAJ_REFUSED_FIELD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum traj_refusal refusal = read_as(cases[i].body, cases[i].reader);
        if (refusal != cases[i].refusal) {
            fail_msg("%s read as %d gives %s, not %s", cases[i].body, (int)cases[i].reader,
                     traj_refusal_name(refusal), traj_refusal_name(cases[i].refusal));
        }
    }
}

static void test_counts(void **state)
{
    (void)state;
    const char *body = "[0,1,12,123,1234,12345,null, 6 ,65534,9]";
    static const uint16_t expected[] = {0, 1, 12, 123, 1234, 12345, 65535, 6, 65534, 9};
    uint16_t count[10];
    size_t n;
    struct traj_json json;
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_counts(&json, count, 10, &n));
    assert_true(traj_json_finish(&json));
    assert_int_equal(n, 10);
    assert_memory_equal(count, expected, sizeof expected);
}

static void test_members(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    struct traj_json_members members;
    struct traj_json json;
    const char *body = "{\"c\":[1],\"\\u0061\":2}";
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_members(&json, names, 3, &members));
    assert_true(traj_json_finish(&json));
    assert_ptr_equal(members.at[0], body + 18);
    assert_null(members.at[1]);
    assert_ptr_equal(members.at[2], body + 5);
    assert_null(members.odd);

    body = "{\"a\":1,\"a\":2}";
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_members(&json, names, 3, &members));
    assert_ptr_equal(members.odd, body + 11);
    assert_string_equal(members.odd_reason, "doubled key");

    body = "{\"d\":1,\"a\":2}";
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_members(&json, names, 3, &members));
    assert_string_equal(members.odd_reason, "unknown key");
    assert_ptr_equal(members.at[0], body + 11);
}

/* The first mistake stays, and nothing is read after it. */
static void test_sticky(void **state)
{
    (void)state;
    struct traj_json json;
    double value;
    const char *body = "[true,1]";
    traj_json_start(&json, body, strlen(body));
    assert_true(traj_json_array(&json));
    assert_true(traj_json_element(&json));
    assert_false(traj_json_double(&json, &value));
    assert_false(traj_json_element(&json));
    assert_false(traj_json_double(&json, &value));
    assert_false(traj_json_skip(&json));
    assert_false(traj_json_finish(&json));
    assert_int_equal(json.refusal, TRAJ_REFUSED_FIELD);
    assert_string_equal(json.reason, "not a number");
    assert_ptr_equal(json.at, body + 1);
}

static void write_sample(struct traj_json_writer *writer)
{
    static const double numbers[] = {1.0, -2.5, 1e-9};
    static const double broken[] = {1.0, INFINITY};
    traj_json_put_bracket(writer, '{');
    traj_json_put_key(writer, "a\"b");
    traj_json_put_text(writer, "\b\f\n\r\t\v\x01\"\\/\x7F\xC3\xA9");
    traj_json_put_key(writer, "n");
    traj_json_put_doubles(writer, numbers, 3);
    traj_json_put_key(writer, "x");
    traj_json_put_doubles(writer, broken, 2);
    traj_json_put_key(writer, "y");
    traj_json_put_bracket(writer, '[');
    traj_json_put_double(writer, NAN);
    traj_json_put_u64(writer, UINT64_MAX);
    traj_json_put_i64(writer, INT64_MIN);
    traj_json_put_bool(writer, true);
    traj_json_put_bool(writer, false);
    traj_json_put_text(writer, NULL);
    traj_json_put_bracket(writer, '{');
    traj_json_put_bracket(writer, '}');
    traj_json_put_bracket(writer, ']');
    traj_json_put_bracket(writer, '}');
}

static void test_writer(void **state)
{
    (void)state;
    const char *expected =
        "{\"a\\\"b\":\"\\b\\f\\n\\r\\t\\u000b\\u0001\\\"\\\\/\x7F\xC3\xA9\",\"n\":[1,-2.5,1e-9],"
        "\"x\":null,\"y\":[null,18446744073709551615,-9223372036854775808,true,false,null,{}]}";
    struct traj_json_writer writer;
    char out[400];
    traj_json_write_start(&writer, out, sizeof out);
    write_sample(&writer);
    assert_int_equal(traj_json_written(&writer), strlen(expected));
    assert_string_equal(out, expected);
    assert_int_equal(judge(out, strlen(out)), TRAJ_ACCEPTED);

    traj_json_write_start(&writer, NULL, 0);
    write_sample(&writer);
    assert_int_equal(traj_json_written(&writer), strlen(expected));

    /* Too small a buffer is never overrun and never half believed. */
    for (size_t cap = 0; cap < strlen(expected); cap++) {
        char *small = malloc(cap > 0 ? cap : 1);
        assert_non_null(small);
        traj_json_write_start(&writer, small, cap);
        write_sample(&writer);
        assert_int_equal(traj_json_written(&writer), 0);
        free(small);
    }
    char *exact = malloc(strlen(expected));
    assert_non_null(exact);
    traj_json_write_start(&writer, exact, strlen(expected));
    write_sample(&writer);
    assert_int_equal(traj_json_written(&writer), strlen(expected));
    free(exact);
}

/* Any bytes, written as text, are JSON, and come back as they were if they are UTF-8. */
static void test_any_text(void **state)
{
    (void)state;
    uint64_t random = 12345;
    print_message("seed 12345: 20000 random texts\n");
    for (int i = 0; i < 20000; i++) {
        char text[12];
        char out[128];
        char back[64];
        struct traj_json_writer writer;
        struct traj_json json;
        size_t length = 0;
        for (; length < sizeof text - 1; length++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            text[length] = (char)(random >> 56);
            if (text[length] == '\0') {
                break;
            }
        }
        text[length] = '\0';
        traj_json_write_start(&writer, out, sizeof out);
        traj_json_put_text(&writer, text);
        size_t written = traj_json_written(&writer);
        assert_int_equal(judge(out, written), TRAJ_ACCEPTED);
        traj_json_start(&json, out, written);
        assert_true(traj_json_text(&json, back, sizeof back));
        if (strstr(back, "\xEF\xBF\xBD") == NULL) {
            assert_string_equal(back, text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),   cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_values),
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_counts),
        cmocka_unit_test(test_members),   cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_writer),    cmocka_unit_test(test_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
