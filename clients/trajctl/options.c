/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading options and printing --help, both from the same table. */
#include "clients/trajctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/trajctl/overwrite.h"
#include "traj/client.h"

#define WIDTH 79  /* columns that --help fills */
#define COLUMN 28 /* where the sentences of the options begin */
#define OPTIONS_MAX 32

void option_list_free(struct option_list *list)
{
    free(list->item);
    list->item = NULL;
    list->count = 0;
}

int usage_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "trajctl %s: ", command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry: trajctl %s --help\n", command);
    va_end(args);
    return EXIT_USAGE;
}

static bool told; /* of a failure */

bool failure_told(void)
{
    return told;
}

int failure(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "trajctl %s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    told = true;
    return 1;
}

bool number_u64(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    /* strtoull takes "-1" for a very large number. */
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end != '\0' || value > UINT64_MAX) {
        return false;
    }
    *out = value;
    return true;
}

bool number_size(const char *text, size_t *out)
{
    uint64_t value;
    if (!number_u64(text, &value) || value > SIZE_MAX) {
        return false;
    }
    *out = (size_t)value;
    return true;
}

bool number_real(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

/* --- help ------------------------------------------------------------------------------------- */

/* Prints text word by word, from column `at` on, with later lines indented to `indent`. */
static void print_wrapped(const char *text, size_t at, size_t indent)
{
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (at > indent && at + 1 + length > WIDTH) {
            printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)length, text);
        at += length;
        text += length;
        text += strspn(text, " \n");
    }
    putchar('\n');
}

/* " (default 8)", or nothing where there is none to tell. */
static void describe_default(const struct command_option *option, char *out, size_t cap)
{
    out[0] = '\0';
    if (option->plain || option->required) {
        return;
    }
    if (option->kind == OPTION_SIZE) {
        snprintf(out, cap, " (default %zu)", *(const size_t *)option->into);
    } else if (option->kind == OPTION_U64) {
        snprintf(out, cap, " (default %llu)", (unsigned long long)*(const uint64_t *)option->into);
    } else if (option->kind == OPTION_REAL && !isnan(*(const double *)option->into)) {
        snprintf(out, cap, " (default %g)", *(const double *)option->into);
    } else if (option->kind == OPTION_TEXT && *(const char *const *)option->into) {
        snprintf(out, cap, " (default %s)", *(const char *const *)option->into);
    }
}

static void print_option(const struct command_option *option)
{
    char head[64], text[1024], preset[256];
    int length = snprintf(head, sizeof head, "  --%s%s%s", option->name, option->value ? " " : "",
                          option->value ? option->value : "");
    describe_default(option, preset, sizeof preset);
    snprintf(text, sizeof text, "%s%s%s", option->help,
             option->kind == OPTION_REPEATED ? "; may be given several times" : "", preset);
    if (length >= COLUMN - 1) {
        printf("%s\n%*s", head, COLUMN, "");
    } else {
        printf("%-*s", COLUMN, head);
    }
    print_wrapped(text, COLUMN, COLUMN);
}

static void print_help(const struct command_help *help, const struct command_option *options,
                       size_t count)
{
    printf("usage: trajctl %s %s\n\n", help->name, help->usage);
    print_wrapped(help->about, 0, 0);
    printf("\noptions:\n");
    for (size_t i = 0; i < count; i++) {
        print_option(&options[i]);
    }
    bool flag = false;
    const struct command_option own = {"help",       NULL, OPTION_FLAG, &flag, "print this and end",
                                       .plain = true};
    print_option(&own);
    if (help->example) {
        printf("\nexample:\n");
        for (const char *line = help->example; *line;) {
            size_t length = strcspn(line, "\n");
            printf("  %.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
}

/* One option a line: its name, the word for its value, its only values, its sentence, by tabs. */
static void list_options(const struct command_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("--%s\t%s\t%s\t%s\n", options[i].name, options[i].value ? options[i].value : "",
               options[i].words ? options[i].words : "", options[i].help);
    }
    printf("--help\t\t\tprint this and end\n");
}

/* --- parsing ---------------------------------------------------------------------------------- */

static bool list_add(struct option_list *list, const char *text)
{
    const char **item = realloc(list->item, (list->count + 1) * sizeof *item);
    if (!item) {
        return false;
    }
    item[list->count++] = text;
    list->item = item;
    return true;
}

static int out_of_range(const char *command, const struct command_option *option, const char *text)
{
    return usage_error(command, "--%s: %s is not between %g and %g", option->name, text,
                       option->low, option->high);
}

static bool bounded(const struct command_option *option)
{
    return option->low != 0.0 || option->high != 0.0;
}

static int take_number(const char *command, const struct command_option *option, const char *text)
{
    double value = 0.0;
    if (option->kind == OPTION_SIZE) {
        size_t size;
        if (!number_size(text, &size)) {
            return usage_error(command, "--%s: \"%s\" is not a whole number", option->name, text);
        }
        value = (double)size;
        if (!bounded(option) || (value >= option->low && value <= option->high)) {
            *(size_t *)option->into = size;
        }
    } else if (option->kind == OPTION_U64) {
        if (!number_u64(text, option->into)) {
            return usage_error(command, "--%s: \"%s\" is not a whole number", option->name, text);
        }
    } else {
        if (!number_real(text, &value)) {
            return usage_error(command, "--%s: \"%s\" is not a number", option->name, text);
        }
        *(double *)option->into = value;
    }
    if (bounded(option) && (value < option->low || value > option->high)) {
        return out_of_range(command, option, text);
    }
    return OPTIONS_RUN;
}

static int take(const char *command, const struct command_option *option, const char *text)
{
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->into = true;
        return OPTIONS_RUN;
    case OPTION_NO:
        *(bool *)option->into = false;
        return OPTIONS_RUN;
    case OPTION_TEXT:
        if (text[0] == '\0') {
            return usage_error(command, "--%s needs a value", option->name);
        }
        *(const char **)option->into = text;
        return OPTIONS_RUN;
    case OPTION_REPEATED:
        return list_add(option->into, text) ? OPTIONS_RUN : failure(command, "memory is short");
    case OPTION_SIZE:
    case OPTION_U64:
    case OPTION_REAL:
        break;
    }
    return take_number(command, option, text);
}

static bool is_given(const struct command_option *option)
{
    return option->kind == OPTION_REPEATED ? ((struct option_list *)option->into)->count > 0
                                           : *(const char **)option->into != NULL;
}

/* What is missing or too much, once every option has been read. */
static int check_complete(const struct command_help *help, const struct command_option *options,
                          size_t count, int argc, char **argv)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].required && !is_given(&options[i])) {
            return usage_error(help->name, "--%s %s is missing", options[i].name, options[i].value);
        }
    }
    if ((size_t)(argc - optind) > help->operands) {
        return usage_error(help->name, "\"%s\" is one word too many",
                           argv[(size_t)optind + help->operands]);
    }
    return check_overwriting(help, options, count, argv + optind, (size_t)(argc - optind));
}

static int parse(const struct command_help *help, const struct command_option *options,
                 size_t count, int argc, char **argv)
{
    struct option table[OPTIONS_MAX + 2] = {0};
    if (argc > 1 && strcmp(argv[argc - 1], OPTIONS_LIST) == 0) {
        list_options(options, count);
        return 0;
    }
    if (count > OPTIONS_MAX) {
        return failure(help->name, "more than %d options", OPTIONS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        bool flag = options[i].kind == OPTION_FLAG || options[i].kind == OPTION_NO;
        table[i] =
            (struct option){options[i].name, flag ? no_argument : required_argument, NULL, 0};
    }
    table[count] = (struct option){"help", no_argument, NULL, 'h'};
    optind = 1;
    opterr = 0;
    for (;;) {
        int which = -1;
        int code = getopt_long(argc, argv, ":h", table, &which);
        if (code == -1) {
            return check_complete(help, options, count, argc, argv);
        }
        if (code == 'h') {
            print_help(help, options, count);
            return 0;
        }
        if (code != 0) {
            return usage_error(help->name,
                               code == ':' ? "%s needs a value"
                                           : "option %s is unknown or takes no value",
                               argv[optind - 1]);
        }
        int status = take(help->name, &options[which], optarg);
        if (status != OPTIONS_RUN) {
            return status;
        }
    }
}

/* --- keys ------------------------------------------------------------------------------------- */

/* What the command line said; one command runs in a process. */
static struct {
    const char *own, *server;
    bool known;
    struct traj_keys keys;
} given;

const struct traj_keys *options_keys(void)
{
    return given.known ? &given.keys : NULL;
}

const char *options_keys_doubt(const char *endpoint)
{
    const char *address = endpoint[0] == '@' || endpoint[0] == '>' ? endpoint + 1 : endpoint;
    bool tcp = strncmp(address, "tcp:", 4) == 0;
    if (!given.known) {
        return tcp ? "; if it asks for keys, as it does beyond one machine, give --key and "
                     "--server-key"
                   : "";
    }
    return tcp ? "; its list of clients may not allow the key of --key here, or --server-key may "
                 "not be its public key"
               : "; with --key and --server-key it answers at tcp:// alone";
}

static bool reaches_daemon(const struct command_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].value && strcmp(options[i].value, "ENDPOINT") == 0) {
            return true;
        }
    }
    return false;
}

static int read_keys(const char *command)
{
    char reason[512] = "";
    if (!given.own && !given.server) {
        return OPTIONS_RUN;
    }
    if (!given.own || !given.server) {
        return usage_error(command, "--key and --server-key go together");
    }
    if (traj_keys_read(given.own, given.server, &given.keys, reason, sizeof reason) != 0) {
        return failure(command, "%s", reason);
    }
    given.known = true;
    return OPTIONS_RUN;
}

int options_parse(const struct command_help *help, const struct command_option *options,
                  size_t count, int argc, char **argv)
{
    const struct command_option keys[] = {
        {"key", "FILE", OPTION_TEXT, &given.own,
         "this client's secret key, where trajd asks for keys (trajctl keygen)", .plain = true,
         .file = FILE_READ},
        {"server-key", "FILE", OPTION_TEXT, &given.server, "and the public key of trajd",
         .plain = true, .file = FILE_READ},
    };
    struct command_option all[OPTIONS_MAX + COUNT_OF(keys)];
    if (count > OPTIONS_MAX || !reaches_daemon(options, count)) {
        return parse(help, options, count, argc, argv);
    }
    memcpy(all, options, count * sizeof *options);
    memcpy(all + count, keys, sizeof keys);
    int status = parse(help, all, count + COUNT_OF(keys), argc, argv);
    return status == OPTIONS_RUN ? read_keys(help->name) : status;
}
