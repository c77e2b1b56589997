/* SPDX-License-Identifier: MIT */
/* Who a client proved to be, and how: one value per request, computed in one place, used for
 * every later decision, logged, and handed to the connection point in one field. Never a
 * secret. Pure. */
#ifndef CMG_AUTH_IDENTITY_H
#define CMG_AUTH_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum cmg_identity_how {
    CMG_BY_NOTHING, /* zeroed: nobody */
    CMG_BY_CERTIFICATE,
    CMG_BY_ENTRA,
    CMG_BY_SITE_TOKEN,
    CMG_BY_CONTENT_TOKEN
};
/* "none", "certificate", "entra", "site-token", "content-token" */
const char *cmg_identity_how_name(enum cmg_identity_how how);

enum cmg_identity_kind {
    CMG_KIND_DEVICE, /* a client: certificate, Entra device token, client token */
    CMG_KIND_USER,   /* Entra user token                                        */
    CMG_KIND_BULK    /* a bulk registration token: registration paths only      */
};
const char *cmg_identity_kind_name(enum cmg_identity_kind kind); /* "device", "user", "bulk" */

struct cmg_identity {
    enum cmg_identity_how how;
    enum cmg_identity_kind kind;
    char name[256];  /* for people: certificate's name, device or user name, else the id   */
    char id[64];     /* GUID of client, device, user or token; "" for certificates         */
    char tenant[64]; /* Entra tenant or hierarchy; "" for certificates                     */
    char sha256[65]; /* of the certificate, hex; "" for tokens                             */
    int64_t since;   /* seconds since 1970: when this was verified                         */
    int64_t until;   /* when it ends: end of the certificate or token                      */
};

enum { CMG_IDENTITY_TEXT = 768 };

/* The value of the field cmg-identity, an RFC 8941 item with parameters:
 *   certificate; kind=device; name="PC1.example"; sha256="..."; since=1767225600; until=1767312000
 * Empty members are left out, and times of 0 and less. What is not printable ASCII, and '"' and
 * '\', become '_'. Returns its length. */
size_t cmg_identity_write(const struct cmg_identity *i, char out[CMG_IDENTITY_TEXT]);

/* The other way. CMG_EPROTO: not such an item; no kind; a value of another type, longer than its
 * member, or with an escape, which cmg_identity_write never makes; known parameters twice. Unknown
 * ones are ignored. *i is zeroed then: nobody. */
CMG_MUST_CHECK enum cmg_rc cmg_identity_read(struct cmg_str value, struct cmg_identity *i,
                                             struct cmg_err *err);

/* True for 8-4-4-4-12 hex digits in any case; `out` (may be NULL) gets it in lower case. */
bool cmg_guid_ok(struct cmg_str text, char out[37]);

#endif
