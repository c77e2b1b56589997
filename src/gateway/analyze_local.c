/* SPDX-License-Identifier: MIT */
/* What can be seen at once, without asking anybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/auth/blocklist.h"
#include "cmg/base/clock.h"
#include "cmg/net/expiry.h"
#include "cmg/net/file.h"
#include "gateway/analyze_core.h"
#include "gateway/dock.h"
#include "gateway/revocation.h"

enum { LISTS_MAX = 64 };

/* Ours ------------------------------------------------------------------------------------ */

static void check_certificate(struct analysis *a, int64_t now)
{
    static const char check[] = "certificate";
    const struct gateway_conf *c = a->gateway->conf;
    struct cmg_tls_own file;
    struct cmg_expiry served;
    struct cmg_err err;
    char span[ANALYZE_SPAN];
    if (cmg_tls_own_read(c->gateway.certificate, c->gateway.key, &file, &err) != CMG_OK) {
        analyze_tell(a, check, c->gateway.certificate, CMG_FINDING_FAIL,
                     "what was loaded before is still served, but a restart would fail",
                     "put certificate and key back in place", "%s", err.text);
        return;
    }
    if (!file.fits)
        analyze_tell(a, check, c->gateway.key, CMG_FINDING_FAIL,
                     "what was loaded before is still served, but a restart would fail",
                     "put the key there that belongs to the certificate",
                     "the key does not belong to %s", c->gateway.certificate);
    if (!file.linked)
        analyze_tell(a, check, c->gateway.certificate, CMG_FINDING_FAIL,
                     "clients that go by the order of the chain refuse it",
                     "put the leaf first, then each issuer behind what it has issued",
                     "one of its %u certificates is not issued by the next", file.n);
    if (!cmg_expiry_own(a->gateway->client_tls, &served))
        return;
    enum cmg_finding_verdict v = analyze_end(file.id.not_before, served.not_after, now);
    analyze_tell(a, check, c->gateway.certificate, v,
                 v == CMG_FINDING_FAIL ? "every client and connection point refuses this gateway"
                                       : "once it ends, everybody refuses this gateway",
                 "renew it, and reload", v == CMG_FINDING_FAIL ? "%s ended %s ago" : "%s: %s left",
                 served.subject, analyze_span(served.not_after - now, span));
    if (served.not_after != file.id.not_after)
        analyze_tell(a, check, c->gateway.certificate, CMG_FINDING_WARN,
                     "clients still get the one from before", "reload",
                     "the file holds another certificate than the one that is served");
}

/* Others' roots ----------------------------------------------------------------------------- */

static void check_roots(struct analysis *a, const char *check, const char *path,
                        const struct cmg_trust *trust, const char *whose, int64_t now)
{
    char span[ANALYZE_SPAN], says[96];
    unsigned roots = 0, sound = 0;
    size_t n = cmg_trust_count(trust);
    for (size_t i = 0; i < n; i++) {
        struct cmg_tls_identity id;
        cmg_trust_certificate(trust, i, &id);
        roots += !strcmp(id.subject, id.issuer);
        enum cmg_finding_verdict v = analyze_end(id.not_before, id.not_after, now);
        sound += v == CMG_FINDING_PASS;
        if (v != CMG_FINDING_PASS)
            analyze_tell(a, check, path, v, whose, "put the CA's new certificate into the file",
                         v == CMG_FINDING_FAIL ? "\"%s\" ended %s ago" : "\"%s\" ends in %s",
                         id.name[0] ? id.name : id.subject, analyze_span(id.not_after - now, span));
    }
    if (!roots)
        analyze_tell(a, check, path, CMG_FINDING_FAIL, whose,
                     "add the root: only what is self-signed can be the end of a chain",
                     "none of its %zu certificates is a root", n);
    snprintf(says, sizeof(says), "%zu certificates, of these %u roots", n, roots);
    if (roots && sound == n)
        analyze_tell(a, check, path, CMG_FINDING_PASS, NULL, NULL, "%s", says);
}

/* Revocation ---------------------------------------------------------------------------------- */

struct listed {
    struct cmg_crl_about v[LISTS_MAX];
    size_t n;
};

static void judge_list(struct analysis *a, const char *source, const struct cmg_crl_about *l,
                       enum cmg_finding_verdict weight, int64_t now)
{
    char age[ANALYZE_SPAN], left[ANALYZE_SPAN];
    analyze_span(now - l->this_update, age);
    analyze_span(l->next_update - now, left);
    if (l->next_update < now)
        analyze_tell(a, "revocation", source, weight,
                     weight == CMG_FINDING_FAIL ? "clients of this CA are refused"
                                                : "clients of this CA are not checked any more",
                     "publish the CA's next list, and put it there",
                     "the list of \"%s\" ended %s ago", l->issuer, left);
    else
        analyze_tell(a, "revocation", source, CMG_FINDING_PASS, NULL, NULL,
                     "the list of \"%s\" is %s old, names %zu certificates and ends in %s",
                     l->issuer, age, l->revoked, left);
}

static void judge_source(struct analysis *a, const char *source, struct listed *all,
                         enum cmg_finding_verdict weight, int64_t now)
{
    struct revocation_view view;
    revocation_show(a->gateway->revocation, source, &view);
    size_t n = cmg_crls_about(view.lists, source, all->v + all->n, LISTS_MAX - all->n);
    for (size_t i = 0; i < n; i++)
        judge_list(a, source, &all->v[all->n + i], weight, now);
    all->n += n;
    if (view.failure && *view.failure)
        analyze_tell(a, "revocation", source, n ? CMG_FINDING_WARN : weight,
                     n ? "the list of before serves until it ends" : "its CA has no list here",
                     "make the distribution point reachable from here", "%s", view.failure);
}

static bool has_list(const struct listed *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (!strncmp(all->v[i].issuer, name, CMG_CRL_NAME - 1))
            return true;
    return false;
}

static void check_missing(struct analysis *a, const struct listed *all,
                          enum cmg_finding_verdict weight)
{
    const struct gateway *g = a->gateway;
    bool fetch = g->conf->revocation.fetch;
    for (size_t i = 0; i < cmg_trust_count(g->client_trust); i++) {
        struct cmg_tls_identity id;
        cmg_trust_certificate(g->client_trust, i, &id);
        if (has_list(all, id.name))
            continue;
        analyze_tell(a, "revocation", id.name[0] ? id.name : id.subject,
                     fetch ? CMG_FINDING_PASS : weight,
                     weight == CMG_FINDING_FAIL ? "clients of this CA are refused"
                                                : "clients of this CA are not checked",
                     "name its list in [revocation] files, or let lists be fetched",
                     fetch ? "no list of this CA yet: it is fetched when a client needs it"
                           : "there is no list of this CA");
    }
}

static void check_revocation(struct analysis *a, int64_t now)
{
    const struct gateway *g = a->gateway;
    int check = g->conf->revocation.check;
    enum cmg_finding_verdict weight =
        check == REVOCATION_HARD ? CMG_FINDING_FAIL : CMG_FINDING_WARN;
    struct listed all = { .n = 0 };
    if (check == REVOCATION_OFF) {
        analyze_tell(a, "revocation", "client certificates", CMG_FINDING_WARN,
                     "a client whose certificate was revoked is served until it expires",
                     "set [revocation] check = hard, or soft", "it is switched off");
        return;
    }
    for (const char *s = NULL; (s = revocation_next(g->revocation, s));)
        judge_source(a, s, &all, weight, now);
    check_missing(a, &all, weight);
}

/* Tokens of the site ----------------------------------------------------------------------------
 */

static void check_token_file(struct analysis *a, const char *check, const char *path, int64_t now)
{
    struct cmg_expiry e;
    struct cmg_err err;
    char span[ANALYZE_SPAN];
    if (cmg_expiry_read(path, &e, &err) != CMG_OK) {
        analyze_tell(a, check, path, CMG_FINDING_FAIL,
                     "the keys of before are still in force, but a restart would fail",
                     "put the certificate back in place", "%s", err.text);
        return;
    }
    enum cmg_finding_verdict v = analyze_end(now - 365 * INT64_C(86400), e.not_after, now);
    analyze_tell(a, check, path, v, "the site is about to sign, or signs, with another key",
                 "take the site's new certificate in, beside this one as long as its tokens live",
                 v == CMG_FINDING_FAIL ? "%s ended %s ago" : "%s: %s left", e.subject,
                 analyze_span(e.not_after - now, span));
}

static void check_block_list(struct analysis *a)
{
    const char *path = a->gateway->conf->site_tokens.block_list;
    struct cmg_blocklist *list = NULL;
    struct cmg_str text = { NULL, 0 };
    struct cmg_err err;
    if (!path)
        return;
    char *p = cmg_file_read(path, CMG_FILE_PUBLIC, CMG_BLOCKLIST_BYTES_MAX, &text.n, &err);
    text.p = p;
    if (p)
        list = cmg_blocklist_read(text, &err);
    if (list)
        analyze_tell(a, "block-list", path, CMG_FINDING_PASS, NULL, NULL, "%zu GUIDs are blocked",
                     cmg_blocklist_count(list));
    else
        analyze_tell(a, "block-list", path, CMG_FINDING_FAIL,
                     "the list of before is in force; whoever was blocked since is served",
                     "mend the file: one GUID a line", "%s", err.text);
    cmg_blocklist_free(list);
    free(p);
}

static void check_site_tokens(struct analysis *a, int64_t now)
{
    const struct gateway_conf *c = a->gateway->conf;
    for (char **p = c->site_tokens.certificates; *p; p++)
        check_token_file(a, "site-token-key", *p, now);
    for (char **p = c->content.certificates; *p; p++)
        check_token_file(a, "content-token-key", *p, now);
    check_block_list(a);
}

/* Connection points ------------------------------------------------------------------------------
 */

static bool is_served(const struct gateway *g, const char *site)
{
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m) && !strcmp(member_site(m), site) && member_links(m))
            return true;
    return false;
}

/* Of its channels: the oldest's beginning and the version that it says. */
static void describe_channels(const struct gateway *g, const struct member *m, int64_t *since,
                              char *version, size_t size)
{
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        if (v.member != m || v.state != CHANNEL_UP)
            continue;
        if (!*since || v.since < *since)
            *since = v.since;
        snprintf(version, size, "%s", v.version && *v.version ? v.version : "not said");
    }
}

static void check_point(struct analysis *a, const struct member *m, int64_t now)
{
    char subject[320], version[64] = "not said", span[ANALYZE_SPAN];
    int64_t since = 0;
    unsigned links = member_links(m);
    bool served = is_served(a->gateway, member_site(m));
    snprintf(subject, sizeof(subject), "%s of site %s", member_name(m), member_site(m));
    describe_channels(a->gateway, m, &since, version, sizeof(version));
    if (links)
        analyze_tell(a, "connection-point", subject, CMG_FINDING_PASS, NULL, NULL,
                     "%u channels, the oldest since %s; version %s", links,
                     analyze_span(now - since, span), version);
    else
        analyze_tell(a, "connection-point", subject, served ? CMG_FINDING_WARN : CMG_FINDING_FAIL,
                     served ? "others of its site serve its clients meanwhile"
                            : "clients of this site are answered 503",
                     "on its machine run cmgctl analyze; channel.refused here says if it was "
                     "turned away",
                     "no channel is up");
}

static void check_points(struct analysis *a, int64_t now)
{
    struct gateway *g = a->gateway;
    unsigned n = 0;
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m)) {
            check_point(a, m, now);
            n++;
        }
    if (!n && !*g->conf->content.issuers)
        analyze_tell(a, "connection-point", "all sites", CMG_FINDING_FAIL,
                     "no client can be served",
                     "admit the site's connection points by sections [connection-point NAME]",
                     "none is admitted");
}

static void check_doors(struct analysis *a)
{
    struct gateway_door d;
    char subject[96];
    for (unsigned i = 0; gateway_door(a->gateway, i, &d); i++) {
        snprintf(subject, sizeof(subject), strchr(d.address, ':') ? "[%s]:%u" : "%s:%u", d.address,
                 d.port);
        analyze_tell(a, "port", subject, CMG_FINDING_PASS, NULL, NULL, "listens, for %s", d.what);
    }
}

void analyze_local(struct analysis *a)
{
    const struct gateway *g = a->gateway;
    int64_t now = cmg_clock_unix();
    check_doors(a);
    check_certificate(a, now);
    check_roots(a, "client-roots", g->conf->clients.ca_file, g->client_trust,
                "clients whose certificates chain to it are refused", now);
    check_roots(a, "channel-roots", g->conf->channel.ca_file, g->channel_trust,
                "connection points whose certificates chain to it are refused", now);
    check_revocation(a, now);
    check_site_tokens(a, now);
    check_points(a, now);
}
