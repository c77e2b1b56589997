/* SPDX-License-Identifier: MIT */
/* The storage account that a command is for: named by options, or by a section [storage LABEL] of
 * the gateway's configuration. */
#ifndef CMG_CTL_STORE_H
#define CMG_CTL_STORE_H

#include <stdint.h>

#include "cmg/storage/account.h"
#include "ctl/ctl.h"

struct store {
    struct cmg_account *account;
    char *container;
    char *ca_file; /* NULL: the system's roots */
    char *proxy;   /* NULL: none */
};

/* Rows of an option table: all commands that reach storage have them, and store_open reads
 * them. */
/* clang-format off */
#define STORE_OPTIONS                                                                              \
    { "config", .value = "FILE",                                                                   \
      .doc = "Take the account from this configuration of the gateway." },                         \
    { "storage", .value = "LABEL",                                                                 \
      .doc = "Which of its [storage LABEL] sections, if there are several." },                     \
    { "account", .value = "NAME",                                                                  \
      .doc = "Name of the storage account, instead of --config." },                                \
    { "key-file", .value = "FILE",                                                                 \
      .doc = "Shared key of the account (base64), readable by nobody else." },                     \
    { "sas-file", .value = "FILE",                                                                 \
      .doc = "Instead of the key, a shared access signature for the container that allows to "     \
             "read, list, create, write and delete." },                                            \
    { "url", .value = "URL",                                                                       \
      .doc = "Blob service of the account; without it https://NAME.blob.core.windows.net." },      \
    { "container", .value = "NAME",                                                                \
      .doc = "Container of the content; without it that of the configuration, or content." },      \
    { "ca-file", .value = "FILE",                                                                  \
      .doc = "Roots for that URL (PEM), instead of the system's." },                               \
    { "proxy", .value = "URL",                                                                     \
      .doc = "HTTP proxy; without it that of the configuration, or none." }
/* clang-format on */

/* CTL_OK, or what the command ends with: the reason has been printed. */
enum ctl_exit store_open(struct store *s, const struct ctl_args *a);
void store_close(struct store *s);

#endif
