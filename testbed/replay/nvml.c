/* libnvidia-ml.so.1 that answers from a capture. Every exported function is one line of symbols.h (made from the capture) and ends in
 * replay(). The answers lie in <dir of this library>/gpuready-replay/nvml.calls, read again when the file changes; where that file is
 * not beside the library (one file bind-mounted into a container) the copy that was compiled in answers.
 * One line per answer: see testbed/replay.py, flatten(). Arguments arrive in the six integer registers of the x86-64 System V ABI. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define ARGS 6
#define REGISTERED 256
#define FIRST_SET 0x7e5e00001000ULL
typedef uint64_t W;

/* nvmlReturn_t, https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html */
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, TIMEOUT = 10, NO_LIBRARY = 12, LOST = 15, NO_MEMORY = 20 };
enum { XID_EVENT = 8, EVENT_BYTES_V1 = 24, EVENT_BYTES = 32, FIELD_BYTES = 40, NO_INSTANCE = -1 };

EXPORT const char *const gpuready_replay = "replayed capture " CAPTURE_NAME;

__asm__(".section .rodata\n.local compiled_in\ncompiled_in:\n.incbin \"" CALLS_FILE "\"\n.byte 0\n.previous\n");
extern const char compiled_in[] __attribute__((visibility("hidden")));

struct arg {
    char kind; /* i int, q 64 bits, p handle, s string in, n NULL, l length of the text before, b text out, o out, x out compared before */
    W value;
    size_t size, given, filled; /* of the object; of its bytes up to the last that is not 0, before and after the call */
    const uint8_t *before, *after;
};
struct call { const char *name; unsigned code; int count; struct arg arg[ARGS]; };
struct field { W handle; uint32_t id, scope, code, type; W value; };
struct table {
    char *text;
    struct call *calls; size_t n_calls;
    struct field *fields; size_t n_fields;
    W gpus[64]; size_t n_gpus;
    W lost[256]; size_t n_lost;
    struct timespec changed; ino_t inode;
};
static struct table T;
static struct { W set, handle, types; } registered[REGISTERED];
static struct { W set; off_t cursor; } sets[REGISTERED];
static W next_set = FIRST_SET;
static int users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int beside(const char *name, char *path, size_t size) {
    Dl_info me;
    if (!dladdr((void *)&gpuready_replay, &me) || !me.dli_fname) return 0;
    const char *slash = strrchr(me.dli_fname, '/');
    return slash && snprintf(path, size, "%.*s/gpuready-replay/%s", (int)(slash - me.dli_fname), me.dli_fname, name) < (int)size;
}

static int nibble(int c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Hex digits up to `end` become bytes where they stand. */
static size_t unhex(char *hex, const char *end, const uint8_t **bytes) {
    uint8_t *to = (uint8_t *)hex;
    *bytes = to;
    for (; hex + 1 < end; hex += 2) *to++ = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
    return (size_t)(to - *bytes);
}

static void parse_arg(struct arg *a, char *token) {
    char *end = token + strlen(token), *rest;
    a->kind = *token++;
    if (a->kind == 'i' || a->kind == 'q') a->value = strtoull(token, NULL, 10);
    if (a->kind == 'p') a->value = strtoull(token, NULL, 16);
    if (a->kind == 's' || a->kind == 'b') a->filled = unhex(token, end, &a->after);
    if (a->kind != 'o' && a->kind != 'x') return;
    a->size = strtoull(token, &rest, 10); /* o<size>:<before>:<after> */
    char *before = rest + 1, *colon = strchr(before, ':');
    if (!colon) { a->size = 0; return; }
    a->given = unhex(before, colon, &a->before);
    a->filled = unhex(colon + 1, end, &a->after);
}

static void parse_call(struct table *t, char *rest) {
    struct call *c = &t->calls[t->n_calls++];
    char *word, *save = NULL;
    c->name = strtok_r(rest, " ", &save);
    word = strtok_r(NULL, " ", &save);
    c->code = word ? (unsigned)atoi(word) : NOT_SUPPORTED;
    while (c->count < ARGS && (word = strtok_r(NULL, " ", &save))) parse_arg(&c->arg[c->count++], word);
}

static void parse_line(struct table *t, char *line) {
    struct field *f = &t->fields[t->n_fields];
    if (!strncmp(line, "call ", 5)) parse_call(t, line + 5);
    else if (sscanf(line, "field %lx %u %u %u %u %lx", &f->handle, &f->id, &f->scope, &f->code, &f->type, &f->value) == 6) t->n_fields++;
    else if (!strncmp(line, "gpu ", 4) && t->n_gpus < 64) t->gpus[t->n_gpus++] = strtoull(line + 4, NULL, 16);
    else if (!strncmp(line, "lost ", 5) && t->n_lost < 256) t->lost[t->n_lost++] = strtoull(line + 5, NULL, 16);
}

static int parse(struct table *t, char *text) {
    size_t lines = 1;
    for (char *p = text; *p; p++) lines += *p == '\n';
    t->text = text;
    t->calls = calloc(lines, sizeof *t->calls);
    t->fields = calloc(lines, sizeof *t->fields);
    if (!t->calls || !t->fields) return 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) parse_line(t, line);
    return 1;
}

static char *read_all(int fd, size_t size) {
    char *text = malloc(size + 1);
    size_t have = 0;
    for (ssize_t n; text && have < size && (n = read(fd, text + have, size - have)) > 0;) have += (size_t)n;
    if (text) text[have] = 0;
    return text;
}

static void swap_in(struct table *fresh) {
    free(T.text); free(T.calls); free(T.fields);
    T = *fresh;
}

/* The file beside the library when it is there, else what was compiled in. */
static void refresh(void) {
    char path[4096];
    struct stat now;
    struct table fresh = {0};
    int fd = beside("nvml.calls", path, sizeof path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &now)) {
        if (fd >= 0) close(fd);
        if (!T.text && parse(&fresh, strdup(compiled_in))) swap_in(&fresh);
        return;
    }
    if (!T.text || now.st_ino != T.inode || memcmp(&now.st_mtim, &T.changed, sizeof now.st_mtim)) {
        char *text = read_all(fd, (size_t)now.st_size);
        if (text && parse(&fresh, text)) { fresh.inode = now.st_ino; fresh.changed = now.st_mtim; swap_in(&fresh); }
    }
    close(fd);
}

static int is_lost(W handle) {
    for (size_t i = 0; i < T.n_lost; i++) if (T.lost[i] == handle) return 1;
    return 0;
}

/* Does the object hold what was recorded before the call? */
static int same_before(const struct arg *a, const uint8_t *object) {
    if (!object || memcmp(object, a->before, a->given)) return 0;
    for (size_t i = a->given; i < a->size; i++) if (object[i]) return 0;
    return 1;
}

static int same_text(const struct arg *a, const char *text) {
    return text && strlen(text) == a->filled && !strncasecmp(text, (const char *)a->after, a->filled);
}

static int matches(const struct call *c, const W *given) {
    for (int i = 0; i < c->count; i++) {
        const struct arg *a = &c->arg[i];
        switch (a->kind) {
        case 'i': if ((uint32_t)given[i] != (uint32_t)a->value) return 0; break;
        case 'q': case 'p': if (given[i] != a->value) return 0; break;
        case 's': if (!same_text(a, (const char *)given[i])) return 0; break;
        case 'n': if (given[i]) return 0; break;
        case 'x': if (!same_before(a, (const uint8_t *)given[i])) return 0; break;
        case 'o': case 'b': if (!given[i]) return 0; break;
        }
    }
    return 1;
}

static unsigned fill(const struct call *c, const W *given) {
    for (int i = 0; i < c->count; i++) {
        const struct arg *a = &c->arg[i];
        uint8_t *object = (uint8_t *)given[i];
        if (a->kind == 'b') {
            int sized = i + 1 < c->count && c->arg[i + 1].kind == 'l';
            if (sized && (uint32_t)given[i + 1] <= a->filled) return TOO_SMALL;
            memcpy(object, a->after, a->filled);
            object[a->filled] = 0;
        }
        if (a->kind == 'o' && c->code != OK && !a->filled) continue; /* refused: the object was left alone */
        if (a->kind == 'o' || a->kind == 'x') {
            memcpy(object, a->after, a->filled);
            memset(object + a->filled, 0, a->size - a->filled);
        }
    }
    return c->code;
}

static int concerns_lost(const struct call *c) {
    for (int i = 0; i < c->count; i++) {
        const struct arg *a = &c->arg[i];
        W handle = 0;
        if (a->kind == 'o' && a->size == sizeof handle && a->filled && a->filled <= sizeof handle) memcpy(&handle, a->after, a->filled);
        if (is_lost(a->kind == 'p' ? a->value : handle)) return 1;
    }
    return 0;
}

static int by_name(const void *name, const void *call) { return strcmp(name, ((const struct call *)call)->name); }

static const struct call *find(const char *name, const W *given) {
    const struct call *c = bsearch(name, T.calls, T.n_calls, sizeof *T.calls, by_name);
    if (!c) return NULL;
    while (c > T.calls && !strcmp(c[-1].name, name)) c--;
    for (; c < T.calls + T.n_calls && !strcmp(c->name, name); c++) if (matches(c, given)) return c;
    return NULL;
}

/* What NVML says to a question that was not asked when the capture was made. */
static unsigned not_recorded(const char *name) {
    if (!strncmp(name, "nvmlDeviceGetHandleByIndex", 26)) return INVALID;
    if (!strncmp(name, "nvmlDeviceGetHandleBy", 21)) return NOT_FOUND;
    return NOT_SUPPORTED;
}

static unsigned fields(const W *given) {
    uint8_t *at = (uint8_t *)given[2];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t micros = now.tv_sec * 1000000LL + now.tv_nsec / 1000;
    if (is_lost(given[0])) return LOST;
    if (!at) return INVALID;
    for (int32_t i = 0; i < (int32_t)given[1]; i++, at += FIELD_BYTES) {
        uint32_t id, scope, answer[2] = {0, NOT_SUPPORTED}; /* nvmlFieldValue_t: id scope time latency type code value */
        memcpy(&id, at, 4); memcpy(&scope, at + 4, 4);
        memset(at + 8, 0, FIELD_BYTES - 8);
        memcpy(at + 8, &micros, 8);
        for (size_t k = 0; k < T.n_fields; k++) {
            const struct field *f = &T.fields[k];
            if (f->handle != given[0] || f->id != id || f->scope != scope) continue;
            answer[0] = f->type; answer[1] = f->code;
            memcpy(at + 32, &f->value, 8);
        }
        memcpy(at + 24, answer, 8);
    }
    return OK;
}

static off_t events_end(void) {
    char path[4096];
    struct stat s;
    return beside("events", path, sizeof path) && !stat(path, &s) ? s.st_size : 0;
}

static unsigned set_create(const W *given) {
    for (int i = 0; i < REGISTERED; i++) {
        if (sets[i].set) continue;
        sets[i].set = next_set++;
        sets[i].cursor = events_end(); /* as with the driver, what happened before nobody is told */
        *(W *)given[0] = sets[i].set;
        return OK;
    }
    return NO_MEMORY;
}

static unsigned set_free(const W *given) {
    for (int i = 0; i < REGISTERED; i++) {
        if (registered[i].set == given[0]) registered[i].set = 0;
        if (sets[i].set == given[0]) sets[i].set = 0;
    }
    return OK;
}

static unsigned set_register(const W *given) {
    W supported = 0;
    W question[ARGS] = {given[0], (W)&supported};
    const struct call *c = find("nvmlDeviceGetSupportedEventTypes", question);
    if (is_lost(given[0])) return LOST;
    if (!c || fill(c, question) != OK || given[1] & ~supported) return NOT_SUPPORTED;
    for (int i = 0; i < REGISTERED; i++) {
        if (registered[i].set) continue;
        registered[i].set = given[2]; registered[i].handle = given[0]; registered[i].types = given[1];
        return OK;
    }
    return NO_MEMORY;
}

static int listens(W set, W handle) {
    for (int i = 0; i < REGISTERED; i++)
        if (registered[i].set == set && registered[i].handle == handle && registered[i].types & XID_EVENT) return 1;
    return 0;
}

/* The next whole line of the events file that this set listens to: "xid <gpu index> <code>". */
static int next_event(W set, off_t *cursor, W *handle, W *code) {
    char path[4096], line[128];
    FILE *f = beside("events", path, sizeof path) ? fopen(path, "re") : NULL;
    int found = 0;
    unsigned long gpu;
    if (!f) return 0;
    fseeko(f, *cursor, SEEK_SET);
    while (!found && fgets(line, sizeof line, f) && strchr(line, '\n')) {
        *cursor = ftello(f);
        if (sscanf(line, "xid %lu %lu", &gpu, code) != 2 || gpu >= T.n_gpus) continue;
        *handle = T.gpus[gpu];
        found = listens(set, *handle);
    }
    fclose(f);
    return found;
}

static int lost_listener(W set) {
    for (int i = 0; i < REGISTERED; i++) if (registered[i].set == set && is_lost(registered[i].handle)) return 1;
    return 0;
}

static unsigned poll_once(W set, uint8_t *data, size_t size) {
    W event[4] = {0, XID_EVENT, 0, (W)NO_INSTANCE}; /* nvmlEventData_t: device, type, data, GPU and compute instance */
    for (int i = 0; i < REGISTERED; i++) {
        if (sets[i].set != set) continue;
        if (next_event(set, &sets[i].cursor, &event[0], &event[2])) { memcpy(data, event, size); return OK; }
        return lost_listener(set) ? LOST : TIMEOUT;
    }
    return INVALID;
}

static unsigned set_wait(const W *given, size_t size) {
    const struct timespec step = {0, 20 * 1000 * 1000};
    struct timespec now, start;
    if (!given[1]) return INVALID;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pthread_mutex_lock(&lock);
        refresh();
        unsigned code = users ? poll_once(given[0], (uint8_t *)given[1], size) : UNINITIALIZED;
        pthread_mutex_unlock(&lock);
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t waited = (now.tv_sec - start.tv_sec) * 1000LL + (now.tv_nsec - start.tv_nsec) / 1000000;
        if (code != TIMEOUT || waited >= (int64_t)(uint32_t)given[2]) return code;
        nanosleep(&step, NULL);
    }
}

/* NVML asks libcuda, which it loads by its name alone: a process that the loader does not find it for gets no answer. */
static int cuda_is_found(void) {
    void *cuda = dlopen("libcuda.so.1", RTLD_LAZY);
    return cuda && !dlclose(cuda);
}

static unsigned answer(const char *name, const W *given) {
    if (!strncmp(name, "nvmlSystemGetCudaDriverVersion", 30) && !cuda_is_found()) return NO_LIBRARY;
    if (!strcmp(name, "nvmlDeviceGetFieldValues")) return fields(given);
    if (!strcmp(name, "nvmlEventSetCreate")) return set_create(given);
    if (!strcmp(name, "nvmlEventSetFree")) return set_free(given);
    if (!strcmp(name, "nvmlDeviceRegisterEvents")) return set_register(given);
    const struct call *c = find(name, given);
    if (!c) return is_lost(given[0]) ? LOST : not_recorded(name);
    return concerns_lost(c) ? LOST : fill(c, given);
}

static unsigned init(W flags) {
    W given[ARGS] = {flags};
    const struct call *c = find("nvmlInitWithFlags", given);
    unsigned code = c ? c->code : OK;
    users += code == OK;
    return code;
}

static unsigned replay(const char *name, W a, W b, W c, W d, W e, W f) {
    W given[ARGS] = {a, b, c, d, e, f};
    unsigned code;
    if (!strcmp(name, "nvmlEventSetWait")) return set_wait(given, EVENT_BYTES_V1);
    if (!strcmp(name, "nvmlEventSetWait_v2")) return set_wait(given, EVENT_BYTES);
    pthread_mutex_lock(&lock);
    refresh();
    if (!strncmp(name, "nvmlInit", 8)) code = init(strcmp(name, "nvmlInitWithFlags") ? 0 : a);
    else if (!users) code = UNINITIALIZED;
    else if (!strcmp(name, "nvmlShutdown")) { users--; code = OK; }
    else code = answer(name, given);
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT const char *nvmlErrorString(unsigned code) {
    static const char *const words[] = {"Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded", "Timeout",
        "Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM", "GPU is lost",
        "GPU requires reset", "GPU access blocked by the operating system", "Driver/library version mismatch", "In use by another client",
        "Insufficient Memory"};
    return code < sizeof words / sizeof *words ? words[code] : "Unknown Error";
}

#define NVML(name) EXPORT unsigned name(W a, W b, W c, W d, W e, W f) { return replay(#name, a, b, c, d, e, f); }
#include "symbols.h"
