/* SPDX-License-Identifier: MIT */
#include "gateway/ledger.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/endpoint.h"

struct account {
    char id[CMG_ENDPOINT_ID_MAX + 1];
    struct cmg_counts counts;
    UT_hash_handle hh;
};

struct ledger {
    struct account *accounts;
    struct account *v[LEDGER_MAX + 1]; /* owned; in their order */
    int n;
};

struct ledger *ledger_new(void)
{
    return cmg_alloc(sizeof(struct ledger));
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    HASH_CLEAR(hh, l->accounts);
    for (int i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l);
}

static struct account *find(struct ledger *l, const char *id)
{
    struct account *a;
    HASH_FIND_STR(l->accounts, id, a);
    return a;
}

static struct account *open_account(struct ledger *l, const char *id)
{
    struct account *a = cmg_alloc(sizeof(*a));
    cmg_str_put(a->id, sizeof(a->id), cmg_str(id));
    HASH_ADD_STR(l->accounts, id, a);
    l->v[l->n++] = a;
    return a;
}

struct cmg_counts *ledger_account(struct ledger *l, const char *id)
{
    struct account *a = find(l, id);
    if (!a && l->n >= LEDGER_MAX)
        a = find(l, id = "*"); /* no id of an endpoint */
    if (!a)
        a = open_account(l, id);
    return &a->counts;
}

int ledger_next(const struct ledger *l, int after, const char **id,
                const struct cmg_counts **counts)
{
    int i = after + 1;
    if (i >= l->n)
        return -1;
    *id = l->v[i]->id;
    *counts = &l->v[i]->counts;
    return i;
}
