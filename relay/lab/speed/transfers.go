package main

import (
	"errors"
	"io"
	"slices"
	"time"
)

// transfers is what clients of circuits and of chains have in common: open
// streams, and moving bytes over them. The node's one goroutine uses it.
type transfers struct {
	streams []io.ReadWriter
}

// useArgs picks open streams.
type useArgs struct {
	First, Count int
	transferArgs
}

// echoArgs says how often to echo, on which stream, and beside what.
type echoArgs struct {
	Stream int
	Count  int
	Limit  time.Duration
	Beside int // streams, the first ones, that download meanwhile
}

// quantiles of a measured time.
type quantiles struct {
	N        int
	P50, P99 time.Duration
}

// echoResult is what echoes took, and what moved beside them.
type echoResult struct {
	quantiles
	Beside float64 // bytes a second
}

func quantilesOf(d []time.Duration) quantiles {
	if len(d) == 0 {
		return quantiles{}
	}
	d = slices.Sorted(slices.Values(d))
	return quantiles{len(d), d[len(d)/2], d[len(d)*99/100]}
}

func (t *transfers) operations(more operations) operations {
	more["transfer"] = operation(func(a useArgs) (any, error) {
		return transfer(t.streams[a.First:a.First+a.Count], a.transferArgs)
	})
	more["echo"] = operation(func(a echoArgs) (any, error) {
		stop, busy := make(chan struct{}), make(chan error, 1)
		m := new(meter)
		go func() { busy <- keepBusy(t.streams[:a.Beside], m, stop) }()
		if a.Beside > 0 {
			time.Sleep(500 * time.Millisecond) // until all are busy
		}
		begin, before := time.Now(), m.moved.Load()
		took, err := echo(t.streams[a.Stream], a.Count, a.Limit)
		rate := float64(m.moved.Load()-before) / time.Since(begin).Seconds()
		close(stop)
		err = errors.Join(err, <-busy)
		return echoResult{quantilesOf(took), rate}, err
	})
	return more
}
