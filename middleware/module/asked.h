/*
 * How a finished Session is to be read, from keywords: what picture.c, rows.c and
 * kept.c share. GIL held, Python's error conventions, but where it says otherwise.
 */
#ifndef FLAME_MIDDLEWARE_ASKED_H
#define FLAME_MIDDLEWARE_ASKED_H

#include "middleware/module/python.h"

/* Texts live in `texts`, a list. */
struct flame_asked {
    enum flame_clock clock;
    struct flame_picture_options options;
    const char *const *idle; /* patterns; NULL: nothing is left out */
    const char **own_idle;   /* the same, if they are the caller's */
    PyObject *texts;
};

/* As the Session is read if nothing is said; NULL: as one of a single thread. -1: an
 * exception is set. Ended by flame_asked_end(), whatever happened. */
int flame_asked_start(struct flame_asked *asked,
                      const struct flame_session_object *session);
/* clock, idle, or an option of pictures. */
int flame_asked_keyword(struct flame_asked *asked, PyObject *key, PyObject *value);
/* Both, for all of a dict; NULL: there is none. */
int flame_asked_read(struct flame_asked *asked,
                     const struct flame_session_object *session, PyObject *kwargs);
void flame_asked_end(struct flame_asked *asked);

/* Or RuntimeError. */
bool flame_session_is_finished(const struct flame_session_object *session);
/* Needs no GIL; the Session counts a reader meanwhile. NULL: out of memory. */
struct flame_tree *flame_session_tree(const struct flame_session_object *session,
                                      const struct flame_asked *asked,
                                      struct flame_left_out *left_out);

#endif
