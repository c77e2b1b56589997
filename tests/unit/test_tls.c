/* SPDX-License-Identifier: MIT */
/* Handshakes in memory: every way for a certificate to be wrong, and the words for it. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certs.h"
#include "cmg/base/alloc.h"
#include "cmg/net/tls.h"
#include "cmg/proto/base64.h"

/* root -> issuing -> leaves; other is a stranger's root. */
static struct cert root, issuing, other, server, client;
static char trust_all[128], trust_root[128], trust_other[128];
static char server_pem[128], server_key[128], client_pem[128], client_key[128];

static struct cert leaf(const char *cn, const char *san, const char *eku)
{
    return cert_make(&(struct cert_spec){
        .cn = cn, .san = san, .eku = eku, .ku = "digitalSignature", .issuer = &issuing });
}

static void keep(char out[128], const char *path)
{
    snprintf(out, 128, "%s", path);
}

static int set_up(void **state)
{
    (void)state;
    cert_setup();
    root = cert_make(&(struct cert_spec){ .cn = "Root", .ca = true });
    issuing = cert_make(&(struct cert_spec){ .cn = "Issuing", .ca = true, .issuer = &root });
    other = cert_make(&(struct cert_spec){ .cn = "Other Root", .ca = true });
    server = leaf("gw", "DNS:gw.example,DNS:*.wild.example,IP:127.0.0.1", "serverAuth");
    client = leaf("cp", "DNS:cp.example", "clientAuth");
    keep(trust_all, cert_write("all.pem", CERTS(&root, &issuing)));
    keep(trust_root, cert_write("root.pem", CERTS(&root)));
    keep(trust_other, cert_write("other.pem", CERTS(&other)));
    keep(server_pem, cert_write("server.pem", CERTS(&server, &issuing)));
    keep(server_key, cert_write_key("server.key", &server, 0600));
    keep(client_pem, cert_write("client.pem", CERTS(&client, &issuing)));
    keep(client_key, cert_write_key("client.key", &client, 0600));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct cert *all[] = { &root, &issuing, &other, &server, &client };
    for (size_t i = 0; i < CMG_COUNT(all); i++)
        cert_free(all[i]);
    return 0;
}

/* ---- one handshake ---- */

struct side {
    const char *trust, *pem, *key; /* paths */
    enum cmg_tls_peer peer;
    const char *const *alpn;
    int max_version;
};

struct shake {
    struct cmg_tls *ct, *st;
    SSL *c, *s;
    bool ok;
    char client_why[256], server_why[256]; /* empty: no error there */
    bool client_refused, server_refused;
};

static struct cmg_tls *context(bool is_server, const struct side *side)
{
    struct cmg_err err = { 0 };
    struct cmg_trust *trust = side->trust ? cmg_trust_load(side->trust, &err) : NULL;
    if (side->trust && !trust)
        fail_msg("%s", err.text);
    struct cmg_tls *t = cmg_tls_new(
        &(struct cmg_tls_conf){
            .server = is_server,
            .certificate = side->pem,
            .key = side->key,
            .trust = trust,
            .peer = side->peer,
            .alpn = side->alpn,
        },
        &err);
    if (!t)
        fail_msg("%s", err.text);
    cmg_trust_unref(trust);
    return t;
}

static bool fatal(SSL *ssl, int r)
{
    int e = SSL_get_error(ssl, r);
    return r <= 0 && e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE;
}

/* Handshake, then a read, which is where TLS 1.3 clients hear that they were refused. */
static bool step(SSL *ssl, char why[256], bool *refused)
{
    char byte;
    if (why[0])
        return true;
    ERR_clear_error();
    int r = SSL_do_handshake(ssl);
    if (r == 1)
        r = SSL_read(ssl, &byte, 1);
    if (fatal(ssl, r)) {
        cmg_tls_reason(ssl, why, 256);
        *refused = cmg_tls_refused(ssl);
        assert_int_equal(ERR_peek_error(), 0);
    }
    return SSL_is_init_finished(ssl);
}

static void open_sessions(struct shake *h, const char *name)
{
    BIO *a, *b;
    h->c = cmg_tls_session(h->ct, name);
    h->s = cmg_tls_session(h->st, NULL);
    if (!BIO_new_bio_pair(&a, 65536, &b, 65536))
        abort();
    SSL_set_bio(h->c, a, a);
    SSL_set_bio(h->s, b, b);
}

static void talk(struct shake *h)
{
    h->ok = false;
    for (int i = 0; i < 20; i++) {
        bool c = step(h->c, h->client_why, &h->client_refused);
        bool s = step(h->s, h->server_why, &h->server_refused);
        h->ok = c && s && !h->client_why[0] && !h->server_why[0];
    }
}

static void join_up(struct shake *h, const char *name)
{
    open_sessions(h, name);
    talk(h);
}

static struct shake shake(const struct side *c, const struct side *s, const char *name)
{
    struct shake h = { .ct = context(false, c), .st = context(true, s) };
    join_up(&h, name);
    return h;
}

static void part(struct shake *h)
{
    SSL_free(h->c);
    SSL_free(h->s);
    cmg_tls_unref(h->ct);
    cmg_tls_unref(h->st);
}

static struct side good_client(void)
{
    return (struct side){ .trust = trust_root, .pem = client_pem, .key = client_key };
}

static struct side good_server(void)
{
    return (struct side){ .trust = trust_root, .pem = server_pem, .key = server_key };
}

static void expect(const char *what, const char *got, const char *want)
{
    if (want ? !strstr(got, want) : got[0] != '\0')
        fail_msg("%s: got \"%s\", want \"%s\"", what, got, want ? want : "");
}

/* ---- the handshake judges ---- */

static void both_sides_verify_and_agree(void **state)
{
    (void)state;
    static const char *const offers[] = { "rh2", "h2", NULL };
    static const char *const knows[] = { "h2", "rh2", NULL };
    struct side c = good_client(), s = good_server();
    char alpn[16];

    c.alpn = offers;
    s.alpn = knows;
    struct shake h = shake(&c, &s, "gw.example");
    if (!h.ok)
        fail_msg("client: %s; server: %s", h.client_why, h.server_why);
    cmg_tls_alpn(h.c, alpn, sizeof(alpn));
    assert_string_equal(alpn, "h2"); /* the server's preference */
    cmg_tls_alpn(h.s, alpn, sizeof(alpn));
    assert_string_equal(alpn, "h2");
    assert_int_equal(SSL_version(h.c), TLS1_3_VERSION);
    assert_string_equal(SSL_get_servername(h.s, TLSEXT_NAMETYPE_host_name), "gw.example");
    part(&h);
}

/* A reload lets go of the contexts while peers are shaking hands. */
static void handshakes_outlive_their_contexts(void **state)
{
    (void)state;
    static const char *const words[] = { "h2", NULL };
    struct side c = good_client(), s = good_server();
    char alpn[16];

    c.alpn = s.alpn = words;
    s.trust = trust_root;
    s.peer = CMG_TLS_PEER_VERIFIED;
    struct shake h = { .ct = context(false, &c), .st = context(true, &s) };
    open_sessions(&h, "gw.example");
    cmg_tls_unref(h.ct);
    cmg_tls_unref(h.st);
    h.ct = h.st = NULL;
    talk(&h);
    if (!h.ok)
        fail_msg("client: %s; server: %s", h.client_why, h.server_why);
    cmg_tls_alpn(h.s, alpn, sizeof(alpn));
    assert_string_equal(alpn, "h2");
    part(&h);
}

static void names_are_verified_by_the_client(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
    } cases[] = {
        { "gw.example", NULL },
        { "GW.EXAMPLE", NULL },
        { "gw.example.", NULL },
        { "127.0.0.1", NULL },
        { "a.wild.example", NULL },
        { "a.b.wild.example", "certificate is not for a.b.wild.example (it names gw.example" },
        { "gw", "certificate is not for gw (it names gw.example, *.wild.example, 127.0.0.1)" },
        { "127.0.0.2", "certificate is not for 127.0.0.2 (it names" },
        { NULL, "no name to verify" },
        { "", "no name to verify" },
    };
    struct side c = good_client(), s = good_server();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct shake h = shake(&c, &s, cases[i].name);
        expect(cases[i].name ? cases[i].name : "no name", h.client_why, cases[i].why);
        assert_int_equal(h.ok, !cases[i].why);
        assert_int_equal(h.client_refused, cases[i].why != NULL);
        part(&h);
    }
}

/* A certificate for one side, what that side's peer says of it, what the side itself hears. */
struct wrong {
    const char *says;
    struct cert_spec spec;
    bool no_intermediate;
    const char *why, *alert;
};

static struct cert write_leaf(const struct wrong *w, char pem[128], char key[128])
{
    struct cert l = cert_make(&w->spec);
    if (w->no_intermediate)
        keep(pem, cert_write("wrong.pem", CERTS(&l)));
    else
        keep(pem, cert_write("wrong.pem", CERTS(&l, &issuing)));
    keep(key, cert_write_key("wrong.key", &l, 0600));
    return l;
}

static void wrong_server_certificates_are_refused_in_words(void **state)
{
    (void)state;
    const char *san = "DNS:gw.example";
    struct wrong cases[] = {
        { .says = "wrong CA",
          .spec = { .cn = "gw", .san = san, .eku = "serverAuth", .issuer = &other },
          .why = "issuer \"Other Root\" of \"gw\" is not in",
          .alert = "unknown_ca" },
        { .says = "no intermediate",
          .spec = { .cn = "gw", .san = san, .eku = "serverAuth", .issuer = &issuing },
          .no_intermediate = true,
          .why = "intermediate missing or CA unknown: issuer \"Issuing\" of \"gw\" is not in",
          .alert = "unknown_ca" },
        { .says = "self-signed",
          .spec = { .cn = "gw", .san = san, .eku = "serverAuth" },
          .why = "self-signed certificate \"gw\" is not in",
          .alert = "unknown_ca" },
        { .says = "no EKU",
          .spec = { .cn = "gw", .san = san, .issuer = &issuing },
          .why = "certificate of gw lacks the extended key usage serverAuth",
          .alert = "unsupported_certificate" },
        { .says = "EKU of a client",
          .spec = { .cn = "gw", .san = san, .eku = "clientAuth", .issuer = &issuing },
          .why = "lacks the extended key usage serverAuth",
          .alert = "unsupported_certificate" },
        { .says = "no SAN, only a CN",
          .spec = { .cn = "gw.example", .eku = "serverAuth", .issuer = &issuing },
          .why = "is not for gw.example (it names no DNS name or address)",
          .alert = "bad_certificate" },
    };
    struct side c = good_client();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char pem[128], key[128];
        struct cert l = write_leaf(&cases[i], pem, key);
        struct side s = good_server();
        s.pem = pem;
        s.key = key;
        struct shake h = shake(&c, &s, "gw.example");
        expect(cases[i].says, h.client_why, cases[i].why);
        expect(cases[i].says, h.server_why, cases[i].alert);
        assert_false(h.ok);
        assert_true(h.client_refused);
        assert_true(h.server_refused);
        part(&h);
        cert_free(&l);
    }
}

static void wrong_client_certificates_are_refused_in_words(void **state)
{
    (void)state;
    struct wrong cases[] = {
        { .says = "wrong CA",
          .spec = { .cn = "cp", .eku = "clientAuth", .issuer = &other },
          .why = "issuer \"Other Root\" of \"cp\" is not in",
          .alert = "unknown_ca" },
        { .says = "no EKU",
          .spec = { .cn = "cp", .issuer = &issuing },
          .why = "certificate of cp lacks the extended key usage clientAuth",
          .alert = "unsupported_certificate" },
        { .says = "EKU of a server",
          .spec = { .cn = "cp", .eku = "serverAuth", .issuer = &issuing },
          .why = "lacks the extended key usage clientAuth",
          .alert = "unsupported_certificate" },
        { .says = "key usage without digitalSignature",
          .spec = { .cn = "cp", .eku = "clientAuth", .ku = "keyAgreement", .issuer = &issuing },
          .why = "lacks the key usage digitalSignature",
          .alert = "unsupported_certificate" },
    };
    struct side s = good_server();
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char pem[128], key[128];
        struct cert l = write_leaf(&cases[i], pem, key);
        struct side c = good_client();
        c.pem = pem;
        c.key = key;
        struct shake h = shake(&c, &s, "gw.example");
        expect(cases[i].says, h.server_why, cases[i].why);
        expect(cases[i].says, h.client_why, cases[i].alert);
        assert_true(h.client_refused);
        assert_true(h.server_refused);
        part(&h);
        cert_free(&l);
    }
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    (void)state;
    struct side c = { .trust = trust_root }, s = good_server();
    struct shake h = shake(&c, &s, "gw.example");
    expect("server", h.server_why, "the peer sent no certificate");
    expect("client", h.client_why, "wants a client certificate and got none");
    assert_true(h.client_refused);
    assert_true(h.server_refused);
    part(&h);
}

/* Certificates that expire while the program runs, which cmg_tls_new would refuse. */
static void expired_certificates_are_refused_by_the_peer(void **state)
{
    (void)state;
    struct cert l = cert_make(&(struct cert_spec){ .cn = "gw",
                                                   .san = "DNS:gw.example",
                                                   .eku = "serverAuth",
                                                   .from_days = -9,
                                                   .to_days = -2,
                                                   .issuer = &issuing });
    struct side c = good_client(), s = good_server();
    struct shake h = { .ct = context(false, &c), .st = context(true, &s) };
    SSL *probe = cmg_tls_session(h.st, NULL);
    SSL_CTX *ctx = SSL_get_SSL_CTX(probe);
    assert_int_equal(SSL_CTX_use_certificate(ctx, l.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, l.key), 1);
    SSL_free(probe);
    join_up(&h, "gw.example");
    expect("client", h.client_why, "certificate of \"gw\" expired on 20");
    expect("server", h.server_why, "our certificate has expired");
    assert_true(h.server_refused);
    part(&h);
    cert_free(&l);
}

static void unlike_protocols_end_the_handshake(void **state)
{
    (void)state;
    static const char *const offers[] = { "http/1.1", NULL };
    static const char *const knows[] = { "rh2", NULL };
    struct side c = good_client(), s = good_server();
    c.alpn = offers;
    s.alpn = knows;
    struct shake h = shake(&c, &s, "gw.example");
    expect("server", h.server_why, "offers by ALPN none");
    expect("client", h.client_why, "no_application_protocol");
    assert_false(h.client_refused);
    part(&h);

    c.alpn = NULL; /* a client that says nothing of ALPN is welcome */
    h = shake(&c, &s, "gw.example");
    assert_true(h.ok);
    part(&h);
}

static void old_versions_and_suites_are_refused(void **state)
{
    (void)state;
    struct side s = good_server();
    struct shake h = { .st = context(true, &s) };
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(old, 0);
    SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    h.s = cmg_tls_session(h.st, NULL);
    h.c = SSL_new(old);
    SSL_set_connect_state(h.c);
    BIO *a, *b;
    BIO_new_bio_pair(&a, 65536, &b, 65536);
    SSL_set_bio(h.c, a, a);
    SSL_set_bio(h.s, b, b);
    for (int i = 0; i < 8; i++) {
        ERR_clear_error();
        SSL_do_handshake(h.c);
        step(h.s, h.server_why, &h.server_refused);
    }
    expect("TLS 1.1", h.server_why, "speaks no TLS version that we do");
    SSL_free(h.c);
    SSL_free(h.s);

    SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(old, "ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256"),
                     1);
    h.server_why[0] = '\0';
    h.s = cmg_tls_session(h.st, NULL);
    h.c = SSL_new(old);
    SSL_set_connect_state(h.c);
    BIO_new_bio_pair(&a, 65536, &b, 65536);
    SSL_set_bio(h.c, a, a);
    SSL_set_bio(h.s, b, b);
    for (int i = 0; i < 8; i++) {
        ERR_clear_error();
        SSL_do_handshake(h.c);
        step(h.s, h.server_why, &h.server_refused);
    }
    expect("CBC and static RSA", h.server_why, "no common cipher suite");
    ERR_clear_error();
    SSL_free(h.c);
    SSL_free(h.s);
    SSL_CTX_free(old);
    cmg_tls_unref(h.st);
}

static void a_peer_that_speaks_no_tls_is_told_apart(void **state)
{
    (void)state;
    struct side s = good_server();
    struct cmg_tls *t = context(true, &s);
    char why[256] = "";
    bool refused = false;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *ssl = cmg_tls_session(t, NULL);

    SSL_set_bio(ssl, in, out);
    BIO_puts(in, "GET / HTTP/1.1\r\nHost: gw\r\n\r\n");
    step(ssl, why, &refused);
    assert_string_equal(why, "the peer does not speak TLS");
    assert_false(refused);
    SSL_free(ssl);
    cmg_tls_unref(t);
}

/* A reason is for the call that failed; what an earlier one left must not be told again. */
static void reasons_empty_the_error_queue(void **state)
{
    (void)state;
    struct side s = good_server();
    struct cmg_tls *t = context(true, &s);
    SSL *ssl = cmg_tls_session(t, NULL);
    char why[256];

    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    ERR_raise(ERR_LIB_X509, 101);
    cmg_tls_reason(ssl, why, sizeof(why));
    assert_string_equal(why, "no common cipher suite");
    assert_int_equal(ERR_peek_error(), 0);
    SSL_free(ssl);
    cmg_tls_unref(t);
}

/* ---- judged later ---- */

static struct cmg_trust *load(const char *path)
{
    struct cmg_err err;
    struct cmg_trust *t = cmg_trust_load(path, &err);
    if (!t)
        fail_msg("%s", err.text);
    return t;
}

static struct shake shake_later(const struct side *c)
{
    struct side s = good_server();
    s.trust = trust_all;
    s.peer = CMG_TLS_PEER_LATER;
    struct shake h = shake(c, &s, "gw.example");
    if (!h.ok)
        fail_msg("client: %s; server: %s", h.client_why, h.server_why);
    return h;
}

static void a_peer_judged_later_has_an_identity(void **state)
{
    (void)state;
    struct side c = good_client();
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(trust_all);
    struct cmg_tls_identity id;
    struct cmg_err err;

    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_OK);
    assert_string_equal(id.name, "cp.example");
    assert_string_equal(id.subject, "CN=cp");
    assert_string_equal(id.issuer, "CN=Issuing");
    assert_int_equal(strlen(id.fingerprint), 64);
    assert_int_equal(strlen(id.serial), 4);
    assert_true(id.not_before < id.not_after && id.not_before > 0);
    assert_int_equal(ERR_peek_error(), 0);
    cmg_trust_unref(trust);
    part(&h);
}

static void the_judge_takes_nothing_from_the_peer(void **state)
{
    (void)state;
    struct side c = good_client(); /* it sends the intermediate along */
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(trust_root);
    struct cmg_tls_identity id;
    struct cmg_err err;

    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_EDENIED);
    assert_non_null(strstr(err.text, "intermediate missing"));
    assert_non_null(strstr(err.text, "\"Issuing\""));
    assert_non_null(strstr(err.text, strrchr(trust_root, '/') + 1));
    assert_null(strstr(err.text, trust_root));  /* the peer may read it: no folders of ours */
    assert_string_equal(id.name, "cp.example"); /* known, if not believed */
    cmg_trust_unref(trust);
    part(&h);
}

static void the_judge_says_what_is_wrong(void **state)
{
    (void)state;
    struct wrong cases[] = {
        { .says = "wrong CA",
          .spec = { .cn = "cp", .eku = "clientAuth", .issuer = &other },
          .why = "issuer \"Other Root\" of \"cp\" is not in" },
        { .says = "no EKU",
          .spec = { .cn = "cp", .issuer = &issuing },
          .why = "lacks the extended key usage clientAuth" },
        { .says = "wrong EKU",
          .spec = { .cn = "cp", .eku = "serverAuth", .issuer = &issuing },
          .why = "lacks the extended key usage clientAuth" },
        { .says = "self-signed",
          .spec = { .cn = "cp", .eku = "clientAuth" },
          .why = "self-signed certificate \"cp\" is not in" },
        { .says = "key usage",
          .spec = { .cn = "cp", .eku = "clientAuth", .ku = "keyAgreement", .issuer = &issuing },
          .why = "lacks the key usage digitalSignature" },
        { .says = "a leaf that signs",
          .spec = { .cn = "sub", .eku = "clientAuth", .issuer = &client },
          .why = "issuer \"cp\" of \"sub\" is not in" },
    };
    struct cmg_trust *trust = load(trust_all);
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        char pem[128], key[128];
        struct cert l = write_leaf(&cases[i], pem, key);
        struct side c = { .trust = trust_root, .pem = pem, .key = key };
        struct shake h = shake_later(&c);
        struct cmg_tls_identity id;
        struct cmg_err err = { 0 };
        assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err),
                         CMG_EDENIED);
        expect(cases[i].says, err.text, cases[i].why);
        part(&h);
        cert_free(&l);
    }
    cmg_trust_unref(trust);
}

static void no_certificate_is_a_verdict_of_its_own(void **state)
{
    (void)state;
    struct side c = { .trust = trust_root };
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(trust_all);
    struct cmg_tls_identity id;
    struct cmg_err err;

    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_EDENIED);
    assert_string_equal(err.text, "the peer sent no certificate");
    assert_string_equal(id.fingerprint, "");
    cmg_trust_unref(trust);
    part(&h);
}

/* dNSName "good.example\0.evil.example": whoever compares C strings sees good.example. */
static void a_name_with_a_nul_is_no_name(void **state)
{
    (void)state;
    static const char der[] = "\x30\x1d\x82\x1bgood.example\0.evil.example\0";
    struct cert l = leaf("cp", NULL, "clientAuth");
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(raw, (const unsigned char *)der, 31);
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, raw);
    X509_add_ext(l.x, e, -1);
    X509_sign(l.x, issuing.key, EVP_sha256());
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(raw);

    char pem[128], key[128];
    keep(pem, cert_write("nul.pem", CERTS(&l)));
    keep(key, cert_write_key("nul.key", &l, 0600));
    struct side c = { .trust = trust_root, .pem = pem, .key = key };
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(trust_all);
    struct cmg_tls_identity id;
    struct cmg_err err;
    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_OK);
    assert_string_equal(id.name, "");
    cmg_trust_unref(trust);
    part(&h);
    cert_free(&l);
}

/* A ticket carries the certificate: it is judged again, against today's trust. */
static void a_resumed_peer_is_judged_as_well(void **state)
{
    (void)state;
    struct side c = good_client();
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(trust_all), *stranger = load(trust_other);
    struct cmg_tls_identity id;
    struct cmg_err err;

    SSL_SESSION *ticket = SSL_get1_session(h.c); /* after the read that brought it */
    assert_true(SSL_SESSION_is_resumable(ticket));
    SSL_set_shutdown(h.c, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* or it is spoilt */
    SSL_free(h.c);
    SSL_free(h.s);
    h.c = cmg_tls_session(h.ct, "gw.example");
    h.s = cmg_tls_session(h.st, NULL);
    SSL_set_session(h.c, ticket);
    BIO *a, *b;
    BIO_new_bio_pair(&a, 65536, &b, 65536);
    SSL_set_bio(h.c, a, a);
    SSL_set_bio(h.s, b, b);
    for (int i = 0; i < 8; i++) {
        step(h.c, h.client_why, &h.client_refused);
        step(h.s, h.server_why, &h.server_refused);
    }
    assert_true(SSL_session_reused(h.s));
    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_OK);
    assert_string_equal(id.name, "cp.example");
    assert_int_equal(cmg_tls_peer_judge(h.s, stranger, CMG_TLS_CLIENT_AUTH, &id, &err),
                     CMG_EDENIED);
    SSL_SESSION_free(ticket);
    cmg_trust_unref(trust);
    cmg_trust_unref(stranger);
    part(&h);
}

static void verified_peers_do_not_resume(void **state)
{
    (void)state;
    struct side c = good_client(), s = good_server();
    struct shake h = shake(&c, &s, "gw.example");
    SSL_SESSION *session = SSL_get1_session(h.c);
    assert_false(SSL_SESSION_is_resumable(session));
    SSL_SESSION_free(session);
    part(&h);
}

/* ---- files ---- */

static void refused_file(const char *says, const struct cmg_tls_conf *conf, const char *why)
{
    struct cmg_err err = { 0 };
    struct cmg_tls *t = cmg_tls_new(conf, &err);
    if (t)
        fail_msg("%s: accepted", says);
    assert_int_equal(err.code, CMG_ECONF);
    expect(says, err.text, why);
    assert_int_equal(ERR_peek_error(), 0);
}

static void own_files_are_checked_at_load(void **state)
{
    (void)state;
    struct cmg_tls_conf conf = { .server = true,
                                 .certificate = server_pem,
                                 .peer = CMG_TLS_PEER_NOT_ASKED };
    refused_file("no key", &conf, "has no key configured");
    conf.key = cert_path("absent.key");
    refused_file("absent key", &conf, "absent.key: No such file");
    conf.key = cert_dir;
    refused_file("directory", &conf, "not a regular file");
    conf.key = cert_write_key("open.key", &server, 0644);
    refused_file("open key", &conf, "has mode 0644");
    conf.key = server_pem;
    refused_file("not a key", &conf, "has mode 0644"); /* as public as certificates are */
    conf.key = cert_write_text("junk.key", "hello\n", 0600);
    refused_file("junk key", &conf, "holds no PEM private key");
    conf.key = client_key;
    refused_file("somebody's key", &conf, "client.key does not belong to certificate");
    conf.key = server_key;
    conf.certificate = cert_write("order.pem", CERTS(&issuing, &server));
    refused_file("order", &conf, "the leaf must come first");
    conf.certificate = cert_write_text("junk.pem", "hello\n", 0644);
    refused_file("junk", &conf, "holds no PEM certificate");
    conf.certificate = cert_path("absent.pem");
    refused_file("absent", &conf, "absent.pem: No such file");
    conf.certificate = NULL;
    refused_file("none", &conf, "a TLS server needs a certificate");
}

static void own_certificates_must_be_valid_today(void **state)
{
    (void)state;
    static const struct {
        int from, to;
        const char *why;
    } cases[] = {
        { -9, -2, "expired on 20" },
        { 2, 9, "is not valid before 20" },
    };
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cert l = cert_make(&(struct cert_spec){
            .cn = "gw", .from_days = cases[i].from, .to_days = cases[i].to, .issuer = &issuing });
        struct cmg_tls_conf conf = { .server = true,
                                     .certificate = cert_write("date.pem", CERTS(&l)),
                                     .key = cert_write_key("date.key", &l, 0600),
                                     .peer = CMG_TLS_PEER_NOT_ASKED };
        refused_file("dates", &conf, cases[i].why);
        cert_free(&l);
    }
}

static void a_locked_key_is_named_as_such(void **state)
{
    (void)state;
    const char *path = cert_path("locked.key");
    FILE *f = fopen(path, "w");
    PEM_write_PKCS8PrivateKey(f, server.key, EVP_aes_128_cbc(), "pass", 4, NULL, NULL);
    fclose(f);
    chmod(path, 0600);
    struct cmg_tls_conf conf = {
        .server = true, .certificate = server_pem, .key = path, .peer = CMG_TLS_PEER_NOT_ASKED
    };
    refused_file("locked", &conf, "protected by a passphrase");
}

static void nobody_goes_unverified_by_mistake(void **state)
{
    (void)state;
    struct cmg_tls_conf conf = { .peer = CMG_TLS_PEER_NOT_ASKED };
    refused_file("client", &conf, "a TLS client must verify its peer");
    conf.peer = CMG_TLS_PEER_VERIFIED;
    refused_file("no trust", &conf, "no CA is configured");
}

static void trust_files_are_checked(void **state)
{
    (void)state;
    struct cmg_err err;
    assert_null(cmg_trust_load(cert_path("absent"), &err));
    expect("absent", err.text, "No such file");
    assert_null(cmg_trust_load(cert_write_text("empty", "", 0644), &err));
    expect("empty", err.text, "holds no PEM certificate");

    /* Root, then garbage in PEM clothes: not half a trust, but none. */
    char text[8192];
    FILE *f = fopen(trust_root, "r");
    size_t n = fread(text, 1, 4096, f);
    fclose(f);
    snprintf(text + n, sizeof(text) - n,
             "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    assert_null(cmg_trust_load(cert_write_text("half.pem", text, 0644), &err));
    expect("half", err.text, "certificate 2 in it is damaged");
}

/* An intermediate alone anchors nothing. */
static void only_self_signed_certificates_anchor(void **state)
{
    (void)state;
    struct side c = good_client();
    struct shake h = shake_later(&c);
    struct cmg_trust *trust = load(cert_write("issuing.pem", CERTS(&issuing)));
    struct cmg_tls_identity id;
    struct cmg_err err;
    assert_int_equal(cmg_tls_peer_judge(h.s, trust, CMG_TLS_CLIENT_AUTH, &id, &err), CMG_EDENIED);
    expect("issuing", err.text, "issuer \"Root\" of \"Issuing\" is not in");
    cmg_trust_unref(trust);
    part(&h);
}

/* As RFC 9440 has it; what does not fit is left out whole. */
static void a_peers_certificate_is_told_as_a_field(void **state)
{
    (void)state;
    struct side c = good_client();
    struct shake h = shake_later(&c);
    char text[CMG_TLS_CERTIFICATE_TEXT], got[CMG_TLS_CERTIFICATE_TEXT];
    unsigned char *der = NULL;
    int bytes = i2d_X509(client.x, &der);
    size_t n = cmg_tls_peer_certificate_field(h.s, text, sizeof(text)), len = 0;

    assert_int_equal(strlen(text), n);
    assert_true(n > 2 && text[0] == ':' && text[n - 1] == ':');
    assert_int_equal(CMG_OK,
                     cmg_base64_get(CMG_BASE64, (struct cmg_str){ text + 1, n - 2 }, got, &len));
    assert_int_equal(bytes, len);
    assert_memory_equal(der, got, len);
    assert_int_equal(n, cmg_tls_peer_certificate_field(h.s, got, n + 1));
    assert_string_equal(text, got);
    assert_int_equal(0, cmg_tls_peer_certificate_field(h.s, got, n));
    assert_string_equal("", got);
    assert_int_equal(0, cmg_tls_peer_certificate_field(h.s, NULL, 0));
    OPENSSL_free(der);
    part(&h);
}

static void no_certificate_is_no_field(void **state)
{
    (void)state;
    struct side c = good_client();
    char text[16] = "x";
    c.pem = c.key = NULL;
    struct shake h = shake_later(&c);
    assert_int_equal(0, cmg_tls_peer_certificate_field(h.s, text, sizeof(text)));
    assert_string_equal("", text);
    part(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_verify_and_agree),
        cmocka_unit_test(handshakes_outlive_their_contexts),
        cmocka_unit_test(names_are_verified_by_the_client),
        cmocka_unit_test(wrong_server_certificates_are_refused_in_words),
        cmocka_unit_test(wrong_client_certificates_are_refused_in_words),
        cmocka_unit_test(a_client_without_a_certificate_is_refused),
        cmocka_unit_test(expired_certificates_are_refused_by_the_peer),
        cmocka_unit_test(unlike_protocols_end_the_handshake),
        cmocka_unit_test(old_versions_and_suites_are_refused),
        cmocka_unit_test(a_peer_that_speaks_no_tls_is_told_apart),
        cmocka_unit_test(reasons_empty_the_error_queue),
        cmocka_unit_test(a_peer_judged_later_has_an_identity),
        cmocka_unit_test(the_judge_takes_nothing_from_the_peer),
        cmocka_unit_test(the_judge_says_what_is_wrong),
        cmocka_unit_test(no_certificate_is_a_verdict_of_its_own),
        cmocka_unit_test(a_name_with_a_nul_is_no_name),
        cmocka_unit_test(a_resumed_peer_is_judged_as_well),
        cmocka_unit_test(verified_peers_do_not_resume),
        cmocka_unit_test(own_files_are_checked_at_load),
        cmocka_unit_test(own_certificates_must_be_valid_today),
        cmocka_unit_test(a_locked_key_is_named_as_such),
        cmocka_unit_test(nobody_goes_unverified_by_mistake),
        cmocka_unit_test(trust_files_are_checked),
        cmocka_unit_test(only_self_signed_certificates_anchor),
        cmocka_unit_test(a_peers_certificate_is_told_as_a_field),
        cmocka_unit_test(no_certificate_is_no_field),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
