/* SPDX-License-Identifier: MIT */
/* A bucket counts in parts of a token, `per_ms` of them to one: then a millisecond brings `tokens`
 * parts, exactly, and nothing is ever rounded. Buckets stand in chains by hash and in one list by
 * last use. Of a key only its hash is kept: who could make two keys share one knows the secret. */
#include "cmg/auth/bucket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "cmg/base/alloc.h"
#include "cmg/base/siphash.h"

struct bucket {
    uint64_t hash;
    uint64_t parts; /* at last_ms */
    int64_t last_ms;
    LIST_ENTRY(bucket) chain;
    TAILQ_ENTRY(bucket) use;
};
LIST_HEAD(chain, bucket);
TAILQ_HEAD(by_use, bucket);

struct cmg_buckets {
    struct cmg_bucket_rate rate;
    unsigned char secret[16];
    struct bucket *buckets; /* owned; `used` of `entries` are in use */
    size_t entries, used;
    struct chain *chains; /* owned */
    size_t mask;          /* of a hash: its chain */
    struct by_use by_use; /* the one used last is first */
};

static struct cmg_bucket_rate sane(const struct cmg_bucket_rate *rate)
{
    struct cmg_bucket_rate r = *rate;
    if (!r.per_ms)
        r.per_ms = 1;
    if (!r.burst)
        r.burst = 1;
    return r;
}

static uint64_t ceiling(const struct cmg_buckets *b)
{
    return (uint64_t)b->rate.burst * b->rate.per_ms;
}

struct cmg_buckets *cmg_buckets_new(const struct cmg_bucket_rate *rate, size_t entries,
                                    const unsigned char secret[16])
{
    struct cmg_buckets *b = cmg_alloc(sizeof(*b));
    size_t chains = 1;
    b->rate = sane(rate);
    b->entries = entries ? entries : 1;
    while (chains < b->entries)
        chains *= 2;
    b->mask = chains - 1;
    b->buckets = cmg_alloc(b->entries * sizeof(*b->buckets));
    b->chains = cmg_alloc(chains * sizeof(*b->chains));
    memcpy(b->secret, secret, sizeof(b->secret));
    TAILQ_INIT(&b->by_use);
    return b;
}

void cmg_buckets_free(struct cmg_buckets *b)
{
    if (!b)
        return;
    free(b->buckets);
    free(b->chains);
    free(b);
}

/* The same number of tokens in parts of another size. */
static uint64_t recount(uint64_t parts, uint64_t was, uint64_t is)
{
    return parts / was * is + parts % was * is / was;
}

void cmg_buckets_rate(struct cmg_buckets *b, const struct cmg_bucket_rate *rate)
{
    uint32_t was = b->rate.per_ms;
    b->rate = sane(rate);
    for (size_t i = 0; i < b->used; i++) {
        struct bucket *k = &b->buckets[i];
        if (k->parts / was >= b->rate.burst)
            k->parts = ceiling(b);
        else
            k->parts = recount(k->parts, was, b->rate.per_ms);
    }
}

static struct bucket *find(const struct cmg_buckets *b, uint64_t hash)
{
    struct bucket *k;
    LIST_FOREACH(k, &b->chains[hash & b->mask], chain)
    if (k->hash == hash)
        return k;
    return NULL;
}

/* A full one, in the place of the one used least recently when there is no other. */
static struct bucket *add(struct cmg_buckets *b, uint64_t hash, int64_t now_ms)
{
    struct bucket *k;
    if (b->used < b->entries) {
        k = &b->buckets[b->used++];
    } else {
        k = TAILQ_LAST(&b->by_use, by_use);
        TAILQ_REMOVE(&b->by_use, k, use);
        LIST_REMOVE(k, chain);
    }
    k->hash = hash;
    k->parts = ceiling(b);
    k->last_ms = now_ms;
    LIST_INSERT_HEAD(&b->chains[hash & b->mask], k, chain);
    TAILQ_INSERT_HEAD(&b->by_use, k, use);
    return k;
}

/* What it holds now. A clock that goes back brings nothing and takes nothing. */
static uint64_t parts_at(const struct cmg_buckets *b, const struct bucket *k, int64_t now_ms)
{
    uint64_t room = ceiling(b) - k->parts;
    if (now_ms <= k->last_ms)
        return k->parts;
    uint64_t passed = (uint64_t)now_ms - (uint64_t)k->last_ms;
    if (passed > room / b->rate.tokens)
        return ceiling(b);
    return k->parts + passed * b->rate.tokens;
}

static bool enough(const struct cmg_buckets *b, uint64_t parts, int64_t *wait_ms)
{
    uint64_t lacking = parts < b->rate.per_ms ? b->rate.per_ms - parts : 0;
    if (wait_ms)
        *wait_ms = (int64_t)((lacking + b->rate.tokens - 1) / b->rate.tokens);
    return !lacking;
}

static bool unlimited(const struct cmg_buckets *b, int64_t *wait_ms)
{
    if (!b->rate.tokens && wait_ms)
        *wait_ms = 0;
    return !b->rate.tokens;
}

bool cmg_buckets_take(struct cmg_buckets *b, struct cmg_str key, int64_t now_ms, int64_t *wait_ms)
{
    if (unlimited(b, wait_ms))
        return true;
    uint64_t hash = cmg_siphash(b->secret, key);
    struct bucket *k = find(b, hash);
    if (!k)
        k = add(b, hash, now_ms);
    k->parts = parts_at(b, k, now_ms);
    if (now_ms > k->last_ms)
        k->last_ms = now_ms;
    TAILQ_REMOVE(&b->by_use, k, use);
    TAILQ_INSERT_HEAD(&b->by_use, k, use);
    if (!enough(b, k->parts, wait_ms))
        return false;
    k->parts -= b->rate.per_ms;
    return true;
}

bool cmg_buckets_peek(const struct cmg_buckets *b, struct cmg_str key, int64_t now_ms,
                      int64_t *wait_ms)
{
    if (unlimited(b, wait_ms))
        return true;
    const struct bucket *k = find(b, cmg_siphash(b->secret, key));
    return enough(b, k ? parts_at(b, k, now_ms) : ceiling(b), wait_ms);
}
