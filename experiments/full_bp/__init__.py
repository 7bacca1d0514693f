"""Full BP, the baseline: backpropagation through the whole network, in both precisions; see README.md."""
