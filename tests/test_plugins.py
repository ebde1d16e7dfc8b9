"""What an installed package of somebody else adds: `plugin_package`, beside this file.

pip installs it, and every command runs in a process of its own that sees it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
MODEL = '--config.model={"kind": "two_layers", "width": 6}'
RULE = '--config.planner.rule={"kind": "mirrored"}'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """Runs `python ARGUMENTS` where the package is installed; returns what it did."""
  directory = tmp_path_factory.mktemp("plugins")
  source, site = directory / "source", directory / "site"
  shutil.copytree(ROOT / "tests/plugin_package", source)
  flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
  pip = [sys.executable, "-m", "pip", "install", *flags, f"--target={site}"]
  subprocess.run([*pip, str(source)], check=True, timeout=300)
  path = os.pathsep.join([str(site), str(ROOT)])
  environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}

  def run(*arguments, code=0):
    done = subprocess.run(
      [sys.executable, *arguments],
      env=environment,
      cwd=directory,
      capture_output=True,
      text=True,
      timeout=600,
    )
    assert done.returncode == code, done.stderr
    return done

  return run


@pytest.fixture(scope="module")
def workdir(run, tmp_path_factory):
  """A run of its backbone, generator and data."""
  data = tmp_path_factory.mktemp("data")
  run("-m", "neural_epitome.data.prepare", "stripes", f"--data_dir={data}", "--noise=9")
  directory = tmp_path_factory.mktemp("run") / "stripes"
  run(
    *("-m", "neural_epitome.main", "--experiment=quick", f"--workdir={directory}"),
    *(MODEL, RULE, "--dataset=stripes", f"--data_dir={data}"),
    *("--config.data.train_split=train", "--config.data.evaluation_split=test"),
    *("--config.data.image_size=8", "--config.data.augmentation.flip=false"),
    *("--config.training.epochs=4", "--config.training.tensorboard=false"),
  )
  return directory


def test_a_run_of_its_parts_learns_and_its_checkpoint_is_read(run, workdir):
  plan = json.loads((workdir / "plan.json").read_text())
  kinds = {kernel["generator"]["kind"] for kernel in plan["kernels"].values()}
  assert kinds == {"dense", "mirrored"}
  command = ["--mode=evaluate", f"--workdir={workdir}", "--json"]
  report = json.loads(run("-m", "neural_epitome.main", *command).stdout)
  assert report["top1"] > 0.9


def test_its_format_holds_the_network_and_compact_files_hold_its_kernels(
  run, workdir, tmp_path
):
  command = ["--mode=export", f"--workdir={workdir}", "--json", f"--output={tmp_path}"]
  formats = ["--format=compact", "--format=zipped"]
  report = json.loads(run("-m", "neural_epitome.main", *command, *formats).stdout)
  plain, zipped = report["files"]
  assert zipped["file"].endswith(".safetensors.gz")
  assert max(plain["largest_difference"], zipped["largest_difference"]) < 1e-4
  code = "import sys, neural_epitome as ne; print(ne.load(sys.argv[1]).config.model)"
  assert "TwoLayersConfig(width=6)" in run("-c", code, plain["file"]).stdout


def test_its_strategy_and_its_policy_are_read_by_their_kinds(run):
  command = ["--mode=plan", "--experiment=netadaptv2_mobile", "--json"]
  policy = {"kind": "leaning", "by": 2.0}
  for strategy in ({"kind": "smallest"}, {"kind": "reinforce", "policy": policy}):
    flag = f"--config.search.strategy={json.dumps(strategy)}"
    report = json.loads(run("-m", "neural_epitome.main", *command, flag).stdout)
    assert report["config"]["search"]["strategy"].items() >= strategy.items()


def test_the_page_of_help_lists_its_data_set_and_whose_it_is(run):
  text = run("-m", "neural_epitome.data.prepare", "--help").stdout
  assert "stripes" in text
  assert "mirrored_networks 1.2" in text


@pytest.mark.parametrize(
  ("kind", "words"),
  [
    ("mirored", "'mirored' is unknown. Did you mean mirrored?"),
    ("torn", "torn does not import: ImportError: this machine has no toner."),
    ("astray", "mirrored_networks 1.2, which defines no Rule of that kind."),
  ],
)
def test_what_is_amiss_with_it_is_told_in_one_line(run, kind, words):
  rule = f'--config.planner.rule={{"kind": "{kind}"}}'
  command = ["-m", "neural_epitome.main", "--mode=plan", "--experiment=quick", rule]
  errors = run(*command, code=1).stderr
  assert words in errors
  assert errors.count("\n") == 1


def test_a_format_that_nobody_has_is_told_with_the_nearest(run, workdir, tmp_path):
  command = ["--mode=export", f"--workdir={workdir}", f"--output={tmp_path}"]
  errors = run("-m", "neural_epitome.main", *command, "--format=ziped", code=1).stderr
  assert "Did you mean zipped?" in errors
