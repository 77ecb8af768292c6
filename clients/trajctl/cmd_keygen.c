/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trajctl keygen */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "clients/trajctl/commands.h"
#include "clients/trajctl/options.h"
#include "proto/key.h"

#define PATH_SIZE 4096

static const struct command_help help = {
    .name = "keygen",
    .usage = "NAME [--rights SOCKETS]",
    .about =
        "Makes a pair of keys: NAME.key, the public one, which anybody may have, and "
        "NAME.key_secret, which only its owner may read and which stays on its machine. The daemon "
        "needs a pair of its own, and each client one. With --rights it prints the line that lets "
        "the client in, to be added to the daemon's list of clients. Files are never overwritten.",
    .example = "trajctl keygen trajd\n"
               "trajctl keygen rig --rights frames >> clients.list\n"
               "trajctl keygen desk --rights intents,control >> clients.list\n"
               "trajctl status --key desk.key_secret --server-key trajd.key\n",
    .operands = 1,
};

/* Writes a new file that nobody but us may read if it is secret; 0, or 1 after a sentence. */
static int write_file(const char *path, const char *text, bool secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secret ? 0600 : 0644);
    size_t size = strlen(text);
    int error = 0;
    if (fd < 0) {
        return failure("keygen", "%s: %s", path, strerror(errno));
    }
    /* The umask may have left less, never more; a list of bits that is exact is easier to trust. */
    if (fchmod(fd, secret ? 0600 : 0644) != 0 || write(fd, text, size) != (ssize_t)size ||
        fsync(fd) != 0) {
        error = errno != 0 ? errno : EIO;
    }
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    if (error != 0) {
        (void)unlink(path);
        return failure("keygen", "%s: %s", path, strerror(error));
    }
    return 0;
}

static int write_pair(const char *name, const struct traj_key_pair *pair)
{
    char path[PATH_SIZE], secret[PATH_SIZE], text[512];
    if (snprintf(path, sizeof path, "%s.key", name) >= PATH_SIZE ||
        snprintf(secret, sizeof secret, "%s.key_secret", name) >= PATH_SIZE) {
        return usage_error("keygen", "the name is too long");
    }
    (void)snprintf(text, sizeof text,
                   "# A secret key of trajd: it stays on this machine.\nmetadata\ncurve\n"
                   "    public-key = \"%s\"\n    secret-key = \"%s\"\n",
                   pair->public_key, pair->secret_key);
    int status = write_file(secret, text, true);
    if (status != 0) {
        return status;
    }
    (void)snprintf(text, sizeof text,
                   "# A public key of trajd: anybody may have it.\nmetadata\ncurve\n"
                   "    public-key = \"%s\"\n",
                   pair->public_key);
    status = write_file(path, text, false);
    if (status != 0) {
        (void)unlink(secret);
        return status;
    }
    fprintf(stderr, "wrote %s (public) and %s (secret)\n", path, secret);
    return 0;
}

int cmd_keygen(int argc, char **argv)
{
    const char *rights = NULL;
    const struct command_option options[] = {
        {"rights", "SOCKETS", OPTION_TEXT, &rights,
         "what this client may do: frames, intents, control, or several with commas",
         .plain = true},
    };
    struct traj_key_pair pair;
    int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (optind >= argc || argv[optind][0] == '\0') {
        return usage_error("keygen", "a NAME for the files is missing");
    }
    if (rights && traj_rights_parse(rights, strlen(rights)) == 0) {
        return usage_error("keygen", "--rights: \"%s\" is not frames, intents, control or several",
                           rights);
    }
    if (zmq_curve_keypair(pair.public_key, pair.secret_key) != 0) {
        return failure("keygen", "no keys: %s", zmq_strerror(zmq_errno()));
    }
    status = write_pair(argv[optind], &pair);
    memset(pair.secret_key, 0, sizeof pair.secret_key);
    if (status == 0 && rights) {
        const char *slash = strrchr(argv[optind], '/');
        printf("%s %s %.60s\n", rights, pair.public_key, slash ? slash + 1 : argv[optind]);
    }
    return status;
}
