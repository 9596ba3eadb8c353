package main

import (
	"hearsay/cmd/program"
	"hearsay/relay"
)

// homeProgram is what backup and restore say of a founder's home.
var homeProgram = program.HomeProgram{
	Name: name,
	Kind: relay.DirectoryHome,
	Home: "hearsay-directory",
	Lacks: `In it are the root key as it lies in the home, sealed by its own passphrase if it has
one; the signer's identity key; what this founder signed last, which keeps it from
signing another draft of that version; card, certificate, marks and AS table; and the
network. What was moved away, such as root.key, is not. Not in it either are:

  online.key     the key that signs snapshots: ` + "`run`" + ` makes a new one and certifies it,
                 and the one before counts no more.
  signer/        what the signer signed. An old copy has a gap, in which it could sign
                 an epoch twice: so it is fetched from the other signers instead.
  gossip/        snapshots and records, which come from others too.`,
	After: `What this signer signed is not in a backup. In a network of several signers, ` + "`run`" + `
therefore only follows the others for two epochs (two hours) before it signs again,
and takes the history from them. Do not restore it elsewhere while the old one runs.

A network whose only signer is lost cannot go on with its history, and ` + "`run`" + ` refuses to
begin another: found a new network, and name it by ` + "`founder successor`" + ` with this root
key.`,
}
