/* A CUDA program as small as it gets, for an image without Python: 50,000 sums through the driver API, PTX in the source,
 * again and again for as many seconds as its argument says. Needs libc from its image and libcuda.so.1 from whoever gave
 * it a GPU. Prints one line of JSON; exit status 0 when every sum is right.
 * https://docs.nvidia.com/cuda/cuda-driver-api/ */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT 50000
#define BLOCK 256
#define BUSY 1000

typedef unsigned long long address;
typedef struct { unsigned char bytes[16]; } uuid;

static const char *PTX =
    ".version 3.2\n.target sm_30\n.address_size 64\n"
    ".visible .entry vadd(.param .u64 left, .param .u64 right, .param .u64 sum, .param .u32 count) {\n"
    ".reg .pred %done; .reg .f32 %f<4>; .reg .b32 %r<6>; .reg .b64 %d<8>;\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "ld.param.u32 %r5, [count]; setp.ge.u32 %done, %r4, %r5; @%done bra END;\n"
    "ld.param.u64 %d1, [left]; ld.param.u64 %d2, [right]; ld.param.u64 %d3, [sum]; mul.wide.u32 %d4, %r4, 4;\n"
    "add.s64 %d5, %d1, %d4; add.s64 %d6, %d2, %d4; add.s64 %d7, %d3, %d4;\n"
    "ld.global.f32 %f1, [%d5]; ld.global.f32 %f2, [%d6]; add.f32 %f3, %f1, %f2; st.global.f32 [%d7], %f3;\n"
    "END: ret; }\n";

static void *library;

static void *function(const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        printf("libcuda.so.1 has no %s\n", name);
        exit(1);
    }
    return found;
}

/* Calls a function of the driver API; ends the program with its name and code when it fails. */
#define CALL(name, types, ...)                                          \
    do {                                                                \
        int code = ((int(*) types)function(#name))(__VA_ARGS__);        \
        if (code) {                                                     \
            printf(#name " failed with %d\n", code);                    \
            return 1;                                                   \
        }                                                               \
    } while (0)

int main(int argc, char **argv) {
    static float left[COUNT], right[COUNT], sum[COUNT];
    int device, wrong = 0, rounds = 0;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
    Dl_info from = {0};
    unsigned count = COUNT;
    void *context, *module, *kernel;
    address a, b, c;
    uuid id;
    char name[128] = "";

    library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) {
        printf("%s\n", dlerror());
        return 1;
    }
    CALL(cuInit, (unsigned), 0);
    CALL(cuDeviceGet, (int *, int), &device, 0);
    CALL(cuDeviceGetName, (char *, int, int), name, sizeof name, device);
    CALL(cuDeviceGetUuid, (uuid *, int), &id, device);
    CALL(cuDevicePrimaryCtxRetain, (void **, int), &context, device);
    CALL(cuCtxSetCurrent, (void *), context);
    CALL(cuModuleLoadData, (void **, const void *), &module, PTX);
    CALL(cuModuleGetFunction, (void **, void *, const char *), &kernel, module, "vadd");
    for (int i = 0; i < COUNT; i++) {
        left[i] = i;
        right[i] = 2 * i;
    }
    CALL(cuMemAlloc_v2, (address *, size_t), &a, sizeof left);
    CALL(cuMemAlloc_v2, (address *, size_t), &b, sizeof right);
    CALL(cuMemAlloc_v2, (address *, size_t), &c, sizeof sum);
    CALL(cuMemcpyHtoD_v2, (address, const void *, size_t), a, left, sizeof left);
    CALL(cuMemcpyHtoD_v2, (address, const void *, size_t), b, right, sizeof right);
    void *arguments[] = {&a, &b, &c, &count};
    do {
        for (int i = 0; i < (argc > 1 ? BUSY : 1); i++, rounds++) /* many at once, so that the GPU is never idle */
            CALL(cuLaunchKernel,
                 (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **),
                 kernel, (COUNT + BLOCK - 1) / BLOCK, 1, 1, BLOCK, 1, 1, 0, NULL, arguments, NULL);
        CALL(cuCtxSynchronize, (void), );
    } while (time(NULL) < end);
    CALL(cuMemcpyDtoH_v2, (void *, address, size_t), sum, c, sizeof sum);
    for (int i = 0; i < COUNT; i++)
        wrong += sum[i] != 3.0f * i;
    dladdr(function("cuInit"), &from);
    printf("{\"uuid\": \"GPU-");
    for (int i = 0; i < 16; i++)
        printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id.bytes[i]);
    printf("\", \"name\": \"%s\", \"elements\": %d, \"wrong\": %d, \"rounds\": %d, ", name, COUNT, wrong, rounds);
    printf("\"library\": \"%s\", \"LD_LIBRARY_PATH\": \"%s\"}\n", from.dli_fname ? from.dli_fname : "",
           getenv("LD_LIBRARY_PATH") ? getenv("LD_LIBRARY_PATH") : "");
    return wrong != 0;
}
