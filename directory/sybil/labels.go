package sybil

// labelCluster makes the key that stands for a cluster in the family table
// (SPEC.md §6.3).
const labelCluster = "hearsay/1 cluster"
