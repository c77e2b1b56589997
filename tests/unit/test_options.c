/* SPDX-License-Identifier: MIT */
/* What the INI reader refuses, and in which words, is in tests/golden/conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "gateway/options.h"
#include "point/options.h"

struct thing {
    char *label, *text;
    int64_t number;
};

struct conf {
    char *text, *unset, *file;
    char **list, **empty;
    int64_t number, bytes, millis;
    int choice;
    bool flag;
    struct thing *things;
    size_t nthings;
};

static const char *const choices[] = { "one", "two", NULL };
static enum cmg_rc even(const char *value, struct cmg_err *err)
{
    if (strlen(value) % 2 == 0)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "odd; allowed: even lengths");
}

/* clang-format off */
static const struct cmg_option main_options[] = {
    { "text", CMG_TEXT(conf, text), .def = "some", .reload = CMG_LIVE, .doc = "D." },
    { "unset", CMG_TEXT(conf, unset), .def = "", .doc = "D." },
    { "file", CMG_FILE(conf, file), .def = "", .reload = CMG_LIVE, .doc = "D." },
    { "list", CMG_LIST(conf, list), .def = "aa, bb", .max = 9, .check = even, .doc = "D." },
    { "empty", CMG_LIST(conf, empty), .def = "", .max = 9, .doc = "D." },
    { "number", CMG_NUMBER(conf, number), .def = "7", .min = 1, .max = 9, .doc = "D." },
    { 0 },
};
static const struct cmg_option more_options[] = {
    { "bytes", CMG_BYTES(conf, bytes), .def = "64K", .max = INT64_C(1) << 42, .doc = "D." },
    { "millis", CMG_MILLIS(conf, millis), .def = "90s", .max = 86400000, .doc = "D." },
    { "choice", CMG_CHOICE(conf, choice), .def = "two", .choices = choices, .doc = "D." },
    { "flag", CMG_BOOL(conf, flag), .def = "yes", .doc = "D." },
    { 0 },
};
static const struct cmg_option thing_options[] = {
    { "text", CMG_TEXT(thing, text), .doc = "D." },
    { "number", CMG_NUMBER(thing, number), .def = "1", .max = 9, .reload = CMG_LIVE, .doc = "D." },
    { 0 },
};
static const struct cmg_section sections[] = {
    { "main", .options = main_options, .doc = "D." },
    { "more", .options = more_options, .doc = "D." },
    { "thing", .named = true, .example = "a", .max = 3, .array = offsetof(struct conf, things),
      .count = offsetof(struct conf, nthings), .size = sizeof(struct thing),
      .label = offsetof(struct thing, label), .options = thing_options, .doc = "D." },
    { 0 },
};
/* clang-format on */
static const struct cmg_config config = { sections, sizeof(struct conf), NULL };

static char folder[] = "/tmp/cmg-test-options-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    unlink("x.ini");
    unlink("f.pem");
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(0, fclose(f));
    chmod(path, 0600);
}

static struct conf *load(const char *text, struct cmg_err *err)
{
    write_file("x.ini", text);
    return cmg_config_load(&config, "x.ini", err);
}

static struct conf *loaded(const char *text)
{
    struct cmg_err err;
    struct conf *c = load(text, &err);
    if (!c)
        fail_msg("refused: %s", err.text);
    return c;
}

static void free_conf(struct conf *c)
{
    cmg_config_free(&config, c);
}

static void every_type_has_its_default(void **state)
{
    (void)state;
    struct conf *c = loaded("");
    assert_string_equal("some", c->text);
    assert_null(c->unset);
    assert_null(c->file);
    assert_string_equal("aa", c->list[0]);
    assert_string_equal("bb", c->list[1]);
    assert_null(c->list[2]);
    assert_null(c->empty[0]);
    assert_int_equal(7, c->number);
    assert_int_equal(65536, c->bytes);
    assert_int_equal(90000, c->millis);
    assert_int_equal(1, c->choice);
    assert_true(c->flag);
    assert_int_equal(0, c->nthings);
    free_conf(c);
}

static void every_type_is_set(void **state)
{
    (void)state;
    write_file("f.pem", "");
    struct conf *c = loaded("[more]\nbytes=2t\nmillis = 0\nchoice = one\nflag = no\n"
                            "[main]\ntext = a = b: c;d#e\nunset =\nlist =\nempty = x , y\n"
                            "file = f.pem\n[thing b]\ntext = 1\n[thing a]\ntext=2\nnumber=9\n");
    assert_string_equal("a = b: c;d#e", c->text);
    assert_null(c->unset);
    assert_null(c->list[0]);
    assert_string_equal("y", c->empty[1]);
    assert_int_equal(INT64_C(2) << 40, c->bytes);
    assert_int_equal(0, c->millis);
    assert_int_equal(0, c->choice);
    assert_false(c->flag);
    assert_int_equal(2, c->nthings);
    assert_string_equal("b", c->things[0].label);
    assert_string_equal("2", c->things[1].text);
    assert_int_equal(1, c->things[0].number);
    assert_int_equal(9, c->things[1].number);
    assert_int_equal('/', c->file[0]);
    assert_non_null(strstr(c->file, "/f.pem"));
    free_conf(c);
}

static void what_has_a_default_is_not_unset(void **state)
{
    (void)state;
    struct cmg_err err;
    assert_null(load("[main]\ntext =\n", &err));
    assert_string_equal("x.ini:2: [main] text =: has no value; allowed: any text", err.text);
}

static char *printed(const struct cmg_config *of, const void *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    cmg_config_print(of, c, f);
    fclose(f);
    return text;
}

static void what_is_printed_loads_again_to_the_same(void **state)
{
    (void)state;
    write_file("f.pem", "");
    struct conf *a =
        loaded("[main]\nfile = f.pem\nempty=a,b\n[more]\nbytes = 1025\nmillis=61001ms\n"
               "[thing z]\ntext = x  y\n[thing a]\ntext = =\n");
    char *first = printed(&config, a);
    struct conf *b = loaded(first);
    char *second = printed(&config, b);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "millis = 61001ms\n"));
    assert_non_null(strstr(first, "bytes = 1025\n"));
    free(first);
    free(second);
    free_conf(a);
    free_conf(b);
}

/* Values of any length up to the line's, whatever stands where inih cuts its pieces. */
static void long_values_arrive_whole(void **state)
{
    (void)state;
    char text[4200], value[4090];
    static const char pattern[] = "a;b# c d,=:[e]  f\xc3\xbc";
    for (size_t size = 150; size < sizeof(value); size += size < 420 ? 1 : 97) {
        size_t n = size;
        for (size_t i = 0; i < n; i++)
            value[i] = pattern[i % (sizeof(pattern) - 1)];
        while ((value[n - 1] & 0x80) || value[n - 1] == ' ')
            n--;
        value[n] = '\0';
        snprintf(text, sizeof(text), "[main]\ntext=%s\nnumber=3\n", value);
        struct conf *c = loaded(text);
        assert_string_equal(value, c->text);
        assert_int_equal(3, c->number);
        free_conf(c);
    }
}

/* However a file is cut short, it loads or is refused with a place. */
static void every_beginning_of_a_file_is_judged(void **state)
{
    (void)state;
    static const char whole[] = "\xef\xbb\xbf[main]\r\ntext = a\r\n# c\r\n[thing a]\r\ntext = "
                                "\xc3\xbc\r\nnumber = 3\r\n[more]\r\nmillis = 3s";
    char part[sizeof(whole)];
    for (size_t n = 0; n < sizeof(whole); n++) {
        struct cmg_err err = { 0 };
        memcpy(part, whole, n);
        part[n] = '\0';
        struct conf *c = load(part, &err);
        if (!c)
            assert_int_equal(0, strncmp(err.text, "x.ini:", 6));
        free_conf(c);
    }
}

static void a_long_message_keeps_what_is_allowed(void **state)
{
    (void)state;
    struct cmg_err err;
    char path[600], text[3000];
    for (size_t i = 0; i < 500; i++)
        path[i] = "./"[i % 2];
    snprintf(path + 500, sizeof(path) - 500, "x.ini");
    snprintf(text, sizeof(text), "[more]\nchoice = %02000d\n", 7);
    write_file("x.ini", text);
    assert_null(cmg_config_load(&config, path, &err));
    assert_non_null(strstr(err.text, "x.ini:2: [more] choice = 0"));
    assert_non_null(strstr(err.text, "07: not one of its values; allowed: one, two"));
    assert_true(strlen(err.text) > 200);
}

static void check_live(const char *a, const char *b, const char *restart)
{
    char names[64] = "?";
    struct conf *ca = loaded(a), *cb = loaded(b);
    bool live = cmg_config_live(&config, ca, cb, names, sizeof(names));
    assert_string_equal(restart, names);
    assert_int_equal(!*restart, live);
    free_conf(ca);
    free_conf(cb);
}

static void what_needs_a_restart_is_named(void **state)
{
    (void)state;
    check_live("", "", "");
    check_live("", "[main]\ntext = other\n", "");
    check_live("", "[main]\nnumber = 7\n", "");
    check_live("", "[main]\nnumber = 8\n[more]\nflag = no\n", "main.number, more.flag");
    check_live("", "[main]\nlist = aa\n", "main.list");
    check_live("[main]\nunset = x\n", "", "main.unset");
    check_live("[thing a]\ntext=1\n", "[thing a]\ntext=1\nnumber=5\n", "");
    check_live("[thing a]\ntext=1\n", "[thing a]\ntext=2\n", "thing a.text");
    check_live("[thing a]\ntext=1\n[thing b]\ntext=2\n", "[thing b]\ntext=2\n[thing a]\ntext=1\n",
               "");
    check_live("[thing a]\ntext=1\n", "[thing b]\ntext=1\n", "thing a, thing b");
}

static void add_difference(void *arg, const char *name, enum cmg_opt_reload reload)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 256 - n, "%s%s ", name, reload == CMG_RESTART ? "!" : "");
}

static void every_difference_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *want;
    } cases[] = {
        { "", "", "" },
        { "", "[main]\ntext = other\n", "main.text " },
        { "", "[main]\nnumber = 8\ntext = x\n", "main.text main.number! " },
        { "[thing a]\ntext=1\n", "[thing a]\ntext=2\nnumber=5\n", "thing a.text! thing a.number " },
        { "[thing a]\ntext=1\n", "[thing b]\ntext=1\n", "thing a! thing b! " },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char text[256] = "";
        struct conf *a = loaded(cases[i].a), *b = loaded(cases[i].b);
        cmg_config_compare(&config, a, b, add_difference, text);
        assert_string_equal(cases[i].want, text);
        free_conf(a);
        free_conf(b);
    }
}

static void names_are_cut_at_their_room(void **state)
{
    (void)state;
    char names[8];
    struct conf *a = loaded(""), *b = loaded("[main]\nnumber=8\n[more]\nflag=no\n");
    assert_false(cmg_config_live(&config, a, b, names, sizeof(names)));
    assert_string_equal("main.nu", names);
    assert_false(cmg_config_live(&config, a, b, names, 0));
    free_conf(a);
    free_conf(b);
}

static void check_table(const struct cmg_section *s)
{
    for (const struct cmg_option *o = s->options; o->key; o++) {
        if (!o->doc || !*o->doc || o->doc[strlen(o->doc) - 1] != '.')
            fail_msg("[%s] %s: its doc is not a sentence", s->name, o->key);
        if (!o->def && !o->example)
            fail_msg("[%s] %s: must be set, and has no example", s->name, o->key);
        if ((o->type == CMG_OPT_NUMBER || o->type == CMG_OPT_BYTES || o->type == CMG_OPT_MILLIS ||
             o->type == CMG_OPT_LIST) &&
            o->min >= o->max)
            fail_msg("[%s] %s: bounds", s->name, o->key);
        if (o->type == CMG_OPT_CHOICE && !o->choices)
            fail_msg("[%s] %s: choices", s->name, o->key);
        if (strlen(o->key) > 32)
            fail_msg("[%s] %s: longer than the reader takes", s->name, o->key);
        for (const struct cmg_option *p = s->options; p != o; p++)
            if (!strcmp(p->key, o->key))
                fail_msg("[%s] %s: there twice", s->name, o->key);
    }
}

static void both_tables_are_sound(void **state)
{
    (void)state;
    for (const struct cmg_section *s = point_config.sections; s->name; s++)
        check_table(s);
    for (const struct cmg_section *s = gateway_config.sections; s->name; s++)
        check_table(s);
}

static bool is_live(const struct cmg_config *of, const char *section, const char *key)
{
    for (const struct cmg_section *s = of->sections; s->name; s++)
        for (const struct cmg_option *o = s->options; o->key; o++)
            if (!strcmp(s->name, section) && !strcmp(o->key, key))
                return o->reload == CMG_LIVE;
    fail_msg("no [%s] %s", section, key);
    return false;
}

static void who_we_are_needs_a_restart_and_how_we_work_does_not(void **state)
{
    (void)state;
    static const struct {
        const struct cmg_config *of;
        const char *section, *key;
        bool live;
    } cases[] = {
        { &point_config, "connection-point", "name", false },
        { &point_config, "connection-point", "site", false },
        { &point_config, "log", "target", false },
        { &point_config, "log", "format", false },
        { &point_config, "log", "level", true },
        { &point_config, "log", "access", true },
        { &point_config, "cmg", "service", true },
        { &point_config, "endpoint", "url", true },
        { &point_config, "proxy", "url", true },
        { &point_config, "channel", "keepalive", true },
        { &gateway_config, "gateway", "name", false },
        { &gateway_config, "gateway", "instance", false },
        { &gateway_config, "gateway", "instances", false },
        { &gateway_config, "gateway", "listen", false },
        { &gateway_config, "gateway", "client-port", false },
        { &gateway_config, "gateway", "certificate", true },
        { &gateway_config, "clients", "ca-file", true },
        { &gateway_config, "clients", "max", true },
        { &gateway_config, "channel", "deadline", true },
        { &gateway_config, "connection-point", "site", true },
        { &gateway_config, "endpoint", "id", true },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++)
        if (is_live(cases[i].of, cases[i].section, cases[i].key) != cases[i].live)
            fail_msg("[%s] %s", cases[i].section, cases[i].key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_default),
        cmocka_unit_test(every_type_is_set),
        cmocka_unit_test(what_has_a_default_is_not_unset),
        cmocka_unit_test(what_is_printed_loads_again_to_the_same),
        cmocka_unit_test(long_values_arrive_whole),
        cmocka_unit_test(every_beginning_of_a_file_is_judged),
        cmocka_unit_test(a_long_message_keeps_what_is_allowed),
        cmocka_unit_test(what_needs_a_restart_is_named),
        cmocka_unit_test(every_difference_is_told),
        cmocka_unit_test(names_are_cut_at_their_room),
        cmocka_unit_test(both_tables_are_sound),
        cmocka_unit_test(who_we_are_needs_a_restart_and_how_we_work_does_not),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
