/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does every double come back from its decimal, is the decimal the shortest, and does every decimal
 * become the double that a correctly rounding strtod makes of it -- whatever the locale?  strtod
 * and printf of the C locale are the judges.
 */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/number.h"

#define SEED UINT64_C(0x9E3779B97F4A7C15)

/* xorshift64*, Vigna 2014. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/*
 * A finite double of one of several kinds: any bits, subnormal, few bits, decimal fractions, whole.
 */
static double draw_double(uint64_t *state, unsigned kind)
{
    uint64_t bits = draw(state);
    double value;
    switch (kind % 6) {
    case 0:
        value = from_bits(bits & UINT64_C(0x800FFFFFFFFFFFFF));
        break;
    case 1:
        value = from_bits(bits & ~UINT64_C(0xFFFFFFFFFF));
        break;
    case 2:
        value = (double)(int64_t)(bits >> 20) / 1000.0;
        break;
    case 3:
        value = (double)(bits % 100000) / 100.0;
        break;
    case 4:
        value = (double)(bits >> bits % 64);
        break;
    default:
        value = from_bits(bits);
        break;
    }
    return isfinite(value) ? value : 0.1;
}

/* Significant digits of a decimal, without the zeros at its ends. */
static int digits_of(const char *text)
{
    int digits = 0;
    int zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text >= '1' && *text <= '9') {
            digits += zeros + 1;
            zeros = 0;
        } else if (*text == '0' && digits > 0) {
            zeros++;
        }
    }
    return digits;
}

/* The fewest digits with which printf gives a decimal that reads back as value. */
static int fewest_digits(double value)
{
    char text[40];
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (same(strtod(text, NULL), value)) {
            return digits_of(text);
        }
    }
    return 17;
}

static void check_round_trip(double value)
{
    char text[TRAJ_NUMBER_SIZE + 1];
    double back = -1.0;
    size_t length = traj_number_write(value, text);
    assert_true(length > 0 && length <= TRAJ_NUMBER_SIZE);
    text[length] = '\0';
    const char *end = traj_number_read(text, text + length, &back);
    if (end != text + length || !same(back, value) || !same(strtod(text, NULL), value)) {
        fail_msg("%a was written as %s and read as %a", value, text, back);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t random = SEED;
    const long numbers = 2000000;
    print_message("seed %#llx: %ld doubles there and back\n", (unsigned long long)SEED, numbers);
    for (long i = 0; i < numbers; i++) {
        check_round_trip(draw_double(&random, (unsigned)i));
    }
}

static void test_shortest(void **state)
{
    (void)state;
    uint64_t random = SEED + 1;
    const long numbers = 100000;
    print_message("seed %#llx: no shorter decimal for %ld doubles\n",
                  (unsigned long long)(SEED + 1), numbers);
    for (long i = 0; i < numbers; i++) {
        char text[TRAJ_NUMBER_SIZE + 1];
        double value = draw_double(&random, (unsigned)i);
        text[traj_number_write(value, text)] = '\0';
        if (value != 0.0 && digits_of(text) > fewest_digits(value)) {
            fail_msg("%a was written as %s with %d digits, %d are enough", value, text,
                     digits_of(text), fewest_digits(value));
        }
    }
}

static void check_read(const char *text)
{
    double mine = -1.0;
    double judge = strtod(text, NULL);
    const char *end = traj_number_read(text, text + strlen(text), &mine);
    if (end == NULL || *end != '\0' || !same(mine, judge)) {
        fail_msg("%.60s.. was read as %a, it is %a", text, mine, judge);
    }
}

static void test_decimals(void **state)
{
    (void)state;
    uint64_t random = SEED + 2;
    const long numbers = 1000000;
    print_message("seed %#llx: %ld random decimals of 1 to 45 digits\n",
                  (unsigned long long)(SEED + 2), numbers);
    for (long i = 0; i < numbers; i++) {
        char text[100];
        size_t at = 0;
        size_t whole = draw(&random) % 20;
        size_t rest = draw(&random) % 26;
        text[at++] = '-';
        text[at++] = (char)(whole == 0 ? '0' : '1' + draw(&random) % 9);
        for (size_t k = 1; k < whole; k++) {
            text[at++] = (char)('0' + draw(&random) % 10);
        }
        if (rest > 0) {
            text[at++] = '.';
        }
        for (size_t k = 0; k < rest; k++) {
            text[at++] = (char)(draw(&random) % 4 == 0 ? '0' : '0' + draw(&random) % 10);
        }
        snprintf(text + at, sizeof text - at, "%c%d", i % 2 ? 'e' : 'E',
                 (int)(draw(&random) % 720) - 370);
        check_read(i % 3 == 0 ? text : text + 1);
    }
}

/*
 * Exactly between two doubles, and one unit of the last of several hundred digits to either side.
 */
static void test_midpoints(void **state)
{
    (void)state;
    if (LDBL_MANT_DIG < 54) {
        print_message("long double holds no midpoint here\n");
        skip();
    }
    uint64_t random = SEED + 3;
    print_message("seed %#llx: 30000 midpoints and their neighbours\n",
                  (unsigned long long)(SEED + 3));
    for (int i = 0; i < 30000; i++) {
        static char text[1200];
        double below = fabs(draw_double(&random, (unsigned)i));
        double above = nextafter(below, INFINITY);
        if (!isfinite(above)) {
            continue;
        }
        snprintf(text, sizeof text, "%.800Le", ((long double)below + (long double)above) / 2.0L);
        check_read(text);
        char *last = strchr(text, 'e') - 1;
        char was = *last;
        *last = '1';
        check_read(text);
        *last = was;
        while (*last == '0') {
            *last-- = '9';
        }
        if (*last != '.') {
            --*last;
            check_read(text);
        }
    }
}

static void test_known(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0.0, "0"},
        {-0.0, "-0.0"},
        {3.0, "3"},
        {-0.25, "-0.25"},
        {0.1, "0.1"},
        {1e16, "10000000000000000"},
        {1e17, "1e17"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {9007199254740993.0, "9007199254740992"},
        {0.00001, "0.00001"},
        {0.000001, "0.000001"},
        {0.0000001, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {-1.2345678901234568e-250, "-1.2345678901234568e-250"},
        {299792.458, "299792.458"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[TRAJ_NUMBER_SIZE + 1];
        text[traj_number_write(known[i].value, text)] = '\0';
        assert_string_equal(text, known[i].text);
        check_round_trip(known[i].value);
    }
}

/* Powers of two and their neighbours, where the gap to the next double changes. */
static void test_powers_of_two(void **state)
{
    (void)state;
    for (int exponent = -1074; exponent <= 1023; exponent++) {
        double value = ldexp(1.0, exponent);
        check_round_trip(value);
        check_round_trip(nextafter(value, 0.0));
        check_round_trip(nextafter(value, INFINITY));
    }
}

static void test_extremes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1e400",
        "1e309",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "4.9e-324",
        "2.4e-324",
        "2.5e-324",
        "1e-400",
        "0e999999999999999999999",
        "-0",
        "0.000e5",
        "123456789012345678901234",
        "9007199254740993",
        "9007199254740991.5",
        "9007199254740992.5",
        "1e-22",
        "1e22",
        "1e23",
        "6.631236846766476e-316",
        "2.2250738585072011e-308",
        "0.3e-323",
        "1e99999999999999999999999999999999",
        "1e-99999999999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_read(texts[i]);
    }
    static char text[4000] = "0.";
    memset(text + 2, '0', 1500);
    strcpy(text + 1502, "12345e1505");
    check_read(text);
    memset(text, '7', 3000);
    strcpy(text + 3000, "e-2900");
    check_read(text);
}

static void test_grammar(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",   "-",   "+1",  "01",  "-01", ".5", "5.",  "5.e1",
                                        "1e", "1e+", "1e-", "inf", "nan", "e5", "- 1", "0x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double value;
        const char *end = traj_number_read(wrong[i], wrong[i] + strlen(wrong[i]), &value);
        /* "0x" holds the number 0; what follows is for the caller to refuse. */
        assert_true(end == NULL || *end == 'x');
    }
    double value;
    const char *cut = "12.5e3";
    assert_ptr_equal(traj_number_read(cut, cut + 2, &value), cut + 2);
    assert_true(value == 12.0);
    assert_null(traj_number_read(cut, cut + 3, &value));
    assert_null(traj_number_read(cut, cut + 5, &value));
}

static void test_integers(void **state)
{
    (void)state;
    uint64_t random = SEED + 4;
    for (int i = 0; i < 100000; i++) {
        uint64_t value = draw(&random) >> draw(&random) % 64;
        uint64_t back = 0;
        char text[TRAJ_NUMBER_SIZE + 1];
        char judge[TRAJ_NUMBER_SIZE + 1];
        size_t length = traj_number_write_u64(value, text);
        text[length] = '\0';
        snprintf(judge, sizeof judge, "%llu", (unsigned long long)value);
        assert_string_equal(text, judge);
        assert_ptr_equal(traj_number_read_u64(text, text + length, &back), text + length);
        assert_true(back == value);
        text[traj_number_write_i64((int64_t)value, text)] = '\0';
        snprintf(judge, sizeof judge, "%lld", (long long)value);
        assert_string_equal(text, judge);
    }
    static const char *const wrong[] = {
        "", "-1", "+1", "00", "1.0", "1e3", "1E3", "18446744073709551616", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint64_t value;
        assert_null(traj_number_read_u64(wrong[i], wrong[i] + strlen(wrong[i]), &value));
    }
}

/* With a locale whose decimal point is a comma; the decimals are made before it is set. */
static void test_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8",  "fr_FR.UTF-8",
                                        "nl_NL.UTF-8", "da_DK.UTF-8", "pl_PL.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && found == NULL; i++) {
        found = setlocale(LC_ALL, names[i]);
    }
    if (found == NULL || strcmp(localeconv()->decimal_point, ",") != 0) {
        (void)setlocale(LC_ALL, "C");
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    print_message("under the locale %s\n", found);
    uint64_t random = SEED + 5;
    char text[TRAJ_NUMBER_SIZE + 1];
    for (long i = 0; i < 200000; i++) {
        double value = draw_double(&random, (unsigned)i);
        double back;
        size_t length = traj_number_write(value, text);
        assert_null(memchr(text, ',', length));
        assert_ptr_equal(traj_number_read(text, text + length, &back), text + length);
        assert_true(same(value, back));
    }
    (void)setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_shortest), cmocka_unit_test(test_powers_of_two),
        cmocka_unit_test(test_decimals), cmocka_unit_test(test_midpoints),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
