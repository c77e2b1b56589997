/* SPDX-License-Identifier: MIT */
#include "cmg/storage/listing.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/times.h"
#include "xml.h"

#define ROOT "EnumerationResults"
#define BLOB ROOT "/Blobs/Blob"
#define PROPERTIES BLOB "/Properties"

struct cmg_listing {
    char *prefix;        /* owned */
    struct cmg_xml *xml; /* owned; the page being read, or NULL */
    struct cmg_blob *v;  /* owned */
    size_t n, room;
    struct cmg_blob blob; /* the one being read; its name is owned */
    bool folder;          /* it is none */
    unsigned pages;
    char *marker; /* owned; NULL: no more pages */
};

static enum cmg_rc twice(struct cmg_err *err, const char *what)
{
    return cmg_fail(err, CMG_EPROTO, "list of blobs: %s is there twice, or no text", what);
}

static enum cmg_rc on_name(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    if (l->blob.name || !text.p)
        return twice(err, "a name");
    l->blob.name = cmg_str_dup(text);
    return CMG_OK;
}

static enum cmg_rc on_size(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    if (l->blob.size >= 0)
        return twice(err, "a size");
    l->blob.size = cmg_str_number(text);
    return l->blob.size >= 0 ? CMG_OK : cmg_fail(err, CMG_EPROTO, "list of blobs: not a size");
}

static enum cmg_rc on_modified(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    int64_t t = cmg_times_http_get(text);
    if (t < 0)
        return cmg_fail(err, CMG_EPROTO, "list of blobs: not a time of last change");
    l->blob.modified = t;
    return CMG_OK;
}

/* Of visible characters only: it becomes part of what clients are told. */
static bool visible(struct cmg_str text, size_t room)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return false;
    return text.n < room;
}

static enum cmg_rc on_etag(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    if (!visible(text, sizeof(l->blob.etag) - 2))
        return cmg_fail(err, CMG_EPROTO, "list of blobs: not an ETag");
    /* Lists have it without the quotes that it has in fields. */
    bool bare = text.n && text.p[0] != '"' && text.p[0] != 'W';
    snprintf(l->blob.etag, sizeof(l->blob.etag), bare ? "\"%.*s\"" : "%.*s", CMG_ARG(text));
    return CMG_OK;
}

static enum cmg_rc on_md5(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    if (text.n && (text.n != sizeof(l->blob.md5) - 1 || !visible(text, sizeof(l->blob.md5))))
        return cmg_fail(err, CMG_EPROTO, "list of blobs: not an MD5");
    cmg_str_put(l->blob.md5, sizeof(l->blob.md5), text);
    return CMG_OK;
}

/* Accounts with a real tree list its folders, too. */
static enum cmg_rc on_kind(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    (void)err;
    l->folder = cmg_str_eq(text, CMG_STR("directory"));
    return CMG_OK;
}

static void next_blob(struct cmg_listing *l)
{
    l->blob = (struct cmg_blob){ .size = -1 };
    l->folder = false;
}

static enum cmg_rc judge(const struct cmg_listing *l, struct cmg_str name, struct cmg_err *err)
{
    struct cmg_str prefix = cmg_str(l->prefix);
    if (name.n < prefix.n || memcmp(name.p, prefix.p, prefix.n) != 0)
        return cmg_fail(err, CMG_EPROTO, "list of blobs: there is one that was not asked for");
    if (!cmg_blob_name_ok(name))
        return cmg_fail(err, CMG_EPROTO,
                        "list of blobs: a name has control characters, a backslash, a segment "
                        "that is empty or ends in a dot, or more than %d bytes",
                        CMG_BLOB_NAME_MAX);
    if (l->n == CMG_LISTING_MAX)
        return cmg_fail(err, CMG_ETOOBIG, "list of blobs: more than %d", CMG_LISTING_MAX);
    return CMG_OK;
}

static enum cmg_rc on_blob(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    struct cmg_str name = cmg_str(l->blob.name);
    (void)text;
    if (!name.n || l->blob.size < 0)
        return cmg_fail(err, CMG_EPROTO, "list of blobs: one without name or size");
    /* Tools mark folders by empty blobs, named like this. */
    if (l->folder || (name.p[name.n - 1] == '/' && !l->blob.size)) {
        free(l->blob.name);
        next_blob(l);
        return CMG_OK;
    }
    enum cmg_rc rc = judge(l, name, err);
    if (rc != CMG_OK)
        return rc;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->v = cmg_realloc(l->v, l->room * sizeof(*l->v));
    }
    l->v[l->n++] = l->blob;
    next_blob(l);
    return CMG_OK;
}

static enum cmg_rc on_marker(void *arg, struct cmg_str text, struct cmg_err *err)
{
    struct cmg_listing *l = arg;
    if (l->marker || !text.p)
        return twice(err, "NextMarker");
    if (text.n > CMG_MARKER_MAX)
        return cmg_fail(err, CMG_EPROTO, "list of blobs: NextMarker is too long");
    if (text.n)
        l->marker = cmg_str_dup(text);
    return CMG_OK;
}

static const struct cmg_xml_rule rules[] = {
    { BLOB "/Name", on_name },
    { PROPERTIES "/Content-Length", on_size },
    { PROPERTIES "/Last-Modified", on_modified },
    { PROPERTIES "/Etag", on_etag },
    { PROPERTIES "/Content-MD5", on_md5 },
    { PROPERTIES "/ResourceType", on_kind },
    { BLOB, on_blob },
    { ROOT "/NextMarker", on_marker },
    { NULL, NULL },
};

struct cmg_listing *cmg_listing_new(struct cmg_str prefix)
{
    struct cmg_listing *l = cmg_alloc(sizeof(*l));
    l->prefix = cmg_str_dup(prefix);
    next_blob(l);
    return l;
}

void cmg_listing_free(struct cmg_listing *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].name);
    free(l->v);
    free(l->blob.name);
    free(l->marker);
    free(l->prefix);
    cmg_xml_free(l->xml);
    free(l);
}

static enum cmg_rc begin_page(struct cmg_listing *l, struct cmg_err *err)
{
    if (l->pages == CMG_LISTING_PAGES_MAX)
        return cmg_fail(err, CMG_ETOOBIG, "list of blobs: more than %d pages",
                        CMG_LISTING_PAGES_MAX);
    l->pages++;
    free(l->marker);
    l->marker = NULL;
    l->xml = cmg_xml_new("list of blobs", ROOT, rules, l);
    return CMG_OK;
}

enum cmg_rc cmg_listing_feed(struct cmg_listing *l, struct cmg_str part, bool last,
                             struct cmg_err *err)
{
    enum cmg_rc rc = l->xml ? CMG_OK : begin_page(l, err);
    if (rc == CMG_OK)
        rc = cmg_xml_feed(l->xml, part, last, err);
    if (rc == CMG_OK && last) {
        cmg_xml_free(l->xml);
        l->xml = NULL;
    }
    return rc;
}

const char *cmg_listing_marker(const struct cmg_listing *l)
{
    return l->marker;
}

size_t cmg_listing_count(const struct cmg_listing *l)
{
    return l->n;
}

const struct cmg_blob *cmg_listing_at(const struct cmg_listing *l, size_t i)
{
    return &l->v[i];
}
