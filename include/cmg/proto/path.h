/* SPDX-License-Identifier: MIT */
/* Request targets as the gateway and the connection point both judge them: one
 * parse, one decision, and the bytes forwarded are the bytes judged. Pure. */
#ifndef CMG_PROTO_PATH_H
#define CMG_PROTO_PATH_H

#include "cmg/base/err.h"
#include "cmg/base/str.h"

enum cmg_tree {
    CMG_TREE_NONE,       /* not under a proxy tree                       */
    CMG_TREE_MUTUALAUTH, /* /CCM_Proxy_MutualAuth/: client certificate   */
    CMG_TREE_SERVERAUTH  /* /CCM_Proxy_ServerAuth/: token                */
};

struct cmg_path {
    struct cmg_str path;  /* up to the '?'                                          */
    struct cmg_str query; /* behind the '?'; .p NULL when there is none             */
    enum cmg_tree tree;
    struct cmg_str id;   /* first segment behind the tree: role id, or a name such
                          * as ServiceMetadata; empty when there is none            */
    struct cmg_str rest; /* from the '/' behind the id, or empty: what is published
                          * paths are matched against                               */
};

/* Takes a raw target apart. CMG_EPROTO with one sentence when the path is not its own
 * canonical form: not starting with '/', "//", a "." or ".." segment, '\', a control
 * character or NUL (raw or encoded), a broken or encoded %2e %2f %5c, anything encoded
 * twice, overlong UTF-8, a segment that ends in '.' or in %20, '#', a raw blank. Queries
 * are free but for control characters, blanks and '#'. Dots at the front of a name
 * (".sms_aut"), braces, bytes from 0x80 are fine. Tree names are matched without regard to
 * case; neither they nor the id behind them may have anything percent-encoded. */
CMG_MUST_CHECK enum cmg_rc cmg_path_parse(struct cmg_str target, struct cmg_path *out,
                                          struct cmg_err *err);

/* True when `rest` ("/CCM_System/request") lies in published path `prefix`
 * ("CCM_System", or "SMS_MP/x"; no slash at either end), segment by segment, ASCII
 * case ignored. */
bool cmg_path_under(struct cmg_str rest, struct cmg_str prefix);

#endif
