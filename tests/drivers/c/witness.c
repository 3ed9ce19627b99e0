/* Preloaded before everything else: hands every look-up of a CUDA name on to whoever comes next, and writes down what
 * was asked and where the answer lies: in which file, and how far from its beginning. WITNESS_LOG names the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void *(*dlsym_t)(void *, const char *);
typedef int (*four_t)(const char *, void **, int, unsigned long);
typedef int (*five_t)(const char *, void **, int, unsigned long, int *);

static four_t four;
static five_t five;

static void note(const char *way, const char *name, int version, unsigned long flags, void *answer) {
    static int file = -1;
    if (file < 0) {
        const char *path = getenv("WITNESS_LOG");
        file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (file < 0)
        return;
    Dl_info about = {0};
    if (answer)
        dladdr(answer, &about);
    const char *object = about.dli_fname ? strrchr(about.dli_fname, '/') : NULL;
    object = object ? object + 1 : about.dli_fname ? about.dli_fname : "-";
    long offset = about.dli_fbase ? (char *)answer - (char *)about.dli_fbase : 0;
    dprintf(file, "%s %s %d %lu %s %ld\n", way, *name ? name : "-", version, flags, object, offset);
}

static int ask_four(const char *name, void **function, int version, unsigned long flags);
static int ask_five(const char *name, void **function, int version, unsigned long flags, int *found);

/* Whoever looks cuGetProcAddress up gets ours, which writes down and asks what was found. */
static void *in_place_of(const char *name, int version, void *answer) {
    int is_five = !strcmp(name, "cuGetProcAddress_v2") || (!strcmp(name, "cuGetProcAddress") && version >= 12000);
    if (!answer || strncmp(name, "cuGetProcAddress", 16))
        return answer;
    if (is_five) {
        five = (five_t)answer;
        return (void *)ask_five;
    }
    four = (four_t)answer;
    return (void *)ask_four;
}

static void answered(const char *name, void **function, int version, unsigned long flags, int status, const char *way) {
    if (!name || !function)
        return;
    void *answer = status ? NULL : *function;
    note(way, name, version, flags, answer);
    if (answer)
        *function = in_place_of(name, version, answer);
}

static int ask_four(const char *name, void **function, int version, unsigned long flags) {
    int status = four(name, function, version, flags);
    answered(name, function, version, flags, status, "four");
    return status;
}

static int ask_five(const char *name, void **function, int version, unsigned long flags, int *found) {
    int status = five(name, function, version, flags, found);
    answered(name, function, version, flags, status, "five");
    return status;
}

void *dlsym(void *handle, const char *name) {
    static dlsym_t next;
    if (!next)
        next = (dlsym_t)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    void *answer = next(handle, name);
    if (strncmp(name, "cu", 2) || handle == RTLD_NEXT || handle == RTLD_DEFAULT)
        return answer;
    note("dlsym", name, 0, 0, answer);
    return in_place_of(name, 0, answer);
}
