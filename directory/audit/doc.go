// Package audit computes published snapshots again from what signers published
// beside them: counted votes, ledgers and records, fetched by their hashes. It
// verifies all it gets, judges by hearsay/directory/sybil, and says why a relay
// stands as it does, or in what a snapshot is not what its votes make it.
//
// It trusts nobody who hands it documents, and keeps nothing. What it cannot get
// it names as unchecked and never takes for correct. The rules are in
// directory/sybil/SPEC.md, section 14.
package audit
