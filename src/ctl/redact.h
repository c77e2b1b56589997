/* SPDX-License-Identifier: MIT */
/* What must not leave this machine in a support case. Daemons print and log no secrets; this is the
 * net below that, for what people write into the wrong place: a password in a URL, a token in a
 * comment. Pure. */
#ifndef CMG_CTL_REDACT_H
#define CMG_CTL_REDACT_H

#include "cmg/base/buf.h"

#define REDACTED "(redacted)"

/* Appends `text` with REDACTED in place of
 *   user and password in URLs                 https://(redacted)@host/
 *   values of sig, password, token, secret and their kin, after "=" or ":"
 *   what follows the words Bearer and Basic
 *   tokens: what begins with eyJ and has dots as a JWT does
 *   blocks of PEM that hold private keys
 *   in a configuration, where keys lie and who is told to proxies: key = , key-file = , user =
 * CMG_ETOOBIG as cmg_buf_put. */
CMG_MUST_CHECK enum cmg_rc redact(struct cmg_str text, struct cmg_buf *out);

#endif
