// SPDX-License-Identifier: Apache-2.0
// The state folder: the push CA and the bootstrap token, made once and kept (0700, 0600). The
// server certificate is made anew at every start, so that it never expires under a long-lived CA.
#include "controller/publish/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CA_DAYS 3650
#define TOKEN_BYTES 32

static enum gw_rc make_dir(const char *dir, struct gw_err *err) {
    struct stat st;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot make %s: %s", dir, strerror(errno));
    if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s is not a folder", dir);
    if ((st.st_mode & 077) && chmod(dir, 0700) < 0)
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "%s must not be open to others: %s", dir,
                          strerror(errno));
    return GW_OK;
}

static enum gw_rc write_file(const char *path, struct gw_str bytes, struct gw_err *err) {
    char temp[4096];
    if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s: the path is too long", path);
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len && fsync(fd) == 0;
    int saved = errno;
    if (fd >= 0) close(fd);
    if (ok && rename(temp, path) == 0) return GW_OK;
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot write %s: %s", path,
                      strerror(ok ? errno : saved));
}

static struct gw_secret *read_file(const char *path, struct gw_err *err) {
    struct gw_secret *s = gw_secret_from_file(path, err);
    if (!s) gw_err_wrap(err, "%s", path);
    return s;
}

static enum gw_rc make_ca(const char *cert_path, const char *key_path, struct gw_err *err) {
    GW_CLEANUP(gw_text_fini) struct gw_text cert = {0};
    struct gw_secret *key = NULL;
    GW_TRY(gw_tls_make_ca("tandem push CA", CA_DAYS, &cert, &key, err));
    // The key first: a certificate without its key would be taken for a whole CA.
    enum gw_rc rc = write_file(key_path, gw_secret_reveal(key), err);
    if (rc == GW_OK) rc = write_file(cert_path, gw_text_str(&cert), err);
    gw_secret_unref(key);
    return rc;
}

void ctl_state_fini(struct ctl_state *s) {
    gw_tls_ctx_unref(s->tls);
    gw_secret_unref(s->ca_cert);
    gw_secret_unref(s->ca_key);
    gw_secret_unref(s->token);
    *s = (struct ctl_state){0};
}

enum gw_rc ctl_state_load(const char *dir, const char *const *names, struct ctl_state *ret,
                          struct gw_err *err) {
    char cert_path[4096], key_path[4096], token_path[4096];
    struct ctl_state s = {0};
    if ((size_t)snprintf(cert_path, sizeof(cert_path), "%s/ca.crt", dir) >= sizeof(cert_path) - 16)
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s: the path is too long", dir);
    snprintf(key_path, sizeof(key_path), "%s/ca.key", dir);
    snprintf(token_path, sizeof(token_path), "%s/token", dir);
    GW_TRY(make_dir(dir, err));
    if (access(cert_path, F_OK) < 0) GW_TRY(make_ca(cert_path, key_path, err));
    if (access(token_path, F_OK) < 0) {
        struct gw_secret *token = gw_secret_random(TOKEN_BYTES);
        enum gw_rc rc = write_file(token_path, gw_secret_reveal(token), err);
        gw_secret_unref(token);
        GW_TRY(rc);
    }
    s.ca_cert = read_file(cert_path, err);
    s.ca_key = s.ca_cert ? read_file(key_path, err) : NULL;
    s.tls = s.ca_key ? ctl_pki_server(gw_secret_reveal(s.ca_cert), s.ca_key, names, err) : NULL;
    s.token = s.tls ? read_file(token_path, err) : NULL;
    if (!s.token) {
        ctl_state_fini(&s);
        return err->rc;
    }
    *ret = s;
    return GW_OK;
}
