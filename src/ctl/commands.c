/* SPDX-License-Identifier: MIT */
/* Every command of cmgctl, in the order of --help. */
#include "ctl/commands.h"

/* clang-format off */
const struct ctl_command *const ctl_commands[] = {
    &ctl_status,
    &ctl_analyze,
    &ctl_traffic,
    &ctl_reload,
    &ctl_drain,
    &ctl_log_level,
    &ctl_diag,
    &ctl_pki_init,
    &ctl_pki_revoke,
    &ctl_pki_crl,
    &ctl_token_new,
    &ctl_token_inspect,
    &ctl_token_block,
    &ctl_token_unblock,
    &ctl_token_list,
    &ctl_content_publish,
    &ctl_content_list,
    &ctl_content_remove,
    &ctl_content_token,
    &ctl_completion_bash,
    NULL,
};
/* clang-format on */
