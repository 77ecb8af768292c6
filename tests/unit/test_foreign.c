/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library that reads a damaged file may end the process, or ask for all memory: then it is said
 * which file it was, and memory is bounded while the file is read and no longer.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/files/foreign.h"

/* What a process that reads "F.nwb" and gets a signal says, and how it ends. */
static int end_by(int number, char *said, size_t size)
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t got;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        struct traj_foreign before;
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(ends[1], STDERR_FILENO);
        /* A sanitizer's handlers would tell of it at length. */
        (void)signal(number, SIG_DFL);
        traj_foreign_begin(&before, "F.nwb");
        (void)raise(number);
        _exit(0);
    }
    (void)close(ends[1]);
    while (length + 1 < size && (got = read(ends[0], said + length, size - length - 1)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_last_words(void **state)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGXCPU};
    char said[2048];
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int status = end_by(numbers[i], said, sizeof said);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
        assert_string_equal(said, "trajctl: F.nwb: is damaged in a way that the library for such "
                                  "files is not proof against\n");
    }
}

/* Address space alone, which nobody has to have. */
static bool can_map(size_t size)
{
    int zero = open("/dev/zero", O_RDONLY);
    void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE, zero, 0);
    bool good = memory != MAP_FAILED;
    if (good)
        (void)munmap(memory, size);
    (void)close(zero);
    return good;
}

static void test_memory_is_bounded(void **state)
{
    const size_t much = (size_t)1 << 32;
    struct traj_foreign before;
    struct sigaction action;
    (void)state;
    assert_true(can_map(much));
    traj_foreign_begin(&before, "/dev/null");
    bool within = can_map(much >> 4), beyond = can_map(much);
    traj_foreign_end(&before);
    assert_true(within);
    assert_false(beyond);
    assert_true(can_map(much));
    assert_int_equal(sigaction(SIGABRT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
