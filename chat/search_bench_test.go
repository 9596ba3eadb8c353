package chat

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// searchable returns a messenger with n texts of a contact, in weeks up to now.
func searchable(tb testing.TB, n int) (m *Messenger, contact string) {
	link := directory.NetworkLink{ID: directory.NetworkID{1}, Bootstraps: []directory.Bootstrap{{Addr: mustAddr("127.0.0.1:4433")}}}.String()
	m, err := Open(Config{Home: filepath.Join(tb.TempDir(), "home"), Network: link})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = m.Close() })
	c := newContact("c_searched")
	c.rec.Name = "searched"
	for done := 0; done < n; {
		err := m.do(tb.Context(), func(t *turn) error {
			t.book.contacts[c.id] = c
			t.touch(c)
			start := t.now
			for range min(10_000, n-done) {
				t.now = start.Add(-time.Duration(n-done) * time.Minute)
				rec := messageRecord{Out: done%2 == 0, Final: finalDelivered, Time: t.now.UnixMilli(), ID: [16]byte{1, byte(done), byte(done >> 8), byte(done >> 16)}}
				rec.Text = fmt.Sprintf("Message %d: the quick brown fox jumps over the lazy dog, as people write", done)
				rec.Log = []logRecord{{At: 1, What: logStored, Relay: 1 << 60, Until: 1 << 31}, {At: 2, What: logStored, Relay: 1 << 61, Until: 1 << 31}, {At: 3, What: logDelivered}}
				if _, err := t.addRow(c.id, &rec); err != nil {
					return err
				}
				done++
			}
			t.now = start
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return m, c.id
}

// BenchmarkSearch seeks what is nowhere in 200,000 messages: all are decrypted.
func BenchmarkSearch(b *testing.B) {
	m, contact := searchable(b, 200_000)
	for _, text := range []string{"no such words", "größer", "MESSAGE 7:"} {
		b.Run(strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.Search(b.Context(), text, contact, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
