/* SPDX-License-Identifier: MIT */
#include "gateway/refusal.h"

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "cmg/channel/wire.h"
#include "cmg/http/message.h"
#include "gateway/front.h"

enum { RETRY_AFTER_S = 5, THROTTLED_EVERY_MS = 1000 };

#define DENIED "http_request_denied"

/* clang-format off */
const struct refusal refusal_bad_request =
    { 400, "CMGService_Bad_Request", "http_request_error", 0, NULL };
const struct refusal refusal_bad_method =
    { 405, "CMGService_Method_Not_Allowed", DENIED, 0, NULL };
const struct refusal refusal_no_certificate =
    { 403, "CMGService_Client_Certificate_Required", DENIED, 0, NULL };
const struct refusal refusal_bad_certificate =
    { 401, "CMGService_Invalid_Certificate", DENIED, 0, "Mutual" };
const struct refusal refusal_bad_token =
    { 401, "CMGService_Invalid_Token", DENIED, 0, "Bearer" };
const struct refusal refusal_not_permitted =
    { 403, "CMGService_Token_Not_Permitted", DENIED, 0, NULL };
const struct refusal refusal_too_many =
    { 429, "CMGService_Too_Many_Requests", DENIED, 1, NULL };
const struct refusal refusal_not_admitted =
    { 403, "CMGService_Not_Admitted", DENIED, 0, NULL };
const struct refusal refusal_not_published =
    { 404, "CMGService_Not_Published", DENIED, 0, NULL };
const struct refusal refusal_no_tenant =
    { 404, "CMGService_Tenant_Unknown", DENIED, 0, NULL };
const struct refusal refusal_no_content =
    { 404, "CMGService_Content_Unknown", DENIED, 0, NULL };
const struct refusal refusal_too_large =
    { 413, "CMGService_Request_Too_Large", DENIED, 0, NULL };
const struct refusal refusal_busy =
    { 503, "CMGService_Busy", "connection_limit_reached", RETRY_AFTER_S, NULL };
const struct refusal refusal_no_point =
    { 503, "CMGService_No_Connection_Point", "destination_unavailable", RETRY_AFTER_S, NULL };
const struct refusal refusal_draining =
    { 503, "CMGService_Draining", "destination_unavailable", 1, NULL };
const struct refusal refusal_channel_failed =
    { 502, "CMGService_Bad_Gateway", "connection_terminated", 0, NULL };
const struct refusal refusal_bad_answer =
    { 502, "CMGService_Bad_Gateway", "http_protocol_error", 0, NULL };
const struct refusal refusal_timed_out =
    { 504, "CMGService_Gateway_Timeout", "http_response_timeout", 0, NULL };
const struct refusal refusal_storage_failed =
    { 502, "CMGService_Storage_Failed", "destination_unavailable", 0, NULL };
const struct refusal refusal_storage_timeout =
    { 504, "CMGService_Storage_Timeout", "http_response_timeout", 0, NULL };
/* clang-format on */

const char *refusal_phrase_malformed(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        { 408, "CMGService_Request_Timeout" },       { 414, "CMGService_Target_Too_Long" },
        { 431, "CMGService_Head_Too_Large" },        { 501, "CMGService_Not_Implemented" },
        { 505, "CMGService_Version_Not_Supported" },
    };
    for (size_t i = 0; i < CMG_COUNT(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return refusal_bad_request.phrase;
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
