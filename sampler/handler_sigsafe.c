#include "sampler/sampler.h"
#include "sampler/session.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * SIGURG: its default is to be ignored, so one that is still on its way when
 * the process replaces itself by exec harms nobody, and nobody sends it but for
 * out-of-band data on sockets that asked. (SIGPROF and the real-time signals
 * end a process that has no handler for them.)
 */
#define SAMPLE_SIGNAL SIGURG

/* Whose turn it is to sample a session. */
enum turn {
    TURN_TICKER, /* no signal is on its way, or its answer is not wanted any more */
    TURN_ASKED,  /* the thread, as soon as the signal reaches it */
    TURN_THREAD, /* the thread, now */
};

/* By slot and close together: each signal looks through all of them. */
static _Atomic unsigned char turns[FLAME_SESSIONS_MAX];
static struct flame_session *sessions_known;
/* What stood when ours was installed last, and when it was first: in between somebody
 * may have come on top of ours, whose own "before" is ours. */
static struct sigaction handler_before;
static struct sigaction handler_below;
static bool installed;
static _Atomic(pthread_t) passing; /* the thread whose signal another handler has */
static siginfo_t question;         /* what goes with the signal */
_Atomic uint32_t flame_handler_bell;

int flame_handler_signal(void)
{
    return SAMPLE_SIGNAL;
}

static void take_own_sample(struct flame_session *session)
{
    uint64_t begun = flame_now_sigsafe();
    enum flame_walk walk = flame_walk_sigsafe(session, &session->guard);

    if (walk == FLAME_WALK_TORN) {
        flame_charge_nothing_sigsafe(session);
    } else {
        struct flame_moment moment = {
            .now_ns = begun,
            .cpu_ns = flame_cpu_now_sigsafe(CLOCK_THREAD_CPUTIME_ID),
            .state = FLAME_RUNNING};
        flame_charge_walked_sigsafe(session, walk, &moment);
    }
    session->quality.sampling_ns += flame_now_sigsafe() - begun;
}

static _Atomic unsigned char *turn_of(const struct flame_session *session)
{
    return &turns[session - sessions_known];
}

static bool pass_turn(_Atomic unsigned char *turn, unsigned char from, unsigned char to)
{
    return atomic_compare_exchange_strong(turn, &from, to);
}

/* True if it is of a timer that flame_handler_timer() described. */
static bool is_the_bell(const siginfo_t *info)
{
    return info->si_code == SI_TIMER && info->si_value.sival_ptr == turns;
}

/* True if the signal is one that flame_handler_ask() sent. */
static bool is_ours(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_value.sival_ptr == turns;
}

/* Not ours: as if ours had never been installed. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    pthread_t self = pthread_self();
    bool again = pthread_equal(atomic_load(&passing), self);
    const struct sigaction *next = again ? &handler_below : &handler_before;

    atomic_store(&passing, self);
    if (next->sa_flags & SA_SIGINFO) {
        next->sa_sigaction(number, info, context);
    } else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) {
        next->sa_handler(number);
    }
    atomic_store(&passing, (pthread_t)0);
}

/*
 * Several sessions may watch one thread (a profile inside another), and a
 * signal of somebody else's may have swallowed ours on its way: so whoever
 * asked for a sample of this thread gets it, whatever brought us here. One that is
 * parked keeps its turn: who parks it takes that back, and knows that a sample was due.
 */
static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    pthread_t self = pthread_self();

    if (is_the_bell(info)) {
        atomic_store(&flame_handler_bell, 1);
        return;
    }
    for (size_t i = 0; i < FLAME_SESSIONS_MAX; i++) {
        struct flame_session *session = &sessions_known[i];
        if (atomic_load_explicit(&turns[i], memory_order_acquire) != TURN_ASKED ||
            !pthread_equal(session->thread, self) ||
            !atomic_load_explicit(&session->active, memory_order_acquire) ||
            atomic_load_explicit(&session->parked, memory_order_acquire) ||
            !pass_turn(&turns[i], TURN_ASKED, TURN_THREAD)) {
            continue;
        }
        take_own_sample(session);
        atomic_store_explicit(&turns[i], TURN_TICKER, memory_order_release);
    }
    errno = saved;
    if (!is_ours(info)) {
        pass_on(number, info, context);
    }
}

#ifndef sigev_notify_thread_id /* glibc has it since 2.38 */
#define sigev_notify_thread_id _sigev_un._tid
#endif

void flame_handler_timer(struct sigevent *event)
{
    *event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID,
                               .sigev_signo = SAMPLE_SIGNAL,
                               .sigev_value = {.sival_ptr = turns}};
    event->sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
}

/*
 * Whatever a thread begins until the signal has reached it, it cuts short: nothing is
 * done between the decision to ask and the system call. Where a filter refuses that
 * one, the other is what raise() uses.
 */
bool flame_handler_ask(const struct flame_session *session)
{
    atomic_store_explicit(turn_of(session), TURN_ASKED, memory_order_release);
    if (syscall(SYS_rt_tgsigqueueinfo, question.si_pid, session->tid, SAMPLE_SIGNAL,
                &question) == 0 ||
        (errno != ESRCH &&
         syscall(SYS_tgkill, question.si_pid, session->tid, SAMPLE_SIGNAL) == 0)) {
        return true;
    }
    atomic_store(turn_of(session), TURN_TICKER);
    return false;
}

bool flame_handler_is_asked(const struct flame_session *session)
{
    return atomic_load_explicit(turn_of(session), memory_order_relaxed) == TURN_ASKED;
}

enum flame_answered flame_handler_take_back(const struct flame_session *session)
{
    _Atomic unsigned char *turn = turn_of(session);

    if (pass_turn(turn, TURN_ASKED, TURN_TICKER)) {
        return FLAME_NOT_YET;
    }
    return atomic_load_explicit(turn, memory_order_acquire) == TURN_TICKER
               ? FLAME_ANSWERED
               : FLAME_ANSWERING;
}

/* siginfo_t's fields that matter to us, and those a receiver may expect. */
static void prepare_question(void)
{
    question.si_signo = SAMPLE_SIGNAL;
    question.si_code = SI_QUEUE;
    question.si_pid = getpid();
    question.si_uid = getuid();
    question.si_value.sival_ptr = turns;
}

void flame_handler_forget_all(void)
{
    prepare_question();
    for (size_t i = 0; i < FLAME_SESSIONS_MAX; i++) {
        atomic_store(&turns[i], TURN_TICKER);
    }
}

int flame_handler_install(struct flame_session *sessions)
{
    struct sigaction ours = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct sigaction now;

    sigemptyset(&ours.sa_mask);
    if (sessions_known == NULL) { /* else they may be read at this moment */
        sessions_known = sessions;
        prepare_question();
    }
    if (sigaction(SAMPLE_SIGNAL, NULL, &now) != 0) {
        return -errno;
    }
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal) {
        return 0;
    }
    handler_before = now;
    if (!installed) {
        handler_below = now;
        installed = true;
    }
    return sigaction(SAMPLE_SIGNAL, &ours, NULL) == 0 ? 0 : -errno;
}
