/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any answers of a library for Lab Streaming Layer about a stream: refused, or so many labels as it
 * has channels.  Each answer is a byte or more of the input.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/lsl.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FUZZ_READERS(1);

/* What is left of the input; the calls have no argument that could lead to it. */
static const uint8_t *at, *end;

static unsigned roll(void)
{
    return at < end ? *at++ : 0u;
}

static int32_t get_channel_count(traj_lsl_info info)
{
    int32_t count = 0;
    (void)info;
    for (size_t i = 0; i < sizeof count; i++) {
        count = (int32_t)((uint32_t)count << 8 | roll());
    }
    return count;
}

static double get_nominal_srate(traj_lsl_info info)
{
    static const double rates[] = {0.0, -1.0, NAN, INFINITY, 1e-300, 1e300, 50.0};
    (void)info;
    return rates[roll() % (sizeof rates / sizeof rates[0])];
}

static int get_channel_format(traj_lsl_info info)
{
    (void)info;
    return (int)roll() - 4;
}

static traj_lsl_xml get_desc(traj_lsl_info info)
{
    (void)info;
    return NULL;
}

static traj_lsl_xml next(traj_lsl_xml node, const char *name)
{
    (void)name;
    return node;
}

static int32_t empty(traj_lsl_xml node)
{
    (void)node;
    return at >= end || (int32_t)(roll() % 8u == 7u);
}

static const char *child_value_n(traj_lsl_xml node, const char *name)
{
    static char label[256];
    size_t length = roll();
    (void)node;
    (void)name;
    if (length == 255) {
        return NULL;
    }
    memset(label, 'x', length);
    label[length] = '\0';
    return label;
}

static void take(void *context, int32_t channel, const char *label)
{
    int32_t *taken = context;
    REQUIRE(channel == *taken);
    REQUIRE(label == NULL || (label[0] == 'x' && strlen(label) < 256));
    *taken += 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct traj_lsl lsl = {.get_channel_count = get_channel_count,
                                 .get_nominal_srate = get_nominal_srate,
                                 .get_channel_format = get_channel_format,
                                 .get_desc = get_desc,
                                 .child = next,
                                 .next_sibling_n = next,
                                 .empty = empty,
                                 .child_value_n = child_value_n};
    struct traj_lsl_counts counts = {0, 0.0};
    int32_t taken = 0;
    at = data;
    end = data + size;
    if (traj_lsl_describe(&lsl, NULL, &counts) != NULL) {
        return 0;
    }
    REQUIRE(counts.channels >= 1 && counts.channels <= TRAJ_LSL_CHANNELS_MAX);
    REQUIRE(counts.rate > 0.0 && isfinite(counts.rate));
    traj_lsl_labels(&lsl, NULL, counts.channels, take, &taken);
    REQUIRE(taken == counts.channels);
    ACCEPTED(0);
    return 0;
}
