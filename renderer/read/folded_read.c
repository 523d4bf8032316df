/*
 * Folded stacks, read as they come: a line costs one look at its bytes and, most
 * times, one look at the table for the deepest of its places that is there already.
 * That table is larger than the caches: where a line belongs is looked up only when
 * the next one has been taken apart, and memory has had the time to answer.
 */
#include "renderer/read/reader.h"
#include "renderer/tree/builder.h"
#include "renderer/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lines looked at to see whether all have two numbers. */
#define LINES_TO_BE_SURE 100
/* Or so many bytes of them, and what stands between. */
#define BYTES_TO_BE_SURE ((size_t)1 << 16)
/* The longest line. */
#define LINE_MAX_LENGTH ((size_t)1 << 30)
/* Frames from the leaf of which one is most times known: memory is asked for them all
 * before the first is looked for. */
#define LIKELY 4

struct number {
    uint64_t whole;
    uint32_t thousandths;
};

/* A frame of a stack. */
struct frame {
    size_t end;      /* in the stack's text */
    uint64_t hash;   /* of its own text */
    flame_path path; /* from the root to here */
};

/* A line taken apart. */
struct stack {
    struct flame_slice text; /* empty: not in memory any more */
    struct frame *frames;
    uint32_t count;
    uint32_t capacity;
    uint64_t is;
    uint64_t was; /* of two columns */
};

struct flame_folded {
    struct flame_builder builder;
    struct stack stacks[2]; /* one has no place yet, the other is the next one's */
    unsigned waiting;       /* which */
    char *pending;          /* what came, from the last line that is not complete */
    size_t pending_length;
    size_t pending_capacity;
    char *scratch; /* one frame, its escapes undone */
    size_t scratch_size;
    uint64_t line; /* the number of the one before */
    struct flame_ignored ignored;
    enum flame_unit unit;
    bool decided;      /* two_columns is known */
    bool two_columns;  /* what was, and what is */
    uint64_t is;       /* of all lines */
    uint64_t was;      /* of all lines */
    uint64_t fraction; /* of samples: thousandths that have not been counted yet */
    uint64_t fraction_before; /* the same of what was */
    int error;
};

/* ---- frames ------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Undoes one escape at the front of `rest` into *value; returns the bytes it
 * took, 0 if it is none of those that flame_render_folded() writes. A path
 * such as C:\x64 in other people's folded text stays what it is.
 */
static size_t undo_escape(struct flame_slice rest, uint32_t *value)
{
    size_t digits = rest.length > 1 && rest.data[1] == 'u' ? 4 : 2;

    *value = 0;
    if (rest.length < digits + 2 || rest.data[0] != '\\' ||
        (rest.data[1] != 'x' && rest.data[1] != 'u')) {
        return 0;
    }
    for (size_t at = 2; at < digits + 2; at++) {
        int digit = hex_digit(rest.data[at]);
        if (digit < 0) {
            return 0;
        }
        *value = *value << 4 | (uint32_t)digit;
    }
    if (digits == 2 && *value >= 0x20 && *value < 0x7f && *value != ';' &&
        *value != '#' && *value != '\\') {
        return 0;
    }
    return digits == 4 && *value < 0x80 ? 0 : digits + 2;
}

static char *put_code_point(char *to, uint32_t value)
{
    if (value >= 0x800) {
        *to++ = (char)(0xe0 | value >> 12);
        *to++ = (char)(0x80 | (value >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xc0 | value >> 6);
    }
    *to++ = (char)(0x80 | (value & 0x3f));
    return to;
}

/* Never longer than it was. */
static struct flame_slice unescape(char *to, struct flame_slice text)
{
    char *start = to;

    while (text.length != 0) {
        uint32_t value;
        size_t used = text.data[0] == '\\' ? undo_escape(text, &value) : 0;
        if (used == 0) {
            *to++ = text.data[0];
            used = 1;
        } else if (used == 6) {
            to = put_code_point(to, value);
        } else {
            *to++ = (char)value;
        }
        text.data += used;
        text.length -= used;
    }
    return (struct flame_slice){start, (size_t)(to - start)};
}

/* Where the first " (" is; NULL: nowhere. */
static const char *opening_of(struct flame_slice frame)
{
    const char *end = frame.data + frame.length;
    const char *at = memchr(frame.data, '(', frame.length);

    while (at != NULL && (at == frame.data || at[-1] != ' ')) {
        at = memchr(at + 1, '(', (size_t)(end - at) - 1);
    }
    return at != NULL ? at - 1 : NULL;
}

/*
 * "name (file:12)" taken apart; anything else is a name. Slices of `frame`. What is
 * taken apart reads the same when it is put together: no leading zero.
 */
static struct flame_function split_frame(struct flame_slice frame)
{
    struct flame_function whole = {.name = frame};
    const char *open = opening_of(frame);
    uint64_t line = 0;

    if (open == NULL || frame.data[frame.length - 1] != ')') {
        return whole;
    }
    const char *end = frame.data + frame.length - 1;
    const char *colon = end;
    while (colon > open + 2 && *colon != ':') {
        colon--;
    }
    if (colon <= open + 2 || end - colon < 2 || end - colon > 10 ||
        (colon[1] == '0' && end - colon > 2)) {
        return whole;
    }
    for (const char *at = colon + 1; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return whole;
        }
        line = line * 10 + (uint64_t)(*at - '0');
    }
    return (struct flame_function){.name = {frame.data, (size_t)(open - frame.data)},
                                   .file = {open + 2, (size_t)(colon - open - 2)},
                                   .line = (uint32_t)line};
}

static bool is_escaped(struct flame_slice frame)
{
    return frame.length != 0 && memchr(frame.data, '\\', frame.length) != NULL;
}

static bool make_room(struct flame_folded *folded, size_t length)
{
    if (length > folded->scratch_size) {
        char *larger = realloc(folded->scratch, length * 2);
        if (larger == NULL) {
            folded->error = -ENOMEM;
            return false;
        }
        folded->scratch = larger;
        folded->scratch_size = length * 2;
    }
    return true;
}

/* As its text reads without escapes: two ways to write a name are one name. */
static uint64_t hash_escaped(struct flame_folded *folded, struct flame_slice frame)
{
    if (is_escaped(frame) && make_room(folded, frame.length)) {
        frame = unescape(folded->scratch, frame);
    }
    return flame_builder_hash(&folded->builder, frame);
}

static uint32_t intern_frame(struct flame_folded *folded, struct flame_slice frame,
                             uint64_t hash)
{
    struct flame_function function = {.name = frame};
    uint32_t known = flame_builder_find_function(&folded->builder, hash);

    if (known != FLAME_NONE) {
        return known;
    }
    if (frame.length != 0) {
        function = split_frame(frame);
    }
    if (is_escaped(frame)) {
        if (!make_room(folded, frame.length)) {
            return FLAME_NONE;
        }
        function.name = unescape(folded->scratch, function.name);
        function.file = unescape(folded->scratch + function.name.length, function.file);
    }
    return flame_builder_new_function(&folded->builder, function, hash);
}

/* ---- stacks ------------------------------------------------------------------ */

typedef uint64_t words __attribute__((vector_size(16)));

/* Bytes that two texts have in common from the front. */
static size_t common_length(struct flame_slice a, struct flame_slice b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    size_t at = 0;

    for (words left[2], right[2]; length - at >= sizeof left; at += sizeof left) {
        memcpy(left, a.data + at, sizeof left);
        memcpy(right, b.data + at, sizeof right);
        words differ = (left[0] ^ right[0]) | (left[1] ^ right[1]);
        if ((differ[0] | differ[1]) != 0) {
            break;
        }
    }
    while (length - at >= 8) {
        uint64_t differ = flame_slice_word(flame_slice_from(a, at)) ^
                          flame_slice_word(flame_slice_from(b, at));
        if (differ != 0) {
            return at + (size_t)__builtin_ctzll(differ) / 8;
        }
        at += 8;
    }
    while (at < length && a.data[at] == b.data[at]) {
        at++;
    }
    return at;
}

/* How many frames a stack shares with the one before, from the root. */
static uint32_t shared_frames(const struct stack *before, struct flame_slice text)
{
    size_t common = common_length(before->text, text);
    uint32_t count = before->text.length != 0 ? before->count : 0;

    while (count > 0 && (before->frames[count - 1].end > common ||
                         (before->frames[count - 1].end < text.length &&
                          text.data[before->frames[count - 1].end] != ';'))) {
        count--;
    }
    return count;
}

static bool make_frames(struct stack *stack, uint32_t count)
{
    uint32_t capacity = stack->capacity == 0 ? 128 : stack->capacity;

    if (count <= stack->capacity) {
        return true;
    }
    while (capacity < count && capacity <= UINT32_MAX / 2) {
        capacity *= 2;
    }
    struct frame *larger =
        capacity >= count ? realloc(stack->frames, capacity * sizeof *larger) : NULL;
    if (larger == NULL) {
        return false;
    }
    stack->frames = larger;
    stack->capacity = capacity;
    return true;
}

static struct flame_slice frame_at(const struct stack *stack, uint32_t index)
{
    size_t start = index == 0 ? 0 : stack->frames[index - 1].end + 1;

    return (struct flame_slice){stack->text.data + start,
                                stack->frames[index].end - start};
}

/* What the stack has in common with the one before is copied from there. */
static bool copy_shared(struct stack *stack, const struct stack *before)
{
    stack->count = shared_frames(before, stack->text);
    if (!make_frames(stack, stack->count + 1)) {
        return false;
    }
    if (stack->count != 0) {
        memcpy(stack->frames, before->frames, stack->count * sizeof *stack->frames);
    }
    return true;
}

/* Takes the stack apart; false: out of memory. */
static bool split_stack(struct flame_folded *folded, struct stack *stack)
{
    if (!copy_shared(stack, &folded->stacks[folded->waiting])) {
        return false;
    }
    const struct frame *last =
        stack->count == 0 ? NULL : &stack->frames[stack->count - 1];
    struct flame_slice text = stack->text;
    size_t at = last == NULL ? 0 : last->end + 1;
    flame_path path =
        last == NULL ? flame_builder_path(&folded->builder, 0) : last->path;
    bool escaped = at < text.length &&
                   is_escaped((struct flame_slice){text.data + at, text.length - at});
    while (at <= text.length) {
        const char *end = memchr(text.data + at, ';', text.length - at);
        size_t length = end != NULL ? (size_t)(end - text.data) - at : text.length - at;
        struct flame_slice frame = {text.data + at, length};
        if (stack->count == stack->capacity && !make_frames(stack, stack->count + 1)) {
            return false;
        }
        uint64_t hash = escaped ? hash_escaped(folded, frame)
                                : flame_builder_hash(&folded->builder, frame);
        path = flame_builder_step(&folded->builder, path, hash);
        stack->frames[stack->count++] = (struct frame){at + length, hash, path};
        at += length + 1;
    }
    return true;
}

/* Memory is asked for what will most likely be looked up. */
static void prefetch(const struct flame_folded *folded, const struct stack *stack)
{
    uint32_t first = stack->count > LIKELY ? stack->count - LIKELY : 0;

    for (uint32_t i = first; i < stack->count; i++) {
        flame_builder_prefetch(&folded->builder, stack->frames[i].path);
    }
}

/* The place of a stack, made if need be; FLAME_NONE: out of memory. */
static uint32_t place_of_stack(struct flame_folded *folded, const struct stack *stack)
{
    uint32_t place = FLAME_NONE;
    uint32_t known = stack->count;

    while (known > 0 && place == FLAME_NONE) {
        place = flame_builder_find(&folded->builder, stack->frames[--known].path);
    }
    if (place == FLAME_NONE) {
        place = 0;
    } else {
        known++;
    }
    for (; known < stack->count && place != FLAME_NONE; known++) {
        uint32_t function =
            intern_frame(folded, frame_at(stack, known), stack->frames[known].hash);
        place = function == FLAME_NONE
                    ? FLAME_NONE
                    : flame_builder_child(&folded->builder, place, function);
    }
    return place;
}

/* Puts the stack that waits where it belongs. */
static void place_waiting(struct flame_folded *folded)
{
    const struct stack *stack = &folded->stacks[folded->waiting];

    if (stack->text.length == 0) {
        return;
    }
    uint32_t place = place_of_stack(folded, stack);
    if (place == FLAME_NONE) {
        folded->error = -ENOMEM;
        return;
    }
    flame_builder_weigh(&folded->builder, place, stack->is);
    if (folded->two_columns) {
        flame_builder_know(&folded->builder, place, FLAME_FACT_BEFORE, stack->was);
    }
}

/* ---- numbers ----------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and perhaps a point; false: too large, or no number. What is less than a
 * thousandth is dropped. */
static bool read_number(struct flame_slice text, struct number *number)
{
    const char *point = memchr(text.data, '.', text.length);
    size_t digits = point != NULL ? (size_t)(point - text.data) : text.length;
    uint32_t scale = 100;

    *number = (struct number){0, 0};
    for (size_t at = 0; at < digits; at++) {
        uint64_t digit = (uint64_t)(text.data[at] - '0');
        if (__builtin_mul_overflow(number->whole, UINT64_C(10), &number->whole) ||
            __builtin_add_overflow(number->whole, digit, &number->whole)) {
            return false;
        }
    }
    for (size_t at = digits + 1; at < text.length; at++) {
        if (text.data[at] == '.') {
            return false;
        }
        number->thousandths += (uint32_t)(text.data[at] - '0') * scale;
        scale /= 10;
    }
    return digits > 0;
}

/* Takes the number at the end of a line, and the space before it; false: there is none.
 */
static bool take_number(struct flame_slice *line, struct number *number)
{
    size_t start = line->length;

    while (start > 0 &&
           (is_digit(line->data[start - 1]) || line->data[start - 1] == '.')) {
        start--;
    }
    if (start < 2 || start == line->length || line->data[start - 1] != ' ' ||
        !read_number((struct flame_slice){line->data + start, line->length - start},
                     number)) {
        return false;
    }
    line->length = start - 1;
    return true;
}

/* In nanoseconds or samples, of which a fraction is kept for the next; false: too
 * large. */
static bool to_weight(struct number number, enum flame_unit unit, uint64_t *fraction,
                      uint64_t *weight)
{
    if (unit == FLAME_UNIT_SAMPLES) {
        *fraction += number.thousandths;
        *weight = *fraction / 1000;
        *fraction %= 1000;
        return !__builtin_add_overflow(*weight, number.whole, weight);
    }
    return !__builtin_mul_overflow(number.whole, UINT64_C(1000), weight) &&
           !__builtin_add_overflow(*weight, number.thousandths, weight);
}

/* ---- lines ------------------------------------------------------------------- */

/* What is before and after, taken off the line's end; false: it makes no sense. */
static bool take_weights(struct flame_folded *folded, struct stack *stack)
{
    struct number number;
    uint64_t fraction = folded->fraction;
    uint64_t fraction_before = folded->fraction_before;

    stack->was = 0;
    if (!take_number(&stack->text, &number) ||
        !to_weight(number, folded->unit, &fraction, &stack->is) ||
        stack->is > UINT64_MAX - folded->is) {
        return false;
    }
    if (folded->two_columns &&
        (!take_number(&stack->text, &number) ||
         !to_weight(number, folded->unit, &fraction_before, &stack->was) ||
         stack->was > UINT64_MAX - folded->was)) {
        return false;
    }
    folded->fraction = fraction;
    folded->fraction_before = fraction_before;
    return true;
}

static bool is_comment(struct flame_slice line)
{
    return line.length == 0 || line.data[0] == '#';
}

static void read_line(struct flame_folded *folded, struct flame_slice line)
{
    struct stack *stack = &folded->stacks[!folded->waiting];

    folded->line++;
    if (is_comment(line)) {
        return;
    }
    stack->text = line;
    if (!take_weights(folded, stack)) {
        flame_ignore(&folded->ignored, folded->line);
        return;
    }
    if (!split_stack(folded, stack)) {
        folded->error = -ENOMEM;
        return;
    }
    folded->is += stack->is;
    folded->was += stack->was;
    prefetch(folded, stack);
    place_waiting(folded);
    folded->waiting = !folded->waiting;
}

static struct flame_slice trim(struct flame_slice line)
{
    while (line.length != 0 && memchr(" \t\r", line.data[line.length - 1], 3) != NULL) {
        line.length--;
    }
    return line;
}

/* The next line without its end, or without what is no part of it; false: there is no
 * complete one. */
static bool next_line(struct flame_slice *text, struct flame_slice *line)
{
    const char *newline =
        text->length != 0 ? memchr(text->data, '\n', text->length) : NULL;

    if (newline == NULL) {
        return false;
    }
    size_t length = (size_t)(newline - text->data);
    *line = trim((struct flame_slice){text->data, length});
    text->data += length + 1;
    text->length -= length + 1;
    return true;
}

/* Whether the lines that came have two numbers each. False: too few have come to tell,
 * and more may. */
static bool decide(struct flame_folded *folded, struct flame_slice text, bool complete)
{
    struct flame_slice line;
    struct number number;
    uint32_t count = 0;
    bool two = true;

    while (two && count < LINES_TO_BE_SURE && next_line(&text, &line)) {
        if (!is_comment(line)) {
            two = take_number(&line, &number) && take_number(&line, &number);
            count++;
        }
    }
    folded->two_columns = two && count > 0;
    return complete || !two || count == LINES_TO_BE_SURE ||
           text.length >= BYTES_TO_BE_SURE;
}

/* Comments before the first stack decide nothing, and need not be kept. */
static void skip_comments(struct flame_folded *folded, struct flame_slice *text)
{
    struct flame_slice rest = *text;
    struct flame_slice line;

    while (next_line(&rest, &line) && is_comment(line)) {
        folded->line++;
        *text = rest;
    }
}

/* The lines that are complete. Returns the bytes taken. */
static size_t read_lines(struct flame_folded *folded, struct flame_slice text,
                         bool complete)
{
    struct flame_slice rest = text;
    struct flame_slice line;

    if (!folded->decided) {
        skip_comments(folded, &rest);
        if (!decide(folded, rest, complete)) {
            return text.length - rest.length;
        }
        folded->decided = true;
        if (!flame_builder_start(&folded->builder, flame_function_named("[all]"),
                                 folded->two_columns)) {
            folded->error = -ENOMEM;
        }
    }
    while (folded->error == 0 && next_line(&rest, &line)) {
        read_line(folded, line);
    }
    if (folded->error == 0) {
        place_waiting(folded);
    }
    folded->stacks[folded->waiting].text = (struct flame_slice){0};
    return text.length - rest.length;
}

/* ---- as it comes ------------------------------------------------------------- */

struct flame_folded *flame_folded_new(enum flame_unit unit)
{
    struct flame_folded *folded = calloc(1, sizeof *folded);

    if (folded != NULL) {
        folded->unit = unit;
    }
    return folded;
}

/* Keeps what is no complete line for the next time. */
static void keep_rest(struct flame_folded *folded, const char *data, size_t length)
{
    size_t wanted = folded->pending_length + length;

    if (wanted > LINE_MAX_LENGTH) {
        folded->error = -E2BIG;
        return;
    }
    if (wanted > folded->pending_capacity) {
        char *larger = realloc(folded->pending, wanted * 2);
        if (larger == NULL) {
            folded->error = -ENOMEM;
            return;
        }
        folded->pending = larger;
        folded->pending_capacity = wanted * 2;
    }
    if (length != 0) {
        memcpy(folded->pending + folded->pending_length, data, length);
    }
    folded->pending_length = wanted;
}

static void read_pending(struct flame_folded *folded, bool complete)
{
    size_t used = read_lines(
        folded, (struct flame_slice){folded->pending, folded->pending_length},
        complete);

    folded->pending_length -= used;
    if (folded->pending_length != 0) {
        memmove(folded->pending, folded->pending + used, folded->pending_length);
    }
}

int flame_folded_feed(struct flame_folded *folded, const char *data, size_t length)
{
    if (folded->pending_length != 0 && length != 0) {
        /* Up to the end of the line that has begun; all, until it is known how. */
        const char *newline = memchr(data, '\n', length);
        size_t first =
            newline != NULL && folded->decided ? (size_t)(newline - data) + 1 : length;
        keep_rest(folded, data, first);
        if (folded->error == 0 && newline != NULL) {
            read_pending(folded, false);
        }
        data += first;
        length -= first;
    }
    if (folded->error == 0 && length != 0) {
        size_t used = read_lines(folded, (struct flame_slice){data, length}, false);
        keep_rest(folded, data + used, length - used);
    }
    return folded->error;
}

struct flame_tree *flame_folded_finish(struct flame_folded *folded,
                                       struct flame_ignored *ignored)
{
    struct flame_tree *tree = NULL;

    if (folded->error == 0) {
        keep_rest(folded, "\n", 1);
    }
    if (folded->error == 0) {
        read_pending(folded, true);
    }
    /* Only looking up needs the rest, and the tree needs room. */
    free(folded->pending);
    free(folded->scratch);
    free(folded->stacks[0].frames);
    free(folded->stacks[1].frames);
    *ignored = folded->ignored;
    ignored->what = "line";
    if (folded->error == 0) {
        tree = flame_builder_finish(&folded->builder,
                                    folded->unit == FLAME_UNIT_MICROSECONDS, NULL);
    }
    if (tree != NULL && folded->two_columns) {
        uint64_t before = flame_place_total(tree, 0, FLAME_FACT_BEFORE);
        tree->all_before = before != 0 ? before : 1;
    }
    flame_builder_free(&folded->builder);
    free(folded);
    return tree;
}

struct flame_tree *flame_tree_from_folded(const char *text, size_t length,
                                          enum flame_unit unit,
                                          struct flame_ignored *ignored)
{
    struct flame_folded *folded = flame_folded_new(unit);

    *ignored = (struct flame_ignored){0};
    if (folded == NULL) {
        return NULL;
    }
    flame_folded_feed(folded, text, length);
    return flame_folded_finish(folded, ignored);
}
