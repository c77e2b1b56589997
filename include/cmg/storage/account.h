/* SPDX-License-Identifier: MIT */
/* An account of Azure Blob storage: where it is, and what proves that we may use it. Either its
 * shared key, with which anything can be signed, or a shared access signature (SAS) that somebody
 * else made. Pure: no file, no clock.
 */
#ifndef CMG_STORAGE_ACCOUNT_H
#define CMG_STORAGE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

/* The version of the service that every request and signature asks for. Signatures are made of
 * what this version prescribes, so it changes together with them. */
#define CMG_STORAGE_VERSION "2020-12-06"

enum {
    CMG_ACCOUNT_NAME_MAX = 24,
    CMG_CONTAINER_MAX = 63,
    CMG_BLOB_NAME_MAX = 1024, /* bytes, before percent-encoding */
    CMG_STORAGE_URL_MAX = 512,
    CMG_SAS_MAX = 1024
};

struct cmg_account;

/* `url` is that of the blob service, with or without a slash at the end; an emulator has its
 * account in the path (http://127.0.0.1:10000/devstoreaccount1). NULL:
 * https://NAME.blob.core.windows.net. NULL with err (CMG_ECONF): not such a name or URL; it has a
 * query, a user or a name that would have to be encoded. */
struct cmg_account *cmg_account_new(const char *name, const char *url, struct cmg_err *err);
void cmg_account_free(struct cmg_account *a); /* wipes; NULL is ignored */

/* The shared key as the portal shows it: base64, blanks and line ends around it do not count.
 * CMG_ECONF: it is not; then nothing has changed. */
CMG_MUST_CHECK enum cmg_rc cmg_account_use_key(struct cmg_account *a, struct cmg_str text,
                                               struct cmg_err *err);
/* A SAS as the portal shows it, "?" in front or not, as cmg_sas_read takes it. CMG_ECONF. */
CMG_MUST_CHECK enum cmg_rc cmg_account_use_sas(struct cmg_account *a, struct cmg_str text,
                                               struct cmg_err *err);

const char *cmg_account_name(const struct cmg_account *a);
const char *cmg_account_url(const struct cmg_account *a); /* without a slash at the end */
bool cmg_account_has_key(const struct cmg_account *a);
/* The SAS it was given, or NULL. */
const struct cmg_sas *cmg_account_sas(const struct cmg_account *a);

/* True for what may be a container's name: 3 to 63 of a-z, 0-9 and single hyphens inside. */
bool cmg_container_ok(struct cmg_str name);
/* True for a name that every part of the way reads alike: UTF-8 of 1 to CMG_BLOB_NAME_MAX bytes
 * without control characters, backslash, empty, "." or ".." segments, or a dot or slash at the
 * end. */
bool cmg_blob_name_ok(struct cmg_str name);

/* Shared access signatures --------------------------------------------------------------- */

enum cmg_sas_may { /* what is signed into `sp` */
                   CMG_SAS_READ = 1,
                   CMG_SAS_LIST = 2,
                   CMG_SAS_WRITE = 4,
                   CMG_SAS_CREATE = 8,
                   CMG_SAS_OTHER = 16 /* add, delete and whatever there is besides */
};

struct cmg_sas {
    unsigned may;           /* bits of enum cmg_sas_may */
    int64_t since, until;   /* `st` (0: none) and `se`: seconds since 1970 */
    char text[CMG_SAS_MAX]; /* the query, without "?"; a secret */
};

/* Strict: every parameter once; a service or user delegation SAS for a container (sr=c) with sp,
 * se, sv and sig; no stored access policy (si), because that hides what is allowed, and no address
 * range (sip), because clients come from anywhere. CMG_ECONF: err names the parameter, never its
 * value. */
CMG_MUST_CHECK enum cmg_rc cmg_sas_read(struct cmg_str text, struct cmg_sas *out,
                                        struct cmg_err *err);

/* A URL from which whoever has it may read this one blob until `until`, seconds since 1970, to be
 * freed by the caller. `base` is the blob service as they reach it (NULL: the account's own URL);
 * where that is https, the signature is good for https only. With an account that has a SAS, the
 * URL carries that SAS, whatever it allows and whenever it ends: look before. */
char *cmg_account_share(const struct cmg_account *a, const char *base, const char *container,
                        struct cmg_str blob, int64_t until);

#endif
