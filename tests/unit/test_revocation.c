/* SPDX-License-Identifier: MIT */
/* Clients judged with lists from files and from a real HTTP server. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"
#include "crls.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "fake_http.h"
#include "gateway/revocation.h"

enum { TOO_LONG_MS = 30000 };

static struct cert root, issuing, other;
static struct cmg_trust *trust;

static struct {
    struct cmg_loop *loop;
    struct cmg_timer *patience;
    struct cmg_fetcher *fetcher;
    struct revocation *r;
    struct fake_http server;
    uint16_t port;
    struct gateway_conf conf;
    char *files[3];
    unsigned lists, changes; /* on_lists */
    char *answers[4];        /* for /0, /1, ...; NULL: silence */
    unsigned asked[4];
    unsigned listed, failed, unchecked;
    char last_failed[256];
} w;

/* ---- the world ---- */

static const char *answer(struct fake_http *h, struct fake_conn *c)
{
    (void)h;
    size_t which = (size_t)(c->got[5] - '0'); /* GET /N */
    assert_true(which < CMG_COUNT(w.answers));
    w.asked[which]++;
    return w.answers[which];
}

static void on_impatient(void *arg)
{
    (void)arg;
    fail_msg("waited too long");
}

static void on_lists(void *arg, bool changed)
{
    (void)arg;
    w.lists++;
    w.changes += changed;
    cmg_loop_stop(w.loop);
}

static void on_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level;
    w.listed += strcmp(event, "revocation.list") == 0;
    w.unchecked += strcmp(event, "revocation.unchecked") == 0;
    if (strcmp(event, "revocation.failed") != 0)
        return;
    w.failed++;
    for (size_t i = 0; i < n; i++)
        if (strcmp(kv[i].key, "why") == 0)
            cmg_str_put(w.last_failed, sizeof(w.last_failed), kv[i].str);
}

static int group_up(void **state)
{
    static const struct cmg_log_sink sink = { .write = on_log };
    struct cmg_err err;
    (void)state;
    cmg_log_to(&sink, CMG_INFO);
    cert_setup();
    root = cert_make(&(struct cert_spec){ .cn = "Root", .ca = true, .to_days = 9 });
    issuing = cert_make(
        &(struct cert_spec){ .cn = "Issuing CA", .ca = true, .to_days = 9, .issuer = &root });
    other = cert_make(&(struct cert_spec){ .cn = "Other Root", .ca = true });
    trust = cmg_trust_load(cert_write("trust.pem", CERTS(&root, &issuing)), &err);
    return trust ? 0 : -1;
}

static int group_down(void **state)
{
    (void)state;
    cert_free(&root);
    cert_free(&issuing);
    cert_free(&other);
    cmg_trust_unref(trust);
    return 0;
}

static void write_list(const char *name, struct cmg_str taken)
{
    FILE *f = fopen(cert_path(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(taken.p, 1, taken.n, f), taken.n);
    fclose(f);
    free((void *)(uintptr_t)taken.p);
}

static void use(void)
{
    struct cmg_err err;
    if (revocation_use(w.r, &w.conf, trust, &err) != CMG_OK)
        fail_msg("%s", err.text);
}

/* Hard, fetching; the root's list is a file, so that only the issuing CA's is in question. */
static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    w.loop = cmg_loop_new();
    w.patience = cmg_timer_new(w.loop, on_impatient, NULL);
    cmg_timer_set(w.patience, TOO_LONG_MS);
    w.fetcher = cmg_fetcher_new(w.loop);
    w.server = (struct fake_http){ .loop = w.loop, .answer = answer };
    w.port = fake_http_start(&w.server);
    w.r = revocation_new(w.loop, w.fetcher, on_lists, NULL);
    write_list("root.crl", CRL_DER(.issuer = &root));
    w.files[0] = strdup(cert_path("root.crl"));
    w.conf.revocation.check = REVOCATION_HARD;
    w.conf.revocation.fetch = true;
    w.conf.revocation.files = w.files;
    w.conf.revocation.refresh_ms = 60000;
    w.conf.revocation.timeout_ms = 20000;
    w.conf.revocation.max_bytes = 65536;
    use();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    revocation_free(w.r);
    cmg_fetcher_free(w.fetcher);
    fake_http_stop(&w.server);
    cmg_timer_free(w.patience);
    cmg_loop_free(w.loop);
    for (size_t i = 0; i < CMG_COUNT(w.answers); i++)
        free(w.answers[i]);
    for (size_t i = 0; i < CMG_COUNT(w.files); i++)
        free(w.files[i]);
    return 0;
}

/* ---- tools ---- */

#define UNTIL(what) \
    while (!(what)) \
    cmg_loop_run(w.loop)

static void has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("\"%s\" does not have \"%s\"", text, words);
}

/* Names the points /0, /1, ... of the server, as many as `npoints`. */
static struct cert client(const char *cn, unsigned npoints)
{
    char cdp[256] = "";
    for (unsigned i = 0, n = 0; i < npoints; i++)
        n += (unsigned)snprintf(cdp + n, sizeof(cdp) - n, "%sURI:http://127.0.0.1:%u/%u",
                                i ? "," : "", w.port, i);
    return cert_make(&(struct cert_spec){
        .cn = cn, .eku = "clientAuth", .cdp = cdp[0] ? cdp : NULL, .issuer = &issuing });
}

static void serve_status(unsigned which, const char *status)
{
    free(w.answers[which]);
    w.answers[which] = cmg_alloc(128);
    snprintf(w.answers[which], 128, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
}

static void serve(unsigned which, struct cmg_str taken)
{
    free(w.answers[which]);
    w.answers[which] = cmg_alloc(taken.n + 128);
    snprintf(w.answers[which], taken.n + 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
             taken.n, taken.p);
    free((void *)(uintptr_t)taken.p);
}

static void judged(const struct cert *c, enum cmg_rc want, const char *words)
{
    struct cmg_tls_identity id;
    struct cmg_err err = { .text = "" };
    enum cmg_rc rc = revocation_judge_certificate(w.r, c->x, &id, &err);
    if (rc != want)
        fail_msg("got %d, want %d: %s", rc, want, err.text);
    if (words)
        has(err.text, words);
    assert_true(id.fingerprint[0] != '\0');
}

/* As a client's request does: waits for lists as often as it is told to. */
static void finally(const struct cert *c, enum cmg_rc want, const char *words)
{
    struct cmg_tls_identity id;
    struct cmg_err err;
    unsigned lists = w.lists;
    while (revocation_judge_certificate(w.r, c->x, &id, &err) == CMG_MORE) {
        UNTIL(w.lists > lists);
        lists = w.lists;
    }
    judged(c, want, words);
}

/* ---- files ---- */

static void a_file_is_used_and_read_again(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 0);
    write_list("issuing.crl", CRL_PEM(.issuer = &issuing));
    w.files[1] = strdup(cert_path("issuing.crl"));
    judged(&pc, CMG_EDENIED,
           "no revocation list of issuer \"Issuing CA\", which \"PC1\" needs; the certificate "
           "names no http distribution point");
    w.listed = 0;
    use();
    assert_int_equal(w.listed, 2);
    judged(&pc, CMG_OK, NULL);

    assert_false(revocation_refresh(w.r, w.files[1]));
    assert_false(revocation_refresh(w.r, "/not/ours"));
    write_list("issuing.crl",
               CRL_PEM(.issuer = &issuing, .revoked = CERTS(&pc), .from_days = 0, .to_days = 2));
    judged(&pc, CMG_OK, NULL);
    assert_true(revocation_refresh(w.r, w.files[1]));
    assert_int_equal(w.listed, 3);
    judged(&pc, CMG_EDENIED, "was revoked on 2026-01-31");

    /* What cannot be used changes nothing. */
    write_list("issuing.crl", CRL_PEM(.issuer = &other));
    assert_false(revocation_refresh(w.r, w.files[1]));
    assert_int_equal(w.failed, 1);
    has(w.last_failed, "\"Other Root\"");
    unlink(w.files[1]);
    assert_false(revocation_refresh(w.r, w.files[1]));
    assert_int_equal(w.failed, 2);
    judged(&pc, CMG_EDENIED, "was revoked on 2026-01-31");
    cert_free(&pc);
}

static void a_bad_file_is_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 0);
    struct cmg_err err;
    write_list("issuing.crl", CRL_DER(.issuer = &issuing));
    w.files[1] = strdup(cert_path("issuing.crl"));
    use();
    w.files[2] = strdup(cert_path("bad.crl"));
    static const char *const words[] = { "bad.crl", "\"Other Root\"", "bad.crl holds no" };
    for (size_t i = 0; i < CMG_COUNT(words); i++) {
        if (i == 1)
            write_list("bad.crl", CRL_DER(.issuer = &other));
        if (i == 2)
            cert_write_text("bad.crl", "nothing", 0600);
        assert_int_equal(revocation_use(w.r, &w.conf, trust, &err), CMG_ECONF);
        assert_int_equal(err.code, CMG_ECONF);
        has(err.text, words[i]);
        judged(&pc, CMG_OK, NULL);
    }
    w.conf.revocation.max_bytes = 100;
    free(w.files[2]);
    w.files[2] = NULL;
    assert_int_equal(revocation_use(w.r, &w.conf, trust, &err), CMG_ECONF);
    has(err.text, "larger than 100 bytes");
    cert_free(&pc);
}

static void a_file_that_has_ended_is_used_and_said(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 0), pc2 = client("PC2", 0);
    write_list("issuing.crl",
               CRL_DER(.issuer = &issuing, .from_days = -9, .to_days = -1, .revoked = CERTS(&pc2)));
    w.files[1] = strdup(cert_path("issuing.crl"));
    use();
    assert_int_equal(w.failed, 1);
    has(w.last_failed, "\"Issuing CA\" ended at 20");
    judged(&pc, CMG_EDENIED, "ended on 20");
    w.conf.revocation.check = REVOCATION_SOFT;
    use();
    judged(&pc, CMG_OK, NULL);
    judged(&pc2, CMG_EDENIED, "was revoked");
    cert_free(&pc);
    cert_free(&pc2);
}

static void soft_admits_and_says_so_once_for_each_issuer(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 0), direct = cert_make(&(struct cert_spec){
                                           .cn = "PC2", .eku = "clientAuth", .issuer = &root });
    struct cert foreign =
        cert_make(&(struct cert_spec){ .cn = "PC3", .eku = "clientAuth", .issuer = &other });
    w.conf.revocation.check = REVOCATION_SOFT;
    use();
    for (int i = 0; i < 3; i++)
        judged(&pc, CMG_OK, NULL);
    assert_int_equal(w.unchecked, 1);
    judged(&direct, CMG_OK, NULL);
    assert_int_equal(w.unchecked, 1);
    w.files[0][0] = '\0';
    free(w.files[0]);
    w.files[0] = NULL;
    use();
    judged(&direct, CMG_OK, NULL);
    judged(&pc, CMG_OK, NULL);
    assert_int_equal(w.unchecked, 2);
    judged(&foreign, CMG_EDENIED, "\"Other Root\"");
    cert_free(&pc);
    cert_free(&direct);
    cert_free(&foreign);
}

static void off_looks_at_no_list(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 1);
    write_list("issuing.crl", CRL_DER(.issuer = &issuing, .revoked = CERTS(&pc)));
    w.files[1] = strdup(cert_path("issuing.crl"));
    use();
    judged(&pc, CMG_EDENIED, "revoked");
    w.conf.revocation.check = REVOCATION_OFF;
    w.files[2] = strdup("/not/there");
    use();
    judged(&pc, CMG_OK, NULL);
    assert_int_equal(w.asked[0], 0);
    assert_int_equal(w.unchecked, 0);
    cert_free(&pc);
}

/* ---- fetching ---- */

static void a_list_is_fetched_once_for_all_who_wait(void **state)
{
    (void)state;
    struct cert a = client("PC1", 1), b = client("PC2", 1);
    serve(0, CRL_PEM(.issuer = &issuing, .revoked = CERTS(&b)));
    judged(&a, CMG_MORE, NULL);
    judged(&b, CMG_MORE, NULL);
    judged(&a, CMG_MORE, NULL);
    UNTIL(w.lists);
    assert_int_equal(w.changes, 1);
    judged(&a, CMG_OK, NULL);
    judged(&b, CMG_EDENIED, "\"PC2\" was revoked");
    assert_int_equal(w.asked[0], 1);
    assert_int_equal(w.listed, 2);

    /* A reload keeps what was fetched. */
    use();
    judged(&a, CMG_OK, NULL);
    assert_int_equal(w.asked[0], 1);
    cert_free(&a);
    cert_free(&b);
}

static void both_lists_of_a_chain_are_fetched(void **state)
{
    (void)state;
    char cdp[64];
    snprintf(cdp, sizeof(cdp), "URI:http://127.0.0.1:%u/1", w.port);
    struct cert ca = cert_make(&(struct cert_spec){
        .cn = "Second CA", .ca = true, .cdp = cdp, .to_days = 9, .issuer = &root });
    snprintf(cdp, sizeof(cdp), "URI:http://127.0.0.1:%u/0", w.port);
    struct cert pc = cert_make(
        &(struct cert_spec){ .cn = "PC1", .eku = "clientAuth", .cdp = cdp, .issuer = &ca });
    struct cmg_err err;
    struct cmg_trust *longer = cmg_trust_load(cert_write("longer.pem", CERTS(&root, &ca)), &err);
    free(w.files[0]);
    w.files[0] = NULL;
    assert_int_equal(revocation_use(w.r, &w.conf, longer, &err), CMG_OK);
    serve(0, CRL_PEM(.issuer = &ca));
    serve(1, CRL_PEM(.issuer = &root, .revoked = CERTS(&ca)));
    judged(&pc, CMG_MORE, NULL);
    UNTIL(w.lists == 2);
    assert_int_equal(w.asked[0], 1);
    assert_int_equal(w.asked[1], 1);
    judged(&pc, CMG_EDENIED, "\"Second CA\" was revoked");
    cmg_trust_unref(longer);
    cert_free(&ca);
    cert_free(&pc);
}

static void the_next_point_is_asked_when_one_fails(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 3);
    serve_status(0, "404 Not Found");
    serve(1, CRL_PEM(.issuer = &other));
    serve(2, CRL_PEM(.issuer = &issuing));
    finally(&pc, CMG_OK, NULL);
    assert_int_equal(w.asked[0] + w.asked[1] + w.asked[2], 3);
    assert_int_equal(w.failed, 2);
    finally(&pc, CMG_OK, NULL); /* nobody asks again those that failed */
    assert_int_equal(w.asked[0] + w.asked[1] + w.asked[2], 3);
    cert_free(&pc);
}

static void hard_refuses_and_soft_admits_when_a_point_fails(void **state)
{
    (void)state;
    static const struct {
        const char *status; /* NULL: silence */
        const char *words;
    } cases[] = {
        { "404 Not Found", "/0: it was answered with status 404" },
        { "302 Found", "/0: it was answered with status 302" },
        { "200 OK", "holds no revocation list" },
        { NULL, "127.0.0.1" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        tear_down(NULL);
        set_up(NULL);
        struct cert pc = client("PC1", 1);
        w.conf.revocation.timeout_ms = cases[i].status ? 20000 : 50;
        use();
        if (cases[i].status)
            serve_status(0, cases[i].status);
        finally(&pc, CMG_EDENIED,
                "no revocation list of issuer \"Issuing CA\", which \"PC1\" needs; http://127.0.");
        judged(&pc, CMG_EDENIED, cases[i].words);
        assert_int_equal(w.asked[0], 1); /* it is left alone for a while */
        assert_int_equal(w.changes, 0);
        assert_int_equal(w.failed, 1);
        w.conf.revocation.check = REVOCATION_SOFT;
        use();
        finally(&pc, CMG_OK, NULL);
        assert_int_equal(w.unchecked, 1);
        cert_free(&pc);
    }
}

static void what_is_fetched_must_do(void **state)
{
    (void)state;
    const struct {
        struct cmg_str list;
        const char *words;
    } cases[] = {
        { CRL_PEM(.issuer = &issuing, .from_days = -9, .to_days = -1), "ended on" },
        { CRL_PEM(.issuer = &issuing, .from_days = 1, .to_days = 9), "is not valid before" },
        { CRL_PEM(.issuer = &issuing, .signer = &other), "signature is not by" },
        { CRL_PEM(.issuer = &issuing, .fill = 2000), "65536" }, /* too large */
        { CRL_PEM(.issuer = &issuing, .idp = "critical,onlyCA:TRUE"), "does not do for \"PC1\"" },
        { CRL_PEM(.issuer = &root), "no revocation list of issuer \"Issuing CA\"" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        tear_down(NULL);
        set_up(NULL);
        struct cert pc = client("PC1", 1);
        serve(0, cases[i].list);
        finally(&pc, CMG_EDENIED, cases[i].words);
        assert_int_equal(w.asked[0], 1);
        cert_free(&pc);
    }
}

static void nothing_is_fetched_for_strangers_or_when_told_not_to(void **state)
{
    (void)state;
    char cdp[64];
    snprintf(cdp, sizeof(cdp), "URI:http://127.0.0.1:%u/0", w.port);
    struct cert stranger = cert_make(
        &(struct cert_spec){ .cn = "PC1", .eku = "clientAuth", .cdp = cdp, .issuer = &other });
    struct cert pc = client("PC2", 1);
    serve(0, CRL_PEM(.issuer = &issuing));
    judged(&stranger, CMG_EDENIED, "\"Other Root\"");
    w.conf.revocation.fetch = false;
    use();
    judged(&pc, CMG_EDENIED, "no revocation list of issuer \"Issuing CA\"");
    assert_int_equal(w.asked[0], 0);
    w.conf.revocation.fetch = true;
    use();
    finally(&pc, CMG_OK, NULL);
    assert_int_equal(w.asked[0], 1);
    cert_free(&stranger);
    cert_free(&pc);
}

static void a_reload_while_a_list_is_on_its_way_loses_nobody(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 1);
    serve(0, CRL_PEM(.issuer = &issuing));
    judged(&pc, CMG_MORE, NULL);
    use();
    judged(&pc, CMG_MORE, NULL);
    UNTIL(w.lists);
    judged(&pc, CMG_OK, NULL);
    assert_int_equal(w.asked[0], 1);

    tear_down(NULL);
    set_up(NULL);
    judged(&pc, CMG_MORE, NULL); /* of a server that is gone */
    w.conf.revocation.fetch = false;
    use();
    UNTIL(w.lists);
    judged(&pc, CMG_EDENIED, NULL);
    cert_free(&pc);
}

/* The CA goes on with a new key, and publishes at the same place. */
static void a_reload_with_another_ca_fetches_anew(void **state)
{
    (void)state;
    struct cert a = client("PC1", 1), heir = cert_make(&(struct cert_spec){
                                          .cn = "Issuing CA", .ca = true, .issuer = &root });
    char cdp[64];
    snprintf(cdp, sizeof(cdp), "URI:http://127.0.0.1:%u/0", w.port);
    struct cert b = cert_make(
        &(struct cert_spec){ .cn = "PC2", .eku = "clientAuth", .cdp = cdp, .issuer = &heir });
    struct cmg_err err;
    struct cmg_trust *next = cmg_trust_load(cert_write("next.pem", CERTS(&root, &heir)), &err);
    serve(0, CRL_PEM(.issuer = &issuing));
    finally(&a, CMG_OK, NULL);
    serve(0, CRL_PEM(.issuer = &heir));
    assert_int_equal(revocation_use(w.r, &w.conf, next, &err), CMG_OK);
    finally(&b, CMG_OK, NULL);
    assert_int_equal(w.asked[0], 2);
    cmg_trust_unref(next);
    cert_free(&a);
    cert_free(&b);
    cert_free(&heir);
}

/* Connections that are open were judged by it: they have to be judged again. */
static void the_end_of_a_list_is_told(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 0);
    write_list("issuing.crl", CRL_DER(.issuer = &issuing, .to_seconds = 1));
    w.files[1] = strdup(cert_path("issuing.crl"));
    use();
    judged(&pc, CMG_OK, NULL);
    UNTIL(w.changes);
    judged(&pc, CMG_EDENIED, "ended on");
    cert_free(&pc);
}

static void a_background_refresh_finds_who_was_revoked(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 1);
    w.conf.revocation.refresh_ms = 200;
    use();
    serve(0, CRL_PEM(.issuer = &issuing));
    finally(&pc, CMG_OK, NULL);
    serve(0, CRL_PEM(.issuer = &issuing, .from_days = 0, .to_days = 1, .revoked = CERTS(&pc)));
    UNTIL(w.changes == 2); /* nobody asked */
    judged(&pc, CMG_EDENIED, "revoked");

    /* The list of before, replayed: no. */
    serve(0, CRL_PEM(.issuer = &issuing));
    UNTIL(w.failed);
    assert_int_equal(w.changes, 2);
    has(w.last_failed, "is older than the one of");
    judged(&pc, CMG_EDENIED, "revoked");
    cert_free(&pc);
}

static void a_list_that_cannot_be_renewed_stands_until_it_ends(void **state)
{
    (void)state;
    struct cert pc = client("PC1", 1);
    w.conf.revocation.refresh_ms = 100;
    use();
    serve(0, CRL_PEM(.issuer = &issuing));
    finally(&pc, CMG_OK, NULL);
    serve_status(0, "503 Busy");
    UNTIL(w.failed);
    judged(&pc, CMG_OK, NULL);
    cert_free(&pc);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_used_and_read_again),
        TEST(a_bad_file_is_refused_and_nothing_changes),
        TEST(a_file_that_has_ended_is_used_and_said),
        TEST(soft_admits_and_says_so_once_for_each_issuer),
        TEST(off_looks_at_no_list),
        TEST(a_list_is_fetched_once_for_all_who_wait),
        TEST(both_lists_of_a_chain_are_fetched),
        TEST(the_next_point_is_asked_when_one_fails),
        TEST(hard_refuses_and_soft_admits_when_a_point_fails),
        TEST(what_is_fetched_must_do),
        TEST(nothing_is_fetched_for_strangers_or_when_told_not_to),
        TEST(a_reload_while_a_list_is_on_its_way_loses_nobody),
        TEST(a_reload_with_another_ca_fetches_anew),
        TEST(the_end_of_a_list_is_told),
        TEST(a_background_refresh_finds_who_was_revoked),
        TEST(a_list_that_cannot_be_renewed_stands_until_it_ends),
    };
    return cmocka_run_group_tests(tests, group_up, group_down);
}
