/* SPDX-License-Identifier: MIT */
/* One table per daemon says everything about its configuration. The table is read to
 * parse the INI file, validate it, fill the conf struct, print --print-config, write the
 * sample file and the manual, and tell a reload what changed and whether a restart is
 * needed. Nothing about an option is written anywhere else.
 *
 * A section is either single ("[log]") and its fields lie in the conf struct itself, or
 * named and repeated ("[endpoint mp1]"): then the conf struct holds an array of structs
 * (pointer and count) and the options' offsets are within one element.
 */
#ifndef CMG_DAEMON_OPTIONS_H
#define CMG_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmg/base/err.h"

enum cmg_opt_type {
    CMG_OPT_TEXT,   /* char *                                                        */
    CMG_OPT_LIST,   /* char **, never NULL, NULL-ended; comma-separated in the file   */
    CMG_OPT_NUMBER, /* int64_t                                                       */
    CMG_OPT_BYTES,  /* int64_t; "64K", "32M", "4G", "512"                             */
    CMG_OPT_MILLIS, /* int64_t, milliseconds; "250ms", "30s", "15m", "2h"             */
    CMG_OPT_CHOICE, /* int, the index into choices                                   */
    CMG_OPT_BOOL,   /* bool; yes or no                                               */
    CMG_OPT_FILE,   /* char *; must be readable now                                  */
    CMG_OPT_FILES,  /* char **, as LIST: file names, each as FILE                    */
    CMG_OPT_SECRET  /* char *, a file name; must be readable and not by others       */
};
enum cmg_opt_reload { CMG_RESTART, CMG_LIVE }; /* unsaid means restart */

struct cmg_option {
    const char *key;
    enum cmg_opt_type type;
    size_t offset;              /* of the field                                          */
    const char *def;            /* as an operator would type it; "": unset is fine (NULL,
                                 * or an empty list); NULL: must be set                   */
    int64_t min, max;           /* inclusive; NUMBER, BYTES, MILLIS; LIST, FILES: how many */
    const char *const *choices; /* CHOICE, NULL-ended                                    */
    enum cmg_opt_reload reload;
    const char *doc; /* one or two sentences, for the sample file and the manual */
    /* May be NULL. Of each item of a LIST. err says what is wrong and what is allowed; the
     * loader adds file, line, section, key and value. */
    enum cmg_rc (*check)(const char *value, struct cmg_err *err);
    const char *example; /* value in the sample file; NULL: the default */
};

struct cmg_section {
    const char *name;
    bool named;          /* "[name label]", any number of times                         */
    size_t array;        /* named: offset of the pointer to the elements in the conf    */
    size_t count;        /* named: offset of the size_t count                           */
    size_t size;         /* named: bytes of one element                                 */
    size_t label;        /* named: offset of a char * in the element for the label      */
    unsigned min, max;   /* named: how many must and may be there                       */
    const char *example; /* named: label used in the sample file                       */
    const char *doc;
    const struct cmg_option *options; /* ended by a zeroed one */
};

struct cmg_config {
    const struct cmg_section *sections; /* ended by a zeroed one */
    size_t size;                        /* bytes of the conf struct */
    /* After every option is set: what no single option can know ("https needs a certificate").
     * May be NULL. err is "[section label] key: what" or "[section label] key = value: what";
     * the loader finds the line. */
    enum cmg_rc (*check)(const void *conf, struct cmg_err *err);
};

/* offsetof that refuses to compile when the field is not of that C type. */
#define CMG_FIELD(conf, field, ctype) \
    (offsetof(struct conf, field) + 0 * sizeof(_Generic(&((struct conf *)0)->field, ctype * : 1)))

#define CMG_TEXT(conf, field) CMG_OPT_TEXT, CMG_FIELD(conf, field, char *)
#define CMG_LIST(conf, field) CMG_OPT_LIST, CMG_FIELD(conf, field, char **)
#define CMG_NUMBER(conf, field) CMG_OPT_NUMBER, CMG_FIELD(conf, field, int64_t)
#define CMG_BYTES(conf, field) CMG_OPT_BYTES, CMG_FIELD(conf, field, int64_t)
#define CMG_MILLIS(conf, field) CMG_OPT_MILLIS, CMG_FIELD(conf, field, int64_t)
#define CMG_CHOICE(conf, field) CMG_OPT_CHOICE, CMG_FIELD(conf, field, int)
#define CMG_BOOL(conf, field) CMG_OPT_BOOL, CMG_FIELD(conf, field, bool)
#define CMG_FILE(conf, field) CMG_OPT_FILE, CMG_FIELD(conf, field, char *)
#define CMG_FILES(conf, field) CMG_OPT_FILES, CMG_FIELD(conf, field, char **)
#define CMG_SECRET(conf, field) CMG_OPT_SECRET, CMG_FIELD(conf, field, char *)

/* Reads `path` into a new conf struct of config->size bytes. Relative file names in FILE, FILES and
 * SECRET options are taken from the directory of `path`. NULL on refusal: err->text names
 * file, line, key and what is allowed (unknown section or key: the nearest known one). */
void *cmg_config_load(const struct cmg_config *config, const char *path, struct cmg_err *err);
void cmg_config_free(const struct cmg_config *config, void *conf); /* NULL is ignored */

/* True when `a` and `b` differ in no option that needs a restart; otherwise their names are
 * written to `restart` ("gateway.instance, log.target"), cut at `size`. */
bool cmg_config_live(const struct cmg_config *config, const void *a, const void *b, char *restart,
                     size_t size);

/* Tells every difference by its name, "gateway.instance" or, for a named section that came or
 * went, "endpoint mp1", and whether it needs a restart. */
void cmg_config_compare(const struct cmg_config *config, const void *a, const void *b,
                        void (*on_difference)(void *arg, const char *name,
                                              enum cmg_opt_reload reload),
                        void *arg);

/* The documented sample file, defaults commented out. */
void cmg_config_print_sample(const struct cmg_config *config, const char *title, FILE *out);
/* The configuration in force, every option with its value, in a form that loads again. */
void cmg_config_print(const struct cmg_config *config, const void *conf, FILE *out);
/* The OPTIONS part of a manual page, scdoc. */
void cmg_config_print_manual(const struct cmg_config *config, FILE *out);

#endif
