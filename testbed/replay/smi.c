/* nvidia-smi for a replayed node: what `nvidia-smi -L` prints, asked of libnvidia-ml.so.1 as the loader finds it, or of the one beside. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *open_beside(void) {
    char me[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", me, sizeof me - 1);
    if (n <= 0) return NULL;
    me[n] = 0;
    *strrchr(me, '/') = 0;
    snprintf(path, sizeof path, "%s/../lib64/libnvidia-ml.so.1", me);
    return dlopen(path, RTLD_NOW);
}

typedef unsigned (*call0)(void);
typedef unsigned (*call1)(void *);
typedef unsigned (*call2)(unsigned, void *);
typedef unsigned (*call3)(void *, char *, unsigned);

static unsigned list(void *lib) {
    call0 init = (call0)dlsym(lib, "nvmlInit_v2");
    call1 count = (call1)dlsym(lib, "nvmlDeviceGetCount_v2");
    call2 handle = (call2)dlsym(lib, "nvmlDeviceGetHandleByIndex_v2");
    call3 name = (call3)dlsym(lib, "nvmlDeviceGetName"), uuid = (call3)dlsym(lib, "nvmlDeviceGetUUID");
    if (!init || !count || !handle || !name || !uuid) return 13;
    unsigned n = 0, code = init();
    if (!code) code = count(&n);
    for (unsigned i = 0; i < n && !code; i++) {
        void *gpu;
        char model[96], id[96];
        if ((code = handle(i, &gpu)) || (code = name(gpu, model, sizeof model)) || (code = uuid(gpu, id, sizeof id))) break;
        printf("GPU %u: %s (UUID: %s)\n", i, model, id);
    }
    return code;
}

int main(void) {
    void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!lib) lib = open_beside();
    fputs("replayed\n", stderr);
    if (!lib) { puts("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."); return 12; }
    unsigned code = list(lib);
    const char *(*text)(unsigned) = (const char *(*)(unsigned))dlsym(lib, "nvmlErrorString");
    if (code) printf("NVIDIA-SMI has failed: %s\n", text ? text(code) : "?");
    return (int)code;
}
