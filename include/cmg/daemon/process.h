/* SPDX-License-Identifier: MIT */
/* This process as the kernel sees it. */
#ifndef CMG_DAEMON_PROCESS_H
#define CMG_DAEMON_PROCESS_H

#include <stdint.h>

#include "cmg/base/buf.h"

struct cmg_process {
    int pid;
    int64_t started_unix; /* seconds since 1970                        */
    int64_t uptime_s;
    double cpu_s; /* user and system                           */
    uint64_t resident_bytes, virtual_bytes;
    unsigned open_fds, max_fds;
};

/* A handful of system calls. What cannot be found out is 0. */
void cmg_process_read(struct cmg_process *out);

/* The families that every Prometheus client has: process_start_time_seconds and so on. */
void cmg_process_expose(struct cmg_buf *b, const struct cmg_process *p);

#endif
