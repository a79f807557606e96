"""One retrain, from a table to a measured, calibrated challenger: what is fitted on which days, and how it is judged.

All splits are by time and keep the gap that labels leave in service: a model that scores week w was fitted on labels
known when w began. Walk-forward folds measure each recipe; the published model is the winning recipe refitted on the
newest mature window. Nothing here reads files, clocks or settings.
"""
