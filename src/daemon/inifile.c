/* SPDX-License-Identifier: MIT */
/* inih cuts lines at 199 bytes and reads on in the rest, cuts values at " ;", takes ':' for
 * '=', joins indented lines and cuts section names at 49 bytes, all without a word. So it
 * gets its lines from here: judged first, and long values in pieces it can hold. */
#include "inifile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"
#include "cmg/base/utf8.h"
#include "place.h"

#define NO_COMMENT "a comment needs a line of its own"

struct reader {
    struct cmg_place at; /* file, line, section; its strings are here:      */
    char section[CMG_INI_LABEL_MAX + 1], label[CMG_INI_LABEL_MAX + 1];
    const struct cmg_ini_events *events;
    void *arg;
    struct cmg_err *err;
    enum cmg_rc rc;
    struct cmg_str rest;              /* of the file                                     */
    struct cmg_str more;              /* of the value of this line: not yet seen by inih */
    char value[CMG_INI_LINE_MAX + 1]; /* what inih delivered of it          */
    size_t n;
};

#define refuse(r, ...) ((r)->rc = cmg_place_fail(&(r)->at, (r)->err, __VA_ARGS__))

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool word(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = cmg_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return s.n > 0;
}

static enum cmg_rc judge_bytes(struct reader *r, struct cmg_str s)
{
    if (s.n > CMG_INI_LINE_MAX)
        return refuse(r, "the line is longer than %d bytes", CMG_INI_LINE_MAX);
    while (s.n) {
        unsigned char c = (unsigned char)s.p[0];
        size_t n = cmg_utf8(s);
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return refuse(r, "the line holds a control character (0x%02x)", c);
        if (n == 0)
            return refuse(r, "the line is not UTF-8 (byte 0x%02x); save the file as UTF-8", c);
        s = cmg_str_from(s, n);
    }
    return CMG_OK;
}

/* The next line without its end, which may be LF or CR LF. False at the end of the file. */
static bool take_line(struct reader *r, struct cmg_str *line)
{
    if (r->rest.n == 0)
        return false;
    const char *end = memchr(r->rest.p, '\n', r->rest.n);
    size_t n = end ? (size_t)(end - r->rest.p) : r->rest.n;
    *line = (struct cmg_str){ r->rest.p, n };
    r->rest = cmg_str_from(r->rest, end ? n + 1 : n);
    r->at.line++;
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

/* "[name]" or "[name label]" */
static enum cmg_rc take_section(struct reader *r, struct cmg_str line)
{
    const char *end = memchr(line.p, ']', line.n);
    r->at.section = r->at.label = NULL;
    if (!end)
        return refuse(r, "the section's ] is missing");
    if (cmg_str_trim(cmg_str_from(line, (size_t)(end - line.p) + 1)).n)
        return refuse(r, "something follows the section's ]; " NO_COMMENT);
    struct cmg_str label = cmg_str_trim((struct cmg_str){ line.p + 1, (size_t)(end - line.p) - 1 });
    struct cmg_str name = label;
    for (name.n = 0; name.n < label.n && !blank(label.p[name.n]);)
        name.n++;
    label = cmg_str_trim(cmg_str_from(label, name.n));
    if (!word(name) || name.n > CMG_INI_LABEL_MAX)
        return refuse(r, "not a section; write [name] or [name label]");
    if (label.n > CMG_INI_LABEL_MAX || (label.n && !word(label)))
        return refuse(r, "not a label; allowed: 1 to %d of A-Z a-z 0-9 . _ -", CMG_INI_LABEL_MAX);

    snprintf(r->section, sizeof(r->section), "%.*s", CMG_ARG(name));
    snprintf(r->label, sizeof(r->label), "%.*s", CMG_ARG(label));
    r->at.section = r->section;
    r->at.label = label.n ? r->label : NULL;
    return r->rc = r->events->on_section(r->arg, r->at.line, r->at.section, r->at.label);
}

static const char *judge_value(struct cmg_str v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((v.p[i] == ';' || v.p[i] == '#') && (i == 0 || blank(v.p[i - 1])))
            return "'#' or ';' at the beginning or after a blank; " NO_COMMENT;
    if (v.n > 1 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
        return "stands in quotes; write it without them";
    return NULL;
}

static enum cmg_rc refuse_value(struct reader *r, struct cmg_str key, struct cmg_str value,
                                const char *why)
{
    struct cmg_place at = r->at;
    char *key_z = cmg_str_dup(key), *value_z = cmg_str_dup(value);
    at.key = key_z;
    at.value = value_z;
    r->rc = cmg_place_fail(&at, r->err, "%s", why);
    free(key_z);
    free(value_z);
    return r->rc;
}

/* Shows its first word only: the rest may be a password. */
static enum cmg_rc refuse_line(struct reader *r, struct cmg_str line)
{
    size_t n = 0;
    while (n < line.n && n < CMG_INI_LABEL_MAX && !blank(line.p[n]) && !strchr(":=", line.p[n]))
        n++;
    return refuse(r, "'%.*s...' is not [section], key = value or a # comment", (int)n, line.p);
}

static enum cmg_rc take_pair(struct reader *r, struct cmg_str line, struct cmg_str *key)
{
    const char *equals = memchr(line.p, '=', line.n);
    *key = cmg_str_trim((struct cmg_str){ line.p, equals ? (size_t)(equals - line.p) : 0 });
    if (!word(*key) || key->n > CMG_INI_LABEL_MAX)
        return refuse_line(r, line);
    r->more = cmg_str_trim(cmg_str_from(line, (size_t)(equals - line.p) + 1));
    r->n = 0;
    const char *why = judge_value(r->more);
    return why ? refuse_value(r, *key, r->more, why) : CMG_OK;
}

/* inih drops blanks at both ends of a piece and comments; so a piece neither begins nor ends
 * with something it would drop. */
static size_t piece(struct cmg_str s, size_t room)
{
    if (s.n <= room)
        return s.n;
    size_t n = room;
    while (n && (blank(s.p[n]) || blank(s.p[n - 1]) || s.p[n] == ';' || s.p[n] == '#'))
        n--;
    return n;
}

static char *give(struct reader *r, char *buf, int size, struct cmg_str key)
{
    size_t used = (size_t)snprintf(buf, (size_t)size, "%.*s%s", CMG_ARG(key), key.n ? "=" : " ");
    size_t n = piece(r->more, (size_t)size - used - 2);
    if (n == 0 && r->more.n) {
        refuse(r, "too many blanks in a row");
        return NULL;
    }
    memcpy(buf + used, r->more.p, n);
    memcpy(buf + used + n, "\n", 2);
    r->more = cmg_str_from(r->more, n);
    return buf;
}

/* inih's reader: one line, or one piece of one. NULL ends the parse. */
static char *next_line(char *buf, int size, void *arg)
{
    struct reader *r = arg;
    struct cmg_str line, key;
    if (r->rc == CMG_OK && r->more.n)
        return give(r, buf, size, (struct cmg_str){ "", 0 });
    while (r->rc == CMG_OK && take_line(r, &line)) {
        if (judge_bytes(r, line) != CMG_OK)
            break;
        struct cmg_str bare = cmg_str_trim(line);
        if (bare.n == 0 || bare.p[0] == '#' || bare.p[0] == ';')
            continue;
        if (bare.p != line.p) {
            refuse(r, "the line begins with a blank; a value must stand on one line");
        } else if (line.p[0] == '[') {
            if (take_section(r, line) == CMG_OK) {
                snprintf(buf, (size_t)size, "[-]\n"); /* ends what inih might continue */
                return buf;
            }
        } else if (take_pair(r, bare, &key) == CMG_OK) {
            return give(r, buf, size, key);
        }
    }
    return NULL;
}

static int on_value(void *arg, const char *section, const char *key, const char *value)
{
    struct reader *r = arg;
    (void)section;
    size_t n = strlen(value);
    memcpy(r->value + r->n, value, n + 1); /* fits: pieces of one line */
    r->n += n;
    if (r->more.n == 0)
        r->rc = r->events->on_pair(r->arg, r->at.line, key, r->value);
    return 1;
}

/* The whole file, owned by the caller; NULL with err. */
static char *slurp(const char *path, size_t *n, struct cmg_err *err)
{
    const struct cmg_place place = { .file = path };
    FILE *f = fopen(path, "re");
    if (!f) {
        cmg_place_fail(&place, err, "%s", strerror(errno));
        return NULL;
    }
    char *text = cmg_alloc(CMG_INI_FILE_MAX + 1);
    *n = fread(text, 1, CMG_INI_FILE_MAX + 1, f);
    bool failed = ferror(f);
    if (failed)
        cmg_place_fail(&place, err, "%s", strerror(errno));
    else if (*n > CMG_INI_FILE_MAX)
        cmg_place_fail(&place, err, "larger than %d bytes", CMG_INI_FILE_MAX);
    fclose(f);
    if (!failed && *n <= CMG_INI_FILE_MAX)
        return text;
    free(text);
    return NULL;
}

/* Editors of Windows leave a mark at the front; that of UTF-16 is beyond us. */
static enum cmg_rc skip_mark(struct reader *r)
{
    struct cmg_str s = r->rest;
    if (s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
        r->rest = cmg_str_from(s, 3);
    else if (s.n >= 2 && (memcmp(s.p, "\xff\xfe", 2) == 0 || memcmp(s.p, "\xfe\xff", 2) == 0))
        return refuse(r, "the file is UTF-16; save it as UTF-8");
    return CMG_OK;
}

enum cmg_rc cmg_ini_read(const char *path, const struct cmg_ini_events *events, void *arg,
                         struct cmg_err *err)
{
    size_t n;
    char *text = slurp(path, &n, err);
    if (!text)
        return CMG_ECONF;
    struct reader *r = cmg_alloc(sizeof(*r));
    *r = (struct reader){
        .at.file = path, .events = events, .arg = arg, .err = err, .rest = { text, n }
    };
    if (skip_mark(r) == CMG_OK && ini_parse_stream(next_line, r, on_value, r) != 0 &&
        r->rc == CMG_OK)
        refuse(r, "not understood");
    enum cmg_rc rc = r->rc;
    free(r);
    free(text);
    return rc;
}
