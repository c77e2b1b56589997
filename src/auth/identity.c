/* SPDX-License-Identifier: MIT */
#include "cmg/auth/identity.h"

#include <inttypes.h>
#include <stdio.h>

#include "cmg/base/alloc.h"

static const char *const hows[] = { [CMG_BY_NOTHING] = "none",
                                    [CMG_BY_CERTIFICATE] = "certificate",
                                    [CMG_BY_ENTRA] = "entra",
                                    [CMG_BY_SITE_TOKEN] = "site-token",
                                    [CMG_BY_CONTENT_TOKEN] = "content-token" };
static const char *const kinds[] = {
    [CMG_KIND_DEVICE] = "device", [CMG_KIND_USER] = "user", [CMG_KIND_BULK] = "bulk"
};

/* RFC 8941 section 3.3.1: an integer has at most 15 digits. */
static const int64_t TIME_MAX = INT64_C(999999999999999);
enum { TIME_DIGITS = 15 };

const char *cmg_identity_how_name(enum cmg_identity_how how)
{
    return hows[how];
}

const char *cmg_identity_kind_name(enum cmg_identity_kind kind)
{
    return kinds[kind];
}

static bool hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool cmg_guid_ok(struct cmg_str text, char out[37])
{
    if (text.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char c = cmg_lower(text.p[i]);
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? c != '-' : !hex_digit(c))
            return false;
        if (out)
            out[i] = c;
    }
    if (out)
        out[36] = '\0';
    return true;
}

/* Writing ------------------------------------------------------------------------------- */

struct writer {
    char *out;
    size_t n;
};

static void put(struct writer *w, const char *text)
{
    size_t room = CMG_IDENTITY_TEXT - 1 - w->n, n = strlen(text);
    if (n > room)
        n = room;
    memcpy(w->out + w->n, text, n);
    w->n += n;
    w->out[w->n] = '\0';
}

/* A name is a certificate's or a directory's: it may hold anything. What a string of RFC 8941
 * cannot say becomes '_', and so do quotes: then no reader has anything to unescape. */
static void put_string(struct writer *w, const char *key, const char *value)
{
    char safe[256];
    size_t n = 0;
    if (!value[0])
        return;
    for (; value[n] && n < sizeof(safe) - 1; n++) {
        char c = value[n];
        safe[n] = c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? '_' : c;
    }
    safe[n] = '\0';
    put(w, key);
    put(w, safe);
    put(w, "\"");
}

static void put_time(struct writer *w, const char *key, int64_t seconds)
{
    char digits[24];
    if (seconds <= 0)
        return;
    snprintf(digits, sizeof(digits), "%" PRId64, seconds > TIME_MAX ? TIME_MAX : seconds);
    put(w, key);
    put(w, digits);
}

size_t cmg_identity_write(const struct cmg_identity *i, char out[CMG_IDENTITY_TEXT])
{
    struct writer w = { out, 0 };
    put(&w, cmg_identity_how_name(i->how));
    put(&w, "; kind=");
    put(&w, cmg_identity_kind_name(i->kind));
    put_string(&w, "; name=\"", i->name);
    put_string(&w, "; id=\"", i->id);
    put_string(&w, "; tenant=\"", i->tenant);
    put_string(&w, "; sha256=\"", i->sha256);
    put_time(&w, "; since=", i->since);
    put_time(&w, "; until=", i->until);
    return w.n;
}

/* Reading -------------------------------------------------------------------------------- */

static bool alpha(char c)
{
    c = cmg_lower(c);
    return c >= 'a' && c <= 'z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes what is of one class off the front. */
static struct cmg_str take(struct cmg_str *s, bool (*is)(char))
{
    struct cmg_str run = { s->p, 0 };
    while (run.n < s->n && is(s->p[run.n]))
        run.n++;
    *s = cmg_str_from(*s, run.n);
    return run;
}

static bool take_byte(struct cmg_str *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = cmg_str_from(*s, 1);
    return true;
}

static bool blank(char c)
{
    return c == ' ';
}

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

static bool token_char(char c)
{
    return alpha(c) || digit(c) || (c && strchr("!#$%&'*+-.^_`|~:/", c));
}

/* Of a decimal, a byte sequence or a boolean: only parameters that nobody here reads have them. */
static bool other_char(char c)
{
    return token_char(c) || c == '=' || c == '?';
}

enum type { MISSING, TOKEN, STRING, NUMBER, OTHER };

struct parameter {
    struct cmg_str key, value; /* a string's is what stands between its quotes */
    enum type type;
};

/* cmg_identity_write escapes nothing, so an escape is not ours. */
static bool take_string(struct cmg_str *s, struct cmg_str *value)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= 0x20 && s->p[n] <= 0x7e && s->p[n] != '"' && s->p[n] != '\\')
        n++;
    *value = (struct cmg_str){ s->p, n };
    *s = cmg_str_from(*s, n);
    return take_byte(s, '"');
}

static bool take_value(struct cmg_str *s, struct parameter *p)
{
    if (take_byte(s, '"')) {
        p->type = STRING;
        return take_string(s, &p->value);
    }
    bool begins_token = s->n && (alpha(s->p[0]) || s->p[0] == '*');
    p->value = take(s, other_char);
    struct cmg_str rest = p->value;
    if (begins_token)
        p->type = take(&rest, token_char).n == p->value.n ? TOKEN : OTHER;
    else
        p->type = take(&rest, digit).n == p->value.n ? NUMBER : OTHER;
    return p->value.n > 0;
}

/* ";", blanks, a key, and mostly "=" and a value. */
static bool take_parameter(struct cmg_str *s, struct parameter *p)
{
    if (!take_byte(s, ';'))
        return false;
    take(s, blank);
    p->type = MISSING;
    p->value = (struct cmg_str){ "", 0 };
    bool begins_key = s->n && ((s->p[0] >= 'a' && s->p[0] <= 'z') || s->p[0] == '*');
    p->key = take(s, key_char);
    return begins_key && (!take_byte(s, '=') || take_value(s, p));
}

/* -1: none of them. */
static int find(const char *const *names, size_t n, struct cmg_str name)
{
    for (size_t i = 0; i < n; i++)
        if (cmg_str_eq(cmg_str(names[i]), name))
            return (int)i;
    return -1;
}

static bool set_kind(struct cmg_identity *i, const struct parameter *p)
{
    int kind = find(kinds, CMG_COUNT(kinds), p->value);
    if (p->type != TOKEN || kind < 0)
        return false;
    i->kind = (enum cmg_identity_kind)kind;
    return true;
}

static bool set_time(int64_t *to, const struct parameter *p)
{
    *to = p->type == NUMBER && p->value.n <= TIME_DIGITS ? cmg_str_number(p->value) : -1;
    return *to >= 0;
}

static bool set_text(char *to, size_t size, const struct parameter *p)
{
    if (p->type != STRING || p->value.n >= size)
        return false;
    cmg_str_put(to, size, p->value);
    return true;
}

enum key { KIND, NAME, ID, TENANT, SHA256, SINCE, UNTIL, KEYS };
static const char *const keys[KEYS] = {
    "kind", "name", "id", "tenant", "sha256", "since", "until"
};

static bool set(struct cmg_identity *i, enum key key, const struct parameter *p)
{
    switch (key) {
    case KIND:
        return set_kind(i, p);
    case NAME:
        return set_text(i->name, sizeof(i->name), p);
    case ID:
        return set_text(i->id, sizeof(i->id), p);
    case TENANT:
        return set_text(i->tenant, sizeof(i->tenant), p);
    case SHA256:
        return set_text(i->sha256, sizeof(i->sha256), p);
    case SINCE:
        return set_time(&i->since, p);
    case UNTIL:
        return set_time(&i->until, p);
    case KEYS:
        break;
    }
    return false;
}

static enum cmg_rc read_parameters(struct cmg_str s, struct cmg_identity *i, struct cmg_err *err)
{
    bool seen[KEYS] = { false };
    struct parameter p;
    for (take(&s, blank); s.n; take(&s, blank)) {
        if (!take_parameter(&s, &p))
            return cmg_fail(err, CMG_EPROTO, "the identity is not an item with parameters");
        int key = find(keys, KEYS, p.key);
        if (key < 0)
            continue;
        if (seen[key])
            return cmg_fail(err, CMG_EPROTO, "the identity has %s twice", keys[key]);
        seen[key] = true;
        if (!set(i, (enum key)key, &p))
            return cmg_fail(err, CMG_EPROTO, "the identity's %s is not as it should be", keys[key]);
    }
    if (!seen[KIND])
        return cmg_fail(err, CMG_EPROTO, "the identity has no kind");
    return CMG_OK;
}

enum cmg_rc cmg_identity_read(struct cmg_str value, struct cmg_identity *i, struct cmg_err *err)
{
    struct cmg_str s = cmg_str_trim(value);
    *i = (struct cmg_identity){ 0 };
    int how = find(hows, CMG_COUNT(hows), take(&s, token_char));
    if (how < 0)
        return cmg_fail(err, CMG_EPROTO, "the identity does not say how the client proved it");
    i->how = (enum cmg_identity_how)how;
    enum cmg_rc rc = read_parameters(s, i, err);
    if (rc != CMG_OK)
        *i = (struct cmg_identity){ 0 };
    return rc;
}
