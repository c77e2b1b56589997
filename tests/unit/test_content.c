/* SPDX-License-Identifier: MIT */
/* The content service against storage that is played here: what is asked, what is shared, and what
 * becomes of it when accounts fail, hang or disagree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmg/base/alloc.h"
#include "cmg/base/clock.h"
#include "cmg/base/log.h"
#include "cmg/net/loop.h"
#include "gateway/content.h"
#include "gateway/look.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HOUR 3600

/* Storage, played ------------------------------------------------------------------------ */

struct cmg_fetch {
    char url[1024];
    bool open;
    void (*on_done)(void *arg, const struct cmg_fetch_result *result);
    void *arg;
};
static struct cmg_fetch fetches[32];
static size_t nfetches;

struct cmg_fetch *cmg_fetch_start(struct cmg_fetcher *f, const struct cmg_fetch_request *r,
                                  void (*on_done)(void *arg, const struct cmg_fetch_result *result),
                                  void *arg)
{
    (void)f;
    assert_true(nfetches < CMG_COUNT(fetches));
    assert_true(r->timeout_ms > 0 && r->max_bytes > 0);
    struct cmg_fetch *fetch = &fetches[nfetches++];
    *fetch = (struct cmg_fetch){ .open = true, .on_done = on_done, .arg = arg };
    cmg_str_put(fetch->url, sizeof(fetch->url), cmg_str(r->url));
    return fetch;
}

void cmg_fetch_cancel(struct cmg_fetch *fetch)
{
    if (fetch)
        fetch->open = false;
}

static void finish(struct cmg_fetch *f, const struct cmg_fetch_result *result)
{
    assert_true(f->open);
    f->open = false;
    f->on_done(f->arg, result);
}

#define LIST(blobs, more) \
    "<EnumerationResults><Blobs>" blobs "</Blobs>" more "</EnumerationResults>"
#define BLOB(name, size)                                                               \
    "<Blob><Name>" name "</Name><Properties><Content-Length>" size "</Content-Length>" \
    "</Properties></Blob>"

static void lists(struct cmg_fetch *f, const char *xml)
{
    finish(f, &(struct cmg_fetch_result){ .status = 200, .body = cmg_str(xml) });
}

static void refuses(struct cmg_fetch *f, unsigned status, const char *code)
{
    struct cmg_field field = { CMG_STR("x-ms-error-code"), cmg_str(code) };
    finish(f, &(struct cmg_fetch_result){ .status = status, .fields = &field, .nfields = 1 });
}

static void breaks(struct cmg_fetch *f, enum cmg_rc code, const char *why)
{
    struct cmg_fetch_result r = { .status = 0 };
    cmg_fail(&r.err, code, "%s", why);
    finish(f, &r);
}

/* The gateway, played -------------------------------------------------------------------- */

static struct cmg_loop *loop;
static struct content *content;
static char folder[] = "/tmp/cmg-content-XXXXXX", key_file[64], sas_file[64];
static unsigned failures, backs;

static void count(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level, (void)kv, (void)n;
    failures += !strcmp(event, "storage.failed");
    backs += !strcmp(event, "storage.back");
}
static const struct cmg_log_sink sink = { .write = count };

static struct gateway_storage_conf accounts[] = {
    { .label = (char[]){ "a" },
      .account = (char[]){ "first" },
      .container = (char[]){ "content" },
      .key_file = key_file,
      .timeout_ms = 10000 },
    { .label = (char[]){ "b" },
      .account = (char[]){ "second" },
      .container = (char[]){ "content" },
      .public_url = (char[]){ "https://cdn.example/s" },
      .key_file = key_file,
      .timeout_ms = 10000 },
};
static struct gateway_conf conf = { .storages = accounts,
                                    .nstorages = 2,
                                    .content.max_requests = 4 };

static void on_stop(void *arg)
{
    cmg_loop_stop(arg);
}

/* Enough turns of the loop for all that needs no time. */
static void settle(void)
{
    for (int i = 0; i < 6; i++) {
        struct cmg_task stop = { .run = on_stop, .arg = loop };
        cmg_loop_later(loop, &stop);
        cmg_loop_run(loop);
    }
}

struct reply {
    unsigned count, status;
    char type[64], body[16384], why[256];
};

static void on_answer(void *arg, const struct content_answer *a)
{
    struct reply *r = arg;
    r->count++;
    r->status = a->status;
    cmg_str_put(r->type, sizeof(r->type), a->type);
    cmg_str_put(r->body, sizeof(r->body), a->body);
    cmg_str_put(r->why, sizeof(r->why), cmg_str(a->why));
    assert_true((a->status == 200) == !a->why);
}

static struct content_ask *start(const char *id, struct reply *r)
{
    struct cmg_content_token token = { .end = cmg_clock_unix() + HOUR };
    cmg_str_put(token.content, sizeof(token.content), cmg_str(id));
    *r = (struct reply){ .count = 0 };
    struct content_ask *a =
        content_start(content, &token, CMG_STR("application/json"), on_answer, r);
    assert_int_equal(0, r->count);
    return a;
}

static void secret(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(0, chmod(path, 0600));
}

static int up(void **state)
{
    (void)state;
    struct cmg_err err = { 0 };
    cmg_log_to(&sink, CMG_DEBUG);
    loop = cmg_loop_new();
    content = content_new(loop, NULL);
    nfetches = failures = backs = 0;
    secret(key_file, KEY "\n");
    if (content_use(content, &conf, &err) != CMG_OK)
        fail_msg("%s", err.text);
    return 0;
}

static int down(void **state)
{
    (void)state;
    content_free(content);
    for (size_t i = 0; i < nfetches; i++)
        assert_false(fetches[i].open);
    cmg_loop_free(loop);
    cmg_log_to(NULL, CMG_ERROR);
    return 0;
}

static void has(const struct reply *r, const char *part)
{
    if (!strstr(r->body, part))
        fail_msg("%s is not in %u %s %s", part, r->status, r->body, r->why);
}

/* Tests ---------------------------------------------------------------------------------- */

static void what_the_accounts_have_is_put_together(void **state)
{
    (void)state;
    struct reply r;
    start("PS1.3", &r);
    assert_int_equal(2, nfetches);
    assert_string_equal("https://first.blob.core.windows.net/content?comp=list&maxresults=1000"
                        "&prefix=ps1.3%2F&restype=container",
                        fetches[0].url);
    lists(&fetches[1], LIST(BLOB("ps1.3/a", "1") BLOB("ps1.3/b", "2") BLOB("ps1.3/d", "9"), ""));
    lists(&fetches[0], LIST(BLOB("ps1.3/b", "2") BLOB("ps1.3/c", "3") BLOB("ps1.3/d", "4"), ""));
    settle();
    assert_int_equal(1, r.count);
    assert_int_equal(200, r.status);
    assert_string_equal("application/json", r.type);
    has(&r, "{\"content\":\"PS1.3\",\"until\":");
    has(&r, "{\"name\":\"a\",\"size\":1,\"urls\":[\"https://cdn.example/s/content/ps1.3/a?sv=");
    has(&r, "{\"name\":\"b\",\"size\":2,\"urls\":[\"https://first.blob.core.windows.net/content/"
            "ps1.3/b?sv=");
    has(&r, "\",\"https://cdn.example/s/content/ps1.3/b?sv=");
    has(&r, "{\"name\":\"c\",\"size\":3,");
    /* Where they differ the first account is right, and alone. */
    has(&r, "{\"name\":\"d\",\"size\":4,");
    assert_null(strstr(r.body, "cdn.example/s/content/ps1.3/d"));
    assert_int_equal(0, failures);
}

static void pages_are_followed(void **state)
{
    (void)state;
    struct reply r;
    start("ps1", &r);
    lists(&fetches[0], LIST(BLOB("ps1/a", "1"), "<NextMarker>2!x/</NextMarker>"));
    assert_int_equal(3, nfetches);
    assert_non_null(strstr(fetches[2].url, "&marker=2%21x%2F&"));
    lists(&fetches[1], LIST("", ""));
    lists(&fetches[2], LIST(BLOB("ps1/b", "1"), ""));
    settle();
    assert_int_equal(200, r.status);
    has(&r, "\"name\":\"a\"");
    has(&r, "\"name\":\"b\"");
}

static void one_account_that_has_it_is_enough(void **state)
{
    (void)state;
    struct reply r;
    start("ps1", &r);
    breaks(&fetches[0], CMG_EIO, "storage a: could not connect");
    lists(&fetches[1], LIST(BLOB("ps1/a", "1"), ""));
    settle();
    assert_int_equal(200, r.status);
    assert_int_equal(1, failures);
}

static void an_account_that_hangs_is_passed_over(void **state)
{
    (void)state;
    struct reply r;
    start("ps1", &r);
    lists(&fetches[0], LIST(BLOB("ps1/a", "1"), ""));
    for (int64_t end = cmg_clock_ms() + 10 * LOOK_GRACE_MS; !r.count && cmg_clock_ms() < end;)
        settle();
    assert_int_equal(200, r.status);
    assert_false(fetches[1].open);
    assert_int_equal(1, failures);
}

static void none(struct cmg_fetch *f)
{
    lists(f, LIST("", ""));
}

static void denied(struct cmg_fetch *f)
{
    refuses(f, 403, "AuthenticationFailed");
}

static void late(struct cmg_fetch *f)
{
    breaks(f, CMG_ETIMEOUT, "storage a: no answer within 10 s");
}

static void nonsense(struct cmg_fetch *f)
{
    lists(f, "<html>");
}

static void when_none_has_it_the_answer_says_whether_one_failed(void **state)
{
    (void)state;
    static const struct {
        void (*first)(struct cmg_fetch *f), (*second)(struct cmg_fetch *f);
        unsigned status;
        const char *why;
    } rows[] = {
        { none, none, 404, "no storage has content ps1" },
        { none, denied, 502, "storage b: 403 AuthenticationFailed" },
        { late, none, 504, "storage a: no answer within 10 s" },
        { late, denied, 502, "storage b: 403 AuthenticationFailed" },
        { nonsense, none, 502, "storage a: list of blobs: another document than expected" },
    };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        struct reply r;
        nfetches = 0;
        start("ps1", &r);
        assert_int_equal(2, nfetches); /* what failed is not kept */
        rows[i].first(&fetches[0]);
        rows[i].second(&fetches[1]);
        settle();
        assert_int_equal(rows[i].status, r.status);
        assert_string_equal(rows[i].why, r.why);
    }
}

static void a_failure_is_logged_when_it_changes(void **state)
{
    (void)state;
    struct reply r;
    void (*const first[])(struct cmg_fetch *) = { denied, denied, late, none, none };
    for (size_t i = 0; i < CMG_COUNT(first); i++) {
        nfetches = 0;
        start("ps1", &r);
        first[i](&fetches[0]);
        none(&fetches[1]);
        settle();
    }
    assert_int_equal(2, failures);
    assert_int_equal(1, backs);
}

static void who_asks_for_the_same_waits_for_the_same(void **state)
{
    (void)state;
    struct reply r[3];
    start("ps1", &r[0]);
    start("PS1", &r[1]);
    assert_int_equal(2, nfetches);
    lists(&fetches[0], LIST(BLOB("ps1/a", "1"), ""));
    none(&fetches[1]);
    settle();
    start("Ps1", &r[2]);
    settle();
    assert_int_equal(2, nfetches);
    for (size_t i = 0; i < CMG_COUNT(r); i++)
        assert_true(r[i].count == 1 && r[i].status == 200);
    has(&r[2], "\"content\":\"Ps1\"");
    struct cmg_err err = { 0 };
    assert_int_equal(CMG_OK, content_use(content, &conf, &err));
    start("ps1", &r[0]);
    assert_int_equal(4, nfetches); /* other accounts, perhaps */
    none(&fetches[2]);
    none(&fetches[3]);
    settle();
    assert_int_equal(404, r[0].status);
}

static void a_reload_does_not_disturb_who_waits(void **state)
{
    (void)state;
    struct reply r[2];
    struct cmg_err err = { 0 };
    start("ps1", &r[0]);
    assert_int_equal(CMG_OK, content_use(content, &conf, &err));
    start("ps1", &r[1]);
    assert_int_equal(4, nfetches);
    for (size_t i = 0; i < 4; i++)
        lists(&fetches[i], LIST(BLOB("ps1/a", "1"), ""));
    settle();
    assert_true(r[0].status == 200 && r[1].status == 200);
}

static void too_many_are_refused_at_once(void **state)
{
    (void)state;
    struct reply r[5], again;
    for (size_t i = 0; i < CMG_COUNT(r); i++)
        start(i < 2 ? "ps1" : "ps2", &r[i]);
    settle();
    assert_int_equal(503, r[4].status);
    assert_int_equal(0, r[3].count);
    for (size_t i = 0; i < 4; i++)
        none(&fetches[i]);
    settle();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(404, r[i].status);
    start("ps1", &again);
    assert_int_equal(6, nfetches);
}

static void a_look_ends_with_the_last_who_waits(void **state)
{
    (void)state;
    struct reply r[2];
    struct content_ask *a = start("ps1", &r[0]), *b = start("ps1", &r[1]);
    content_cancel(a);
    assert_true(fetches[0].open && fetches[1].open);
    content_cancel(b);
    assert_false(fetches[0].open || fetches[1].open);
    a = start("ps1", &r[0]);
    none(&fetches[2]);
    none(&fetches[3]);
    content_cancel(a);
    settle();
    assert_int_equal(0, r[0].count + r[1].count);
    content_cancel(NULL);
}

static void sas(const char *may, int64_t until)
{
    char text[256], end[32];
    time_t t = until;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(end, sizeof(end), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(text, sizeof(text), "?sv=2020-12-06&sr=c&sp=%s&se=%s&sig=secret\n", may, end);
    secret(sas_file, text);
}

static void a_sas_is_passed_on_when_it_ends_in_time(void **state)
{
    (void)state;
    struct reply r;
    struct cmg_err err = { 0 };
    struct gateway_storage_conf one = accounts[0];
    struct gateway_conf with_sas = conf;
    int64_t now = cmg_clock_unix();
    one.key_file = NULL;
    one.sas_file = sas_file;
    with_sas.storages = &one;
    with_sas.nstorages = 1;

    sas("rwl", now + HOUR / 2);
    assert_int_equal(CMG_ECONF, content_use(content, &with_sas, &err));
    assert_null(strstr(err.text, "secret"));
    sas("rl", now + 2 * HOUR);
    assert_int_equal(CMG_OK, content_use(content, &with_sas, &err));
    start("ps1", &r);
    assert_non_null(strstr(fetches[0].url, "&sp=rl&"));
    lists(&fetches[0], LIST(BLOB("ps1/a", "1"), ""));
    settle();
    assert_int_equal(502, r.status);
    assert_non_null(strstr(r.why, "ends after the content token does"));

    sas("rl", now + HOUR / 2);
    assert_false(content_refresh(content, key_file));
    assert_true(content_refresh(content, sas_file));
    start("ps1", &r); /* the list is kept, what clients get is new */
    settle();
    assert_int_equal(200, r.status);
    has(&r, "content/ps1/a?sv=2020-12-06&sr=c&sp=rl&se=");

    secret(sas_file, "nonsense");
    assert_false(content_refresh(content, sas_file));
    sas("rl", now - 1);
    assert_true(content_refresh(content, sas_file));
    start("ps2", &r);
    settle();
    assert_int_equal(1, nfetches); /* nothing to ask with */
    assert_int_equal(502, r.status);
    assert_string_equal("storage a: the SAS in its sas-file has ended", r.why);
}

static void without_a_secret_nothing_changes(void **state)
{
    (void)state;
    struct reply r;
    struct cmg_err err = { 0 };
    unlink(key_file);
    assert_int_equal(CMG_ECONF, content_use(content, &conf, &err));
    assert_false(content_refresh(content, key_file));
    start("ps1", &r);
    assert_int_equal(2, nfetches);
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(key_file, sizeof(key_file), "%s/key", folder);
    snprintf(sas_file, sizeof(sas_file), "%s/sas", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(key_file);
    unlink(sas_file);
    return rmdir(folder);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_the_accounts_have_is_put_together),
        CASE(pages_are_followed),
        CASE(one_account_that_has_it_is_enough),
        CASE(an_account_that_hangs_is_passed_over),
        CASE(when_none_has_it_the_answer_says_whether_one_failed),
        CASE(a_failure_is_logged_when_it_changes),
        CASE(who_asks_for_the_same_waits_for_the_same),
        CASE(a_reload_does_not_disturb_who_waits),
        CASE(too_many_are_refused_at_once),
        CASE(a_look_ends_with_the_last_who_waits),
        CASE(a_sas_is_passed_on_when_it_ends_in_time),
        CASE(without_a_secret_nothing_changes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
