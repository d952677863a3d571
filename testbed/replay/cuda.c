/* libcuda.so.1 for a replayed GPU: the part of the driver API that a compute probe needs. It shows the GPUs whose device nodes this
 * process may open, so what it tests is the injection of devices into a container; the one kernel it knows, vadd, runs on the CPU.
 * gpus.h (made from the capture) is compiled in, since a container gets this file alone. Codes: CUresult,
 * https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_GPUS 64
#define MIG_ACCESS 2
typedef uint64_t W;

struct gpu { int minor, gi_cap, ci_cap; const char *name; unsigned char uuid[16]; W memory; int compute_major, compute_minor; };
#include "gpus.h" /* static const struct gpu GPUS[]; N_GPUS; CUDA_VERSION */

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_INITIALISED = 3, NO_DEVICE = 100, BAD_DEVICE = 101, BAD_IMAGE = 200, BAD_CONTEXT = 201,
       BAD_PTX = 218, BAD_HANDLE = 400, NOT_FOUND = 500, UNKNOWN = 999 };

EXPORT const char *const gpuready_replay = "replayed capture " CAPTURE_NAME;

struct block { struct block *next; W at, size; int device; };
struct module { char *text; };
struct context { int device; };
static int visible[MAX_GPUS], n_visible, ready;
static W used[MAX_GPUS];
static struct block *blocks;
static struct context primary[MAX_GPUS];
static char vadd_token;
static __thread struct context *current;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* No driver stands behind a replayed node, so open() says ENXIO where the kernel and the device cgroup let it through. */
static int may_open(const char *name) {
    char path[256];
    snprintf(path, sizeof path, DEV_DIR "/%s", name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0 || errno == ENXIO || errno == ENODEV;
}

static int may_use(const struct gpu *g) {
    char name[64];
    snprintf(name, sizeof name, "nvidia%d", g->minor);
    if (!may_open(name)) return 0;
    const int caps[MIG_ACCESS] = {g->gi_cap, g->ci_cap};
    for (int i = 0; i < MIG_ACCESS; i++) {
        if (caps[i] < 0) continue;
        snprintf(name, sizeof name, "nvidia-caps/nvidia-cap%d", caps[i]);
        if (!may_open(name)) return 0;
    }
    return 1;
}

static int look(void) {
    if (!may_open("nvidiactl")) return NO_DEVICE;
    for (int i = 0; i < N_GPUS && n_visible < MAX_GPUS; i++) {
        int mig = GPUS[i].gi_cap >= 0;
        if ((mig && n_visible) || !may_use(&GPUS[i])) continue; /* a process sees one MIG device at most */
        visible[n_visible++] = i;
        if (mig) break;
    }
    if (!n_visible) return NO_DEVICE;
    return may_open("nvidia-uvm") ? OK : UNKNOWN;
}

EXPORT int cuInit(unsigned flags) {
    int code = OK;
    if (flags) return INVALID;
    pthread_mutex_lock(&lock);
    if (!ready) { n_visible = 0; code = look(); ready = code == OK; }
    pthread_mutex_unlock(&lock);
    return code;
}

static int check(int device) { return !ready ? NOT_INITIALISED : device < 0 || device >= n_visible ? BAD_DEVICE : OK; }
static const struct gpu *gpu(int device) { return &GPUS[visible[device]]; }

EXPORT int cuDriverGetVersion(int *version) { if (!version) return INVALID; *version = CUDA_VERSION; return OK; }
EXPORT int cuDeviceGetCount(int *count) { if (!ready) return NOT_INITIALISED; if (!count) return INVALID; *count = n_visible; return OK; }
EXPORT int cuDeviceGet(int *device, int ordinal) { int c = check(ordinal); if (c == OK) *device = ordinal; return c; }

EXPORT int cuDeviceGetName(char *name, int size, int device) {
    int c = check(device);
    if (c == OK) snprintf(name, (size_t)size, "%s (replayed)", gpu(device)->name);
    return c;
}

EXPORT int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    int c = check(device);
    if (c == OK) memcpy(uuid, gpu(device)->uuid, 16);
    return c;
}
EXPORT int cuDeviceGetUuid(unsigned char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    int c = check(device);
    if (c == OK) *bytes = gpu(device)->memory;
    return c;
}

/* CUdevice_attribute: 1 and 2 threads per block and block width, 10 warp size, 75 and 76 compute capability. */
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int c = check(device);
    if (c != OK) return c;
    switch (attribute) {
    case 1: case 2: *value = 1024; return OK;
    case 10: *value = 32; return OK;
    case 75: *value = gpu(device)->compute_major; return OK;
    case 76: *value = gpu(device)->compute_minor; return OK;
    default: *value = 0; return INVALID;
    }
}

EXPORT int cuDevicePrimaryCtxRetain(struct context **context, int device) {
    int c = check(device);
    if (c == OK) { primary[device].device = device; *context = &primary[device]; }
    return c;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { return check(device); }
EXPORT int cuDevicePrimaryCtxRelease(int device) { return check(device); }

EXPORT int cuCtxCreate_v2(struct context **context, unsigned flags, int device) {
    int c = check(device);
    (void)flags;
    if (c != OK) return c;
    if (!(*context = malloc(sizeof **context))) return OUT_OF_MEMORY;
    (*context)->device = device;
    current = *context;
    return OK;
}
EXPORT int cuCtxCreate_v4(struct context **context, void *parameters, unsigned flags, int device) {
    (void)parameters;
    return cuCtxCreate_v2(context, flags, device);
}
EXPORT int cuCtxDestroy_v2(struct context *context) {
    if (!context) return BAD_CONTEXT;
    if (current == context) current = NULL;
    free(context);
    return OK;
}
EXPORT int cuCtxSetCurrent(struct context *context) { current = context; return ready ? OK : NOT_INITIALISED; }
EXPORT int cuCtxGetCurrent(struct context **context) { *context = current; return ready ? OK : NOT_INITIALISED; }
EXPORT int cuCtxSynchronize(void) { return current ? OK : BAD_CONTEXT; }

EXPORT int cuModuleLoadData(struct module **module, const char *image) {
    if (!current) return BAD_CONTEXT;
    if (!image) return INVALID;
    if (!strstr(image, ".version") || !strstr(image, ".target")) return BAD_PTX;
    if (!(*module = malloc(sizeof **module))) return OUT_OF_MEMORY;
    (*module)->text = strdup(image);
    return (*module)->text ? OK : OUT_OF_MEMORY;
}
EXPORT int cuModuleUnload(struct module *module) {
    if (!module) return BAD_HANDLE;
    free(module->text);
    free(module);
    return OK;
}
EXPORT int cuModuleGetFunction(void **function, struct module *module, const char *name) {
    if (!module || !name) return INVALID;
    if (strcmp(name, "vadd") || !strstr(module->text, ".entry vadd")) return NOT_FOUND;
    *function = &vadd_token;
    return OK;
}

EXPORT int cuMemAlloc_v2(W *pointer, size_t size) {
    if (!current) return BAD_CONTEXT;
    if (!pointer || !size) return INVALID;
    struct block *b = malloc(sizeof *b);
    void *bytes = malloc(size);
    pthread_mutex_lock(&lock);
    int device = current->device, fits = b && bytes && size <= gpu(device)->memory - used[device];
    if (fits) {
        *b = (struct block){blocks, (W)bytes, size, device};
        blocks = b; used[device] += size; *pointer = b->at;
    }
    pthread_mutex_unlock(&lock);
    if (!fits) { free(b); free(bytes); }
    return fits ? OK : OUT_OF_MEMORY;
}

EXPORT int cuMemFree_v2(W pointer) {
    pthread_mutex_lock(&lock);
    struct block **at = &blocks, *b;
    while ((b = *at) && b->at != pointer) at = &b->next;
    if (b) { *at = b->next; used[b->device] -= b->size; free((void *)b->at); free(b); }
    pthread_mutex_unlock(&lock);
    return b ? OK : INVALID;
}

static int inside(W pointer, size_t size) {
    pthread_mutex_lock(&lock);
    struct block *b = blocks;
    while (b && !(pointer >= b->at && pointer - b->at <= b->size && size <= b->size - (pointer - b->at))) b = b->next;
    pthread_mutex_unlock(&lock);
    return b != NULL;
}

EXPORT int cuMemcpyHtoD_v2(W to, const void *from, size_t size) {
    if (!current) return BAD_CONTEXT;
    if (!inside(to, size)) return INVALID;
    memcpy((void *)to, from, size);
    return OK;
}
EXPORT int cuMemcpyDtoH_v2(void *to, W from, size_t size) {
    if (!current) return BAD_CONTEXT;
    if (!inside(from, size)) return INVALID;
    memcpy(to, (void *)from, size);
    return OK;
}

/* vadd(u64 a, u64 b, u64 c, u32 n): one element per thread, as the grid says; a grid too small leaves the rest untouched. */
EXPORT int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                          void *stream, void **parameters, void **extra) {
    (void)shared; (void)stream;
    if (!current) return BAD_CONTEXT;
    if (function != &vadd_token) return BAD_HANDLE;
    if (!parameters || extra || !gx || !gy || !gz || !bx || bx > 1024 || by != 1 || bz != 1) return INVALID;
    W a = *(W *)parameters[0], b = *(W *)parameters[1], c = *(W *)parameters[2], threads = (W)gx * bx;
    uint32_t n = *(uint32_t *)parameters[3];
    size_t bytes = 4 * (size_t)(threads < n ? threads : n);
    if (!inside(a, bytes) || !inside(b, bytes) || !inside(c, bytes)) return 700; /* CUDA_ERROR_ILLEGAL_ADDRESS */
    for (size_t i = 0; i < bytes / 4; i++) ((float *)c)[i] = ((float *)a)[i] + ((float *)b)[i];
    return OK;
}

static const struct { int code; const char *name, *text; } ERRORS[] = {
    {0, "CUDA_SUCCESS", "no error"}, {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"}, {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}, {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}, {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}, {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}, {999, "CUDA_ERROR_UNKNOWN", "unknown error"}};

static int describe(int code, const char **to, int text) {
    *to = NULL;
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) if (ERRORS[i].code == code) *to = text ? ERRORS[i].text : ERRORS[i].name;
    return *to ? OK : INVALID;
}
EXPORT int cuGetErrorName(int code, const char **to) { return describe(code, to, 0); }
EXPORT int cuGetErrorString(int code, const char **to) { return describe(code, to, 1); }
