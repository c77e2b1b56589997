/* SPDX-License-Identifier: MIT */
/* The vocabulary of HTTP that HTTP/1.1 and HTTP/2 share (RFC 9110): what a message
 * says once its framing is gone. Everything is borrowed from the bytes it was read
 * from and good until the call that hands it over returns.
 */
#ifndef CMG_PROTO_HTTP_H
#define CMG_PROTO_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/str.h"

struct cmg_field {
    struct cmg_str name;  /* as received: HTTP/2 has lower case only, compare with ieq */
    struct cmg_str value; /* no blanks at the ends, no CR, LF or NUL                   */
};

/* Head of a request or of a response. The fields are the end-to-end ones in the order
 * received, duplicates kept: the codecs take out what belongs to one connection (Host,
 * Content-Length, Transfer-Encoding, Connection and what it names, Keep-Alive, TE,
 * Trailer, Upgrade, Proxy-Connection) and put their own in. */
struct cmg_head {
    struct cmg_str method;    /* requests: any token                           */
    struct cmg_str target;    /* requests: raw path and query, or "*"          */
    struct cmg_str scheme;    /* requests: "https" or "http"                   */
    struct cmg_str authority; /* requests: Host or :authority                  */
    unsigned status;          /* responses: 100..999; 0 in a request           */
    struct cmg_str reason;    /* responses; empty when HTTP/2 carried it       */
    const struct cmg_field *fields;
    size_t nfields;
    int64_t length; /* declared Content-Length; -1: none was declared             */
    bool end;       /* nothing follows: no body and no trailers. A HEAD or 304
                     * response may have end and a length.                        */
};

/* The first field of that name, or NULL. */
const struct cmg_field *cmg_field_find(const struct cmg_field *f, size_t n, struct cmg_str name);

/* True for fields that belong to one connection and are never relayed: Connection,
 * Keep-Alive, Proxy-Connection, Transfer-Encoding, TE, Trailer, Upgrade, HTTP2-Settings. */
bool cmg_field_is_hop_by_hop(struct cmg_str name);

/* True for field names and values that may go on the wire (RFC 9110 section 5). */
bool cmg_field_name_ok(struct cmg_str name);
bool cmg_field_value_ok(struct cmg_str value);
bool cmg_token_ok(struct cmg_str token);

/* A byte of a field's name as a back end sees it that makes a variable of the field (CGI, WSGI,
 * FastCGI): case is lost, and whatever is no letter or digit is one and the same: '-' here. Most
 * fold '_' only; lighttpd and older Apaches fold all. */
static inline char cmg_field_fold(char c)
{
    c = cmg_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

/* True when `name`, folded, equals `want`, which is written folded. */
bool cmg_field_is_alias(struct cmg_str name, struct cmg_str want);

/* The registered phrase for a status, "" when there is none. */
const char *cmg_reason(unsigned status);

#endif
