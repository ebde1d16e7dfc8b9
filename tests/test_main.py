"""The command line: every job, and one clear line for every mistake."""

import json
import shlex

import cv2
import numpy as np
import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

# Grain defines absl flags, which flagsaver would take away with it were it imported
# inside a call.
import neural_epitome.data.pipeline  # noqa: F401
from neural_epitome import flags, main
from neural_epitome.experiment import shipped
from neural_epitome.export import compact
from neural_epitome.runs import metrics
from tests.export import networks as export_networks
from tests.weight_files import graphs, networks


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
  """Runs the command line away from the checkout: (exit code, stdout, stderr)."""
  monkeypatch.chdir(tmp_path)

  def run(*arguments):
    with flagsaver.flagsaver():
      code = main.main(["neural_epitome", *arguments])
    absl_flags.FLAGS.unparse_flags()
    streams = capsys.readouterr()
    return code, streams.out, streams.err

  return run


def test_list_tells_every_experiment_and_mode(call):
  code, out, _ = call("--mode=list")
  assert code == 0
  assert all(name in out for name in [*shipped(), *flags.MODES])
  code, out, _ = call("--mode=list", "--json")
  assert set(json.loads(out)["experiments"]) == set(shipped())


def test_a_command_is_told_again_without_one_flag(call):
  del call
  arguments = ["--experiment=quick", "--mode=search", "--workdir=a b", "--json"]
  override = '--config.search.strategy={"kind": "random"}'
  with flagsaver.flagsaver():
    _, overrides = flags.parse(["main", *arguments, "--stages=search", override])
    command = flags.command(overrides, without="stages")
  assert shlex.split(command) == [
    "python",
    "-m",
    "neural_epitome.main",
    *arguments,
    override,
  ]


def test_help_tells_every_flag_and_is_no_mistake(call):
  code, out, _ = call("--help")
  assert code == 0
  names = ["experiment", "mode", "workdir", "dataset", "data_dir", "images", "json"]
  names += ["weights", "baseline", "output"]
  assert all(f"--{name}" in out or f"--[no]{name}" in out for name in names)


def test_plan_prints_a_table_or_json_and_trains_nothing(call, tmp_path):
  code, out, _ = call("--mode=plan", "--experiment=quick")
  assert code == 0
  assert "block_1/conv_1" in out
  code, out, _ = call("--mode=plan", "--experiment=quick", "--json")
  data = json.loads(out)
  assert set(data) == {"config", "plan", "price"}
  assert data["price"]["stored_params"] < data["price"]["dense_params"]
  assert list(tmp_path.iterdir()) == []


def test_a_budget_makes_a_planner_that_the_next_command_reads(call):
  plan = ["--mode=plan", "--experiment=quick", "--json"]
  code, out, _ = call(*plan, "--budget=25kB", "--output=here/planner.json")
  assert code == 0
  price = json.loads(out)["price"]
  assert 0.9 * 25_000 < price["stored_bytes"] <= 25_000
  code, out, _ = call(*plan, "--config.planner=@here/planner.json")
  assert code == 0
  assert json.loads(out)["price"] == price
  code, out, _ = call("--mode=plan", "--experiment=quick", "--budget=25kB")
  assert "Train it with --config.planner='{" in out


@pytest.mark.slow
def test_a_budget_that_the_rest_takes_says_so_and_the_bits_it_offers_are_kept(call):
  plan = ["--mode=plan", "--experiment=mbv2_epitome", "--budget=500kB"]
  code, out, _ = call(*plan)
  assert code == 0
  [line] = [line for line in out.splitlines() if "are not compressed" in line]
  flags = [word for word in line.split() if word.startswith("--config")]
  code, out, _ = call(*plan, *flags)
  assert code == 0
  assert "are not compressed" not in out
  [line] = [line for line in out.splitlines() if line.startswith("Train it with")]
  assert line.endswith("--config.bits=8")


def test_imagenet_is_planned_without_imagenet(call):
  code, out, _ = call("--mode=plan", "--experiment=mbv2_epitome_imagenet", "--json")
  assert code == 0
  price = json.loads(out)["price"]
  assert f"{price['madds'] / 1e6:.1f}" == "170.0"
  assert f"{price['dense_params'] / 1e6:.3f}" == "3.505"


PROCESS = ["--coordinator_address=here:1", "--num_processes=2", "--process_id=0"]
PLANNER = '--config.planner={"kind": "budget", "parameters": 10}'


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ([], "--experiment=NAME is needed"),
    (["--experiment=mbv2_epitom"], "mbv2_epitome"),
    (["--experiment=quick", "--config.bits=16"], "bits=16 must be in [1, 8] or 32"),
    (["--experiment=absent.py"], "absent.py"),
    (["--mode=trian"], "train"),
    (["--experimnt=quick"], "experiment"),
    (["quick"], "not a flag"),
    (["--experiment=quick", "--config.optimizer.learning_rte=1"], "learning_rate"),
    (["--experiment=quick", "--config.optimizer.learning_rate=big"], "float"),
    (["--experiment=quick", "--config.optimizer.learning_rate=nan"], "learning_rate"),
    (["--experiment=quick", "--config.training.seed"], "needs a value"),
    (["--experiment=quick", "--config.data.batch_size=33"], "batch_size=33"),
    (["--experiment=quick", "--dataset=imagenet2012", "--data_dir=."], "prepare"),
    (["--experiment=quick", "--dataset=nowhere"], "nowhere"),
    (["--experiment=quick", "--profile_steps=5"], "START:END"),
    (["--experiment=quick", "--profile_steps=5:9999"], "do not lie in a run of"),
    (["--mode=plan", "--experiment=quick", PLANNER], "smallest feasible budget"),
    (["--mode=plan", "--experiment=quick", "--budget=1"], "is not understood"),
    (["--mode=plan", "--experiment=quick", "--allocation=searched"], "--budget=SIZE"),
    (["--mode=plan", "--experiment=quick", "--config.planner=@nowhere"], "No such"),
    (["--experiment=quick", "--budget=25kB"], "--budget is of --mode=compress, and"),
    (["--mode=compress", "--budget=4x"], "needs --weights=FILE"),
    (["--mode=compress", "--weights=it.pth"], "needs --budget"),
    (["--mode=compress", "--weights=nowhere", "--budget=4x"], "does not exist"),
    (["--mode=compress", "--weights=a", "--budget=1,5MB"], "'1' has no unit"),
    (
      ["--mode=compress", "--weights=a", "--budget=0.5x"],
      "2x leaves 0.5 of it",
    ),
    (["--mode=compress", "--weights=a", "--budget=200"], "must be bytes of a file"),
    (["--mode=compress", "--weights=a", "--budget=4x", "--output=."], "a directory"),
    (["--mode=compress", "--weights=a", "--max_drop=1"], "needs --examples=FILE"),
    (["--mode=compress", "--weights=a", "--max_drop=nan"], "must be a number"),
    (
      ["--mode=compress", "--weights=a", "--max_drop=1", "--budget=4x"],
      "in place of --budget",
    ),
    (
      ["--mode=compress", "--weights=a", "--budget=4x,8x", "--output=b"],
      "--output names one file",
    ),
    (
      ["--mode=compress", "--weights=a", "--budget=4x", "--config.training.seed=1"],
      "is of experiments",
    ),
    (["--mode=evaluate", "--workdir=.", "--weights=it.pth"], "must be raw or ema"),
    (["--mode=compare", ".", "--weights=it.pth"], "must be raw or ema"),
    (["--mode=plan", "--experiment=quick", "--budget=25kB", "--output=."], "directory"),
    (["--mode=plan", "--experiment=netadaptv2_mobile", "--budget=4x"], "for a search"),
    (["--mode=predict", "--experiment=quick"], "--images"),
    (
      ["--experiment=quick", "--bits=4"],
      "--bits is of --mode=export, and --mode=train",
    ),
    (["--experiment=quick", "--weights=a.pth"], "--config.training.start=FILE"),
    (["--mode=plan", "--experiment=quick", "--keep=a"], "--keep is of --mode=compress"),
    (
      ["--mode=export", "--workdir=a", "--images=a.png"],
      "--images is of --mode=predict",
    ),
    (["--mode=compress", "--weights=a", "--budget=4x", "--bits=4"], "leave it out"),
    (["--experiment=quick", "--num_processes=2"], "--process_id must be given too"),
    (["--experiment=quick", *PROCESS, "--process_id=2"], "must lie in 0 to 1"),
    (["--experiment=quick", *PROCESS, "--coordinator_address=here"], "HOST:PORT"),
    (["--mode=plan", *PROCESS], "--mode=plan runs in one process"),
    (["--mode=evaluate", "--workdir=nowhere"], "nowhere"),
    (["--mode=evaluate"], "--workdir"),
    (["--mode=export"], "--workdir"),
    (["--mode=export", "--workdir=nowhere"], "nowhere"),
    (["--mode=evaluate", "--workdir=nowhere.safetensors"], "does not exist"),
    (["--mode=compare"], "--mode=compare DIR"),
    (["--mode=compare", "nowhere"], "nowhere is no directory"),
    (["--mode=compare", "."], "holds no run"),
    (["--mode=compare", ".", "--config.training.seed=1"], "finished runs"),
  ],
)
def test_a_mistake_gets_one_line_exit_code_1_and_nothing_is_written(
  call, tmp_path, arguments, words
):
  code, _, err = call(*arguments)
  assert code == 1
  assert err.startswith("error: ")
  assert words in err
  assert err.count("\n") == 1
  assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("mode", ["train", "search"])
def test_notices_of_maintenance_are_asked_for_in_training_and_search(
  call, tmp_path, monkeypatch, mode
):
  # Nothing answers there.
  monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
  experiment = {"train": "quick", "search": "netadaptv2_mobile"}[mode]
  arguments = [f"--mode={mode}", f"--experiment={experiment}", "--workdir=run"]
  code, _, err = call(*arguments, "--maintenance_notices")
  assert code == 1
  assert "metadata server 127.0.0.1:9 does not answer" in err
  assert not any(path.is_file() for path in tmp_path.rglob("*"))


def next_commands(out):
  """Arguments of the commands that are told last, by mode."""
  lines = out.partition("Next:\n")[2].splitlines()
  commands = [shlex.split(line) for line in lines]
  assert all(words[:3] == ["python", "-m", "neural_epitome.main"] for words in commands)
  assert [words[3] for words in commands] == [
    "--mode=evaluate",
    "--mode=predict",
    "--mode=export",
  ]
  return {words[3]: words[3:] for words in commands}


@pytest.fixture
def exported(tmp_path):
  """A network in a compact file of the working directory."""
  compact.write(tmp_path / "tiny.safetensors", export_networks.shipped())
  for name in ("first.png", "last.png"):
    cv2.imwrite(str(tmp_path / name), np.full((40, 30, 3), 200, np.uint8))
  (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8 nothing more")
  return ["--mode=predict", "--workdir=tiny.safetensors"]


@pytest.mark.slow
def test_files_that_cannot_be_read_are_told_at_the_end_of_the_others(call, exported):
  names = ["first.png", "torn.jpg", "absent.png", "last.png"]
  code, out, err = call(*exported, *names)
  assert code == 1
  shown = [line.split()[0] for line in out.splitlines()[2:]]
  assert shown == ["first.png", "last.png"]
  head, *faults = err.splitlines()
  assert head == "error: 2 of 4 files could not be read:"
  assert faults[0].startswith("  torn.jpg cannot be decoded: ")
  assert faults[1] == "  absent.png cannot be read: No such file or directory."
  code, out, err = call(*exported, *names, "--json")
  assert code == 1
  rows = json.loads(out)
  assert [row["image"] for row in rows] == names
  assert ["error" in row for row in rows] == [False, True, True, False]
  assert ["top" in row for row in rows] == [True, False, False, True]
  assert [f"  {row['error']}" for row in rows[1:3]] == err.splitlines()[1:] == faults
  code, out, err = call(*exported, "torn.jpg")
  assert (code, out) == (1, "")
  assert err.startswith("error: torn.jpg cannot be decoded: ")
  assert err.count("\n") == 1
  code, _, err = call(*exported, "first.png", "last.png")
  assert (code, err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
  "variables", [{"RANK": "1"}, {"WORLD_SIZE": "4"}, {"WORLD_SIZE": "4", "RANK": "3"}]
)
def test_a_job_of_one_process_is_done_whole_in_each_of_several(
  call, exported, tmp_path, monkeypatch, variables
):
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  code, out, _ = call("--mode=plan", "--experiment=quick", "--json")
  assert (code, set(json.loads(out))) == (0, {"config", "plan", "price"})
  code, out, _ = call(*exported, "first.png", "--json")
  assert (code, len(json.loads(out))) == (0, 1)
  code, *_ = call("--mode=export", "--workdir=tiny.safetensors", "--format=c")
  assert code == 0
  assert [path.name for path in (tmp_path / "exported").iterdir()] == ["tiny.h"]


@pytest.mark.slow
def test_the_whole_way_from_training_to_naming_a_picture(call, tmp_path):
  run = ["--workdir=run", "--experiment=quick", "--config.training.epochs=0.4"]
  # So short a run would end before its offsets are whole cells, as they ship.
  run += ["--config.training.frozen_fraction=0.5"]
  seen = ["--config.training.peak_flops=1e12", "--config.training.log_every=2"]
  code, out, _ = call(*run, *seen, "--profile_steps=6:8")
  assert code == 0
  assert "Trace in run/profile/process_0" in out
  assert len(list(tmp_path.glob("run/profile/process_0/**/*.xplane.pb"))) == 1
  lines = metrics.read(tmp_path / "run" / "metrics.jsonl")
  logged = [line for line in lines if "images_per_second" in line]
  assert logged
  for line in logged:
    assert line["images_per_second"] > 0
    assert 0 <= line["input_wait"] <= 1
    assert 0 < line["flops_utilisation"] < 1
  assert "images a second" in (tmp_path / "run/report/index.html").read_text()
  assert "block_1/conv_1" in out
  assert "stored parameters" in out
  assert "index.html" in out
  assert "compiling the training step" in out
  commands = next_commands(out)
  page = (tmp_path / "run/report/index.html").read_text()
  assert "--config.training.frozen_fraction=0.5" in page, "the command of the run"
  code, out, _ = call(*run)
  assert code == 0
  assert "is done" in out
  assert next_commands(out) == commands
  for mode, arguments in commands.items():
    code, out, _ = call(*arguments, "--json")
    assert code == 0, mode
    assert json.loads(out)
  assert list(tmp_path.glob("run/exported/*.safetensors"))
  code, _, err = call("--workdir=run", "--experiment=mbv2_tile")
  assert code == 1
  assert "belongs to" in err
  code, out, _ = call("--mode=compare", "run", "--output=seen", "--baseline=q*")
  assert code == 0
  assert "quick" in out
  assert "page: seen/index.html" in out
  assert (tmp_path / "seen" / "madds.png").exists()
  code, out, _ = call("--mode=evaluate", "--workdir=run", "--json")
  evaluation = json.loads(out)
  report = json.loads((tmp_path / "run/report/report.json").read_text())
  assert evaluation["examples"] == 200
  assert evaluation["top1"] == pytest.approx(report["top1_ema"])
  code, out, _ = call("--mode=export", "--workdir=run", "--output=out", "--json")
  assert code == 0
  [file] = json.loads(out)["files"]
  assert file["largest_difference"] < 1e-5
  code, out, _ = call("--mode=evaluate", f"--workdir={file['file']}", "--json")
  assert json.loads(out)["top1"] == pytest.approx(report["top1_ema"])
  picture = np.full((40, 30, 3), 200, np.uint8)
  cv2.imwrite(str(tmp_path / "shoe.png"), picture)
  code, out, _ = call("--mode=predict", "--workdir=run", "--images=shoe.png", "--json")
  [row] = json.loads(out)
  assert row["image"].endswith("shoe.png")
  assert 0 < row["top"][0]["probability"] <= 1
  assert row["top"][0]["class"]


@pytest.mark.slow
def test_a_file_of_weights_is_compressed_and_written_back(call, tmp_path):
  networks.save(tmp_path / "network.pth", networks.state())
  code, out, _ = call("--mode=compress", "--weights=network.pth", "--budget=8x")
  assert code == 0
  assert "times smaller than the file of" in out
  assert "torch conv" in out
  back = shlex.split(out.partition("python -m neural_epitome.main")[2].splitlines()[0])
  code, out, _ = call(*back)
  assert code == 0
  assert out.startswith("exported/network_8x.pth: ")
  code, _, err = call("--mode=evaluate", "--workdir=network_8x.safetensors")
  assert code == 1
  assert "--weights=FILE that they were made of is needed" in err
  assert "--examples=FILE.npz" in err
  assert err.count("\n") == 1
  flags_ = ("--workdir=network_8x.safetensors", "--weights=network.pth")
  code, out, _ = call("--mode=evaluate", *flags_)
  assert code == 0
  assert "torch conv" in out
  assert "--examples=FILE.npz" in out
  code, _, err = call("--mode=evaluate", *flags_, "--examples=examples.npz")
  assert code == 1
  assert "needs the network as an ONNX graph" in err
  code, out, _ = call(
    "--mode=export", "--workdir=network_8x.safetensors", "--format=c,npz"
  )
  assert code == 0
  assert "exported/network_8x.h: " in out
  assert "ne_at_conv_weight" in (tmp_path / "exported" / "network_8x.h").read_text()
  code, _, err = call(
    "--mode=export", "--workdir=network_8x.safetensors", "--format=litert"
  )
  assert code == 1
  assert "holds weights and no network" in err


@pytest.mark.slow
def test_several_budgets_end_in_one_table(call, tmp_path):
  networks.save(tmp_path / "network.npz", networks.state(), "npz")
  flags_ = ("--mode=compress", "--weights=network.npz", "--budget=4x,8x")
  code, out, _ = call(*flags_)
  assert code == 0
  assert "network_4x.safetensors" in out
  assert "network_8x.safetensors" in out
  code, out, _ = call(*flags_, "--json")
  assert [round(summary["times_smaller"]) for summary in json.loads(out)] == [4, 8]
  assert (tmp_path / "network_sizes.png").stat().st_size > 5000


@pytest.mark.slow
def test_a_budget_may_be_that_of_an_onnx_file(call, tmp_path):
  source = graphs.save(tmp_path / "network.onnx", graphs.pictures())
  flags_ = ("--mode=compress", "--weights=network.onnx", "--format=onnx")
  code, out, _ = call(*flags_, "--budget=8x")
  assert code == 0
  path = tmp_path / "network_8x.onnx"
  assert f"network_8x.onnx: {path.stat().st_size:,} bytes" in out
  assert path.stat().st_size <= source.stat().st_size / 8
  code, _, err = call(*flags_[:2], "--format=c", "--budget=8x")
  assert code == 1
  assert "--mode=export makes the others" in err


@pytest.mark.slow
def test_a_graph_is_compressed_by_what_its_outputs_lose_and_exported_small(
  call, tmp_path
):
  source = graphs.save(tmp_path / "network.onnx", graphs.pictures())
  x = np.random.default_rng(0).standard_normal((200, 3, 16, 16)).astype(np.float32)
  np.savez(tmp_path / "examples.npz", x=x)
  flags_ = ("--mode=compress", "--weights=network.onnx", "--examples=examples.npz")
  code, out, _ = call(*flags_, "--budget=4x,12x", "--json")
  assert code == 0
  of = [one["outputs"] for one in json.loads(out)]
  assert of[0]["measure"] == "agreement"
  assert of[0]["examples"] == 200
  assert 0 <= of[0]["drop"] <= of[1]["drop"]
  assert 0 < of[0]["output_error"] < of[1]["output_error"]
  names = [one["file"] for one in json.loads(out)]
  again = ("--weights=network.onnx", "--examples=examples.npz")
  code, table, _ = call("--mode=compare", *names, *again, "--json")
  assert code == 0
  assert [one["outputs"] for one in json.loads(table)] == of
  code, table, _ = call("--mode=compare", *names, *again)
  assert code == 0
  assert [name for name in names if name in table] == names
  assert (tmp_path / "comparison" / "sizes.png").stat().st_size > 5000
  code, table, _ = call("--mode=evaluate", f"--workdir={names[1]}", *again)
  assert code == 0
  assert "onnx ConvTranspose" in table
  assert f"top-1 is that of before in {of[1]['percent']:.2f}%" in table
  code, _, err = call("--mode=compare", *names, "network.onnx", *again)
  assert code == 1
  assert "compare them apart" in err
  code, out, _ = call(*flags_, "--max_drop=1", "--output=it.safetensors")
  assert code == 0
  assert "On 200 examples its top-1 is that of before in" in out
  size = (tmp_path / "it.safetensors").stat().st_size
  assert 3 < source.stat().st_size / size
  back = shlex.split(out.partition("python -m neural_epitome.main")[2].splitlines()[0])
  code, out, _ = call(*back)
  assert code == 0
  assert out.startswith("exported/it.onnx: ")
  assert (tmp_path / "exported" / "it.onnx").stat().st_size < source.stat().st_size / 3
