"""Tables that tell from the name of a file which instrument a drum sound is.

A class is kept if at least three authors' kits have it, so that whichever fold is
held out, there are two to learn it from. Left out are: sounds that are no drum
stroke (effects, voices, glasses, finger snaps, whistles, empty samples), rolls,
names that say only "hat", "drum" or "click", choked open hats, sticks struck
together, and rumpf_kit_z01_h2, whose names are numbers.
"""

import re

CLASSES = (
  "kick",
  "snare",  # rim shots too: the whole drum sounds
  "rim",  # side stick, rim click
  "clap",
  "tom",
  "hand_drum",  # bongo, cajon, conga, djembe, dununba, kenkeni, sangban
  "hihat_closed",  # by stick or by pedal
  "hihat_open",  # half open and swinging too
  "crash",  # china and splash too
  "ride",  # bow and bell
  "percussion",  # agogo, bell, clave, cowbell, maraca, tambourine, wood block
)

# Kits of one author share instruments and rooms, so they share a fold.
FOLDS = {
  "fold_0": ("Gimme A Hand 1.0", "The Black Pearl 1.0"),
  "fold_1": ("ForzeeStereo",),
  "fold_2": ("BJA_Pacific", "circAfrique v4"),
  "fold_3": ("Millo-Drums_v.1", "Millo_MultiLayered2", "Millo_MultiLayered3"),
  "fold_4": (
    "Audiophob",
    "ColomboAcousticDrumkit",
    "ElectricEmpireKit",
    "HardElectro1",
    "VariBreaks",
  ),
}

# Tried in order on the file's name in lower case, without suffix; the first that is
# found anywhere in it decides.
RULES = (
  (r"roll|emptysample|fx_?\d|hat ?choke|finger ?snap|glass|whistle", None),
  (r"snare", "snare"),
  (r"rim|side ?stick|stick", "rim"),
  (r"clap", "clap"),
  (r"bongo|cajon|conga|djembe", "hand_drum"),
  (r"(dununba|kenkeni|sangban)\d head", "hand_drum"),
  (r"(dununba|kenkeni|sangban)\d bell", "percussion"),
  (r"agogo|clave|cowbell|maraca|tambourine|wood ?block", "percussion"),
  (r"(hat|hh).*(open|[ _]op\b|[ _]op_|swish)|open_?(hat|hh)|ohh", "hihat_open"),
  (r"(hat|hh).*(closed|[ _]cl\b|[ _]cl_|foot|pedal|[ _]pd\b)", "hihat_closed"),
  (r"closed?_?(hihat|hat|hh)|pedal_?hihat|chh", "hihat_closed"),
  (r"ride|paistebell", "ride"),
  (r"crash|china|splash|^cra_", "crash"),
  (r"kick|bass ?drum|^bd_?\d|_bd_", "kick"),
  (r"tom", "tom"),
)

# Names that mean something in one kit only; tried before the others.
KIT_RULES = {
  "Audiophob": (
    (r"hat-light", "hihat_closed"),
    (r"fxshake|stomachache|trimo", None),
  ),
  "BJA_Pacific": (
    (r"^bl_", "ride"),  # the bell of the ride
    (r"^cb2?_", "crash"),
    (r"^hh_", "hihat_closed"),
    (r"^hh[23]_", "hihat_open"),
    (r"^rd2?_", "ride"),
    (r"^sn3_", None),  # rolls
    (r"^sn4?_", "snare"),
    (r"^tm2?_", "tom"),
  ),
  "ForzeeStereo": (
    (r"^stick", None),
    (r"^crashride18-", "crash"),  # struck on the edge; elsewhere it is a ride
  ),
  "HardElectro1": ((r"^hardhse_k", "kick"), (r"_sn_", "snare")),
  "ColomboAcousticDrumkit": ((r"__ride", "ride"),),  # a crash, played as a ride
  "Millo_MultiLayered3": (
    (r"^cc_", "crash"),
    (r"^ft_|^t\d_", "tom"),
    (r"^hh_", "hihat_closed"),  # hh_p is the pedal
    (r"^ho_", "hihat_open"),
    (r"^mc_cb", "percussion"),
    (r"^rc_", "ride"),
    (r"^rs_", "rim"),
    (r"^sd_", "snare"),
    (r"^sr_", None),  # rolls
  ),
}


def label(kit: str, name: str) -> str | None:
  """The class of a sound, or None where it has none.

  Args:
    kit: name of the kit's folder.
    name: of the file, without suffix.
  """
  for pattern, drum in (*KIT_RULES.get(kit, ()), *RULES):
    if re.search(pattern, name.lower()):
      return drum
  return None
