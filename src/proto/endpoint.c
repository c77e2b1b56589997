/* SPDX-License-Identifier: MIT */
#include "cmg/proto/endpoint.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/path.h"

enum { PATH_MAX_BYTES = 255 };

const char *const cmg_role_names[] = {
    [CMG_ROLE_MANAGEMENT_POINT] = "management-point",
    [CMG_ROLE_SOFTWARE_UPDATE_POINT] = "software-update-point",
    [CMG_ROLE_ADMIN_SERVICE] = "admin-service",
    NULL,
};

const char *const *cmg_role_paths(enum cmg_role role)
{
    /* The IIS applications of a management point. */
    static const char *const management_point[] = {
        "CCM_Client",
        "CCM_Incoming",
        "CCM_System",
        "CCM_System_WindowsAuth",
        "CCM_System_TokenAuth",
        "CCM_System_AltAuth",
        "CCM_STS",
        "CMUserService",
        "CMUserService_WindowsAuth",
        "SMS_MP",
        "SMS_MP_WindowsAuth",
        "SMS_MP_TokenAuth",
        "SMS_MP_AltAuth",
        "BGB",
        NULL,
    };
    /* The web services of [MS-WUSP] section 2.1. No Content: clients on the internet get
     * the updates themselves from Microsoft. */
    static const char *const software_update_point[] = {
        "SimpleAuthWebService", "ClientWebService", "ReportingWebService", "SelfUpdate", NULL,
    };
    static const char *const admin_service[] = { "AdminService", NULL };

    switch (role) {
    case CMG_ROLE_MANAGEMENT_POINT:
        return management_point;
    case CMG_ROLE_SOFTWARE_UPDATE_POINT:
        return software_update_point;
    case CMG_ROLE_ADMIN_SERVICE:
        return admin_service;
    }
    return NULL;
}

static bool id_char(char c)
{
    return (c >= '0' && c <= '9') || (cmg_lower(c) >= 'a' && cmg_lower(c) <= 'z') || c == '.' ||
           c == '_' || c == '-';
}

/* An id that ends in a dot could never be asked for: cmg_path_parse refuses it. */
static bool id_ok(const char *id)
{
    size_t n = id ? strlen(id) : 0;
    if (n == 0 || n > CMG_ENDPOINT_ID_MAX || id[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!id_char(id[i]))
            return false;
    return true;
}

/* Published paths are held against request paths byte for byte, so one that no request
 * path could equal is the operator's mistake. ASCII: other characters come encoded. */
static bool path_ok(const char *path)
{
    char full[1 + PATH_MAX_BYTES + 1] = "/";
    struct cmg_path parsed;
    size_t n = path ? strlen(path) : 0;

    if (n == 0 || n > PATH_MAX_BYTES || path[n - 1] == '/')
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] >= 0x80)
            return false;
    memcpy(full + 1, path, n + 1);
    return cmg_path_parse(cmg_str(full), &parsed, NULL) == CMG_OK && !parsed.query.p;
}

static enum cmg_rc check(const struct cmg_endpoint_set *set, const struct cmg_endpoint *e,
                         struct cmg_err *err)
{
    if (!id_ok(e->id))
        return cmg_fail(err, CMG_ECONF,
                        "endpoint id \"%.64s\": 1 to %d letters, digits, '.', '_' and '-' are "
                        "allowed, no '.' at the end",
                        e->id ? e->id : "", CMG_ENDPOINT_ID_MAX);
    if (set->n >= CMG_ENDPOINTS_MAX)
        return cmg_fail(err, CMG_ECONF, "endpoint %s: more than %d endpoints", e->id,
                        CMG_ENDPOINTS_MAX);
    if (cmg_endpoint_find(set, cmg_str(e->id)))
        return cmg_fail(err, CMG_ECONF, "endpoint %s: the id is there already", e->id);
    if (!cmg_role_paths(e->role))
        return cmg_fail(err, CMG_ECONF, "endpoint %s: no such role", e->id);
    if (e->max_request_bytes < 0)
        return cmg_fail(err, CMG_ECONF, "endpoint %s: the request size is negative", e->id);
    if (e->auth & ~(unsigned)(CMG_AUTH_MUTUAL | CMG_AUTH_SERVER))
        return cmg_fail(err, CMG_ECONF, "endpoint %s: no such client authentication", e->id);
    if (e->npaths > CMG_ENDPOINT_PATHS_MAX)
        return cmg_fail(err, CMG_ECONF, "endpoint %s: more than %d paths", e->id,
                        CMG_ENDPOINT_PATHS_MAX);
    for (size_t i = 0; i < e->npaths; i++)
        if (!path_ok(e->paths[i]))
            return cmg_fail(err, CMG_ECONF, "endpoint %s: path \"%.80s\" cannot be published",
                            e->id, e->paths[i] ? e->paths[i] : "");
    return CMG_OK;
}

enum cmg_rc cmg_endpoint_set_add(struct cmg_endpoint_set *set, const struct cmg_endpoint *e,
                                 struct cmg_err *err)
{
    enum cmg_rc rc = check(set, e, err);
    if (rc != CMG_OK)
        return rc;

    struct cmg_endpoint copy = *e;
    copy.id = cmg_strdup(e->id);
    copy.paths = cmg_alloc(e->npaths * sizeof(*copy.paths));
    for (size_t i = 0; i < e->npaths; i++)
        copy.paths[i] = cmg_strdup(e->paths[i]);
    set->v = cmg_realloc(set->v, (set->n + 1) * sizeof(*set->v));
    set->v[set->n++] = copy;
    return CMG_OK;
}

enum cmg_rc cmg_endpoint_set_add_words(struct cmg_endpoint_set *set, const char *id,
                                       enum cmg_role role, char *const *paths, char *const *auth,
                                       int64_t max_request_bytes, bool wants_certificate,
                                       struct cmg_err *err)
{
    const char *const *list =
        paths && paths[0] ? (const char *const *)(uintptr_t)paths : cmg_role_paths(role);
    struct cmg_endpoint e = {
        .id = (char *)(uintptr_t)id, /* read, not kept */
        .role = role,
        .paths = (char **)(uintptr_t)list,
        .max_request_bytes = max_request_bytes,
        .wants_certificate = wants_certificate,
    };
    while (list[e.npaths])
        e.npaths++;
    for (; *auth; auth++)
        e.auth |= strcmp(*auth, "mutual") ? CMG_AUTH_SERVER : CMG_AUTH_MUTUAL;
    return cmg_endpoint_set_add(set, &e, err);
}

void cmg_endpoint_set_clear(struct cmg_endpoint_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < set->v[i].npaths; k++)
            free(set->v[i].paths[k]);
        free(set->v[i].paths);
        free(set->v[i].id);
    }
    free(set->v);
    *set = (struct cmg_endpoint_set){ NULL, 0 };
}

/* Ids of one site are long numbers that differ at their end: length and last byte tell
 * nearly all apart. */
const struct cmg_endpoint *cmg_endpoint_find(const struct cmg_endpoint_set *set, struct cmg_str id)
{
    if (id.n == 0 || id.n > CMG_ENDPOINT_ID_MAX)
        return NULL;
    char last = cmg_lower(id.p[id.n - 1]);
    for (size_t i = 0; i < set->n; i++) {
        struct cmg_str have = cmg_str(set->v[i].id);
        if (have.n == id.n && cmg_lower(have.p[have.n - 1]) == last && cmg_str_ieq(have, id))
            return &set->v[i];
    }
    return NULL;
}

const char *cmg_endpoint_match(const struct cmg_endpoint *e, struct cmg_str rest)
{
    const char *best = NULL;
    size_t best_n = 0;

    if (rest.n < 2)
        return NULL;
    char first = cmg_lower(rest.p[1]);
    for (size_t i = 0; i < e->npaths; i++) {
        if (cmg_lower(e->paths[i][0]) != first)
            continue;
        struct cmg_str path = cmg_str(e->paths[i]);
        if (path.n > best_n && cmg_path_under(rest, path)) {
            best = e->paths[i];
            best_n = path.n;
        }
    }
    return best;
}
