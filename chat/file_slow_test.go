package chat

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
)

// TestFileCircuitsApart checks that each circuit of a file serves one relay and
// nothing else, and none of anything else serves a file; and that on shaped links
// a file keeps to the slots, over one circuit at a time.
func TestFileCircuitsApart(t *testing.T) {
	for _, cover := range []string{"off", "normal"} {
		t.Run(cover, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 6)
				alice, bob := w.user(t), w.user(t)
				b, a := befriend(t, alice, bob)
				for _, u := range []*user{alice, bob} {
					if err := u.SetCover(t.Context(), cover); err != nil {
						t.Fatal(err)
					}
				}
				names := make(map[string]bool)
				var wrong []string
				w.mu.Lock()
				w.asked = func(r circuit.Request) { // guarded by w.mu
					isFile := r.Purpose == circuit.File
					switch {
					case isFile != strings.HasPrefix(r.Isolation, "file/f_"):
						wrong = append(wrong, fmt.Sprintf("a name of another kind: %+v", r))
					case isFile && (names[r.Isolation] || !r.Fresh):
						wrong = append(wrong, fmt.Sprintf("a circuit may serve twice: %+v", r))
					case isFile && (r.Bulk != (cover == "off") || r.Patient == r.Bulk):
						wrong = append(wrong, fmt.Sprintf("out of its slots: %+v", r))
					}
					names[r.Isolation] = names[r.Isolation] || isFile
				}
				w.mu.Unlock()
				sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(20_000)), SendFileOptions{Burst: true})
				if err != nil {
					t.Fatal(err)
				}
				offer := bob.offered(a)
				if err := bob.FetchFile(t.Context(), offer.ID, true); err != nil {
					t.Fatal(err)
				}
				most := 0
				eventually(t, time.Hour, "complete", func() bool {
					for _, u := range []*user{alice, bob} {
						open := 0
						for _, c := range u.net.Circuits() {
							if c.Purpose == circuit.File {
								open++
							}
						}
						most = max(most, open)
					}
					return alice.file(sent.ID).State == FileComplete
				})
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, x := range wrong {
					t.Error(x)
				}
				if cover != "off" && most > 1 {
					t.Errorf("%d circuits of a file at once in slots", most)
				}
			})
		})
	}
}
