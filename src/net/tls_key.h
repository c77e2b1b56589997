/* SPDX-License-Identifier: MIT */
/* Private keys, for the files of this floor. */
#ifndef CMG_NET_TLS_KEY_H
#define CMG_NET_TLS_KEY_H

#include <openssl/evp.h>

#include "cmg/base/err.h"

/* The key in a PEM file that only the service may read. NULL with err. */
EVP_PKEY *cmg_tls_key_read(const char *path, struct cmg_err *err);

#endif
