/* SPDX-License-Identifier: MIT */
#include "addresses.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <uthash.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"

enum {
    BURST = 4,              /* a full bucket holds so many seconds of the rate              */
    TOKEN = 1000,           /* one connection; every millisecond earns `rate` of it         */
    KEEP_MS = BURST * TOKEN /* by then a bucket is full, and a new entry would be the same */
};

struct key {
    uint64_t high, low; /* IPv4 as ::ffff:a.b.c.d; IPv6 as its /64, low 0 */
};

struct cmg_address {
    struct key key;
    unsigned alive;
    int64_t tokens; /* saved up: TOKEN buys one connection */
    int64_t seen_ms;
    TAILQ_ENTRY(cmg_address) idle; /* only without connections */
    UT_hash_handle hh;
};

TAILQ_HEAD(idle_list, cmg_address);

struct cmg_addresses {
    unsigned max_each, rate, idle_max;
    unsigned nidle;
    uint64_t secret[2];
    struct cmg_address *all; /* owned */
    struct idle_list idle;   /* longest idle first */
};

/* SipHash-1-3 of 16 bytes: strangers choose what they hash to otherwise. */
static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static unsigned hash(const struct cmg_addresses *t, struct key k)
{
    const uint64_t words[] = { k.high, k.low, (uint64_t)16 << 56 };
    uint64_t v[4] = {
        t->secret[0] ^ 0x736f6d6570736575,
        t->secret[1] ^ 0x646f72616e646f6d,
        t->secret[0] ^ 0x6c7967656e657261,
        t->secret[1] ^ 0x7465646279746573,
    };
    for (size_t i = 0; i < CMG_COUNT(words); i++) {
        v[3] ^= words[i];
        sip_round(v);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return (unsigned)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

static int64_t full(const struct cmg_addresses *t)
{
    return (int64_t)KEEP_MS * t->rate;
}

static void save_up(const struct cmg_addresses *t, struct cmg_address *a, int64_t now_ms)
{
    int64_t passed = now_ms - a->seen_ms;
    if (passed > KEEP_MS)
        passed = KEEP_MS;
    a->tokens += passed * t->rate;
    if (a->tokens > full(t))
        a->tokens = full(t);
    a->seen_ms = now_ms;
}

static struct key key_of(const struct sockaddr *from)
{
    struct key k = { 0, 0 };
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        k.low = (uint64_t)0xffff << 32 | ntohl(in->sin_addr.s_addr);
    } else if (from->sa_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        uint32_t w[4];
        memcpy(w, in, sizeof(w));
        if (IN6_IS_ADDR_V4MAPPED(in))
            k.low = (uint64_t)0xffff << 32 | ntohl(w[3]);
        else
            k.high = (uint64_t)ntohl(w[0]) << 32 | ntohl(w[1]);
    }
    return k;
}

static struct cmg_address *find(const struct cmg_addresses *t, struct key k)
{
    struct cmg_address *a;
    HASH_FIND_BYHASHVALUE(hh, t->all, &k, sizeof(k), hash(t, k), a);
    return a;
}

static void to_idle(struct cmg_addresses *t, struct cmg_address *a)
{
    TAILQ_INSERT_TAIL(&t->idle, a, idle);
    t->nidle++;
}

static void from_idle(struct cmg_addresses *t, struct cmg_address *a)
{
    TAILQ_REMOVE(&t->idle, a, idle);
    t->nidle--;
}

static struct cmg_address *add(struct cmg_addresses *t, struct key k, int64_t now_ms)
{
    struct cmg_address *a = cmg_alloc(sizeof(*a));
    a->key = k;
    a->tokens = full(t);
    a->seen_ms = now_ms;
    HASH_ADD_BYHASHVALUE(hh, t->all, key, sizeof(k), hash(t, k), a);
    to_idle(t, a);
    return a;
}

static void forget_stale(struct cmg_addresses *t, int64_t now_ms)
{
    struct cmg_address *a;
    while ((a = TAILQ_FIRST(&t->idle)) &&
           (t->nidle > t->idle_max || !t->rate || now_ms - a->seen_ms > KEEP_MS)) {
        from_idle(t, a);
        HASH_DEL(t->all, a);
        free(a);
    }
}

static bool pay(const struct cmg_addresses *t, struct cmg_address *a)
{
    if (!t->rate)
        return true;
    if (a->tokens < TOKEN)
        return false;
    a->tokens -= TOKEN;
    return true;
}

enum cmg_addresses_answer cmg_addresses_take(struct cmg_addresses *t, const struct sockaddr *from,
                                             int64_t now_ms, struct cmg_address **slot)
{
    forget_stale(t, now_ms);
    struct key k = key_of(from);
    struct cmg_address *a = find(t, k);
    if (!a)
        a = add(t, k, now_ms);
    if (t->max_each && a->alive >= t->max_each)
        return CMG_ADDRESS_TOO_MANY;
    save_up(t, a, now_ms);
    if (a->alive == 0)
        from_idle(t, a);
    if (!pay(t, a)) {
        if (a->alive == 0)
            to_idle(t, a); /* as the one seen last */
        return CMG_ADDRESS_TOO_FAST;
    }
    a->alive++;
    *slot = a;
    return CMG_ADDRESS_OK;
}

void cmg_addresses_give_back(struct cmg_addresses *t, struct cmg_address *slot, int64_t now_ms)
{
    if (--slot->alive > 0)
        return;
    save_up(t, slot, now_ms);
    to_idle(t, slot);
    forget_stale(t, now_ms);
}

unsigned cmg_addresses_count(const struct cmg_addresses *t)
{
    return HASH_COUNT(t->all);
}

void cmg_addresses_limit(struct cmg_addresses *t, unsigned max_each, unsigned rate)
{
    t->max_each = max_each;
    t->rate = rate;
}

struct cmg_addresses *cmg_addresses_new(unsigned max_each, unsigned rate, unsigned idle_max)
{
    struct cmg_addresses *t = cmg_alloc(sizeof(*t));
    t->max_each = max_each;
    t->rate = rate;
    t->idle_max = idle_max;
    TAILQ_INIT(&t->idle);
    cmg_random(t->secret, sizeof(t->secret));
    return t;
}

void cmg_addresses_free(struct cmg_addresses *t)
{
    if (!t)
        return;
    struct cmg_address *a, *next;
    HASH_ITER(hh, t->all, a, next)
    {
        HASH_DEL(t->all, a);
        free(a);
    }
    free(t);
}
