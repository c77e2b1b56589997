/* SPDX-License-Identifier: MIT */
/* The table, written out for people: sample file, configuration in force, manual. */
#include "cmg/daemon/options.h"

#include <string.h>

#include "cmg/base/alloc.h"
#include "inifile.h"
#include "option.h"

enum { WIDTH = 78 };

/* The text as comment lines, broken at blanks. */
static void comment(const char *text, FILE *out)
{
    int column = 0;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column && column + 1 + n > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        column += fprintf(out, "%s%.*s", column ? " " : "# ", n, text);
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static const char *type_name(const struct cmg_option *o)
{
    static const char *const names[] = {
        [CMG_OPT_TEXT] = "Text",           [CMG_OPT_LIST] = "List",
        [CMG_OPT_NUMBER] = "Number",       [CMG_OPT_BYTES] = "Size",
        [CMG_OPT_MILLIS] = "Time",         [CMG_OPT_CHOICE] = "One of",
        [CMG_OPT_BOOL] = "One of",         [CMG_OPT_FILE] = "File",
        [CMG_OPT_FILES] = "List of files", [CMG_OPT_SECRET] = "File that only the service may read"
    };
    return names[o->type];
}

/* "Time: 1s to 2m. Default: 15s. A change needs a restart." */
static void facts(const struct cmg_option *o, char *out, size_t size)
{
    char allowed[160], range[168] = "";
    cmg_option_allowed(o, allowed, sizeof(allowed));
    if (o->type != CMG_OPT_TEXT && o->type != CMG_OPT_FILE && o->type != CMG_OPT_SECRET)
        snprintf(range, sizeof(range), ": %s", allowed);
    snprintf(out, size, "%s%s. %s%s.%s", type_name(o), range, o->def ? "Default: " : "Must be set",
             !o->def   ? ""
             : *o->def ? o->def
                       : "none",
             o->reload == CMG_RESTART ? " A change needs a restart." : "");
}

static void sample_option(const struct cmg_option *o, bool optional, FILE *out)
{
    char text[400];
    const char *value = o->example ? o->example : o->def ? o->def : "";
    facts(o, text, sizeof(text));
    fputc('\n', out);
    comment(o->doc, out);
    comment(text, out);
    fprintf(out, "%s%s =%s%s\n", o->def || optional ? "#" : "", o->key, *value ? " " : "", value);
}

static void sample_section(const struct cmg_section *s, FILE *out)
{
    bool optional = s->named && s->min == 0;
    char text[400];
    fputs("\n\n", out);
    comment(s->doc, out);
    if (s->named) {
        snprintf(text, sizeof(text), "%u to %u such sections, each with a label of its own.",
                 s->min, s->max);
        comment(text, out);
    }
    fprintf(out, "%s[%s%s%s]\n", optional ? "#" : "", s->name, s->named ? " " : "",
            s->named ? s->example : "");
    for (const struct cmg_option *o = s->options; o->key; o++)
        sample_option(o, optional, out);
}

void cmg_config_print_sample(const struct cmg_config *config, const char *title, FILE *out)
{
    static const char *const rules[] = {
        "One \"key = value\" on a line, under its [section]; no indentation, no quotes. A line "
        "that begins with # or ; is a comment. A comment cannot follow a value: a # or ; at the "
        "beginning of a value or after a blank is refused, and so is whatever else is not "
        "understood, such as unknown keys and keys given twice.",
        "Lists have commas between their items. Times have a unit: 250ms, 30s, 15m, 2h. Sizes "
        "may have one: 512, 64K, 32M, 4G (1K is 1024). Relative file names are taken from the "
        "folder of this file. The file is UTF-8; a line has at most 4096 bytes.",
        "What stands behind a # without a blank is the default, or an example if that is none.",
    };
    _Static_assert(CMG_INI_LINE_MAX == 4096, "said in the rules above");
    comment(title, out);
    for (size_t i = 0; i < CMG_COUNT(rules); i++) {
        fputs("#\n", out);
        comment(rules[i], out);
    }
    for (const struct cmg_section *s = config->sections; s->name; s++)
        sample_section(s, out);
}

static void print_section(const struct cmg_section *s, const void *base, const char *label,
                          FILE *out)
{
    fprintf(out, "[%s%s%s]\n", s->name, label ? " " : "", label ? label : "");
    for (const struct cmg_option *o = s->options; o->key; o++) {
        fprintf(out, "%s = ", o->key);
        cmg_option_print(o, base, out);
        fputc('\n', out);
    }
}

void cmg_config_print(const struct cmg_config *config, const void *conf, FILE *out)
{
    const char *at = conf;
    for (const struct cmg_section *s = config->sections; s->name; s++) {
        if (!s->named) {
            fputs(s == config->sections ? "" : "\n", out);
            print_section(s, conf, NULL, out);
            continue;
        }
        const char *element = *(char *const *)(const void *)(at + s->array);
        size_t n = *(const size_t *)(const void *)(at + s->count);
        for (; n; n--, element += s->size) {
            fputc('\n', out);
            print_section(s, element, *(char *const *)(const void *)(element + s->label), out);
        }
    }
}

/* scdoc gives these a meaning of their own. */
static void escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("\\*_#<>[]|~`", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

void cmg_config_print_manual(const struct cmg_config *config, FILE *out)
{
    char text[400];
    fputs("# OPTIONS\n", out);
    for (const struct cmg_section *s = config->sections; s->name; s++) {
        fprintf(out, "\n## [%s%s]\n\n", s->name, s->named ? " LABEL" : "");
        escaped(s->doc, out);
        if (s->named)
            fprintf(out, " There may be %u to %u of them, each with a label of its own.", s->min,
                    s->max);
        fputc('\n', out);
        for (const struct cmg_option *o = s->options; o->key; o++) {
            facts(o, text, sizeof(text));
            fprintf(out, "\n*%s*\n\t", o->key);
            escaped(o->doc, out);
            fputs("\n\n\t", out);
            escaped(text, out);
            fputc('\n', out);
        }
    }
}
