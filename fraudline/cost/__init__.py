"""What a deployment costs in a month: traffic times list prices, line by line.

Prices stand in one dated file (`data/prices/`). What is counted is what the code does: the writes of a micro-batch, the
reads of an answer. Where the truth depends on the traffic's shape, the dearer end is taken and said in the line.
"""
