/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key files and the list of clients; see key.h. */
#include "proto/key.h"

#include <string.h>

#define KEY_LENGTH ((size_t)TRAJ_KEY_SIZE - 1)

/* --- keys ------------------------------------------------------------------------------------- */

bool traj_key_valid(const char *text, size_t size)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   ".-:+=^!/*?&<>()[]{}@%$#";

    if (size != KEY_LENGTH)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (memchr(alphabet, text[i], sizeof alphabet - 1) == NULL)
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes blanks from both ends of text[*size]; returns where it begins now. */
static const char *trim(const char *text, size_t *size)
{
    while (*size > 0 && is_blank(*text)) {
        text++;
        (*size)--;
    }
    while (*size > 0 && is_blank(text[*size - 1]))
        (*size)--;
    return text;
}

/* The line at *at, without its newline; *at goes on to the next.  false at the end. */
static bool next_line(const char **at, size_t *left, const char **line, size_t *size)
{
    const char *end;

    if (*left == 0)
        return false;
    end = memchr(*at, '\n', *left);
    *line = *at;
    *size = end != NULL ? (size_t)(end - *at) : *left;
    *left -= *size + (end != NULL ? 1 : 0);
    *at += *size + (end != NULL ? 1 : 0);
    return true;
}

/*
 * The value of `name = "value"` into out; 1 if the line is of that name, 0 if not, -1 if its value
 * is no key.
 */
static int read_key(const char *line, size_t size, const char *name, char *out)
{
    size_t length = strlen(name);

    line = trim(line, &size);
    if (size < length || memcmp(line, name, length) != 0)
        return 0;
    line += length;
    size -= length;
    line = trim(line, &size);
    if (size == 0 || *line != '=')
        return 0;
    size--;
    line = trim(line + 1, &size);
    if (size != KEY_LENGTH + 2 || line[0] != '"' || line[size - 1] != '"' ||
        !traj_key_valid(line + 1, KEY_LENGTH))
        return -1;
    memcpy(out, line + 1, KEY_LENGTH);
    out[KEY_LENGTH] = '\0';
    return 1;
}

const char *traj_key_parse(const char *text, size_t size, struct traj_key_pair *pair)
{
    const char *line;
    size_t length;

    memset(pair, 0, sizeof *pair);
    while (next_line(&text, &size, &line, &length)) {
        if (read_key(line, length, "public-key", pair->public_key) < 0 ||
            read_key(line, length, "secret-key", pair->secret_key) < 0)
            return "holds a key that is not 40 characters of Z85 in quotes";
    }
    return pair->public_key[0] != '\0' ? NULL : "holds no line public-key = \"...\"";
}

/* --- rights ----------------------------------------------------------------------------------- */

static const char *const socket_name[TRAJ_SOCKETS] = {"frames", "intents", "control"};

const char *traj_socket_name(enum traj_socket socket)
{
    return socket_name[socket];
}

enum traj_socket traj_socket_named(const char *name, size_t size)
{
    int i = 0;

    while (i < TRAJ_SOCKETS &&
           (strlen(socket_name[i]) != size || memcmp(socket_name[i], name, size) != 0))
        i++;
    return (enum traj_socket)i;
}

unsigned traj_rights_parse(const char *text, size_t size)
{
    unsigned rights = 0;

    for (;;) {
        const char *comma = size > 0 ? memchr(text, ',', size) : NULL;
        size_t length = comma != NULL ? (size_t)(comma - text) : size;
        enum traj_socket socket = traj_socket_named(text, length);

        if (socket == TRAJ_SOCKETS)
            return 0;
        rights |= 1u << socket;
        if (comma == NULL)
            return rights;
        text = comma + 1;
        size -= length + 1;
    }
}

/* Cuts the first word off text[*size]; *size is what is left behind it. */
static const char *cut_word(const char *text, size_t *size, const char **rest)
{
    size_t length = 0;
    const char *word = trim(text, size);

    while (length < *size && !is_blank(word[length]))
        length++;
    *rest = word + length;
    *size -= length;
    return word;
}

const char *traj_client_parse(const char *line, size_t size, struct traj_client_entry *entry)
{
    const char *rest;
    const char *word;

    memset(entry, 0, sizeof *entry);
    line = trim(line, &size);
    if (size == 0 || *line == '#')
        return NULL;
    word = cut_word(line, &size, &rest);
    entry->rights = traj_rights_parse(word, (size_t)(rest - word));
    if (entry->rights == 0)
        return "does not begin with rights: frames, intents, control, or several with commas";
    word = cut_word(rest, &size, &rest);
    if (!traj_key_valid(word, (size_t)(rest - word)))
        return "holds no key of 40 characters of Z85 after the rights";
    memcpy(entry->key, word, KEY_LENGTH);
    word = trim(rest, &size);
    if (size >= sizeof entry->name)
        return "holds a name that is too long";
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)word[i] < 0x20 || word[i] == 0x7f)
            return "holds a name with control characters";
    }
    memcpy(entry->name, word, size);
    return NULL;
}
