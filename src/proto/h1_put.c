/* SPDX-License-Identifier: MIT */
/* Room for everything is reserved first, the bytes are judged as they are copied, and only
 * a whole head is counted in: a bad one leaves no trace. */
#include "cmg/proto/h1.h"

#include "chars.h"
#include "h1_words.h"

static enum cmg_rc broken(struct cmg_err *err, const char *why)
{
    return cmg_fail(err, CMG_EPROTO, "%s", why);
}

enum {
    DECIMAL = 20, /* digits of a number                         */
    HEX = 16,     /* digits of a chunk size                     */
    SPARE = 128   /* all that is written besides the head's own */
};

static char *put(char *to, struct cmg_str s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static char *put_number(char *to, uint64_t n)
{
    char digits[DECIMAL];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return put(to, (struct cmg_str){ digits + at, sizeof(digits) - at });
}

static size_t fields_size(const struct cmg_field *f, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += f[i].name.n + f[i].value.n + 4;
    return size;
}

/* NULL: one of them may not be written. Fields of the connection are left out, should the
 * caller have forgotten them: two framings in one message are how requests are smuggled. */
static char *put_fields(char *to, const struct cmg_field *f, size_t n, bool trailers)
{
    for (size_t i = 0; i < n; i++) {
        if (!cmg_field_name_ok(f[i].name) || !cmg_field_value_ok(f[i].value))
            return NULL;
        if (cmg_h1_kind_of(f[i].name) != CMG_H1_END_TO_END || (trailers && cmg_h1_vital(f[i].name)))
            continue;
        to = put(to, f[i].name);
        to = put(to, CMG_STR(": "));
        to = put(to, f[i].value);
        to = put(to, CMG_STR("\r\n"));
    }
    return to;
}

static char *put_length(char *to, int64_t length)
{
    to = put(to, CMG_STR("Content-Length: "));
    to = put_number(to, (uint64_t)length);
    return put(to, CMG_STR("\r\n"));
}

static const char *request_wrong(const struct cmg_head *head)
{
    if (!cmg_token_ok(head->method) || cmg_str_eq(head->method, CMG_STR("CONNECT")))
        return "the method cannot be written in HTTP/1.1";
    if (!head->target.n || !cmg_chars_all(head->target, CMG_CHAR_TARGET) ||
        (head->target.p[0] != '/' && !cmg_h1_asterisk_ok(head->method, head->target)))
        return "the request target cannot be written in HTTP/1.1";
    if (!cmg_h1_host_ok(head->authority))
        return "the authority cannot be written as Host";
    if (head->end && head->length > 0)
        return "the request ends before its Content-Length";
    return NULL;
}

enum cmg_rc cmg_h1_put_request(struct cmg_buf *out, const struct cmg_head *head,
                               struct cmg_str extra, struct cmg_err *err)
{
    const char *why = request_wrong(head);
    if (why)
        return broken(err, why);
    char *start =
        cmg_buf_reserve(out, head->method.n + head->target.n + head->authority.n +
                                 fields_size(head->fields, head->nfields) + extra.n + SPARE);
    if (!start)
        return cmg_fail(err, CMG_ETOOBIG, "the request head does not fit its buffer");

    char *to = put(start, head->method);
    to = put(to, CMG_STR(" "));
    to = put(to, head->target);
    to = put(to, CMG_STR(" HTTP/1.1\r\nHost: "));
    to = put(to, head->authority);
    to = put(to, CMG_STR("\r\n"));
    to = put_fields(to, head->fields, head->nfields, false);
    if (!to)
        return broken(err, "a request field cannot be written in HTTP/1.1");
    if (head->length >= 0)
        to = put_length(to, head->length);
    else if (!head->end)
        to = put(to, CMG_STR("Transfer-Encoding: chunked\r\n"));
    to = put(to, extra);
    to = put(to, CMG_STR("\r\n"));
    cmg_buf_added(out, (size_t)(to - start));
    return CMG_OK;
}

/* How the body must follow; and the length to declare, or -1. */
static enum cmg_h1_framing response_framing(const struct cmg_head *head, struct cmg_str method,
                                            unsigned minor, int64_t *length)
{
    *length = head->length;
    if (cmg_h1_bodiless(head->status, method)) {
        if (cmg_h1_interim(head->status) || head->status == 204)
            *length = -1;
        return CMG_H1_NONE;
    }
    if (head->length >= 0)
        return CMG_H1_LENGTH;
    if (head->end) {
        *length = 0; /* HTTP/2 needs not say so; here silence would mean "until close" */
        return CMG_H1_LENGTH;
    }
    return minor == 0 ? CMG_H1_UNTIL_CLOSE : CMG_H1_CHUNKED;
}

static const char *response_wrong(const struct cmg_head *head, struct cmg_str method)
{
    if (head->status < 100 || head->status > 999)
        return "the status cannot be written in HTTP/1.1";
    if (!cmg_chars_value(head->reason))
        return "the reason phrase cannot be written in HTTP/1.1";
    if (head->end && head->length > 0 && !cmg_h1_bodiless(head->status, method))
        return "the response ends before its Content-Length";
    return NULL;
}

static char *put_connection(char *to, unsigned status, unsigned minor, bool close)
{
    if (cmg_h1_interim(status))
        return to;
    if (close)
        return put(to, CMG_STR("Connection: close\r\n"));
    return minor == 0 ? put(to, CMG_STR("Connection: keep-alive\r\n")) : to;
}

enum cmg_rc cmg_h1_put_response(struct cmg_buf *out, const struct cmg_head *head,
                                struct cmg_str method, unsigned minor, bool close,
                                struct cmg_str extra, enum cmg_h1_framing *framing,
                                struct cmg_err *err)
{
    struct cmg_str reason = head->reason.n ? head->reason : cmg_str(cmg_reason(head->status));
    const char *why = response_wrong(head, method);
    if (why)
        return broken(err, why);
    char *start =
        cmg_buf_reserve(out, reason.n + fields_size(head->fields, head->nfields) + extra.n + SPARE);
    if (!start)
        return cmg_fail(err, CMG_ETOOBIG, "the response head does not fit its buffer");

    int64_t length;
    *framing = response_framing(head, method, minor, &length);
    char *to = put(start, CMG_STR("HTTP/1.1 "));
    to = put_number(to, head->status);
    to = put(to, CMG_STR(" "));
    to = put(to, reason);
    to = put(to, CMG_STR("\r\n"));
    to = put_fields(to, head->fields, head->nfields, false);
    if (!to)
        return broken(err, "a response field cannot be written in HTTP/1.1");
    if (length >= 0)
        to = put_length(to, length);
    if (*framing == CMG_H1_CHUNKED)
        to = put(to, CMG_STR("Transfer-Encoding: chunked\r\n"));
    to = put_connection(to, head->status, minor, close || *framing == CMG_H1_UNTIL_CLOSE);
    to = put(to, extra);
    to = put(to, CMG_STR("\r\n"));
    cmg_buf_added(out, (size_t)(to - start));
    return CMG_OK;
}

enum cmg_rc cmg_h1_put_chunk(struct cmg_buf *out, struct cmg_str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char hex[HEX];
    size_t at = sizeof(hex);

    if (!bytes.n)
        return CMG_OK;
    for (size_t n = bytes.n; n; n >>= 4)
        hex[--at] = digits[n & 15];
    struct cmg_str size = { hex + at, sizeof(hex) - at };
    char *start = cmg_buf_reserve(out, size.n + bytes.n + 4);
    if (!start)
        return CMG_ETOOBIG;
    char *to = put(start, size);
    to = put(to, CMG_STR("\r\n"));
    to = put(to, bytes);
    to = put(to, CMG_STR("\r\n"));
    cmg_buf_added(out, (size_t)(to - start));
    return CMG_OK;
}

enum cmg_rc cmg_h1_put_last_chunk(struct cmg_buf *out, const struct cmg_field *trailers, size_t n)
{
    char *start = cmg_buf_reserve(out, fields_size(trailers, n) + 5);
    if (!start)
        return CMG_ETOOBIG;
    char *to = put(start, CMG_STR("0\r\n"));
    to = put_fields(to, trailers, n, true);
    if (!to)
        return CMG_EPROTO;
    to = put(to, CMG_STR("\r\n"));
    cmg_buf_added(out, (size_t)(to - start));
    return CMG_OK;
}
