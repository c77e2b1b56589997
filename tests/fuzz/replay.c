/* SPDX-License-Identifier: MIT */
/* Runs every file of the given folders through a fuzzer's entry, so that what was once
 * found stays found: this is how fuzzers run in ctest, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int failed(const char *path)
{
    perror(path);
    return -1;
}

/* The input gets a block of its exact size: reading past it is caught. */
static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return failed(path);
    uint8_t *p = malloc(size ? size : 1);
    size_t n = p ? fread(p, 1, size, f) : 0;
    fclose(f);
    if (!p || n != size) {
        free(p);
        return failed(path);
    }
    LLVMFuzzerTestOneInput(p, n);
    free(p);
    return 1;
}

/* How many files were run; -1: one could not be. */
static int run_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    int count = 0, one = 0;

    if (!d)
        return failed(folder);
    while (one >= 0 && (entry = readdir(d))) {
        char path[4096];
        struct stat st;
        int n = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) != 0)
            one = failed(folder);
        else if (S_ISREG(st.st_mode))
            count += one = run_file(path, (size_t)st.st_size);
    }
    closedir(d);
    return one < 0 ? -1 : count;
}

int main(int argc, char **argv)
{
    int count = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int n = run_folder(argv[i]);
        if (n < 0)
            return 1;
        count += n;
    }
    printf("%d inputs\n", count);
    return count ? 0 : 1;
}
