#include "middleware/module/progress.h"
#include "renderer/numbers.h"
#include "renderer/writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Less has no room for a line of ours. */
enum { ROWS_LEAST = 4, COLUMNS_LEAST = 40 };

bool flame_progress_open(struct flame_progress *progress)
{
    const char *kind = getenv("TERM");

    *progress = (struct flame_progress){.rows = 0};
    return kind != NULL && strcmp(kind, "dumb") != 0 && isatty(STDERR_FILENO) &&
           fstat(STDERR_FILENO, &progress->terminal) == 0;
}

static bool is_there_still(const struct flame_progress *progress)
{
    struct stat now;

    return fstat(STDERR_FILENO, &now) == 0 && now.st_dev == progress->terminal.st_dev &&
           now.st_ino == progress->terminal.st_ino;
}

/* Rows of the terminal; 0: it is somebody else's at this moment. */
static int free_rows(void)
{
    struct winsize size;
    struct termios modes;

    if (tcgetpgrp(STDERR_FILENO) != getpgrp() ||
        tcgetattr(STDERR_FILENO, &modes) != 0 || (modes.c_lflag & ICANON) == 0 ||
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < ROWS_LEAST ||
        size.ws_col < COLUMNS_LEAST) {
        return 0;
    }
    return size.ws_row;
}

/* One write: what the application writes comes before it or after it. */
static void put(struct flame_writer *text)
{
    if (text->error == 0) {
        ssize_t ignored = write(STDERR_FILENO, text->data, text->length);
        (void)ignored;
    }
    flame_writer_free(text);
}

/* The cursor leaves the last line, which stops scrolling. */
static void reserve(struct flame_writer *text, int rows)
{
    flame_write_text(text, "\x1b"
                           "D\x1bM\x1b"
                           "7\x1b[1;");
    flame_write_unsigned(text, (uint64_t)rows - 1);
    flame_write_text(text, "r\x1b"
                           "8");
}

/* The cursor, and how letters look, are kept until back(). */
static void go_to_row(struct flame_writer *text, int row)
{
    flame_write_text(text, "\x1b"
                           "7\x1b[");
    flame_write_unsigned(text, (uint64_t)row);
    flame_write_text(text, ";1H\x1b[m\x1b[2K");
}

static void go_back(struct flame_writer *text)
{
    flame_write_text(text, "\x1b"
                           "8");
}

void flame_progress_show(struct flame_progress *progress, uint64_t elapsed_ns,
                         uint64_t samples)
{
    struct flame_writer text = {0};
    int rows = is_there_still(progress) ? free_rows() : 0;

    if (rows == 0) {
        return;
    }
    if (rows != progress->rows) {
        reserve(&text, rows);
        progress->rows = rows;
    }
    go_to_row(&text, rows);
    flame_write_text(&text, "flameprof: ");
    flame_write_grouped(&text, elapsed_ns / UINT64_C(1000000000));
    flame_write_text(&text, " s, ");
    flame_write_grouped(&text, samples);
    flame_write_text(&text, " samples");
    go_back(&text);
    put(&text);
}

void flame_progress_erase(struct flame_progress *progress)
{
    struct flame_writer text = {0};

    if (progress->rows != 0 && is_there_still(progress)) {
        flame_write_text(&text, "\x1b"
                                "7\x1b[r\x1b"
                                "8");
        go_to_row(&text, progress->rows);
        go_back(&text);
        put(&text);
    }
    progress->rows = 0;
}
