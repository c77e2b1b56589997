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
#include "cmg/base/siphash.h"

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
    unsigned char secret[16];
    struct cmg_address *all; /* owned */
    struct idle_list idle;   /* longest idle first */
};

/* Keyed: strangers choose what they hash to otherwise. */
static unsigned hash(const struct cmg_addresses *t, struct key k)
{
    return (unsigned)cmg_siphash(t->secret, (struct cmg_str){ (const char *)&k, sizeof(k) });
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
