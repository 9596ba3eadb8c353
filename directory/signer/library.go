package signer

import (
	"context"
	"sync"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Board is where signers leave messages for each other. gossip.Node implements it.
type Board interface {
	// Post spreads a message of this signer.
	Post(m *directory.SignerMessage)
	// Messages returns what is there, in the order in which it came, and a channel
	// that is closed when there is more.
	Messages() ([]*directory.SignerMessage, <-chan struct{})
}

// Library keeps and gives documents by the hashes that headers and votes name.
// gossip.Node implements it.
type Library interface {
	// Keep stores documents that the snapshot of an epoch was made from.
	Keep(epoch uint64, docs []gossip.Document) error
	// Fetch returns what bears the name, from here or from others. The last 16
	// bytes of the hash may be zero: then the first half counts.
	Fetch(ctx context.Context, hash [32]byte) ([]byte, error)
}

// Implementation constants of fetching.
const (
	maxFetches   = 8                // at once
	maxIdle      = maxFetches / 2   // of these, of what may never be needed
	fetchTimeout = 3 * time.Minute  // of one: a large ledger comes slowly
	tryTimeout   = 10 * time.Second // of one that may never be needed
	fetchAgain   = 2 * time.Second  // after a failure
	labAgain     = 500 * time.Millisecond
	maxFetched   = 60_000 // documents held; then all are forgotten and fetched again
)

// fetcher gets documents in the background. Its methods are safe for concurrent
// use.
type fetcher struct {
	lib   Library
	again time.Duration
	wake  chan struct{} // capacity 1: something came, or may be tried again
	wg    sync.WaitGroup

	mu     sync.Mutex
	got    map[[32]byte][]byte
	busy   map[[32]byte]bool
	failed map[[32]byte]time.Time
}

func newFetcher(lib Library, lab bool) *fetcher {
	f := &fetcher{
		lib: lib, again: fetchAgain, wake: make(chan struct{}, 1),
		got: make(map[[32]byte][]byte), busy: make(map[[32]byte]bool), failed: make(map[[32]byte]time.Time),
	}
	if lab {
		f.again = labAgain
	}
	return f
}

// get returns a document, or begins to fetch it and returns nil. ctx ends the
// fetching.
func (f *fetcher) get(ctx context.Context, hash [32]byte) []byte {
	return f.within(ctx, hash, maxFetches, fetchTimeout)
}

// try does so too, but leaves room for what is needed: one signer alone names it,
// and may have made it up.
func (f *fetcher) try(ctx context.Context, hash [32]byte) []byte {
	return f.within(ctx, hash, maxIdle, tryTimeout)
}

func (f *fetcher) within(ctx context.Context, hash [32]byte, most int, timeout time.Duration) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if raw := f.got[hash]; raw != nil {
		return raw
	}
	if f.busy[hash] || len(f.busy) >= most || ctx.Err() != nil || time.Since(f.failed[hash]) < f.again {
		return nil
	}
	f.busy[hash] = true
	f.wg.Go(func() { f.fetch(ctx, hash, timeout) })
	return nil
}

func (f *fetcher) fetch(ctx context.Context, hash [32]byte, timeout time.Duration) {
	fetchCtx, cancel := context.WithTimeout(ctx, timeout)
	raw, err := f.lib.Fetch(fetchCtx, hash)
	cancel()
	f.mu.Lock()
	delete(f.busy, hash)
	if err == nil && directory.NamedBy(hash, raw) {
		if len(f.got) >= maxFetched {
			clear(f.got)
		}
		f.got[hash] = raw
	} else {
		if len(f.failed) >= maxFetched {
			clear(f.failed)
		}
		f.failed[hash] = time.Now()
	}
	f.mu.Unlock()
	if err != nil {
		t := time.NewTimer(f.again)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// forget drops what was fetched for an epoch that is over.
func (f *fetcher) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.got)
	clear(f.failed)
}
