package chat

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// busy returns a messenger with a contact to whom as many frames as may be are
// on their way, while more texts wait.
func busy(b *testing.B, waiting int) (*Messenger, *contact) {
	m, id := searchable(b, 1)
	var queues [2]session.QAddr
	for n := range queues {
		queues[n].Relay, queues[n].SID = directory.RelayID{byte(n + 1)}, [24]byte{byte(n + 1)}
	}
	now := time.Now()
	i, err := session.NewInvite(rand.Reader, directory.NetworkID{1}, queues, now.Add(time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	q, err := i.Bundle().Request(rand.Reader, now, session.RequestConfig{Queues: queues})
	if err != nil {
		b.Fatal(err)
	}
	got, err := i.Accept(now, session.Config{}, q.Container)
	if err != nil {
		b.Fatal(err)
	}
	var c *contact
	err = m.do(b.Context(), func(t *turn) error {
		c = t.book.contacts[id]
		c.session, c.rec.State = got.State, ContactActive
		for n := range queues {
			c.rec.Peer[n].Addr = queues[n].Append(nil)
		}
		if err := c.address(); err != nil {
			return err
		}
		for n := range 448 + waiting {
			if _, err := t.sendText(id, fmt.Sprint("text ", n), SendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return m, c
}

// BenchmarkTurn measures what the keeper computes for one receipt, or for one
// more text, while 448 frames are not acknowledged and 5,000 texts wait behind
// them. What the disk takes comes on top.
func BenchmarkTurn(b *testing.B) {
	for name, work := range map[string]func(*turn, *contact) error{
		"receipt": func(t *turn, c *contact) error {
			o := c.out[c.order[len(c.order)/2]]
			r := &mailbox.Receipt{Relay: c.slots[0].addr.Relay, SID: mailbox.SID(c.slots[0].addr.SID), Until: t.protocolHour() + 9}
			o.rec.Log = nil
			return t.record(c, 0, []sent{{job: job{o.seq, o.rec.Inner}, receipt: r}})
		},
		"text": func(t *turn, c *contact) error {
			_, err := t.sendText(c.id, "one more", SendOptions{})
			return err
		},
		"look": func(t *turn, c *contact) error {
			if w := t.due(c, 0, nil); len(w.jobs) == 0 {
				return errGone
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			m, c := busy(b, 5000)
			err := m.do(b.Context(), func(t *turn) error {
				for b.Loop() {
					if err := work(t, c); err != nil {
						return err
					}
					if err := t.finish(); err != nil {
						return err
					}
					t.events = nil
					clear(t.dirty)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
