/* SPDX-License-Identifier: MIT */
/* A head is judged line by line, each line when its end is there, and as a whole at the
 * empty line. So whatever way the bytes come in, the verdict is the same one. */
#include "cmg/proto/h1.h"

#include "cmg/base/alloc.h"
#include "chars.h"

const struct cmg_h1_limits cmg_h1_limits_default = {
    .head_bytes = 64 * 1024,
    .target_bytes = 16 * 1024,
    .trailer_bytes = 8 * 1024,
};

enum { CONNECTION_LINES = 4, NOMINATED = 16, CHUNK_DIGITS = 16 };

static enum cmg_rc broken(struct cmg_err *err, const char *why)
{
    return cmg_fail(err, CMG_EPROTO, "%s", why);
}

/* ---- Names that HTTP/1.1 itself has a use for ---- */

enum kind { END_TO_END, HOST, LENGTH, CODING, CONNECTION, UPGRADE, HOP };

/* Folds the case of letters by one OR. In token characters that maps nothing else to a
 * letter, a digit or '-'. */
static bool is(struct cmg_str name, const char *want)
{
    for (size_t i = 0; i < name.n; i++)
        if ((name.p[i] | 0x20) != want[i])
            return false;
    return true;
}

/* `name` is a token. Nearly every name is told by its length. */
static enum kind kind_of(struct cmg_str name)
{
    switch (name.n) {
    case 2:
        return is(name, "te") ? HOP : END_TO_END;
    case 4:
        return is(name, "host") ? HOST : END_TO_END;
    case 7:
        return is(name, "upgrade") ? UPGRADE : is(name, "trailer") ? HOP : END_TO_END;
    case 10:
        return is(name, "connection") ? CONNECTION : is(name, "keep-alive") ? HOP : END_TO_END;
    case 14:
        return is(name, "content-length") ? LENGTH : is(name, "http2-settings") ? HOP : END_TO_END;
    case 16:
        return is(name, "proxy-connection") ? HOP : END_TO_END;
    case 17:
        return is(name, "transfer-encoding") ? CODING : END_TO_END;
    default:
        return END_TO_END;
    }
}

static bool starts_like(struct cmg_str name, struct cmg_str want)
{
    return name.n >= want.n && cmg_field_is_alias((struct cmg_str){ name.p, want.n }, want);
}

/* Fields that both ends of a chain rely on: no hop may make the next one drop them by
 * nominating them in Connection, and none may come in late as a trailer (RFC 9110 section
 * 6.5.1). '_' counts as '-', because to a CGI they are the same. */
static bool vital(struct cmg_str name)
{
    static const struct cmg_str names[] = {
        { "host", 4 },
        { "transfer-encoding", 17 },
        { "authorization", 13 },
        { "cookie", 6 },
        { "set-cookie", 10 },
        { "date", 4 },
        { "expect", 6 },
        { "range", 5 },
        { "max-forwards", 12 },
        { "cache-control", 13 },
        { "location", 8 },
        { "forwarded", 9 },
        { "www-authenticate", 16 },
        { "proxy-authenticate", 18 },
        { "proxy-authorization", 19 },
    };
    static const struct cmg_str families[] = {
        { "cmg-", 4 }, { "content-", 8 }, { "bits-", 5 }, { "if-", 3 }, { "x-forwarded-", 12 },
    };
    for (size_t i = 0; i < CMG_COUNT(names); i++)
        if (cmg_field_is_alias(name, names[i]))
            return true;
    for (size_t i = 0; i < CMG_COUNT(families); i++)
        if (starts_like(name, families[i]))
            return true;
    return false;
}

/* ---- Reading: lines ---- */

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

/* The line that starts at `start` and is known not to end before `from`: without its CRLF,
 * and where the next one starts. */
static enum cmg_rc next_line(struct cmg_str in, size_t start, size_t from, size_t max,
                             struct cmg_str *line, size_t *next)
{
    size_t end = in.n < max ? in.n : max;
    const char *lf = from < end ? memchr(in.p + from, '\n', end - from) : NULL;

    if (!lf)
        return in.n < max ? CMG_MORE : CMG_ETOOBIG;
    *line = (struct cmg_str){ in.p + start, (size_t)(lf - in.p) - start };
    *next = start + line->n + 1;
    if (line->n == 0 || lf[-1] != '\r')
        return CMG_EPROTO;
    line->n--;
    return CMG_OK;
}

static bool host_ok(struct cmg_str host)
{
    size_t n;

    if (host.n && host.p[0] == '[') {
        for (n = 1;
             n < host.n && (cmg_char_hex(host.p[n]) >= 0 || host.p[n] == ':' || host.p[n] == '.');)
            n++;
        if (n < 3 || n == host.n || host.p[n++] != ']')
            return false;
    } else {
        n = cmg_chars_run(host, CMG_CHAR_HOST);
    }
    if (n == 0)
        return false;
    if (n == host.n)
        return true;
    long long port =
        host.p[n] == ':' && host.n - n <= 6 ? cmg_str_number(cmg_str_from(host, n + 1)) : -1;
    return port >= 0 && port <= 65535;
}

/* One spelling of each number, so that nobody takes a leading zero for octal. */
static bool length_ok(struct cmg_str value)
{
    return cmg_str_number(value) >= 0 && (value.n == 1 || value.p[0] != '0');
}

/* What a single field may not say, whatever stands in the others. */
static const char *judge_value(struct cmg_str value, enum kind kind, bool request)
{
    switch (kind) {
    case HOST:
        return host_ok(value) || !request ? NULL : "Host is not a host name with perhaps a port";
    case LENGTH:
        return length_ok(value) ? NULL : "Content-Length is not one number";
    case CODING:
        return cmg_str_ieq(value, CMG_STR("chunked")) ? NULL
                                                      : "Transfer-Encoding is not just \"chunked\"";
    case END_TO_END:
    case CONNECTION:
    case UPGRADE:
    case HOP:
        return NULL;
    }
    return NULL;
}

static enum cmg_rc field_line(struct reading *r, struct cmg_str line, struct cmg_field *f,
                              enum kind *kind)
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
    *kind = kind_of(f->name);
    const char *why = judge_value(f->value, *kind, r->request);
    return why ? bad(r, why) : CMG_OK;
}

static void keep(struct reading *r, const struct cmg_field *f, enum kind kind)
{
    switch (kind) {
    case END_TO_END:
        if (r->msg || !vital(f->name))
            r->fields[r->nfields++] = *f;
        break;
    case HOST:
        r->host = f->value;
        r->hosts++;
        break;
    case LENGTH:
        if (r->msg)
            r->msg->head.length = cmg_str_number(f->value);
        r->lengths++;
        break;
    case CODING:
        r->codings++;
        break;
    case CONNECTION:
        if (r->connections < CONNECTION_LINES)
            r->connection[r->connections] = f->value;
        r->connections++;
        break;
    case UPGRADE:
        if (r->msg)
            r->msg->upgrade = f->value;
        r->upgrades++;
        break;
    case HOP:
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

static bool asterisk_ok(struct cmg_str method, struct cmg_str target)
{
    return target.n == 1 && target.p[0] == '*' && cmg_str_eq(method, CMG_STR("OPTIONS"));
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
        !asterisk_ok(head->method, head->target))
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
        enum cmg_rc rc = next_line(r->in, s->line, s->at, r->max, &line, &next);
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
            enum kind kind = END_TO_END;
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

/* ---- Reading: what the head says as a whole ---- */

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
    else if (vital(item))
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

static bool interim(unsigned status)
{
    return status < 200;
}

static enum cmg_rc finish_response(struct reading *r, struct cmg_str method)
{
    struct cmg_head *head = &r->msg->head;
    enum cmg_rc rc = finish(r);
    if (rc != CMG_OK)
        return rc;

    if (interim(head->status) || head->status == 204) {
        /* RFC 9110 section 8.6. IIS and others do send 204 with a zero: harmless. */
        if (r->codings || (r->lengths && (interim(head->status) || head->length != 0)))
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

/* ---- Reading: bodies ---- */

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
    enum cmg_rc rc = next_line(in, 0, b->scan.at, b->trailer_bytes, &line, &next);
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
    struct reading r = {
        .in = in,
        .max = b->trailer_bytes,
        .scan = &b->scan,
        .err = err,
        .fields = fields,
    };
    enum cmg_rc rc = read_lines(&r);
    if (rc != CMG_OK)
        return rc;
    *nfields = r.nfields;
    *used += r.size;
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

/* ---- Writing ----
 *
 * Room for everything is reserved first, the bytes are judged as they are copied, and only
 * a whole head is counted in: a bad one leaves no trace. */

enum {
    DECIMAL = 20,
    HEX = 16,
    SPARE = 128
}; /* SPARE: all that is written besides the head's own */

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
        if (kind_of(f[i].name) != END_TO_END || (trailers && vital(f[i].name)))
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
        (head->target.p[0] != '/' && !asterisk_ok(head->method, head->target)))
        return "the request target cannot be written in HTTP/1.1";
    if (!host_ok(head->authority))
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

static bool bodiless(const struct cmg_head *head, struct cmg_str method)
{
    return interim(head->status) || head->status == 204 || head->status == 304 ||
           cmg_str_eq(method, CMG_STR("HEAD"));
}

/* How the body must follow; and the length to declare, or -1. */
static enum cmg_h1_framing response_framing(const struct cmg_head *head, struct cmg_str method,
                                            unsigned minor, int64_t *length)
{
    *length = head->length;
    if (bodiless(head, method)) {
        if (interim(head->status) || head->status == 204)
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
    if (head->end && head->length > 0 && !bodiless(head, method))
        return "the response ends before its Content-Length";
    return NULL;
}

static char *put_connection(char *to, unsigned status, unsigned minor, bool close)
{
    if (interim(status))
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
