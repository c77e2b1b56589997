/* SPDX-License-Identifier: MIT */
/* A period as text: for the state file in few bytes, for people and programs as the report. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "cmg/base/alloc.h"
#include "cmg/base/utf8.h"
#include "traffic_book.h"

enum { VERSION = 1, ROW_NUMBERS = 6 };

/* For the state file ---------------------------------------------------------------------- */

static json_t *whole(json_t *made)
{
    if (!made)
        abort();
    return made;
}

static json_t *number(uint64_t n)
{
    return whole(json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

/* Names are from configuration files, in whatever bytes. */
static json_t *text(const char *z)
{
    char copy[TRAFFIC_NAME_MAX + 1];
    cmg_str_put(copy, sizeof(copy), cmg_str(z));
    struct cmg_str rest = cmg_str(copy);
    for (char *at = copy; rest.n;) {
        size_t n = cmg_utf8(rest);
        if (!n)
            *at = '?';
        at += n ? n : 1;
        rest = cmg_str_from(rest, n ? n : 1);
    }
    return whole(json_string(copy));
}

json_t *traffic_period_save(const struct traffic_period *p)
{
    json_t *rows = whole(json_array());
    for (size_t i = 0; i < p->n; i++) {
        const struct traffic_row *r = &p->rows[i];
        json_array_append_new(
            rows, whole(json_pack("[o,o,o,o,o,o,o,o,o]", text(r->name), text(r->proxy),
                                  text(r->target), number(r->requests), number(r->bearer),
                                  number(r->failed), number(r->request_bytes),
                                  number(r->response_bytes), number(r->max_in_flight))));
    }
    return whole(json_pack("{s:i,s:I,s:I,s:o,s:o}", "v", VERSION, "start", (json_int_t)p->start,
                           "end", (json_int_t)p->end, "max", number(p->max_in_flight), "rows",
                           rows));
}

static bool load_row(json_t *from, struct traffic_row *r)
{
    const char *name, *proxy, *target;
    json_int_t n[ROW_NUMBERS];
    if (json_unpack(from, "[s,s,s,I,I,I,I,I,I!]", &name, &proxy, &target, &n[0], &n[1], &n[2],
                    &n[3], &n[4], &n[5]) != 0)
        return false;
    for (size_t i = 0; i < ROW_NUMBERS; i++)
        if (n[i] < 0)
            return false;
    if (n[5] > UINT32_MAX)
        return false;
    *r = (struct traffic_row){ cmg_str_dup(cmg_str(name)),
                               cmg_str_dup(cmg_str(proxy)),
                               cmg_str_dup(cmg_str(target)),
                               (uint64_t)n[0],
                               (uint64_t)n[1],
                               (uint64_t)n[2],
                               (uint64_t)n[3],
                               (uint64_t)n[4],
                               (uint32_t)n[5] };
    return true;
}

static bool load_rows(json_t *rows, struct traffic_period *out)
{
    size_t n = json_array_size(rows);
    if (n > TRAFFIC_ROWS_MAX)
        return false;
    out->rows = cmg_alloc((n + 1) * sizeof(*out->rows));
    for (; out->n < n; out->n++)
        if (!load_row(json_array_get(rows, out->n), &out->rows[out->n]))
            return false;
    return true;
}

bool traffic_period_load(struct cmg_str line, struct traffic_period *out)
{
    int version = 0;
    json_int_t start = 0, end = 0, max = 0;
    json_t *rows = NULL, *root = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    *out = (struct traffic_period){ .start = 0 };
    bool good = root &&
                json_unpack(root, "{s:i,s:I,s:I,s:I,s:o}", "v", &version, "start", &start, "end",
                            &end, "max", &max, "rows", &rows) == 0 &&
                version == VERSION && start > 0 && end >= start && max >= 0 && max <= UINT32_MAX &&
                json_is_array(rows) && load_rows(rows, out);
    out->start = start;
    out->end = end;
    out->max_in_flight = (uint32_t)max;
    json_decref(root);
    if (!good)
        traffic_period_clear(out);
    return good;
}

/* The report ------------------------------------------------------------------------------- */

void traffic_time(int64_t at, char out[TRAFFIC_TIME])
{
    time_t t = (time_t)at;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(out, TRAFFIC_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm))
        cmg_str_put(out, TRAFFIC_TIME, CMG_STR("?"));
}

static json_t *row_json(const struct traffic_row *r)
{
    return whole(json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "Name", text(r->name),
                           "ProxyServer", text(r->proxy), "TargetHost", text(r->target),
                           "TotalRequests", number(r->requests), "TotalRequestsWithBearerToken",
                           number(r->bearer), "MaxConcurrentRequests", number(r->max_in_flight),
                           "TotalRequestBytes", number(r->request_bytes), "TotalResponseBytes",
                           number(r->response_bytes), "FailedRequests", number(r->failed)));
}

json_t *traffic_period_json(const struct traffic_period *p, const char *server)
{
    char start[TRAFFIC_TIME], end[TRAFFIC_TIME];
    traffic_time(p->start, start);
    traffic_time(p->end, end);
    json_t *rows = whole(json_array());
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(rows, row_json(&p->rows[i]));
    return whole(json_pack("{s:o,s:s,s:s,s:o,s:o}", "ServerName", text(server), "StartTime", start,
                           "EndTime", end, "MaxConcurrentRequests", number(p->max_in_flight),
                           "EndPoints", rows));
}

/* What XML 1.0 has no way to write becomes '?'. */
static enum cmg_rc put_escaped(struct cmg_buf *b, const char *z)
{
    enum cmg_rc rc = CMG_OK;
    for (struct cmg_str rest = cmg_str(z); rest.n && rc == CMG_OK;) {
        size_t n = cmg_utf8(rest);
        unsigned char c = (unsigned char)rest.p[0];
        bool no_character = n == 3 && c == 0xef && (unsigned char)rest.p[1] == 0xbf &&
                            (unsigned char)rest.p[2] >= 0xbe; /* U+FFFE, U+FFFF */
        if (!n || c < ' ' || no_character)
            rc = cmg_buf_put(b, CMG_STR("?"));
        else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            rc = cmg_buf_printf(b, "&#%d;", c);
        else
            rc = cmg_buf_put(b, (struct cmg_str){ rest.p, n });
        rest = cmg_str_from(rest, n ? n : 1);
    }
    return rc;
}

static enum cmg_rc put_attribute(struct cmg_buf *b, const char *name, const char *value)
{
    enum cmg_rc rc = cmg_buf_printf(b, " %s=\"", name);
    if (rc == CMG_OK)
        rc = put_escaped(b, value);
    return rc == CMG_OK ? cmg_buf_put(b, CMG_STR("\"")) : rc;
}

static enum cmg_rc put_row(struct cmg_buf *b, const struct traffic_row *r)
{
    enum cmg_rc rc = cmg_buf_put(b, CMG_STR("    <EndPoint"));
    if (rc == CMG_OK)
        rc = put_attribute(b, "Name", r->name);
    if (rc == CMG_OK)
        rc = put_attribute(b, "ProxyServer", r->proxy);
    if (rc == CMG_OK)
        rc = put_attribute(b, "TargetHost", r->target);
    if (rc != CMG_OK)
        return rc;
    return cmg_buf_printf(
        b,
        " TotalRequests=\"%" PRIu64 "\" TotalRequestsWithBearerToken=\"%" PRIu64
        "\" MaxConcurrentRequests=\"%" PRIu32 "\" TotalRequestBytes=\"%" PRIu64
        "\" TotalResponseBytes=\"%" PRIu64 "\" FailedRequests=\"%" PRIu64 "\"/>\n",
        r->requests, r->bearer, r->max_in_flight, r->request_bytes, r->response_bytes, r->failed);
}

enum cmg_rc traffic_period_xml(struct cmg_buf *b, const struct traffic_period *p,
                               const char *server)
{
    char start[TRAFFIC_TIME], end[TRAFFIC_TIME];
    traffic_time(p->start, start);
    traffic_time(p->end, end);
    enum cmg_rc rc = cmg_buf_put(b, CMG_STR("<ProxyTrafficStateDetails"));
    if (rc == CMG_OK)
        rc = put_attribute(b, "ServerName", server);
    if (rc == CMG_OK)
        rc = cmg_buf_printf(b,
                            " StartTime=\"%s\" EndTime=\"%s\" MaxConcurrentRequests=\"%" PRIu32
                            "\">\n  <EndPoints>\n",
                            start, end, p->max_in_flight);
    for (size_t i = 0; i < p->n && rc == CMG_OK; i++)
        rc = put_row(b, &p->rows[i]);
    return rc == CMG_OK ? cmg_buf_put(b, CMG_STR("  </EndPoints>\n</ProxyTrafficStateDetails>\n"))
                        : rc;
}
