/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys of CURVE and who may do what with them, as text files say it (page: key.md).  A key is the
 * 40 characters of Z85 in which ZeroMQ writes the 32 bytes of an elliptic-curve key.
 */
#ifndef TRAJ_PROTO_KEY_H
#define TRAJ_PROTO_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define TRAJ_KEY_SIZE 41 /* with its NUL */
#define TRAJ_KEY_NAME 64 /* of a client, with its NUL */

/* One key file: "" where it does not hold that key. */
struct traj_key_pair {
    char public_key[TRAJ_KEY_SIZE];
    char secret_key[TRAJ_KEY_SIZE];
};

/* True if text[size] is a key: 40 characters of Z85. */
bool traj_key_valid(const char *text, size_t size);

/*
 * Reads the text of a key file, which ZeroMQ's other tools write too: lines `public-key = "..."`
 * and `secret-key = "..."`, others are passed over.  NULL, or why it is none (static text); then
 * *pair is undefined.
 */
const char *traj_key_parse(const char *text, size_t size, struct traj_key_pair *pair);

/* The sockets on which a client may have a right, in the order of their names. */
enum traj_socket { TRAJ_SOCKET_FRAMES, TRAJ_SOCKET_INTENTS, TRAJ_SOCKET_CONTROL, TRAJ_SOCKETS };

/* "frames", "intents", "control". */
const char *traj_socket_name(enum traj_socket socket);

/* The socket of that name, or TRAJ_SOCKETS. */
enum traj_socket traj_socket_named(const char *name, size_t size);

/* "frames,control": the sockets as bits 1 << enum traj_socket; 0 if it is no such list. */
unsigned traj_rights_parse(const char *text, size_t size);

/* One client of the list. */
struct traj_client_entry {
    unsigned rights; /* bits; 0 = the line held none */
    char key[TRAJ_KEY_SIZE];
    char name[TRAJ_KEY_NAME];
};

/*
 * Reads one line of the list of clients, "frames,control KEY name" without its newline; rights are
 * 0 for an empty line and for one that begins with '#'.  NULL, or what is wrong (static text).
 */
const char *traj_client_parse(const char *line, size_t size, struct traj_client_entry *entry);

#endif
