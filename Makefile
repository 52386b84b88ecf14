# Targets for people: make demo, make test, make bench, make install. All need root; see README.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help dependencies shim command tests images lab-image build demo test bench lab lab-shell fuzz lint install \
	uninstall clean

SCRATCH := .build-release
PROGRAMS := containerd-shim-slipway-v2 slipway-sandbox slipway
BIN := $(CURDIR)/$(SCRATCH)/bin
export SLIPWAY_BIN := $(BIN)
export SLIPWAY_CACHE ?= /var/cache/slipway-build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

dependencies: ## installs the Debian packages that build, tests and demo need
	@Tests/node/dependencies.sh

shim: # what containerd starts, as it is shipped
	@for program in containerd-shim-slipway-v2 slipway-sandbox; do \
		swift build --configuration release --static-swift-stdlib --scratch-path $(SCRATCH) --product $$program; \
	done
	@mkdir -p $(BIN)
	@for program in containerd-shim-slipway-v2 slipway-sandbox; do \
		strip -o $(BIN)/$$program $(SCRATCH)/release/$$program; \
	done

# The command without optimisation: its gRPC takes many minutes to optimise, and nothing waits for it.
command:
	@swift build --product slipway
	@mkdir -p $(BIN)
	@cp .build/debug/slipway $(BIN)/

build: ## release programs in .build-release/bin
	@for program in $(PROGRAMS); do \
		swift build --configuration release --static-swift-stdlib --scratch-path $(SCRATCH) --product $$program; \
	done
	@mkdir -p $(BIN)
	@for program in $(PROGRAMS); do strip -o $(BIN)/$$program $(SCRATCH)/release/$$program; done

demo: dependencies shim command ## a VNF and a CNF on one network, on a private containerd
	@Tests/node/demo.sh

tests: # the program of all tests
	@swift build --build-tests

images: # what the system tests boot, into the cache: mostly a matter of waiting for Debian's mirror, and of one core
	@Tests/node/test.sh images

lab-image: # what the lab boots, and its state after that, into the cache
	@Tests/lab/lab.sh image

test: dependencies lint ## every test, root ones included
	@$(MAKE) --no-print-directory --jobs=2 images shim tests
	@Tests/node/test.sh

lab: dependencies shim command ## the tests that need KVM, NUMA nodes, an IOMMU and cgroup v2: a virtual machine plays the node
	@Tests/lab/test.sh '$(LAB_TESTS)'

lab-shell: dependencies shim command ## a terminal in that virtual machine, which is gone afterwards
	@Tests/lab/shell.sh

bench: dependencies shim command ## one JSON object a line; BENCH=start (shim, memory, placement, network): that part
	@swift build --configuration release --static-swift-stdlib --scratch-path $(SCRATCH) --product slipway-bench
	@cp $(SCRATCH)/release/slipway-bench $(BIN)/
	@Tests/node/bench.sh $(BENCH)

fuzz: dependencies ## coverage-guided fuzzing of everything that parses what others send, a minute for each
	@Tests/fuzz/run.sh 60

lint: ## format and style
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests

install: build ## programs, configuration and containerd drop-in on this node
	@runtime-class/install.sh --programs $(BIN)

uninstall: ## takes back what make install did
	@runtime-class/uninstall.sh

clean: ## removes build products
	@rm -rf .build .build-*
