/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/clock.h"
#include "cmg/daemon/exposition.h"

static bool slurp(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Field 22 of /proc/self/stat: ticks from the machine's boot to our start. The fields are counted
 * behind the program's name, which may hold anything. */
static void read_start(struct cmg_process *p)
{
    char text[1024];
    struct timespec since_boot;
    unsigned long long ticks = 0;
    const char *at = slurp("/proc/self/stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %llu", &ticks) != 1 || clock_gettime(CLOCK_BOOTTIME, &since_boot))
        return;
    p->uptime_s = since_boot.tv_sec - (int64_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
    p->started_unix = cmg_clock_unix() - p->uptime_s;
}

static void read_memory(struct cmg_process *p)
{
    char text[256];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), total, resident;
    if (!slurp("/proc/self/statm", text, sizeof(text)) ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &total, &resident) != 2)
        return;
    p->virtual_bytes = total * page;
    p->resident_bytes = resident * page;
}

static void read_fds(struct cmg_process *p)
{
    struct rlimit limit;
    DIR *d = opendir("/proc/self/fd");
    if (d) {
        const struct dirent *e;
        while ((e = readdir(d)))
            p->open_fds += e->d_name[0] != '.';
        closedir(d);
        p->open_fds--; /* the folder itself */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        p->max_fds = (unsigned)limit.rlim_cur;
}

static void read_cpu(struct cmg_process *p)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        p->cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void cmg_process_read(struct cmg_process *out)
{
    *out = (struct cmg_process){ .pid = getpid() };
    read_start(out);
    read_memory(out);
    read_fds(out);
    read_cpu(out);
}

void cmg_process_expose(struct cmg_buf *b, const struct cmg_process *p)
{
    const struct {
        const char *name, *type, *help;
        double value;
    } all[] = {
        { "process_start_time_seconds", "gauge", "When the process started, since 1970.",
          (double)p->started_unix },
        { "process_cpu_seconds_total", "counter", "Processor time, user and system.", p->cpu_s },
        { "process_resident_memory_bytes", "gauge", "Memory in use.", (double)p->resident_bytes },
        { "process_virtual_memory_bytes", "gauge", "Address space in use.",
          (double)p->virtual_bytes },
        { "process_open_fds", "gauge", "Open file descriptors.", p->open_fds },
        { "process_max_fds", "gauge", "How many there may be.", p->max_fds },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        cmg_exposition_family(b, all[i].name, all[i].type, all[i].help);
        cmg_exposition_sample(b, all[i].name, NULL, 0, all[i].value);
    }
}
