/* SPDX-License-Identifier: MIT */
/* What has to be asked: the own port, as a client meets it; the keys of each tenant; each storage
 * account. Whoever answers over HTTP also says what time it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/auth/discovery.h"
#include "cmg/auth/key.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/dial.h"
#include "cmg/net/stream.h"
#include "cmg/proto/times.h"
#include "cmg/storage/listing.h"
#include "cmg/storage/request.h"
#include "gateway/analyze_core.h"
#include "gateway/content.h"
#include "gateway/stores.h"

enum {
    DIAL_MS = 5000,
    DOCUMENT_MAX = 64 * 1024,
    SKEW_WARN_S = 60,
    SKEW_FAIL_S = 240 /* tokens and storage allow five minutes and more, each other clock as well */
};

static const char system_roots[] = "/etc/ssl/certs/ca-certificates.crt";

/* The time ---------------------------------------------------------------------------------- */

static void note_time(struct analysis *a, const char *whose, const struct cmg_fetch_result *r)
{
    const struct cmg_field *date = cmg_field_find(r->fields, r->nfields, CMG_STR("Date"));
    int64_t theirs = date ? cmg_times_http_get(date->value) : -1;
    int64_t skew = cmg_clock_unix() - theirs;
    if (theirs < 0 || (a->clock[0] && llabs(skew) <= llabs(a->skew_s)))
        return;
    a->skew_s = skew;
    cmg_str_put(a->clock, sizeof(a->clock), cmg_str(whose));
}

void analyze_clock(struct analysis *a)
{
    char span[ANALYZE_SPAN];
    int64_t off = llabs(a->skew_s);
    if (!a->clock[0]) {
        analyze_tell(a, "clock", "this machine", CMG_FINDING_PASS, NULL, NULL,
                     "nobody was asked that could have said what time it is");
        return;
    }
    analyze_tell(a, "clock", a->clock,
                 off > SKEW_FAIL_S   ? CMG_FINDING_FAIL
                 : off > SKEW_WARN_S ? CMG_FINDING_WARN
                                     : CMG_FINDING_PASS,
                 "tokens are refused as expired or not yet valid, and storage refuses signatures",
                 "synchronize this machine's clock (timedatectl)", "ours is %s %s",
                 analyze_span(a->skew_s, span), a->skew_s < 0 ? "behind" : "ahead");
}

/* The own port ------------------------------------------------------------------------------- */

static void blame_issuer(struct analysis *a, const char *subject, const struct cmg_dial_result *r)
{
    char means[256], remedy[320];
    bool known = a->gateway->conf->analyze.ca_file != NULL;
    snprintf(means, sizeof(means),
             known ? "clients that do not happen to know \"%s\" refuse this gateway"
                   : "\"%s\" is no public root: either a certificate is missing behind the "
                     "server's, or clients have a root that is not known here",
             r->seen.issuer);
    snprintf(remedy, sizeof(remedy),
             "%sappend the certificate of \"%s\", and those above it but the root, to [gateway] "
             "certificate, and reload",
             known ? "" : "if clients have a root of your own, name it in [analyze] ca-file; else ",
             r->seen.issuer);
    analyze_tell(a, "chain", subject, known ? CMG_FINDING_FAIL : CMG_FINDING_WARN, means, remedy,
                 "of its chain %u %s sent, and that does not lead to a root in %s: %s",
                 r->seen.sent, r->seen.sent == 1 ? "certificate is" : "certificates are",
                 known ? a->gateway->conf->analyze.ca_file : "the system's roots", r->err.text);
}

static void blame_front(struct analysis *a, const char *subject, const struct cmg_dial_result *r)
{
    if (r->seen.fault == CMG_TLS_ISSUER)
        blame_issuer(a, subject, r);
    else if (r->seen.fault == CMG_TLS_NAME)
        analyze_tell(a, "chain", subject, CMG_FINDING_FAIL, "clients refuse this gateway",
                     "get a certificate for the service name, or mend [gateway] name",
                     "the certificate is for %s: %s", r->seen.names, r->err.text);
    else
        analyze_tell(a, "chain", subject, CMG_FINDING_FAIL, "clients cannot connect",
                     "mend what is named", "%s", r->err.text);
}

static void close_stream(struct cmg_stream *s)
{
    static const struct cmg_stream_events nothing = { .on_open = NULL };
    cmg_stream_listen(s, &nothing, NULL);
    cmg_stream_close(s, 0);
}

static void on_front(void *arg, const struct cmg_dial_result *r)
{
    struct analyze_job *j = arg;
    struct analysis *a = j->analysis;
    const char *name = a->gateway->conf->gateway.name;
    j->dial = NULL;
    if (r->stream) {
        analyze_tell(a, "chain", name, CMG_FINDING_PASS, NULL, NULL,
                     "a client takes it: %s, for %s, %u certificates sent", r->seen.version,
                     r->seen.names, r->seen.sent);
        close_stream(r->stream);
    } else {
        blame_front(a, name, r);
    }
    analyze_job_done(j);
}

static bool own_door(const struct gateway *g, struct gateway_door *out)
{
    for (unsigned i = 0; gateway_door(g, i, out); i++)
        if (out->clients)
            return true;
    return false;
}

static const char *near(const char *address)
{
    return !strcmp(address, "0.0.0.0") ? "127.0.0.1" : !strcmp(address, "::") ? "::1" : address;
}

/* With `tls` as a client has it. False: nothing can be dialed, and that was told. */
static bool make_client(struct analysis *a)
{
    static const char *const alpn[] = { "http/1.1", NULL };
    const char *path = a->gateway->conf->analyze.ca_file;
    struct cmg_err err;
    struct cmg_trust *roots = cmg_trust_load(path ? path : system_roots, &err);
    if (roots) {
        const struct cmg_tls_conf conf = { .trust = roots,
                                           .peer = CMG_TLS_PEER_VERIFIED,
                                           .alpn = alpn };
        a->tls = cmg_tls_new(&conf, &err);
        cmg_trust_unref(roots);
    }
    if (!a->tls)
        analyze_tell(a, "chain", a->gateway->conf->gateway.name, CMG_FINDING_WARN,
                     "whether clients take the certificate is not known",
                     "name the roots that clients have in [analyze] ca-file", "%s", err.text);
    return a->tls != NULL;
}

static struct analyze_job *new_job(struct analysis *a)
{
    struct analyze_job *j = &a->jobs[a->njobs++];
    j->analysis = a;
    j->began_ms = cmg_loop_now_ms(a->gateway->loop);
    a->left++;
    return j;
}

static void ask_front(struct analysis *a)
{
    struct gateway_door door;
    if (!own_door(a->gateway, &door) || !make_client(a))
        return;
    struct analyze_job *j = new_job(a);
    const struct cmg_dial_target target = {
        .key = "the client port",
        .host = near(door.address),
        .port = door.port,
        .timeout_ms = DIAL_MS,
        .tls = a->tls,
        .tls_name = a->gateway->conf->gateway.name,
    };
    a->dialer = cmg_dialer_new(a->gateway->loop, 1, 1);
    j->dial = cmg_dial_start(a->dialer, &target, on_front, j);
}

/* Tenants -------------------------------------------------------------------------------------- */

static void tenant_failed(struct analyze_job *j, const char *why)
{
    analyze_tell(j->analysis, "tenant", j->tenant.conf->label, CMG_FINDING_FAIL,
                 "when its keys change or this gateway restarts, tokens of this tenant are refused",
                 "make the address reachable from here: firewall, [outbound] proxy, ca-file", "%s",
                 why);
    analyze_job_done(j);
}

static bool answered(struct analyze_job *j, const struct cmg_fetch_result *r, const char *what)
{
    char why[160];
    j->fetch = NULL;
    if (r->err.code != CMG_OK) {
        tenant_failed(j, r->err.text);
        return false;
    }
    note_time(j->analysis, j->tenant.conf->label, r);
    if (r->status == 200)
        return true;
    snprintf(why, sizeof(why), "the request for %s was answered %u", what, r->status);
    tenant_failed(j, why);
    return false;
}

static void ask_tenant(struct analyze_job *j, const char *url, size_t max_bytes,
                       void (*on_done)(void *arg, const struct cmg_fetch_result *r))
{
    char what[80];
    snprintf(what, sizeof(what), "keys of tenant %.60s", j->tenant.conf->label);
    const struct cmg_fetch_request request = {
        .url = url,
        .what = what,
        .ca_file = j->tenant.conf->ca_file,
        .max_bytes = max_bytes,
        .timeout_ms = j->tenant.conf->timeout_ms,
    };
    j->fetch = cmg_fetch_start(j->analysis->gateway->fetcher, &request, on_done, j);
}

static void on_keys(void *arg, const struct cmg_fetch_result *r)
{
    struct analyze_job *j = arg;
    struct cmg_err err;
    if (!answered(j, r, "the keys (jwks_uri)"))
        return;
    struct cmg_keyset *set = cmg_keyset_new();
    enum cmg_rc rc = cmg_keyset_add_jwks(set, r->body, NULL, &err);
    size_t n = cmg_keyset_count(set);
    cmg_keyset_unref(set);
    if (rc != CMG_OK) {
        tenant_failed(j, err.text);
        return;
    }
    analyze_tell(j->analysis, "tenant", j->tenant.conf->label, CMG_FINDING_PASS, NULL, NULL,
                 "%zu keys, fetched in %lld ms", n,
                 (long long)(cmg_loop_now_ms(j->analysis->gateway->loop) - j->began_ms));
    analyze_job_done(j);
}

static void on_document(void *arg, const struct cmg_fetch_result *r)
{
    struct analyze_job *j = arg;
    struct cmg_err err;
    char jwks[CMG_DISCOVERY_URL];
    if (!answered(j, r, "the OpenID configuration"))
        return;
    if (cmg_discovery_read(r->body, j->tenant.url, j->tenant.issuers, jwks, &err) == CMG_OK)
        ask_tenant(j, jwks, CMG_JWKS_BYTES_MAX, on_keys);
    else
        tenant_failed(j, err.text);
}

static void ask_tenants(struct analysis *a)
{
    const struct tenants *t = a->gateway->tenants;
    for (const struct tenant *one = NULL; (one = tenants_next(t, one));) {
        struct tenant_place place;
        tenant_where(one, &place);
        if (!place.conf->enabled) {
            analyze_tell(a, "tenant", place.conf->label, CMG_FINDING_PASS, NULL, NULL,
                         "it is switched off");
            continue;
        }
        struct analyze_job *j = new_job(a);
        j->tenant = place;
        ask_tenant(j, place.url, DOCUMENT_MAX, on_document);
    }
}

/* Storage ----------------------------------------------------------------------------------------
 */

static const char *remedy_of(unsigned status)
{
    return status == 403 ? "put the account's key of now, or a SAS that allows rl, into its file; "
                           "see the account's firewall, and this machine's clock"
           : status == 404 ? "see account and container in its section, and whether anything was "
                             "published"
                           : "see the account in the portal";
}

static void store_told(struct analyze_job *j, const char *remedy, const char *why)
{
    analyze_tell(j->analysis, "storage", j->store->label, CMG_FINDING_FAIL,
                 "clients get no content from it", remedy, "%s", why);
    analyze_job_done(j);
}

static void on_list(void *arg, const struct cmg_fetch_result *r)
{
    struct analyze_job *j = arg;
    char why[CMG_BLOB_WHY];
    j->fetch = NULL;
    if (r->err.code != CMG_OK) {
        store_told(j, "make it reachable from here: firewall, [outbound] proxy, its url",
                   r->err.text);
        return;
    }
    note_time(j->analysis, j->store->what, r);
    if (r->status != 200) {
        cmg_blob_why(r->status, r->fields, r->nfields, why);
        store_told(j, remedy_of(r->status), why);
        return;
    }
    analyze_tell(j->analysis, "storage", j->store->label, CMG_FINDING_PASS, NULL, NULL,
                 "container %s can be listed, in %lld ms", j->store->container,
                 (long long)(cmg_loop_now_ms(j->analysis->gateway->loop) - j->began_ms));
    analyze_job_done(j);
}

static void ask_store(struct analyze_job *j)
{
    const struct store *s = j->store;
    struct cmg_blob_request r;
    cmg_blob_request_make(
        &r, s->account,
        &(struct cmg_blob_op){ .verb = CMG_BLOB_LIST, .container = s->container, .page = 1 },
        cmg_clock_unix());
    const struct cmg_fetch_request request = { .method = r.method,
                                               .url = r.url,
                                               .what = s->what,
                                               .fields = r.fields,
                                               .nfields = r.nfields,
                                               .ca_file = s->ca_file,
                                               .max_bytes = CMG_LISTING_PAGE_BYTES,
                                               .timeout_ms = s->timeout_ms };
    j->fetch = cmg_fetch_start(j->analysis->gateway->fetcher, &request, on_list, j);
    cmg_blob_request_clear(&r);
}

static void ask_stores(struct analysis *a)
{
    const struct stores *all = content_stores(a->gateway->content);
    struct cmg_err err;
    for (size_t i = 0; all && i < all->n; i++) {
        struct analyze_job *j = new_job(a);
        j->store = &all->v[i];
        if (store_ready(j->store, cmg_clock_unix(), &err) == CMG_OK)
            ask_store(j);
        else
            store_told(j, "put a SAS that is valid now into its file", err.text);
    }
}

static size_t most_jobs(const struct gateway_conf *c)
{
    return 1 + c->ntenants + c->nstorages;
}

void analyze_remote(struct analysis *a)
{
    a->jobs = cmg_alloc(most_jobs(a->gateway->conf) * sizeof(*a->jobs));
    ask_front(a);
    ask_tenants(a);
    ask_stores(a);
}
