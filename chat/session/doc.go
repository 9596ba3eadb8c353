// Package session holds the cryptography and the formats between two contacts:
// invites, the contact request, blocks, frames, the ratchet with its sparse
// post-quantum exchange, and the sequence windows. SPEC.md has the byte tables.
//
// The package is pure: bytes in, bytes and new state out. It does no I/O, has
// no clock and starts no goroutine. Time is passed in, and so is randomness,
// but for the two encapsulations (ML-KEM and HPKE), whose standard library
// functions draw from the system's generator alone; testing/cryptotest makes
// them reproducible.
//
// The life of a contact, seen from the two sides:
//
//	inviter                               guest
//	NewInvite → SealBlob, Link.String
//	                                      ParseLink, OpenBlob → Bundle.Request
//	RequestAssembler.Add, Invite.Accept   ← four request blocks
//	State.Control, State.Seal             ⇄  State.Open
//	State.Reset (the session is lost)     →  State.OpenReset, AcceptReset
//
// Invariants: State.Open changes nothing unless the block opened and its frame
// is well formed; a State is to be written to disk before anything it sealed
// goes on the wire; the same inner block sealed for the same queue is the same
// block, bit for bit.
//
// Nothing here knows contacts, relays' protocols, retries or the disk. No type
// is safe for concurrent use.
package session
