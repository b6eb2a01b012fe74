# The verbs. What a verb does in more than two lines is a program with a name.

PREFIX ?= /usr/local
BUILD_PARTS := clang libcgroups libcontainer libseccomp protoc
TEST_PARTS := containerd runc docker compose cni iptables busybox hosttools
K8S_PARTS := kubernetes etcd coredns helm kubectl openssl crane
MATRIX_PARTS := containerd-1.7 containerd-2.3 containerd-2.4 docker-26 docker-29
IN_NODE := TEST_PARTS="$(TEST_PARTS)" CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$(CURDIR)/test/node/run
# What is the same on any host, and so is left out of the slow one: modules, images, their network, 1,000 execs.
NOT_IN_NODE := ahead_of_time:: bad_input:: dist:: engine_cli:: exit_codes:: images:: output:: sockets:: \
    docker::an_image docker::an_artifact docker::dockers_own exec::a_thousand
NODE_TESTS ?= $(addprefix --skip=,$(NOT_IN_NODE))
K8S_TESTS ?= --test-threads=4
PODS ?= 100
ROUNDS ?= 3

ifdef WASMEDGE_DIR
export WASMEDGE_DIR
export WASMEDGE_INCLUDE_DIR := $(WASMEDGE_DIR)/include
export WASMEDGE_LIB_DIR := $(firstword $(patsubst %/libwasmedge.so,%,\
    $(wildcard $(patsubst %,$(WASMEDGE_DIR)/%/libwasmedge.so,lib64 lib lib/x86_64-linux-gnu))))
ifeq ($(and $(WASMEDGE_LIB_DIR),$(shell grep -s 'WASMEDGE_VERSION "0.17.1"' $(WASMEDGE_INCLUDE_DIR)/wasmedge/version.h)),)
$(error WASMEDGE_DIR=$(WASMEDGE_DIR): there is no WasmEdge 0.17.1 with include/wasmedge/version.h and lib/libwasmedge.so (Debian: libwasmedge-dev))
endif
ifneq ($(filter dist test test-matrix test-node,$(MAKECMDGOALS)),)
$(error WASMEDGE_DIR=$(WASMEDGE_DIR): the archive, which the tests install, brings its own WasmEdge; leave WASMEDGE_DIR out)
endif
else
BUILD_PARTS += wasmedge
endif

.PHONY: help parts test-parts build hello test test-matrix test-node test-k8s bench bench-k8s peer check install uninstall dist image manifest clean
.NOTPARALLEL:

help: ## say what the verbs are
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "variables: ROWS (of bench: hello,exec,…), PODS and ROUNDS (of bench-k8s: $(PODS), $(ROUNDS)), PREFIX ($(PREFIX)), DESTDIR, WASMEDGE_DIR (an installed WasmEdge to build against)"

parts: build/.rust ## fetch what the build needs into build/parts
	@parts/fetch $(BUILD_PARTS)

test-parts: ## fetch what the tests need into build/parts: containerd, Docker, runc, …
	@parts/fetch $(TEST_PARTS)

build: parts ## build the shim and the engine into build/root, laid out as installed
	cargo build --release --target x86_64-unknown-linux-musl -p containerd-shim-wasmedge -p wasmedge-node-installer
	cargo build --release -p wasmedge-engine && deploy/stage

hello: build ## run a hello module in a private containerd (as root)
	@parts/fetch containerd && test/hello

test: image test-parts ## run all tests, on private real daemons (as root)
	cargo test --workspace --lib --bins
	cargo test --workspace --test stories

test-matrix: image test-parts ## run a core set of the stories on each version of containerd and Docker (as root)
	@parts/fetch $(MATRIX_PARTS) && test/matrix $(MATRIX_PARTS)

test-node: image test-parts ## run the tests in a virtual machine with systemd and cgroup v2 (as root)
	@parts/fetch qemu node
	$(IN_NODE) cargo test -p wasmedge-shim-tests --no-fail-fast --test node --test stories -- $(NODE_TESTS)

test-k8s: image test-parts ## run the stories of Kubernetes on a cluster of this machine's own (as root)
	@parts/fetch $(K8S_PARTS)
	cargo test -p wasmedge-shim-tests --test k8s -- $(K8S_TESTS)

bench: build test-parts peer ## measure speed and memory beside runc and a runwasi shim, for the README (as root)
	ROWS="$(ROWS)" cargo bench -p wasmedge-shim-tests --bench figures

bench-k8s: build test-parts ## measure PODS pods on a cluster's node, ROUNDS times, beside runc (as root)
	@parts/fetch $(K8S_PARTS)
	ROWS=many PODS="$(PODS)" ROUNDS="$(ROUNDS)" cargo bench -p wasmedge-shim-tests --bench figures

peer: parts ## build the shim of runwasi that the benchmarks compare with, into build/peer
	cd crates/runwasi && cargo build --release --locked
	@parts/fetch patchelf && crates/runwasi/stage

check: parts ## formatting, lints and documentation, without a warning
	cargo fmt --all --check && cargo fmt --check --manifest-path crates/runwasi/Cargo.toml
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

install: build/root/bin/containerd-shim-wasmedge-v1 ## copy build/root to DESTDIR/PREFIX
	@deploy/install "$(DESTDIR)$(PREFIX)"

build/root/bin/containerd-shim-wasmedge-v1:
	$(MAKE) build

ifneq ($(WASMEDGE_DIR),$(shell cat build/root.wasmedge 2> /dev/null))
.PHONY: build/root/bin/containerd-shim-wasmedge-v1
endif

uninstall: ## remove what install copied
	@deploy/install --remove "$(DESTDIR)$(PREFIX)"

dist: build ## pack build/root into build/dist/*.tar.gz, for any x86-64 Linux
	@deploy/dist

image: dist ## pack the installer of Kubernetes nodes and the tarball into an image, build/dist/*.tar
	@deploy/image

manifest: ## write deploy/kubernetes.yaml anew, from the chart
	@parts/fetch helm && deploy/manifest

clean: ## remove everything that was built or fetched
	rm -rf build

build/.rust: rust-toolchain.toml
	@mkdir -p build && ! command -v rustup > /dev/null || rustup target add x86_64-unknown-linux-musl wasm32-wasip1
	@touch $@
