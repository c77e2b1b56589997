/* SPDX-License-Identifier: MIT */
#include "point/passport.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/base64.h"
#include "cmg/proto/forwarding.h"

enum what { NAME, ID, HOW, KIND, TENANT, SHA256, SINCE, UNTIL, TEXT, CERTIFICATE };
static const char *const attributes[] = {
    [NAME] = "name",     [ID] = "id",       [HOW] = "how",     [KIND] = "kind", [TENANT] = "tenant",
    [SHA256] = "sha256", [SINCE] = "since", [UNTIL] = "until", [TEXT] = "text"
};
static const char certificate_item[] = "client-cert", certificate_field[] = "Client-Cert";

/* Reading the option -------------------------------------------------------------------- */

/* Names that mean something already: to HTTP, to Configuration Manager, or because the gateway
 * sets them. */
/* clang-format off */
static const char *const taken[] = {
    "accept*", "authorization", "cache-control", "connection", "content-*", "cookie*", "date",
    "expect", "host", "http2-settings", "if-*", "keep-alive", "max-forwards", "origin", "pragma",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "referer",
    "set-cookie*", "te", "trailer*", "transfer-encoding", "upgrade", "user-agent", "via",
    "depth", "destination", "overwrite", "soapaction", "translate",
    "bits-*", "ccm*", "clienttoken*",
    "client-cert*", "cmg-*", "forwarded", "x-forwarded-for",
};
/* clang-format on */

static bool is_taken(struct cmg_str name)
{
    for (size_t i = 0; i < CMG_COUNT(taken); i++)
        if (cmg_field_matches(name, taken[i]))
            return true;
    return false;
}

static enum cmg_rc check_name(struct cmg_str name, struct cmg_err *err)
{
    if (!name.n || name.n > PASSPORT_NAME_MAX || !cmg_field_name_ok(name))
        return cmg_fail(err, CMG_ECONF,
                        "before the = there must be a header name, at most %d "
                        "characters",
                        PASSPORT_NAME_MAX);
    if (is_taken(name))
        return cmg_fail(err, CMG_ECONF,
                        "%.*s has a meaning of its own; take another header name, "
                        "like X-Client-Name",
                        CMG_ARG(name));
    return CMG_OK;
}

static enum cmg_rc find_attribute(struct cmg_str word, int *what, struct cmg_err *err)
{
    for (size_t i = 0; i < CMG_COUNT(attributes); i++) {
        if (cmg_str_eq(word, cmg_str(attributes[i]))) {
            *what = (int)i;
            return CMG_OK;
        }
    }
    return cmg_fail(err, CMG_ECONF,
                    "no such attribute; allowed: name, id, how, kind, tenant, "
                    "sha256, since, until, text");
}

static enum cmg_rc read_item(const char *item, struct cmg_str *name, int *what, struct cmg_err *err)
{
    struct cmg_str rest = cmg_str(item), word;
    if (!strcmp(item, certificate_item)) {
        *name = cmg_str(certificate_field);
        *what = CERTIFICATE;
        return CMG_OK;
    }
    if (!strchr(item, '='))
        return cmg_fail(err, CMG_ECONF, "not client-cert, and not like X-Client-Name=name");
    cmg_str_next(&rest, '=', name);
    word = cmg_str_trim(rest);
    enum cmg_rc rc = check_name(*name, err);
    return rc == CMG_OK ? find_attribute(word, what, err) : rc;
}

enum cmg_rc passport_check(const char *item, struct cmg_err *err)
{
    struct cmg_str name;
    int what;
    return read_item(item, &name, &what, err);
}

static bool same_field(struct cmg_str a, struct cmg_str b)
{
    size_t i = 0;
    if (a.n != b.n)
        return false;
    while (i < a.n && cmg_field_fold(a.p[i]) == cmg_field_fold(b.p[i]))
        i++;
    return i == a.n;
}

static enum cmg_rc add(struct passport *p, const char *item, struct cmg_err *err)
{
    struct cmg_str name;
    int what;
    enum cmg_rc rc = read_item(item, &name, &what, err);
    if (rc != CMG_OK)
        return rc;
    for (size_t i = 0; i < p->n; i++)
        if (same_field(name, cmg_str(p->v[i].name)))
            return cmg_fail(err, CMG_ECONF, "%s and %.*s are the same to a back end", p->v[i].name,
                            CMG_ARG(name));
    if (p->n == PASSPORT_MAX)
        return cmg_fail(err, CMG_ECONF, "more than %d items", PASSPORT_MAX);
    p->v[p->n++] = (struct passport_entry){ cmg_str_dup(name), what };
    return CMG_OK;
}

enum cmg_rc passport_read(char *const *items, struct passport *p, struct cmg_err *err)
{
    *p = (struct passport){ .n = 0 };
    for (; *items; items++) {
        enum cmg_rc rc = add(p, *items, err);
        if (rc != CMG_OK) {
            passport_clear(p);
            return rc;
        }
    }
    return CMG_OK;
}

void passport_clear(struct passport *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].name);
    *p = (struct passport){ .n = 0 };
}

/* A request ------------------------------------------------------------------------------ */

bool passport_wants_certificate(const struct passport *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].what == CERTIFICATE)
            return true;
    return false;
}

bool passport_claims(const struct passport *p, struct cmg_str name)
{
    if (cmg_field_matches(name, "client-cert") || cmg_field_matches(name, "client-cert-chain"))
        return true;
    for (size_t i = 0; i < p->n; i++)
        if (same_field(name, cmg_str(p->v[i].name)))
            return true;
    return false;
}

static struct cmg_str seconds(int64_t at, char room[24])
{
    int n = at > 0 ? snprintf(room, 24, "%" PRId64, at) : 0;
    return (struct cmg_str){ room, (size_t)n };
}

/* Of anything but ":base64:" a back end could make something else. */
static struct cmg_str certificate(const struct passport_bearer *b)
{
    const struct cmg_str none = { "", 0 };
    struct cmg_str s = b->certificate;
    if (b->who.how != CMG_BY_CERTIFICATE || s.n < 3 || s.p[0] != ':' || s.p[s.n - 1] != ':')
        return none;
    struct cmg_str text = { s.p + 1, s.n - 2 };
    void *der = cmg_alloc(cmg_base64_room(text.n));
    size_t n;
    enum cmg_rc rc = cmg_base64_get(CMG_BASE64, text, der, &n);
    free(der);
    return rc == CMG_OK ? s : none;
}

/* Empty: the client has no such attribute. */
static struct cmg_str value(enum what what, struct passport_bearer *b)
{
    const struct cmg_identity *i = &b->who;
    switch (what) {
    case NAME:
        return cmg_str(i->name);
    case ID:
        return cmg_str(i->id);
    case HOW:
        return cmg_str(cmg_identity_how_name(i->how));
    case KIND:
        return cmg_str(cmg_identity_kind_name(i->kind));
    case TENANT:
        return cmg_str(i->tenant);
    case SHA256:
        return cmg_str(i->sha256);
    case SINCE:
        return seconds(i->since, b->since);
    case UNTIL:
        return seconds(i->until, b->until);
    case TEXT:
        return (struct cmg_str){ b->text, cmg_identity_write(i, b->text) };
    case CERTIFICATE:
        return certificate(b);
    }
    return (struct cmg_str){ "", 0 };
}

size_t passport_put(const struct passport *p, struct passport_bearer *b, struct cmg_field *out)
{
    size_t n = 0;
    if (b->who.how == CMG_BY_NOTHING)
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        struct cmg_str v = cmg_str_trim(value((enum what)p->v[i].what, b));
        if (v.n)
            out[n++] = (struct cmg_field){ cmg_str(p->v[i].name), v };
    }
    return n;
}
