/* SPDX-License-Identifier: MIT */
#include "cmg/base/log.h"

#include <stdio.h>
#include <unistd.h>

static struct {
    const struct cmg_log_sink *sink;
    enum cmg_level level;
    enum cmg_level most; /* the higher of `level` and that of the trace */
    enum cmg_level trace_level;
    size_t ntrace; /* 0: none */
    char trace[CMG_LOG_TRACE];
} log_state = { .level = CMG_INFO, .most = CMG_INFO };

static void set_most(void)
{
    log_state.most = log_state.level;
    if (log_state.ntrace && log_state.trace_level > log_state.most)
        log_state.most = log_state.trace_level;
}

void cmg_log_to(const struct cmg_log_sink *sink, enum cmg_level level)
{
    log_state.sink = sink;
    log_state.level = level;
    set_most();
}

void cmg_log_trace(const char *prefix, enum cmg_level level)
{
    size_t n = prefix ? strlen(prefix) : 0;
    log_state.ntrace = n < sizeof(log_state.trace) ? n : sizeof(log_state.trace);
    log_state.trace_level = level;
    if (n)
        memcpy(log_state.trace, prefix, log_state.ntrace);
    set_most();
}

bool cmg_log_wants(enum cmg_level level)
{
    return level <= log_state.most;
}

static bool traced(const struct cmg_kv *kv, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kv[i].str.p && !strcmp(kv[i].key, "request"))
            return kv[i].str.n >= log_state.ntrace &&
                   !memcmp(kv[i].str.p, log_state.trace, log_state.ntrace);
    return false;
}

void cmg_log(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    if (log_state.ntrace && level > log_state.level && !traced(kv, n))
        return;
    if (log_state.sink) {
        log_state.sink->write(level, event, kv, n);
        return;
    }
    char line[2048];
    size_t size = cmg_log_text(line, sizeof(line) - 1, event, kv, n);
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* nowhere left to complain to */
}

void cmg_log_flush(void)
{
    if (log_state.sink && log_state.sink->flush)
        log_state.sink->flush();
}

struct out {
    char *p;
    size_t n, room;
};

static void put(struct out *o, const char *p, size_t n)
{
    if (n > o->room - o->n)
        n = o->room - o->n;
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

static bool plain(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

static void put_quoted(struct out *o, struct cmg_str s)
{
    put(o, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            char two[2] = { '\\', (char)c };
            put(o, two, 2);
        } else if (c < ' ' || c == 0x7f) {
            char hex[5];
            snprintf(hex, sizeof(hex), "\\x%02x", c);
            put(o, hex, 4);
        } else {
            put(o, s.p + i, 1);
        }
    }
    put(o, "\"", 1);
}

size_t cmg_log_text(char *out, size_t size, const char *event, const struct cmg_kv *kv, size_t n)
{
    struct out o = { out, 0, size - 1 };
    put(&o, event, strlen(event));
    for (size_t i = 0; i < n; i++) {
        put(&o, " ", 1);
        put(&o, kv[i].key, strlen(kv[i].key));
        put(&o, "=", 1);
        if (!kv[i].str.p) {
            /* Digits by hand: an access line holds five numbers, and printf is the dearest part. */
            char digits[24];
            size_t at = sizeof(digits);
            uint64_t v = kv[i].num < 0 ? 0 - (uint64_t)kv[i].num : (uint64_t)kv[i].num;
            do
                digits[--at] = (char)('0' + v % 10);
            while (v /= 10);
            if (kv[i].num < 0)
                digits[--at] = '-';
            put(&o, digits + at, sizeof(digits) - at);
        } else if (plain(kv[i].str)) {
            put(&o, kv[i].str.p, kv[i].str.n);
        } else {
            put_quoted(&o, kv[i].str);
        }
    }
    out[o.n] = '\0';
    return o.n;
}
