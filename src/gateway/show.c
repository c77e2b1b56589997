/* SPDX-License-Identifier: MIT */
/* The parts of /status, in JSON. */
#include "gateway/status.h"

#include <string.h>

#include "cmg/base/clock.h"
#include "cmg/base/utf8.h"
#include "cmg/daemon/status.h"
#include "gateway/content.h"
#include "gateway/dock.h"
#include "gateway/endings.h"
#include "gateway/revocation.h"
#include "gateway/site_tokens.h"
#include "gateway/stores.h"
#include "gateway/tenants.h"

enum { TEXT_MAX = 512, LISTS_MAX = 64 };

json_t *show_text(const char *text)
{
    char out[TEXT_MAX];
    size_t n = 0;
    struct cmg_str in = cmg_str(text);
    if (!text)
        return json_null();
    while (in.n) {
        size_t one = cmg_utf8(in), step = one ? one : 1;
        if (n + step > sizeof(out))
            break;
        memcpy(out + n, one ? in.p : "?", step);
        n += step;
        in = cmg_str_from(in, step);
    }
    return json_stringn(out, n);
}

static json_t *show_time(int64_t unix_s)
{
    return unix_s ? cmg_status_time(unix_s) : json_null();
}

/* Connection points --------------------------------------------------------------------- */

static json_t *show_channel(const struct channel_view *v)
{
    return json_pack(
        "{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "state",
        channel_state_names[v->state], "road", cmg_road_names[v->road], "haproxy", v->haproxy,
        "peer", show_text(v->peer), "connection", show_text(v->connection_id), "version",
        show_text(v->version), "since", show_time(v->since), "round_trip_us",
        v->rtt_us < 0 ? json_null() : json_integer((json_int_t)v->rtt_us), "certificate_ends",
        show_time(v->certificate_end), "in_flight", (json_int_t)v->load, "in_flight_limit",
        (json_int_t)v->max_load, "held_bytes", (json_int_t)v->buffered);
}

static json_t *show_channels(const struct gateway *g, const struct member *m)
{
    json_t *all = json_array();
    for (const struct channel *c = dock_next(g, NULL); c; c = dock_next(g, c)) {
        struct channel_view v;
        channel_show(c, &v);
        if (v.member == m)
            json_array_append_new(all, show_channel(&v));
    }
    return all;
}

static json_t *show_point(const struct gateway *g, struct member *m)
{
    const struct channel_counts *n = member_channels(m);
    bool spoke;
    const struct cmg_endpoint_set *set = member_endpoints(m, &spoke);
    return json_pack("{s:o, s:o, s:b, s:I, s:I, s:o, s:{s:I, s:I, s:I, s:I}, s:o}", "name",
                     show_text(member_name(m)), "site", show_text(member_site(m)), "connected",
                     member_links(m) > 0, "up", (json_int_t)member_links(m), "endpoints",
                     (json_int_t)set->n, "channels", show_channels(g, m), "channel_counts",
                     "opened", (json_int_t)n->opened, "lost", (json_int_t)n->lost, "closed",
                     (json_int_t)n->closed, "refused", (json_int_t)n->refused, "counts",
                     cmg_status_counts(member_counts(m)));
}

json_t *show_points(const struct gateway *g)
{
    json_t *all = json_array();
    for (struct member *m = registry_next(g->registry, NULL); m; m = registry_next(g->registry, m))
        if (member_is_admitted(m))
            json_array_append_new(all, show_point(g, m));
    return all;
}

/* Endpoints ----------------------------------------------------------------------------- */

static json_t *show_offer(const struct member *m, const struct cmg_endpoint *e, bool spoke)
{
    json_t *paths = json_array(), *auth = json_array();
    for (size_t i = 0; i < e->npaths; i++)
        json_array_append_new(paths, show_text(e->paths[i]));
    if (e->auth & CMG_AUTH_MUTUAL)
        json_array_append_new(auth, json_string("mutual"));
    if (e->auth & CMG_AUTH_SERVER)
        json_array_append_new(auth, json_string("server"));
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:I, s:b}", "connection_point",
                     show_text(member_name(m)), "site", show_text(member_site(m)), "source",
                     spoke ? "greeting" : "configuration", "role", cmg_role_names[e->role], "paths",
                     paths, "client_auth", auth, "max_request_bytes",
                     (json_int_t)e->max_request_bytes, "wants_certificate", e->wants_certificate);
}

static json_t *show_offers(const struct gateway *g, const char *id)
{
    json_t *all = json_array();
    for (struct member *m = registry_next(g->registry, NULL); m;
         m = registry_next(g->registry, m)) {
        bool spoke;
        const struct cmg_endpoint_set *set = member_endpoints(m, &spoke);
        const struct cmg_endpoint *e = cmg_endpoint_find(set, cmg_str(id));
        if (e && member_is_admitted(m))
            json_array_append_new(all, show_offer(m, e, spoke));
    }
    return all;
}

json_t *show_endpoints(const struct gateway *g)
{
    json_t *all = json_array();
    const struct ledger *ledger = registry_ledger(g->registry);
    const struct cmg_counts *counts;
    const char *id;
    for (int i = -1; (i = ledger_next(ledger, i, &id, &counts)) >= 0;)
        json_array_append_new(all,
                              json_pack("{s:o, s:o, s:o}", "id", show_text(id), "published_by",
                                        show_offers(g, id), "counts", cmg_status_counts(counts)));
    return all;
}

/* What clients are judged by ------------------------------------------------------------- */

json_t *show_tenants(const struct gateway *g)
{
    json_t *all = json_array();
    for (const struct tenant *t = tenants_next(g->tenants, NULL); t;
         t = tenants_next(g->tenants, t)) {
        struct tenant_view v;
        tenant_show(t, &v);
        json_array_append_new(all, json_pack("{s:o, s:o, s:b, s:I, s:o, s:o}", "tenant",
                                             show_text(v.label), "id", show_text(v.id), "enabled",
                                             v.enabled, "keys", (json_int_t)v.keys, "fetched",
                                             show_time(v.fetched), "error",
                                             show_text(v.failure[0] ? v.failure : NULL)));
    }
    return all;
}

static json_t *show_keys(const struct cmg_keyset *keys)
{
    json_t *all = json_array();
    for (size_t i = 0; i < cmg_keyset_count(keys); i++) {
        struct cmg_key_info key;
        cmg_keyset_info(keys, i, &key);
        json_array_append_new(all, json_pack("{s:o, s:s, s:o, s:o}", "x5t", show_text(key.id),
                                             "alg", cmg_alg_name(key.alg), "not_before",
                                             show_time(key.not_before), "not_after",
                                             show_time(key.not_after)));
    }
    return all;
}

json_t *show_site_tokens(const struct gateway *g)
{
    struct site_tokens_view v;
    site_tokens_show(g->site_tokens, &v);
    return json_pack("{s:b, s:o, s:o, s:o}", "accepted", v.accepted, "keys", show_keys(v.keys),
                     "content_keys", show_keys(v.content), "blocked",
                     v.listed ? json_integer((json_int_t)v.blocked) : json_null());
}

static void add_source(json_t *all, const char *source, const struct revocation_view *v)
{
    struct cmg_crl_about about[LISTS_MAX];
    size_t n = cmg_crls_about(v->lists, source, about, LISTS_MAX);
    json_t *lists = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(lists, json_pack("{s:o, s:o, s:o, s:b, s:I}", "issuer",
                                               show_text(about[i].issuer), "this_update",
                                               show_time(about[i].this_update), "next_update",
                                               show_time(about[i].next_update), "ended",
                                               about[i].next_update < cmg_clock_unix(), "revoked",
                                               (json_int_t)about[i].revoked));
    json_array_append_new(all,
                          json_pack("{s:o, s:b, s:o, s:o}", "source", show_text(source), "fetched",
                                    v->fetched, "lists", lists, "error", show_text(v->failure)));
}

json_t *show_revocation(const struct gateway *g)
{
    static const char *const checks[] = {
        [REVOCATION_HARD] = "hard", [REVOCATION_SOFT] = "soft", [REVOCATION_OFF] = "off"
    };
    json_t *all = json_array();
    for (const char *s = revocation_next(g->revocation, NULL); s;
         s = revocation_next(g->revocation, s)) {
        struct revocation_view v;
        revocation_show(g->revocation, s, &v);
        add_source(all, s, &v);
    }
    return json_pack("{s:s, s:o}", "check", checks[g->conf->revocation.check], "sources", all);
}

/* The rest ------------------------------------------------------------------------------- */

static json_t *show_store(const struct store *s)
{
    struct cmg_err err = { .text = "" };
    const struct cmg_sas *sas = cmg_account_sas(s->account);
    const char *why = s->failure[0]                                      ? s->failure
                      : store_ready(s, cmg_clock_unix(), &err) != CMG_OK ? err.text
                                                                         : NULL;
    return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "storage", show_text(s->label), "account",
                     show_text(cmg_account_name(s->account)), "container", show_text(s->container),
                     "ok", why == NULL, "error", show_text(why), "sas_ends",
                     show_time(sas ? sas->until : 0));
}

json_t *show_content(const struct gateway *g)
{
    const struct stores *stores = content_stores(g->content);
    json_t *storages = json_array(), *lists = json_object();
    for (size_t i = 0; stores && i < stores->n; i++)
        json_array_append_new(storages, show_store(&stores->v[i]));
    for (unsigned i = 0; i < TALLY_LISTS; i++)
        json_object_set_new(lists, tally_list_names[i],
                            json_integer((json_int_t)g->tally.lists[i]));
    return json_pack("{s:b, s:I, s:o, s:o}", "served", *g->conf->content.issuers != NULL, "waiting",
                     (json_int_t)content_waiting(g->content), "lists", lists, "storages", storages);
}

static void add_ending(void *arg, const struct ending *e)
{
    json_array_append_new(arg, json_pack("{s:s, s:o, s:o, s:o}", "use", e->use, e->what,
                                         show_text(e->name), "subject",
                                         show_text(e->subject[0] ? e->subject : NULL), "not_after",
                                         show_time(e->not_after)));
}

json_t *show_certificates(const struct gateway *g)
{
    json_t *all = json_array();
    endings_tell(g, add_ending, all);
    return all;
}
