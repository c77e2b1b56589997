/* SPDX-License-Identifier: MIT */
/* Traffic cut into periods: what each endpoint carried in each. Pure: time is an argument, in
 * seconds since 1970.
 *
 * One period runs; it ends at the next multiple of the interval, so that the periods of two daemons
 * have the same bounds. A clock that is set back ends it at once. */
#ifndef CMG_DAEMON_TRAFFIC_BOOK_H
#define CMG_DAEMON_TRAFFIC_BOOK_H

#include <jansson.h>

#include "cmg/base/buf.h"
#include "cmg/daemon/traffic.h"

enum {
    TRAFFIC_PERIODS = 288,      /* kept */
    TRAFFIC_KEPT_S = 24 * 3600, /* and so old at most */
    TRAFFIC_ROWS_MAX = 256,     /* endpoints in one period; the others are one row "*" */
    TRAFFIC_ROWS_KEPT = 16384,  /* in all periods: then the oldest of them go */
    TRAFFIC_METERS_MAX = 2048,  /* endpoints that are watched */
    TRAFFIC_NAME_MAX = 256      /* bytes of a name; longer ones are cut */
};

struct traffic_row {
    char *name, *proxy, *target; /* owned */
    uint64_t requests, bearer, failed, request_bytes, response_bytes;
    uint32_t max_in_flight;
};

struct traffic_period {
    int64_t start, end; /* the running one: end is when it was counted last */
    uint32_t max_in_flight;
    struct traffic_row *rows; /* owned; only endpoints that carried something */
    size_t n;
};
void traffic_period_clear(struct traffic_period *p);

struct traffic_book;

struct traffic_book *traffic_book_new(int64_t interval_s);
void traffic_book_free(struct traffic_book *b); /* NULL is ignored */

/* What was there before a restart, oldest first; both take it. The running one goes on if its time
 * is not over, else it has ended when it was counted last. False: of no use, not taken. */
bool traffic_book_restore(struct traffic_book *b, struct traffic_period *taken, int64_t now);
void traffic_book_resume(struct traffic_book *b, struct traffic_period *taken, int64_t now);

/* Counting: begin, then each endpoint, then end. True: a period has ended, and is at 0. */
void traffic_book_begin(struct traffic_book *b, int64_t now);
void traffic_book_add(struct traffic_book *b, const struct cmg_traffic_endpoint *e, uint32_t peak);
bool traffic_book_end(struct traffic_book *b, uint32_t peak_of_all, int64_t now);

int64_t traffic_book_left(const struct traffic_book *b, int64_t now); /* seconds of the running */

const struct traffic_period *traffic_book_running(const struct traffic_book *b);
size_t traffic_book_count(const struct traffic_book *b); /* that have ended */
const struct traffic_period *traffic_book_at(const struct traffic_book *b,
                                             size_t i); /* 0: newest */

/* As a line of a state file, and back. False: it is no such thing; *out is empty. */
json_t *traffic_period_save(const struct traffic_period *p);
bool traffic_period_load(struct cmg_str line, struct traffic_period *out);

enum { TRAFFIC_TIME = 32 };
void traffic_time(int64_t at, char out[TRAFFIC_TIME]); /* 2026-01-31T10:00:00Z */

/* As a report: the attributes of ProxyTrafficStateDetails, in JSON by the same names. */
json_t *traffic_period_json(const struct traffic_period *p, const char *server);
CMG_MUST_CHECK enum cmg_rc traffic_period_xml(struct cmg_buf *b, const struct traffic_period *p,
                                              const char *server);

#endif
