/* SPDX-License-Identifier: MIT */
/* TLS contexts and what they know of a peer. OpenSSL is named only on this floor. */
#ifndef CMG_NET_TLS_H
#define CMG_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"

struct cmg_tls;   /* a context: our certificate, our trust, ALPN; reference counted */
struct cmg_trust; /* a set of CA certificates; reference counted                    */
struct ssl_st;    /* OpenSSL's SSL */
struct x509_st;   /* OpenSSL's X509 */

enum cmg_tls_peer {
    CMG_TLS_PEER_VERIFIED, /* the handshake fails unless the peer's chain ends in `trust`   */
    CMG_TLS_PEER_LATER,    /* servers: a certificate is asked for, not judged; whoever needs
                            * the identity calls cmg_tls_peer_judge                        */
    CMG_TLS_PEER_NOT_ASKED /* servers: no certificate is asked for                         */
};

struct cmg_tls_conf {
    bool server;
    const char *certificate; /* PEM, leaf first, then intermediates; NULL: none (clients)      */
    const char *key;         /* PEM; must not be readable by group or others (but group of the
                              * service, mode 0640, owner root, is accepted)                   */
    struct cmg_trust *trust; /* borrowed; CAs for VERIFIED, CA names offered for LATER         */
    enum cmg_tls_peer peer;
    const char *const *alpn; /* NULL-ended, by preference; NULL: no ALPN. A server that shares no
                              * protocol with the client refuses the handshake (RFC 7301), unless
                              * the client sent no ALPN at all.                                */
};

/* TLS 1.2 and newer, forward-secret AEAD suites only, no compression, no renegotiation.
 * NULL with err naming the file and what is wrong with it (missing, unreadable, mode, not
 * PEM, key does not belong to certificate, expired). */
struct cmg_tls *cmg_tls_new(const struct cmg_tls_conf *conf, struct cmg_err *err);
struct cmg_tls *cmg_tls_ref(struct cmg_tls *t);
void cmg_tls_unref(struct cmg_tls *t); /* NULL is ignored */

/* Roots and intermediates from a PEM file; at least one. Every certificate in it anchors
 * a chain only if it is self-signed; the others complete chains. NULL with err. */
struct cmg_trust *cmg_trust_load(const char *path, struct cmg_err *err);
struct cmg_trust *cmg_trust_ref(struct cmg_trust *t);
void cmg_trust_unref(struct cmg_trust *t); /* NULL is ignored */

/* A new connection state for this context, which it may outlive; streams call it. `name`: clients
 * verify the peer's SAN against it (DNS name or IP address) and send it as SNI (names only). */
struct ssl_st *cmg_tls_session(struct cmg_tls *t, const char *name);

/* The peer's certificate in words; strings are owned by the caller's struct. */
struct cmg_tls_identity {
    char name[256];    /* first SAN dNSName, else subject CN, else empty */
    char subject[512]; /* RFC 2253                                       */
    char issuer[512];
    char serial[72];               /* hex                                            */
    char fingerprint[65];          /* SHA-256 of the DER, hex                        */
    int64_t not_before, not_after; /* seconds since 1970                     */
};

/* What the first `max` certificates of a PEM file say. Returns how many are in it; 0 with err. */
size_t cmg_tls_read_certificates(const char *path, struct cmg_tls_identity *out, size_t max,
                                 struct cmg_err *err);
/* All that cmg_tls_new says of a certificate and its key, without a context. */
CMG_MUST_CHECK enum cmg_rc cmg_tls_check_pair(const char *certificate, const char *key,
                                              struct cmg_err *err);
enum cmg_tls_usage { CMG_TLS_CLIENT_AUTH, CMG_TLS_SERVER_AUTH };

/* Judges the peer's leaf certificate against `trust` now: chain built only from `trust`,
 * validity, extended key usage (must be present), digitalSignature when key usage is
 * present. CMG_EDENIED: err says which check failed and what to do ("no certificate",
 * "intermediate missing: issuer CN=... is not in FILE", "expired on ..."). `id` is filled
 * whenever there is a certificate. */
CMG_MUST_CHECK enum cmg_rc cmg_tls_peer_judge(struct ssl_st *ssl, struct cmg_trust *trust,
                                              enum cmg_tls_usage usage, struct cmg_tls_identity *id,
                                              struct cmg_err *err);

/* The peer's leaf certificate, borrowed from `ssl`; NULL: none. */
struct x509_st *cmg_tls_peer_certificate(struct ssl_st *ssl);
/* That certificate in words, judged or not. False: there is none. */
bool cmg_tls_peer_about(struct ssl_st *ssl, struct cmg_tls_identity *out);
/* cmg_tls_peer_judge, of a certificate; `leaf` may be NULL. */
CMG_MUST_CHECK enum cmg_rc cmg_tls_judge(struct x509_st *leaf, struct cmg_trust *trust,
                                         enum cmg_tls_usage usage, struct cmg_tls_identity *id,
                                         struct cmg_err *err);

/* The peer's certificate as a field has it (RFC 9440): ":", base64 of its DER, ":", and a NUL.
 * Returns its length; 0, and "" if there is room for that: none, or longer than `size` allows. */
enum { CMG_TLS_CERTIFICATE_TEXT = 8 * 1024 };
size_t cmg_tls_peer_certificate_field(struct ssl_st *ssl, char *out, size_t size);

/* What was agreed on; "TLSv1.2", "TLSv1.3". */
enum cmg_tls_version { CMG_TLS_1_2, CMG_TLS_1_3, CMG_TLS_VERSIONS };
extern const char *const cmg_tls_version_names[];
enum cmg_tls_version cmg_tls_version(struct ssl_st *ssl);
/* True when the handshake went on from an earlier one's session. */
bool cmg_tls_resumed(struct ssl_st *ssl);

/* The certificates of a trust, in the order of the file. */
size_t cmg_trust_count(const struct cmg_trust *t);
void cmg_trust_certificate(const struct cmg_trust *t, size_t i, struct cmg_tls_identity *out);

/* What a server showed a client of ours, as far as the handshake came: for whoever has to explain
 * more than one sentence can. */
enum cmg_tls_fault {
    CMG_TLS_SOUND,   /* nothing was found wrong, or nothing was seen                  */
    CMG_TLS_NAME,    /* its certificate is for another name                           */
    CMG_TLS_ISSUER,  /* its chain ends in a CA that we do not trust, or is incomplete */
    CMG_TLS_EXPIRED, /* it, or its issuer's certificate                               */
    CMG_TLS_EARLY,   /* not valid yet, or our clock is slow                           */
    CMG_TLS_USAGE,   /* not for servers                                               */
    CMG_TLS_CHAIN,   /* something else about the chain                                */
    CMG_TLS_OURS     /* the peer refused our certificate, or wants one and got none   */
};
struct cmg_tls_seen {
    enum cmg_tls_fault fault;
    char version[16];              /* "TLSv1.3"; "": not known                                */
    char names[128];               /* of its certificate; "": none was seen                   */
    char issuer[96];               /* of its certificate, the common name                     */
    unsigned sent;                 /* certificates that it sent, its own included             */
    bool named;                    /* the certificate is for the name that we asked for       */
    bool akin;                     /* the issuer says the same organization as a CA we trust  */
    int64_t not_before, not_after; /* seconds since 1970                                      */
};
/* Of a connection that was made with cmg_tls_session, open or failed. */
void cmg_tls_seen(struct ssl_st *ssl, struct cmg_tls_seen *out);

/* A certificate of our own, as it lies in its files now. */
struct cmg_tls_own {
    struct cmg_tls_identity id;
    char top[96];     /* whom the last certificate of the file was issued by            */
    unsigned n;       /* certificates in the file                                        */
    bool linked;      /* each is issued by the next                                      */
    bool fits;        /* the key is the certificate's                                    */
    bool usable;      /* the extended key usage has clientAuth                           */
    bool self_signed; /* the first one */
};
/* CMG_ECONF: a file cannot be read; err says which and why. */
CMG_MUST_CHECK enum cmg_rc cmg_tls_own_read(const char *certificate, const char *key,
                                            struct cmg_tls_own *out, struct cmg_err *err);

/* The ALPN protocol agreed on, "" when none. */
void cmg_tls_alpn(struct ssl_st *ssl, char *out, size_t size);

/* Turns what OpenSSL has to say about a failed call on `ssl` into one sentence, and empties
 * its error queue: certificate verify errors with subject, alerts in words, protocol. */
void cmg_tls_reason(struct ssl_st *ssl, char *out, size_t size);

/* True when what cmg_tls_reason described was a verdict on a certificate, ours or the peer's
 * (in TLS 1.3 the verdict on a client's comes after its handshake, as a failed read). */
bool cmg_tls_refused(struct ssl_st *ssl); /* NULL: false */

/* CMG_ECONF when `path` cannot be read, is not a regular file, or may be read by others;
 * err names path, mode and remedy. For keys, passwords and tokens. */
CMG_MUST_CHECK enum cmg_rc cmg_secret_check(const char *path, struct cmg_err *err);

/* Reads such a file: at most `max` bytes, one trailing line end cut off. NULL with err.
 * Free with cmg_secret_free, which wipes it. */
char *cmg_secret_read(const char *path, size_t max, struct cmg_err *err);
void cmg_secret_free(char *secret);

#endif
