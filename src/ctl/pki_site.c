/* SPDX-License-Identifier: MIT */
/* What a first site is made of, one folder for each machine:
 *
 *   ca/                       the authorities' keys; belongs off line
 *   gateway/                  for /etc/cmg of the gateway
 *   connection-points/NAME/   for /etc/cmg of each connection point
 *   site/                     signs tokens: cmgctl token new --site
 *   clients/                  sample clients
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "ctl/pki.h"
#include "ctl/pki_tree.h"

enum { DAY_S = 86400, CA_DAYS = 3650 };

struct maker {
    const struct pki_site *site;
    struct pki_tree *tree;
    struct pki_pair *clients, *points, *gateway; /* authorities, owned */
};

static struct pki_pair *make(const struct maker *m, enum pki_use use, const char *name,
                             const char *san, const struct pki_pair *issuer)
{
    const struct pki_site *s = m->site;
    int64_t days = use == PKI_AUTHORITY && s->days < CA_DAYS ? CA_DAYS : s->days;
    return pki_make(&(struct pki_spec){ .use = use,
                                        .name = name,
                                        .san = san,
                                        .issuer = issuer,
                                        .from = s->now - PKI_EARLIER_S,
                                        .to = s->now + days * DAY_S });
}

static void put_pair(const struct maker *m, const struct pki_pair *p, const char *what,
                     const char *stem)
{
    pki_tree_add(m->tree, what, 0644, pki_certificate(p), "%s.pem", stem);
    pki_tree_add(m->tree, "its private key", 0600, pki_key(p), "%s.key", stem);
}

static void put_certificate(const struct maker *m, const struct pki_pair *p, const char *what,
                            const char *path)
{
    pki_tree_add(m->tree, what, 0644, pki_certificate(p), "%s", path);
}

static void make_authorities(struct maker *m)
{
    m->clients = make(m, PKI_AUTHORITY, "CMG clients CA", NULL, NULL);
    m->points = make(m, PKI_AUTHORITY, "CMG connection points CA", NULL, NULL);
    m->gateway = make(m, PKI_AUTHORITY, "CMG gateway CA", NULL, NULL);
    put_pair(m, m->clients, "authority of clients", "ca/clients-ca");
    put_pair(m, m->points, "authority of connection points", "ca/connection-points-ca");
    put_pair(m, m->gateway, "authority of the gateway", "ca/gateway-ca");
}

static char *empty_crl(const struct maker *m)
{
    struct cmg_err err;
    const struct pki_site *s = m->site;
    struct pki_crl *crl = pki_crl_read((struct cmg_str){ NULL, 0 }, m->clients, &err);
    char *text = pki_crl_sign(crl, s->now, s->now + s->crl_days * DAY_S);
    pki_crl_free(crl);
    return text;
}

static void make_gateway(const struct maker *m)
{
    char san[320];
    bool local = !strcmp(m->site->service, "localhost");
    snprintf(san, sizeof(san), "DNS:%s%s", m->site->service, local ? ",IP:127.0.0.1,IP:::1" : "");
    struct pki_pair *p = make(m, PKI_SERVER, m->site->service, san, m->gateway);
    put_pair(m, p, "certificate of the gateway", "gateway/gateway");
    pki_free(p);
    put_certificate(m, m->clients, "whom clients must be from", "gateway/clients-ca.pem");
    put_certificate(m, m->points, "whom connection points must be from",
                    "gateway/connection-points-ca.pem");
    pki_tree_add(m->tree, "clients that were revoked: none", 0644, empty_crl(m),
                 "gateway/clients-ca.crl");
    pki_tree_add(m->tree, "tokens that are blocked: none", 0644,
                 cmg_strdup("# GUIDs of tokens and clients that are refused: cmgctl token block\n"),
                 "gateway/blocked");
    pki_tree_add(m->tree, "configuration of the gateway", 0644, pki_gateway_ini(m->site),
                 "gateway/cmg-gateway.ini");
}

static void make_points(const struct maker *m)
{
    for (size_t i = 0; i < m->site->npoints; i++) {
        char san[320], stem[320];
        const char *name = m->site->points[i];
        snprintf(san, sizeof(san), "DNS:%s", name);
        snprintf(stem, sizeof(stem), "connection-points/%s/connection-point", name);
        struct pki_pair *p = make(m, PKI_CLIENT, name, san, m->points);
        put_pair(m, p, "certificate of a connection point", stem);
        pki_free(p);
        pki_tree_add(m->tree, "whom the gateway must be from", 0644, pki_certificate(m->gateway),
                     "connection-points/%s/gateway-ca.pem", name);
        pki_tree_add(m->tree, "configuration of the connection point", 0644,
                     pki_point_ini(m->site, name), "connection-points/%s/cmg-connection-point.ini",
                     name);
    }
}

static void make_site(const struct maker *m)
{
    struct pki_pair *p = make(m, PKI_SIGNING, "CMG site tokens", NULL, NULL);
    char line[64];
    put_pair(m, p, "signs tokens", "site/site-token");
    put_certificate(m, p, "by which the gateway knows tokens", "gateway/site-token.pem");
    pki_free(p);
    snprintf(line, sizeof(line), "%s\n", m->site->hierarchy);
    pki_tree_add(m->tree, "GUID of the hierarchy", 0644, cmg_strdup(line), "site/hierarchy");
}

static void make_clients(const struct maker *m)
{
    for (size_t i = 1; i <= m->site->nclients; i++) {
        char name[64], stem[64];
        snprintf(name, sizeof(name), "client-%zu", i);
        snprintf(stem, sizeof(stem), "clients/client-%zu", i);
        struct pki_pair *p = make(m, PKI_CLIENT, name, NULL, m->clients);
        put_pair(m, p, "certificate of a sample client", stem);
        pki_free(p);
    }
}

void pki_site_make(const struct pki_site *s, struct pki_tree *t)
{
    struct maker m = { .site = s, .tree = t };
    make_authorities(&m);
    make_gateway(&m);
    make_points(&m);
    make_site(&m);
    make_clients(&m);
    pki_free(m.clients);
    pki_free(m.points);
    pki_free(m.gateway);
}
