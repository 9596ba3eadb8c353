package main

import (
	"context"

	"hearsay/relay/lab"
)

// labArgs says what network to start.
type labArgs struct {
	Dir    string
	Relays int
}

// networkNode is the role of a whole network in one process, which is all
// that matters to a client that joins it.
func networkNode() operations {
	return operations{
		"open": operation(func(a labArgs) (any, error) {
			n, err := lab.Start(context.Background(), lab.Config{Dir: a.Dir, Relays: a.Relays, Lab: true})
			if err != nil {
				return nil, err
			}
			return n.Link().String(), nil
		}),
	}
}
