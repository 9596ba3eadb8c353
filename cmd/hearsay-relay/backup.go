package main

import (
	"hearsay/cmd/program"
	"hearsay/relay"
)

// homeProgram is what backup and restore say of a relay's home.
var homeProgram = program.HomeProgram{
	Name: name,
	Kind: relay.RelayHome,
	Lacks: `In it are the identity, the network, the families, and what the relay was admitted
by. Not in it are:

  mailboxes      an old copy would give out messages that were fetched and deleted,
                 and take numbers for new that were used. Each queue has a second
                 copy at another relay, from which its owner moves it.
  circuit keys   they are erased after two weeks so that nobody can open what was
                 recorded before; a copy of them would undo that. New ones are made.
  relay.toml     it holds no secret: copy it as you like.`,
	After: `The relay makes new circuit keys. It is used again once a snapshot has those, and its
mailboxes are empty: owners of those that were lost move them to other relays.`,
}
