// Package abuse attacks a relay that runs in a process of its own, over real
// sockets, and watches its memory: floods, handshakes that stop half way,
// malformed cells, peers that do not read. It holds tests only.
//
// The test program starts itself again as the victim, as the attacker and as
// an honest client, and tells each what to do. `go test` runs small attacks;
// with HEARSAY_ABUSE=full in the environment (`just abuse`) they have the size
// of the table that is printed at the end.
package abuse
