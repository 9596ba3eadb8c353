package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestSlowReader checks what a reader loses that does not read: volatile events
// first, and everything only for one Resync.
func TestSlowReader(t *testing.T) {
	f := NewFeed(7)
	s := f.Subscribe()
	for range volatileLimit + 10 {
		f.Publish(Event{Type: NetworkReady})
	}
	f.Publish(Event{Type: ContactAdded})
	next := func() Event {
		t.Helper()
		ev, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	for i := range uint64(volatileLimit) {
		if ev := next(); ev.Seq != 8+i {
			t.Fatalf("event %d, want %d", ev.Seq, 8+i)
		}
	}
	if ev := next(); ev.Type != ContactAdded || ev.Seq != 7+volatileLimit+11 {
		t.Errorf("event %+v", ev)
	}
	for range durableLimit + 1 {
		f.Publish(Event{Type: MessageReceived})
	}
	if ev := next(); ev.Type != Resync || ev.Seq != f.Last() {
		t.Errorf("event %v %d", ev.Type, ev.Seq)
	}
}

// TestFeedEnds checks that readers get what is pending, and then the end.
func TestFeedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(0)
		s, other := f.Subscribe(), f.Subscribe()
		done := make(chan error)
		go func() {
			_, err := s.Next(t.Context())
			if err == nil {
				_, err = s.Next(t.Context())
			}
			done <- err
		}()
		synctest.Wait()
		f.Publish(Event{Type: ErrorEvent})
		other.Close()
		f.Close()
		f.Close()
		if err := <-done; !errors.Is(err, ErrFeedClosed) {
			t.Errorf("Next: %v", err)
		}
		if _, err := other.Next(t.Context()); !errors.Is(err, ErrFeedClosed) {
			t.Errorf("Next of a closed subscription: %v", err)
		}
		if _, err := f.Subscribe().Next(t.Context()); !errors.Is(err, ErrFeedClosed) {
			t.Errorf("Next on a closed feed: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewFeed(0).Subscribe().Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Next after cancel: %v", err)
		}
	})
}
