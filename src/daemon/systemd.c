/* SPDX-License-Identifier: MIT */
#include "systemd.h"

#include "cmg/daemon/service.h"

#ifdef CMG_SYSTEMD

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "cmg/base/clock.h"

void cmg_systemd_ready(void)
{
    sd_notify(0, "READY=1");
}

void cmg_systemd_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, cmg_clock_us());
}

void cmg_systemd_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void cmg_systemd_status(const char *text)
{
    sd_notifyf(0, "STATUS=%s", text);
}

void cmg_systemd_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

int64_t cmg_systemd_watchdog_ms(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 2000) : 0;
}

/* Which of the passed sockets were asked for already. */
static uint64_t handed_out;

static bool take(int i, const char *have, const char *name)
{
    if (i >= 64 || handed_out & UINT64_C(1) << i || strcmp(have, name) != 0)
        return false;
    handed_out |= UINT64_C(1) << i;
    return true;
}

int cmg_service_socket(const char *name)
{
    char **names = NULL;
    int fd = -1, n = sd_listen_fds_with_names(0, &names);
    for (int i = 0; i < n; i++) {
        if (fd < 0 && take(i, names[i], name))
            fd = SD_LISTEN_FDS_START + i;
        free(names[i]);
    }
    free(names);
    return fd;
}

#else

void cmg_systemd_ready(void)
{
}

void cmg_systemd_reloading(void)
{
}

void cmg_systemd_stopping(void)
{
}

void cmg_systemd_status(const char *text)
{
    (void)text;
}

void cmg_systemd_alive(void)
{
}

int64_t cmg_systemd_watchdog_ms(void)
{
    return 0;
}

int cmg_service_socket(const char *name)
{
    (void)name;
    return -1;
}

#endif
