// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over committed inputs with any compiler: replay PATH..., each a file or a
// folder of files. Prints "N inputs"; what a target finds ends the process.
#include "shared/err.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) != 0) {
        perror(path);
        if (file) fclose(file);
        return false;
    }
    size_t size = (size_t)st.st_size;
    // Exactly as large as the input, so that a sanitizer sees a read beyond it.
    uint8_t *data = gw_alloc(size ? size : 1);
    bool is_read = fread(data, 1, size, file) == size;
    fclose(file);
    if (is_read)
        LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(data);
    return is_read;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static bool replay_folder(const char *folder, unsigned *inputs) {
    struct dirent **entries;
    bool is_fine = true;
    int n = scandir(folder, &entries, is_visible, alphasort);
    if (n < 0) {
        perror(folder);
        return false;
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        is_fine = replay_file(path) && is_fine;
        ++*inputs;
        free(entries[i]);
    }
    free(entries);
    return is_fine;
}

int main(int argc, char **argv) {
    unsigned inputs = 0;
    bool is_fine = true;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            is_fine = replay_folder(argv[i], &inputs) && is_fine;
        } else {
            is_fine = replay_file(argv[i]) && is_fine;
            inputs++;
        }
    }
    printf("%u inputs\n", inputs);
    return is_fine ? 0 : 1;
}
