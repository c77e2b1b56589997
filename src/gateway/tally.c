/* SPDX-License-Identifier: MIT */
#include "gateway/tally.h"

const char *const tally_proof_names[] = { "good", "bad", "known", NULL };
const char *const tally_http_names[] = { "http/1.1", "h2", NULL };
const char *const tally_list_names[] = { "found", "absent", "failed", NULL };
