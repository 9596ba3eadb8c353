//go:build unix && !race

// The processes are no race builds: the detector would see only this file.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// nextVersion is that of the programs that others are replaced by.
const nextVersion = "99.0.0"

// buildNext builds the given programs in a directory as the next release would be:
// the same tree, but for the version.
func buildNext(dir string, programs ...string) error {
	path, err := filepath.Abs("../program/version.go")
	if err != nil {
		return err
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const begin = "func Version() string {\n"
	next := strings.Replace(string(src), begin, begin+"\tif true {\n\t\treturn \""+nextVersion+"\"\n\t}\n", 1)
	if next == string(src) {
		return errors.New("cmd/program/version.go has no function Version")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: filepath.Join(dir, "version.go")}})
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{"version.go": []byte(next), "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	args := []string{"build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", dir + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "hearsay/cmd/"+p)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// replace stops a relay as systemd does, waits until it has ended by itself, and
// starts the program of another directory on its home. It returns how long nobody
// served there.
func (w *network) replace(id, dir string) time.Duration {
	w.t.Helper()
	r := w.relays[id]
	r.terminate()
	if code := r.wait(); code != 0 {
		w.t.Errorf("a relay exited with %d after SIGTERM: %s", code, r.errors())
	}
	began := time.Now()
	r.process = start(w.t, filepath.Join(dir, "hearsay-relay"), "run", "--home", r.home, "--listen", r.listen, "--json", "--log-level", w.level)
	if line := w.ready(r.process); line.ID != id {
		w.t.Errorf("relay %s came back as %s", id, line.ID)
	}
	return time.Since(began)
}

// relayStatus is what a relay says of itself.
type relayStatus struct {
	Software string
	Queues   int
}

func (w *network) relayStatus(id string) (s relayStatus) {
	w.t.Helper()
	out, err := exec.Command(filepath.Join(bin, "hearsay-relay"), "status", "--home", w.relays[id].home, "--why=false", "--json").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	unmarshal(w.t, string(out), &s)
	return s
}

// mailboxesFirst returns all relays, those first to which the two have circuits for
// reading.
func (w *network) mailboxesFirst(scripts ...*script) []string {
	w.t.Helper()
	first := map[string]bool{}
	for _, s := range scripts {
		var st status
		s.must(&st, "status", nil)
		for _, c := range st.Circuits {
			if c.Purpose == "subscribe" && c.Destination != nil && w.relays[*c.Destination] != nil {
				first[*c.Destination] = true
			}
		}
	}
	ids := slices.Sorted(maps.Keys(w.relays))
	slices.SortStableFunc(ids, func(a, b string) int {
		switch {
		case first[a] == first[b]:
			return 0
		case first[a]:
			return -1
		}
		return 1
	})
	return ids
}

// fullUpgrade tells whether all relays and the directory are replaced, and then go
// back to the old release while one side is away, as `just upgrade` does.
func fullUpgrade() bool { return os.Getenv("HEARSAY_UPGRADE") == "full" }

// upgradeUnderLoad replaces relays by those of the next release in dir, one after the
// other, while two people write to each other. Their queues are still there.
func upgradeUnderLoad(t *testing.T, w *network, a, b *chatter, dir string) {
	ids := w.mailboxesFirst(a.script(), b.script())
	if !fullUpgrade() {
		ids = ids[:2] // of those that hold what is on its way
	}
	queues, said := 0, a.count()+b.count()
	for _, id := range ids {
		before := w.relayStatus(id)
		away := w.replace(id, dir)
		after := w.relayStatus(id)
		if after.Software != "hearsay "+nextVersion || before.Software == after.Software {
			t.Errorf("%q became %q", before.Software, after.Software)
		}
		if before.Queues > 0 && after.Queues == 0 {
			t.Errorf("%d queues before, none after", before.Queues)
		}
		queues += after.Queues
		t.Logf("replaced %.8s, which nobody served for %v; %d queues", id, away.Round(time.Millisecond), after.Queues)
		if fullUpgrade() {
			<-time.After(2 * time.Second) // as a careful operator would
		}
	}
	if queues == 0 {
		t.Error("no relay that was replaced held a queue")
	}
	if fullUpgrade() {
		w.directory.terminate()
		if code := w.directory.wait(); code != 0 {
			t.Errorf("the directory exited with %d", code)
		}
		w.directory = start(w.t, filepath.Join(dir, "hearsay-directory"), "run", "--home", filepath.Join(w.dir, "directory"), "--json", "--log-level", w.level)
		w.ready(w.directory)
	}
	t.Logf("%d messages were sent while %d relays were replaced", a.count()+b.count()-said, len(ids))
}

// upgradeWhileAway goes back to the old release while what one side wrote waits in
// mailboxes for the other.
func upgradeWhileAway(t *testing.T, w *network, a, b *chatter) {
	b.script().shutdown()
	stop := make(chan struct{})
	time.AfterFunc(5*time.Second, func() { close(stop) })
	began := a.count()
	a.talk(stop, 50*time.Millisecond)
	a.script().until("all stored", func() bool {
		return !slices.ContainsFunc(a.script().messages(a.contact), func(m message) bool {
			return m.Direction == "out" && m.State != "delivered" && (m.Copies == nil || m.Copies.Have < 1)
		})
	})
	for id := range w.relays {
		w.replace(id, bin)
	}
	b.start()
	b.script().until("all fetched", func() bool { return slices.Contains(b.received(), a.text(a.count()-1)) })
	a.script().until("everything delivered", func() bool { return a.onTheWay() == 0 })
	a.check(b)
	t.Logf("%d messages lay in mailboxes while %d relays were replaced, each came once", a.count()-began, len(w.relays))
}
