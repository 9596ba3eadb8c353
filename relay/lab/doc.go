// Package lab runs a whole network in one process: a directory node, relays
// and the sockets between them, over real UDP on loopback or over a simulated
// network in virtual time. Relays can be added, killed and restarted on the
// same address. Everything in it is the real code of package relay; only tests
// and the demo use it.
package lab
