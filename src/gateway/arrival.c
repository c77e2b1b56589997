/* SPDX-License-Identifier: MIT */
#include "gateway/arrival.h"

#include <stdio.h>

#include "cmg/auth/content_token.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "cmg/proto/forwarding.h"
#include "gateway/egress.h"
#include "gateway/front.h"
#include "gateway/refusal.h"
#include "gateway/request.h"
#include "gateway/tenants.h"
#include "gateway/throttle.h"

static void next_id(struct gateway *g, char out[REQUEST_ID])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t id = g->next_id++;
    memcpy(out, g->id_prefix, 16);
    for (int i = 23; i >= 16; i--, id >>= 4)
        out[i] = digits[id & 15];
    out[24] = '\0';
}

/* Answered here and now ----------------------------------------------------------------- */

/* It is over: counted, and logged. */
static void finish(const struct arrival *a, unsigned status, const struct cmg_identity *who,
                   const char *why)
{
    struct gateway *g = a->gateway;
    int64_t us = cmg_clock_us() - a->started_us;
    cmg_counts_end(&g->tally.requests, status, false, 0, 0, us);
    if (!g->conf->log.access)
        return;
    struct cmg_str path = a->path.path.p ? a->path.path : CMG_STR("-");
    log_info("access", KV("request", (const char *)a->id), KV("peer", client_peer(a->client)),
             KV("who", who ? who->name : NULL),
             KV("how", who ? cmg_identity_how_name(who->how) : NULL), KV("method", a->head->method),
             KV("path", path), KV("status", status), KV("us", us), KV("why", why));
}

static void refuse_for(const struct arrival *a, const struct refusal *r, unsigned retry_after_s,
                       const char *detail)
{
    refusal_send(a->gateway, a->client, a->x, r, retry_after_s, detail, a->id, a->head->method);
    finish(a, r->status, NULL, detail);
}

static void refuse(const struct arrival *a, const struct refusal *r, const char *detail)
{
    refuse_for(a, r, 0, detail);
}

static bool is_safe(struct cmg_str method)
{
    return cmg_str_eq(method, CMG_STR("GET")) || cmg_str_eq(method, CMG_STR("HEAD"));
}

bool arrival_is_metadata(const struct cmg_path *path)
{
    return cmg_str_ieq(path->id, CMG_STR("ServiceMetadata")) && !path->rest.n;
}

static void answer_json(struct cmg_exchange *x, const char *body, int n, struct cmg_str method)
{
    cmg_answer(x, 200, CMG_STR("application/json"), (struct cmg_str){ body, (size_t)n },
               cmg_str_eq(method, CMG_STR("HEAD")));
}

bool answer_metadata(struct gateway *g, struct cmg_exchange *x, struct cmg_str method)
{
    const struct gateway_conf *conf = g->conf;
    char body[512];
    if (!is_safe(method))
        return false;
    /* Names are checked by the option table: nothing in them needs escaping. */
    int n = snprintf(body, sizeof(body),
                     "{\"service\":\"%s\",\"version\":\"%s\",\"instance\":%d,\"instances\":%d}\n",
                     conf->gateway.name, CMG_VERSION, (int)conf->gateway.instance,
                     (int)conf->gateway.instances);
    answer_json(x, body, n, method);
    return true;
}

/* The value of a query's parameter, as it stands there. */
static struct cmg_str parameter(struct cmg_str query, struct cmg_str name)
{
    struct cmg_str item;
    while (cmg_str_next(&query, '&', &item)) {
        if (item.n > name.n && item.p[name.n] == '=' &&
            cmg_str_ieq((struct cmg_str){ item.p, name.n }, name))
            return cmg_str_from(item, name.n + 1);
    }
    return (struct cmg_str){ NULL, 0 };
}

/* Anybody may ask, and has to before there is a token: what Entra needs to be told. */
static void answer_tenant(const struct arrival *a)
{
    char body[1024];
    struct cmg_str id = parameter(a->path.query, CMG_STR("TenantID"));
    const struct gateway_tenant_conf *t = tenants_find(a->gateway->tenants, id);
    if (!is_safe(a->head->method)) {
        refuse(a, &refusal_bad_method, "what a tenant needs is read with GET or HEAD");
        return;
    }
    if (!t) {
        refuse(a, &refusal_no_tenant, "no such tenant is onboarded here");
        return;
    }
    /* The option table lets nothing in that needs escaping. */
    int n = snprintf(body, sizeof(body),
                     "{\"TenantId\":\"%s\",\"ClientAppId\":\"%s\",\"ResourceAppIdUri\":\"%s\"}\n",
                     t->id, t->client_app ? t->client_app : "",
                     t->resource ? t->resource : t->audiences[0]);
    answer_json(a->x, body, n, a->head->method);
    finish(a, 200, NULL, NULL);
}

/* To an identified client ---------------------------------------------------------------- */

struct cmg_head arrival_forwarded(struct gateway *g, const struct client *c,
                                  const struct cmg_head *head, const char *id, const char *identity)
{
    struct cmg_head out = *head;
    size_t n = 0;
    for (size_t i = 0; i < head->nfields; i++)
        if (!cmg_field_is_forged(head->fields[i].name))
            g->fields[n++] = head->fields[i];
    const struct cmg_field ours[] = {
        { CMG_STR("Forwarded"), cmg_str(client_forwarded(c)) },
        { CMG_STR("X-Forwarded-For"), cmg_str(client_address(c)) },
        { CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(id) },
        { CMG_STR(CMG_WIRE_IDENTITY), cmg_str(identity) },
    };
    memcpy(&g->fields[n], ours, sizeof(ours));
    out.scheme = CMG_STR("https");
    out.fields = g->fields;
    out.nfields = n + CMG_COUNT(ours);
    return out;
}

static void serve(struct arrival *a)
{
    struct gateway *g = a->gateway;
    struct identification by = { .who = NULL };
    const char *why;
    switch (identify(g, a->client, a->head, &a->path, &by)) {
    case IDENTIFY_REFUSED:
        refuse_for(a, by.refusal, by.retry_after_s, by.why.text);
        return;
    case IDENTIFY_LATER:
        request_park(a);
        return;
    case IDENTIFIED:
        break;
    }
    unsigned wait = throttle_identity(g->throttle, by.who, cmg_loop_now_ms(g->loop), &why);
    if (wait)
        refuse_for(a, &refusal_too_many, wait, why);
    else if (!arrival_is_metadata(&a->path))
        request_relay(a, &by);
    else if (answer_metadata(g, a->x, a->head->method))
        finish(a, 200, by.who, NULL);
    else
        refuse(a, &refusal_bad_method, "service metadata is read with GET or HEAD");
}

static void serve_content(struct arrival *a)
{
    struct gateway *g = a->gateway;
    struct identification by = { .who = NULL };
    struct cmg_identity who;
    struct cmg_content_token token;
    const char *why;
    if (!is_safe(a->head->method)) {
        refuse(a, &refusal_bad_method, "content is asked for with GET or HEAD");
        return;
    }
    if (identify_content(g, a->client, &a->path, &who, &token, &by) != IDENTIFIED) {
        refuse_for(a, by.refusal, by.retry_after_s, by.why.text);
        return;
    }
    unsigned wait = throttle_identity(g->throttle, &who, cmg_loop_now_ms(g->loop), &why);
    if (wait)
        refuse_for(a, &refusal_too_many, wait, why);
    else
        request_content(a, &who, &token);
}

/* Where it goes -------------------------------------------------------------------------- */

static void route(struct arrival *a)
{
    const struct cmg_path *path = &a->path;
    unsigned egress_s = egress_refuses(a->gateway->egress);
    if (cmg_str_istarts(a->head->target, CMG_STR(CMG_WIRE_UPGRADE_PATH))) {
        const char *why = client_upgrade_refusal(a->client);
        refuse(a, &refusal_not_admitted,
               *why ? why : "channels ask for Upgrade: " CMG_WIRE_UPGRADE);
    } else if (client_door(a->client) != DOOR_CLIENTS) {
        refuse(a, &refusal_not_published, "nothing is published at this path");
    } else if (egress_s) {
        refuse_for(a, &refusal_egress, egress_s,
                   "this gateway has sent all that it may in two weeks");
    } else if (path->tree == CMG_TREE_NONE) {
        if (cmg_str_ieq(path->path, CMG_STR(CMG_CONTENT_PATH)))
            serve_content(a);
        else
            refuse(a, &refusal_not_published, "nothing is published at this path");
    } else if (!path->id.n) {
        refuse(a, &refusal_not_published, "nothing is published at this path");
    } else if (path->tree == CMG_TREE_SERVERAUTH && cmg_str_ieq(path->id, CMG_STR("AADAuthInfo")) &&
               !path->rest.n) {
        answer_tenant(a);
    } else {
        serve(a);
    }
}

/* For the counts only: identify.c looks for itself. */
static bool has_bearer(const struct cmg_head *head)
{
    const struct cmg_field *f =
        cmg_field_find(head->fields, head->nfields, CMG_STR("Authorization"));
    return f && cmg_str_istarts(f->value, CMG_STR("Bearer "));
}

void arrival_new(struct gateway *g, struct client *client, struct cmg_exchange *x,
                 const struct cmg_head *head)
{
    struct arrival a = { .gateway = g, .client = client, .x = x, .head = head };
    struct cmg_err err;
    const char *why;
    a.started_us = cmg_clock_us();
    next_id(g, a.id);
    a.bearer = has_bearer(head);
    cmg_counts_begin(&g->tally.requests, a.bearer);
    unsigned wait =
        throttle_request(g->throttle, client_throttle(client), cmg_loop_now_ms(g->loop), &why);
    if (cmg_path_parse(head->target, &a.path, &err) != CMG_OK)
        refuse(&a, &refusal_bad_request, err.text);
    else if (wait)
        refuse_for(&a, &refusal_too_many, wait, why);
    else
        route(&a);
}

void arrival_malformed(struct gateway *g, struct client *client, struct cmg_refusal *r)
{
    const struct refusal *as = refusal_malformed(r->status);
    g->tally.refusals[as->reason]++;
    r->phrase = as->phrase;
    next_id(g, g->malformed_id);
    r->by = g->conf->gateway.name;
    r->request_id = g->malformed_id;
    g->malformed_field[0] =
        (struct cmg_field){ CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(g->malformed_id) };
    g->malformed_field[1] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), cmg_str(r->phrase) };
    r->fields = g->malformed_field;
    r->nfields = client_is_h2(client) ? 2 : 1;
    log_info("client.malformed", KV("request", (const char *)g->malformed_id),
             KV("peer", client_peer(client)), KV("status", r->status), KV("why", r->detail));
}
