/* SPDX-License-Identifier: MIT */
/* A head is judged line by line, each line when its end is there, and as a whole at the
 * empty line. So whatever way the bytes come in, the verdict is the same one. */
#include "cmg/proto/h1.h"

#include "chars.h"
#include "h1_words.h"

const struct cmg_h1_limits cmg_h1_limits_default = {
    .head_bytes = 64 * 1024,
    .target_bytes = 16 * 1024,
    .trailer_bytes = 8 * 1024,
};

enum { CONNECTION_LINES = 4, NOMINATED = 16 };

/* ---- Lines ---- */

/* What is read: the head of a message, or a trailer section (which has no first line and
 * fills `fields` only). */
struct reading {
    struct cmg_str in;
    size_t max; /* bytes, the empty line included */
    struct cmg_h1_scan *scan;
    struct cmg_h1_msg *msg; /* NULL: trailers */
    bool request;
    size_t target_bytes;
    struct cmg_err *err;

    struct cmg_field *fields;
    size_t nfields;
    size_t size; /* bytes taken, once whole */
    struct cmg_str host;
    struct cmg_str connection[CONNECTION_LINES];
    size_t connections, hosts, lengths, codings, upgrades;
};

static enum cmg_rc refuse(struct reading *r, unsigned status, enum cmg_rc rc, const char *why)
{
    if (r->msg)
        r->msg->refuse = status;
    return cmg_fail(r->err, rc, "%s", why);
}

static enum cmg_rc bad(struct reading *r, const char *why)
{
    return refuse(r, 400, CMG_EPROTO, why);
}

/* One spelling of each number, so that nobody takes a leading zero for octal. */
static bool length_ok(struct cmg_str value)
{
    return cmg_str_number(value) >= 0 && (value.n == 1 || value.p[0] != '0');
}

/* What a single field may not say, whatever stands in the others. */
static const char *judge_value(struct cmg_str value, enum cmg_h1_kind kind, bool request)
{
    switch (kind) {
    case CMG_H1_HOST:
        return cmg_h1_host_ok(value) || !request ? NULL
                                                 : "Host is not a host name with perhaps a port";
    case CMG_H1_CONTENT_LENGTH:
        return length_ok(value) ? NULL : "Content-Length is not one number";
    case CMG_H1_CODING:
        return cmg_str_ieq(value, CMG_STR("chunked")) ? NULL
                                                      : "Transfer-Encoding is not just \"chunked\"";
    case CMG_H1_END_TO_END:
    case CMG_H1_CONNECTION:
    case CMG_H1_UPGRADE:
    case CMG_H1_HOP:
        return NULL;
    }
    return NULL;
}

static enum cmg_rc field_line(struct reading *r, struct cmg_str line, struct cmg_field *f,
                              enum cmg_h1_kind *kind)
{
    size_t n = cmg_chars_run(line, CMG_CHAR_TOKEN);
    if (n == line.n)
        return bad(r, "a field line has no colon");
    if (line.p[n] != ':')
        return bad(r, n ? "a field name has a blank or a character that is not allowed"
                        : "a field line starts with a blank or a character that is not allowed");
    if (n == 0)
        return bad(r, "a field has an empty name");
    f->name = (struct cmg_str){ line.p, n };
    f->value = cmg_str_trim(cmg_str_from(line, n + 1));
    if (!cmg_chars_value(f->value))
        return bad(r, "a field value has a control character");
    *kind = cmg_h1_kind_of(f->name);
    const char *why = judge_value(f->value, *kind, r->request);
    return why ? bad(r, why) : CMG_OK;
}

static void keep(struct reading *r, const struct cmg_field *f, enum cmg_h1_kind kind)
{
    switch (kind) {
    case CMG_H1_END_TO_END:
        if (r->msg || !cmg_h1_vital(f->name))
            r->fields[r->nfields++] = *f;
        break;
    case CMG_H1_HOST:
        r->host = f->value;
        r->hosts++;
        break;
    case CMG_H1_CONTENT_LENGTH:
        if (r->msg)
            r->msg->head.length = cmg_str_number(f->value);
        r->lengths++;
        break;
    case CMG_H1_CODING:
        r->codings++;
        break;
    case CMG_H1_CONNECTION:
        if (r->connections < CONNECTION_LINES)
            r->connection[r->connections] = f->value;
        r->connections++;
        break;
    case CMG_H1_UPGRADE:
        if (r->msg)
            r->msg->upgrade = f->value;
        r->upgrades++;
        break;
    case CMG_H1_HOP:
        break;
    }
}

/* "HTTP/1.0" or "HTTP/1.1" */
static enum cmg_rc version(struct reading *r, struct cmg_str s)
{
    static const char http[] = { 'H', 'T', 'T', 'P', '/' };
    if (s.n != 8 || memcmp(s.p, http, sizeof(http)) != 0 || s.p[6] != '.')
        return bad(r, "the start line has no HTTP version where it belongs");
    if (s.p[5] != '1' || (s.p[7] != '0' && s.p[7] != '1'))
        return refuse(r, 505, CMG_EPROTO, "the HTTP version is neither 1.0 nor 1.1");
    r->msg->minor = (unsigned)(s.p[7] - '0');
    return CMG_OK;
}

static bool absolute(struct cmg_str target)
{
    return cmg_str_istarts(target, CMG_STR("http://")) ||
           cmg_str_istarts(target, CMG_STR("https://"));
}

static enum cmg_rc request_line(struct reading *r, struct cmg_str line)
{
    struct cmg_head *head = &r->msg->head;
    size_t n = cmg_chars_run(line, CMG_CHAR_TOKEN);
    if (n == 0 || n == line.n || line.p[n] != ' ')
        return bad(r, "the request line has no method and single blank");
    head->method = (struct cmg_str){ line.p, n };

    struct cmg_str rest = cmg_str_from(line, n + 1);
    n = cmg_chars_run(rest, CMG_CHAR_TARGET);
    head->target = (struct cmg_str){ rest.p, n };
    if (n > r->target_bytes)
        return refuse(r, 414, CMG_ETOOBIG, "the request target is too long");
    if (n == 0 || n == rest.n || rest.p[n] != ' ')
        return bad(r, "the request target has a character that is not allowed, or no version "
                      "behind it");
    if (cmg_str_eq(head->method, CMG_STR("CONNECT")))
        return bad(r, "CONNECT is not for this server");
    if (head->target.p[0] != '/' && !absolute(head->target) &&
        !cmg_h1_asterisk_ok(head->method, head->target))
        return bad(r, "the request target is neither a path nor an http URI");
    return version(r, cmg_str_from(rest, n + 1));
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum cmg_rc status_line(struct reading *r, struct cmg_str line)
{
    struct cmg_head *head = &r->msg->head;
    enum cmg_rc rc = version(r, (struct cmg_str){ line.p, line.n < 8 ? line.n : 8 });
    if (rc != CMG_OK)
        return rc;

    const char *p = line.p + 8;
    if (line.n < 12 || p[0] != ' ' || p[1] < '1' || p[1] > '9' || !digit(p[2]) || !digit(p[3]))
        return bad(r, "the status line has no status of three digits");
    head->status = (unsigned)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
    if (line.n == 12)
        return CMG_OK; /* section 4 wants a blank here; many leave it out with the phrase */
    head->reason = cmg_str_trim(cmg_str_from(line, 13));
    if (p[4] != ' ' || !cmg_chars_value(head->reason))
        return bad(r, "the status line is broken behind the status");
    return CMG_OK;
}

static enum cmg_rc start_line(struct reading *r, struct cmg_str line)
{
    return r->request ? request_line(r, line) : status_line(r, line);
}

/* A peer that speaks something else, or an empty line first, shows at its first byte. */
static bool first_byte_ok(const struct reading *r)
{
    if (r->scan->lines > 0 || r->in.n == 0)
        return true;
    return r->request ? cmg_char(r->in.p[0]) & CMG_CHAR_TOKEN : r->in.p[0] == 'H';
}

static enum cmg_rc line_failed(struct reading *r, enum cmg_rc rc)
{
    if (rc == CMG_EPROTO)
        return bad(r, "a line does not end in CRLF");
    return refuse(r, 431, rc, r->msg ? "the head is too large" : "the trailers are too large");
}

/* Judges lines from where the last call stopped up to the empty one, and keeps their
 * fields if `keeping`. */
static enum cmg_rc walk(struct reading *r, bool keeping)
{
    struct cmg_h1_scan *s = r->scan;
    struct cmg_str line;
    size_t next;

    for (;; s->line = s->at = next, s->lines++) {
        enum cmg_rc rc = cmg_h1_next_line(r->in, s->line, s->at, r->max, &line, &next);
        if (rc == CMG_MORE) {
            s->at = r->in.n;
            return rc;
        }
        if (rc != CMG_OK)
            return line_failed(r, rc);
        if (s->lines == 0) {
            rc = start_line(r, line);
        } else if (line.n == 0) {
            r->size = next;
            return CMG_OK;
        } else if (s->lines > CMG_H1_FIELDS) {
            return refuse(r, 431, CMG_ETOOBIG, "too many fields");
        } else {
            struct cmg_field f;
            enum cmg_h1_kind kind = CMG_H1_END_TO_END;
            rc = field_line(r, line, &f, &kind);
            if (rc == CMG_OK && keeping)
                keep(r, &f, kind);
        }
        if (rc != CMG_OK)
            return rc;
    }
}

/* The bytes may lie elsewhere at every call, so nothing is kept from one to the next. What
 * came in pieces is judged piece by piece and, once whole, walked again: twice at most. */
static enum cmg_rc read_lines(struct reading *r)
{
    const struct cmg_h1_scan start = { .lines = r->msg ? 0 : 1 };

    if (r->scan->line == 0)
        r->scan->lines = start.lines;
    if (!first_byte_ok(r))
        return bad(r, "this is not HTTP/1.1");
    bool fresh = r->scan->line == 0;
    enum cmg_rc rc = walk(r, fresh);
    if (rc == CMG_OK && !fresh) {
        *r->scan = start;
        rc = walk(r, true);
    }
    return rc;
}

/* ---- What the head says as a whole ---- */

struct options { /* of Connection */
    bool close, keep_alive, upgrade;
    struct cmg_str named[NOMINATED];
    size_t nnamed;
};

static const char *option(struct options *o, struct cmg_str item)
{
    if (cmg_str_ieq(item, CMG_STR("close")))
        o->close = true;
    else if (cmg_str_ieq(item, CMG_STR("keep-alive")))
        o->keep_alive = true;
    else if (cmg_str_ieq(item, CMG_STR("upgrade")))
        o->upgrade = true;
    else if (!cmg_token_ok(item))
        return "Connection has something that is not a token";
    else if (cmg_h1_vital(item))
        return "Connection names a field that is not the connection's";
    else if (o->nnamed == NOMINATED)
        return "Connection names too many fields";
    else
        o->named[o->nnamed++] = item;
    return NULL;
}

static bool named(const struct options *o, struct cmg_str name)
{
    for (size_t i = 0; i < o->nnamed; i++)
        if (cmg_str_ieq(o->named[i], name))
            return true;
    return false;
}

static void strike_named(struct reading *r, const struct options *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->nfields; i++)
        if (!named(o, r->fields[i].name))
            r->fields[kept++] = r->fields[i];
    r->nfields = kept;
}

static enum cmg_rc connection(struct reading *r)
{
    struct cmg_h1_msg *m = r->msg;
    struct options o;
    o.close = o.keep_alive = o.upgrade = false;
    o.nnamed = 0;

    if (r->connections > CONNECTION_LINES)
        return bad(r, "too many Connection fields");
    for (size_t i = 0; i < r->connections; i++) {
        struct cmg_str rest = r->connection[i], item;
        while (cmg_str_next(&rest, ',', &item)) {
            const char *why = item.n ? option(&o, item) : NULL;
            if (why)
                return bad(r, why);
        }
    }
    if (o.nnamed)
        strike_named(r, &o);
    m->keep_alive = !o.close && (m->minor == 1 || o.keep_alive);
    /* Two Upgrade fields: two wishes, and ignoring both is always allowed. */
    if (!o.upgrade || r->upgrades != 1 || m->minor == 0)
        m->upgrade = CMG_STR("");
    return CMG_OK;
}

static enum cmg_rc lengths(struct reading *r)
{
    if (r->lengths > 1)
        return bad(r, "more than one Content-Length");
    if (r->codings > 1)
        return bad(r, "more than one Transfer-Encoding");
    if (r->codings && r->lengths)
        return bad(r, "Content-Length beside Transfer-Encoding");
    if (r->codings && r->msg->minor == 0)
        return bad(r, "Transfer-Encoding in HTTP/1.0");
    return CMG_OK;
}

static void no_body(struct cmg_h1_msg *m)
{
    m->framing = CMG_H1_NONE;
    m->head.end = true;
}

static void body_by_fields(struct reading *r)
{
    struct cmg_h1_msg *m = r->msg;
    if (r->codings) {
        m->framing = CMG_H1_CHUNKED;
    } else if (r->lengths) {
        m->framing = CMG_H1_LENGTH;
        m->head.end = m->head.length == 0;
    } else if (r->request) {
        no_body(m);
    } else {
        m->framing = CMG_H1_UNTIL_CLOSE;
        m->keep_alive = false;
    }
}

/* RFC 9112 section 3.2.2: the target of a request to a proxy. Taken because it must be,
 * if it says the same as Host. */
static enum cmg_rc absolute_target(struct reading *r)
{
    struct cmg_head *head = &r->msg->head;
    struct cmg_str rest = cmg_str_from(head->target, cmg_lower(head->target.p[4]) == 's' ? 8 : 7);
    size_t n = 0;

    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (!r->hosts || !cmg_str_ieq((struct cmg_str){ rest.p, n }, r->host))
        return bad(r, "the request target names another host than Host");
    rest = cmg_str_from(rest, n);
    if (rest.n && rest.p[0] == '?')
        return bad(r, "the request target has no path");
    if (!rest.n)
        rest = cmg_str_eq(head->method, CMG_STR("OPTIONS")) ? CMG_STR("*") : CMG_STR("/");
    head->target = rest;
    return CMG_OK;
}

static enum cmg_rc finish(struct reading *r)
{
    struct cmg_head *head = &r->msg->head;
    enum cmg_rc rc = lengths(r);
    if (rc == CMG_OK)
        rc = connection(r);
    r->msg->size = r->size;
    head->fields = r->fields;
    head->nfields = r->nfields;
    return rc;
}

static enum cmg_rc finish_request(struct reading *r)
{
    struct cmg_head *head = &r->msg->head;
    enum cmg_rc rc = finish(r);
    if (rc != CMG_OK)
        return rc;
    if (r->hosts > 1)
        return bad(r, "more than one Host");
    if (!r->hosts && r->msg->minor == 1)
        return bad(r, "no Host");
    head->authority = r->host;
    if (head->target.p[0] != '/' && head->target.p[0] != '*') {
        rc = absolute_target(r);
        if (rc != CMG_OK)
            return rc;
    }
    body_by_fields(r);
    return CMG_OK;
}

static enum cmg_rc finish_response(struct reading *r, struct cmg_str method)
{
    struct cmg_head *head = &r->msg->head;
    enum cmg_rc rc = finish(r);
    if (rc != CMG_OK)
        return rc;

    if (cmg_h1_interim(head->status) || head->status == 204) {
        /* RFC 9110 section 8.6. IIS and others do send 204 with a zero: harmless. */
        if (r->codings || (r->lengths && (cmg_h1_interim(head->status) || head->length != 0)))
            return bad(r, "a response that has no body says it has one");
        head->length = -1;
        no_body(r->msg);
    } else if (head->status == 304 || cmg_str_eq(method, CMG_STR("HEAD"))) {
        no_body(r->msg);
    } else {
        body_by_fields(r);
    }
    return CMG_OK;
}

static void begin(struct reading *r, struct cmg_str in, const struct cmg_h1_limits *limits,
                  struct cmg_h1_scan *scan, struct cmg_h1_msg *msg, struct cmg_err *err)
{
    *r = (struct reading){
        .in = in,
        .max = limits->head_bytes,
        .scan = scan,
        .msg = msg,
        .target_bytes = limits->target_bytes,
        .err = err,
        .fields = msg->fields,
    };
    msg->head = (struct cmg_head){ .length = -1 };
    msg->size = 0;
    msg->upgrade = CMG_STR("");
    msg->refuse = 0;
}

enum cmg_rc cmg_h1_request(struct cmg_str in, const struct cmg_h1_limits *limits,
                           struct cmg_h1_scan *scan, struct cmg_h1_msg *msg, struct cmg_err *err)
{
    struct reading r;
    begin(&r, in, limits, scan, msg, err);
    r.request = true;
    enum cmg_rc rc = read_lines(&r);
    return rc == CMG_OK ? finish_request(&r) : rc;
}

enum cmg_rc cmg_h1_response(struct cmg_str in, struct cmg_str method,
                            const struct cmg_h1_limits *limits, struct cmg_h1_scan *scan,
                            struct cmg_h1_msg *msg, struct cmg_err *err)
{
    struct reading r;
    begin(&r, in, limits, scan, msg, err);
    enum cmg_rc rc = read_lines(&r);
    return rc == CMG_OK ? finish_response(&r, method) : rc;
}

enum cmg_rc cmg_h1_trailers(struct cmg_str in, size_t max, struct cmg_h1_scan *scan,
                            struct cmg_field fields[CMG_H1_FIELDS], size_t *nfields, size_t *size,
                            struct cmg_err *err)
{
    struct reading r = { .in = in, .max = max, .scan = scan, .err = err, .fields = fields };
    enum cmg_rc rc = read_lines(&r);
    *nfields = r.nfields;
    *size = r.size;
    return rc;
}
