/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of liblsl; see lsl.h. */
#include "proto/lsl.h"

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
