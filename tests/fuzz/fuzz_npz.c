/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as numpy's npz: refused by a sentence, or a session that holds together.
 *
 * Each entry has a checksum, which no chance meets: it is put right first, so that what is tried is
 * what comes after it.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clients/files/npz.h"
#include "tests/fuzz/require.h"

#define ENTRY_MAX (1u << 20) /* bytes of an entry that are looked at */

/* Places in a zip's directory, and in what stands at the end of the file. */
enum { DIRECTORY_ENTRY = 46, ENTRY_CRC = 16, ENTRY_LENGTHS = 28, END = 22, END_DIRECTORY = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As it is, and with a checksum that had to be put right. */
FUZZ_READERS(2);

static uint32_t get(const uint8_t *bytes, size_t count)
{
    uint32_t value = 0;
    for (size_t i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* CRC-32 as in zip files, over more bytes. */
static uint32_t crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0u - (crc & 1u)));
    }
    return ~crc;
}

static zip_t *open_bytes(const uint8_t *data, size_t size)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(data, size, 0, &why);
    REQUIRE(source != NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY, &why);
    zip_error_fini(&why);
    if (zip == NULL)
        zip_source_free(source);
    return zip;
}

/* What the checksum of the entry should be: libzip gives all of its bytes before it compares. */
static uint32_t crc_of(zip_t *zip, zip_uint64_t index)
{
    uint8_t piece[4096];
    uint32_t crc = 0, done = 0;
    zip_int64_t got;
    zip_file_t *file = zip_fopen_index(zip, index, 0);
    while (file != NULL && done < ENTRY_MAX && (got = zip_fread(file, piece, sizeof piece)) > 0) {
        crc = crc32(crc, piece, (size_t)got);
        done += (uint32_t)got;
    }
    if (file != NULL)
        (void)zip_fclose(file);
    return crc;
}

/* Puts the checksums of the directory right, as far as it is one; returns how many were wrong. */
static size_t put_right(uint8_t *data, size_t size)
{
    size_t wrong = 0;
    zip_t *zip = open_bytes(data, size);
    if (zip == NULL)
        return 0;
    size_t end = size < END ? 0 : size - END;
    while (end > 0 && memcmp(data + end, "PK\5\6", 4) != 0)
        end--;
    size_t at = size < END ? size : get(data + end + END_DIRECTORY, 4);
    zip_int64_t entries = zip_get_num_entries(zip, 0);
    for (zip_int64_t i = 0; i < entries && at < size && size - at >= DIRECTORY_ENTRY; i++) {
        uint32_t crc = crc_of(zip, (zip_uint64_t)i);
        if (memcmp(data + at, "PK\1\2", 4) != 0)
            break;
        wrong += get(data + at + ENTRY_CRC, 4) != crc;
        for (size_t k = 0; k < 4; k++)
            data[at + ENTRY_CRC + k] = (uint8_t)(crc >> 8 * k);
        const uint8_t *lengths = data + at + ENTRY_LENGTHS; /* of name, more, and comment */
        at += DIRECTORY_ENTRY + get(lengths, 2) + get(lengths + 2, 2) + get(lengths + 4, 2);
    }
    zip_discard(zip);
    return wrong;
}

static void read_session(const uint8_t *data, size_t size, size_t reader)
{
    const struct traj_arrays_options options = {.length_unit = "mm",
                                                .bins = {.from = (double)NAN, .to = (double)NAN}};
    struct traj_error error = {{0}}, again = {{0}};
    zip_t *zip = open_bytes(data, size);
    if (zip == NULL)
        return;
    struct traj_session *session = traj_npz_session(zip, "fuzz.npz", &options, &error);
    REQUIRE((session == NULL) == (error.text[0] != '\0'));
    if (session != NULL) {
        REQUIRE(traj_session_check(session, &again) == 0);
        ACCEPTED(reader);
    }
    traj_session_free(session);
    zip_discard(zip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(size > 0 ? size : 1, 1);
    REQUIRE(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    size_t wrong = put_right(copy, size);
    read_session(copy, size, wrong > 0 ? 1 : 0);
    free(copy);
    return 0;
}
