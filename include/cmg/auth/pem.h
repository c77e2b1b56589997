/* SPDX-License-Identifier: MIT */
/* Two things that everybody needs who reads PEM with OpenSSL. */
#ifndef CMG_AUTH_PEM_H
#define CMG_AUTH_PEM_H

#include <stdbool.h>

/* A pem_password_cb that has none: nobody is ever asked on the terminal. */
int cmg_pem_no_password(char *out, int size, int writing, void *arg);

/* After a read that gave nothing: true when there was nothing more, which looks to OpenSSL like
 * an error of its own; false when what came was damaged. Leaves the error queue as it is. */
bool cmg_pem_ended(void);

#endif
