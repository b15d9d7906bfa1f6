"""What each metric is called, counted in, and worth: read by tables and reports."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """A metric in words."""

    title: str
    unit: str  # "" where it has none; "%" where the value is a share of 1
    better: str  # "lower", "higher", or "" where neither is
    says: str  # one sentence
    source: str = ""


METRICS = {
    # what the model knows
    "bits_per_sample": Word(
        "bits per sample", "bits", "lower",
        "What each sample costs, given all before it: log2 of 1 / probability, on average.",
        "van den Oord et al. 2016, arXiv 1609.03499",
    ),
    "top1_accuracy": Word(
        "top-1 accuracy", "%", "higher", "How often the likeliest code was the true one."
    ),
    "calibration_error": Word(
        "calibration error", "%", "lower",
        "How far the confidence in the likeliest code lies from how often it is right.",
        "Guo et al. 2017, arXiv 1706.04599, expected calibration error",
    ),
    # a sound beside another
    "mse": Word(
        "mean squared error", "", "lower", "Mean of the squared differences of samples."
    ),
    "psnr_db": Word(
        "PSNR", "dB", "higher", "Full scale (1.0), squared, over the mean squared error."
    ),
    "snr_db": Word("SNR", "dB", "higher", "Energy of the reference over that of the error."),
    "si_sdr_db": Word(
        "SI-SDR", "dB", "higher", "SNR after the best gain; neither loudness nor an offset counts.",
        "Le Roux et al. 2019, arXiv 1811.02508",
    ),
    "log_spectral_distance_db": Word(
        "log-spectral distance", "dB", "lower",
        "Root mean square over frequency of the difference of levels, averaged over frames.",
        "Gray and Markel 1976, Distance measures for speech processing",
    ),
    "multi_resolution_stft": Word(
        "multi-resolution STFT distance", "", "lower",
        "Spectral convergence and distance of log magnitudes, averaged over three windows.",
        "Yamamoto et al. 2020, arXiv 1910.11480",
    ),
    "mfcc_distance": Word(
        "MFCC distance", "", "lower",
        "Euclidean distance of mel cepstra 1 to 12, averaged over frames; level does not count.",
        "Davis and Mermelstein 1980, Comparison of parametric representations",
    ),
    "loudness_distance_db": Word(
        "loudness envelope distance", "dB", "lower",
        "Mean absolute difference of levels, frame by frame; below -60 dBFS is silence.",
    ),
    "loudness_difference_lu": Word(
        "loudness difference", "LU", "",
        "Integrated loudness of the estimate less that of the reference.",
        "ITU-R BS.1770-4",
    ),
    # what was played
    "pitch_within_50_cents": Word(
        "in tune", "%", "higher", "Share of notes within 50 cents of what was asked for.",
        "the meter: McLeod and Wyvill 2005, A smarter way to find pitch",
    ),
    "pitch_error_cents": Word(
        "pitch error", "cents", "lower",
        "Median absolute distance from what was asked for, or from the reference.",
    ),
    "octave_errors": Word(
        "octave errors", "%", "lower", "Share of notes that are right but for octaves."
    ),
    "voiced_share": Word("voiced", "%", "", "Share of the asked time in which a pitch is heard."),
    "voicing_recall": Word(
        "voicing recall", "%", "higher", "Share of the reference's voiced frames that are voiced.",
        "Poliner et al. 2007, Melody transcription from music audio",
    ),
    "voicing_false_alarm": Word(
        "voicing false alarm", "%", "lower",
        "Share of the reference's unvoiced frames that are voiced.",
        "Poliner et al. 2007, Melody transcription from music audio",
    ),
    "raw_pitch_accuracy": Word(
        "raw pitch accuracy", "%", "higher",
        "Share of the reference's voiced frames whose pitch is within 50 cents.",
        "Poliner et al. 2007, Melody transcription from music audio",
    ),
    "onset_error_ms": Word(
        "onset error", "ms", "lower",
        "Median absolute distance of onsets from those asked for, or from the reference's.",
    ),
    "onset_f_measure": Word(
        "onset F-measure", "%", "higher", "Harmonic mean of onsets found and onsets right.",
        "Boeck et al. 2012, Evaluating the online capabilities of onset detection methods",
    ),
    # a set beside another
    "frechet_mfcc": Word(
        "Fréchet distance, MFCC", "dB²", "lower",
        "Between Gaussians fitted to the frames of both sets, 20 cepstra each.",
        "Kilgour et al. 2019, arXiv 1812.08466; Heusel et al. 2017, arXiv 1706.08500",
    ),
    "frechet_log_mel": Word(
        "Fréchet distance, log-mel", "dB²", "lower",
        "Between Gaussians fitted to the frames of both sets, 64 levels each.",
        "Kilgour et al. 2019, arXiv 1812.08466; Heusel et al. 2017, arXiv 1706.08500",
    ),
    "frechet_embedding": Word(
        "Fréchet distance, embedding", "", "lower",
        "Between Gaussians fitted to a network's embeddings of both sets.",
        "Kilgour et al. 2019, arXiv 1812.08466",
    ),
    "ndb_share": Word(
        "NDB/K", "%", "lower",
        "Share of clusters of the real set that hold significantly more or fewer generated ones.",
        "Richardson and Weiss 2018, arXiv 1805.12462, section 3",
    ),
    "jensen_shannon": Word(
        "Jensen-Shannon divergence", "bits", "lower",
        "Of the shares that both sets have in these clusters.",
        "Richardson and Weiss 2018, arXiv 1805.12462, section 3",
    ),
    "nearest_within": Word(
        "diversity", "spreads", "higher",
        "Median distance of a sound from the nearest other of its set, in feature space.",
    ),
    "nearest_known": Word(
        "distance to training", "spreads", "",
        "Median distance of a sound from the nearest recording that was trained on.",
    ),
    "copies": Word(
        "copies", "%", "lower",
        "Share that correlates above 0.95 with a recording trained on; a steady tone does anyway.",
    ),
    # what is trivial
    "markov_0_bits": Word(
        "Markov chain, order 0", "bits", "", "How frequent each code is, and nothing else.",
        "MacKay and Peto 1995, A hierarchical Dirichlet language model",
    ),
    "markov_1_bits": Word("Markov chain, order 1", "bits", "", "Knows the code before."),
    "markov_2_bits": Word("Markov chain, order 2", "bits", "", "Knows the two codes before."),
    "linear_predictor_bits": Word(
        "adaptive linear predictor", "bits", "",
        "Order 64, fitted to the last samples again and again; nothing is trained but its width.",
        "Burg 1975, Maximum entropy spectral analysis, chapter II",
    ),
}  # fmt: skip
