"""Every number that a feature's value depends on. They are part of the feature hash: a change is a new generation."""

from fraudline.durations import DAY

# A transaction is an outlier of its entity if it is over 3 times the usual amount ...
OUTLIER_RATIO = 3
# ... once so many are known; before, nothing is.
OUTLIER_MIN_COUNT = 3
# The amount explains a fraud if it is over twice the usual: then it says little about where it happened.
EXPLAINED_RATIO = 2
# Squares are summed of amounts up to here (in minor units): the sums of half a million stay exact in 64 bits.
SQUARE_CAP = 2**22
# Values of one category remembered per entity; those that come after are always new to it.
MAX_SEEN_VALUES = 64
# Fraud rates are shrunk towards this rate, which weighs as much as so many transactions.
PRIOR_RATE = 0.01
PRIOR_WEIGHT = 4.0
# Deviations are shrunk towards this share of the mean, which weighs as much as so many transactions.
PRIOR_DEVIATION = 0.5
PRIOR_DEVIATION_WEIGHT = 4.0
# Ratios and z-scores end here: a card that paid a cent once does not make a dollar a million times unusual.
RATIO_CAP = 100.0
# "Never" and "longer ago than this" are the same (microseconds): ages that grow with the calendar would drift out of
# every training window.
AGE_CAP = 30 * DAY
# An entity is fresh for so long after its first transaction (microseconds).
FRESH = 3 * DAY
