/* SPDX-License-Identifier: MIT */
/* Two forms of one list. The XML is a DAV listing (RFC 4918, multistatus), because that is what
 * clients of content locations know how to read; what DAV has no word for is in a namespace of our
 * own, which such clients pass over. */
#include "cmg/storage/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/times.h"

#define NAMESPACE "urn:cmg:content"

struct cmg_manifest {
    enum cmg_manifest_form form;
    struct cmg_buf *out;  /* borrowed */
    enum cmg_rc rc;       /* the first failure */
    json_t *root, *blobs; /* JSON only: root is owned, blobs is in it */
};

/* Accept ------------------------------------------------------------------------------- */

static bool refused(struct cmg_str parameters)
{
    struct cmg_str one;
    while (cmg_str_next(&parameters, ';', &one)) {
        if (!cmg_str_istarts(one, CMG_STR("q=")))
            continue;
        for (size_t i = 2; i < one.n; i++)
            if (one.p[i] != '0' && one.p[i] != '.')
                return false;
        return true;
    }
    return false;
}

enum cmg_manifest_form cmg_manifest_form(struct cmg_str accept)
{
    struct cmg_str item;
    while (cmg_str_next(&accept, ',', &item)) {
        struct cmg_str type = { NULL, 0 }, rest = item;
        if (!cmg_str_next(&rest, ';', &type) || refused(rest))
            continue;
        if (cmg_str_ieq(type, CMG_STR("application/json")))
            return CMG_MANIFEST_JSON;
        if (cmg_str_ieq(type, CMG_STR("application/xml")) || cmg_str_ieq(type, CMG_STR("text/xml")))
            return CMG_MANIFEST_XML;
    }
    return CMG_MANIFEST_XML;
}

const char *cmg_manifest_type(enum cmg_manifest_form form)
{
    return form == CMG_MANIFEST_JSON ? "application/json" : "application/xml; charset=utf-8";
}

/* XML ---------------------------------------------------------------------------------- */

static void put(struct cmg_manifest *m, const char *text)
{
    if (m->rc == CMG_OK)
        m->rc = cmg_buf_put(m->out, cmg_str(text));
}

static void put_escaped(struct cmg_manifest *m, const char *text)
{
    for (const char *at = text; *at && m->rc == CMG_OK;) {
        size_t plain = strcspn(at, "&<>\"");
        m->rc = cmg_buf_put(m->out, (struct cmg_str){ at, plain });
        at += plain;
        if (!*at)
            return;
        put(m, *at == '&' ? "&amp;" : *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : "&quot;");
        at++;
    }
}

static void put_element(struct cmg_manifest *m, const char *name, const char *text)
{
    put(m, "<");
    put(m, name);
    put(m, ">");
    put_escaped(m, text);
    put(m, "</");
    put(m, name);
    put(m, ">\n");
}

static void begin_xml(struct cmg_manifest *m, const char *content, const char *until)
{
    put(m, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
           "<D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"" NAMESPACE "\" C:content=\"");
    put_escaped(m, content);
    put(m, "\" C:until=\"");
    put_escaped(m, until);
    put(m, "\">\n");
}

static void add_xml(struct cmg_manifest *m, const char *name, const struct cmg_blob *blob,
                    const char *const *urls, size_t nurls)
{
    char text[CMG_TIMES_TEXT];
    put(m, "<D:response>\n");
    put_element(m, "D:href", urls[0]);
    put(m, "<D:propstat>\n<D:prop>\n");
    put_element(m, "D:displayname", name);
    snprintf(text, sizeof(text), "%lld", (long long)blob->size);
    put_element(m, "D:getcontentlength", text);
    if (blob->modified) {
        cmg_times_http_put(blob->modified, text);
        put_element(m, "D:getlastmodified", text);
    }
    if (blob->etag[0])
        put_element(m, "D:getetag", blob->etag);
    put(m, "<D:resourcetype/>\n");
    if (blob->md5[0])
        put_element(m, "C:md5", blob->md5);
    for (size_t i = 1; i < nurls; i++)
        put_element(m, "C:alternate", urls[i]);
    put(m, "</D:prop>\n<D:status>HTTP/1.1 200 OK</D:status>\n</D:propstat>\n</D:response>\n");
}

/* JSON --------------------------------------------------------------------------------- */

static json_t *there(json_t *j)
{
    if (!j)
        abort(); /* out of memory, as everywhere: all texts are UTF-8 */
    return j;
}

static void set(json_t *object, const char *key, json_t *taken)
{
    if (json_object_set_new(object, key, there(taken)) != 0)
        abort();
}

static void begin_json(struct cmg_manifest *m, const char *content, const char *until)
{
    m->root = there(json_object());
    m->blobs = there(json_array());
    set(m->root, "content", json_string(content));
    set(m->root, "until", json_string(until));
    set(m->root, "blobs", m->blobs);
}

static void add_json(struct cmg_manifest *m, const char *name, const struct cmg_blob *blob,
                     const char *const *urls, size_t nurls)
{
    char text[CMG_TIMES_TEXT];
    json_t *one = there(json_object()), *all = there(json_array());
    set(one, "name", json_string(name));
    set(one, "size", json_integer(blob->size));
    if (blob->modified) {
        cmg_times_iso_put(blob->modified, text);
        set(one, "modified", json_string(text));
    }
    if (blob->etag[0])
        set(one, "etag", json_string(blob->etag));
    if (blob->md5[0])
        set(one, "md5", json_string(blob->md5));
    for (size_t i = 0; i < nurls; i++)
        if (json_array_append_new(all, there(json_string(urls[i]))) != 0)
            abort();
    set(one, "urls", all);
    if (json_array_append_new(m->blobs, one) != 0)
        abort();
}

static int on_json(const char *p, size_t n, void *arg)
{
    struct cmg_manifest *m = arg;
    m->rc = cmg_buf_put(m->out, (struct cmg_str){ p, n });
    return m->rc == CMG_OK ? 0 : -1;
}

/* Both --------------------------------------------------------------------------------- */

struct cmg_manifest *cmg_manifest_new(enum cmg_manifest_form form, struct cmg_buf *out,
                                      const char *content, int64_t until)
{
    struct cmg_manifest *m = cmg_alloc(sizeof(*m));
    char text[CMG_TIMES_TEXT];
    *m = (struct cmg_manifest){ .form = form, .out = out };
    cmg_times_iso_put(until, text);
    if (form == CMG_MANIFEST_JSON)
        begin_json(m, content, text);
    else
        begin_xml(m, content, text);
    return m;
}

void cmg_manifest_add(struct cmg_manifest *m, const char *name, const struct cmg_blob *blob,
                      const char *const *urls, size_t nurls)
{
    if (!nurls || nurls > CMG_MANIFEST_URLS_MAX)
        abort();
    if (m->form == CMG_MANIFEST_JSON)
        add_json(m, name, blob, urls, nurls);
    else
        add_xml(m, name, blob, urls, nurls);
}

enum cmg_rc cmg_manifest_end(struct cmg_manifest *m)
{
    if (m->form == CMG_MANIFEST_JSON) {
        if (json_dump_callback(m->root, on_json, m, JSON_COMPACT) != 0 && m->rc == CMG_OK)
            abort();
        json_decref(m->root);
    } else {
        put(m, "</D:multistatus>\n");
    }
    enum cmg_rc rc = m->rc;
    free(m);
    return rc;
}
