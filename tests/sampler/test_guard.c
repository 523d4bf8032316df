/* The guarded read: our faults end the read, others' reach their own handler. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sampler/guard.h"

static struct flame_guard guard;
static struct flame_guard *const guards[] = {&guard};

/* Reads one byte; -1 if it faults. */
static int guarded_read(const volatile char *address)
{
    int result = -1;

    if (flame_guard_enter_sigsafe(&guard)) {
        int value = (unsigned char)*address;
        flame_guard_leave_sigsafe(&guard);
        return value;
    }
    return result;
}

static char *unreadable_page(void)
{
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(page, MAP_FAILED);
    return page;
}

static void faults_end_the_read_again_and_again(void **state)
{
    char *page = unreadable_page();
    char readable = 42;

    (void)state;
    assert_int_equal(flame_guard_install(guards, 1), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(guarded_read(page), -1);
        assert_int_equal(guarded_read(&readable), 42);
        assert_false(atomic_load(&guard.armed));
    }
    flame_guard_remove();
    munmap(page, 4096);
}

static void handlers_are_put_back(void **state)
{
    struct sigaction before[2];
    struct sigaction after[2];

    (void)state;
    sigaction(SIGSEGV, NULL, &before[0]);
    sigaction(SIGBUS, NULL, &before[1]);
    flame_guard_install(guards, 1);
    flame_guard_install(guards, 1);
    flame_guard_remove();
    sigaction(SIGSEGV, NULL, &after[0]);
    sigaction(SIGBUS, NULL, &after[1]);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(before[i].sa_sigaction, after[i].sa_sigaction);
        assert_int_equal(before[i].sa_flags, after[i].sa_flags);
    }
}

static void exit_with_seven(int number)
{
    (void)number;
    _exit(7);
}

static void read_without_guard(const volatile char *address)
{
    (void)*address;
}

/* What a child ends with when it faults outside any guard. */
static int fate_of_a_foreign_fault(void (*handler)(int))
{
    char *page = unreadable_page();
    pid_t child = fork();

    if (child == 0) {
        struct sigaction action = {.sa_handler = handler};
        sigaction(SIGSEGV, &action, NULL);
        flame_guard_install(guards, 1);
        read_without_guard(page);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    munmap(page, 4096);
    return status;
}

static void foreign_faults_reach_the_handler_before(void **state)
{
    (void)state;
    int status = fate_of_a_foreign_fault(exit_with_seven);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void foreign_faults_still_kill_by_default(void **state)
{
    (void)state;
    int status = fate_of_a_foreign_fault(SIG_DFL);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static struct sigaction before_the_later;

/* As Python's faulthandler does it. */
static void tells_and_raises_again(int number)
{
    (void)!write(STDOUT_FILENO, "told\n", 5);
    sigaction(number, &before_the_later, NULL);
    raise(number);
}

/* What a child that faults writes, which has such a handler over ours. */
static ssize_t told_by_a_later_handler(bool over_it_again, char *out, size_t size)
{
    char *page = unreadable_page();
    int ends[2];
    int status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_handler = tells_and_raises_again,
                                   .sa_flags = SA_NODEFER};
        dup2(ends[1], STDOUT_FILENO);
        signal(SIGSEGV, SIG_DFL);
        flame_guard_install(guards, 1);
        sigaction(SIGSEGV, &action, &before_the_later);
        flame_guard_install(guards, 1);
        if (!over_it_again) {
            flame_guard_remove();
        }
        read_without_guard(page);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    ssize_t length = read(ends[0], out, size);
    close(ends[0]);
    munmap(page, 4096);
    return length;
}

static void a_handler_that_raises_again_is_asked_once(void **state)
{
    char told[64];

    (void)state;
    assert_int_equal(told_by_a_later_handler(true, told, sizeof told), 5);
    assert_int_equal(told_by_a_later_handler(false, told, sizeof told), 5);
}

static void a_later_handler_is_left_alone(void **state)
{
    struct sigaction later = {.sa_handler = exit_with_seven};
    struct sigaction before;
    struct sigaction now;

    (void)state;
    sigaction(SIGSEGV, NULL, &before);
    flame_guard_install(guards, 1);
    sigaction(SIGSEGV, &later, NULL);
    flame_guard_remove();
    sigaction(SIGSEGV, NULL, &now);
    assert_ptr_equal(now.sa_handler, exit_with_seven);
    sigaction(SIGSEGV, &before, NULL);
}

/* ---- handlers that come and go while reads go on ------------------------------ */

/* What a child ends with; it exits with what it returns, or takes too long. */
static int fate_of(int (*child_does)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        alarm(20);
        _exit(child_does());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Each read that faults would end the process: none begins. */
static int reads_without_handlers(void)
{
    const int numbers[] = {SIGSEGV, SIGBUS};
    char *page = unreadable_page();
    char readable = 42;

    for (int i = 0; i < 2; i++) {
        flame_guard_install(guards, 1);
        if (guarded_read(&readable) != 42 || flame_guard_is_displaced()) {
            return 1;
        }
        signal(numbers[i], i == 0 ? SIG_DFL : exit_with_seven);
        if (guarded_read(page) != -1 || guarded_read(&readable) != -1 ||
            atomic_load(&guard.armed) || !flame_guard_is_displaced()) {
            return 2;
        }
        flame_guard_install(guards, 1);
        if (guarded_read(page) != -1 || guarded_read(&readable) != 42 ||
            flame_guard_is_displaced()) {
            return 3;
        }
    }
    return 0;
}

static void no_read_begins_without_our_handlers(void **state)
{
    (void)state;
    int status = fate_of(reads_without_handlers);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static volatile bool switched_on;
static struct sigaction before_the_switched;

/* As faulthandler's after faulthandler.disable(), where it is still called. */
static void returns_if_off(int number)
{
    if (switched_on) {
        tells_and_raises_again(number);
    }
}

static void switch_on(void)
{
    struct sigaction action = {.sa_handler = returns_if_off, .sa_flags = SA_NODEFER};

    sigaction(SIGSEGV, &action, &before_the_switched);
    before_the_later = before_the_switched;
    switched_on = true;
}

static void switch_off(void)
{
    switched_on = false;
    sigaction(SIGSEGV, &before_the_switched, NULL);
}

static int crashes(void)
{
    read_without_guard(unreadable_page());
    return 0;
}

/* It came before us, and took us away with itself. */
static int switched_off_below(void)
{
    signal(SIGSEGV, SIG_DFL);
    switch_on();
    flame_guard_install(guards, 1);
    switch_off();
    flame_guard_install(guards, 1);
    return crashes();
}

/* It came after us, we over it, and it put us back. */
static int switched_off_between(void)
{
    signal(SIGSEGV, SIG_DFL);
    flame_guard_install(guards, 1);
    switch_on();
    flame_guard_install(guards, 1);
    switch_off();
    return crashes();
}

/* And is switched on again: it tells, once. */
static int switched_on_again(void)
{
    char told[64];
    int ends[2];

    if (pipe(ends) != 0) {
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        dup2(ends[1], STDOUT_FILENO);
        signal(SIGSEGV, SIG_DFL);
        switch_on();
        flame_guard_install(guards, 1);
        switch_off();
        flame_guard_install(guards, 1);
        switch_on();
        flame_guard_install(guards, 1);
        _exit(crashes());
    }
    close(ends[1]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV &&
                   read(ends[0], told, sizeof told) == 5
               ? 0
               : 2;
}

static void a_handler_that_is_switched_off_hangs_nobody(void **state)
{
    int (*const orders[])(void) = {switched_off_below, switched_off_between};

    (void)state;
    for (int i = 0; i < 2; i++) {
        int status = fate_of(orders[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    }
    int status = fate_of(switched_on_again);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static struct sigaction below_the_chained;
static unsigned *calls_of_chained; /* shared with the child */

/* As another sampler's, which passes on what is not its. */
static void chained(int number, siginfo_t *info, void *context)
{
    ++*calls_of_chained;
    if (below_the_chained.sa_flags & SA_SIGINFO) {
        below_the_chained.sa_sigaction(number, info, context);
    } else {
        signal(number, SIG_DFL);
    }
}

/* It stands below ours and above, and each passes on to the other. */
static int handlers_in_a_circle(void)
{
    struct sigaction action = {.sa_sigaction = chained,
                               .sa_flags = SA_SIGINFO | SA_NODEFER};

    signal(SIGSEGV, SIG_DFL);
    sigaction(SIGSEGV, &action, &below_the_chained);
    for (int i = 0; i < 2; i++) {
        flame_guard_install(guards, 1);
        sigaction(SIGSEGV, &action, &below_the_chained);
    }
    flame_guard_install(guards, 1);
    return crashes();
}

static void a_circle_of_handlers_is_left(void **state)
{
    (void)state;
    calls_of_chained =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(calls_of_chained, MAP_FAILED);
    int status = fate_of(handlers_in_a_circle);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_in_range(*calls_of_chained, 1, 4);
    munmap(calls_of_chained, 4096);
}

static char *mended_page;
static volatile unsigned mended;

static void mends(int number)
{
    (void)number;
    mended++;
    mprotect(mended_page, 4096, PROT_READ | PROT_WRITE);
}

/* A collector's write barrier, say: the same fault again and again, which is no loop.
 */
static int faults_that_are_mended(void)
{
    struct sigaction action = {.sa_handler = mends, .sa_flags = SA_NODEFER};

    mended_page = unreadable_page();
    sigaction(SIGSEGV, &action, NULL);
    flame_guard_install(guards, 1);
    for (unsigned i = 0; i < 20000; i++) {
        mprotect(mended_page, 4096, PROT_NONE);
        read_without_guard(mended_page);
    }
    return mended == 20000 ? 0 : 1;
}

static void a_handler_that_mends_has_its_faults(void **state)
{
    (void)state;
    int status = fate_of(faults_that_are_mended);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_end_the_read_again_and_again),
        cmocka_unit_test(handlers_are_put_back),
        cmocka_unit_test(foreign_faults_reach_the_handler_before),
        cmocka_unit_test(foreign_faults_still_kill_by_default),
        cmocka_unit_test(a_handler_that_raises_again_is_asked_once),
        cmocka_unit_test(a_later_handler_is_left_alone),
        cmocka_unit_test(no_read_begins_without_our_handlers),
        cmocka_unit_test(a_handler_that_is_switched_off_hangs_nobody),
        cmocka_unit_test(a_circle_of_handlers_is_left),
        cmocka_unit_test(a_handler_that_mends_has_its_faults),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
