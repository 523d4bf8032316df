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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_end_the_read_again_and_again),
        cmocka_unit_test(handlers_are_put_back),
        cmocka_unit_test(foreign_faults_reach_the_handler_before),
        cmocka_unit_test(foreign_faults_still_kill_by_default),
        cmocka_unit_test(a_handler_that_raises_again_is_asked_once),
        cmocka_unit_test(a_later_handler_is_left_alone),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
