/* SPDX-License-Identifier: MIT */
/* One request as libcurl is told of it, and what libcurl calls while it runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/net/curl_set.h"
#include "fetch_core.h"

enum { HEAD_MAX = 64 * 1024, CA_CACHE_S = 60 };

/* ---- what libcurl calls ---- */

static bool is_handed_on(const struct cmg_fetch *f)
{
    long status = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    return f->on_body && status == 200;
}

static bool hand_on(struct cmg_fetch *f, struct cmg_str bytes)
{
    if (f->on_body(f->arg, bytes))
        return true;
    cmg_fail(&f->result.err, CMG_EIO, "%s: ended by who asked", f->label);
    return false;
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
    struct cmg_fetch *f = arg;
    struct cmg_str bytes = { p, one * n };
    if (is_handed_on(f) && bytes.n <= f->in.max - f->passed) {
        f->passed += bytes.n;
        return hand_on(f, bytes) ? bytes.n : 0;
    }
    if (!is_handed_on(f) && cmg_buf_put(&f->in, bytes) == CMG_OK)
        return bytes.n;
    cmg_fail(&f->result.err, CMG_ETOOBIG, "%s: the answer is longer than %zu bytes", f->label,
             f->in.max);
    return 0;
}

/* Every line of every head, those of a proxy and of 1xx answers too. libcurl would wait for the
 * end of time after a 101 that nobody asked for. */
static size_t on_head(char *p, size_t one, size_t n, void *arg)
{
    struct cmg_fetch *f = arg;
    struct cmg_str line = { p, one * n };
    f->head_bytes += line.n;
    if (f->head_bytes > HEAD_MAX) {
        cmg_fail(&f->result.err, CMG_ETOOBIG, "%s: the head of the answer is longer than %d bytes",
                 f->label, HEAD_MAX);
        return 0;
    }
    if (cmg_str_istarts(line, CMG_STR("HTTP/1.1 101"))) {
        cmg_fail(&f->result.err, CMG_EIO, "%s: answered 101", f->label);
        return 0;
    }
    return line.n;
}

static size_t on_send(char *to, size_t one, size_t n, void *arg)
{
    struct cmg_fetch *f = arg;
    size_t left = f->nbody - f->sent, room = one * n;
    size_t put = left < room ? left : room;
    if (put)
        memcpy(to, f->body + f->sent, put);
    f->sent += put;
    return put;
}

/* For a request that is sent again because a kept connection had died. */
static int on_rewind(void *arg, curl_off_t at, int origin)
{
    struct cmg_fetch *f = arg;
    if (origin != SEEK_SET || at < 0 || (size_t)at > f->nbody)
        return CURL_SEEKFUNC_FAIL;
    f->sent = (size_t)at;
    return CURL_SEEKFUNC_OK;
}

/* ---- options ---- */

/* QUICK_EXIT: a name server that does not answer must not hold the loop when a fetch ends before
 * it. The whole time is a timer of ours, because it runs while a fetch waits for its turn. */
static CURLcode set_basics(CURL *curl, const struct cmg_fetch *f)
{
    const struct cmg_curl_number numbers[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_QUICK_EXIT, 1 },
        { CURLOPT_NOPROGRESS, 1 },
        { CURLOPT_CONNECTTIMEOUT_MS, (long)f->connect_ms },
        { CURLOPT_TCP_NODELAY, 1 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_HTTP09_ALLOWED, 0 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_PATH_AS_IS, 1 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        /* libcurl's default is a day, in which a new file would not be looked at. */
        { CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S },
    };
    return cmg_curl_numbers(curl, numbers, CMG_COUNT(numbers));
}

static CURLcode set_addresses(CURL *curl, const struct cmg_fetch *f,
                              const struct cmg_fetch_request *r)
{
    const char *proxy = f->fetcher->proxy;
    const struct cmg_curl_text texts[] = {
        { CURLOPT_PROTOCOLS_STR, "http,https" },
        { CURLOPT_URL, r->url },
        /* Empty, not unset: unset would mean what the environment says. */
        { CURLOPT_PROXY, proxy ? proxy : "" },
        { CURLOPT_NOPROXY, "" },
        { CURLOPT_CAINFO, cmg_curl_ca(r->ca_file) },
        { CURLOPT_CAPATH, NULL },
        { CURLOPT_PROXY_CAINFO, cmg_curl_ca(NULL) },
        { CURLOPT_PROXY_CAPATH, NULL },
        { CURLOPT_UNIX_SOCKET_PATH, r->unix_socket },
    };
    return cmg_curl_texts(curl, texts, CMG_COUNT(texts));
}

static CURLcode set_callbacks(CURL *curl, struct cmg_fetch *f)
{
    const struct {
        CURLoption option;
        void *value;
    } data[] = {
        { CURLOPT_PRIVATE, f },  { CURLOPT_WRITEDATA, f },          { CURLOPT_HEADERDATA, f },
        { CURLOPT_READDATA, f }, { CURLOPT_ERRORBUFFER, f->words }, { CURLOPT_SEEKDATA, f },
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; i < CMG_COUNT(data) && rc == CURLE_OK; i++)
        rc = curl_easy_setopt(curl, data[i].option, data[i].value);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
    return rc;
}

/* PUT and POST have a body even when it is empty: "Content-Length: 0". */
static CURLcode set_method(CURL *curl, struct cmg_fetch *f, const struct cmg_fetch_request *r)
{
    const char *method = r->method ? r->method : "GET";
    bool upload = r->body.n || !strcmp(method, "PUT") || !strcmp(method, "POST");
    CURLcode rc = CURLE_OK;
    if (!cmg_token_ok(cmg_str(method)))
        return CURLE_BAD_FUNCTION_ARGUMENT;
    if (!strcmp(method, "HEAD"))
        return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (upload) {
        f->body = cmg_alloc(r->body.n + 1);
        f->nbody = r->body.n;
        if (r->body.n)
            memcpy(f->body, r->body.p, r->body.n);
        rc = curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        if (rc == CURLE_OK)
            rc = curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body.n);
    }
    return rc == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) : rc;
}

/* ---- fields: libcurl sends what it is given, line ends and all ---- */

static bool sendable(const struct cmg_field *f)
{
    return cmg_field_name_ok(f->name) && cmg_field_value_ok(f->value) &&
           !cmg_field_is_hop_by_hop(f->name) && !cmg_str_ieq(f->name, CMG_STR("Content-Length"));
}

static void add_line(struct cmg_fetch *f, const char *line)
{
    struct curl_slist *more = curl_slist_append(f->fields, line);
    if (!more)
        abort();
    f->fields = more;
}

static CURLcode set_fields(CURL *curl, struct cmg_fetch *f, const struct cmg_fetch_request *r)
{
    add_line(f, "Expect:"); /* not sent: it would cost a round trip and a second of waiting */
    for (size_t i = 0; i < r->nfields; i++) {
        const struct cmg_field *field = &r->fields[i];
        struct cmg_buf line;
        if (!sendable(field))
            return CURLE_BAD_FUNCTION_ARGUMENT;
        cmg_buf_init(&line, field->name.n + field->value.n + 8);
        enum cmg_rc rc = field->value.n ? cmg_buf_printf(&line, "%.*s: %.*s", CMG_ARG(field->name),
                                                         CMG_ARG(field->value))
                                        : cmg_buf_printf(&line, "%.*s;", CMG_ARG(field->name));
        if (rc == CMG_OK)
            rc = cmg_buf_put(&line, (struct cmg_str){ "", 1 });
        if (rc == CMG_OK)
            add_line(f, cmg_buf_str(&line).p);
        cmg_buf_clear(&line);
        if (rc != CMG_OK)
            return CURLE_BAD_FUNCTION_ARGUMENT;
    }
    return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, f->fields);
}

/* ---- all together ---- */

/* What errors call it: never the path or the query, which may hold a signature. */
static bool set_label(struct cmg_fetch *f, const struct cmg_fetch_request *r)
{
    CURLU *u = curl_url();
    char *host = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, r->url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    snprintf(f->label, sizeof(f->label), "%.80s%s%.70s", r->what ? r->what : "fetch",
             ok ? ": " : "",
             !ok              ? ""
             : r->unix_socket ? r->unix_socket
                              : host);
    curl_free(host);
    curl_url_cleanup(u);
    return ok;
}

bool fetch_set_up(struct cmg_fetch *f, const struct cmg_fetch_request *r)
{
    CURL *curl = f->curl = curl_easy_init();
    if (!curl)
        abort();
    CURLcode rc = set_label(f, r) ? CURLE_OK : CURLE_URL_MALFORMAT;
    if (rc == CURLE_OK)
        rc = set_basics(curl, f);
    if (rc == CURLE_OK)
        rc = set_addresses(curl, f, r);
    if (rc == CURLE_OK)
        rc = set_callbacks(curl, f);
    if (rc == CURLE_OK)
        rc = set_method(curl, f, r);
    if (rc == CURLE_OK)
        rc = set_fields(curl, f, r);
    if (rc != CURLE_OK)
        fetch_explain(f, rc);
    return rc == CURLE_OK;
}
