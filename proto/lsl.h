/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lab Streaming Layer by its own library, which is loaded where it is installed and not linked to:
 * the calls that are used here, under their names without `lsl_`, with the prototypes of liblsl's
 * lsl_c.h.  Whoever uses them hands in dlopen and dlsym; nothing here opens anything by itself.
 */
#ifndef TRAJ_PROTO_LSL_H
#define TRAJ_PROTO_LSL_H

#include <stdint.h>

/* Channel formats of liblsl: counts and intents go as doubles, markers as text. */
#define TRAJ_LSL_DOUBLE 2
#define TRAJ_LSL_STRING 3

/* Its error codes that are told apart. */
#define TRAJ_LSL_LOST (-2)

/* lsl_streaminfo, lsl_inlet, lsl_outlet, lsl_xml_ptr: pointers whose content is the library's. */
typedef struct traj_lsl_info_struct *traj_lsl_info;
typedef struct traj_lsl_inlet_struct *traj_lsl_inlet;
typedef struct traj_lsl_outlet_struct *traj_lsl_outlet;
typedef struct traj_lsl_xml_struct *traj_lsl_xml;

/* One line a call: result, name, arguments. */
#define TRAJ_LSL_CALLS(CALL)                                                                       \
    CALL(int32_t, library_version, (void))                                                         \
    CALL(double, local_clock, (void))                                                              \
    CALL(void, destroy_string, (char *text))                                                       \
    CALL(int32_t, resolve_bypred,                                                                  \
         (traj_lsl_info * buffer, uint32_t elements, const char *predicate, int32_t minimum,       \
          double timeout))                                                                         \
    CALL(traj_lsl_inlet, create_inlet,                                                             \
         (traj_lsl_info info, int32_t max_buflen, int32_t max_chunklen, int32_t recover))          \
    CALL(void, destroy_inlet, (traj_lsl_inlet inlet))                                              \
    CALL(void, open_stream, (traj_lsl_inlet inlet, double timeout, int32_t *error))                \
    CALL(traj_lsl_info, get_fullinfo, (traj_lsl_inlet inlet, double timeout, int32_t *error))      \
    CALL(double, time_correction, (traj_lsl_inlet inlet, double timeout, int32_t *error))          \
    CALL(double, pull_sample_d,                                                                    \
         (traj_lsl_inlet inlet, double *buffer, int32_t elements, double timeout, int32_t *error)) \
    CALL(double, pull_sample_str,                                                                  \
         (traj_lsl_inlet inlet, char **buffer, int32_t elements, double timeout, int32_t *error))  \
    CALL(traj_lsl_info, create_streaminfo,                                                         \
         (const char *name, const char *type, int32_t channels, double rate, int format,           \
          const char *source_id))                                                                  \
    CALL(void, destroy_streaminfo, (traj_lsl_info info))                                           \
    CALL(const char *, get_name, (traj_lsl_info info))                                             \
    CALL(int32_t, get_channel_count, (traj_lsl_info info))                                         \
    CALL(double, get_nominal_srate, (traj_lsl_info info))                                          \
    CALL(int, get_channel_format, (traj_lsl_info info))                                            \
    CALL(traj_lsl_xml, get_desc, (traj_lsl_info info))                                             \
    CALL(traj_lsl_xml, child, (traj_lsl_xml node, const char *name))                               \
    CALL(traj_lsl_xml, next_sibling_n, (traj_lsl_xml node, const char *name))                      \
    CALL(int32_t, empty, (traj_lsl_xml node))                                                      \
    CALL(const char *, child_value_n, (traj_lsl_xml node, const char *name))                       \
    CALL(traj_lsl_xml, append_child, (traj_lsl_xml node, const char *name))                        \
    CALL(traj_lsl_xml, append_child_value,                                                         \
         (traj_lsl_xml node, const char *name, const char *value))                                 \
    CALL(traj_lsl_outlet, create_outlet, (traj_lsl_info info, int32_t chunk, int32_t buffered))    \
    CALL(void, destroy_outlet, (traj_lsl_outlet outlet))                                           \
    CALL(int32_t, push_sample_dt, (traj_lsl_outlet outlet, const double *data, double timestamp))  \
    CALL(int32_t, push_sample_strt, (traj_lsl_outlet outlet, const char **data, double timestamp)) \
    CALL(int32_t, have_consumers, (traj_lsl_outlet outlet))

struct traj_lsl {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration has none to give */
#define TRAJ_LSL_FIELD(result, name, arguments) result(*name) arguments;
    TRAJ_LSL_CALLS(TRAJ_LSL_FIELD)
#undef TRAJ_LSL_FIELD
};

/*
 * Opens the library by `open` (dlopen, with these flags) and finds all calls by `find` (dlsym).
 * The library stays open until the process ends: its threads may outlive what was made.  NULL, or
 * a sentence that says what is missing.
 */
const char *traj_lsl_load(struct traj_lsl *lsl, void *(*open)(const char *name, int flags),
                          void *(*find)(void *library, const char *name), int flags);

/* What a stream of counts says of itself. */
struct traj_lsl_counts {
    int32_t channels; /* 1 to TRAJ_LSL_CHANNELS_MAX */
    double rate;      /* nominal, samples/s; finite and above 0 */
};
#define TRAJ_LSL_CHANNELS_MAX 8192 /* a channel is a unit, and a frame carries no more */

/* NULL and the stream's description, or a constant sentence that says why it is no stream of
 * counts. */
const char *traj_lsl_describe(const struct traj_lsl *lsl, traj_lsl_info info,
                              struct traj_lsl_counts *counts);

/*
 * Hands each channel's label (desc/channels/channel/label of the full description) to `take`, in
 * the channels' order; NULL where a channel has none or an empty one.  A label is as long as
 * whoever sent it wished.
 */
void traj_lsl_labels(const struct traj_lsl *lsl, traj_lsl_info info, int32_t channels,
                     void (*take)(void *context, int32_t channel, const char *label),
                     void *context);

#endif
