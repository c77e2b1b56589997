/* SPDX-License-Identifier: MIT */
#include "option.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"
#include "cmg/net/tls.h"
#include "place.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: the first that divides a quantity is the one it is printed in. */
static const struct unit millis[] = {
    { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }
};
static const struct unit bytes[] = {
    { "T", INT64_C(1) << 40 }, { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 }
};
static const struct unit plain[] = { { "", 1 } };

static const struct unit *units(enum cmg_opt_type type, size_t *n)
{
    *n = type == CMG_OPT_MILLIS  ? CMG_COUNT(millis)
         : type == CMG_OPT_BYTES ? CMG_COUNT(bytes)
                                 : CMG_COUNT(plain);
    return type == CMG_OPT_MILLIS ? millis : type == CMG_OPT_BYTES ? bytes : plain;
}

static void *field(const struct cmg_option *o, void *conf)
{
    return (char *)conf + o->offset;
}

static const void *const_field(const struct cmg_option *o, const void *conf)
{
    return (const char *)conf + o->offset;
}

static const char *text_of(const struct cmg_option *o, const void *conf)
{
    return *(char *const *)const_field(o, conf);
}

static char *const *list_of(const struct cmg_option *o, const void *conf)
{
    return *(char *const *const *)const_field(o, conf);
}

static void quantity(enum cmg_opt_type type, int64_t v, char *out, size_t size)
{
    size_t n;
    const struct unit *u = units(type, &n);
    while (v % u->factor != 0)
        u++;
    snprintf(out, size, "%" PRId64 "%s", v / u->factor, v ? u->name : "");
}

static void allowed_quantity(const struct cmg_option *o, char *out, size_t size)
{
    char min[32], max[32];
    quantity(o->type, o->min, min, sizeof(min));
    quantity(o->type, o->max, max, sizeof(max));
    snprintf(out, size, "%s to %s", min, max);
}

static void allowed_choices(const struct cmg_option *o, char *out, size_t size)
{
    size_t n = 0;
    *out = '\0';
    for (const char *const *c = o->choices; *c && n < size; c++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", *c);
}

void cmg_option_allowed(const struct cmg_option *o, char *out, size_t size)
{
    switch (o->type) {
    case CMG_OPT_NUMBER:
    case CMG_OPT_BYTES:
    case CMG_OPT_MILLIS:
        allowed_quantity(o, out, size);
        return;
    case CMG_OPT_CHOICE:
        allowed_choices(o, out, size);
        return;
    case CMG_OPT_BOOL:
        snprintf(out, size, "yes, no");
        return;
    case CMG_OPT_LIST:
        snprintf(out, size, "%" PRId64 " to %" PRId64 " items with commas between", o->min, o->max);
        return;
    case CMG_OPT_TEXT:
        snprintf(out, size, "any text");
        return;
    case CMG_OPT_FILES:
        snprintf(out, size,
                 "%" PRId64 " to %" PRId64 " names of readable files with commas between", o->min,
                 o->max);
        return;
    case CMG_OPT_FILE:
        snprintf(out, size, "the name of a readable file");
        return;
    case CMG_OPT_SECRET:
        snprintf(out, size, "the name of a file that only the service may read");
        return;
    }
}

static enum cmg_rc set_quantity(const struct cmg_option *o, const char *value, void *conf,
                                struct cmg_err *why)
{
    static const char *const what[] = { [CMG_OPT_NUMBER] = "not a whole number",
                                        [CMG_OPT_BYTES] = "not a size like 512, 64K, 32M or 4G",
                                        [CMG_OPT_MILLIS] =
                                            "not a time like 250ms, 30s, 15m or 2h" };
    char allowed[80];
    size_t digits = strspn(value, "0123456789"), n;
    int64_t v = cmg_str_number((struct cmg_str){ value, digits }), factor = 0;

    cmg_option_allowed(o, allowed, sizeof(allowed));
    for (const struct unit *u = units(o->type, &n); n; u++, n--)
        if (cmg_str_ieq(cmg_str(u->name), cmg_str(value + digits)))
            factor = u->factor;
    if (v == 0 && value[digits] == '\0')
        factor = 1; /* nothing needs no unit */
    if (digits == 0 || factor == 0)
        return cmg_fail(why, CMG_ECONF, "%s; allowed: %s", what[o->type], allowed);
    bool huge = v < 0 || v > INT64_MAX / factor;
    if (!huge)
        v *= factor;
    if (huge || v > o->max)
        return cmg_fail(why, CMG_ECONF, "too large; allowed: %s", allowed);
    if (v < o->min)
        return cmg_fail(why, CMG_ECONF, "too small; allowed: %s", allowed);
    *(int64_t *)field(o, conf) = v;
    return CMG_OK;
}

static enum cmg_rc set_choice(const struct cmg_option *o, const char *value, void *conf,
                              struct cmg_err *why)
{
    char allowed[160];
    for (int i = 0; o->choices[i]; i++)
        if (!strcmp(value, o->choices[i])) {
            *(int *)field(o, conf) = i;
            return CMG_OK;
        }
    cmg_option_allowed(o, allowed, sizeof(allowed));
    return cmg_fail(why, CMG_ECONF, "not one of its values; allowed: %s", allowed);
}

static enum cmg_rc set_bool(const struct cmg_option *o, const char *value, void *conf,
                            struct cmg_err *why)
{
    bool yes = !strcmp(value, "yes");
    if (!yes && strcmp(value, "no") != 0)
        return cmg_fail(why, CMG_ECONF, "not yes or no; allowed: yes, no");
    *(bool *)field(o, conf) = yes;
    return CMG_OK;
}

static enum cmg_rc readable(const char *path, struct cmg_err *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = errno;
    bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (fd >= 0)
        close(fd);
    if (regular)
        return CMG_OK;
    char shown[129];
    cmg_shorten(path, sizeof(shown) - 1, shown);
    return cmg_fail(why, CMG_ECONF, "cannot read %s: %s", shown,
                    fd >= 0 ? "not a regular file" : strerror(error));
}

/* Relative names are relative to the folder of the configuration. */
static char *in_folder(const char *dir, const char *name)
{
    char *path = NULL;
    if (*name == '/')
        return cmg_strdup(name);
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        abort();
    return path;
}

static enum cmg_rc set_file(const struct cmg_option *o, const char *dir, const char *value,
                            void *conf, struct cmg_err *why)
{
    char *path = in_folder(dir, value);
    enum cmg_rc rc = o->type == CMG_OPT_SECRET ? cmg_secret_check(path, why) : readable(path, why);
    if (rc != CMG_OK) {
        free(path);
        return CMG_ECONF;
    }
    *(char **)field(o, conf) = path;
    return CMG_OK;
}

static bool there(char *const *list, size_t n, struct cmg_str item)
{
    for (size_t i = 0; i < n; i++)
        if (cmg_str_eq(cmg_str(list[i]), item))
            return true;
    return false;
}

static enum cmg_rc check_item(const struct cmg_option *o, const char *item, struct cmg_err *why)
{
    struct cmg_err said;
    char shown[41];
    if (!o->check || o->check(item, &said) == CMG_OK)
        return CMG_OK;
    cmg_shorten(item, sizeof(shown) - 1, shown);
    return cmg_fail(why, CMG_ECONF, "'%s': %s", shown, said.text);
}

static bool is_list(const struct cmg_option *o)
{
    return o->type == CMG_OPT_LIST || o->type == CMG_OPT_FILES;
}

static enum cmg_rc set_list(const struct cmg_option *o, const char *dir, const char *value,
                            void *conf, struct cmg_err *why)
{
    size_t commas = 0, n = 0;
    for (const char *c = value; *c; c++)
        commas += *c == ',';
    char **list = cmg_alloc((commas + 2) * sizeof(*list));
    *(char ***)field(o, conf) = list;

    struct cmg_str rest = *value ? cmg_str(value) : (struct cmg_str){ NULL, 0 }, item;
    while (cmg_str_next(&rest, ',', &item)) {
        if (item.n == 0)
            return cmg_fail(why, CMG_ECONF, "nothing before or after a comma");
        if (there(list, n, item))
            return cmg_fail(why, CMG_ECONF, "'%.*s' is there twice", CMG_ARG(item));
        list[n] = cmg_str_dup(item);
        if (o->type == CMG_OPT_FILES) {
            char *path = in_folder(dir, list[n]);
            free(list[n]);
            list[n] = path;
            if (readable(path, why) != CMG_OK)
                return CMG_ECONF;
        }
        if (check_item(o, list[n++], why) != CMG_OK)
            return CMG_ECONF;
    }
    if ((int64_t)n >= o->min && (int64_t)n <= o->max)
        return CMG_OK;
    return cmg_fail(why, CMG_ECONF, "%zu items; allowed: %" PRId64 " to %" PRId64, n, o->min,
                    o->max);
}

static bool may_be_empty(const struct cmg_option *o)
{
    return is_list(o) ? o->min == 0 : o->def && !*o->def;
}

enum cmg_rc cmg_option_set(const struct cmg_option *o, const char *dir, const char *value,
                           void *conf, struct cmg_err *why)
{
    if (!*value && !is_list(o) && may_be_empty(o))
        return CMG_OK;
    if (!*value && !may_be_empty(o)) {
        char allowed[160];
        cmg_option_allowed(o, allowed, sizeof(allowed));
        return cmg_fail(why, CMG_ECONF, "has no value; allowed: %s", allowed);
    }
    if (o->check && !is_list(o) && o->check(value, why) != CMG_OK)
        return CMG_ECONF;
    switch (o->type) {
    case CMG_OPT_TEXT:
        *(char **)field(o, conf) = cmg_strdup(value);
        return CMG_OK;
    case CMG_OPT_LIST:
    case CMG_OPT_FILES:
        return set_list(o, dir, value, conf, why);
    case CMG_OPT_NUMBER:
    case CMG_OPT_BYTES:
    case CMG_OPT_MILLIS:
        return set_quantity(o, value, conf, why);
    case CMG_OPT_CHOICE:
        return set_choice(o, value, conf, why);
    case CMG_OPT_BOOL:
        return set_bool(o, value, conf, why);
    case CMG_OPT_FILE:
    case CMG_OPT_SECRET:
        return set_file(o, dir, value, conf, why);
    }
    abort();
}

static bool is_text(const struct cmg_option *o)
{
    return o->type == CMG_OPT_TEXT || o->type == CMG_OPT_FILE || o->type == CMG_OPT_SECRET;
}

void cmg_option_clear(const struct cmg_option *o, void *conf)
{
    if (is_text(o)) {
        free(*(char **)field(o, conf));
        *(char **)field(o, conf) = NULL;
    } else if (is_list(o)) {
        char **list = *(char ***)field(o, conf);
        for (char **item = list; item && *item; item++)
            free(*item);
        free(list);
        *(char ***)field(o, conf) = NULL;
    }
}

static bool equal_lists(char *const *a, char *const *b)
{
    while (*a && *b && !strcmp(*a, *b)) {
        a++;
        b++;
    }
    return !*a && !*b;
}

bool cmg_option_equal(const struct cmg_option *o, const void *a, const void *b)
{
    if (is_text(o)) {
        const char *ta = text_of(o, a), *tb = text_of(o, b);
        return ta && tb ? !strcmp(ta, tb) : ta == tb;
    }
    if (is_list(o))
        return equal_lists(list_of(o, a), list_of(o, b));
    size_t size = o->type == CMG_OPT_BOOL     ? sizeof(bool)
                  : o->type == CMG_OPT_CHOICE ? sizeof(int)
                                              : sizeof(int64_t);
    return !memcmp(const_field(o, a), const_field(o, b), size);
}

void cmg_option_print(const struct cmg_option *o, const void *conf, FILE *out)
{
    char text[32];
    const void *at = const_field(o, conf);
    switch (o->type) {
    case CMG_OPT_TEXT:
    case CMG_OPT_FILE:
    case CMG_OPT_SECRET:
        fputs(text_of(o, conf) ? text_of(o, conf) : "", out);
        return;
    case CMG_OPT_LIST:
    case CMG_OPT_FILES:
        for (char *const *item = list_of(o, conf); *item; item++)
            fprintf(out, "%s%s", item == list_of(o, conf) ? "" : ", ", *item);
        return;
    case CMG_OPT_NUMBER:
    case CMG_OPT_BYTES:
    case CMG_OPT_MILLIS:
        quantity(o->type, *(const int64_t *)at, text, sizeof(text));
        fputs(text, out);
        return;
    case CMG_OPT_CHOICE:
        fputs(o->choices[*(const int *)at], out);
        return;
    case CMG_OPT_BOOL:
        fputs(*(const bool *)at ? "yes" : "no", out);
        return;
    }
}
