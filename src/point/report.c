/* SPDX-License-Identifier: MIT */
#include "point/report.h"

#include "cmg/daemon/traffic.h"

/* Endpoints are counted over all gateways: with several it cannot be said whose the request was. */
static const char *gateway_of(const struct point_conf *c)
{
    return c->ncmgs == 1 ? c->cmgs[0].service : "";
}

static void visit(void *arg, void (*each)(void *to, const struct cmg_traffic_endpoint *e), void *to)
{
    const struct point *p = arg;
    for (size_t i = 0; p->endpoints && i < p->endpoints->published.n; i++) {
        struct endpoint *e = p->endpoints->v[i];
        each(to, &(struct cmg_traffic_endpoint){ e->label, gateway_of(p->conf), e->authority,
                                                 &e->tally->counts });
    }
}

void report_start(struct point *p)
{
    const struct cmg_traffic_source source = {
        .server = p->conf->point.name, .all = &p->requests, .visit = visit, .arg = p
    };
    p->traffic = cmg_traffic_new(p->loop, &p->conf->traffic, &source);
}

void report_count(struct point *p)
{
    if (p->traffic)
        cmg_traffic_count(p->traffic);
}

void report_stop(struct point *p)
{
    cmg_traffic_free(p->traffic);
    p->traffic = NULL;
}

const char *const report_parameters[] = { "format", "periods", NULL };

void report_handle(void *point, struct cmg_admin_ask *ask)
{
    const struct point *p = point;
    cmg_traffic_answer(p->traffic, ask);
}
