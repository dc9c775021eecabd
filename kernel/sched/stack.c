/*
 * stack.c - stacks for tasks, in three sizes.
 *
 * A stack is a private mapping with an untouched guard page below it; pages it never reaches cost
 * nothing. Stacks that come back are kept for the next task, the newest first since its pages are
 * warm. A fault in a guard page is a stack overflow: the handler says so by name and lets the
 * process end, for there is no stack to go on with.
 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/sched_priv.h"

#define GUARD_BYTES 16384

static const size_t class_bytes[] = {
    [LUMA_STACK_SMALL] = (size_t)64 << 10,
    [LUMA_STACK_NORMAL] = (size_t)512 << 10,
    [LUMA_STACK_PARSER] = (size_t)256 << 20,
};
/* Kept for reuse; the rest goes back to the system. */
static const uint32_t class_kept[] = {
    [LUMA_STACK_SMALL] = 256,
    [LUMA_STACK_NORMAL] = 256,
    [LUMA_STACK_PARSER] = 8,
};

static struct {
    struct lki_spin lock;
    struct lki_stack *free;
    uint32_t count;
} pools[LUMA_COUNTOF(class_bytes)];

static struct lki_stack *stack_map(enum luma_stack_class class)
{
    size_t bytes = class_bytes[class];
#if LK_ASAN || LKI_TSAN
    if (class != LUMA_STACK_PARSER)
        bytes *= 4; /* their frames are larger */
#endif
    uint8_t *base = mmap(NULL, GUARD_BYTES + bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base, GUARD_BYTES, PROT_NONE) != 0) {
        munmap(base, GUARD_BYTES + bytes);
        return NULL;
    }
    if (class == LUMA_STACK_PARSER)
        (void)madvise(base + GUARD_BYTES, bytes, MADV_NOHUGEPAGE);
    /* Its own record lies at its top, where the first page is touched anyway. */
    struct lki_stack *stack = (struct lki_stack *)(void *)(base + GUARD_BYTES + bytes - 64);
    stack->next = NULL;
    stack->bottom = base + GUARD_BYTES;
    stack->bytes = bytes;
    stack->class = (uint8_t) class;
    return stack;
}

static void
stack_unmap(struct lki_stack *stack)
{
    munmap(stack->bottom - GUARD_BYTES, GUARD_BYTES + stack->bytes);
}

struct lki_stack *lki_stack_take(enum luma_stack_class class)
{
    LK_ASSERT((size_t) class < LUMA_COUNTOF(class_bytes));
    lki_spin_lock(&pools[class].lock);
    struct lki_stack *stack = pools[class].free;
    if (stack != NULL) {
        pools[class].free = stack->next;
        pools[class].count--;
    }
    lki_spin_unlock(&pools[class].lock);
    return stack != NULL ? stack : stack_map(class);
}

#define TRIM_EVERY 32

/* A parser stack that went deep holds memory nobody else needs. Asking costs a system call: now and
 * then is enough. */
static void
stack_trim(struct lki_stack *stack)
{
    size_t keep = (size_t)256 << 10;
    if (stack->bytes <= 2 * keep || ++stack->uses % TRIM_EVERY != 0)
        return;
    unsigned char resident = 0;
    uint8_t *edge = stack->bottom + stack->bytes - keep;
    edge = (uint8_t *)((uintptr_t)edge & ~(uintptr_t)4095);
    if (mincore(edge, 1, &resident) != 0 || (resident & 1) != 0)
        (void)madvise(stack->bottom, (size_t)(edge + 4096 - stack->bottom), MADV_DONTNEED);
}

void
lki_stack_give(struct lki_stack *stack)
{
    stack_trim(stack);
    uint8_t class = stack->class;
    lki_spin_lock(&pools[class].lock);
    bool keep = pools[class].count < class_kept[class];
    if (keep) {
        stack->next = pools[class].free;
        pools[class].free = stack;
        pools[class].count++;
    }
    lki_spin_unlock(&pools[class].lock);
    if (!keep)
        stack_unmap(stack);
}

void
lki_stack_pool_drain(void)
{
    for (size_t class = 0; class < LUMA_COUNTOF(class_bytes); class ++) {
        lki_spin_lock(&pools[class].lock);
        struct lki_stack *stack = pools[class].free;
        pools[class].free = NULL;
        pools[class].count = 0;
        lki_spin_unlock(&pools[class].lock);
        while (stack != NULL) {
            struct lki_stack *next = stack->next;
            stack_unmap(stack);
            stack = next;
        }
    }
}

/* --- the guard's message --- */

#define WATCH_STACK_BYTES 16384

static struct sigaction watch_before[2];

static void
watch_say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

static void
watch_fault(int sig, siginfo_t *info, void *ucontext)
{
    (void)ucontext;
    struct luma_task *task = lki_current();
    const uint8_t *at = info->si_addr;
    if (task != NULL && task->stack != NULL && at < task->stack->bottom &&
        at >= task->stack->bottom - GUARD_BYTES) {
        watch_say("lumadb: stack overflow in task ");
        watch_say(task->name);
        watch_say("\n");
    }
    /* The instruction runs again and now does what it would have done without us. */
    sigaction(sig, &watch_before[sig == SIGBUS], NULL);
}

void
lki_stack_watch_start(void)
{
#if !LK_ASAN && !LKI_TSAN /* they bring a handler of their own that says more */
    struct sigaction sa;
    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = watch_fault;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &sa, &watch_before[0]);
    sigaction(SIGBUS, &sa, &watch_before[1]);
#else
    (void)watch_fault;
#endif
}

void
lki_stack_watch_thread(void)
{
#if !LK_ASAN && !LKI_TSAN
    void *place =
        mmap(NULL, WATCH_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
        return;
    stack_t ss = {.ss_sp = place, .ss_size = WATCH_STACK_BYTES};
    sigaltstack(&ss, NULL);
#endif
}

void
lki_stack_unwatch_thread(void)
{
#if !LK_ASAN && !LKI_TSAN
    stack_t off = {.ss_flags = SS_DISABLE}, old;
    memset(&old, 0, sizeof(old));
    if (sigaltstack(&off, &old) == 0 && old.ss_sp != NULL)
        munmap(old.ss_sp, WATCH_STACK_BYTES);
#endif
}

/* --- a call on another stack --- */

struct side_call {
    struct lki_context here, there;
    void (*fn)(void *arg);
    void *arg;
};

static void
side_entry(void *arg)
{
    struct side_call *call = arg;
    lki_context_entered(&call->there);
    call->fn(call->arg);
    lki_context_leave(&call->there, &call->here);
}

void
lki_on_stack(enum luma_stack_class class, void (*fn)(void *arg), void *arg)
{
    struct lki_stack *stack = lki_stack_take(class);
    if (stack == NULL) {
        lk_log_error("sched", "no memory for a stack: %zu bytes", class_bytes[class]);
        fn(arg); /* on the stack we have: better than not at all */
        return;
    }
    struct luma_task *task = lki_current();
    struct side_call call = {.fn = fn, .arg = arg};
    struct lki_stack *own = NULL;
    if (task != NULL) { /* the guard's message looks at the stack in use */
        own = task->stack;
        task->stack = stack;
        call.here = task->context;
    } else {
        lki_context_of_thread(&call.here);
    }
    /* The record lies at the top of the mapping: stay below it. */
    lki_context_make(&call.there, stack->bottom, stack->bytes - 64, side_entry, &call);
    lki_context_switch(&call.here, &call.there);
    lki_context_drop(&call.there);
    if (task != NULL)
        task->stack = own;
    lki_stack_give(stack);
}
