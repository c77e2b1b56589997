/* SPDX-License-Identifier: MIT */
/* The pipe between two fake exchanges: every order of events that the contract allows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cmg/base/alloc.h"
#include "cmg/http/pipe.h"

enum { HOLD = 16 };

/* One side: writes down what it is told. */
struct fake {
    struct cmg_exchange x;
    char log[1024];
    bool full;    /* body() says stop */
    bool dead;    /* nothing may be called any more */
    bool refuses; /* head() fails                   */
};

static struct fake *fake_of(struct cmg_exchange *x)
{
    struct fake *f = CMG_OUTER(x, struct fake, x);
    assert_false(f->dead);
    return f;
}

static void CMG_PRINTF(2, 3) write_down(struct fake *f, const char *fmt, ...)
{
    size_t n = strlen(f->log);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->log + n, sizeof(f->log) - n, fmt, ap);
    va_end(ap);
}

static enum cmg_rc fake_head(struct cmg_exchange *x, const struct cmg_head *head)
{
    struct fake *f = fake_of(x);
    if (f->refuses)
        return CMG_EPROTO;
    write_down(f, "%u%s ", head->status, head->end ? "!" : "");
    f->dead = head->end;
    return CMG_OK;
}

static bool fake_body(struct cmg_exchange *x, struct cmg_str bytes)
{
    struct fake *f = fake_of(x);
    write_down(f, "%.*s ", CMG_ARG(bytes));
    return !f->full;
}

static void fake_end(struct cmg_exchange *x, const struct cmg_field *trailers, size_t n)
{
    struct fake *f = fake_of(x);
    if (n)
        write_down(f, "trailer:%.*s ", CMG_ARG(trailers[0].name));
    write_down(f, "end ");
}

static void fake_pause(struct cmg_exchange *x, bool paused)
{
    write_down(fake_of(x), paused ? "pause " : "go ");
}

static void fake_abort(struct cmg_exchange *x)
{
    struct fake *f = fake_of(x);
    write_down(f, "abort ");
    f->dead = true;
}

static const struct cmg_exchange_ops fake_ops = { fake_head,  fake_body,  fake_end,
                                                  fake_pause, fake_abort, fake_abort };

/* The owner of the pipe. */
struct owner {
    struct cmg_pipe pipe;
    struct fake in, out, again;
    unsigned failed, done, responses;
    enum cmg_pipe_end end;
    bool had_why, may_repeat;
};

static struct owner *owner_of(struct cmg_pipe *p)
{
    return CMG_OUTER(p, struct owner, pipe);
}

static void on_response(struct cmg_pipe *p, struct cmg_head *head)
{
    struct owner *o = owner_of(p);
    (void)head;
    o->responses++;
}

static void on_failed(struct cmg_pipe *p, const struct cmg_fault *why)
{
    struct owner *o = owner_of(p);
    assert_non_null(why);
    assert_null(p->out);
    o->failed++;
    o->may_repeat = cmg_pipe_may_repeat(p);
}

static void on_done(struct cmg_pipe *p, enum cmg_pipe_end end, const struct cmg_fault *why)
{
    struct owner *o = owner_of(p);
    assert_int_equal(0, o->done);
    o->done++;
    o->end = end;
    o->had_why = why != NULL;
}

static const struct cmg_pipe_events events = { on_response, on_failed, on_done };

static void owner_init(struct owner *o, bool head_ended, uint64_t max)
{
    *o = (struct owner){ .done = 0 };
    o->in.x.ops = o->out.x.ops = o->again.x.ops = &fake_ops;
    cmg_pipe_start(&o->pipe, &o->in.x, head_ended, max, HOLD, &events);
}

static void owner_clear(struct owner *o)
{
    cmg_pipe_clear(&o->pipe);
}

static void join(struct owner *o, struct fake *f)
{
    cmg_pipe_join(&o->pipe, &f->x);
}

/* Events, as a connection would bring them. */

static void says(struct fake *f, const char *text)
{
    f->x.ev->on_body(f->x.arg, cmg_str(text));
}

static void ends(struct fake *f)
{
    f->x.ev->on_end(f->x.arg, NULL, 0);
}

static void answers(struct fake *f, unsigned status, bool end)
{
    struct cmg_head head = { .status = status, .length = -1, .end = end };
    f->x.ev->on_head(f->x.arg, &head);
}

static void goes(struct fake *f)
{
    const struct cmg_fault why = { .code = CMG_EIO, .text = "gone" };
    f->dead = true;
    f->x.ev->on_gone(f->x.arg, &why);
}

static void has_room(struct fake *f)
{
    f->full = false;
    f->x.ev->on_room(f->x.arg);
}

#define assert_log(f, text) assert_string_equal(text, (f).log)

static void assert_done(const struct owner *o, enum cmg_pipe_end end)
{
    assert_int_equal(1, o->done);
    assert_int_equal(end, o->end);
    assert_int_equal(end != CMG_PIPE_DONE, o->had_why);
}

/* The usual way ---------------------------------------------------------------------------- */

static void a_request_and_its_answer_pass(void **state)
{
    (void)state;
    struct owner o;
    const struct cmg_field trailer = { CMG_STR("x-sum"), CMG_STR("1") };
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "ask");
    o.in.x.ev->on_end(o.in.x.arg, &trailer, 1);
    assert_log(o.out, "ask end "); /* a request's trailers could be taken for its head's */
    answers(&o.out, 100, false);
    answers(&o.out, 200, false);
    says(&o.out, "answer");
    o.out.x.ev->on_end(o.out.x.arg, &trailer, 1);
    assert_log(o.in, "100 200 answer trailer:x-sum end ");
    assert_done(&o, CMG_PIPE_DONE);
    assert_int_equal(2, o.responses);
    assert_int_equal(200, o.pipe.status);
    assert_int_equal(3, o.pipe.request_bytes);
    assert_int_equal(6, o.pipe.response_bytes);
    owner_clear(&o);
}

static void a_request_without_a_body_is_not_ended_twice(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, true, 100);
    join(&o, &o.out);
    ends(&o.in); /* h2 says so after the head */
    answers(&o.out, 204, true);
    ends(&o.out);
    assert_log(o.in, "204! ");
    assert_done(&o, CMG_PIPE_DONE);
    owner_clear(&o);
}

static void an_early_answer_ends_it(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "ask");
    answers(&o.out, 413, false);
    says(&o.out, "no");
    ends(&o.out);
    assert_log(o.in, "413 no end ");
    assert_log(o.out, "ask ");
    assert_done(&o, CMG_PIPE_DONE);
    owner_clear(&o);
}

static void the_request_goes_on_behind_an_early_head(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    answers(&o.out, 200, false);
    says(&o.in, "ask");
    says(&o.out, "answer");
    says(&o.in, "more");
    ends(&o.in);
    ends(&o.out);
    assert_log(o.out, "ask more end ");
    assert_log(o.in, "200 answer end ");
    assert_done(&o, CMG_PIPE_DONE);
    owner_clear(&o);
}

/* The client goes -------------------------------------------------------------------------- */

static void a_client_may_go_at_any_stage(void **state)
{
    (void)state;
    for (unsigned stage = 0; stage < 6; stage++) {
        struct owner o;
        owner_init(&o, false, 100);
        if (stage > 0)
            join(&o, &o.out);
        if (stage > 1)
            says(&o.in, "ask");
        if (stage > 2)
            ends(&o.in);
        if (stage > 3)
            answers(&o.out, 200, false);
        if (stage > 4)
            says(&o.out, "some");
        goes(&o.in);
        assert_done(&o, CMG_PIPE_CLIENT_GONE);
        assert_int_equal(stage > 0, o.out.dead);
        owner_clear(&o);
    }
}

static void a_client_may_go_while_a_repeat_is_awaited(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "ask");
    goes(&o.out);
    goes(&o.in);
    assert_done(&o, CMG_PIPE_CLIENT_GONE);
    assert_null(cmg_pipe_detach(&o.pipe));
    owner_clear(&o);
}

/* The outgoing side fails ------------------------------------------------------------------ */

static void a_failure_before_the_head_may_be_repeated(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "01234567");
    says(&o.in, "89");
    answers(&o.out, 100, false); /* does not count */
    goes(&o.out);
    assert_int_equal(1, o.failed);
    assert_true(o.may_repeat);
    assert_int_equal(0, o.done);
    says(&o.in, "ab"); /* meanwhile */
    join(&o, &o.again);
    assert_log(o.again, "0123456789ab ");
    says(&o.in, "cd");
    ends(&o.in);
    assert_log(o.again, "0123456789ab cd end ");
    answers(&o.again, 200, true);
    ends(&o.again);
    assert_log(o.in, "100 200! ");
    assert_done(&o, CMG_PIPE_DONE);
    owner_clear(&o);
}

static void a_whole_request_is_repeated_whole(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "0123456789abcdef"); /* as much as is held */
    ends(&o.in);
    goes(&o.out);
    assert_true(o.may_repeat);
    join(&o, &o.again);
    assert_log(o.again, "0123456789abcdef end ");
    goes(&o.again);
    assert_int_equal(2, o.failed);
    assert_true(o.may_repeat);
    struct cmg_exchange *in = cmg_pipe_detach(&o.pipe);
    assert_ptr_equal(&o.in.x, in);
    assert_int_equal(0, o.done);
    owner_clear(&o);
}

static void what_was_not_kept_is_not_repeated(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "0123456789abcdef");
    says(&o.in, "+");
    goes(&o.out);
    assert_int_equal(1, o.failed);
    assert_false(o.may_repeat);
    assert_int_equal(0, o.done);
    owner_clear(&o);
}

static void a_failure_behind_the_head_cuts_the_client(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, true, 100);
    join(&o, &o.out);
    answers(&o.out, 200, false);
    says(&o.out, "some");
    goes(&o.out);
    assert_log(o.in, "200 some abort ");
    assert_int_equal(0, o.failed);
    assert_done(&o, CMG_PIPE_CUT);
    owner_clear(&o);
}

static void a_head_that_cannot_be_passed_on_cuts_both(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, true, 100);
    o.in.refuses = true;
    join(&o, &o.out);
    answers(&o.out, 200, false);
    assert_log(o.in, "abort ");
    assert_log(o.out, "abort ");
    assert_done(&o, CMG_PIPE_CUT);
    owner_clear(&o);
}

static void detaching_aborts_the_outgoing_side_only(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    join(&o, &o.out);
    says(&o.in, "ask");
    assert_ptr_equal(&o.in.x, cmg_pipe_detach(&o.pipe));
    assert_log(o.out, "ask abort ");
    assert_log(o.in, "");
    assert_int_equal(0, o.done);
    owner_clear(&o);
}

/* Waiting for an outgoing side -------------------------------------------------------------- */

static void a_body_waits_and_is_paused_when_enough(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    says(&o.in, "0123456789");
    assert_log(o.in, "");
    says(&o.in, "abcdef");
    assert_log(o.in, "pause ");
    says(&o.in, "ghijkl"); /* the window that was on its way */
    ends(&o.in);
    join(&o, &o.out);
    assert_log(o.out, "0123456789abcdefghijkl end ");
    assert_log(o.in, "pause go ");
    goes(&o.out);
    assert_false(o.may_repeat);
    owner_clear(&o);
}

static void a_join_unpauses_as_soon_as_there_is_room(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 100);
    says(&o.in, "0123456789abcdef");
    o.out.full = true;
    join(&o, &o.out);
    assert_log(o.in, "pause ");
    has_room(&o.out);
    assert_log(o.in, "pause go ");
    owner_clear(&o);
}

/* Too large -------------------------------------------------------------------------------- */

static void a_body_that_grows_too_large_is_the_owners(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 5);
    join(&o, &o.out);
    says(&o.in, "01234");
    says(&o.in, "5");
    assert_log(o.out, "01234 abort ");
    assert_log(o.in, "");
    assert_done(&o, CMG_PIPE_TOO_LARGE);
    assert_ptr_equal(&o.in.x, cmg_pipe_detach(&o.pipe));
    owner_clear(&o);
}

static void a_ceiling_learnt_late_counts_for_what_was_held(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, UINT64_MAX);
    says(&o.in, "0123456789");
    ends(&o.in);
    o.pipe.request_max = 9;
    join(&o, &o.out);
    assert_log(o.out, "abort ");
    assert_done(&o, CMG_PIPE_TOO_LARGE);
    owner_clear(&o);
}

/* Back-pressure ---------------------------------------------------------------------------- */

static void each_side_is_slowed_to_the_other(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 1000);
    join(&o, &o.out);
    o.out.full = true;
    says(&o.in, "a");
    says(&o.in, "b"); /* on its way */
    assert_log(o.in, "pause ");
    has_room(&o.out);
    says(&o.in, "c");
    assert_log(o.in, "pause go ");
    assert_log(o.out, "a b c ");

    answers(&o.out, 200, false);
    o.in.full = true;
    says(&o.out, "x");
    says(&o.out, "y");
    assert_log(o.out, "a b c pause ");
    has_room(&o.in);
    assert_log(o.out, "a b c pause go ");
    says(&o.out, "z");
    ends(&o.out);
    assert_log(o.in, "pause go 200 x y z end ");
    assert_done(&o, CMG_PIPE_DONE);
    owner_clear(&o);
}

/* Its connection would not notice the client's end if it stayed paused. */
static void a_client_is_not_left_paused_when_its_request_is_whole(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 1000);
    join(&o, &o.out);
    o.out.full = true;
    says(&o.in, "a");
    ends(&o.in);
    assert_log(o.in, "pause go ");
    has_room(&o.out);
    assert_log(o.in, "pause go ");
    owner_clear(&o);
}

static void a_pause_ends_with_the_side_that_asked_for_it(void **state)
{
    (void)state;
    struct owner o;
    owner_init(&o, false, 1000);
    join(&o, &o.out);
    o.out.full = true;
    says(&o.in, "a");
    goes(&o.out);
    assert_log(o.in, "pause ");
    join(&o, &o.again);
    assert_log(o.in, "pause go ");
    assert_log(o.again, "a ");
    owner_clear(&o);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_request_and_its_answer_pass),
    cmocka_unit_test(a_request_without_a_body_is_not_ended_twice),
    cmocka_unit_test(an_early_answer_ends_it),
    cmocka_unit_test(the_request_goes_on_behind_an_early_head),
    cmocka_unit_test(a_client_may_go_at_any_stage),
    cmocka_unit_test(a_client_may_go_while_a_repeat_is_awaited),
    cmocka_unit_test(a_failure_before_the_head_may_be_repeated),
    cmocka_unit_test(a_whole_request_is_repeated_whole),
    cmocka_unit_test(what_was_not_kept_is_not_repeated),
    cmocka_unit_test(a_failure_behind_the_head_cuts_the_client),
    cmocka_unit_test(a_head_that_cannot_be_passed_on_cuts_both),
    cmocka_unit_test(detaching_aborts_the_outgoing_side_only),
    cmocka_unit_test(a_body_waits_and_is_paused_when_enough),
    cmocka_unit_test(a_join_unpauses_as_soon_as_there_is_room),
    cmocka_unit_test(a_body_that_grows_too_large_is_the_owners),
    cmocka_unit_test(a_ceiling_learnt_late_counts_for_what_was_held),
    cmocka_unit_test(each_side_is_slowed_to_the_other),
    cmocka_unit_test(a_client_is_not_left_paused_when_its_request_is_whole),
    cmocka_unit_test(a_pause_ends_with_the_side_that_asked_for_it),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
