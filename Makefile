# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile. Objects mirror the tree under build/$(VARIANT)/.
# `make help` lists the targets.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SUFFIXES:
.DELETE_ON_ERROR:

testing := $(filter test test-% unit golden corpus wire e2e kube,$(MAKECMDGOALS))
VARIANT ?= $(if $(testing),debug,release)
B := build/$(VARIANT)

# --- what there is --------------------------------------------------------------------------------

find_c = $(sort $(shell [ -d $(1) ] && find $(1) -name '*.c'))

mains      := controller/main.c controller/cli/main.c dataplane/main.c
shared_src := $(call find_c,shared)
ctl_src    := $(filter-out $(mains),$(call find_c,controller))
dp_src     := $(filter-out $(mains),$(call find_c,dataplane))
unit_src   := $(call find_c,test/unit)
fuzz_src   := $(wildcard test/fuzz/fuzz_*.c)
demo_src   := $(call find_c,test/demo)
golden_src := $(wildcard test/golden/*.c)

programs := $(B)/tandem-controller $(B)/tandem-dataplane $(B)/tandemctl $(B)/tandem-demo
fuzzers  := $(fuzz_src:test/fuzz/fuzz_%.c=$(B)/fuzz/%)
replays  := $(fuzz_src:test/fuzz/fuzz_%.c=$(B)/replay/%)
suites   := $(sort $(filter test_%,$(notdir $(unit_src))))

# --- how it is compiled ---------------------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef \
            -Wcast-qual -Wwrite-strings -Wformat=2 -Werror
CC := gcc
AR := gcc-ar
CPPFLAGS := -I. -D_GNU_SOURCE
CFLAGS := -std=gnu17 -g -fno-strict-overflow -fno-omit-frame-pointer $(warnings) $(EXTRA_CFLAGS)
LDFLAGS :=

ifeq ($(VARIANT),release)
  # Across files the optimizer sees paths that cannot be; the debug variant keeps this warning.
  CFLAGS += -O2 -flto=auto -ffat-lto-objects -fPIE -fstack-protector-strong -Wno-maybe-uninitialized
  CPPFLAGS += -D_FORTIFY_SOURCE=2
  LDFLAGS += -O2 -flto=auto -pie -Wl,-z,relro,-z,now
else ifeq ($(VARIANT),debug)
  CFLAGS += -O1
else ifeq ($(VARIANT),asan)
  CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
  LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
  CFLAGS += -O1 -fsanitize=thread
  LDFLAGS += -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
  CC := clang
  AR := llvm-ar
  CFLAGS += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
  LDFLAGS += -fsanitize=address,undefined
else ifeq ($(VARIANT),cov)
  CC := clang
  AR := llvm-ar
  CFLAGS += -O1 -fprofile-instr-generate -fcoverage-mapping
  LDFLAGS += -fprofile-instr-generate
else
  $(error VARIANT must be release, debug, asan, tsan, fuzz or cov, not '$(VARIANT)')
endif

shared_libs := -ljansson -lyaml -lnghttp2 -lwebsockets -lssl -lcrypto -l:libboost_context.a \
               -lpthread -lm
ctl_libs    := -lcurl
dp_libs     := -lcares -lz

obj = $(patsubst %.c,$(B)/%.o,$(1))

# --- targets --------------------------------------------------------------------------------------

.PHONY: all run test unit golden corpus wire e2e kube bench fuzz lint format clean help stop
all: $(programs)  ## build the programs (VARIANT=release|debug|asan|tsan|fuzz|cov)

run: all  ## start controller, data plane and demo on 127.0.0.1 (see examples/quickstart)
	@hack/run.sh $(B)

test: $(programs) $(B)/unit $(B)/golden $(replays)  ## every test; the last line is the sum
	@test/run.sh $(B)
unit: $(B)/unit  ## unit tests alone; SUITE=name runs one
	@test/unit.sh $(B) $(SUITE)
golden: $(B)/golden  ## rewrite the golden files (then read the diff)
	@$(B)/golden --write test/golden
corpus: $(replays)  ## replay the fuzz corpora
	@test/corpus.sh $(B)
wire: $(programs)  ## wire tests alone; K=expression picks
	@TANDEM_BUILD=$(B) build/venv/bin/python -m pytest -q test/wire $(if $(K),-k "$(K)")
e2e: $(programs)  ## end to end with curl and the openai package; K=expression picks
	@TANDEM_BUILD=$(B) build/venv/bin/python -m pytest -q test/e2e --ignore=test/e2e/kube $(if $(K),-k "$(K)")
kube: $(programs)  ## end to end on a real API server; K=expression picks
	@TANDEM_BUILD=$(B) build/venv/bin/python -m pytest -q test/e2e/kube $(if $(K),-k "$(K)")

bench: all $(B)/rawfwd $(B)/openloop $(B)/wsload  ## Tandem beside nginx, HAProxy and a raw forwarder
	@test/bench/run.sh $(B)

TIME ?= 60
fuzz:  ## every fuzz target for TIME seconds each (60); TARGET=name runs one
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzzers
	@test/fuzz/run.sh build/fuzz/fuzz $(TIME) $(TARGET)
.PHONY: fuzzers
fuzzers: $(fuzzers)

lint: build/.deps-test all $(B)/unit  ## clang-format, clang-tidy, include rules, shellcheck
	@hack/lint.sh $(B)
format: build/.deps-test  ## let clang-format rewrite the sources
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean:  ## remove what was built (keeps build/venv)
	rm -rf build/release build/debug build/asan build/tsan build/fuzz build/cov build/gen
help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' Makefile | sed -E 's/^([a-z0-9-]+):.*## */\1\t/' | expand -t 10

# --- dependencies of the machine ------------------------------------------------------------------

build/.deps-build: hack/deps.sh
	@hack/deps.sh build
build/.deps-test: hack/deps.sh hack/kube/build.sh
	@hack/deps.sh test
# Everything that is compiled needs the libraries; test targets need the test packages too.
deps := $(if $(testing)$(filter bench fuzz lint fuzzers,$(MAKECMDGOALS)),build/.deps-test,build/.deps-build)

# --- rules ----------------------------------------------------------------------------------------

$(B)/%.o: %.c | $(deps)
	@mkdir -p $(@D)
	@echo "  cc    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/libshared.a: $(call obj,$(shared_src))
$(B)/libctl.a: $(call obj,$(ctl_src))
$(B)/libdp.a: $(call obj,$(dp_src))
$(B)/%.a:
	@echo "  ar    $@"
	@rm -f $@
	@$(AR) rcs $@ $^

link = @mkdir -p $(@D); echo "  link  $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)

$(B)/tandem-controller: $(B)/controller/main.o $(B)/libctl.a $(B)/libshared.a
	$(link) $(ctl_libs) $(shared_libs)
$(B)/tandemctl: $(B)/controller/cli/main.o $(B)/libctl.a $(B)/libshared.a
	$(link) $(ctl_libs) $(shared_libs)
$(B)/tandem-dataplane: $(B)/dataplane/main.o $(B)/libdp.a $(B)/libshared.a
	$(link) $(dp_libs) $(shared_libs)
$(B)/tandem-demo: $(call obj,$(demo_src))
	$(link)
$(B)/rawfwd: $(B)/hack/rawfwd.o
	$(link)
$(B)/openloop: $(B)/test/bench/openloop.o
	$(link)
$(B)/wsload: $(B)/test/bench/wsload.o
	$(link) -lcrypto
$(B)/golden: $(call obj,$(golden_src)) $(B)/libctl.a $(B)/libshared.a
	$(link) $(ctl_libs) $(shared_libs)

# test/unit/<tree>/test_<module>.c exports `CU_SuiteInfo suite_<tree>_<module>`; the list is made.
suite_names := $(foreach f,$(filter-out test/unit/main.c,$(unit_src)),$(if $(filter test_%,$(notdir $(f))),suite_$(subst /,_,$(patsubst test/unit/%/,%,$(dir $(f))))_$(patsubst test_%.c,%,$(notdir $(f)))))
build/gen/suites.inc: $(unit_src) Makefile
	@mkdir -p $(@D)
	@printf 'SUITE(%s)\n' $(suite_names) >$@
$(B)/test/unit/main.o: build/gen/suites.inc
$(B)/test/unit/main.o: CPPFLAGS += -Ibuild/gen
$(B)/unit: $(call obj,$(unit_src)) $(B)/libctl.a $(B)/libdp.a $(B)/libshared.a
	$(link) -lcunit -lhttp_parser $(ctl_libs) $(dp_libs) $(shared_libs)

$(B)/fuzz/%: $(B)/test/fuzz/fuzz_%.o $(B)/libctl.a $(B)/libdp.a $(B)/libshared.a
	$(link) -fsanitize=fuzzer $(ctl_libs) $(dp_libs) $(shared_libs)
$(B)/replay/%: $(B)/test/fuzz/fuzz_%.o $(B)/test/fuzz/replay.o $(B)/libctl.a $(B)/libdp.a $(B)/libshared.a
	$(link) $(ctl_libs) $(dp_libs) $(shared_libs)

.SECONDARY:
-include $(shell [ -d $(B) ] && find $(B) -name '*.d')
