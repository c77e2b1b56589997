/* SPDX-License-Identifier: MIT */
/* What a connection point publishes: endpoints, their paths and limits. The same set
 * decides on both sides; it is a value, built once and then only read. Pure. */
#ifndef CMG_PROTO_ENDPOINT_H
#define CMG_PROTO_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"
#include "cmg/proto/path.h"

enum cmg_role { CMG_ROLE_MANAGEMENT_POINT, CMG_ROLE_SOFTWARE_UPDATE_POINT, CMG_ROLE_ADMIN_SERVICE };

/* "management-point", "software-update-point", "admin-service" */
extern const char *const cmg_role_names[]; /* NULL-ended */

/* Default published paths, NULL-ended: the web applications that Configuration Manager
 * gives the role. */
const char *const *cmg_role_paths(enum cmg_role role);

enum { CMG_ENDPOINTS_MAX = 256, CMG_ENDPOINT_PATHS_MAX = 64, CMG_ENDPOINT_ID_MAX = 64 };

enum cmg_endpoint_auth { CMG_AUTH_MUTUAL = 1, CMG_AUTH_SERVER = 2 }; /* bits */

/* The bit that a request under `tree` needs. */
static inline unsigned cmg_endpoint_auth_of(enum cmg_tree tree)
{
    return tree == CMG_TREE_MUTUALAUTH ? CMG_AUTH_MUTUAL : CMG_AUTH_SERVER;
}

struct cmg_endpoint {
    char
        *id; /* owned; [A-Za-z0-9._-]+, at most CMG_ENDPOINT_ID_MAX; ids are matched without case */
    enum cmg_role role;
    char **paths; /* owned; without slashes at the ends */
    size_t npaths;
    int64_t max_request_bytes; /* of one request body; 0 = no body at all */
    unsigned auth;             /* bits of cmg_endpoint_auth               */
    bool wants_certificate;    /* the client's own is to be sent along    */
};

struct cmg_endpoint_set {
    struct cmg_endpoint *v; /* owned */
    size_t n;
};

/* Appends a copy of *e. CMG_ECONF: bad id or path, an id that is there already, or a
 * ceiling passed; err says which. A path is ASCII, canonical as path.h has it, and at
 * most 255 bytes; an id does not end in '.'. */
CMG_MUST_CHECK enum cmg_rc cmg_endpoint_set_add(struct cmg_endpoint_set *set,
                                                const struct cmg_endpoint *e, struct cmg_err *err);
/* The same from the words of a configuration: no paths (NULL or an empty list) means the
 * role's defaults; `auth` is a NULL-ended list of "mutual" and "server". */
CMG_MUST_CHECK enum cmg_rc cmg_endpoint_set_add_words(struct cmg_endpoint_set *set, const char *id,
                                                      enum cmg_role role, char *const *paths,
                                                      char *const *auth, int64_t max_request_bytes,
                                                      bool wants_certificate, struct cmg_err *err);
void cmg_endpoint_set_clear(struct cmg_endpoint_set *set);

/* The endpoint with that id, or NULL. */
const struct cmg_endpoint *cmg_endpoint_find(const struct cmg_endpoint_set *set, struct cmg_str id);

/* The longest published path of `e` that `rest` lies under, or NULL. */
const char *cmg_endpoint_match(const struct cmg_endpoint *e, struct cmg_str rest);

#endif
