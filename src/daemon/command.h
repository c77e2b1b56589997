/* SPDX-License-Identifier: MIT */
/* The command line of a daemon, and all that needs no running daemon. */
#ifndef CMG_DAEMON_COMMAND_H
#define CMG_DAEMON_COMMAND_H

#include "cmg/daemon/service.h"

enum { CMG_EXIT_OK, CMG_EXIT_FAILURE, CMG_EXIT_USAGE, CMG_EXIT_CONFIG = 78 };

/* Does what the command line asks for. -1: it asks for the daemon to run, with the file that
 * *path names (borrowed from argv or `s`); else the exit status. */
int cmg_command(const struct cmg_service *s, int argc, char **argv, const char **path);

/* The configuration, or NULL when that is refused: the reason then is on standard error. */
void *cmg_command_load(const struct cmg_service *s, const char *path);

#endif
