/* SPDX-License-Identifier: MIT */
/* From a file to a conf struct, by the daemon's table. */
#include "cmg/daemon/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"
#include "inifile.h"
#include "option.h"
#include "place.h"

/* A section as the file has it. */
struct block {
    const struct cmg_section *section;
    unsigned line;   /* of its heading                    */
    size_t element;  /* named: its index                  */
    unsigned *lines; /* owned; where each option was set  */
};

struct load {
    const struct cmg_config *config;
    const char *path;
    char *dir; /* owned; of `path`, absolute */
    struct cmg_err *err;
    void *conf;           /* owned until it is whole */
    struct block *blocks; /* owned */
    size_t nblocks;
};

static size_t options_in(const struct cmg_section *s)
{
    size_t n = 0;
    while (s->options[n].key)
        n++;
    return n;
}

static size_t count_of(const struct cmg_section *s, const void *conf)
{
    return *(const size_t *)(const void *)((const char *)conf + s->count);
}

/* What the offsets of a section's options count from. */
static void *base_of(const struct cmg_section *s, void *conf, size_t i)
{
    char *array = s->named ? *(char **)(void *)((char *)conf + s->array) : conf;
    return i ? array + i * s->size : array;
}

static const void *const_base_of(const struct cmg_section *s, const void *conf, size_t i)
{
    if (!s->named)
        return conf;
    return *(char *const *)(const void *)((const char *)conf + s->array) + i * s->size;
}

static char **label_at(const struct cmg_section *s, void *element)
{
    return (char **)(void *)((char *)element + s->label);
}

static const char *label_of(const struct cmg_section *s, const void *conf, size_t i)
{
    const char *element = const_base_of(s, conf, i);
    return s->named ? *(char *const *)(const void *)(element + s->label) : NULL;
}

static struct cmg_place place_of(const struct load *l, const struct block *b, unsigned line,
                                 const char *key, const char *value)
{
    return (struct cmg_place){ .file = l->path,
                               .line = line,
                               .section = b->section->name,
                               .label = label_of(b->section, l->conf, b->element),
                               .key = key,
                               .value = value };
}

static enum cmg_rc unknown_section(const struct load *l, const struct cmg_place *place)
{
    const char *names[32];
    size_t n = 0;
    for (const struct cmg_section *s = l->config->sections; s->name; s++)
        if (n + 1 < CMG_COUNT(names))
            names[n++] = s->name;
    names[n] = NULL;
    const char *near = cmg_nearest(place->section, names);
    return cmg_place_fail(place, l->err, "no such section%s%s%s", near ? "; did you mean [" : "",
                          near ? near : "", near ? "]?" : "");
}

static size_t add_element(const struct cmg_section *s, void *conf, const char *label)
{
    char **array = (char **)(void *)((char *)conf + s->array);
    size_t *count = (size_t *)(void *)((char *)conf + s->count);
    *array = cmg_realloc(*array, (*count + 1) * s->size);
    char *element = *array + *count * s->size;
    memset(element, 0, s->size);
    *label_at(s, element) = cmg_strdup(label);
    return (*count)++;
}

static enum cmg_rc judge_section(const struct load *l, const struct cmg_section *s,
                                 const struct cmg_place *place)
{
    if (s->named && !place->label)
        return cmg_place_fail(place, l->err, "needs a label, as in [%s %s]", s->name, s->example);
    if (!s->named && place->label)
        return cmg_place_fail(place, l->err, "takes no label; write [%s]", s->name);
    for (size_t i = 0; i < l->nblocks; i++) {
        const struct block *b = &l->blocks[i];
        if (b->section != s)
            continue;
        if (!s->named ||
            cmg_str_ieq(cmg_str(label_of(s, l->conf, b->element)), cmg_str(place->label)))
            return cmg_place_fail(place, l->err, "this section is there already, on line %u",
                                  b->line);
    }
    if (s->named && count_of(s, l->conf) >= s->max)
        return cmg_place_fail(place, l->err, "one too many; allowed: %u to %u sections [%s ...]",
                              s->min, s->max, s->name);
    return CMG_OK;
}

static enum cmg_rc on_section(void *arg, unsigned line, const char *name, const char *label)
{
    struct load *l = arg;
    const struct cmg_place place = { l->path, line, name, label, NULL, NULL };
    const struct cmg_section *s = l->config->sections;
    while (s->name && strcmp(s->name, name) != 0)
        s++;
    if (!s->name)
        return unknown_section(l, &place);
    enum cmg_rc rc = judge_section(l, s, &place);
    if (rc != CMG_OK)
        return rc;
    l->blocks = cmg_realloc(l->blocks, (l->nblocks + 1) * sizeof(*l->blocks));
    l->blocks[l->nblocks++] =
        (struct block){ .section = s,
                        .line = line,
                        .element = s->named ? add_element(s, l->conf, label) : 0,
                        .lines = cmg_alloc(options_in(s) * sizeof(unsigned)) };
    return CMG_OK;
}

/* The section, other than `s`, that has such a key; NULL when none or several do. */
static const struct cmg_section *home_of(const struct cmg_config *config, const char *key,
                                         const struct cmg_section *s)
{
    const struct cmg_section *home = NULL;
    for (const struct cmg_section *at = config->sections; at->name; at++)
        for (const struct cmg_option *o = at->options; at != s && o->key; o++)
            if (!strcmp(o->key, key)) {
                if (home)
                    return NULL;
                home = at;
            }
    return home;
}

static enum cmg_rc unknown_key(const struct load *l, const struct block *b,
                               const struct cmg_place *place)
{
    const char *keys[65];
    size_t n = 0;
    for (const struct cmg_option *o = b->section->options; o->key; o++)
        if (n + 1 < CMG_COUNT(keys))
            keys[n++] = o->key;
    keys[n] = NULL;
    const char *near = cmg_nearest(place->key, keys);
    const struct cmg_section *home = home_of(l->config, place->key, b->section);
    if (home)
        return cmg_place_fail(place, l->err, "no such key here; it belongs in [%s%s]", home->name,
                              home->named ? " ..." : "");
    if (near)
        return cmg_place_fail(place, l->err, "no such key; did you mean %s?", near);
    return cmg_place_fail(place, l->err, "no such key; --print-sample shows all there are");
}

static enum cmg_rc set(const struct load *l, const struct block *b, const struct cmg_option *o,
                       unsigned line, const char *value)
{
    struct cmg_err why;
    void *base = base_of(b->section, l->conf, b->element);
    if (cmg_option_set(o, l->dir, value, base, &why) == CMG_OK)
        return CMG_OK;
    const struct cmg_place place = place_of(l, b, line, o->key, value);
    return cmg_place_fail(&place, l->err, "%s", why.text);
}

static enum cmg_rc on_pair(void *arg, unsigned line, const char *key, const char *value)
{
    struct load *l = arg;
    if (l->nblocks == 0) {
        const struct cmg_place place = { l->path, line, NULL, NULL, key, value };
        return cmg_place_fail(&place, l->err, "stands before the first [section]");
    }
    struct block *b = &l->blocks[l->nblocks - 1];
    const struct cmg_option *o = b->section->options;
    while (o->key && strcmp(o->key, key) != 0)
        o++;
    const struct cmg_place place = place_of(l, b, line, key, o->key ? value : NULL);
    if (!o->key)
        return unknown_key(l, b, &place);
    unsigned *set_on = &b->lines[o - b->section->options];
    if (*set_on)
        return cmg_place_fail(&place, l->err, "is set already, on line %u", *set_on);
    *set_on = line;
    return set(l, b, o, line, value);
}

/* Gives the options that the file does not set their defaults. */
static enum cmg_rc complete(const struct load *l, const struct block *b)
{
    for (const struct cmg_option *o = b->section->options; o->key; o++) {
        if (b->lines && b->lines[o - b->section->options])
            continue;
        const struct cmg_place place = place_of(l, b, b->line, o->key, NULL);
        if (!o->def)
            return cmg_place_fail(&place, l->err, "must be set. %s", o->doc);
        enum cmg_rc rc = set(l, b, o, b->line, o->def);
        if (rc != CMG_OK)
            return rc;
    }
    return CMG_OK;
}

static bool present(const struct load *l, const struct cmg_section *s)
{
    for (size_t i = 0; i < l->nblocks; i++)
        if (l->blocks[i].section == s)
            return true;
    return false;
}

static enum cmg_rc complete_all(const struct load *l)
{
    for (const struct cmg_section *s = l->config->sections; s->name; s++) {
        const struct cmg_place place = { l->path, 0, s->name, s->named ? "..." : NULL, NULL, NULL };
        const struct block absent = { .section = s };
        enum cmg_rc rc = CMG_OK;
        if (s->named && count_of(s, l->conf) < s->min)
            rc = cmg_place_fail(&place, l->err,
                                "is missing; at least %u must be there, as in [%s %s]", s->min,
                                s->name, s->example);
        else if (!s->named && !present(l, s))
            rc = complete(l, &absent);
        if (rc != CMG_OK)
            return rc;
    }
    for (size_t i = 0; i < l->nblocks; i++)
        if (complete(l, &l->blocks[i]) != CMG_OK)
            return CMG_ECONF;
    return CMG_OK;
}

/* The line that "[section label] key ..." speaks of; that of the heading when the key is not
 * set, 0 when there is no such section. */
static unsigned line_of(const struct load *l, const char *text)
{
    for (size_t i = 0; i < l->nblocks; i++) {
        const struct block *b = &l->blocks[i];
        char heading[2 * CMG_INI_LABEL_MAX + 8];
        const char *label = label_of(b->section, l->conf, b->element);
        size_t n = (size_t)snprintf(heading, sizeof(heading), "[%s%s%s] ", b->section->name,
                                    label ? " " : "", label ? label : "");
        if (strncmp(text, heading, n) != 0)
            continue;
        size_t key = strcspn(text + n, " :");
        for (const struct cmg_option *o = b->section->options; o->key; o++)
            if (strlen(o->key) == key && !strncmp(o->key, text + n, key) &&
                b->lines[o - b->section->options])
                return b->lines[o - b->section->options];
        return b->line;
    }
    return 0;
}

static enum cmg_rc check_whole(const struct load *l)
{
    struct cmg_err why;
    if (!l->config->check || l->config->check(l->conf, &why) == CMG_OK)
        return CMG_OK;
    const struct cmg_place place = { .file = l->path, .line = line_of(l, why.text) };
    return cmg_place_fail(&place, l->err, "%s", why.text);
}

/* Absolute, so that what is printed means the same from anywhere. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = NULL, *here = NULL;
    if (*path == '/')
        return cmg_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    here = getcwd(NULL, 0);
    if (asprintf(&dir, "%s%s%.*s", here ? here : ".", slash ? "/" : "",
                 slash ? (int)(slash - path) : 0, path) < 0)
        abort();
    free(here);
    return dir;
}

static enum cmg_rc read_all(struct load *l)
{
    static const struct cmg_ini_events events = { on_section, on_pair };
    enum cmg_rc rc = cmg_ini_read(l->path, &events, l, l->err);
    if (rc == CMG_OK)
        rc = complete_all(l);
    return rc == CMG_OK ? check_whole(l) : rc;
}

void *cmg_config_load(const struct cmg_config *config, const char *path, struct cmg_err *err)
{
    struct load l = { .config = config,
                      .path = path,
                      .dir = directory_of(path),
                      .err = err,
                      .conf = cmg_alloc(config->size) };
    if (read_all(&l) != CMG_OK) {
        cmg_config_free(config, l.conf);
        l.conf = NULL;
    }
    for (size_t i = 0; i < l.nblocks; i++)
        free(l.blocks[i].lines);
    free(l.blocks);
    free(l.dir);
    return l.conf;
}

static void clear(const struct cmg_section *s, void *base)
{
    for (const struct cmg_option *o = s->options; o->key; o++)
        cmg_option_clear(o, base);
    if (s->named)
        free(*label_at(s, base));
}

void cmg_config_free(const struct cmg_config *config, void *conf)
{
    if (!conf)
        return;
    for (const struct cmg_section *s = config->sections; s->name; s++) {
        size_t n = s->named ? count_of(s, conf) : 1;
        for (size_t i = 0; i < n; i++)
            clear(s, base_of(s, conf, i));
        if (s->named)
            free(base_of(s, conf, 0));
    }
    free(conf);
}

/* What differs -------------------------------------------------------------------------- */

struct comparison {
    void (*on_difference)(void *arg, const char *name, enum cmg_opt_reload reload);
    void *arg;
};

static void tell(const struct comparison *to, const struct cmg_section *s, const char *label,
                 const char *key, enum cmg_opt_reload reload)
{
    char name[2 * CMG_INI_LABEL_MAX + 64];
    snprintf(name, sizeof(name), "%s%s%s%s%s", s->name, label ? " " : "", label ? label : "",
             key ? "." : "", key ? key : "");
    to->on_difference(to->arg, name, reload);
}

static void compare(const struct cmg_section *s, const char *label, const void *a, const void *b,
                    const struct comparison *to)
{
    for (const struct cmg_option *o = s->options; o->key; o++)
        if (!cmg_option_equal(o, a, b))
            tell(to, s, label, o->key, o->reload);
}

static const void *find(const struct cmg_section *s, const void *conf, const char *label)
{
    for (size_t i = 0; i < count_of(s, conf); i++)
        if (!strcmp(label_of(s, conf, i), label))
            return const_base_of(s, conf, i);
    return NULL;
}

/* A section that comes or goes needs a restart when any of its options does. */
static enum cmg_opt_reload reload_of(const struct cmg_section *s)
{
    for (const struct cmg_option *o = s->options; o->key; o++)
        if (o->reload == CMG_RESTART)
            return CMG_RESTART;
    return CMG_LIVE;
}

/* Named sections are the same by label, wherever they stand. */
static void compare_named(const struct cmg_section *s, const void *a, const void *b,
                          const struct comparison *to)
{
    for (size_t i = 0; i < count_of(s, a); i++) {
        const char *label = label_of(s, a, i);
        const void *other = find(s, b, label);
        if (other)
            compare(s, label, const_base_of(s, a, i), other, to);
        else
            tell(to, s, label, NULL, reload_of(s));
    }
    for (size_t i = 0; i < count_of(s, b); i++)
        if (!find(s, a, label_of(s, b, i)))
            tell(to, s, label_of(s, b, i), NULL, reload_of(s));
}

void cmg_config_compare(const struct cmg_config *config, const void *a, const void *b,
                        void (*on_difference)(void *arg, const char *name,
                                              enum cmg_opt_reload reload),
                        void *arg)
{
    const struct comparison to = { on_difference, arg };
    for (const struct cmg_section *s = config->sections; s->name; s++) {
        if (s->named)
            compare_named(s, a, b, &to);
        else
            compare(s, NULL, a, b, &to);
    }
}

struct names { /* of what needs a restart */
    char *p;
    size_t n, size;
    bool any;
};

static void add_name(void *arg, const char *name, enum cmg_opt_reload reload)
{
    struct names *names = arg;
    if (reload != CMG_RESTART)
        return;
    if (names->n < names->size)
        names->n += (size_t)snprintf(names->p + names->n, names->size - names->n, "%s%s",
                                     names->any ? ", " : "", name);
    names->any = true;
}

bool cmg_config_live(const struct cmg_config *config, const void *a, const void *b, char *restart,
                     size_t size)
{
    struct names names = { restart, 0, size, false };
    if (size)
        *restart = '\0';
    cmg_config_compare(config, a, b, add_name, &names);
    return !names.any;
}
