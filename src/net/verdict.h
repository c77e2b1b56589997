/* SPDX-License-Identifier: MIT */
/* What is wrong with a certificate or a handshake, in one sentence that an operator can act
 * on. The sentence is made while OpenSSL still knows, and kept beside its SSL. */
#ifndef CMG_NET_VERDICT_H
#define CMG_NET_VERDICT_H

#include <stdatomic.h>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "cmg/net/tls.h"

struct cmg_verdict {
    atomic_uint refs;
    bool refused;       /* somebody's certificate was judged and found wanting */
    struct cmg_err why; /* text empty: nothing was said yet                    */
    char names[128];    /* of the last certificate seen: "a, b"                */
    struct cmg_tls_seen seen;
    char file[96]; /* contexts that libcurl makes: what they trust        */
};

struct cmg_verdict *cmg_verdict_new(void);
struct cmg_verdict *cmg_verdict_ref(struct cmg_verdict *v);
void cmg_verdict_unref(struct cmg_verdict *v); /* NULL is ignored */

/* Ties a verdict to a connection, or to all connections of a context; takes a reference that
 * goes with the SSL or SSL_CTX. cmg_verdict_of finds it from a connection, or NULL. */
void cmg_verdict_tie(SSL *ssl, struct cmg_verdict *v);
void cmg_verdict_tie_context(SSL_CTX *ctx, struct cmg_verdict *v);
struct cmg_verdict *cmg_verdict_of(const SSL *ssl);

/* What a chain is held against. */
struct cmg_verdict_rule {
    enum cmg_tls_usage usage;
    bool named;             /* the leaf must name that usage; else silence counts as any */
    const char *trust_path; /* for the sentence */
};

/* X509_verify_cert and the rule. CMG_EDENIED with err. */
CMG_MUST_CHECK enum cmg_rc cmg_verdict_judge(X509_STORE_CTX *c, const struct cmg_verdict_rule *rule,
                                             struct cmg_err *err);

/* What a certificate that was just judged, well or not, says of itself and of the verdict. */
void cmg_verdict_note(X509_STORE_CTX *c, struct cmg_tls_seen *out);

/* "a, b" of the SAN, cut with "..." when there are many. */
void cmg_verdict_names(const X509 *x, char *out, size_t size);

/* A TLS alert that the peer sent, in words. True: it is about a certificate. */
bool cmg_verdict_alert(int alert, char *out, size_t size);

/* "2026-01-31" */
void cmg_verdict_date(const ASN1_TIME *t, char out[16]);

/* The common name, else all of it; cut to fit a sentence. */
void cmg_verdict_name(const X509_NAME *name, char *out, size_t size);

/* The last part of a path. */
const char *cmg_verdict_file(const char *path);

/* The common name, else the first SAN, else the subject; cut to fit a sentence. */
void cmg_verdict_who(const X509 *x, char *out, size_t size);

#endif
