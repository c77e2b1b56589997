/* SPDX-License-Identifier: MIT */
/* What all commands on published content share: an account, a content, a loop that ends early on
 * SIGINT and SIGTERM. */
#ifndef CMG_CTL_CONTENT_SESSION_H
#define CMG_CTL_CONTENT_SESSION_H

#include "ctl/blobs.h"
#include "ctl/publish_plan.h"

struct content_session {
    struct store store;
    struct cmg_loop *loop;    /* owned; NULL: not open */
    struct blobs *blobs;      /* owned */
    char prefix[PLAN_PREFIX]; /* of the content's blobs; "": no content was named */
    bool ended, interrupted;
    struct cmg_err err; /* of the end; CMG_OK: none */
};

/* clang-format off */
#define CONTENT_ID_OPTION                                                                          \
    { .name = "id", .value = "CONTENT", .required = true, .check = content_check_id,               \
      .doc = "Id of the content, as the site gives it to clients: PS100042.3; case does not "      \
             "count." }
#define CONTENT_TRIES_OPTION                                                                       \
    { .name = "tries", .value = "N", .def = "6", .min = 1, .max = 100,                             \
      .doc = "How often a request is sent that fails in a way that may pass: no answer, or one "   \
             "of 408, 429, 500, 502, 503, 504. Waits in between double from half a second." }
/* clang-format on */

enum cmg_rc content_check_id(const char *value, struct cmg_err *err);

/* Needs the options above and STORE_OPTIONS, --id if the command has it. CTL_OK, or what the
 * command ends with; the reason has been printed. */
enum ctl_exit content_session_open(struct content_session *s, const struct ctl_args *a,
                                   void (*on_wait)(void *arg, const char *why, int64_t wait_ms),
                                   void *arg);
/* Runs the loop until content_end, or a signal. True: it ended well. */
bool content_run(struct content_session *s);
void content_end(struct content_session *s, const struct cmg_err *err); /* NULL: well */
/* Says why it did not end well. */
enum ctl_exit content_failed(const struct content_session *s);

/* Ends requests in flight; then what they were for may be freed. */
void content_session_stop(struct content_session *s);
void content_session_clear(struct content_session *s); /* zeroed is fine */

#endif
