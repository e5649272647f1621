"""The one clock of every clip: 25 video frames and 16 000 sound samples per second.

`media` resamples what it reads to these rates; everything after it counts in frames.
"""

FRAMES_PER_SECOND = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_SECOND
"""640 samples = 40 ms of sound for each video frame."""
