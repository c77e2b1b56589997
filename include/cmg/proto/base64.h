/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648), both alphabets, strict: one text for one run of bytes. Pure. */
#ifndef CMG_PROTO_BASE64_H
#define CMG_PROTO_BASE64_H

#include <stddef.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum cmg_base64 {
    CMG_BASE64,   /* section 4, with padding: Azure's keys and signatures, RFC 9440 fields */
    CMG_BASE64URL /* section 5, without padding: JOSE (RFC 7515 section 2)                 */
};

/* Characters that n bytes become, without a NUL. */
size_t cmg_base64_size(enum cmg_base64 kind, size_t n);
/* Writes them and a NUL: `out` has cmg_base64_size(n) + 1 bytes. Returns their number. */
size_t cmg_base64_put(enum cmg_base64 kind, struct cmg_str bytes, char *out);

/* The most bytes that n characters can stand for. */
size_t cmg_base64_room(size_t n);
/* Decodes into `out`, cmg_base64_room(text.n) bytes. CMG_EPROTO: a character that is not of the
 * alphabet (blanks and line ends included), padding missing, too much or where none belongs,
 * or bits behind the last byte that are not zero. */
CMG_MUST_CHECK enum cmg_rc cmg_base64_get(enum cmg_base64 kind, struct cmg_str text, void *out,
                                          size_t *n);

#endif
