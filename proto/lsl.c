/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of liblsl; see lsl.h. */
#include "proto/lsl.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* As its packages name it, newest first. */
static const char *const names[] = {"liblsl.so.2", "liblsl.so.1", "liblsl.so", "liblsl64.so"};

/* Where each call stands in the struct, and its name in the library. */
static const struct {
    const char *name;
    size_t offset;
} calls[] = {
#define CALL(result, name, arguments) {"lsl_" #name, offsetof(struct traj_lsl, name)},
    TRAJ_LSL_CALLS(CALL)
#undef CALL
};

const char *traj_lsl_load(struct traj_lsl *lsl, void *(*open)(const char *name, int flags),
                          void *(*find)(void *library, const char *name), int flags)
{
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof names[0]; i++) {
        library = open(names[i], flags);
    }
    if (library == NULL) {
        return "liblsl is not installed (liblsl.so, of the Lab Streaming Layer's own packages; "
               "Debian has none)";
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *call = find(library, calls[i].name);
        if (call == NULL) {
            return "liblsl is too old: version 1.13 or later is needed";
        }
        /* A pointer to data becomes one to a function, as POSIX promises for dlsym. */
        memcpy((char *)lsl + calls[i].offset, &call, sizeof call);
    }
    return NULL;
}

const char *traj_lsl_describe(const struct traj_lsl *lsl, traj_lsl_info info,
                              struct traj_lsl_counts *counts)
{
    counts->channels = lsl->get_channel_count(info);
    counts->rate = lsl->get_nominal_srate(info);
    if (counts->channels < 1 || counts->channels > TRAJ_LSL_CHANNELS_MAX ||
        !(counts->rate > 0.0 && isfinite(counts->rate)) ||
        lsl->get_channel_format(info) == TRAJ_LSL_STRING) {
        return "the stream has no numbers, no nominal rate, or more channels than a model may have "
               "units";
    }
    return NULL;
}

void traj_lsl_labels(const struct traj_lsl *lsl, traj_lsl_info info, int32_t channels,
                     void (*take)(void *context, int32_t channel, const char *label), void *context)
{
    traj_lsl_xml node = lsl->child(lsl->child(lsl->get_desc(info), "channels"), "channel");
    bool more = lsl->empty(node) == 0;

    for (int32_t c = 0; c < channels; c++) {
        const char *label = more ? lsl->child_value_n(node, "label") : NULL;

        take(context, c, label != NULL && label[0] != '\0' ? label : NULL);
        if (more) {
            node = lsl->next_sibling_n(node, "channel");
            more = lsl->empty(node) == 0;
        }
    }
}
