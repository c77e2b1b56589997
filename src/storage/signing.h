/* SPDX-License-Identifier: MIT */
/* What account.c lends to its neighbours on this floor; secrets stay in it. */
#ifndef CMG_STORAGE_SIGNING_H
#define CMG_STORAGE_SIGNING_H

#include "cmg/storage/account.h"

enum { CMG_SIGNED_TEXT = 48 }; /* base64 of an HMAC, with its NUL */

/* The account must have a key. */
void cmg_account_sign(const struct cmg_account *a, struct cmg_str text, char out[CMG_SIGNED_TEXT]);

/* What the URL has behind its host: "" or, of an emulator, "/devstoreaccount1". */
const char *cmg_account_path(const struct cmg_account *a);

#endif
