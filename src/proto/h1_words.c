/* SPDX-License-Identifier: MIT */
#include "h1_words.h"

#include "cmg/base/alloc.h"
#include "chars.h"

/* Folds the case of letters by one OR. In token characters that maps nothing else to a
 * letter, a digit or '-'. */
static bool is(struct cmg_str name, const char *want)
{
    for (size_t i = 0; i < name.n; i++)
        if ((name.p[i] | 0x20) != want[i])
            return false;
    return true;
}

/* Nearly every name is told by its length. */
enum cmg_h1_kind cmg_h1_kind_of(struct cmg_str name)
{
    switch (name.n) {
    case 2:
        return is(name, "te") ? CMG_H1_HOP : CMG_H1_END_TO_END;
    case 4:
        return is(name, "host") ? CMG_H1_HOST : CMG_H1_END_TO_END;
    case 7:
        return is(name, "upgrade")   ? CMG_H1_UPGRADE
               : is(name, "trailer") ? CMG_H1_HOP
                                     : CMG_H1_END_TO_END;
    case 10:
        return is(name, "connection")   ? CMG_H1_CONNECTION
               : is(name, "keep-alive") ? CMG_H1_HOP
                                        : CMG_H1_END_TO_END;
    case 14:
        return is(name, "content-length")   ? CMG_H1_CONTENT_LENGTH
               : is(name, "http2-settings") ? CMG_H1_HOP
                                            : CMG_H1_END_TO_END;
    case 16:
        return is(name, "proxy-connection") ? CMG_H1_HOP : CMG_H1_END_TO_END;
    case 17:
        return is(name, "transfer-encoding") ? CMG_H1_CODING : CMG_H1_END_TO_END;
    default:
        return CMG_H1_END_TO_END;
    }
}

static bool starts_like(struct cmg_str name, struct cmg_str want)
{
    return name.n >= want.n && cmg_field_is_alias((struct cmg_str){ name.p, want.n }, want);
}

bool cmg_h1_vital(struct cmg_str name)
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

/* How long "[" IPv6 "]" at the front is; 0: it is none. */
static size_t bracket_run(struct cmg_str host)
{
    size_t n = 1;
    while (n < host.n && (cmg_char_hex(host.p[n]) >= 0 || host.p[n] == ':' || host.p[n] == '.'))
        n++;
    return n > 2 && n < host.n && host.p[n] == ']' ? n + 1 : 0;
}

static bool port_ok(struct cmg_str s)
{
    return s.n >= 2 && s.n <= 6 && s.p[0] == ':' && cmg_str_number(cmg_str_from(s, 1)) >= 0 &&
           cmg_str_number(cmg_str_from(s, 1)) <= 65535;
}

bool cmg_h1_host_ok(struct cmg_str host)
{
    size_t n = host.n && host.p[0] == '[' ? bracket_run(host) : cmg_chars_run(host, CMG_CHAR_HOST);
    return n > 0 && (n == host.n || port_ok(cmg_str_from(host, n)));
}

bool cmg_h1_asterisk_ok(struct cmg_str method, struct cmg_str target)
{
    return target.n == 1 && target.p[0] == '*' && cmg_str_eq(method, CMG_STR("OPTIONS"));
}

bool cmg_h1_interim(unsigned status)
{
    return status < 200;
}

bool cmg_h1_bodiless(unsigned status, struct cmg_str method)
{
    return cmg_h1_interim(status) || status == 204 || status == 304 ||
           cmg_str_eq(method, CMG_STR("HEAD"));
}

enum cmg_rc cmg_h1_next_line(struct cmg_str in, size_t start, size_t from, size_t max,
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
