/* SPDX-License-Identifier: MIT */
/* Lists that are taken and lists that are not, and what is said of a certificate with them. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "certs.h"
#include "crls.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/net/crl.h"

/* root -> issuing -> pc; direct is the root's own. `again` is issuing with a new key; impostor
 * has issuing's name and is in no file. mute may sign no lists. */
static struct cert root, issuing, again, mute, impostor, other, pc, pc_again, pc_mute, direct;
static struct cmg_trust *trust;

static struct cert ca(const char *cn, const struct cert *issuer)
{
    return cert_make(
        &(struct cert_spec){ .cn = cn, .ca = true, .ids = true, .to_days = 30, .issuer = issuer });
}

static struct cert leaf(const char *cn, const struct cert *issuer, const char *cdp)
{
    return cert_make(&(struct cert_spec){ .cn = cn,
                                          .eku = "clientAuth",
                                          .ids = true,
                                          .cdp = cdp,
                                          .ku = "digitalSignature",
                                          .issuer = issuer });
}

static int set_up(void **state)
{
    (void)state;
    cert_setup();
    root = ca("Root", NULL);
    issuing = ca("Issuing CA", &root);
    again = ca("Issuing CA", &root);
    impostor = ca("Issuing CA", &root);
    other = ca("Other Root", NULL);
    mute = cert_make(&(struct cert_spec){
        .cn = "Mute CA", .ca = true, .ids = true, .no_crls = true, .issuer = &root });
    pc = leaf("PC1", &issuing, "URI:http://crl.example/a.crl");
    pc_again = leaf("PC2", &again, NULL);
    pc_mute = leaf("PC3", &mute, NULL);
    direct = leaf("PC4", &root, NULL);
    struct cmg_err err;
    trust = cmg_trust_load(cert_write("trust.pem", CERTS(&root, &issuing, &again, &mute)), &err);
    return trust ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    struct cert *all[] = { &root,  &issuing, &again,    &mute,    &impostor,
                           &other, &pc,      &pc_again, &pc_mute, &direct };
    for (size_t i = 0; i < CMG_COUNT(all); i++)
        cert_free(all[i]);
    cmg_trust_unref(trust);
    return 0;
}

/* ---- tools ---- */

static void has(const struct cmg_err *err, const char *words)
{
    if (!strstr(err->text, words))
        fail_msg("\"%s\" does not have \"%s\"", err->text, words);
}

/* Bytes are freed. */
static enum cmg_rc put(struct cmg_crls *t, const char *source, struct cmg_str bytes,
                       struct cmg_err *err)
{
    bool changed;
    err->text[0] = '\0';
    enum cmg_rc rc = cmg_crls_put(t, source, bytes, 0, &changed, err);
    free((void *)(uintptr_t)bytes.p);
    if (rc != CMG_OK)
        assert_false(changed);
    return rc;
}

static void put_ok(struct cmg_crls *t, const char *source, struct cmg_str bytes)
{
    struct cmg_err err;
    if (put(t, source, bytes, &err) != CMG_OK)
        fail_msg("%s", err.text);
}

static enum cmg_rc judge(struct cmg_crls *t, const struct cert *c, struct cmg_err *err)
{
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    err->text[0] = '\0';
    enum cmg_rc rc = cmg_crls_judge(t, c->x, cmg_clock_unix(), &id, &report, err);
    assert_true(id.fingerprint[0] != '\0');
    assert_true((rc == CMG_MORE) == (report.gaps > 0));
    cmg_crl_report_clear(&report);
    return rc;
}

static void judged(struct cmg_crls *t, const struct cert *c, enum cmg_rc want, const char *words)
{
    struct cmg_err err;
    enum cmg_rc rc = judge(t, c, &err);
    if (rc != want)
        fail_msg("got %d, want %d: %s", rc, want, err.text);
    if (words)
        has(&err, words);
}

/* With current lists of the root and of issuing. */
static struct cmg_crls *table(void)
{
    struct cmg_crls *t = cmg_crls_new(trust);
    put_ok(t, "/lists/root.crl", CRL_PEM(.issuer = &root));
    put_ok(t, "/lists/issuing.crl", CRL_DER(.issuer = &issuing));
    return t;
}

/* ---- judging ---- */

static void a_certificate_on_no_list_is_good(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    assert_int_equal(cmg_crls_judge(t, pc.x, cmg_clock_unix(), &id, &report, &err), CMG_OK);
    assert_string_equal(id.name, "PC1");
    assert_int_equal(report.nlinks, 2);
    assert_int_equal(report.gaps, 0);
    assert_string_equal(report.links[0].source, "/lists/issuing.crl");
    assert_string_equal(report.links[1].source, "/lists/root.crl");
    assert_int_equal(report.links[0].state, CMG_CRL_GOOD);
    cmg_crl_report_clear(&report);
    judged(t, &direct, CMG_OK, NULL);
    cmg_crls_free(t);
}

static void a_revoked_leaf_is_denied(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    put_ok(t, "/lists/issuing.crl",
           CRL_DER(.issuer = &issuing, .revoked = CERTS(&other, &pc, &direct),
                   .reason = CRL_REASON_KEY_COMPROMISE));
    judged(t, &pc, CMG_EDENIED,
           "certificate of \"PC1\" was revoked on 2026-01-31 (keyCompromise) by \"Issuing CA\"");
    judged(t, &direct, CMG_OK, NULL); /* the same serial on another CA's list is nobody's */
    cmg_crls_free(t);
}

static void a_revoked_intermediate_is_denied(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    put_ok(t, "/lists/root.crl", CRL_DER(.issuer = &root, .revoked = CERTS(&issuing)));
    judged(t, &pc, CMG_EDENIED,
           "certificate of \"Issuing CA\" was revoked on 2026-01-31 (unspecified) by \"Root\"");
    judged(t, &direct, CMG_OK, NULL);
    cmg_crls_free(t);
}

static void the_root_needs_no_list_of_its_own_kind(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    put_ok(t, "u",
           CRL_DER(.issuer = &root, .idp = "critical,onlyuser:TRUE", .revoked = CERTS(&root)));
    judged(t, &direct, CMG_OK, NULL);
    cmg_crls_free(t);
}

static void a_missing_list_is_told_with_where_it_may_be(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    put_ok(t, "root", CRL_PEM(.issuer = &root));
    assert_int_equal(cmg_crls_judge(t, pc.x, cmg_clock_unix(), &id, &report, &err), CMG_MORE);
    has(&err, "no revocation list of issuer \"Issuing CA\", which \"PC1\" needs");
    assert_int_equal(report.gaps, 1);
    assert_int_equal(report.links[0].state, CMG_CRL_MISSING);
    assert_null(report.links[0].source);
    assert_string_equal(report.links[0].issuer, "Issuing CA");
    assert_int_equal(report.links[0].nurls, 1);
    assert_string_equal(report.links[0].urls[0], "http://crl.example/a.crl");
    assert_int_equal(report.links[1].state, CMG_CRL_GOOD);
    assert_int_equal(report.links[1].nurls, 0);
    cmg_crl_report_clear(&report);
    cmg_crls_free(t);
}

static void only_http_and_only_four_points_are_told(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cert many = leaf("Many", &root,
                            "URI:ldap:///CN=x?certificateRevocationList,URI:HTTP://a/1,"
                            "URI:https://a/no,URI:http://,URI:http://a/2,URI:http://a/b c,"
                            "URI:http://a/3,URI:file:///etc/passwd,URI:http://a/4,URI:http://a/5");
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    assert_int_equal(cmg_crls_judge(t, many.x, cmg_clock_unix(), &id, &report, &err), CMG_MORE);
    assert_int_equal(report.links[0].nurls, 4);
    assert_string_equal(report.links[0].urls[0], "HTTP://a/1");
    assert_string_equal(report.links[0].urls[1], "http://a/2");
    assert_string_equal(report.links[0].urls[2], "http://a/3");
    assert_string_equal(report.links[0].urls[3], "http://a/4");
    cmg_crl_report_clear(&report);
    cert_free(&many);
    cmg_crls_free(t);
}

/* Who made up his chain makes nobody fetch, and an expired certificate neither. */
static void a_bad_chain_is_refused_before_lists_matter(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cert bad[] = {
        leaf("Foreign", &other, "URI:http://a/x"),
        leaf("Forged", &impostor, "URI:http://a/x"),
        cert_make(&(struct cert_spec){ .cn = "Late",
                                       .eku = "clientAuth",
                                       .cdp = "URI:http://a/x",
                                       .from_days = -9,
                                       .to_days = -2,
                                       .issuer = &issuing }),
        cert_make(&(struct cert_spec){
            .cn = "Usage", .eku = "serverAuth", .cdp = "URI:http://a/x", .issuer = &issuing }),
        cert_make(
            &(struct cert_spec){ .cn = "Silent", .cdp = "URI:http://a/x", .issuer = &issuing }),
    };
    const char *words[] = { "\"Other Root\"", "certificate chain", "expired on", "clientAuth",
                            "clientAuth" };
    for (size_t i = 0; i < CMG_COUNT(bad); i++) {
        struct cmg_tls_identity id;
        struct cmg_crl_report report;
        struct cmg_err err;
        assert_int_equal(cmg_crls_judge(t, bad[i].x, cmg_clock_unix(), &id, &report, &err),
                         CMG_EDENIED);
        has(&err, words[i]);
        assert_int_equal(report.gaps, 0);
        assert_int_equal(report.nlinks, 0);
        assert_int_equal(report.links[0].nurls, 0);
        cmg_crl_report_clear(&report);
        cert_free(&bad[i]);
    }
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    assert_int_equal(cmg_crls_judge(t, NULL, 1, &id, &report, &err), CMG_EDENIED);
    has(&err, "no certificate");
    cmg_crls_free(t);
}

/* A certificate whose signature was broken names whatever its maker likes. */
static void a_forged_signature_is_refused_before_lists_matter(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cert c = leaf("Forged", &issuing, "URI:http://a/x");
    X509_sign(c.x, impostor.key, EVP_sha256());
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    assert_int_equal(cmg_crls_judge(t, c.x, cmg_clock_unix(), &id, &report, &err), CMG_EDENIED);
    has(&err, "signature");
    assert_int_equal(report.gaps, 0);
    assert_int_equal(report.nlinks, 0);
    cert_free(&c);
    cmg_crls_free(t);
}

static void a_list_is_good_within_its_dates_only(void **state)
{
    (void)state;
    char want[128];
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    struct cmg_crls *t = cmg_crls_new(trust);
    put_ok(t, "root", CRL_DER(.issuer = &root));
    put_ok(t, "/lists/issuing.crl", CRL_DER(.issuer = &issuing, .from_days = -9, .to_days = -2));
    time_t end = (time_t)cmg_clock_unix() - 2 * 86400;
    strftime(want, sizeof(want),
             "revocation list of issuer \"Issuing CA\" ended on %Y-%m-%d (nextUpdate): renew it at "
             "issuing.crl",
             gmtime(&end));
    assert_int_equal(cmg_crls_judge(t, pc.x, cmg_clock_unix(), &id, &report, &err), CMG_MORE);
    assert_string_equal(err.text, want);
    assert_int_equal(report.links[0].state, CMG_CRL_ENDED);
    assert_int_equal(report.links[0].nurls, 1);
    cmg_crl_report_clear(&report);
    cmg_crls_free(t);

    t = cmg_crls_new(trust);
    put_ok(t, "root", CRL_DER(.issuer = &root));
    put_ok(t, "early", CRL_DER(.issuer = &issuing, .from_days = 2, .to_days = 9));
    judged(t, &pc, CMG_MORE, "CRL is not yet valid");
    cmg_crls_free(t);
}

static void time_is_an_argument(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    struct cmg_tls_identity id;
    struct cmg_crl_report report;
    struct cmg_err err;
    int64_t now = cmg_clock_unix();
    assert_int_equal(cmg_crls_judge(t, pc.x, now + 2 * 86400, &id, &report, &err), CMG_EDENIED);
    has(&err, "expired on");
    cmg_crl_report_clear(&report);
    put_ok(t, "/lists/issuing.crl", CRL_DER(.issuer = &issuing, .from_days = -1, .to_days = 30));
    struct cert longer = cert_make(&(struct cert_spec){
        .cn = "PC5", .eku = "clientAuth", .ids = true, .to_days = 20, .issuer = &issuing });
    assert_int_equal(cmg_crls_judge(t, longer.x, now, &id, &report, &err), CMG_OK);
    cmg_crl_report_clear(&report);
    assert_int_equal(cmg_crls_judge(t, longer.x, now + 2 * 86400, &id, &report, &err), CMG_MORE);
    has(&err, "revocation list of issuer \"Root\" ended on");
    cmg_crl_report_clear(&report);
    cert_free(&longer);
    cmg_crls_free(t);
}

/* Not to be weighed against soft rules: the CA has said it. */
static void who_is_on_an_ended_list_is_revoked(void **state)
{
    (void)state;
    struct cmg_crls *late = cmg_crls_new(trust);
    put_ok(late, "a",
           CRL_DER(.issuer = &issuing, .from_days = -9, .to_days = -2, .revoked = CERTS(&pc)));
    judged(late, &pc, CMG_EDENIED, "\"PC1\" was revoked on 2026-01-31 (unspecified)");
    cmg_crls_free(late);
}

static void a_partial_list_counts_for_what_it_covers(void **state)
{
    (void)state;
    static const struct {
        const char *idp;
        enum cmg_rc want;
    } cases[] = {
        { "critical,onlyuser:TRUE", CMG_OK },
        { "critical,onlyCA:TRUE", CMG_MORE },
        { "critical,onlyAA:TRUE", CMG_MORE },
        { "critical,fullname:URI:http://crl.example/a.crl", CMG_OK },
        { "critical,fullname:URI:http://crl.example/b.crl", CMG_MORE },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_crls *t = cmg_crls_new(trust);
        struct cmg_err err;
        put_ok(t, "root", CRL_DER(.issuer = &root));
        put_ok(t, "part", CRL_DER(.issuer = &issuing, .idp = cases[i].idp));
        enum cmg_rc rc = judge(t, &pc, &err);
        if (rc != cases[i].want)
            fail_msg("%s: got %d, %s", cases[i].idp, rc, err.text);
        if (rc == CMG_MORE)
            has(&err, "revocation list of issuer \"Issuing CA\" does not do for \"PC1\": different "
                      "CRL scope");
        put_ok(t, "whole", CRL_DER(.issuer = &issuing)); /* beside it */
        judged(t, &pc, CMG_OK, NULL);
        cmg_crls_free(t);
    }
}

static void the_newest_of_several_sources_is_in_force(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    put_ok(t, "new",
           CRL_DER(.issuer = &issuing, .from_days = 0, .to_days = 5, .revoked = CERTS(&pc)));
    put_ok(t, "old", CRL_DER(.issuer = &issuing, .from_days = -5, .to_days = 9));
    judged(t, &pc, CMG_EDENIED, "revoked");
    put_ok(t, "new", CRL_DER(.issuer = &root));
    judged(t, &pc, CMG_OK, NULL);
    cmg_crls_free(t);

    /* An ended one does not win over a current one, whatever the order. */
    t = table();
    put_ok(t, "late", CRL_DER(.issuer = &issuing, .from_days = -9, .to_days = -2));
    judged(t, &pc, CMG_OK, NULL);
    cmg_crls_free(t);
}

/* A CA goes on under its name with a new key: the old key's list says nothing of the new one's
 * certificates, even where it is the newer one. */
static void lists_belong_to_a_key_not_to_a_name(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    judged(t, &pc, CMG_OK, NULL);
    judged(t, &pc_again, CMG_MORE, "no revocation list of issuer \"Issuing CA\"");
    put_ok(
        t, "again",
        CRL_DER(.issuer = &again, .from_days = 0, .to_days = 9, .revoked = CERTS(&pc, &pc_again)));
    judged(t, &pc, CMG_OK, NULL);
    judged(t, &pc_again, CMG_EDENIED, "\"PC2\" was revoked");
    cmg_crls_free(t);
}

/* ---- taking ---- */

static void a_list_that_does_not_do_is_refused(void **state)
{
    (void)state;
    struct {
        struct cmg_str bytes;
        enum cmg_rc want;
        const char *words;
    } cases[] = {
        { CRL_DER(.issuer = &other), CMG_EDENIED,
          "/lists/x.crl: revocation list of issuer \"Other Root\": there is no such CA in "
          "trust.pem" },
        { CRL_PEM(.issuer = &issuing, .signer = &impostor), CMG_EDENIED,
          "issuer \"Issuing CA\": its signature is not by the CA of that name in trust.pem" },
        { CRL_DER(.issuer = &mute), CMG_EDENIED, "its signature is not by" },
        { CRL_DER(.issuer = &issuing, .delta = "0x01"), CMG_EPROTO, "is a delta list" },
        { CRL_DER(.issuer = &issuing, .idp = "critical,indirectCRL:TRUE"), CMG_EPROTO,
          "is an indirect one" },
        { CRL_DER(.issuer = &issuing, .idp = "critical,onlysomereasons:keyCompromise"), CMG_EPROTO,
          "is for some reasons only" },
        { CRL_DER(.issuer = &issuing, .idp = "critical,onlyCA:TRUE,onlyuser:TRUE"), CMG_EPROTO,
          "contradicts itself" },
        { CRL_DER(.issuer = &issuing, .endless = true), CMG_EPROTO, "does not say from when" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_crls *t = table();
        struct cmg_err err;
        enum cmg_rc rc = put(t, "/lists/x.crl", cases[i].bytes, &err);
        if (rc != cases[i].want)
            fail_msg("%zu: got %d, %s", i, rc, err.text);
        has(&err, cases[i].words);
        judged(t, &pc, CMG_OK, NULL);
        cmg_crls_free(t);
    }
}

static void bytes_that_are_no_list_are_refused(void **state)
{
    (void)state;
    struct cmg_str pem = CRL_PEM(.issuer = &root), der = CRL_DER(.issuer = &root);
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cmg_err err;
    bool changed;
    char *text = malloc(2 * pem.n + 64);
    assert_non_null(text);

    assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ "", 0 }, 0, &changed, &err),
                     CMG_EPROTO);
    has(&err, "s holds no revocation list");
    assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ NULL, 0 }, 0, &changed, &err),
                     CMG_EPROTO);
    assert_int_equal(cmg_crls_put(t, "s", CMG_STR("<html>Not Found"), 0, &changed, &err),
                     CMG_EPROTO);
    for (size_t n = 0; n < der.n; n++)
        assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ der.p, n }, 0, &changed, &err),
                         CMG_EPROTO);
    memcpy(text, der.p, der.n);
    text[der.n] = '\n';
    assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ text, der.n + 1 }, 0, &changed, &err),
                     CMG_EPROTO);
    has(&err, "damaged or cut off");

    int n = sprintf(text, "first\n%sthen\n%.*s", pem.p, (int)pem.n / 2, pem.p);
    assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ text, (size_t)n }, 0, &changed, &err),
                     CMG_EPROTO);
    has(&err, "revocation list 2 in it is damaged");
    assert_int_equal(cmg_crls_about(t, "s", &(struct cmg_crl_about){ .issuer = "" }, 1), 0);

    /* Text before the list is not in the way, whatever its first byte. */
    n = sprintf(text, "0 first\n%s", pem.p);
    assert_int_equal(cmg_crls_put(t, "s", (struct cmg_str){ text, (size_t)n }, 0, &changed, &err),
                     CMG_OK);
    assert_true(changed);
    free(text);
    free((void *)(uintptr_t)pem.p);
    free((void *)(uintptr_t)der.p);
    cmg_crls_free(t);
}

static void one_file_may_hold_several(void **state)
{
    (void)state;
    const struct crl_spec a = { .issuer = &root, .to_days = 4 };
    const struct crl_spec b = { .issuer = &issuing, .revoked = CERTS(&pc, &direct), .to_days = 7 };
    const struct crl_spec foreign = { .issuer = &other };
    const struct crl_spec *const both[] = { &a, &b, NULL }, *const bad[] = { &b, &foreign, NULL };
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cmg_crl_about about[3];
    struct cmg_err err;
    int64_t now = cmg_clock_unix();

    put_ok(t, "f", crl_put(both, true));
    judged(t, &pc, CMG_EDENIED, "revoked");
    assert_int_equal(cmg_crls_about(t, "f", about, 3), 2);
    assert_int_equal(cmg_crls_about(t, "g", about, 3), 0);
    assert_int_equal(cmg_crls_about(t, "f", about, 1), 1);
    assert_string_equal(about[1].issuer, "Issuing CA");
    assert_int_equal(about[0].revoked, 0);
    assert_int_equal(about[1].revoked, 2);
    assert_in_range(about[1].next_update - about[1].this_update, 7 * 86400 - 2, 7 * 86400 + 2);
    assert_int_equal(cmg_crls_next_end(t, now), about[0].next_update);
    assert_int_equal(cmg_crls_next_end(t, about[0].next_update), about[1].next_update);
    assert_int_equal(cmg_crls_next_end(t, about[1].next_update), 0);

    /* All or nothing. */
    assert_int_equal(put(t, "f", crl_put(bad, true), &err), CMG_EDENIED);
    assert_int_equal(cmg_crls_about(t, "f", about, 3), 2);
    cmg_crls_free(t);
}

static void what_a_source_gives_replaces_what_it_gave(void **state)
{
    (void)state;
    struct cmg_crls *t = table();
    struct cmg_str same =
        CRL_PEM(.issuer = &issuing, .from_days = 0, .to_days = 5, .revoked = CERTS(&pc));
    struct cmg_err err;
    bool changed;
    assert_int_equal(cmg_crls_put(t, "/lists/issuing.crl", same, 0, &changed, &err), CMG_OK);
    assert_true(changed);
    assert_int_equal(cmg_crls_put(t, "/lists/issuing.crl", same, 0, &changed, &err), CMG_OK);
    assert_false(changed);
    char *text = malloc(same.n + 2); /* other bytes, the same list */
    assert_non_null(text);
    int n = sprintf(text, "\n%s", same.p);
    assert_int_equal(cmg_crls_put(t, "/lists/issuing.crl", (struct cmg_str){ text, (size_t)n }, 0,
                                  &changed, &err),
                     CMG_OK);
    assert_false(changed);
    free(text);
    judged(t, &pc, CMG_EDENIED, "revoked");

    /* The list of yesterday, replayed. */
    assert_int_equal(put(t, "/lists/issuing.crl",
                         CRL_DER(.issuer = &issuing, .from_days = -1, .to_days = 9), &err),
                     CMG_EDENIED);
    has(&err, "is older than the one of");
    judged(t, &pc, CMG_EDENIED, "revoked");

    /* Another series of the same CA is not an older issue. */
    put_ok(t, "/lists/issuing.crl",
           CRL_DER(.issuer = &issuing, .from_days = -1, .to_days = 9,
                   .idp = "critical,onlyuser:TRUE"));
    judged(t, &pc, CMG_OK, NULL);
    free((void *)(uintptr_t)same.p);
    cmg_crls_free(t);
}

static void a_fetched_list_must_be_current(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cmg_str now_good = CRL_DER(.issuer = &root);
    struct cmg_str late = CRL_DER(.issuer = &root, .from_days = -9, .to_days = -1);
    struct cmg_str early = CRL_DER(.issuer = &root, .from_days = 1, .to_days = 9);
    int64_t now = cmg_clock_unix();
    struct cmg_err err;
    bool changed;
    assert_int_equal(cmg_crls_put(t, "u", late, now, &changed, &err), CMG_EDENIED);
    has(&err, "ended on");
    assert_int_equal(cmg_crls_put(t, "u", early, now, &changed, &err), CMG_EDENIED);
    has(&err, "not valid before");
    assert_int_equal(cmg_crls_put(t, "u", now_good, now, &changed, &err), CMG_OK);
    assert_int_equal(cmg_crls_put(t, "u", now_good, now, &changed, &err), CMG_OK);
    assert_int_equal(cmg_crls_put(t, "u", now_good, now + 2 * 86400, &changed, &err), CMG_EDENIED);
    has(&err, "ended on");
    free((void *)(uintptr_t)now_good.p);
    free((void *)(uintptr_t)late.p);
    free((void *)(uintptr_t)early.p);
    cmg_crls_free(t);
}

static void lists_move_to_another_trust_if_it_signed_them(void **state)
{
    (void)state;
    struct cmg_err err;
    struct cmg_crls *t = table();
    struct cmg_trust *less = cmg_trust_load(cert_write("less.pem", CERTS(&root)), &err);
    struct cmg_crls *to = cmg_crls_new(less);
    struct cmg_crl_about about;
    assert_true(cmg_crls_copy(to, t, "/lists/root.crl"));
    assert_false(cmg_crls_copy(to, t, "/lists/issuing.crl"));
    assert_false(cmg_crls_copy(to, t, "/lists/none.crl"));
    assert_int_equal(cmg_crls_about(to, "/lists/root.crl", &about, 1), 1);
    assert_int_equal(cmg_crls_about(to, "/lists/issuing.crl", &about, 1), 0);
    cmg_crls_free(t);
    judged(to, &direct, CMG_OK, NULL);
    cmg_crls_free(to);
    cmg_trust_unref(less);
}

static void a_table_has_a_ceiling(void **state)
{
    (void)state;
    struct cmg_crls *t = cmg_crls_new(trust);
    struct cmg_str one = CRL_DER(.issuer = &root);
    struct cmg_err err;
    bool changed;
    char source[32];
    for (int i = 0; i < CMG_CRLS_MAX; i++) {
        snprintf(source, sizeof(source), "s%d", i);
        assert_int_equal(cmg_crls_put(t, source, one, 0, &changed, &err), CMG_OK);
    }
    assert_int_equal(cmg_crls_put(t, "more", one, 0, &changed, &err), CMG_ETOOBIG);
    assert_int_equal(cmg_crls_put(t, "s7", one, 0, &changed, &err), CMG_OK);
    free((void *)(uintptr_t)one.p);
    cmg_crls_free(t);
}

/* The quickest of some rounds, so that a busy machine does not count. */
static int64_t judging_us(struct cmg_crls *t)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 50; i++) {
        int64_t start = cmg_clock_us();
        judged(t, &pc, CMG_OK, NULL);
        int64_t us = cmg_clock_us() - start;
        least = us < least ? us : least;
    }
    return least;
}

/* 4 MiB would take some milliseconds to hash, the rest of the work well below one. */
static void a_large_list_is_not_hashed_for_each_client(void **state)
{
    (void)state;
    enum { ENTRIES = 4 * 32 * 1024 };
    struct cmg_crls *small = table(), *large = table();
    put_ok(large, "/lists/issuing.crl", CRL_DER(.issuer = &issuing, .fill = ENTRIES, .to_days = 3));
    int64_t with_small = judging_us(small), with_large = judging_us(large);
    print_message("judging: small list %d us, %d entries %d us\n", (int)with_small, (int)ENTRIES,
                  (int)with_large);
    assert_true(with_large < 2 * with_small + 500);
    cmg_crls_free(small);
    cmg_crls_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_on_no_list_is_good),
        cmocka_unit_test(a_revoked_leaf_is_denied),
        cmocka_unit_test(a_revoked_intermediate_is_denied),
        cmocka_unit_test(the_root_needs_no_list_of_its_own_kind),
        cmocka_unit_test(a_missing_list_is_told_with_where_it_may_be),
        cmocka_unit_test(only_http_and_only_four_points_are_told),
        cmocka_unit_test(a_bad_chain_is_refused_before_lists_matter),
        cmocka_unit_test(a_forged_signature_is_refused_before_lists_matter),
        cmocka_unit_test(a_list_is_good_within_its_dates_only),
        cmocka_unit_test(time_is_an_argument),
        cmocka_unit_test(who_is_on_an_ended_list_is_revoked),
        cmocka_unit_test(a_partial_list_counts_for_what_it_covers),
        cmocka_unit_test(the_newest_of_several_sources_is_in_force),
        cmocka_unit_test(lists_belong_to_a_key_not_to_a_name),
        cmocka_unit_test(a_list_that_does_not_do_is_refused),
        cmocka_unit_test(bytes_that_are_no_list_are_refused),
        cmocka_unit_test(one_file_may_hold_several),
        cmocka_unit_test(what_a_source_gives_replaces_what_it_gave),
        cmocka_unit_test(a_fetched_list_must_be_current),
        cmocka_unit_test(lists_move_to_another_trust_if_it_signed_them),
        cmocka_unit_test(a_table_has_a_ceiling),
        cmocka_unit_test(a_large_list_is_not_hashed_for_each_client),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
