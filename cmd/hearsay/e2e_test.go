//go:build e2e

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestTwoPeople is the whole way of two people, each before a terminal, in a
// network of separate processes, as their screens show it.
func TestTwoPeople(t *testing.T) {
	m := startTmux(t)
	w := startNetwork(t, 7)
	m.home = w.dir
	const passphrase = "correct horse battery staple"
	alice := m.open("alice", "hearsay", "--home", w.dir+"/alice")
	onboard(alice, w.link, passphrase)
	bob := m.open("bob", "hearsay", "--home", w.dir+"/bob")
	onboard(bob, w.link, "another long passphrase of bob")

	// An invite goes over by paste.
	alice.keys("i")
	alice.until("Invite a contact", "name")
	alice.line("bob")
	link := linkIn(alice.until("HEARSAY:", "waiting"))
	alice.capture("invite")
	bob.paste(link)
	bob.until("Add a contact", link[len(link)-16:])
	bob.line("alice")
	bob.until("alice ? unverified")
	alice.until("used")
	alice.escape("used")
	alice.until("bob ? unverified")

	// They compare the number.
	alice.command("/verify")
	bob.command("/verify")
	number := numberIn(alice.until("Verify bob", "[esc] later"))
	if number == "" || number != numberIn(bob.until("Verify alice", "[esc] later")) {
		t.Fatalf("alice sees the number %q", number)
	}
	alice.capture("verify")
	alice.keys("y")
	bob.keys("y")
	alice.until("bob ✓ verified")
	bob.until("alice ✓ verified")
	alice.untilGone("Verify bob") // which takes the keys
	bob.untilGone("Verify alice")

	// They talk.
	alice.line("see you at the usual place?")
	bob.until("see you at the usual place?")
	bob.line("the one with the green door")
	alice.until("the one with the green door", "✓ delivered")
	bob.until("✓ delivered")
	bob.write("two lines")
	bob.keys("C-j")
	bob.write("in one message")
	bob.until("| in one message")
	bob.keys("Enter")
	alice.until("two lines", "in one message")

	// What somebody writes is text, and nothing else.
	bob.paste("14:00 bob\x1b]0;OWNED\a is \x1b[31mred")
	bob.until("14:00 bob is red")
	bob.keys("Enter")
	alice.until("14:00 bob is red")
	if title := m.run("display-message", "-p", "-t", "alice", "#{pane_title}"); strings.Contains(title, "OWNED") {
		t.Errorf("the title of alice's terminal is %q", title)
	}

	// What became of a message, and where it is found again.
	alice.command("/why")
	alice.until("why: see you", "queued", "delivered")
	alice.capture("why")
	alice.escape("why:")
	alice.command("/search green door")
	alice.until("Search", "the one with the green door")
	alice.capture("search")
	alice.escape("Search")

	// A file, offered, fetched and saved.
	plan := filepath.Join(w.dir, "plan.pdf")
	body := bytes.Repeat([]byte("the plan of the house\n"), 5000)
	if err := os.WriteFile(plan, body, 0o600); err != nil {
		t.Fatal(err)
	}
	alice.command("/file " + plan)
	alice.until("plan.pdf", "padded")
	alice.capture("file")
	alice.keys("Enter")
	alice.untilGone("Offer a file")
	bob.until("plan.pdf")
	saved := filepath.Join(w.dir, "saved.pdf")
	bob.command("/save " + saved)
	bob.untilScreen("the file is saved", func(string) bool { return sameFile(saved, body) })
	bob.until("✓ saved")
	bob.capture("conversation")

	// A group of the two.
	alice.command("/group new printers")
	alice.until("[ ] bob")
	alice.keys("Space")
	alice.until("[x] bob")
	alice.keys("Enter")
	alice.until("▌# printers") // texts go to it
	alice.line("who has the key?")
	unread := regexp.MustCompile(`# printers \(2\) +1 `) // it is told of before its first message
	bob.untilScreen("something unread in the group", unread.MatchString)
	bob.keys("M-a") // the next one with something unread
	bob.until("who has the key?")
	bob.line("I have it")
	alice.until("I have it")
	alice.capture("group")

	// The network, as it is seen from here.
	alice.keys("F3")
	alice.until("harbour", "Circuits", "Relays 7")
	alice.capture("network")
	alice.escape("Circuits")

	// Another size keeps what is read.
	alice.resize("58", "20")
	alice.until("‹ # printers", "I have it")
	alice.capture("narrow")
	alice.resize("100", "28")
	alice.until("▌# printers", "I have it")

	// Locked, nothing else is on the screen, and nothing typed goes anywhere.
	alice.keys("F9")
	locked := alice.until("hearsay is locked", "esc quits")
	for _, secret := range []string{"bob", "printers", "key", "green", "harbour"} {
		if strings.Contains(locked, secret) {
			t.Errorf("the lock screen shows %q", secret)
		}
	}
	alice.capture("lock")
	bob.line("are you still there?")
	alice.secret("not my passphrase")
	alice.until("wrong", "no recovery")
	alice.secret(passphrase)
	alice.until("are you still there?")

	// A relay dies; the conversation goes on.
	var back func()
	for id, r := range w.relays {
		r.kill()
		back = sync.OnceFunc(func() { w.restart(id) })
		break
	}
	both := []*pane{alice, bob}
	alice.line("yes: one relay fewer")
	bob.untilOrGuard(both, back, "yes: one relay fewer")
	bob.line("and it works")
	alice.untilOrGuard(both, back, "and it works")

	// Quitting takes two presses, and gives the terminal back.
	alice.keys("C-c", "C-c") // at once: a notice of the dead relay may take the place of "again quits"
	alice.untilScreen("the end of the program", func(string) bool {
		return strings.TrimSpace(m.run("display-message", "-p", "-t", "alice", "#{pane_dead} #{pane_dead_status}")) == "1 0"
	})
	if *captures {
		keepCaptures(t)
	}
}

// keepCaptures puts the screens that were recorded into the README.
func keepCaptures(t *testing.T) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../../README.md", withCaptures(t, readme), 0o644); err != nil {
		t.Fatal(err)
	}
}

// onboard goes through the four steps of the first run up to the last one.
func onboard(p *pane, link, passphrase string) {
	p.m.t.Helper()
	p.until("1 of 4")
	p.capture("welcome")
	p.keys("Enter")
	p.until("2 of 4")
	p.write(passphrase)
	p.keys("Enter")
	p.write(passphrase)
	p.keys("Enter")
	p.until("3 of 4")
	p.paste(link)
	p.until(link[len(link)-16:])
	p.keys("Enter")
	p.until("[enter] continue", "mailboxes")
	p.capture("network-step")
	p.keys("Enter")
	p.until("4 of 4")
}

// numberIn finds a safety number on a screen.
func numberIn(screen string) string {
	return strings.Join(regexp.MustCompile(`\b\d{5}\b`).FindAllString(screen, -1), " ")
}

// sameFile tells whether a file holds what it should.
func sameFile(path string, want []byte) bool {
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, want)
}
