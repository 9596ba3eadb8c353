package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// TestEventsAndKeysTogether lets events come from many sides while keys are pressed,
// with the program's own goroutines: under the race detector nothing is touched by
// two of them, and all messages are there in the end.
func TestEventsAndKeysTogether(t *testing.T) {
	f := newFake()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, err := New(ctx, Config{Home: &fakeHome{state: readyHome, chat: f}, Contact: "marta"})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{App: a, want: 200, opened: make(chan struct{}), seen: map[string]bool{}, done: make(chan struct{})}
	p := tea.NewProgram(w, tea.WithContext(ctx), tea.WithoutSignalHandler(), tea.WithInput(strings.NewReader("")),
		tea.WithOutput(&bytes.Buffer{}), tea.WithWindowSize(100, 28), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run()
		ended <- err
	}()
	p.Send(tea.WindowSizeMsg{Width: 100, Height: 28})
	<-w.opened
	var sides sync.WaitGroup
	for side := range 4 {
		sides.Go(func() {
			for i := range w.want / 4 {
				n := uint64(1000 + side*1000 + i)
				m := chat.Message{ID: fmt.Sprint("m_", n), Contact: "c_1", Direction: chat.In, Text: fmt.Sprint("from all sides ", n), Seq: n, Time: testNow, State: chat.Received}
				f.feed.Publish(chat.Event{Type: chat.MessageReceived, Message: &m})
				switch i % 3 {
				case 0:
					p.Send(keyPress("a"))
				case 1:
					p.Send(keyPress("pgup"))
				default:
					p.Send(tea.WindowSizeMsg{Width: 60 + i, Height: 20 + side})
				}
			}
		})
	}
	sides.Wait()
	<-w.done
	p.Quit()
	if err := <-ended; err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		t.Fatal(err)
	}
}

// watched closes done once so many messages of the test have come.
type watched struct {
	*App
	want   int
	opened chan struct{} // closed when the conversation is on screen
	seen   map[string]bool
	done   chan struct{}
}

func (w *watched) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := w.App.Update(msg)
	select {
	case <-w.opened:
	default:
		if w.App.current == "c_1" {
			close(w.opened)
		}
	}
	if ev, ok := msg.(eventsMsg); ok && len(w.seen) < w.want {
		for _, e := range ev.events {
			if e.Type == chat.MessageReceived {
				w.seen[e.Message.ID] = true
			}
		}
		if len(w.seen) == w.want {
			close(w.done)
		}
	}
	return w, cmd
}
