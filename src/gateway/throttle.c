/* SPDX-License-Identifier: MIT */
#include "gateway/throttle.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/auth/bucket.h"
#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"

/* Each takes some 70 bytes; a stranger who comes with more addresses than that gets each of them
 * counted anew, which costs him as many addresses a minute. */
enum { ENTRIES = 65536, SECOND_MS = 1000, MINUTE_MS = 60 * 1000, IPV6_SUBNET = 8, KEY = 256 };

_Static_assert(KEY >= 2 + sizeof(((struct cmg_identity *)0)->tenant) +
                          sizeof(((struct cmg_identity *)0)->id) +
                          sizeof(((struct cmg_identity *)0)->sha256),
               "identity_key fills it without looking");

enum which { REQUESTS_ADDRESS, REQUESTS_IDENTITY, FAILURES_ADDRESS, FAILURES_CREDENTIAL, ALL };

static const char *const sentences[ALL] = {
    [REQUESTS_ADDRESS] = "too many requests from this address",
    [REQUESTS_IDENTITY] = "too many requests of this client",
    [FAILURES_ADDRESS] = "too many clients at this address failed to prove who they are",
    [FAILURES_CREDENTIAL] = "this token or certificate was refused too often",
};

struct throttle {
    struct cmg_buckets *buckets[ALL]; /* owned */
};

/* ---- rates ---- */

static struct cmg_bucket_rate a_second(int64_t n)
{
    return (struct cmg_bucket_rate){ (uint32_t)n, SECOND_MS, 2 * (uint32_t)n };
}

static struct cmg_bucket_rate a_minute(int64_t n)
{
    return (struct cmg_bucket_rate){ (uint32_t)n, MINUTE_MS, (uint32_t)n };
}

static void rates_of(const struct gateway_conf *conf, struct cmg_bucket_rate rates[ALL])
{
    rates[REQUESTS_ADDRESS] = a_second(conf->throttle.per_address);
    rates[REQUESTS_IDENTITY] = a_second(conf->throttle.per_identity);
    rates[FAILURES_ADDRESS] = a_minute(conf->throttle.failures_per_address);
    rates[FAILURES_CREDENTIAL] = a_minute(conf->throttle.failures_per_credential);
}

struct throttle *throttle_new(const struct gateway_conf *conf)
{
    struct throttle *t = cmg_alloc(sizeof(*t));
    struct cmg_bucket_rate rates[ALL];
    unsigned char secret[16];
    cmg_random(secret, sizeof(secret));
    rates_of(conf, rates);
    for (size_t i = 0; i < ALL; i++)
        t->buckets[i] = cmg_buckets_new(&rates[i], ENTRIES, secret);
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < ALL; i++)
        cmg_buckets_free(t->buckets[i]);
    free(t);
}

void throttle_use(struct throttle *t, const struct gateway_conf *conf)
{
    struct cmg_bucket_rate rates[ALL];
    rates_of(conf, rates);
    for (size_t i = 0; i < ALL; i++)
        cmg_buckets_rate(t->buckets[i], &rates[i]);
}

/* ---- keys ---- */

/* "[2001:db8::7]:51234" and "203.0.113.7:51234", as streams name their peers, without the port. */
static void without_port(const char *address, char out[INET6_ADDRSTRLEN + 8])
{
    bool bracket = address[0] == '[';
    const char *colon = strchr(address, ':');
    size_t n = strlen(address);
    if (bracket)
        n = strcspn(++address, "]");
    else if (colon && !strchr(colon + 1, ':'))
        n = (size_t)(colon - address);
    cmg_str_put(out, INET6_ADDRSTRLEN + 8, (struct cmg_str){ address, n });
}

static struct throttle_address address_of(const void *bytes, size_t n)
{
    struct throttle_address a = { .n = (unsigned char)(n < sizeof(a.bytes) ? n : sizeof(a.bytes)) };
    memcpy(a.bytes, bytes, a.n);
    return a;
}

struct throttle_address throttle_address(const char *address)
{
    static const unsigned char v4_in_v6[12] = { [10] = 0xff, [11] = 0xff };
    unsigned char b[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN + 8];
    without_port(address, text);
    if (inet_pton(AF_INET, text, b) == 1)
        return address_of(b, 4);
    if (inet_pton(AF_INET6, text, b) != 1)
        return address_of(address, strlen(address));
    if (!memcmp(b, v4_in_v6, sizeof(v4_in_v6)))
        return address_of(b + sizeof(v4_in_v6), 4);
    return address_of(b, IPV6_SUBNET);
}

static struct cmg_str key_of(const struct throttle_address *a)
{
    return (struct cmg_str){ (const char *)a->bytes, a->n };
}

static char *append(char *to, const char *text)
{
    size_t n = strlen(text) + 1;
    memcpy(to, text, n);
    return to + n;
}

/* Two kinds of identity never share a key, nor do two tenants. */
static struct cmg_str identity_key(const struct cmg_identity *who, char out[KEY])
{
    char *to = out;
    *to++ = (char)who->how;
    *to++ = (char)who->kind;
    to = append(append(append(to, who->tenant), who->id), who->sha256);
    return (struct cmg_str){ out, (size_t)(to - out) };
}

/* ---- the questions ---- */

static unsigned refuse(enum which which, int64_t wait_ms, const char **why)
{
    *why = sentences[which];
    return (unsigned)((wait_ms + SECOND_MS - 1) / SECOND_MS);
}

static unsigned take(struct throttle *t, enum which which, struct cmg_str key, int64_t now_ms,
                     const char **why)
{
    int64_t wait_ms;
    if (cmg_buckets_take(t->buckets[which], key, now_ms, &wait_ms))
        return 0;
    return refuse(which, wait_ms, why);
}

static unsigned peek(const struct throttle *t, enum which which, struct cmg_str key, int64_t now_ms,
                     const char **why)
{
    int64_t wait_ms;
    if (cmg_buckets_peek(t->buckets[which], key, now_ms, &wait_ms))
        return 0;
    return refuse(which, wait_ms, why);
}

unsigned throttle_request(struct throttle *t, const struct throttle_address *from, int64_t now_ms,
                          const char **why)
{
    return take(t, REQUESTS_ADDRESS, key_of(from), now_ms, why);
}

unsigned throttle_credential(const struct throttle *t, const struct throttle_address *from,
                             struct cmg_str credential, int64_t now_ms, const char **why)
{
    unsigned wait = peek(t, FAILURES_ADDRESS, key_of(from), now_ms, why);
    if (!wait && credential.n)
        wait = peek(t, FAILURES_CREDENTIAL, credential, now_ms, why);
    return wait;
}

unsigned throttle_identity(struct throttle *t, const struct cmg_identity *who, int64_t now_ms,
                           const char **why)
{
    char key[KEY];
    return take(t, REQUESTS_IDENTITY, identity_key(who, key), now_ms, why);
}

void throttle_failed(struct throttle *t, const struct throttle_address *from,
                     struct cmg_str credential, int64_t now_ms)
{
    (void)cmg_buckets_take(t->buckets[FAILURES_ADDRESS], key_of(from), now_ms, NULL);
    if (credential.n)
        (void)cmg_buckets_take(t->buckets[FAILURES_CREDENTIAL], credential, now_ms, NULL);
}
