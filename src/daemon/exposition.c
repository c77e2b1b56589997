/* SPDX-License-Identifier: MIT */
#include "cmg/daemon/exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/utf8.h"

enum { NUMBER_SIZE = 32 };

static void put(struct cmg_buf *b, const char *text)
{
    if (cmg_buf_put(b, cmg_str(text)) != CMG_OK)
        b->max = b->n;
}

/* Takes back a line that did not fit to its end. */
static void end_line(struct cmg_buf *b, size_t before)
{
    put(b, "\n");
    if (cmg_buf_room(b))
        return;
    b->n = before;
    b->max = before;
}

/* What is no UTF-8 would spoil the whole answer for its reader. */
static void put_value(struct cmg_buf *b, struct cmg_str s)
{
    while (s.n) {
        size_t n = cmg_utf8(s);
        char one[8] = "?";
        if (*s.p == '\\' || *s.p == '"')
            snprintf(one, sizeof(one), "\\%c", *s.p);
        else if (*s.p == '\n')
            snprintf(one, sizeof(one), "\\n");
        else if (n)
            cmg_str_put(one, sizeof(one), (struct cmg_str){ s.p, n });
        put(b, one);
        s = cmg_str_from(s, n ? n : 1);
    }
}

static void put_label(struct cmg_buf *b, char *between, const struct cmg_label *l)
{
    put(b, between);
    put(b, l->name);
    put(b, "=\"");
    put_value(b, cmg_str(l->value));
    put(b, "\"");
    between[0] = ',';
}

static void put_labels(struct cmg_buf *b, const struct cmg_label *labels, size_t n, const char *le)
{
    char between[] = "{";
    for (size_t i = 0; i < n; i++)
        put_label(b, between, &labels[i]);
    if (le)
        put_label(b, between, &(struct cmg_label){ "le", le });
    put(b, between[0] == ',' ? "} " : " ");
}

/* The shortest of the two forms that reads back the same. */
static void number(char out[NUMBER_SIZE], double v)
{
    if (isnan(v))
        snprintf(out, NUMBER_SIZE, "NaN");
    else if (isinf(v))
        snprintf(out, NUMBER_SIZE, v > 0 ? "+Inf" : "-Inf");
    else if (fabs(v) < 1e15 && v == (double)(int64_t)v)
        snprintf(out, NUMBER_SIZE, "%.0f", v);
    else if (snprintf(out, NUMBER_SIZE, "%.15g", v), strtod(out, NULL) != v)
        snprintf(out, NUMBER_SIZE, "%.17g", v);
}

static void sample(struct cmg_buf *b, const char *name, const char *suffix,
                   const struct cmg_label *labels, size_t n, const char *le, double value)
{
    size_t before = b->n;
    char text[NUMBER_SIZE];
    number(text, value);
    put(b, name);
    put(b, suffix);
    put_labels(b, labels, n, le);
    put(b, text);
    end_line(b, before);
}

void cmg_exposition_family(struct cmg_buf *b, const char *name, const char *type, const char *help)
{
    size_t before = b->n;
    const char *const parts[] = { "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        put(b, parts[i]);
    end_line(b, before);
}

void cmg_exposition_sample(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                           size_t n, double value)
{
    sample(b, name, "", labels, n, NULL, value);
}

void cmg_exposition_histogram(struct cmg_buf *b, const char *name, const struct cmg_label *labels,
                              size_t n, const struct cmg_histogram *h)
{
    uint64_t so_far = 0;
    for (size_t i = 0; i < CMG_HISTOGRAM_BUCKETS; i++) {
        char le[NUMBER_SIZE];
        number(le, (double)cmg_histogram_us[i] / 1e6);
        so_far += h->bucket[i];
        sample(b, name, "_bucket", labels, n, le, (double)so_far);
    }
    sample(b, name, "_bucket", labels, n, "+Inf", (double)h->count);
    sample(b, name, "_sum", labels, n, NULL, (double)h->sum_us / 1e6);
    sample(b, name, "_count", labels, n, NULL, (double)h->count);
}

/* Requests -------------------------------------------------------------------------------- */

static double requests(const struct cmg_counts *c)
{
    return (double)c->requests;
}

static double in_flight(const struct cmg_counts *c)
{
    return c->in_flight;
}

static double in_flight_max(const struct cmg_counts *c)
{
    return c->max_in_flight;
}

static double request_bytes(const struct cmg_counts *c)
{
    return (double)c->request_bytes;
}

static double response_bytes(const struct cmg_counts *c)
{
    return (double)c->response_bytes;
}

static double failures(const struct cmg_counts *c)
{
    return (double)c->failed;
}

static double with_token(const struct cmg_counts *c)
{
    return (double)c->bearer;
}

static const struct {
    const char *name, *type, *help;
    double (*value)(const struct cmg_counts *c);
} request_families[] = {
    { "cmg_requests_total", "counter", "Requests begun.", requests },
    { "cmg_requests_in_flight", "gauge", "Requests under way.", in_flight },
    { "cmg_requests_in_flight_max", "gauge", "The most requests under way at once so far.",
      in_flight_max },
    { "cmg_request_bytes_total", "counter", "Bytes of request bodies, of requests that ended.",
      request_bytes },
    { "cmg_response_bytes_total", "counter", "Bytes of response bodies, of requests that ended.",
      response_bytes },
    { "cmg_request_failures_total", "counter",
      "Requests that ended with 5xx, were cut, or left by their client.", failures },
    { "cmg_requests_with_bearer_token_total", "counter",
      "Requests begun with an Authorization field of the Bearer scheme.", with_token },
};

void cmg_exposition_requests(struct cmg_buf *b, const struct cmg_counted *v, size_t n)
{
    static const char took[] = "cmg_request_duration_seconds";
    for (size_t f = 0; f < sizeof(request_families) / sizeof(*request_families); f++) {
        cmg_exposition_family(b, request_families[f].name, request_families[f].type,
                              request_families[f].help);
        for (size_t i = 0; i < n; i++)
            cmg_exposition_sample(b, request_families[f].name,
                                  &(struct cmg_label){ "endpoint", v[i].endpoint }, 1,
                                  request_families[f].value(v[i].counts));
    }
    cmg_exposition_family(b, took, "histogram", "From a request's head to the end of its answer.");
    for (size_t i = 0; i < n; i++)
        cmg_exposition_histogram(b, took, &(struct cmg_label){ "endpoint", v[i].endpoint }, 1,
                                 &v[i].counts->took);
}

void cmg_exposition_gauge(struct cmg_buf *b, const char *name, const char *help, double value)
{
    cmg_exposition_family(b, name, "gauge", help);
    cmg_exposition_sample(b, name, NULL, 0, value);
}
