/* SPDX-License-Identifier: MIT */
/* One pass over the text. At each place each rule is asked how many bytes it takes out and how many
 * of these it leaves standing in front, "sig=" for instance. */
#include "ctl/redact.h"

#include <string.h>

#include "cmg/base/alloc.h"

struct cut {
    size_t keep; /* bytes that stay */
    size_t drop; /* bytes behind them that go; 0: the rule does not apply */
};

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (cmg_lower(c) >= 'a' && cmg_lower(c) <= 'z') || c == '_' ||
           c == '-';
}

static size_t until(struct cmg_str s, size_t at, const char *stops)
{
    while (at < s.n && (!s.p[at] || !strchr(stops, s.p[at])))
        at++;
    return at;
}

/* --- rules: `s` is the rest of the text, `first` says that no word goes on here --------------- */

static struct cut private_key(struct cmg_str s, bool first)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    (void)first;
    struct cmg_str head = { s.p, until(s, 0, "\n") };
    if (!cmg_str_istarts(s, CMG_STR("-----BEGIN ")) ||
        !memmem(head.p, head.n, "PRIVATE KEY", strlen("PRIVATE KEY")))
        return (struct cut){ 0 };
    const char *e = memmem(s.p, s.n, end, strlen(end));
    size_t n = e ? (size_t)(e - s.p) + strlen(end) : s.n; /* a block without an end: all of it */
    n = until(s, n, "\n");
    return (struct cut){ strlen(begin), n - strlen(begin) };
}

static struct cut userinfo(struct cmg_str s, bool first)
{
    (void)first;
    if (!cmg_str_istarts(s, CMG_STR("://")))
        return (struct cut){ 0 };
    size_t end = until(s, 3, "/?# \t\r\n\"'<>");
    const char *at = memrchr(s.p + 3, '@', end - 3);
    return (struct cut){ 3, at ? (size_t)(at - s.p) - 3 : 0 };
}

static struct cut credentials(struct cmg_str s, bool first)
{
    static const struct cmg_str schemes[] = {
        { "Bearer ", 7 }, { "Basic ", 6 }, { "Negotiate ", 10 }, { "SharedKey ", 10 }
    };
    for (size_t i = 0; first && i < CMG_COUNT(schemes); i++)
        if (cmg_str_istarts(s, schemes[i])) {
            size_t n = schemes[i].n, end = until(s, n, " \t\r\n\"',;");
            return (struct cut){ n, end - n };
        }
    return (struct cut){ 0 };
}

static struct cut jwt(struct cmg_str s, bool first)
{
    size_t n = 0, dots = 0;
    if (!first || s.n < 3 || memcmp(s.p, "eyJ", 3) != 0)
        return (struct cut){ 0 };
    for (; n < s.n && (is_word(s.p[n]) || s.p[n] == '.'); n++)
        dots += s.p[n] == '.';
    return (struct cut){ 0, dots ? n : 0 };
}

/* The value of `name`, in  name=value  name: value  "name":"value"  name = "value". Without quotes
 * it ends at one of `stops`. */
static struct cut value(struct cmg_str s, size_t name, const char *stops)
{
    size_t at = name;
    at += at < s.n && s.p[at] == '"';
    while (at < s.n && s.p[at] == ' ')
        at++;
    if (at == s.n || (s.p[at] != '=' && s.p[at] != ':'))
        return (struct cut){ 0 };
    bool colon = s.p[at++] == ':';
    while (at < s.n && s.p[at] == ' ')
        at++;
    if (at < s.n && s.p[at] == '"') {
        size_t end = at + 1;
        while (end < s.n && s.p[end] != '"' && s.p[end] != '\n')
            end += s.p[end] == '\\' && end + 1 < s.n ? 2 : 1;
        return (struct cut){ at + 1, end - at - 1 };
    }
    /* JSON's numbers and objects are no secrets: "token": 5. */
    if (colon && at < s.n && s.p[name] == '"')
        return (struct cut){ 0 };
    return (struct cut){ at, until(s, at, stops) - at };
}

static struct cut named(struct cmg_str s, bool first)
{
    static const char one_word[] = "& \t\r\n\"'", to_the_end[] = "\r\n\"";
    static const struct {
        const char *name, *stops;
    } names[] = {
        { "sig", one_word },
        { "signature", one_word },
        { "password", one_word },
        { "passwd", one_word },
        { "pwd", one_word },
        { "secret", one_word },
        { "client_secret", one_word },
        { "client-secret", one_word },
        { "token", one_word },
        { "access_token", one_word },
        { "id_token", one_word },
        { "refresh_token", one_word },
        { "accountkey", one_word },
        { "api-key", one_word },
        { "assertion", one_word },
        { "authorization", to_the_end },
        { "proxy-authorization", to_the_end },
        { "cookie", to_the_end },
    };
    size_t n = 0;
    while (n < s.n && is_word(s.p[n]))
        n++;
    for (size_t i = 0; first && i < CMG_COUNT(names); i++)
        if (cmg_str_ieq((struct cmg_str){ s.p, n }, cmg_str(names[i].name)))
            return value(s, n, names[i].stops);
    return (struct cut){ 0 };
}

/* At the beginning of a line of a configuration. To its end: such values have blanks. */
static struct cut setting(struct cmg_str s)
{
    static const struct cmg_str keys[] = {
        { "key = ", 6 },  { "key-file = ", 11 },      { "sas-file = ", 11 },
        { "user = ", 7 }, { "password-file = ", 16 }, { "password = ", 11 },
    };
    for (size_t i = 0; i < CMG_COUNT(keys); i++)
        if (cmg_str_istarts(s, keys[i]))
            return (struct cut){ keys[i].n, until(s, keys[i].n, "\r\n") - keys[i].n };
    return (struct cut){ 0 };
}

static struct cut cut_at(struct cmg_str text, size_t at)
{
    static struct cut (*const rules[])(struct cmg_str, bool) = { private_key, userinfo, credentials,
                                                                 jwt, named };
    struct cmg_str s = cmg_str_from(text, at);
    bool first = !at || !is_word(text.p[at - 1]);
    struct cut c = !at || text.p[at - 1] == '\n' ? setting(s) : (struct cut){ 0 };
    for (size_t i = 0; !c.drop && i < CMG_COUNT(rules); i++)
        c = rules[i](s, first);
    return c;
}

static bool can_begin(char c, bool word_before)
{
    return c == '-' || c == ':' || (!word_before && is_word(c));
}

enum cmg_rc redact(struct cmg_str text, struct cmg_buf *out)
{
    size_t from = 0; /* not written yet */
    enum cmg_rc rc = CMG_OK;
    for (size_t at = 0; at < text.n && rc == CMG_OK;) {
        struct cut c = { 0 };
        if (can_begin(text.p[at], at && is_word(text.p[at - 1])))
            c = cut_at(text, at);
        if (!c.drop) {
            at++;
            continue;
        }
        rc = cmg_buf_put(out, (struct cmg_str){ text.p + from, at + c.keep - from });
        if (rc == CMG_OK)
            rc = cmg_buf_put(out, CMG_STR(REDACTED));
        from = at = at + c.keep + c.drop;
    }
    return rc == CMG_OK ? cmg_buf_put(out, cmg_str_from(text, from)) : rc;
}
