# Everything a developer or a newcomer runs. Needs Python 3.11 or newer and the package indexes (PyPI, npm), nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Where `make benchmark` works; delete the folder to start over.
OUT ?= benchmark-out
JOBS ?= auto
# Photos that the shipped network learns from, beside rendered scenes; without them it learns from those alone.
DATA := $(MCBENCH_TEST_DATA)
PHOTOS ?= $(sort $(wildcard $(DATA)/in_the_wild/sit_*.jpg $(DATA)/in_the_wild/COCO_*.jpg $(DATA)/static_camera/frames/*))

.PHONY: install benchmark dope-checkpoint reader-checkpoint test test-all lint format clean

install: $(VENV)/.installed  ## virtual environment, weights and the open body; after it nothing needs the network
	@$(BIN)/mcbench weights --quiet
	@$(BIN)/mcbench body --quiet

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mcbench needs Python 3.11 or newer, this is " + sys.version.split()[0] + " (try: make PYTHON=python3.12)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,dope]'
	@touch $@

benchmark: install  ## rendered clips through every stage to a scored benchmark and a report
	$(BIN)/mcbench synth $(OUT)/rendered --scenes 2 --people 3 --frames 48 --size 960x540 --difficulty easy --seed 1
	@ls $(OUT)/rendered/clips/*.mp4 | sed 's|^$(OUT)/||' > $(OUT)/clips.txt
	$(BIN)/mcbench download $(OUT)/clips.txt $(OUT)/workspace
	$(BIN)/mcbench run $(OUT)/workspace
	$(BIN)/mcbench export $(OUT)/workspace $(OUT)/benchmark --every 4
	$(BIN)/mcbench predict $(OUT)/benchmark $(OUT)/predictions/detector3d --method detector3d
	$(BIN)/mcbench predict $(OUT)/benchmark $(OUT)/predictions/single_image --method single_image
	$(BIN)/mcbench predict $(OUT)/benchmark $(OUT)/predictions/dope --method dope
	$(BIN)/mcbench evaluate $(OUT)/benchmark $(OUT)/predictions/detector3d $(OUT)/predictions/single_image $(OUT)/predictions/dope --out $(OUT)/evaluation
	$(BIN)/mcbench audit $(OUT)/workspace --truth $(OUT)/rendered/truth
	$(BIN)/mcbench pseudo-label $(OUT)/workspace $(OUT)/labels --every 4
	$(BIN)/mcbench train-dope $(OUT)/labels --out $(OUT)/student --steps 100 --batch 8 --side 256 --frozen 2 --ema 0.95 --resume
	$(BIN)/mcbench eval-dope $(OUT)/rendered --method experts --method shipped --method toy=$(OUT)/student/model.pt --every 24 --out $(OUT)/whole-bodies
	$(BIN)/mcbench report $(OUT)/workspace --truth $(OUT)/rendered/truth --evaluation $(OUT)/evaluation --whole-bodies $(OUT)/whole-bodies -o $(OUT)/report.html

# Memory that is kept, not given back after every layer, takes a third off a step on a CPU.
dope-checkpoint reader-checkpoint: export MALLOC_MMAP_THRESHOLD_ := 4294967296
dope-checkpoint reader-checkpoint: export MALLOC_TRIM_THRESHOLD_ := 8589934592
dope-checkpoint reader-checkpoint: export MALLOC_TOP_PAD_ := 268435456
dope-checkpoint reader-checkpoint: export OMP_WAIT_POLICY := PASSIVE
dope-checkpoint: install  ## trains the network that mcbench ships again (some two hours on two cores), and puts it in its place
	$(BIN)/mcbench distil $(OUT)/dope $(PHOTOS)
	cp $(OUT)/dope/student/model.pt mcbench/dope/data/small.pt

reader-checkpoint: install  ## trains the network that reads people whose place is known (some hours on two cores), and puts it in its place
	$(BIN)/mcbench train-reader $(OUT)/reader
	cp $(OUT)/reader/reader.pt mcbench/reader/data/reader.pt

test: install  ## the fast tests
	$(BIN)/python -m pytest -n $(JOBS)

test-all: install  ## the slow ones, too
	$(BIN)/python -m pytest -n $(JOBS) -m ''

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## results of `make benchmark` and caches of tools; the environment stays
	rm -rf $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
