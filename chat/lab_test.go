package chat_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/lab"
)

// person is a running messenger in a simulated network of real relays.
type person struct {
	t *testing.T
	*chat.Messenger
	stop func()
}

func start(t *testing.T, n *lab.Network, home string) *person {
	t.Helper()
	m, err := chat.Open(chat.Config{Home: home, Network: n.Link().String(), ListenPacket: n.ListenPacket})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return &person{t, m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := m.Close(); err != nil {
			t.Error(err)
		}
	}}
}

// until waits in virtual time.
func (p *person) until(what string, within time.Duration, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(within); !ok(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s; status %+v", within, what, p.Status())
		}
	}
}

// untilOrGuard is until, but for what may wait for a guard: where a mailbox relay
// is one of somebody's first two guards and the other one is down, no third serves
// for hours (circuit/path/SPEC.md §2.2). If somebody was told so in that time, it
// starts the relays that are down, and waits once more.
func untilOrGuard(ctx context.Context, what string, within time.Duration, down *[]*lab.Relay, people []*person, ok func() bool) {
	t := people[0].t
	t.Helper()
	awaits := func() bool {
		return slices.ContainsFunc(people, func(p *person) bool {
			return slices.ContainsFunc(p.Status().Outlook.Warnings, func(w string) bool {
				return strings.Contains(w, "the mailbox relay is your guard")
			})
		})
	}
	// Between two tries nothing waits, so what was said at any time counts.
	end, told, started := time.Now().Add(within-time.Second), false, false
	people[0].until(what, within, func() bool {
		told = told || awaits()
		if ok() || time.Now().Before(end) || len(*down) == 0 || !told {
			return ok()
		}
		t.Logf("%s: waits for a guard; %d relays start again", what, len(*down))
		for _, r := range *down {
			if err := r.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		*down, started = nil, true
		return true
	})
	if started {
		people[0].until(what, within, ok)
	}
}

func (p *person) list(contact, direction string) []chat.Message {
	p.t.Helper()
	all, err := p.Messages(context.Background(), contact, 0, 1000)
	if err != nil {
		p.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(m chat.Message) bool { return m.Direction != direction })
}

// seesNetwork checks the network view against what the pool and the snapshot say.
func (p *person) seesNetwork(relays int) {
	p.t.Helper()
	v, err := p.NetworkView(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	role := map[string]int{}
	for _, r := range v.Relays {
		role[r.Role]++
		if r.Role == "guard" && r.Name != v.Guard || r.Role == "layer 2" && !slices.Contains(v.Layer2, r.Name) || r.Address == "" {
			p.t.Errorf("%+v, guard %s, layer 2 %v", r, v.Guard, v.Layer2)
		}
	}
	if len(v.Relays) != relays || v.Listed != relays || role["guard"] != 1 || role["layer 2"] == 0 || len(v.Layer2) > 4 {
		p.t.Errorf("%d relays, roles %v", len(v.Relays), role)
	}
	if v.Signatures < v.Threshold || v.Threshold < 1 || v.Signers < v.Signatures || !v.Lab || v.ByFounders {
		p.t.Errorf("signed by %d of %d, needs %d", v.Signatures, v.Signers, v.Threshold)
	}
	if v.GuardSince.IsZero() || v.GuardSince.After(time.Now()) || v.Queues != 1 || v.Family != 0 {
		p.t.Errorf("guard since %v, %d queues, family %v", v.GuardSince, v.Queues, v.Family)
	}
	open := 0
	for _, c := range v.Circuits {
		if c.State != "open" {
			continue
		}
		open++
		// A circuit to the guard itself begins at another one.
		if len(c.Relays) != 3 || c.Relays[0] != v.Guard && c.Destination != v.Guard || !slices.Contains(v.Layer2, c.Relays[1]) {
			p.t.Errorf("circuit %+v, guard %s, layer 2 %v", c, v.Guard, v.Layer2)
		}
	}
	if open == 0 {
		p.t.Error("no circuit is open")
	}
}

// TestConversationWhileRelaysDie sends both ways over real circuits. Meanwhile
// all circuits are renewed at a user's wish, the middle of a sending circuit dies
// for good, and a mailbox relay dies and comes back.
func TestConversationWhileRelaysDie(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := lab.NewSimNet(lab.SimConfig{})
		defer sim.Close()
		n, err := lab.Start(t.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 8, Lab: true, Sim: sim})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		alice, bob := start(t, n, filepath.Join(dir, "alice")), start(t, n, filepath.Join(dir, "bob"))
		defer alice.stop()
		defer bob.stop()
		inv, err := alice.CreateInvite(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		c, err := bob.AcceptInvite(t.Context(), inv.Link, "alice")
		if err != nil {
			t.Fatal(err)
		}
		var atAlice string
		alice.until("contacts on both sides", time.Minute, func() bool {
			as, _ := alice.Contacts(t.Context())
			bs, _ := bob.Contacts(t.Context())
			if len(as) == 1 {
				atAlice = as[0].ID
			}
			return len(as) == 1 && bs[0].State == chat.ContactActive
		})
		sending := func() (info circuit.Info) {
			alice.until("a sending circuit", 20*time.Second, func() bool {
				for _, c := range alice.Status().Circuits {
					if c.Purpose == circuit.Send && c.State == "open" && c.Destination != (directory.RelayID{}) {
						info = c
						return true
					}
				}
				return false
			})
			return info
		}
		const each = 60
		var mailbox *lab.Relay
		var down []*lab.Relay
		both := []*person{alice, bob}
		began := time.Now()
		for i := range each {
			if _, err := alice.Send(t.Context(), atAlice, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if _, err := bob.Send(t.Context(), c.ID, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			switch i {
			case 5: // all circuits anew, in the middle of it
				alice.seesNetwork(8)
				if err := alice.NewCircuits(t.Context()); err != nil {
					t.Error(err)
				}
				if err := alice.NewCircuits(t.Context()); chat.KindOf(err) != chat.KindRefused {
					t.Errorf("twice: %v", err)
				}
			case 15:
				middle := n.Relay(sending().Path[2])
				middle.Kill()
				down = append(down, middle)
			case 30:
				mailbox = n.Relay(sending().Destination)
				mailbox.Kill()
			case 50:
				if err := mailbox.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(100 * time.Millisecond)
		}
		last := time.Now()
		untilOrGuard(t.Context(), "all received", time.Minute, &down, both, func() bool {
			return len(alice.list(atAlice, chat.In)) >= each && len(bob.list(c.ID, chat.In)) >= each
		})
		t.Logf("sent for %v, all received %v after the last", last.Sub(began), time.Since(last))
		for who, list := range map[string][]chat.Message{"alice": alice.list(atAlice, chat.In), "bob": bob.list(c.ID, chat.In)} {
			seen, late, next := map[string]bool{}, 0, 0
			for _, m := range list {
				if seen[m.Text] {
					t.Errorf("%s received %s twice", who, m.Text)
				}
				seen[m.Text] = true
				var i int
				fmt.Sscan(m.Text, &i)
				switch {
				case m.Late:
					late++
				case i < next:
					t.Errorf("%s received %s after %d, not marked late", who, m.Text, next-1)
				default:
					next = i + 1
				}
			}
			// Late are those whose only copy lay at the relay that was away, few
			// unless another path was gone with it.
			if len(seen) != each || late > each/4 {
				t.Errorf("%s received %d, %d of them late", who, len(seen), late)
			}
		}
		delivered := func(list []chat.Message) bool {
			return !slices.ContainsFunc(list, func(m chat.Message) bool { return m.State != chat.Delivered })
		}
		untilOrGuard(t.Context(), "all delivered", 2*time.Minute, &down, both, func() bool {
			return delivered(alice.list(atAlice, chat.Out)) && delivered(bob.list(c.ID, chat.Out))
		})
		if p, ok := alice.Path(atAlice); !ok || len(p.Relays) != 3 || p.Mailbox == "" {
			t.Errorf("path %+v", p)
		}
		// The relay of a queue that pushes goes for good, with its disk: the queue is
		// elsewhere after half a minute, or two where the next relay is gone as well.
		var dead directory.RelayID
		bob.until("a subscription", time.Minute, func() bool {
			for _, c := range bob.Status().Circuits {
				if c.Purpose == circuit.Subscribe && c.State == "open" {
					dead = c.Destination
				}
			}
			return dead != (directory.RelayID{})
		})
		n.Relay(dead).Kill()
		down = append(down, n.Relay(dead))
		began = time.Now()
		<-time.After(2 * time.Second)
		if _, err := alice.Send(t.Context(), atAlice, "after it went"); err != nil {
			t.Fatal(err)
		}
		untilOrGuard(t.Context(), "a moved queue", 3*time.Minute, &down, both, func() bool {
			// A guard that started again is not tried at once.
			restarted := len(down) == 0
			return (restarted || bob.Status().Health == chat.Connected) && len(bob.list(c.ID, chat.In)) == each+1
		})
		t.Logf("moved and received after %v; alice is %v", time.Since(began), alice.Status().Health)
		untilOrGuard(t.Context(), "delivered", time.Minute, &down, both, func() bool {
			return delivered(alice.list(atAlice, chat.Out))
		})
	})
}

// TestMeetBehindCover makes a contact in the ticks of the profile normal: from
// the wish for an invite to a text that each side can send to the other.
func TestMeetBehindCover(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sim := lab.NewSimNet(lab.SimConfig{})
		defer sim.Close()
		n, err := lab.Start(t.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 6, Sim: sim})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		alice, bob := start(t, n, filepath.Join(dir, "alice")), start(t, n, filepath.Join(dir, "bob"))
		defer alice.stop()
		defer bob.stop()
		for _, p := range []*person{alice, bob} {
			if p.Cover() != "normal" {
				t.Fatal("cover", p.Cover())
			}
			p.until("a path", 5*time.Minute, func() bool {
				return slices.ContainsFunc(p.Status().Circuits, func(c circuit.Info) bool { return c.State == "open" })
			})
		}
		began := time.Now()
		inv, err := alice.CreateInvite(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		invited := time.Since(began)
		began = time.Now()
		if _, err = bob.AcceptInvite(t.Context(), inv.Link, "alice"); err != nil {
			t.Fatal(err)
		}
		alice.until("contacts on both sides", 10*time.Minute, func() bool {
			as, _ := alice.Contacts(t.Context())
			bs, _ := bob.Contacts(t.Context())
			return len(as) == 1 && bs[0].State == chat.ContactActive
		})
		met := time.Since(began)
		t.Logf("invite after %v, contacts after %v more", invited, met)
		if invited+met > 2*time.Minute { // a quarter of a minute mostly; slots are drawn
			t.Errorf("two people need %v to become contacts", invited+met)
		}
	})
}
