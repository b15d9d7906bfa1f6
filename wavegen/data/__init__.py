"""Recordings made ready for training: layouts, the prepared corpus, batches."""

# All keys of layouts.LAYOUTS, for those who only want to name them: that one loads numpy.
LAYOUT_NAMES = (
    *("synthetic", "nsynth", "maestro", "musicnet"),
    *("fma", "speech", "soundfont", "folder"),
)
