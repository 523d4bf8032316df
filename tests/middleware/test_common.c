/* What processes share: made, counted, spent and taken by many, some of them killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "middleware/common/block.h"
#include "middleware/request.h"

static const struct flame_entry_limits roomy = {.at_once = FLAME_COMMON_SLOTS,
                                                .worker_at_once = FLAME_COMMON_SLOTS,
                                                .per_minute = 100000000};

/* ---- a folder, for each test --------------------------------------------------- */

struct place {
    char path[64];
    int folder;
};

static int make_place(void **state)
{
    static struct place place;

    strcpy(place.path, "/tmp/flameprof-test-XXXXXX");
    place.folder = mkdtemp(place.path) == NULL
                       ? -1
                       : open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &place;
    return place.folder < 0 ? -1 : 0;
}

static int drop_place(void **state)
{
    struct place *place = *state;
    char command[100];

    close(place->folder);
    snprintf(command, sizeof command, "rm -r %s", place->path);
    return system(command);
}

static struct flame_common *common_in(const struct place *place)
{
    int error;
    struct flame_common *common = flame_common_new(place->folder, place->path, &error);

    assert_int_equal(error, 0);
    assert_non_null(common);
    return common;
}

static struct flame_common *anonymous(void)
{
    int error;
    struct flame_common *common = flame_common_new(-1, "", &error);

    assert_int_equal(error, 0);
    return common;
}

static int error_in(const struct place *place)
{
    int error;

    assert_null(flame_common_new(place->folder, place->path, &error));
    return error;
}

/* The only file there; its path. */
static void find_file(const struct place *place, char path[400])
{
    char command[100];

    snprintf(command, sizeof command, "ls -A %s/*", place->path);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, 400, list));
    path[strcspn(path, "\n")] = '\0';
    char more[2];
    assert_null(fgets(more, sizeof more, list));
    pclose(list);
}

/* ---- processes ----------------------------------------------------------------- */

static pid_t start(void (*work)(struct flame_common *, void *),
                   struct flame_common *common, void *data)
{
    pid_t process = fork();

    assert_true(process >= 0);
    if (process == 0) {
        work(common, data);
        _exit(0);
    }
    return process;
}

static void join(pid_t process)
{
    int status;

    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void end(pid_t process)
{
    assert_int_equal(kill(process, SIGKILL), 0);
    assert_int_equal(waitpid(process, NULL, 0), process);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void *shared_memory(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static void write_digest(unsigned char digest[16], uint32_t number)
{
    memset(digest, 0x5a, 16);
    memcpy(digest + 12, &number, sizeof number);
}

static int64_t in_an_hour(void)
{
    return (int64_t)time(NULL) + 3600;
}

/* ---- counters ------------------------------------------------------------------ */

static void counters_have_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FLAME_COUNTERS; i++) {
        assert_non_null(flame_counter_name(i));
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(flame_counter_name(i), flame_counter_name(j));
        }
    }
}

static void count_much(struct flame_common *common, void *data)
{
    (void)data;
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add(&common->block->counters[FLAME_COUNT_SAMPLES], 2);
    }
}

static void children_count_together(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    pid_t processes[8];

    for (int i = 0; i < 8; i++) {
        processes[i] = start(count_much, common, NULL);
    }
    for (int i = 0; i < 8; i++) {
        join(processes[i]);
    }
    assert_int_equal(flame_counted(common, FLAME_COUNT_SAMPLES), 16000);
    assert_int_equal(*flame_counter_address(common, FLAME_COUNT_SAMPLES), 16000);
    assert_int_equal(flame_counted(common, FLAME_COUNT_MISSED), 0);
    flame_common_free(common);
}

/* In a process of its own: this one's block is made once. */
static void make_own(struct flame_common *unused, void *data)
{
    const struct place *place = data;
    struct flame_common *first = flame_common_here();

    (void)unused;
    flame_count(FLAME_COUNT_PROFILES, 3);
    if (flame_common_sharing(first) != FLAME_OF_PROCESS ||
        flame_common_can_spend(first) ||
        flame_common_make_in_folder(place->folder, place->path) != 0) {
        _exit(1);
    }
    struct flame_common *made = flame_common_here();
    flame_count(FLAME_COUNT_PROFILES, 4);
    if (made == first || flame_common_sharing(made) != FLAME_OF_FOLDER ||
        flame_counted(made, FLAME_COUNT_PROFILES) != 7 ||
        flame_common_make_before_fork() != 0 || flame_common_here() != made) {
        _exit(2);
    }
}

static void what_was_counted_goes_along(void **state)
{
    join(start(make_own, NULL, *state));
    struct flame_common *common = common_in(*state);
    assert_int_equal(flame_counted(common, FLAME_COUNT_PROFILES), 7);
    flame_common_free(common);
}

static void fail_to_make(struct flame_common *unused, void *data)
{
    unsigned char digest[16] = {1};
    char line[300];

    (void)unused;
    (void)data;
    if (flame_common_make_in_folder(-EPERM, "") != -EPERM ||
        flame_common_sharing(flame_common_here()) != FLAME_OF_PROCESS ||
        flame_common_spend(flame_common_here(), digest, in_an_hour())) {
        _exit(1);
    }
    flame_common_explain(-EPERM, line, sizeof line);
    _exit(strstr(line, "somebody else's") == NULL ? 2 : 0);
}

static void without_a_folder_it_is_the_process_own(void **state)
{
    (void)state;
    join(start(fail_to_make, NULL, NULL));
}

/* ---- the file ------------------------------------------------------------------ */

static void make_and_count(struct flame_common *unused, void *data)
{
    const struct place *place = data;
    int error;
    struct flame_common *common = flame_common_new(place->folder, place->path, &error);

    (void)unused;
    if (common == NULL) {
        _exit(1);
    }
    count_much(common, NULL);
}

/* Whoever is first makes it, and nobody has another one. */
static void a_crowd_makes_one_file(void **state)
{
    pid_t processes[16];
    char path[400];
    struct stat found;

    for (int i = 0; i < 16; i++) {
        processes[i] = start(make_and_count, NULL, *state);
    }
    for (int i = 0; i < 16; i++) {
        join(processes[i]);
    }
    struct flame_common *common = common_in(*state);
    assert_int_equal(flame_counted(common, FLAME_COUNT_SAMPLES), 32000);
    assert_int_equal(flame_common_sharing(common), FLAME_OF_FOLDER);
    flame_common_free(common);
    find_file(*state, path);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, sizeof(struct flame_block));
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_true((uint64_t)found.st_blocks * 512 >= sizeof(struct flame_block));
}

static void a_file_that_is_not_ours_is_left_alone(void **state)
{
    char path[400];
    char aside[420];

    flame_common_free(common_in(*state));
    find_file(*state, path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(error_in(*state), -EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    int file = open(path, O_RDWR);
    assert_int_equal(pwrite(file, "x", 1, 0), 1);
    assert_int_equal(error_in(*state), -EPROTO);
    assert_int_equal(ftruncate(file, 100), 0);
    close(file);
    assert_int_equal(error_in(*state), -EPROTO);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, 100);
    snprintf(aside, sizeof aside, "%s-aside", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    assert_int_equal(error_in(*state), -EPERM);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(error_in(*state), -EPERM);
}

static void meet_a_full_disk(struct flame_common *unused, void *data)
{
    const struct place *place = data;
    struct rlimit little = {4096, 4096};
    int error;

    (void)unused;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &little);
    struct flame_common *common = flame_common_new(place->folder, place->path, &error);
    _exit(common == NULL && error == -EFBIG ? 0 : 1);
}

/* It is an error when the file is made, and leaves nothing behind. */
static void no_room_is_an_error(void **state)
{
    const struct place *place = *state;

    join(start(meet_a_full_disk, NULL, *state));
    assert_int_equal(rmdir(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
}

static void an_old_file_of_another_boot_goes(void **state)
{
    const struct place *place = *state;
    const char *names[] = {"common-1-10-0a0a0a0a-1", "common-1-10-0b0b0b0b-1",
                           "another"};
    const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};

    for (int i = 0; i < 3; i++) {
        close(openat(place->folder, names[i], O_CREAT | O_WRONLY, 0600));
        if (i != 1) {
            assert_int_equal(utimensat(place->folder, names[i], long_ago, 0), 0);
        }
    }
    flame_common_free(common_in(place));
    assert_int_equal(faccessat(place->folder, names[0], F_OK, 0), -1);
    assert_int_equal(faccessat(place->folder, names[1], F_OK, 0), 0);
    assert_int_equal(faccessat(place->folder, names[2], F_OK, 0), 0);
}

/* ---- tokens -------------------------------------------------------------------- */

#define TOKENS 500u

struct race {
    _Atomic unsigned times[TOKENS];
};

static void spend_all(struct flame_common *common, void *data)
{
    struct race *race = data;
    unsigned char digest[16];

    for (uint32_t i = 0; i < TOKENS; i++) {
        write_digest(digest, i);
        if (flame_common_spend(common, digest, in_an_hour())) {
            atomic_fetch_add(&race->times[i], 1);
        }
    }
}

static void a_token_is_spent_once_in_all_processes(void **state)
{
    struct flame_common *common = common_in(*state);
    struct race *race = shared_memory(sizeof *race);
    pid_t processes[8];

    for (int i = 0; i < 8; i++) {
        processes[i] = start(spend_all, common, race);
    }
    for (int i = 0; i < 8; i++) {
        join(processes[i]);
    }
    for (uint32_t i = 0; i < TOKENS; i++) {
        assert_int_equal(race->times[i], 1);
    }
    munmap(race, sizeof *race);
    flame_common_free(common);
}

static void a_token_that_is_given_back_is_good_once_more(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    unsigned char digest[16];
    unsigned char other[16];

    write_digest(digest, 1);
    write_digest(other, 2);
    assert_true(flame_common_spend(common, digest, in_an_hour()));
    assert_true(flame_common_spend(common, other, in_an_hour()));
    flame_common_unspend(common, digest);
    assert_false(flame_common_is_spent(common, digest));
    assert_true(flame_common_is_spent(common, other));
    assert_true(flame_common_spend(common, digest, in_an_hour()));
    assert_false(flame_common_spend(common, digest, in_an_hour()));
    assert_false(flame_common_spend(common, other, in_an_hour()));
    flame_common_free(common);
}

static void tokens_are_remembered_until_they_expire(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    unsigned char digest[16];
    int64_t now = (int64_t)time(NULL);

    write_digest(digest, 0);
    assert_true(flame_common_since(common) >= now - 10);
    assert_false(flame_common_spend(common, digest, now - 1));
    for (uint32_t i = 0; i < FLAME_COMMON_TOKENS; i++) {
        write_digest(digest, i);
        assert_true(flame_common_spend(common, digest, now + 3600));
    }
    /* Full: neither a new one, nor one of those again. */
    write_digest(digest, FLAME_COMMON_TOKENS);
    assert_false(flame_common_spend(common, digest, now + 3600));
    write_digest(digest, 7);
    assert_false(flame_common_spend(common, digest, now + 3600));
    /* One place becomes free. */
    common->block->spent[9].expires = now - 1;
    assert_false(flame_common_spend(common, digest, now + 3600));
    write_digest(digest, FLAME_COMMON_TOKENS);
    assert_true(flame_common_spend(common, digest, now + 3600));
    assert_false(flame_common_spend(common, digest, now + 3600));
    flame_common_free(common);
}

static void a_file_that_is_gone_spends_nothing(void **state)
{
    struct flame_common *common = common_in(*state);
    unsigned char digest[16];
    char path[400];

    write_digest(digest, 1);
    assert_true(flame_common_can_spend(common));
    find_file(*state, path);
    assert_int_equal(unlink(path), 0);
    assert_false(flame_common_can_spend(common));
    assert_false(flame_common_spend(common, digest, in_an_hour()));
    struct flame_common *another = common_in(*state);
    assert_false(flame_common_spend(common, digest, in_an_hour()));
    assert_true(flame_common_spend(another, digest, in_an_hour()));
    flame_common_free(another);
    flame_common_free(common);
}

/* ---- profiles that run --------------------------------------------------------- */

static enum flame_entry enter(struct flame_common *common,
                              const struct flame_entry_limits *limits,
                              struct flame_ticket *ticket)
{
    unsigned retry_s;
    enum flame_entry entry =
        flame_common_enter(common, limits, UINT64_C(1000000000), ticket, &retry_s);

    assert_true(retry_s >= 1 && retry_s <= 60);
    return entry;
}

static void as_many_as_may_run(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_entry_limits limits = roomy;
    struct flame_ticket tickets[4];

    limits.at_once = 3;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(enter(common, &limits, &tickets[i]), FLAME_ENTERED);
    }
    assert_int_equal(enter(common, &limits, &tickets[3]), FLAME_FULL);
    assert_int_equal(flame_common_running(common), 3);
    flame_common_leave(common, &tickets[3]); /* of none */
    assert_int_equal(flame_common_running(common), 3);
    flame_common_leave(common, &tickets[1]);
    flame_common_leave(common, &tickets[1]);
    assert_int_equal(flame_common_running(common), 2);
    limits.worker_at_once = 2;
    assert_int_equal(enter(common, &limits, &tickets[3]), FLAME_FULL_HERE);
    limits.worker_at_once = 3;
    assert_int_equal(enter(common, &limits, &tickets[3]), FLAME_ENTERED);
    flame_common_free(common);
}

static void every_place_can_be_had(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_ticket ticket;

    for (unsigned i = 0; i < FLAME_COMMON_SLOTS; i++) {
        assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    }
    assert_int_not_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    flame_common_free(common);
}

static void as_many_as_may_begin(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_entry_limits limits = roomy;
    struct flame_ticket ticket;
    unsigned retry_s = 0;

    limits.per_minute = 5;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(enter(common, &limits, &ticket), FLAME_ENTERED);
        flame_common_leave(common, &ticket);
    }
    assert_int_equal(flame_common_enter(common, &limits, 1, &ticket, &retry_s),
                     FLAME_TOO_OFTEN);
    assert_true(retry_s >= 11 && retry_s <= 12);
    /* Twelve seconds later there is one more. */
    common->block->begun_ns -= UINT64_C(12000000000);
    assert_int_equal(enter(common, &limits, &ticket), FLAME_ENTERED);
    assert_int_equal(enter(common, &limits, &ticket), FLAME_TOO_OFTEN);
    flame_common_free(common);
}

static void leave_for_the_parent(struct flame_common *common, void *ticket)
{
    flame_common_leave(common, ticket);
}

static void a_child_gives_nothing_back(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_ticket ticket;

    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    join(start(leave_for_the_parent, common, &ticket));
    assert_int_equal(flame_common_running(common), 1);
    flame_common_leave(common, &ticket);
    assert_int_equal(flame_common_running(common), 0);
    flame_common_free(common);
}

static void enter_and_wait(struct flame_common *common, void *data)
{
    struct flame_ticket ticket;
    unsigned retry_s;

    (void)data;
    flame_common_enter(common, &roomy, 1, &ticket, &retry_s);
    for (;;) {
        pause();
    }
}

static void wait_until_running(struct flame_common *common, unsigned count)
{
    for (int i = 0; flame_common_running(common) != count && i < 2000; i++) {
        sleep_ms(5);
    }
    assert_int_equal(flame_common_running(common), count);
}

/* Without a block that is shared the child's is a copy, where nobody would end what the
 * parent has running. */
static void run_in_a_copy(struct flame_common *common, void *data)
{
    struct flame_ticket ticket;

    (void)data;
    if (flame_common_running(common) != 0 ||
        enter(common, &roomy, &ticket) != FLAME_ENTERED ||
        flame_common_running(common) != 1) {
        _exit(1);
    }
    flame_common_leave(common, &ticket);
}

static void a_child_with_a_copy_has_its_own_only(void **state)
{
    struct flame_common *common = flame_common_here();
    struct flame_ticket ticket;

    (void)state;
    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    join(start(run_in_a_copy, common, NULL));
    assert_int_equal(flame_common_running(common), 1);
    flame_common_leave(common, &ticket);
    assert_int_equal(flame_common_running(common), 0);
}

static void who_was_killed_runs_no_more(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_entry_limits limits = roomy;
    struct flame_ticket ticket;
    pid_t process = start(enter_and_wait, common, NULL);

    limits.at_once = 1;
    wait_until_running(common, 1);
    assert_int_equal(enter(common, &limits, &ticket), FLAME_FULL);
    /* Not waited for yet: a zombie still has its number. */
    assert_int_equal(kill(process, SIGKILL), 0);
    wait_until_running(common, 0);
    assert_int_equal(enter(common, &limits, &ticket), FLAME_ENTERED);
    assert_int_equal(waitpid(process, NULL, 0), process);
    flame_common_free(common);
}

static void a_number_can_come_to_another_process(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_ticket ticket;

    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    assert_true(common->block->slots[ticket.slot].started != 0);
    common->block->slots[ticket.slot].started++;
    assert_int_equal(flame_common_running(common), 0);
    flame_common_free(common);
}

static void what_is_long_over_runs_no_more(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_ticket ticket;
    struct flame_ticket next;

    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    uint64_t over_ns = common->block->slots[ticket.slot].over_ns;
    assert_true(over_ns > flame_now_ns() + UINT64_C(59000000000));
    assert_true(over_ns < flame_now_ns() + UINT64_C(62000000000));
    common->block->slots[ticket.slot].over_ns = 1;
    assert_int_equal(enter(common, &roomy, &next), FLAME_ENTERED);
    assert_int_equal(next.slot, ticket.slot);
    assert_int_equal(flame_common_running(common), 1);
    /* Its first owner comes back: it is another's by now. */
    flame_common_leave(common, &ticket);
    assert_int_equal(flame_common_running(common), 1);
    flame_common_free(common);
}

static void stop_with_the_mutex(struct flame_common *common, void *data)
{
    (void)data;
    if (flame_block_lock(common->block)) {
        raise(SIGSTOP);
    }
}

static void nobody_waits_for_one_that_is_stopped(void **state)
{
    (void)state;
    struct flame_common *common = anonymous();
    struct flame_ticket ticket;
    unsigned char digest[16];
    int status;
    pid_t process = start(stop_with_the_mutex, common, NULL);

    assert_int_equal(waitpid(process, &status, WUNTRACED), process);
    assert_true(WIFSTOPPED(status));
    uint64_t begun = flame_now_ns();
    write_digest(digest, 1);
    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTRY_STUCK);
    assert_false(flame_common_spend(common, digest, in_an_hour()));
    assert_true(flame_now_ns() - begun < UINT64_C(2000000000));
    /* Killed with the mutex: the next one has it. */
    end(process);
    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    assert_true(flame_common_spend(common, digest, in_an_hour()));
    flame_common_free(common);
}

/* ---- kill -9 ------------------------------------------------------------------- */

static void work_for_ever(struct flame_common *common, void *data)
{
    struct race *race = data;
    struct flame_ticket ticket;
    unsigned retry_s;
    unsigned char digest[16];

    for (uint32_t i = (uint32_t)getpid();; i++) {
        if (flame_common_enter(common, &roomy, 1, &ticket, &retry_s) == FLAME_ENTERED) {
            flame_common_leave(common, &ticket);
        }
        write_digest(digest, i % TOKENS);
        if (flame_common_spend(common, digest, in_an_hour())) {
            atomic_fetch_add(&race->times[i % TOKENS], 1);
        }
    }
}

static void killed_at_any_instruction(void **state)
{
    struct flame_common *common = common_in(*state);
    struct race *race = shared_memory(sizeof *race);
    struct flame_ticket ticket;
    pid_t processes[6];

    srand(1);
    for (int i = 0; i < 6; i++) {
        processes[i] = start(work_for_ever, common, race);
    }
    for (int i = 0; i < 1500; i++) {
        pid_t *process = &processes[i % 6];
        nanosleep(&(struct timespec){0, rand() % 1000000}, NULL);
        end(*process);
        *process = start(work_for_ever, common, race);
    }
    for (int i = 0; i < 6; i++) {
        end(processes[i]);
    }
    for (uint32_t i = 0; i < TOKENS; i++) {
        assert_in_range(race->times[i], 0, 1);
    }
    assert_int_equal(flame_common_running(common), 0);
    assert_int_equal(enter(common, &roomy, &ticket), FLAME_ENTERED);
    munmap(race, sizeof *race);
    flame_common_free(common);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_have_names),
        TEST(children_count_together),
        TEST(what_was_counted_goes_along),
        TEST(without_a_folder_it_is_the_process_own),
        TEST(a_crowd_makes_one_file),
        TEST(a_file_that_is_not_ours_is_left_alone),
        TEST(no_room_is_an_error),
        TEST(an_old_file_of_another_boot_goes),
        TEST(a_token_is_spent_once_in_all_processes),
        TEST(a_token_that_is_given_back_is_good_once_more),
        TEST(tokens_are_remembered_until_they_expire),
        TEST(a_file_that_is_gone_spends_nothing),
        TEST(as_many_as_may_run),
        TEST(every_place_can_be_had),
        TEST(as_many_as_may_begin),
        TEST(a_child_gives_nothing_back),
        TEST(a_child_with_a_copy_has_its_own_only),
        TEST(who_was_killed_runs_no_more),
        TEST(a_number_can_come_to_another_process),
        TEST(what_is_long_over_runs_no_more),
        TEST(nobody_waits_for_one_that_is_stopped),
        TEST(killed_at_any_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
