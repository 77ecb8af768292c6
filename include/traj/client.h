/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libtrajclient: talk to trajd from C.  One object a thread; blocking calls with timeouts in ms
 * (-1 = for ever).  Functions return 0 or a negative errno value; ETIMEDOUT and EAGAIN mean what
 * they say.
 *
 * The library also holds the writers and parsers of proto/frame.h, proto/event.h, proto/intent.h
 * and proto/intent_binary.h, which are installed with it; none of them allocates.
 */
#ifndef TRAJ_CLIENT_H
#define TRAJ_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAJ_DEFAULT_FRAMES "tcp://127.0.0.1:5601"
#define TRAJ_DEFAULT_INTENTS "tcp://127.0.0.1:5602"
#define TRAJ_DEFAULT_CONTROL "tcp://127.0.0.1:5603"

/*
 * Keys, for a daemon that asks for them: its public key, and this client's own two, each as 40
 * characters of Z85.  A client with keys connects; it cannot bind.
 */
#define TRAJ_CLIENT_KEY 41 /* with its NUL */
struct traj_keys {
    char server_key[TRAJ_CLIENT_KEY];
    char public_key[TRAJ_CLIENT_KEY];
    char secret_key[TRAJ_CLIENT_KEY];
};
/*
 * Reads this client's secret key file and the daemon's public one, as trajctl keygen writes them.
 * A secret key that others may read is refused (-EPERM).  reason (may be NULL) gets a sentence.
 */
int traj_keys_read(const char *own, const char *server, struct traj_keys *keys, char *reason,
                   size_t size);

/* A source of frames and events (XPUB with XPUB_NODROP). endpoint: "@..." binds, ">..." or bare
 * connects. */
struct traj_source;
int traj_source_open(const char *endpoint, struct traj_source **source);
/* With keys (NULL = none); -EOPNOTSUPP where the endpoint binds. */
int traj_source_open_with(const char *endpoint, const struct traj_keys *keys,
                          struct traj_source **source);
/* Waits until a daemon has subscribed to frames and events. */
int traj_source_wait(struct traj_source *source, int timeout_ms);
/* Publish one body under topic "frame" or "event"; blocks at the high-water mark, loses nothing. */
int traj_source_frame(struct traj_source *source, const void *body, size_t size);
int traj_source_event(struct traj_source *source, const void *body, size_t size);
/*
 * One bin of counts, in the binary body (proto/frame.md): units N, t the bin's end and dt its width
 * in s on the source's clock, seq one more than before; 65535 = this unit was not observed.
 */
int traj_source_counts(struct traj_source *source, uint64_t seq, double t, double dt,
                       const uint16_t *counts, size_t units);
/* Sends what is queued (waits up to linger_ms) and closes; *source becomes NULL. */
int traj_source_close(struct traj_source **source, int linger_ms);

/* A subscriber to intents. topics: a comma-separated list such as "intent,stale". */
struct traj_sink;
int traj_sink_open(const char *endpoint, const char *topics, struct traj_sink **sink);
int traj_sink_open_with(const char *endpoint, const struct traj_keys *keys, const char *topics,
                        struct traj_sink **sink);
/* One message; body and topic lead into the sink until the next call; *size excludes any
 * terminator. */
int traj_sink_receive(struct traj_sink *sink, int timeout_ms, const char **topic, const char **body,
                      size_t *size);
/*
 * The next intent of a sink whose topics are "intent" or "binary".  *intent (proto/intent.h) leads
 * into the sink until the next call.  *silent is NaN; of topic "binary" stale messages come too,
 * which tell here for how long, s, no frame has come: a cursor stops.  -EBADMSG where a message is
 * neither; the next call goes on behind it.
 */
struct traj_intent;
int traj_sink_intent(struct traj_sink *sink, int timeout_ms, const struct traj_intent **intent,
                     double *silent);
void traj_sink_close(struct traj_sink **sink);

/* A control connection: one JSON request, one JSON reply. */
struct traj_control;
int traj_control_open(const char *endpoint, struct traj_control **control);
int traj_control_open_with(const char *endpoint, const struct traj_keys *keys,
                           struct traj_control **control);
/* reply leads into the object until the next call, NUL-terminated. */
int traj_control_request(struct traj_control *control, const char *request, int timeout_ms,
                         const char **reply);
void traj_control_close(struct traj_control **control);

#endif
