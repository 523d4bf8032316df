/* The archive: what is written is read again, whatever happens to who writes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "middleware/archive/archive.h"

#define FUNCTIONS 200

static struct flame_code codes[FUNCTIONS];
static struct flame_node nodes[FUNCTIONS + 1];
static char names[FUNCTIONS][32];
static char folder[300];

/* Some kilobytes of a profile, so that there is something to be cut in the middle. */
static struct flame_profile profile(void)
{
    nodes[0] = (struct flame_node){0};
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        snprintf(names[i], sizeof names[i], "function_%u_%u", i, i * 2654435761u);
        codes[i] = (struct flame_code){{names[i], strlen(names[i])}, {"app.py", 6}, i};
        nodes[i + 1] = (struct flame_node){
            .parent = i / 3, .code = i, .wall_ns = {1000 * (i + 1)}, .samples = 1};
    }
    return (struct flame_profile){.nodes = nodes,
                                  .node_count = FUNCTIONS + 1,
                                  .codes = codes,
                                  .code_count = FUNCTIONS,
                                  .quality = {.interval_ns = 1000000,
                                              .duration_ns = UINT64_C(20100000),
                                              .cpu_ns = UINT64_C(1) << 60,
                                              .samples = FUNCTIONS,
                                              .missed = 3}};
}

static struct flame_facts some_facts(void)
{
    struct flame_facts facts = {.time_ms = 1700000000123,
                                .why = FLAME_WHY_SLOW,
                                .cut = FLAME_CUT_HARAKIRI,
                                .method = "GET",
                                .status = "200 OK"};

    flame_facts_path(&facts, flame_slice_of("/shop/?page=2&q=secret"));
    return facts;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/flameprof-archive-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[400];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct flame_shelf archive_of(const char *path)
{
    struct flame_shelf archive;

    assert_int_equal(flame_archive_init(&archive, flame_slice_of(path)), 0);
    return archive;
}

static int put(const struct flame_shelf *archive, char name[FLAME_SHELF_NAME + 1])
{
    struct flame_profile seen = profile();
    struct flame_facts facts = some_facts();

    assert_int_equal(flame_shelf_make_name(true, name), 0);
    return flame_archive_put(archive, &seen, &facts, name);
}

/* Files of the folder that end like this. */
static int count_files(const char *path, const char *suffix)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        count += length > strlen(suffix) &&
                 strcmp(entry->d_name + length - strlen(suffix), suffix) == 0;
    }
    closedir(directory);
    return count;
}

static void facts_come_back(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    struct flame_archive_entry *entries;
    size_t count;
    size_t all;
    char name[FLAME_SHELF_NAME + 1];

    (void)state;
    assert_int_equal(put(&archive, name), 0);
    assert_int_equal(flame_archive_list(&archive, 10, &entries, &count, &all), 0);
    assert_int_equal(count, 1);
    assert_int_equal(all, 1);
    assert_string_equal(entries[0].name, name);
    const struct flame_facts *facts = &entries[0].facts;
    assert_string_equal(facts->path, "/shop/?page=&q=");
    assert_string_equal(facts->method, "GET");
    assert_string_equal(facts->status, "200 OK");
    assert_int_equal(facts->why, FLAME_WHY_SLOW);
    assert_int_equal(facts->cut, FLAME_CUT_HARAKIRI);
    assert_int_equal(facts->time_ms, 1700000000123);
    assert_int_equal(facts->quality.missed, 3);
    assert_int_equal(facts->quality.cpu_ns, UINT64_C(1) << 60);
    free(entries);
}

static void values_are_not_kept(void **state)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"/?", "/"},
        {"/a=b?x=1", "/a=b?x="},
        {"/p?secret", "/p"},
        {"/p?a=1&secret&b=2", "/p?a=&b="},
        {"/p?a=b=c", "/p?a="},
        {"/p?flamegraph=1&flamegraph_keep=1&q=1", "/p?q="},
        {"/p?&&a=&", "/p?a="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flame_facts facts = {0};
        flame_facts_path(&facts, flame_slice_of(cases[i][0]));
        assert_string_equal(facts.path, cases[i][1]);
    }
}

static void any_text_comes_through(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    struct flame_profile seen = profile();
    struct flame_facts facts = some_facts();
    struct flame_archive_entry *entries;
    char name[FLAME_SHELF_NAME + 1];
    char bytes[4096];
    size_t count;
    size_t all;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i % 255 + 1);
    }
    FLAME_FACT(facts.path, ((struct flame_slice){bytes, sizeof bytes}));
    FLAME_FACT(facts.status, ((struct flame_slice){"\"}\\\0x", 5}));
    flame_shelf_make_name(true, name);
    assert_int_equal(flame_archive_put(&archive, &seen, &facts, name), 0);
    assert_int_equal(flame_archive_list(&archive, 10, &entries, &count, &all), 0);
    assert_int_equal(count, 1);
    assert_string_equal(entries[0].facts.status, "\"}\\");
    free(entries);
    /* A text that is cut is not cut inside a character. */
    FLAME_FACT(facts.raised, flame_slice_of("0123456789012345678901234567890123456789"
                                            "01234567890123456789012\xc3\xa9"));
    assert_int_equal(strlen(facts.raised), 63);
    FLAME_FACT(facts.raised, flame_slice_of("0123456789012345678901234567890123456789"
                                            "0123456789012345678901\xc3\xa9"));
    assert_int_equal(strlen(facts.raised), 62);
}

static void the_newest_stay(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    char made[9][FLAME_SHELF_NAME + 1];
    struct flame_shelf_entry *entries;
    size_t count;

    (void)state;
    archive.profiles = 4;
    for (int i = 0; i < 9; i++) {
        assert_int_equal(put(&archive, made[i]), 0);
        usleep(5000); /* files are told apart by their time */
    }
    assert_int_equal(flame_shelf_list(&archive, &entries, &count), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(entries[i].name, made[8 - i]);
    }
    archive.bytes = 2 * entries[0].size + entries[0].size / 2;
    free(entries);
    assert_int_equal(put(&archive, made[0]), 0);
    assert_int_equal(count_files(folder, ".pb.gz"), 2);
    archive.bytes = 100;
    assert_int_equal(put(&archive, made[1]), -E2BIG);
    assert_int_equal(count_files(folder, ".pb.gz"), 2);
}

/* So many of a size, of which one is told from the other by its time. */
static int put_bytes(const struct flame_shelf *archive, bool asked, size_t size,
                     unsigned times)
{
    char name[FLAME_SHELF_NAME + 1];
    char *bytes = calloc(1, size);
    int error = 0;

    for (unsigned i = 0; i < times && error == 0; i++) {
        assert_int_equal(flame_shelf_make_name(asked, name), 0);
        error = flame_shelf_put(archive, (struct flame_slice){bytes, size}, name);
        usleep(5000);
    }
    free(bytes);
    return error;
}

static void assert_kept(const struct flame_shelf *archive, size_t asked, size_t unasked)
{
    struct flame_shelf_entry *entries;
    size_t count;
    size_t found = 0;

    assert_int_equal(flame_shelf_list(archive, &entries, &count), 0);
    for (size_t i = 0; i < count; i++) {
        found += entries[i].name[0] < '8';
    }
    free(entries);
    assert_int_equal(found, asked);
    assert_int_equal(count - found, unasked);
}

/* What nobody asked for has all of the room, but only as long as nobody needs it. */
static void strangers_push_out_half_at_most(void **state)
{
    struct flame_shelf archive = archive_of(folder);

    (void)state;
    archive.profiles = 5;
    assert_int_equal(put_bytes(&archive, false, 100, 7), 0);
    assert_kept(&archive, 0, 5);
    assert_int_equal(put_bytes(&archive, true, 100, 4), 0);
    assert_kept(&archive, 4, 1);
    assert_int_equal(put_bytes(&archive, false, 100, 20), 0);
    assert_kept(&archive, 2, 3);
    assert_int_equal(put_bytes(&archive, true, 100, 20), 0);
    assert_kept(&archive, 5, 0);
    archive.profiles = 1000;
    archive.bytes = 500;
    assert_int_equal(put_bytes(&archive, false, 50, 20), 0);
    assert_kept(&archive, 2, 6);
    assert_int_equal(put_bytes(&archive, false, 250, 1), 0);
    assert_kept(&archive, 2, 2);
    assert_int_equal(put_bytes(&archive, false, 251, 1), -E2BIG);
    assert_kept(&archive, 2, 2);
    assert_int_equal(put_bytes(&archive, true, 251, 1), 0);
    assert_kept(&archive, 1, 0);
}

static void links_and_other_peoples_folders(void **state)
{
    char path[400];
    char target[500];
    char name[FLAME_SHELF_NAME + 1];
    struct flame_writer bytes;

    (void)state;
    snprintf(path, sizeof path, "%s/real", folder);
    struct flame_shelf real = archive_of(path);
    assert_int_equal(put(&real, name), 0);
    snprintf(target, sizeof target, "%s/link", folder);
    assert_int_equal(symlink(path, target), 0);
    struct flame_shelf link = archive_of(target);
    assert_int_equal(put(&link, name), -EPERM);
    /* A link in the place of a profile is none. */
    memset(name, 'a', FLAME_SHELF_NAME);
    snprintf(target, sizeof target, "%s/%s.pb.gz", path, name);
    assert_int_equal(symlink("/etc/passwd", target), 0);
    assert_true(flame_shelf_get(&real, flame_slice_of(name), &bytes) < 0);
    chmod(path, 0750);
    assert_int_equal(put(&real, name), -EPERM);
    chmod(path, 0700);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_int_equal(put(&real, name), -EPERM);
    }
}

/* Runs it in a child, which exits with what it returns. */
static int in_child(int (*run)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        _exit(run());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int limited(void)
{
    struct rlimit limit = {500, 500};
    struct flame_shelf archive = archive_of(folder);
    char name[FLAME_SHELF_NAME + 1];

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return -put(&archive, name);
}

/* A disk of its own, which nobody else sees. */
static int full(void)
{
    struct flame_shelf archive = archive_of(folder);
    char name[FLAME_SHELF_NAME + 1];
    int error = 0;

    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=64k,mode=0700") != 0) {
        return 255;
    }
    for (int i = 0; i < 100 && error == 0; i++) {
        error = put(&archive, name);
    }
    return count_files(folder, ".part") == 0 && count_files(folder, ".pb.gz") > 0
               ? -error
               : 254;
}

static void a_full_disk(void **state)
{
    (void)state;
    assert_int_equal(in_child(limited), EFBIG);
    assert_int_equal(count_files(folder, "f"), 0);
    assert_int_equal(count_files(folder, "t"), 0);
    int said = in_child(full);
    if (said == 255) {
        print_message("SKIPPED: a disk of its own needs root\n");
        return;
    }
    assert_int_equal(said, ENOSPC);
}

/* So large that a kill finds most of them half written. */
enum { LARGE = 4 << 20 };

/* A byte to @told for each file that is there. */
static void write_for_ever(int told)
{
    struct flame_shelf archive = archive_of(folder);
    char name[FLAME_SHELF_NAME + 1];
    char *bytes = malloc(LARGE);

    archive.profiles = 10;
    memset(bytes, 'x', LARGE);
    for (;;) {
        (void)flame_shelf_make_name(true, name);
        if (flame_shelf_put(&archive, (struct flame_slice){bytes, LARGE}, name) != 0 ||
            write(told, "", 1) != 1) {
            _exit(1);
        }
    }
}

static void killed_at_any_moment(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    struct flame_shelf_entry *entries;
    size_t count;
    char name[FLAME_SHELF_NAME + 1];
    char path[400];

    (void)state;
    for (int i = 0; i < 40; i++) {
        int told[2];
        char byte;
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        if (child == 0) {
            close(told[0]);
            write_for_ever(told[1]);
        }
        close(told[1]);
        /* However slow the machine is, it is in the midst of its work. */
        assert_int_equal(read(told[0], &byte, 1), 1);
        usleep((useconds_t)(i * 137 % 5000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(told[0]);
    }
    assert_int_equal(flame_shelf_list(&archive, &entries, &count), 0);
    assert_in_range(count, 1, 10);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].size, LARGE);
    }
    assert_true(count_files(folder, ".part") > 0); /* some were */
    free(entries);
    /* One that was left behind, old enough that nobody writes it any more. */
    snprintf(path, sizeof path, "%s/%032d.pb.gz.part", folder, 7);
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 61},
                                    {.tv_sec = time(NULL) - 61}};
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(futimens(file, old), 0);
    close(file);
    assert_int_equal(put(&archive, name), 0);
    assert_int_equal(access(path, F_OK), -1);
}

/* As a disk or a person may leave it: every length, and every byte another. */
static void broken_files(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    struct flame_writer whole;
    struct flame_facts facts;
    char name[FLAME_SHELF_NAME + 1];

    (void)state;
    assert_int_equal(put(&archive, name), 0);
    assert_int_equal(flame_shelf_get(&archive, flame_slice_of(name), &whole), 0);
    for (size_t length = 0; length < whole.length; length++) {
        char *cut = malloc(length + 1); /* what is read beyond it is seen */
        memcpy(cut, whole.data, length);
        (void)flame_facts_read((struct flame_slice){cut, length}, &facts);
        free(cut);
    }
    for (size_t i = 0; i < whole.length && i < 1500; i++) {
        whole.data[i] = (char)~whole.data[i];
        (void)flame_facts_read((struct flame_slice){whole.data, whole.length}, &facts);
        whole.data[i] = (char)~whole.data[i];
    }
    flame_writer_free(&whole);
}

/* In ns it would be more than a signed number holds. */
static void a_time_beyond_all_calendars(void **state)
{
    struct flame_facts facts = some_facts();
    struct flame_writer extra = {.limit = 0};
    unsigned char file[4096];

    (void)state;
    facts.time_ms = UINT64_MAX;
    assert_int_equal(flame_facts_write(&facts, &extra), 0);
    gz_header header = {.extra = (unsigned char *)extra.data,
                        .extra_len = (uInt)extra.length};
    z_stream zip = {.next_out = file, .avail_out = sizeof file};
    assert_int_equal(
        deflateInit2(&zip, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflateSetHeader(&zip, &header), Z_OK);
    assert_int_equal(deflate(&zip, Z_FINISH), Z_STREAM_END);
    assert_int_equal(
        flame_facts_read((struct flame_slice){(const char *)file, zip.total_out},
                         &facts),
        0);
    assert_in_range(facts.time_ms, 1, INT64_MAX / 1000000);
    deflateEnd(&zip);
    flame_writer_free(&extra);
}

static void what_is_no_profile_is_not_listed(void **state)
{
    struct flame_shelf archive = archive_of(folder);
    struct flame_archive_entry *entries;
    struct flame_document document;
    size_t count;
    size_t all;
    char name[FLAME_SHELF_NAME + 1];
    char path[400];

    (void)state;
    assert_int_equal(put(&archive, name), 0);
    memset(name, 'b', FLAME_SHELF_NAME);
    snprintf(path, sizeof path, "%s/%s.pb.gz", folder, name);
    FILE *file = fopen(path, "w");
    fputs("a;b 12\n", file);
    fclose(file);
    assert_int_equal(flame_archive_list(&archive, 10, &entries, &count, &all), 0);
    assert_int_equal(all, 2);
    assert_int_equal(count, 1);
    free(entries);
    assert_int_equal(flame_archive_read(&archive, flame_slice_of(name), &document),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_A_FOLDER(test) \
    cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
        IN_A_FOLDER(facts_come_back),
        IN_A_FOLDER(any_text_comes_through),
        cmocka_unit_test(values_are_not_kept),
        IN_A_FOLDER(the_newest_stay),
        IN_A_FOLDER(strangers_push_out_half_at_most),
        IN_A_FOLDER(links_and_other_peoples_folders),
        IN_A_FOLDER(a_full_disk),
        IN_A_FOLDER(killed_at_any_moment),
        IN_A_FOLDER(broken_files),
        cmocka_unit_test(a_time_beyond_all_calendars),
        IN_A_FOLDER(what_is_no_profile_is_not_listed),
#undef IN_A_FOLDER
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
