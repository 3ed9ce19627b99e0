// What dlsym and dlvsym say to every kind of handle. The output must not depend on who is preloaded.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void *(*const volatile sym)(void *, const char *) = dlsym;

static void show(const char *what, void *found) {
    Dl_info info;
    const char *file = found && dladdr(found, &info) ? info.dli_fname : "-";
    const char *slash = strrchr(file, '/');
    const char *error = dlerror();
    printf("%s: %s %s | %s\n", what, found ? "found" : "nil", slash ? slash + 1 : file, error ? error : "-");
}

int cuOwn(void) { return 1; }

int main(void) {
    void *one = dlopen("./libone.so", RTLD_NOW | RTLD_LOCAL);
    void *two = dlopen("./libtwo.so", RTLD_NOW | RTLD_GLOBAL);
    void *self = dlopen(NULL, RTLD_NOW);
    void *handles[] = {RTLD_DEFAULT, RTLD_NEXT, self, one, two};
    const char *kinds[] = {"default", "next", "self", "one", "two"};
    const char *names[] = {"malloc", "shared_name", "cuSharedName", "cuOwn", "cuMissing", "missing", "c", "cu", "",
                           "dlsym_", "cublasCreate"};
    for (int h = 0; h < 5; h++)
        for (unsigned n = 0; n < sizeof names / sizeof *names; n++) {
            char what[64];
            snprintf(what, sizeof what, "%s %s", kinds[h], names[n]);
            show(what, sym(handles[h], names[n]));
        }
    show("versioned", dlvsym(RTLD_DEFAULT, "malloc", "GLIBC_2.2.5"));
    show("no such version", dlvsym(RTLD_NEXT, "malloc", "GLIBC_9.9"));
    show("versioned local", dlvsym(one, "cuSharedName", "NONE_1"));
    // Each library asks for itself: RTLD_NEXT depends on the caller, RTLD_DEFAULT on its scope.
    for (int h = 3; h < 5; h++) {
        void *(*ask)(void *, const char *) = sym(handles[h], "ask_from_here");
        show("asked inside, next", ask(RTLD_NEXT, "cuSharedName"));
        show("asked inside, default", ask(RTLD_DEFAULT, "cuSharedName"));
        show("asked inside, next malloc", ask(RTLD_NEXT, "malloc"));
        show("asked inside, missing", ask(RTLD_NEXT, "cuNoSuch"));
    }
}
