/* SPDX-License-Identifier: MIT */
#include "gateway/accounting.h"

#include "cmg/daemon/traffic.h"
#include "gateway/egress.h"

/* The gateway knows an endpoint by its id alone: where it is, is the connection point's to say. */
static void visit(void *arg, void (*each)(void *to, const struct cmg_traffic_endpoint *e), void *to)
{
    struct gateway *g = arg;
    const struct ledger *l = registry_ledger(g->registry);
    const struct cmg_counts *counts;
    const char *id;
    for (int at = ledger_next(l, -1, &id, &counts); at >= 0; at = ledger_next(l, at, &id, &counts))
        each(to, &(struct cmg_traffic_endpoint){ id, g->conf->gateway.name, "", ledger_at(l, at) });
}

static uint64_t sent(void *arg)
{
    return gateway_egress_bytes(arg);
}

void accounting_start(struct gateway *g)
{
    const struct cmg_traffic_source source = {
        .server = g->conf->gateway.name, .all = &g->tally.requests, .visit = visit, .arg = g
    };
    g->traffic = cmg_traffic_new(g->loop, &g->conf->traffic, &source);
    g->egress = egress_new(g->loop, g->conf, sent, g);
}

void accounting_use(struct gateway *g)
{
    egress_use(g->egress, g->conf);
}

void accounting_stop(struct gateway *g)
{
    cmg_traffic_free(g->traffic);
    egress_free(g->egress);
}
