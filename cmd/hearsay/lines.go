package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hearsay/chat"
	"hearsay/cmd/program"
)

// Implementation constants of the line mode.
const (
	finishTime = 60 * time.Second // after the end of the input
	maxLine    = 64 << 10
)

// lines sends each line of in to echo and prints what becomes of it, until all
// are delivered and answered.
func (d *demo) lines(ctx context.Context, in io.Reader, out io.Writer) error {
	events := d.self.Subscribe()
	defer events.Close()
	echo, err := d.waitForEcho(ctx)
	if err != nil {
		return err
	}
	input := make(chan string) // unbuffered: the reader is one line ahead
	inputErr := make(chan error, 1)
	go func() {
		defer close(input)
		s := bufio.NewScanner(in)
		s.Buffer(make([]byte, 0, 4096), maxLine)
		for s.Scan() {
			select {
			case input <- s.Text():
			case <-ctx.Done():
				return
			}
		}
		inputErr <- s.Err()
	}()
	changes := make(chan chat.Event, 64) // full: the feed keeps the rest
	go func() {
		for {
			ev, err := events.Next(ctx)
			if err != nil {
				return
			}
			select {
			case changes <- ev:
			case <-ctx.Done():
				return
			}
		}
	}()

	say := func(at time.Time, format string, args ...any) {
		fmt.Fprintf(out, "%s %s\n", at.Local().Format("15:04:05"), fmt.Sprintf(format, args...))
	}
	undelivered := map[string]string{} // text by id
	unanswered := 0
	failed := 0
	var timeout <-chan time.Time
	for input != nil || len(undelivered) > 0 || unanswered > 0 {
		select {
		case text, ok := <-input:
			if !ok {
				input = nil
				timeout = time.After(finishTime)
				continue
			}
			if strings.TrimSpace(text) == "" {
				continue
			}
			m, err := d.self.Send(ctx, echo, text)
			if err != nil {
				return err
			}
			undelivered[m.ID] = chat.Sanitize(text)
			unanswered++
			say(m.Time, "you to %s: %s", echoName, chat.Sanitize(text))
			say(m.Time, "you to %s: %s: %s", echoName, chat.Sanitize(text), stateWords(m))
		case ev := <-changes:
			if ev.Type == chat.ErrorEvent {
				say(time.Now(), "! %s", chat.Sanitize(ev.Detail))
			}
			if ev.Message == nil || ev.Message.Contact != echo {
				continue
			}
			m := *ev.Message
			switch ev.Type {
			case chat.MessageReceived:
				if m.Kind == chat.KindMessageNotice {
					continue
				}
				unanswered--
				say(m.Time, "%s: %s", echoName, chat.Sanitize(m.Text))
			case chat.MessageStateChanged:
				text, ok := undelivered[m.ID]
				if !ok || m.State == chat.Queued {
					continue // queued was said when it was written
				}
				say(time.Now(), "you to %s: %s: %s", echoName, text, stateWords(m))
				switch m.State {
				case chat.Delivered:
					delete(undelivered, m.ID)
				case chat.Failed:
					delete(undelivered, m.ID)
					unanswered--
					failed++
				}
			}
		case <-timeout:
			return program.Fail(program.ExitTimeout, "", fmt.Errorf("not all was delivered and answered within %s", finishTime))
		case <-ctx.Done():
			return nil
		}
	}
	if err := <-inputErr; err != nil {
		return program.Fail(program.ExitFailure, "a line holds at most 64 KiB", fmt.Errorf("read input: %w", err))
	}
	if failed > 0 {
		return errors.New(count(failed, "message failed", "messages failed"))
	}
	return nil
}

// waitForEcho returns echo's contact id once it is there.
func (d *demo) waitForEcho(ctx context.Context) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		cs, err := d.self.Contacts(ctx)
		if err != nil {
			return "", err
		}
		for _, c := range cs {
			if c.Name == echoName {
				return c.ID, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// stateWords says a state in words.
func stateWords(m chat.Message) string {
	if m.State == chat.Stored && m.Copies != nil {
		return fmt.Sprintf("stored, %d of %d", m.Copies.Have, m.Copies.Want)
	}
	return string(m.State)
}
