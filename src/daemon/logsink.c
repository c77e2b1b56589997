/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/logsink.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/env.h"
#include "journal.h"

const char *const cmg_log_targets[] = { "auto", "journal", "stderr", NULL };
const char *const cmg_log_formats[] = { "text", "json", NULL };
const char *const cmg_log_levels[] = { "error", "warn", "notice", "info", "debug", NULL };

enum { ROOM = 65536, LINE_MAX_BYTES = 8192, CLOSE_MS = 1000 };

enum { STAMP = sizeof("2026-11-22T04:16:06.123Z") - 1, STAMP_SECONDS = STAMP - 5 };

/* The one mutable global of the project, with base/log.c. */
static struct {
    const char *program;
    bool json;
    bool journal_stream; /* standard error leads to the journal: priority before each line */
    mode_t type;         /* of what standard error is */
    uint64_t dropped;    /* not yet reported */
    int64_t second;      /* that `stamp` was made for */
    char stamp[STAMP + 1];
    size_t n;
    char room[ROOM];
} sink;

static const char *const level_names[] = { [CMG_ERROR] = "error",
                                           [CMG_WARN] = "warn",
                                           [CMG_NOTICE] = "notice",
                                           [CMG_INFO] = "info",
                                           [CMG_DEBUG] = "debug" };

/* RFC 3339, UTC. The calendar is asked once a second only: a line has to cost next to nothing. */
static const char *stamp(void)
{
    int64_t now = cmg_clock_unix_ms();
    if (now / 1000 != sink.second || !sink.stamp[0]) {
        time_t second = (time_t)(now / 1000);
        struct tm tm;
        gmtime_r(&second, &tm);
        strftime(sink.stamp, sizeof(sink.stamp), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        sink.second = now / 1000;
    }
    unsigned ms = (unsigned)(now % 1000);
    sink.stamp[STAMP_SECONDS + 1] = (char)('0' + ms / 100);
    sink.stamp[STAMP_SECONDS + 2] = (char)('0' + ms / 10 % 10);
    sink.stamp[STAMP_SECONDS + 3] = (char)('0' + ms % 10);
    return sink.stamp;
}

/* How much of `n` bytes standard error takes without anyone waiting; 0: nothing now. Its flags
 * are left alone, because whoever else has it would not expect O_NONBLOCK. */
static size_t offer(const char *p, size_t n)
{
    ssize_t done;
    if (S_ISSOCK(sink.type)) {
        done = send(STDERR_FILENO, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        /* A pipe that is ready has room for PIPE_BUF bytes, not for more. */
        struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
        if (!S_ISREG(sink.type) && n > PIPE_BUF)
            n = PIPE_BUF;
        if (!S_ISREG(sink.type) && (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)))
            return 0;
        done = write(STDERR_FILENO, p, n);
    }
    if (done >= 0)
        return (size_t)done;
    bool gone = errno != EAGAIN && errno != EINTR;
    return gone ? n : 0; /* nobody is there to read it, ever */
}

static void flush(void)
{
    size_t done = 0, n;
    while (done < sink.n && (n = offer(sink.room + done, sink.n - done)) > 0)
        done += n;
    sink.n -= done;
    if (done && sink.n)
        memmove(sink.room, sink.room + done, sink.n);
}

static void put_number(uint64_t v, char *out, size_t *n)
{
    char digits[24];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    memcpy(out + *n, digits + at, sizeof(digits) - at);
    *n += sizeof(digits) - at;
}

static void put(char *out, size_t *n, const char *text)
{
    size_t size = strlen(text);
    memcpy(out + *n, text, size);
    *n += size;
}

/* One line at `out`, which has LINE_MAX_BYTES. */
static size_t line(char *out, enum cmg_level level, const char *event, const struct cmg_kv *kv,
                   size_t count)
{
    size_t n = 0;
    if (sink.journal_stream) { /* systemd takes the priority off again */
        out[n++] = '<';
        put_number(level, out, &n);
        out[n++] = '>';
    }
    if (sink.json) {
        n += cmg_log_json(out + n, LINE_MAX_BYTES - n - 1, stamp(), level_names[level], event, kv,
                          count);
    } else {
        if (!sink.journal_stream) {
            put(out, &n, stamp());
            out[n++] = ' ';
            put(out, &n, level_names[level]);
            out[n++] = ' ';
        }
        n += cmg_log_text(out + n, LINE_MAX_BYTES - n - 1, event, kv, count);
    }
    out[n++] = '\n';
    return n;
}

static bool room_for_a_line(void)
{
    if (ROOM - sink.n < LINE_MAX_BYTES)
        flush();
    return ROOM - sink.n >= LINE_MAX_BYTES;
}

static void report_dropped(void)
{
    if (!sink.dropped || !room_for_a_line())
        return;
    const struct cmg_kv kv = KV("count", sink.dropped);
    sink.n += line(sink.room + sink.n, CMG_WARN, "log.dropped", &kv, 1);
    sink.dropped = 0;
}

static void write_line(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    report_dropped();
    if (room_for_a_line())
        sink.n += line(sink.room + sink.n, level, event, kv, n);
    else
        sink.dropped++;
}

static void flush_lines(void)
{
    if (!sink.n)
        return;
    flush();
    if (sink.dropped) {
        report_dropped();
        flush();
    }
}

static void write_entry(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    if (!cmg_journal_send(sink.program, level, event, kv, n)) {
        sink.dropped++;
        return;
    }
    if (!sink.dropped)
        return;
    const struct cmg_kv count = KV("count", sink.dropped);
    if (cmg_journal_send(sink.program, CMG_WARN, "log.dropped", &count, 1))
        sink.dropped = 0;
}

static const struct cmg_log_sink lines = { write_line, flush_lines };
static const struct cmg_log_sink entries = { write_entry, NULL };

/* Waits, but not for ever: a reader that has gone to sleep must not keep us from ending. */
static void drain(void)
{
    int64_t until = cmg_clock_ms() + CLOSE_MS, left;
    while (flush(), sink.n && (left = until - cmg_clock_ms()) > 0) {
        struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
        if (poll(&ready, 1, (int)left) < 0 && errno != EINTR)
            break;
    }
}

/* The lines before a crash are those one wants most. The signal then does what it did before. */
static void on_crash(int signo)
{
    drain();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void catch_crashes(void)
{
    static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    const struct sigaction ours = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
    struct sigaction now;
    for (size_t i = 0; i < CMG_COUNT(signals); i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            sigaction(signals[i], &ours, NULL);
}

bool cmg_logsink_is_journal(void)
{
    uintmax_t device, inode;
    struct stat st;
    const char *stream = cmg_env("JOURNAL_STREAM");
    return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void cmg_logsink_level(const struct cmg_log_conf *conf)
{
    bool journal = conf->target == CMG_LOG_JOURNAL ||
                   (conf->target == CMG_LOG_AUTO && cmg_logsink_is_journal());
    cmg_log_to(journal && cmg_journal_built_in() ? &entries : &lines,
               (enum cmg_level)(CMG_ERROR + conf->level));
}

enum cmg_rc cmg_logsink_open(const struct cmg_log_conf *conf, const char *program,
                             struct cmg_err *err)
{
    struct stat st;
    if (conf->target == CMG_LOG_JOURNAL && !cmg_journal_built_in())
        return cmg_fail(err, CMG_ECONF,
                        "[log] target = journal: this build has no libsystemd; allowed: auto, "
                        "stderr");
    sink.program = program;
    sink.json = conf->format == CMG_LOG_JSON;
    sink.journal_stream = cmg_logsink_is_journal();
    sink.type = fstat(STDERR_FILENO, &st) == 0 ? st.st_mode : 0;
    cmg_logsink_level(conf);
    catch_crashes();
    return CMG_OK;
}

void cmg_logsink_close(void)
{
    flush_lines();
    drain();
    sink.n = 0;
    sink.dropped = 0;
    cmg_log_to(NULL, CMG_DEBUG);
}
