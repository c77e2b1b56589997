/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/http/message.h"

/* An exchange that keeps what it is told, as text. */
struct kept {
    struct cmg_exchange x;
    enum cmg_rc rc;
    unsigned status;
    char fields[2048], body[1024];
    int64_t length;
    bool end, ended, aborted;
};

static struct kept *kept_of(struct cmg_exchange *x)
{
    return CMG_OUTER(x, struct kept, x);
}

static enum cmg_rc keep_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct kept *k = kept_of(x);
    k->status = head->status;
    k->length = head->length;
    k->end = head->end;
    for (size_t i = 0; i < head->nfields; i++) {
        size_t n = strlen(k->fields);
        snprintf(k->fields + n, sizeof(k->fields) - n, "%.*s: %.*s\n",
                 CMG_ARG(head->fields[i].name), CMG_ARG(head->fields[i].value));
    }
    return k->rc;
}

static bool keep_body(struct cmg_exchange *x, struct cmg_str bytes)
{
    struct kept *k = kept_of(x);
    snprintf(k->body, sizeof(k->body), "%.*s", CMG_ARG(bytes));
    return true;
}

static void keep_end(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n)
{
    (void)trailers;
    assert_int_equal(0, n);
    kept_of(x)->ended = true;
}

static void keep_abort(struct cmg_exchange *x)
{
    kept_of(x)->aborted = true;
}

static const struct cmg_exchange_ops ops = { keep_head, keep_body,  keep_end,
                                             NULL,      keep_abort, keep_abort };

static void refuse(struct kept *k, const struct cmg_refusal *changes, bool head_only)
{
    *k = (struct kept){ .x.ops = &ops, .rc = k->rc };
    struct cmg_refusal r = *changes;
    r.status = r.status ? r.status : 503;
    r.phrase = r.phrase ? r.phrase : "CMGService_Busy";
    r.error = "connection_limit_reached";
    r.detail = r.detail ? r.detail : "too much";
    r.by = r.by ? r.by : "gw.example";
    r.request_id = "id-1";
    cmg_refuse(&k->x, &r, head_only);
}

static void has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in \"%s\"", what, text);
}

static void a_copy_of_a_head_outlives_it(void **state)
{
    (void)state;
    char text[] = "GET/x?qhttpsmp.siteAccept*/*";
    struct cmg_field f[] = { { { text + 19, 6 }, { text + 25, 3 } }, { { text, 3 }, { NULL, 0 } } };
    struct cmg_head head = {
        .method = { text, 3 },
        .target = { text + 3, 4 },
        .scheme = { text + 7, 5 },
        .authority = { text + 12, 7 },
        .fields = f,
        .nfields = 2,
        .length = 7,
        .end = true,
    };
    struct cmg_head copy;
    size_t size = cmg_head_size(&head);
    char *room = cmg_alloc(size);
    cmg_head_copy(&copy, &head, room);
    memset(text, '-', sizeof(text) - 1);
    memset(f, 0, sizeof(f));
    assert_true(cmg_str_eq(copy.method, CMG_STR("GET")));
    assert_true(cmg_str_eq(copy.target, CMG_STR("/x?q")));
    assert_true(cmg_str_eq(copy.scheme, CMG_STR("https")));
    assert_true(cmg_str_eq(copy.authority, CMG_STR("mp.site")));
    assert_int_equal(2, copy.nfields);
    assert_true(cmg_str_eq(copy.fields[0].name, CMG_STR("Accept")));
    assert_true(cmg_str_eq(copy.fields[0].value, CMG_STR("*/*")));
    assert_true(cmg_str_eq(copy.fields[1].name, CMG_STR("GET")));
    assert_int_equal(0, copy.fields[1].value.n);
    assert_int_equal(7, copy.length);
    assert_true(copy.end);
    free(room);
}

static void a_refusal_says_who_and_why(void **state)
{
    (void)state;
    struct kept k = { .rc = CMG_OK };
    struct cmg_field more = { CMG_STR("WWW-Authenticate"), CMG_STR("Bearer") };
    refuse(&k, &(struct cmg_refusal){ .retry_after_s = 5, .fields = &more, .nfields = 1 }, false);
    assert_int_equal(503, k.status);
    has(k.fields, "Content-Type: application/problem+json\n");
    has(k.fields, "Cache-Control: no-store\n");
    has(k.fields, "Retry-After: 5\n");
    has(k.fields, " GMT\n");
    has(k.fields, "WWW-Authenticate: Bearer\n");
    has(k.fields, "Proxy-Status: \"gw.example\"; error=connection_limit_reached; "
                  "details=\"too much\"\n");
    has(k.body, "\"title\":\"CMGService_Busy\"");
    has(k.body, "\"status\":503");
    has(k.body, "\"detail\":\"too much\"");
    has(k.body, "\"request\":\"id-1\"");
    assert_int_equal(strlen(k.body), k.length);
    assert_true(k.ended && !k.end);
}

static void a_refusal_of_head_has_the_length_but_no_body(void **state)
{
    (void)state;
    struct kept k = { .rc = CMG_OK };
    refuse(&k, &(struct cmg_refusal){ .status = 404 }, true);
    assert_true(k.end && !k.ended);
    assert_string_equal("", k.body);
    assert_true(k.length > 0);
    assert_null(strstr(k.fields, "Retry-After"));
}

static void details_cannot_break_out_of_their_quotes(void **state)
{
    (void)state;
    struct kept k = { .rc = CMG_OK };
    refuse(&k, &(struct cmg_refusal){ .detail = "a \"b\" \\ c\r\nSet-Cookie: d" }, false);
    has(k.fields, "details=\"a \\\"b\\\" \\\\ c??Set-Cookie: d\"\n");
    has(k.body, "\\\"b\\\"");
    refuse(&k, &(struct cmg_refusal){ .detail = "not UTF-8: \xff" }, false);
    has(k.fields, "details=\"not UTF-8: ?\"\n");
    assert_string_equal("{}", k.body);
}

static void a_refusal_that_cannot_be_sent_aborts(void **state)
{
    (void)state;
    struct kept k = { .rc = CMG_EPROTO };
    refuse(&k, &(struct cmg_refusal){ .status = 404 }, false);
    assert_true(k.aborted && !k.ended);
}

static void an_answer_of_our_own_is_whole(void **state)
{
    (void)state;
    struct kept k = { .x.ops = &ops };
    cmg_answer(&k.x, 200, CMG_STR("text/plain"), CMG_STR("hello"), false);
    assert_string_equal("hello", k.body);
    has(k.fields, "Content-Type: text/plain\n");
    assert_true(k.ended);
    k = (struct kept){ .x.ops = &ops };
    cmg_answer(&k.x, 200, CMG_STR("text/plain"), CMG_STR(""), false);
    assert_true(k.end && !k.ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_of_a_head_outlives_it),
        cmocka_unit_test(a_refusal_says_who_and_why),
        cmocka_unit_test(a_refusal_of_head_has_the_length_but_no_body),
        cmocka_unit_test(details_cannot_break_out_of_their_quotes),
        cmocka_unit_test(a_refusal_that_cannot_be_sent_aborts),
        cmocka_unit_test(an_answer_of_our_own_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
