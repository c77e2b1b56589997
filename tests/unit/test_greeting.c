/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/proto/greeting.h"

#define GUID "01234567-89ab-CDEF-0123-456789abcdef"
#define ENDPOINT(id)                                                           \
    "{\"id\":\"" id "\",\"role\":\"management-point\",\"paths\":[\"SMS_MP\"]," \
    "\"max_request_bytes\":10,\"auth\":[\"mutual\",\"server\"]}"
#define WISHING(wish)                                                                \
    "{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1," \
    "\"auth\":[],\"client-certificate\":" wish "}"
#define GREETING(name, site, version, guid, endpoints)                                     \
    "{\"name\":" name ",\"site\":" site ",\"version\":" version ",\"connection_id\":" guid \
    ",\"endpoints\":" endpoints "}"
#define WITH(endpoints) GREETING("\"n\"", "\"P01\"", "\"1\"", "\"" GUID "\"", endpoints)

static char name[] = "cp1 \xc3\xa9", site[] = "P01", version[] = "0.1.0", guid[] = GUID;
static char id_a[] = "a", id_b[] = "b", sms_mp[] = "SMS_MP", ccm_sts[] = "CCM_STS";

static void add(struct cmg_endpoint_set *set, char *id, char **paths, size_t n, unsigned auth,
                int64_t max)
{
    struct cmg_endpoint e = {
        .id = id,
        .role = CMG_ROLE_MANAGEMENT_POINT,
        .paths = paths,
        .npaths = n,
        .max_request_bytes = max,
        .auth = auth,
    };
    assert_int_equal(CMG_OK, cmg_endpoint_set_add(set, &e, NULL));
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    char *paths[] = { sms_mp, ccm_sts };
    struct cmg_greeting g = { name, site, version, guid, { NULL, 0 } }, got;
    struct cmg_err err = { 0 };

    add(&g.endpoints, id_a, paths, 2, CMG_AUTH_MUTUAL | CMG_AUTH_SERVER, INT64_MAX);
    add(&g.endpoints, id_b, NULL, 0, CMG_AUTH_SERVER, 0);
    g.endpoints.v[1].wants_certificate = true;
    char *json = cmg_greeting_write(&g);
    if (cmg_greeting_read(cmg_str(json), &got, &err) != CMG_OK)
        fail_msg("%s\n%s", err.text, json);

    assert_string_equal(name, got.name);
    assert_string_equal(site, got.site);
    assert_string_equal(version, got.version);
    assert_string_equal(guid, got.connection_id);
    assert_int_equal(2, got.endpoints.n);
    assert_string_equal("a", got.endpoints.v[0].id);
    assert_int_equal(2, got.endpoints.v[0].npaths);
    assert_string_equal("CCM_STS", got.endpoints.v[0].paths[1]);
    assert_true(got.endpoints.v[0].max_request_bytes == INT64_MAX);
    assert_int_equal(CMG_AUTH_MUTUAL | CMG_AUTH_SERVER, got.endpoints.v[0].auth);
    assert_int_equal(CMG_AUTH_SERVER, got.endpoints.v[1].auth);
    assert_int_equal(0, got.endpoints.v[1].npaths);
    assert_false(got.endpoints.v[0].wants_certificate);
    assert_true(got.endpoints.v[1].wants_certificate);
    free(json);
    cmg_greeting_clear(&got);
    assert_null(got.name);
    cmg_endpoint_set_clear(&g.endpoints);
}

static void a_name_that_is_no_utf8_is_still_written_as_json(void **state)
{
    (void)state;
    char latin1[] = "caf\xe9";
    struct cmg_greeting g = { latin1, site, version, guid, { NULL, 0 } }, got;
    char *json = cmg_greeting_write(&g);
    assert_int_equal(CMG_OK, cmg_greeting_read(cmg_str(json), &got, NULL));
    assert_string_equal("caf?", got.name);
    free(json);
    cmg_greeting_clear(&got);
}

static const struct {
    const char *says;
    const char *json;
    const char *names; /* what the reason must name; NULL: it is fine */
} cases[] = {
    { "no endpoints", WITH("[]"), NULL },
    { "one endpoint", WITH("[" ENDPOINT("8") "]"), NULL },
    { "unknown members are passed over",
      "{\"x\":[{}],"
      "\"name\":\"n\",\"site\":\"P01\",\"version\":\"1\",\"connection_id\":\"" GUID
      "\",\"endpoints\":[]}",
      NULL },
    { "nothing", "", "JSON" },
    { "no JSON", "hello", "JSON" },
    { "an array", "[]", "JSON" },
    { "text", "\"a\"", "JSON" },
    { "null", "null", "JSON" },
    { "an empty object", "{}", "name" },
    { "bytes behind the object", WITH("[]") "x", "JSON" },
    { "a member twice",
      "{\"name\":\"a\",\"name\":\"n\",\"site\":\"P01\",\"version\":\"1\",\"connection_id\":\"" GUID
      "\",\"endpoints\":[]}",
      "JSON" },
    { "a NUL in text", GREETING("\"a\\u0000b\"", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"),
      "JSON" },
    { "bytes that are no UTF-8", GREETING("\"\xff\"", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"),
      "JSON" },
    { "a name that is a number", GREETING("1", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"), "name" },
    { "an empty name", GREETING("\"\"", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"), "name" },
    { "a name with a line feed", GREETING("\"a\\nb\"", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"),
      "name" },
    { "a name with a tab", GREETING("\"a\\tb\"", "\"P01\"", "\"1\"", "\"" GUID "\"", "[]"),
      "name" },
    { "a site with a blank", GREETING("\"n\"", "\"P 1\"", "\"1\"", "\"" GUID "\"", "[]"), "site" },
    { "a site of 33 letters",
      GREETING("\"n\"", "\"012345678901234567890123456789012\"", "\"1\"", "\"" GUID "\"", "[]"),
      "site" },
    { "a version that is missing", "{\"name\":\"n\",\"site\":\"P01\"}", "version" },
    { "a version of 65 letters",
      GREETING("\"n\"", "\"P01\"",
               "\"01234567890123456789012345678901234567890123456789012345678901234\"",
               "\"" GUID "\"", "[]"),
      "version" },
    { "a connection id that is short", GREETING("\"n\"", "\"P01\"", "\"1\"", "\"0123\"", "[]"),
      "connection_id" },
    { "a connection id without hyphens",
      GREETING("\"n\"", "\"P01\"", "\"1\"", "\"012345678901234567890123456789012345\"", "[]"),
      "connection_id" },
    { "a connection id of letters",
      GREETING("\"n\"", "\"P01\"", "\"1\"", "\"0123456z-89ab-cdef-0123-456789abcdef\"", "[]"),
      "connection_id" },
    { "endpoints that are an object", WITH("{}"), "endpoints" },
    { "endpoints that are missing",
      "{\"name\":\"n\",\"site\":\"P01\",\"version\":\"1\",\"connection_id\":\"" GUID "\"}",
      "endpoints" },
    { "an endpoint that is text", WITH("[\"a\"]"), "endpoints[0].id" },
    { "an endpoint without id", WITH("[{}]"), "endpoints[0].id" },
    { "an id that is a number", WITH("[{\"id\":8}]"), "endpoints[0].id" },
    { "an id that is bad", WITH("[" ENDPOINT("8") "," ENDPOINT("a/b") "]"), "endpoints[1]" },
    { "an id twice, in another case", WITH("[" ENDPOINT("a") "," ENDPOINT("A") "]"),
      "endpoints[1]" },
    { "a role that nobody knows",
      WITH("[{\"id\":\"8\",\"role\":\"x\",\"paths\":[],\"max_request_bytes\":1,\"auth\":[]}]"),
      "endpoints[0].role" },
    { "paths that are text",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":\"a\",\"max_request_bytes\":1,"
           "\"auth\":[]}]"),
      "endpoints[0].paths" },
    { "a path that is a number",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[\"a\",1],\"max_request_bytes\":1,"
           "\"auth\":[]}]"),
      "endpoints[0].paths" },
    { "a path that is not canonical",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[\"a/../"
           "b\"],\"max_request_bytes\":1,\"auth\":[]}]"),
      "endpoints[0]" },
    { "a size that is a fraction",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1.5,"
           "\"auth\":[]}]"),
      "endpoints[0].max_request_bytes" },
    { "a size below zero",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":-1,"
           "\"auth\":[]}]"),
      "endpoints[0].max_request_bytes" },
    { "a size past 64 bits",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":"
           "9223372036854775808,\"auth\":[]}]"),
      "JSON" },
    { "a size that is missing",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"auth\":[]}]"),
      "endpoints[0].max_request_bytes" },
    { "an authentication nobody knows",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1,"
           "\"auth\":[\"basic\"]}]"),
      "endpoints[0].auth" },
    { "an authentication twice",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1,"
           "\"auth\":[\"server\",\"server\"]}]"),
      "endpoints[0].auth" },
    { "an authentication that is a number",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1,"
           "\"auth\":[1]}]"),
      "endpoints[0].auth" },
    { "a certificate that is not wanted", WITH("[" WISHING("false") "]"), NULL },
    { "a wish that is text", WITH("[" WISHING("\"true\"") "]"), "endpoints[0].client-certificate" },
    { "a wish that is a number", WITH("[" WISHING("1") "]"), "endpoints[0].client-certificate" },
    { "a wish that is null", WITH("[" WISHING("null") "]"), "endpoints[0].client-certificate" },
    { "an authentication that is text",
      WITH("[{\"id\":\"8\",\"role\":\"admin-service\",\"paths\":[],\"max_request_bytes\":1,"
           "\"auth\":\"server\"}]"),
      "endpoints[0].auth" },
};

static void a_greeting_is_read_or_refused_by_the_name_of_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < CMG_COUNT(cases); i++) {
        struct cmg_greeting g;
        struct cmg_err err = { 0 };
        enum cmg_rc rc = cmg_greeting_read(cmg_str(cases[i].json), &g, &err);
        if (rc != (cases[i].names ? CMG_EPROTO : CMG_OK))
            fail_msg("%s: %d %s", cases[i].says, rc, err.text);
        if (cases[i].names && !strstr(err.text, cases[i].names))
            fail_msg("%s: \"%s\" does not name %s", cases[i].says, err.text, cases[i].names);
        if (rc != CMG_OK && (g.name || g.site || g.version || g.connection_id || g.endpoints.v))
            fail_msg("%s: something is still owned", cases[i].says);
        cmg_greeting_clear(&g);
    }
}

static void a_greeting_past_its_ceiling_is_refused_unread(void **state)
{
    (void)state;
    static const char front[] = WITH("[]");
    size_t n = CMG_GREETING_BYTES_MAX;
    char *json = cmg_alloc(n + 1);
    struct cmg_greeting g;

    memset(json, ' ', n + 1);
    memcpy(json, front, sizeof(front) - 1);
    assert_int_equal(CMG_OK, cmg_greeting_read((struct cmg_str){ json, n }, &g, NULL));
    cmg_greeting_clear(&g);
    assert_int_equal(CMG_EPROTO, cmg_greeting_read((struct cmg_str){ json, n + 1 }, &g, NULL));
    free(json);
}

static void nesting_without_end_is_refused(void **state)
{
    (void)state;
    char *json = cmg_alloc(CMG_GREETING_BYTES_MAX);
    struct cmg_greeting g;
    memset(json, '[', CMG_GREETING_BYTES_MAX);
    assert_int_equal(CMG_EPROTO,
                     cmg_greeting_read((struct cmg_str){ json, CMG_GREETING_BYTES_MAX }, &g, NULL));
    free(json);
}

static void the_tag_is_the_same_for_the_same_set_in_any_order(void **state)
{
    (void)state;
    char *paths[] = { sms_mp, ccm_sts }, *turned[] = { ccm_sts, sms_mp };
    struct cmg_endpoint_set one = { NULL, 0 }, two = { NULL, 0 }, none = { NULL, 0 };
    char a[40], b[40];

    add(&one, id_a, paths, 2, 1, 5);
    add(&one, id_b, NULL, 0, 3, 6);
    add(&two, id_b, NULL, 0, 3, 6);
    add(&two, id_a, turned, 2, 1, 5);
    cmg_greeting_etag(&one, a);
    cmg_greeting_etag(&two, b);
    assert_string_equal(a, b);
    assert_string_equal("SMS_MP", one.v[0].paths[0]); /* untouched */
    assert_int_equal(18, strlen(a));
    assert_int_equal('"', a[0]);
    assert_int_equal('"', a[17]);
    assert_int_equal(16, strspn(a + 1, "0123456789abcdef"));

    cmg_greeting_etag(&none, b);
    assert_string_not_equal(a, b);
    /* FNV-1a of "[]": any machine says so. */
    assert_string_equal("\"09612b07b5ecb5a5\"", b);
    cmg_endpoint_set_clear(&one);
    cmg_endpoint_set_clear(&two);
}

static void every_part_of_an_endpoint_changes_the_tag(void **state)
{
    (void)state;
    char *paths[] = { sms_mp, ccm_sts };
    static const struct {
        char *id;
        size_t npaths;
        unsigned auth;
        int64_t max;
        enum cmg_role role;
        bool wants_certificate;
    } v[] = {
        { id_a, 1, 1, 5, CMG_ROLE_MANAGEMENT_POINT, false },
        { id_b, 1, 1, 5, CMG_ROLE_MANAGEMENT_POINT, false },
        { id_a, 2, 1, 5, CMG_ROLE_MANAGEMENT_POINT, false },
        { id_a, 1, 2, 5, CMG_ROLE_MANAGEMENT_POINT, false },
        { id_a, 1, 1, 6, CMG_ROLE_MANAGEMENT_POINT, false },
        { id_a, 1, 1, 5, CMG_ROLE_ADMIN_SERVICE, false },
        { id_a, 1, 1, 5, CMG_ROLE_MANAGEMENT_POINT, true },
    };
    char tags[CMG_COUNT(v)][40];

    for (size_t i = 0; i < CMG_COUNT(v); i++) {
        struct cmg_endpoint_set set = { NULL, 0 };
        add(&set, v[i].id, paths, v[i].npaths, v[i].auth, v[i].max);
        set.v[0].role = v[i].role;
        set.v[0].wants_certificate = v[i].wants_certificate;
        cmg_greeting_etag(&set, tags[i]);
        cmg_endpoint_set_clear(&set);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(tags[k], tags[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_name_that_is_no_utf8_is_still_written_as_json),
        cmocka_unit_test(a_greeting_is_read_or_refused_by_the_name_of_what_is_wrong),
        cmocka_unit_test(a_greeting_past_its_ceiling_is_refused_unread),
        cmocka_unit_test(nesting_without_end_is_refused),
        cmocka_unit_test(the_tag_is_the_same_for_the_same_set_in_any_order),
        cmocka_unit_test(every_part_of_an_endpoint_changes_the_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
