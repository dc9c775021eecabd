/* tests/unit/sched/test_sched.c - tasks, waiting, cancelling, parallel work. */
#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/suite.h"
#include "base/base.h"
#include "sched/sched.h"

static const struct luma_host_sched *const sched = &lk_sched_host;

static void
start(void)
{
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    struct lk_sched_conf conf;
    lk_sched_conf_default(&conf);
    conf.loops = 2;
    conf.workers = 3;
    ck_assert_int_eq(lk_sched_start(&c.ctx, &conf), LUMA_OK);
}

static void
stop(void)
{
    lk_sched_stop();
}

static void
wait_for(struct luma_event *event)
{
    ck_assert_int_eq(sched->wait(NULL, event, sched->now_ns() + 20000000000u), LUMA_OK);
}

/* --- two tasks hand a ball to each other --- */

struct pair {
    struct luma_event ping, pong, done;
    int rounds, seen;
};

static void
pinger(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < p->rounds; i++) {
        sched->signal(&p->ping);
        if (sched->wait(NULL, &p->pong, 0) != LUMA_OK)
            abort();
    }
    sched->signal(&p->done);
}

static void
ponger(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < p->rounds; i++) {
        if (sched->wait(NULL, &p->ping, 0) != LUMA_OK)
            abort();
        p->seen++;
        sched->signal(&p->pong);
    }
    sched->signal(&p->done);
}

START_TEST(tasks_play_ping_pong_on_workers_and_loops)
{
    struct pair p[3];
    memset(p, 0, sizeof(p));
    for (int i = 0; i < 3; i++)
        p[i].rounds = 5000;
    ck_assert_int_eq(sched->spawn("a", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, pinger, &p[0]), 0);
    ck_assert_int_eq(sched->spawn("b", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, ponger, &p[0]), 0);
    ck_assert_int_eq(lk_sched_spawn_on_loop(0, "c", LUMA_STACK_SMALL, pinger, &p[1]), 0);
    ck_assert_int_eq(lk_sched_spawn_on_loop(0, "d", LUMA_STACK_SMALL, ponger, &p[1]), 0);
    ck_assert_int_eq(lk_sched_spawn_on_loop(1, "e", LUMA_STACK_SMALL, pinger, &p[2]), 0);
    ck_assert_int_eq(sched->spawn("f", LUMA_PRIO_INTERACTIVE, LUMA_STACK_SMALL, ponger, &p[2]), 0);
    for (int i = 0; i < 3; i++) {
        wait_for(&p[i].done);
        wait_for(&p[i].done);
        ck_assert_int_eq(p[i].seen, 5000);
    }
}
END_TEST

/* --- ten thousand sleepers --- */

struct crowd {
    struct luma_event gate, done;
    _Atomic int in, out;
};

static void
crowd_member(void *arg)
{
    struct crowd *c = arg;
    atomic_fetch_add(&c->in, 1);
    if (sched->wait(NULL, &c->gate, 0) != LUMA_OK)
        abort();
    atomic_fetch_add(&c->out, 1);
    sched->signal(&c->done);
}

START_TEST(ten_thousand_tasks_wait_on_no_thread)
{
    struct crowd c;
    memset(&c, 0, sizeof(c));
#if LK_ASAN || defined(__SANITIZE_THREAD__)
    int count = 500;
#else
    int count = 10000;
#endif
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(
            sched->spawn("crowd", LUMA_PRIO_INTERACTIVE, LUMA_STACK_SMALL, crowd_member, &c), 0);
    while (atomic_load(&c.in) < count)
        ck_assert_int_eq(sched->sleep(NULL, 1000000), LUMA_OK);
    ck_assert_uint_ge(lk_sched_tasks(), (uint64_t)count);
    /* Nobody holds a thread: another task gets through. */
    struct pair p = {.rounds = 1};
    ck_assert_int_eq(sched->spawn("a", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, pinger, &p), 0);
    ck_assert_int_eq(sched->spawn("b", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, ponger, &p), 0);
    wait_for(&p.done);
    wait_for(&p.done);
    for (int i = 0; i < 10; i++)
        sched->signal(&c.gate);
    for (int i = 0; i < 10; i++)
        wait_for(&c.done);
    ck_assert_int_eq(atomic_load(&c.out), 10);
    /* The others may still be on their way into the wait. */
    int left = count - 10;
    while (atomic_load(&c.out) < count) {
        sched->broadcast(&c.gate);
        ck_assert_int_eq(sched->sleep(NULL, 1000000), LUMA_OK);
    }
    while (left-- > 0)
        wait_for(&c.done);
}
END_TEST

/* --- cancelling --- */

struct victim {
    struct luma_cancel cancel;
    struct luma_event never, started, done;
    luma_rc rc;
    char message[1024];
    uint64_t deadline_in_ns;
    bool busy;
};

static void
victim_run(void *arg)
{
    struct victim *v = arg;
    struct lk_ctx c;
    lk_ctx_init(&c, NULL);
    c.ctx.cancel = &v->cancel;
    if (v->deadline_in_ns != 0)
        v->cancel.deadline_ns = sched->now_ns() + v->deadline_in_ns;
    sched->signal(&v->started);
    if (v->busy) {
        while ((v->rc = sched->yield(&c.ctx)) == LUMA_OK)
            ;
    } else {
        v->rc = sched->wait(&c.ctx, &v->never, 0);
    }
    snprintf(v->message, sizeof(v->message), "%s", c.error.message);
    sched->signal(&v->done);
}

START_TEST(cancel_wakes_a_waiter_and_says_why)
{
    for (int busy = 0; busy < 2; busy++) {
        struct victim v;
        memset(&v, 0, sizeof(v));
        v.busy = busy == 1;
        ck_assert_int_eq(
            sched->spawn("v", LUMA_PRIO_INTERACTIVE, LUMA_STACK_NORMAL, victim_run, &v), 0);
        wait_for(&v.started);
        ck_assert_int_eq(sched->sleep(NULL, 2000000), LUMA_OK);
        sched->cancel(&v.cancel, LUMA_E_CANCELED);
        wait_for(&v.done);
        ck_assert_int_eq(v.rc, LUMA_E_CANCELED);
        ck_assert_str_eq(v.message, "canceling statement due to user request");
    }
}
END_TEST

START_TEST(the_deadline_of_a_cancel_token_ends_waiting_and_work)
{
    for (int busy = 0; busy < 2; busy++) {
        struct victim v;
        memset(&v, 0, sizeof(v));
        v.busy = busy == 1;
        v.deadline_in_ns = 20000000;
        uint64_t before = sched->now_ns();
        ck_assert_int_eq(
            sched->spawn("v", LUMA_PRIO_INTERACTIVE, LUMA_STACK_NORMAL, victim_run, &v), 0);
        wait_for(&v.done);
        ck_assert_int_eq(v.rc, LUMA_E_TIMEOUT);
        ck_assert_uint_ge(sched->now_ns() - before, 20000000);
        ck_assert_str_eq(v.message, "canceling statement due to statement timeout");
    }
}
END_TEST

START_TEST(a_signal_and_a_timeout_race_without_losing_either)
{
    /* The signal is consumed exactly once, by the wait or by the next one. */
    struct luma_event e;
    memset(&e, 0, sizeof(e));
    struct lk_rand r;
    lk_rand_init(&r, 3);
    for (int i = 0; i < 200; i++) {
        luma_rc rc = sched->wait(NULL, &e, sched->now_ns() + lk_rand_below(&r, 50000));
        ck_assert_int_eq(rc, LUMA_E_TIMEOUT);
        sched->signal(&e);
        ck_assert_int_eq(sched->wait(NULL, &e, sched->now_ns() + 1), LUMA_OK);
    }
}
END_TEST

/* --- timers --- */

struct sleeper {
    struct luma_event *done;
    uint64_t sleep_ns, took_ns;
};

static void
sleeper_run(void *arg)
{
    struct sleeper *s = arg;
    uint64_t before = sched->now_ns();
    if (sched->sleep(NULL, s->sleep_ns) != LUMA_OK)
        abort();
    s->took_ns = sched->now_ns() - before;
    sched->signal(s->done);
}

START_TEST(sleepers_wake_after_their_time_in_any_order)
{
    struct luma_event done;
    memset(&done, 0, sizeof(done));
    static struct sleeper s[300];
    struct lk_rand r;
    lk_rand_init(&r, 11);
    for (size_t i = 0; i < LUMA_COUNTOF(s); i++) {
        s[i] = (struct sleeper){.done = &done, .sleep_ns = lk_rand_below(&r, 60000000)};
        ck_assert_int_eq(
            i % 2 == 0
                ? sched->spawn("s", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, sleeper_run, &s[i])
                : lk_sched_spawn_on_loop((uint32_t)i, "s", LUMA_STACK_SMALL, sleeper_run, &s[i]),
            0);
    }
    for (size_t i = 0; i < LUMA_COUNTOF(s); i++)
        wait_for(&done);
    for (size_t i = 0; i < LUMA_COUNTOF(s); i++)
        ck_assert_uint_ge(s[i].took_ns, s[i].sleep_ns);
}
END_TEST

/* --- parallel --- */

struct sums {
    _Atomic uint64_t sum;
    uint32_t fails_at;
    struct luma_event done;
    luma_rc rc;
    char message[1024], detail[50];
    uint32_t parts;
};

static luma_rc
sums_part(void *arg, uint32_t part, struct luma_ctx *ctx)
{
    struct sums *s = arg;
    LUMA_TRY(sched->yield(ctx));
    if (luma_arena_alloc(ctx->arena, 100) == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory");
    if (part == s->fails_at) {
        luma_rc rc = LUMA_FAIL(ctx, LUMA_E_RANGE, "part %u does not fit", part);
        ctx->error->detail = luma_arena_text(ctx->arena, "detail", 6);
        return rc;
    }
    if (s->fails_at != UINT32_MAX && part > s->fails_at)
        LUMA_TRY(sched->sleep(ctx, 50000000000u)); /* until cancelled */
    atomic_fetch_add(&s->sum, part);
    return LUMA_OK;
}

static void
sums_run(void *arg)
{
    struct sums *s = arg;
    struct lk_ctx c;
    struct luma_arena *arena = lk_arena_create(NULL, 0);
    lk_ctx_init(&c, arena);
    s->rc = sched->parallel(&c.ctx, s->parts, sums_part, s);
    snprintf(s->message, sizeof(s->message), "%s", c.error.message);
    snprintf(s->detail, sizeof(s->detail), "%s", c.error.detail == NULL ? "" : c.error.detail);
    lk_arena_destroy(arena);
    sched->signal(&s->done);
}

START_TEST(parallel_runs_every_part_once)
{
    for (uint32_t parts = 0; parts < 200; parts += 7) {
        struct sums s;
        memset(&s, 0, sizeof(s));
        s.fails_at = UINT32_MAX;
        s.parts = parts;
        ck_assert_int_eq(parts % 2 == 0
                             ? sched->spawn("p", LUMA_PRIO_NORMAL, LUMA_STACK_NORMAL, sums_run, &s)
                             : lk_sched_spawn_on_loop(0, "p", LUMA_STACK_NORMAL, sums_run, &s),
                         0);
        wait_for(&s.done);
        ck_assert_int_eq(s.rc, LUMA_OK);
        ck_assert_uint_eq(atomic_load(&s.sum), (uint64_t)parts * (parts == 0 ? 0 : parts - 1) / 2);
    }
}
END_TEST

START_TEST(the_first_failing_part_cancels_the_rest_and_is_reported)
{
    struct sums s;
    memset(&s, 0, sizeof(s));
    s.fails_at = 3;
    s.parts = 50;
    ck_assert_int_eq(sched->spawn("p", LUMA_PRIO_NORMAL, LUMA_STACK_NORMAL, sums_run, &s), 0);
    wait_for(&s.done);
    ck_assert_int_eq(s.rc, LUMA_E_RANGE);
    ck_assert_str_eq(s.message, "part 3 does not fit");
    ck_assert_str_eq(s.detail, "detail");
}
END_TEST

/* --- moving, blocking, other stacks, locks --- */

struct mover {
    struct luma_event done;
    pid_t home, away, back;
};

static void
mover_run(void *arg)
{
    struct mover *m = arg;
    m->home = gettid();
    uint64_t end = sched->now_ns() + 2000000;
    while (sched->now_ns() < end)
        if (sched->yield(NULL) != LUMA_OK)
            abort();
    m->away = gettid();
    lk_sched_to_loop();
    m->back = gettid();
    sched->signal(&m->done);
}

START_TEST(a_long_task_leaves_its_loop_and_finds_back)
{
    struct mover m;
    memset(&m, 0, sizeof(m));
    ck_assert_int_eq(lk_sched_spawn_on_loop(1, "m", LUMA_STACK_SMALL, mover_run, &m), 0);
    wait_for(&m.done);
    ck_assert_int_ne(m.home, m.away);
    ck_assert_int_eq(m.home, m.back);
}
END_TEST

struct blocker {
    struct luma_event done;
    pid_t task_thread, call_thread;
    luma_rc rc;
};

static luma_rc
blocker_call(void *arg)
{
    struct blocker *b = arg;
    b->call_thread = gettid();
    usleep(3000);
    return LUMA_E_DATA;
}

static void
blocker_run(void *arg)
{
    struct blocker *b = arg;
    b->task_thread = gettid();
    b->rc = sched->blocking(NULL, blocker_call, b);
    sched->signal(&b->done);
}

START_TEST(blocking_calls_run_elsewhere_and_give_their_code_back)
{
    static struct blocker b[40];
    memset(b, 0, sizeof(b));
    for (size_t i = 0; i < LUMA_COUNTOF(b); i++)
        ck_assert_int_eq(
            lk_sched_spawn_on_loop((uint32_t)i, "b", LUMA_STACK_SMALL, blocker_run, &b[i]), 0);
    for (size_t i = 0; i < LUMA_COUNTOF(b); i++) {
        wait_for(&b[i].done);
        ck_assert_int_eq(b[i].rc, LUMA_E_DATA);
        ck_assert_int_ne(b[i].task_thread, b[i].call_thread);
    }
}
END_TEST

struct deep {
    struct luma_event done;
    uint64_t levels, reached;
};

static uint64_t
deep_down(uint64_t levels)
{
    volatile char room[4096];
    room[0] = (char)levels;
    room[4095] = 1;
    return levels == 0 ? 0 : 1 + deep_down(levels - 1) + (uint64_t)(room[4095] - 1);
}

static void
deep_call(void *arg)
{
    struct deep *d = arg;
    d->reached = deep_down(d->levels);
}

static void
deep_run(void *arg)
{
    struct deep *d = arg;
    sched->on_stack(LUMA_STACK_PARSER, deep_call, d);
    sched->signal(&d->done);
}

START_TEST(the_parser_stack_carries_deep_recursion)
{
    struct deep d;
    memset(&d, 0, sizeof(d));
    d.levels = 10000; /* 40 MB */
    for (int i = 0; i < 3; i++) {
        d.reached = 0;
        ck_assert_int_eq(sched->spawn("deep", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, deep_run, &d), 0);
        wait_for(&d.done);
        ck_assert_uint_eq(d.reached, d.levels);
    }
    d.reached = 0;
    sched->on_stack(LUMA_STACK_PARSER, deep_call, &d); /* no task needed */
    ck_assert_uint_eq(d.reached, d.levels);
}
END_TEST

struct locked {
    struct luma_event mutex, done;
    uint64_t count; /* under the mutex */
    bool inside;
};

static void
locked_run(void *arg)
{
    struct locked *l = arg;
    for (int i = 0; i < 300; i++) {
        if (sched->mutex_lock(NULL, &l->mutex) != LUMA_OK)
            abort();
        if (l->inside)
            abort();
        l->inside = true;
        l->count++;
        if (i % 50 == 0)
            (void)sched->sleep(NULL, 1000);
        l->inside = false;
        sched->mutex_unlock(&l->mutex);
    }
    sched->signal(&l->done);
}

START_TEST(the_mutex_excludes_across_threads_and_parks)
{
    struct locked l;
    memset(&l, 0, sizeof(l));
    for (uint32_t i = 0; i < 20; i++)
        ck_assert_int_eq(i % 2 == 0
                             ? sched->spawn("l", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, locked_run, &l)
                             : lk_sched_spawn_on_loop(i, "l", LUMA_STACK_SMALL, locked_run, &l),
                         0);
    for (int i = 0; i < 20; i++)
        wait_for(&l.done);
    ck_assert_uint_eq(l.count, 20 * 300);
}
END_TEST

struct order {
    struct luma_event done, hog_started;
    _Atomic bool stop;
    _Atomic int ran;
};

static void
background_hog(void *arg)
{
    struct order *o = arg;
    sched->signal(&o->hog_started);
    while (!atomic_load(&o->stop))
        (void)sched->yield(NULL);
    sched->signal(&o->done);
}

static void
foreground(void *arg)
{
    struct order *o = arg;
    atomic_fetch_add(&o->ran, 1);
    sched->signal(&o->done);
}

START_TEST(background_work_makes_way)
{
    struct order o;
    memset(&o, 0, sizeof(o));
    for (int i = 0; i < 6; i++) /* more than there are workers */
        ck_assert_int_eq(
            sched->spawn("hog", LUMA_PRIO_BACKGROUND, LUMA_STACK_SMALL, background_hog, &o), 0);
    wait_for(&o.hog_started);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(
            sched->spawn("fg", LUMA_PRIO_INTERACTIVE, LUMA_STACK_SMALL, foreground, &o), 0);
        wait_for(&o.done);
    }
    ck_assert_int_eq(atomic_load(&o.ran), 100);
    atomic_store(&o.stop, true);
    for (int i = 0; i < 6; i++)
        wait_for(&o.done);
}
END_TEST

static void
overflow_run(void *arg)
{
    struct deep *d = arg;
    d->reached = deep_down(UINT64_MAX / 2);
}

#if !LK_ASAN && !defined(__SANITIZE_THREAD__)
START_TEST(a_stack_overflow_is_named_before_the_end)
{
    int err[2];
    ck_assert_int_eq(pipe(err), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(err[1], STDERR_FILENO);
        signal(SIGSEGV, SIG_DFL);
        start();
        struct deep d = {{{0}}, 0, 0};
        if (sched->spawn("bottomless", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, overflow_run, &d) == 0)
            sleep(10);
        _exit(0);
    }
    close(err[1]);
    char text[500] = "";
    size_t at = 0;
    for (ssize_t n; (n = read(err[0], text + at, sizeof(text) - 1 - at)) > 0;)
        at += (size_t)n;
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_ptr_nonnull(strstr(text, "stack overflow in task bottomless"));
    close(err[0]);
}
END_TEST
#endif

START_TEST(the_scheduler_starts_again_after_a_stop)
{
    for (int i = 0; i < 5; i++) {
        stop();
        start();
        struct pair p = {.rounds = 10};
        ck_assert_int_eq(sched->spawn("a", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, pinger, &p), 0);
        ck_assert_int_eq(sched->spawn("b", LUMA_PRIO_NORMAL, LUMA_STACK_SMALL, ponger, &p), 0);
        wait_for(&p.done);
        wait_for(&p.done);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("sched");
    TCase *tc = tcase_create("tasks");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, tasks_play_ping_pong_on_workers_and_loops);
    tcase_add_test(tc, ten_thousand_tasks_wait_on_no_thread);
    tcase_add_test(tc, cancel_wakes_a_waiter_and_says_why);
    tcase_add_test(tc, the_deadline_of_a_cancel_token_ends_waiting_and_work);
    tcase_add_test(tc, a_signal_and_a_timeout_race_without_losing_either);
    tcase_add_test(tc, sleepers_wake_after_their_time_in_any_order);
    tcase_add_test(tc, parallel_runs_every_part_once);
    tcase_add_test(tc, the_first_failing_part_cancels_the_rest_and_is_reported);
    tcase_add_test(tc, a_long_task_leaves_its_loop_and_finds_back);
    tcase_add_test(tc, blocking_calls_run_elsewhere_and_give_their_code_back);
    tcase_add_test(tc, the_parser_stack_carries_deep_recursion);
    tcase_add_test(tc, the_mutex_excludes_across_threads_and_parks);
    tcase_add_test(tc, background_work_makes_way);
    tcase_add_test(tc, the_scheduler_starts_again_after_a_stop);
    suite_add_tcase(suite, tc);
    TCase *alone = tcase_create("alone");
    (void)overflow_run;
#if !LK_ASAN && !defined(__SANITIZE_THREAD__)
    tcase_add_test(alone, a_stack_overflow_is_named_before_the_end);
#endif
    suite_add_tcase(suite, alone);
    return test_run_suite(suite);
}
