package relay

// labelRoot is part of the additional data of a sealed root key (SPEC.md §7.5).
const labelRoot = "hearsay/1 root key"
