/* Plays the part of the CUDA driver that memory sharing uses, on a processor that plays the graphics adapter.
 *
 * Memory that the software Vulkan driver exports is a file: importing maps it, and its addresses stand for CUDA's.
 * FAKE_CUDA_UUID (32 hex digits) is the identity of the second of two devices, FAKE_CUDA_FAIL the name of a function that fails,
 * with FAKE_CUDA_CODE where another code than 999 is wanted. What is open and what was called is counted.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct import {
    unsigned type;
    union { int fd; void *pointers[2]; } handle;
    unsigned long long size;
    unsigned flags, reserved[16];
};
struct part {
    unsigned long long offset, size;
    unsigned flags, reserved[16];
};
struct memory {
    char *base;
    size_t length;
    char *data;
    unsigned long long size;
};

/* Read by the test: imports alive, mappings alive, contexts pushed and not popped, synchronisations, copies. */
int fake_cuda_counts[5];

static int failing(const char *name) {
    const char *wanted = getenv("FAKE_CUDA_FAIL"), *code = getenv("FAKE_CUDA_CODE");
    if (!wanted || strcmp(wanted, name)) return 0;
    return code ? atoi(code) : 999;
}
#define START int code = failing(__func__); if (code) return code

int cuInit(unsigned flags) { START; return flags ? 1 : 0; }
int cuDeviceGetCount(int *count) { START; *count = 2; return 0; }
int cuDeviceGet(int *device, int number) { START; *device = 100 + number; return 0; }
int cuDeviceGetUuid(unsigned char *uuid, int device) {
    START;
    const char *hex = getenv("FAKE_CUDA_UUID");
    memset(uuid, device, 16);
    if (device != 101 || !hex) return 0;
    for (int byte = 0; byte < 16; byte++) {
        char digits[3] = {hex[2 * byte], hex[2 * byte + 1], 0};
        uuid[byte] = (unsigned char)strtoul(digits, 0, 16);
    }
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { START; *context = (void *)(intptr_t)device; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { START; return device == 101 ? 0 : 1; }
int cuCtxPushCurrent_v2(void *context) {
    START;
    if (context != (void *)101) return 201;
    __atomic_add_fetch(&fake_cuda_counts[2], 1, __ATOMIC_SEQ_CST);
    return 0;
}
int cuCtxPopCurrent_v2(void **context) {
    START;
    *context = (void *)101;
    __atomic_sub_fetch(&fake_cuda_counts[2], 1, __ATOMIC_SEQ_CST);
    return 0;
}
int cuCtxSynchronize(void) {
    START;
    __atomic_add_fetch(&fake_cuda_counts[3], 1, __ATOMIC_SEQ_CST);
    return fake_cuda_counts[2] > 0 ? 0 : 201;
}
int cuImportExternalMemory(void **memory, const struct import *wanted) {
    START;
    struct stat about;
    if (wanted->type != 1 || wanted->flags != 1 || fstat(wanted->handle.fd, &about)) return 1;
    char *base = mmap(0, about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, wanted->handle.fd, 0);
    if (base == MAP_FAILED) return 2;
    /* The file begins with a header: the size of the memory, and where it starts. */
    size_t offset = ((size_t *)base)[1];
    if (offset + wanted->size > (size_t)about.st_size) return 1;
    close(wanted->handle.fd);
    struct memory *made = malloc(sizeof *made);
    *made = (struct memory){base, about.st_size, base + offset, wanted->size};
    *memory = made;
    __atomic_add_fetch(&fake_cuda_counts[0], 1, __ATOMIC_SEQ_CST);
    return 0;
}
int cuExternalMemoryGetMappedBuffer(unsigned long long *address, struct memory *memory, const struct part *part) {
    START;
    if (part->offset + part->size > memory->size) return 1;
    *address = (unsigned long long)(uintptr_t)(memory->data + part->offset);
    __atomic_add_fetch(&fake_cuda_counts[1], 1, __ATOMIC_SEQ_CST);
    return 0;
}
int cuMemFree_v2(unsigned long long address) {
    START;
    __atomic_sub_fetch(&fake_cuda_counts[1], 1, __ATOMIC_SEQ_CST);
    return address ? 0 : 1;
}
int cuDestroyExternalMemory(struct memory *memory) {
    START;
    munmap(memory->base, memory->length);
    free(memory);
    __atomic_sub_fetch(&fake_cuda_counts[0], 1, __ATOMIC_SEQ_CST);
    return 0;
}
int cuMemcpyDtoD_v2(unsigned long long to, unsigned long long from, size_t bytes) {
    START;
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    __atomic_add_fetch(&fake_cuda_counts[4], 1, __ATOMIC_SEQ_CST);
    return 0;
}
