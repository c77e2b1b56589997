/* SPDX-License-Identifier: MIT */
/* What an endpoint is told of a client: the fields of its pass-identity, made from the identity
 * that the gateway vouches for. What a client says under their names never gets through. */
#ifndef CMG_POINT_PASSPORT_H
#define CMG_POINT_PASSPORT_H

#include "cmg/auth/identity.h"
#include "cmg/proto/http.h"

enum { PASSPORT_MAX = 16, PASSPORT_NAME_MAX = 64 };

struct passport { /* of one endpoint; zeroed: it is told nothing */
    struct passport_entry {
        char *name; /* owned; of the field */
        int what;   /* private */
    } v[PASSPORT_MAX];
    size_t n;
};

/* One item of pass-identity, for the option table: "client-cert" or "Header-Name=attribute".
 * CMG_ECONF: err says what is wrong with it and what is allowed. */
CMG_MUST_CHECK enum cmg_rc passport_check(const char *item, struct cmg_err *err);

/* All items, NULL-ended. CMG_ECONF, with nothing to clear: passport_check refuses one, there are
 * more than PASSPORT_MAX, or two that a back end could take for one field. */
CMG_MUST_CHECK enum cmg_rc passport_read(char *const *items, struct passport *p,
                                         struct cmg_err *err);
void passport_clear(struct passport *p);

/* True when the client's certificate itself is among them. */
bool passport_wants_certificate(const struct passport *p);

/* True for fields of a request that must not reach this endpoint as its client sent them: those
 * that it is told itself, in every spelling, also when there is nothing to tell; and for every
 * endpoint Client-Cert and Client-Cert-Chain. */
bool passport_claims(const struct passport *p, struct cmg_str name);

struct passport_bearer {        /* one client, for one request */
    struct cmg_identity who;    /* how = CMG_BY_NOTHING: nobody vouches for it     */
    struct cmg_str certificate; /* borrowed; ":base64:", empty when there is none  */
    char text[CMG_IDENTITY_TEXT], since[24], until[24]; /* private                 */
};

/* Writes at most PASSPORT_MAX fields and returns their number; they are good as long as both
 * arguments are. What the client does not have is left out; of nobody there is nothing to tell. */
size_t passport_put(const struct passport *p, struct passport_bearer *b, struct cmg_field *out);

#endif
