package tui

import (
	"context"
	"io"
	"testing"
	"time"
)

// TestNetworkViewOfADeadDaemon: what an open network view shows is past then, and
// it says so.
func TestNetworkViewOfADeadDaemon(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := New(ctx, Config{Home: &fakeHome{state: readyHome, chat: newFake()}, Attached: true, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting = true
	a.width, a.height = 80, 24
	d := &driver{t, a}
	d.run(a.open())
	d.key("f3")
	d.has("Circuits")
	d.msg(eventsMsg{err: io.EOF})
	d.has("the daemon has ended: this is how it stood at")
	d.key("esc")
	d.has("the daemon has ended: nothing is sent")
}
