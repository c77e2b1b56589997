/* SPDX-License-Identifier: MIT */
#include "journal.h"

#ifdef CMG_SYSTEMD

#define SD_JOURNAL_SUPPRESS_LOCATION /* of this file, which is of no use to anyone */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "cmg/base/alloc.h"

enum { FIELDS = 32, ROOM = 16384 };

struct entry {
    struct iovec fields[FIELDS];
    int nfields;
    size_t used;
    char room[ROOM];
};

/* Ends the field that was written at e->room + e->used. */
static void end_field(struct entry *e, size_t n)
{
    e->fields[e->nfields++] = (struct iovec){ e->room + e->used, n };
    e->used += n;
}

/* "CMG_INSTANCE=" */
static size_t put_name(struct entry *e, const char *key)
{
    char *at = e->room + e->used;
    size_t n = 0;
    memcpy(at, "CMG_", 4);
    for (n = 4; *key && n < 64; key++)
        at[n++] = *key >= 'a' && *key <= 'z' ? (char)(*key - 0x20) : *key;
    at[n++] = '=';
    return n;
}

static void put_kv(struct entry *e, const struct cmg_kv *kv)
{
    enum { NAME = 80, NUMBER = 24 };
    if (e->nfields == FIELDS || ROOM - e->used < NAME + NUMBER)
        return;
    size_t n = put_name(e, kv->key), room = ROOM - e->used - n;
    if (kv->str.p) {
        size_t v = kv->str.n < room ? kv->str.n : room;
        memcpy(e->room + e->used + n, kv->str.p, v);
        n += v;
    } else {
        n += (size_t)snprintf(e->room + e->used + n, room, "%" PRId64, kv->num);
    }
    end_field(e, n);
}

bool cmg_journal_built_in(void)
{
    return true;
}

bool cmg_journal_send(const char *program, enum cmg_level level, const char *event,
                      const struct cmg_kv *kv, size_t n)
{
    struct entry e;
    const struct cmg_kv event_kv = cmg_kv_str("event", event);
    e.nfields = 0;
    e.used = 0;
    memcpy(e.room, "MESSAGE=", 8);
    end_field(&e, 8 + cmg_log_text(e.room + 8, ROOM / 2, event, kv, n));
    end_field(&e, (size_t)snprintf(e.room + e.used, 16, "PRIORITY=%d", (int)level));
    end_field(&e, (size_t)snprintf(e.room + e.used, 64, "SYSLOG_IDENTIFIER=%.40s", program));
    put_kv(&e, &event_kv);
    for (size_t i = 0; i < n; i++)
        put_kv(&e, &kv[i]);
    return sd_journal_sendv(e.fields, e.nfields) == 0;
}

#else

bool cmg_journal_built_in(void)
{
    return false;
}

bool cmg_journal_send(const char *program, enum cmg_level level, const char *event,
                      const struct cmg_kv *kv, size_t n)
{
    (void)program, (void)level, (void)event, (void)kv, (void)n;
    return false;
}

#endif
