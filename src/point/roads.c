/* SPDX-License-Identifier: MIT */
#include "point/roads.h"

#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/channel/wire.h"

void roads_clear(struct roads *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cmg_tls_unref(r[i].tcp_tls);
        cmg_tls_unref(r[i].https);
    }
    free(r);
}

enum cmg_rc road_load(struct roads *r, const struct point_conf *conf,
                      const struct point_cmg_conf *cmg, struct cmg_err *err)
{
    static const char *const tcp_tls_alpn[] = { CMG_WIRE_ALPN_RH2, CMG_WIRE_ALPN_H2, NULL };
    static const char *const https_alpn[] = { CMG_WIRE_ALPN_HTTP1, NULL };
    struct cmg_trust *trust = cmg_trust_load(cmg->ca_file, err);
    if (!trust)
        return CMG_ECONF;
    struct cmg_tls_conf tls = {
        .certificate = conf->point.certificate,
        .key = conf->point.key,
        .trust = trust,
        .peer = CMG_TLS_PEER_VERIFIED,
        .alpn = tcp_tls_alpn,
    };
    r->tcp_tls = cmg_tls_new(&tls, err);
    tls.alpn = https_alpn;
    r->https = r->tcp_tls ? cmg_tls_new(&tls, err) : NULL;
    cmg_trust_unref(trust);
    return r->https ? CMG_OK : CMG_ECONF;
}

struct roads *roads_load(const struct point_conf *conf, struct cmg_err *err)
{
    struct roads *r = cmg_alloc(conf->ncmgs * sizeof(*r));
    for (size_t i = 0; i < conf->ncmgs; i++)
        if (road_load(&r[i], conf, &conf->cmgs[i], err) != CMG_OK) {
            roads_clear(r, conf->ncmgs);
            return NULL;
        }
    return r;
}
