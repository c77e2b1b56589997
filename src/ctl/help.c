/* SPDX-License-Identifier: MIT */
/* What --help and the manual page say: the table, read aloud. Plain text, whatever the terminal. */
#include "ctl/ctl.h"

#include <string.h>

enum { COLUMN = 24, WIDTH = 80 };

/* Words of `text` from column `at` on, broken at WIDTH, further lines from column `left`. */
static void wrapped(FILE *out, const char *text, int at, int left)
{
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (at > left && at + 1 + (int)n > WIDTH) {
            fprintf(out, "\n%*s", left, "");
            at = left;
        } else if (at > left) {
            fputc(' ', out);
            at++;
        }
        at += fprintf(out, "%.*s", (int)n, text);
        text += n;
        if (text[0] == '\n' && text[1]) {
            fprintf(out, "\n%*s", left, "");
            at = left;
        }
        text += *text != '\0';
    }
    fputc('\n', out);
}

static void option_line(const struct ctl_option *o, FILE *out)
{
    int n = fprintf(out, "  --%s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "");
    if (n + 2 > COLUMN)
        fputc('\n', out), n = 0;
    fprintf(out, "%*s", COLUMN - n, "");
    char doc[1024];
    snprintf(doc, sizeof(doc), "%s%s%s%s%s%s", o->doc, o->required ? " Required." : "",
             o->many ? " May be repeated." : "", o->def ? " Default: " : "", o->def ? o->def : "",
             o->def ? "." : "");
    wrapped(out, doc, COLUMN, COLUMN);
}

void ctl_help_command(const struct ctl_command *c, FILE *out)
{
    char name[CTL_NAME];
    fprintf(out, "Usage: cmgctl %s [OPTION]...%s%s\n\n", ctl_name(c, name), c->operands ? " " : "",
            c->operands ? c->operands : "");
    wrapped(out, c->summary, 0, 0);
    if (c->doc) {
        fputc('\n', out);
        wrapped(out, c->doc, 0, 0);
    }
    fputs("\nOptions:\n", out);
    for (const struct ctl_option *o = c->options; o && o->name; o++)
        option_line(o, out);
    fprintf(out, "  -h, --help%*sPrint this.\n", COLUMN - 12, "");
}

void ctl_help(const struct ctl_command *const *commands, const char *noun, FILE *out)
{
    char name[CTL_NAME];
    fprintf(out, "Usage: cmgctl %s VERB [OPTION]...\n\n", noun ? noun : "[NOUN]");
    for (const struct ctl_command *c; (c = *commands); commands++) {
        if (noun && (!c->noun || strcmp(c->noun, noun) != 0))
            continue;
        int n = fprintf(out, "  %s", ctl_name(c, name));
        fprintf(out, "%*s", COLUMN - n, "");
        wrapped(out, c->summary, COLUMN, COLUMN);
    }
    fputs("\n'cmgctl [NOUN] VERB --help' says more of each; so does cmgctl(1).\n"
          "Exit status: 0, 1 failed, 2 wrong usage, 3 no daemon answers, 78 a file must be\n"
          "changed first.\n",
          out);
}

/* scdoc reads _ and * as marks. */
static void escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("_*\\<>#~", *text))
            fputc('\\', out);
        fputc(*text, out);
        if (*text == '\n')
            fputc('\n', out); /* a new paragraph */
    }
}

static void manual_option(const struct ctl_option *o, FILE *out)
{
    fprintf(out, "*--%s*", o->name);
    if (o->value) {
        fputs("=_", out);
        escaped(o->value, out);
        fputc('_', out);
    }
    fputs("\n\t", out);
    escaped(o->doc, out);
    if (o->required)
        fputs(" Required.", out);
    if (o->many)
        fputs(" May be repeated.", out);
    if (o->def) {
        fputs(" Default: ", out);
        escaped(o->def, out);
        fputc('.', out);
    }
    fputs("\n\n", out);
}

void ctl_manual(const struct ctl_command *const *commands, FILE *out)
{
    char name[CTL_NAME];
    for (const struct ctl_command *c; (c = *commands); commands++) {
        fprintf(out, "## cmgctl %s [OPTION]...", ctl_name(c, name));
        if (c->operands) {
            fputc(' ', out);
            escaped(c->operands, out);
        }
        fputs("\n\n", out);
        escaped(c->summary, out);
        fputs("\n\n", out);
        if (c->doc) {
            escaped(c->doc, out);
            fputs("\n\n", out);
        }
        for (const struct ctl_option *o = c->options; o && o->name; o++)
            manual_option(o, out);
    }
}
