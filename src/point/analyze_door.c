/* SPDX-License-Identifier: MIT */
/* GET /analyze of the administrator's door. */
#include "cmg/base/log.h"
#include "cmg/daemon/admin.h"
#include "point/analyze.h"

static bool on_line(void *arg, json_t *taken)
{
    return cmg_admin_line(arg, taken);
}

static void on_end(void *arg)
{
    cmg_admin_end(arg);
}

void analyze_handle(void *point, struct cmg_admin_ask *ask)
{
    static const struct analyze_out out = { on_line, on_end };
    struct cmg_err err;
    if (!analyze_start(point, &out, ask, &err)) {
        cmg_admin_refuse(ask, 409, err.text);
        return;
    }
    log_notice("analyze.start", KV("by", cmg_admin_peer(ask)));
    cmg_admin_stream(ask, "application/x-ndjson");
}
