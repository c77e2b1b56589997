/* SPDX-License-Identifier: MIT */
/* Digests that others prescribe: SHA-256 and HMAC for signatures of storage requests, MD5 because
 * HTTP's Content-MD5 is one. MD5 shows that bytes were damaged, never that nobody changed them.
 * Pure. */
#ifndef CMG_AUTH_DIGEST_H
#define CMG_AUTH_DIGEST_H

#include "cmg/base/str.h"

enum { CMG_SHA256_BYTES = 32, CMG_MD5_BYTES = 16 };

void cmg_sha256(struct cmg_str bytes, unsigned char out[CMG_SHA256_BYTES]);
void cmg_hmac_sha256(struct cmg_str key, struct cmg_str bytes, unsigned char out[CMG_SHA256_BYTES]);
void cmg_md5(struct cmg_str bytes, unsigned char out[CMG_MD5_BYTES]);

/* The same over bytes that come piece by piece, as those of a file do. */
struct cmg_md5_sum;
struct cmg_md5_sum *cmg_md5_sum_new(void);
void cmg_md5_sum_add(struct cmg_md5_sum *m, struct cmg_str bytes);
void cmg_md5_sum_end(struct cmg_md5_sum *m, unsigned char out[CMG_MD5_BYTES]); /* once */
void cmg_md5_sum_free(struct cmg_md5_sum *m);                                  /* NULL is ignored */

#endif
