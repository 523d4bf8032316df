/*
 * Faults injected into the reads of CPython's memory, for test_faults.py.
 *
 * The calling thread's own state and its innermost frames, with all that a walk
 * follows from them, are copied to pages of ours, and every pointer between them is
 * led to the copies. Then one object after another ends at an unreadable page, at each
 * word of it in turn, with either signal: so each step of a walk faults once. No
 * version's layout is known here; a copy is just words, some of which are pointers.
 *
 * Linked with a sampler of its own and with siglongjmp wrapped, to count the faults.
 */
#include "sampler/cpython.h"

#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

#define SHOWN __attribute__((visibility("default")))

SHOWN int flame_test_faults(void);

#define UNMEASURED (-2)

#define FRAMES 3
#define OBJECTS_MAX 32
/* Much more than any of the objects has. */
#define ROOM ((size_t)4 << 20)
#define PAGE ((size_t)4096)
#define WORD sizeof(void *)

struct object {
    const char *name;
    const char *original;
    size_t size;
    size_t step; /* of the sweep */
    char *room;  /* ROOM bytes, the boundary in its middle */
    char *copy;
};

enum fault { FAULT_NONE, FAULT_SEGV, FAULT_BUS, FAULTS };

static const char *const fault_names[FAULTS] = {"none", "SIGSEGV", "SIGBUS"};
static struct object objects[OBJECTS_MAX];
static size_t object_count;
static struct flame_session *session;
static int empty_file;
static unsigned faults_here;   /* jumps back on the watched thread */
static unsigned faults_beside; /* and on another, the ticker */
static unsigned complaints;
static bool unmeasured; /* the machine had no moments of the kind that are wanted */

_Noreturn void __real_siglongjmp(sigjmp_buf back, int value);
_Noreturn void __wrap_siglongjmp(sigjmp_buf back, int value);

_Noreturn void __wrap_siglongjmp(sigjmp_buf back, int value)
{
    if (pthread_equal(pthread_self(), session->thread)) {
        faults_here++;
    } else {
        faults_beside++;
    }
    __real_siglongjmp(back, value);
}

static void complain(const char *what, const struct object *victim, size_t readable,
                     enum fault fault)
{
    complaints++;
    printf("%s: %s, after %zu bytes of %s\n", what, fault_names[fault], readable,
           victim == NULL ? "nothing" : victim->name);
}

static char *boundary(const struct object *object)
{
    return object->room + ROOM / 2;
}

/* ---- the copied world -------------------------------------------------------- */

static void add(const char *name, const void *original, size_t size, size_t step)
{
    struct object *object = &objects[object_count++];

    *object =
        (struct object){.name = name, .original = original, .size = size, .step = step};
    object->room =
        mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static bool is_known(const void *original)
{
    for (size_t i = 0; i < object_count; i++) {
        if (objects[i].original == (const char *)original) {
            return true;
        }
    }
    return false;
}

static void add_text(const char *name, const PyObject *object)
{
    struct flame_text text;

    if (!is_known(object) && flame_cpython_text(object, &text)) {
        add(name, object,
            (size_t)((const char *)text.data + text.length * text.width -
                     (const char *)object),
            WORD);
    }
}

static void add_code(const PyCodeObject *code)
{
    const PyTypeObject *type = Py_TYPE(code);
    size_t size;
    const unsigned char *table = flame_cpython_positions(code, &size);

    if (is_known(code)) {
        return;
    }
    add("a code object", code,
        (size_t)type->tp_basicsize +
            (type->tp_itemsize == 0
                 ? 0
                 : (size_t)Py_SIZE(code) * (size_t)type->tp_itemsize),
        WORD);
    add_text("a function's name", flame_cpython_name(code));
    add_text("a file's name", code->co_filename);
    add("a table of positions", table - offsetof(PyBytesObject, ob_sval),
        offsetof(PyBytesObject, ob_sval) + size + 1, WORD);
}

/* 3.11 and 3.12 have a small structure between the thread's state and its frame. */
static void add_between(const PyThreadState *state, const flame_frame *top)
{
    const void *const *words = (const void *const *)state;

    for (size_t i = 0; i < sizeof *state / WORD; i++) {
        const void *there[3] = {NULL};
        struct iovec to = {there, sizeof there};
        struct iovec from = {(void *)(uintptr_t)words[i], sizeof there};
        if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof there) {
            continue;
        }
        if ((there[0] == top || there[1] == top || there[2] == top) &&
            words[i] != top && !is_known(words[i])) {
            add("what leads to the frame", words[i], sizeof there, WORD);
        }
    }
}

static void add_all(const PyThreadState *state)
{
    const flame_frame *frame = flame_cpython_top(state);
    size_t gil_size;

    add("the thread's state", state, sizeof *state, WORD);
    add("the interpreter", flame_cpython_interpreter(state),
        sizeof(PyInterpreterState) & ~(WORD - 1), 64);
    const void *gil = flame_cpython_gil(state, &gil_size);
    add("the GIL", gil, gil_size, WORD);
    add_between(state, frame);
    for (unsigned i = 0; i < FRAMES; i++) {
        add("a frame", frame, sizeof *frame, WORD);
        if (!flame_cpython_is_shim(frame)) {
            add_code(flame_cpython_code(frame));
        }
        frame = flame_cpython_caller(frame);
    }
    session->entry = frame;
    session->entry_code = flame_cpython_code(frame);
    /* struct pthread: glibc tells its size to debuggers only. */
    const uint32_t *size = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
    add("the thread's own structure", (const void *)pthread_self(),
        size != NULL ? *size : 1024, WORD);
}

static const struct object *object_at(uintptr_t address)
{
    for (size_t i = 0; i < object_count; i++) {
        if (address - (uintptr_t)objects[i].original < objects[i].size) {
            return &objects[i];
        }
    }
    return NULL;
}

/* `readable` bytes of the copy, in whole words, stand before the boundary. */
static void place(struct object *object, size_t readable)
{
    object->copy = boundary(object) - (readable + WORD - 1) / WORD * WORD;
    mmap(object->room, ROOM, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    memcpy(object->copy, object->original, object->size);
}

/* The type of a code object stays what it is: it is compared, not read. */
static void lead_pointers_to_copies(struct object *object)
{
    for (size_t at = 0; at + WORD <= object->size; at += WORD) {
        uintptr_t word;
        memcpy(&word, object->copy + at, WORD);
        const struct object *target = object_at(word);
        if (target != NULL) {
            word = (uintptr_t)target->copy + (word - (uintptr_t)target->original);
            memcpy(object->copy + at, &word, WORD);
        }
    }
}

static void make_unreadable(const struct object *object, enum fault fault)
{
    if (fault == FAULT_BUS) { /* nothing of the file is there */
        mmap(boundary(object), ROOM / 2, PROT_READ, MAP_SHARED | MAP_FIXED, empty_file,
             0);
    } else {
        mprotect(boundary(object), ROOM / 2, PROT_NONE);
    }
}

static void make_world(const struct object *victim, size_t readable, enum fault fault)
{
    for (size_t i = 0; i < object_count; i++) {
        place(&objects[i], &objects[i] == victim ? readable : objects[i].size);
    }
    for (size_t i = 0; i < object_count; i++) {
        lead_pointers_to_copies(&objects[i]);
    }
    if (victim != NULL) {
        make_unreadable(victim, fault);
    }
    session->interpreter = objects[1].copy;
    atomic_store(&session->gil, (uintptr_t)objects[2].copy);
    atomic_store(&session->thread_state, (const void *)objects[0].copy);
}

/* ---- what has to hold -------------------------------------------------------- */

struct sizes {
    uint32_t nodes, codes;
    int files;
};

static struct sizes sizes_now(void)
{
    struct flame_profile profile;
    struct sizes sizes = {0};
    DIR *directory = opendir("/proc/self/fd");

    while (directory != NULL && readdir(directory) != NULL) {
        sizes.files++;
    }
    closedir(directory);
    flame_store_read(session->store, &profile);
    sizes.nodes = profile.node_count;
    sizes.codes = profile.code_count;
    return sizes;
}

typedef bool read_something(void); /* false: it did not fit what was expected */

static uint32_t whole_path[FRAMES];
static uint32_t whole_depth;
static struct flame_code whole_codes[FRAMES * 4];
static char whole_names[1 << 16];

static bool same_text(struct flame_slice a, struct flame_slice b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* As far as the walk came, the store has what a whole one leaves there. */
static bool store_is_sound(void)
{
    struct flame_profile profile;

    flame_store_read(session->store, &profile);
    for (uint32_t i = 0; i < profile.code_count; i++) {
        if (!same_text(profile.codes[i].name, whole_codes[i].name) ||
            !same_text(profile.codes[i].file, whole_codes[i].file) ||
            profile.codes[i].first_line != whole_codes[i].first_line) {
            return false;
        }
    }
    return true;
}

static struct flame_slice kept(struct flame_slice text, size_t *used)
{
    char *place = whole_names + *used;

    memcpy(place, text.data, text.length);
    *used += text.length;
    return (struct flame_slice){place, text.length};
}

static bool remember_whole(void)
{
    struct flame_profile profile;
    size_t used = 0;

    flame_store_reset(session->store);
    if (flame_walk_sigsafe(session, &session->guard) != FLAME_WALK_WHOLE ||
        session->depth != FRAMES) {
        return false;
    }
    whole_depth = session->depth;
    memcpy(whole_path, session->path, sizeof whole_path);
    flame_store_read(session->store, &profile);
    for (uint32_t i = 0; i < profile.code_count; i++) {
        whole_codes[i] = profile.codes[i];
        whole_codes[i].name = kept(profile.codes[i].name, &used);
        whole_codes[i].file = kept(profile.codes[i].file, &used);
    }
    return true;
}

/* Each into an empty store, so that all names are read. */
static bool walk(void)
{
    unsigned before = faults_here;

    flame_store_reset(session->store);
    enum flame_walk outcome = flame_walk_sigsafe(session, &session->guard);
    if (!store_is_sound()) {
        return false;
    }
    if (faults_here != before) {
        return outcome == FLAME_WALK_TORN;
    }
    return outcome == FLAME_WALK_WHOLE && session->depth == whole_depth &&
           !session->collecting &&
           memcmp(session->path, whole_path, whole_depth * sizeof *whole_path) == 0;
}

/* A thread that is expected and there: seen, or faulted and looked for again. */
static bool look_for_thread(void)
{
    unsigned before = faults_here;

    session->expected_count = 1;
    session->expected[0] =
        (struct flame_expected){.id = PyThreadState_Get()->id, .label = "[thread x]"};
    struct flame_session *child = flame_threads_look(session, &session->guard);
    bool fits = child == NULL ? faults_here != before && session->expected_count == 1 &&
                                    session->expected[0].looks == 1
                              : faults_here == before && session->expected_count == 0;
    if (child != NULL) {
        flame_session_free(child);
    }
    session->expected_count = 0;
    return fits;
}

/* One object, one signal; the reads that faulted. Each boundary further on than the
 * last read is as good as none. */
static unsigned sweep_object(const char *what, read_something *read,
                             const struct object *victim, enum fault fault)
{
    unsigned before = faults_here;

    for (size_t at = 0; at < victim->size; at += victim->step) {
        unsigned so_far = faults_here;
        make_world(victim, at, fault);
        if (!read()) {
            complain(what, victim, at, fault);
        }
        if (atomic_load(&session->guard.armed)) {
            complain("the guard stays armed", victim, at, fault);
        }
        if (faults_here == so_far) {
            break;
        }
    }
    unsigned found = faults_here - before;
    make_world(NULL, 0, FAULT_NONE);
    if (!read() || faults_here != before + found) {
        complain("not usable any more", victim, 0, fault);
    }
    printf("%s: %u times %s in %s\n", what, found, fault_names[fault], victim->name);
    return found;
}

/* All objects but `unread` ones; that one is not followed by what is tested. */
static void sweep(const char *what, read_something *read, const char *const *unread)
{
    for (size_t i = 0; i < object_count; i++) {
        bool expected = true;
        for (const char *const *name = unread; *name != NULL; name++) {
            expected = expected && strcmp(*name, objects[i].name) != 0;
        }
        for (enum fault fault = FAULT_SEGV; expected && fault < FAULTS; fault++) {
            if (sweep_object(what, read, &objects[i], fault) == 0) {
                complain("never read", &objects[i], 0, fault);
            }
        }
    }
}

/* ---- in a session that runs -------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Until it has counted so far, or for ten seconds. On the CPU, where the handler reads,
 * or in short waits, where the ticker does. */
static void live(const volatile unsigned *counted, unsigned enough, bool waiting)
{
    uint64_t patience = now_ns() + UINT64_C(10000000000);
    const struct timespec moment = {.tv_nsec = 300000};

    while (*counted < enough && now_ns() < patience) {
        if (waiting) {
            nanosleep(&moment, NULL);
        }
    }
}

/* The samples had from an intact world, once some were. */
static void sampled_again(enum fault fault)
{
    struct flame_quality before = session->quality;
    uint64_t patience = now_ns() + UINT64_C(10000000000);
    uint64_t had = 0;

    while (had < 20 && now_ns() < patience) {
        flame_session_resume(session);
        for (uint64_t end = now_ns() + UINT64_C(50000000); now_ns() < end;) {
        }
        flame_session_pause(session);
        had = session->quality.samples - before.samples;
    }
    if (had < 20 || session->quality.rejected != before.rejected) {
        complain("no samples afterwards", &objects[0], 0, fault);
    }
}

static void sampled_through_faults(enum fault fault)
{
    uint64_t before = session->quality.rejected;

    make_world(&objects[0], 0, fault);
    faults_here = faults_beside = 0;
    flame_session_resume(session);
    live(&faults_here, 20, false);
    live(&faults_beside, 20, true);
    flame_session_pause(session);
    uint64_t rejected = session->quality.rejected - before;
    printf("running: %s: %u faults in the handler, %u in the ticker, %lu rejected\n",
           fault_names[fault], faults_here, faults_beside, (unsigned long)rejected);
    /* Of a thread that shares its core with the ticker each is the ticker's. */
    unmeasured |= faults_here < 20 || faults_beside < 20;
    /* The ticker's, when the thread ran meanwhile, are for the handler to repeat. */
    if (rejected < faults_here || rejected > faults_here + faults_beside) {
        complain("not as many rejected as faulted", &objects[0], 0, fault);
    }
    make_world(NULL, 0, FAULT_NONE);
    sampled_again(fault);
}

/* The application takes our handlers away again and again: no read begins without them,
 * and the ticker puts them back. */
static void sampled_without_handlers(void)
{
    const int signals[] = {SIGSEGV, SIGBUS};
    unsigned before;

    for (unsigned i = 0; i < 20; i++) {
        make_world(&objects[0], 0, FAULT_SEGV);
        signal(signals[i % 2], SIG_DFL);
        flame_session_resume(session);
        before = faults_here + faults_beside;
        live(&faults_here, faults_here + 1, false);
        flame_session_pause(session);
        if (faults_here + faults_beside == before) {
            complain("our handlers are not back", &objects[0], 0, FAULT_SEGV);
        }
    }
    make_world(NULL, 0, FAULT_NONE);
    sampled_again(FAULT_SEGV);
}

static const char *const not_of_walk[] = {"the thread's own structure", NULL};
static const char *const not_of_threads[] = {"the GIL",
                                             "what leads to the frame",
                                             "a frame",
                                             "a code object",
                                             "a function's name",
                                             "a file's name",
                                             "a table of positions",
                                             NULL};

/* To be called with the GIL, FRAMES functions and more deep. Complaints. */
SHOWN int flame_test_faults(void)
{
    const PyThreadState *real = PyThreadState_Get();
    const struct flame_session_options options = {.interval_ns = 500000, .lines = true};

    empty_file = memfd_create("empty", MFD_CLOEXEC);
    if (empty_file < 0 || flame_session_start(&options, &session) != 0) {
        return -1;
    }
    flame_session_pause(session);
    const void *entry = session->entry;
    const void *entry_code = session->entry_code;
    add_all(real);
    make_world(NULL, 0, FAULT_NONE);
    if (!remember_whole()) {
        complain("not whole", NULL, 0, FAULT_NONE);
    }
    struct sizes sizes = sizes_now();
    sweep("walk", walk, not_of_walk);
    sweep("threads", look_for_thread, not_of_threads);
    struct sizes after = sizes_now();
    if (memcmp(&sizes, &after, sizeof sizes) != 0) {
        complain("something grew", NULL, 0, FAULT_NONE);
    }
    unsigned swept = faults_here;
    sampled_through_faults(FAULT_SEGV);
    sampled_through_faults(FAULT_BUS);
    sampled_without_handlers();
    printf("%u faults injected into single reads\n", swept);
    flame_session_note_thread_state(session, real);
    session->entry = entry;
    session->entry_code = entry_code;
    flame_session_stop(session);
    flame_session_free(session);
    return complaints == 0 && unmeasured ? UNMEASURED : (int)complaints;
}
