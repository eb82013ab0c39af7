// SPDX-License-Identifier: Apache-2.0
// Multi-document YAML to the same trees as JSON, on libyaml. Scalars are read as kubectl reads them
// (YAML 1.1 of sigs.k8s.io/yaml: y/on/yes are booleans, 010 is octal, 1_000 is a thousand, quoted
// is text; keys are always text). Anchors and merge keys work within a cap on expanded nodes;
// duplicate keys, tags other than the core ones and binary keys are refused.
#ifndef GW_SHARED_YAML_H
#define GW_SHARED_YAML_H

#include "shared/json.h"

#define GW_YAML_BYTES_MAX (8u << 20)
#define GW_YAML_DEPTH_MAX 64
#define GW_YAML_NODES_MAX 1000000 // after expansion of aliases
#define GW_YAML_DOCS_MAX 20000

struct gw_yaml_doc {
    json_t *root;   // never JSON null: empty documents are left out
    unsigned line;  // 1-based, where its content begins
    unsigned index; // the document's number in the file, 0-based
};
struct gw_yaml {
    struct gw_yaml_doc *docs;
    size_t len;
};

// name is for messages: "name:LINE: what is wrong". All or nothing.
enum gw_rc gw_yaml_parse(struct gw_str text, const char *name, struct gw_yaml *ret,
                         struct gw_err *err) GW_MUST_USE;
void gw_yaml_fini(struct gw_yaml *y);

// The line of a member: parses the text again, follows a path such as
// "spec.rules[0].matches[1].path.type" in document doc_index as far as it exists, and returns the
// 1-based line of the deepest part found (0 where the text no longer parses).
unsigned gw_yaml_line_of(struct gw_str text, unsigned doc_index, const char *path);

#endif
