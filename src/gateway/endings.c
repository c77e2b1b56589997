/* SPDX-License-Identifier: MIT */
#include "gateway/endings.h"

#include "cmg/net/expiry.h"
#include "gateway/dock.h"
#include "gateway/site_tokens.h"

struct teller {
    void (*tell)(void *arg, const struct ending *e);
    void *arg;
};

static void tell_file(const struct teller *t, const char *use, const char *file,
                      const struct cmg_expiry *e)
{
    const struct ending one = { use, "file", file, e->subject, e->not_after };
    t->tell(t->arg, &one);
}

static void tell_files(const struct gateway *g, const struct teller *t)
{
    const struct gateway_conf *conf = g->conf;
    struct cmg_expiry e;
    if (cmg_expiry_own(g->client_tls, &e))
        tell_file(t, "server", conf->gateway.certificate, &e);
    cmg_expiry_trust(g->client_trust, &e);
    tell_file(t, "clients-ca", conf->clients.ca_file, &e);
    cmg_expiry_trust(g->channel_trust, &e);
    tell_file(t, "channel-ca", conf->channel.ca_file, &e);
}

static void tell_keys(const struct teller *t, const char *use, const struct cmg_keyset *keys)
{
    for (size_t i = 0; i < cmg_keyset_count(keys); i++) {
        struct cmg_key_info key;
        cmg_keyset_info(keys, i, &key);
        const struct ending one = { use, "key", key.id, "", key.not_after };
        t->tell(t->arg, &one);
    }
}

/* Several channels may have shown several certificates: the one that ends first. */
static int64_t ends_first(const struct gateway *g, const struct member *m)
{
    int64_t first = 0;
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        if (v.member == m && v.certificate_end && (!first || v.certificate_end < first))
            first = v.certificate_end;
    }
    return first;
}

void endings_tell(const struct gateway *g, void (*tell)(void *arg, const struct ending *e),
                  void *arg)
{
    const struct teller t = { tell, arg };
    struct site_tokens_view tokens;
    tell_files(g, &t);
    site_tokens_show(g->site_tokens, &tokens);
    tell_keys(&t, "site-token", tokens.keys);
    if (tokens.content != tokens.keys)
        tell_keys(&t, "content-token", tokens.content);
    for (struct member *m = registry_next(g->registry, NULL); m;
         m = registry_next(g->registry, m)) {
        const struct ending one = { "connection-point", "connection_point", member_name(m), "",
                                    ends_first(g, m) };
        if (one.not_after)
            tell(arg, &one);
    }
}
