# zo_numpy: `make` makes the environment and says how to go on; `make help` lists what there is to run.
# Every variable below can be set on the command line: make mnist-int8 SEED=3

PYTHON  ?= python3
EPOCHS  ?=
BATCH   ?=
SEED    ?= 0
BP_TAIL ?= 2
POINTS  ?= 256
MODELNET ?=
MODELNET40 ?=
DATA    ?= mnist
ROTATE  ?= 45
FUZZ    ?=
OPTIONS ?=

VENV ?= .venv
RUN  := $(VENV)/bin/python
SOURCES := zo_numpy datasets experiments tests
RULES := E4,E7,E9,F

# Without EPOCHS and BATCH a run has what is tuned for its precision, tail and data set (zo_numpy/run/defaults.py).
TRAIN   = $(RUN) -m zo_numpy train --model lenet5 --seed $(SEED) --resume
ADAPT   = --bp-tail $(BP_TAIL) $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(BATCH),--batch-size $(BATCH)) $(OPTIONS)
UPRIGHT = runs/$(DATA)-$(1)-upright-s$(SEED)

# PointNet trains on ModelNet where it is at hand, else on synthetic solids; datasets/at_hand.py chooses, and says so.
POINTNET = @chosen=$$($(RUN) -m datasets.at_hand "$(MODELNET)") && eval "$(RUN) -m zo_numpy train --model pointnet \
    $$chosen --points $(POINTS) $(ADAPT) --seed $(SEED) --resume --precision $(1)"

.PHONY: ready help first mnist-int8 mnist-fp32 fashion-int8 fashion-fp32 finetune-int8 finetune-fp32 pointnet-int8
.PHONY: pointnet-fp32 results results-quick figures data test golden-check golden-update port
.PHONY: fuzz faults matrix mutants installed first-hour rename-proof lint clean

ready: environment
	@echo "ready; in any shell: $(RUN) -m zo_numpy --help (a first picture: make first; all there is: make help)"

COMMA := ,
# Times are those of two cores of a server; `results` says its own.
define LASTS
@echo "this takes about $(1)"
endef

help:
	@echo "make                make the environment $(VENV) (about a minute), and say how to call the program"
	@echo "make first          train LeNet-5 with integers only on the data in this repository, and draw it; 1 minute"
	@echo "make mnist-int8     train LeNet-5 on MNIST with integers only"
	@echo "                    (SEED=$(SEED) BP_TAIL=$(BP_TAIL) PYTHON=$(PYTHON), EPOCHS= and BATCH= if not the tuned ones,"
	@echo "                    OPTIONS= any others of the program's)"
	@echo "make mnist-fp32     the same in FP32"
	@echo "make fashion-int8   train on Fashion-MNIST with integers only"
	@echo "make fashion-fp32   the same in FP32"
	@echo "make finetune-int8  train upright by full BP, once, then adapt to 1,024 rotated images"
	@echo "                    (DATA=$(DATA) ROTATE=$(ROTATE))"
	@echo "make finetune-fp32  the same in FP32"
	@echo "make pointnet-int8  train PointNet on point clouds with integers only"
	@echo "                    (POINTS=$(POINTS) MODELNET=folder of a copy of ModelNet)"
	@echo "make pointnet-fp32  the same in FP32"
	@echo "make results        make all results that are missing, after saying how long it takes (MODELNET=folder)"
	@echo "make results-quick  the same scripts on a little of the data, into runs/quick; some minutes"
	@echo "make figures        draw every figure from the results as they are"
	@echo "make data           fetch MNIST and Fashion-MNIST into datasets/cache"
	@echo "make test           run the test suite (no network needed)"
	@echo "make golden-check   recompute the golden vectors and compare them (golden-update makes them anew)"
	@echo "make port           build the port in C99 with this machine's compiler; check it against every golden vector"
	@echo "make fuzz           damage every kind of file the project reads, and its command line, 22,000 times"
	@echo "make faults         kill, interrupt and starve training, downloads and exports at 200 random moments"
	@echo "make matrix         compare INT8 digests over Pythons, NumPys, threads, tiles, SIMD, hash seeds, locales"
	@echo "make mutants        change the arithmetic a line at a time and see the tests notice; resumable"
	@echo "make installed      install the package into an empty environment elsewhere and try its commands"
	@echo "make first-hour     a new user's first hour: own pictures, own network, both precisions, killed, taken elsewhere"
	@echo "make rename-proof   rename every private function in a copy and run the tests there: none may break"
	@echo "make lint           a linter and a type checker over everything, if the developer has them"
	@echo "make clean          remove the environment and Python's caches; runs/ and datasets/cache stay"

first: environment
	$(call LASTS,a minute)
	@$(RUN) -m zo_numpy train --data mnist-subset --epochs 6 --out runs/first --resume
	@echo "the picture: runs/first/curves.png"

mnist-int8: environment
	$(call LASTS,7 minutes (other EPOCHS or BP_TAIL: the first epoch says))
	@$(TRAIN) --data mnist --precision int8 $(ADAPT)

mnist-fp32: environment
	$(call LASTS,4 minutes (other EPOCHS or BP_TAIL: the first epoch says))
	@$(TRAIN) --data mnist --precision fp32 $(ADAPT)

fashion-int8: environment
	$(call LASTS,7 minutes (other EPOCHS or BP_TAIL: the first epoch says))
	@$(TRAIN) --data fashion-mnist --precision int8 $(ADAPT)

fashion-fp32: environment
	$(call LASTS,4 minutes (other EPOCHS or BP_TAIL: the first epoch says))
	@$(TRAIN) --data fashion-mnist --precision fp32 $(ADAPT)

# Each line goes on where it was cut off; a run that is finished says its result again.
define FINETUNE
@echo "1. upright, by full BP"
@$(TRAIN) --data $(DATA) --precision $(1) --bp-tail all --out $(UPRIGHT)
@echo "2. before: images rotated by $(ROTATE) degrees, weights as they are"
@$(RUN) -m zo_numpy evaluate $(UPRIGHT) --rotate $(ROTATE)
@echo "3. after: adapted to 1,024 rotated images, K = $(BP_TAIL)"
@$(TRAIN) --data $(DATA) --precision $(1) $(ADAPT) --rotate $(ROTATE) --limit 1024 --init-from $(UPRIGHT)
endef

finetune-int8: environment
	$(call LASTS,10 minutes (its first part is made once))
	$(call FINETUNE,int8)

finetune-fp32: environment
	$(call LASTS,5 minutes (its first part is made once))
	$(call FINETUNE,fp32)

pointnet-int8: environment
	$(call LASTS,an hour or more on ModelNet$(COMMA) some minutes on synthetic solids)
	$(call POINTNET,int8)

pointnet-fp32: environment
	$(call LASTS,half an hour or more on ModelNet$(COMMA) some minutes on synthetic solids)
	$(call POINTNET,fp32)

results: environment
	@$(RUN) -m experiments.run $(if $(MODELNET),--modelnet "$(MODELNET)") \
		$(if $(MODELNET40),--modelnet40 "$(MODELNET40)")

results-quick: environment
	$(call LASTS,10 minutes)
	@ZO_NUMPY_QUICK=1 $(RUN) -m experiments.run

figures: environment
	@$(RUN) -m experiments.figures

data: environment
	$(call LASTS,a minute)
	@$(RUN) -m datasets.download mnist fashion-mnist

test: environment
	$(call LASTS,4 minutes)
	@$(RUN) -m tests

golden-check: environment
	$(call LASTS,a minute)
	@$(RUN) -m zo_numpy golden check

golden-update: environment
	$(call LASTS,3 minutes)
	@$(RUN) -m zo_numpy golden update

port: environment
	$(call LASTS,a minute)
	@$(RUN) -m experiments.port

fuzz: environment
	$(call LASTS,4 minutes)
	@ZO_NUMPY_THREADS=1 $(RUN) -m tests.trust.fuzz $(FUZZ)

faults: environment
	$(call LASTS,2 minutes)
	@$(RUN) -m tests.trust.faults

matrix: environment
	$(call LASTS,30 minutes)
	@$(RUN) -m tests.trust.matrix

mutants: environment
	$(call LASTS,hours; it can be interrupted)
	@$(RUN) -m tests.trust.mutants

installed: environment
	$(call LASTS,a minute)
	@$(RUN) -m tests.trust.installed

first-hour: environment
	$(call LASTS,10 minutes)
	@$(RUN) -m tests.trust.first_hour

rename-proof: environment
	$(call LASTS,10 minutes)
	@$(RUN) -m tests.trust.rename_proof

# Tools of the developer's own, none of them installed here. pycodestyle's and pyflakes' rules, whoever checks them.
lint: environment
	@if command -v ruff >/dev/null; then ruff check --isolated --quiet --select $(RULES) $(SOURCES); \
	 elif command -v flake8 >/dev/null; then flake8 --isolated --max-line-length 120 --select $(RULES) $(SOURCES); \
	 else echo "no linter: install ruff or flake8"; fi
	@if command -v mypy >/dev/null; then \
	   mypy --python-executable $(RUN) --ignore-missing-imports --no-error-summary $(filter-out tests,$(SOURCES)); \
	 elif command -v pyright >/dev/null; then pyright --pythonpath $(RUN) $(filter-out tests,$(SOURCES)); \
	 else echo "no type checker: install mypy or pyright"; fi

# The environment: this folder's own, made once. What a user's variables would add to it does not count here.
.PHONY: environment
environment:
	@sh environment.sh "$(PYTHON)" "$(VENV)" $(if $(filter command line environment,$(origin PYTHON)),chosen)

unexport PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONWARNINGS __PYVENV_LAUNCHER__
unexport _CONDA_PYTHON_SYSCONFIGDATA_NAME
export PYTHONNOUSERSITE := 1

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache
	find zo_numpy datasets experiments tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
