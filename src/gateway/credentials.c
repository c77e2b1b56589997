/* SPDX-License-Identifier: MIT */
#include "gateway/credentials.h"

#include "cmg/channel/wire.h"
#include "cmg/daemon/certificates.h"

void credentials_clear(struct credentials *c)
{
    cmg_tls_unref(c->client_tls);
    cmg_tls_unref(c->channel_tls);
    cmg_tls_unref(c->upgrade_tls);
    cmg_trust_unref(c->client_trust);
    cmg_trust_unref(c->channel_trust);
}

enum cmg_rc credentials_load(struct credentials *c, const struct gateway_conf *conf,
                             struct cmg_err *err)
{
    static const char *const client_alpn[] = { "h2", "http/1.1", NULL };
    static const char *const channel_alpn[] = { CMG_WIRE_ALPN_RH2, CMG_WIRE_ALPN_H2, NULL };
    static const char *const upgrade_alpn[] = { CMG_WIRE_ALPN_HTTP1, NULL };
    struct cmg_tls_conf tls = {
        .server = true,
        .certificate = conf->gateway.certificate,
        .key = conf->gateway.key,
    };
    *c = (struct credentials){ .client_tls = NULL };
    c->client_trust = cmg_trust_load(conf->clients.ca_file, err);
    c->channel_trust = c->client_trust ? cmg_trust_load(conf->channel.ca_file, err) : NULL;
    if (c->channel_trust) {
        tls.trust = c->client_trust;
        tls.peer = CMG_TLS_PEER_LATER;
        tls.alpn = client_alpn;
        c->client_tls = cmg_tls_new(&tls, err);
    }
    if (c->client_tls) {
        tls.trust = c->channel_trust;
        tls.peer = CMG_TLS_PEER_VERIFIED;
        tls.alpn = channel_alpn;
        c->channel_tls = cmg_tls_new(&tls, err);
    }
    if (c->channel_tls) {
        tls.alpn = upgrade_alpn;
        c->upgrade_tls = cmg_tls_new(&tls, err);
    }
    if (c->upgrade_tls)
        return CMG_OK;
    credentials_clear(c);
    return CMG_ECONF;
}

void credentials_use(struct gateway *g, const struct credentials *c)
{
    struct credentials old = { g->client_tls, g->channel_tls, g->upgrade_tls, g->client_trust,
                               g->channel_trust };
    g->client_tls = c->client_tls;
    g->channel_tls = c->channel_tls;
    g->upgrade_tls = c->upgrade_tls;
    g->client_trust = c->client_trust;
    g->channel_trust = c->channel_trust;
    g->generation++;
    credentials_clear(&old);
}

/* libcurl reads those of tenants and storages itself, for each connection. */
void credentials_list(struct cmg_certificates *list, const struct gateway_conf *conf)
{
    cmg_certificates_prepare(list);
    cmg_certificates_add(list, conf->gateway.certificate, conf->gateway.key);
    cmg_certificates_add(list, conf->clients.ca_file, NULL);
    cmg_certificates_add(list, conf->channel.ca_file, NULL);
    for (size_t i = 0; i < conf->ntenants; i++)
        cmg_certificates_add(list, conf->tenants[i].ca_file, NULL);
    for (size_t i = 0; i < conf->nstorages; i++)
        cmg_certificates_add(list, conf->storages[i].ca_file, NULL);
}
