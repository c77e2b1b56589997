/* SPDX-License-Identifier: MIT */
/* Answers in XML, read as they come by a table: what to do when which element ends. Whatever the
 * table does not name is passed over. Document type declarations are refused, and with them every
 * entity but the five of XML; depth and text have ceilings. */
#ifndef CMG_STORAGE_XML_H
#define CMG_STORAGE_XML_H

#include <stdbool.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum { CMG_XML_PATH_MAX = 256, CMG_XML_TEXT_MAX = 4096 };

struct cmg_xml;

struct cmg_xml_rule {
    const char *path; /* "Root/Child/Name" */
    /* The element ends. `text` is what it holds; .p is NULL when it holds elements. */
    enum cmg_rc (*on_end)(void *arg, struct cmg_str text, struct cmg_err *err);
};

/* `what` is for errors; rules end with a NULL path. Both are borrowed. */
struct cmg_xml *cmg_xml_new(const char *what, const char *root, const struct cmg_xml_rule *rules,
                            void *arg);
void cmg_xml_free(struct cmg_xml *x); /* NULL is ignored */

/* CMG_EPROTO: not well-formed, another root, a ceiling; or what a rule said. No more after that. */
CMG_MUST_CHECK enum cmg_rc cmg_xml_feed(struct cmg_xml *x, struct cmg_str part, bool last,
                                        struct cmg_err *err);

#endif
