/* SPDX-License-Identifier: MIT */
/* Real fetches from a server on the loop under test, which counts them; tokens made by OpenSSL.
 * Times in tokens are virtual, those of fetches are not. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <signal.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "fake_http.h"
#include "gateway/tenants.h"
#include "jose_make.h"

#define ID "11111111-2222-3333-4444-555555555555"
#define OTHER_ID "99999999-2222-3333-4444-555555555555"
#define V1 "https://sts.windows.net/" ID "/"
#define DEVICE "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define JWKS(key, kid) "{\"keys\":[" JOSE_JWK(key, "\"kid\":\"" kid "\"") "]}"

enum { TOO_LONG_MS = 60000, AT = 1800000000, STORM = 500 };

static const char keys_1[] = JWKS(JOSE_JWK_RSA1, "one"), keys_2[] = JWKS(JOSE_JWK_RSA2, "two");

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_fetcher *fetcher;
    struct fake_http server;
    uint16_t port;
    struct tenants *tenants;
    struct gateway_conf conf;
    struct gateway_tenant_conf tenant[2];
    char discovery[128];
    unsigned documents, keys; /* how often each was asked for */
    const char *issuer;       /* in the document */
    const char *jwks;         /* NULL: 503; "": silence */
    unsigned told;            /* on_keys */
    char events[1024];        /* of tenants, in order */
    char *token;
} w;

static const char *wrap(const char *body)
{
    static char answer[8192];
    snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    return answer;
}

static const char *on_request(struct fake_http *h, struct fake_conn *c)
{
    char document[512];
    (void)h;
    if (strstr(c->got, "GET /jwks ") == c->got) {
        w.keys++;
        if (w.jwks && !*w.jwks)
            return NULL;
        return w.jwks ? wrap(w.jwks) : "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    }
    w.documents++;
    snprintf(document, sizeof(document),
             "{\"issuer\":\"%s\",\"jwks_uri\":\"http://127.0.0.1:%u/jwks\"}", w.issuer, w.port);
    return wrap(document);
}

static void on_keys(void *arg)
{
    assert_ptr_equal(arg, &w);
    w.told++;
    cmg_loop_stop(w.loop);
}

static void on_impatient(void *arg)
{
    (void)arg;
    fail_msg("waited too long");
}

static void on_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level, (void)kv, (void)n;
    size_t used = strlen(w.events);
    if (strncmp(event, "tenant.", 7) == 0)
        snprintf(w.events + used, sizeof(w.events) - used, "%s ", event + 7);
    cmg_loop_stop(w.loop);
}

static char label[] = "contoso", id[] = ID, other_id[] = OTHER_ID;
static char capital_id[] = "ABCDEF00-2222-3333-4444-555555555555";
static char *audiences[] = { (char[]){ "https://ConfigMgrService" }, NULL };
static char *no_issuers[] = { NULL };
static char *two_issuers[] = { (char[]){ "https://one" }, (char[]){ "https://two" }, NULL };

static int set_up(void **state)
{
    static const struct cmg_log_sink sink = { .write = on_log };
    (void)state;
    memset(&w, 0, sizeof(w));
    cmg_log_to(&sink, CMG_DEBUG);
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    w.fetcher = cmg_fetcher_new(w.loop);
    w.server = (struct fake_http){ .loop = w.loop, .answer = on_request };
    w.port = fake_http_start(&w.server);
    w.issuer = V1;
    w.jwks = keys_1;
    snprintf(w.discovery, sizeof(w.discovery),
             "http://127.0.0.1:%u/x/.well-known/openid-configuration", w.port);
    w.tenant[0] = (struct gateway_tenant_conf){ .label = label,
                                                .enabled = true,
                                                .id = id,
                                                .issuers = no_issuers,
                                                .audiences = audiences,
                                                .discovery = w.discovery,
                                                .refresh_ms = 3600 * 1000,
                                                .timeout_ms = 30000 };
    w.conf.tenants = w.tenant;
    w.conf.ntenants = 1;
    w.conf.site_tokens.leeway_ms = 60000;
    w.tenants = tenants_new(w.loop, w.fetcher, on_keys, &w);
    return 0;
}

#define UNTIL(what) \
    while (!(what)) \
    cmg_loop_run(w.loop)

static int tear_down(void **state)
{
    (void)state;
    tenants_free(w.tenants);
    cmg_fetcher_free(w.fetcher);
    fake_http_stop(&w.server);
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    cmg_log_to(NULL, CMG_INFO);
    free(w.token);
    return 0;
}

/* ---- tokens ---- */

static const char good_claims[] = "{'iss':'" V1 "','aud':'https://ConfigMgrService','tid':'" ID
                                  "','deviceid':'" DEVICE "','nbf':1800000000,'exp':1800003600}";

struct outcome {
    enum cmg_rc rc;
    struct cmg_identity who;
    struct cmg_err err;
};

static struct outcome identify_at(const char *token, int64_t now)
{
    struct outcome o = { 0 };
    struct cmg_jwt *t = cmg_jwt_read(cmg_str(token), &o.err);
    assert_non_null(t);
    struct tenant *tenant = tenants_by_issuer(w.tenants, cmg_jwt_text(t, "iss"));
    assert_non_null(tenant);
    o.rc = tenant_identify(tenant, t, now, &o.who, &o.err);
    cmg_jwt_free(t);
    return o;
}

static const char *signed_by(enum jose_key key, const char *kid, const char *claims)
{
    char header[128];
    snprintf(header, sizeof(header), "{'alg':'%s','typ':'JWT','kid':'%s'}",
             key <= RSA2 ? "RS256" : "ES256", kid);
    free(w.token);
    return w.token = jose_token(key, header, claims);
}

static const char *good(void)
{
    return signed_by(RSA1, "one", good_claims);
}

static void denied(const char *token, const char *why)
{
    struct outcome o = identify_at(token, AT);
    if (o.rc != CMG_EDENIED || o.err.code != CMG_EDENIED || !strstr(o.err.text, why))
        fail_msg("%d \"%s\", want \"%s\"", o.rc, o.err.text, why);
    assert_int_equal(o.who.how, CMG_BY_NOTHING);
}

static void keys_arrive(void)
{
    tenants_use(w.tenants, &w.conf);
    UNTIL(w.events[0]);
    assert_string_equal(w.events, "keys ");
    assert_int_equal(w.told, 1); /* other keys: what was judged by none is judged again */
    w.events[0] = '\0';
    w.told = 0;
}

/* ---- cases ---- */

static void the_first_token_waits_for_the_keys(void **state)
{
    (void)state;
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    UNTIL(w.told);
    struct outcome o = identify_at(good(), AT);
    assert_int_equal(o.rc, CMG_OK);
    assert_int_equal(o.who.how, CMG_BY_ENTRA);
    assert_int_equal(o.who.kind, CMG_KIND_DEVICE);
    assert_string_equal(o.who.id, DEVICE);
    assert_string_equal(o.who.tenant, ID);
    assert_int_equal(o.who.until, AT + 3600);
    assert_int_equal(w.told, 1);
    assert_int_equal(w.documents, 1);
    assert_int_equal(w.keys, 1);
}

static void what_is_wrong_with_a_token_is_told(void **state)
{
    (void)state;
#define CLAIMS(iss, aud, tid) \
    "{'iss':'" iss "','aud':'" aud "','tid':'" tid "','deviceid':'" DEVICE "','exp':1800003600}"
    keys_arrive();
    assert_int_equal(identify_at(good(), AT).rc, CMG_OK);
    denied(signed_by(RSA2, "one", good_claims), "signature");
    denied(signed_by(RSA1, "one", CLAIMS(V1, "https://elsewhere", ID)), "audience");
    denied(signed_by(RSA1, "one", CLAIMS(V1, "https://ConfigMgrService", OTHER_ID)), "tid");
    good();
    assert_int_equal(identify_at(w.token, AT + 3600 + 59).rc, CMG_OK); /* leeway is a minute */
    assert_int_equal(identify_at(w.token, AT + 3600 + 61).rc, CMG_EDENIED);
    assert_int_equal(w.told, 0);
    assert_int_equal(w.keys, 1);
}

static void only_rs256_is_taken(void **state)
{
    (void)state;
    w.jwks = JWKS(JOSE_JWK_EC1, "one");
    keys_arrive();
    denied(signed_by(EC1, "one", good_claims), "ES256");
}

static void an_unknown_key_is_looked_for_once(void **state)
{
    (void)state;
    keys_arrive();
    w.jwks = keys_2;
    signed_by(RSA2, "two", good_claims);
    for (int i = 0; i < STORM; i++) /* all of them wait for the same fetch */
        assert_int_equal(identify_at(w.token, AT).rc, CMG_MORE);
    UNTIL(w.told);
    assert_string_equal(w.events, "unknown_key keys ");
    assert_int_equal(identify_at(w.token, AT).rc, CMG_OK);
    signed_by(RSA1, "three", good_claims);
    for (int i = 0; i < STORM; i++) /* a forger's: none of them waits, none is asked for */
        denied(w.token, "three");
    assert_int_equal(w.told, 1);
    assert_int_equal(w.documents, 2);
    assert_int_equal(w.keys, 2);
}

static void failure_leaves_the_old_keys(void **state)
{
    (void)state;
    keys_arrive();
    w.jwks = NULL;
    assert_int_equal(identify_at(signed_by(RSA2, "two", good_claims), AT).rc, CMG_MORE);
    UNTIL(w.told);
    denied(w.token, "could not be fetched: the request for the keys (jwks_uri) was answered 503");
    assert_string_equal(w.events, "unknown_key keys_failed ");
    assert_int_equal(identify_at(good(), AT).rc, CMG_OK);
}

static void what_fails_is_tried_again(void **state)
{
    (void)state;
    int64_t start = cmg_clock_ms();
    w.jwks = NULL;
    tenants_use(w.tenants, &w.conf);
    UNTIL(w.events[0]);
    w.jwks = keys_1;
    UNTIL(w.keys == 2 && strstr(w.events, "keys "));
    assert_in_range(cmg_clock_ms() - start, 4400, TOO_LONG_MS);
    assert_string_equal(w.events, "keys_failed keys ");
    assert_int_equal(identify_at(good(), AT).rc, CMG_OK);
}

static void without_keys_nobody_gets_in(void **state)
{
    (void)state;
    w.jwks = "{\"keys\":[]}";
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    UNTIL(w.told == 1);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE); /* one more try for its sake */
    UNTIL(w.told == 2);
    denied(good(), "there are no keys of tenant contoso yet; its keys could not be fetched: ");
    assert_string_equal(w.events, "keys_failed "); /* the same reason twice is said once */
    assert_int_equal(w.keys, 2);
}

static void keys_are_renewed(void **state)
{
    (void)state;
    w.tenant[0].refresh_ms = 200;
    keys_arrive();
    UNTIL(w.keys == 3);
    assert_string_equal(w.events, ""); /* nothing has changed */
    w.jwks = keys_2;
    UNTIL(w.events[0]);
    assert_string_equal(w.events, "keys ");
    assert_true(w.told > 0); /* who got in with a key that is gone is to be judged again */
    assert_int_equal(identify_at(signed_by(RSA2, "two", good_claims), AT).rc, CMG_OK);
}

static void a_document_of_another_issuer_is_refused(void **state)
{
    (void)state;
    w.issuer = "https://sts.windows.net/" OTHER_ID "/";
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    UNTIL(w.told);
    assert_string_equal(w.events, "keys_failed ");
    assert_int_equal(w.keys, 0);
}

static void silence_ends_the_wait(void **state)
{
    (void)state;
    w.jwks = "";
    w.tenant[0].timeout_ms = 1500;
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    UNTIL(w.told);
    assert_int_equal(w.keys, 1);
    assert_string_equal(w.events, "keys_failed ");
}

static void a_tenant_can_be_switched_off(void **state)
{
    (void)state;
    w.jwks = "";
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    struct gateway_tenant_conf off = w.tenant[0];
    struct gateway_conf conf = w.conf;
    off.enabled = false;
    conf.tenants = &off;
    tenants_use(w.tenants, &conf); /* while somebody waits */
    assert_int_equal(w.told, 0);   /* never from inside */
    UNTIL(w.told);
    denied(good(), "tenant contoso is switched off");
    assert_null(tenants_find(w.tenants, CMG_STR(ID)));
    w.jwks = keys_1;
    w.told = 0;
    keys_arrive();
    assert_int_equal(identify_at(good(), AT).rc, CMG_OK);
    tenants_use(w.tenants, &conf);
    denied(good(), "tenant contoso is switched off");
}

static void a_reload_keeps_the_keys(void **state)
{
    (void)state;
    keys_arrive();
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_OK);
    w.tenant[1] = w.tenant[0]; /* another one before it, and other issuers */
    w.tenant[0].id = other_id;
    w.tenant[1].issuers = two_issuers;
    w.conf.ntenants = 2;
    tenants_use(w.tenants, &w.conf);
    assert_null(tenants_by_issuer(w.tenants, CMG_STR(V1)));
    assert_non_null(tenants_by_issuer(w.tenants, CMG_STR("https://two")));
    assert_int_equal(
        identify_at(signed_by(RSA1, "one", CLAIMS("https://one", "https://ConfigMgrService", ID)),
                    AT)
            .rc,
        CMG_OK);
    w.conf.ntenants = 0;
    tenants_use(w.tenants, &w.conf);
    assert_null(tenants_by_issuer(w.tenants, CMG_STR("https://one")));
}

static void who_waits_for_a_tenant_that_goes_is_told(void **state)
{
    (void)state;
    w.jwks = "";
    tenants_use(w.tenants, &w.conf);
    assert_int_equal(identify_at(good(), AT).rc, CMG_MORE);
    UNTIL(w.keys);
    w.conf.ntenants = 0;
    tenants_use(w.tenants, &w.conf);
    UNTIL(w.told);
    assert_null(tenants_by_issuer(w.tenants, CMG_STR(V1)));
}

static void tenants_are_found(void **state)
{
    (void)state;
    w.tenant[0].id = capital_id;
    tenants_use(w.tenants, &w.conf);
    assert_ptr_equal(tenants_find(w.tenants, CMG_STR("abcdef00-2222-3333-4444-555555555555")),
                     &w.tenant[0]);
    assert_ptr_equal(tenants_find(w.tenants, CMG_STR("ABCDEF00-2222-3333-4444-555555555555")),
                     &w.tenant[0]);
    assert_null(tenants_find(w.tenants, CMG_STR(ID)));
    assert_non_null(tenants_by_issuer(
        w.tenants, CMG_STR("https://sts.windows.net/abcdef00-2222-3333-4444-555555555555/")));
    assert_non_null(tenants_by_issuer(
        w.tenants,
        CMG_STR("https://login.microsoftonline.com/abcdef00-2222-3333-4444-555555555555/v2.0")));
    assert_null(tenants_by_issuer(
        w.tenants, CMG_STR("https://sts.windows.net/abcdef00-2222-3333-4444-555555555555")));
    assert_null(tenants_by_issuer(w.tenants, CMG_STR("")));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_token_waits_for_the_keys),
        TEST(what_is_wrong_with_a_token_is_told),
        TEST(only_rs256_is_taken),
        TEST(an_unknown_key_is_looked_for_once),
        TEST(failure_leaves_the_old_keys),
        TEST(what_fails_is_tried_again),
        TEST(without_keys_nobody_gets_in),
        TEST(keys_are_renewed),
        TEST(a_document_of_another_issuer_is_refused),
        TEST(silence_ends_the_wait),
        TEST(a_tenant_can_be_switched_off),
        TEST(a_reload_keeps_the_keys),
        TEST(who_waits_for_a_tenant_that_goes_is_told),
        TEST(tenants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
