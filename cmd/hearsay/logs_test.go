package main

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// TestLogsRevealNothing runs a network at log level debug, lets two people
// talk, stops a relay under them, and searches all logs: no address but those of
// relays and directory, no link, no queue, no text, no name, no contact.
func TestLogsRevealNothing(t *testing.T) {
	w := startNetworkLogging(t, 6, "debug")
	alice := startScript(t, "hearsay", "rpc", "--home", w.dir+"/alice", "--network", w.link, "--log-level", "debug")
	bob := startScript(t, "hearsay", "rpc", "--home", w.dir+"/bob", "--network", w.link, "--log-level", "debug")
	alice.untilReady()
	bob.untilReady()
	var inv struct{ ID, Link string }
	alice.must(&inv, "invite.create", map[string]any{"name": "robert-local-name"})
	bob.must(nil, "invite.accept", map[string]any{"link": inv.Link, "name": "alicia-local-name"})
	var atAlice, atBob string
	alice.until("active", func() bool { atAlice = alice.contact("robert-local-name"); return atAlice != "" })
	bob.until("active", func() bool { atBob = bob.contact("alicia-local-name"); return atBob != "" })
	talk := func(text string, back func()) {
		t.Helper()
		alice.must(nil, "message.send", map[string]any{"contact": atAlice, "text": text})
		bob.untilOrGuard("received", []*script{alice, bob}, back, func() bool {
			ms := bob.messages(atBob)
			return len(ms) > 0 && ms[len(ms)-1].Text == text
		})
	}
	talk("the first secret sentence", nil)
	known := map[string]bool{} // addresses that may appear
	for _, r := range w.relays {
		known[r.listen] = true
	}
	var gone string
	for id := range w.relays { // one that vanishes makes everybody complain
		gone = id
	}
	vanished := w.relays[gone]
	vanished.kill()
	delete(w.relays, gone)
	talk("the second secret sentence", func() {
		w.relays[gone] = vanished
		w.restart(gone)
	})
	if _, err := bob.call("invite.accept", map[string]any{"link": inv.Link[:100], "name": "typo-local-name"}); err == nil {
		t.Error("half an invite was accepted")
	}

	processes := map[string]*process{"directory": w.directory, "alice": alice.process, "bob": bob.process}
	for id, r := range w.relays {
		processes["relay "+id[:8]] = r.process
	}
	alice.shutdown()
	bob.shutdown()
	for _, r := range w.relays {
		r.terminate()
	}
	w.directory.terminate()
	secret := map[string]string{
		"invite link": inv.Link, "invite body": inv.Link[20:60], "invite id": inv.ID, "contact id of alice": atAlice, "contact id of bob": atBob,
		"text": "secret sentence", "name": "local-name",
	}
	for _, r := range w.relays {
		r.wait()
		for _, queue := range queuesOf(t, r.home) {
			raw := string(queue)
			secret["queue "+hex.EncodeToString(queue)] = hex.EncodeToString(queue)
			secret["queue as base32 "+hex.EncodeToString(queue)] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(queue)
			secret["queue as base64 "+hex.EncodeToString(queue)] = base64.RawStdEncoding.EncodeToString(queue)
			secret["queue raw "+hex.EncodeToString(queue)] = raw
		}
	}
	if len(secret) < 20 {
		t.Errorf("only %d secrets to look for: the mailboxes were not found", len(secret))
	}
	w.directory.wait()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	for name, p := range processes {
		log := p.errors()
		if !strings.Contains(log, "level=") {
			t.Logf("%s logged nothing", name)
		}
		for what, s := range secret {
			if strings.Contains(strings.ToLower(log), strings.ToLower(s)) {
				t.Errorf("the log of %s shows %s", name, what)
			}
		}
		for _, a := range address.FindAllString(log, -1) {
			if !known[a] && !strings.Contains(w.link, a) {
				t.Errorf("the log of %s shows the address %s", name, a)
			}
		}
	}
}

// queuesOf returns the names of the queues in a relay's mailbox.
func queuesOf(t *testing.T, home string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "mailbox*", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	var names [][]byte
	for _, file := range files {
		db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
				return b.ForEach(func(k, _ []byte) error {
					if len(k) >= 16 {
						names = append(names, append([]byte(nil), k[:16]...))
					}
					return nil
				})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	return names
}
