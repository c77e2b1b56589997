/* SPDX-License-Identifier: MIT */
#include "gateway/refusal.h"

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "gateway/front.h"
#include "gateway/gateway.h"

enum { RETRY_AFTER_S = 5, THROTTLED_EVERY_MS = 1000 };

#define DENIED "http_request_denied"

/* clang-format off */
const struct refusal refusal_bad_request =
    { REFUSED_BAD_REQUEST, 400, "CMGService_Bad_Request", "http_request_error", 0, NULL };
const struct refusal refusal_bad_method =
    { REFUSED_BAD_METHOD, 405, "CMGService_Method_Not_Allowed", DENIED, 0, NULL };
const struct refusal refusal_no_certificate =
    { REFUSED_NO_CERTIFICATE, 403, "CMGService_Client_Certificate_Required", DENIED, 0, NULL };
const struct refusal refusal_bad_certificate =
    { REFUSED_BAD_CERTIFICATE, 401, "CMGService_Invalid_Certificate", DENIED, 0, "Mutual" };
const struct refusal refusal_bad_token =
    { REFUSED_BAD_TOKEN, 401, "CMGService_Invalid_Token", DENIED, 0, "Bearer" };
const struct refusal refusal_not_permitted =
    { REFUSED_NOT_PERMITTED, 403, "CMGService_Token_Not_Permitted", DENIED, 0, NULL };
const struct refusal refusal_too_many =
    { REFUSED_TOO_MANY, 429, "CMGService_Too_Many_Requests", DENIED, 1, NULL };
const struct refusal refusal_not_admitted =
    { REFUSED_NOT_ADMITTED, 403, "CMGService_Not_Admitted", DENIED, 0, NULL };
const struct refusal refusal_not_published =
    { REFUSED_NOT_PUBLISHED, 404, "CMGService_Not_Published", DENIED, 0, NULL };
const struct refusal refusal_no_tenant =
    { REFUSED_NO_TENANT, 404, "CMGService_Tenant_Unknown", DENIED, 0, NULL };
const struct refusal refusal_no_content =
    { REFUSED_NO_CONTENT, 404, "CMGService_Content_Unknown", DENIED, 0, NULL };
const struct refusal refusal_too_large =
    { REFUSED_TOO_LARGE, 413, "CMGService_Request_Too_Large", DENIED, 0, NULL };
const struct refusal refusal_busy =
    { REFUSED_BUSY, 503, "CMGService_Busy", "connection_limit_reached", RETRY_AFTER_S, NULL };
const struct refusal refusal_no_point =
    { REFUSED_NO_POINT, 503, "CMGService_No_Connection_Point", "destination_unavailable", RETRY_AFTER_S, NULL };
const struct refusal refusal_draining =
    { REFUSED_DRAINING, 503, "CMGService_Draining", "destination_unavailable", 1, NULL };
const struct refusal refusal_channel_failed =
    { REFUSED_CHANNEL_FAILED, 502, "CMGService_Bad_Gateway", "connection_terminated", 0, NULL };
const struct refusal refusal_bad_answer =
    { REFUSED_BAD_ANSWER, 502, "CMGService_Bad_Gateway", "http_protocol_error", 0, NULL };
const struct refusal refusal_timed_out =
    { REFUSED_TIMED_OUT, 504, "CMGService_Gateway_Timeout", "http_response_timeout", 0, NULL };
const struct refusal refusal_storage_failed =
    { REFUSED_STORAGE_FAILED, 502, "CMGService_Storage_Failed", "destination_unavailable", 0, NULL };
const struct refusal refusal_storage_timeout =
    { REFUSED_STORAGE_TIMEOUT, 504, "CMGService_Storage_Timeout", "http_response_timeout", 0, NULL };
const struct refusal refusal_egress =
    { REFUSED_EGRESS, 503, "CMGService_Egress_Limit", "connection_limit_reached", RETRY_AFTER_S, NULL };

#define UNREAD "http_request_error"
static const struct refusal slow_head =
    { REFUSED_SLOW_HEAD, 408, "CMGService_Request_Timeout", UNREAD, 0, NULL };
static const struct refusal long_target =
    { REFUSED_LONG_TARGET, 414, "CMGService_Target_Too_Long", UNREAD, 0, NULL };
static const struct refusal large_head =
    { REFUSED_LARGE_HEAD, 431, "CMGService_Head_Too_Large", UNREAD, 0, NULL };
static const struct refusal not_implemented =
    { REFUSED_NOT_IMPLEMENTED, 501, "CMGService_Not_Implemented", UNREAD, 0, NULL };
static const struct refusal bad_version =
    { REFUSED_BAD_VERSION, 505, "CMGService_Version_Not_Supported", UNREAD, 0, NULL };
/* clang-format on */

/* In the order of enum refusal_reason. */
static const struct refusal *const all[REFUSALS] = {
    &refusal_bad_request,
    &refusal_bad_method,
    &refusal_no_certificate,
    &refusal_bad_certificate,
    &refusal_bad_token,
    &refusal_not_permitted,
    &refusal_too_many,
    &refusal_not_admitted,
    &refusal_not_published,
    &refusal_no_tenant,
    &refusal_no_content,
    &refusal_too_large,
    &refusal_busy,
    &refusal_no_point,
    &refusal_draining,
    &refusal_channel_failed,
    &refusal_bad_answer,
    &refusal_timed_out,
    &refusal_storage_failed,
    &refusal_storage_timeout,
    &refusal_egress,
    &slow_head,
    &long_target,
    &large_head,
    &not_implemented,
    &bad_version,
};

const struct refusal *refusal_of(enum refusal_reason reason)
{
    return all[reason];
}

const struct refusal *refusal_malformed(unsigned status)
{
    for (size_t i = REFUSED_SLOW_HEAD; i < REFUSALS; i++)
        if (all[i]->status == status)
            return all[i];
    return &refusal_bad_request;
}

/* One who is told to wait comes back a thousand times a second; the log need not. */
static void log_throttled(struct gateway *g, const struct client *client, unsigned wait_s,
                          const char *why)
{
    int64_t now = cmg_loop_now_ms(g->loop);
    g->throttled++;
    if (g->throttled_ms && now - g->throttled_ms < THROTTLED_EVERY_MS)
        return;
    log_info("client.throttled", KV("peer", client_peer(client)), KV("wait_s", wait_s),
             KV("refused", g->throttled), KV("why", why));
    g->throttled = 0;
    g->throttled_ms = now;
}

void refusal_send(struct gateway *g, const struct client *client, struct cmg_exchange *x,
                  const struct refusal *r, unsigned retry_after_s, const char *detail,
                  const char *id, struct cmg_str method)
{
    struct cmg_field more[3];
    size_t n = 0;
    g->tally.refusals[r->reason]++;
    if (r == &refusal_too_many)
        log_throttled(g, client, retry_after_s, detail);
    if (r->challenge)
        more[n++] = (struct cmg_field){ CMG_STR("WWW-Authenticate"), cmg_str(r->challenge) };
    if (client_is_h2(client)) /* HTTP/2 has no reason phrase, and clients read it */
        more[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REASON), cmg_str(r->phrase) };
    more[n++] = (struct cmg_field){ CMG_STR(CMG_WIRE_REQUEST_ID), cmg_str(id) };
    struct cmg_refusal out = {
        .status = r->status,
        .phrase = r->phrase,
        .error = r->error,
        .detail = detail,
        .by = g->conf->gateway.name,
        .request_id = id,
        .retry_after_s = retry_after_s ? retry_after_s : r->retry_after_s,
        .fields = more,
        .nfields = n,
    };
    cmg_refuse(x, &out, cmg_str_eq(method, CMG_STR("HEAD")));
}
