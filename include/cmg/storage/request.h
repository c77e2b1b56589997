/* SPDX-License-Identifier: MIT */
/* Requests of the Blob service, signed and ready for cmg_fetch_start. Pure.
 *
 *   struct cmg_blob_request r;
 *   cmg_blob_request_make(&r, account, &(struct cmg_blob_op){ .verb = CMG_BLOB_LIST, ... }, now);
 *   ... .method = r.method, .url = r.url, .fields = r.fields, .nfields = r.nfields, .body = ...
 *   cmg_blob_request_clear(&r);      (once cmg_fetch_start has returned)
 *
 * The fields are part of what is signed: none may be left out or changed. What fetching adds of its
 * own (Host, Content-Length, User-Agent, Accept) is not.
 */
#ifndef CMG_STORAGE_REQUEST_H
#define CMG_STORAGE_REQUEST_H

#include <stdint.h>

#include "cmg/auth/digest.h"
#include "cmg/base/buf.h"
#include "cmg/proto/http.h"
#include "cmg/storage/account.h"

enum cmg_blob_verb {
    CMG_BLOB_CREATE_CONTAINER, /* PUT: 201; 409 ContainerAlreadyExists */
    CMG_BLOB_LIST,             /* GET: 200, read by cmg/storage/listing.h */
    CMG_BLOB_GET,              /* GET: 200; 404 BlobNotFound */
    CMG_BLOB_HEAD,             /* HEAD: 200 with Content-Length, Content-MD5, ETag; 404 */
    CMG_BLOB_PUT,              /* PUT: 201, the whole blob in the body, up to 5000 MiB */
    CMG_BLOB_PUT_BLOCK,        /* PUT: 201, one block in the body, up to 4000 MiB */
    CMG_BLOB_PUT_BLOCK_LIST,   /* PUT: 201, the body by cmg_block_list_put */
    CMG_BLOB_GET_BLOCK_LIST,   /* GET: 200, read by cmg_block_list_read */
    CMG_BLOB_DELETE            /* DELETE: 202; 404 */
};

struct cmg_blob_op {
    enum cmg_blob_verb verb;
    const char *container;
    struct cmg_str blob; /* name, not encoded; of all but CREATE_CONTAINER and LIST */

    /* LIST */
    struct cmg_str prefix, marker; /* empty: none */
    unsigned page;                 /* entries a page, at most 5000; 0: that */

    /* PUT_BLOCK: any bytes, the same number in all blocks of a blob; base64 is done here */
    struct cmg_str block;

    /* the request's body: it is signed by its size and digest only */
    size_t length;
    const unsigned char
        *md5; /* of the body, CMG_MD5_BYTES, so that the service checks it; or NULL */

    /* PUT and PUT_BLOCK_LIST: what readers of the blob are told */
    struct cmg_str type; /* Content-Type, up to 128 bytes; empty: application/octet-stream */
    const unsigned char *blob_md5; /* of the whole blob; NULL: none is kept */
    bool only_new;                 /* 409 BlobAlreadyExists where there is one */
};

enum { CMG_BLOB_FIELDS_MAX = 9, CMG_BLOCK_ID_MAX = 64, CMG_BLOCKS_MAX = 50000 };

struct cmg_blob_request {
    const char *method;
    char *url; /* owned; a secret when the account has a SAS */
    struct cmg_field fields[CMG_BLOB_FIELDS_MAX];
    size_t nfields;
    struct cmg_buf text; /* what the fields' values lie in */
};

/* `now`: seconds since 1970; the service refuses what is more than 15 minutes off. The account must
 * have a key or a SAS, container and blob be names that cmg_container_ok and cmg_blob_name_ok
 * take: anything else aborts. */
void cmg_blob_request_make(struct cmg_blob_request *r, const struct cmg_account *a,
                           const struct cmg_blob_op *op, int64_t now);
void cmg_blob_request_clear(struct cmg_blob_request *r);

/* Why the service refused, for people and without a secret: "403 AuthenticationFailed". The code
 * is that of the field x-ms-error-code; where there is none, the status alone. */
enum { CMG_BLOB_WHY = 96 };
void cmg_blob_why(unsigned status, const struct cmg_field *fields, size_t nfields,
                  char out[CMG_BLOB_WHY]);

/* Blocks --------------------------------------------------------------------------------- */

/* The body of PUT_BLOCK_LIST: these blocks in this order, the latest upload of each. CMG_ETOOBIG:
 * the buffer's ceiling, or more than CMG_BLOCKS_MAX. */
CMG_MUST_CHECK enum cmg_rc cmg_block_list_put(struct cmg_buf *b, const struct cmg_str *blocks,
                                              size_t n);

struct cmg_block {
    unsigned char id[CMG_BLOCK_ID_MAX]; /* decoded */
    size_t nid;
    int64_t size;
    bool committed;
};
/* The answer of GET_BLOCK_LIST: *blocks is to be freed by the caller. CMG_EPROTO. */
CMG_MUST_CHECK enum cmg_rc cmg_block_list_read(struct cmg_str xml, struct cmg_block **blocks,
                                               size_t *n, struct cmg_err *err);

#endif
