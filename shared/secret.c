// SPDX-License-Identifier: Apache-2.0
// Secrets in memory of their own that is wiped when the last reference goes, and random bytes.
#include "shared/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)64 * 1024)

struct gw_secret {
    atomic_uint refs;
    size_t len;
    char value[]; // NUL-terminated beyond len
};

static struct gw_secret *secret_make(size_t len) {
    struct gw_secret *s = gw_alloc(sizeof(*s) + len + 1);
    atomic_init(&s->refs, 1);
    s->len = len;
    return s;
}

struct gw_secret *gw_secret_new(struct gw_str value) {
    struct gw_secret *s = secret_make(value.len);
    if (value.len) memcpy(s->value, value.ptr, value.len);
    return s;
}

struct gw_secret *gw_secret_ref(struct gw_secret *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void gw_secret_unref(struct gw_secret *s) {
    if (!s) return;
    unsigned before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    GW_ASSERT(before > 0);
    if (before > 1) return;
    explicit_bzero(s->value, s->len);
    free(s);
}

struct gw_str gw_secret_reveal(const struct gw_secret *s) {
    return (struct gw_str){s->value, s->len};
}

// The time depends on the length of the other text alone.
bool gw_secret_eq(const struct gw_secret *s, struct gw_str other) {
    volatile unsigned char differs = s->len != other.len;
    for (size_t i = 0; i < other.len; i++) {
        // The NUL stands in where the secret is shorter.
        size_t at = i < s->len ? i : s->len;
        differs |= (unsigned char)(s->value[at] ^ other.ptr[i]);
    }
    return differs == 0;
}

static struct gw_secret *from_bytes(const char *path, struct gw_str bytes, struct gw_err *err) {
    if (bytes.len > FILE_BYTES_MAX) {
        gw_err_set(err, GW_ERR_LIMIT, 0, "%s: secret file is over %zu bytes", path, FILE_BYTES_MAX);
        return NULL;
    }
    if (gw_str_ends(bytes, GW_STR("\r\n"))) {
        bytes.len -= 2;
    } else if (gw_str_ends(bytes, GW_STR("\n"))) {
        bytes.len--;
    }
    // An empty key or token would match what was never given.
    if (bytes.len == 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "%s: is empty", path);
        return NULL;
    }
    return gw_secret_new(bytes);
}

struct gw_secret *gw_secret_from_file(const char *path, struct gw_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "%s: cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    size_t cap = FILE_BYTES_MAX + 1, len = 0;
    char *bytes = gw_alloc(cap);
    ssize_t n = 0;
    while (len < cap) {
        n = read(fd, bytes + len, cap - len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        len += (size_t)n;
    }
    struct gw_secret *s = NULL;
    if (n < 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "%s: cannot be read: %s", path, strerror(errno));
    } else {
        s = from_bytes(path, (struct gw_str){bytes, len}, err);
    }
    close(fd);
    explicit_bzero(bytes, len);
    free(bytes);
    return s;
}

bool gw_secret_is_token(const struct gw_secret *s) {
    struct gw_str text = gw_secret_reveal(s);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') return false;
    return text.len > 0;
}

struct gw_secret *gw_secret_random(size_t bytes) {
    static const char hex[] = "0123456789abcdef";
    struct gw_secret *s = secret_make(2 * bytes);
    // The bytes come into the second half and are spelled out from the front; a pair never
    // overwrites a byte that is still to be read.
    gw_random(s->value + bytes, bytes);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)s->value[bytes + i];
        s->value[2 * i] = hex[c >> 4];
        s->value[2 * i + 1] = hex[c & 15];
    }
    return s;
}

void gw_random(void *dst, size_t n) {
    char *p = dst;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0) {
            GW_ASSERT(errno == EINTR);
            continue;
        }
        p += got;
        n -= (size_t)got;
    }
}
