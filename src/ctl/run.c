/* SPDX-License-Identifier: MIT */
#include "ctl/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmg/base/clock.h"

enum { CHUNK = 16 * 1024, NOT_STARTED = 127 };

/* In the child: nothing but system calls. SIGPIPE is ignored here, and must not be there. */
static void become(const char *const *argv, int out)
{
    int none = open("/dev/null", O_RDONLY);
    signal(SIGPIPE, SIG_DFL);
    if (none >= 0 && dup2(none, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(out, STDERR_FILENO) >= 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(NOT_STARTED);
}

static enum cmg_rc take(int from, struct cmg_buf *out, bool *ended)
{
    char chunk[CHUNK];
    ssize_t n = read(from, chunk, sizeof(chunk));
    if (n < 0)
        return errno == EINTR ? CMG_OK : CMG_EIO;
    *ended = n == 0;
    return cmg_buf_put(out, (struct cmg_str){ chunk, (size_t)n });
}

static enum cmg_rc gather(int from, int64_t ms, struct cmg_buf *out)
{
    int64_t end = cmg_clock_ms() + ms;
    enum cmg_rc rc = CMG_OK;
    for (bool ended = false; !ended && rc == CMG_OK;) {
        struct pollfd p = { .fd = from, .events = POLLIN };
        int64_t left = end - cmg_clock_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n == 0)
            return CMG_ETIMEOUT;
        if (n > 0)
            rc = take(from, out, &ended);
        else if (errno != EINTR)
            rc = CMG_EIO;
    }
    return rc;
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum cmg_rc run_program(const char *const *argv, int64_t ms, struct cmg_buf *out, int *status,
                        struct cmg_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return cmg_fail(err, CMG_EIO, "cannot run %s: %s", argv[0], strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(argv, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return cmg_fail(err, CMG_EIO, "cannot run %s: %s", argv[0], strerror(errno));
    }
    enum cmg_rc rc = gather(ends[0], ms, out);
    close(ends[0]);
    if (rc != CMG_OK)
        kill(pid, SIGKILL);
    *status = reap(pid);
    if (rc == CMG_OK && *status == NOT_STARTED && !out->n)
        return cmg_fail(err, CMG_EIO, "cannot run %s: it is not here", argv[0]);
    return rc == CMG_OK ? CMG_OK
                        : cmg_fail(err, rc, "%s %s", argv[0],
                                   rc == CMG_ETIMEOUT ? "took too long" : "printed too much");
}

bool run_find(const char *program, char *out, size_t size)
{
    static const char *const places[] = { "", "../sbin/" };
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(out, size, "%.*s%s%s", (int)(slash + 1 - self), self, places[i], program);
        if (access(out, X_OK) == 0)
            return true;
    }
    snprintf(out, size, "%s", program);
    return false;
}
