/* SPDX-License-Identifier: MIT */
/* The commands, each from the file of its noun. */
#ifndef CMG_CTL_COMMANDS_H
#define CMG_CTL_COMMANDS_H

#include "ctl/ctl.h"

extern const struct ctl_command ctl_status, ctl_analyze, ctl_traffic;
extern const struct ctl_command ctl_reload, ctl_drain, ctl_log_level, ctl_diag;
extern const struct ctl_command ctl_pki_init, ctl_pki_revoke, ctl_pki_crl;
extern const struct ctl_command ctl_token_new, ctl_token_inspect;
extern const struct ctl_command ctl_token_block, ctl_token_unblock, ctl_token_list;
extern const struct ctl_command ctl_content_publish, ctl_content_list, ctl_content_remove;
extern const struct ctl_command ctl_content_token;
extern const struct ctl_command ctl_completion_bash;

#endif
