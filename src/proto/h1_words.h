/* SPDX-License-Identifier: MIT */
/* What the three parts of the HTTP/1.1 codec have in common: h1.c reads heads, h1_body.c
 * reads bodies, h1_put.c writes both. Nobody else includes this. */
#ifndef CMG_PROTO_H1_WORDS_H
#define CMG_PROTO_H1_WORDS_H

#include "cmg/proto/h1.h"

/* Names that HTTP/1.1 itself has a use for. */
enum cmg_h1_kind {
    CMG_H1_END_TO_END, /* all others */
    CMG_H1_HOST,
    CMG_H1_CONTENT_LENGTH,
    CMG_H1_CODING, /* Transfer-Encoding */
    CMG_H1_CONNECTION,
    CMG_H1_UPGRADE,
    CMG_H1_HOP /* the connection's too, but saying nothing to us */
};

/* `name` is a token. */
enum cmg_h1_kind cmg_h1_kind_of(struct cmg_str name);

/* Fields that both ends of a chain rely on: no hop may make the next one drop them by
 * nominating them in Connection, and none may come in late as a trailer (RFC 9110 section
 * 6.5.1). '_' counts as '-', because to a CGI they are the same. */
bool cmg_h1_vital(struct cmg_str name);

/* A host name or an address in brackets, perhaps with a port. */
bool cmg_h1_host_ok(struct cmg_str host);

/* "OPTIONS *", the one target that is no path. */
bool cmg_h1_asterisk_ok(struct cmg_str method, struct cmg_str target);

/* 1xx */
bool cmg_h1_interim(unsigned status);

/* The response has no body, whatever its fields say. */
bool cmg_h1_bodiless(unsigned status, struct cmg_str method);

/* The line that starts at `start` and is known not to end before `from`: without its CRLF,
 * and where the next one starts.
 * CMG_MORE, CMG_EPROTO (no CR before the LF), CMG_ETOOBIG (it ends past `max`). */
enum cmg_rc cmg_h1_next_line(struct cmg_str in, size_t start, size_t from, size_t max,
                             struct cmg_str *line, size_t *next);

/* Reads a trailer section at the front of `in`, at most `max` bytes with its empty line,
 * and keeps the fields that may come late. */
enum cmg_rc cmg_h1_trailers(struct cmg_str in, size_t max, struct cmg_h1_scan *scan,
                            struct cmg_field fields[CMG_H1_FIELDS], size_t *nfields, size_t *size,
                            struct cmg_err *err);

#endif
