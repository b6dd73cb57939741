# visionfleet on this machine. Needs make and Python 3.11 or newer; the rest is installed into .venv.
#
# PYTHON  the interpreter that makes .venv; default: the first of python3, python3.13 ... that fits
# IMAGES  a folder of images for `make demo`; default: crops of freely licensed photos
# TORCH   cpu: PyTorch's builds for the CPU, a tenth of the others; cuda: those for NVIDIA's GPUs;
#         auto, the default: cpu where there is no such GPU, they can be had, and pip is not told
#         where else to look
# PIP_*   pip's own settings
#
# and of `make install`:
# DESTDIR  root of another machine, as of an image that is being made; default: this machine
# PREFIX   where the packages go on it; default: /opt/visionfleet
# EXTRAS   classifier on hosts that classify, nothing on those of web and scaler

BIN := .venv/bin
RUNTIME := .venv/.installed-runtime
DEVELOPMENT := .venv/.installed-development
ARTEFACT := .venv/.made-artefact
MINISTACK := .venv-ministack/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check
TORCH := auto
TORCH_CPU_URL := https://download.pytorch.org/whl/cpu
NVIDIA := /dev/nvidiactl

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(ARTEFACT) ## run the whole service in the foreground; Ctrl-C stops it
	@$(BIN)/visionfleet up --config etc/local.yaml

.PHONY: demo
demo: $(RUNTIME) ## run it on free ports, upload images, show the result [IMAGES=folder]
	@$(BIN)/visionfleet demo --config etc/local.yaml $(if $(IMAGES),--images '$(IMAGES)')

# It waits for minutes and hardly computes, so it begins first and runs beside others.
IDLE := tests/system/test_idle.py
# What they set up takes long, and would be set up once by each process of pytest.
ONCE := tests/daemons/test_least_privilege.py tests/contract/cloudformation/test_stack.py \
	tests/contract/cloudformation/test_policies.py

PREFIX := /opt/visionfleet
INSTALL = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' EXTRAS='$(EXTRAS)' PYTHON='$(or $(PYTHON),/usr/bin/python3)' \
	sh systemd/install.sh

.PHONY: install
install: ## install packages, units, configuration and model on this host [EXTRAS=classifier]
	@$(INSTALL) install

.PHONY: uninstall
uninstall: ## uninstall them; configuration, keys and state stay
	@$(INSTALL) uninstall

.PHONY: test
test: ## check, then all tests; they need root, and the packages that .ci/run installs
	@$(MAKE) --jobs 3 --output-sync=target check machine-roots compiled-tests
	@$(MAKE) test-parts
	@$(MAKE) --jobs 3 --output-sync=target test-system test-machine test-image test-page

.PHONY: test-parts
test-parts: $(DEVELOPMENT) $(MINISTACK) ## unit, contract, model and daemon tests
	$(BIN)/python -m pytest -n 5 --dist worksteal \
		$(IDLE) tests/daemons tests/model tests/contract tests/unit $(addprefix --ignore ,$(ONCE))

.PHONY: test-system
test-system: $(DEVELOPMENT) ## black-box tests of the whole service
	$(BIN)/python -m pytest tests/system --ignore $(IDLE) $(ONCE)

.PHONY: test-page
test-page: $(DEVELOPMENT) ## browser tests of the web page; needs: apt-get install chromium
	$(BIN)/python -m pytest tests/browser

.PHONY: test-machine
test-machine: $(DEVELOPMENT) ## tests on a booted systemd; needs root, and: apt-get install systemd-container mmdebstrap
	$(BIN)/python -m pytest tests/machine --ignore tests/machine/image

.PHONY: test-image
test-image: $(DEVELOPMENT) ## tests of the EC2 image; also needs: apt-get install packer openssh-client
	$(BIN)/python -m pytest tests/machine/image

.PHONY: test-clients
test-clients: $(DEVELOPMENT) ## KServe's client and two generated ones; not in `make test`; needs Java
	$(BIN)/python -m testkit.web.generated_clients

# Else each process of test-parts compiles all of them; it is test-parts that tells of errors.
.PHONY: compiled-tests
compiled-tests: $(DEVELOPMENT)
	-@$(BIN)/python -m pytest --collect-only -qq tests >/dev/null

.PHONY: machine-roots
machine-roots: $(DEVELOPMENT)
	@$(BIN)/python -m testkit.machine.root

.PHONY: check
check: $(DEVELOPMENT) ## lint, formatting, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_imports.py

.PHONY: settings
settings: $(RUNTIME) ## write etc/visionfleet.yaml and docs/settings.md from the schema
	@mkdir -p build
	$(BIN)/visionfleet config defaults > build/visionfleet.yaml
	$(BIN)/visionfleet config reference > build/settings.md
	mv build/visionfleet.yaml etc && mv build/settings.md docs

# uv has an environment of its own, for those alone who make locks.
.PHONY: lock
lock: $(DEVELOPMENT) ## lock the image's packages: the versions in .venv, with hashes
	$(BIN)/python -m venv .venv-lock
	.venv-lock/bin/python -m pip install --disable-pip-version-check uv==0.13.9
	$(BIN)/python -m testkit.lock .venv-lock/bin/uv

# Packer 1.6 of Debian takes the file alone, without plugins.pkr.hcl beside it.
.PHONY: ami
ami: ## bake the EC2 image from the checked-out commit [AMI_VARIABLES='-var region=...']
	@mkdir -p build
	git archive --format=tar.gz --output=build/visionfleet.tar.gz HEAD
	CHECKPOINT_DISABLE=1 packer build $(AMI_VARIABLES) packer/visionfleet.pkr.hcl

.PHONY: bake-twice
bake-twice: $(DEVELOPMENT) ## do two bakes have the same packages? root, some gigabytes from PyPI, 8 of memory [DEBIAN=13]
	$(BIN)/python -m testkit.machine.bake_twice $(or $(DEBIAN),12)

.PHONY: release
release: $(DEVELOPMENT) ## build and check wheel and source archive of this version, in dist [SIGN_WITH=key]
	@SIGN_WITH='$(SIGN_WITH)' $(BIN)/python -m testkit.release dist

.PHONY: bench-classifier
bench-classifier: $(DEVELOPMENT) ## CPU and images/s by runtime, against the bare loop, an older release and LitServe [PHOTOS=folder]
	$(BIN)/python -m bench.bench_classifier $(if $(PHOTOS),--photos '$(PHOTOS)')

.PHONY: bench-web
bench-web: $(DEVELOPMENT) ## uploads per CPU second against Flask, a bare handler, boto3 alone; latency
	$(BIN)/python -m bench.bench_web

.PHONY: bench-calls
bench-calls: $(DEVELOPMENT) ## CPU of one S3 call by boto3, by direct calls, and by other clients
	$(BIN)/python -m bench.bench_calls

.PHONY: bench-chaos
bench-chaos: $(DEVELOPMENT) ## kills, frozen processes, clock steps, AWS faults: is any job lost?
	$(BIN)/python -m bench.bench_chaos

.PHONY: bench-hostile-clients
bench-hostile-clients: $(DEVELOPMENT) ## what do 200 hostile clients of each of 21 kinds cost? 25 minutes
	$(BIN)/python -m bench.bench_hostile_clients

.PHONY: bench-scaling
bench-scaling: $(DEVELOPMENT) ## cost and wait of the scaling policy on traces, against other autoscalers [TRACES=folder]
	$(if $(TRACES),TRACES='$(TRACES)') $(BIN)/python -m bench.bench_scaling

.PHONY: bench-draft
bench-draft: $(DEVELOPMENT) ## does decoding JPEGs at a reduced size change answers? DATA=folder
	$(BIN)/python -m bench.bench_draft '$(DATA)'

.PHONY: bench-memory
bench-memory: $(DEVELOPMENT) ## does a worker grow over 20,000 mixed images? 4 to 15 minutes
	$(BIN)/python -m bench.bench_memory

.PHONY: clean
clean: ## remove logs, caches and builds, but not .venv
	rm -rf var build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find lib daemons tests models -name __pycache__ -prune -exec rm -rf {} +

# Builds for the CPU are asked for first and alone: what is installed already, pip does not replace.
define INSTALL_TORCH
@say() { echo "visionfleet: $$*" >&2; }; \
choice='$(TORCH)'; \
case $$choice in auto | cpu | cuda) ;; *) say "TORCH is auto, cpu or cuda, not $$choice"; exit 2 ;; esac; \
if $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("torch"))'; then exit; fi; \
if [ $$choice = auto ] && [ -e '$(NVIDIA)' ]; then choice=cuda; fi; \
if [ $$choice = auto ] && $(BIN)/python -m pip config list | grep -E 'index|find-links' >/dev/null; then \
	say "installing PyTorch from where pip is told to look; the default builds are several gigabytes"; \
elif [ $$choice = cuda ]; then \
	say "installing PyTorch with all for NVIDIA's GPUs: several gigabytes, some minutes"; \
else \
	say "installing PyTorch's builds for the CPU: some 200 MB, a minute or two (TORCH=cuda for the others)"; \
	$(PIP) --quiet --retries 1 --timeout 15 --index-url $(TORCH_CPU_URL) torch torchvision || { \
		[ $$choice = auto ] || exit 1; \
		say "they cannot be had here; installing those with all for GPUs: several gigabytes, some minutes"; }; \
fi
endef

# The stamps make the second time quick: pip runs again only when setup.py has changed.
$(RUNTIME): setup.py | $(BIN)/python
	$(INSTALL_TORCH)
	$(PIP) -e '.[classifier,local]'
	@touch $@

# Else the first worker does it, while the first image waits: after an update too, if artefacts are
# of a new edition.
$(ARTEFACT): $(RUNTIME) lib/visionfleet/model/artefact_store.py
	@echo "visionfleet: trying the model on this processor, once: ten seconds to a minute" >&2
	@$(BIN)/visionfleet model build --config etc/local.yaml
	@touch $@

$(DEVELOPMENT): setup.py | $(BIN)/python
	$(INSTALL_TORCH)
	$(PIP) --no-compile -e '.[classifier,build,import,local,dev]'
	@touch $@ $(RUNTIME)

# Of one version: what it does otherwise than AWS is listed in docs/emulators.md. It pins botocore.
$(MINISTACK): Makefile | $(BIN)/python
	$(BIN)/python -m venv .venv-ministack
	.venv-ministack/bin/python -m pip install --disable-pip-version-check --no-compile ministack==1.5.33
	@touch $@

PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

$(BIN)/python:
	@for python in $(PYTHONS) none; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; \
	if [ "$$python" = none ]; then \
		echo "visionfleet needs Python 3.11 or newer, looked for: $(PYTHONS)" >&2; \
		echo "On Debian 12 and later: sudo apt-get install python3 python3-venv" >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		echo "$$python cannot make virtual environments: sudo apt-get install $$package" >&2; \
		exit 1; \
	fi; \
	"$$python" -m venv .venv || { rm -rf .venv; exit 1; }
