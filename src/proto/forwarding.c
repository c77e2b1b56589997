/* SPDX-License-Identifier: MIT */
/* Names that some back end believes because, where it stands, a proxy sets them. The gateway is
 * the proxy here; who the back end is it cannot know. So the list is broad: nothing that a client
 * of a site sends is on it. What is not on it and is believed somewhere has to be named to the
 * connection point, which drops what it sets itself ([endpoint] pass-identity). */
#include "cmg/proto/forwarding.h"

#include "cmg/proto/http.h"

/* clang-format off */
static const char *const forged[] = {
    /* Where from, on whose behalf, over what: RFC 7239, and what was there before it. */
    "forwarded*", "x-forwarded*", "x-original-*", "x-originating-ip", "x-real-ip", "client-ip",
    "x-client-*", "x-cluster-client-ip", "true-client-ip", "proxy", "proxy-client-ip",
    "x-proxy-*", "x-proxyuser*", "x-scheme", "x-url-scheme",
    /* What was asked for: another method, host or path than the one that was judged. */
    "x-http-method*", "x-method-override", "x-rewrite-*", "x-host", "x-http-host*",
    /* The client's certificate: RFC 9440, HAProxy, nginx, Apache, F5, Traefik. */
    "client-cert*", "clientcert*", "x-clientcert*", "ssl-*", "sslclient*", "x-ssl*", "x-tls*",
    /* Users: CGI variables, header authentication of Grafana, Authelia, authentik, oauth2-proxy,
     * Kubernetes, Kong, Tivoli (iv-), SiteMinder (sm_), Oracle. */
    "auth-type", "auth-user", "remote-*", "x-auth-*", "x-authenticated-*", "x-authentik-*",
    "x-consumer-*", "x-credential-*", "x-anonymous-consumer", "x-remote-*", "x-user", "x-webauth-*",
    "iv-*", "sm-*", "smuser*", "oam-*", "osso-*", "proxy-authenticate-*",
    /* IIS: ARR, the ASP.NET Core module, Entra application proxy, AD FS proxy; Azure's front ends. */
    "front-end-https", "x-arr-*", "ms-aspnetcore-*", "x-ms-client-principal*", "x-ms-token-*",
    "x-ms-proxy*", "x-ms-forwarded-*", "x-ms-endpoint-*", "x-ms-adfs-*", "x-azure-*", "x-waws-*",
    "x-appservice-*", "was-default-hostname", "disguised-host",
    /* Other clouds and their edges: AWS, Google, Cloudflare, Fastly, Akamai. */
    "x-amzn-mtls-*", "x-amzn-oidc-*", "x-goog-authenticated-*", "x-goog-iap-*", "cf-*", "fastly-*",
    "akamai-*",
    /* Envoy and what is built on it; WebLogic; WebSphere's plug-in ($WSCC). */
    "x-envoy-*", "x-istio-*", "wl-proxy-*", "-ws*",
    /* Ours. */
    "cmg-*",
};
/* clang-format on */

bool cmg_field_matches(struct cmg_str name, const char *pattern)
{
    size_t i = 0;
    for (; i < name.n && pattern[i] && pattern[i] != '*'; i++)
        if (cmg_field_fold(name.p[i]) != pattern[i])
            return false;
    return pattern[i] == '*' || (i == name.n && !pattern[i]);
}

bool cmg_field_is_forged(struct cmg_str name)
{
    /* Many names of real requests begin with another letter. */
    char first = name.n ? cmg_field_fold(name.p[0]) : 'z';
    if (!strchr("-acdfimoprstwx", first))
        return false;
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
        if (forged[i][0] == first && cmg_field_matches(name, forged[i]))
            return true;
    return false;
}
