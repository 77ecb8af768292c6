/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What names a session by what is in it; see fingerprint.h. */
#include "daemon/learn/fingerprint.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "proto/sha256.h"

/* Eight bytes, little-endian whatever the machine. */
static void add_u64(struct traj_sha256 *sha, uint64_t value)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    traj_sha256_update(sha, bytes, sizeof bytes);
}

static void add_number(struct traj_sha256 *sha, double value)
{
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (!isnan(value))
        memcpy(&bits, &value, sizeof bits);
    add_u64(sha, bits);
}

/* Each array with its length before it, so that no two sessions run together to the same bytes. */
static void add_doubles(struct traj_sha256 *sha, const double *value, size_t count)
{
    bool known = false;
    for (size_t i = 0; value != NULL && i < count; i++)
        known = known || !isnan(value[i]);
    count = known ? count : 0;
    add_u64(sha, count);
    for (size_t i = 0; i < count; i++)
        add_number(sha, value[i]);
}

static void add_floats(struct traj_sha256 *sha, const float *value, size_t count)
{
    add_u64(sha, count);
    for (size_t i = 0; i < count; i++)
        add_number(sha, (double)value[i]);
}

static void add_counts(struct traj_sha256 *sha, const uint16_t *value, size_t count)
{
    add_u64(sha, count);
    for (size_t i = 0; i < count; i++) {
        const unsigned char bytes[2] = {(unsigned char)value[i], (unsigned char)(value[i] >> 8)};
        traj_sha256_update(sha, bytes, sizeof bytes);
    }
}

static void add_rows(struct traj_sha256 *sha, const int32_t *value, size_t count)
{
    bool known = false;
    for (size_t i = 0; value != NULL && i < count; i++)
        known = known || value[i] >= 0;
    count = known ? count : 0;
    add_u64(sha, count);
    for (size_t i = 0; i < count; i++)
        add_u64(sha, (uint64_t)(int64_t)value[i]);
}

static void add_text(struct traj_sha256 *sha, const char *text, size_t cap)
{
    size_t length = strnlen(text, cap);
    add_u64(sha, length);
    traj_sha256_update(sha, text, length);
}

static void add_names(struct traj_sha256 *sha, char (*name)[TRAJ_ID_SIZE], size_t count)
{
    count = name != NULL ? count : 0;
    add_u64(sha, count);
    for (size_t i = 0; i < count; i++)
        add_text(sha, name[i], TRAJ_ID_SIZE);
}

void traj_session_fingerprint(const struct traj_session *session,
                              char fingerprint[TRAJ_FINGERPRINT_SIZE])
{
    const struct traj_session *s = session;
    unsigned char digest[TRAJ_SHA256_SIZE];
    char hex[TRAJ_SHA256_HEX];
    struct traj_sha256 sha;
    traj_sha256_init(&sha);
    add_text(&sha, s->subject, sizeof s->subject);
    add_text(&sha, s->length_unit, sizeof s->length_unit);
    add_u64(&sha, s->units);
    add_counts(&sha, s->counts, s->bins * s->units);
    add_floats(&sha, s->feature, s->bins * s->features);
    add_doubles(&sha, s->t_end, s->bins);
    add_doubles(&sha, s->dt, s->bins);
    add_names(&sha, s->unit_name, s->units);
    add_doubles(&sha, s->kin_t, s->samples);
    add_doubles(&sha, s->position, s->samples * s->dim);
    add_doubles(&sha, s->velocity, s->samples * s->dim);
    add_doubles(&sha, s->start, s->trials);
    add_doubles(&sha, s->stop, s->trials);
    add_doubles(&sha, s->go, s->trials);
    add_doubles(&sha, s->move, s->trials);
    add_doubles(&sha, s->rewarded, s->trials);
    add_rows(&sha, s->target, s->trials);
    add_doubles(&sha, s->target_position, s->targets * s->target_dim);
    add_names(&sha, s->target_id, s->targets);
    traj_sha256_final(&sha, digest);
    traj_sha256_hex(digest, hex);
    memcpy(fingerprint, hex, TRAJ_FINGERPRINT_SIZE - 1);
    fingerprint[TRAJ_FINGERPRINT_SIZE - 1] = '\0';
}
