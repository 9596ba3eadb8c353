package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/circuit"
	"hearsay/cmd/program"
	"hearsay/relay"
)

// TestContribute lends a relay beside a profile in a network of processes: it is
// listed, the profile's own circuits and queues avoid it, now and when it is not lent
// any more, and it stops with the program.
func TestContribute(t *testing.T) {
	w := startNetwork(t, 5)
	home := filepath.Join(w.dir, "alice")
	l := &lending{listen: netip.MustParseAddrPort("127.0.0.1:0"), bandwidth: 1 << 20}
	p, err := openLending(chat.Config{Home: home, Network: w.link}, l)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	own, err := relay.HomeID(relayHome(home))
	if err != nil {
		t.Fatal(err)
	}
	subscribed := 0
	avoids := func(p *profile) {
		t.Helper()
		for _, c := range p.Status().Circuits {
			if slices.Contains(c.Path, own) {
				t.Errorf("a circuit for %s goes through the own relay", c.Purpose)
			}
			if c.Purpose == circuit.Subscribe {
				subscribed++
				if c.Destination == own {
					t.Error("a queue of ours lies on the own relay")
				}
			}
		}
	}
	var v chat.NetworkView
	waitFor(t, "the relay is listed", func() bool {
		avoids(p)
		v, err = p.NetworkView(t.Context())
		return err == nil && v.Lends != nil && v.Lends.Listed && p.Status().Ready
	})
	if v.Lends.Bandwidth != 1<<20 || v.Lends.Problem != "" || v.Lends.Name == "" || v.Lends.Address != p.lent.node.Addr().String() {
		t.Errorf("%+v", v.Lends)
	}

	// Queues are made, and circuits are built anew. Bob's go through it, too.
	for i := range 8 {
		if _, err := p.CreateInvite(t.Context(), fmt.Sprintf("friend %d", i)); err != nil {
			t.Fatal(err)
		}
		avoids(p)
	}
	if err := p.NewCircuits(t.Context()); err != nil {
		t.Error(err)
	}
	waitFor(t, "queues stand", func() bool { avoids(p); return p.Status().Ready })
	if subscribed == 0 {
		t.Error("no queue was looked at")
	}
	carried := func() bool { return p.lent.node.Status().Circuits > 0 }
	for i := 0; !carried(); i++ { // which relays a Bob chooses is drawn: the next one draws anew
		if i == 20 {
			t.Fatal("the relay carries no circuits of others")
		}
		bob, err := openProfile(chat.Config{Home: filepath.Join(w.dir, fmt.Sprint("bob", i)), Network: w.link})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a Bob is ready", func() bool { return carried() || bob.Status().Ready })
		end := time.Now().Add(2 * time.Second) // more circuits are built then
		waitFor(t, "time goes by", func() bool { return carried() || time.Now().After(end) })
		if err := bob.stop(); err != nil {
			t.Error(err)
		}
	}

	// What a relay died of is said, and the profile goes on.
	p.lent.node.Kill()
	waitFor(t, "the problem is said", func() bool { return p.lent.state().Problem != "" })
	if v, err := p.NetworkView(t.Context()); err != nil || v.Lends == nil || !strings.HasPrefix(v.Lends.Problem, "the relay has stopped") {
		t.Errorf("%+v, %v", v.Lends, err)
	}
	if _, err := p.Send(t.Context(), chat.NotesID, "still here"); err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}

	// The key is there still, so the relay is avoided, though none is lent.
	subscribed = 0
	p, err = openProfile(chat.Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	waitFor(t, "the profile is ready without it", func() bool { avoids(p); return p.Status().Ready })
	if v, err := p.NetworkView(t.Context()); err != nil || v.Lends != nil {
		t.Errorf("%+v, %v", v.Lends, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}

	// A daemon lends, too: who said yes once is not asked again, and SIGTERM ends
	// both. Destroying the profile destroys the relay's home.
	d := startDaemon(t, home, "--contribute", "--contribute-listen", "127.0.0.1:0")
	a := startScript(t, "hearsay", "rpc", "--home", home)
	var said struct {
		Lends *struct {
			Address   string
			Bandwidth int64
		}
	}
	a.must(&said, "network", nil)
	if said.Lends == nil || said.Lends.Bandwidth != 1<<20 || !strings.HasPrefix(said.Lends.Address, "127.0.0.1:") {
		t.Errorf("%+v", said.Lends)
	}
	// The doctor asks the daemon, which holds the home.
	look := start(t, "hearsay", "doctor", "--home", home, "--json")
	code := look.wait()
	if r := checkResults(t, doctorLines(t, look)); code == program.ExitHomeInUse || r[checkStore] != checkWarning || r[checkFile] != checkWarning {
		t.Errorf("doctor beside a daemon: code %d, %v: %s", code, r, look.errors())
	}
	a.shutdown()
	d.terminate()
	if code := d.wait(); code != 0 {
		t.Errorf("SIGTERM: code %d\n%s", code, d.errors())
	}
	node, err := relay.NewNode(relay.NodeConfig{Home: relayHome(home), Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatalf("the relay's home is not free: %v", err)
	}
	// A relay that cannot start, for another one is still finishing, keeps nobody from
	// the profile, and starts later.
	defer node.Close()
	soon := *l
	soon.again = 20 * time.Millisecond
	p, err = openLending(chat.Config{Home: home}, &soon)
	if err != nil {
		t.Fatalf("the profile waits for the relay: %v", err)
	}
	defer p.stop()
	if s := p.lent.state(); s.Problem == "" {
		t.Errorf("it is not said that the relay does not run: %+v", s)
	}
	node.Close()
	waitFor(t, "the relay runs again", func() bool { avoids(p); return p.lent.state().Problem == "" })

	// Destroying the profile ends the relay at once, and leaves nothing of it.
	if err := p.Wipe(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-p.lent.done:
	case <-time.After(patience):
		t.Error("the relay outlives the profile")
	}
	if err := p.stop(); !errors.Is(err, chat.ErrWiped) {
		t.Error(err)
	}
	if _, err := os.Lstat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after wiping: %v", err)
	}
}

// waitFor waits until ok holds.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// TestContributeAsksFirst: without a word nothing is lent, and nothing is made;
// flags that make no sense are refused.
func TestContributeAsksFirst(t *testing.T) {
	home := filepath.Join(t.TempDir(), "alice")
	lending := func(args ...string) (said string, l *lending, err error) {
		f := &flags{home: home}
		cmd := daemonCommand(f)
		var out strings.Builder
		cmd.SetErr(&out)
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		l, err = f.lending(cmd)
		return out.String(), l, err
	}
	local := []string{"--contribute", "--contribute-listen", "127.0.0.1:0"}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"if you accept this, add --contribute-accept", local},
		{"give --contribute as well", []string{"--contribute-listen", "127.0.0.1:0"}},
		{"give --contribute as well", []string{"--contribute-accept"}},
		{"less than the least", append([]string{"--contribute-bandwidth", "100KiB"}, local...)},
		{"with a limit only", append([]string{"--contribute-bandwidth", ""}, local...)},
		{"is no address of a computer", []string{"--contribute", "--contribute-listen", "0.0.0.0:4443"}},
		{"is no address", []string{"--contribute", "--contribute-listen", "here"}},
	} {
		_, l, err := lending(c.args...)
		var e *program.Error
		if !errors.As(err, &e) || e.Code != program.ExitUsage || l != nil || !strings.Contains(e.Error()+e.Hint, c.says) {
			t.Errorf("%q: %+v, %v", c.args, l, err)
		}
	}
	said, _, _ := lending(append(local, "--contribute-bandwidth", "2MiB")...)
	for _, want := range []string{"up to 2MiB a second", "it is this computer's", "whoever", "comes and goes with this program", "run hearsay-relay on\nanother computer"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in\n%s", want, said)
		}
	}
	if said, l, err := lending(append(local, "--contribute-accept")...); err != nil || said != "" || l == nil || l.bandwidth != 1<<20 {
		t.Errorf("%q, %+v, %v", said, l, err)
	}
	if said, l, err := lending(); err != nil || said != "" || l != nil {
		t.Errorf("off by default: %q, %+v, %v", said, l, err)
	}
	if _, err := os.Lstat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "\n": false, "n\n": false, "yeah\n": false, "": false} {
		if got, err := agrees(t.Context(), strings.NewReader(answer), io.Discard, "?"); got != want || err != nil {
			t.Errorf("%q is %v, %v", answer, got, err)
		}
	}
}

// TestContributeAddresses: an address that is not this computer's is a router's.
func TestContributeAddresses(t *testing.T) {
	towards := netip.MustParseAddrPort("127.0.0.1:1")
	for _, c := range []struct{ given, listen, advertise string }{
		{"127.0.0.1:4443", "127.0.0.1:4443", ""},
		{"192.0.2.7:4443", "0.0.0.0:4443", "192.0.2.7:4443"},
		{"[2001:db8::7]:4443", "[::]:4443", "[2001:db8::7]:4443"},
	} {
		l := &lending{listen: netip.MustParseAddrPort(c.given)}
		listen, advertise, err := l.addresses(towards)
		if err != nil || listen.String() != c.listen || (len(advertise) == 1) != (c.advertise != "") || len(advertise) == 1 && advertise[0].String() != c.advertise {
			t.Errorf("%s: %v, %v, %v", c.given, listen, advertise, err)
		}
	}
	for given, want := range map[string]string{"": "no public address", "192.0.2.7:0": "has no port"} {
		l := &lending{}
		if given != "" {
			l.listen = netip.MustParseAddrPort(given)
		}
		if _, _, err := l.addresses(towards); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", given, err)
		}
	}
}
