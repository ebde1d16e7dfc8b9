"""Drum sounds: labels by file name, folds by kit, clips from the onset."""

import numpy as np
import pytest

from neural_epitome.data import prepare, sources
from neural_epitome.data.options import SignalOptions
from neural_epitome.data.recipes import drum_labels, drums

soundfile = pytest.importorskip("soundfile")

LABELLED = {
  ("Audiophob", "104227__minorr__hhat-paiste-302-14-open-p"): "hihat_open",
  ("Audiophob", "25671__walter-odington__garage-city-snare-snappy"): "snare",
  ("Audiophob", "29800__stomachache__3"): None,
  ("BJA_Pacific", "BL_01"): "ride",
  ("BJA_Pacific", "CB2_03"): "crash",
  ("BJA_Pacific", "HH_08"): "hihat_closed",
  ("BJA_Pacific", "HH2_08"): "hihat_open",
  ("BJA_Pacific", "SN3_01"): None,
  ("BJA_Pacific", "SN4_01"): "snare",
  ("BJA_Pacific", "TM2_01"): "tom",
  ("ColomboAcousticDrumkit", "crash16i__crash1"): "crash",
  ("ColomboAcousticDrumkit", "crash16i__ride_cup4"): "ride",
  ("ColomboAcousticDrumkit", "hihat-semi-open-1"): "hihat_open",
  ("ColomboAcousticDrumkit", "snare-opaque-normal-mic-rimshot2"): "snare",
  ("ColomboAcousticDrumkit", "stick-rim-9"): "rim",
  ("ElectricEmpireKit", "EE_Hat_Cl_Bs"): "hihat_closed",
  ("ElectricEmpireKit", "EE_Hat_Op_Phaser"): "hihat_open",
  ("ElectricEmpireKit", "EE_Hat_Ring_1"): None,
  ("ElectricEmpireKit", "EE_Kick_Stomp"): "kick",
  ("ForzeeStereo", "CrashRide18-0"): "crash",
  ("ForzeeStereo", "CrashRide18Bow-0"): "ride",
  ("ForzeeStereo", "HiHatFoot-1"): "hihat_closed",
  ("ForzeeStereo", "RimClick-0"): "rim",
  ("ForzeeStereo", "Stick-0"): None,
  ("ForzeeStereo", "SnareOffRim-4"): "snare",
  ("Gimme A Hand 1.0", "CajonThumps-Soft"): "hand_drum",
  ("Gimme A Hand 1.0", "HandClap-Soft"): "clap",
  ("Gimme A Hand 1.0", "WoodBlock-Soft"): "percussion",
  ("HardElectro1", "FX_Chh_01"): "hihat_closed",
  ("HardElectro1", "HardHse_K_03_B"): "kick",
  ("HardElectro1", "Hard_Hse_OHH_1"): "hihat_open",
  ("HardElectro1", "xFX_6"): None,
  ("Millo-Drums_v.1", "emptySample"): None,
  ("Millo-Drums_v.1", "misc_Cowbell"): "percussion",
  ("Millo_MultiLayered2", "floortom_01"): "tom",
  ("Millo_MultiLayered2", "hhpedal_01"): "hihat_closed",
  ("Millo_MultiLayered3", "hh_p"): "hihat_closed",
  ("Millo_MultiLayered3", "mc_cb"): "percussion",
  ("Millo_MultiLayered3", "sr_01"): None,
  ("The Black Pearl 1.0", "PaisteBell-Hard"): "ride",
  ("The Black Pearl 1.0", "PearlSideStick-Hard"): "rim",
  ("The Black Pearl 1.0", "SabianHatChoke-Hard"): None,
  ("The Black Pearl 1.0", "SabianHatSwish-Hard"): "hihat_open",
  ("The Black Pearl 1.0", "ZildjianSplashChoke-Hard"): "crash",
  ("VariBreaks", "VP Hat 1 Pd"): "hihat_closed",
  ("VariBreaks", "VP Hat 1 Op"): "hihat_open",
  ("circAfrique v4", "Dununba1 Bell"): "percussion",
  ("circAfrique v4", "Kenkeni1 Head Hit"): "hand_drum",
}


@pytest.mark.parametrize(("file", "expected"), LABELLED.items())
def test_the_tables_name_the_instrument(file, expected):
  assert drum_labels.label(*file) == expected


def test_every_kit_has_one_fold_and_every_rule_a_class():
  kits = [kit for kits in drum_labels.FOLDS.values() for kit in kits]
  assert len(set(kits)) == len(kits) == 13
  assert set(drum_labels.KIT_RULES) <= set(kits)
  tables = (drum_labels.RULES, *drum_labels.KIT_RULES.values())
  named = {name for table in tables for _, name in table} - {None}
  assert named == set(drum_labels.CLASSES)


def test_a_clip_starts_at_the_onset_ends_after_a_second_and_is_loud():
  sound = np.zeros(40000, np.float32)
  sound[5000:] = 0.02 * np.sin(np.arange(35000) / 5)
  sound[:5000] = 1e-5
  clip = drums.clip(sound)
  assert clip.shape == (16000, 1)
  assert clip.dtype == np.int16
  assert np.abs(clip).max() == 32767
  assert np.argmax(np.abs(clip) > 400) == pytest.approx(16, abs=1)
  assert len(drums.clip(np.zeros(100, np.float32))) == 0
  short = drums.clip(np.float32([0, 0, 1, 0.5]))
  np.testing.assert_array_equal(short[:, 0], [0, 0, 32767, 16384])


@pytest.fixture
def kits(tmp_path):
  """Two kits of two folds, one kit without a fold, a broken and a silent file."""
  time = np.arange(4410) / 44100
  for kit, names in {
    "BJA_Pacific": ("BD_01", "BD_02", "SN_01", "SN3_01"),
    "VariBreaks": ("VP Kick 1", "VP Tom Hi"),
    "rumpf_kit_z01_h2": ("beats_01-10",),
  }.items():
    (tmp_path / "kits" / kit).mkdir(parents=True)
    for number, name in enumerate(names):
      tone = np.sin(2 * np.pi * 100 * (1 + number) * time) * np.exp(-20 * time)
      path = tmp_path / "kits" / kit / f"{name}.flac"
      soundfile.write(path, np.stack([tone, tone], -1), 44100)
  (tmp_path / "kits/VariBreaks/VP Snare 1.wav").write_bytes(b"no sound")
  soundfile.write(tmp_path / "kits/VariBreaks/VP Snare 2.wav", np.zeros(99), 44100)
  return tmp_path / "kits"


def test_kits_are_prepared_as_folds_and_what_is_left_out_is_counted(
  kits, tmp_path, capfd
):
  arguments = ["drums", f"--kits={kits}", f"--data_dir={tmp_path}"]
  assert prepare.main(arguments) == 0
  out, err = capfd.readouterr()
  assert "VP Snare 1.wav: " in err
  assert "VP Snare 2.wav: it is silent" in err
  assert "Traceback" not in err
  *_, total = (line.split() for line in out.splitlines() if line.startswith("all "))
  assert [int(n) for n in total[1:3]] == [3, 1]  # kicks and snares
  assert [int(n) for n in total[-2:]] == [1, 2]  # without a class, unreadable
  assert "1 sound of other kits (rumpf_kit_z01_h2)" in out
  options = SignalOptions(dataset="drums", data_dir=str(tmp_path))
  assert len(sources.open_source(options, "fold_2")) == 3
  whole = sources.open_source(options, "fold_2+fold_4")
  assert whole.classes == drum_labels.CLASSES
  labels = sorted(whole.classes[whole[i]["label"]] for i in range(len(whole)))
  assert labels == ["kick", "kick", "kick", "snare", "tom"]
  assert all(1500 < len(whole[i]["signal"]) <= 1600 for i in range(len(whole)))
  assert prepare.main(arguments) == 1
  assert "exists already" in capfd.readouterr().err


def test_without_kits_the_package_is_named(tmp_path, capsys):
  assert prepare.main(["drums", f"--kits={tmp_path}", f"--data_dir={tmp_path}"]) == 1
  error = capsys.readouterr().err
  assert "apt-get download hydrogen-drumkits" in error
  assert error.count("\n") == 1
