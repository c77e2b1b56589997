/* SPDX-License-Identifier: MIT */
#include "cmg/auth/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

int cmg_pem_no_password(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

bool cmg_pem_ended(void)
{
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}
