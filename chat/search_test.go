package chat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSearch seeks in several conversations, by case, limit and place.
func TestSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		say := func(contact, text string) Message {
			<-time.After(time.Second)
			return alice.say(contact, text)
		}
		first := say(b, "The GREEN door")
		alice.must(alice.do(t.Context(), func(t *turn) error { // so that there are several parts
			for i := range searchSpan + 10 {
				if _, err := t.addRow(b, &messageRecord{Out: true, Final: finalDelivered, Text: fmt.Sprint("filler ", i), Time: t.now.UnixMilli()}); err != nil {
					return err
				}
			}
			return nil
		}))
		second := say(b, "a green door is GREEN")
		note := say(NotesID, "Größe der grünen Tür, und 緑の扉")
		bob.say(a, "green, said bob")
		var atAlice Message
		eventually(t, time.Minute, "what bob said", func() bool {
			found, err := alice.Search(t.Context(), "said BOB", b, 0)
			if len(found) == 1 {
				atAlice = found[0]
			}
			return err == nil && len(found) == 1
		})
		edited := say(b, "the grean gate")
		alice.must(alice.Edit(t.Context(), edited.ID, "the gate"))
		deleted := say(b, "green as well")
		alice.must(alice.Delete(t.Context(), deleted.ID, false))
		long := say(b, strings.Repeat("long ", 13000)+"haystack")
		for _, c := range []struct {
			text, in string
			limit    int
			want     []string
		}{
			{"green", "", 0, []string{atAlice.ID, second.ID, first.ID}},
			{"gReEn", b, 2, []string{atAlice.ID, second.ID}},
			{"green", NotesID, 0, nil},
			{"GRÖSSE", "", 0, nil}, // letters, not their spellings
			{"GRÖßE", "", 0, []string{note.ID}},
			{"緑の扉", "", 0, []string{note.ID}},
			{"haystack", "", 0, []string{long.ID}},
			{"gate", "", 0, []string{edited.ID}},
			{"grean", "", 0, nil},
			{"keeps it until", "", 0, nil}, // of ledgers
			{"filler 2057", b, 0, []string{messageID(b, first.Seq+2058)}},
		} {
			found, err := alice.Search(t.Context(), c.text, c.in, c.limit)
			alice.must(err)
			var got []string
			for _, m := range found {
				got = append(got, m.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q in %q: found %v, want %v", c.text, c.in, got, c.want)
			}
		}
		for text, kind := range map[string]string{" \n": KindRefused, "\xff": KindRefused, strings.Repeat("x", maxSearch+1): KindTooLarge} {
			if _, err := alice.Search(t.Context(), text, "", 0); KindOf(err) != kind {
				t.Errorf("%.10q: %v", text, err)
			}
		}
		if _, err := alice.Search(t.Context(), "green", "c_none", 0); KindOf(err) != KindNotFound {
			t.Errorf("no such contact: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := alice.Search(ctx, "green", "", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestSearchBesideSending searches without end and sends meanwhile: nobody waits
// for the other, and a search that is cancelled ends.
func TestSearchBesideSending(t *testing.T) {
	m, contact := searchable(t, 3*searchSpan)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	began := make(chan struct{}, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			wake(began)
			if _, err := m.Search(ctx, "nothing of it", "", 0); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		ended <- n
	}()
	<-began
	for i := range 20 {
		if _, err := m.Send(t.Context(), NotesID, fmt.Sprint("meanwhile ", i)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if n := <-ended; n == 0 {
		t.Error("no search ended meanwhile")
	}
	if found, err := m.Search(t.Context(), "MEANWHILE 4", "", 0); err != nil || len(found) != 1 {
		t.Errorf("%d found, error %v", len(found), err)
	}
	if found, err := m.Search(t.Context(), "lazy dog", contact, 7); err != nil || len(found) != 7 || found[0].Seq != 3*searchSpan {
		t.Errorf("%d found, error %v", len(found), err)
	}
}

// TestRowText compares the shortcut to the text of a row with its decoding.
func TestRowText(t *testing.T) {
	for _, size := range []int{0, 1, 23, 24, 255, 256, 65535, 65536, 70000} {
		for _, out := range []bool{false, true} {
			rec := messageRecord{Out: out, Text: strings.Repeat("ü", size/2) + strings.Repeat("x", size%2), Kind: 3, Late: true, ReplyTo: 9}
			rec.Mark = &markRecord{Mine: "👍"}
			raw := encode(rec)
			if text, ok := rowText(raw); !ok || string(text) != rec.Text {
				t.Errorf("%d bytes, out %v: %v, %d bytes", size, out, ok, len(text))
			}
			for n := range min(len(raw), 64) {
				_, _ = rowText(raw[:n])
			}
		}
	}
}

// TestExport writes a conversation to a file, and never over one.
func TestExport(t *testing.T) {
	m, contact := searchable(t, exportPage+3)
	path := filepath.Join(t.TempDir(), "out.jsonl")
	n, err := m.Export(t.Context(), contact, path)
	if err != nil || n != exportPage+3 {
		t.Fatal(n, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", st.Mode(), err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := uint64(0)
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
		var line struct {
			V    int
			Seq  uint64
			Text string
			Time string
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", line.Time)
		if line.V != 1 || line.Seq != lines || !strings.HasPrefix(line.Text, fmt.Sprintf("Message %d:", lines-1)) || err != nil || at.IsZero() {
			t.Fatalf("line %d: %s", lines, s.Text())
		}
	}
	if lines != exportPage+3 {
		t.Errorf("%d lines", lines)
	}
	before, _ := os.ReadFile(path)
	if _, err := m.Export(t.Context(), contact, path); KindOf(err) != KindExists {
		t.Errorf("over a file: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Export(t.Context(), contact, link); KindOf(err) != KindExists {
		t.Errorf("over a link: %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the file was changed")
	}
	if _, err := m.Export(t.Context(), "c_none", path+"2"); KindOf(err) != KindNotFound {
		t.Errorf("no such contact: %v", err)
	}
	if _, err := m.Export(t.Context(), contact, filepath.Join(path, "below")); KindOf(err) != KindIO {
		t.Errorf("below a file: %v", err)
	}
	if _, err := os.Stat(path + "2"); err == nil {
		t.Error("a failed export left a file")
	}
}
