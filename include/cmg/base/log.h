/* SPDX-License-Identifier: MIT */
/* Structured log: one call, one event.
 *
 *   log_info("channel.open", KV("instance", 3), KV("road", "tcp-tls"));
 *
 * As text this is  channel.open instance=3 road=tcp-tls
 * In the journal it is one entry with CMG_EVENT=channel.open, CMG_INSTANCE=3,
 * CMG_ROAD=tcp-tls, so `journalctl CMG_INSTANCE=3` works.
 *
 * Event names are stable, dotted, and listed in docs/events.md. Values are copied
 * before the call returns. Never log a token, a key, a query or a body.
 *
 * error: an operator must act. warn: something failed and we go on. notice: what an
 * operator wants to see of normal life. info: one line per state change and request.
 *
 * The log sink is the one mutable global of the project.
 */
#ifndef CMG_BASE_LOG_H
#define CMG_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmg/base/str.h"

enum cmg_level { CMG_ERROR = 3, CMG_WARN = 4, CMG_NOTICE = 5, CMG_INFO = 6, CMG_DEBUG = 7 };

struct cmg_kv {
    const char *key;    /* lower case, [a-z_]                           */
    struct cmg_str str; /* .p NULL when the value is the number below   */
    int64_t num;
};

static inline struct cmg_kv cmg_kv_str(const char *k, const char *v)
{
    return (struct cmg_kv){ k, cmg_str(v ? v : "-"), 0 };
}
static inline struct cmg_kv cmg_kv_run(const char *k, struct cmg_str v)
{
    return (struct cmg_kv){ k, v.p ? v : CMG_STR("-"), 0 };
}
static inline struct cmg_kv cmg_kv_int(const char *k, int64_t v)
{
    return (struct cmg_kv){ k, { NULL, 0 }, v };
}
static inline struct cmg_kv cmg_kv_uint(const char *k, uint64_t v)
{
    return (struct cmg_kv){ k, { NULL, 0 }, (int64_t)v };
}

/* For values that may be empty: then they are logged as nothing, which is "-". */
static inline const char *cmg_or_none(const char *s)
{
    return *s ? s : NULL;
}

/* v: a string, a struct cmg_str or any integer. */
#define KV(k, v) \
    _Generic((v), char *: cmg_kv_str, const char *: cmg_kv_str,                        \
             struct cmg_str: cmg_kv_run, unsigned: cmg_kv_uint,                        \
             unsigned long: cmg_kv_uint, default: cmg_kv_int)((k), (v))

#define CMG_LOG(level, event, ...)                                                    \
    do {                                                                              \
        if (cmg_log_wants(level)) {                                                   \
            const struct cmg_kv cmg_kvs[] = { __VA_ARGS__ };                          \
            cmg_log((level), (event), cmg_kvs, sizeof(cmg_kvs) / sizeof(cmg_kvs[0])); \
        }                                                                             \
    } while (0)

#define log_error(...) CMG_LOG(CMG_ERROR, __VA_ARGS__)
#define log_warn(...) CMG_LOG(CMG_WARN, __VA_ARGS__)
#define log_notice(...) CMG_LOG(CMG_NOTICE, __VA_ARGS__)
#define log_info(...) CMG_LOG(CMG_INFO, __VA_ARGS__)
#define log_debug(...) CMG_LOG(CMG_DEBUG, __VA_ARGS__)

/* Where events go. `write` gets one event; `flush`, which may be NULL, is called once
 * per loop turn so that a sink may batch. */
struct cmg_log_sink {
    void (*write)(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n);
    void (*flush)(void);
};

/* Events above `level` are dropped. Without a sink: text on stderr, unbuffered. */
void cmg_log_to(const struct cmg_log_sink *sink, enum cmg_level level);
bool cmg_log_wants(enum cmg_level level);
void cmg_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n);
void cmg_log_flush(void);

/* Events above `level` in cmg_log_to, up to `level` here, are kept all the same when their field
 * `request` begins with `prefix`, which is copied, and cut at CMG_LOG_TRACE bytes. NULL: no more of
 * that, and then it costs nothing. */
enum { CMG_LOG_TRACE = 64 };
void cmg_log_trace(const char *prefix, enum cmg_level level);

/* Writes `event key=value ...` without a newline; values with blanks, quotes or control
 * characters are quoted and escaped, so that a peer cannot forge a line. Returns the
 * length, at most size - 1. */
size_t cmg_log_text(char *out, size_t size, const char *event, const struct cmg_kv *kv, size_t n);

#endif
