/* SPDX-License-Identifier: MIT */
/* Questions to a daemon of this machine: HTTP over the unix socket of its administrator's door. */
#ifndef CMG_CTL_ASK_H
#define CMG_CTL_ASK_H

#include <jansson.h>
#include <stdbool.h>

#include "cmg/base/err.h"
#include "cmg/base/str.h"
#include "ctl/ctl.h"

/* The rows by which a command says which daemon it means; first in its table. */
/* clang-format off */
#define ASK_OPTIONS                                                                                \
    { .name = "gateway", .doc = "Ask the gateway of this machine." },                              \
    { .name = "connection-point", .doc = "Ask the connection point of this machine." },            \
    { .name = "socket", .value = "FILE",                                                           \
      .doc = "Ask the daemon whose [admin] socket this is." }
/* clang-format on */

struct door {
    const char *program; /* "cmg-gateway"; "the daemon" behind a socket that was named */
    char path[108];      /* as long as a socket's may be */
};

enum { DOORS_MAX = 2 };
struct doors {
    struct door at[DOORS_MAX];
    size_t n; /* 1 or 2 */
};

/* Which are meant: the one that was named, else those whose sockets are in `run` ("/run"), else,
 * when there is none, the gateway's, so that asking it says what is wrong. CMG_EDENIED: options
 * that contradict each other. */
CMG_MUST_CHECK enum cmg_rc doors_find(const struct ctl_args *a, const char *run, struct doors *out,
                                      struct cmg_err *err);
/* The same, from /run. CTL_USAGE has been said. `one`: two are too many (it changes something). */
enum ctl_exit doors_choose(const struct ctl_args *a, bool one, struct doors *out);

struct answer {
    unsigned status;
    char *body; /* owned, with a NUL behind it */
    size_t n;
};
void answer_clear(struct answer *a);
void answer_print(const struct answer *a); /* as it came, with a line's end */

enum { ASK_MAX_BYTES = 64 * 1024 * 1024, ASK_MS = 30 * 1000 };

/* `method` NULL is GET; `target` "/status". CMG_EIO and CMG_ETIMEOUT: there was no answer, err says
 * why and what to do. */
CMG_MUST_CHECK enum cmg_rc ask(const struct door *d, const char *method, const char *target,
                               struct answer *out, struct cmg_err *err);
/* GET of an answer in lines: on_line gets each as it comes, without its end; false ends it.
 * `out` is what was answered in place of lines, when its status is not 200. */
CMG_MUST_CHECK enum cmg_rc ask_lines(const struct door *d, const char *target, int64_t timeout_ms,
                                     bool (*on_line)(void *arg, struct cmg_str line), void *arg,
                                     struct answer *out, struct cmg_err *err);

/* The answer as JSON. NULL with err: it is none, or its status is not `status`; then err has the
 * refusal's own words. */
json_t *answer_json(const struct door *d, const struct answer *a, unsigned status,
                    struct cmg_err *err);

/* CTL_UNREACHED, after saying err. */
enum ctl_exit ask_failed(const struct cmg_err *err);

#endif
