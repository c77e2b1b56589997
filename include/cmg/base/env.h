/* SPDX-License-Identifier: MIT */
/* What the service manager tells a process. Configuration never comes this way. */
#ifndef CMG_BASE_ENV_H
#define CMG_BASE_ENV_H

const char *cmg_env(const char *name); /* NULL: not set */

#endif
