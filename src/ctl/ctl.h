/* SPDX-License-Identifier: MIT */
/* cmgctl: one table of commands. From it come parsing, --help and the manual page; a command is
 * a struct ctl_command in the file of its noun and a line in commands.h and commands.c.
 *
 *   cmgctl NOUN VERB [OPTION]... [OPERAND]...    on files: "token new"
 *   cmgctl VERB [OPTION]... [OPERAND]...         on a daemon that runs: "status"
 */
#ifndef CMG_CTL_CTL_H
#define CMG_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmg/base/err.h"

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_UNREACHED = 3, /* no daemon answered */
    CTL_CONFIG = 78
};

struct ctl_option { /* a table of these is ended by a zeroed one */
    const char *name;
    /* What --help calls its value, "FILE"; "xml|json" is completed. NULL: a flag. */
    const char *value;
    const char *doc;  /* a sentence, without the default                                 */
    const char *def;  /* in force when it is not given; NULL: none                       */
    int64_t min, max; /* inclusive; max not 0: the value is a number                     */
    bool required;
    bool many; /* may be given more than once */
    /* Of each value; may be NULL. err says what is wrong with it. */
    enum cmg_rc (*check)(const char *value, struct cmg_err *err);
};

struct ctl_args;

struct ctl_command {
    const char *noun, *verb; /* noun NULL: the verb stands alone */
    const char *operands;    /* as --help shows them, "DIR" or "[debug|info]"; NULL: none */
    int operands_min, operands_max;
    const char *summary; /* one line, for the list of commands                     */
    const char *doc;     /* paragraphs for its own --help and the manual; NULL: none   */
    const struct ctl_option *options;               /* NULL: none */
    enum ctl_exit (*run)(const struct ctl_args *a); /* arguments have been checked */
};

/* NULL-ended, in the order of --help. */
extern const struct ctl_command *const ctl_commands[];

/* --- What a command was given. Names must be of its table: others abort. ------------------- */

bool ctl_has(const struct ctl_args *a, const char *option);         /* given, default or not */
const char *ctl_text(const struct ctl_args *a, const char *option); /* the last, else default */
int64_t ctl_number(const struct ctl_args *a, const char *option);   /* of one with bounds    */
size_t ctl_count(const struct ctl_args *a, const char *option);     /* how often given       */
const char *ctl_nth(const struct ctl_args *a, const char *option, size_t i);
size_t ctl_operands(const struct ctl_args *a);
const char *ctl_operand(const struct ctl_args *a, size_t i); /* NULL: not so many */

/* "status", "token new". Any `c`. */
enum { CTL_NAME = 64 };
const char *ctl_name(const struct ctl_command *c, char out[CTL_NAME]);

/* --- How a command ends --------------------------------------------------------------------- */

/* "cmgctl: SENTENCE" on standard error. 78 when the operator must change a file (CMG_ECONF),
 * else 1. */
enum ctl_exit ctl_failed(const struct cmg_err *err);
/* The same for arguments that do not fit together; names --help. 2. */
enum ctl_exit ctl_misused(const struct ctl_args *a, const char *fmt, ...) CMG_PRINTF(2, 3);

/* The whole of main(). */
int ctl_main(const struct ctl_command *const *commands, int argc, char **argv);

/* help.c: all commands (noun NULL), those of a noun, one; the COMMANDS of the manual, scdoc. */
void ctl_help(const struct ctl_command *const *commands, const char *noun, FILE *out);
void ctl_help_command(const struct ctl_command *c, FILE *out);
void ctl_manual(const struct ctl_command *const *commands, FILE *out);

/* complete.c: a script for bash that completes all of them. */
void ctl_completion(const struct ctl_command *const *commands, FILE *out);

#endif
