/* SPDX-License-Identifier: MIT */
/* Who serves a request: admission, publication, rotation, ceilings. Channels are bare links;
 * only their load is asked for, and that is played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cmg/base/alloc.h"
#include "cmg/base/log.h"
#include "gateway/registry.h"

struct cmg_h2conn {
    unsigned load;
};

unsigned cmg_h2conn_load(const struct cmg_h2conn *c)
{
    return c->load;
}

static unsigned changes;

static void on_change(void *arg)
{
    (void)arg;
    changes++;
}

static void quiet(enum cmg_level level, const char *event, const struct cmg_kv *kv, size_t n)
{
    (void)level, (void)event, (void)kv, (void)n;
}
static const struct cmg_log_sink silence = { .write = quiet };

static struct gateway_point_conf points[] = {
    { .label = (char[]){ "cp1" }, .site = (char[]){ "P01" } },
    { .label = (char[]){ "two" }, .name = (char[]){ "cp2" }, .site = (char[]){ "P01" } },
    { .label = (char[]){ "cp3" }, .site = (char[]){ "P02" } },
};
static struct gateway_conf conf = { .points = points, .npoints = 3 };

struct channel {
    struct cmg_h2conn h2;
    struct link link;
};

static struct registry *registry;

static struct member *member(const char *name)
{
    struct member *m = registry_member(registry, name);
    assert_non_null(m);
    return m;
}

static void up(struct channel *c, const char *name)
{
    *c = (struct channel){ .link = { .h2 = &c->h2, .member = member(name), .max_requests = 10 } };
    registry_up(registry, &c->link);
}

static void publish(const char *name, const char *id, const char *path, int64_t max)
{
    char *paths[] = { (char *)(uintptr_t)path, NULL };
    struct cmg_endpoint e = {

        .id = (char *)(uintptr_t)id,
        .paths = paths,
        .npaths = 1,
        .max_request_bytes = max,
        .auth = CMG_AUTH_MUTUAL
    };
    struct cmg_endpoint_set set = { NULL, 0 };
    struct cmg_err err;
    assert_int_equal(CMG_OK, cmg_endpoint_set_add(&set, &e, &err));
    registry_publish(registry, member(name), &set);
}

static enum verdict ask(const char *id, const char *rest, int64_t length, struct channel **to)
{
    struct route_pick pick = { 0 };
    enum verdict v =
        registry_pick(registry, cmg_str(id), cmg_str(rest), CMG_AUTH_MUTUAL, length, &pick);
    if (to)
        *to = pick.link ? CMG_OUTER(pick.link, struct channel, link) : NULL;
    return v;
}

static int start(void **state)
{
    (void)state;
    cmg_log_to(&silence, CMG_DEBUG);
    conf.npoints = 3;
    registry = registry_new(on_change, NULL);
    registry_admit(registry, &conf);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    registry_free(registry);
    return 0;
}

static void nobody_has_published_yet(void **state)
{
    (void)state;
    assert_int_equal(ROUTE_NOBODY, ask("8", "/SMS_MP/x", -1, NULL));
}

static void names_are_matched_as_certificates_spell_them(void **state)
{
    (void)state;
    assert_non_null(registry_member(registry, "CP1"));
    assert_non_null(registry_member(registry, "cp2"));
    assert_null(registry_member(registry, "two"));
    assert_null(registry_member(registry, "cp4"));
    assert_string_equal("P02", member_site(member("cp3")));
}

static void an_unpublished_id_or_path_is_told_apart_from_one_that_is_away(void **state)
{
    (void)state;
    struct channel c;
    up(&c, "cp1");
    publish("cp1", "8", "SMS_MP", 100);
    assert_int_equal(ROUTE_FOUND, ask("8", "/sms_mp/.sms_aut", -1, NULL));
    assert_int_equal(ROUTE_UNPUBLISHED, ask("9", "/SMS_MP", -1, NULL));
    assert_int_equal(ROUTE_UNPUBLISHED, ask("8", "/SMS_MPX", -1, NULL));
    assert_int_equal(ROUTE_TOO_LARGE, ask("8", "/SMS_MP", 101, NULL));
    assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", 100, NULL));
    registry_down(registry, &c.link);
    assert_int_equal(ROUTE_AWAY, ask("8", "/SMS_MP", -1, NULL));
    assert_int_equal(ROUTE_UNPUBLISHED, ask("9", "/SMS_MP", -1, NULL));
}

static void an_endpoint_is_there_only_for_those_who_authenticate_its_way(void **state)
{
    (void)state;
    struct channel c;
    struct route_pick pick;
    up(&c, "cp1");
    publish("cp1", "8", "SMS_MP", 100);
    assert_int_equal(ROUTE_UNPUBLISHED, registry_pick(registry, CMG_STR("8"), CMG_STR("/SMS_MP"),
                                                      CMG_AUTH_SERVER, -1, &pick));
    registry_down(registry, &c.link);
}

static void an_endpoint_that_wants_the_clients_certificate_is_told_apart(void **state)
{
    (void)state;
    struct channel c;
    up(&c, "cp1");
    for (unsigned wants = 0; wants < 2; wants++) {
        struct cmg_endpoint_set set = { NULL, 0 };
        struct route_pick pick = { .wants_certificate = !wants };
        char *paths[] = { (char[]){ "SMS_MP" }, NULL }, *auth[] = { (char[]){ "mutual" }, NULL };
        assert_int_equal(CMG_OK, cmg_endpoint_set_add_words(&set, "8", CMG_ROLE_MANAGEMENT_POINT,
                                                            paths, auth, 100, wants, NULL));
        registry_publish(registry, member("cp1"), &set);
        assert_int_equal(ROUTE_FOUND, registry_pick(registry, CMG_STR("8"), CMG_STR("/SMS_MP"),
                                                    CMG_AUTH_MUTUAL, -1, &pick));
        assert_int_equal(wants, pick.wants_certificate);
    }
    registry_down(registry, &c.link);
}

static void requests_go_round_the_connection_points_of_a_site(void **state)
{
    (void)state;
    struct channel one, two, *to;
    unsigned n1 = 0, n2 = 0;
    up(&one, "cp1");
    up(&two, "cp2");
    publish("cp1", "8", "SMS_MP", 100);
    publish("cp2", "8", "SMS_MP", 100);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, &to));
        n1 += to == &one;
        n2 += to == &two;
    }
    assert_int_equal(5, n1);
    assert_int_equal(5, n2);
    registry_down(registry, &one.link);
    registry_down(registry, &two.link);
}

static void a_draining_channel_gets_nothing_new(void **state)
{
    (void)state;
    struct channel old, fresh, *to;
    up(&old, "cp1");
    publish("cp1", "8", "SMS_MP", 100);
    registry_draining(registry, &old.link);
    assert_int_equal(ROUTE_AWAY, ask("8", "/SMS_MP", -1, NULL));
    up(&fresh, "cp1");
    assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, &to));
    assert_ptr_equal(&fresh, to);
    registry_down(registry, &old.link);
    registry_down(registry, &fresh.link);
}

static void the_least_loaded_channel_of_a_connection_point_is_taken(void **state)
{
    (void)state;
    struct channel a, b, *to;
    up(&a, "cp1");
    up(&b, "cp1");
    publish("cp1", "8", "SMS_MP", 100);
    a.h2.load = 3;
    b.h2.load = 7;
    assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, &to));
    assert_ptr_equal(&a, to);
    a.h2.load = b.h2.load = 10;
    assert_int_equal(ROUTE_BUSY, ask("8", "/SMS_MP", -1, NULL));
    registry_down(registry, &a.link);
    registry_down(registry, &b.link);
}

static void an_id_belongs_to_the_site_that_published_it_first(void **state)
{
    (void)state;
    struct channel one, three, *to;
    up(&one, "cp1");
    up(&three, "cp3");
    publish("cp1", "8", "SMS_MP", 100);
    publish("cp3", "8", "SMS_MP", 100);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, &to));
        assert_ptr_equal(&one, to);
    }
    registry_down(registry, &one.link);
    registry_down(registry, &three.link);
}

static void what_is_published_anew_replaces_what_was(void **state)
{
    (void)state;
    struct channel c;
    up(&c, "cp1");
    publish("cp1", "8", "SMS_MP", 100);
    publish("cp1", "9", "CCM_System", 100);
    assert_int_equal(ROUTE_UNPUBLISHED, ask("8", "/SMS_MP", -1, NULL));
    assert_int_equal(ROUTE_FOUND, ask("9", "/CCM_System/request", -1, NULL));
    registry_down(registry, &c.link);
}

static void who_is_no_longer_admitted_serves_nothing(void **state)
{
    (void)state;
    struct channel two;
    up(&two, "cp2");
    publish("cp2", "8", "SMS_MP", 100);
    conf.npoints = 1;
    registry_admit(registry, &conf);
    assert_null(registry_member(registry, "cp2"));
    assert_false(member_is_admitted(two.link.member));
    assert_int_not_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, NULL));
    registry_down(registry, &two.link);
}

static void whatever_may_let_a_waiting_request_through_is_told(void **state)
{
    (void)state;
    struct channel c;
    unsigned before = changes;
    up(&c, "cp1");
    assert_true(changes > before);
    before = changes;
    publish("cp1", "8", "SMS_MP", 100);
    assert_true(changes > before);
    registry_down(registry, &c.link);
}

static void what_a_peer_says_itself_comes_before_the_configuration(void **state)
{
    (void)state;
    char *paths[] = { (char[]){ "SMS_MP" }, NULL }, *auth[] = { (char[]){ "mutual" }, NULL };
    struct gateway_endpoint_conf endpoint = {
        .connection_point = (char[]){ "cp1" },
        .id = (char[]){ "77" },
        .paths = paths,
        .client_auth = auth,
        .max_request_bytes = 100,
    };
    struct channel c;
    conf.endpoints = &endpoint;
    conf.nendpoints = 1;
    registry_admit(registry, &conf);
    up(&c, "cp1");
    assert_int_equal(ROUTE_FOUND, ask("77", "/SMS_MP", -1, NULL));
    publish("cp1", "8", "SMS_MP", 100);
    assert_int_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, NULL));
    assert_int_not_equal(ROUTE_FOUND, ask("77", "/SMS_MP", -1, NULL));
    registry_unpublish(registry, member("cp1"));
    assert_int_equal(ROUTE_FOUND, ask("77", "/SMS_MP", -1, NULL));
    assert_int_not_equal(ROUTE_FOUND, ask("8", "/SMS_MP", -1, NULL));
    registry_down(registry, &c.link);
    conf.endpoints = NULL;
    conf.nendpoints = 0;
}

static struct cmg_counts *counts_of(const char *id, const char *rest)
{
    struct route_pick pick = { 0 };
    (void)registry_pick(registry, cmg_str(id), cmg_str(rest), CMG_AUTH_MUTUAL, -1, &pick);
    return pick.counts;
}

/* Counts go on where they were, whoever publishes the endpoint and whether it is away meanwhile. */
static void counts_outlive_what_is_published(void **state)
{
    (void)state;
    struct channel c;
    publish("cp1", "Ab", "SMS_MP", 100);
    struct cmg_counts *counts = counts_of("aB", "/SMS_MP");
    assert_non_null(counts); /* though no channel is up: who waits is counted, too */
    assert_null(counts_of("ab", "/other"));
    assert_null(counts_of("9", "/SMS_MP"));
    cmg_counts_begin(counts, false);
    publish("cp1", "9", "SMS_MP", 100);
    assert_null(counts_of("ab", "/SMS_MP"));
    assert_ptr_not_equal(counts, counts_of("9", "/SMS_MP"));
    publish("cp2", "AB", "SMS_MP", 100);
    up(&c, "cp2");
    assert_ptr_equal(counts, counts_of("ab", "/SMS_MP"));
    assert_int_equal(1, counts->requests);
    registry_down(registry, &c.link);
}

static void members_are_told_with_what_they_have(void **state)
{
    (void)state;
    struct channel a, b;
    bool spoke = true;
    unsigned n = 0;
    up(&a, "cp1");
    up(&b, "cp1");
    registry_draining(registry, &b.link);
    for (struct member *m = registry_next(registry, NULL); m; m = registry_next(registry, m), n++)
        assert_int_equal(m == member("cp1"), member_links(m));
    assert_int_equal(3, n);
    assert_int_equal(0, member_endpoints(member("cp1"), &spoke)->n);
    assert_false(spoke);
    publish("cp1", "8", "SMS_MP", 100);
    assert_int_equal(1, member_endpoints(member("cp1"), &spoke)->n);
    assert_true(spoke);
    registry_down(registry, &a.link);
    registry_down(registry, &b.link);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_has_published_yet),
        TEST(names_are_matched_as_certificates_spell_them),
        TEST(an_unpublished_id_or_path_is_told_apart_from_one_that_is_away),
        TEST(an_endpoint_is_there_only_for_those_who_authenticate_its_way),
        TEST(an_endpoint_that_wants_the_clients_certificate_is_told_apart),
        TEST(requests_go_round_the_connection_points_of_a_site),
        TEST(a_draining_channel_gets_nothing_new),
        TEST(the_least_loaded_channel_of_a_connection_point_is_taken),
        TEST(an_id_belongs_to_the_site_that_published_it_first),
        TEST(what_is_published_anew_replaces_what_was),
        TEST(what_a_peer_says_itself_comes_before_the_configuration),
        TEST(who_is_no_longer_admitted_serves_nothing),
        TEST(counts_outlive_what_is_published),
        TEST(members_are_told_with_what_they_have),
        TEST(whatever_may_let_a_waiting_request_through_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
