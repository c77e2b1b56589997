/* SPDX-License-Identifier: MIT */
#include "xml.h"

#include <limits.h>
#include <stdlib.h>

#include <expat.h>

#include "cmg/base/alloc.h"

struct cmg_xml {
    XML_Parser parser; /* owned */
    const char *what, *root;
    const struct cmg_xml_rule *rules;
    void *arg;
    char path[CMG_XML_PATH_MAX]; /* of the element that is open */
    size_t npath;
    char text[CMG_XML_TEXT_MAX];
    size_t ntext;
    bool leaf;          /* nothing but text since the element began */
    struct cmg_err err; /* why it was stopped */
};

static void stop(struct cmg_xml *x, const char *why)
{
    if (x->err.code == CMG_OK)
        cmg_fail(&x->err, CMG_EPROTO, "%s: %s", x->what, why);
    XML_StopParser(x->parser, XML_FALSE);
}

static const struct cmg_xml_rule *rule_of(const struct cmg_xml *x)
{
    for (const struct cmg_xml_rule *r = x->rules; r->path; r++)
        if (!strcmp(r->path, x->path))
            return r;
    return NULL;
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct cmg_xml *x = arg;
    size_t n = strlen(name);
    (void)attributes;
    if (x->err.code != CMG_OK)
        return;
    if (!x->npath && strcmp(name, x->root) != 0) {
        stop(x, "another document than expected");
        return;
    }
    if (x->npath + 1 + n >= sizeof(x->path)) {
        stop(x, "elements within elements without end");
        return;
    }
    if (x->npath)
        x->path[x->npath++] = '/';
    memcpy(x->path + x->npath, name, n + 1);
    x->npath += n;
    x->ntext = 0;
    x->leaf = true;
}

static void on_end(void *arg, const char *name)
{
    struct cmg_xml *x = arg;
    size_t n = strlen(name);
    if (x->err.code != CMG_OK)
        return;
    const struct cmg_xml_rule *r = rule_of(x);
    struct cmg_str text = { x->leaf ? x->text : NULL, x->leaf ? x->ntext : 0 };
    if (r && r->on_end(x->arg, text, &x->err) != CMG_OK) {
        XML_StopParser(x->parser, XML_FALSE);
        return;
    }
    x->npath = x->npath > n ? x->npath - n - 1 : 0;
    x->path[x->npath] = '\0';
    x->leaf = false;
}

static void on_text(void *arg, const char *p, int n)
{
    struct cmg_xml *x = arg;
    if (x->err.code != CMG_OK || !x->leaf || !rule_of(x))
        return;
    if ((size_t)n > sizeof(x->text) - x->ntext) {
        stop(x, "a text is too long");
        return;
    }
    memcpy(x->text + x->ntext, p, (size_t)n);
    x->ntext += (size_t)n;
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(arg, "a document type is declared");
}

struct cmg_xml *cmg_xml_new(const char *what, const char *root, const struct cmg_xml_rule *rules,
                            void *arg)
{
    struct cmg_xml *x = cmg_alloc(sizeof(*x));
    *x = (struct cmg_xml){ .what = what, .root = root, .rules = rules, .arg = arg };
    x->parser = XML_ParserCreate("UTF-8"); /* whatever the document says */
    if (!x->parser)
        abort();
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    return x;
}

void cmg_xml_free(struct cmg_xml *x)
{
    if (!x)
        return;
    XML_ParserFree(x->parser);
    free(x);
}

enum cmg_rc cmg_xml_feed(struct cmg_xml *x, struct cmg_str part, bool last, struct cmg_err *err)
{
    if (x->err.code == CMG_OK && part.n > INT_MAX)
        stop(x, "too much at one time");
    if (x->err.code == CMG_OK &&
        XML_Parse(x->parser, part.p ? part.p : "", (int)part.n, last) != XML_STATUS_OK &&
        x->err.code == CMG_OK)
        cmg_fail(&x->err, CMG_EPROTO, "%s: not well-formed XML: %s, line %lu", x->what,
                 XML_ErrorString(XML_GetErrorCode(x->parser)),
                 (unsigned long)XML_GetCurrentLineNumber(x->parser));
    if (x->err.code != CMG_OK && err)
        *err = x->err;
    return x->err.code;
}
