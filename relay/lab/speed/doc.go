// Command speed measures circuits on this computer, with one process per node
// over real sockets on loopback, beside a chain of the same length that stores
// and forwards over plain QUIC, and prints one table.
//
// The parent process founds a lab network and holds its directory. Relays,
// clients and the nodes of the chain are processes of their own: the same
// program, started again, which takes one JSON object per line on stdin and
// answers each with one on stdout. Each node tells what CPU time it has used,
// so that figures are CPU time per megabyte wherever that is possible: rates
// depend on what else the computer does. What is compared runs in turn.
//
// Rate limits of the relays are lifted for measuring, which only tests can do,
// and a run with the limits shows that they hold.
//
// With PROFILE=DIR, each process writes a CPU profile of the transfers to DIR.
package main
