package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// TestHistoryFromItsEnd reads a conversation backwards in pages, whose joint must
// be what is read forwards, and counts what was not shown yet.
func TestHistoryFromItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		const out, in, notices = 40, 25, 3
		alice.must(alice.do(t.Context(), func(t *turn) error {
			for i := range out + in + notices {
				rec := messageRecord{Out: i < out, Text: fmt.Sprint("text ", i), Time: t.now.UnixMilli() + int64(i)}
				if i < out {
					rec.Final = finalDelivered
				}
				if i >= out+in {
					rec.Kind = kindNotice
				}
				if _, err := t.addRow(b, &rec); err != nil {
					return err
				}
			}
			return nil
		}))
		forwards := must(alice.Messages(t.Context(), b, 0, 1000))
		for _, limit := range []int{1, 7, out + in, 1000} {
			var all []Message
			for before := uint64(0); ; {
				page := must(alice.MessagesBefore(t.Context(), b, before, limit))
				if len(page) > limit {
					t.Fatalf("%d messages, asked for %d", len(page), limit)
				}
				if len(page) == 0 {
					break
				}
				all = append(page[:len(page):len(page)], all...)
				if before = page[0].Seq; before <= 1 {
					break
				}
			}
			if len(all) != len(forwards) {
				t.Fatalf("limit %d: %d messages backwards, %d forwards", limit, len(all), len(forwards))
			}
			for i := range all {
				if all[i].ID != forwards[i].ID || all[i].Text != forwards[i].Text {
					t.Errorf("limit %d: message %d is %s, want %s", limit, i, all[i].ID, forwards[i].ID)
				}
			}
		}
		unread := func(want int) {
			t.Helper()
			list := must(alice.Contacts(t.Context()))
			if got := list[0]; got.Unread != want || got.Latest == nil || !got.Latest.Equal(forwards[len(forwards)-1].Time) {
				t.Errorf("unread %d, want %d; latest %v", got.Unread, want, got.Latest)
			}
		}
		unread(in)
		alice.must(alice.MarkDisplayed(t.Context(), b, forwards[len(forwards)-notices-5].Seq))
		unread(4)
		alice.must(alice.MarkDisplayed(t.Context(), b, forwards[len(forwards)-1].Seq))
		unread(0)
		if _, err := alice.MessagesBefore(t.Context(), "c_none", 0, 1); KindOf(err) != KindNotFound {
			t.Errorf("error %v", err)
		}
	})
}
