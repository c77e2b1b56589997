/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/checks.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cmg/auth/identity.h"
#include "cmg/base/str.h"
#include "cmg/proto/endpoint.h"

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63, URI_MAX_BYTES = 256 };
enum { SOCKET_MAX_BYTES = sizeof(((struct sockaddr_un *)NULL)->sun_path) };

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool alnum(char c)
{
    return digit(c) || (cmg_lower(c) >= 'a' && cmg_lower(c) <= 'z');
}

/* Letters, digits, '-' and (Windows has them) '_', in labels of 1 to 63. */
static bool is_name(struct cmg_str s)
{
    struct cmg_str label;
    if (s.n == 0 || s.n > NAME_MAX_BYTES)
        return false;
    while (cmg_str_next(&s, '.', &label)) {
        if (label.n == 0 || label.n > LABEL_MAX_BYTES || label.p[0] == '-' ||
            label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
                return false;
    }
    return true;
}

/* 10.0.0.999 is neither a name nor an address. */
static bool looks_numeric(struct cmg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!digit(s.p[i]) && s.p[i] != '.')
            return false;
    return true;
}

static bool is_address(struct cmg_str s)
{
    unsigned char out[16];
    char z[64];
    if (s.n >= sizeof(z))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return inet_pton(AF_INET, z, out) == 1 || inet_pton(AF_INET6, z, out) == 1;
}

static bool take_prefix(struct cmg_str *s, struct cmg_str prefix)
{
    if (!cmg_str_istarts(*s, prefix))
        return false;
    *s = cmg_str_from(*s, prefix.n);
    return true;
}

enum cmg_rc cmg_check_name(const char *value, struct cmg_err *err)
{
    if (is_name(cmg_str(value)) && !looks_numeric(cmg_str(value)))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "not a DNS name; allowed: a name like cmg.example.com");
}

enum cmg_rc cmg_check_host(const char *value, struct cmg_err *err)
{
    if (is_address(cmg_str(value)) || cmg_check_name(value, NULL) == CMG_OK)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not a host; allowed: a DNS name or an IP address, without port");
}

enum cmg_rc cmg_check_address(const char *value, struct cmg_err *err)
{
    if (is_address(cmg_str(value)))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not an IP address; allowed: addresses like 192.0.2.1, 0.0.0.0 or ::");
}

/* Names are left out: what localhost leads to is written in a file. */
enum cmg_rc cmg_check_loopback(const char *value, struct cmg_err *err)
{
    struct cmg_str s = cmg_str(value);
    if (take_prefix(&s, CMG_STR("127.0.0.1:")) || take_prefix(&s, CMG_STR("[::1]:"))) {
        long long port = cmg_str_number(s);
        if (port >= 1 && port <= 65535)
            return CMG_OK;
    }
    return cmg_fail(err, CMG_ECONF,
                    "not a loopback address and port; allowed: 127.0.0.1:9101 or [::1]:9101");
}

enum cmg_rc cmg_check_socket(const char *value, struct cmg_err *err)
{
    if (!strcmp(value, "none") || (*value == '/' && strlen(value) < SOCKET_MAX_BYTES))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not a socket; allowed: none, or a full name of less than %d bytes, like "
                    "/run/cmg-gateway/admin.sock",
                    SOCKET_MAX_BYTES);
}

enum cmg_rc cmg_check_site(const char *value, struct cmg_err *err)
{
    bool ok = strlen(value) == 3;
    for (const char *c = value; ok && *c; c++)
        ok = digit(*c) || (*c >= 'A' && *c <= 'Z');
    if (ok)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "not a site code; allowed: three of A-Z and 0-9, as in PS1");
}

struct url {
    struct cmg_str host, port, path; /* port.p NULL: none; path from its slash */
};

/* host[:port]; IPv6 addresses stand in brackets. */
static bool split_authority(struct cmg_str s, struct url *u)
{
    const char *end = s.n && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
    const char *colon = end ? end + 1 : memchr(s.p, ':', s.n);
    size_t n = colon ? (size_t)(colon - s.p) : s.n;
    u->host = end ? (struct cmg_str){ s.p + 1, n - 2 } : (struct cmg_str){ s.p, n };
    u->port = (struct cmg_str){ NULL, 0 };
    if (n == s.n)
        return true;
    u->port = cmg_str_from(s, n + 1);
    return s.p[n] == ':';
}

static const char *judge_url(const char *value, struct url *u)
{
    struct cmg_str s = cmg_str(value);
    if (!take_prefix(&s, CMG_STR("http://")) && !take_prefix(&s, CMG_STR("https://")))
        return "begins neither with http:// nor with https://";
    if (memchr(s.p, '@', s.n))
        return "user and password must not stand in it";
    if (strpbrk(value, "?#\\ \t\""))
        return "a query, a fragment, a backslash and blanks must not stand in it";
    size_t n = strcspn(s.p, "/");
    u->path = cmg_str_from(s, n);
    if (!split_authority((struct cmg_str){ s.p, n }, u))
        return "host and port cannot be told apart";
    if (!is_address(u->host) && (!is_name(u->host) || looks_numeric(u->host)))
        return "its host is neither a DNS name nor an IP address";
    long long port = u->port.p ? cmg_str_number(u->port) : 1;
    if (port < 1 || port > 65535)
        return "its port is not a number from 1 to 65535";
    return NULL;
}

enum cmg_rc cmg_check_proxy_url(const char *value, struct cmg_err *err)
{
    struct url u;
    const char *why = judge_url(value, &u);
    if (!why && !u.port.p)
        why = "the port is missing";
    if (!why && u.path.n > 1)
        why = "nothing may follow the port";
    if (!why)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "%s; allowed: http://host:port or https://host:port", why);
}

enum cmg_rc cmg_check_url(const char *value, struct cmg_err *err)
{
    struct url u;
    const char *why = judge_url(value, &u);
    if (!why)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "%s; allowed: https://host[:port][/prefix], or http://...",
                    why);
}

enum cmg_rc cmg_check_uri(const char *value, struct cmg_err *err)
{
    bool ok = strlen(value) <= URI_MAX_BYTES;
    for (const char *c = value; ok && *c; c++)
        ok = *c > ' ' && *c <= '~' && *c != '"' && *c != '\\';
    if (ok)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not an identifier; allowed: up to %d printable characters without blanks, "
                    "quotes and backslashes",
                    URI_MAX_BYTES);
}

enum cmg_rc cmg_check_guid(const char *value, struct cmg_err *err)
{
    if (cmg_guid_ok(cmg_str(value), NULL))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not a GUID; allowed: one like 4a5e0f0c-3b7e-4d0e-9a52-0c1f6d1e8b11");
}

static bool made_of(const char *value, const char *others, size_t min, size_t max)
{
    size_t n = strlen(value);
    for (const char *c = value; *c; c++)
        if (!digit(*c) && !(*c >= 'a' && *c <= 'z') && !strchr(others, *c))
            return false;
    return n >= min && n <= max;
}

/* learn.microsoft.com: Storage account overview, Naming and referencing containers */
enum cmg_rc cmg_check_storage_account(const char *value, struct cmg_err *err)
{
    if (made_of(value, "", 3, 24))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "not a storage account; allowed: 3 to 24 of a-z 0-9");
}

enum cmg_rc cmg_check_storage_container(const char *value, struct cmg_err *err)
{
    if (made_of(value, "-", 3, 63) && *value != '-' && value[strlen(value) - 1] != '-' &&
        !strstr(value, "--"))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not a container; allowed: 3 to 63 of a-z 0-9 and single hyphens inside");
}

/* The set that the endpoint will be in judges it. */
static enum cmg_rc try_endpoint(const struct cmg_endpoint *e)
{
    struct cmg_endpoint_set set = { NULL, 0 };
    enum cmg_rc rc = cmg_endpoint_set_add(&set, e, NULL);
    cmg_endpoint_set_clear(&set);
    return rc;
}

enum cmg_rc cmg_check_endpoint_id(const char *value, struct cmg_err *err)
{
    char *id = cmg_str_dup(cmg_str(value));
    enum cmg_rc rc = try_endpoint(&(struct cmg_endpoint){ .id = id });
    free(id);
    if (rc == CMG_OK)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not an id; allowed: 1 to %d of A-Z a-z 0-9 . _ -, without a dot at the end",
                    CMG_ENDPOINT_ID_MAX);
}

enum cmg_rc cmg_check_endpoint_path(const char *value, struct cmg_err *err)
{
    char id[] = "x", *path = cmg_str_dup(cmg_str(value));
    enum cmg_rc rc = try_endpoint(&(struct cmg_endpoint){ .id = id, .paths = &path, .npaths = 1 });
    free(path);
    if (rc == CMG_OK)
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF,
                    "not a path to publish; allowed: SMS_MP or a/b, no slash at the ends");
}

enum cmg_rc cmg_check_endpoint_auth(const char *value, struct cmg_err *err)
{
    if (!strcmp(value, "mutual") || !strcmp(value, "server"))
        return CMG_OK;
    return cmg_fail(err, CMG_ECONF, "no such authentication; allowed: mutual, server");
}
