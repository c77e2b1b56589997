/* SPDX-License-Identifier: MIT */
#include "cmg/proto/greeting.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "chars.h"

enum { NAME_MAX_BYTES = 255, SITE_MAX_BYTES = 32, VERSION_MAX_BYTES = 64, GUID_BYTES = 36 };

static const struct {
    const char *name;
    unsigned bit;
} auths[] = {
    { "mutual", CMG_AUTH_MUTUAL },
    { "server", CMG_AUTH_SERVER },
};

/* ---- Writing ---- */

static void *there(void *p)
{
    if (!p)
        abort(); /* out of memory, as everywhere */
    return p;
}

/* JSON is UTF-8; a name that is not loses what JSON cannot say. */
static json_t *text(const char *z)
{
    json_t *s = json_string(z ? z : "");
    if (s)
        return s;
    char *ascii = cmg_strdup(z);
    for (char *c = ascii; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    s = there(json_string(ascii));
    free(ascii);
    return s;
}

/* `taken` now belongs to the object or the array. */
static void set(json_t *object, const char *key, json_t *taken)
{
    if (json_object_set_new(object, key, taken) != 0)
        abort();
}

static void append(json_t *array, json_t *taken)
{
    if (json_array_append_new(array, taken) != 0)
        abort();
}

static json_t *endpoint_json(const struct cmg_endpoint *e)
{
    json_t *o = there(json_object()), *paths = there(json_array()), *auth = there(json_array());

    for (size_t i = 0; i < e->npaths; i++)
        append(paths, text(e->paths[i]));
    for (size_t i = 0; i < CMG_COUNT(auths); i++)
        if (e->auth & auths[i].bit)
            append(auth, text(auths[i].name));
    set(o, "id", text(e->id));
    set(o, "role", text(cmg_role_names[e->role]));
    set(o, "paths", paths);
    set(o, "max_request_bytes", there(json_integer(e->max_request_bytes)));
    set(o, "auth", auth);
    if (e->wants_certificate) /* left out: then gateways that do not know it read all the same */
        set(o, "client-certificate", there(json_true()));
    return o;
}

static json_t *endpoints_json(const struct cmg_endpoint *v, size_t n)
{
    json_t *array = there(json_array());
    for (size_t i = 0; i < n; i++)
        append(array, endpoint_json(&v[i]));
    return array;
}

static char *dump(json_t *taken)
{
    char *json = there(json_dumps(taken, JSON_COMPACT));
    json_decref(taken);
    return json;
}

char *cmg_greeting_write(const struct cmg_greeting *g)
{
    json_t *o = there(json_object());
    set(o, "name", text(g->name));
    set(o, "site", text(g->site));
    set(o, "version", text(g->version));
    set(o, "connection_id", text(g->connection_id));
    set(o, "endpoints", endpoints_json(g->endpoints.v, g->endpoints.n));
    return dump(o);
}

/* ---- Reading ---- */

static bool printable(const char *s)
{
    return cmg_chars_value(cmg_str(s)) && !strchr(s, '\t');
}

static bool is_site(const char *s)
{
    return cmg_chars_all(cmg_str(s), CMG_CHAR_HOST);
}

static bool is_guid(const char *s)
{
    if (strlen(s) != GUID_BYTES)
        return false;
    for (size_t i = 0; i < GUID_BYTES; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : cmg_char_hex(s[i]) < 0)
            return false;
    return true;
}

/* NULL: the member is not there, no text, empty, longer than max or not what `ok` wants. */
static const char *member(const json_t *o, const char *key, size_t max, bool (*ok)(const char *))
{
    const json_t *value = json_object_get(o, key);
    size_t n = json_string_length(value); /* 0 for anything but text */
    if (n == 0 || n > max)
        return NULL;
    return ok(json_string_value(value)) ? json_string_value(value) : NULL;
}

static enum cmg_rc wrong(struct cmg_err *err, const char *key)
{
    return cmg_fail(err, CMG_EPROTO, "the greeting's \"%s\" is missing or not as it should be",
                    key);
}

static enum cmg_rc wrong_in(struct cmg_err *err, size_t at, const char *key)
{
    return cmg_fail(err, CMG_EPROTO,
                    "the greeting's endpoints[%zu].%s is missing or not as it should be", at, key);
}

static bool read_role(const char *name, enum cmg_role *role)
{
    for (size_t i = 0; cmg_role_names[i]; i++) {
        if (strcmp(name, cmg_role_names[i]) == 0) {
            *role = (enum cmg_role)i;
            return true;
        }
    }
    return false;
}

static bool read_auth(const json_t *array, unsigned *bits)
{
    *bits = 0;
    if (!json_is_array(array) || json_array_size(array) > CMG_COUNT(auths))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        unsigned bit = 0;
        for (size_t k = 0; name && k < CMG_COUNT(auths); k++)
            if (strcmp(name, auths[k].name) == 0)
                bit = auths[k].bit;
        if (!bit || *bits & bit)
            return false;
        *bits |= bit;
    }
    return true;
}

static bool read_paths(const json_t *array, struct cmg_endpoint *e)
{
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n > CMG_ENDPOINT_PATHS_MAX)
        return false;
    e->paths = cmg_alloc(n * sizeof(*e->paths));
    for (; e->npaths < n; e->npaths++) {
        const json_t *path = json_array_get(array, e->npaths);
        if (!json_is_string(path))
            return false;
        e->paths[e->npaths] = cmg_strdup(json_string_value(path));
    }
    return true;
}

/* Not there means no. */
static bool read_wish(const json_t *wish, bool *wants)
{
    *wants = json_is_true(wish);
    return !wish || json_is_boolean(wish);
}

static enum cmg_rc fill_endpoint(const json_t *o, size_t at, struct cmg_endpoint *e,
                                 struct cmg_err *err)
{
    const char *id = member(o, "id", CMG_ENDPOINT_ID_MAX, printable);
    const char *role = member(o, "role", NAME_MAX_BYTES, printable);
    const json_t *max = json_object_get(o, "max_request_bytes");

    if (!id)
        return wrong_in(err, at, "id");
    e->id = cmg_strdup(id);
    if (!role || !read_role(role, &e->role))
        return wrong_in(err, at, "role");
    if (!read_paths(json_object_get(o, "paths"), e))
        return wrong_in(err, at, "paths");
    if (!json_is_integer(max) || json_integer_value(max) < 0)
        return wrong_in(err, at, "max_request_bytes");
    e->max_request_bytes = json_integer_value(max);
    if (!read_auth(json_object_get(o, "auth"), &e->auth))
        return wrong_in(err, at, "auth");
    if (!read_wish(json_object_get(o, "client-certificate"), &e->wants_certificate))
        return wrong_in(err, at, "client-certificate");
    return CMG_OK;
}

static enum cmg_rc read_endpoint(const json_t *o, size_t at, struct cmg_endpoint_set *endpoints,
                                 struct cmg_err *err)
{
    struct cmg_endpoint e = { 0 };
    struct cmg_err why;
    enum cmg_rc rc = fill_endpoint(o, at, &e, err);

    if (rc == CMG_OK && cmg_endpoint_set_add(endpoints, &e, &why) != CMG_OK)
        rc = cmg_fail(err, CMG_EPROTO, "the greeting's endpoints[%zu]: %s", at, why.text);
    for (size_t i = 0; i < e.npaths; i++)
        free(e.paths[i]);
    free(e.paths);
    free(e.id);
    return rc;
}

static enum cmg_rc read_endpoints(const json_t *array, struct cmg_endpoint_set *endpoints,
                                  struct cmg_err *err)
{
    if (!json_is_array(array) || json_array_size(array) > CMG_ENDPOINTS_MAX)
        return wrong(err, "endpoints");
    for (size_t i = 0; i < json_array_size(array); i++) {
        enum cmg_rc rc = read_endpoint(json_array_get(array, i), i, endpoints, err);
        if (rc != CMG_OK)
            return rc;
    }
    return CMG_OK;
}

static enum cmg_rc read_members(const json_t *o, struct cmg_greeting *g, struct cmg_err *err)
{
    const struct {
        const char *key;
        size_t max;
        bool (*ok)(const char *);
        char **to;
    } members[] = {
        { "name", NAME_MAX_BYTES, printable, &g->name },
        { "site", SITE_MAX_BYTES, is_site, &g->site },
        { "version", VERSION_MAX_BYTES, printable, &g->version },
        { "connection_id", GUID_BYTES, is_guid, &g->connection_id },
    };
    for (size_t i = 0; i < CMG_COUNT(members); i++) {
        const char *value = member(o, members[i].key, members[i].max, members[i].ok);
        if (!value)
            return wrong(err, members[i].key);
        *members[i].to = cmg_strdup(value);
    }
    return read_endpoints(json_object_get(o, "endpoints"), &g->endpoints, err);
}

enum cmg_rc cmg_greeting_read(struct cmg_str json, struct cmg_greeting *g, struct cmg_err *err)
{
    *g = (struct cmg_greeting){ 0 };
    if (json.n > CMG_GREETING_BYTES_MAX)
        return cmg_fail(err, CMG_EPROTO, "the greeting is longer than %d bytes",
                        CMG_GREETING_BYTES_MAX);

    json_error_t at;
    json_t *o = json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(o)) {
        json_decref(o);
        return cmg_fail(err, CMG_EPROTO, "the greeting is not a JSON object");
    }
    enum cmg_rc rc = read_members(o, g, err);
    json_decref(o);
    if (rc != CMG_OK)
        cmg_greeting_clear(g);
    return rc;
}

void cmg_greeting_clear(struct cmg_greeting *g)
{
    free(g->name);
    free(g->site);
    free(g->version);
    free(g->connection_id);
    cmg_endpoint_set_clear(&g->endpoints);
    *g = (struct cmg_greeting){ 0 };
}

/* ---- The tag ---- */

static int by_id(const void *a, const void *b)
{
    const struct cmg_endpoint *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* A shallow copy in one order: a set has none, and neither has what an operator writes. */
static struct cmg_endpoint *sorted(const struct cmg_endpoint_set *endpoints)
{
    struct cmg_endpoint *v = cmg_alloc(endpoints->n * sizeof(*v));
    for (size_t i = 0; i < endpoints->n; i++) {
        const struct cmg_endpoint *e = &endpoints->v[i];
        v[i] = *e;
        v[i].paths = cmg_alloc(e->npaths * sizeof(*v[i].paths));
        for (size_t k = 0; k < e->npaths; k++)
            v[i].paths[k] = e->paths[k];
        qsort(v[i].paths, e->npaths, sizeof(*v[i].paths), by_text);
    }
    qsort(v, endpoints->n, sizeof(*v), by_id);
    return v;
}

/* FNV-1a, 64 bits: the tag tells versions of one set apart, nobody gains by a collision. */
static uint64_t fnv1a(const char *z)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *z; z++)
        h = (h ^ (uint8_t)*z) * UINT64_C(0x100000001b3);
    return h;
}

void cmg_greeting_etag(const struct cmg_endpoint_set *endpoints, char out[40])
{
    struct cmg_endpoint *v = sorted(endpoints);
    char *json = dump(endpoints_json(v, endpoints->n));

    snprintf(out, 40, "\"%016llx\"", (unsigned long long)fnv1a(json));
    free(json);
    for (size_t i = 0; i < endpoints->n; i++)
        free(v[i].paths);
    free(v);
}
