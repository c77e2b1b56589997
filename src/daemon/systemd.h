/* SPDX-License-Identifier: MIT */
/* What is said to the service manager. Nothing happens without one, or without libsystemd. */
#ifndef CMG_DAEMON_SYSTEMD_H
#define CMG_DAEMON_SYSTEMD_H

#include <stdint.h>

void cmg_systemd_ready(void); /* also after a reload */
void cmg_systemd_reloading(void);
void cmg_systemd_stopping(void);
void cmg_systemd_status(const char *text); /* one line */
void cmg_systemd_alive(void);
int64_t cmg_systemd_watchdog_ms(void); /* how often to say so; 0: no one asks */

#endif
