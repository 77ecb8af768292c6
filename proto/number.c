/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers <-> decimal text: shortest writing, correctly rounded reading; see number.h. */
#include "proto/number.h"

#include <string.h>

#include "proto/tables.h"

/* Both compilers have it; the standard does not. */
__extension__ typedef unsigned __int128 uint128;

#define MANTISSA_BITS 52
#define HIDDEN_BIT ((uint64_t)1 << MANTISSA_BITS)
#define INFINITY_BITS ((uint64_t)0x7FF << MANTISSA_BITS)

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char digit_pairs[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

static size_t count_digits(uint64_t value)
{
    size_t digits = 1;
    while (value >= 10000) {
        value /= 10000;
        digits += 4;
    }
    return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Writes exactly so many digits, leading zeros included. */
static void write_digits(uint64_t value, char *out, size_t digits)
{
    while (digits >= 2) {
        digits -= 2;
        memcpy(out + digits, digit_pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (digits > 0) {
        out[0] = (char)('0' + value % 10);
    }
}

size_t traj_number_write_u64(uint64_t value, char *out)
{
    size_t digits = count_digits(value);
    write_digits(value, out, digits);
    return digits;
}

size_t traj_number_write_i64(int64_t value, char *out)
{
    if (value >= 0) {
        return traj_number_write_u64((uint64_t)value, out);
    }
    out[0] = '-';
    return 1 + traj_number_write_u64(-(uint64_t)value, out + 1);
}

struct decimal {
    uint64_t digits; /* value = digits * 10^exponent */
    int exponent;
};

/*
 * The upper 64 bits of factor * g / 2^64, with the lowest bit set if anything was cut off ("round
 * to odd"): enough to compare with multiples of 4 as if nothing had been.
 */
static uint64_t scale_to_odd(struct traj_power g, uint64_t factor)
{
    uint128 low = (uint128)g.low * factor;
    uint128 high = (uint128)g.high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* floor(log10(2^q)), or of 3/4 2^q where the gap below a power of two is half the gap above it. */
static int decimal_exponent(int q, bool uneven)
{
    return (q * 1262611 - (uneven ? 524031 : 0)) >> 22;
}

/* Schubfach: the shortest decimal in the interval that rounds to the double c * 2^q. */
static struct decimal shortest(uint64_t c, int q, bool uneven)
{
    int k = decimal_exponent(q, uneven);
    /* The method wants the powers rounded up; those from 10^0 to 10^55 are exact. */
    struct traj_power g = traj_powers[-k - TRAJ_POWER_MIN];
    g.low += (-k < 0 || -k > 55);
    unsigned h = (unsigned)(q + ((-k * 1741647) >> 19) + 1);

    uint64_t lower = scale_to_odd(g, (4 * c - 2 + uneven) << h) + (c & 1);
    uint64_t middle = scale_to_odd(g, (4 * c) << h);
    uint64_t upper = scale_to_odd(g, (4 * c + 2) << h) - (c & 1);

    uint64_t s = middle / 4;
    if (s >= 10) {
        uint64_t tenth = s / 10;
        bool below = lower <= 40 * tenth;
        bool above = 40 * tenth + 40 <= upper;
        if (below != above) {
            return (struct decimal){tenth + above, k + 1};
        }
    }
    bool below = lower <= 4 * s;
    bool above = 4 * s + 4 <= upper;
    if (below != above) {
        return (struct decimal){s + above, k};
    }
    uint64_t half = 4 * s + 2;
    bool up = middle > half || (middle == half && (s & 1) != 0);
    return (struct decimal){s + up, k};
}

static struct decimal strip_zeros(struct decimal d)
{
    while (d.digits % 10000 == 0) {
        d.digits /= 10000;
        d.exponent += 4;
    }
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

static size_t write_exponent(int exponent, char *out)
{
    size_t at = 0;
    out[at++] = 'e';
    return at + traj_number_write_i64(exponent, out + at);
}

/* Lays the digits out around the point, with an exponent where that would take many zeros. */
static size_t lay_out(struct decimal d, char *out)
{
    char digits[20] = {0};
    size_t count = count_digits(d.digits);
    write_digits(d.digits, digits, count);
    int point = (int)count + d.exponent; /* digits before the point */

    if (d.exponent >= 0 && point <= 17) { /* 1200 */
        memcpy(out, digits, count);
        memset(out + count, '0', (size_t)d.exponent);
        return (size_t)point;
    }
    if (point > 0 && point <= 17) { /* 1.25 */
        size_t whole = (size_t)point;
        memcpy(out, digits, whole);
        out[whole] = '.';
        memcpy(out + whole + 1, digits + whole, count - whole);
        return count + 1;
    }
    if (point > -6 && point <= 0) { /* 0.00125 */
        size_t zeros = (size_t)-point;
        memcpy(out, "0.", 2);
        memset(out + 2, '0', zeros);
        memcpy(out + 2 + zeros, digits, count);
        return 2 + zeros + count;
    }
    size_t at = 0; /* 1.25e-9 */
    out[at++] = digits[0];
    if (count > 1) {
        out[at++] = '.';
        memcpy(out + at, digits + 1, count - 1);
        at += count - 1;
    }
    return at + write_exponent(point - 1, out + at);
}

size_t traj_number_write(double value, char *out)
{
    uint64_t bits = bits_of(value);
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    int biased = (int)(bits >> MANTISSA_BITS) & 0x7FF;
    size_t sign = bits >> 63;
    out[0] = '-';

    if (biased == 0 && fraction == 0) {
        if (sign) {
            memcpy(out, "-0.0", 4); /* "-0" would be read as the integer 0 by some languages */
            return 4;
        }
        out[0] = '0';
        return 1;
    }
    uint64_t c = biased == 0 ? fraction : fraction | HIDDEN_BIT;
    int q = (biased == 0 ? 1 : biased) - 1075;
    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0) {
        return sign + traj_number_write_u64(c >> -q, out + sign);
    }
    struct decimal d = shortest(c, q, fraction == 0 && biased > 1);
    return sign + lay_out(strip_zeros(d), out + sign);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What stands in the text: digits * 10^exponent, or a little more where `more` is set. */
struct literal {
    const char *first; /* first significant digit */
    const char *last;  /* past the last digit of the mantissa */
    uint64_t digits;   /* the leading 19 significant digits */
    int64_t exponent;
    bool more; /* digits other than 0 follow the leading 19 */
};

/*
 * The double nearest to w * 10^q, as bits without sign; w has at most 19 digits.  The product with
 * the 128-bit power always decides the rounding: Mushtak and Lemire, "Fast number parsing without
 * fallback" (2023).
 */
static uint64_t nearest(uint64_t w, int64_t q)
{
    if (w == 0 || q < TRAJ_POWER_MIN) {
        return 0;
    }
    if (q > 308) {
        return INFINITY_BITS;
    }
    int zeros = __builtin_clzll(w);
    w <<= zeros;
    struct traj_power power = traj_powers[q - TRAJ_POWER_MIN];
    uint128 product = (uint128)w * power.high;
    if (((uint64_t)(product >> 64) & 0x1FF) == 0x1FF) {
        /* 10^-27 to 10^-1 are wanted rounded up, so that a product that is whole comes out
         * whole. */
        power.low += (q < 0 && q >= -27);
        product += (uint64_t)((uint128)w * power.low >> 64);
    }
    uint64_t high = (uint64_t)(product >> 64);
    uint64_t low = (uint64_t)product;

    int top = (int)(high >> 63);
    int shift = top + 64 - MANTISSA_BITS - 3;
    uint64_t mantissa = high >> shift;
    /* floor(log2(10^q)) + 63, then biased. */
    int exponent = (int)((217706 * q) >> 16) + 63 + top - zeros + 1023;
    if (exponent <= 0) { /* subnormal, or too small for that */
        if (exponent <= -63) {
            return 0;
        }
        mantissa >>= 1 - exponent;
        return (mantissa + (mantissa & 1)) >>
               1; /* a carry makes it the smallest normal: also right */
    }
    /* Just between two doubles, to the last digit: possible for small powers alone. */
    if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << shift == high) {
        mantissa &= ~(uint64_t)1;
    }
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= 2 * HIDDEN_BIT) {
        mantissa = HIDDEN_BIT;
        exponent++;
    }
    if (exponent >= 0x7FF) {
        return INFINITY_BITS;
    }
    return (uint64_t)exponent << MANTISSA_BITS | (mantissa & (HIDDEN_BIT - 1));
}

/* A natural number of at most 4608 bits; the largest product below has fewer than 4200. */
#define BIG_WORDS 144
struct big {
    size_t words;
    uint32_t word[BIG_WORDS]; /* least significant first */
};

static void big_multiply_add(struct big *big, uint32_t factor, uint32_t term)
{
    uint64_t carry = term;
    for (size_t i = 0; i < big->words; i++) {
        carry += (uint64_t)big->word[i] * factor;
        big->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0 && big->words < BIG_WORDS) {
        big->word[big->words++] = (uint32_t)carry;
    }
}

static void big_multiply_power5(struct big *big, int64_t exponent)
{
    for (; exponent >= 13; exponent -= 13) {
        big_multiply_add(big, 1220703125u, 0); /* 5^13, the largest in 32 bits */
    }
    for (; exponent > 0; exponent--) {
        big_multiply_add(big, 5, 0);
    }
}

static void big_shift_left(struct big *big, int64_t bits)
{
    for (; bits >= 31; bits -= 31) {
        big_multiply_add(big, (uint32_t)1 << 31, 0);
    }
    if (bits > 0) {
        big_multiply_add(big, (uint32_t)1 << bits, 0);
    }
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->words != b->words) {
        return a->words < b->words ? -1 : 1;
    }
    for (size_t i = a->words; i-- > 0;) {
        if (a->word[i] != b->word[i]) {
            return a->word[i] < b->word[i] ? -1 : 1;
        }
    }
    return 0;
}

/*
 * No double and no midpoint between two has more than 768 significant digits, so that all digits
 * beyond can be told by a single 1.
 */
#define BIG_DIGITS 770

/* The text's significant digits as a whole number; returns the power of ten that it is to be scaled
 * by. */
static int64_t big_from_digits(struct big *big, const struct literal *number)
{
    int64_t exponent = number->exponent + 19; /* as if no digit had been taken */
    size_t taken = 0;
    bool rest = false;
    big->words = 0;
    for (const char *at = number->first; at < number->last; at++) {
        if (*at == '.') {
            continue;
        }
        if (taken < BIG_DIGITS) {
            big_multiply_add(big, 10, (uint32_t)(*at - '0'));
            taken++;
        } else if (*at != '0') {
            rest = true;
        }
    }
    if (rest) {
        big_multiply_add(big, 10, 1);
        taken++;
    }
    return exponent - (int64_t)taken;
}

/* Chooses between the neighbours below and below + 1 (as bits) of a number with many digits. */
static uint64_t decide(const struct literal *number, uint64_t below)
{
    struct big text;
    int64_t exponent = big_from_digits(&text, number);

    /* The midpoint is (2 m + 1) 2^(q - 1). */
    int biased = (int)(below >> MANTISSA_BITS);
    uint64_t m = below & (HIDDEN_BIT - 1);
    m = biased == 0 ? m : m | HIDDEN_BIT;
    int64_t q = (biased == 0 ? 1 : biased) - 1075 - 1;
    m = 2 * m + 1;
    struct big midpoint = {.words = 2, .word = {(uint32_t)m, (uint32_t)(m >> 32)}};
    if (midpoint.word[1] == 0) {
        midpoint.words = 1;
    }

    if (exponent >= 0) {
        big_multiply_power5(&text, exponent);
    } else {
        big_multiply_power5(&midpoint, -exponent);
    }
    if (exponent > q) {
        big_shift_left(&text, exponent - q);
    } else {
        big_shift_left(&midpoint, q - exponent);
    }
    int order = big_compare(&text, &midpoint);
    return below + (order > 0 || (order == 0 && (below & 1) != 0));
}

static double value_of(const struct literal *number, bool negative)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!number->more && number->digits <= 2 * HIDDEN_BIT && number->exponent >= -22 &&
        number->exponent <= 22) {
        double value = (double)number->digits;
        value = number->exponent < 0 ? value / exact[-number->exponent]
                                     : value * exact[number->exponent];
        return negative ? -value : value;
    }
    uint64_t bits = nearest(number->digits, number->exponent);
    if (number->more && bits != nearest(number->digits + 1, number->exponent)) {
        bits = decide(number, bits);
    }
    return double_of(bits | (uint64_t)negative << 63);
}

static const char *read_exponent(const char *at, const char *end, int64_t *exponent)
{
    bool negative = false;
    if (at < end && (*at == '+' || *at == '-')) {
        negative = *at == '-';
        at++;
    }
    if (at == end || !is_digit(*at)) {
        return NULL;
    }
    int64_t value = 0;
    for (; at < end && is_digit(*at); at++) {
        /* Beyond this, more digits change nothing: no text is so long as to make up for it. */
        if (value < INT64_C(1) << 52) {
            value = 10 * value + (*at - '0');
        }
    }
    *exponent += negative ? -value : value;
    return at;
}

/* Gathers the first 19 significant digits when there are more of them, from first to last. */
static void gather(struct literal *number, const char *point)
{
    size_t taken = 0;
    const char *at = number->first;
    number->digits = 0;
    for (; at < number->last && taken < 19; at++) {
        if (*at != '.') {
            number->digits = 10 * number->digits + (uint64_t)(*at - '0');
            taken++;
        }
    }
    /* Each digit before the point that was passed over is a factor of ten; each one taken after it,
     * a tenth. */
    number->exponent += point - at + (at > point);
    for (; at < number->last; at++) {
        number->more = number->more || (*at != '.' && *at != '0');
    }
}

const char *traj_number_read(const char *at, const char *end, double *value)
{
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at)) {
        return NULL;
    }
    const char *start = at;
    struct literal number = {.first = at};
    uint64_t digits = 0;
    for (; at < end && is_digit(*at); at++) {
        digits = 10 * digits + (uint64_t)(*at - '0');
    }
    if (*start == '0' && at - start > 1) {
        return NULL;
    }
    const char *point = at;
    if (at < end && *at == '.') {
        at++;
        for (; at < end && is_digit(*at); at++) {
            digits = 10 * digits + (uint64_t)(*at - '0');
        }
        if (at - point == 1) {
            return NULL;
        }
        number.exponent = point + 1 - at;
    }
    number.last = at;
    number.digits = digits;
    while (number.first < number.last && (*number.first == '0' || *number.first == '.')) {
        number.first++;
    }
    if (number.last - number.first > 19) { /* digits may have overflowed */
        number.exponent = 0;
        gather(&number, point);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at = read_exponent(at + 1, end, &number.exponent);
        if (at == NULL) {
            return NULL;
        }
    }
    *value = value_of(&number, negative);
    return at;
}

const char *traj_number_read_u64(const char *at, const char *end, uint64_t *value)
{
    const char *start = at;
    uint64_t sum = 0;
    for (; at < end && is_digit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        sum = 10 * sum + digit;
    }
    if (at == start || (*start == '0' && at - start > 1) ||
        (at < end && (*at == '.' || *at == 'e' || *at == 'E'))) {
        return NULL;
    }
    *value = sum;
    return at;
}
