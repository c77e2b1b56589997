/* SPDX-License-Identifier: MIT */
/* Heads, from fields on the wire and to them. Blocks of different streams never interleave:
 * one is enough for a connection.
 *
 * HTTP/2 folds field names to lower case. Between our two ends their case travels in one more
 * field, which header compression makes nearly free: clients of one kind send the same list.
 */
#include "h2core.h"

#include <inttypes.h>

/* Names in their original case, for the fields of the message it travels with. */
#define NAMES "cmg-names"

/* Blocks being received ----------------------------------------------------------------- */

void h2_block_begin(struct cmg_h2conn *c)
{
    if (!c->head) {
        c->head = cmg_realloc(NULL, sizeof(*c->head));
        cmg_buf_init(&c->head->bytes, 0);
    }
    struct h2_block *h = c->head;
    cmg_buf_drop(&h->bytes, h->bytes.n); /* of a block that turned out to be malformed */
    h->bytes.max = c->conf->head_bytes;
    h->n = 0;
    h->size = 0;
    h->too_large = false;
}

void h2_block_add(struct cmg_h2conn *c, struct cmg_str name, struct cmg_str value)
{
    struct h2_block *h = c->head;
    h->size += name.n + value.n + 32;
    char *to = h->n < H2_FIELDS_MAX && h->size <= c->conf->head_bytes && !h->too_large
                   ? cmg_buf_reserve(&h->bytes, name.n + value.n)
                   : NULL;
    if (!to) {
        h->too_large = true; /* decoding goes on, storing does not: a bomb stays small */
        return;
    }
    memcpy(to, name.p, name.n);
    memcpy(to + name.n, value.p, value.n);
    uint32_t at = (uint32_t)h->bytes.n;
    h->refs[h->n++] =
        (struct h2_ref){ at, (uint32_t)name.n, at + (uint32_t)name.n, (uint32_t)value.n };
    cmg_buf_added(&h->bytes, name.n + value.n);
}

void h2_block_free(struct cmg_h2conn *c)
{
    if (c->head)
        cmg_buf_clear(&c->head->bytes);
    free(c->head);
    c->head = NULL;
}

/* Heads coming in ----------------------------------------------------------------------- */

static struct cmg_str head_str(const struct h2_block *h, uint32_t at, uint32_t n)
{
    return (struct cmg_str){ h->bytes.p + h->bytes.off + at, n };
}

static void take_pseudo(struct h2_heading *g, struct cmg_str name, struct cmg_str value)
{
    if (cmg_str_eq(name, CMG_STR(":method")))
        g->head.method = value;
    else if (cmg_str_eq(name, CMG_STR(":path")))
        g->head.target = value;
    else if (cmg_str_eq(name, CMG_STR(":scheme")))
        g->head.scheme = value;
    else if (cmg_str_eq(name, CMG_STR(":authority")))
        g->head.authority = value;
    else if (cmg_str_eq(name, CMG_STR(":status")))
        g->head.status = (unsigned)cmg_str_number(value);
}

static void take_field(const struct cmg_h2conn *c, struct h2_heading *g, struct cmg_str name,
                       struct cmg_str value)
{
    if (cmg_str_eq(name, CMG_STR("content-length"))) {
        g->head.length = cmg_str_number(value); /* nghttp2 has checked it */
        return;
    }
    if (cmg_str_eq(name, CMG_STR("host"))) {
        g->bad = g->bad || (g->host.p && !cmg_str_ieq(g->host, value));
        g->host = value;
        return;
    }
    if (c->conf->names && cmg_str_eq(name, CMG_STR(NAMES))) {
        g->names = value;
        return;
    }
    if (cmg_field_is_hop_by_hop(name))
        return;
    if (cmg_str_eq(name, CMG_STR("cookie")))
        g->cookies++;
    g->fields[g->head.nfields++] = (struct cmg_field){ name, value };
}

/* Puts the original case back: `names` lists the fields' names in order. A name that is not
 * the same but for case stays as it is, so nothing else can be changed this way. */
static void restore_case(struct h2_heading *g)
{
    struct cmg_str rest = g->names, name;
    for (size_t i = 0; i < g->head.nfields && cmg_str_next(&rest, ',', &name); i++)
        if (cmg_str_ieq(name, g->fields[i].name))
            g->fields[i].name = name;
}

/* RFC 9113 section 8.2.3: crumbs become one field again. */
static void join_cookies(struct h2_heading *g)
{
    size_t room = 0, out = 0, n = 0;
    for (size_t i = 0; i < g->head.nfields; i++)
        if (cmg_str_ieq(g->fields[i].name, CMG_STR("cookie")))
            room += g->fields[i].value.n + 2;
    char *joined = g->joined = cmg_alloc(room);
    struct cmg_field *first = NULL;
    for (size_t i = 0; i < g->head.nfields; i++) {
        struct cmg_field f = g->fields[i];
        bool crumb = cmg_str_ieq(f.name, CMG_STR("cookie"));
        if (crumb) {
            memcpy(joined + n, "; ", first ? 2 : 0);
            n += first ? 2 : 0;
            memcpy(joined + n, f.value.p, f.value.n);
            n += f.value.n;
        }
        if (crumb && first)
            continue;
        if (crumb)
            first = &g->fields[out];
        g->fields[out++] = f;
    }
    g->head.nfields = out;
    first->value = (struct cmg_str){ joined, n };
}

void h2_heading_read(struct cmg_h2conn *c, const struct h2_block *h, struct h2_heading *g)
{
    g->head = (struct cmg_head){ .length = -1, .fields = g->fields };
    g->host = g->names = (struct cmg_str){ NULL, 0 };
    g->cookies = 0;
    g->bad = false;
    g->joined = NULL;
    for (unsigned i = 0; i < h->n; i++) {
        struct cmg_str name = head_str(h, h->refs[i].name, h->refs[i].name_n);
        struct cmg_str value = head_str(h, h->refs[i].value, h->refs[i].value_n);
        if (name.n && name.p[0] == ':')
            take_pseudo(g, name, value);
        else
            take_field(c, g, name, value);
    }
    /* One authority: a second one is where two readers would part (RFC 9113 section 8.3.1). */
    if (!g->head.authority.n && g->host.p)
        g->head.authority = g->host;
    else if (g->host.p && !cmg_str_ieq(g->host, g->head.authority))
        g->bad = true;
    if (g->names.p)
        restore_case(g);
    if (g->cookies > 1)
        join_cookies(g);
}

/* Heads going out ----------------------------------------------------------------------- */

static void add(struct h2_outgoing *o, struct cmg_str name, struct cmg_str value)
{
    o->nv[o->n++] = h2_pair(name, value);
}

/* Values that differ from request to request would push the useful ones out of the header
 * compression table. */
static bool is_fleeting(struct cmg_str name)
{
    return cmg_str_ieq(name, CMG_STR("cmg-request-id")) ||
           cmg_str_ieq(name, CMG_STR("cmg-client-cert")) ||
           cmg_str_ieq(name, CMG_STR("x-forwarded-for")) || cmg_str_ieq(name, CMG_STR("forwarded"));
}

static bool has_capital(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return true;
    return false;
}

/* HTTP/2 folds names to lower case. Between our two ends their case travels in one more field,
 * which header compression makes nearly free: clients of one kind send the same list. */
static void add_names(struct h2_outgoing *o, const struct cmg_head *head)
{
    bool any = false;
    for (size_t i = 0; i < head->nfields && !any; i++)
        any = has_capital(head->fields[i].name);
    if (!any)
        return;
    size_t n = 0;
    for (size_t i = 0; i < head->nfields; i++) {
        struct cmg_str name = head->fields[i].name;
        if (n + name.n + 1 > sizeof(o->names))
            return;
        memcpy(o->names + n, name.p, name.n);
        o->names[n + name.n] = ',';
        n += name.n + 1;
    }
    add(o, CMG_STR(NAMES), (struct cmg_str){ o->names, n - 1 });
}

static void add_number(struct h2_outgoing *o, struct cmg_str name, char *text, size_t size,
                       int64_t v)
{
    int n = snprintf(text, size, "%" PRId64, v);
    add(o, name, (struct cmg_str){ text, (size_t)n });
}

enum cmg_rc h2_outgoing_put(const struct cmg_h2conn *c, struct h2_outgoing *o,
                            const struct cmg_head *head)
{
    o->n = 0;
    if (head->nfields > H2_FIELDS_MAX)
        return CMG_ETOOBIG;
    if (c->conf->role == CMG_H2_CLIENT) {
        add(o, CMG_STR(":method"), head->method);
        add(o, CMG_STR(":scheme"), head->scheme.n ? head->scheme : CMG_STR("https"));
        if (head->authority.n)
            add(o, CMG_STR(":authority"), head->authority);
        add(o, CMG_STR(":path"), head->target);
    } else {
        add_number(o, CMG_STR(":status"), o->status, sizeof(o->status), head->status % 1000);
    }
    for (size_t i = 0; i < head->nfields; i++) {
        add(o, head->fields[i].name, head->fields[i].value);
        if (c->conf->channel && is_fleeting(head->fields[i].name))
            o->nv[o->n - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    if (head->length >= 0)
        add_number(o, CMG_STR("content-length"), o->length, sizeof(o->length), head->length);
    if (c->conf->names)
        add_names(o, head);
    return CMG_OK;
}
