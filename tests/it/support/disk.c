/* A disk that is full or broken, for one process and what it starts: preloaded, below the program and above the system.
 *
 * DISK_OF     the directories on this disk, separated by colons
 * DISK_STATE  a directory; a file `full` in it means that nothing grows any more (ENOSPC), `broken` that nothing is synced
 *             (EIO), `once` that the next sync is not, which takes the file away
 *
 * A full disk still takes what overwrites, as a real one does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_in_state(const char *state, int is_taken) {
    const char *directory = getenv("DISK_STATE");
    char path[PATH_MAX];
    if (!directory) return 0;
    snprintf(path, sizeof path, "%s/%s", directory, state);
    return (is_taken ? unlink(path) : access(path, F_OK)) == 0;
}

static int is_on_disk(int fd) {
    const char *roots = getenv("DISK_OF");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = roots ? readlink(link, path, sizeof path - 1) : -1;
    if (length < 0) return 0;
    path[length] = 0;
    for (const char *root = roots; *root;) {
        size_t size = strcspn(root, ":");
        if (size && !strncmp(path, root, size) && (path[size] == '/' || !path[size])) return 1;
        root += size + (root[size] == ':');
    }
    return 0;
}

/* Whether bytes up to `end` do not fit; a negative end is counted from where the file is written next. */
static int does_not_fit(int fd, off_t end, size_t length) {
    struct stat now;
    int saved = errno, refused = 0;
    if (length && is_in_state("full", 0) && is_on_disk(fd) && !fstat(fd, &now) && S_ISREG(now.st_mode)) {
        if (end < 0) {
            int flags = fcntl(fd, F_GETFL);
            off_t at = flags & O_APPEND ? now.st_size : lseek(fd, 0, SEEK_CUR);
            end = at + (off_t)length;
        }
        refused = end > now.st_size;
    }
    errno = saved;
    return refused;
}

static int is_not_synced(int fd) {
    int saved = errno;
    int refused = is_on_disk(fd) && (is_in_state("broken", 0) || is_in_state("once", 1));
    errno = saved;
    return refused;
}

static size_t length_of(const struct iovec *pieces, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++) length += pieces[i].iov_len;
    return length;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define REFUSE(error) return errno = (error), -1

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (does_not_fit(fd, -1, length)) REFUSE(ENOSPC);
    return real(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (does_not_fit(fd, -1, length_of(pieces, count))) REFUSE(ENOSPC);
    return real(fd, pieces, count);
}

#define POSITIONED(name, offset) \
    ssize_t name(int fd, const void *bytes, size_t length, offset at) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset); \
        if (does_not_fit(fd, at + (off_t)length, length)) REFUSE(ENOSPC); \
        return real(fd, bytes, length, at); \
    }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

#define POSITIONED_PIECES(name, offset) \
    ssize_t name(int fd, const struct iovec *pieces, int count, offset at) { \
        REAL(ssize_t, #name, int, const struct iovec *, int, offset); \
        size_t length = length_of(pieces, count); \
        if (does_not_fit(fd, at + (off_t)length, length)) REFUSE(ENOSPC); \
        return real(fd, pieces, count, at); \
    }
POSITIONED_PIECES(pwritev, off_t)
POSITIONED_PIECES(pwritev64, off64_t)

/* Answers with the error itself. */
#define ALLOCATED(name, offset) \
    int name(int fd, offset at, offset length) { \
        REAL(int, #name, int, offset, offset); \
        return does_not_fit(fd, at + length, (size_t)length) ? ENOSPC : real(fd, at, length); \
    }
ALLOCATED(posix_fallocate, off_t)
ALLOCATED(posix_fallocate64, off64_t)

#define SYNCED(name) \
    int name(int fd) { \
        REAL(int, #name, int); \
        if (is_not_synced(fd)) REFUSE(EIO); \
        return real(fd); \
    }
SYNCED(fsync)
SYNCED(fdatasync)
