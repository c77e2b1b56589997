/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/service.h"
#include "gateway/gateway.h"
#include "gateway/status.h"

int main(int argc, char **argv)
{
    static const struct cmg_service service = {
        .program = "cmg-gateway",
        .summary =
            "Cloud management gateway: passes internet clients' requests to connection points.",
        .default_config = "/etc/cmg/cmg-gateway.ini",
        .config = &gateway_config,
        .log_conf = offsetof(struct gateway_conf, log),
        .admin_conf = offsetof(struct gateway_conf, admin),
        .routes = gateway_status_routes,
        .start = gateway_start,
        .reload = gateway_reload,
        .drain = gateway_drain,
        .free = gateway_free,
    };
    return cmg_service_main(&service, argc, argv);
}
