/* SPDX-License-Identifier: MIT */
/* Every command of cmgctl, in the order of --help. */
#include "ctl/commands.h"

const struct ctl_command *const ctl_commands[] = {
    &ctl_pki_init,        &ctl_pki_revoke,
    &ctl_pki_crl,         &ctl_token_block,
    &ctl_token_unblock,   &ctl_token_list,
    &ctl_content_publish, &ctl_content_list,
    &ctl_content_remove,  NULL,
};
