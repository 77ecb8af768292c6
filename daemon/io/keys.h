/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key files and the list of clients, read from the disk.  A secret that others may read is none,
 * and a list that others may write lets anybody in: such files are refused.
 */
#ifndef TRAJ_IO_KEYS_H
#define TRAJ_IO_KEYS_H

#include <stddef.h>

#include "daemon/learn/error.h"
#include "proto/key.h"

/* Both keys of a secret key file; they must belong together.  0, or -1 with a sentence. */
int traj_keys_secret(const char *path, struct traj_key_pair *pair, struct traj_error *error);

/* The public key of a key file.  0, or -1 with a sentence. */
int traj_keys_public(const char *path, char key[TRAJ_KEY_SIZE], struct traj_error *error);

/* Who may do what. */
struct traj_client_list {
    struct traj_client_entry *client;
    size_t count;
};

/* Reads the list of clients; free it with traj_clients_free.  0, or -1 with a sentence. */
int traj_clients_read(const char *path, struct traj_client_list *list, struct traj_error *error);
void traj_clients_free(struct traj_client_list *list);

/* The client of that key, or NULL. */
const struct traj_client_entry *traj_clients_find(const struct traj_client_list *list,
                                                  const char *key);

#endif
