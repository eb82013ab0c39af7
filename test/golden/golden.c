// SPDX-License-Identifier: Apache-2.0
// golden DIR: compares what every DIR/*.in.yaml yields with its *.out.yaml, and runs each case in
// other orders too. golden --write DIR: rewrites the expectations.
#include "test/golden/golden.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define FILE_BYTES_MAX (1u << 20)
#define SHUFFLES 4 // seeds per case, each all at once and object by object

static bool read_file(const char *path, struct gw_text *ret) {
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char buf[4096];
    size_t n;
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0 && ret->len < FILE_BYTES_MAX)
        gw_text_add(ret, buf, n);
    fclose(f);
    return true;
}

static bool write_file(const char *path, struct gw_str text) {
    FILE *f = fopen(path, "w");
    if (!f) return false;
    bool ok = fwrite(text.ptr, 1, text.len, f) == text.len;
    return fclose(f) == 0 && ok;
}

// --- differences -------------------------------------------------------------------------------

struct lines {
    GW_VEC(struct gw_str) list;
};

static struct lines split(struct gw_str text) {
    struct lines l = {0};
    while (text.len)
        GW_VEC_PUSH(&l.list, gw_str_cut(&text, '\n'));
    return l;
}

static void print_difference(struct gw_str want, struct gw_str got) {
    struct lines a = split(want), b = split(got);
    size_t head = 0, tail = 0;
    while (head < a.list.len && head < b.list.len && gw_str_eq(a.list.ptr[head], b.list.ptr[head]))
        head++;
    while (tail < a.list.len - head && tail < b.list.len - head &&
           gw_str_eq(a.list.ptr[a.list.len - 1 - tail], b.list.ptr[b.list.len - 1 - tail]))
        tail++;
    printf("  from line %zu:\n", head + 1);
    for (size_t i = head; i < a.list.len - tail; i++)
        printf("  - " GW_STR_FMT "\n", GW_STR_ARG(a.list.ptr[i]));
    for (size_t i = head; i < b.list.len - tail; i++)
        printf("  + " GW_STR_FMT "\n", GW_STR_ARG(b.list.ptr[i]));
    GW_VEC_FINI(&a.list);
    GW_VEC_FINI(&b.list);
}

// --- one case ----------------------------------------------------------------------------------

static bool fail(const char *name, const char *text) {
    printf("FAIL %s: %s\n", name, text);
    return false;
}

static bool run_case(const char *name, struct gw_str in, const char *out_path, bool write) {
    struct gw_err err = {0};
    struct golden_case c = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text got = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text want = {0};
    bool ok = golden_case_read(in, name, &c, &err) == GW_OK && golden_run(&c, &got, &err) == GW_OK;
    for (unsigned seed = 1; ok && seed <= SHUFFLES; seed++)
        ok = golden_run_shuffled(&c, seed, false, &err) == GW_OK &&
             golden_run_shuffled(&c, seed, true, &err) == GW_OK;
    golden_case_fini(&c);
    if (!ok) return fail(name, err.text);
    if (write) return write_file(out_path, gw_text_str(&got)) || fail(name, strerror(errno));
    if (!read_file(out_path, &want)) return fail(name, "there is no .out.yaml (see --write)");
    if (gw_str_eq(gw_text_str(&want), gw_text_str(&got))) return true;
    fail(name, "differs");
    print_difference(gw_text_str(&want), gw_text_str(&got));
    return false;
}

static bool run_file(const char *dir, const char *file, bool write) {
    char in_path[4096], out_path[4096], name[256];
    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(".in.yaml")), file);
    snprintf(in_path, sizeof(in_path), "%s/%s.in.yaml", dir, name);
    snprintf(out_path, sizeof(out_path), "%s/%s.out.yaml", dir, name);
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0};
    if (!read_file(in_path, &in)) return fail(name, strerror(errno));
    return run_case(name, gw_text_str(&in), out_path, write);
}

// --- all cases ---------------------------------------------------------------------------------

static int is_input(const struct dirent *e) {
    return gw_str_ends(gw_str_of(e->d_name), GW_STR(".in.yaml"));
}

int main(int argc, char **argv) {
    bool write = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !write) {
        fprintf(stderr, "usage: golden [--write] DIR\n");
        return 2;
    }
    const char *dir = argv[argc - 1];
    struct dirent **files;
    int n = scandir(dir, &files, is_input, alphasort);
    if (n <= 0) {
        fprintf(stderr, "golden: no *.in.yaml in %s\n", dir);
        return 1;
    }
    int passed = 0;
    for (int i = 0; i < n; i++) {
        passed += run_file(dir, files[i]->d_name, write);
        free(files[i]);
    }
    free(files);
    printf("golden: %d passed, %d failed\n", passed, n - passed);
    return passed == n ? 0 : 1;
}
