/* SPDX-License-Identifier: MIT */
/* One table says what each verb sends; one function writes it, one signs it. */
#include "cmg/storage/request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmg/proto/base64.h"
#include "signing.h"
#include "cmg/proto/times.h"
#include "uri.h"

enum {
    URL_MAX = 16 * 1024,    /* every byte of every name may become three */
    FIELDS_TEXT_MAX = 1024, /* values of the fields */
    SIGNED_MAX = 32 * 1024,
    PARAMS_MAX = 6,
    MD5_TEXT = 25,
    TYPE_MAX = 128,
    PAGE_MAX = 5000
};

static const struct verb {
    const char *method;
    bool of_blob, sends, makes; /* it names a blob; it has a body; it tells readers its type */
    const char *restype, *comp;
} verbs[] = {
    [CMG_BLOB_CREATE_CONTAINER] = { "PUT", .restype = "container" },
    [CMG_BLOB_LIST] = { "GET", .restype = "container", .comp = "list" },
    [CMG_BLOB_GET] = { "GET", .of_blob = true },
    [CMG_BLOB_HEAD] = { "HEAD", .of_blob = true },
    [CMG_BLOB_PUT] = { "PUT", .of_blob = true, .sends = true, .makes = true },
    [CMG_BLOB_PUT_BLOCK] = { "PUT", .of_blob = true, .sends = true, .comp = "block" },
    [CMG_BLOB_PUT_BLOCK_LIST] = { "PUT", .of_blob = true, .sends = true, .makes = true,
                                  .comp = "blocklist" },
    [CMG_BLOB_GET_BLOCK_LIST] = { "GET", .of_blob = true, .comp = "blocklist" },
    [CMG_BLOB_DELETE] = { "DELETE", .of_blob = true },
};

/* Parameters, in the order of their names: so they are signed. */
struct params {
    struct param {
        const char *name;
        struct cmg_str value; /* not encoded */
    } v[PARAMS_MAX];
    size_t n;
    char block[CMG_BLOCK_ID_MAX * 2], page[16]; /* what some values lie in */
};

static void add_param(struct params *p, const char *name, struct cmg_str value)
{
    if (!value.n)
        return;
    if (p->n == PARAMS_MAX)
        abort();
    p->v[p->n++] = (struct param){ name, value };
}

static void params_of(struct params *p, const struct cmg_blob_op *op)
{
    const struct verb *v = &verbs[op->verb];
    *p = (struct params){ .n = 0 };
    if (op->verb == CMG_BLOB_PUT_BLOCK) {
        if (!op->block.n || op->block.n > CMG_BLOCK_ID_MAX)
            abort();
        cmg_base64_put(CMG_BASE64, op->block, p->block);
    }
    bool list = op->verb == CMG_BLOB_LIST;
    if (list && op->page)
        snprintf(p->page, sizeof(p->page), "%u", op->page < PAGE_MAX ? op->page : PAGE_MAX);
    add_param(p, "blockid", cmg_str(p->block));
    if (op->verb == CMG_BLOB_GET_BLOCK_LIST)
        add_param(p, "blocklisttype", CMG_STR("all"));
    add_param(p, "comp", cmg_str(v->comp));
    if (list) {
        add_param(p, "marker", op->marker);
        add_param(p, "maxresults", cmg_str(p->page));
        add_param(p, "prefix", op->prefix);
    }
    add_param(p, "restype", cmg_str(v->restype));
}

/* URL ---------------------------------------------------------------------------------- */

static char *url_of(const struct cmg_account *a, const struct cmg_blob_op *op,
                    const struct params *p)
{
    struct cmg_buf b;
    char mark = '?';
    cmg_buf_init(&b, URL_MAX);
    cmg_uri_text(&b, cmg_str(cmg_account_url(a)));
    cmg_uri_text(&b, CMG_STR("/"));
    cmg_uri_text(&b, cmg_str(op->container));
    if (verbs[op->verb].of_blob) {
        cmg_uri_text(&b, CMG_STR("/"));
        cmg_uri_put(&b, op->blob, true);
    }
    for (size_t i = 0; i < p->n; i++, mark = '&') {
        cmg_uri_text(&b, (struct cmg_str){ &mark, 1 });
        cmg_uri_text(&b, cmg_str(p->v[i].name));
        cmg_uri_text(&b, CMG_STR("="));
        cmg_uri_put(&b, p->v[i].value, false);
    }
    if (cmg_account_sas(a)) {
        cmg_uri_text(&b, (struct cmg_str){ &mark, 1 });
        cmg_uri_text(&b, cmg_str(cmg_account_sas(a)->text));
    }
    char *url = cmg_str_dup(cmg_buf_str(&b));
    cmg_buf_clear(&b);
    return url;
}

/* Fields ------------------------------------------------------------------------------- */

static void add_field(struct cmg_blob_request *r, const char *name, struct cmg_str value)
{
    if (r->nfields == CMG_BLOB_FIELDS_MAX)
        abort();
    size_t at = r->text.n;
    cmg_uri_text(&r->text, value);
    r->fields[r->nfields++] =
        (struct cmg_field){ cmg_str(name), { cmg_buf_str(&r->text).p + at, value.n } };
}

static void add_md5(struct cmg_blob_request *r, const char *name, const unsigned char *md5)
{
    char text[MD5_TEXT];
    if (!md5)
        return;
    cmg_base64_put(CMG_BASE64, (struct cmg_str){ (const char *)md5, CMG_MD5_BYTES }, text);
    add_field(r, name, cmg_str(text));
}

/* x-ms-* come in the order of their names: so they are signed. */
static void fields_of(struct cmg_blob_request *r, const struct cmg_blob_op *op, int64_t now)
{
    const struct verb *v = &verbs[op->verb];
    struct cmg_str type = op->type.n ? op->type : CMG_STR("application/octet-stream");
    char date[CMG_TIMES_TEXT];

    /* Said of every PUT, or else fetching would say something of its own. */
    if (!strcmp(v->method, "PUT"))
        add_field(r, "Content-Type", CMG_STR("application/octet-stream"));
    if (v->sends)
        add_md5(r, "Content-MD5", op->md5);
    if (v->makes && op->only_new)
        add_field(r, "If-None-Match", CMG_STR("*"));
    if (v->makes) {
        add_md5(r, "x-ms-blob-content-md5", op->blob_md5);
        add_field(r, "x-ms-blob-content-type", type);
    }
    if (op->verb == CMG_BLOB_PUT)
        add_field(r, "x-ms-blob-type", CMG_STR("BlockBlob"));
    cmg_times_http_put(now, date);
    add_field(r, "x-ms-date", cmg_str(date));
    add_field(r, "x-ms-version", CMG_STR(CMG_STORAGE_VERSION));
}

/* Signature ---------------------------------------------------------------------------- */

static struct cmg_str value_of(const struct cmg_blob_request *r, const char *name)
{
    const struct cmg_field *f = cmg_field_find(r->fields, r->nfields, cmg_str(name));
    return f ? f->value : CMG_STR("");
}

static void line(struct cmg_buf *b, struct cmg_str text)
{
    cmg_uri_text(b, text);
    cmg_uri_text(b, CMG_STR("\n"));
}

/* The lines that every request has, in the order that Shared Key prescribes. x-ms-date is there, so
 * Date is empty. */
static void put_standard(struct cmg_buf *b, const struct cmg_blob_request *r, size_t length)
{
    char size[24] = "";
    if (length)
        snprintf(size, sizeof(size), "%zu", length);
    line(b, cmg_str(r->method));
    line(b, CMG_STR("")); /* Content-Encoding */
    line(b, CMG_STR("")); /* Content-Language */
    line(b, cmg_str(size));
    line(b, value_of(r, "Content-MD5"));
    line(b, value_of(r, "Content-Type"));
    line(b, CMG_STR("")); /* Date */
    line(b, CMG_STR("")); /* If-Modified-Since */
    line(b, CMG_STR("")); /* If-Match */
    line(b, value_of(r, "If-None-Match"));
    line(b, CMG_STR("")); /* If-Unmodified-Since */
    line(b, CMG_STR("")); /* Range */
}

/* The resource: account, path as it is in the URL, and the parameters, decoded. */
static void put_resource(struct cmg_buf *b, const struct cmg_account *a, const char *url,
                         const struct params *p)
{
    const char *path = url + strlen(cmg_account_url(a)) - strlen(cmg_account_path(a));
    cmg_uri_text(b, CMG_STR("/"));
    cmg_uri_text(b, cmg_str(cmg_account_name(a)));
    cmg_uri_text(b, (struct cmg_str){ path, strcspn(path, "?") });
    for (size_t i = 0; i < p->n; i++) {
        cmg_uri_text(b, CMG_STR("\n"));
        cmg_uri_text(b, cmg_str(p->v[i].name));
        cmg_uri_text(b, CMG_STR(":"));
        cmg_uri_text(b, p->v[i].value);
    }
}

static void sign(struct cmg_blob_request *r, const struct cmg_account *a,
                 const struct cmg_blob_op *op, const struct params *p)
{
    struct cmg_buf b;
    char signature[CMG_SIGNED_TEXT], value[CMG_ACCOUNT_NAME_MAX + 64];
    cmg_buf_init(&b, SIGNED_MAX);
    put_standard(&b, r, verbs[op->verb].sends ? op->length : 0);
    for (size_t i = 0; i < r->nfields; i++) {
        if (!cmg_str_istarts(r->fields[i].name, CMG_STR("x-ms-")))
            continue;
        cmg_uri_text(&b, r->fields[i].name);
        cmg_uri_text(&b, CMG_STR(":"));
        line(&b, r->fields[i].value);
    }
    put_resource(&b, a, r->url, p);
    cmg_account_sign(a, cmg_buf_str(&b), signature);
    cmg_buf_clear(&b);
    snprintf(value, sizeof(value), "SharedKey %s:%s", cmg_account_name(a), signature);
    add_field(r, "Authorization", cmg_str(value));
}

void cmg_blob_request_make(struct cmg_blob_request *r, const struct cmg_account *a,
                           const struct cmg_blob_op *op, int64_t now)
{
    struct params p;
    if (!cmg_container_ok(cmg_str(op->container)) ||
        (verbs[op->verb].of_blob && !cmg_blob_name_ok(op->blob)) || op->type.n > TYPE_MAX ||
        !cmg_field_value_ok(op->type) || (!cmg_account_has_key(a) && !cmg_account_sas(a)))
        abort();
    *r = (struct cmg_blob_request){ .method = verbs[op->verb].method };
    cmg_buf_init(&r->text, FIELDS_TEXT_MAX);
    /* All of it now: values are borrowed from it while more are added. */
    if (!cmg_buf_reserve(&r->text, FIELDS_TEXT_MAX))
        abort();
    params_of(&p, op);
    r->url = url_of(a, op, &p);
    fields_of(r, op, now);
    if (cmg_account_has_key(a))
        sign(r, a, op, &p);
}

void cmg_blob_request_clear(struct cmg_blob_request *r)
{
    if (r->url)
        explicit_bzero(r->url, strlen(r->url));
    free(r->url);
    cmg_buf_clear(&r->text);
    *r = (struct cmg_blob_request){ .method = NULL };
}

void cmg_blob_why(unsigned status, const struct cmg_field *fields, size_t nfields,
                  char out[CMG_BLOB_WHY])
{
    const struct cmg_field *f = cmg_field_find(fields, nfields, CMG_STR("x-ms-error-code"));
    size_t at = (size_t)snprintf(out, CMG_BLOB_WHY, "%u", status);
    bool word = f && f->value.n > 0 && f->value.n <= 64;
    for (size_t i = 0; word && i < f->value.n; i++)
        word = isalnum((unsigned char)f->value.p[i]) != 0;
    if (word)
        snprintf(out + at, CMG_BLOB_WHY - at, " %.*s", CMG_ARG(f->value));
}
