/* SPDX-License-Identifier: MIT */
/* The certificate files of a daemon: what is in force, which end soon, which were renewed on disk.
 *
 * The files that one configuration names are a list. A list is prepared before its files are read,
 * so that no change falls in between, and used once they are loaded; the daemon does the loading:
 *
 *   cmg_certificates_prepare, _add ...   then load; then _use, or _drop when that failed
 *
 * When files of the list in use change, `renew` is asked to load them all anew. A certificate and
 * its key are written one after the other: a pair that does not fit is looked at again, and refused
 * only when it has rested. Whatever is refused, what is in force stays in force.
 *
 * Events: certificate.renewed, certificate.refused, certificate.ending.
 */
#ifndef CMG_DAEMON_CERTIFICATES_H
#define CMG_DAEMON_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/err.h"

struct cmg_certificates;
struct cmg_loop;

/* `renew(arg, err)`, from the loop: loads what the list in use names and puts it in force for new
 * connections. All or nothing; CMG_ECONF with err: nothing has changed. May call nothing here. */
struct cmg_certificates *cmg_certificates_new(struct cmg_loop *l,
                                              enum cmg_rc (*renew)(void *arg, struct cmg_err *err),
                                              void *arg);
void cmg_certificates_free(struct cmg_certificates *c); /* NULL is ignored */

/* Begins a new list; what another one prepared and did not use is dropped. */
void cmg_certificates_prepare(struct cmg_certificates *c);
/* `certificate` with `key`, or a file of CA certificates: `key` NULL. Copied; NULL, or a file that
 * is there already, is ignored. How many there are is bounded by the configuration's lists. */
void cmg_certificates_add(struct cmg_certificates *c, const char *certificate, const char *key);
/* The prepared list is loaded and in force: it is read for the view, and what nears its end is
 * warned about, unless it was before. */
void cmg_certificates_use(struct cmg_certificates *c);
void cmg_certificates_drop(struct cmg_certificates *c);

/* What is in force, for status and metrics: of each pair the leaf; of each file of CAs every
 * certificate, but nothing of one with more than CMG_CERTIFICATES_PER_FILE: that is a bundle of
 * others' roots, and whoever makes it looks after it. */
enum { CMG_CERTIFICATES_PER_FILE = 8 };
struct cmg_certificate {
    const char *file;
    char subject[512];  /* RFC 2253 */
    int64_t not_before; /* seconds since 1970 */
    int64_t not_after;
    bool ca; /* one that others are judged by, not our own */
};
/* Borrowed until the loop runs on. Returns how many. */
size_t cmg_certificates(const struct cmg_certificates *c, const struct cmg_certificate **list);

/* How near its end a certificate is at `now`, in steps that are each warned of once:
 * 0 far, 1 to 4 at most 30, 14, 7 and 1 days, 5 over. Of a short-lived one (days to weeks) the
 * steps that are longer than a third of its life are not near its end, and are left out. Pure. */
enum { CMG_CERTIFICATE_FAR = 0, CMG_CERTIFICATE_OVER = 5 };
unsigned cmg_certificate_step(int64_t not_before, int64_t not_after, int64_t now);

/* One look at all ends at this time, as the timer does it every hour. */
void cmg_certificates_look(struct cmg_certificates *c, int64_t now);

#endif
