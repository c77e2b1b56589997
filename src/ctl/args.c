/* SPDX-License-Identifier: MIT */
/* The command line against the table. A mistake is one line that names the option, what it may
 * be, and where to look. */
#include "ctl/ctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"

struct given {
    const char **values; /* owned; the texts are borrowed from argv */
    size_t n;
};

struct ctl_args {
    const struct ctl_command *command;
    struct given *given; /* owned, one for each row of command->options */
    size_t noptions;
    char **operands; /* borrowed */
    size_t noperands;
    bool help;
};

const char *ctl_name(const struct ctl_command *c, char out[CTL_NAME])
{
    snprintf(out, CTL_NAME, "%s%s%s", c->noun ? c->noun : "", c->noun ? " " : "", c->verb);
    return out;
}

/* --- for commands --------------------------------------------------------------------------- */

static size_t row_of(const struct ctl_args *a, const char *name)
{
    for (size_t i = 0; i < a->noptions; i++)
        if (!strcmp(a->command->options[i].name, name))
            return i;
    fprintf(stderr, "cmgctl: %s has no option %s\n", a->command->verb, name);
    abort();
}

bool ctl_has(const struct ctl_args *a, const char *option)
{
    return a->given[row_of(a, option)].n > 0;
}

const char *ctl_text(const struct ctl_args *a, const char *option)
{
    size_t row = row_of(a, option);
    const struct given *g = &a->given[row];
    return g->n ? g->values[g->n - 1] : a->command->options[row].def;
}

int64_t ctl_number(const struct ctl_args *a, const char *option)
{
    const char *text = ctl_text(a, option);
    return text ? cmg_str_number(cmg_str(text)) : 0;
}

size_t ctl_count(const struct ctl_args *a, const char *option)
{
    return a->given[row_of(a, option)].n;
}

const char *ctl_nth(const struct ctl_args *a, const char *option, size_t i)
{
    return a->given[row_of(a, option)].values[i];
}

size_t ctl_operands(const struct ctl_args *a)
{
    return a->noperands;
}

const char *ctl_operand(const struct ctl_args *a, size_t i)
{
    return i < a->noperands ? a->operands[i] : NULL;
}

enum ctl_exit ctl_failed(const struct cmg_err *err)
{
    fprintf(stderr, "cmgctl: %s\n", err->text);
    return err->code == CMG_ECONF ? CTL_CONFIG : CTL_FAILED;
}

enum ctl_exit ctl_misused(const struct ctl_args *a, const char *fmt, ...)
{
    char text[512], name[CTL_NAME];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "cmgctl: %s\nTry 'cmgctl %s --help'.\n", text, ctl_name(a->command, name));
    return CTL_USAGE;
}

/* --- parsing -------------------------------------------------------------------------------- */

static void args_init(struct ctl_args *a, const struct ctl_command *c)
{
    *a = (struct ctl_args){ .command = c };
    while (c->options && c->options[a->noptions].name)
        a->noptions++;
    a->given = cmg_alloc((a->noptions + 1) * sizeof(*a->given));
}

static void args_clear(struct ctl_args *a)
{
    for (size_t i = 0; i < a->noptions; i++)
        free(a->given[i].values);
    free(a->given);
}

/* What getopt_long returns: no character that it may return itself. */
enum { LONG_HELP = 256, FIRST_ROW };

static struct option *long_options(const struct ctl_args *a)
{
    struct option *table = cmg_alloc((a->noptions + 2) * sizeof(*table));
    for (size_t i = 0; i < a->noptions; i++) {
        const struct ctl_option *o = &a->command->options[i];
        table[i] = (struct option){ o->name, o->value ? required_argument : no_argument, NULL,
                                    (int)i + FIRST_ROW };
    }
    table[a->noptions] = (struct option){ "help", no_argument, NULL, LONG_HELP };
    return table;
}

static enum cmg_rc check_value(const struct ctl_option *o, const char *value, struct cmg_err *err)
{
    if (o->max) {
        long long n = cmg_str_number(cmg_str(value));
        if (n < 0 || n < o->min || n > o->max)
            return cmg_fail(err, CMG_EDENIED, "must be a number from %lld to %lld",
                            (long long)o->min, (long long)o->max);
    }
    return o->check ? o->check(value, err) : CMG_OK;
}

static enum ctl_exit take(struct ctl_args *a, size_t row, const char *value)
{
    const struct ctl_option *o = &a->command->options[row];
    struct given *g = &a->given[row];
    struct cmg_err err;
    if (g->n && !o->many && o->value)
        return ctl_misused(a, "--%s is given twice", o->name);
    if (value && check_value(o, value, &err) != CMG_OK)
        return ctl_misused(a, "--%s=%.80s: %s", o->name, value, err.text);
    g->values = cmg_realloc(g->values, (g->n + 1) * sizeof(*g->values));
    g->values[g->n++] = value;
    return CTL_OK;
}

static enum ctl_exit take_next(struct ctl_args *a, int c, const char *word)
{
    if (c == ':')
        return ctl_misused(a, "%.80s needs a value", word);
    if (c == '?')
        return ctl_misused(a, "%.80s: there is no such option, or it takes no value", word);
    if (c == 'h' || c == LONG_HELP)
        return a->help = true, CTL_OK;
    return take(a, (size_t)c - FIRST_ROW, optarg);
}

static enum ctl_exit parse_options(struct ctl_args *a, int argc, char **argv)
{
    struct option *table = long_options(a);
    enum ctl_exit status = CTL_OK;
    optind = 0; /* glibc: begin anew */
    opterr = 0; /* the words are ours */
    for (int c; status == CTL_OK && (c = getopt_long(argc, argv, ":h", table, NULL)) != -1;)
        status = take_next(a, c, argv[optind - 1]);
    free(table);
    a->operands = argv + optind;
    a->noperands = (size_t)(argc - optind);
    return status;
}

static enum ctl_exit check_whole(const struct ctl_args *a)
{
    const struct ctl_command *c = a->command;
    for (size_t i = 0; i < a->noptions; i++)
        if (c->options[i].required && !a->given[i].n)
            return ctl_misused(a, "--%s=%s must be given", c->options[i].name, c->options[i].value);
    if (a->noperands < (size_t)c->operands_min)
        return ctl_misused(a, "%s is missing", c->operands);
    if (a->noperands > (size_t)c->operands_max)
        return ctl_misused(a, "'%.80s' is one argument too many", a->operands[c->operands_max]);
    return CTL_OK;
}

/* argv[0] is the verb. */
static enum ctl_exit run(const struct ctl_command *c, int argc, char **argv)
{
    struct ctl_args a;
    args_init(&a, c);
    enum ctl_exit status = parse_options(&a, argc, argv);
    if (status == CTL_OK && a.help)
        ctl_help_command(c, stdout);
    else if (status == CTL_OK && (status = check_whole(&a)) == CTL_OK)
        status = c->run(&a);
    args_clear(&a);
    return status;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static enum ctl_exit unknown(const char *noun, const char *verb)
{
    if (verb)
        fprintf(stderr, "cmgctl: there is no command '%.40s %.40s'\nTry 'cmgctl %.40s --help'.\n",
                noun, verb, noun);
    else
        fprintf(stderr, "cmgctl: there is no command '%.40s'\nTry 'cmgctl --help'.\n", noun);
    return CTL_USAGE;
}

static enum ctl_exit of_noun(const struct ctl_command *const *commands, int argc, char **argv)
{
    const char *noun = argv[1], *verb = argc > 2 ? argv[2] : NULL;
    bool known = false;
    for (const struct ctl_command *const *at = commands; *at; at++) {
        const struct ctl_command *c = *at;
        if (!c->noun && !strcmp(c->verb, noun))
            return run(c, argc - 1, argv + 1);
        if (!c->noun || strcmp(c->noun, noun) != 0)
            continue;
        known = true;
        if (verb && !strcmp(c->verb, verb))
            return run(c, argc - 2, argv + 2);
    }
    if (!known || (verb && !is_help(verb)))
        return unknown(noun, known ? verb : NULL);
    ctl_help(commands, noun, verb ? stdout : stderr);
    return verb ? CTL_OK : CTL_USAGE;
}

static enum ctl_exit dispatch(const struct ctl_command *const *commands, int argc, char **argv)
{
    if (argc < 2) {
        ctl_help(commands, NULL, stderr);
        return CTL_USAGE;
    }
    if (is_help(argv[1]))
        ctl_help(commands, NULL, stdout);
    else if (!strcmp(argv[1], "--version"))
        printf("cmgctl %s\n", CMG_VERSION);
    else if (!strcmp(argv[1], "--print-manual"))
        ctl_manual(commands, stdout);
    else
        return of_noun(commands, argc, argv);
    return CTL_OK;
}

int ctl_main(const struct ctl_command *const *commands, int argc, char **argv)
{
    enum ctl_exit status = dispatch(commands, argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return (int)status;
    fprintf(stderr, "cmgctl: cannot write to standard output\n");
    return CTL_FAILED;
}
