// Stands between a process and its disk (LD_PRELOAD): counts what is done to files in one folder, and makes it go wrong
// from one operation on. Only the process knows that anything went wrong; the disk is a real one.
//
//   FAULTY_DISK_FOLDER the folder, as a part of each path; what happens elsewhere is neither counted nor touched
//   FAULTY_DISK_LOG    a file that gets a line for each operation: its name, its path, and what was done to it
//   FAULTY_DISK_AT     the operation that goes wrong, counted from 1; 0: none
//   FAULTY_DISK_FAULT  kill (instead of it), killed (after it), short (half of a write, then no space),
//                      torn (half of a write, then killed), or the number of an error
//   FAULTY_DISK_ALL    if it is set, every operation from that one on goes wrong
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { FILES = 1024, PATH = 400 };
enum outcome { DO, FAIL, HALF, DO_AND_DIE };

static char paths[FILES][PATH];
static atomic_long operations;
// A short write is followed by one that fails: the disk is full, not slow.
static _Thread_local int full_file = -1;

static int counts(const char *path) {
    const char *folder = getenv("FAULTY_DISK_FOLDER");
    return folder && path && strstr(path, folder);
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static void tell(const char *operation, const char *path, const char *what) {
    static atomic_int log = -1;
    if (log < 0) {
        const char *name = getenv("FAULTY_DISK_LOG");
        if (!name) return;
        log = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    char line[PATH + 64];
    int length = snprintf(line, sizeof line, "%s %s %s\n", operation, path, what);
    syscall(SYS_write, log, line, (size_t)length);
}

// What becomes of the operation that is about to happen.
static enum outcome next(const char *operation, const char *path) {
    if (!counts(path)) return DO;
    const char *at_text = getenv("FAULTY_DISK_AT"), *fault = getenv("FAULTY_DISK_FAULT");
    long number = atomic_fetch_add(&operations, 1) + 1, at = at_text ? atol(at_text) : 0;
    int wrong = at != 0 && (getenv("FAULTY_DISK_ALL") ? number >= at : number == at);
    tell(operation, path, wrong ? fault : "done");
    if (!wrong) return DO;
    int write = strcmp(operation, "write") == 0;
    if (strcmp(fault, "kill") == 0) die();
    if (strcmp(fault, "killed") == 0) return DO_AND_DIE;
    if (strcmp(fault, "torn") == 0 && !write) die();
    if (strcmp(fault, "torn") == 0 || (strcmp(fault, "short") == 0 && write)) return HALF;
    errno = strcmp(fault, "short") == 0 ? ENOSPC : atoi(fault);
    return FAIL;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define INSTEAD(operation, path, call)                  \
    enum outcome outcome = next(operation, path);       \
    if (outcome == FAIL) return -1;                     \
    int result = (call);                                \
    if (outcome == DO_AND_DIE) die();

static const char *path_of(int file) {
    return file >= 0 && file < FILES && paths[file][0] ? paths[file] : NULL;
}

static int remember(int file, const char *path) {
    if (file >= 0 && file < FILES) snprintf(paths[file], PATH, "%s", counts(path) ? path : "");
    return file;
}

#define OPEN(call)                                      \
    mode_t mode = 0;                                    \
    if (flags & (O_CREAT | __O_TMPFILE)) {              \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode = va_arg(more, mode_t);                    \
        va_end(more);                                   \
    }                                                   \
    INSTEAD("open", path, call)                         \
    return remember(result, path);

int open(const char *path, int flags, ...) { REAL(open); OPEN(real(path, flags, mode)) }
int open64(const char *path, int flags, ...) { REAL(open64); OPEN(real(path, flags, mode)) }
int openat(int at, const char *path, int flags, ...) { REAL(openat); OPEN(real(at, path, flags, mode)) }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); OPEN(real(at, path, flags, mode)) }

int close(int file) {
    REAL(close);
    if (file >= 0 && file < FILES) paths[file][0] = 0;
    return real(file);
}

ssize_t read(int file, void *bytes, size_t length) {
    REAL(read);
    enum outcome outcome = next("read", path_of(file));
    if (outcome == FAIL) return -1;
    ssize_t taken = real(file, bytes, length);
    if (outcome == DO_AND_DIE) die();
    return taken;
}

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(write);
    if (full_file == file && file >= 0) {
        full_file = -1;
        errno = ENOSPC;
        return -1;
    }
    enum outcome outcome = next("write", path_of(file));
    if (outcome == FAIL) return -1;
    ssize_t written = real(file, bytes, outcome == HALF && length > 1 ? length / 2 : length);
    if (outcome == DO_AND_DIE) die();
    if (outcome == HALF && strcmp(getenv("FAULTY_DISK_FAULT"), "torn") == 0) die();
    if (outcome == HALF) full_file = file;
    return written;
}

int fsync(int file) { REAL(fsync); INSTEAD("fsync", path_of(file), real(file)) return result; }
int fdatasync(int file) { REAL(fdatasync); INSTEAD("fdatasync", path_of(file), real(file)) return result; }
int ftruncate64(int file, off64_t length) { REAL(ftruncate64); INSTEAD("ftruncate", path_of(file), real(file, length)) return result; }
int rename(const char *from, const char *to) { REAL(rename); INSTEAD("rename", to, real(from, to)) return result; }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); INSTEAD("mkdir", path, real(path, mode)) return result; }
int unlink(const char *path) { REAL(unlink); INSTEAD("unlink", path, real(path)) return result; }
int linkat(int from, const char *path, int to, const char *name, int flags) { REAL(linkat); INSTEAD("link", name, real(from, path, to, name, flags)) return result; }
