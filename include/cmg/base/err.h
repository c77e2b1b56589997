/* SPDX-License-Identifier: MIT */
/* Result codes shared by every module, and the sentence an operator reads. */
#ifndef CMG_BASE_ERR_H
#define CMG_BASE_ERR_H

#define CMG_MUST_CHECK __attribute__((warn_unused_result))
#define CMG_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum cmg_rc {
    CMG_OK = 0,
    CMG_MORE,         /* not an error: feed more bytes and call again      */
    CMG_EPROTO = -1,  /* the peer broke the protocol; close, do not retry  */
    CMG_ETOOBIG = -2, /* a configured ceiling was reached                  */
    CMG_EDENIED = -3, /* authentication or policy said no                  */
    CMG_EIO = -4,     /* the network or a file failed; retrying may help   */
    CMG_ECONF = -5,   /* the operator must change something                */
    CMG_ETIMEOUT = -6 /* a deadline passed                                 */
};

struct cmg_err {
    enum cmg_rc code;
    char text[256]; /* one sentence, no newline, no secret */
};

/* Fills `err` (which may be NULL) and returns `code`, so callers can write
 * `return cmg_fail(err, CMG_ECONF, "...")`. Control characters become '?'. */
enum cmg_rc cmg_fail(struct cmg_err *err, enum cmg_rc code, const char *fmt, ...) CMG_PRINTF(3, 4);

#endif
