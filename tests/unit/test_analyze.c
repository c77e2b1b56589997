/* SPDX-License-Identifier: MIT */
/* What the analyzer makes of what was seen. Facts in, findings out: no socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmg/base/alloc.h"
#include "cmg/base/str.h"
#include "point/analyze_facts.h"

enum { NOW = 1800000000, DAY = 86400 };

static void print(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        printf("  %s %s | %s | %s | %s\n", cmg_finding_word(f->v[i].verdict), f->v[i].check,
               f->v[i].says, f->v[i].means, f->v[i].remedy);
}

static const struct finding *find(const struct findings *f, const char *check,
                                  enum cmg_finding_verdict v)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->v[i].check, check) && f->v[i].verdict == v)
            return &f->v[i];
    return NULL;
}

static void has(const struct findings *f, const char *check, enum cmg_finding_verdict v,
                const char *word)
{
    const struct finding *x = find(f, check, v);
    if (x && (strstr(x->says, word) || strstr(x->means, word) || strstr(x->remedy, word)))
        return;
    print(f);
    fail_msg("no %s of %s with \"%s\"", cmg_finding_word(v), check, word);
}

static void has_no(const struct findings *f, const char *check)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->v[i].check, check)) {
            print(f);
            fail_msg("there is a finding of %s", check);
        }
}

/* Whoever is told of a fault is told what follows and what to do. */
static void is_helpful(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->v[i];
        if (x->subject[0] && x->says[0] &&
            (x->verdict == CMG_FINDING_PASS || (x->means[0] && x->remedy[0])))
            continue;
        print(f);
        fail_msg("%s leaves one alone", x->check);
    }
}

/* ---- a gateway ---- */

static struct point_cmg_conf conf_of(unsigned instances)
{
    static char label[] = "main", service[] = "cmg.example.com", ca[] = "roots.pem";
    return (struct point_cmg_conf){ .label = label,
                                    .service = service,
                                    .ca_file = ca,
                                    .transport = CMG_TRANSPORT_AUTO,
                                    .instances = instances,
                                    .tcp_tls_port = 10140,
                                    .https_port = 10124,
                                    .https_port_single = 443 };
}

static const struct cmg_tls_seen sound_seen = {
    .version = "TLSv1.3",
    .names = "cmg.example.com",
    .issuer = "Our CA",
    .sent = 2,
    .named = true,
    .akin = true,
    .not_before = NOW - DAY,
    .not_after = NOW + 90 * DAY,
};

static struct facts_road sound_road(enum cmg_road road, unsigned instance)
{
    bool tcp_tls = road == CMG_ROAD_TCP_TLS;
    struct facts_road r = { .road = road,
                            .instance = instance,
                            .port = (uint16_t)((tcp_tls ? 10140 : 443) + instance - 1),
                            .admission = ADMISSION_YES,
                            .gateway = "cmg.example.com",
                            .version = "1",
                            .said = instance,
                            .said_of = 1 };
    r.dial.done = r.dial.open = true;
    r.dial.result.seen = sound_seen;
    snprintf(r.dial.peer, sizeof(r.dial.peer), "203.0.113.1:443");
    return r;
}

struct world {
    struct point_cmg_conf conf;
    struct facts_gateway g;
    struct findings f;
};

static void sound(struct world *w)
{
    *w = (struct world){ .conf = conf_of(1) };
    w->g.conf = &w->conf;
    w->g.nroads = 2;
    w->g.roads[0] = sound_road(CMG_ROAD_TCP_TLS, 1);
    w->g.roads[1] = sound_road(CMG_ROAD_HTTPS, 1);
    w->g.live[0] = (struct facts_live){ .known = true, .open = true, .rtt_us = 1500 };
    w->g.client.dial = w->g.roads[1].dial;
    w->g.client.status = 404;
    w->g.client_port = 443;
}

static void fails(struct facts_dial *d, enum cmg_dial_step step, enum cmg_dial_cause cause,
                  const char *why)
{
    d->open = false;
    d->result.step = step;
    d->result.cause = cause;
    d->result.refused = cause == CMG_DIAL_VERDICT || cause == CMG_DIAL_STATUS;
    cmg_fail(&d->result.err, CMG_EIO, "%s", why);
}

static void judge(struct world *w)
{
    judge_gateway(&w->f, &w->g, NOW);
    is_helpful(&w->f);
}

static void a_sound_gateway_has_no_complaint(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    judge(&w);
    for (size_t i = 0; i < w.f.n; i++)
        assert_int_equal(CMG_FINDING_PASS, w.f.v[i].verdict);
    has(&w.f, "dns", CMG_FINDING_PASS, "203.0.113.1");
    has(&w.f, "channel", CMG_FINDING_PASS, "1.500 ms");
    has(&w.f, "admission", CMG_FINDING_PASS, "instance 1 of 1");
    findings_clear(&w.f);
}

/* One fault of both roads or of one, and the one finding that names it. */
static void each_fault_of_a_road_is_named_once(void **state)
{
    (void)state;
    static const struct {
        enum cmg_dial_step step;
        enum cmg_dial_cause cause;
        enum cmg_tls_fault fault;
        unsigned status;
        bool proxied, akin;
        const char *check, *word, *silent; /* and what nothing is said of */
    } rows[] = {
        { CMG_DIAL_RESOLVE, CMG_DIAL_NO_NAME, 0, 0, false, false, "dns", "DNS", "port" },
        { CMG_DIAL_CONNECT, CMG_DIAL_NOBODY, 0, 0, false, false, "port", "refused", "tls" },
        { CMG_DIAL_CONNECT, CMG_DIAL_SILENT, 0, 0, false, false, "port", "filtered", "tls" },
        { CMG_DIAL_CONNECT, CMG_DIAL_NO_ROUTE, 0, 0, false, false, "port", "no route", "tls" },
        { CMG_DIAL_PROXY, CMG_DIAL_STATUS, 0, 407, true, false, "proxy", "user and password",
          "port" },
        { CMG_DIAL_PROXY, CMG_DIAL_STATUS, 0, 403, true, false, "proxy", "policy", "port" },
        { CMG_DIAL_PROXY, CMG_DIAL_STATUS, 0, 503, true, false, "proxy", "log", "port" },
        { CMG_DIAL_PROXY, CMG_DIAL_NOBODY, 0, 0, true, false, "proxy", "not reached", "port" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_NAME, 0, false, false, "tls", "asked for",
          "admission" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_ISSUER, 0, false, false, "tls", "wrong ca-file",
          "interception" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_ISSUER, 0, false, true, "tls",
          "does not send the intermediate", "interception" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_ISSUER, 0, true, false, "interception",
          "the proxy shows", "admission" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_EXPIRED, 0, false, false, "tls", "expired",
          "admission" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_EARLY, 0, false, false, "tls", "clock",
          "admission" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_USAGE, 0, false, false, "tls", "serverAuth",
          "admission" },
        { CMG_DIAL_TLS, CMG_DIAL_VERDICT, CMG_TLS_OURS, 0, false, false, "admission",
          "does not admit", "interception" },
        { CMG_DIAL_TLS, CMG_DIAL_OTHER, 0, 0, false, false, "tls", "no TLS", "admission" },
    };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        struct world w;
        sound(&w);
        if (rows[i].proxied)
            w.g.proxy = "proxy:3128";
        w.g.client.dial.done = false;
        for (size_t k = 0; k < w.g.nroads; k++) {
            struct facts_dial *d = &w.g.roads[k].dial;
            w.g.roads[k].proxied = rows[i].proxied;
            fails(d, rows[i].step, rows[i].cause, "why");
            d->result.status = rows[i].status;
            d->result.seen.fault = rows[i].fault;
            d->result.seen.akin = rows[i].akin;
            d->result.seen.sent = 1;
        }
        judge(&w);
        has(&w.f, rows[i].check, CMG_FINDING_FAIL, rows[i].word);
        has_no(&w.f, rows[i].silent);
        findings_clear(&w.f);
    }
}

static void a_road_that_another_one_makes_up_for_is_a_warning(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    fails(&w.g.roads[0].dial, CMG_DIAL_CONNECT, CMG_DIAL_SILENT, "why");
    judge(&w);
    has(&w.f, "port", CMG_FINDING_WARN, "the other road serves");
    assert_null(find(&w.f, "port", CMG_FINDING_FAIL));
    findings_clear(&w.f);
}

static void what_to_open_is_told_for_all_instances(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    w.conf.instances = 4;
    w.g.nroads = 1;
    w.g.roads[0] = sound_road(CMG_ROAD_HTTPS, 2);
    w.g.roads[0].port = 10125;
    fails(&w.g.roads[0].dial, CMG_DIAL_CONNECT, CMG_DIAL_SILENT, "why");
    judge(&w);
    has(&w.f, "port", CMG_FINDING_FAIL, "10124-10127");
    findings_clear(&w.f);
}

/* The same CA on all roads is not interception, however foreign; two different ones are. */
static void interception_needs_evidence(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    fails(&w.g.roads[1].dial, CMG_DIAL_TLS, CMG_DIAL_VERDICT, "why");
    w.g.client.dial.done = false;
    w.g.roads[1].dial.result.seen = (struct cmg_tls_seen){
        .fault = CMG_TLS_ISSUER, .named = true, .issuer = "Inspector", .sent = 2
    };
    judge(&w);
    has(&w.f, "interception", CMG_FINDING_FAIL, "Inspector");
    findings_clear(&w.f);

    w.g.roads[1].dial.result.seen.named = false; /* some other server then */
    judge(&w);
    has_no(&w.f, "interception");
    findings_clear(&w.f);
}

static void admission_is_no_fault_of_the_upgrade(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    w.g.nroads = 1;
    w.g.roads[0] = sound_road(CMG_ROAD_HTTPS, 1);
    fails(&w.g.roads[0].dial, CMG_DIAL_UPGRADE, CMG_DIAL_STATUS,
          "gw:443: refused the upgrade to ptth: 403 CMGService_Not_Admitted (not admitted: x)");
    w.g.roads[0].dial.result.status = 403;
    judge(&w);
    has(&w.f, "upgrade", CMG_FINDING_PASS, "itself answered");
    has(&w.f, "admission", CMG_FINDING_FAIL, "[connection-point NAME]");
    findings_clear(&w.f);

    fails(&w.g.roads[0].dial, CMG_DIAL_UPGRADE, CMG_DIAL_STATUS, "gw:443: 403 Forbidden (WAF)");
    judge(&w);
    has(&w.f, "upgrade", CMG_FINDING_FAIL, "takes Upgrade out");
    has_no(&w.f, "admission");
    findings_clear(&w.f);
}

static void instances_are_compared(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    w.g.roads[0].said_of = 3;
    judge(&w);
    has(&w.f, "instances", CMG_FINDING_WARN, "instance 1 of 3");
    findings_clear(&w.f);
}

static void live_channels_count_for_themselves(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    w.g.live[0].road = CMG_ROAD_HTTPS;
    judge(&w);
    has(&w.f, "channel", CMG_FINDING_WARN, "fell back");
    findings_clear(&w.f);
    w.g.live[0].open = false;
    cmg_fail(&w.g.live[0].why, CMG_EDENIED, "the site differs");
    judge(&w);
    has(&w.f, "channel", CMG_FINDING_FAIL, "the site differs");
    findings_clear(&w.f);
}

static void what_was_not_reached_in_time_is_said_to_be_so(void **state)
{
    (void)state;
    struct world w;
    sound(&w);
    w.g.roads[0].dial = (struct facts_dial){ .done = false };
    w.g.client.dial.done = false;
    judge(&w);
    has(&w.f, "port", CMG_FINDING_WARN, "not looked at");
    findings_clear(&w.f);
}

/* ---- an endpoint ---- */

static void each_fault_of_an_endpoint_is_named(void **state)
{
    (void)state;
    static char label[] = "mp1", http[] = "http://mp1", https[] = "https://mp1", pem[] = "c.pem";
    static const struct {
        char *url, *certificate;
        enum cmg_dial_cause cause;
        enum cmg_tls_fault fault;
        unsigned status; /* 0: `why` */
        const char *why;
        bool open, on_certificate;
        const char *check;
        enum cmg_finding_verdict verdict;
        const char *word;
    } rows[] = {
        { http, NULL, 0, 0, 200, "", true, false, "endpoint", CMG_FINDING_PASS, "200" },
        { http, NULL, 0, 0, 404, "", true, false, "endpoint", CMG_FINDING_WARN, "another role" },
        { http, NULL, 0, 0, 401, "", true, false, "endpoint", CMG_FINDING_WARN, "authentication" },
        { http, NULL, 0, 0, 302, "", true, false, "endpoint", CMG_FINDING_WARN, "redirects" },
        { http, NULL, 0, 0, 500, "", true, false, "endpoint", CMG_FINDING_FAIL, "fails" },
        { http, NULL, 0, 0, 403, "", true, false, "endpoint", CMG_FINDING_WARN, "does not serve" },
        { https, NULL, 0, 0, 403, "", true, false, "endpoint", CMG_FINDING_FAIL,
          "none is configured" },
        { https, NULL, 0, 0, 400, "", true, true, "endpoint", CMG_FINDING_FAIL,
          "none is configured" },
        { https, NULL, 0, 0, 400, "", true, false, "endpoint", CMG_FINDING_WARN, "does not serve" },
        { https, pem, 0, 0, 403, "", true, false, "endpoint", CMG_FINDING_FAIL, "refuses" },
        { https, NULL, 0, 0, 0, "the peer wants a client certificate and got none", true, false,
          "endpoint", CMG_FINDING_FAIL, "none is configured" },
        { http, NULL, 0, 0, 0, "the peer closed", true, false, "endpoint", CMG_FINDING_FAIL,
          "HTTP" },
        { http, NULL, CMG_DIAL_NOBODY, 0, 0, "", false, false, "endpoint-port", CMG_FINDING_FAIL,
          "nothing listens" },
        { http, NULL, CMG_DIAL_SILENT, 0, 0, "", false, false, "endpoint-port", CMG_FINDING_FAIL,
          "filtered" },
        { http, NULL, CMG_DIAL_NO_NAME, 0, 0, "", false, false, "endpoint-port", CMG_FINDING_FAIL,
          "DNS" },
        { https, NULL, CMG_DIAL_VERDICT, CMG_TLS_ISSUER, 0, "", false, false, "endpoint-tls",
          CMG_FINDING_FAIL, "the system's roots" },
        { https, NULL, CMG_DIAL_VERDICT, CMG_TLS_OURS, 0, "", false, false, "endpoint-tls",
          CMG_FINDING_FAIL, "none is configured" },
    };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        struct point_endpoint_conf conf = { .label = label,
                                            .url = rows[i].url,
                                            .certificate = rows[i].certificate };
        struct facts_endpoint e = { .conf = &conf, .path = "/SMS_MP" };
        struct findings f = { 0 };
        e.web.dial.done = true;
        e.web.dial.open = true;
        e.web.dial.result.seen = sound_seen;
        if (!rows[i].open)
            fails(&e.web.dial, rows[i].cause == CMG_DIAL_VERDICT ? CMG_DIAL_TLS : CMG_DIAL_CONNECT,
                  rows[i].cause, "why");
        e.web.dial.result.seen.fault = rows[i].fault;
        e.web.status = rows[i].status;
        e.web.on_certificate = rows[i].on_certificate;
        cmg_fail(&e.web.why, CMG_EIO, "%s", rows[i].why);
        judge_endpoint(&f, &e, NOW);
        is_helpful(&f);
        has(&f, rows[i].check, rows[i].verdict, rows[i].word);
        findings_clear(&f);
    }
}

/* ---- what is ours ---- */

static void the_certificate_is_judged(void **state)
{
    (void)state;
    static const struct {
        int days;
        bool fits, usable, linked;
        const char *name;
        enum cmg_finding_verdict verdict;
        const char *word;
    } rows[] = {
        { 90, true, true, true, "cp1", CMG_FINDING_PASS, "90 days left" },
        { 31, true, true, true, "cp1", CMG_FINDING_PASS, "31 days left" },
        { 30, true, true, true, "cp1", CMG_FINDING_WARN, "a month" },
        { 14, true, true, true, "cp1", CMG_FINDING_WARN, "two weeks" },
        { 7, true, true, true, "cp1", CMG_FINDING_WARN, "a week" },
        { 1, true, true, true, "cp1", CMG_FINDING_FAIL, "a day" },
        { -1, true, true, true, "cp1", CMG_FINDING_FAIL, "expired" },
        { 90, false, true, true, "cp1", CMG_FINDING_FAIL, "key" },
        { 90, true, false, true, "cp1", CMG_FINDING_FAIL, "clientAuth" },
        { 90, true, true, false, "cp1", CMG_FINDING_FAIL, "leaf first" },
        { 90, true, true, true, "cp2", CMG_FINDING_FAIL, "another name" },
    };
    const struct cmg_err none = { .code = CMG_OK };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        struct cmg_tls_own own = {
            .fits = rows[i].fits, .usable = rows[i].usable, .linked = rows[i].linked, .n = 1
        };
        struct findings f = { 0 };
        snprintf(own.id.name, sizeof(own.id.name), "cp1");
        own.id.not_after = NOW + (int64_t)rows[i].days * DAY;
        own.id.not_before = NOW - DAY;
        judge_certificate(&f, "cp.pem", rows[i].name, CMG_OK, &own, &none, NOW);
        is_helpful(&f);
        has(&f, "certificate", rows[i].verdict, rows[i].word);
        findings_clear(&f);
    }
    struct findings f = { 0 };
    struct cmg_tls_own own = { .n = 0 };
    struct cmg_err err;
    cmg_fail(&err, CMG_ECONF, "cp.pem cannot be read");
    judge_certificate(&f, "cp.pem", "cp1", CMG_ECONF, &own, &err, NOW);
    is_helpful(&f);
    has(&f, "certificate", CMG_FINDING_FAIL, "cannot be read");
    findings_clear(&f);
}

static void the_clock_is_judged_by_the_majority_of_one(void **state)
{
    (void)state;
    static const struct {
        int a, b; /* two others, by how much they are ahead of us */
        enum cmg_finding_verdict verdict;
        const char *word;
    } rows[] = {
        { 0, 0, CMG_FINDING_PASS, "agrees" },
        { 60, -60, CMG_FINDING_PASS, "60 s" },
        { 61, 61, CMG_FINDING_WARN, "behind" },
        { -300, -300, CMG_FINDING_WARN, "before" },
        { 301, 301, CMG_FINDING_FAIL, "NTP" },
        { 7200, 2, CMG_FINDING_WARN, "a has the wrong time" },
    };
    for (size_t i = 0; i < CMG_COUNT(rows); i++) {
        const struct facts_date d[] = { { "a", NOW + rows[i].a, NOW },
                                        { "b", NOW + rows[i].b, NOW } };
        struct findings f = { 0 };
        judge_clock(&f, d, 2);
        is_helpful(&f);
        has(&f, "clock", rows[i].verdict, rows[i].word);
        findings_clear(&f);
    }
    struct findings f = { 0 };
    judge_clock(&f, NULL, 0);
    is_helpful(&f);
    has(&f, "clock", CMG_FINDING_WARN, "nobody");
    findings_clear(&f);
}

static void the_configuration_is_judged(void **state)
{
    (void)state;
    static char label[] = "mp1", http[] = "http://mp1", https[] = "https://mp1", user[] = "u",
                proxy[] = "http://p:1";
    struct point_endpoint_conf e[] = { { .label = label, .url = https } };
    struct point_conf c = { .endpoints = e, .nendpoints = 1 };
    struct findings f = { 0 };
    judge_configuration(&f, &c);
    has(&f, "configuration", CMG_FINDING_PASS, "nothing to warn of");
    findings_clear(&f);
    e[0].url = http;
    judge_configuration(&f, &c);
    is_helpful(&f);
    has(&f, "configuration", CMG_FINDING_WARN, "without TLS");
    findings_clear(&f);
    e[0].url = https;
    c.proxy.url = proxy;
    c.proxy.user = user;
    c.proxy.auth = CMG_PROXY_AUTH_BASIC;
    judge_configuration(&f, &c);
    is_helpful(&f);
    has(&f, "configuration", CMG_FINDING_WARN, "by Basic");
    findings_clear(&f);
}

/* ---- as JSON ---- */

static void what_a_peer_said_is_always_json(void **state)
{
    (void)state;
    struct findings f = { 0 };
    struct finding *x = finding_new(&f, "tls", CMG_FINDING_FAIL);
    finding_says(x, "a \xff and\r\na line");
    json_t *line = finding_json(x);
    assert_string_equal("a ? and??a line", json_string_value(json_object_get(line, "says")));
    assert_string_equal("fail", json_string_value(json_object_get(line, "verdict")));
    assert_string_equal("", json_string_value(json_object_get(line, "do")));
    json_decref(line);
    findings_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_gateway_has_no_complaint),
        cmocka_unit_test(each_fault_of_a_road_is_named_once),
        cmocka_unit_test(a_road_that_another_one_makes_up_for_is_a_warning),
        cmocka_unit_test(what_to_open_is_told_for_all_instances),
        cmocka_unit_test(interception_needs_evidence),
        cmocka_unit_test(admission_is_no_fault_of_the_upgrade),
        cmocka_unit_test(instances_are_compared),
        cmocka_unit_test(live_channels_count_for_themselves),
        cmocka_unit_test(what_was_not_reached_in_time_is_said_to_be_so),
        cmocka_unit_test(each_fault_of_an_endpoint_is_named),
        cmocka_unit_test(the_certificate_is_judged),
        cmocka_unit_test(the_clock_is_judged_by_the_majority_of_one),
        cmocka_unit_test(the_configuration_is_judged),
        cmocka_unit_test(what_a_peer_said_is_always_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
