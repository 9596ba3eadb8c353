package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// boxes compares the top dialog, alone, with testdata/NAME-WxH.txt at every size:
// what lies under it belongs to others.
func boxes(t *testing.T, name string, setup func(f *fakeChat), steps func(d *driver)) {
	t.Helper()
	for _, size := range sizes {
		f := newFake()
		if setup != nil {
			setup(f)
		}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
		steps(d)
		d.compare(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), d.box())
	}
}

// box returns the top dialog and checks that it fits.
func (d *driver) box() string {
	d.t.Helper()
	d.screen()
	top := d.a.top()
	if top == nil {
		d.t.Fatalf("no dialog is open:\n%s", d.screen())
	}
	lines, _ := top.view(d.a, d.a.width, d.a.height)
	lines = slices.Clone(lines)
	if len(lines) > d.a.height {
		d.t.Errorf("%d lines on a screen of %d", len(lines), d.a.height)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != ansi.StringWidth(lines[0]) || n > d.a.width {
			d.t.Errorf("line %d has %d cells, the first %d: %q", i, n, ansi.StringWidth(lines[0]), ansi.Strip(l))
		}
		lines[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// compare compares a text with a file of testdata.
func (d *driver) compare(name, got string) {
	d.t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	if got != string(want) {
		d.t.Errorf("%s differs:\n%s", name, got)
	}
}

func harbour(f *fakeChat) {
	id := func(c string) string { return strings.Repeat(c, 52) }
	f.view = chat.NetworkView{
		Network: "Harbour", Epoch: 412, SnapshotAge: 14*time.Minute + 20*time.Second, Signatures: 2, Signers: 3, Threshold: 2,
		ClockSkew: 2 * time.Second, Listed: 41, Guards: 9, Mailboxes: 22,
		Relays: []chat.RelayView{
			{ID: id("a"), Name: "ash", Address: "192.0.2.1", Standing: []string{"stable"}, Role: "layer 2"},
			{ID: id("b"), Name: "fern", Mailbox: true, Address: "192.0.2.2", Standing: []string{"mailbox", "stable"}},
			{ID: id("c"), Name: "fir", Address: "192.0.2.3", Standing: []string{"stable"}, Role: "layer 2"},
			{ID: id("d"), Name: "iris", Address: "192.0.2.4", Marks: []string{"watched", "middle only"}},
			{ID: id("e"), Name: "kelp", Mailbox: true, Address: "2001:db8:1:2:3:4:5:6", Standing: []string{"mailbox"}, Family: "family 3", Families: 2},
			{ID: id("f"), Name: "moss", Address: "192.0.2.6", Role: "layer 2", Family: "family 3", Families: 2},
			{ID: id("g"), Name: "otter", Guard: true, Address: "192.0.2.9", Standing: []string{"guard", "stable"}, Role: "guard"},
			{ID: id("h"), Name: "plum", Guard: true, Mailbox: true, Address: "192.0.2.7", Standing: []string{"guard", "mailbox", "stable"}, Role: "layer 2"},
			{ID: id("i"), Name: "wren", Address: "192.0.2.8", Marks: []string{"unmeasured"}},
		},
		Circuits: []chat.CircuitView{
			{ID: "11", Purpose: "send", Relays: []string{"otter", "plum", "wren"}, Destination: "fern", State: "open", RTT: 212 * time.Millisecond},
			{ID: "12", Purpose: "subscribe", Relays: []string{"otter", "moss", "iris"}, Destination: "kelp", State: "open", RTT: 388 * time.Millisecond},
			{ID: "13", Purpose: "spare", Relays: []string{"otter", "fir"}, State: "building"},
			{ID: "14", Purpose: "directory", Relays: []string{"otter", "ash", "reed"}, State: "open", RTT: 301 * time.Millisecond},
			{ID: "15", Purpose: "file", Relays: []string{"otter", "plum", "reed"}, Destination: "kelp", State: "building"},
		},
		Guard: "otter", GuardSince: testNow.Add(-12*24*time.Hour - time.Hour), Layer2: []string{"plum", "moss", "fir", "ash"},
		Family: 0.108, Cover: "normal", CoverMB: 110, Queues: 12, Single: 1, NextMove: testNow.Add(9*time.Hour + time.Minute),
		Missing: []string{"dune takes no messages for marta now: it could not be reached"},
	}
}

func TestNetworkScreen(t *testing.T) {
	boxes(t, "network", harbour, func(d *driver) { d.key("f3") })
	boxes(t, "network-relays", harbour, func(d *driver) { d.key("f3", "tab", "j", "j", "j") })
}

func TestNetworkRelay(t *testing.T) {
	kelp := func(d *driver) {
		d.key("f3", "/")
		d.typeText("kelp")
		d.key("enter")
	}
	boxes(t, "network-relay", harbour, func(d *driver) { kelp(d); d.key("enter") })
	boxes(t, "network-why", harbour, func(d *driver) { d.key("f3", "tab", "j", "j", "j", "w") })
	boxes(t, "network-find", harbour, func(d *driver) {
		d.key("f3", "/")
		d.typeText("watched")
	})
}

// TestNetworkKeys: new circuits, the relays of a circuit, the other pane, finding,
// and esc, one thing at a time.
func TestNetworkKeys(t *testing.T) {
	f := newFake()
	harbour(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.key("f3", "n")
	if f.count("NewCircuits") != 1 || f.count("NetworkView") != 2 {
		t.Errorf("calls %q", f.calls)
	}
	d.has("circuits are replaced, one after the other, over the same guards")
	f.fail = map[string]error{"NewCircuits": &chat.Error{Kind: chat.KindRefused, Text: "all circuits were replaced less than a minute ago", Hint: "wait a minute"}}
	d.key("n")
	d.has("all circuits were replaced less than a minute ago (wait a minute)")
	d.key("j", "enter")
	for _, name := range []string{"iris", "kelp", "moss", "otter"} {
		d.has(name + strings.Repeat(" ", 17-len(name)))
	}
	if n := d.a.top().(*networkDialog); n.relay() == nil || n.relay().Name != "iris" || len(relaysOf(n)) != 4 {
		t.Errorf("the relays of circuit 2 are %v", relaysOf(d.a.top().(*networkDialog)))
	}
	d.key("/")
	d.typeText("192.0.2.7")
	if n := d.a.dialogs[0].(*networkDialog); len(relaysOf(n)) != 1 || n.relay() == nil || n.relay().Name != "plum" {
		t.Errorf("found %v", relaysOf(n))
	}
	d.key("esc", "w")
	d.has("why plum is listed")
	d.key("esc")
	if len(d.a.dialogs) != 1 {
		t.Errorf("%d dialogs are open", len(d.a.dialogs))
	}
	d.key("esc")
	if d.a.top() != nil {
		t.Error("esc does not close the network view")
	}
	d.key("f3", "f3")
	if d.a.top() != nil {
		t.Error("the key that opens the view does not close it")
	}
}

func relaysOf(d *networkDialog) (names []string) {
	for _, l := range d.rows[paneRelays] {
		if l.relay != nil {
			names = append(names, l.relay.Name)
		}
	}
	return names
}

// TestNetworkFollowsEvents reads the view again when a circuit comes or goes, and
// not for what concerns something else.
func TestNetworkFollowsEvents(t *testing.T) {
	f := newFake()
	harbour(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("f3")
	f.view.Circuits = f.view.Circuits[:1]
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress}, {Type: chat.CircuitClosed}}})
	d.has("Circuits 1")
	if n := f.count("NetworkView"); n != 2 {
		t.Errorf("the view was read %d times", n)
	}
}

// TestNetworkSaysWhy: without a view the reason stands there, and a lab network
// says so.
func TestNetworkSaysWhy(t *testing.T) {
	f := newFake()
	f.fail = map[string]error{"NetworkView": &chat.Error{Kind: chat.KindNoNetwork, Text: "there is no snapshot of the network yet", Hint: "wait"}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("f3")
	d.has("there is no snapshot of the network yet (wait)")
	d.key("j", "enter", "w", "tab", "j", "enter", "w", "pgdown") // nothing is there to act on
	if len(d.a.dialogs) != 1 {
		t.Error("a dialog opened out of nothing")
	}
	d.key("esc")
	harbour(f)
	f.fail, f.view.Lab, f.view.Burst = nil, true, 90*time.Second
	f.view.Warnings = []string{"one guard alone serves you"}
	d.key("f3")
	d.has("LAB")
	d.has("Burst")
	d.has("goes on for 1 min: whoever")
	d.has("one guard alone serves you")
}

// TestHostileRelays: what relays and errors say cannot leave its line.
func TestHostileRelays(t *testing.T) {
	evil := "a\x1b]0;title\x07\r\nyou ▸ b\u202e\x9b2J"
	f := newFake()
	harbour(f)
	f.view.Network, f.view.Guard, f.view.Layer2 = evil, evil, []string{evil}
	f.view.Missing, f.view.Warnings, f.view.Cover = []string{evil}, []string{evil}, evil
	f.view.Relays[0] = chat.RelayView{ID: evil, Name: evil, Address: evil, Family: evil, Standing: []string{evil}, Marks: []string{evil}, Role: evil}
	f.view.Circuits[0] = chat.CircuitView{ID: evil, Purpose: evil, Relays: []string{evil, evil}, Destination: evil, State: evil}
	f.path = chat.Path{Relays: []string{evil, evil, evil}, Mailbox: evil, Open: true}
	f.status.Why, f.status.Health = evil, chat.Offline
	f.why = chat.Why{
		History: []chat.HistoryEntry{{Time: testNow, State: chat.Queued, Detail: evil}},
		Next:    evil, Earlier: []chat.Earlier{{Time: testNow, Text: evil}},
	}
	for _, size := range sizes {
		d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
		clean := func() {
			t.Helper()
			lines, _ := d.a.draw()
			for _, l := range lines {
				if s := ansi.Strip(l); strings.ContainsAny(s, "\x1b\a\r\n\u202e\u009b") {
					t.Errorf("%v: %q", size, s)
				}
				if strings.Contains(l, "]0;title\a") || strings.Contains(l, "\x9b") {
					t.Errorf("%v: %q", size, l)
				}
			}
			d.screen()
		}
		clean()
		d.key("f3", "tab")
		clean()
		d.key("enter")
		clean()
		d.key("esc", "w")
		clean()
		d.key("esc", "esc")
		d.run(d.a.openWhy("m_4", evil))
		clean()
	}
}

// TestDoctorScreen shows the checks, the worst in words, and what to do.
func TestDoctorScreen(t *testing.T) {
	checks := []Check{
		{Name: "file modes", Result: "ok", Detail: "the home is yours alone"},
		{Name: "clock", Result: "warning", Detail: "4 minutes behind the network", Fix: "set the clock; time services do it by themselves"},
		{Name: "circuit", Result: "failed", Detail: "no relay answers", Fix: "look at the connection"},
		{Name: "mailboxes", Result: "skipped", Detail: "they need a circuit"},
	}
	n := 0
	boxes(t, "doctor", nil, func(d *driver) {
		d.a.cfg.Doctor = func(context.Context) ([]Check, error) { n++; return checks, nil }
		d.run(d.a.openDoctor())
	})
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.run(d.a.openDoctor())
	d.has("run hearsay doctor")
	d.a.cfg.Doctor = func(context.Context) ([]Check, error) { n++; return nil, errors.New("the disk is gone") }
	n = 0
	d.run(d.a.openDoctor())
	d.has("it cannot be looked: the disk is gone")
	d.key("r")
	if n != 2 {
		t.Errorf("looked %d times", n)
	}
}

// BenchmarkNetworkView draws the view of a large network, as after every event.
func BenchmarkNetworkView(b *testing.B) {
	f := newFake()
	harbour(f)
	f.view.Listed = 7000
	for i := range f.view.Listed {
		f.view.Relays = append(f.view.Relays, chat.RelayView{ID: fmt.Sprint(i), Name: fmt.Sprintf("relay-%d", i), Address: "192.0.2.1", Guard: i%3 == 0})
	}
	a, err := New(b.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }})
	if err != nil {
		b.Fatal(err)
	}
	a.width, a.height = 200, 60
	d := &networkDialog{net: cleanView(f.view), known: true, at: testNow, fresh: true}
	for b.Loop() {
		d.view(a, 200, 60)
	}
}
