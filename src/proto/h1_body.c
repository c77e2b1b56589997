/* SPDX-License-Identifier: MIT */
/* Bodies are handed on as they come: what a chunk holds is a run of the bytes received. */
#include "cmg/proto/h1.h"

#include "chars.h"
#include "h1_words.h"

enum { CHUNK_DIGITS = 16 };

static enum cmg_rc broken(struct cmg_err *err, const char *why)
{
    return cmg_fail(err, CMG_EPROTO, "%s", why);
}

enum { SIZE, DATA, DATA_END, TRAILERS, DONE };

void cmg_h1_body_init(struct cmg_h1_body *b, const struct cmg_h1_msg *msg,
                      const struct cmg_h1_limits *limits)
{
    *b = (struct cmg_h1_body){
        .framing = msg->framing,
        .state = msg->framing == CMG_H1_CHUNKED ? SIZE : DATA,
        .left = msg->framing == CMG_H1_LENGTH ? (uint64_t)msg->head.length : 0,
        .trailer_bytes = limits->trailer_bytes,
    };
}

/* How long a quoted-string at the front is, quotes included; 0: it is none. */
static size_t quoted_run(struct cmg_str s)
{
    size_t i = 1;
    for (; i < s.n && s.p[i] != '"'; i++)
        if (s.p[i] == '\\')
            i++;
    return i < s.n && cmg_chars_value((struct cmg_str){ s.p, i }) ? i + 1 : 0;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), and none of the blanks that RFC 9112
 * section 7.1.1 calls bad. */
static bool extensions_ok(struct cmg_str s)
{
    while (s.n) {
        if (s.p[0] != ';')
            return false;
        s = cmg_str_from(s, 1);
        size_t n = cmg_chars_run(s, CMG_CHAR_TOKEN);
        if (n == 0)
            return false;
        s = cmg_str_from(s, n);
        if (!s.n || s.p[0] != '=')
            continue;
        s = cmg_str_from(s, 1);
        n = s.n && s.p[0] == '"' ? quoted_run(s) : cmg_chars_run(s, CMG_CHAR_TOKEN);
        if (n == 0)
            return false;
        s = cmg_str_from(s, n);
    }
    return true;
}

static enum cmg_rc size_line(struct cmg_h1_body *b, struct cmg_str line, struct cmg_err *err)
{
    uint64_t size = 0;
    size_t n = 0;

    for (; n < line.n && cmg_char_hex(line.p[n]) >= 0; n++) {
        if (n == CHUNK_DIGITS)
            return broken(err, "a chunk size has too many digits");
        size = size << 4 | (uint64_t)cmg_char_hex(line.p[n]);
    }
    if (n == 0 || size > INT64_MAX)
        return broken(err, "a chunk size is not a hexadecimal number in bounds");
    struct cmg_str extensions = cmg_str_from(line, n);
    if (!extensions_ok(extensions))
        return broken(err, "something that is no extension follows a chunk size");
    /* Else a body could be mostly extensions, carried for nothing. */
    b->extension_bytes += extensions.n;
    if (b->extension_bytes > b->trailer_bytes)
        return cmg_fail(err, CMG_ETOOBIG, "too many bytes of chunk extensions");
    b->left = size;
    return CMG_OK;
}

static enum cmg_rc chunk_size(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                              struct cmg_err *err)
{
    struct cmg_str line;
    size_t next;

    if (in.n && cmg_char_hex(in.p[0]) < 0)
        return broken(err, "a chunk does not start with its size");
    enum cmg_rc rc = cmg_h1_next_line(in, 0, b->scan.at, b->trailer_bytes, &line, &next);
    if (rc == CMG_MORE) {
        b->scan.at = in.n;
        return rc;
    }
    if (rc == CMG_ETOOBIG)
        return cmg_fail(err, rc, "the line of a chunk size is too long");
    if (rc != CMG_OK)
        return broken(err, "the line of a chunk size does not end in CRLF");
    rc = size_line(b, line, err);
    if (rc != CMG_OK)
        return rc;
    b->scan = (struct cmg_h1_scan){ 0 };
    b->state = b->left ? DATA : TRAILERS;
    *used += next;
    return CMG_OK;
}

static enum cmg_rc chunk_data(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                              struct cmg_str *data)
{
    if (!in.n || data->n) /* one run of data a call */
        return CMG_MORE;
    *data = (struct cmg_str){ in.p, b->left < in.n ? (size_t)b->left : in.n };
    b->left -= data->n;
    *used += data->n;
    if (!b->left)
        b->state = DATA_END;
    return CMG_OK;
}

static enum cmg_rc chunk_data_end(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                                  struct cmg_err *err)
{
    if ((in.n > 0 && in.p[0] != '\r') || (in.n > 1 && in.p[1] != '\n'))
        return broken(err, "a chunk is not as long as it said");
    if (in.n < 2)
        return CMG_MORE;
    *used += 2;
    b->state = SIZE;
    return CMG_OK;
}

static enum cmg_rc chunk_trailers(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                                  struct cmg_field *fields, size_t *nfields, struct cmg_err *err)
{
    size_t size, n;
    enum cmg_rc rc = cmg_h1_trailers(in, b->trailer_bytes, &b->scan, fields, &n, &size, err);
    if (rc != CMG_OK)
        return rc;
    *nfields = n;
    *used += size;
    b->state = DONE;
    return CMG_OK;
}

static enum cmg_rc read_chunked(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                                struct cmg_str *data, struct cmg_field *fields, size_t *nfields,
                                struct cmg_err *err)
{
    enum cmg_rc rc = CMG_OK;

    while (rc == CMG_OK && b->state != DONE) {
        struct cmg_str rest = *used ? cmg_str_from(in, *used) : in;
        if (b->state == SIZE)
            rc = chunk_size(b, rest, used, err);
        else if (b->state == DATA)
            rc = chunk_data(b, rest, used, data);
        else if (b->state == DATA_END)
            rc = chunk_data_end(b, rest, used, err);
        else
            rc = chunk_trailers(b, rest, used, fields, nfields, err);
    }
    /* What came before a mistake is handed over first, however the bytes were cut; the
     * mistake is still there at the next call. */
    return *used ? CMG_OK : rc;
}

static enum cmg_rc read_plain(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                              struct cmg_str *data)
{
    *data = in;
    if (b->framing == CMG_H1_LENGTH) {
        if (b->left < in.n)
            data->n = (size_t)b->left;
        b->left -= data->n;
        if (b->left == 0)
            b->state = DONE;
    }
    *used = data->n;
    return data->n || b->state == DONE ? CMG_OK : CMG_MORE;
}

enum cmg_rc cmg_h1_body_read(struct cmg_h1_body *b, struct cmg_str in, size_t *used,
                             struct cmg_str *data, bool *done,
                             struct cmg_field trailers[CMG_H1_FIELDS], size_t *ntrailers,
                             struct cmg_err *err)
{
    enum cmg_rc rc = CMG_OK;

    *used = 0;
    *data = (struct cmg_str){ in.p, 0 };
    *ntrailers = 0;
    if (b->framing == CMG_H1_NONE)
        b->state = DONE;
    if (b->state != DONE)
        rc = b->framing == CMG_H1_CHUNKED
                 ? read_chunked(b, in, used, data, trailers, ntrailers, err)
                 : read_plain(b, in, used, data);
    *done = b->state == DONE;
    return rc;
}
