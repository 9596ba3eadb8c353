package link

// labelProof begins the text that an identity signs to vouch for a TLS leaf
// key (SPEC.md §3.2).
const labelProof = "hearsay/1 link"
