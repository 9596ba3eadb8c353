package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay/lab"
)

// startClient starts the network side of a messenger, which knows nothing but
// the network's link.
func startClient(text string) (c *circuit.Client, views *directory.Views, stop func(), err error) {
	link, err := directory.ParseNetworkLink(text)
	if err != nil {
		return nil, nil, nil, err
	}
	views, state := new(directory.Views), new(lab.Memory)
	c, err = circuit.NewClient(circuit.ClientConfig{Network: link.ID, Lab: true, Views: views, ListenPacket: listen, State: state})
	if err != nil {
		return nil, nil, nil, err
	}
	g, err := gossip.NewClient(gossip.ClientConfig{
		Link: link, Dialer: c.Dialer(), Views: views, State: state, Guard: c.Guard, NoPath: c.NoPath,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { g.Run(ctx) })
	return c, views, func() { cancel(); wg.Wait() }, nil
}

// openArgs says which circuits a client opens.
type openArgs struct {
	Link              string
	Clients, Circuits int // clients, with a link each, and circuits of each
}

// openResult is the path of the first circuit.
type openResult struct {
	Path []directory.RelayID
}

// clientNode is the role of clients as messengers have them, in one process.
func clientNode() operations {
	t := &transfers{}
	var clients []*circuit.Client
	return t.operations(operations{
		"start": operation(func(a openArgs) (any, error) {
			for range a.Clients {
				c, _, _, err := startClient(a.Link)
				if err != nil {
					return nil, err
				}
				clients = append(clients, c)
			}
			return nil, nil
		}),
		"open": operation(func(a openArgs) (any, error) {
			var first openResult
			for i := range a.Circuits {
				for j, c := range clients {
					circ, err := getCircuit(c, fmt.Sprintf("%d/%d", i, j))
					if err != nil {
						return nil, err
					}
					if first.Path == nil {
						first.Path = circ.Info().Path
					}
					s, err := openStream(circ)
					if err != nil {
						return nil, err
					}
					t.streams = append(t.streams, s)
				}
			}
			return first, nil
		}),
		"ready": operation(freshClient),
	})
}

// getCircuit asks until a circuit comes: right after the start there may be no
// snapshot yet.
func getCircuit(c *circuit.Client, isolation string) (*circuit.Circuit, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	return c.Pool().Get(ctx, circuit.Request{Isolation: isolation, Purpose: circuit.Directory})
}

func openStream(c *circuit.Circuit) (io.ReadWriter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return c.Directory(ctx)
}

// freshClient measures from the start of a client that knows the network's
// link alone to its first open circuit.
func freshClient(a openArgs) (any, error) {
	start := time.Now()
	c, _, stop, err := startClient(a.Link)
	if err != nil {
		return nil, err
	}
	defer stop()
	_, err = getCircuit(c, "first")
	took := time.Since(start)
	if err != nil {
		return nil, errors.Join(errors.New("no circuit"), err)
	}
	return took, nil
}
