/* SPDX-License-Identifier: MIT */
/* What a connection point says of itself, as JSON, when the gateway asks
 * GET /.well-known/cmg/connection-point (docs/protocol.md). Pure. */
#ifndef CMG_PROTO_GREETING_H
#define CMG_PROTO_GREETING_H

#include "cmg/proto/endpoint.h"

#define CMG_GREETING_PATH "/.well-known/cmg/connection-point"

enum { CMG_GREETING_BYTES_MAX = 256 * 1024 };

struct cmg_greeting {
    char *name;          /* owned; of the connection point                    */
    char *site;          /* owned; site code                                  */
    char *version;       /* owned; of its software                            */
    char *connection_id; /* owned; a GUID, fresh for each channel             */
    struct cmg_endpoint_set endpoints;
};

/* JSON text the caller frees. */
char *cmg_greeting_write(const struct cmg_greeting *g);

/* CMG_EPROTO: not JSON, duplicate or missing members, wrong types, a value out of its
 * bounds; err names the member. Unknown members are ignored. *g then owns nothing. */
CMG_MUST_CHECK enum cmg_rc cmg_greeting_read(struct cmg_str json, struct cmg_greeting *g,
                                             struct cmg_err *err);
void cmg_greeting_clear(struct cmg_greeting *g);

/* Quoted strong ETag (with quotes) of an endpoint set: same set, same tag, on any machine. */
void cmg_greeting_etag(const struct cmg_endpoint_set *set, char out[40]);

#endif
