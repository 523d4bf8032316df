#include "middleware/module/deadly.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT};

#define COUNT (sizeof numbers / sizeof numbers[0])

void flame_deadly_install(void)
{
    /* Restarted: what the thread called goes on, until it ends with all others. */
    struct sigaction ours = {.sa_sigaction = flame_deadly_handler_sigsafe,
                             .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction before;

    flame_deadly_reset();
    if (getpid() == 1) {
        return;
    }
    sigemptyset(&ours.sa_mask);
    for (size_t i = 0; i < COUNT; i++) {
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL) {
            sigaction(numbers[i], &ours, NULL);
        }
    }
}

void flame_deadly_remove(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    struct sigaction now;

    sigemptyset(&usual.sa_mask);
    for (size_t i = 0; i < COUNT; i++) {
        if (sigaction(numbers[i], NULL, &now) == 0 &&
            now.sa_sigaction == flame_deadly_handler_sigsafe) {
            sigaction(numbers[i], &usual, NULL);
        }
    }
}

bool flame_deadly_over(void)
{
    return flame_deadly_say_sigsafe(FLAME_DEADLY_OVER);
}
