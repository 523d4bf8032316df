/*
 * What CPython keeps where: the one place that knows its versions.
 *
 * Reads CPython's structures in place, takes no reference and calls nothing of
 * CPython's: its public getters (PyThreadState_GetFrame, PyFrame_GetCode)
 * count references and some allocate, which neither a signal handler nor a
 * thread without the GIL may do. Every read may fault or be stale; callers run
 * inside flame_guard_* and treat what they get as untrusted.
 *
 * Sources: Include/cpython/pystate.h, Include/cpython/frameobject.h (3.9,
 * 3.10), Include/internal/pycore_frame.h (3.11 to 3.13) and
 * pycore_interpframe_structs.h (3.14 on) of each version.
 */
#ifndef FLAME_SAMPLER_CPYTHON_H
#define FLAME_SAMPLER_CPYTHON_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#ifndef NDEBUG
#define NDEBUG 1 /* CPython's inline getters assert with calls we may not make */
#endif
#include <Python.h>
#include <frameobject.h>
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_frame.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_code.h>
#include <internal/pycore_interpframe_structs.h>
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include <stdbool.h>
#include <stdint.h>

#include "sampler/position.h"

#if PY_VERSION_HEX < 0x03090000 || PY_VERSION_HEX >= 0x03100000
#error "flameprof knows CPython 3.9 to 3.15"
#endif
#ifdef Py_GIL_DISABLED
#error "flameprof does not know free-threaded CPython"
#endif

/* A frame of the interpreter, opaque to everybody else. */
#if PY_VERSION_HEX >= 0x030B0000
typedef struct _PyInterpreterFrame flame_frame;
#else
typedef PyFrameObject flame_frame;
#endif

/* The innermost frame of a thread state, or NULL. */
static inline const flame_frame *flame_cpython_top(const PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030D0000
    return thread->current_frame;
#elif PY_VERSION_HEX >= 0x030B0000
    return thread->cframe->current_frame;
#else
    return thread->frame;
#endif
}

/* The interpreter's frame behind a frame object. */
static inline const flame_frame *flame_cpython_inner(const PyFrameObject *object)
{
#if PY_VERSION_HEX >= 0x030B0000
    return object->f_frame;
#else
    return object;
#endif
}

/* The caller's frame, or NULL at the end of the chain. */
static inline const flame_frame *flame_cpython_caller(const flame_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    return frame->previous;
#else
    return frame->f_back;
#endif
}

/*
 * True for a frame that is no Python function: since 3.12 the interpreter
 * puts one of its own below each entry from C; 3.14 renamed the owner and 3.15
 * dropped the old one.
 */
static inline bool flame_cpython_is_shim(const flame_frame *frame)
{
#if PY_VERSION_HEX >= 0x030E0000
    return frame->owner >= FRAME_OWNED_BY_INTERPRETER;
#elif PY_VERSION_HEX >= 0x030C0000
    return frame->owner == FRAME_OWNED_BY_CSTACK;
#else
    (void)frame;
    return false;
#endif
}

/* The code a frame runs; from 3.13 on it may be another kind of object. */
static inline const PyCodeObject *flame_cpython_code(const flame_frame *frame)
{
#if PY_VERSION_HEX >= 0x030E0000
    /* A tagged pointer: the low two bits say how its reference is counted. */
    return (const PyCodeObject *)(frame->f_executable.bits & ~(uintptr_t)3);
#elif PY_VERSION_HEX >= 0x030D0000
    return (const PyCodeObject *)frame->f_executable;
#else
    return frame->f_code;
#endif
}

/* Of what flame_cpython_code() found, which need not be a code object. */
static inline const void *flame_cpython_type(const PyCodeObject *code)
{
    return Py_TYPE(code);
}

static inline const PyObject *flame_cpython_name(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030B0000
    return code->co_qualname;
#else
    return code->co_name;
#endif
}

/*
 * The instruction a frame executes, from the first, in what its table of positions
 * counts in: code units since 3.11, bytes before. UINT32_MAX: none yet.
 */
static inline uint32_t flame_cpython_instruction(const flame_frame *frame,
                                                 const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030D0000
    return (uint32_t)(frame->instr_ptr - _PyCode_CODE(code));
#elif PY_VERSION_HEX >= 0x030B0000
    return (uint32_t)(frame->prev_instr - _PyCode_CODE(code));
#else
    int unit = PY_VERSION_HEX >= 0x030A0000 ? 2 : 1;
    (void)code;
    return frame->f_lasti < 0 ? UINT32_MAX : (uint32_t)(frame->f_lasti * unit);
#endif
}

/* What of a frame changes with each instruction it executes. */
static inline uintptr_t flame_cpython_progress(const flame_frame *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return (uintptr_t)frame->instr_ptr;
#elif PY_VERSION_HEX >= 0x030B0000
    return (uintptr_t)frame->prev_instr;
#else
    return (uintptr_t)frame->f_lasti;
#endif
}

static inline const unsigned char *flame_cpython_positions(const PyCodeObject *code,
                                                           size_t *size)
{
#if PY_VERSION_HEX >= 0x030A0000
    const PyBytesObject *table = (const PyBytesObject *)code->co_linetable;
#else
    const PyBytesObject *table = (const PyBytesObject *)code->co_lnotab;
#endif

    *size = (size_t)Py_SIZE(table);
    return (const unsigned char *)table->ob_sval;
}

/* Where an instruction stands in the source; false: columns are not known. */
static inline bool flame_cpython_position(const PyCodeObject *code,
                                          uint32_t instruction,
                                          struct flame_position *position)
{
#if PY_VERSION_HEX >= 0x030B0000
    size_t size;
    const unsigned char *table = flame_cpython_positions(code, &size);

    return flame_position_find_sigsafe(table, size, (uint32_t)code->co_firstlineno,
                                       instruction, position);
#else
    (void)code;
    (void)instruction;
    (void)position;
    return false;
#endif
}

/* The line of an instruction; 0: it has none. */
static inline uint32_t flame_cpython_line(const PyCodeObject *code,
                                          uint32_t instruction)
{
    size_t size;
    const unsigned char *table = flame_cpython_positions(code, &size);
    uint32_t first_line = (uint32_t)code->co_firstlineno;

#if PY_VERSION_HEX >= 0x030B0000
    return flame_position_line_sigsafe(table, size, first_line, instruction);
#elif PY_VERSION_HEX >= 0x030A0000
    return flame_position_line_310_sigsafe(table, size, first_line, instruction);
#else
    return flame_position_line_39_sigsafe(table, size, first_line, instruction);
#endif
}

/*
 * The code points of a str: false if it has none to read in place (a str of
 * before 3.12 that was never made ready).
 */
struct flame_text {
    const void *data;
    size_t length;  /* code points */
    unsigned width; /* bytes each: 1, 2 or 4 */
};

static inline bool flame_cpython_text(const PyObject *object, struct flame_text *text)
{
    const PyASCIIObject *ascii = (const PyASCIIObject *)object;

    if (!ascii->state.compact || ascii->length < 0) {
        return false;
    }
    text->width = ascii->state.kind;
    text->length = (size_t)ascii->length;
    text->data = ascii->state.ascii
                     ? (const void *)(ascii + 1)
                     : (const void *)((const PyCompactUnicodeObject *)object + 1);
    return text->width == 1 || text->width == 2 || text->width == 4;
}

/* Where the GIL that a thread state waits for has its mutex and conditions. */
static inline const void *flame_cpython_gil(const PyThreadState *thread, size_t *size)
{
    *size = sizeof(struct _gil_runtime_state);
#if PY_VERSION_HEX >= 0x030C0000
    return thread->interp->ceval.gil;
#else
    (void)thread;
    return &_PyRuntime.ceval.gil;
#endif
}

/* True if a thread state's thread has the GIL, which flame_cpython_gil() found. */
static inline bool flame_cpython_has_gil(const PyThreadState *thread, const void *gil)
{
    const struct _gil_runtime_state *state = gil;

#if PY_VERSION_HEX >= 0x030D0000
    return state->locked == 1 && state->last_holder == thread;
#else
    return state->locked._value == 1 && state->last_holder._value == (uintptr_t)thread;
#endif
}

/* True while the garbage collector runs, on the thread that has the GIL. */
static inline bool flame_cpython_collecting(const PyThreadState *thread)
{
    return thread->interp->gc.collecting != 0;
}

static inline const void *flame_cpython_interpreter(const PyThreadState *thread)
{
    return thread->interp;
}

/* The thread states of an interpreter (a PyInterpreterState *), newest first. */
static inline const PyThreadState *flame_cpython_threads(const void *interpreter)
{
    const PyInterpreterState *interp = interpreter;

#if PY_VERSION_HEX >= 0x030B0000
    return interp->threads.head;
#else
    return interp->tstate_head;
#endif
}

/* The id that the interpreter's next thread state will have: it counts up first. Exact
 * with the GIL held. */
static inline uint64_t flame_cpython_next_thread_id(const void *interpreter)
{
    const PyInterpreterState *interp = interpreter;

#if PY_VERSION_HEX >= 0x030B0000
    return interp->threads.next_unique_id + 1;
#else
    return interp->tstate_next_unique_id + 1;
#endif
}

/* True if the calling thread holds the GIL; safe to ask from any thread. */
static inline bool flame_cpython_holds_gil(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    const PyThreadState *thread = PyThreadState_GetUnchecked();
#else
    const PyThreadState *thread = _PyThreadState_UncheckedGet();
#endif
    return thread != NULL && thread->thread_id == PyThread_get_thread_ident();
}

/* Trace and profile functions of the calling thread hear nothing between two such
 * calls. GIL held. */
static inline void flame_cpython_trace(bool heard)
{
    PyThreadState *thread = PyThreadState_Get();

#if PY_VERSION_HEX >= 0x030B0000
    if (heard) {
        PyThreadState_LeaveTracing(thread);
    } else {
        PyThreadState_EnterTracing(thread);
    }
#else
    thread->tracing += heard ? -1 : 1;
#endif
}

/*
 * A module that has been imported: borrowed, NULL if not. PyImport_GetModuleDict() ends
 * the process where there are no modules any more: an interpreter that finalizes drops
 * its last objects, a Session among them, after those.
 */
static inline PyObject *flame_cpython_module(const char *name)
{
    PyObject *modules = PySys_GetObject("modules");

    return modules == NULL || !PyDict_Check(modules)
               ? NULL
               : PyDict_GetItemString(modules, name);
}

/* The hash a str carries, or -1 where it was never asked for one. */
static inline Py_hash_t flame_cpython_text_hash(const PyObject *object)
{
    return ((const PyASCIIObject *)object)->hash;
}

#endif
