/* SPDX-License-Identifier: MIT */
/* What signs tokens: the files that `cmgctl pki init` puts into its folder "site". */
#ifndef CMG_CTL_SITE_H
#define CMG_CTL_SITE_H

#include "cmg/auth/key.h"
#include "ctl/ctl.h"

struct ctl_site {
    struct cmg_signer *signer; /* owned */
    struct cmg_keyset *keys;   /* owned: what verifies what it signs */
    int64_t ends;              /* of its certificate */
    char hierarchy[37];        /* "": not given */
};

/* clang-format off */
#define CTL_SIGNER_OPTIONS                                                                         \
    { .name = "site", .value = "DIR",                                                              \
      .doc = "Folder with site-token.pem, site-token.key and hierarchy, as 'pki init' makes it." }, \
    { .name = "certificate", .value = "FILE",                                                      \
      .doc = "Certificate of the key that signs (PEM), in place of that in --site." },             \
    { .name = "key", .value = "FILE",                                                              \
      .doc = "The key (PEM), in place of that in --site." }
/* clang-format on */

/* From these options; `hierarchy`: the command has --hierarchy as well, and needs one. Says what
 * is wrong. */
enum ctl_exit ctl_site_load(const struct ctl_args *a, bool hierarchy, struct ctl_site *out);
void ctl_site_clear(struct ctl_site *s);

/* For option tables. */
enum cmg_rc ctl_check_guid(const char *value, struct cmg_err *err);
/* With or without "GUID:", as the console shows it. */
bool ctl_guid(const char *text, char out[37]);

#endif
