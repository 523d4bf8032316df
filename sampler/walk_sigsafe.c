#include "sampler/cpython.h"

#include <string.h>

#include "sampler/session.h"

/* Counting a reference here would corrupt it: the GIL is not ours. */
#undef Py_INCREF
#undef Py_DECREF
#undef Py_XINCREF
#undef Py_XDECREF
#undef Py_NewRef
#undef Py_XNewRef
#pragma GCC poison Py_INCREF Py_DECREF Py_XINCREF Py_XDECREF Py_NewRef Py_XNewRef

static uint32_t code_point_at(const struct flame_text *text, size_t index)
{
    if (text->width == 1) {
        return ((const uint8_t *)text->data)[index];
    }
    if (text->width == 2) {
        return ((const uint16_t *)text->data)[index];
    }
    return ((const uint32_t *)text->data)[index];
}

static size_t utf8_put(char out[4], uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | (point >> 6));
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | (point >> 12));
        out[1] = (char)(0x80 | ((point >> 6) & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | ((point >> 18) & 0x07));
    out[1] = (char)(0x80 | ((point >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((point >> 6) & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* A str as UTF-8, cut to what fits at a code point. */
static struct flame_slice copy_text(const PyObject *object, char *out, size_t room)
{
    struct flame_text text;
    size_t used = 0;

    if (object == NULL || !flame_cpython_text(object, &text)) {
        return (struct flame_slice){"?", 1};
    }
    for (size_t i = 0; i < text.length && used + 4 <= room; i++) {
        used += utf8_put(out + used, code_point_at(&text, i));
    }
    return (struct flame_slice){out, used};
}

/* The index of a code object's function. */
static uint32_t function_of(struct flame_session *session, const PyCodeObject *code)
{
    const PyObject *name = flame_cpython_name(code);
    struct flame_code_key key = {
        .code = (uintptr_t)code,
        .name = (uintptr_t)name,
        .file = (uintptr_t)code->co_filename,
        .name_hash = (uint64_t)flame_cpython_text_hash(name),
        .first_line = (uint32_t)code->co_firstlineno,
    };
    uint32_t known = flame_store_cached_sigsafe(session->store, &key);

    if (known != FLAME_NONE) {
        return known;
    }
    /* Both copied before the store is touched: a fault leaves it whole. */
    struct flame_slice name_text = copy_text(name, session->name, sizeof session->name);
    struct flame_slice file_text =
        copy_text(code->co_filename, session->file, sizeof session->file);
    return flame_store_code_sigsafe(session->store, &key, name_text, file_text);
}

static bool plausible(const void *pointer)
{
    return ((uintptr_t)pointer & (sizeof(void *) - 1)) == 0 &&
           (uintptr_t)pointer >= 4096;
}

/* The function, or that line of it if lines are told apart. */
static uint32_t place_of(struct flame_session *session, const PyCodeObject *code,
                         uint32_t instruction)
{
    uint32_t function = function_of(session, code);
    uint32_t known;

    if (!session->lines || instruction == UINT32_MAX) {
        return function;
    }
    if (!flame_store_line_known_sigsafe(session->store, function, instruction,
                                        &known)) {
        known = flame_store_line_sigsafe(session->store, function, instruction,
                                         flame_cpython_line(code, instruction));
    }
    return known == FLAME_NONE ? function : known;
}

uint32_t flame_walk_place_sigsafe(struct flame_session *session, const void *frame,
                                  const void *code)
{
    return place_of(session, code, flame_cpython_instruction(frame, code));
}

/* What the leaf is calling from there; FLAME_NONE: that is not known. */
static uint32_t leaf_site(struct flame_session *session, const PyCodeObject *code,
                          uint32_t place, uint32_t instruction)
{
    struct flame_position position;
    uint32_t known;

    if (instruction == UINT32_MAX ||
        flame_store_site_known_sigsafe(session->store, place, instruction, &known)) {
        return instruction == UINT32_MAX ? FLAME_NONE : known;
    }
    bool found = flame_cpython_position(code, instruction, &position);
    return flame_store_site_sigsafe(session->store, place, instruction,
                                    found ? &position : NULL);
}

static bool has_gil(const struct flame_session *session,
                    const PyThreadState *thread_state)
{
    return flame_cpython_has_gil(
        thread_state,
        (const void *)atomic_load_explicit(&session->gil, memory_order_relaxed));
}

/* A chain that is read while it changes can pass the entry by: once, not this often. */
#define PASSED_TO_BE_SURE 4u

/* The first of the entry's callers on the chain, or NULL. */
static const struct flame_caller *find_caller(const struct flame_session *session,
                                              const flame_frame *frame)
{
    for (uint32_t steps = 0; frame != NULL && steps < FLAME_CHAIN_MAX; steps++) {
        if (!plausible(frame)) {
            return NULL;
        }
        for (uint32_t i = 0; i < FLAME_CALLERS && session->callers[i].frame != NULL;
             i++) {
            if (session->callers[i].frame == frame &&
                session->callers[i].code == flame_cpython_code(frame)) {
                return &session->callers[i];
            }
        }
        frame = flame_cpython_caller(frame);
    }
    return NULL;
}

static bool is_entry(const struct flame_session *session, const flame_frame *frame)
{
    return frame == session->entry &&
           (frame == NULL || flame_cpython_code(frame) == session->entry_code);
}

/* *passed: the chain ended, and the entry was not on it. */
static enum flame_walk read_frames(struct flame_session *session,
                                   const flame_frame *frame, bool *passed)
{
    uint32_t depth = 0;

    *passed = false;
    session->site = FLAME_NONE;
    for (uint32_t steps = 0; !is_entry(session, frame); steps++) {
        if (frame == NULL) {
            *passed = true;
            session->depth = depth;
            /* With greenlets it is another one's, before we are told of the switch. */
            return session->greenlet != NULL ? FLAME_WALK_TORN : FLAME_WALK_CUT;
        }
        if (!plausible(frame) || steps == FLAME_CHAIN_MAX) {
            return FLAME_WALK_TORN;
        }
        if (!flame_cpython_is_shim(frame)) {
            const PyCodeObject *code = flame_cpython_code(frame);
            if (!plausible(code) || flame_cpython_type(code) != session->code_type) {
                return FLAME_WALK_TORN;
            }
            uint32_t instruction = flame_cpython_instruction(frame, code);
            uint32_t place = place_of(session, code, instruction);
            session->path[depth % FLAME_DEPTH_MAX] = place;
            if (depth == 0) {
                session->site = leaf_site(session, code, place, instruction);
            }
            depth++;
        }
        frame = flame_cpython_caller(frame);
    }
    session->depth = depth;
    return depth > FLAME_DEPTH_MAX ? FLAME_WALK_CUT : FLAME_WALK_WHOLE;
}

/*
 * The chain from the leaf up; to be run under a guard. Where the profile was started in
 * a function that has returned since, it is its caller that everything is above.
 */
static enum flame_walk read_chain(struct flame_session *session)
{
    const PyThreadState *thread_state =
        atomic_load_explicit(&session->thread_state, memory_order_relaxed);
    const flame_frame *top = flame_cpython_top(thread_state);

    session->has_gil = has_gil(session, thread_state);
    session->collecting = session->has_gil && flame_cpython_collecting(thread_state);
    bool passed;
    enum flame_walk result = read_frames(session, top, &passed);
    const struct flame_caller *caller = passed ? find_caller(session, top) : NULL;
    if (caller == NULL) {
        session->passed = 0;
        return result;
    }
    if (++session->passed < PASSED_TO_BE_SURE) {
        return FLAME_WALK_TORN;
    }
    session->entry = caller->frame;
    session->entry_code = caller->code;
    return read_frames(session, top, &passed);
}

enum flame_walk flame_walk_sigsafe(struct flame_session *session,
                                   struct flame_guard *guard)
{
    if (flame_guard_enter_sigsafe(guard)) {
        enum flame_walk result = read_chain(session);
        flame_guard_leave_sigsafe(guard);
        return result;
    }
    return FLAME_WALK_TORN;
}

/* Where a thread stands that is out of Python. */
struct stand {
    const flame_frame *frame; /* NULL: none of Python's frames is there */
    uintptr_t progress;
};

/* False: it is in Python. Under a guard. */
static bool find_stand(const struct flame_session *session, struct stand *stand)
{
    const PyThreadState *thread_state =
        atomic_load_explicit(&session->thread_state, memory_order_relaxed);

    stand->frame = flame_cpython_top(thread_state);
    if (has_gil(session, thread_state) ||
        (stand->frame != NULL && !plausible(stand->frame))) {
        return false;
    }
    stand->progress = stand->frame == NULL ? 0 : flame_cpython_progress(stand->frame);
    return true;
}

static enum flame_walk read_standing_chain(struct flame_session *session)
{
    struct stand before;
    struct stand after;

    if (!find_stand(session, &before)) {
        return FLAME_WALK_TORN;
    }
    enum flame_walk result = read_chain(session);
    atomic_thread_fence(memory_order_acquire);
    bool stands = find_stand(session, &after) && after.frame == before.frame &&
                  after.progress == before.progress;
    return stands ? result : FLAME_WALK_TORN;
}

enum flame_walk flame_walk_released_sigsafe(struct flame_session *session,
                                            struct flame_guard *guard)
{
    if (flame_guard_enter_sigsafe(guard)) {
        enum flame_walk result = read_standing_chain(session);
        flame_guard_leave_sigsafe(guard);
        return result;
    }
    return FLAME_WALK_TORN;
}
