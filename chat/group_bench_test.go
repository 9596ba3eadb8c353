package chat

import (
	"fmt"
	"testing"
)

// manyQueued returns a messenger with n messages to a group of 16, of which one
// has no session with us and none is to be reached.
func manyQueued(tb testing.TB, n int) (m *Messenger, id string) {
	m, _ = searchable(tb, 0)
	err := m.do(tb.Context(), func(t *turn) error {
		var ids []string
		for i := range 15 {
			c := newContact(fmt.Sprint("c_", i))
			c.rec.Name, c.rec.State = fmt.Sprint("member ", i), ContactActive
			if err := t.addContact(c); err != nil {
				return err
			}
			ids = append(ids, c.id)
		}
		g, err := t.createGroup("many", ids)
		if err != nil {
			return err
		}
		g.rec.Members[14].Contact = ""
		id = g.id
		for i := range n { // of one transaction: that of each is not what is measured
			if _, err := t.enqueueGroup(g, fmt.Sprint(i), ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return m, id
}

// BenchmarkManyQueued measures a message to a group, and a turn of one of its
// members, while 5,000 messages wait.
func BenchmarkManyQueued(b *testing.B) {
	m, id := manyQueued(b, 5000)
	b.Run("send", func(b *testing.B) {
		for b.Loop() {
			if err := m.do(b.Context(), func(t *turn) error { _, err := t.enqueueGroup(t.book.groups[id], "once more", ""); return err }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("settle", func(b *testing.B) {
		for b.Loop() {
			if err := m.do(b.Context(), func(t *turn) error { return t.settle(t.book.contacts["c_3"]) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
