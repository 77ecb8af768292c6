/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do CRC-32C and SHA-256 give the values that their standards print? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/crc32c.h"
#include "proto/sha256.h"

/* RFC 3720, appendix B.4, and the usual check value. */
static void test_crc32c(void **state)
{
    (void)state;
    unsigned char bytes[48];
    assert_int_equal(traj_crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(traj_crc32c(0, "", 0), 0);
    memset(bytes, 0, 32);
    assert_int_equal(traj_crc32c(0, bytes, 32), 0x8A9136AA);
    memset(bytes, 0xFF, 32);
    assert_int_equal(traj_crc32c(0, bytes, 32), 0x62A8AB43);
    for (size_t i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(traj_crc32c(0, bytes, 32), 0x46DD794E);
    for (size_t i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)(31 - i);
    }
    assert_int_equal(traj_crc32c(0, bytes, 32), 0x113FDB5C);
}

/* In pieces of any size, from any address, it is the same; bit by bit it is the definition's. */
static void test_crc32c_pieces(void **state)
{
    (void)state;
    unsigned char bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 37 + 11);
    }
    for (size_t start = 0; start < 9; start++) {
        uint32_t slow = 0xFFFFFFFF;
        for (size_t i = start; i < sizeof bytes; i++) {
            slow ^= bytes[i];
            for (int bit = 0; bit < 8; bit++) {
                slow = slow >> 1 ^ (slow & 1 ? 0x82F63B78 : 0);
            }
        }
        slow = ~slow;
        assert_int_equal(traj_crc32c(0, bytes + start, sizeof bytes - start), slow);
        assert_int_equal(traj_crc32c_by_tables(0, bytes + start, sizeof bytes - start), slow);
        for (size_t cut = start; cut <= sizeof bytes; cut++) {
            uint32_t crc = traj_crc32c(0, bytes + start, cut - start);
            assert_int_equal(traj_crc32c(crc, bytes + cut, sizeof bytes - cut), slow);
        }
    }
}

static void check_sha256(const char *text, size_t repeat, size_t piece, const char *expected)
{
    size_t length = strlen(text);
    char *whole = malloc(length * repeat + 1);
    unsigned char digest[TRAJ_SHA256_SIZE];
    char hex[TRAJ_SHA256_HEX];
    struct traj_sha256 sha;
    assert_non_null(whole);
    for (size_t i = 0; i < repeat; i++) {
        memcpy(whole + i * length, text, length);
    }
    traj_sha256_init(&sha);
    for (size_t at = 0; at < length * repeat; at += piece) {
        size_t left = length * repeat - at;
        traj_sha256_update(&sha, whole + at, left < piece ? left : piece);
    }
    traj_sha256_final(&sha, digest);
    traj_sha256_hex(digest, hex);
    assert_string_equal(hex, expected);
    free(whole);
}

/* The examples of FIPS 180 and of NIST's test vectors. */
static void test_sha256(void **state)
{
    (void)state;
    check_sha256("", 1, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256("abc", 1, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, 100,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                 "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                 1, 7, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    static const size_t pieces[] = {1, 3, 55, 63, 64, 65, 128, 1000, 1000000};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        check_sha256("a", 1000000, pieces[i],
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_crc32c_pieces),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
