/*
 * context.c - switching between stacks.
 *
 * A switch saves the registers a function must keep for its caller, and nothing else: the
 * floating-point control words are never changed by the server's code. About 2 ns; ucontext makes
 * a system call for the signal mask and costs a hundred times that, and stays for machines without
 * an assembler version (or with LKI_UCONTEXT, to try it).
 */
#include "sched/sched_priv.h"

#if LK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if LKI_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(LKI_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define LKI_UCONTEXT 1
#endif
#ifndef LKI_UCONTEXT
#define LKI_UCONTEXT 0
#endif

/* Saves where we are in *save_sp and goes on at to_sp. */
void lki_stack_switch(void **save_sp, void *to_sp);

#if LKI_UCONTEXT
#include <ucontext.h>

void
lki_stack_switch(void **save_sp, void *to_sp)
{
    ucontext_t here;
    *save_sp = &here;
    swapcontext(&here, to_sp);
}

static void
context_start(unsigned entry_hi, unsigned entry_lo, unsigned arg_hi, unsigned arg_lo)
{
    uintptr_t entry = ((uintptr_t)entry_hi << 32) | entry_lo;
    uintptr_t arg = ((uintptr_t)arg_hi << 32) | arg_lo;
    ((void (*)(void *))entry)((void *)arg);
}

static void *
context_prepare(uint8_t *bottom, size_t bytes, void (*entry)(void *arg), void *arg)
{
    size_t head = (sizeof(ucontext_t) + 63) & ~(size_t)63;
    ucontext_t *uc = (ucontext_t *)(void *)(bottom + bytes - head);
    getcontext(uc);
    uc->uc_stack.ss_sp = bottom;
    uc->uc_stack.ss_size = bytes - head;
    uc->uc_link = NULL;
    makecontext(uc, (void (*)(void))(void *)context_start, 4, (unsigned)((uintptr_t)entry >> 32),
                (unsigned)(uintptr_t)entry, (unsigned)((uintptr_t)arg >> 32),
                (unsigned)(uintptr_t)arg);
    return uc;
}

#elif defined(__x86_64__)

__asm__(".text\n"
        ".globl lki_stack_switch\n"
        ".hidden lki_stack_switch\n"
        ".type lki_stack_switch, @function\n"
        ".p2align 4\n"
        "lki_stack_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    jmp *%rcx\n"
        ".size lki_stack_switch, . - lki_stack_switch\n"
        ".globl lki_stack_start\n"
        ".hidden lki_stack_start\n"
        ".type lki_stack_start, @function\n"
        "lki_stack_start:\n" /* r12 is the function, r13 its argument; nobody to return to */
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size lki_stack_start, . - lki_stack_start\n");

void lki_stack_start(void);

static void *
context_prepare(uint8_t *bottom, size_t bytes, void (*entry)(void *arg), void *arg)
{
    uint64_t *sp = (uint64_t *)(void *)(bottom + bytes - 64);
    *--sp = 0; /* two: the stack is aligned to 16 where a call is made */
    *--sp = 0;
    *--sp = (uint64_t)(uintptr_t)lki_stack_start; /* popped last: where the switch jumps to */
    *--sp = 0;                                    /* rbp */
    *--sp = 0;                                    /* rbx */
    *--sp = (uint64_t)(uintptr_t)entry;           /* r12 */
    *--sp = (uint64_t)(uintptr_t)arg;             /* r13 */
    *--sp = 0;                                    /* r14 */
    *--sp = 0;                                    /* r15 */
    return sp;
}

#else /* aarch64 */

__asm__(".text\n"
        ".globl lki_stack_switch\n"
        ".hidden lki_stack_switch\n"
        ".type lki_stack_switch, %function\n"
        ".p2align 4\n"
        "lki_stack_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    br x30\n"
        ".size lki_stack_switch, . - lki_stack_switch\n"
        ".globl lki_stack_start\n"
        ".hidden lki_stack_start\n"
        ".type lki_stack_start, %function\n"
        "lki_stack_start:\n" /* x19 is the function, x20 its argument */
        "    mov x29, xzr\n"
        "    mov x30, xzr\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #1\n"
        ".size lki_stack_start, . - lki_stack_start\n");

void lki_stack_start(void);

static void *
context_prepare(uint8_t *bottom, size_t bytes, void (*entry)(void *arg), void *arg)
{
    uint64_t *sp = (uint64_t *)(void *)(bottom + bytes - 64) - 20;
    memset(sp, 0, 160);
    sp[0] = (uint64_t)(uintptr_t)entry;
    sp[1] = (uint64_t)(uintptr_t)arg;
    sp[11] = (uint64_t)(uintptr_t)lki_stack_start;
    return sp;
}

#endif

void
lki_context_of_thread(struct lki_context *context)
{
    memset(context, 0, sizeof(*context));
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        void *bottom = NULL;
        size_t bytes = 0;
        pthread_attr_getstack(&attr, &bottom, &bytes);
        context->bottom = bottom;
        context->bytes = bytes;
        pthread_attr_destroy(&attr);
    }
#if LKI_TSAN
    context->tsan = __tsan_get_current_fiber();
#endif
}

void
lki_context_make(struct lki_context *context, void *bottom, size_t bytes, void (*entry)(void *arg),
                 void *arg)
{
    context->bottom = bottom;
    context->bytes = bytes;
    context->fake = NULL;
    context->sp = context_prepare(bottom, bytes, entry, arg);
#if LKI_TSAN
    context->tsan = __tsan_create_fiber(0);
#endif
}

void
lki_context_drop(struct lki_context *context)
{
#if LKI_TSAN
    if (context->tsan != NULL)
        __tsan_destroy_fiber(context->tsan);
    context->tsan = NULL;
#endif
#if LK_ASAN
    /* Frames that were left without returning have poisoned it. */
    __asan_unpoison_memory_region(context->bottom, context->bytes);
#endif
    context->sp = NULL;
}

void
lki_context_switch(struct lki_context *from, struct lki_context *to)
{
#if LK_ASAN
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->bytes);
#endif
#if LKI_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    lki_stack_switch(&from->sp, to->sp);
    lki_context_entered(from);
}

void
lki_context_leave(struct lki_context *from, struct lki_context *to)
{
#if LK_ASAN
    __sanitizer_start_switch_fiber(NULL, to->bottom, to->bytes);
#endif
#if LKI_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    lki_stack_switch(&from->sp, to->sp);
    __builtin_unreachable();
}

void
lki_context_entered(struct lki_context *context)
{
#if LK_ASAN
    __sanitizer_finish_switch_fiber(context->fake, NULL, NULL);
#else
    (void)context;
#endif
}
