/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options of a command: one table serves both getopt_long and --help, so that the two cannot
 * differ.
 *
 *     struct command_option options[] = {
 *         {"model", "M.tjm", OPTION_TEXT, &model, "the model", .required = true},
 *         {"seed", "N", OPTION_U64, &seed, "seed of everything random"},
 *     };
 *     int status = options_parse(&help, options, COUNT_OF(options), argc, argv);
 *     if (status != OPTIONS_RUN) {
 *         return status;
 *     }
 *
 * What `into` holds before parsing is the default; --help shows it.  Shells complete options from
 * the same table (OPTIONS_LIST).
 */
#ifndef TRAJCTL_OPTIONS_H
#define TRAJCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_USAGE 2     /* the command line is wrong */
#define OPTIONS_RUN (-1) /* options_parse: go on; anything else is the exit status */
#define OPTIONS_LIST                                                                               \
    "--list-options" /* as the last word: print the table for a shell, a row an option */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum option_kind {
    OPTION_FLAG,     /* bool: true when given */
    OPTION_NO,       /* bool: false when given (--no-...) */
    OPTION_TEXT,     /* const char *, borrowed from argv */
    OPTION_REPEATED, /* struct option_list; the option may be given several times */
    OPTION_SIZE,     /* size_t within [low, high] */
    OPTION_U64,      /* uint64_t */
    OPTION_REAL      /* double within [low, high] */
};

/* What becomes of the file that the value of an option names. */
enum option_file {
    FILE_NONE, /* the value names none */
    FILE_READ,
    FILE_WRITTEN /* its old content is lost */
};

/* Values of an option that may be given several times; item is allocated, free it with
 * option_list_free. */
struct option_list {
    const char **item;
    size_t count;
};
void option_list_free(struct option_list *list);

struct command_option {
    const char *name;  /* without dashes */
    const char *value; /* the word that stands for its value in --help; NULL for flags */
    enum option_kind kind;
    void *into;
    const char *help; /* one sentence without full stop, with the unit */
    double low, high; /* both 0 = any */
    bool required;
    const char *words; /* the only values, with a space between them; NULL = any */
    bool plain;        /* --help shows no default: the sentence says what happens without it */
    enum option_file file;
};

/* What --help says besides the options. */
struct command_help {
    const char *name;    /* "model show" */
    const char *usage;   /* what follows the name */
    const char *about;   /* a paragraph; it is wrapped */
    const char *example; /* lines that can be typed, each with its newline */
    size_t operands;     /* so many words that are no options are allowed */
    size_t inputs;       /* the last so many of these name files that are read */
};

/*
 * Reads argv[1..argc).  Operands are left in argv[optind..argc).  Returns OPTIONS_RUN, 0 after
 * --help, or EXIT_USAGE after a sentence on stderr; a file that is read and would be overwritten is
 * such a case (overwrite.h).
 */
int options_parse(const struct command_help *help, const struct command_option *options,
                  size_t count, int argc, char **argv);

/*
 * The keys that --key and --server-key named, or NULL: every command with an option whose value is
 * an ENDPOINT has these two as well.
 */
struct traj_keys;
const struct traj_keys *options_keys(void);

/*
 * What may be wrong with keys where nobody answers at an endpoint: "", or the rest of a sentence.
 * A daemon does not answer those whose keys it refuses, so that nothing more can be known.
 */
const char *options_keys_doubt(const char *endpoint);

/* A sentence on stderr, and where to read more; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A sentence on stderr; returns 1, the exit status of a command that failed. */
int failure(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether failure has been called. */
bool failure_told(void);

/* Whole-string conversions; false when text is no such number.  Used for operands. */
bool number_size(const char *text, size_t *out);
bool number_u64(const char *text, uint64_t *out);
bool number_real(const char *text, double *out);

#endif
