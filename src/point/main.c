/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/service.h"
#include "point/point.h"
#include "point/status.h"

int main(int argc, char **argv)
{
    static const struct cmg_service service = {
        .program = "cmg-connection-point",
        .summary = "CMG connection point: relays requests from cloud management gateways to the "
                   "servers of a site.",
        .default_config = "/etc/cmg/cmg-connection-point.ini",
        .config = &point_config,
        .log_conf = offsetof(struct point_conf, log),
        .admin_conf = offsetof(struct point_conf, admin),
        .routes = point_status_routes,
        .start = point_start,
        .reload = point_reload,
        .drain = point_drain,
        .free = point_free,
    };
    return cmg_service_main(&service, argc, argv);
}
